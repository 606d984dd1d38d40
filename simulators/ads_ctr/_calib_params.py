"""Parameters of the lab `calibration_auction`."""

from __future__ import annotations

from typing import Literal, get_args

from simulators.engines.ranking.auction import Pacing
from simulators.engines.ranking.worlds.auction import Distortion
from simulators.lab import LabParams, param

Method = Literal["none", "platt", "isotonic", "temperature", "histogram"]
Grouping = Literal["global", "segment", "slice"]
METHODS: tuple[Method, ...] = get_args(Method)
GROUPINGS: tuple[Grouping, ...] = get_args(Grouping)
METHOD_LABELS: dict[str, str] = {
    "none": "none",
    "platt": "Platt's sigmoid",
    "isotonic": "isotonic",
    "temperature": "temperature",
    "histogram": "histogram, 20 bins",
}
GROUPING_LABELS: dict[str, str] = {"global": "for everybody", "segment": "per segment", "slice": "per slice"}
PACING_LABELS: dict[str, str] = {"none": "none", "throttle": "throttling", "multiplier": "bid multiplier"}
FITTED = tuple(method for method in METHODS if method != "none")


class CalibrationParams(LabParams):
    slope: float = param(
        1.5,
        title="Slope",
        unit="×",
        ge=0.3,
        le=3,
        step=0.1,
        group="distortion",
        help="The model's log-odds are the true ones times this; above 1 it is too sure of itself at both ends.",
    )
    intercept: float = param(
        1.2, title="Intercept", unit="log-odds", ge=-4, le=4, step=0.1, group="distortion", help="Added to everybody's log-odds."
    )
    segment_shift: float = param(
        0.6,
        title="Shift of the biased segment",
        unit="log-odds",
        ge=-2,
        le=2,
        step=0.1,
        group="distortion",
        help="Added on two fifths of the 200 slices only: a platform, a country, a kind of page the model gets wrong.",
    )
    noise: float = param(
        0.3,
        title="Noise",
        unit="log-odds",
        ge=0,
        le=1.5,
        step=0.1,
        group="distortion",
        help="Standard deviation of what the model does not know about an ad. No calibrator brings it back.",
    )
    scale: float = param(
        1.0, title="Factor on every probability", unit="×", ge=0.1, le=10, scale="log", group="distortion", help="Applied last; stops at 1."
    )
    keep_negatives: float = param(
        1.0,
        title="Negatives kept in training",
        unit="share",
        ge=0.01,
        le=1,
        scale="log",
        group="distortion",
        help="Below 1 the model learned from all clicks and a sample of the rest, and nobody corrected its probabilities.",
    )
    calibrator: Method = param(
        "none", title="Calibrator", group="calibration", labels=METHOD_LABELS, help="A map from the model's probability to the rate seen."
    )
    by: Grouping = param(
        "global",
        title="One map",
        group="calibration",
        labels=GROUPING_LABELS,
        shown_when={"calibrator": FITTED},
        help="Each segment or slice gets a map of its own, fitted on its own rows; one without a click is served by everybody's map.",
    )
    cal_rows: int = param(
        20_000,
        title="Calibration log",
        unit="rows",
        ge=200,
        le=150_000,
        scale="log",
        group="calibration",
        help="Held-out impressions, the latest first. A longer log is an older one.",
    )
    pacing: Pacing = param(
        "none",
        title="Pacing",
        group="pacing",
        labels=PACING_LABELS,
        help="How budgets last the day: not at all, by skipping auctions, or by lowering all bids.",
    )
    gain: float = param(
        0.3,
        title="Control gain",
        unit="× error",
        ge=0.01,
        le=2,
        scale="log",
        group="pacing",
        shown_when={"pacing": ("throttle", "multiplier")},
        help="How far the lever moves each quarter of an hour for a relative error of 1.",
    )
    tightness: float = param(
        0.5,
        title="Budget over unconstrained spend",
        unit="×",
        ge=0.05,
        le=5,
        scale="log",
        group="pacing",
        help="Typical advertiser; budgets differ by a log-normal factor of 0.3.",
    )
    auctions: int = param(
        60_000,
        title="Auctions",
        unit="auctions",
        ge=5_000,
        le=100_000,
        scale="log",
        group="auction",
        help="Before budgets; the day has 1.6 times as many.",
    )
    reserve: float = param(
        0.0,
        title="Reserve",
        unit="$ an impression",
        ge=0,
        le=1,
        soft=(0, 0.3),
        step=0.01,
        group="auction",
        help="Predicted value below which nothing is sold. A click is worth $1 on average.",
    )


def distortion_of(params: CalibrationParams) -> Distortion:
    return Distortion(params.slope, params.intercept, params.segment_shift, params.noise, params.scale, params.keep_negatives)


def design_name(method: Method, by: Grouping) -> str:
    return "no calibrator" if method == "none" else f"{METHOD_LABELS[method]} {GROUPING_LABELS[by]}"
