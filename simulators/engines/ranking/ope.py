"""What a new policy would earn, judged by the log of an old one.

The weight of a row is the target policy's probability of the logged action over the old policy's. Importance weighting (IPS) is unbiased
where the old policy could have done everything the target does; clipping and self-normalising trade bias for variance; the direct method
trusts a model of the reward; the doubly robust estimate corrects that model by the weighted residuals.
Sources: Dudik, Langford & Li 2011 (DM, IPS, DR); Swaminathan & Joachims 2015 (SNIPS); Ionides 2008 (clipping); Kong 1992 (effective
sample size).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.ranking.arguments import Floats, finite, one_of, probabilities, same_length
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import finish

Method = Literal["ips", "clipped", "snips", "dm", "dr", "dr_clipped"]
METHODS = ("ips", "clipped", "snips", "dm", "dr", "dr_clipped")
Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """Reward an action expected under the target policy, its standard error, and a 95 % interval.

    NaN where undefined: `value` without rows of weight (snips), `se`, `lo` and `hi` below two rows.
    """

    value: float
    se: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Diagnosis:
    """Whether the weights can carry an estimate.

    mean_weight      1 in expectation where the log supports the target; far from it, no estimate is usable
    ess_fraction     effective sample size over rows, (sum w)^2 / (n sum w^2); NaN where all weights are 0
    max_weight       the largest weight
    zero_propensity  rows whose propensity is 0; their weight is set to 0
    """

    mean_weight: float
    ess_fraction: float
    max_weight: float
    zero_propensity: int


def estimate(
    reward: ArrayLike,
    propensity: ArrayLike,
    target: ArrayLike,
    *,
    method: Method = "ips",
    q_logged: ArrayLike | None = None,
    q_target: ArrayLike | None = None,
    clip: float = 10.0,
    bootstrap: int = 0,
    seed: int = 0,
) -> Estimate:
    """All arrays (N,), a row a logged action.

    reward      what it brought
    propensity  the logging policy's probability of it; target, the target policy's
    q_logged    modelled reward of the logged action (dr, dr_clipped)
    q_target    modelled reward, averaged over the target policy (dm, dr, dr_clipped)
    clip        largest weight (clipped, dr_clipped)
    bootstrap   resamples of the rows for se and interval; 0 takes the normal approximation

    Raises ValueError for arrays of different length or none, values that are not finite, probabilities outside [0, 1], a missing q, a clip
    that is not above 0.
    """
    return finish(
        iter_estimate(
            reward,
            propensity,
            target,
            method=method,
            q_logged=q_logged,
            q_target=q_target,
            clip=clip,
            bootstrap=bootstrap,
            seed=seed,
        )
    )


def iter_estimate(
    reward: ArrayLike,
    propensity: ArrayLike,
    target: ArrayLike,
    *,
    method: Method = "ips",
    q_logged: ArrayLike | None = None,
    q_target: ArrayLike | None = None,
    clip: float = 10.0,
    bootstrap: int = 0,
    seed: int = 0,
) -> Generator[Step, None, Estimate]:
    """`estimate`, with a step every now and then while it resamples."""
    one_of("method", method, METHODS)
    if not clip > 0:
        raise ValueError(f"clip is {clip}; expected a number above 0.")
    if bootstrap < 0:
        raise ValueError(f"bootstrap is {bootstrap}; expected 0 or more resamples.")
    seen = finite("reward", reward, ndim=1)
    weight = weights(propensity, target)
    rows = same_length(reward=seen, propensity=weight)
    if rows == 0:
        raise ValueError("reward has no rows; expected one or more.")
    if method in ("clipped", "dr_clipped"):
        weight = np.minimum(weight, clip)
    top, bottom = _terms(method, seen, weight, _modelled(method, rows, q_logged=q_logged, q_target=q_target))
    value = _ratio(top.sum(), bottom.sum())
    if bootstrap == 0:
        return _normal(value, top - value * bottom, float(bottom.mean()))
    values = yield from _resampled(top, bottom, bootstrap, seed)
    lo, hi = np.quantile(values, [0.025, 0.975])
    return Estimate(value, float(values.std(ddof=1)) if bootstrap > 1 else float("nan"), float(lo), float(hi))


def weights(propensity: ArrayLike, target: ArrayLike) -> Floats:
    """target / propensity, 0 where the propensity is 0; (N,) each."""
    logged, wanted = probabilities("propensity", propensity, ndim=1), probabilities("target", target, ndim=1)
    same_length(propensity=logged, target=wanted)
    return np.divide(wanted, logged, out=np.zeros(len(logged)), where=logged > 0)


def diagnose(propensity: ArrayLike, target: ArrayLike) -> Diagnosis:
    """What the weights of a log (N,) look like. Raises ValueError as `estimate` does."""
    weight = weights(propensity, target)
    if len(weight) == 0:
        raise ValueError("propensity has no rows; expected one or more.")
    total, squares = float(weight.sum()), float((weight**2).sum())
    zero = int((np.asarray(propensity) == 0).sum())
    return Diagnosis(total / len(weight), _ratio(total**2, len(weight) * squares), float(weight.max()), zero)


# --- terms: every estimate is the ratio of two means over rows ------------------------------------------------------------------------


def _terms(method: Method, reward: Floats, weight: Floats, modelled: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """Numerator and denominator of each row; the denominator is 1 but for the self-normalised estimate."""
    ones, (logged, target) = np.ones(len(reward)), modelled
    if method == "dm":
        return target, ones
    if method in ("dr", "dr_clipped"):
        return target + weight * (reward - logged), ones
    return weight * reward, weight if method == "snips" else ones


def _modelled(method: Method, rows: int, **given: ArrayLike | None) -> tuple[Floats, Floats]:
    """(q_logged, q_target); zeros where the method does not ask for it."""
    needed = {"dm": ("q_target",), "dr": ("q_logged", "q_target"), "dr_clipped": ("q_logged", "q_target")}.get(method, ())
    made = {}
    for name, values in given.items():
        made[name] = np.zeros(rows)
        if name in needed:
            if values is None:
                raise ValueError(f"{name} is missing; method {method!r} needs it.")
            made[name] = finite(name, values, ndim=1)
            same_length(reward=np.empty(rows), **{name: made[name]})
    return made["q_logged"], made["q_target"]


def _normal(value: float, residual: Floats, denominator: float) -> Estimate:
    """Delta method; for a plain mean the residuals are the rows' distances from it."""
    rows = len(residual)
    if rows < 2 or not denominator:
        return Estimate(value, float("nan"), float("nan"), float("nan"))
    se = float(np.sqrt((residual**2).sum() / (rows - 1) / rows)) / denominator
    return Estimate(value, se, value - Z_95 * se, value + Z_95 * se)


def _resampled(top: Floats, bottom: Floats, bootstrap: int, seed: int) -> Generator[Step, None, Floats]:
    rng, pace, rows = np.random.default_rng(seed), Pace(), len(top)
    values = np.empty(bootstrap)
    for done in range(bootstrap):
        picked = rng.integers(0, rows, rows)
        values[done] = _ratio(top[picked].sum(), bottom[picked].sum())
        if pace.due():
            yield Step(done + 1, bootstrap, "resampling the log")
    return values


def _ratio(top: float, bottom: float) -> float:
    return float(top / bottom) if bottom else float("nan")
