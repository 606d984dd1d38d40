"""Relative effects from units of a marketplace test: requests, clusters, region-windows.

Cluster-robust variances are CR1 (Liang & Zeger 1986) with the usual factor G/(G-1) (n-1)/(n-k), as statsmodels computes them; intervals
use Student's t with G-1 degrees of freedom. Relative effects take their error by the delta method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
MIN_CLUSTERS = 4  # an arm; with fewer, a variance between clusters is a guess
TOO_FEW = "Fewer than 4 clusters an arm: no interval."


@dataclass(frozen=True)
class Effect:
    """Relative effect as a share of the control mean. `se` and `ci` None: `error` says why."""

    estimate: float
    se: float | None
    ci: tuple[float, float] | None
    error: str = ""


@dataclass(frozen=True)
class Fit:
    """Least squares: coefficients (k,), their cluster-robust covariance (k, k), number of clusters."""

    coefficients: Floats
    covariance: Floats
    clusters: int


def cluster_ols(y: ArrayLike, x: ArrayLike, clusters: ArrayLike, absorbed: int = 0) -> Fit:
    """OLS of y (n,) on x (n, k) with CR1 covariance; `absorbed` counts fixed effects already projected out of y and x.

    Raises InvalidInput for a singular x, fewer than two clusters or no degrees of freedom.
    """
    target, design = np.asarray(y, dtype=float), np.asarray(x, dtype=float)
    n, k = design.shape
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    if np.linalg.matrix_rank(design) < k:
        raise InvalidInput("The columns of the regression depend on one another: each arm needs units, each covariate a variance.")
    if len(names) < 2 or n <= k + absorbed:
        raise InvalidInput(f"{n} units in {len(names)} clusters cannot carry {k + absorbed} coefficients with an error.")
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ (design.T @ target)
    scores = np.zeros((len(names), k))
    np.add.at(scores, member, design * (target - design @ beta)[:, None])
    factor = len(names) / (len(names) - 1) * (n - 1) / (n - k - absorbed)
    return Fit(beta, factor * inverse @ (scores.T @ scores) @ inverse, len(names))


def order_effect(served_control: float, requests_control: float, served_treated: float, requests_treated: float) -> Effect:
    """Orders per request with every request taken as independent."""
    if min(requests_control, requests_treated) < 2 or served_control <= 0:
        raise InvalidInput(f"{requests_control:g} and {requests_treated:g} requests with {served_control:g} control orders give no ratio.")
    control, treated = served_control / requests_control, served_treated / requests_treated
    variances = [p * (1 - p) / (n - 1) for p, n in ((control, requests_control), (treated, requests_treated))]
    ratio = treated / control
    return interval(ratio - 1, math.sqrt(variances[1] + ratio**2 * variances[0]) / control, math.inf)


def unit_effect(
    y: ArrayLike, treated: ArrayLike, clusters: ArrayLike, covariates: ArrayLike | None = None, weights: ArrayLike | None = None
) -> Effect:
    """Mean of treated over control units (n,), less one, robust to correlation within `clusters` (n,).

    covariates  (n, c), for which the means are adjusted by regression
    weights     (n,), so that orders per request of units weighted by requests is the ratio of the arms' totals
    """
    target, arm, root = _arrays(y, treated, weights)
    columns = [np.ones(len(arm)), arm]
    if covariates is not None:
        history = np.asarray(covariates, dtype=float).reshape(len(arm), -1)
        columns.extend((history - np.average(history, axis=0, weights=root**2)).T)
    design = np.column_stack(columns)
    if smaller_arm(arm, clusters) < MIN_CLUSTERS:
        beta = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0]
        return Effect(ratio_of(beta[1], beta[0]), None, None, TOO_FEW)
    fit = cluster_ols(target * root, design * root[:, None], clusters)
    base, gain = float(fit.coefficients[0]), float(fit.coefficients[1])
    ratio = ratio_of(gain, base)
    gradient = np.array([-ratio, 1.0]) / base
    return interval(ratio, math.sqrt(gradient @ fit.covariance[:2, :2] @ gradient), fit.clusters - len(columns) + 1)


def fixed_effects(y: ArrayLike, treated: ArrayLike, cells: ArrayLike, clusters: ArrayLike, weights: ArrayLike | None = None) -> Effect:
    """As `unit_effect`, within `cells` (n,), here region x time of day: every cell has a mean of its own.

    Cells seen in one arm only say nothing. Raises InvalidInput when that is all of them.
    """
    target, arm, root = _arrays(y, treated, weights)
    names, cell = np.unique(np.asarray(cells), return_inverse=True)
    mass = np.bincount(cell, root**2)
    within_y, within_arm = (v - (np.bincount(cell, root**2 * v) / mass)[cell] for v in (target, arm))
    if not np.any(np.abs(within_arm) > 1e-12):
        raise InvalidInput("No region has both arms at one time of day: fixed effects need 2 days or more.")
    mean, share = (float(np.average(v, weights=root**2)) for v in (target, arm))
    if smaller_arm(arm, clusters) < MIN_CLUSTERS:
        gain = float(root**2 * within_arm @ within_y / (root**2 * within_arm @ within_arm))
        return Effect(ratio_of(gain, mean - gain * share), None, None, TOO_FEW)
    fit = cluster_ols(within_y * root, (within_arm * root)[:, None], clusters, absorbed=len(names))
    gain = float(fit.coefficients[0])
    base = mean - gain * share
    return interval(ratio_of(gain, base), math.sqrt(fit.covariance[0, 0]) * abs(mean) / base**2, fit.clusters - 1)


def design_effect(clustered: Effect, independent: Effect) -> float | None:
    """Variance of an estimate over the variance it would have with independent requests (Kish): 1 + (m - 1) ICC for clusters of m."""
    return (clustered.se / independent.se) ** 2 if clustered.se is not None and independent.se else None


def _arrays(y: ArrayLike, treated: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    """Outcome, arm and square root of the weight of each unit, the arms checked."""
    target, arm = np.asarray(y, dtype=float), np.asarray(treated, dtype=float)
    root = np.ones(len(arm)) if weights is None else np.sqrt(np.asarray(weights, dtype=float))
    if len(arm) == 0 or arm.min() == arm.max():
        raise InvalidInput("Every unit is in the same arm: nothing to compare.")
    return target, arm, root


def smaller_arm(treated: ArrayLike, clusters: ArrayLike) -> int:
    """Distinct clusters in the arm that has fewer."""
    arm, names = np.asarray(treated) > 0.5, np.asarray(clusters)
    return min(len(np.unique(names[arm])), len(np.unique(names[~arm])))


def ratio_of(gain: float, base: float) -> float:
    if base == 0:
        raise InvalidInput("The control mean is zero: a relative effect is undefined.")
    return float(gain) / float(base)


def interval(estimate: float, se: float, df: float, level: float = 0.95) -> Effect:
    z = float(stdtrit(min(df, 1e9), 0.5 + level / 2))
    return Effect(estimate, se, (estimate - z * se, estimate + z * se))
