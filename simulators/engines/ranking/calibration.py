"""Probabilities put right on a held-out log: Platt's sigmoid, isotonic regression, temperature, histogram.

All four learn a map from a model's probability to the rate that was seen, for everybody or one for each segment. A segment whose log
holds only one class cannot be fitted; it is pooled, that is, served by the map of all rows, as is a segment the log did not hold.
Sources: Platt 1999; Zadrozny & Elkan 2001 (histogram) and 2002 (isotonic); Guo et al. 2017 (temperature); He et al. 2014 (sampling).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit

from simulators.engines.ranking.arguments import Floats, Ints, binary, probabilities, same_length

Map = Callable[[Floats], Floats]
EDGE = 1e-12  # probabilities are kept so far from 0 and 1 before their logit is taken
STEPS, ENOUGH, ROUNDING = 100, 1e-10, 1e-12
MANY = 2**16
Z_95 = 1.959963984540054


class Calibrator:
    """`fit(p, y, segment)` learns, `predict(p, segment)` applies. `pooled_` names the segments served by the map of all rows."""

    def __init__(self) -> None:
        self.pooled_: tuple[object, ...] = ()
        self._all: Map | None = None
        self._by: dict[object, Map] = {}

    def fit(self, p: ArrayLike, y: ArrayLike, segment: ArrayLike | None = None) -> Self:
        """p (n,) predicted, y (n,) 0 or 1, segment (n,) any labels, one map for each. Raises ValueError for an empty log or one class."""
        predicted, seen = probabilities("p", p, ndim=1), binary("y", y, ndim=1)
        same_length(p=predicted, y=seen)
        if not _both(seen):
            raise ValueError(f"y holds {int(seen.sum())} clicks in {len(seen)} rows; expected at least one of each class.")
        self._all, self._by, pooled = self._map(predicted, seen), {}, []
        for name, rows in _groups(segment, len(seen)):
            if _both(seen[rows]):
                self._by[name] = self._map(predicted[rows], seen[rows])
            else:
                pooled.append(name)
        self.pooled_ = tuple(pooled)
        return self

    def predict(self, p: ArrayLike, segment: ArrayLike | None = None) -> Floats:
        """Calibrated p, of p's shape; segment of the same shape. Without a segment every row takes the map of all rows."""
        if self._all is None:
            raise ValueError("p cannot be calibrated before fit; expected fit(p, y) first.")
        given = probabilities("p", p)
        flat = given.ravel()
        if segment is None:
            return self._all(flat).reshape(given.shape)
        labels = np.asarray(segment)
        if labels.shape != given.shape:
            raise ValueError(f"segment is {labels.shape}; expected {given.shape}, as p is.")
        out = np.empty(len(flat))
        for name, rows in _groups(labels.ravel(), len(flat)):
            out[rows] = self._by.get(name, self._all)(flat[rows])
        return out.reshape(given.shape)

    def _map(self, p: Floats, y: Floats) -> Map:
        raise NotImplementedError

    def _sigmoid(self) -> Sigmoid:
        if not isinstance(self._all, Sigmoid):
            raise ValueError("p has not been fitted to; expected fit(p, y) first.")
        return self._all


@dataclass(frozen=True)
class Sigmoid:
    """sigmoid(slope logit(p) + intercept)."""

    slope: float
    intercept: float

    def __call__(self, p: Floats) -> Floats:
        made: Floats = expit(self.slope * _logit(p) + self.intercept)
        return made


class Platt(Calibrator):
    """sigmoid(a logit(p) + b) by maximum likelihood, with Platt's targets, which keep a and b finite where the classes separate."""

    def _map(self, p: Floats, y: Floats) -> Sigmoid:
        return _sigmoid_fit(_logit(p), y)

    @property
    def coef_(self) -> tuple[float, float]:
        """(a, b) of the map of all rows."""
        return self._sigmoid().slope, self._sigmoid().intercept


class Temperature(Calibrator):
    """sigmoid(logit(p) / T): one number, which sharpens or softens and cannot move a mean that is off."""

    def _map(self, p: Floats, y: Floats) -> Sigmoid:
        return Sigmoid(_slope_fit(_logit(p), y), 0.0)

    @property
    def temperature_(self) -> float:
        """T of the map of all rows."""
        return 1 / self._sigmoid().slope


class Isotonic(Calibrator):
    """The non-decreasing map that fits best in squares (pool adjacent violators), straight between the points, flat beyond them."""

    def _map(self, p: Floats, y: Floats) -> Map:
        x, place, n = np.unique(p, return_inverse=True, return_counts=True)
        rate = np.bincount(place, y) / n
        fitted = isotonic_regression(rate, weights=n).x
        kept = np.ones(len(x), dtype=bool)  # within a step of the staircase its two ends say everything
        kept[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
        ends, steps = x[kept], fitted[kept]
        return lambda given: np.interp(given, ends, steps)


class Histogram(Calibrator):
    """The rate of each of `bins` bins of equally many rows; equal predictions stay in one bin."""

    def __init__(self, bins: int = 20) -> None:
        super().__init__()
        if bins < 1:
            raise ValueError(f"bins is {bins}; expected 1 or more.")
        self.bins = bins

    def _map(self, p: Floats, y: Floats) -> Map:
        edges = np.unique(np.quantile(p, np.linspace(0, 1, self.bins + 1)[1:-1]))
        place = np.searchsorted(edges, p)
        n = np.bincount(place, minlength=len(edges) + 1)
        rate = np.bincount(place, y, len(edges) + 1) / np.maximum(n, 1)
        kept = np.flatnonzero(n)  # a bin that no row fell into takes the rate of the next one
        rate = rate[kept[np.minimum(np.searchsorted(kept, np.arange(len(n))), len(kept) - 1)]]
        return lambda given: rate[np.searchsorted(edges, given)]


def undo_downsampling(p: ArrayLike, keep: float) -> Floats:
    """Probabilities of a model trained on the share `keep` of the negatives, as they would be on all: p / (p + (1 - p) / keep)."""
    sampled = probabilities("p", p)
    if not 0 < keep <= 1:
        raise ValueError(f"keep is {keep}; expected a share above 0 and at most 1.")
    return sampled / (sampled + (1 - sampled) / keep)


@dataclass(frozen=True)
class Reliability:
    """A row a bin, in order of p: mean prediction, rate seen, rows, and the 95 % interval of the rate; arrays (b,)."""

    p_mean: Floats
    rate: Floats
    n: Ints
    lo: Floats
    hi: Floats


def reliability(y: ArrayLike, p: ArrayLike, bins: int = 15) -> Reliability:
    """Predicted against seen in at most `bins` bins of equally many rows; intervals by Wilson 1927. Empty bins are left out."""
    seen, predicted = binary("y", y, ndim=1), probabilities("p", p, ndim=1)
    rows = same_length(y=seen, p=predicted)
    if rows == 0 or bins < 1:
        raise ValueError(f"y has {rows} rows and bins is {bins}; expected one or more of both.")
    place = np.searchsorted(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]), predicted)  # as metrics.ece does
    counts = np.bincount(place)
    kept = counts > 0
    n = counts[kept]
    rate = np.bincount(place, seen)[kept] / n
    lo, hi = wilson(rate, n)
    return Reliability(np.bincount(place, predicted)[kept] / n, rate, n, lo, hi)


def wilson(rate: ArrayLike, n: ArrayLike, z: float = Z_95) -> tuple[Floats, Floats]:
    """Interval of a binomial share: rate and n of any one shape."""
    share, rows = np.asarray(rate, dtype=np.float64), np.asarray(n, dtype=np.float64)
    middle = share + z**2 / (2 * rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    return np.clip((middle - half) / (1 + z**2 / rows), 0, 1), np.clip((middle + half) / (1 + z**2 / rows), 0, 1)


# --- fits ------------------------------------------------------------------------------------------------------------------------


def _sigmoid_fit(x: Floats, y: Floats) -> Sigmoid:
    """Newton's steps, halved until the loss falls."""
    positives = y.sum()
    targets = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    theta = np.array([1.0, 0.0])
    loss = _loss(theta[0] * x + theta[1], targets)
    for _ in range(STEPS):
        p = expit(theta[0] * x + theta[1])
        miss, weight = p - targets, p * (1 - p)
        gradient = np.array([miss @ x, miss.sum()])
        crossed = weight @ x
        hessian = np.array([[weight @ (x * x), crossed], [crossed, weight.sum()]])
        step = np.linalg.solve(hessian + 1e-12 * len(x) * np.eye(2), gradient)
        theta, loss, moved = _descent(lambda t: _loss(t[0] * x + t[1], targets), theta, step, loss)
        if moved < ENOUGH:
            break
    return Sigmoid(float(theta[0]), float(theta[1]))


def _slope_fit(x: Floats, y: Floats) -> float:
    theta = np.array([1.0])
    loss = _loss(theta[0] * x, y)
    for _ in range(STEPS):
        p = expit(theta[0] * x)
        step = np.array([((p - y) @ x) / ((p * (1 - p)) @ (x * x) + 1e-12 * len(x))])
        theta, loss, moved = _descent(lambda t: _loss(t[0] * x, y), theta, step, loss)
        if moved < ENOUGH:
            break
    return float(np.clip(theta[0], 1e-3, 1e3))


def _descent(loss_at: Callable[[Floats], float], theta: Floats, step: Floats, loss: float) -> tuple[Floats, float, float]:
    """The point after a step that does not raise the loss beyond rounding, its loss, and how far that was."""
    for halving in range(30):
        trial = theta - step / 2**halving
        found = loss_at(trial)
        if found <= loss * (1 + ROUNDING):
            return trial, found, float(np.abs(step).max()) / 2**halving
    return theta, loss, 0.0


def _loss(score: Floats, target: Floats) -> float:
    return float((np.logaddexp(0, score) - target * score).sum())


def _logit(p: Floats) -> Floats:
    return np.asarray(logit(np.clip(p, EDGE, 1 - EDGE)))


def _both(y: Floats) -> bool:
    return bool(0 < y.sum() < len(y))


def _groups(segment: ArrayLike | None, rows: int) -> list[tuple[object, Ints]]:
    """(label, its rows) for each segment."""
    if segment is None:
        return []
    labels = np.asarray(segment)
    if labels.shape != (rows,):
        raise ValueError(f"segment is {labels.shape}; expected ({rows},), a label a row.")
    names, place = _coded(labels)
    order = np.argsort(place, kind="stable")  # of 16-bit codes: a radix sort
    ends = np.cumsum(np.bincount(place, minlength=len(names)))
    return [(name, rows) for name, rows in zip(names, np.split(order, ends[:-1]), strict=True) if len(rows)]


def _coded(labels: NDArray[Any]) -> tuple[list[object], NDArray[np.integer[Any]]]:
    """The labels there may be, and the place of each row's among them; whole numbers of a small range need no sort."""
    if labels.dtype.kind in "iu" and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if high - low < MANY:
            return list(range(low, high + 1)), (labels - low).astype(np.uint16)
    names, place = np.unique(labels, return_inverse=True)
    return names.tolist(), place.astype(np.uint16 if len(names) <= MANY else np.int64)
