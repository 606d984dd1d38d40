"""Parameters of the lab `regime_shift`."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import model_validator

from simulators.engines.ranking.worlds.drift import SHIFT_DAY
from simulators.lab import LabParams, param

Way = Literal["static", "daily", "window", "yesterday", "weekly", "online", "triggered", "recalibrate"]
WAYS: tuple[Way, ...] = get_args(Way)
LABELS: dict[str, str] = {
    "static": "never again",
    "daily": "all history",
    "window": "window",
    "yesterday": "yesterday alone",
    "weekly": "weekly",
    "online": "online",
    "triggered": "on alarm",
    "recalibrate": "Platt scaling",
}


class ShiftParams(LabParams):
    schedules: tuple[Way, ...] = param(
        ("static", "daily", "window", "online", "triggered", "recalibrate"),
        title="Training",
        group="training",
        labels=LABELS,
        max_items=6,
        help=(
            "When the model is trained again, and on what: every morning on all history, a window or yesterday; weekly; as it goes; on an "
            "alarm, on the newest day; or never. All begin with one model of five days. Platt scaling corrects its logit by yesterday."
        ),
    )
    window: int = param(
        3,
        title="Window",
        unit="d",
        ge=1,
        le=14,
        group="training",
        shown_when={"schedules": ("window",)},
        help="The daily training reads the days before it, so many.",
    )
    lr: float = param(
        0.6,
        title="Online learning rate",
        unit="step",
        ge=0.01,
        le=3,
        scale="log",
        group="training",
        shown_when={"schedules": ("online",)},
        help="Step on the mean gradient of 200 impressions, each scored before it is learned from.",
    )
    threshold: float = param(
        0.04,
        title="Alarm threshold",
        unit="share",
        ge=0.005,
        le=0.5,
        scale="log",
        group="training",
        shown_when={"schedules": ("triggered",)},
        help="The alarm rings when a day's normalised entropy lies above the mean of the days before by this share.",
    )
    label_lag: int = param(
        0,
        title="Labels arrive late",
        unit="d",
        ge=0,
        le=7,
        group="training",
        help="Clicks and their absence are known so many days after the next morning.",
    )
    shift: Literal["concept", "base_rate", "both"] = param(
        "concept",
        title="What changes overnight",
        group="world",
        labels={"concept": "what is clicked", "base_rate": "how much is clicked", "both": "both"},
        help=f"On day {SHIFT_DAY}: weights of features change their sign, the base rate of clicks moves, or both.",
    )
    flipped: int = param(
        12,
        title="Weights that flip",
        unit="of 40",
        ge=0,
        le=40,
        group="world",
        shown_when={"shift": ("concept", "both")},
        help="Large and small ones alike. 0: nothing changes.",
    )
    lift: float = param(
        1.0,
        title="Move of the base rate",
        unit="logit",
        ge=-3,
        le=3,
        step=0.25,
        group="world",
        shown_when={"shift": ("base_rate", "both")},
        help="Above 0 everything is clicked more.",
    )
    return_day: int = param(
        0,
        title="Back to normal, 0 = never",
        unit="day",
        ge=0,
        le=30,
        group="world",
        help=f"From this day on the world is the old one again; it has to come after day {SHIFT_DAY}.",
    )
    rows: int = param(
        3_000,
        title="Impressions a day",
        unit="rows",
        ge=500,
        le=10_000,
        scale="log",
        group="world",
        help="Thirty days of them, with 40 features each.",
    )

    @model_validator(mode="after")
    def _returns(self) -> ShiftParams:
        if 0 < self.return_day <= SHIFT_DAY:
            raise ValueError(f"Back to normal on day {self.return_day}; expected a day after the shift on day {SHIFT_DAY}, or 0 for never.")
        return self
