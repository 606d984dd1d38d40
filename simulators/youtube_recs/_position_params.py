"""Parameters of the lab `position_bias`."""

from __future__ import annotations

from typing import Literal, get_args

from simulators.lab import LabParams, param

Kind = Literal["naive", "feature", "pal", "ips", "random_only"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LABELS: dict[str, str] = {
    "naive": "clicks as they are",
    "feature": "position as a feature",
    "pal": "position tower (PAL)",
    "ips": "weighted clicks (IPS)",
    "random_only": "shuffled slates alone",
}
MEAN = 0  # serve_position: the mean over all positions


class PositionParams(LabParams):
    models: tuple[Kind, ...] = param(
        KINDS,
        title="Models",
        group="model",
        labels=LABELS,
        max_items=5,
        help=(
            "What learns relevance from the clicks: nothing corrected; the position as an input, fixed when serving; a second tower for "
            "the position, thrown away when serving; each click weighted by 1 / examination; only the slates in random order."
        ),
    )
    serve_position: int = param(
        1,
        title="Position when serving, 0 = mean",
        unit="position",
        ge=MEAN,
        le=10,
        group="model",
        shown_when={"models": ("feature",)},
        help="The model with the position as a feature scores every item as if it stood there. 0: the mean over all positions.",
    )
    position_lr: float = param(
        0.05,
        title="Learning rate of the position tower",
        unit="rate",
        ge=0.001,
        le=0.2,
        scale="log",
        group="model",
        shown_when={"models": ("pal",)},
        help="The relevance net learns at 0.02. A tower that learns too slowly leaves the bias to relevance.",
    )
    position_init: Literal["zeros", "normal"] = param(
        "zeros",
        title="Start of the position tower",
        group="model",
        labels={"zeros": "zeros", "normal": "random, N(0, 1)"},
        shown_when={"models": ("pal",)},
        help="What the tower holds before the first click.",
    )
    eps: float = param(
        0.05,
        title="Shuffled slates",
        unit="share",
        ge=0,
        le=1,
        soft=(0, 0.2),
        step=0.01,
        group="logging",
        help="Share of the logged slates shown in random order. They cost clicks, and they are what propensities are estimated from.",
    )
    slates: int = param(
        20_000,
        title="Logged slates",
        unit="slates",
        ge=2_000,
        le=50_000,
        scale="log",
        group="logging",
        help="Each shows ten items, ordered by an older policy.",
    )
    eta: float = param(
        1.0,
        title="Decay of examination",
        unit="exponent",
        ge=0,
        le=2.5,
        step=0.1,
        group="world",
        shown_when={"user": ("pbm",)},
        help="Position k is looked at with probability k^-eta. 0: every position is. No model is told.",
    )
    user: Literal["pbm", "cascade"] = param(
        "pbm",
        title="Users",
        group="world",
        labels={"pbm": "look at positions", "cascade": "read from the top"},
        help=(
            "Position-based users look at each position on its own. Cascade users read down the page, stop after a click in 7 of 10 cases "
            "and after any position in 12 of 100."
        ),
    )
    rho: float = param(
        0.2,
        title="Old policy against relevance",
        unit="correlation",
        ge=0,
        le=1,
        step=0.05,
        group="world",
        help="How much of what the old policy sorted by is relevance. 1: it sorted by the very features that make items relevant.",
    )
    noise: float = param(
        0.5,
        title="Jitter of the old policy",
        unit="s.d. of its score",
        ge=0,
        le=3,
        step=0.1,
        group="world",
        help="Noise on its score: the same item then stands now here, now there, which every correction feeds on.",
    )
