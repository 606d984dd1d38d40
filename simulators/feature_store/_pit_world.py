"""Ads shown to users whose interest drifts: click probabilities are known, and so is what the online store held at each request.

log-odds of a click = -3.2 + affinity of the user + the user's daily random walk + 0.7 x quality of the ad. The feature is the number of
the user's clicks in the last W days. A stream job writes a row whenever that number changes as far as it knows; a nightly job rewrites
the row of everyone who was active that day. Clicks may arrive late; last night a backfill corrected the history by event time, and
its rows say so: they were created last night.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.windows import EventLog
from simulators.feature_store._pit_params import PointInTimeParams
from simulators.lab import Context, Progress, Working

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
DAYS, USERS = 30, 5_000
END_US = DAYS * DAY_US
TRAIN_END_US = DAYS * DAY_US * 3 // 4
BACKFILL_US = END_US + 3 * HOUR_US  # last night
BASE_LOG_ODDS, AFFINITY_SD, QUALITY_WEIGHT = -3.2, 0.85, 0.7
CLICK_DELAY_S = (1, 60)
BEFORE_ALL = -(2**62)


@dataclass(frozen=True)
class Impressions:
    """Labels (n,) in order of time: user, request time, quality of the ad, click probability, click; and the clicks' own times (c,)."""

    user: Ints
    at_us: Ints
    quality: Floats
    probability: Floats
    clicked: Flags
    click_us: Ints

    @property
    def clicker(self) -> Ints:
        return self.user[self.clicked]


@dataclass(frozen=True)
class FeatureRows:
    """Rows (r,) of the offline store. `created_us` is when each was written; a backfilled row was written long after its event time."""

    user: Ints
    event_us: Ints
    created_us: Ints
    value: Floats

    @property
    def backfilled(self) -> Flags:
        return self.created_us > self.event_us


def impressions_steps(ctx: Context, params: PointInTimeParams) -> Working[Impressions]:
    key = f"pit/impressions/n={params.impressions}/drift={params.drift}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _drawn(ctx, params.impressions, params.drift), disk=False))


def _drawn(ctx: Context, n: int, drift: float) -> Working[Impressions]:
    draw = ctx.rng("impressions")
    user, at_us = draw.integers(0, USERS, n), np.sort(draw.integers(0, END_US, n))
    yield Progress(1, 4, "showing ads")
    quality = ctx.rng("quality").normal(size=n)
    steps = drift * ctx.rng("drift").normal(size=(USERS, DAYS))
    interest = ctx.rng("affinity").normal(0, AFFINITY_SD, (USERS, 1)) + np.cumsum(steps, axis=1)
    yield Progress(2, 4, "showing ads")
    probability = 1 / (1 + np.exp(-(BASE_LOG_ODDS + interest[user, at_us // DAY_US] + QUALITY_WEIGHT * quality)))
    clicked = ctx.rng("clicks").random(n) < probability
    yield Progress(3, 4, "counting clicks")
    delay_s = ctx.rng("click delay").integers(*CLICK_DELAY_S, n)[clicked]
    return Impressions(user, at_us, quality, probability, clicked, at_us[clicked] + delay_s * 1_000_000)


def arrivals(ctx: Context, shown: Impressions, params: PointInTimeParams) -> Ints:
    """When each click (c,) reached the store; one in `late_share` is late. Raising the share makes more of the same clicks late."""
    late = ctx.rng("late").random(len(shown.click_us)) < params.late_share / 100
    delay_us = ctx.rng("delay").exponential(1.0, len(shown.click_us)) * params.late_hours * HOUR_US
    return shown.click_us + np.where(late, delay_us, 0).astype(np.int64)


# --- what the store wrote -----------------------------------------------------------------------------------------------------


def rows_steps(shown: Impressions, arrival_us: Ints, window_us: int) -> Working[FeatureRows]:
    """Everything the offline store holds after last night's backfill."""
    known, true = _counts(shown, arrival_us, window_us)
    yield Progress(1, 4, "writing feature rows")
    user, at = _write_times(shown, arrival_us, window_us)
    yield Progress(2, 4, "writing feature rows")
    live, corrected = known(user, at), true(user, at)
    yield Progress(3, 4, "writing feature rows")
    wrong = live != corrected
    missed_user, missed_at = _missed(shown, arrival_us, window_us)
    return FeatureRows(
        np.concatenate([user, user[wrong], missed_user]),
        np.concatenate([at, at[wrong], missed_at]),
        np.concatenate([at, np.full(wrong.sum() + len(missed_at), BACKFILL_US)]),
        np.concatenate([live, corrected[wrong], true(missed_user, missed_at)]),
    )


def _counts(shown: Impressions, arrival_us: Ints, window_us: int) -> tuple[Callable[..., Floats], Callable[..., Floats]]:
    """Two functions (users, times) -> clicks in the window up to and at that time: those known by then, and those
    that had happened, as far as the backfill knew.
    """
    counted = arrival_us < shown.click_us + window_us
    known = _in_window(shown.clicker[counted], arrival_us[counted], shown.click_us[counted] + window_us)
    there = arrival_us <= BACKFILL_US
    return known, _in_window(shown.clicker[there], shown.click_us[there], shown.click_us[there] + window_us)


def _in_window(user: Ints, enters_us: Ints, leaves_us: Ints) -> Callable[..., Floats]:
    entered, left = (EventLog(user, edge, np.ones(len(user))) for edge in (enters_us, leaves_us))

    def count(users: Ints, at: Ints, *, inclusive: bool = True) -> Floats:
        upto, start = at + inclusive, np.full(len(at), BEFORE_ALL)
        (low_in, high_in), (low_out, high_out) = entered.places(users, start, upto), left.places(users, start, upto)
        return ((high_in - low_in) - (high_out - low_out)).astype(float)

    return count


def _write_times(shown: Impressions, arrival_us: Ints, window_us: int) -> tuple[Ints, Ints]:
    """(users, times) of every row written as it happened: initial load, clicks in, clicks out, nightly refresh of the day's users."""
    leaves_us = shown.click_us + window_us
    counted = arrival_us < leaves_us
    active = np.unique(shown.user * DAYS + shown.at_us // DAY_US)
    user = np.concatenate([np.arange(USERS), shown.clicker[counted], shown.clicker[counted], active // DAYS])
    at = np.concatenate([np.zeros(USERS, dtype=np.int64), arrival_us[counted], leaves_us[counted], (active % DAYS + 1) * DAY_US])
    return user[at <= END_US], at[at <= END_US]


def _missed(shown: Impressions, arrival_us: Ints, window_us: int) -> tuple[Ints, Ints]:
    """(users, times) of rows that should have been written and were not: a late click's own time, and its end where it came too late."""
    late = (arrival_us > shown.click_us) & (arrival_us <= BACKFILL_US)
    lost = late & (arrival_us >= shown.click_us + window_us)
    user = np.concatenate([shown.clicker[late], shown.clicker[lost]])
    at = np.concatenate([shown.click_us[late], shown.click_us[lost] + window_us])
    return user[at <= END_US], at[at <= END_US]


# --- what it served -------------------------------------------------------------------------------------------------------------


def served_steps(shown: Impressions, arrival_us: Ints, window_us: int, *, ttl_us: int, inclusive: bool) -> Working[Floats]:
    """What the online store answered at each request (n,), NaN where it held nothing that had not expired.

    Replayed without any join: counters that clicks enter on arrival and leave after W, expiring by last write. ttl_us 0: never.
    `inclusive`: writes of the request's very time are there already.
    """
    known, _ = _counts(shown, arrival_us, window_us)
    yield Progress(1, 4, "replaying the online store")
    value = known(shown.user, shown.at_us, inclusive=inclusive)
    yield Progress(2, 4, "replaying the online store")
    user, at = _write_times(shown, arrival_us, window_us)
    writes = EventLog(user, at, np.ones(len(at)))
    yield Progress(3, 4, "replaying the online store")
    since = shown.at_us - ttl_us if ttl_us else np.full(len(shown.at_us), BEFORE_ALL)
    low, high = writes.places(shown.user, since, shown.at_us + inclusive)
    return np.where(high > low, value, np.nan)
