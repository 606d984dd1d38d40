"""Re-ranking against its definitions: brute force, naive determinants, ties, caps, and pages at once against pages one by one."""

import time

import numpy as np
import pytest

from simulators.engines.ranking import rerank

SEEDS = (0, 1, 2)


def slate(seed, n=30, d=8):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), rng.normal(size=(n, d))


def scaled(scores):
    return (scores - scores.min()) / (scores.max() - scores.min())


def cosines(emb):
    unit = emb / np.linalg.norm(emb, axis=1, keepdims=True)
    return unit @ unit.T


def mmr_by_definition(scores, emb, k, lam):
    s, likeness, chosen = scaled(scores), cosines(emb), [int(np.argmax(scores))]
    while len(chosen) < k:
        rest = [i for i in range(len(s)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: lam * s[i] - (1 - lam) * likeness[i, chosen].max()))
    return chosen


def dpp_by_log_det(scores, emb, k, theta):
    quality = np.exp(theta / (2 * (1 - theta)) * scaled(scores))
    kernel = quality[:, None] * (cosines(emb) + 1e-6 * np.eye(len(scores))) * quality
    chosen = []
    for _ in range(k):
        rest = [i for i in range(len(scores)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: np.linalg.slogdet(kernel[np.ix_([*chosen, i], [*chosen, i])])[1]))
    return chosen


# --- weights --------------------------------------------------------------------------------------------------------------------------


def test_weighted_score_is_the_weighted_sum():
    heads = {"click": [0.1, 0.2], "like": [0.5, 0.0], "unused": [9.0, 9.0]}
    assert rerank.weighted_score(heads, {"click": 2, "like": -1}) == pytest.approx([-0.3, 0.4])


@pytest.mark.parametrize(
    ("heads", "weights", "named"),
    [
        ({"click": [0.1]}, {"like": 1.0}, "like"),
        ({"click": [0.1]}, {"click": np.nan}, "weights"),
        ({"click": [0.1]}, {"click": np.inf}, "weights"),
        ({"click": [np.nan]}, {"click": 1.0}, "click"),
        ({"click": [0.1], "like": [0.1, 0.2]}, {"click": 1.0}, "like"),
        ({"click": [[0.1]]}, {"click": 1.0}, "click"),
        ({}, {}, "heads"),
    ],
)
def test_weighted_score_names_what_is_wrong(heads, weights, named):
    with pytest.raises(ValueError, match=named):
        rerank.weighted_score(heads, weights)


def test_ranked_keeps_the_order_of_equals():
    assert rerank.ranked([1.0, 2.0, 1.0, 2.0]).tolist() == [1, 3, 0, 2]
    assert rerank.ranked([[1.0, 2.0], [4.0, 3.0]], 1).tolist() == [[1], [0]]


# --- diversity ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.7, 0.9, 1.0])
def test_mmr_is_its_definition(lam):
    for seed in SEEDS:
        scores, emb = slate(seed)
        assert rerank.mmr(scores, emb, 12, lam).tolist() == mmr_by_definition(scores, emb, 12, lam)


@pytest.mark.parametrize("theta", [0.05, 0.3, 0.8, 0.95, 0.99])
@pytest.mark.parametrize(("d", "k"), [(8, 8), (4, 15), (40, 25)])
def test_dpp_is_greedy_log_det_also_beyond_the_rank(theta, d, k):
    for seed in SEEDS:
        scores, emb = slate(seed, n=30, d=d)
        assert rerank.dpp_greedy(scores, emb, k, theta).tolist() == dpp_by_log_det(scores, emb, k, theta)


def test_at_their_ends_both_are_the_ranking_by_score():
    for seed in SEEDS:
        scores, emb = slate(seed)
        assert rerank.mmr(scores, emb, 10, 1.0).tolist() == rerank.ranked(scores, 10).tolist()
        assert rerank.dpp_greedy(scores, emb, 10, 0.9999).tolist() == rerank.ranked(scores, 10).tolist()


def test_stronger_diversity_does_what_it_promises():
    """A smaller lam brings down how close each item comes to one above it, a smaller theta raises the volume the page spans."""
    for seed in SEEDS:
        scores, emb = slate(seed, n=100, d=12)
        closest = [np.tril(cosines(emb[page]), -1).max(axis=1).sum() for page in (rerank.mmr(scores, emb, 10, x) for x in (1, 0.7, 0.3))]
        volume = [np.linalg.slogdet(cosines(emb[page]))[1] for page in (rerank.dpp_greedy(scores, emb, 10, x) for x in (0.99, 0.9, 0.5))]
        assert closest == sorted(closest, reverse=True) and closest[0] > 2 * closest[-1]
        assert volume == sorted(volume) and volume[-1] > volume[0] + 1


def test_many_pages_are_each_page():
    pages = [slate(seed) for seed in range(5)]
    scores, emb = (np.stack(part) for part in zip(*pages, strict=True))
    assert rerank.mmr_pages(scores, emb, 9, 0.6).tolist() == [rerank.mmr(s, e, 9, 0.6).tolist() for s, e in pages]
    assert rerank.dpp_pages(scores, emb, 9, 0.8).tolist() == [rerank.dpp_greedy(s, e, 9, 0.8).tolist() for s, e in pages]


@pytest.mark.parametrize("pick", [rerank.mmr, rerank.dpp_greedy])
def test_equal_scores_and_equal_items(pick):
    same = pick(np.ones(4), np.ones((4, 3)), 3, 0.5)
    assert same.tolist() == [0, 1, 2]
    assert same.dtype == np.int64
    twins = pick(np.array([1.0, 1.0, 0.9, 0.0]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), 3, 0.5)
    assert twins.tolist() == [0, 2, 1]


@pytest.mark.parametrize("pick", [rerank.mmr, rerank.dpp_greedy])
def test_a_page_holds_at_most_all_candidates_once(pick):
    scores, emb = slate(3, n=6, d=2)
    assert sorted(pick(scores, emb, 50, 0.5)) == list(range(6))
    assert pick(scores, emb, 0, 0.5).shape == (0,)
    assert pick([], np.zeros((0, 2)), 3, 0.5).shape == (0,)


@pytest.mark.parametrize("pick", [rerank.mmr, rerank.dpp_greedy])
def test_an_item_without_a_vector_is_like_nothing(pick):
    page = pick(np.array([1.0, 0.9, 0.8]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), 2, 0.5)
    assert page.tolist() == [0, 2]


@pytest.mark.parametrize("pick", [rerank.mmr, rerank.dpp_greedy])
@pytest.mark.parametrize(
    ("scores", "emb", "k", "knob", "named"),
    [
        ([np.nan, 1.0], [[1.0], [1.0]], 1, 0.5, "scores"),
        ([0.0, 1.0], [[np.inf], [1.0]], 1, 0.5, "emb"),
        ([0.0, 1.0], [[1.0]], 1, 0.5, "emb"),
        ([0.0, 1.0], [1.0, 1.0], 1, 0.5, "emb"),
        ([[0.0, 1.0]], [[1.0], [1.0]], 1, 0.5, "scores"),
        ([0.0, 1.0], [[1.0], [1.0]], -1, 0.5, "k is"),
        ([0.0, 1.0], [[1.0], [1.0]], 1.5, 0.5, "k is"),
        ([0.0, 1.0], [[1.0], [1.0]], 1, -0.1, "lam|theta"),
        ([0.0, 1.0], [[1.0], [1.0]], 1, 1.1, "lam|theta"),
        ([0.0, 1.0], [[1.0], [1.0]], 1, np.nan, "lam|theta"),
    ],
)
def test_diversity_names_what_is_wrong(pick, scores, emb, k, knob, named):
    with pytest.raises(ValueError, match=named):
        pick(scores, emb, k, knob)


def test_dpp_refuses_the_infinite_weight():
    with pytest.raises(ValueError, match="theta"):
        rerank.dpp_greedy([0.0, 1.0], [[1.0], [1.0]], 1, 1.0)


@pytest.mark.parametrize(("pick", "knob"), [(rerank.mmr, 0.7), (rerank.dpp_greedy, 0.8)])
def test_fifty_of_a_hundred_and_fifty_in_a_millisecond(pick, knob):
    scores, emb = slate(0, n=150, d=64)
    pick(scores, emb, 50, knob)
    costs = []
    for _ in range(20):
        started = time.process_time()
        pick(scores, emb, 50, knob)
        costs.append(time.process_time() - started)
    assert min(costs) < 0.001


# --- authors --------------------------------------------------------------------------------------------------------------------------


def test_author_decay_is_the_published_series():
    decayed = rerank.author_decay([5.0, 1.0, 4.0, 3.0, 2.0, 9.0], ["a", "a", "a", "a", "a", "b"])
    assert decayed == pytest.approx([5.0, 0.296875, 4 * 0.625, 3 * 0.4375, 2 * 0.34375, 9.0])


def test_author_decay_never_lifts_a_negative_score():
    decayed = rerank.author_decay([-1.0, -2.0, 0.0], [7, 7, 7])
    assert decayed == pytest.approx([-1 / 0.625, -2 / 0.4375, 0.0])
    assert rerank.author_decay([-1.0, -2.0], [7, 7], decay=0.0, floor=0.0).tolist() == [-1.0, -np.inf]


def test_author_decay_against_a_loop():
    rng = np.random.default_rng(5)
    scores, authors = rng.normal(size=200), rng.integers(0, 20, 200)
    expected, seen = np.empty(200), dict.fromkeys(range(20), 0)
    for i in np.argsort(-scores):
        factor = 0.1 + 0.9 * 0.7 ** seen[authors[i]]
        expected[i] = scores[i] * factor if scores[i] >= 0 else scores[i] / factor
        seen[authors[i]] += 1
    assert rerank.author_decay(scores, authors, 0.7, 0.1) == pytest.approx(expected)


def test_equal_scores_of_an_author_keep_their_order():
    assert rerank.author_place([1.0, 1.0, 1.0], ["a", "a", "a"]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("cap", [1, 2, 5])
def test_author_cap_against_a_loop(cap):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        scores, authors = rng.normal(size=60), rng.integers(0, 12, 60)
        expected, seen = [], dict.fromkeys(range(12), 0)
        for i in np.argsort(-scores):
            if seen[authors[i]] < cap and len(expected) < 10:
                expected.append(int(i))
                seen[authors[i]] += 1
        assert rerank.author_cap(scores, authors, 10, cap).tolist() == expected


def test_a_cap_that_leaves_too_few_shortens_the_page():
    assert rerank.author_cap([3.0, 2.0, 1.0], ["a", "a", "b"], 3, 1).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: rerank.author_decay([1.0], ["a", "b"]), "authors"),
        (lambda: rerank.author_decay([np.nan], ["a"]), "scores"),
        (lambda: rerank.author_decay([1.0], [["a"]]), "authors"),
        (lambda: rerank.author_decay([1.0], ["a"], decay=1.5), "decay"),
        (lambda: rerank.author_decay([1.0], ["a"], floor=-0.1), "floor"),
        (lambda: rerank.author_cap([1.0], ["a"], 1, 0), "cap"),
        (lambda: rerank.author_cap([1.0], ["a"], -1, 1), "k is"),
    ],
)
def test_authors_name_what_is_wrong(call, named):
    with pytest.raises(ValueError, match=named):
        call()


# --- satiation ------------------------------------------------------------------------------------------------------------------------


def test_satiated_value_by_its_definition():
    for seed in SEEDS:
        value, emb = slate(seed)
        order, likeness = np.random.default_rng(seed).permutation(30)[:10], cosines(emb)
        expected = sum(
            value[i] * np.exp(-0.4 * sum(max(likeness[i, above], 0) ** 2 for above in order[:place])) for place, i in enumerate(order)
        )
        assert rerank.satiated_value(value, emb, order, 0.4) == pytest.approx(expected)


def test_without_satiation_a_page_is_worth_its_sum():
    value, emb = slate(1)
    assert rerank.satiated_value(value, emb, [3, 5, 7], 0.0) == pytest.approx(value[[3, 5, 7]].sum())
    assert rerank.satiated_value(value, emb, [], 0.3) == 0.0


def test_opposite_items_do_not_tire_and_twins_do():
    emb = np.array([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]])
    assert rerank.satiation(emb[[0, 1]], 0.5) == pytest.approx([1.0, 1.0])
    assert rerank.satiation(emb[[0, 2]], 0.5) == pytest.approx([1.0, np.exp(-0.5)])


def test_one_who_knows_satiation_beats_the_ranking_by_value_and_comes_near_the_best_page():
    from itertools import permutations

    for seed in SEEDS:
        value, emb = slate(seed, n=7, d=3)
        value = np.abs(value)
        pages = rerank.satiated_pages(value[None], emb[None], 4, 1.0)
        mine = rerank.satiated_value(value, emb, pages[0], 1.0)
        best = max(rerank.satiated_value(value, emb, page, 1.0) for page in permutations(range(7), 4))
        assert rerank.satiated_value(value, emb, rerank.ranked(value, 4), 1.0) <= mine <= best + 1e-12
        assert mine >= 0.95 * best


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: rerank.satiated_value([1.0, np.nan], [[1.0], [1.0]], [0], 0.1), "value"),
        (lambda: rerank.satiated_value([1.0], [[1.0], [1.0]], [0], 0.1), "emb"),
        (lambda: rerank.satiated_value([1.0], [[1.0]], [1], 0.1), "order"),
        (lambda: rerank.satiated_value([1.0], [[1.0]], [0.5], 0.1), "order"),
        (lambda: rerank.satiated_value([1.0], [[1.0]], [0], -0.1), "gamma"),
        (lambda: rerank.satiated_value([1.0], [[1.0]], [0], np.inf), "gamma"),
    ],
)
def test_satiation_names_what_is_wrong(call, named):
    with pytest.raises(ValueError, match=named):
        call()
