"""Conversion rates from clicks whose conversions come late.

A click without a conversion may still get one. Four ways to learn from a log as it stands today:

naive  what has not converted is a negative
wait   the same on clicks at least `wait_days` old, which drops everything new
dfm    a chance to convert and an exponential delay, fitted together: a click that has not converted by e days counts as
       1 - p + p exp(-hazard e) (Chapelle 2014, Modeling delayed feedback in display advertising, KDD)
ipw    an exponential delay law fitted to the conversions seen, each cut at the age of its click, then labels 1 / F(age): the clicks
       that converted stand for those of the same age that will (Horvitz & Thompson 1952)

All are linear in the features and fitted by L-BFGS (Liu & Nocedal 1989).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, log_expit

from simulators.engines.ranking.arguments import Flags, Floats, between, binary, finite, one_of, same_length
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finish

Method = Literal["naive", "wait", "dfm", "ipw"]
METHODS: tuple[Method, ...] = get_args(Method)
RIDGE = 1.0  # on the weights of the chance to convert
# On the weights of the hazard. At a young click chance and hazard show only as their product; the ridge says that a new kind of click
# is as slow as the rest until its delays tell otherwise. A law from conversions alone knows less, so it is held more tightly.
DFM_RIDGE, IPW_RIDGE = 20.0, 100.0
CLIP = 0.02  # least share taken to have arrived: no conversion counts for more than 50
MAX_STEPS, MEMORY = 200, 10
TOLERANCE = 1e-7  # of the gradient a row
LEAST = 1e-9
HIGHEST_LOG = 30.0

Objective = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True)
class DelayedModel:
    """`rate` and `log_hazard` are weights on (1, (x - centre) / scale); `log_hazard` None where the method has no delay law."""

    method: Method
    centre: Floats
    scale: Floats
    rate: Floats
    log_hazard: Floats | None
    youngest_days: float  # age of the youngest click it learned from
    steps: int

    def predict(self, X: ArrayLike) -> Floats:
        """(n,) chance that a click converts, however late. ValueError for other columns than it was fitted on."""
        return np.asarray(expit(self._design(X) @ self.rate))

    def hazard(self, X: ArrayLike) -> Floats:
        """(n,) rate of the exponential delay, 1/days; NaN for naive and wait, which have none."""
        design = self._design(X)
        return np.full(len(design), np.nan) if self.log_hazard is None else np.exp(np.minimum(design @ self.log_hazard, HIGHEST_LOG))

    def _design(self, X: ArrayLike) -> Floats:
        rows = finite("X", X, ndim=2)
        if rows.shape[1] != len(self.centre):
            raise ValueError(f"X has {rows.shape[1]} columns; expected {len(self.centre)}, as fitted.")
        return _with_one((rows - self.centre) / self.scale)


def fit_delayed(
    X: ArrayLike, converted: ArrayLike, delay: ArrayLike, elapsed: ArrayLike, *, method: Method = "naive", wait_days: float = 7
) -> DelayedModel:
    """The model from N clicks.

    X (N, D) features; converted (N,) 1 where a conversion has arrived; delay (N,) days from click to conversion, read only where
    converted; elapsed (N,) days from click to now. `wait_days` counts for method "wait".

    Raises ValueError for lengths that differ, values that are not finite, conversions before the click or after now, a log without
    conversions or without non-converted clicks, and a wait that leaves none of either.
    """
    return finish(iter_delayed(X, converted, delay, elapsed, method=method, wait_days=wait_days))


def iter_delayed(
    X: ArrayLike, converted: ArrayLike, delay: ArrayLike, elapsed: ArrayLike, *, method: Method = "naive", wait_days: float = 7
) -> Generator[Step, None, DelayedModel]:
    """`fit_delayed`, a step an evaluation; the metric is the loss a click."""
    one_of("method", method, METHODS)
    between("wait_days", wait_days, 0, np.inf)
    log = _log(X, converted, delay, elapsed)
    centre, scale = _scaling(log.X)
    log = _Log(_with_one((log.X - centre) / scale), log.converted, log.delay, log.elapsed)
    _both_classes(log, "converted", "The log")
    if method == "wait":
        log = log.where(log.elapsed >= wait_days)
        _both_classes(log, "wait_days", f"A wait of {wait_days:g} days")
    rate, log_hazard, steps = yield from _FITS[method](log)
    return DelayedModel(method, centre, scale, rate, log_hazard, float(log.elapsed.min()), steps)


# --- the log ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Log:
    """`X` (N, D), the others (N,); `delay` 0 where not converted."""

    X: Floats
    converted: Floats
    delay: Floats
    elapsed: Floats

    def where(self, rows: Flags) -> _Log:
        return _Log(self.X[rows], self.converted[rows], self.delay[rows], self.elapsed[rows])


def _log(X: ArrayLike, converted: ArrayLike, delay: ArrayLike, elapsed: ArrayLike) -> _Log:
    rows, done, age = finite("X", X, ndim=2), binary("converted", converted, ndim=1), finite("elapsed", elapsed, ndim=1)
    same_length(X=rows, converted=done, delay=delay, elapsed=age)
    days = finite("delay", np.where(done == 1, np.asarray(delay, dtype=float), 0.0), ndim=1)
    if (age < 0).any():
        raise ValueError(f"elapsed holds {age.min():g}; expected days since the click, 0 or more.")
    wrong = np.flatnonzero((days < 0) | (days > age))
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"delay is {days[row]:g} days at row {row}, whose click is {age[row]:g} days old; expected 0 to that age.")
    return _Log(rows, done, days, age)


def _both_classes(log: _Log, name: str, what: str) -> None:
    positives = int(log.converted.sum())
    if not 0 < positives < len(log.converted):
        raise ValueError(
            f"{name}: {what} leaves {positives} conversions in {len(log.converted)} clicks; expected some that converted and some not."
        )


def _scaling(X: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each column; columns of two values keep their unit (Gelman 2008), constant ones too."""
    low, high = X.min(axis=0), X.max(axis=0)
    two_valued = (np.isclose(X, low) | np.isclose(X, high)).all(axis=0)
    return X.mean(axis=0), np.where(two_valued, np.where(high > low, high - low, 1.0), np.maximum(X.std(axis=0), LEAST))


def _with_one(X: Floats) -> Floats:
    return np.column_stack([np.ones(len(X)), X])


# --- the four fits ------------------------------------------------------------------------------------------------------------

Fit = Generator[Step, None, tuple[Floats, Floats | None, int]]


def _plain(log: _Log) -> Fit:
    rate, steps = yield from _logistic(log.X, log.converted)
    return rate, None, steps


def _dfm(log: _Log) -> Fit:
    width = log.X.shape[1]
    ridge = np.concatenate([_ridge(width, RIDGE), _ridge(width, DFM_RIDGE)])

    def loss(weights: Floats) -> tuple[float, Floats]:
        z, s = log.X @ weights[:width], np.minimum(log.X @ weights[width:], HIGHEST_LOG)
        p, hazard = expit(z), np.exp(s)
        silent = np.exp(-hazard * log.elapsed)  # of one that will convert: not yet
        unseen = 1 - p + p * silent
        value = log.converted * (log_expit(z) + s - hazard * log.delay) + (1 - log.converted) * np.log(np.maximum(unseen, LEAST))
        waiting = (1 - log.converted) * p / np.maximum(unseen, LEAST)
        by_z = log.converted * (1 - p) - waiting * (1 - p) * (1 - silent)
        by_s = log.converted * (1 - hazard * log.delay) - waiting * silent * hazard * log.elapsed
        return _penalised(-value.sum(), -np.concatenate([by_z @ log.X, by_s @ log.X]), weights, ridge, len(z))

    start = np.concatenate([_intercept(log.X, log.converted), _first_hazard(log)])
    weights, steps = yield from minimum(loss, start)
    return weights[:width], weights[width:], steps


def _ipw(log: _Log) -> Fit:
    log_hazard, first = yield from _cut_exponential(log.where(log.converted == 1))
    hazard = np.exp(np.minimum(log.X @ log_hazard, HIGHEST_LOG))
    arrived = np.maximum(-np.expm1(-hazard * log.elapsed), CLIP)
    rate, second = yield from _logistic(log.X, log.converted / arrived)
    return rate, log_hazard, first + second


_FITS: dict[Method, Callable[[_Log], Fit]] = {"naive": _plain, "wait": _plain, "dfm": _dfm, "ipw": _ipw}


def _logistic(X: Floats, label: Floats) -> Generator[Step, None, tuple[Floats, int]]:
    """Cross entropy; a label may exceed 1, the loss stays convex."""
    ridge = _ridge(X.shape[1], RIDGE)

    def loss(weights: Floats) -> tuple[float, Floats]:
        z = X @ weights
        return _penalised(float((-log_expit(-z) - label * z).sum()), (expit(z) - label) @ X, weights, ridge, len(z))

    return (yield from minimum(loss, _intercept(X, np.minimum(label, 1))))


def _cut_exponential(log: _Log) -> Generator[Step, None, tuple[Floats, int]]:
    """Log hazard of conversions, of which only those within the age of their click are seen."""
    ridge = _ridge(log.X.shape[1], IPW_RIDGE)

    def loss(weights: Floats) -> tuple[float, Floats]:
        s = np.minimum(log.X @ weights, HIGHEST_LOG)
        hazard = np.exp(s)
        reach = np.maximum(hazard * log.elapsed, LEAST)
        value = s - hazard * log.delay - np.log(-np.expm1(-reach))
        by_s = 1 - hazard * log.delay - reach / np.expm1(np.minimum(reach, 500.0))
        return _penalised(-value.sum(), -(by_s @ log.X), weights, ridge, len(s))

    return (yield from minimum(loss, _first_hazard(log)))


def _ridge(width: int, strength: float) -> Floats:
    """The intercept goes free."""
    return np.concatenate([[0.0], np.full(width - 1, strength)])


def _penalised(value: float, gradient: Floats, weights: Floats, ridge: Floats, rows: int) -> tuple[float, Floats]:
    return float(value + 0.5 * ridge @ weights**2) / rows, (gradient + ridge * weights) / rows


def _intercept(X: Floats, label: Floats) -> Floats:
    mean = np.clip(label.mean(), 1e-4, 0.5)
    return np.concatenate([[np.log(mean / (1 - mean))], np.zeros(X.shape[1] - 1)])


def _first_hazard(log: _Log) -> Floats:
    mean = log.delay.sum() / log.converted.sum()
    return np.concatenate([[-np.log(max(mean, LEAST))], np.zeros(log.X.shape[1] - 1)])


# --- L-BFGS -------------------------------------------------------------------------------------------------------------------


def minimum(objective: Objective, start: Floats) -> Generator[Step, None, tuple[Floats, int]]:
    """Where the objective is least, and the steps that took; yields at every evaluation. The objective returns value and gradient."""
    at, (value, gradient) = start, objective(start)
    pairs: list[tuple[Floats, Floats]] = []
    for step in range(MAX_STEPS):
        yield Step(step, MAX_STEPS, "fitting", {"loss": value})
        if np.abs(gradient).max() < TOLERANCE:
            return at, step
        direction = -_two_loops(gradient, pairs)
        length = 1.0 if pairs else min(1.0, 1 / float(np.linalg.norm(gradient)))
        slope = float(gradient @ direction)
        while True:
            there = at + length * direction
            new_value, new_gradient = objective(there)
            if new_value <= value + 1e-4 * length * slope or length < 1e-12:
                break
            yield Step(step, MAX_STEPS, "fitting", {"loss": value})
            length /= 2
        if length < 1e-12:
            return at, step
        moved, turned = there - at, new_gradient - gradient
        if moved @ turned > 1e-12 * float(turned @ turned):
            pairs = [*pairs, (moved, turned)][-MEMORY:]
        at, value, gradient = there, new_value, new_gradient
    return at, MAX_STEPS


def _two_loops(gradient: Floats, pairs: list[tuple[Floats, Floats]]) -> Floats:
    """The inverse Hessian that the pairs imply, times the gradient (Nocedal & Wright 2006, algorithm 7.4)."""
    q, kept = gradient.copy(), list[float]()
    for moved, turned in reversed(pairs):
        kept.append(float(moved @ q) / float(moved @ turned))
        q = q - kept[-1] * turned
    if pairs:
        moved, turned = pairs[-1]
        q = q * float(moved @ turned) / float(turned @ turned)
    for (moved, turned), share in zip(pairs, reversed(kept), strict=True):
        q = q + moved * (share - float(turned @ q) / float(moved @ turned))
    return q
