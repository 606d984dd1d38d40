"""A metric as a linear form of an arm's columns, and CUPED on such forms.

A ratio of means R = mean(m) / mean(d) moves, for small changes of the means, like the plain mean of (m - R d) / mean(d): the delta
method. Written as weights on the columns, means and ratios are treated alike, and so are their covariates.

CUPED: Deng, Xu, Kohavi & Walker (2013), "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data".
Delta method for ratios: Deng, Knoblich & Lu (2018), "Applying the delta method in metric analytics".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulators.engines.experiment.stats.kernel import Floats
from simulators.engines.experiment.stats.moments import Moments


class Undefined(Exception):
    """The data allow no answer; the message is the sentence that says why."""


@dataclass(frozen=True)
class Form:
    value: float  # the mean or the ratio of means
    weights: Floats  # (k,): the metric of one unit is weights @ columns, up to a constant


@dataclass(frozen=True)
class Adjusted:
    """One arm after the covariates were taken out: per-unit variances, and the arm's values."""

    n: int
    value: float  # unadjusted
    covariate_values: Floats  # (p,)
    variance: float  # of the adjusted metric
    raw_variance: float
    covariance: float  # between the adjusted and the unadjusted metric


def linear_form(arm: Moments, label: str, numerator: str, denominator: str | None = None) -> Form:
    """Raises Undefined for a denominator whose mean is zero."""
    weights = np.zeros(len(arm.names))
    top = arm.index(numerator)
    if denominator is None:
        weights[top] = 1.0
        return Form(float(arm.mean[top]), weights)
    bottom = arm.index(denominator)
    scale = float(arm.mean[bottom])
    if scale == 0:
        raise Undefined(f"Arm {label}: column {denominator} has mean 0; a ratio needs a denominator other than zero.")
    ratio = float(arm.mean[top]) / scale
    weights[top] += 1 / scale
    weights[bottom] -= ratio / scale
    return Form(ratio, weights)


def pooled_theta(arms: Sequence[Moments], metrics: Sequence[Form], covariates: Sequence[Sequence[Form]]) -> Floats:
    """(p,) coefficients that minimise the summed within-arm variance: (sum S_xx)^+ sum S_xy. A constant covariate gets 0."""
    s_xx: Floats = sum(_stack(xs) @ arm.covariance() @ _stack(xs).T for arm, xs in zip(arms, covariates, strict=True))  # type: ignore[assignment]
    s_xy: Floats = sum(_stack(xs) @ arm.covariance() @ y.weights for arm, xs, y in zip(arms, covariates, metrics, strict=True))  # type: ignore[assignment]
    spread = np.sqrt(np.maximum(np.diag(s_xx), 0.0))
    unit = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)  # scaled first: columns in cents and in years mix
    theta: Floats = unit * (np.linalg.pinv(s_xx * np.outer(unit, unit), rcond=1e-12, hermitian=True) @ (s_xy * unit))
    return theta


def adjusted_arm(arm: Moments, metric: Form, covariates: Sequence[Form], theta: Floats) -> Adjusted:
    sigma = arm.covariance()
    weights = metric.weights - theta @ _stack(covariates) if len(covariates) else metric.weights
    return Adjusted(
        n=arm.n,
        value=metric.value,
        covariate_values=np.array([form.value for form in covariates]),
        variance=float(weights @ sigma @ weights),
        raw_variance=float(metric.weights @ sigma @ metric.weights),
        covariance=float(weights @ sigma @ metric.weights),
    )


def _stack(forms: Sequence[Form]) -> Floats:
    return np.stack([form.weights for form in forms])
