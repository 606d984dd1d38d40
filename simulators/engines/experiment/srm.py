"""Sample ratio mismatch: do the arms hold the shares they were meant to hold?

A loss of units in one arm (a crash, a redirect, a bot filter) biases every metric, so it is tested before any of them. Fabijan et
al. (2019), "Diagnosing sample ratio mismatch in online controlled experiments". The bands are those of Statsig's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc

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
    if plan.ndim != 1 or len(plan) < 2 or counts.shape != plan.shape:
        raise InvalidInput(f"{counts.shape} counts were given with {plan.shape} shares; expected one of each for 2 or more arms.")
    if not np.isfinite(plan).all() or (plan <= 0).any():
        raise InvalidInput(f"Ratio {plan.tolist()} was given; every planned share must be above 0.", field="ratio")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise InvalidInput(f"Counts {counts.tolist()} were given; expected numbers from 0 up.", field="observed")
    total, df = float(counts.sum()), len(plan) - 1
    if total == 0:
        return SRM(0.0, df, 1.0, 0.0, "green")
    shares = plan / plan.sum()
    chi2 = float(((counts - total * shares) ** 2 / (total * shares)).sum())
    p_value, deviation = float(chdtrc(df, chi2)), float(np.abs(counts / total - shares).max())
    return SRM(chi2, df, p_value, deviation, _status(p_value, deviation))


def _status(p_value: float, deviation: float) -> Status:
    if p_value < RED_P and deviation >= RED_DEVIATION:
        return "red"
    return "yellow" if p_value < YELLOW_P else "green"
