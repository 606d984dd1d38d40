"""Parameters of the lab `delayed_feedback`."""

from __future__ import annotations

from simulators.engines.ranking.delayed import METHODS, Method
from simulators.lab import LabParams, param

LABELS: dict[str, str] = {
    "naive": "naive: no conversion yet is none",
    "wait": "wait: only clicks old enough",
    "dfm": "delay model fitted jointly (DFM)",
    "ipw": "weights by a fitted delay law (IPW)",
}
SHORT: dict[Method, str] = {"naive": "naive", "wait": "wait", "dfm": "DFM", "ipw": "IPW"}


class DelayedParams(LabParams):
    method: Method = param(
        "naive",
        title="Method in production",
        group="model",
        labels=LABELS,
        help="Whose predictions the bids of the new campaign use.",
    )
    methods: tuple[Method, ...] = param(
        METHODS, title="Compared with", group="model", labels=LABELS, max_items=len(METHODS), help="Fitted to the same log."
    )
    wait_days: float = param(
        7.0,
        title="Wait",
        unit="d",
        ge=0,
        le=30,
        step=0.5,
        group="model",
        help="The waiting method drops clicks younger than this.",
    )
    mean_delay: float = param(
        6.0, title="Mean delay", unit="d", ge=0.1, le=15, scale="log", group="world", help="From click to conversion, for a typical click."
    )
    shape: float = param(
        1.0,
        title="Shape of the delay",
        unit="Weibull shape",
        ge=0.3,
        le=2,
        scale="log",
        group="world",
        help="1: exponential, as both delay models assume. Below 1 many conversions come at once and the others very late.",
    )
    new_days: float = param(
        2.0,
        title="Launch of the new campaign",
        unit="d ago",
        ge=0.2,
        le=15,
        scale="log",
        group="world",
        help="Since then it has 70 % of the traffic.",
    )
    lift: float = param(
        1.0,
        title="Lift of the new campaign",
        unit="log-odds",
        ge=-2,
        le=2,
        step=0.1,
        group="world",
        help="How much better its clicks convert than the others'.",
    )
    clicks: int = param(
        60_000,
        title="Clicks in the log",
        unit="clicks",
        ge=5_000,
        le=300_000,
        scale="log",
        group="world",
        help="Of the last 30 days, evenly spread.",
    )
    window: float = param(
        30.0,
        title="Attribution window",
        unit="d",
        ge=1,
        le=60,
        scale="log",
        group="world",
        help="A conversion later than this after its click does not count. With your own file: how long outcomes are followed.",
    )

    @property
    def compared(self) -> tuple[Method, ...]:
        """In the usual order, the one in production among them."""
        return tuple(method for method in METHODS if method in self.methods or method == self.method)
