"""What the readout lets a user choose."""

from __future__ import annotations

from typing import Literal

from simulators.engines.experiment.stats.compare import Alternative, Difference
from simulators.experimentation._readout_analysis import Question
from simulators.lab import LabParams, param

REVENUE_ONLY = {"metric": ["revenue", "spend"]}
Correction = Literal["none", "bonferroni", "holm", "bh", "hierarchical"]


class ReadoutParams(LabParams):
    """World, then analysis; the world's knobs do nothing to the user's own file."""

    metric: Literal["revenue", "spend", "clicks_per_view"] = param(
        "revenue",
        title="Metric",
        group="world",
        help="The North Star. Revenue is skewed; spending of regulars less so; clicks per view is a ratio whose unit of analysis matters.",
        labels={"revenue": "Revenue a user", "spend": "Spending of regulars", "clicks_per_view": "Clicks per view"},
    )
    users: int = param(
        200_000,
        title="Users",
        unit="users",
        ge=10_000,
        le=10_000_000,
        scale="log",
        group="world",
        help="Users in both arms together, over 14 days.",
    )
    lift: float = param(
        2.0,
        title="True lift",
        unit="%",
        ge=-20,
        le=20,
        step=0.5,
        group="world",
        help="What the treatment really does to the metric of the users who reach the changed surface.",
    )
    lift_kind: Literal["conversion", "amount"] = param(
        "conversion",
        title="Lift acts on",
        group="world",
        help="More buyers, or larger amounts of the same buyers.",
        labels={"conversion": "How many buy", "amount": "How much they spend"},
        shown_when=REVENUE_ONLY,
    )
    rho: float = param(
        0.7,
        title="Pre/post correlation",
        ge=0,
        le=0.95,
        step=0.05,
        group="world",
        help="Correlation of a user's metric before and during the test.",
    )
    new_users: float = param(
        20.0, title="New users", unit="%", ge=0, le=100, step=5, group="world", help="Share of users without any history."
    )
    trigger_rate: float = param(
        100.0,
        title="Users who trigger",
        unit="%",
        ge=1,
        le=100,
        scale="log",
        group="population",
        help="Share of the users who reach the changed surface. The others cannot be moved, and dilute the effect.",
    )
    population: Literal["assigned", "triggered"] = param(
        "assigned",
        title="Analyse",
        group="population",
        help="All assigned users, or those who triggered: the counterfactual trigger is logged in both arms.",
        labels={"assigned": "All assigned", "triggered": "Those who triggered"},
    )
    covariates: Literal["none", "one", "several", "post_period"] = param(
        "one",
        title="Covariates",
        group="analysis",
        help="What CUPED adjusts for. The last choice is a trap: it was measured during the test.",
        labels={"none": "None", "one": "One from before", "several": "Several from before", "post_period": "One from during the test"},
    )
    ratio_variance: Literal["delta", "naive"] = param(
        "delta",
        title="Variance of a ratio",
        group="analysis",
        help="Delta method with users as units, or views taken as units.",
        labels={"delta": "Delta method", "naive": "Views as units"},
        shown_when={"metric": ["clicks_per_view"]},
    )
    winsorise: Literal["none", "0.999", "0.99"] = param(
        "none",
        title="Winsorise at",
        group="analysis",
        help="Cap revenue and its covariates at this quantile.",
        labels={"none": "No cap", "0.999": "99.9 % quantile", "0.99": "99 % quantile"},
        shown_when=REVENUE_ONLY,
    )
    difference: Difference = param(
        "relative",
        title="Effect as",
        group="analysis",
        help="Absolute difference, or lift over the control mean with or without the noise of that mean.",
        labels={"absolute": "Absolute", "relative": "Relative", "relative_fixed": "Relative, control mean as known"},
    )
    alternative: Alternative = param(
        "two-sided",
        title="Alternative",
        group="analysis",
        help="Which deviations count as evidence.",
        labels={"two-sided": "Two-sided", "greater": "Treatment is higher", "less": "Treatment is lower"},
    )
    alpha: float = param(
        5.0, title="Alpha", unit="%", ge=0.1, le=20, group="analysis", help="False positives allowed when nothing changed."
    )
    power: float = param(
        80.0, title="Target power", unit="%", ge=50, le=99, step=1, group="analysis", help="Chance wanted to find a true effect."
    )
    accept_srm: bool = param(
        False,
        title="Show the verdict despite a red sample ratio",
        group="analysis",
        help="With a red sample ratio the verdict is hidden until you accept it.",
    )
    metrics: int = param(
        20,
        title="Metrics",
        unit="metrics",
        ge=1,
        le=100,
        group="multiplicity",
        help="Tested together: the North Star and its proxies. Two guardrails stand beside them.",
    )
    moved: int = param(
        4,
        title="Proxies truly moved",
        unit="metrics",
        ge=0,
        le=100,
        group="multiplicity",
        help="Each by what 200,000 assigned users see at z = 3, unadjusted. At most all proxies.",
    )
    correction: Correction = param(
        "hierarchical",
        title="Correction",
        group="multiplicity",
        help="Gatekeeping tests the North Star alone, and the proxies by Holm only if it has moved.",
        labels={
            "none": "None",
            "bonferroni": "Bonferroni",
            "holm": "Holm",
            "bh": "Benjamini-Hochberg",
            "hierarchical": "Gatekeeping",
        },
    )
    ni_margin: float = param(
        0.5,
        title="Guardrail margin",
        unit="%",
        ge=0,
        le=10,
        step=0.1,
        group="multiplicity",
        help="A guardrail holds if a worsening beyond this share is ruled out.",
    )
    latency_rise: float = param(
        0.0,
        title="True rise of latency",
        unit="%",
        ge=0,
        le=10,
        step=0.1,
        group="multiplicity",
        help="What the treatment really does to a guardrail, among the users who trigger.",
    )
    aa_runs: int = param(
        0,
        title="A/A runs",
        unit="runs",
        ge=0,
        le=2000,
        step=50,
        group="calibration",
        help="Deals the same unmoved users to two arms again and again, and reads each deal by the chosen analysis.",
    )


def question_of(params: ReadoutParams) -> Question:
    return Question(params.difference, params.alternative, params.alpha / 100, params.power / 100)
