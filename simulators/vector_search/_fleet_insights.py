"""What a fleet's numbers say: the resource that sets the node count, then the effects this run shows."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.ann.fleet import TailReport
from simulators.engines.ann.fleet_placement import kept_by_k_per_shard, largest_to_mean
from simulators.lab import Insight
from simulators.vector_search._fleet_plan import GB, Plan
from simulators.vector_search._tradeoff_insights import in_bytes
from simulators.vector_search._tradeoff_views import count
from simulators.vector_search._vectors import K

SKEWED = 1.3
CLEAR = 0.05  # of the tail: what a change must exceed to be called one
SLOW = 0.01
FEW_PER_SHARD = 5


def insights(plan: Plan, fan_out: float, report: TailReport, unhedged: TailReport | None, answered: float) -> Iterator[Insight]:
    yield memory(plan)
    yield from _fan_out(plan, fan_out, report)
    yield from _placement(plan)
    yield from _routing(plan)
    if unhedged:
        yield hedging(plan, report, unhedged)
    yield from _loss(plan, answered)
    yield from _few_per_shard(plan)


def memory(plan: Plan) -> Insight:
    p, holding = plan.params, plan.holding
    what = f"{count(p.n)} vectors of {p.d:,} dimensions"
    fleet = f"{plan.nodes:,} nodes and ${plan.usd_a_month:,.0f} a month for {p.replicas} copies"
    if holding.disk:
        disk = holding.disk
        record = f"a record of {disk.record_bytes:,} B" + (f", {disk.records_per_sector} in a sector" if disk.records_per_sector else "")
        text = f"{what} on SSD: {record}, {holding.on_ssd / 1e12:.1f} TB; RAM holds {holding.in_ram / GB:,.0f} GB of codes. {fleet}."
        return Insight(text, "capacity", "ssd")
    part = max(holding.parts, key=holding.parts.__getitem__)
    share = holding.parts[part] / holding.total
    room = f"{plan.node.ram_bytes / GB:.0f} GB of a node's {p.node_ram_gb:,.0f} GB are usable"
    weight = f"{what} are {in_bytes(holding.total)} as {plan.facts.label}, {share:.0%} of it {part}"
    return Insight(f"Memory decides: {weight}; {room}: {fleet}.", "capacity", "memory")


def _fan_out(plan: Plan, fan_out: float, report: TailReport) -> Iterator[Insight]:
    if fan_out < 2:
        one = plan.service.quantile_ms(0.99)
        asks = "one node" if fan_out < 1.05 else f"{fan_out:.1f} nodes on average"
        text = f"A query asks {asks}, so its p99, {report.p99_ms:.0f} ms, stays near that of one search, {one:.0f} ms."
        yield Insight(text, "architecture", "no_fan_out")
        return
    wide = round(fan_out)
    slow = 1 - (1 - SLOW) ** wide
    alone, slowest = plan.service.quantile_ms(0.5), plan.service.slowest_of_ms(wide, 0.5)
    yield Insight(
        f"A query waits for the slowest of {wide} nodes: were each slow 1% of the time, {slow:.0%} of the queries would be. "
        f"Before any queueing the median is {slowest:.0f} ms, against {alone:.0f} ms for one search.",
        "evaluation",
        "fan_out",
    )


def _placement(plan: Plan) -> Iterator[Insight]:
    ratio = largest_to_mean(plan.shares)
    if ratio <= SKEWED:
        return
    even = plan.holding.nodes_for(1.0, plan.node) * plan.params.replicas
    more = f"; even shards would take {even} nodes, these take {plan.nodes}" if plan.nodes > even else ""
    if plan.params.shard_rule == "tenant":
        text = f"The largest tenant's shard is {ratio:.1f} times the mean, in bytes and in queries{more}. Split that tenant by id range."
        yield Insight(text, "architecture", "whale")
    else:
        text = f"Clusters are uneven: the largest shard is {ratio:.1f} times the mean{more}. Hot topics become hot shards."
        yield Insight(text, "architecture", "uneven_clusters")


def _routing(plan: Plan) -> Iterator[Insight]:
    if plan.routing and plan.visited < len(plan.shares):
        yield Insight(
            f"Asking the {plan.visited} nearest of {len(plan.shares)} clusters leaves {plan.routing_recall:.2f} of the true neighbours in "
            "reach: no index behind it finds more, and its own recall multiplies.",
            "architecture",
            "routing",
        )


def hedging(plan: Plan, report: TailReport, unhedged: TailReport) -> Insight:
    p = plan.params
    if not plan.policy().hedges:
        return Insight("Hedging needs a second replica and a budget above 0; no copy was sent.", "evaluation", "hedge_idle")
    if report.offered_load > 1:
        return Insight(
            f"Hedging melts this fleet: first copies need {unhedged.offered_load:.0%} of the capacity, all {report.offered_load:.0%}. "
            f"Slowness causes copies and copies cause slowness: p99 goes from {unhedged.p99_ms:,.0f} to {report.p99_ms:,.0f} ms and keeps "
            "growing. Cap the copies, cancel losers, or shed load.",
            "evaluation",
            "hedge_storm",
        )
    change = report.p99_ms / unhedged.p99_ms - 1
    cost = f"for {report.hedge_share:.1%} more requests"
    moved = f"p99 goes from {unhedged.p99_ms:.0f} to {report.p99_ms:.0f} ms {cost}"
    if change < -CLEAR:
        return Insight(
            f"Hedging after {p.hedge_ms:g} ms pays: {moved}. Dean and Barroso (2013) report p99.9 from 1,800 to 74 ms for 2% more, after "
            "10 ms, in a fleet with room.",
            "evaluation",
            "hedge_helps",
        )
    why = "the copies wait in the same queues" if unhedged.utilisation > 0.4 else "few searches are slower than the hedging delay"
    return Insight(f"Hedging after {p.hedge_ms:g} ms does not pay here: {moved}; {why}.", "evaluation", "hedge_no_gain")


def _loss(plan: Plan, answered: float) -> Iterator[Insight]:
    if answered > 1 - 1e-9:
        return
    why = "there is no second copy" if plan.params.replicas == 1 else "the copies that are left cannot carry the load"
    yield Insight(f"Lose one node of the busiest shard and {1 - answered:.0%} of the queries go unanswered: {why}.", "architecture", "loss")


def _few_per_shard(plan: Plan) -> Iterator[Insight]:
    shards = int(plan.spread.sum())
    if plan.params.shard_rule == "id_range" and shards > 1:
        few, one = kept_by_k_per_shard(shards, FEW_PER_SHARD), kept_by_k_per_shard(shards, 1)
        yield Insight(
            f"If each of {shards} random shards returns its best {FEW_PER_SHARD}, {few:.3f} of the true top {K} survive the merge; "
            f"its best alone keeps {one:.2f}.",
            "architecture",
            "k_per_shard",
        )
