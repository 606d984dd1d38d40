"""How many units a difference needs, and what a given number of units can see: the normal approximation, two-sided.

`mde` and `variance` share a scale: for a relative lift of 2 % on a mean of 0.05 pass mde = 0.001. The variance is that of one unit's
metric (after CUPED, if the analysis will use it) and is taken to be the same in every arm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from scipy.special import ndtr, ndtri

from simulators.errors import InvalidInput

Comparisons = Literal["control_vs_all", "all_vs_all"]


def sample_size(
    mde: float,
    variance: float,
    alpha: float = 0.05,
    power: float = 0.8,
    allocation: Sequence[float] = (0.5, 0.5),
    comparisons: Comparisons = "control_vs_all",
) -> float:
    """Units over all arms so that each comparison finds a true difference of `mde` with this power.

    allocation   shares of the arms, control first; they are scaled to sum to 1
    comparisons  which pairs must reach it; the worst pair decides
    alpha        of one comparison: for a family of m pass alpha / m
    """
    _check(alpha=alpha, power=power, variance=variance)
    if not 0 < abs(mde) < math.inf:
        raise InvalidInput(f"mde {mde} was given; expected a difference other than zero.", field="mde")
    if len(allocation) < 2 or not all(0 < share < math.inf for share in allocation):
        raise InvalidInput(f"Allocation {tuple(allocation)} was given; expected two or more shares above 0.", field="allocation")
    if comparisons not in ("control_vs_all", "all_vs_all"):
        raise InvalidInput(f"comparisons {comparisons!r} was given; expected control_vs_all or all_vs_all.", field="comparisons")
    shares = [share / sum(allocation) for share in allocation]
    pairs = combinations(shares, 2) if comparisons == "all_vs_all" else ((shares[0], share) for share in shares[1:])
    worst = max(1 / a + 1 / b for a, b in pairs)
    return _reach(alpha, power) ** 2 * variance * worst / mde**2


def power(mde: float, variance: float, n1: float, n2: float, alpha: float = 0.05) -> float:
    """Probability of rejecting "no difference" when the difference is `mde`; both tails count."""
    _check(alpha=alpha, variance=variance, n1=n1, n2=n2)
    shift, critical = abs(mde) / math.sqrt(variance * (1 / n1 + 1 / n2)), float(ndtri(1 - alpha / 2))
    return float(ndtr(shift - critical) + ndtr(-shift - critical))


def mde(variance: float, n1: float, n2: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Smallest true difference that is found with this power (the far tail, below 1e-4 for any useful power, is left out)."""
    _check(alpha=alpha, power=power, variance=variance, n1=n1, n2=n2)
    return _reach(alpha, power) * math.sqrt(variance * (1 / n1 + 1 / n2))


def _reach(alpha: float, power: float) -> float:
    """Standard errors between no difference and the one that is found with this power."""
    reach = float(ndtri(1 - alpha / 2) + ndtri(power))
    if reach <= 0:
        raise InvalidInput(f"power {power} was given; it must exceed alpha / 2 = {alpha / 2:g}, what chance alone gives.", field="power")
    return reach


def _check(**values: float) -> None:
    for name, value in values.items():
        top = 1.0 if name in ("alpha", "power") else math.inf
        if not 0 < value < top:
            raise InvalidInput(f"{name} {value} was given; expected a number above 0{' and below 1' if top == 1 else ''}.", field=name)
