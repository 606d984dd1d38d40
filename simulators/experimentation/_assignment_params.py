"""What the assignment lab lets a user choose."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from simulators.experimentation._assignment_plan import EVEN_PLAN, parse_plan
from simulators.lab import LabParams, Percent, param

Fault = Literal["none", "treatment_crash", "redirect_loss", "bot_filter", "ramp_without_sticky", "late_trigger", "id_churn"]
Alarm = Literal["chi2_end", "chi2_daily", "sequential"]
Hash = Literal["fnv_v1", "fnv_v2", "splitmix64", "unsalted"]
MAX_DAYS = 60


class AssignmentParams(LabParams):
    n_units: int = param(
        200_000,
        title="Units",
        unit="units",
        ge=10_000,
        le=5_000_000,
        scale="log",
        group="world",
        help="Users of the product. Each has an engagement, Gamma distributed with shape 1.2 and scale 10.",
    )
    hash: Hash = param(
        "fnv_v2",
        title="Hash",
        group="hash",
        help="How an id and a seed become a number. Unsalted: every experiment hashes the bare id.",
        labels={"fnv_v1": "FNV v1", "fnv_v2": "FNV v2", "splitmix64": "SplitMix64", "unsalted": "Unsalted"},
    )
    id_kind: Literal["integer", "uuid"] = param("integer", title="Ids", group="hash", help="Consecutive numbers, or random UUIDs.")
    packing: Literal["one_layer", "all_overlap", "conflict_aware", "custom"] = param(
        "conflict_aware",
        title="Packing",
        group="layers",
        help="Which of the twelve experiments share a layer. Inside a layer they exclude one another; layers overlap.",
        labels={
            "one_layer": "All in one layer",
            "all_overlap": "A layer each",
            "conflict_aware": "Conflicting ones together",
            "custom": "My own plan",
        },
    )
    layers: int = param(
        3,
        title="Layers",
        unit="layers",
        ge=1,
        le=12,
        group="layers",
        help="Number of layers that the experiments are dealt to.",
        shown_when={"packing": ["conflict_aware"]},
    )
    custom: str = param(
        EVEN_PLAN,
        title="Plan",
        group="layers",
        max_items=400,
        help="Experiment = layer : percent of the layer's units, separated by commas. Layers L1 to L12, experiments E1 to E12.",
        shown_when={"packing": ["custom"]},
    )
    holdout: float = param(
        5.0, title="Holdout", unit="%", ge=0, le=20, step=1, group="layers", help="Units that enter no experiment; cut before the layers."
    )
    cuped_rho: float = param(
        0.0,
        title="Pre/post correlation",
        ge=0,
        le=0.9,
        step=0.05,
        group="layers",
        help="CUPED removes its square from the variance, so an experiment needs 20 % (1 - rho squared) of the units.",
    )
    fault: Fault = param(
        "treatment_crash",
        title="Fault",
        group="logging",
        help="What goes wrong between assignment and the log of exposures, in the treated arm.",
        labels={
            "none": "None",
            "treatment_crash": "Treatment crashes",
            "redirect_loss": "Redirect loses some",
            "bot_filter": "Bot filter",
            "ramp_without_sticky": "Ramp without sticky buckets",
            "late_trigger": "Exposure logged late",
            "id_churn": "Ids churn",
        },
    )
    fault_rate: float = param(
        2.0, title="Units hit", unit="%", ge=0, le=10, step=0.5, group="logging", help="Share of the units whom the fault concerns."
    )
    ramp: tuple[Percent, ...] = param(
        (50.0,),
        title="Treated share by day",
        unit="%",
        group="logging",
        max_items=MAX_DAYS,
        help="One number a day; the last one holds for the days that follow.",
    )
    days: int = param(
        14, title="Days", unit="days", ge=1, le=MAX_DAYS, scale="log", group="alarm", help="How often the counts are looked at."
    )
    units_per_day: int = param(
        5,
        title="New units a day",
        unit="thousand",
        ge=1,
        le=100,
        scale="log",
        group="alarm",
        help="Volume of the experiment that the alarm watches.",
    )
    alarm: Alarm = param(
        "sequential",
        title="Alarm",
        group="alarm",
        help="One chi-square test at the end, the same test read every day, or a test made to be read every day.",
        labels={"chi2_end": "Chi-square at the end", "chi2_daily": "Chi-square every day", "sequential": "Sequential"},
    )

    @field_validator("custom")
    @classmethod
    def _plan_can_be_read(cls, text: str) -> str:
        parse_plan(text)
        return text

    @field_validator("ramp")
    @classmethod
    def _some_share(cls, ramp: tuple[float, ...]) -> tuple[float, ...]:
        if not ramp:
            raise ValueError("Treated share by day: nothing was given; expected at least one number from 0 to 100 %.")
        return ramp
