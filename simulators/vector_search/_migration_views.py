"""What the lab `model_migration` shows: metrics, figures, tables and sentences of a plan's curve."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from simulators.engines.ann.truth import mean_interval
from simulators.engines.ann.versions import Scale, score_scale
from simulators.figures import Axis, Series, histogram_figure, line_figure
from simulators.lab import Figure, Insight, Metric, Table
from simulators.vector_search._migration_plans import GPU_RATE, LABELS, Curve, Point, costs_of, window_hours
from simulators.vector_search._migration_world import Pair
from simulators.vector_search._vectors import K

PROGRESS_AXIS = Axis("Documents migrated", percent=True, range=(-0.03, 1.03))
SAFE = 0.95  # recall that counts as held
CLEAR = 0.02  # of recall: what a change must exceed to be called one
SCORE_SAMPLE = 2_000
BINS = 50
TENTH = 1  # index of the point at 10 %


def worst_of(curve: Curve) -> Point:
    return min(curve, key=lambda point: point.mean)


def cost_metrics(pair: Pair, params: Any) -> list[Metric]:
    """What arithmetic says before anything is searched."""
    cost = costs_of(params.plan, pair.growth, params.tenants)
    hours = window_hours(params.corpus, params.rate, params.doc_change)
    return [
        Metric("peak_memory", "Peak memory against the old index", cost.peak_memory, "x", "down", limit=1.0, limit_label="today"),
        Metric("hours", "Time to finish", hours, "h", "down"),
        Metric("query_cost", "Embeddings a query", cost.query_embeddings, "x", "down", limit=1.0, limit_label="one model"),
        Metric("gpus", "GPUs re-embedding", params.rate / GPU_RATE, "GPUs", "down", note=f"At {GPU_RATE:,} vectors a second each."),
    ]


def curve_metrics(curve: Curve) -> list[Metric]:
    worst = worst_of(curve)
    truth = "new index alone"
    metrics = [
        Metric(
            "recall_worst",
            f"Recall@{K} at the worst moment",
            worst.mean,
            "share",
            "up",
            ci=mean_interval(worst.recall),
            limit=1.0,
            limit_label=truth,
            note=f"At {worst.progress:.0%} migrated.",
        )
    ]
    for key, label, point in (
        ("recall_start", "before the first document moves", curve[0]),
        ("recall_tenth", "at 10% migrated", curve[TENTH]),
    ):
        metrics.append(
            Metric(key, f"Recall@{K} {label}", point.mean, "share", "up", ci=mean_interval(point.recall), limit=1.0, limit_label=truth)
        )
    tenth = Metric("new_share_tenth", "Results from new vectors at 10% migrated", curve[TENTH].new_share, "share", limit=0.1)
    return [*metrics, Metric(**{**vars(tenth), "limit_label": "their share of the documents"})]


# --- figures ---------------------------------------------------------------------------------------------------------


def recall_figure(plan: str, curve: Curve, rolling: Curve | None) -> Figure:
    """Recall over progress: the chosen plan, and the rolling change for contrast."""
    worst = worst_of(curve)
    series = [_series(LABELS[plan], curve, 1)]
    if rolling is not None and plan != "in_place":
        series.append(_series(LABELS["in_place"], rolling, 0))
    series.append(Series("New index alone", [0, 1], [1.0, 1.0], mode="lines", truth=True))
    title = f"{LABELS[plan]}: recall falls to {worst.mean:.2f} at {worst.progress:.0%} migrated"
    if worst.mean >= SAFE:
        title = f"{LABELS[plan]}: recall never falls below {worst.mean:.3f}"
    if worst.mean < SAFE and worst.progress == 0:
        title = f"{LABELS[plan]}: recall begins at {worst.mean:.2f} and rises"
    summary = "; ".join(f"{point.progress:.0%} migrated: recall {point.mean:.2f}" for point in curve)
    return line_figure("recall", title, summary, series, PROGRESS_AXIS, Axis(f"Recall@{K}", "share", range=(0, 1.05)))


def _series(name: str, curve: Curve, colour: int) -> Series:
    text = [f"{name}, {point.progress:.0%} migrated: recall {point.mean:.3f}" for point in curve]
    return Series(name, [point.progress for point in curve], [point.mean for point in curve], colour=colour, text=text)


def slots_figure(plan: str, curve: Curve) -> Figure:
    """Share of the results that new vectors fill, against their share of the documents."""
    steps = [point.progress for point in curve]
    tenth = curve[TENTH]
    title = f"At 10% migrated, new vectors fill {tenth.new_share:.0%} of the results"
    summary = "; ".join(f"{point.progress:.0%} migrated: {point.new_share:.0%} of the results" for point in curve)
    series = [
        Series(LABELS[plan], steps, [point.new_share for point in curve], colour=1),
        Series("Fair share", steps, steps, mode="lines", truth=True),
    ]
    return line_figure("slots", title, summary, series, PROGRESS_AXIS, Axis("Results that are new vectors", percent=True, range=(0, 1.05)))


def scores_figure(pair: Pair) -> Figure:
    """How the two models score the same pairs of query and document."""
    old, new = (_scores(base, queries) for base, queries in ((pair.old, pair.q_old), (pair.new, pair.q_new)))
    edges = np.linspace(min(old.min(), new.min()), max(old.max(), new.max()), BINS + 1)
    counts = [
        Series(name, [], (np.histogram(scores, edges)[0] / len(scores)).tolist(), colour=colour)
        for name, scores, colour in (("Old model", old, 0), ("New model", new, 1))
    ]
    title = f"The new model scores {new.mean():.2f} on average, the old one {old.mean():.2f}"
    if abs(new.mean() - old.mean()) < 0.1 * old.std():
        title = "Both models spread their scores alike"
    summary = f"Old model: mean {old.mean():.3f}, deviation {old.std():.3f}; new model: mean {new.mean():.3f}, deviation {new.std():.3f}"
    return histogram_figure(
        "scores",
        title,
        summary,
        edges.tolist(),
        counts,
        Axis("Score of a query and a document", "inner product"),
        Axis("Pairs", percent=True),
    )


def _scores(base: Any, queries: Any) -> Any:
    return (queries[:100] @ base[:: max(1, len(base) // SCORE_SAMPLE)].T).ravel()


def drift_figure(drift: Sequence[tuple[float, float]], degrees: float) -> Figure:
    """Recall when only the query model changes: no document has moved."""
    title = "New queries on the old index: the more the models differ, the less is found, and nothing raises an error"
    summary = "; ".join(f"{angle:g} degrees: recall {recall:.2f}" for angle, recall in drift)
    series = [Series("Query model changed alone", [angle for angle, _ in drift], [recall for _, recall in drift], colour=0)]
    here = [recall for angle, recall in drift if angle == degrees]
    series += [Series("This run", [degrees], here, mode="markers", colour=1)] if here else []
    return line_figure(
        "drift", title, summary, series, Axis("Angle between the models", "degrees"), Axis(f"Recall@{K}", "share", range=(0, 1.05))
    )


# --- tables ----------------------------------------------------------------------------------------------------------


def plans_table(pair: Pair, params: Any) -> Table:
    columns = ("Plan", "Peak memory (x old index)", "Embeddings a query (x)", "Way back")
    rows = []
    for plan, label in LABELS.items():
        cost = costs_of(plan, pair.growth, params.tenants)
        rows.append((label, round(cost.peak_memory, 3), cost.query_embeddings, cost.rollback))
    return Table("plans", "What each plan costs", columns, tuple(rows))


def curve_table(plan: str, curve: Curve) -> Table:
    rows = tuple((round(100 * point.progress), round(point.mean, 4), round(point.new_share, 4)) for point in curve)
    return Table(
        "curve", f"{LABELS[plan]}: recall over progress", ("Migrated (%)", f"Recall@{K} (share)", "Results from new vectors (share)"), rows
    )


# --- insights --------------------------------------------------------------------------------------------------------


def insights(pair: Pair, params: Any, curve: Curve, drift_here: float | None) -> Iterator[Insight]:
    worst, tenth, plan = worst_of(curve), curve[TENTH], params.plan
    if plan in ("in_place", "align"):
        yield from _one_index(params, curve, worst, tenth)
    if plan.startswith("dual_read"):
        yield dual_read(pair, plan, worst, tenth)
    if plan in ("blue_green", "per_tenant"):
        yield _whole_versions(pair, params, worst)
    if drift_here is not None and params.degrees:
        yield Insight(
            f"Forget to pin the query model and, with no document moved, recall is {drift_here:.2f} at {params.degrees:g} degrees: the "
            "vectors still have the right shape, so nothing fails loudly. Refuse queries of another version.",
            "evaluation",
            "query_drift",
        )
    yield _window(params)


def _one_index(params: Any, curve: Curve, worst: Point, tenth: Point) -> Iterator[Insight]:
    if params.plan == "align":
        yield _aligned(params, worst)
    elif worst.mean < curve[0].mean - CLEAR:
        ends = f"{curve[0].mean:.2f} before the first document moves and {curve[-1].mean:.2f} after the last"
        dip = f"at {worst.progress:.0%} migrated recall is {worst.mean:.2f}, against {ends}"
        yield Insight(f"One index with two versions is worse than either end: {dip}.", "evaluation", "mixing")
    if tenth.new_share > 0.2:
        yield Insight(
            f"New vectors are 10% of the documents and fill {tenth.new_share:.0%} of the results: a query of the new model scores its own "
            "kind higher, whatever the text says.",
            "evaluation",
            "slots",
        )


def _aligned(params: Any, worst: Point) -> Insight:
    if worst.mean >= SAFE:
        text = (
            f"Procrustes on {params.pairs} pairs makes old vectors readable for the new model: recall {worst.mean:.2f} throughout. A pure "
            "rotation flatters it, because an orthogonal map is then exactly right; two real models are not turned copies."
        )
        return Insight(text, "evaluation", "align_exact")
    why = "fewer pairs than directions leave some of the space unseen" if not params.mean_cosine else "no rotation can raise all cosines"
    return Insight(f"Procrustes on {params.pairs} pairs leaves recall at {worst.mean:.2f}: {why}.", "evaluation", "align_fails")


def dual_read(pair: Pair, plan: str, worst: Point, tenth: Point) -> Insight:
    old, new = scales(pair)
    if worst.mean >= SAFE:
        how = "scores of both versions compare" if plan == "dual_read" else "scores are put on one scale, version by version"
        text = (
            f"Dual read holds recall {worst.mean:.3f} throughout, at two embeddings a query: each version meets its own queries, and {how}."
        )
        return Insight(text, "evaluation", "dual_read")
    apart = f"the new model scores {new.mean:.2f} on average and the old one {old.mean:.2f}"
    most = max(tenth.new_share, 1 - tenth.new_share)
    text = (
        f"Dual read falls to {worst.mean:.2f}: {apart}, so at 10% migrated one version fills {most:.0%} of the results. "
        "Merge on scores normalised for each version."
    )
    return Insight(text, "evaluation", "scores_do_not_compare")


def scales(pair: Pair) -> tuple[Scale, Scale]:
    return score_scale(pair.old, pair.q_old), score_scale(pair.new, pair.q_new)


def _whole_versions(pair: Pair, params: Any, worst: Point) -> Insight:
    cost = costs_of(params.plan, pair.growth, params.tenants)
    if params.plan == "blue_green":
        text = (
            f"Blue-green never mixes versions: recall stays at {worst.mean:.3f} or better and the way back is instant, for "
            f"{cost.peak_memory:.1f} times the memory."
        )
        return Insight(text, "evaluation", "blue_green")
    text = (
        f"Tenant by tenant, no query meets two versions: recall stays at {worst.mean:.3f} or better. Memory peaks at "
        f"{cost.peak_memory:.2f} times, while the largest tenant stands twice. It works because a query stays within its tenant."
    )
    return Insight(text, "evaluation", "per_tenant")


def _window(params: Any) -> Insight:
    hours = window_hours(params.corpus, params.rate, params.doc_change)
    changed = params.corpus * params.doc_change / 100 * hours / 24
    text = f"{params.corpus:,} documents at {params.rate:,} vectors/s take {hours:,.1f} h"
    if changed:
        text += f", while {changed:,.0f} change: those that had moved are embedded twice"
    return Insight(f"{text}.", "capacity", "window")
