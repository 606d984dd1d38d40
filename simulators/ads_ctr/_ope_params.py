"""Parameters of the lab `off_policy`."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import model_validator

from simulators.lab import LabParams, param

Estimator = Literal["log_mean", "dm", "ips", "clipped", "snips", "dr", "dr_clipped"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
LABELS: dict[str, str] = {
    "log_mean": "mean of the log",
    "dm": "direct method",
    "ips": "IPS",
    "clipped": "clipped IPS",
    "snips": "SNIPS",
    "dr": "doubly robust",
    "dr_clipped": "clipped doubly robust",
}
SHORT: dict[str, str] = {
    "log_mean": "log",
    "dm": "DM",
    "ips": "IPS",
    "clipped": "IPS, cut",
    "snips": "SNIPS",
    "dr": "DR",
    "dr_clipped": "DR, cut",
}
MOST_ROWS = 10_000_000  # logged impressions of all repetitions together


class OffPolicyParams(LabParams):
    n: int = param(
        5_000,
        title="Logged impressions",
        unit="rows",
        ge=500,
        le=200_000,
        scale="log",
        group="log",
        help="What the old policy showed, with the probability it showed it with.",
    )
    eps: float = param(
        0.02,
        title="Uniform share while logging",
        unit="share",
        ge=0,
        le=1,
        soft=(0, 0.3),
        step=0.01,
        group="log",
        help="In so many impressions the old policy showed any of the 20 ads with equal chance.",
    )
    logging_strength: float = param(
        2.0,
        title="Strength of the logging policy",
        unit="1 / temperature",
        ge=0,
        le=8,
        step=0.5,
        group="policy",
        help="How firmly the old policy prefers the ads it scores high; 0 is uniform.",
    )
    target_strength: float = param(
        3.0,
        title="Strength of the target policy",
        unit="1 / temperature",
        ge=0,
        le=8,
        step=0.5,
        group="policy",
        help="The same for the new policy, which scores by the true log-odds of a click.",
    )
    overlap: float = param(
        0.3,
        title="Correlation of logging with reward",
        ge=-1,
        le=1,
        step=0.1,
        group="policy",
        help="How much the old policy's weights know of the reward's.",
    )
    estimator: Estimator = param(
        "dr", title="Estimator to read", group="estimator", labels=LABELS, help="All of them run; the tiles show this one."
    )
    clip: float = param(
        10.0,
        title="Largest weight",
        unit="×",
        ge=1,
        le=1_000,
        scale="log",
        group="estimator",
        help="Of the clipped estimators; the others take weights as they are.",
    )
    sims: int = param(
        100,
        title="Repetitions",
        unit="runs",
        ge=20,
        le=500,
        scale="log",
        group="estimator",
        help="So many logs are drawn, to see how far an estimate strays and how often its interval holds the truth.",
    )
    nonlinearity: float = param(
        1.0,
        title="Reward that no linear model fits",
        unit="log-odds",
        ge=0,
        le=3,
        step=0.1,
        group="world",
        help="Size of a sine of the first feature; the direct method is a ridge regression for each ad.",
    )

    @model_validator(mode="after")
    def _affordable(self) -> OffPolicyParams:
        if self.n * self.sims > MOST_ROWS:
            raise ValueError(
                f"{self.sims} repetitions of {self.n:,} rows are {self.sims * self.n:,} rows; at most {MOST_ROWS:,} are drawn: "
                "choose fewer rows or repetitions."
            )
        return self
