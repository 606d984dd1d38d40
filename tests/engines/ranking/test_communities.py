"""Communities against the planted ones, an independent clustering and brute force; interests and placed items by definition."""

from functools import cache

import networkx
import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import normalized_mutual_info_score

from simulators.engines.ranking import communities
from simulators.engines.ranking.metrics import mass_at_k
from simulators.engines.ranking.worlds import follow_world

SEEDS = (0, 1, 2)


@cache
def world(seed=0, **knobs):
    return follow_world(seed, users=1_500, producers=400, posts=800, likes=15_000, planted=12, **knobs)


@cache
def labels(seed=0, k=12, method="spectral"):
    return communities.known_for(world(seed).follow, k, method)


def agreement(seed, found):
    return normalized_mutual_info_score(world(seed).community[found >= 0], found[found >= 0])


# --- known for ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_spectral_finds_the_planted_communities(seed):
    assert agreement(seed, labels(seed)) > 0.95
    blurred = follow_world(seed, users=1_500, producers=400, posts=50, likes=100, planted=12, mix=0.6)
    found = communities.known_for(blurred.follow, 12)
    assert 0.5 < normalized_mutual_info_score(blurred.community, found) <= 1


@pytest.mark.parametrize("seed", SEEDS)
def test_modularity_moves_come_near_and_beat_chance(seed):
    found = labels(seed, method="modularity")
    assert agreement(seed, found) > 0.75
    assert set(np.unique(found)) <= set(range(12))


@pytest.mark.parametrize("seed", SEEDS)
def test_modularity_is_near_that_of_an_independent_search(seed):
    graph = networkx.from_scipy_sparse_array(communities._nearest(world(seed).follow))
    found = labels(seed, method="modularity")
    mine = networkx.community.modularity(graph, [set(np.flatnonzero(found == c).tolist()) for c in np.unique(found)])
    theirs = networkx.community.modularity(graph, networkx.community.louvain_communities(graph, seed=0))
    assert mine > 0.85 * theirs > 0.3


def test_no_single_move_would_raise_modularity():
    graph, found = communities._nearest(world().follow), labels(method="modularity")
    dense = graph.toarray()
    degree = dense.sum(axis=1)
    one_hot = np.eye(12)[found]
    links = dense @ one_hot
    gain = links - degree[:, None] * (degree @ one_hot - one_hot * degree[:, None]) / degree.sum()
    stays = gain[np.arange(len(found)), found]
    assert (gain.max(axis=1) <= stays + 1e-9).all()


def test_the_same_seed_gives_the_same_communities_and_nobody_followed_has_none():
    follow = world().follow.tolil()
    follow[:, 7] = 0
    found = communities.known_for(follow.tocsr(), 12, seed=3)
    assert np.array_equal(found, communities.known_for(follow.tocsr(), 12, seed=3))
    assert found[7] == -1 and (np.delete(found, 7) >= 0).all()


@pytest.mark.parametrize("method", communities.METHODS)
def test_one_community_or_as_many_as_producers(method):
    follow = sparse.csr_array(np.kron(np.eye(3), np.ones((4, 2))))
    assert set(communities.known_for(follow, 1, method)) == {0}
    assert communities.known_for(follow, 6, method).shape == (6,)
    pairs = communities.known_for(follow, 3, "spectral")
    assert (pairs[::2] == pairs[1::2]).all() and len(set(pairs.tolist())) == 3


# --- interests and items ------------------------------------------------------------------------------------------------------------


def test_interests_are_counts_cut_and_of_length_one():
    follow = sparse.csr_array(np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 1, 0]]))
    codes = np.array([0, 0, 1, 2, -1])
    whole = communities.interested_in(follow, codes, 3)
    assert whole == pytest.approx(np.array([[2, 1, 1], [0, 0, 0], [0, 0, 0], [1, 0, 1]]) / np.array([[6**0.5], [1], [1], [2**0.5]]))
    cut = communities.interested_in(follow, codes, 3, top=1)
    assert cut.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]  # of equals the smaller community


def test_interests_hold_at_most_top_and_items_add_up():
    for top in (1, 3, 10):
        interests = communities.interested_in(world().follow, labels(), 12, top)
        assert ((interests > 0).sum(axis=1) <= top).all()
        assert np.linalg.norm(interests, axis=1) == pytest.approx(1)
    placed = communities.item_embedding(world().favs, interests)
    assert placed.shape == (800, 12)
    for item in (0, 10, 500):
        likers = world().favs.toarray()[:, item] > 0
        assert placed[item] == pytest.approx(interests[likers].sum(axis=0))


def out_of_network(seed, score):
    """Share of the best 50 unfollowed posts' chance that those of the highest score hold."""
    found = world(seed)
    outside = ~(found.follow.toarray() > 0)[:, found.author]
    chosen = np.argsort(-np.where(outside, score, -np.inf), axis=1)[:, :50]
    best = np.sort(found.p * outside, axis=1)[:, -50:].sum(axis=1).mean()
    return np.take_along_axis(found.p, chosen, axis=1).sum(axis=1).mean() / best


@pytest.mark.parametrize("seed", SEEDS)
def test_communities_find_posts_that_popularity_does_not(seed):
    favs = world(seed).favs
    likes = np.asarray(favs.sum(axis=0)).ravel()

    def cosine_sqrt(k, top=10):
        interests = communities.interested_in(world(seed).follow, labels(seed, k), k, top)
        placed = communities.item_embedding(favs, interests)
        return interests @ (placed / np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12)).T * np.sqrt(likes)

    popular = out_of_network(seed, np.broadcast_to(likes, world(seed).p.shape))
    right, coarse, fine = (out_of_network(seed, cosine_sqrt(k)) for k in (12, 4, 24))
    assert right > 0.8 and right > 2 * popular
    assert coarse < 0.75 * right
    assert fine > 0.9 * right  # too many hurt less than too few


@pytest.mark.parametrize("seed", SEEDS)
def test_a_few_likes_place_a_post(seed):
    interests = communities.interested_in(world(seed).follow, labels(seed), 12)
    planted = world(seed).community
    name = np.array([np.bincount(planted[labels(seed) == c], minlength=12).argmax() for c in range(12)])
    favs, rng, right = world(seed).favs.tocsc(), np.random.default_rng(0), {}
    for likes in (1, 3, 10):
        known = [favs.indices[a:b] for a, b in zip(favs.indptr, favs.indptr[1:], strict=False)]
        hits = [
            name[interests[rng.choice(users, likes, replace=False)].sum(axis=0).argmax()] == planted[world(seed).author[post]]
            for post, users in enumerate(known)
            if len(users) >= likes
        ]
        right[likes] = np.mean(hits)
    assert 0.4 < right[1] < right[3] < right[10] and right[3] > 0.7 and right[10] > 0.9


# --- the world ------------------------------------------------------------------------------------------------------------------------


def test_world_keeps_its_promises():
    found = world()
    assert (np.diff(found.follow.indptr) == 25).all()
    assert found.p.sum(axis=1) == pytest.approx(1)
    assert mass_at_k(found.p, np.argsort(-found.p, axis=1)[:, :50]).of_oracle == pytest.approx(1)
    on = (found.community[found.follow.indices].reshape(-1, 25)[:, :, None] == found.interests[:, None, :]).any(axis=2).mean()
    assert on == pytest.approx(0.8 + 0.2 * 3 / 12, abs=0.02)
    chance, liked = found.p[found.favs.nonzero()].mean(), found.p.mean()
    assert chance > 3 * liked


@pytest.mark.parametrize("knob", [{"mix": 1.5}, {"planted": 1}, {"users": 0}, {"follows": 2_000}])
def test_world_names_a_knob_that_is_wrong(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        follow_world(0, **knob)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda f: communities.known_for(f, 0), "k is"),
        (lambda f: communities.known_for(f, 4), "k is"),
        (lambda f: communities.known_for(f, 2, "louvain"), "method"),
        (lambda f: communities.known_for(-f, 2), "follow"),
        (lambda f: communities.known_for(f * np.nan, 2), "follow"),
        (lambda f: communities.interested_in(f, [0, 1], 2), "producers"),
        (lambda f: communities.interested_in(f, [0, 1, 2], 2), "labels"),
        (lambda f: communities.interested_in(f, [0, 1, 1], 2, top=0), "top"),
        (lambda f: communities.item_embedding(f, np.ones((5, 2))), "interested"),
        (lambda f: communities.item_embedding(f, np.full((3, 2), np.nan)), "interested"),
    ],
)
def test_wrong_arguments_are_named(call, named):
    with pytest.raises(ValueError, match=named):
        call(sparse.csr_array(np.array([[1.0, 0, 1], [0, 1, 0], [1, 1, 1]])))
