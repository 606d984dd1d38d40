"""What the lab `filters` shows: metrics, figures and tables of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simulators.engines.ann.filters import plan_filter
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.vector_search._filter_runs import COLOURS, LABELS, GridPoint, Run
from simulators.vector_search._filter_world import Bitmaps, percent
from simulators.vector_search._vectors import K

Curves = Mapping[str, Sequence[GridPoint]]  # by strategy
NOTHING_PASSES = "No vector passes this filter, so there is nothing to find and recall is undefined."
NUMPY = "This walk is written in numpy: compare its distance evaluations, not its time."
DOTS = "This run"
BINS = (0.0005, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


def run_metrics(run: Run, listed: Run) -> list[Metric]:
    """Metrics of a strategy; `listed` is pre-filtering of the same queries in the same run."""
    name, series = run.setup.strategy, run.setup.label
    note = "" if run.defined else NOTHING_PASSES
    cost = run.cost_share
    return [
        Metric(f"recall@{name}", f"Recall@{K}", run.mean_recall, "share", "up", run.interval, limit=1.0, limit_label="all matches compared",
               series=series, note=note),
        Metric(f"worst_recall@{name}", f"Recall@{K}, worst class of filter", run.worst_recall, "share", "up", limit=1.0,
               limit_label="all matches compared", series=series, note=note),
        Metric(f"returned@{name}", f"Results returned of {K}", float(run.returned.mean()), "results", "up",
               limit=float(np.minimum(K, run.matches).mean()), limit_label="matches there are, at most ten", series=series),
        Metric(f"short@{name}", "Short answers", float(run.short.mean()), "share", "down", series=series),
        Metric(f"empty@{name}", "Empty answers", float(((run.returned == 0) & (run.matches > 0)).mean()), "share", "down", series=series),
        Metric(f"evaluations@{name}", "Distance evaluations", float(run.evaluations.mean()), "distances/query", "down", series=series),
        Metric(f"cost_share@{name}", "Distance evaluations against pre-filtering everything", cost, "share", "down", series=series,
               note="" if cost is not None else NOTHING_PASSES),
        *time_metrics(run, listed),
    ]  # fmt: skip


def time_metrics(run: Run, listed: Run) -> list[Metric]:
    name, series = run.setup.strategy, run.setup.label
    seconds, exact = run.seconds, listed.seconds[: len(run.seconds)]
    note = NUMPY if run.setup.search.get("stop") == "two_hop" else ""
    milliseconds = float(np.median(seconds) * 1e3)
    return [
        Metric(f"qps@{name}", "Throughput of one thread", float(1 / seconds.mean()), "queries/s", "up", measured=True, series=series,
               note=note),
        Metric(f"p50_ms@{name}", "Latency, median", milliseconds, "ms", "down", measured=True, series=series, note=note),
        Metric(f"latency_share@{name}", "Mean latency against pre-filtering everything", float(seconds.mean() / exact.mean()), "share",
               "down", measured=True, series=series, note=note),
    ]  # fmt: skip


# --- figures ---------------------------------------------------------------------------------------------------------


def recall_figure(curves: Curves, runs: Sequence[Run]) -> Figure:
    """Recall against the share that passes: a curve a strategy, a dot where the run's own filters lie."""
    dots = [_dots(run, run.recall) for run in runs if run.defined]
    lines = [_curve(name, points, [p.recall for p in points], "recall") for name, points in curves.items()]
    title, summary = _recall_words(runs)
    axis = Axis(f"Recall@{K}", "share", range=(0, 1.05))
    return _marked(line_figure("recall", title, summary, [*lines, *dots], _share_axis(), axis), runs)


def cost_figure(curves: Curves, runs: Sequence[Run]) -> Figure:
    """Distance evaluations against the share that passes, with the line of comparing every match."""
    shares = [p.share for p in next(iter(curves.values()), ())] or [0.001, 1.0]
    oracle = Series("All matches compared", shares, [share * runs[0].n for share in shares], mode="lines", truth=True)
    dots = [_dots(run, run.evaluations) for run in runs]
    lines = [_curve(name, points, [p.evaluations for p in points], "distances") for name, points in curves.items() if name != "pre"]
    cheapest = min(runs, key=lambda run: float(run.evaluations.mean()))
    fewest = "the fewest distances here: " if len(runs) > 1 else "on average "
    title = f"{cheapest.setup.label} computes {fewest}{cheapest.evaluations.mean():,.0f} a query"
    good = [run for run in runs if (run.worst_recall or 0) >= 0.95]
    if good and cheapest not in good:
        best = min(good, key=lambda run: float(run.evaluations.mean()))
        title = f"Cheapest at recall 0.95 or more: {best.setup.label.lower()}, {best.evaluations.mean():,.0f} distances a query"
    summary = "; ".join(f"{run.setup.label}: {run.evaluations.mean():,.0f} distances a query" for run in runs)
    figure = line_figure("cost", title, summary, [oracle, *lines, *dots], _share_axis(), Axis("Distance evaluations", "a query", "log"))
    return _marked(figure, runs)


def returned_figure(curves: Curves, runs: Sequence[Run], plain: bool) -> Figure:
    """How many results come back. `plain`: inline is a walk of constant cost through random filters, so that what it can meet is known."""
    lines = [_curve(name, points, [p.returned for p in points], f"of {K}") for name, points in curves.items()]
    walks = curves.get("inline", ()) if plain else ()
    met = [min(K, p.evaluations * p.share) for p in walks]
    expected = [Series("Nodes the walk compares x s", [p.share for p in walks], met, truth=True, mode="lines")] if walks else []
    summary = "; ".join(f"{run.setup.label}: {run.returned.mean():.1f} results of {K}" for run in runs)
    dots = [_dots(run, run.returned) for run in runs]
    axis = Axis("Results returned", f"of {K}", range=(0, K + 0.5))
    return _marked(line_figure("returned", _returned_words(runs, plain), summary, [*expected, *lines, *dots], _share_axis(), axis), runs)


def _returned_words(runs: Sequence[Run], plain: bool) -> str:
    worst = min(runs, key=lambda run: float(run.returned.mean()))
    if worst.short.mean() < 0.005:
        return f"Every answer is complete: {K} results, or as many as there are matches"
    title = f"{worst.setup.label} returns {worst.returned.mean():.1f} of {K}"
    if plain and worst.setup.strategy == "inline" and len(worst.by_group()) == 1:
        compared, share = worst.evaluations.mean(), worst.matches.mean() / worst.n
        title += f": it compares {compared:,.0f} nodes, and at s = {percent(share)} about {compared * share:.2g} pass"
    return title


def histogram_figure(filters: Bitmaps, plan_pre: float, plan_post: float, ef_search: int) -> Figure:
    """Selectivity histogram of the workload, coloured by what the planner chooses."""
    plans = [plan_filter(filters.mask(i), K, ef_search=ef_search, plan_pre=plan_pre, plan_post=plan_post) for i in range(len(filters))]
    shares = filters.shares()
    names = [f"{100 * low:g}\u2013{100 * high:g} %" for low, high in zip(BINS, BINS[1:], strict=False)]
    place = _bins(shares)
    chosen = np.array([plan.strategy for plan in plans])
    bars = [
        Series(LABELS[name], names, np.bincount(place[chosen == name], minlength=len(names)).tolist(), colour=COLOURS[name])
        for name in ("pre", "inline", "post")
    ]
    counts = {LABELS[name]: int((chosen == name).sum()) for name in ("pre", "inline", "post")}
    narrow = float((shares < plan_pre).mean())
    title = f"{narrow:.0%} of the queries pass less than {percent(plan_pre)} of the vectors: the planner lists the matches"
    summary = ", ".join(f"{name} for {count} queries" for name, count in counts.items())
    return bar_figure("histogram", title, summary, bars, Axis("Share of vectors that pass"), Axis("Queries", "count"), stacked=True)


def _share_axis() -> Axis:
    return Axis("Share of vectors that pass, s", type="log", percent=True)


def _curve(name: str, points: Sequence[GridPoint], values: Sequence[float], unit: str) -> Series:
    text = [f"{LABELS[name]} at s = {percent(p.share)}: {value:,.3g} {unit}" for p, value in zip(points, values, strict=True)]
    return Series(LABELS[name], [p.share for p in points], values, colour=COLOURS[name], mode="lines", text=text)


def _dots(run: Run, values: np.ndarray) -> Series:
    """The run's own queries: a dot for each bin of shares they fall into."""
    shares = run.matches / run.n
    rows = [found for place in np.unique(_bins(shares)) if len(found := np.flatnonzero((_bins(shares) == place) & ~np.isnan(values)))]
    xs = [float(shares[found].mean()) for found in rows if shares[found].any()]
    ys = [float(values[found].mean()) for found in rows if shares[found].any()]
    text = [f"{run.setup.label}, this run at s = {percent(x)}: {y:,.3g}" for x, y in zip(xs, ys, strict=True)]
    return Series(DOTS, xs, ys, mode="markers", colour=COLOURS[run.setup.strategy], text=text)


def _bins(shares: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(BINS, shares, side="right") - 1, 0, len(BINS) - 2)


def _marked(figure: Figure, runs: Sequence[Run]) -> Figure:
    """The dots without entries of their own in the legend, since they have their curve's colour; the share, where it is one, as a line."""
    for trace in figure.plot["data"]:
        if trace["name"] == DOTS:
            trace["showlegend"] = False
    shares = runs[0].matches / runs[0].n
    if np.ptp(shares) == 0 and shares[0] > 0:
        with_line(figure, label=f"s = {percent(float(shares[0]))}", x=float(shares[0]))
        side = "right" if shares[0] > 0.1 else "left"  # towards the middle, where there is room on a phone
        figure.plot["layout"]["shapes"][-1]["label"] |= {"textangle": 0, "textposition": "start", "xanchor": side, "yanchor": "bottom"}
    return figure


def _recall_words(runs: Sequence[Run]) -> tuple[str, str]:
    known = [run for run in runs if run.mean_recall is not None]
    if not known:
        return "No vector passes", NOTHING_PASSES
    summary = "; ".join(f"{run.setup.label}: recall {run.mean_recall:.3f}" for run in known)
    best, worst = (choose(known, key=lambda run: run.worst_recall or 0.0) for choose in (max, min))
    where = " in the worst class" if len(best.by_group()) > 1 else ""
    if best is worst:
        return f"{best.setup.label} finds {best.worst_recall:.2f} of the neighbours{where}", summary
    if (worst.worst_recall or 0) >= 0.95:
        return f"Every strategy finds {worst.worst_recall:.2f} of the neighbours or more{where}", summary
    one, other = best.setup.label, worst.setup.label.lower()
    return f"{one} finds {best.worst_recall:.2f} of the neighbours{where}, {other} {worst.worst_recall:.2f}", summary


# --- tables ----------------------------------------------------------------------------------------------------------


def class_table(runs: Sequence[Run]) -> Table:
    columns = ("Bitmaps", "Share passing (%)", "Strategy", "Queries", f"Recall@{K} (share)", f"Returned (of {K})", "Short answers (share)",
               "Distances (a query)", "Median (ms)")  # fmt: skip
    rows = [
        (
            name,
            round(float(100 * run.matches[found].mean() / run.n), 3),
            run.setup.label,
            len(found),
            None if np.isnan(run.recall[found]).all() else round(float(np.nanmean(run.recall[found])), 4),
            round(float(run.returned[found].mean()), 2),
            round(float(run.short[found].mean()), 3),
            round(float(run.evaluations[found].mean()), 1),
            round(float(np.median(run.seconds[found]) * 1e3), 4),
        )
        for run in runs
        for name, found in run.by_group().items()
    ]
    return Table("classes", "The numbers of this run, by class of filter", columns, tuple(rows))


def grid_table(curves: Curves) -> Table:
    columns = ("Strategy", "Share passing (%)", f"Recall@{K} (share)", f"Returned (of {K})", "Distances (a query)")
    rows = tuple(
        (LABELS[name], round(100 * p.share, 3), round(p.recall, 4), round(p.returned, 2), round(p.evaluations, 1))
        for name, points in curves.items()
        for p in points
    )
    return Table("grid", "Recall and cost over the share that passes", columns, rows)
