"""Lab: an index under churn, day by day, until its tombstones are compacted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydantic import model_validator

from simulators.lab import Context, Data, Figure, Frame, Lab, LabParams, Preset, Result, Steps, Working, param
from simulators.vector_search import _deletes_insights as insights
from simulators.vector_search import _deletes_views as views
from simulators.vector_search._deletes_challenge import ERASURE
from simulators.vector_search._deletes_ledger import LABELS, Index, Policy, cells_for, kept
from simulators.vector_search._deletes_measure import (
    Bench,
    Oracle,
    Reading,
    index_of,
    oracle_days,
    read,
    rebuilt,
    sweep,
    while_inserting,
)
from simulators.vector_search._deletes_stream import CLUSTERS, DIM, Churn, Pattern, Pool, Stream, own_pool, streamed, synthetic_pool
from simulators.vector_search._vectors import OWN_VECTORS

GRAPHS = ("hnsw_faiss", "hnsw_hnswlib", "hnsw_replace")


class Deletes(Lab):
    """How many tombstones can the graph carry before you must compact?

    A catalogue of `n` vectors is replaced bit by bit while it is searched. Every hour vectors leave and others arrive; the index takes the
    changes as its library can, and a policy decides when it is rebuilt from what is alive (**compaction**).

    * **HNSW in faiss** cannot delete. A deleted node becomes a tombstone: walked, never returned, and it **uses up ef_search**. The cost
      stays flat and recall falls, silently.
    * **HNSW in hnswlib** (`mark_deleted`) walks on until ef_search live vectors are found: recall stays, **latency grows**. With
      `replace_deleted` a new vector takes over the place of a deleted one.
    * **IVF-Flat** removes in place. Its centroids stay where the old data was; here the rebuild is a retraining.

    Each day is read at its worst hour: just before a rebuild, or at midnight. Exact search over the live vectors is the truth, and on some
    days the live vectors are indexed afresh as the oracle; both are timed in turns in the same run. (Trap: queries drawn from the data that
    stayed find everything. Those near the tenant that left do not, so the lab shows both.)

    Rebuilds that no reading depends on are counted and not carried out; what the readings see is the same. FreshDiskANN (2021) repairs the
    neighbours of deleted nodes in the background instead of rebuilding; the lab does not run it.
    """

    title = "Deletes and compaction"
    why = (
        "Graph indexes do not delete. Recall, latency, memory and the duty to erase pull in different directions, and an interviewer "
        "wants the trigger, its cost in rebuilds a day, and the moment at which recall is measured."
    )
    exclusive = True
    engines = ("simulators.engines.ann.updates", "simulators.engines.ann.index", "simulators.engines.ann.truth")
    sources = (
        "Malkov & Yashunin 2018, HNSW, arXiv 1603.09320",
        "Singh et al. 2021, FreshDiskANN, arXiv 2105.09613",
        "Jégou, Douze & Schmid 2011, Product quantization for nearest neighbor search, IEEE TPAMI 33(1)",
    )
    map_axes = ("memory_overhead", "recall_min")
    data = replace(
        OWN_VECTORS,
        help=f"{OWN_VECTORS.help} Half of the rows, at most the live vectors of the form, are there at the start; the others arrive.",
    )
    challenges = (ERASURE,)

    class Params(LabParams):
        index: Index = param(
            "hnsw_faiss",
            title="Index and deletion rule",
            help="What a delete does: a tombstone that uses up ef, one that is walked past, a reused place, or removal in place.",
            group="index",
            labels=LABELS,
        )
        churn: float = param(
            20.0, title="Churn", unit="%/day", ge=0, le=200, step=5, soft=(0, 100), group="world", help="Share of vectors replaced a day."
        )
        pattern: Pattern = param(
            "random",
            title="Which vectors leave",
            group="world",
            labels={"random": "any, at random", "tenant": "whole tenants, at noon"},
            help="Random leaves thin the data evenly. A tenant is a cluster: it leaves a region of the graph without live nodes.",
        )
        shift: float = param(
            0.0,
            title="Shift",
            unit="share",
            ge=0,
            le=1,
            step=0.05,
            group="world",
            help="Share of arrivals from another mixture of clusters; queries follow the live data. Your own vectors know no shift.",
        )
        n: int = param(
            5_000,
            title="Live vectors",
            unit="vectors",
            ge=1_000,
            le=20_000,
            scale="log",
            group="world",
            help=f"Vectors of {DIM} dimensions from {CLUSTERS} clusters. The more there are, the more a tenant's leaving hurts.",
        )
        days: int = param(10, title="Days", unit="days", ge=1, le=30, scale="log", group="world", help="How long the stream runs.")
        compact_at: float = param(
            0.3,
            title="Compact at",
            unit="share of tombstones",
            ge=0.05,
            le=0.97,
            step=0.01,
            group="policy",
            shown_when={"index": GRAPHS},
            help="Tombstone share that triggers a rebuild of the live vectors.",
        )
        rebuild_every_h: int = param(
            0,
            title="Rebuild every",
            unit="h",
            ge=0,
            le=336,
            step=12,
            group="policy",
            help="Rebuild (or retrain) by the clock as well: 24 is nightly, 168 weekly, 0 never.",
        )
        ef_search: int = param(
            64,
            title="efSearch",
            unit="candidates",
            ge=10,
            le=1_024,
            scale="log",
            group="search",
            shown_when={"index": GRAPHS},
            help="Candidates HNSW keeps while it walks the graph.",
        )
        nprobe: int = param(
            16,
            title="Cells visited (nprobe)",
            unit="cells",
            ge=1,
            le=128,
            scale="log",
            group="search",
            shown_when={"index": ("ivf_flat",)},
            help="Cells of the inverted file a query visits, of about the square root of n.",
        )

        @model_validator(mode="after")
        def _cells_exist(self) -> Deletes.Params:
            if self.index == "ivf_flat" and self.nprobe > cells_for(self.n):
                raise ValueError(
                    f"Cells visited (nprobe): {self.nprobe} was given; expected at most {cells_for(self.n)}, the cells of {self.n:,} "
                    "vectors."
                )
            return self

    presets = (
        Preset(
            "nightly",
            "Nightly compaction",
            "A rebuild every night: tombstones never matter, and every night costs an index.",
            {"rebuild_every_h": 24, "compact_at": 0.97},
        ),
        Preset(
            "big_tenant",
            "Big tenant leaves",
            "Half of the data leaves at noon, tenant by tenant, and nobody compacts. Queries near what stayed see nothing.",
            {"pattern": "tenant", "churn": 50.0, "days": 4, "compact_at": 0.97, "n": 10_000},
        ),
        Preset(
            "erasure",
            "Erasure request",
            "One per cent a day: the trigger of 30 % would take six weeks to fire, and what was deleted waits for it.",
            {"churn": 1.0, "days": 14},
        ),
        Preset(
            "walks_on",
            "The walk goes on",
            "The same tombstones in hnswlib, never compacted: recall stays and searches take longer.",
            {"index": "hnsw_hnswlib", "compact_at": 0.97, "churn": 60.0, "n": 2_000},
        ),
        Preset(
            "old_centroids",
            "Yesterday's centroids",
            "Arrivals from another mixture, cells trained on the old one: recall falls until they are retrained.",
            {"index": "ivf_flat", "shift": 1.0, "nprobe": 4, "n": 20_000},
        ),
    )

    def run(self, params: Params, ctx: Context) -> Steps:
        pool, churn = yield from _pool(params, ctx)
        stream = yield from streamed(ctx, pool, churn)
        bench = _bench(params, ctx, stream)
        readings = yield from _timeline(bench)
        hour = readings[-1].hour
        index = yield from index_of(bench, hour, bench.ledger.worst_hours())
        latency = yield from while_inserting(bench, index, stream.queries(hour))
        points = yield from sweep(bench)
        return Result(
            metrics=[*views.metrics(readings, bench.ledger), *views.latency_metrics(latency)],
            figures=[*_figures(bench, readings), *views.sweep_figures(points, bench.policy, churn.pattern)],
            tables=[views.days_table(readings, bench.ledger), views.sweep_table(points)],
            insights=list(insights.effects(churn, bench.policy, bench.ledger, readings, points, latency)),
            notes=tuple(_notes(params, ctx.data, pool)),
        )


def _pool(params: Deletes.Params, ctx: Context) -> Working[tuple[Pool, Churn]]:
    churn = Churn(params.n, params.churn, params.pattern, params.days)
    if not ctx.data:
        return (yield from synthetic_pool(ctx, churn, params.shift)), churn
    pool = yield from own_pool(ctx, ctx.data)
    return pool, churn._replace(n=min(params.n, len(pool.vectors) // 2))


def _bench(params: Deletes.Params, ctx: Context, stream: Stream) -> Bench:
    policy = Policy(params.index, params.compact_at, params.rebuild_every_h)
    search = {"ef_search": params.ef_search}
    if policy.kind == "ivf_flat":
        search = {"nprobe": min(params.nprobe, cells_for(len(stream.live(0))))}
    return Bench(ctx, stream, params.pattern, policy, kept(stream, policy), search)


def _timeline(bench: Bench) -> Working[list[Reading]]:
    """A reading at the start and at the worst hour of every day, shown as it comes."""
    hours, readings = bench.ledger.worst_hours(), list[Reading]()
    afresh = oracle_days(len(hours), bench.policy)
    oracle = Oracle(0, (yield from rebuilt(bench, 0)))
    for day, hour in enumerate([0, *hours], start=-1):
        index = oracle.index
        if hour:
            index = yield from index_of(bench, hour, hours)
        if day in afresh:
            oracle = Oracle(hour, (yield from rebuilt(bench, hour)))
        readings.append((yield from read(bench, index, oracle, hour)))
        yield Frame(views.metrics(readings, bench.ledger), _figures(bench, readings))
    return readings


def _figures(bench: Bench, readings: Sequence[Reading]) -> list[Figure]:
    timeline = views.timeline_figure(readings, bench.ledger, bench.policy, bench.pattern)
    return [timeline, views.imbalance_figure(readings)] if bench.policy.kind == "ivf_flat" else [timeline]


def _notes(params: Deletes.Params, data: Data | None, pool: Pool) -> Iterator[str]:
    yield from pool.notes
    yield "Queries were asked one at a time on one thread, index and rebuilt index in turns."
    yield "What random tombstones cost hardly depends on n; a tenant's leaving costs more, the larger n."
    if data and params.shift:
        yield "Shift concerns the synthetic world only: your vectors arrive in random order."
    if params.index == "hnsw_replace":
        yield "hnswlib chooses which deleted place it reuses, so a deleted vector counts as gone only when no tombstone is left."
