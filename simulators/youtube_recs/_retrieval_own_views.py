"""Tiles, figures, table and words for the user's own ratings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulators.figures import Axis, Series, line_figure
from simulators.lab import Figure, Insight, Metric, Table
from simulators.youtube_recs._retrieval_params import SOURCE_LABELS
from simulators.youtube_recs._retrieval_views import COLOURS

if TYPE_CHECKING:
    from simulators.engines.ranking.data.ratings import Ratings
    from simulators.youtube_recs._retrieval_own import Lists, Own

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
CUTS = (10, 50, 100)
LABELS = {"popularity": "popular items", "co_watch": "co-watch alone", "two_tower": "two towers alone", "mine": "these lists"}
INKS = {"popularity": 3, "co_watch": 2, "two_tower": 5, "mine": 0}
HIT = "Viewers with a held-out choice in the list"


def _interval(hits: Flags) -> tuple[float, float, float]:
    """Share, and its Wilson interval of 95 %."""
    n, rate, z = len(hits), float(hits.mean()), 1.96
    middle, half = (rate + z * z / (2 * n)) / (1 + z * z / n), z * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return rate, min(rate, middle - half), max(rate, middle + half)


def metrics(own: Own) -> list[Metric]:
    mine = own.lists["mine"]
    found = []
    for k in CUTS:
        rate, low, high = _interval(mine.hits(k))
        found.append(Metric(f"hit_rate_{k}", f"Hit rate at {k}", 100 * rate, "%", "up", (100 * low, 100 * high)))
    cosine, rank = own.health
    return [
        *found,
        Metric("recall_100", "Held-out choices in the first 100", 100 * mine.recall(100), "%", "up"),
        Metric("coverage", "Catalogue in some list of 100", 100 * mine.coverage(100, own.split.n_items), "%", "up"),
        Metric("cold_users", "Viewers without a row in training", 100 * float(own.cold.mean()), "%"),
        Metric("unseen", "Held-out choices of items not in training", 100 * own.unseen, "%"),
        Metric("user_rank", "Directions the user vectors use", rank, "dimensions", "up", limit=float(own.params.dim), limit_label="width"),
        Metric("user_cosine", "Mean cosine of two user vectors", cosine, "cosine", "down")
        if np.isfinite(cosine)
        else Metric("user_cosine", "Mean cosine of two user vectors", None, "cosine", note="There is one user."),
        Metric("scored_pairs", "Pairs scored in training", float(own.trained.model.scored_pairs), "pairs", "down"),
        Metric("train_cpu_s", "Training", own.trained.model.cpu_seconds, "CPU s", "down", measured=True),
    ]


def hits_figure(own: Own) -> Figure:
    rates = {name: [_interval(lists.hits(k)) for k in CUTS] for name, lists in own.lists.items()}
    series = [
        Series(
            LABELS[name],
            list(CUTS),
            [rate for rate, _, _ in found],
            colour=INKS[name],
            low=[low for _, low, _ in found],
            high=[high for _, _, high in found],
        )
        for name, found in rates.items()
    ]
    mine, popular = rates["mine"][-1][0], rates["popularity"][-1][0]
    words = [
        f"{LABELS[name]} " + ", ".join(f"{rate:.1%} at {k}" for k, (rate, _, _) in zip(CUTS, found, strict=True))
        for name, found in rates.items()
    ]
    return line_figure(
        "hits",
        f"{mine:.0%} of the viewers find a held-out choice in 100, {popular:.0%} by popular items",
        f"Hit rates: {'; '.join(words)}.",
        series,
        Axis("Slots of the list", "items", type="log"),
        Axis(HIT, percent=True),
    )


def popularity_figure(own: Own) -> Figure:
    """Where in the popularity ranks the slots go; what was held out is what they should match."""
    n = own.split.n_items
    rank = np.empty(n, np.int64)
    rank[np.argsort(-own.popularity, kind="stable")] = np.arange(1, n + 1)
    edges = np.unique(np.geomspace(1, n + 1, 11).astype(int))
    middles = [float(np.sqrt(low * (high - 1))) for low, high in zip(edges[:-1], edges[1:], strict=True)]

    def shares(counts: Ints) -> list[float]:
        found = np.histogram(rank, bins=edges, weights=counts)[0]
        return [float(value) for value in found / max(1.0, found.sum())]

    held = np.bincount(own.split.item[own.split.held], minlength=n)
    series = [Series(LABELS[name], middles, shares(own.lists[name].counts(100, n)), colour=INKS[name]) for name in ("two_tower", "mine")]
    series.append(Series("held-out choices", middles, shares(held), truth=True))
    top = edges[len(edges) // 2] - 1
    counts = own.lists["mine"].counts(100, n)
    mine, chosen = float(counts[rank <= top].sum() / max(1, counts.sum())), float(held[rank <= top].sum() / held.sum())
    return line_figure(
        "popularity",
        f"The {top:,} most popular items get {mine:.0%} of the slots and {chosen:.0%} of the choices",
        f"Share of slots and of held-out choices by popularity rank in {len(middles)} groups of growing size.",
        series,
        Axis("Popularity rank in training", "rank", type="log"),
        Axis("Slots, held-out choices", percent=True),
    )


def viewer_figure(own: Own) -> Figure:
    row = own.params.viewer % len(own.viewers)
    lists, name = own.lists["mine"], str(own.split.user_names[own.viewers[row]])[:40]
    rank = np.empty(own.split.n_items, np.int64)
    rank[np.argsort(-own.popularity, kind="stable")] = np.arange(1, own.split.n_items + 1)
    series = []
    for place, source in enumerate(own.sources):
        slots = np.flatnonzero((own.source[row] == place) & ~lists.held[row])
        series.append(_slots(own, row, SOURCE_LABELS[source], slots, rank, COLOURS[source]))
    series.append(_slots(own, row, "held out: found", np.flatnonzero(lists.held[row]), rank, 1))
    found, wanted = int(lists.held[row].sum()), int(lists.wanted[row])
    return line_figure(
        "viewer",
        f"User {name}: {found} of {wanted} held-out choices are among {lists.ids.shape[1]:,}",
        f"Slots of user {name} by the source that filled them; {found} of {wanted} held-out choices are found.",
        [item for item in series if len(item.x)],
        Axis("Slot", "place"),
        Axis("Popularity rank of the item", "rank", type="log"),
    )


def _slots(own: Own, row: int, label: str, slots: Ints, rank: Ints, colour: int) -> Series:
    ids = own.lists["mine"].ids[row]
    slots = slots[ids[slots] >= 0]
    ranks = rank[ids[slots]]
    words = [
        f"{label}: item {own.split.item_names[item]}, popularity rank {place:,}" for item, place in zip(ids[slots], ranks, strict=True)
    ]
    return Series(label, (slots + 1).tolist(), ranks.tolist(), "markers", colour, text=words)


def lists_table(own: Own) -> Table:
    columns = (
        "Lists",
        *(f"Hit rate at {k} (%)" for k in CUTS),
        "Recall at 100 (%)",
        "Catalogue in lists of 100 (%)",
        "Hit rate at 100 of viewers never seen (%)",
    )
    return Table("lists", "Lists against what was held out", columns, tuple(_row(own, name, lists) for name, lists in own.lists.items()))


def _row(own: Own, name: str, lists: Lists) -> tuple[str | float | int | None, ...]:
    cold = 100 * float(lists.hits(100)[own.cold].mean()) if own.cold.any() else None
    rates = [100 * float(lists.hits(k).mean()) for k in CUTS]
    return (LABELS[name], *rates, 100 * lists.recall(100), 100 * lists.coverage(100, own.split.n_items), cold)


def insights(own: Own) -> list[Insight]:
    mine, popular, co_watch = (own.lists[name].hits(100) for name in ("mine", "popularity", "co_watch"))
    found = [_compared(mine, popular, "popular items", "own_popularity"), _compared(mine, co_watch, "co-watch", "own_co_watch")]
    if own.cold.any():
        found.append(
            Insight(
                f"{own.cold.mean():.0%} of the viewers judged have no row in training; a random split would hardly have one of them.",
                "evaluation",
                "own_cold",
            )
        )
    if own.params.logq != 1 and own.params.negatives != "uniform":
        found.append(
            Insight(
                f"The log q correction is set to {own.params.logq}: with 1 the towers can show popular items as often as they are chosen.",
                "deep_dive",
                "own_logq",
            )
        )
    return found


def _compared(mine: Flags, other: Flags, name: str, effect: str) -> Insight:
    difference = mine.astype(float) - other
    points, noise = 100 * float(difference.mean()), 100 * float(difference.std() / np.sqrt(len(difference)))
    rates = f"{mine.mean():.1%} of the viewers find a held-out choice among 100 candidates, by {name} {other.mean():.1%}"
    verdict = "which is within noise" if abs(points) < 2 * noise else f"a difference of {points:+.1f} points"
    return Insight(f"{rates}, {verdict}.", "evaluation", effect)


def notes(own: Own, ratings: Ratings) -> list[str]:
    total = int(own.split.held.sum())
    said = [
        f"{len(own.split.item):,} positives of {own.split.n_users:,} users and {own.split.n_items:,} items; {total:,} are held out and "
        "never trained on. Lists leave out what a viewer chose in training.",
        "Ratings have no upload times, views or content, so fresh, trending, content features and the index are not used; their slots go "
        "to the others.",
    ]
    if own.left_out:
        said.append(f"Judged by {len(own.viewers):,} viewers drawn from {len(own.viewers) + own.left_out:,} with a held-out choice.")
    if own.cold.any() and own.params.user_tower == "id":
        said.append("Viewers without a row in training get popular items from every source.")
    if ratings.time is None:
        said.append("The file has no timestamps: a random split lets models learn from choices made later.")
    return said
