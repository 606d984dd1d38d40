"""What the lab `peeking` lets a user choose."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le
from pydantic import model_validator

from simulators.engines.experiment.sequential.group import information_shares
from simulators.engines.experiment.sequential.stopping import RULES, Design, Kind, Rule, powered_effect
from simulators.lab import LabParams, param

LABELS: dict[str, str] = {
    "fixed": "One look at the end",
    "naive": "Naive peeking",
    "bonferroni": "Bonferroni over looks",
    "haybittle_peto": "Haybittle-Peto",
    "obrien_fleming": "O'Brien-Fleming",
    "power": "Power spending",
    "pocock": "Pocock",
    "always_valid": "Always-valid",
    "msprt": "mSPRT",
}
Fraction = Annotated[float, Ge(0.001), Le(1)]


class PeekingParams(LabParams):
    """The design, the rules and their constants, then what goes wrong."""

    looks: int = param(
        14, title="Planned looks", unit="looks", ge=1, le=200, scale="log", group="design", help="How often the plan reads the test."
    )
    n_per_look: int = param(
        500,
        title="Users between looks",
        unit="users/arm",
        ge=50,
        le=100_000,
        scale="log",
        group="design",
        help="What each look adds to each arm.",
    )
    fractions: tuple[Fraction, ...] = param(
        (),
        title="Uneven looks at",
        unit="share of the plan",
        group="design",
        max_items=60,
        help="Uneven looks: rising shares of the planned users, the last 1 (0.25, 0.5, 1). Empty: evenly spaced.",
    )
    alpha: float = param(
        5.0, title="Alpha", unit="%", ge=0.1, le=20, step=0.1, group="design", help="False positives allowed when nothing changed."
    )
    effect: float = param(
        100.0,
        title="True effect",
        unit="% of powered",
        ge=0,
        le=200,
        step=5,
        group="design",
        help="100 % is the effect that one look at the planned end finds with 80 % power, before any covariate.",
    )
    rules: tuple[Kind, ...] = param(
        RULES,
        title="Stopping rules",
        group="rules",
        max_items=len(RULES),
        labels=LABELS,
        help="Each reads the same tests.",
    )
    rho: float = param(
        2.0,
        title="Spending exponent",
        unit="exponent",
        ge=0.5,
        le=5,
        scale="log",
        group="rules",
        help="Power spending has used alpha times t to this power by the share t of the plan.",
        shown_when={"rules": ["power"]},
    )
    tuning: float = param(
        5_000,
        title="Always-valid tuned for",
        unit="users",
        ge=100,
        le=1_000_000,
        scale="log",
        group="rules",
        help="N*, users of both arms at which the always-valid interval is tightest.",
        shown_when={"rules": ["always_valid"]},
    )
    tau: float = param(
        0.05,
        title="mSPRT mixture",
        unit="s.d.",
        ge=0.001,
        le=1,
        scale="log",
        group="rules",
        help="Spread of the effects the mSPRT mixes over, in standard deviations of the metric.",
        shown_when={"rules": ["msprt"]},
    )
    overrun: float = param(
        1.0,
        title="Looks made / planned",
        unit="x plan",
        ge=1,
        le=3,
        step=0.1,
        group="stress",
        help="Above 1 the test goes on after its plan has ended, at the last bound.",
    )
    variance_ratio: float = param(
        1.0,
        title="Variance left by CUPED",
        unit="share",
        ge=0.2,
        le=1,
        step=0.01,
        group="stress",
        help="A covariate with correlation r leaves 1 - r squared: 0.51 for r = 0.7.",
    )
    reps: int = param(
        100_000,
        title="Simulated tests",
        unit="tests",
        ge=1_000,
        le=1_000_000,
        scale="log",
        group="stress",
        help="As many without an effect as with it.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> PeekingParams:
        if not self.rules:
            raise ValueError(f"Stopping rules: none was chosen; expected 1 to {len(RULES)}.")
        if len(set(self.rules)) < len(self.rules):
            raise ValueError(f"Stopping rules: {', '.join(self.rules)} names one twice; expected different ones.")
        if self.fractions:
            information_shares(self.fractions)
        return self

    @property
    def planned(self) -> int:
        return len(self.fractions) or self.looks

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the planned users, at the planned looks."""
        return self.fractions or tuple(k / self.looks for k in range(1, self.looks + 1))

    @property
    def level(self) -> float:
        return self.alpha / 100

    @property
    def planned_users(self) -> int:
        """An arm."""
        return self.looks * self.n_per_look

    @property
    def truth(self) -> float:
        """The effect, in standard deviations of the metric."""
        return self.effect / 100 * powered_effect(self.looks, self.n_per_look, self.level)

    def rule(self, kind: Kind) -> Rule:
        return Rule(kind, rho=self.rho, tuning=self.tuning, tau=self.tau)

    def design(self) -> Design:
        """Looks beyond the plan keep the plan's mean distance."""
        extra = round(self.planned * self.overrun) - self.planned
        planned = [share * self.planned_users for share in self.shares]
        distance = self.planned_users / self.planned
        units = planned + [self.planned_users + distance * k for k in range(1, extra + 1)]
        return Design(tuple(units), self.planned, self.level, self.variance_ratio)
