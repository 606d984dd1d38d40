"""Worlds of counted events and of feeds: what they promise, seen through the engine's own functions."""

from functools import cache

import numpy as np
import pytest

from simulators.engines.ranking import rerank
from simulators.engines.ranking.counters import window_counts
from simulators.engines.ranking.metrics import auc
from simulators.engines.ranking.worlds import counter_world, feed_world
from simulators.engines.ranking.worlds.counter import FALSE_LIKE, IMPRESSION, LIKE, TICK_S, TICKS, TREND_AT_S
from simulators.engines.ranking.worlds.feed import NEGATIVE, POSITIVE

SEEDS = (0, 1, 2)
counter_world = cache(counter_world)
feed_world = cache(feed_world)


def counts(world, kind):
    mine = world.events.kind == kind
    tick = np.round(world.events.t[mine] / TICK_S).astype(int)
    made = np.zeros(world.p.shape, np.int64)
    np.add.at(made, (tick, world.events.post[mine]), 1)
    return made


# --- counted events -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_likes_come_at_the_known_chance(seed):
    world = counter_world(seed, posts=500, counted=2_000)
    shown, liked = counts(world, IMPRESSION), counts(world, LIKE)
    expected, spread = (shown * world.p).sum(), np.sqrt((shown * world.p * (1 - world.p)).sum())
    assert abs(liked.sum() - expected) < 4 * spread
    assert (liked <= shown).all()
    assert np.array_equal(world.rows.p, world.p[np.round(world.rows.t / TICK_S).astype(int), world.rows.post])


def test_logged_rows_are_among_the_counted_events():
    world = counter_world(0, posts=500, counted=2_000)
    tick = np.round(world.rows.t / TICK_S).astype(int)
    logged, liked = np.zeros(world.p.shape, int), np.zeros(world.p.shape, int)
    np.add.at(logged, (tick, world.rows.post), 1)
    np.add.at(liked, (tick, world.rows.post), world.rows.y.astype(int))
    assert logged.sum() == 500 * TICKS
    assert (logged <= counts(world, IMPRESSION)).all() and (liked <= counts(world, LIKE)).all()


def test_nothing_happens_to_a_post_before_it_is_born():
    world = counter_world(0, posts=500, counted=2_000)
    assert (world.events.t >= world.posts.born[world.events.post]).all()
    assert (np.diff(world.events.t) >= 0).all() and (np.diff(world.rows.t) >= 0).all()
    age_h = (world.rows.t - world.posts.born[world.rows.post]) / 3_600
    assert 5 < np.median(age_h) < 9  # traffic halves every 7 hours


@pytest.mark.parametrize("seed", SEEDS)
def test_recent_counts_say_more_than_old_ones(seed):
    """What the five best of fifty by the rate of a window lose against the five truly best: an hour beats a day, a late stream loses."""
    world = counter_world(seed, posts=500, counted=2_000)
    late = world.rows.t > 31 * 3_600
    t, post, y, p = (part[late][::10] for part in world.rows)
    groups = len(t) // 50

    def regret(window_h, lag_min=5.0):
        made = {}
        for kind in (IMPRESSION, LIKE):
            mine = world.events.kind == kind
            made[kind] = window_counts(world.events.post[mine], world.events.t[mine], post, t, window_h * 3_600, lag_min * 60)
        rate = ((made[LIKE] + 2.0) / (made[IMPRESSION] + 50.0))[: groups * 50].reshape(groups, 50)
        chance = p[: groups * 50].reshape(groups, 50)
        won = np.take_along_axis(chance, rerank.ranked(rate, 5), axis=1).sum()
        return 1 - won / np.sort(chance, axis=1)[:, -5:].sum()

    assert 0.71 < auc(y, p) < 0.78
    assert regret(1.0) < regret(6.0) - 0.02 and regret(1.0) < regret(24.0) - 0.05
    assert 1.5 * regret(1.0) < regret(1.0, 60) < regret(1.0, 360) - 0.1


def test_bots_and_trends_change_only_what_they_should():
    plain, bots, rising = (counter_world(0, posts=500, counted=2_000, **knobs) for knobs in ({}, {"bot_share": 0.1}, {"trend": 1.5}))
    assert np.array_equal(plain.rows.y, bots.rows.y) and np.array_equal(plain.p, bots.p)
    assert not (plain.events.kind == FALSE_LIKE).any()
    false = bots.events.kind == FALSE_LIKE
    assert false.any() and bots.posts.attacked[bots.events.post[false]].all()
    assert (bots.events.t[false] - bots.posts.born[bots.events.post[false]] < 6 * 3_600).all()
    noon = round(TREND_AT_S / TICK_S)
    assert np.array_equal(plain.p[:noon], rising.p[:noon])
    lifted = (rising.p[noon:] > plain.p[noon:]).all(axis=0)
    assert len(set(plain.posts.topic[lifted].tolist())) == 1


def test_dynamics_make_posts_change_faster_not_wider():
    def moves(world):
        logit = np.log(world.p / (1 - world.p))
        return np.abs(np.diff(logit, axis=0)).mean(), logit.std()

    slow, fast = (moves(counter_world(0, posts=300, counted=600, dynamics=x)) for x in (0.3, 3.0))
    assert fast[0] > 2 * slow[0] and fast[1] == pytest.approx(slow[1], rel=0.1)


@pytest.mark.parametrize("knob", [{"bot_share": -0.1}, {"trend": np.inf}, {"dynamics": 0}, {"posts": 0}, {"counted": 100}])
def test_counter_world_names_a_knob_that_is_wrong(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        counter_world(0, **knob)


# --- feeds ----------------------------------------------------------------------------------------------------------------------------

WEIGHTS = {"like": 0.5, "repost": 1, "reply": 5, "quote": 5, "click": 0.4, "share": 2, "video": 0.05}
PENALTIES = {"not_interested": -43.2, "mute": -58.8, "block": -31.2, "report": -234}


def served(seed, weights, decay=True):
    """Positive actions a feed of 35, negatives per 1,000 impressions, share of rage, most posts of one author."""
    world = feed_world(seed)
    score = sum(weight * world.heads[action] for action, weight in weights.items())
    score = np.where(world.in_network, score, np.where(score < 0, score / 0.75, score * 0.75))
    if decay:
        score = np.stack([rerank.author_decay(s, a) for s, a in zip(score, world.author, strict=True)])
    page = rerank.ranked(score, 35)
    rows = np.arange(len(page))[:, None]
    good = sum(world.heads[action][rows, page].sum(axis=1).mean() for action in POSITIVE)
    bad = 1e3 * sum(world.heads[action][rows, page].mean() for action in NEGATIVE)
    crowding = np.mean([np.bincount(authors).max() for authors in world.author[rows, page]])
    return good, bad, (world.rage[rows, page] > 0).mean(), crowding


@pytest.mark.parametrize("seed", SEEDS)
def test_rage_pays_until_negatives_weigh(seed):
    likes, replies = served(seed, {"like": 1.0}), served(seed, {"reply": 1.0})
    published, without = served(seed, {**WEIGHTS, **PENALTIES}), served(seed, WEIGHTS)
    tripled = served(seed, {**WEIGHTS, **{action: 3 * weight for action, weight in PENALTIES.items()}})
    assert replies[1] > 3 * likes[1] and replies[2] > 0.45
    assert likes[1] < published[1] < without[1] < replies[1] and likes[2] < published[2] < without[2]
    assert published[0] > likes[0]
    assert tripled[1] < 0.6 * published[1] and tripled[2] < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_without_decay_one_author_floods_the_feed(seed):
    weights = {**WEIGHTS, **PENALTIES}
    assert served(seed, weights, decay=False)[3] > 1.8 * served(seed, weights)[3]


def test_feed_world_has_the_promised_arrays():
    world = feed_world(0)
    assert set(world.heads) == {*POSITIVE, *NEGATIVE}
    assert all(((values >= 0) & (values <= 1)).all() and values.shape == (200, 400) for values in world.heads.values())
    assert world.emb.shape == (200, 400, 16) and world.in_network[:, :150].all() and not world.in_network[:, 200:].any()
    assert (np.diff(world.age_h[:, :150], axis=1) >= 0).all()  # the network's newest first
    assert world.followers.min() >= 1 and world.sensitive.mean() == pytest.approx(0.03, abs=0.01)
    keys = world.author * 1e6 + world.age_h  # of a post
    once = np.unique(keys, return_index=True)[1]
    assert auc(world.sensitive.ravel()[once].astype(float), world.sensitive_score.ravel()[once]) == pytest.approx(0.95, abs=0.02)
    assert all(len(set(row)) == 400 for row in keys[:20].tolist())


@pytest.mark.parametrize("knob", [{"rage_share": 2}, {"in_network": -1}, {"users": 0}, {"follows": 5_000}])
def test_feed_world_names_a_knob_that_is_wrong(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        feed_world(0, **knob)
