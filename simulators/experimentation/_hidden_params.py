"""What the lab `hidden_effects` lets a user choose."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from simulators.lab import LabParams, Percent, param

SEGMENTS, TIME, MIX = ({"look": ["all", part]} for part in ("segments", "time", "mix"))
MAX_RAMP_DAYS = 60


class HiddenParams(LabParams):
    """One question, or all three; each has a world of its own."""

    look: Literal["all", "segments", "time", "mix"] = param(
        "all",
        title="What may the average hide",
        group="question",
        help="Whom it helps, how long it lasts, or how the arms were mixed.",
        labels={"all": "All of it", "segments": "Segments", "time": "Time", "mix": "Mix and metric"},
    )
    truth: Literal["subgroup", "smooth", "constant"] = param(
        "subgroup",
        title="True effect",
        group="segments",
        help="Helps a quarter and harms the others, rises smoothly, or is the same for all.",
        labels={"subgroup": "A subgroup", "smooth": "Smooth", "constant": "Constant"},
        shown_when=SEGMENTS,
    )
    n: int = param(
        20_000,
        title="Training users",
        unit="users",
        ge=2_000,
        le=100_000,
        scale="log",
        group="segments",
        help="Users the effect is learned from; 10,000 others judge it.",
        shown_when=SEGMENTS,
    )
    learner: Literal["S", "T", "X", "forest", "best_segment"] = param(
        "X",
        title="Targeting by",
        group="segments",
        help="How the effect on a user is estimated from eight covariates.",
        labels={"S": "S-learner", "T": "T-learner", "X": "X-learner", "forest": "Causal forest", "best_segment": "Best segment"},
        shown_when=SEGMENTS,
    )
    trees: int = param(
        100,
        title="Trees",
        unit="trees",
        ge=20,
        le=300,
        scale="log",
        group="segments",
        help="Of a forest or of each model.",
        shown_when=SEGMENTS,
    )
    n_segments: int = param(
        20,
        title="Segments tested",
        unit="segments",
        ge=2,
        le=200,
        scale="log",
        group="segments",
        help="Bins of single covariates, each tested against everybody else.",
        shown_when=SEGMENTS,
    )
    correction: Literal["none", "bonferroni", "bh"] = param(
        "bh",
        title="Correction",
        group="segments",
        help="Over all segments tested, at 5 %.",
        labels={"none": "None", "bonferroni": "Bonferroni", "bh": "Benjamini-Hochberg"},
        shown_when=SEGMENTS,
    )
    treat_cap: float = param(
        30.0, title="May be treated", unit="%", ge=5, le=100, step=1, group="segments", help="Most users to treat.", shown_when=SEGMENTS
    )
    delta_inf: float = param(
        1.0,
        title="Long-run effect",
        unit="%",
        ge=-5,
        le=10,
        step=0.5,
        group="time",
        help="What stays when novelty is gone.",
        shown_when=TIME,
    )
    delta_0: float = param(
        5.0, title="Novelty", unit="%", ge=-10, le=20, step=0.5, group="time", help="Extra effect on the first day.", shown_when=TIME
    )
    tau: float = param(
        5.0, title="Decay of novelty", unit="days", ge=1, le=60, step=1, group="time", help="Days until it falls to 37 %.", shown_when=TIME
    )
    inflow: float = param(
        4.0,
        title="New users a day",
        unit="% of the base",
        ge=0,
        le=20,
        step=0.5,
        group="time",
        help="Half of the base arrives on day 1, then this much a day.",
        shown_when=TIME,
    )
    days: int = param(
        28,
        title="Length",
        unit="days",
        ge=7,
        le=180,
        group="time",
        help="Of the test and of the holdout.",
        shown_when={"look": ["all", "time", "mix"]},
    )
    holdout: float = param(
        1.0, title="Holdout", unit="%", ge=0.1, le=10, scale="log", group="time", help="Users who never get the feature.", shown_when=TIME
    )
    id_survival: float = param(
        60.0,
        title="Mean life of an id",
        unit="days",
        ge=10,
        le=1_000,
        scale="log",
        group="time",
        help="Cookies are cleared, devices change; the person comes back under a new id.",
        shown_when=TIME,
    )
    ramp: tuple[Percent, ...] = param(
        (1.0, 50.0),
        title="Treated share by day",
        unit="%",
        group="mix",
        max_items=MAX_RAMP_DAYS,
        help="One number a day, from a Friday on; the drifting metric keeps the last share until the test ends.",
        shown_when=MIX,
    )
    drift_day: int = param(
        8, title="Metric redefined on day", unit="day", ge=1, le=180, group="mix", help="From this day it counts more.", shown_when=MIX
    )
    drift_size: float = param(
        15.0, title="New definition adds", unit="%", ge=-50, le=50, step=1, group="mix", help="To the metric, in both arms.", shown_when=MIX
    )

    @field_validator("ramp")
    @classmethod
    def _compares_something(cls, ramp: tuple[float, ...]) -> tuple[float, ...]:
        if not any(0 < share < 100 for share in ramp):
            shares = ", ".join(f"{share:g}" for share in ramp)
            raise ValueError(f"Treated share by day: {shares or 'nothing'} was given; expected a day above 0 % and below 100 %.")
        return ramp

    def looks_at(self, part: str) -> bool:
        return self.look in ("all", part)
