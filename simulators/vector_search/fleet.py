"""Lab: what a billion vectors cost in nodes and dollars, and what fan-out, placement and hedging do to the tail."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.ann.fleet import ScatterGather, TailReport
from simulators.lab import Context, Frame, Lab, Metric, Preset, Progress, Result, Steps, Table, Working
from simulators.vector_search import _fleet_views as views
from simulators.vector_search._fleet_challenge import BILLION
from simulators.vector_search._fleet_insights import insights
from simulators.vector_search._fleet_params import FleetParams
from simulators.vector_search._fleet_plan import Plan, check_drives, plan_steps


class Fleet(Lab):
    """What does a billion vectors cost, and what happens to p99 when every query fans out?

    **Nodes and dollars** are arithmetic: bytes a vector by the memory model of the indexes (M 16, IVF cells near 4 times the root of n,
    4-bit codes, refinement as SQ8) or by the cost model of a graph on SSD, divided by what a node of the catalogue
    holds, times the copies. Recall is not measured here: it comes from smaller measurements or from print, and the page says which.

    **Placement.** By tenant, tenants go whole to the emptiest shard, largest first; by id range, vectors are spread at random and a query
    asks every shard; by cluster, shards are k-means cells of a small world with known neighbours, and what routing loses is counted
    there. A shard that outgrows a node is cut over several nodes, and a query to it waits for all of them.

    **The tail** is a discrete-event simulation: Poisson arrivals, a first-come-first-served queue at each node with `workers` servers,
    lognormal search times fitted to your median and 99th percentile. A query is answered when the last node it asked has answered.
    Queries follow the vectors, so a large tenant is a busy tenant. A hedge sends a copy to another replica after `hedge_ms` without an
    answer, never more than `hedge_budget` of a shard's requests; cancelling takes the loser out of its queue but does not stop a search
    that runs. Hedged and unhedged fleets are compared on the same arrivals and search times. (Trap: hedging tried at low load always
    looks good. Raise the arrivals before you believe it.)
    """

    title = "Fleet, cost and tail"
    why = (
        "Memory decides the design, fan-out decides the tail, and hedging, the usual cure for the tail, can melt a busy fleet. An "
        "interviewer wants nodes and dollars from bytes, and a p99 that counts every shard a query waits for."
    )
    phase = "architecture"
    engines = (
        "simulators.engines.ann.fleet",
        "simulators.engines.ann.fleet_replicas",
        "simulators.engines.ann.fleet_placement",
        "simulators.engines.ann.disk",
        "simulators.engines.ann.memory",
    )
    sources = (
        "Dean & Barroso 2013, The tail at scale, CACM 56(2)",
        "Jayaram Subramanya et al. 2019, DiskANN, NeurIPS",
        "Graham 1969, Bounds on multiprocessing timing anomalies (largest first), SIAM J. Appl. Math. 17(2)",
    )
    map_axes = ("cost_usd", "p99_ms")
    Params = FleetParams
    challenges = (BILLION,)
    presets = (
        Preset(
            "in_ram",
            "1B in RAM",
            "Float32 HNSW with links and headroom: 68 nodes for one copy, and every query waits for all of them.",
            {"design": "hnsw", "shard_rule": "id_range"},
        ),
        Preset(
            "codes_alone",
            "32 GB they said",
            "Codes of 32 bytes fit one node, with ids 40 GB: cheap, and without re-scoring most of the neighbours are missing.",
            {"design": "ivf_pq", "codes": "coarse", "shard_rule": "id_range"},
        ),
        Preset(
            "ssd_graph",
            "SSD graph",
            "Shards follow the drive: three nodes a copy. Price it against 136 nodes of RAM.",
            {"shard_rule": "id_range"},
        ),
        Preset(
            "hedging_storm",
            "Hedging storm",
            "Sixteen busy shards, a copy after 10 ms, no cap, no cancellation: the cure feeds the disease.",
            {
                "shard_rule": "id_range",
                "shards": 16,
                "workers": 1,
                "qps": 190,
                "hedge_ms": 10.0,
                "hedge_budget": 1.0,
                "cancel": False,
            },
        ),
        Preset(
            "whale",
            "Whale tenant",
            "A few tenants own most of the vectors: one shard of 20 outgrows its node and takes nearly half of the queries.",
            {"design": "hnsw_sq8", "zipf": 1.6},
        ),
    )

    def run(self, params: FleetParams, ctx: Context) -> Steps:
        yield Progress(0, 1, "counting nodes")
        plan = yield from plan_steps(ctx, params)
        visits = plan.visits(ctx.rng("fleet/visits"))
        check_drives(plan, visits)
        fixed = views.plan_metrics(plan, visits)
        cost, shards = views.cost_figure(plan), views.shards_figure(plan)
        yield Frame(fixed, [cost, shards])
        unhedged: TailReport | None = None
        if params.hedge_ms:
            without = ScatterGather(plan.service, plan.policy(hedged=False), arrival_qps=params.qps, visits=visits, seed=ctx.seed)
            unhedged = yield from _simulated(without, plan, None)
        fleet = ScatterGather(plan.service, plan.policy(), arrival_qps=params.qps, visits=visits, seed=ctx.seed)
        report = yield from _simulated(fleet, plan, unhedged)
        fan_out = float(visits.sum(axis=1).mean())
        return Result(
            metrics=[*fixed, *views.tail_metrics(report), *_unhedged_metrics(unhedged)],
            figures=[cost, shards, views.tail_figure(plan, report, unhedged), views.fan_out_figure(plan, fan_out, report)],
            tables=list(_tables(plan)),
            insights=tuple(insights(plan, fan_out, report, unhedged, plan.answered_after_loss(visits))),
            notes=tuple(_notes(plan, report)),
        )


def _simulated(fleet: ScatterGather, plan: Plan, unhedged: TailReport | None) -> Working[TailReport]:
    """The whole simulation, with a picture every 500 requests."""
    shown = 0
    for done in fleet.steps():
        yield Progress(done, fleet.n, "simulating queries")
        if done > shown:
            shown, report = done, fleet.report()
            yield Frame(views.tail_metrics(report), [views.tail_figure(plan, report, unhedged)])
    return fleet.report()


def _unhedged_metrics(unhedged: TailReport | None) -> list[Metric]:
    if unhedged is None:
        return []
    return [Metric("unhedged_p99_ms", "99th percentile of the same queries without hedging", unhedged.p99_ms, "ms", "down")]


def _tables(plan: Plan) -> Iterator[Table]:
    yield views.design_table(plan.params)
    yield views.parts_table(plan)
    if plan.params.shard_rule == "id_range" and plan.spread.sum() > 1:
        yield views.k_table(int(plan.spread.sum()))
    routing = views.routing_table(plan)
    if routing:
        yield routing


def _notes(plan: Plan, report: TailReport) -> Iterator[str]:
    disk = plan.holding.disk
    if disk and plan.params.p50_ms < disk.latency_ms:
        yield (
            f"The disk model needs {disk.latency_ms:.1f} ms for an unloaded query ({disk.reads_per_query:.0f} reads); your median of "
            f"{plan.params.p50_ms:g} ms is below it."
        )
    if report.offered_load > 1:
        yield "Queues grow as long as requests arrive: the percentiles say how long the simulation was, not how slow the fleet is."
    if len(report.latency_ms) < 1_000:
        yield f"{len(report.latency_ms):,} queries were simulated, since each visits many nodes; the 99.9th percentile is the slowest one."
