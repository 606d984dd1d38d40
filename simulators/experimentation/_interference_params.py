"""What the lab `interference` lets a user choose."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulators.engines.experiment.marketplace import MarketParams, check_windows
from simulators.engines.experiment.marketplace.market import Analysis, DesignName
from simulators.lab import LabParams, param

MARKET = {"question": ["market"]}
DESIGN_LABELS: dict[str, str] = {
    "user": "Users",
    "cluster": "Clusters of regions",
    "cluster_pre": "Clusters with history",
    "switchback": "Switchback",
}


class InterferenceParams(LabParams):
    """The world, the design of the test, how it is analysed."""

    question: Literal["market", "viewer_ranking", "seller_ranking"] = param(
        "market",
        title="Question",
        group="world",
        labels={"market": "Riders share drivers", "viewer_ranking": "Two rankers, one viewer", "seller_ranking": "Sellers share a page"},
        help="What is tested, and through what one unit reaches another.",
    )
    delta: float = param(
        10.0, title="Lift of demand", unit="%", ge=-30, le=30, step=1, group="world", shown_when=MARKET,
        help="How much more often a treated rider wants the ride.",
    )  # fmt: skip
    load: float = param(
        1.0, title="Load", unit="x", ge=0.3, le=1.5, step=0.05, group="world", shown_when=MARKET,
        help="Rides wanted over rides the drivers could give, mean over the day.",
    )  # fmt: skip
    busy: float = param(
        30.0, title="Driver busy", unit="min", ge=5, le=240, scale="log", group="world", shown_when=MARKET,
        help="Mean time a ride takes its driver out of the market.",
    )  # fmt: skip
    drift: float = param(
        0.0, title="Drift of idle drivers", unit="share/slot", ge=0, le=0.3, step=0.01, group="world", shown_when=MARKET,
        help="Chance that an idle driver moves to a neighbour region within 5 minutes.",
    )  # fmt: skip
    regions: int = param(
        20, title="Regions", unit="regions", ge=4, le=100, group="world", shown_when=MARKET, help="Markets with drivers of their own."
    )
    spread: float = param(
        0.2, title="Spread of supply", unit="s.d. of log", ge=0, le=0.6, step=0.05, group="world", shown_when=MARKET,
        help="How unequal the regions' supply is.",
    )  # fmt: skip
    design: DesignName = param(
        "user", title="Randomise", group="design", labels=DESIGN_LABELS, shown_when=MARKET,
        help="What flips the coin: each user, each group of regions, or each group and window of time.",
    )  # fmt: skip
    window: int = param(
        60, title="Window", unit="min", ge=15, le=1440, scale="log", group="design", shown_when={"design": ["switchback"], **MARKET},
        help="How long a region keeps its arm; must divide 24 hours.",
    )  # fmt: skip
    burn_in: int = param(
        0, title="Burn-in", unit="min", ge=0, le=720, step=5, group="design", shown_when={"design": ["switchback"], **MARKET},
        help="Start of each window that is not counted.",
    )  # fmt: skip
    days: int = param(4, title="Test", unit="d", ge=1, le=28, group="design", shown_when=MARKET, help="Days under test.")
    pre_days: int = param(
        4, title="History", unit="d", ge=0, le=14, group="design", shown_when={"design": ["cluster_pre"], **MARKET},
        help="Days before the test whose orders adjust the clusters.",
    )  # fmt: skip
    group: int = param(
        1, title="Regions a cluster", unit="regions", ge=1, le=10, group="design",
        shown_when={"design": ["cluster", "cluster_pre", "switchback"], **MARKET}, help="Neighbours that share their arm.",
    )  # fmt: skip
    analysis: Analysis = param(
        "unit",
        title="Analysis",
        group="analysis",
        labels={"order_iid": "Orders as units", "unit": "Randomised units", "fixed_effects": "Region and hour effects"},
        shown_when=MARKET,
        help="What counts as independent. Region and hour effects apply to a switchback; other designs fall back to their units.",
    )
    replicates: int = param(
        60,
        title="Replicates",
        unit="worlds",
        ge=1,
        le=200,
        scale="log",
        group="analysis",
        help="Worlds drawn; every design meets the same ones.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Only what the design reads is refused."""
        if self.question == "market":
            if self.design == "switchback":
                check_windows(self.window, self.burn_in)
                if self.analysis == "fixed_effects" and self.days < 2:
                    raise ValueError("Region and hour effects need a test of 2 days or more; Test is 1 d.")
            if self.design != "user" and self.group * 2 > self.regions:
                raise ValueError(f"{self.regions} regions in groups of {self.group} leave fewer than two full clusters.")
        return self

    def market(self) -> MarketParams:
        """For the engine; what the design does not read is left at a value that runs."""
        switchback = self.design == "switchback"
        return MarketParams(
            delta=self.delta / 100,
            load=self.load,
            busy_min=self.busy,
            drift=self.drift,
            regions=self.regions,
            spread=self.spread,
            days=self.days,
            pre_days=self.pre_days if self.design == "cluster_pre" else 0,
            window_min=self.window if switchback else 60,
            burn_in_min=self.burn_in if switchback else 0,
            group=min(self.group, self.regions // 2),
            analysis=self.analysis,
        )
