"""Parameters of the lab `retrieval`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from simulators.lab import LabParams, param

SOURCES: tuple[str, ...] = ("two_tower", "co_watch", "fresh", "trending")
SOURCE_LABELS: dict[str, str] = {
    "two_tower": "two towers",
    "co_watch": "co-watch",
    "fresh": "fresh and subscribed",
    "trending": "trending",
}
MOST_STEPS = 12_800  # about ten seconds of them
MOST_PAIRS = 6e9  # user-item products of a training at 16 dimensions: about a minute


def _quota(default: int, title: str, help: str) -> int:
    value: int = param(default, title=title, unit="of 100 slots", ge=0, le=100, group="sources", help=help)
    return value


class RetrievalParams(LabParams):
    negatives: Literal["in_batch", "uniform", "mixed", "hard"] = param(
        "in_batch",
        title="Negatives",
        group="training",
        labels={"in_batch": "in batch", "uniform": "uniform", "mixed": "mixed", "hard": "hard"},
        help=(
            "What a choice is compared with in training: what the others of the batch chose, items drawn evenly, both, or the batch and "
            "items from the viewer's own top 100 under the model so far."
        ),
    )
    logq: int = param(
        1,
        title="logQ correction",
        unit="x log q",
        ge=-1,
        le=1,
        group="training",
        help="Taken from each logit in training, q being how often the item is a candidate. 1 corrects, 0 does not, -1 is a wrong sign.",
    )
    batch: int = param(512, title="Batch", unit="rows", ge=64, le=4096, scale="log", group="training", help="Positives a step.")
    n_uniform: int = param(
        256,
        title="Uniform negatives",
        unit="items",
        ge=0,
        le=4096,
        group="training",
        soft=(0, 1024),
        shown_when={"negatives": ("uniform", "mixed")},
        help="Drawn evenly from all items at each step, shared by the batch.",
    )
    n_hard: int = param(
        16,
        title="Hard negatives",
        unit="items",
        ge=0,
        le=128,
        group="training",
        shown_when={"negatives": ("hard",)},
        help="Drawn for each row from the viewer's own top 100.",
    )
    epochs: int = param(2, title="Passes over the log", unit="passes", ge=1, le=8, group="training", help="Epochs.")
    dim: int = param(16, title="Width", unit="dimensions", ge=4, le=128, scale="log", group="training", help="Of both towers' vectors.")
    user_tower: Literal["id", "history", "none"] = param(
        "id",
        title="User tower",
        group="towers",
        labels={"id": "viewer id", "history": "watch history", "none": "nothing"},
        help=(
            "What a viewer's vector is made from: one of their own, the items they watched (the lists then go to newcomers whom the "
            "model never saw), or nothing at all."
        ),
    )
    history_len: int = param(
        20,
        title="Items known at serving",
        unit="items",
        ge=0,
        le=20,
        group="towers",
        shown_when={"user_tower": ("history",)},
        help="How much of a newcomer's history is there when the list is made.",
    )
    history_dropout: bool = param(
        True,
        title="History dropout",
        group="towers",
        shown_when={"user_tower": ("history",)},
        help="Training histories are cut to a random length, none included, so that the tower learns what to do with short ones.",
    )
    demographics: bool = param(
        True,
        title="Demographic group",
        group="towers",
        shown_when={"user_tower": ("history",)},
        help="The tower is told which of twelve groups a viewer belongs to; a group explains half of the variance of tastes.",
    )
    item_content: bool = param(
        True, title="Content features", group="towers", help="The item tower reads eight noisy numbers that title and picture tell."
    )
    quota_two_tower: int = _quota(100, "Two towers", "Slots of the two-tower model.")
    quota_co_watch: int = _quota(0, "Co-watch", "Slots for what the watchers of the same items watched.")
    quota_fresh: int = _quota(0, "Fresh and subscribed", "Slots for items under a day old: subscribed channels first, then by views.")
    quota_trending: int = _quota(0, "Trending", "Slots for older items whose views of the last hour exceed what the log expects.")
    k: int = param(100, title="Candidates", unit="items", ge=20, le=1000, scale="log", group="sources", help="Handed to the ranker.")
    index: Literal["exact", "hnsw", "ivf"] = param(
        "exact",
        title="Index",
        group="serving",
        labels={"exact": "exact", "hnsw": "HNSW", "ivf": "IVF"},
        help="How the towers' list is found: all items compared, a graph (M 16), or 64 cells of which 8 are visited.",
    )
    viewer: int = param(0, title="Viewer shown", unit="viewer", ge=0, le=1499, group="serving", help="Whose list is drawn slot by slot.")
    zipf: float = param(
        1.0, title="Popularity", unit="exponent", ge=0.3, le=1.5, step=0.05, group="world", help="An item's weight is rank to minus this."
    )
    fresh_share: float = param(
        0.12, title="Choices that are fresh", ge=0, le=0.4, step=0.01, group="world", help="Share of next choices under a day old."
    )
    trend_share: float = param(
        0.10, title="Choices that trend", ge=0, le=0.3, step=0.01, group="world", help="Share of next choices among 20 trending items."
    )
    rows: int = param(
        200_000, title="Log", unit="rows", ge=20_000, le=500_000, scale="log", group="world", help="Choices the models learn from."
    )
    viewers: int = param(
        1_500, title="Viewers", unit="viewers", ge=200, le=3_000, scale="log", group="world", help="Who made the log and gets the lists."
    )
    split: Literal["time", "random", "leave_last"] = param(
        "time",
        title="Held out",
        group="own data",
        labels={"time": "last 20 %", "random": "random 20 %", "leave_last": "last of each"},
        help="Of your own ratings: what the lists are judged by. A random split lets the model learn from the future.",
    )
    positive_at: float = param(
        4.0,
        title="Positive from",
        unit="rating",
        ge=0,
        le=100,
        soft=(0, 10),
        step=0.5,
        group="own data",
        help="Lower ones are left out.",
    )

    @property
    def quotas(self) -> dict[str, int]:
        """Slots of each source among k."""
        return {name: self.k * int(getattr(self, f"quota_{name}")) // 100 for name in SOURCES}

    @model_validator(mode="after")
    def _slots(self) -> RetrievalParams:
        total = sum(getattr(self, f"quota_{name}") for name in SOURCES)
        if total > 100:
            raise ValueError(
                f"The quotas sum to {total}, k is {self.k}: they are slots of every 100 candidates; expected at most 100 together."
            )
        if not any(self.quotas.values()):
            raise ValueError(f"The quotas sum to {total} of every 100 candidates, none of {self.k}; expected a slot for one source.")
        return self

    @model_validator(mode="after")
    def _work(self) -> RetrievalParams:
        if self.negatives == "uniform" and not self.n_uniform:
            raise ValueError("Uniform negatives: 0 items were given; expected 1 or more, or there is nothing to compare a choice with.")
        columns = {"in_batch": self.batch, "hard": self.batch + self.n_hard, "uniform": self.n_uniform}
        pairs = self.rows * self.epochs * columns.get(self.negatives, self.batch + self.n_uniform)
        steps = self.rows * self.epochs // self.batch
        if steps > MOST_STEPS:
            raise ValueError(
                f"{steps:,} steps of {self.batch} rows were asked for; expected at most {MOST_STEPS:,}: "
                "a larger batch, fewer passes or rows."
            )
        most = 32 * MOST_PAIRS / (self.dim + 16)
        if pairs > most:
            raise ValueError(
                f"{pairs:.2g} scored pairs of {self.dim} dimensions were asked for; expected at most {most:.2g}: a smaller batch, fewer "
                "negatives, passes, rows or dimensions."
            )
        return self
