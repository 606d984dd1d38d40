"""Lab: pre-, post- and inline filtering over one index, and a planner that chooses, against the exact neighbours among what passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import model_validator

from simulators.engines.ann.filters import Strategy
from simulators.engines.ann.masks import Stop
from simulators.lab import Context, Figure, Frame, Lab, LabParams, Metric, Result, Steps, Working, param
from simulators.vector_search import _filter_insights as insights
from simulators.vector_search import _filter_stories as stories
from simulators.vector_search import _filter_views as views
from simulators.vector_search._filter_runs import (
    GRID,
    GRID_QUERIES,
    LABELS,
    LISTED,
    PASSES,
    GridPoint,
    Rig,
    Run,
    Setup,
    filter_index,
    first_run,
    flat_index,
    further_pass,
    grid_point,
    setup_of,
)
from simulators.vector_search._filter_world import (
    OWN_FILTERED,
    Bitmaps,
    Clustered,
    asked,
    clustered_world,
    drawn_filters,
    own_filters,
)
from simulators.vector_search._vectors import K

WALKING = {"index": ("hnsw",), "strategy": ("inline", "auto")}


class Filters(Lab):
    """Pre-, post- or inline filtering: which still returns ten right results at this selectivity and correlation?

    Every query carries a filter that a share **s** of the vectors passes. ("High selectivity" is used for large and for small s, so this
    page always prints the share that passes.)

    * **Pre-filter** lists the matching vectors and compares each: exact, s x n distances.
    * **Post-filter** fetches k x oversample / s neighbours, at most a cap, and drops what fails.
    * **Inline** searches the index among what passes. On a graph it matters when the walk stops. *Visited*: rejected nodes use up ef like
      any other, so cost stays and recall falls (faiss). *Accepted*: the walk goes on until ef nodes pass, so recall stays and cost grows
      as 1 / s, up to the whole graph (hnswlib; the same graph here). *Two hops*: only passing nodes up to two links away are compared
      (ACORN-1; in numpy, so compare its distances, not its time).
    * **Planner** estimates s on a sample of the attribute, lists below one threshold, post-filters above another, searches inline
      between, and lists the matches where an answer comes back short.

    **Correlation** says where matches lie. Random filters spread them evenly. A *negative* one takes whole clusters the query is not in (a
    document in another language), a *positive* one starts with the query's own cluster.

    Recall@10 counts against the exact ten nearest that pass, with a 95 % bootstrap interval over the queries; where fewer than ten pass,
    against those. Cost is counted in distance evaluations, which do not depend on the machine; times are medians of three passes on one
    thread, pre-filtering in the same run beside them. Listing matches or making a bitmap is the attribute index's work and is not timed.
    """

    title = "Filtered search"
    why = (
        "Every strategy fails somewhere, and silently: short lists or wrong ones. Correlation between filter and query moves the point "
        "where it fails by an order of magnitude, and benchmarks with random filters never see it."
    )
    exclusive = True
    engines = (
        "simulators.engines.ann.filters",
        "simulators.engines.ann.masks",
        "simulators.engines.ann.two_hop",
        "simulators.engines.ann.evaluations",
    )
    sources = (
        "Patel, Kraft, Guestrin & Zaharia 2024, ACORN, arXiv 2403.04871",
        "Malkov & Yashunin 2018, HNSW, arXiv 1603.09320",
        "Simhadri et al. 2024, Results of the Big ANN NeurIPS'23 competition, arXiv 2409.17424",
    )
    map_axes = ("cost_share", "worst_recall")
    data = OWN_FILTERED

    class Params(LabParams):
        workload: Literal["single", "classes", "product"] = param(
            "single",
            title="Workload",
            group="filter",
            labels={"single": "one share", "classes": "50, 10, 1 and 0.1 % in equal parts", "product": "tenants, time ranges, categories"},
            help="One share for all queries, or a mix. Tenants and time ranges are random filters; categories follow the correlation.",
        )
        strategy: tuple[Strategy, ...] = param(
            ("pre", "post", "inline", "auto"),
            title="Strategies",
            group="filter",
            labels=LABELS,
            max_items=4,
            help="What is compared. Pre-filtering is always timed, as the measure of the others.",
        )
        s: float = param(
            0.05,
            title="Share passing (s)",
            unit="share",
            ge=0.0005,
            le=1,
            scale="log",
            group="filter",
            shown_when={"workload": ("single",)},
            help="Share of the vectors that pass the filter.",
        )
        correlation: Literal["random", "negative", "positive"] = param(
            "random",
            title="Filter against query",
            group="filter",
            labels={"random": "random", "negative": "matches lie elsewhere", "positive": "matches lie around the query"},
            help="Where the matches lie: anywhere, in clusters the query is not in, or first of all in its own.",
        )
        index: Literal["hnsw", "ivf_flat"] = param(
            "hnsw",
            title="Index",
            group="filter",
            labels={"hnsw": "HNSW, M 16", "ivf_flat": "IVF-Flat"},
            help="The index behind post-filtering and inline search.",
        )
        stop: Stop = param(
            "visited",
            title="Inline walk stops",
            group="filter",
            shown_when=WALKING,
            labels={"visited": "after ef visited", "accepted": "after ef accepted", "two_hop": "two-hop expansion"},
            help="Whether rejected nodes use up ef, or the walk goes on until ef nodes pass, or only passing nodes are compared.",
        )
        ef_search: int = param(
            64,
            title="efSearch",
            unit="candidates",
            ge=10,
            le=1_024,
            scale="log",
            group="search",
            shown_when={"index": ("hnsw",)},
            help="Candidates HNSW keeps while it walks the graph.",
        )
        nprobe: int = param(
            16,
            title="Cells visited (nprobe)",
            unit="cells",
            ge=1,
            le=256,
            scale="log",
            group="search",
            shown_when={"index": ("ivf_flat",)},
            help="Cells of the inverted file a query visits: of 128, or of 256 from 50,000 vectors on.",
        )
        oversample: float = param(
            3,
            title="Oversampling",
            unit="x",
            ge=1,
            le=30,
            scale="log",
            group="filter",
            shown_when={"strategy": ("post", "auto")},
            help="Post-filtering fetches k x this / s neighbours.",
        )
        post_cap: int = param(
            2_000,
            title="Fetch at most",
            unit="candidates",
            ge=10,
            le=10_000,
            scale="log",
            group="filter",
            shown_when={"strategy": ("post", "auto")},
            help="Post-filtering fetches no more than this, whatever s says.",
        )
        plan_pre: float = param(
            0.02,
            title="Planner: pre-filter below",
            unit="share",
            ge=0,
            le=1,
            step=0.01,
            group="planner",
            shown_when={"strategy": ("auto",)},
            help="Below this share the planner lists the matches and compares each.",
        )
        plan_post: float = param(
            0.5,
            title="Planner: post-filter above",
            unit="share",
            ge=0,
            le=1,
            step=0.01,
            group="planner",
            shown_when={"strategy": ("auto",)},
            help="Above this share the planner post-filters. Between the two it searches inline.",
        )
        n: int = param(
            20_000,
            title="Vectors",
            unit="vectors",
            ge=2_000,
            le=100_000,
            scale="log",
            group="world",
            help="How many vectors of 64 dimensions, in 200 clusters, are searched.",
        )

        @model_validator(mode="after")
        def _fit_together(self) -> Filters.Params:
            if not self.strategy:
                raise ValueError("Strategies: none was chosen; expected 1 to 4.")
            if len(set(self.strategy)) < len(self.strategy):
                raise ValueError(f"Strategies: {', '.join(self.strategy)} names one twice; expected different ones.")
            if self.plan_pre > self.plan_post:
                raise ValueError(
                    f"Planner: pre-filter below {self.plan_pre:g} and post-filter above {self.plan_post:g} were given; "
                    "expected the first to be no larger than the second."
                )
            return self

    presets = stories.PRESETS
    challenges = stories.CHALLENGES

    def run(self, params: Params, ctx: Context) -> Steps:
        found = yield from clustered_world(ctx, params.n)
        bitmaps = yield from _bitmaps(params, ctx, found)
        flat = yield from flat_index(ctx, found)
        setups = [setup_of(name, params) for name in params.strategy]
        listed = yield from first_run(Rig(found, flat, flat), LISTED, bitmaps)
        planned = _histogram(params, bitmaps)
        yield Frame(_listed_metrics(setups, listed), planned)
        rig = Rig(found, flat, (yield from filter_index(ctx, found, params.index)))
        runs = yield from _runs(rig, setups, bitmaps, listed)
        curves = yield from _curves(ctx, rig, setups, runs, params)
        usual, plain = yield from _comparisons(ctx, rig, runs, params)
        return Result(
            metrics=[*(metric for run in runs for metric in views.run_metrics(run, listed)), *_unchosen(setups, listed)],
            figures=[*_figures(curves, runs, params), *planned],
            tables=[views.class_table(runs), views.grid_table(curves)],
            insights=[insights.recommendation(runs), *insights.effects(runs, curves, params, usual, plain, found.world.n)],
            notes=tuple(_notes(params, ctx, found, runs)),
        )


def _bitmaps(params: Filters.Params, ctx: Context, found: Clustered) -> Working[Bitmaps]:
    """The filter of each query."""
    if ctx.data and "filter" in ctx.data.files:
        return (yield from own_filters(ctx, found, ctx.data, K))
    asks = asked(params.workload, params.s, params.correlation, len(found.world.queries), ctx.rng("workload"))
    return (yield from drawn_filters(ctx, found, asks, params.workload, K))


def _runs(rig: Rig, setups: Sequence[Setup], bitmaps: Bitmaps, listed: Run) -> Working[list[Run]]:
    """Every strategy once, shown as it comes; then the further passes, taken in turns so that a disturbance hits all."""
    runs: list[Run] = []
    for setup in setups:
        runs.append(listed if setup.strategy == "pre" else (yield from first_run(rig, setup, bitmaps)))
        yield Frame(views.run_metrics(runs[-1], listed))
    for _ in range(PASSES - 1):
        for run in [listed, *(run for run in runs if run is not listed)]:
            yield from further_pass(rig, run, bitmaps)
    return runs


def _curves(
    ctx: Context, rig: Rig, setups: Sequence[Setup], runs: Sequence[Run], params: Filters.Params
) -> Working[dict[str, list[GridPoint]]]:
    """Every strategy over the grid of shares, shown share by share."""
    curves: dict[str, list[GridPoint]] = {setup.strategy: [] for setup in setups}
    for share in (share for share in GRID if share * rig.found.world.n >= 1):
        for setup in setups:
            curves[setup.strategy].append((yield from grid_point(ctx, rig, setup, share, params.correlation)))
        yield Frame(figures=_figures(curves, runs, params))
    return curves


def _comparisons(
    ctx: Context, rig: Rig, runs: Sequence[Run], params: Filters.Params
) -> Working[tuple[dict[str, GridPoint], GridPoint | None]]:
    """What the insights compare with: a random filter of the same share, and the plain walk beside a two-hop one."""
    usual: dict[str, GridPoint] = {}
    if params.workload == "single" and params.correlation != "random":
        for run in runs:
            usual[run.setup.strategy] = yield from grid_point(ctx, rig, run.setup, params.s, "random")
    plain = None
    inline = next((run.setup for run in runs if run.setup.strategy == "inline"), None)
    if inline and params.workload == "single" and inline.search.get("stop") == "two_hop":
        visited = replace(inline, search={**inline.search, "stop": "visited"})
        plain = yield from grid_point(ctx, rig, visited, params.s, params.correlation)
    return usual, plain


# --- what is shown ---------------------------------------------------------------------------------------------------


def _listed_metrics(setups: Sequence[Setup], listed: Run) -> list[Metric]:
    if any(setup.strategy == "pre" for setup in setups):
        return views.run_metrics(listed, listed)
    return _unchosen(setups, listed)


def _unchosen(setups: Sequence[Setup], listed: Run) -> list[Metric]:
    """Pre-filtering was not chosen: its times all the same, as the measure of the others."""
    return [] if any(setup.strategy == "pre" for setup in setups) else views.time_metrics(listed, listed)


def _figures(curves: Mapping[str, Sequence[GridPoint]], runs: Sequence[Run], params: Filters.Params) -> list[Figure]:
    plain = params.index == "hnsw" and params.stop == "visited" and "inline" in params.strategy and params.correlation == "random"
    return [
        views.recall_figure(curves, runs),
        views.cost_figure(curves, runs),
        views.returned_figure(curves, runs, plain),
    ]


def _histogram(params: Filters.Params, bitmaps: Bitmaps) -> list[Figure]:
    if params.workload == "single" or len(set(bitmaps.groups)) < 2:
        return []
    return [views.histogram_figure(bitmaps, params.plan_pre, params.plan_post, params.ef_search)]


def _notes(params: Filters.Params, ctx: Context, found: Clustered, runs: Sequence[Run]) -> Iterator[str]:
    yield from found.world.notes
    if ctx.data and "filter" in ctx.data.files:
        yield "The dots are your filter; the curves are filters of other shares drawn over your vectors."
    if ctx.data and params.correlation != "random":
        yield "Your vectors have no known clusters: correlated filters are made of k-means cells."
    fewer = {len(run.answers) for run in runs if run.setup.slow}
    if fewer:
        yield f"Walks with this stop were asked the first {max(fewer)} queries only, because they take long."
    yield f"Each point of the curves is the mean of {GRID_QUERIES} queries; the dots are the whole run."
