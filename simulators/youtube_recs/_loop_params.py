"""Parameters of the lab `feedback_loop`."""

from __future__ import annotations

from pydantic import model_validator

from simulators.engines.ranking.loop import EXPLORING, Policy, Prior
from simulators.lab import LabParams, param

POLICIES: dict[str, str] = {
    "greedy": "greedy",
    "epsilon": "random slots",
    "new_item": "random slots for rarely shown items",
    "thompson": "Thompson sampling",
    "ucb": "upper confidence bound",
}
MOST_SAMPLED = 300_000  # items x rounds under Thompson sampling, which draws a number an item and slate


class LoopParams(LabParams):
    policy: Policy = param(
        "epsilon",
        title="Policy",
        group="policy",
        labels=POLICIES,
        help=(
            "How slates are made of the model's ranking: its best, some slots at random (all items alike, or those shown least first), by "
            "a draw from what it believes about each item, or by the mean plus one standard deviation."
        ),
    )
    epsilon: float = param(
        0.05,
        title="Random slots",
        unit="share",
        ge=0,
        le=1,
        soft=(0, 0.5),
        step=0.01,
        group="policy",
        shown_when={"policy": EXPLORING},
        help="Share of the slots that are filled without asking the model.",
    )
    boost_rounds: int = param(
        0,
        title="Boost of new items",
        unit="rounds",
        ge=0,
        le=20,
        group="policy",
        help="For so many rounds a new item gets its fair share of slots, whatever the model thinks of it. 0: no boost.",
    )
    demote_below: float = param(
        0.0,
        title="Demotion below",
        unit="share of mean CTR",
        ge=0,
        le=1,
        step=0.05,
        group="policy",
        help="An item with 20 impressions whose click rate lies below this share of the catalogue's gets no random slots. 0: never.",
    )
    rounds: int = param(
        60,
        title="Rounds",
        unit="rounds",
        ge=10,
        le=300,
        scale="log",
        group="policy",
        help="Each serves 6,000 impressions in slates of 10 and ends with a training.",
    )
    prior: Prior = param(
        "catalogue",
        title="Prior of an unseen item",
        group="model",
        labels={"catalogue": "mean of the catalogue", "served": "mean of what was served"},
        help="The click rate the model believes in before it has seen anything. What was served is better than the catalogue.",
    )
    content: float = param(
        0.0,
        title="Content model",
        unit="share of variance",
        ge=0,
        le=0.95,
        step=0.05,
        group="model",
        help="Share of the variance of the log-odds of a click that title, thumbnail and topic explain; the prior follows it.",
    )
    items: int = param(
        500, title="Catalogue", unit="items", ge=100, le=5_000, scale="log", group="world", help="Items there are in each round."
    )
    churn: float = param(
        0.01,
        title="Churn",
        unit="share",
        ge=0,
        le=0.2,
        soft=(0, 0.05),
        step=0.005,
        group="world",
        help="Share of the items replaced by new ones, which nobody has seen, in each round.",
    )
    biased_share: float = param(
        0.0,
        title="Items with a false history",
        unit="share",
        ge=0,
        le=0.6,
        step=0.05,
        group="world",
        help="They begin with 20 impressions in each segment that nobody clicked, left by an older system that showed them badly.",
    )

    @property
    def random_share(self) -> float:
        """Share of random slots of the chosen policy."""
        return self.epsilon if self.policy in EXPLORING else 0.0

    @model_validator(mode="after")
    def _slots(self) -> LoopParams:
        boosted = self.churn * self.boost_rounds
        if self.random_share + boosted > 1:
            raise ValueError(
                f"Random slots of {self.random_share:.0%} and a boost of {self.boost_rounds} rounds at a churn of {self.churn:.1%} "
                f"({boosted:.0%} of the slots) make {self.random_share + boosted:.0%}; expected at most 100 %."
            )
        return self

    @model_validator(mode="after")
    def _draws(self) -> LoopParams:
        if self.policy == "thompson" and self.items * self.rounds > MOST_SAMPLED:
            raise ValueError(
                f"Thompson sampling over {self.items:,} items and {self.rounds} rounds was asked for; expected items x rounds of at most "
                f"{MOST_SAMPLED:,}."
            )
        return self
