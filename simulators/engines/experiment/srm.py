"""Sample ratio mismatch: do the arms hold the shares they were meant to hold?

A loss of units in one arm (a crash, a redirect, a bot filter) biases every metric, so it is tested before any of them. Fabijan et
al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments". The bands are those of Statsig's documentation.

A chi-square test read every day cries wolf: each look is another chance. `sequential_srm` may be read at every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaln, xlogy

from simulators.errors import InvalidInput

Status = Literal["green", "yellow", "red"]
RED_P, RED_DEVIATION, YELLOW_P = 0.001, 0.001, 0.01


@dataclass(frozen=True)
class SRM:
    """`max_deviation` is the largest |observed share - expected share|.

    status  red: p < 0.001 and a deviation of at least 0.1 percentage points; yellow: p < 0.01; else green
    """

    chi2: float
    df: int
    p_value: float
    max_deviation: float
    status: Status


def srm_test(observed: ArrayLike, ratio: ArrayLike) -> SRM:
    """Pearson's chi-square of counts (k,) or (days, k), summed over days first, against the planned `ratio` (k,).

    Without a single unit there is nothing to see: chi2 0, p 1. Raises InvalidInput for negative counts or shares that are not positive.
    """
    counts, plan = np.asarray(observed, dtype=float), np.asarray(ratio, dtype=float)
    if counts.ndim == 2:
        counts = counts.sum(axis=0)
    _check(counts, plan)
    total, df = float(counts.sum()), len(plan) - 1
    if total == 0:
        return SRM(0.0, df, 1.0, 0.0, "green")
    shares = plan / plan.sum()
    chi2 = float(((counts - total * shares) ** 2 / (total * shares)).sum())
    p_value, deviation = float(chdtrc(df, chi2)), float(np.abs(counts / total - shares).max())
    return SRM(chi2, df, p_value, deviation, _status(p_value, deviation))


def srm_by_phase(observed: ArrayLike, ratios: ArrayLike) -> SRM:
    """The same for counts (phases, k) dealt by `ratios` (phases, k) of their own: statistics and degrees of freedom add up.

    A ramp pooled over its phases has the shares of none of them. Phases that leave an arm empty by plan have nothing to test.
    """
    counts, plans = np.asarray(observed, dtype=float), np.asarray(ratios, dtype=float)
    if counts.ndim != 2 or counts.shape != plans.shape:
        raise InvalidInput(f"Counts {counts.shape} were given with ratios {plans.shape}; expected both as (phases, arms).")
    tests = [srm_test(phase, plan) for phase, plan in zip(counts, plans, strict=True) if (plan > 0).all()]
    chi2, df = sum(test.chi2 for test in tests), sum(test.df for test in tests)
    p_value = float(chdtrc(df, chi2)) if df else 1.0
    deviation = max((test.max_deviation for test in tests), default=0.0)
    return SRM(chi2, df, p_value, deviation, _status(p_value, deviation))


def sequential_srm(counts_by_day: ArrayLike, ratio: ArrayLike, concentration: float = 1000.0) -> NDArray[np.float64]:
    """p-value of a sample ratio mismatch after each day (days,), valid at all looks together; it never rises.

    Lindon & Malek 2022, "Anytime-valid inference for multinomial count data": the inverse Bayes factor of a Dirichlet prior
    (`concentration` times the planned shares) against the plan, its smallest value so far.
    counts_by_day  (days, k) new units a day; without days there is nothing, [], and until a unit has come p is 1
    concentration  how strongly the alternative keeps to the plan: large values look for small deviations
    Raises InvalidInput as `srm_test` does.
    """
    days, plan = np.asarray(counts_by_day, dtype=float), np.asarray(ratio, dtype=float)
    if days.size == 0:
        return np.empty(0)
    if days.ndim != 2:
        raise InvalidInput(f"Counts of shape {days.shape} were given; expected one row a day and one column an arm.", field="counts_by_day")
    if not concentration > 0:
        raise InvalidInput(f"A concentration of {concentration:g} was given; it must be above 0.", field="concentration")
    for day in days:
        _check(day, plan)
    evidence = log_bayes_factor(days.cumsum(axis=0), plan / plan.sum(), concentration)
    return np.exp(-np.maximum(0.0, np.maximum.accumulate(evidence)))


def log_bayes_factor(seen: NDArray[np.float64], shares: NDArray[np.float64], concentration: float = 1000.0) -> NDArray[np.float64]:
    """Evidence (...) of counts `seen` (..., k) against `shares` (k,), which sum to 1: log Dirichlet-multinomial less log multinomial."""
    prior, total = concentration * shares, seen.sum(axis=-1)
    evidence = gammaln(concentration) - gammaln(concentration + total)
    return np.asarray(evidence + (gammaln(prior + seen) - gammaln(prior) - xlogy(seen, shares)).sum(axis=-1))


def _check(counts: NDArray[np.float64], plan: NDArray[np.float64]) -> None:
    if plan.ndim != 1 or len(plan) < 2 or counts.shape != plan.shape:
        raise InvalidInput(f"{counts.shape} counts were given with {plan.shape} shares; expected one of each for 2 or more arms.")
    if not np.isfinite(plan).all() or (plan <= 0).any():
        raise InvalidInput(f"Ratio {plan.tolist()} was given; every planned share must be above 0.", field="ratio")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InvalidInput(f"Counts {counts.tolist()} were given; expected numbers from 0 up.", field="observed")


def _status(p_value: float, deviation: float) -> Status:
    if p_value < RED_P and deviation >= RED_DEVIATION:
        return "red"
    return "yellow" if p_value < YELLOW_P else "green"
