"""Click models against enumeration of what they hide, against counting by hand, and against logs whose reader is known."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from simulators.engines.search.clicks import DBN, PBM, Cascade, ClickModel, ClickWorld, Sessions, simulate

SEEDS = (0, 1, 2)
QUERIES, DOCS, PAGE = 60, 20, 10
EXAMINATION = 1 / np.arange(1, PAGE + 1)


@cache
def world(seed: int, randomised: float) -> ClickWorld:
    """Production ranks by a noisy view of relevance."""
    draws = np.random.default_rng(seed)
    attractive, satisfying = draws.beta(1.2, 3.5, (2, QUERIES, DOCS))
    noisy = attractive * satisfying + draws.normal(0, 0.1, (QUERIES, DOCS))
    ranking = np.argsort(-noisy, axis=1)[:, :PAGE].astype(np.int32)
    return ClickWorld(ranking, attractive, satisfying, randomised)


def reader(kind: str) -> ClickModel:
    return {"pbm": PBM(EXAMINATION), "cascade": Cascade(), "dbn": DBN(0.85)}[kind]


@cache
def sessions(seed: int, kind: str, randomised: float = 0.5, n: int = 10_000, part: int = 0) -> Sessions:
    return simulate(world(seed, randomised), reader(kind), n, seed=100 * part + seed)


def page(*clicks: int, docs: Any = None) -> Sessions:
    shown = np.arange(len(clicks)) if docs is None else np.asarray(docs)
    return Sessions(np.zeros(1, np.int32), shown[None].astype(np.int32), np.array([clicks], np.uint8))


# --- what the models are -------------------------------------------------------------------------------------------------------


def enumerated(clicks: tuple[int, ...], a: Any, s: Any, gamma: float) -> float:
    """P(clicks) of a DBN as the sum over every course of satisfaction and going on."""
    total = 0.0
    for satisfied, goes_on in product(product((0, 1), repeat=len(clicks)), repeat=2):
        chance, looking = 1.0, True
        for k, clicked in enumerate(clicks):
            chance *= (s[k] if satisfied[k] else 1 - s[k]) * (gamma if goes_on[k] else 1 - gamma)
            chance *= (a[k] if clicked else 1 - a[k]) if looking else float(not clicked)
            looking = looking and not (clicked and satisfied[k]) and bool(goes_on[k])
        total += chance
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_the_likelihood_of_a_dbn_is_the_sum_over_what_it_hides(seed: int) -> None:
    model = DBN().fit(sessions(seed, "dbn", n=500), 3)
    query, docs = 0, world(seed, 0.5).ranking[0, :4]
    a = [model.attractiveness(query, doc) for doc in docs]
    s = [model.satisfaction(query, doc) for doc in docs]
    chances = []
    for clicks in product((0, 1), repeat=4):
        given = Sessions(np.array([query], np.int32), docs[None], np.array([clicks], np.uint8))
        chances.append(np.exp(model.log_likelihood(given)))
        assert chances[-1] == pytest.approx(enumerated(clicks, a, s, model.continuation), rel=1e-5)
        assert model._below(given, np.array([a]), np.array([s]))[0, 0] == pytest.approx(chances[-1], rel=1e-5), "backward as forward"
    assert sum(chances) == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_iteration_never_lowers_the_likelihood_of_many_clicks(seed: int) -> None:
    """EM climbs the posterior; with so many sessions the prior moves the likelihood by next to nothing."""
    for kind in ("pbm", "dbn"):
        log = sessions(seed, kind)
        climbed = np.diff(list(reader(kind).iter_fit(log, 15)))
        assert (climbed > -1).all() and climbed[0] > 100


def test_a_cascade_counts_down_to_the_first_click() -> None:
    one, other = page(0, 1, 1), page(0, 0, 0)
    log = Sessions(*(np.concatenate([a, b]) for a, b in zip(vars(one).values(), vars(other).values(), strict=True)))
    model = Cascade().fit(log)
    assert [model.relevance(0, doc) for doc in range(4)] == pytest.approx([1 / 4, 2 / 4, 1 / 3, 1 / 2]), "doc 3 was never shown"
    assert model.click_prob(one)[0] == pytest.approx([1 / 4, 2 / 4, 0]), "nothing is read below the first click"
    assert model.log_likelihood(other) == pytest.approx(np.log([3 / 4, 2 / 4, 2 / 3]).sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_readers_click_as_they_are_described(seed: int) -> None:
    draws, many = np.random.default_rng(seed), 40_000
    a = np.full((many, 3), 0.5)
    assert PBM((1, 0.5, 0.2)).sample(a, 0, draws).mean(axis=0) == pytest.approx([0.5, 0.25, 0.1], abs=0.01)
    cascade = Cascade().sample(a, 0, draws)
    assert cascade.mean(axis=0) == pytest.approx([0.5, 0.25, 0.125], abs=0.01) and cascade.sum(axis=1).max() == 1
    on = 0.9 * (1 - 0.5 * 0.4)
    assert DBN(0.9).sample(a, 0.4, draws).mean(axis=0) == pytest.approx([0.5, 0.5 * on, 0.5 * on**2], abs=0.01)


def test_perplexity_of_known_chances() -> None:
    model = PBM().fit(sessions(0, "pbm", n=200))
    log = sessions(0, "pbm", n=300, part=1)
    chance = model.click_prob(log)
    likelihood = np.where(log.clicks > 0, chance, 1 - chance)
    assert model.perplexity(log) == pytest.approx((2 ** -np.log2(likelihood).mean(axis=0)).mean())
    assert model.log_likelihood(log) == pytest.approx(np.log(likelihood).sum())


# --- what fitting finds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fitting_finds_the_reader(seed: int) -> None:
    pbm, dbn = PBM().fit(sessions(seed, "pbm"), 100), DBN().fit(sessions(seed, "dbn"), 40)
    assert pbm.examination[0] == 1
    assert pbm.examination == pytest.approx(EXAMINATION, abs=0.04)
    assert dbn.continuation == pytest.approx(0.85, abs=0.015)
    truth = world(seed, 0.5)
    shown = [(q, int(d)) for q in range(QUERIES) for d in truth.ranking[q, :5]]
    found = [dbn.attractiveness(q, d) for q, d in shown]
    assert np.corrcoef(found, [truth.attractiveness[q, d] for q, d in shown])[0, 1] > 0.95
    relevant = [dbn.relevance(q, d) for q, d in shown]
    expected = [truth.attractiveness[q, d] * truth.satisfaction[q, d] for q, d in shown]
    assert np.corrcoef(relevant, expected)[0, 1] > 0.8


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["pbm", "dbn"])
def test_the_right_model_predicts_new_clicks_best(seed: int, kind: str) -> None:
    new = sessions(seed, kind, n=5_000, part=1)
    surprise = {name: reader(name).fit(sessions(seed, kind)).perplexity(new) for name in ("pbm", "cascade", "dbn")}
    assert min(surprise, key=lambda name: surprise[name]) == kind, surprise
    assert sorted(surprise.values())[1] - surprise[kind] > 0.001


@pytest.mark.parametrize("seed", SEEDS)
def test_without_randomisation_pbm_is_the_click_rate(seed: int) -> None:
    """Each document has one rank, so only the product of examination and attractiveness is seen."""
    log = sessions(seed, "pbm", randomised=0.0)
    chance = PBM().fit(log).click_prob(log)
    for query in range(5):
        mine = log.query == query
        assert chance[mine][0] == pytest.approx(log.clicks[mine].mean(axis=0), abs=0.03)


# --- arguments ------------------------------------------------------------------------------------------------------------------


def test_shorter_pages_are_padded() -> None:
    log = sessions(0, "dbn", n=2_000)
    docs, clicks = log.docs.copy(), log.clicks.copy()
    docs[:, 6:], clicks[:, 6:] = -1, 0
    padded, cut = Sessions(log.query, docs, clicks), Sessions(log.query, docs[:, :6], clicks[:, :6])
    for kind in ("pbm", "cascade", "dbn"):
        a, b = reader(kind).fit(padded, 5), reader(kind).fit(cut, 5)
        assert a.log_likelihood(padded) == pytest.approx(b.log_likelihood(cut))
        assert a.perplexity(padded) == pytest.approx(b.perplexity(cut))
        assert (a.click_prob(padded)[:, 6:] == 0).all()


def test_an_unknown_pair_keeps_the_prior() -> None:
    for kind, prior in (("cascade", 0.5), ("dbn", 0.25)):
        assert reader(kind).fit(sessions(0, kind, n=200), 2).relevance(QUERIES + 1, 0) == prior


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ((np.zeros(2), np.zeros((1, 3)), np.zeros((1, 3))), "expected"),
        ((np.zeros(1), np.zeros((1, 3)), np.full((1, 3), 2)), "clicks"),
        ((np.zeros(1), np.full((1, 3), -1), np.ones((1, 3))), "no document"),
    ],
)
def test_bad_sessions_are_refused(arrays: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sessions(*arrays)


def test_fitting_asks_for_sessions_and_iterations() -> None:
    with pytest.raises(ValueError, match="n_iter"):
        PBM().fit(sessions(0, "pbm", n=200), 0)
    with pytest.raises(ValueError, match="sessions"):
        PBM().fit(page(0, docs=[-1]))
