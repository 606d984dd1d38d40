"""Compares two arms: difference or relative lift, with interval and p-value.

Welch (1947), "The generalization of Student's problem when several different population variances are involved", with
Satterthwaite's degrees of freedom. The relative lift takes its variance by the delta method, the large-sample form of Fieller (1954).
Non-inferiority and equivalence: Schuirmann (1987), two one-sided tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from simulators.engines.experiment.stats.kernel import Floats
from simulators.engines.experiment.stats.linear import Adjusted, Form, Undefined, adjusted_arm, linear_form, pooled_theta
from simulators.engines.experiment.stats.moments import Moments
from simulators.errors import InvalidInput

Difference = Literal["absolute", "relative", "relative_fixed"]
Alternative = Literal["two-sided", "greater", "less"]
Method = Literal["t", "z", "chi2"]
_ROUNDING = 1e-13  # a variance below this share of the unadjusted one is what rounding leaves of zero


@dataclass(frozen=True)
class Comparison:
    """Treatment against control. Where the data allow no answer `error` is a sentence and every number but `n` is None.

    estimate            difference, or relative lift as a share (0.02 = +2 %)
    se, ci, p_value     of the estimate; a one-sided interval is open (infinite) on the other side
    df                  Welch-Satterthwaite, from the variances of the absolute difference; None for z and chi2
    variance            se squared: the variance of the estimate
    theta               CUPED coefficient; a tuple with several covariates, 0.0 without any
    variance_reduction  share of the variance of the absolute difference that the covariates removed
    n                   units of both arms
    unit_variance       (control, treatment): variance of one unit's metric after adjustment, what `power` wants
    control_value       mean or ratio of the control arm, unadjusted
    """

    estimate: float | None = None
    se: float | None = None
    ci: tuple[float, float] | None = None
    p_value: float | None = None
    df: float | None = None
    variance: float | None = None
    theta: float | tuple[float, ...] = 0.0
    variance_reduction: float | None = None
    n: int = 0
    error: str = ""
    unit_variance: tuple[float, float] | None = None
    control_value: float | None = None


def compare(
    control: Moments,
    treatment: Moments,
    metric: str = "y",
    *,
    denominator: str | None = None,
    covariates: Sequence[str] = (),
    denominator_covariate: str | None = None,
    difference: Difference = "absolute",
    alternative: Alternative = "two-sided",
    method: Method = "t",
    alpha: float = 0.05,
    margin: float | None = None,
    theta: float | Sequence[float] | None = None,
) -> Comparison:
    """The effect of the treatment on the mean of `metric`, or on the ratio of means `metric` / `denominator`.

    covariates             columns known before exposure (CUPED); with `denominator_covariate` the one covariate is a ratio as well
    difference             "relative": divided by the unadjusted control mean, whose own noise is counted; "relative_fixed": not counted
    alternative            of treatment minus control
    method                 "t": Welch; "z": the same variances, normal; "chi2": Pearson's p-value for two proportions, interval as z
    alpha                  1 - level of the interval; a one-sided interval spends all of it on its one side
    margin                 on the scale of `difference`, positive: "greater" tests estimate > -margin, "less" estimate < margin,
                           "two-sided" that it lies within both (equivalence)
    theta                  coefficient(s) fixed beforehand instead of estimated

    Raises InvalidInput for arguments that contradict each other; data without an answer come back with `error`.
    """
    covariates = (covariates,) if isinstance(covariates, str) else tuple(covariates)
    _check_arguments(control, treatment, covariates, denominator_covariate, difference, alternative, method, alpha, margin)
    if method == "chi2" and (
        covariates or denominator or margin is not None or not all(arm.is_binary(metric) for arm in (control, treatment))
    ):
        raise InvalidInput(
            "The chi-square test compares two plain proportions: no covariate, denominator or margin, and a column of 0 and 1."
        )
    try:
        arms, coefficients = _arms(control, treatment, metric, denominator, covariates, denominator_covariate, theta)
        effect = _effect(arms, coefficients, difference)
    except Undefined as reason:
        return Comparison(n=control.n + treatment.n, error=str(reason))
    return _tested(effect, arms, coefficients, alternative, method, alpha, margin)


# --- estimate ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Effect:
    estimate: float
    variance: float
    df: float
    variance_reduction: float


def _arms(
    control: Moments,
    treatment: Moments,
    metric: str,
    denominator: str | None,
    covariates: tuple[str, ...],
    denominator_covariate: str | None,
    theta: float | Sequence[float] | None,
) -> tuple[tuple[Adjusted, Adjusted], Floats]:
    pair, labels = (control, treatment), ("control", "treatment")
    for arm, label in zip(pair, labels, strict=True):
        if arm.n < 2:
            raise Undefined(f"Arm {label} has {arm.n} unit{'s' * (arm.n != 1)}; a variance needs at least 2.")
    metrics = [linear_form(arm, label, metric, denominator) for arm, label in zip(pair, labels, strict=True)]
    xs = [[linear_form(arm, label, name, denominator_covariate) for name in covariates] for arm, label in zip(pair, labels, strict=True)]
    coefficients = _theta(pair, metrics, xs, theta)
    control_arm, treatment_arm = (adjusted_arm(arm, y, x, coefficients) for arm, y, x in zip(pair, metrics, xs, strict=True))
    for made, label in zip((control_arm, treatment_arm), labels, strict=True):
        _refuse_no_variance(made, label, metric)
    return (control_arm, treatment_arm), coefficients


def _theta(pair: tuple[Moments, Moments], metrics: list[Form], xs: list[list[Form]], theta: float | Sequence[float] | None) -> Floats:
    if theta is None:
        return pooled_theta(pair, metrics, xs) if xs[0] else np.zeros(0)
    given = np.atleast_1d(np.asarray(theta, dtype=float))
    if given.shape != (len(xs[0]),) or not np.isfinite(given).all():
        raise InvalidInput(f"theta {theta} was given for {len(xs[0])} covariate(s); expected one finite number for each.", field="theta")
    return given


def _refuse_no_variance(arm: Adjusted, label: str, metric: str) -> None:
    if not math.isfinite(arm.variance) or arm.raw_variance < 0:
        raise Undefined(f"Arm {label}: the variance of {metric} is negative or not a number; is the sum of squares smaller than sum²/n?")
    if arm.raw_variance == 0:
        raise Undefined(f"Arm {label}: {metric} has no variance, every unit reads {arm.value:g}.")
    if arm.variance <= _ROUNDING * arm.raw_variance:
        raise Undefined(f"Arm {label}: the covariates explain {metric} completely; is one of them the metric itself?")


def _effect(arms: tuple[Adjusted, Adjusted], theta: Floats, difference: Difference) -> _Effect:
    a, b = arms
    gap = b.value - a.value - float(theta @ (b.covariate_values - a.covariate_values))
    share_a, share_b = a.variance / a.n, b.variance / b.n
    absolute = share_a + share_b
    df = absolute**2 / (share_a**2 / (a.n - 1) + share_b**2 / (b.n - 1))
    removed = 1 - absolute / (a.raw_variance / a.n + b.raw_variance / b.n) if len(theta) else 0.0
    if difference == "absolute":
        return _Effect(gap, absolute, df, removed)
    mu = a.value
    if mu == 0:
        raise Undefined("The control arm's mean is zero; a relative difference needs a control mean other than zero.")
    if difference == "relative_fixed":
        return _Effect(gap / mu, absolute / mu**2, df, removed)
    control_part = a.variance / mu**2 + 2 * gap * a.covariance / mu**3 + gap**2 * a.raw_variance / mu**4
    return _Effect(gap / mu, share_b / mu**2 + control_part / a.n, df, removed)


# --- test and interval -----------------------------------------------------------------------------------------------------


def _tested(
    effect: _Effect,
    arms: tuple[Adjusted, Adjusted],
    theta: Floats,
    alternative: Alternative,
    method: Method,
    alpha: float,
    margin: float | None,
) -> Comparison:
    se = math.sqrt(effect.variance)
    df = effect.df if method == "t" else None
    critical = _quantile(1 - alpha / 2 if alternative == "two-sided" else 1 - alpha, df)
    low = -math.inf if alternative == "less" else effect.estimate - critical * se
    high = math.inf if alternative == "greater" else effect.estimate + critical * se
    p_value = _pearson_p(arms, alternative) if method == "chi2" else _p_value(effect.estimate, se, df, alternative, margin)
    return Comparison(
        n=arms[0].n + arms[1].n,
        estimate=effect.estimate,
        se=se,
        ci=(low, high),
        p_value=p_value,
        df=df,
        variance=effect.variance,
        theta=float(theta[0]) if len(theta) == 1 else tuple(float(t) for t in theta) or 0.0,
        variance_reduction=effect.variance_reduction,
        unit_variance=(arms[0].variance, arms[1].variance),
        control_value=arms[0].value,
    )


def _p_value(estimate: float, se: float, df: float | None, alternative: Alternative, margin: float | None) -> float:
    if margin is None:
        return _tail(estimate / se, df, alternative)
    above, below = _tail((estimate + margin) / se, df, "greater"), _tail((estimate - margin) / se, df, "less")
    return {"greater": above, "less": below, "two-sided": max(above, below)}[alternative]


def _pearson_p(arms: tuple[Adjusted, Adjusted], alternative: Alternative) -> float:
    """The chi-square of a 2 x 2 table is the square of the z with the pooled proportion."""
    a, b = arms
    pooled = (a.n * a.value + b.n * b.value) / (a.n + b.n)
    return _tail((b.value - a.value) / math.sqrt(pooled * (1 - pooled) * (1 / a.n + 1 / b.n)), None, alternative)


def _tail(statistic: float, df: float | None, alternative: Alternative) -> float:
    if alternative == "two-sided":
        return min(1.0, 2 * _below(-abs(statistic), df))
    return _below(-statistic if alternative == "greater" else statistic, df)


def _below(statistic: float, df: float | None) -> float:
    return float(ndtr(statistic) if df is None else stdtr(df, statistic))


def _quantile(probability: float, df: float | None) -> float:
    return float(ndtri(probability) if df is None else stdtrit(df, probability))


def _check_arguments(
    control: Moments,
    treatment: Moments,
    covariates: tuple[str, ...],
    denominator_covariate: str | None,
    difference: str,
    alternative: str,
    method: str,
    alpha: float,
    margin: float | None,
) -> None:
    choices = {
        "difference": (difference, ("absolute", "relative", "relative_fixed")),
        "alternative": (alternative, ("two-sided", "greater", "less")),
        "method": (method, ("t", "z", "chi2")),
    }
    for field, (given, known) in choices.items():
        if given not in known:
            raise InvalidInput(f"{field} {given!r} was given; expected {', '.join(known)}.", field=field)
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha {alpha} was given; expected a share between 0 and 1.", field="alpha")
    if margin is not None and not 0 <= margin < math.inf:
        raise InvalidInput(f"margin {margin} was given; expected a number from 0 up.", field="margin")
    if denominator_covariate and len(covariates) != 1:
        raise InvalidInput(f"denominator_covariate divides one covariate; {len(covariates)} were given.", field="denominator_covariate")
    if control.names != treatment.names:
        raise InvalidInput(
            f"The control holds {', '.join(control.names)}, the treatment {', '.join(treatment.names)}; expected the same columns."
        )
