"""Tiles, figures and tables of a study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table
from simulators.youtube_recs._retrieval_params import SOURCE_LABELS
from simulators.youtube_recs._retrieval_study import Slots, Study

COLOURS = {"two_tower": 0, "co_watch": 2, "fresh": 1, "trending": 4}
MINE, BEST = "these lists", "best possible lists"
ALONE = {"popularity": "popular items", "co_watch": "co-watch alone", "two_tower": "two towers alone"}
BYTES_A_NUMBER = 2  # bf16
SHOWN_SLOTS = 30
NOISE_SD = 2.0


# --- tiles ------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    mine, best, model = study.mine, study.best, study.trained.model
    mass, possible = 100 * float(mine.mass.mean()), 100 * float(best.mass.mean())
    error = 196 * float(mine.mass.std()) / len(mine.mass) ** 0.5
    head, width = 100 * best.share_of(study.head), float(study.params.dim)
    users, items = study.user_health, study.item_health
    return [
        Metric("of_oracle", "Choices caught, of the best lists", study.of_oracle(mine), "%", "up", limit=100.0, limit_label=BEST),
        Metric("mass", "Next choices in the list", mass, "%", "up", (mass - error, mass + error), limit=possible, limit_label=BEST),
        _part("fresh_mass", "Fresh choices caught", study, study.world.fresh, study.params.fresh_share, "fresh"),
        _part("trend_mass", "Trending choices caught", study, study.trends, study.params.trend_share, "trending"),
        _part("tail_mass", "Tail choices caught", study, study.tail, 1.0, "tail"),
        Metric("coverage", "Catalogue in some list", 100 * mine.coverage, "%", "up", limit=100 * best.coverage, limit_label=BEST),
        Metric("overlap", "Two viewers' lists in common", 100 * mine.overlap, "%", "down", limit=100 * best.overlap, limit_label=BEST),
        Metric("head_share", "Slots of the top 1 %", 100 * mine.share_of(study.head), "%", limit=head, limit_label=BEST),
        Metric("scored_pairs", "Pairs scored in training", float(model.scored_pairs), "pairs", "down"),
        Metric("vector_bytes", "An item's vector (bf16)", float(BYTES_A_NUMBER * study.params.dim), "B", "down"),
        Metric("index_recall", "Towers' list found by the index", 100 * study.found.recall, "%", "up", limit=100.0, limit_label="exact"),
        Metric("user_rank", "Directions of user vectors", users.effective_rank, "dimensions", "up", limit=width, limit_label="width"),
        _cosine(users.mean_cosine),
        Metric("item_rank", "Directions of item vectors", items.effective_rank, "dimensions", "up", limit=width, limit_label="width"),
        Metric("train_cpu_s", "Training", model.cpu_seconds, "CPU s", "down", measured=True),
    ]


def _part(key: str, label: str, study: Study, items: NDArray[np.bool_], share: float, name: str) -> Metric:
    if not share:
        return Metric(key, label, None, "%", "up", note=f"Nothing {name} is chosen in this world.")
    return Metric(key, label, 100 * study.mine.mass_of(items), "%", "up", limit=100 * study.best.mass_of(items), limit_label=BEST)


def _cosine(value: float) -> Metric:
    if np.isfinite(value):
        return Metric("user_cosine", "Mean cosine of two user vectors", value, "cosine", "down")
    return Metric("user_cosine", "Mean cosine of two user vectors", None, "cosine", "down", note="User vectors are 0.")


# --- figures ----------------------------------------------------------------------------------------------------------


def figures(study: Study) -> list[Figure]:
    return [caught_figure(study), viewer_figure(study), parts_figure(study), slots_figure(study), popularity_figure(study)]


def caught_figure(study: Study) -> Figure:
    """What each source alone and the merged lists catch, of what the best lists would."""
    lists = {ALONE[name]: slots for name, slots in study.alone.items()} | {MINE: study.mine}
    values = {name: study.of_oracle(slots) / 100 for name, slots in lists.items()}
    names = [*values, BEST][::-1]
    bars = [
        Series("lists", names[1:], [values[name] for name in names[1:]], colour=0, text=[f"{values[name]:.1%}" for name in names[1:]]),
        Series("truth", [BEST], [1.0], truth=True, text=["100%"]),
    ]
    figure = bar_figure(
        "caught",
        f"These lists catch {values[MINE]:.1%} of what the best {study.params.k:,} would",
        "; ".join(f"{name} {value:.1%}" for name, value in values.items()) + " of what lists that know every probability catch.",
        bars,
        Axis("Lists"),
        Axis("Next choices caught, of the best lists", percent=True, range=(0, 1.05)),
        horizontal=True,
    )
    figure.plot["layout"] |= {"barmode": "stack", "showlegend": False}
    return figure


def parts_figure(study: Study) -> Figure:
    """Choices caught among fresh, trending, tail and head items."""
    world, towers = study.world, study.alone["two_tower"]
    kinds = {"fresh": world.fresh, "trending": study.trends, "head": study.head, "tail": study.tail}
    if not study.params.trend_share:
        del kinds["trending"]
    if not study.params.fresh_share:
        del kinds["fresh"]
    names = list(kinds)
    lists = {"two towers alone": (towers, 5, False), MINE: (study.mine, 0, False), BEST: (study.best, 0, True)}
    values = {label: [slots.mass_of(items) for items in kinds.values()] for label, (slots, _, _) in lists.items()}
    bars = [
        Series(label, names, values[label], colour=colour, truth=truth, text=[f"{value:.0%}" for value in values[label]])
        for label, (_, colour, truth) in lists.items()
    ]
    worst = min(range(len(names)), key=lambda i: values[MINE][i] / max(values[BEST][i], 1e-9))
    return bar_figure(
        "parts",
        f"Weakest on {names[worst]} items: {values[MINE][worst]:.0%} of their choices, {values[BEST][worst]:.0%} at best",
        "; ".join(f"{label}: " + ", ".join(f"{n} {v:.0%}" for n, v in zip(names, values[label], strict=True)) for label in values) + ".",
        bars,
        Axis("Items"),
        Axis("Their next choices caught", percent=True, range=(0, 1.05)),
    )


def slots_figure(study: Study) -> Figure:
    """Slots a source fills, what it catches in them, and what goes without it."""
    names = study.sources
    total = study.mine.mass.sum()
    slots = [float(study.slots_of(name).mean()) for name in names]
    mass = [float((study.mine.p * study.slots_of(name)).sum() / total) for name in names]
    lost = [study.lost[name].points / study.of_oracle(study.mine) for name in names]
    labels = [SOURCE_LABELS[name] for name in names]
    bars = [
        Series(label, labels[::-1], values[::-1], colour=colour, text=[f"{value:.0%}" for value in values[::-1]])
        for label, values, colour in (("slots filled", slots, 5), ("choices caught", mass, 0), ("lost without it", lost, 1))
    ]
    said = "; ".join(
        f"{label}: {a:.0%} of the slots, {b:.0%} of the choices caught, {c:.1%} lost without it"
        for label, a, b, c in zip(labels, slots, mass, lost, strict=True)
    )
    best = max(range(len(names)), key=lambda i: mass[i] / max(slots[i], 1e-9))
    title = f"A slot of {labels[best]} catches most: {mass[best]:.0%} of the choices in {slots[best]:.0%} of the slots"
    if len(names) == 1:
        title = f"All slots are filled by {labels[0]}"
    share = Axis("Share of slots, of choices caught", percent=True)
    return bar_figure("slots", title, f"{said}.", bars, Axis("Source"), share, horizontal=True)


def popularity_figure(study: Study) -> Figure:
    """Where in the popularity ranks the slots go."""
    edges = np.unique(np.geomspace(1, study.world.n_items + 1, 13).astype(int))
    middles = [float(np.sqrt(low * (high - 1))) for low, high in zip(edges[:-1], edges[1:], strict=True)]

    def shares(slots: Slots) -> list[float]:
        counts = np.histogram(study.world.rank, bins=edges, weights=slots.counts)[0]
        return [float(value) for value in counts / counts.sum()]

    mine, best = shares(study.mine), shares(study.best)
    series = [
        Series("two towers alone", middles, shares(study.alone["two_tower"]), colour=5),
        Series(MINE, middles, mine, colour=0),
        Series(BEST, middles, best, truth=True),
    ]
    head = 100 * study.mine.share_of(study.head), 100 * study.best.share_of(study.head)
    return line_figure(
        "popularity",
        f"The top 1 % of the items get {head[0]:.0f} % of the slots, {head[1]:.0f} % at best",
        f"Share of slots by popularity rank in {len(middles)} groups of growing size; the top 1 % hold {head[0]:.1f} % of the slots.",
        series,
        Axis("Popularity rank in the log", "rank", type="log"),
        Axis("Slots", percent=True),
    )


def viewer_figure(study: Study) -> Figure:
    """One viewer's slots by source, and the chance of each; hovering says which item it is."""
    row, k = study.viewer, study.params.k
    ids, p = study.mine.ids[row], study.mine.p[row]
    best = np.sort(study.best.p[row])[::-1]
    floor = float(min(best[-1], p[p > 0].min() if (p > 0).any() else 1.0)) / 2
    series = []
    for name in study.sources:
        slots = np.flatnonzero(study.slots_of(name)[row])
        words = [_item_words(study, int(ids[slot]), row) for slot in slots]
        shown = np.maximum(p[slots], floor)
        series.append(Series(SOURCE_LABELS[name], (slots + 1).tolist(), shown.tolist(), "markers", COLOURS[name], text=words))
    series.append(Series("best possible", list(range(1, k + 1)), best.tolist(), "lines", truth=True))
    caught, possible = float(p.sum()), float(best.sum())
    number = study.params.viewer
    return line_figure(
        "viewer",
        f"Viewer {number:,}: the list catches {caught:.0%} of what may come next, {possible:.0%} is possible",
        f"Chance that viewer {number:,} watches the item of each slot next, by the source that filled it. "
        + "; ".join(f"{item.name}: {len(item.x)} slots" for item in series[:-1])
        + ".",
        series,
        Axis("Slot", "place"),
        Axis("Chance of being watched next", "probability", type="log"),
    )


def _item_words(study: Study, item: int, row: int) -> str:
    world = study.world
    age = world.age_days[item]
    told = f"item {item}, popularity rank {world.rank[item]:,}, {f'{24 * age:.0f} h' if age < 2 else f'{age:.0f} d'} old"
    if world.subscribed[row, world.channel[item]]:
        told += ", subscribed"
    if study.trends[item]:
        told += ", trending"
    return f"{told}: {world.p[row, item]:.3%}"


def history_figure(study: Study) -> Figure:
    """The towers on newcomers of whom more and more is known, against popularity."""
    lengths, values = list(study.by_history), [value / 100 for value in study.by_history.values()]
    popularity = study.of_oracle(study.alone["popularity"]) / 100
    passed = next((length for length, value in study.by_history.items() if value / 100 > popularity), None)
    title = (
        f"The towers pass popularity at {passed} items known"
        if passed is not None
        else f"At {lengths[-1]} items known the towers are still behind popularity"
    )
    series = [
        Series("two towers alone", lengths, values, colour=0),
        Series("popular items", lengths, [popularity] * len(lengths), "lines", colour=3),
        Series(BEST, lengths, [1.0] * len(lengths), "lines", truth=True),
    ]
    return line_figure(
        "history",
        title,
        ", ".join(f"{n} items: {v:.1%}" for n, v in zip(lengths, values, strict=True))
        + f" of the best lists; popular items {popularity:.1%}.",
        series,
        Axis("Items known of the newcomer", "items"),
        Axis("Next choices caught, of the best lists", percent=True),
    )


# --- tables -----------------------------------------------------------------------------------------------------------


def tables(study: Study) -> list[Table]:
    return [_sources_table(study), _viewer_table(study)]


def _sources_table(study: Study) -> Table:
    columns = (
        "Source",
        "Slots (%)",
        "Choices caught (% of next choices)",
        "Fresh ones (%)",
        "Trending ones (%)",
        "Lost without it (points of the best lists)",
        "Badge",
    )
    return Table("sources", "What each source brings", columns, tuple(_source_row(study, name) for name in study.sources))


def _source_row(study: Study, name: str) -> tuple[str | float | int | None, ...]:
    mine, slots, lost = study.mine, study.slots_of(name), study.lost[name]
    only = Slots(study.world, np.where(slots, mine.ids, -1))
    badge = "within noise" if abs(lost.points) < NOISE_SD * lost.noise else "better without it" if lost.points < 0 else ""
    return (
        SOURCE_LABELS[name],
        100 * float(slots.mean()),
        100 * float(only.mass.mean()),
        100 * only.mass_of(study.world.fresh) if study.params.fresh_share else None,
        100 * only.mass_of(study.trends) if study.params.trend_share else None,
        lost.points,
        badge,
    )


def _viewer_table(study: Study) -> Table:
    row, world = study.viewer, study.world
    place = np.empty(world.n_items, np.int64)
    place[np.argsort(-world.p[row], kind="stable")] = np.arange(1, world.n_items + 1)
    columns = ("Slot", "Item", "Source", "Chance (%)", "Rank among this viewer's best", "Popularity rank", "Age (d)", "Subscribed")
    names = list(study.ranked)
    rows = tuple(
        (
            slot + 1,
            f"item {item}",
            SOURCE_LABELS[names[study.merged.source[row, slot]]],
            100 * float(world.p[row, item]),
            int(place[item]),
            int(world.rank[item]),
            float(world.age_days[item]),
            "yes" if world.subscribed[row, world.channel[item]] else "",
        )
        for slot, item in enumerate(study.mine.ids[row])
        if item >= 0 and _shown(slot, len(study.mine.ids[row]))
    )
    return Table("viewer", f"Viewer {study.params.viewer:,}: slots of the list, {len(rows)} of {study.params.k:,}", columns, rows)


def _shown(slot: int, k: int) -> bool:
    """Every slot of a short list, evenly spaced ones of a long one."""
    return k <= SHOWN_SLOTS or (slot * SHOWN_SLOTS) // k != ((slot - 1) * SHOWN_SLOTS) // k
