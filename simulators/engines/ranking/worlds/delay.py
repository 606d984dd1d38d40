"""Clicks whose conversions come late, and a campaign launched so recently that most of its conversions are still to come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, gamma

from simulators.engines.ranking.arguments import Flags, Floats, between
from simulators.engines.ranking.worlds.draws import draw

FEATURES = 5  # besides the one that says whether a click is of the new campaign
LOG_DAYS, TEST_CLICKS = 30.0, 20_000
NEW_SHARE = 0.7  # of the clicks since the launch
BASE_LOGIT, SLOPE, DELAY_SLOPE = -2.2, 0.5, -0.4
WEIGHT_SD = 0.5


@dataclass(frozen=True)
class DelayWorld:
    """N clicks as the log shows them today, M clicks to come. Days throughout.

    X          (N, 6) five standard normal features, then 1 for a click of the new campaign
    converted  (N,) 1 where a conversion has arrived by now
    delay      (N,) from click to conversion, NaN where none has arrived
    elapsed    (N,) from click to now
    X_test, p_test, is_new   (M, 6), (M,), (M,): clicks of today's traffic, their chance to convert within the window, which are new
    to_come    (N,) 1 where a conversion will arrive later
    scale_test (M,) scale of the delay law of each test click
    """

    X: Floats
    converted: Floats
    delay: Floats
    elapsed: Floats
    X_test: Floats
    p_test: Floats
    is_new: Flags
    to_come: Floats
    scale_test: Floats
    shape: float
    window: float

    def arrived_by(self, days: Floats) -> Floats:
        """(len(days),) share of the test clicks' conversions that arrive within so many days."""
        counts = [float(_arrived(day, self.scale_test, self.shape, self.window) @ self.p_test) for day in days]
        return np.array(counts) / float(self.p_test.sum())


def delay_world(
    seed: int = 0,
    *,
    mean_delay: float = 6.0,
    shape: float = 1.0,
    new_days: float = 2.0,
    lift: float = 1.0,
    clicks: int = 60_000,
    window: float = 30.0,
) -> DelayWorld:
    """Clicks over 30 days; a new campaign has 70 % of the traffic since its launch `new_days` ago.

    mean_delay  of the Weibull law at the mean features, days; a click's own mean is larger or smaller with its features
    shape       of that law: 1 is exponential, below 1 has early conversions and a heavy tail
    lift        of the new campaign's chance to convert, log-odds
    window      conversions later than this do not count: the law is cut there
    """
    for name, value in (("mean_delay", mean_delay), ("shape", shape), ("new_days", new_days), ("window", window)):
        between(name, value, 1e-3, 1e3)
    between("lift", lift, -10, 10)
    between("clicks", clicks, 1, np.inf)
    weights = draw(seed, "delay/weights")
    w, g = weights.normal(0, WEIGHT_SD, FEATURES), weights.normal(0, WEIGHT_SD, FEATURES)
    elapsed = draw(seed, "delay/times").random(clicks) * LOG_DAYS
    X = _features(seed, "log", clicks, elapsed < new_days)
    X_test = _features(seed, "test", TEST_CLICKS, np.ones(TEST_CLICKS, dtype=bool))
    base_scale = mean_delay / gamma(1 + 1 / shape)
    scale, scale_test = (base_scale * np.exp(DELAY_SLOPE * rows[:, :-1] @ g) for rows in (X, X_test))
    converts = draw(seed, "delay/conversions").random(clicks) < _chance(X, w, lift)
    delay = _delays(draw(seed, "delay/delays").random(clicks), scale, shape, window)
    arrived = converts & (delay <= elapsed)
    return DelayWorld(
        X,
        arrived.astype(float),
        np.where(arrived, delay, np.nan),
        elapsed,
        X_test,
        _chance(X_test, w, lift),
        X_test[:, -1] == 1,
        (converts & ~arrived).astype(float),
        scale_test,
        shape,
        window,
    )


def _features(seed: int, part: str, rows: int, launched: Flags) -> Floats:
    plain = draw(seed, f"delay/features/{part}").standard_normal((rows, FEATURES))
    new = launched & (draw(seed, f"delay/campaign/{part}").random(rows) < NEW_SHARE)
    return np.column_stack([plain, new])


def _chance(X: Floats, w: Floats, lift: float) -> Floats:
    return np.asarray(expit(BASE_LOGIT + SLOPE * X[:, :-1] @ w + lift * X[:, -1]))


def _arrived(days: float | Floats, scale: Floats, shape: float, window: float) -> Floats:
    """The Weibull law cut at the window."""
    return np.asarray(np.expm1(-((np.minimum(days, window) / scale) ** shape)) / np.expm1(-((window / scale) ** shape)))


def _delays(u: Floats, scale: Floats, shape: float, window: float) -> Floats:
    """The law's quantiles at u."""
    return np.asarray(scale * (-np.log1p(u * np.expm1(-((window / scale) ** shape)))) ** (1 / shape))
