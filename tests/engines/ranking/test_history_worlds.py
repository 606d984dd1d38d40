"""Worlds of histories and of several heads: what they promise, seen through the engine's own functions."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from simulators.engines.ranking.metrics import auc, mass_at_k
from simulators.engines.ranking.models import fit_ctr
from simulators.engines.ranking.worlds import cold_world, heads_world, interest_world
from simulators.engines.ranking.worlds.heads import FASTEST_H, HEADS

SEEDS = (0, 1, 2)
SMALL = {"n_users": 1_500, "n_items": 1_000}
cold_world = cache(cold_world)
interest_world = cache(interest_world)
heads_world = cache(heads_world)


def best(scores, k):
    return np.argsort(-scores, axis=1)[:, :k]


def of_oracle(chance, scores, k):
    p = chance.astype(float)
    return mass_at_k(p / p.sum(axis=1, keepdims=True), best(scores, k)).of_oracle


def unit(vectors):
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def by_content(world, users):
    """Mean of the text vectors of the history against every item's."""
    vectors = unit(world.X["text"])
    return vectors[world.history[users]].mean(axis=1) @ vectors.T


# --- items that nobody has seen --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_choices_follow_the_known_chances_and_new_items_are_in_no_history(seed):
    world = cold_world(seed, **SMALL)
    assert np.allclose(world.p.sum(axis=1), 1, atol=1e-4)
    expected = world.p[:, world.cold].sum(axis=1).mean()
    assert world.cold[world.next].mean() == pytest.approx(expected, abs=0.02)
    assert not world.cold[world.history].any()
    assert world.cold.mean() == pytest.approx(0.2, abs=0.001)
    picked = np.take_along_axis(world.p, world.next, axis=1).mean()
    assert picked == pytest.approx((world.p**2).sum(axis=1).mean(), rel=0.1)


@pytest.mark.parametrize("seed", SEEDS)
def test_content_places_new_items_and_popularity_cannot(seed):
    world, users = cold_world(seed, **SMALL), np.arange(300)
    new = world.p[users][:, world.cold]
    found = of_oracle(new, by_content(world, users)[:, world.cold], 20)
    chance = of_oracle(new, np.random.default_rng(seed).random(new.shape), 20)
    assert found > chance + 0.15
    seen = np.bincount(world.history.ravel(), minlength=len(world.cold)).astype(float)
    popular = best(np.tile(seen, (300, 1)), 50)
    assert not world.cold[popular].any()
    assert world.cold[best(world.p[users], 50)].mean() > 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_content_tells_nothing_where_items_are_all_their_own(seed):
    world, users = cold_world(seed, kappa=0.0, **SMALL), np.arange(300)
    new = world.p[users][:, world.cold]
    chance = np.mean([of_oracle(new, np.random.default_rng(i).random(new.shape), 20) for i in range(5)])
    assert of_oracle(new, by_content(world, users)[:, world.cold], 20) == pytest.approx(chance, abs=0.06)


def test_new_items_have_the_modalities_they_may_have_and_every_item_has_one():
    world = cold_world(0, only=("visual",), **SMALL)
    text, visual, audio = (world.present[:, column] for column in range(3))
    assert visual[world.cold].all() and not (text | audio)[world.cold].any()
    assert text[~world.cold].all() and audio[~world.cold].mean() == pytest.approx(0.6, abs=0.05)
    assert world.present.any(axis=1).all()
    for column, name in enumerate(("text", "visual", "audio")):
        assert not world.X[name][~world.present[:, column]].any()
        assert (np.abs(world.X[name][world.present[:, column]]).sum(axis=1) > 0).all()


def test_a_knob_leaves_the_other_draws_alone():
    default, other = cold_world(0, **SMALL), cold_world(0, new_share=0.5, **SMALL)
    assert np.array_equal(default.topic, other.topic) and np.array_equal(default.interests, other.interests)
    assert np.allclose(default.p, other.p)
    assert (other.cold | ~default.cold).all()


# --- several interests -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_of_several_interests_finds_less_than_each_candidates_nearest(seed):
    world, users = interest_world(seed), np.arange(300)
    vectors = unit(world.X["content"])
    past = vectors[world.history[users]]
    one = of_oracle(world.p[users], past.mean(axis=1) @ vectors.T, 50)
    each = of_oracle(world.p[users], np.exp(8 * past @ vectors.T).sum(axis=1), 50)
    assert each > one + 0.12


@pytest.mark.parametrize("seed", SEEDS)
def test_the_mean_is_enough_for_one_interest(seed):
    world, users = interest_world(seed, interests=1), np.arange(300)
    vectors = unit(world.X["content"])
    past = vectors[world.history[users]]
    one = of_oracle(world.p[users], past.mean(axis=1) @ vectors.T, 50)
    each = of_oracle(world.p[users], np.exp(8 * past @ vectors.T).sum(axis=1), 50)
    assert one > 0.8 and each - one < 0.03


def test_shares_add_up_and_choices_come_from_the_interests():
    world = interest_world(0)
    assert np.allclose(world.shares.sum(axis=1), 1) and np.allclose(world.p.sum(axis=1), 1, atol=1e-4)
    assert all(len(set(row)) == 4 for row in world.interests)
    own = (world.topic[world.history][:, :, None] == world.interests[:, None, :]).any(axis=2).mean()
    other = (world.topic[world.history][:, :, None] == np.roll(world.interests, 1, axis=0)[:, None, :]).any(axis=2).mean()
    assert own > 4 * other
    assert world.present.all() and not world.cold.any()


# --- several heads ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_heads_have_their_rates_and_labels_their_chances(seed):
    world = heads_world(seed)
    rate = {head: float(p.mean()) for head, p in world.p.items()}
    assert 0.0025 < rate["negative"] < 0.007 and 0.15 < rate["dwell"] < 0.23 and 0.05 < rate["like"] < 0.09
    assert rate["negative"] < rate["reply"] < rate["repost"] < rate["like"] < rate["dwell"]
    for head in HEADS:
        spread = np.sqrt((world.p[head] * (1 - world.p[head])).sum())
        assert abs((world.Y[head] - world.p[head]).sum()) < 4 * spread
    assert auc(world.test.y[:, 0], world.p_test["like"]) == pytest.approx(0.86, abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ranker_without_age_loses_likes(seed):
    world = heads_world(seed)
    without = [replace(part, dense=part.dense[:, :1], names=()) for part in (world.train, world.test)]
    known = fit_ctr(world.train, kind="masknet", epochs=1, table_lr=0.05, seed=seed).predict(world.test)
    blind = fit_ctr(without[0], kind="masknet", epochs=1, table_lr=0.05, seed=seed).predict(without[1])
    likes = world.test.y[:, 0]
    assert auc(likes, world.p_test["like"]) > auc(likes, known[:, 0]) > auc(likes, blind[:, 0]) + 0.02


def test_topics_age_at_their_own_pace():
    assert np.ptp(heads_world(0, tau_spread=1.0, rows=100, test_rows=10).tau_h) == 0
    tau_h = heads_world(0, rows=100, test_rows=10).tau_h
    assert tau_h.min() == FASTEST_H and tau_h.max() == pytest.approx(48)


def test_toxic_authors_earn_complaints():
    world = heads_world(0)
    toxic = world.toxic[world.train.fields[:, 1]] == 1
    assert world.p["negative"][toxic].mean() > 3 * world.p["negative"][~toxic].mean()


@pytest.mark.parametrize(
    ("made", "knob"),
    [
        (cold_world, {"kappa": 1.5}),
        (cold_world, {"new_share": -0.1}),
        (cold_world, {"only": ()}),
        (cold_world, {"only": ("smell",)}),
        (cold_world, {"n_users": 0}),
        (interest_world, {"interests": 0}),
        (interest_world, {"history": 0}),
        (interest_world, {"n_items": 1}),
        (heads_world, {"tau_spread": 0.5}),
        (heads_world, {"tau_spread": float("nan")}),
        (heads_world, {"rows": 0}),
    ],
)
def test_a_knob_out_of_range_is_named(made, knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        made(0, **knob)
