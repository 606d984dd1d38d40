"""Posts whose appeal changes by the minute, everything that happened to them, and the impressions that were logged for training.

Time moves in ticks of five minutes; what happens in a tick carries the tick's time. The logit of a like is the post's own level, a walk,
the slow fading of age, bursts, its topic, and where asked a trend that lifts one topic at noon of the second day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.worlds.draws import draw

TICK_S, HOUR_S, HOURS, TOPICS = 300.0, 3_600.0, 48, 16
TICKS = int(HOURS * HOUR_S / TICK_S)
IMPRESSION, LIKE, FALSE_LIKE = 0, 1, 2  # kinds of events
LEVEL, LEVEL_SD, TOPIC_SD = -3.2, 0.6, 0.3
WALK, STEP_SD = 0.93, 0.22  # AR(1) a tick
FADING_H = 24.0  # hours of age that cost one logit
BURST_SHARE, BURST, BURST_MIN = 0.08, (1.5, 3.0), (45.0, 225.0)  # of posts; height (logits); e-fold (minutes)
TRAFFIC_HALF_LIFE_H = 7.0
LOGGED, COUNTED = 500, 10_000  # impressions a tick; the logged ones are among the counted
ATTACK_H, FALSE_LIKES = 6.0, 0.25  # bots like for so long, so many times an impression
TREND_AT_S = 36 * HOUR_S


class Events(NamedTuple):
    """Each (n,), by time."""

    t: Floats  # s
    post: Ints
    kind: NDArray[np.uint8]  # IMPRESSION, LIKE or FALSE_LIKE


class LoggedRows(NamedTuple):
    """Each (m,), by time: impressions kept for training and test. Their impression and like are among the events of the same time."""

    t: Floats  # s
    post: Ints
    y: Floats  # 1: liked
    p: Floats  # chance of it


class Posts(NamedTuple):
    """Each (P,)."""

    born: Floats  # s; before 0 for those that were there
    topic: Ints
    attacked: NDArray[np.bool_]


@dataclass(frozen=True)
class CounterWorld:
    events: Events
    rows: LoggedRows
    posts: Posts
    p: Floats  # (ticks, P) chance of a like, from 0 to 48 h


def counter_world(
    seed: int = 0, *, bot_share: float = 0.0, trend: float = 0.0, dynamics: float = 1.0, posts: int = 3_000, counted: int = COUNTED
) -> CounterWorld:
    """The world. ValueError for a knob outside its range.

    bot_share  share of the posts whose first 6 h bring false likes
    trend      logits by which one topic rises at hour 36
    dynamics   speed of walk and bursts, above 0; the spread of the walk stays
    counted    impressions a tick, of which 500 are logged
    """
    _check(bot_share, trend, dynamics, posts, counted)
    shelf = _posts(seed, posts, bot_share)
    time = np.arange(TICKS, dtype=np.float64) * TICK_S
    age_h: Floats = (time[:, None] - shelf.born) / HOUR_S
    p = np.asarray(expit(_logits(seed, shelf, time, age_h, trend, dynamics)), np.float64)
    chance = np.where(age_h >= 0, 0.5 ** (age_h / TRAFFIC_HALF_LIFE_H), 0.0)
    chance /= np.maximum(chance.sum(axis=1, keepdims=True), 1e-300)
    rows = _logged(seed, time, chance, p)
    return CounterWorld(_events(seed, time, chance, p, rows, shelf, age_h, counted), rows, shelf, p)


def _posts(seed: int, posts: int, bot_share: float) -> Posts:
    """Born evenly from two days before to the end."""
    born = draw(seed, "counter/born").uniform(-HOURS * HOUR_S, HOURS * HOUR_S, posts)
    topic = draw(seed, "counter/topic").integers(TOPICS, size=posts)
    return Posts(born, topic, draw(seed, "counter/bots").random(posts) < bot_share)


def _logits(seed: int, shelf: Posts, time: Floats, age_h: Floats, trend: float, dynamics: float) -> Floats:
    posts = len(shelf.born)
    level = LEVEL + LEVEL_SD * draw(seed, "counter/level").standard_normal(posts)
    level += TOPIC_SD * draw(seed, "counter/topics").standard_normal(TOPICS)[shelf.topic]
    logits = level + _walk(seed, posts, dynamics) - np.maximum(age_h, 0.0) / FADING_H
    rng = draw(seed, "counter/bursts")
    bursting = np.flatnonzero(rng.random(posts) < BURST_SHARE)
    begins = np.maximum(shelf.born[bursting], 0.0) + rng.exponential(6 * HOUR_S, len(bursting))
    fold_s = 60 * rng.uniform(*BURST_MIN, len(bursting)) / dynamics
    since = time[:, None] - begins
    height = rng.uniform(*BURST, len(bursting))
    logits[:, bursting] += np.where(since >= 0, height * np.exp(-np.maximum(since, 0.0) / fold_s), 0.0)
    rising = shelf.topic == draw(seed, "counter/trend").integers(TOPICS)
    return np.asarray(logits + trend * (time[:, None] >= TREND_AT_S) * rising)


def _walk(seed: int, posts: int, dynamics: float) -> Floats:
    """(ticks, posts), stationary from the first tick; a faster walk has the same spread."""
    keep = WALK**dynamics
    spread = STEP_SD / np.sqrt(1 - WALK**2)
    steps = draw(seed, "counter/walk").standard_normal((TICKS, posts))
    steps[0] *= spread
    steps[1:] *= spread * np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], steps, axis=0))


def _logged(seed: int, time: Floats, chance: Floats, p: Floats) -> LoggedRows:
    rng = draw(seed, "counter/logged")
    shown = rng.multinomial(LOGGED, chance)
    tick, post = _spread(shown)
    true = p[tick, post]
    return LoggedRows(time[tick], post, (rng.random(len(tick)) < true).astype(float), true)


def _events(seed: int, time: Floats, chance: Floats, p: Floats, rows: LoggedRows, shelf: Posts, age_h: Floats, counted: int) -> Events:
    """Impressions, likes and false likes; the logged rows and those that were only counted."""
    rng = draw(seed, "counter/counted")
    shown = rng.poisson((counted - LOGGED) * chance)
    likes = np.zeros_like(shown)
    seen = shown > 0
    likes[seen] = rng.binomial(shown[seen], p[seen])
    tick = (rows.t / TICK_S).astype(np.int64)
    np.add.at(shown, (tick, rows.post), 1)
    np.add.at(likes, (tick, rows.post), rows.y.astype(np.int64))
    attacked = shelf.attacked & (age_h >= 0) & (age_h < ATTACK_H)
    false = draw(seed, "counter/false").poisson(FALSE_LIKES * shown * attacked)
    parts = [(*_spread(counts), kind) for counts, kind in ((shown, IMPRESSION), (likes, LIKE), (false, FALSE_LIKE))]
    ticks = np.concatenate([tick for tick, _, _ in parts])
    order = np.argsort(ticks, kind="stable")
    posts = np.concatenate([post for _, post, _ in parts])
    kinds = np.repeat(np.array([kind for _, _, kind in parts], np.uint8), [len(tick) for tick, _, _ in parts])
    return Events(time[ticks[order]], posts[order], kinds[order])


def _spread(counts: NDArray[np.int64]) -> tuple[Ints, Ints]:
    """(tick, post) of each of the things counted in (ticks, posts)."""
    tick, post = np.nonzero(counts)
    times = counts[tick, post]
    return np.repeat(tick, times), np.repeat(post, times)


def _check(bot_share: float, trend: float, dynamics: float, posts: int, counted: int) -> None:
    if not 0 <= bot_share <= 1:
        raise ValueError(f"bot_share is {bot_share}; expected a share from 0 to 1.")
    if not 0 <= trend < np.inf:
        raise ValueError(f"trend is {trend}; expected 0 or more.")
    if not 0 < dynamics < np.inf:
        raise ValueError(f"dynamics is {dynamics}; expected more than 0.")
    if posts < 1:
        raise ValueError(f"posts is {posts}; expected 1 or more.")
    if counted < LOGGED:
        raise ValueError(f"counted is {counted}; expected at least the {LOGGED} that are logged.")
