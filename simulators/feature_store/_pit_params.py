"""Parameters of the lab `point_in_time`."""

from __future__ import annotations

from typing import Literal, get_args

from simulators.lab import LabParams, param

Join = Literal["latest", "event_in_window", "event_time", "as_known_at", "served_log"]
JOINS: tuple[Join, ...] = get_args(Join)
LABELS: dict[str, str] = {
    "latest": "latest row",
    "event_in_window": "at label close",
    "event_time": "by event time",
    "as_known_at": "as known at request",
    "served_log": "logged when served",
}
LOG_GB_A_DAY = {"shown": 20e6 * 200 / 1e9, "candidates": 50 * 20e6 * 200 / 1e9}  # 20 M requests x 200 B, one row or 50


class PointInTimeParams(LabParams):
    join: Join = param(
        "latest",
        title="Training join",
        group="join",
        labels=LABELS,
        help=(
            "Which feature row a label gets: the newest there is, the newest when the label was known (30 minutes after the request), the "
            "newest by event time, the newest that had also been written by then, or what the online store logged."
        ),
    )
    upper: Literal["inclusive", "exclusive"] = param(
        "exclusive",
        title="Upper bound of time",
        group="join",
        labels={"inclusive": "inclusive: up to T", "exclusive": "exclusive: before T"},
        help="Whether a feature row that carries the very time T that is asked for may be used.",
    )
    ttl: float = param(
        14.0,
        title="Time to live",
        unit="d",
        ge=0,
        le=90,
        step=0.5,
        group="join",
        help="A row older than this at the request is not used, offline or online. 0: rows never expire.",
    )
    window: int = param(
        7, title="Click window", unit="d", ge=1, le=28, group="join", help="The feature counts the user's clicks of so many days."
    )
    wait_days: int = param(
        7,
        title="Days of logging",
        unit="d",
        ge=1,
        le=21,
        group="join",
        shown_when={"join": ("served_log",)},
        help="Served values are logged for so long before there is anything to train on.",
    )
    log_scope: Literal["shown", "candidates"] = param(
        "shown",
        title="What is logged",
        group="join",
        shown_when={"join": ("served_log",)},
        labels={"shown": "the ad shown", "candidates": "all 50 candidates"},
        help="20 million requests a day, 200 bytes a logged row.",
    )
    late_share: float = param(
        30.0, title="Late clicks", unit="%", ge=0, le=100, step=1, group="world", help="Share of clicks that arrive late in the store."
    )
    late_hours: float = param(
        24.0, title="Mean delay", unit="h", ge=0, le=168, step=1, group="world", help="Of the late ones; exponentially distributed."
    )
    impressions: int = param(
        100_000,
        title="Impressions",
        unit="rows",
        ge=10_000,
        le=2_000_000,
        scale="log",
        group="world",
        help="Ads shown to 5,000 users in 30 days; each is a label.",
    )
    drift: float = param(
        0.25,
        title="Drift of interest",
        unit="log-odds",
        ge=0,
        le=1,
        step=0.05,
        group="world",
        help="Standard deviation of a user's daily step. Drift is why a count of recent clicks says more than one of old ones.",
    )
    model: Literal["logistic", "boosting"] = param(
        "boosting",
        title="Model",
        group="model",
        labels={"logistic": "logistic regression", "boosting": "boosted trees"},
        help="Trained on three quarters of the days with the joined count and the quality of the ad.",
    )
