"""A month of events of 2,000 keys, one of them attacked, and the requests that ask for their windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.times import US_PER_S, Times
from simulators.lab import Context, Progress, Working

Floats = NDArray[np.float64]
ENTITIES, EVENTS, DAYS, DAY_S = 2_000, 1_000_000, 30, 86_400
FIRST_S = 1_767_225_600  # 2026-01-01, a midnight
SPREAD = 1.0  # of the logarithm of the keys' rates
WARM_DAYS, REQUESTS = 10, 50_000
LATE_MEAN_S, LATEST_S = 600.0, 7_200.0
MERCHANTS, MERCHANT_SKEW = 20_000, 1.3
BURST_S = 120
BURST_AT_S = FIRST_S + 20 * DAY_S + 12 * 3_600 + 37
ATTACKED = 1
_CHUNKS = 20


@dataclass(frozen=True)
class Events:
    """What really happened, sorted by key and time; arrays (n,), times in microseconds.

    amount, merchant  what sums and distinct counts are taken of
    late_draw         uniform: the event is late when it lies below the share of late events
    delay_s           by how much it is late then
    double_draw       uniform: the event is delivered twice when it lies below the share of redelivered ones
    asked             the events at whose times requests come, in the order of their keys
    """

    key: NDArray[np.int64]
    ts: Times
    amount: Floats
    merchant: Floats
    late_draw: Floats
    delay_s: Floats
    double_draw: Floats
    asked: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.ts)


def synthetic(ctx: Context, hot_key: float, burst: int) -> Working[Events]:
    """The world, kept for the next run. `hot_key` in percent of all events, `burst` events of the attacked key."""
    key = f"windows/world/hot={hot_key}/burst={burst}/seed={ctx.seed}/1"
    return (yield from ctx.asset_steps(key, lambda: _made(ctx, hot_key / 100, burst)))


def _made(ctx: Context, hot_share: float, burst: int) -> Working[Events]:
    draws = ctx.rng("windows/events")
    rates = draws.lognormal(0, SPREAD, ENTITIES)
    rates *= (1 - hot_share) / rates[1:].sum()
    rates[0] = hot_share
    rates[ATTACKED] = np.median(rates)
    counts = draws.multinomial(EVENTS, rates / rates.sum())
    parts = []
    for i, keys in enumerate(np.array_split(np.arange(ENTITIES), _CHUNKS)):
        parts.append(_sorted_events(draws, keys, counts[keys], burst if ATTACKED in keys else 0))
        yield Progress(i, _CHUNKS, "drawing events")
    columns: list[NDArray[Any]] = []
    for column in zip(*parts, strict=True):
        columns.append(np.concatenate(column))
        yield Progress(_CHUNKS, _CHUNKS, "drawing events")
    warm = np.flatnonzero(columns[1] >= (FIRST_S + WARM_DAYS * DAY_S) * US_PER_S)
    asked = np.sort(ctx.rng("windows/requests").choice(warm, REQUESTS, replace=False))
    key, ts, amount, merchant, late, delay, double = columns
    return Events(key, ts, amount, merchant, late, delay, double, asked)


def _sorted_events(draws: np.random.Generator, keys: NDArray[np.int64], counts: NDArray[np.int64], burst: int) -> list[NDArray[Any]]:
    key = np.repeat(keys, counts)
    ts = FIRST_S * US_PER_S + draws.integers(0, DAYS * DAY_S * US_PER_S, len(key))
    attack = BURST_AT_S * US_PER_S + np.random.default_rng(burst).integers(0, BURST_S * US_PER_S, burst)
    key, ts = np.append(key, np.full(burst, ATTACKED)), np.append(ts, attack)
    order = np.lexsort((ts, key))
    n = len(key)
    amount, merchant = draws.lognormal(3, 1, n), np.minimum(draws.zipf(MERCHANT_SKEW, n), MERCHANTS).astype(float)
    late, delay, double = draws.random(n), np.minimum(draws.exponential(LATE_MEAN_S, n), LATEST_S), draws.random(n)
    return [key[order], ts[order], amount, merchant, late, delay, double]
