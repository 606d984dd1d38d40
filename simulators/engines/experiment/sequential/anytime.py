"""Inference that holds at every look at once, however many there will be.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", arXiv 2103.06476:
an interval around the running mean that covers the truth at all times together, tightest near the N* units it is tuned for.
Johari, Koomen, Pekelis & Walsh, "Always valid inference", arXiv 1512.04922: the mixture sequential probability ratio test (mSPRT).

With x = n rho^2 and L = -ln(alpha) both boundaries depend on the data only through z = estimate / standard error, so a rule is a bound on
|z| that grows with n.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.stats.compare import Alternative, Comparison
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
ONE_SIDED_CAP = 0.4999  # rho is taken at 2 alpha, which has to stay below 1
_HALVINGS = 64  # of the interval the p-value is sought in: down to the last bit
_LARGEST_LOG = 745.0  # exp(-745) is the smallest number above 0


def always_valid(
    comparison: Comparison, tuning: float = 5000, alternative: Alternative = "two-sided", alpha: float = 0.05
) -> tuple[tuple[float, float] | None, float | None]:
    """Interval and p-value of `comparison` that stay valid when the test is read after every unit.

    comparison   what `stats.compare` found; estimate, variance and n (both arms) are used. One with an `error` gives (None, None)
    tuning       N*, the units of both arms at which the interval is tightest relative to a fixed-size one
    alternative  of treatment minus control; a one-sided interval is infinite on its other side
    alpha        1 - level; one-sided below 0.5

    The p-value is the smallest alpha whose interval leaves 0 out, found by bisection, at most 1 (one-sided 0.4999).
    Raises InvalidInput for arguments out of range.
    """
    _check(tuning, alternative, alpha)
    estimate, variance = comparison.estimate, comparison.variance
    if comparison.error or estimate is None or variance is None:
        return None, None
    sided = alternative != "two-sided"
    half = math.sqrt(variance) * float(_bound(comparison.n, -math.log(alpha), tuning, sided))
    low = -math.inf if alternative == "less" else estimate - half
    high = math.inf if alternative == "greater" else estimate + half
    z = {"two-sided": abs(estimate), "greater": estimate, "less": -estimate}[alternative] / math.sqrt(variance)
    return (low, high), float(always_valid_p(z, comparison.n, tuning, sided))


def always_valid_bound(n: Any, tuning: float = 5000, alpha: float = 0.05, one_sided: bool = False) -> Floats:
    """What |z| (one-sided: z) must exceed at n units of both arms; shape of `n`."""
    _check(tuning, "greater" if one_sided else "two-sided", alpha)
    return _bound(n, -math.log(alpha), tuning, one_sided)


def always_valid_p(z: Any, n: Any, tuning: float = 5000, one_sided: bool = False) -> Floats:
    """p-values for z (...) at n (...) units of both arms; two-sided z is taken without its sign."""
    z, n = np.broadcast_arrays(np.asarray(z, dtype=float), np.asarray(n, dtype=float))
    z = z if one_sided else np.abs(z)
    weakest = _weakest(n, tuning) if one_sided else np.full(z.shape, 1e-12)  # at L = 0 rho vanishes and the bound is 0 / 0
    low, high = weakest, np.full(z.shape, _LARGEST_LOG)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = z >= _bound(n, middle, tuning, one_sided)
        low, high = np.where(reached, middle, low), np.where(reached, high, middle)
    cap = ONE_SIDED_CAP if one_sided else 1.0
    return np.where(z < _bound(n, weakest, tuning, one_sided), cap, np.minimum(np.exp(-low), cap))


def _weakest(n: Floats, tuning: float) -> Floats:
    """L (...) at which a one-sided bound is lowest: towards alpha = 1/2 rho vanishes and the bound rises again without limit."""
    levels = -math.log(ONE_SIDED_CAP) + np.geomspace(1e-4, 50, 400)
    return np.asarray(levels[np.argmin(_bound(n[..., None], levels, tuning, True), axis=-1)])


def _bound(n: Any, log_level: Any, tuning: float, one_sided: bool) -> Floats:
    """Half-width over standard error at L = -ln(alpha): sqrt(2 (x + 1) ln(sqrt(x + 1) / alpha) / x)."""
    log_level = np.asarray(log_level, dtype=float)
    used = log_level - math.log(2) if one_sided else log_level  # rho of a one-sided test is that of 2 alpha
    x = np.asarray(n, dtype=float) * (2 * used + np.log1p(2 * used)) / tuning
    # One-sided ln(1 + sqrt(x + 1) / (2 alpha)), written so that a tiny alpha does not overflow.
    root = 0.5 * np.log1p(x) + used
    logarithm = np.logaddexp(0.0, root) if one_sided else root
    return np.asarray(np.sqrt(2 * (x + 1) * logarithm / x))


def _check(tuning: float, alternative: str, alpha: float) -> None:
    if alternative not in ("two-sided", "greater", "less"):
        raise InvalidInput(f"alternative {alternative!r} was given; expected two-sided, greater or less.", field="alternative")
    top = 1.0 if alternative == "two-sided" else 0.5
    if not 0 < alpha < top:
        raise InvalidInput(f"alpha {alpha} was given; expected a number above 0 and below {top:g} ({alternative}).", field="alpha")
    if not 0 < tuning < math.inf:
        raise InvalidInput(f"tuning {tuning} was given; expected the number of units above 0 at which to be tightest.", field="tuning")


def msprt(estimate: float, variance: float, tau: float) -> float:
    """Likelihood ratio of "the effect was drawn from N(0, tau^2)" to "no effect"; reject once it exceeds 1 / alpha, at any look.

    variance   of the estimate (its standard error squared); tau is in the estimate's unit. Infinite where it exceeds a float.
    """
    _check_mixture(variance, tau)
    log_ratio = 0.5 * (math.log(variance / (variance + tau**2)) + estimate**2 / variance * tau**2 / (variance + tau**2))
    return math.exp(log_ratio) if log_ratio < 709 else math.inf


def msprt_bound(variance: Any, tau: float, alpha: float = 0.05) -> Floats:
    """What |z| must exceed for the ratio to exceed 1 / alpha, at estimates with this variance (...)."""
    variance = np.asarray(variance, dtype=float)
    _check_mixture(float(variance.min()), tau)
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha {alpha} was given; expected a number above 0 and below 1.", field="alpha")
    mixed = variance + tau**2
    return np.asarray(np.sqrt(mixed / tau**2 * (np.log(mixed / variance) - 2 * math.log(alpha))))


def _check_mixture(variance: float, tau: float) -> None:
    if not 0 < tau < math.inf:
        raise InvalidInput(f"tau must exceed 0; {tau} was given.", field="tau")
    if not 0 < variance < math.inf:
        raise InvalidInput(f"The variance of the estimate must exceed 0; {variance} was given.", field="variance")
