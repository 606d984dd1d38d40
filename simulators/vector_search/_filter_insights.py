"""What the numbers of a run of `filters` say: the recommended strategy, then the failures and costs this run shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from simulators.lab import Insight
from simulators.vector_search._filter_runs import GridPoint, Run
from simulators.vector_search._filter_views import Curves
from simulators.vector_search._filter_world import percent
from simulators.vector_search._vectors import K

GOOD_RECALL = 0.95
POOR_RECALL = 0.9
MOVED = 0.1  # of recall, by correlation
OFTEN_SHORT = 0.05


def recommendation(runs: Sequence[Run]) -> Insight:
    """The cheapest strategy that serves every class of this run."""
    if not any(run.defined for run in runs):
        return Insight(
            "No vector passes: the answer is empty and says so, recall is undefined, and no search is needed.", "deep_dive", "empty"
        )
    good = [run for run in runs if (run.worst_recall or 0) >= GOOD_RECALL]
    if not good:
        best = max(runs, key=lambda run: run.worst_recall or 0)
        text = f"None of these strategies keeps recall {GOOD_RECALL}: the best, {best.setup.label.lower()}, finds {best.worst_recall:.2f}"
        return Insight(f"{text} in its worst class. Pre-filtering is always exact.", "deep_dive", "recommended")
    best = min(good, key=lambda run: float(run.evaluations.mean()))
    others = ", ".join(
        f"{run.setup.label.lower()} {run.worst_recall:.2f} for {run.evaluations.mean():,.0f}" for run in runs if run is not best
    )
    text = (
        f"Recommended here: {best.setup.label.lower()}, recall {best.worst_recall:.3f} for {best.evaluations.mean():,.0f} distances a query"
    )
    return Insight(f"{text}{f' (the others: {others})' if others else ''}.", "deep_dive", "recommended")


def effects(
    runs: Sequence[Run], curves: Curves, params: Any, usual: Mapping[str, GridPoint], plain: GridPoint | None, n: int
) -> Iterator[Insight]:
    """`usual`: a random filter of the same share; `plain`: a plain inline walk at this share, beside a two-hop one."""
    by_name = {run.setup.strategy: run for run in runs if run.defined}
    inline, post = by_name.get("inline"), by_name.get("post")
    if inline and params.index == "hnsw":
        yield from _starved(inline, params)
        yield from _accepted(inline, curves, params)
        yield from _two_hop(inline, plain, params)
    if post:
        yield from _post(post, params)
    yield from _short(by_name.values())
    yield from _correlation(by_name, usual, params)
    yield from _crossover(curves, n)
    yield from _planner(by_name.get("auto"))
    yield from _planner_gap(curves, params)


def _starved(inline: Run, params: Any) -> Iterator[Insight]:
    low = inline.worst_recall or 0.0
    if params.stop != "visited" or low >= POOR_RECALL:
        return
    share = inline.worst_share
    compared = float(inline.evaluations.mean())
    text = f"Inline search finds {low:.2f} with ef {params.ef_search}, because rejected nodes use it up: of {compared:,.0f} nodes compared"
    if compared * share < 2 * K:
        yield Insight(f"{text} about {compared * share:.2g} pass at s = {percent(share)}, whatever the query.", "deep_dive", "starved")
    else:
        yield Insight(f"{text} most are near and fail; what passes lies farther than the walk gets.", "deep_dive", "stops_early")


def _accepted(inline: Run, curves: Curves, params: Any) -> Iterator[Insight]:
    points = {point.share: point for point in curves.get("inline", ())}
    if params.stop != "accepted" or not {0.5, 0.01} <= points.keys():
        return
    ratio = points[0.01].evaluations / points[0.5].evaluations
    yield Insight(
        f"A walk that goes on until {params.ef_search} nodes pass keeps recall {inline.mean_recall:.2f} and pays in work: "
        f"{ratio:.0f} times as many distances at s = 1 % as at 50 %, up to the whole graph.",
        "deep_dive",
        "accepted",
    )


def _two_hop(inline: Run, plain: GridPoint | None, params: Any) -> Iterator[Insight]:
    if params.stop == "two_hop" and plain:
        yield Insight(
            f"Two-hop expansion compares only rows that pass: recall {inline.mean_recall:.2f} for {inline.evaluations.mean():,.0f} "
            f"distances, where the plain walk has {plain.recall:.2f} for {plain.evaluations:,.0f}.",
            "deep_dive",
            "two_hop",
        )


def _post(post: Run, params: Any) -> Iterator[Insight]:
    cost = post.cost_share or 0.0
    if (post.worst_recall or 0) >= GOOD_RECALL and cost > 2:
        text = f"Post-filtering gets there by fetching k x {params.oversample:g} / s neighbours and dropping most of them"
        yield Insight(f"{text}: {cost:.0f} times the distances of listing the matches.", "deep_dive", "post_cost")
    elif (post.worst_recall or 0) < POOR_RECALL:
        fetch = f"k x {params.oversample:g} / s neighbours, at most {params.post_cap:,}"
        yield Insight(
            f"Post-filtering finds {post.worst_recall:.2f}: it fetches {fetch}, and too few of the nearest pass.", "deep_dive", "post_fails"
        )


def _short(runs: Any) -> Iterator[Insight]:
    for run in runs:
        share = float(run.short.mean())
        if share > OFTEN_SHORT:
            empty = float((run.returned == 0).mean())
            text = f"{run.setup.label} answers {share:.0%} of the queries with fewer results than there are, {empty:.0%} with none"
            yield Insight(f"{text}: say so in the reply, since a short list looks honest.", "evaluation", "short_answers")


def _correlation(by_name: Mapping[str, Run], usual: Mapping[str, GridPoint], params: Any) -> Iterator[Insight]:
    moved = [
        f"{run.setup.label.lower()} {usual[name].recall:.2f} to {run.mean_recall:.2f}"
        for name, run in by_name.items()
        if name in usual and run.mean_recall is not None and abs(run.mean_recall - usual[name].recall) > MOVED
    ]
    where = {"negative": "away from", "positive": "around"}.get(params.correlation, "")
    if moved:
        text = f"The same share, with matches {where} the query instead of spread evenly, moves recall: {'; '.join(moved)}"
        yield Insight(f"{text}. A benchmark with random filters does not see it.", "evaluation", "correlation")
    elif params.correlation == "random" and params.workload == "single":
        yield Insight(
            "This filter is independent of the query, which real ones seldom are: try a negative correlation at the same share.",
            "evaluation",
            "trap",
        )


def _crossover(curves: Curves, n: int) -> Iterator[Insight]:
    walks = curves.get("inline", ())
    cheaper = [p.share for p in walks if p.recall >= GOOD_RECALL and p.evaluations < p.share * n]
    if cheaper and min(cheaper) < 1:
        text = f"Below s of about {percent(min(cheaper))} no inline search of this setting is good and cheaper than listing the matches"
        yield Insight(f"{text} of {n:,} vectors; the more vectors, the lower that share.", "capacity", "crossover")


def _planner(auto: Run | None) -> Iterator[Insight]:
    if auto is None or len(auto.by_group()) < 2:
        return
    plans = np.array([answer.plan for answer in auto.answers])
    counts = ", ".join(f"{name} for {(plans == name).mean():.0%}" for name in ("pre", "inline", "post") if (plans == name).any())
    text = f"The planner takes {counts} of the queries: recall {auto.worst_recall:.2f} in the worst class for {auto.cost_share:.0%}"
    yield Insight(f"{text} of the distances that pre-filtering everything computes.", "deep_dive", "planner")


def _planner_gap(curves: Curves, params: Any) -> Iterator[Insight]:
    weakest = min(curves.get("auto", ()), key=lambda point: point.recall, default=None)
    if weakest and weakest.recall < GOOD_RECALL and weakest.share >= params.plan_pre:
        where = f"at s = {percent(weakest.share)} it finds {weakest.recall:.2f}, because it does not list the matches"
        yield Insight(
            f"The planner's thresholds leave a gap: {where}. Raise the threshold for pre-filtering, or search wider.",
            "deep_dive",
            "planner_gap",
        )
