"""Requests with four features, a model trained on them, and what each fault serves instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.feature_store._parity_params import FAULTS, Fault
from simulators.feature_store._pit_model import grown, predicted
from simulators.lab import Context, Progress, Working

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
N = 60_000
FEATURES = ("clicks_7d", "visit_hour", "cart_usd", "session_clicks")
UNITS = ("clicks", "h", "$", "clicks")
CLICKS, HOUR, CART, SESSION = range(4)
CLICKS_SHAPE, CLICKS_MEAN, SESSION_MEAN = 2.0, 2.5, 2.0  # clicks are gamma-Poisson: one user in five has none
COLD = 0.02  # users without any history: null, and the model has learned so
RACES = 0.0003  # the value changed between the read and its log
LATE = 0.05  # requests with a click that had happened and not yet arrived
STILL_OPEN = 0.15  # sessions that were under way already when the stream stopped
MISSING = 0.2
LAG_MEDIAN_S, LAG_SPREAD = 2.0, 0.7


@dataclass(frozen=True)
class World:
    """Requests (n,) of the test day. Features (n, 4), NaN is null.

    trained    of another day, what the model was fitted to: the reference of distributions
    known      recomputed with what the store could know; by_event_time with everything that had happened
    served     as the store serves them when nothing is wrong
    faulty     as each fault serves them
    score      the model on `served`, and on each fault's
    truth      clicks, and their probability
    lag_s      age of the stream's features
    """

    trained: Floats
    known: Floats
    by_event_time: Floats
    served: Floats
    faulty: dict[Fault, Floats]
    score: dict[Fault, Floats]
    clicked: Flags
    probability: Floats
    lag_s: Floats

    def values(self, fault: Fault) -> Floats:
        return self.served if fault == "none" else self.faulty[fault]

    def recomputed(self, fault: Fault, rule: str) -> Floats:
        """What the offline side says. As known at the request, a stalled stream had not told anybody: it recomputes what was served."""
        if rule == "event_time":
            return self.by_event_time
        if fault != "stalled":
            return self.known
        stale = self.known.copy()
        stale[:, SESSION] = self.faulty["stalled"][:, SESSION]
        return stale


def world(ctx: Context) -> Working[World]:
    return (yield from ctx.asset_steps(f"parity/world/{ctx.seed}/1", lambda: _made(ctx)))


def _made(ctx: Context) -> Working[World]:
    trained, clicks, _, _ = _requests(ctx.rng("parity/train"))
    yield Progress(1, 10, "drawing requests")
    known, clicked, probability, rate = _requests(ctx.rng("parity/test"))
    yield Progress(2, 10, "drawing requests")
    served = _served(known, ctx.rng("parity/races"))
    faulty: dict[Fault, Floats] = {fault: _FAULTS[fault](served.copy(), rate, ctx.rng(f"parity/{fault}")) for fault in FAULTS}
    yield Progress(3, 10, "serving faults")
    model = yield from grown(trained, clicks)
    score: dict[Fault, Floats] = {"none": (yield from predicted(model, served))}
    for fault in FAULTS:
        score[fault] = yield from predicted(model, faulty[fault])
    lag = ctx.rng("parity/lag").lognormal(np.log(LAG_MEDIAN_S), LAG_SPREAD, N)
    return World(trained, known, _late(known, ctx.rng("parity/late")), served, faulty, score, clicked, probability, lag)


def _requests(draws: np.random.Generator) -> tuple[Floats, Flags, Floats, Floats]:
    """Features (n, 4), clicks, their probability and each user's rate of clicks a week."""
    rate = draws.gamma(CLICKS_SHAPE, CLICKS_MEAN / CLICKS_SHAPE, N)
    clicks, session = draws.poisson(rate).astype(float), draws.poisson(SESSION_MEAN, N).astype(float)
    hour, cart = draws.uniform(0, 24, N), draws.lognormal(3.5, 0.8, N)
    odds = -3.5 + 1.1 * np.log1p(clicks) + 0.52 * np.sin(2 * np.pi * (hour - 14) / 24) - 0.2 * (np.log(cart) - 3.5) + 0.11 * session
    probability = 1 / (1 + np.exp(-odds))
    clicks[draws.random(N) < COLD] = np.nan
    return np.column_stack([clicks, hour, cart, session]), draws.random(N) < probability, probability, rate


def _served(known: Floats, draws: np.random.Generator) -> Floats:
    """The serving path computes the cart in float32, and a few values change under way."""
    out = known.copy()
    out[:, CART] = out[:, CART].astype(np.float32)
    out[draws.random(N) < RACES, CLICKS] += 1
    return out


def _late(known: Floats, draws: np.random.Generator) -> Floats:
    out = known.copy()
    out[draws.random(N) < LATE, CLICKS] += 1
    return out


# --- faults: served values (n, 4), to be changed in place, and each user's clicks a week ---------------------------------------


def _timezone(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    x[:, HOUR] = (x[:, HOUR] + 8) % 24
    return x


def _unit(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    x[:, CART] *= 100
    return x


def _missing_zero(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    return _lost(x, 0.0, draws)


def _missing_null(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    return _lost(x, np.nan, draws)


def _lost(x: Floats, default: float, draws: np.random.Generator) -> Floats:
    x[draws.random(N) < MISSING, CLICKS] = default
    return x


def _window(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    x[:, CLICKS] += draws.poisson(rate / 7)
    return x


def _stalled(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    """Sessions that began after the stream stopped read 0; the others what they had by then."""
    x[:, SESSION] = np.where(draws.random(N) < STILL_OPEN, np.ceil(x[:, SESSION] * draws.random(N)), 0)
    return x


def _wrong_key(x: Floats, rate: Floats, draws: np.random.Generator) -> Floats:
    """The clicks of somebody else."""
    x[:, CLICKS] = draws.permutation(x[:, CLICKS])
    return x


_FAULTS: dict[Fault, Callable[[Floats, Floats, np.random.Generator], Floats]] = {
    "timezone": _timezone,
    "unit": _unit,
    "missing_zero": _missing_zero,
    "missing_null": _missing_null,
    "window": _window,
    "stalled": _stalled,
    "wrong_key": _wrong_key,
}
