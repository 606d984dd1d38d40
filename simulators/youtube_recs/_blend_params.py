"""What the lab `objective_blend` lets a user choose."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from simulators.lab import LabParams, param

HEADS = ("click", "minutes", "like", "comment", "subscribe", "dislike")
HEAD_LABELS = {
    "click": "click",
    "minutes": "minutes",
    "like": "like",
    "comment": "comment",
    "subscribe": "subscription",
    "dislike": "dislike",
}
DIVERSITY_LABELS = {"none": "none", "mmr": "MMR", "dpp": "DPP", "cap": "creator cap"}
PLACES = 10
LEARNED = {"heads": ["learned"]}


def _weight(default: float, title: str, most: float, soft: float, help: str) -> Any:
    return param(default, title=title, unit="points", ge=0, le=most, soft=(0, soft), step=soft / 100, group="weights", help=help)


def _scale(head: str) -> Any:
    return param(
        1.0,
        title=f"Scale of the {HEAD_LABELS[head]} head",
        unit="x",
        ge=0.1,
        le=10,
        scale="log",
        group="heads",
        help="Multiplies what the head predicts: a head that is off by this factor. The weight beside it knows nothing of that.",
    )


class ObjectiveBlendParams(LabParams):
    """Weights of the blend, what stands behind the heads, how the page is made, who looks at it."""

    w_click: float = _weight(0.0, "Click", 100, 10, "Points for each click that is expected.")
    w_minutes: float = _weight(0.2, "Minute", 100, 2, "Points for each minute watched.")
    w_like: float = _weight(5.0, "Like", 100, 20, "Points for each like.")
    w_comment: float = _weight(0.0, "Comment", 100, 20, "Points for each comment; its head is the like head at a lower logit.")
    w_subscribe: float = _weight(10.0, "Subscription", 100, 50, "Points for each subscription.")
    w_dislike: float = _weight(10.0, "Dislike (penalty)", 200, 100, "Points taken for each dislike.")
    heads: Literal["learned", "oracle"] = param(
        "learned",
        title="Heads",
        group="heads",
        labels={"learned": "learned (MMoE)", "oracle": "the truth"},
        help="Learned from 60,000 impressions by a mixture of experts, or the true expectations.",
    )
    watch_loss: Literal["exact", "covington"] = param(
        "exact",
        title="Loss of the minutes head",
        group="heads",
        labels={"exact": "exact", "covington": "Covington 2016"},
        shown_when=LEARNED,
        help="Exact: every impression counts as a no, the odds are minutes per impression. Covington: only impressions without a click do.",
    )
    experts: int = param(
        6, title="Experts", unit="experts", ge=2, le=32, scale="log", group="heads", shown_when=LEARNED,
        help="Small nets that the five heads mix, each by a gate of its own.",
    )  # fmt: skip
    head_scale_click: float = _scale("click")
    head_scale_minutes: float = _scale("minutes")
    head_scale_like: float = _scale("like")
    head_scale_comment: float = _scale("comment")
    head_scale_subscribe: float = _scale("subscribe")
    head_scale_dislike: float = _scale("dislike")
    diversity: Literal["none", "mmr", "dpp", "cap"] = param(
        "none",
        title="Diversity",
        group="slate",
        labels=DIVERSITY_LABELS,
        help="What re-orders the ranked candidates into a page of ten.",
    )
    lam: float = param(
        0.9, title="lambda", unit="", ge=0, le=1, step=0.05, group="slate", shown_when={"diversity": ["mmr"]},
        help="Maximal marginal relevance: share of the score against the largest cosine with what stands above.",
    )  # fmt: skip
    theta: float = param(
        0.95, title="theta", unit="", ge=0.3, le=0.99, step=0.01, group="slate", shown_when={"diversity": ["dpp"]},
        help="Determinantal point process: towards 1 the score decides alone.",
    )  # fmt: skip
    cap: int = param(
        2, title="Videos a creator", unit="videos", ge=1, le=10, group="slate", shown_when={"diversity": ["cap"]},
        help="At most so many of one creator on a page.",
    )  # fmt: skip
    explore_slots: int = param(
        0, title="Exploration slots", unit="of 10", ge=0, le=5, group="slate", help="Last places of the page, filled by chance."
    )
    gamma: float = param(
        0.3, title="Satiation", unit="", ge=0, le=1, step=0.05, group="world",
        help="How much a video loses for each like it on the page above: exp(-gamma x squared cosine).",
    )  # fmt: skip
    bait_share: float = param(
        0.25, title="Share with bait", unit="share", ge=0, le=0.6, step=0.05, group="world",
        help="Candidates whose cover promises more than they hold.",
    )  # fmt: skip
    focus: float = param(
        0.0, title="Retrieval's focus", unit="x taste", ge=0, le=4, step=0.5, group="world",
        help="How far retrieval gathers the candidates in the viewer's favourite topics; 0: all topics alike.",
    )  # fmt: skip
    likeness: float = param(
        0.5, title="Likeness within a topic", unit="", ge=0, le=0.95, step=0.05, group="world", help="Mean cosine of two videos of a topic."
    )  # fmt: skip

    @model_validator(mode="after")
    def _ranks_by_something(self) -> Self:
        if not any(self.weights().values()):
            raise ValueError("All weights are 0, so every candidate scores the same; expected at least one weight above 0.")
        return self

    def weights(self) -> dict[str, float]:
        """Points a unit of each head; the dislike's are negative."""
        return {head: getattr(self, f"w_{head}") * (-1 if head == "dislike" else 1) for head in HEADS}

    def scales(self) -> dict[str, float]:
        return {head: getattr(self, f"head_scale_{head}") for head in HEADS}
