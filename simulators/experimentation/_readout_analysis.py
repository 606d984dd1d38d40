"""What the readout computes from the moments of the arms: every route to the same answer, and what each would have cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from scipy.special import ndtr, ndtri

from simulators.engines.experiment import power
from simulators.engines.experiment.srm import SRM
from simulators.engines.experiment.stats import Comparison, Moments, compare, summary
from simulators.engines.experiment.stats.compare import Alternative, Difference

NAIVE = "naive"


class Route(NamedTuple):
    """One way to analyse: what the covariates are, and what the page calls it."""

    label: str
    covariates: tuple[str, ...] = ()
    denominator_covariate: str | None = None


@dataclass(frozen=True)
class Question:
    difference: Difference
    alternative: Alternative
    alpha: float  # share
    power: float  # share


@dataclass(frozen=True)
class Plan:
    """Columns of the moments, and the routes that can be taken; `chosen` is the route whose answer counts, "none" is always there."""

    metric: str
    label: str
    routes: dict[str, Route]
    chosen: str
    denominator: str | None = None
    naive_ratio: bool = False  # take views for units
    absolute_unit: str = ""
    absolute_factor: float = 1.0
    column_unit: str = ""  # of the metric's own column


@dataclass(frozen=True)
class Truth:
    """What is known of a synthetic world. `lift` of the metric analysed, `full_lift` of the metric before capping."""

    lift: float
    full_lift: float
    mean: float
    left: dict[str, float] = field(default_factory=dict)  # smallest share of variance that each route could leave
    days: int = 14


@dataclass(frozen=True)
class ArmReading:
    """One treatment against the control by every route; `naive` counts views as units."""

    arm: str
    routes: dict[str, Comparison]
    fixed: Comparison  # the chosen route with a control mean taken as known
    naive: Comparison | None
    chosen: str

    @property
    def headline(self) -> Comparison:
        return self.naive if self.chosen == NAIVE and self.naive else self.routes[self.chosen]

    @property
    def raw(self) -> Comparison:
        return self.routes["none"]

    def variance_left(self, route: str) -> float | None:
        removed = self.routes[route].variance_reduction
        return None if removed is None else 1 - removed


@dataclass(frozen=True)
class Readout:
    question: Question
    plan: Plan
    control: str
    arms: dict[str, Moments]
    assigned: dict[str, int]
    missing: dict[str, int]
    readings: list[ArmReading]
    srm: SRM
    truth: Truth | None

    @property
    def unit(self) -> str:
        return self.plan.absolute_unit if self.question.difference == "absolute" else "%"

    @property
    def factor(self) -> float:
        return self.plan.absolute_factor if self.question.difference == "absolute" else 100.0

    @property
    def true_effect(self) -> float | None:
        """On the scale of the question: a share, or the metric's own unit."""
        if self.truth is None:
            return None
        return self.truth.lift * (self.truth.mean if self.question.difference == "absolute" else 1.0)


def read_out(
    plan: Plan,
    question: Question,
    arms: dict[str, Moments],
    assigned: dict[str, int],
    missing: dict[str, int],
    srm: SRM,
    truth: Truth | None,
) -> Readout:
    control, *others = arms
    readings = [read_arm(plan, question, arm, arms[control], arms[arm]) for arm in others]
    return Readout(question, plan, control, arms, assigned, missing, readings, srm, truth)


def read_arm(plan: Plan, question: Question, arm: str, control: Moments, treatment: Moments) -> ArmReading:
    def by(route: Route, difference: Difference) -> Comparison:
        return compare(
            control,
            treatment,
            plan.metric,
            denominator=plan.denominator,
            covariates=route.covariates,
            denominator_covariate=route.denominator_covariate,
            difference=difference,
            alternative=question.alternative,
            alpha=question.alpha,
        )

    routes = {key: by(route, question.difference) for key, route in plan.routes.items()}
    naive = _naive(plan, question, control, treatment) if plan.denominator else None
    chosen = NAIVE if plan.naive_ratio and naive else plan.chosen
    return ArmReading(arm, routes, by(plan.routes[plan.chosen], "relative_fixed"), naive, chosen)


def _naive(plan: Plan, question: Question, control: Moments, treatment: Moments) -> Comparison | None:
    """Views as if each were a unit of its own: a plain test of two proportions. None where the ratio is not a proportion."""
    assert plan.denominator is not None
    pairs = [(float(m.sums[m.index(plan.denominator)]), float(m.sums[m.index(plan.metric)])) for m in (control, treatment)]
    if any(not 0 <= top <= bottom or bottom < 2 for bottom, top in pairs):
        return None
    a, b = (summary(round(bottom), top) for bottom, top in pairs)
    return compare(a, b, difference=question.difference, alternative=question.alternative, method="z", alpha=question.alpha)


# --- what the answer cost ---------------------------------------------------------------------------------------------------------


def unit_variance(readout: Readout, comparison: Comparison, arm: str) -> float | None:
    """Of one user, mean of the two arms; where views were taken as units, as many of them as a user has count as one."""
    if comparison.unit_variance is None:
        return None
    users = readout.arms[readout.control].n + readout.arms[arm].n
    return sum(comparison.unit_variance) / 2 * users / comparison.n


def effect_scale(readout: Readout, comparison: Comparison) -> float:
    """Turns an absolute difference into the question's scale: divides by the control mean for a relative one."""
    return 1.0 if readout.question.difference == "absolute" else abs(comparison.control_value or math.nan)


def detectable(readout: Readout, comparison: Comparison, arm: str) -> float | None:
    """Smallest effect, on the question's scale, that this test finds with the wanted power."""
    variance = unit_variance(readout, comparison, arm)
    if variance is None or not comparison.control_value and readout.question.difference != "absolute":
        return None
    n1, n2 = readout.arms[readout.control].n, readout.arms[arm].n
    return power.mde(variance, n1, n2, readout.question.alpha, readout.question.power) / effect_scale(readout, comparison)


def power_at(readout: Readout, comparison: Comparison, arm: str, effect: float) -> float | None:
    """Chance to find `effect` (question's scale) with the units of this test."""
    variance = unit_variance(readout, comparison, arm)
    if variance is None:
        return None
    n1, n2 = readout.arms[readout.control].n, readout.arms[arm].n
    return power.power(effect * effect_scale(readout, comparison), variance, n1, n2, readout.question.alpha)


def users_needed(readout: Readout, comparison: Comparison, arm: str, effect: float) -> float | None:
    """Units of both arms, dealt as in this test, to find `effect` with the wanted power."""
    variance = unit_variance(readout, comparison, arm)
    if variance is None or effect == 0:
        return None
    shares = (readout.arms[readout.control].n, readout.arms[arm].n)
    absolute = effect * effect_scale(readout, comparison)
    return power.sample_size(absolute, variance, readout.question.alpha, readout.question.power, shares)


def false_positive_rate(naive: Comparison, honest: Comparison, alpha: float) -> float | None:
    """How often the naive test calls a true null significant, if the honest standard error is the right one."""
    if not naive.se or not honest.se:
        return None
    return float(2 * ndtr(-float(ndtri(1 - alpha / 2)) * naive.se / honest.se))
