"""When the share treated and the level of the metric move together, the pooled comparison answers another question.

Units treated on a day of high conversion are compared with units in control on a day of low conversion: Simpson's paradox (Crook,
Frasca, Kohavi & Longbotham 2009, "Seven pitfalls to avoid when running controlled experiments on the web"). Comparing within days, and
weighting the days by all of their units, removes it. The same holds for a metric whose definition changes while the ramp goes up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from scipy.special import ndtr, ndtri

from simulators.engines.experiment.stats import Comparison, Moments, compare, summary
from simulators.engines.experiment.stats.compare import Difference
from simulators.errors import InvalidInput

Arms = tuple[Moments, Moments]  # control, treatment


def pooled(strata: Sequence[Arms], *, metric: str = "y", difference: Difference = "absolute", alpha: float = 0.05) -> Comparison:
    """All units of one arm against all of the other, whatever stratum they are from."""
    if not strata:
        raise InvalidInput("No stratum was given; expected one or more pairs of control and treatment.", field="strata")
    control, treatment = (reduce(lambda a, b: a + b, arms) for arms in zip(*strata, strict=True))
    return compare(control, treatment, metric, difference=difference, alpha=alpha)


def comparable(strata: Sequence[Arms]) -> list[Arms]:
    """Those with two units or more in either arm: nothing can be compared within the others."""
    return [arms for arms in strata if min(arm.n for arm in arms) >= 2]


def stratified(strata: Sequence[Arms], *, metric: str = "y", difference: Difference = "absolute", alpha: float = 0.05) -> Comparison:
    """Post-stratified comparison (Miratrix, Sekhon & Yu 2013): arms are compared within strata, strata weigh what they have in units.

    The estimate is sum_s w_s (T_s - C_s) with w_s = n_s / n, or that over sum_s w_s C_s for a relative one, by the delta method with both
    means' noise ("relative_fixed": as if the control mean were known). Strata without two units in either arm are left out; `n` counts
    what is in. With none left, or a control mean of zero under a ratio, `error` says so.
    """
    if difference not in ("absolute", "relative", "relative_fixed"):
        raise InvalidInput(f"difference {difference!r} was given; expected absolute, relative or relative_fixed.", field="difference")
    kept = comparable(strata)
    if not kept:
        return Comparison(error="No stratum has units in both arms, so nothing can be compared within one.")
    n = np.array([[arm.n for arm in arms] for arms in kept], dtype=float)
    mean = np.array([[arm.mean[arm.index(metric)] for arm in arms] for arms in kept])
    variance = np.array([[arm.covariance()[arm.index(metric), arm.index(metric)] for arm in arms] for arms in kept]) / n
    weight = n.sum(axis=1) / n.sum()
    control, treatment = (float(x) for x in weight @ mean)
    noise_c, noise_t = (float(x) for x in weight**2 @ variance)
    units = int(n.sum())
    if difference == "absolute":
        return _tested(treatment - control, noise_c + noise_t, units, control, alpha)
    if control == 0:
        return Comparison(n=units, error="The control arm's mean is zero; a relative difference needs a control mean other than zero.")
    share = 1.0 if difference == "relative_fixed" else (treatment / control) ** 2
    return _tested(treatment / control - 1, (noise_t + share * noise_c) / control**2, units, control, alpha)


def _tested(estimate: float, variance: float, n: int, control: float, alpha: float) -> Comparison:
    if variance <= 0:
        return Comparison(n=n, error="The metric has no variance in any stratum.")
    se, reach = math.sqrt(variance), float(ndtri(1 - alpha / 2))
    ci = (estimate - reach * se, estimate + reach * se)
    p_value = float(2 * ndtr(-abs(estimate) / se))
    return Comparison(estimate, se, ci, p_value, variance=variance, n=n, control_value=control)


# --- worlds -----------------------------------------------------------------------------------------------------------------------------

VISITORS = 10_000_000  # a day
WEEKDAY, WEEKEND = (0.0202, 0.0230), (0.0100, 0.0120)  # conversion in control and in treatment
WEEK = (WEEKDAY, WEEKEND, WEEKEND, WEEKDAY, WEEKDAY, WEEKDAY, WEEKDAY)  # day 1 is a Friday
DRIFT_USERS, DRIFT_MEAN = 400_000, 5.0  # a day, actions a user; every user is seen on one day


def draw_day(day: int, share: float, rng: np.random.Generator) -> Arms:
    """Conversions of day 1, 2, ... when `share` of its visitors is treated."""
    treated = round(VISITORS * share)
    rates = WEEK[(day - 1) % len(WEEK)]
    control, treatment = (summary(n, float(rng.binomial(n, rate))) for n, rate in zip((VISITORS - treated, treated), rates, strict=True))
    return control, treatment


def true_lift(shares: Sequence[float]) -> float:
    """Relative lift over the days on which both arms have visitors, each day counting alike."""
    days = [WEEK[i % len(WEEK)] for i, share in enumerate(shares) if 0 < share < 1]
    control, treatment = (sum(rates) for rates in zip(*days, strict=True)) if days else (1.0, 1.0)
    return treatment / control - 1


def draw_version_day(share: float, added: float, rng: np.random.Generator) -> Arms:
    """A day of a metric whose definition now counts `added` more (a share), of a treatment that changes nothing."""
    treated = round(DRIFT_USERS * share)
    mean = DRIFT_MEAN * (1 + added)
    control, treatment = (_poisson_moments(n, mean, rng) for n in (DRIFT_USERS - treated, treated))
    return control, treatment


def _poisson_moments(n: int, mean: float, rng: np.random.Generator) -> Moments:
    """n users with Poisson counts: their sum is Poisson; the spread is that of a Poisson with the mean that came out."""
    total = float(rng.poisson(mean * n)) if n else 0.0
    return summary(n, total, total + total**2 / n if n else 0.0)
