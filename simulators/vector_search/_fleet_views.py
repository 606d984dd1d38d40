"""What the lab `fleet` shows: metrics, figures and tables of a plan and its simulated tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulators.engines.ann.fleet import TailReport
from simulators.engines.ann.fleet_placement import kept_by_k_per_shard, largest_to_mean
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.vector_search._fleet_plan import DESIGNS, GB, Plan, facts_of, holding_of, node_of
from simulators.vector_search._vectors import K

FAN_OUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SLOW_SHARES: tuple[float, ...] = tuple(10 ** (-step / 10) for step in range(1, 34))
MOST_BARS = 40


def plan_metrics(plan: Plan, visits: npt.NDArray[np.bool_]) -> list[Metric]:
    """What arithmetic says before anything is simulated."""
    return [
        Metric("nodes", "Nodes", plan.nodes, "nodes", "down", note=f"{int(plan.spread.sum())} for each of {plan.params.replicas} copies."),
        Metric("cost_usd", "Price", plan.usd_a_month, "$/month", "down"),
        Metric("copy_gb", "One copy of the index", plan.holding.total / GB, "GB", "down"),
        Metric(
            "recall",
            f"Recall@{K}",
            plan.recall,
            "share",
            "up",
            limit=plan.routing_recall,
            limit_label="ceiling of routing",
            note=f"Not of this run: {plan.facts.source}.",
        ),
        Metric(
            "routing_recall", "Recall ceiling of routing", plan.routing_recall, "share", "up", limit=1.0, limit_label="asking all shards"
        ),
        Metric("fan_out", "Nodes a query waits for", float(visits.sum(axis=1).mean()), "nodes", "down"),
        Metric(
            "largest_to_mean",
            "Largest shard against the mean",
            largest_to_mean(plan.shares),
            "x",
            "down",
            limit=1.0,
            limit_label="even shards",
        ),
        Metric(
            "answered_after_loss",
            "Queries answered when the busiest shard loses a node",
            plan.answered_after_loss(visits),
            "share",
            "up",
            limit=1.0,
            limit_label="all of them",
        ),
    ]


def tail_metrics(report: TailReport) -> list[Metric]:
    """Of the requests simulated so far."""
    few = f"Of {len(report.latency_ms):,} queries: {max(1, len(report.latency_ms) // 1000)} of them slower."
    return [
        Metric("p50_ms", "Query latency, median", report.p50_ms, "ms", "down"),
        Metric("p99_ms", "Query latency, 99th percentile", report.p99_ms, "ms", "down", ci=quantile_interval(report.latency_ms, 0.99)),
        Metric("p999_ms", "Query latency, 99.9th percentile", report.p999_ms, "ms", "down", note=few),
        Metric("utilisation", "Workers busy, mean of the fleet", report.utilisation, "share", "down", limit=1.0, limit_label="always busy"),
        Metric(
            "offered_load",
            "Work against capacity",
            report.offered_load,
            "share",
            "down",
            limit=1.0,
            limit_label="capacity",
        ),
        Metric("hedge_share", "Copies sent", report.hedge_share, "share of requests", "down"),
    ]


def quantile_interval(values: npt.NDArray[np.float64], share: float) -> tuple[float, float]:
    """95% interval of a quantile by order statistics, free of assumptions on the distribution (Thompson 1936)."""
    ordered = np.sort(values)
    low, high = (int(stats.binom.ppf(tail, len(values), share)) for tail in (0.025, 0.975))
    at = float(np.percentile(values, 100 * share))
    return min(at, float(ordered[low])), max(at, float(ordered[min(high, len(values) - 1)]))


# --- figures ---------------------------------------------------------------------------------------------------------


def cost_figure(plan: Plan) -> Figure:
    """Dollars a month of this fleet, and of the other designs on the same catalogue with shards evenly filled."""
    costs = {name: _cost(name, plan.params) for name in DESIGNS} | {plan.design: (plan.nodes, plan.usd_a_month)}
    order = list(reversed(DESIGNS))  # a horizontal axis counts upwards
    labels = [DESIGNS[design].label for design in order]
    series = [
        Series(
            name,
            labels,
            [costs[design][1] if (design == plan.design) == chosen else None for design in order],
            colour=colour,
            text=[f"{costs[design][0]:,} nodes" if (design == plan.design) == chosen else "" for design in order],
        )
        for name, chosen, colour in (("This fleet", True, 1), ("Others, shards evenly filled", False, 0))
    ]
    cheapest = min(costs, key=lambda name: costs[name][1])
    title = f"{DESIGNS[plan.design].label}: {plan.nodes:,} nodes and ${plan.usd_a_month:,.0f} a month"
    if cheapest != plan.design:
        title += f", {plan.usd_a_month / costs[cheapest][1]:.1f} times {DESIGNS[cheapest].label}"
    summary = "; ".join(f"{DESIGNS[name].label}: {count:,} nodes, ${price:,.0f} a month" for name, (count, price) in costs.items())
    return bar_figure("cost", title, summary, series, Axis("Design"), Axis("Price", "$/month"), stacked=True, horizontal=True)


def _cost(design: str, params: Any) -> tuple[int, float]:
    node = node_of(design, params)
    nodes = holding_of(design, params.n, params.d, params.codes).nodes_for(1.0, node) * params.replicas
    return nodes, nodes * node.usd_a_month


def shards_figure(plan: Plan) -> Figure:
    """Logical shards by size against what one node holds."""
    sizes = np.sort(plan.shares)[::-1][:MOST_BARS] * plan.holding.total / GB
    names = [str(rank) for rank in range(1, len(sizes) + 1)]
    holds = plan.node.ssd_bytes if plan.holding.on_ssd else plan.node.ram_bytes
    ratio, split = largest_to_mean(plan.shares), int((plan.spread > 1).sum())
    title = (
        f"The largest shard is {ratio:.1f} times the mean"
        if ratio > 1.05
        else f"Shards have one size and fill {sizes.max() * GB / (holds * plan.spread.max()):.0%} of their nodes"
    )
    if split:
        title += f"; {split} of {len(plan.shares)} need more than one node"
    summary = f"{len(plan.shares)} shards of {sizes.min():,.0f} to {sizes.max():,.0f} GB; a node holds {holds / GB:,.0f} GB"
    bars = [Series("Shard", names, sizes.tolist(), colour=0)]
    heading = "Shard, largest first" if len(plan.shares) <= MOST_BARS else f"Shard, the largest {MOST_BARS} of {len(plan.shares)}"
    room = Axis("Size", "GB", range=(0, 1.15 * max(float(sizes.max()), holds / GB)))
    figure = bar_figure("shards", title, summary, bars, Axis(heading), room)
    return with_line(figure, label=f"one node: {holds / GB:,.0f} GB", y=holds / GB)


def tail_figure(plan: Plan, report: TailReport, unhedged: TailReport | None) -> Figure:
    """Share of queries slower than a time, both axes logarithmic: the tail is what one looks at."""
    shares = [share for share in SLOW_SHARES if share * len(report.latency_ms) >= 1]
    one = [plan.service.quantile_ms(1 - share) for share in shares]
    series = [Series("Whole query", _slower(report, shares), shares, mode="lines", colour=1)]
    if unhedged:
        series.append(Series("Same queries, no hedging", _slower(unhedged, shares), shares, mode="lines", colour=0))
    series.append(Series("One search, no queue", one, shares, mode="lines", truth=True))
    title = f"1 query in 100 takes more than {report.p99_ms:,.0f} ms; a single search {plan.service.quantile_ms(0.99):,.0f} ms"
    summary = (
        f"Whole query: median {report.p50_ms:.0f} ms, 99th percentile {report.p99_ms:.0f} ms, 99.9th {report.p999_ms:.0f} ms; "
        f"one search: median {plan.service.quantile_ms(0.5):.0f} ms, 99th percentile {plan.service.quantile_ms(0.99):.0f} ms"
    )
    figure = line_figure("tail", title, summary, series, Axis("Latency", "ms", "log"), Axis("Queries slower than this", "share", "log"))
    return with_line(figure, label="1 in 100", y=0.01)


def _slower(report: TailReport, shares: Sequence[float]) -> list[float]:
    return [float(np.quantile(report.latency_ms, 1 - share)) for share in shares]


def fan_out_figure(plan: Plan, fan_out: float, report: TailReport) -> Figure:
    """The slowest of S searches over S, without queues, and where this fleet stands."""
    laws = [
        Series("99th percentile, no queues", FAN_OUTS, [plan.service.slowest_of_ms(s, 0.99) for s in FAN_OUTS], mode="lines", colour=1),
        Series("Median, no queues", FAN_OUTS, [plan.service.slowest_of_ms(s, 0.5) for s in FAN_OUTS], mode="lines", colour=0),
        Series("This fleet, 99th percentile", [fan_out], [report.p99_ms], mode="markers", colour=1),
        Series("This fleet, median", [fan_out], [report.p50_ms], mode="markers", colour=0),
    ]
    one, many = plan.service.slowest_of_ms(1, 0.5), plan.service.slowest_of_ms(64, 0.5)
    title = f"Waiting for 64 nodes lifts the median from {one:,.0f} to {many:,.0f} ms: a search as slow as that is rare, one of 64 is not"
    overrun = report.p99_ms > 2 * plan.service.slowest_of_ms(FAN_OUTS[-1], 0.99)  # on a linear axis the law would lie flat
    latency = Axis("Latency", "ms", "log" if overrun else "linear")
    summary = "; ".join(
        f"{s} nodes: median {plan.service.slowest_of_ms(s, 0.5):.0f} ms, 99th percentile {plan.service.slowest_of_ms(s, 0.99):.0f} ms"
        for s in (1, 16, 64, 256)
    )
    return line_figure("fan_out", title, summary, laws, Axis("Nodes a query waits for", "nodes", "log"), latency)


# --- tables ----------------------------------------------------------------------------------------------------------


def design_table(params: Any) -> Table:
    columns = ("Design", "One copy (GB)", "Bytes a vector (B)", "Nodes, all copies", "Price ($/month)", f"Recall@{K}", "Recall from")
    rows = []
    for name in DESIGNS:
        facts, total = facts_of(name, params.codes), holding_of(name, params.n, params.d, params.codes).total
        nodes, usd = _cost(name, params)
        rows.append((facts.label, round(total / GB, 1), round(total / params.n, 1), nodes, round(usd), facts.recall, facts.source))
    return Table("designs", "Every design on this catalogue, shards evenly filled", columns, tuple(rows))


def parts_table(plan: Plan) -> Table:
    rows = tuple((part, round(size / GB, 2), round(size / plan.params.n, 1)) for part, size in plan.holding.parts.items())
    return Table("parts", "What one copy consists of", ("Part", "Size (GB)", "A vector (B)"), rows)


def k_table(shards: int) -> Table:
    rows = tuple((k, round(kept_by_k_per_shard(shards, k), 4)) for k in (1, 2, 3, 5, K))
    title = f"Share of the true top {K} that {shards} random shards keep when each returns only its best few"
    return Table("k_per_shard", title, ("Results of each shard", "Recall ceiling (share)"), rows)


def routing_table(plan: Plan) -> Table | None:
    if plan.routing is None:
        return None
    shards = len(plan.shares)
    steps = sorted({min(2**i, shards) for i in range(11)} | {plan.visited})
    rows = tuple((visited, round(plan.routing.recall(visited), 4)) for visited in steps)
    return Table("routing", "Recall ceiling of asking only the nearest clusters", ("Shards visited", "Recall ceiling (share)"), rows)
