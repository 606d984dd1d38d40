"""What the lab `fleet_day` shows: metrics, figures and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from simulators.engines.serving.cascade import TIERS, RouteResult
from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table
from simulators.llm_serving._fleet_load import HOUR_S, MINUTE_S, Loads
from simulators.llm_serving._fleet_params import FleetDayParams
from simulators.llm_serving._fleet_pools import FleetDay
from simulators.llm_serving._fleet_safety import Parts, SafetyReport

Floats = npt.NDArray[np.float64]
PART_NAMES = {
    "before": "Input check",
    "prefill": "Prefill",
    "input_after": "Input check, rest",
    "held": "Tokens held back",
    "output_check": "Output check",
}
CURVE_NAMES = {"router": "Router", "oracle": "Knows the difficulty", "blind": "Sees next to nothing"}


def quality_metrics(routed: RouteResult, best: RouteResult, oracle_gpu_s: float | None) -> list[Metric]:
    gap = 100 * (best.quality - routed.quality)
    return [
        Metric("quality", "Answered rightly at first try", routed.quality, "share", "up", limit=best.quality, limit_label="all reasoning"),
        Metric("quality_gap", "Behind all reasoning", gap, "points", "down"),
        Metric(
            "gpu_s", "GPU time a query", routed.gpu_s, "GPU-s", "down", limit=oracle_gpu_s, limit_label="router that knows the difficulty"
        ),
    ]


def day_metrics(fleet: FleetDay, params: FleetDayParams, yardstick_gpu_h: float, loads: Loads) -> list[Metric]:
    answered = fleet.queries * (1 - fleet.shed_share)
    usd = fleet.gpu_hours * params.gpu_usd_h
    return [
        Metric("violation_share", "Requests that wait over 2 s", 100 * fleet.violation_share, "%", "down"),
        Metric("cost_share", "GPU cost", 100 * fleet.gpu_hours / yardstick_gpu_h, "% of all reasoning at peak size", "down"),
        Metric("usd_1k", "GPU cost of 1,000 queries", 1000 * usd / max(answered, 1e-9), "$", "down"),
        Metric("replica_hours", "Replica-hours", fleet.replica_hours, "h", "down", note=f"{fleet.gpu_hours:,.0f} GPU-hours."),
        Metric("worst_wait_s", "Worst wait", fleet.worst_wait_s, "s", "down"),
        Metric("shed_free", "Turned away, of the free tier", 100 * shed_of(fleet, params, free=True), "%", "down"),
        Metric("shed_paid", "Turned away, of paying tiers", 100 * shed_of(fleet, params, free=False), "%", "down"),
        Metric("retry_load", "Load with retries", fleet.retries, "x", "down", limit=1.0, limit_label="no retries"),
        Metric("peak_to_mean", "Peak against mean, busiest pool of regions", loads.peak_to_mean, "x", "down"),
        Metric("remote", "Served in another region", 100 * loads.remote, "%", "down"),
    ]


def shed_of(fleet: FleetDay, params: FleetDayParams, *, free: bool) -> float:
    """Share of a tier's requests that were turned away."""
    if params.admission == "free":
        return fleet.shed_share / 0.7 if free else 0.0
    return fleet.shed_share


def safety_metrics(report: SafetyReport) -> list[Metric]:
    return [
        Metric("ttft_s", "Time to first token on the GPU, mean", report.ttft_s, "s", "down"),
        Metric("added_p50_s", "Added by the safety path, median", float(np.median(report.added_s)), "s", "down"),
        Metric("added_p95_s", "Added by the safety path, 95th percentile", float(np.percentile(report.added_s, 95)), "s", "down"),
        Metric("unsafe_tokens", "Shown of an unsafe answer before a check can stop it", report.shown_tokens, "tokens", "down"),
        Metric("unsafe_expected", "Shown of an unsafe answer, with misses of the detector", report.shown_expected_tokens, "tokens", "down"),
        Metric("checks_rps", "Output checks", report.checks_rps, "checks/s", "down"),
        Metric("checked_tokens", "Tokens the output check reads of an answer", float(report.checked_tokens), "tokens", "down"),
    ]


# --- figures ---------------------------------------------------------------------------------------------------------


def _by_minute(values: Floats, reduce: str) -> list[float]:
    """At most 1,440 points: the mean, or the highest where a peak must not vanish."""
    step = max(MINUTE_S, -(-len(values) // 1440))
    whole = values[: len(values) // step * step].reshape(-1, step)
    return [float(value) for value in (whole.mean(axis=1) if reduce == "mean" else whole.max(axis=1))]


def day_figure(fleet: FleetDay) -> Figure:
    """Load, capacity and queue of all pools together, in GPUs, so that models of different speed add up."""
    load = np.sum([part.load_rps * part.pool.gpu_s for part in fleet.pools], axis=0)
    capacity = np.sum([part.day.replicas * part.pool.gpus for part in fleet.pools], axis=0)
    paid = np.sum([part.day.paid * part.pool.gpus for part in fleet.pools], axis=0)
    wait = np.max([part.day.wait_s for part in fleet.pools], axis=0)
    minutes = _by_minute(load, "mean")
    hours = [(k + 0.5) * len(load) / len(minutes) / HOUR_S for k in range(len(minutes))]
    series = [
        Series("GPUs paid", hours, _by_minute(paid, "mean"), "lines", 5),
        Series("GPUs serving", hours, _by_minute(capacity, "mean"), "lines", 0),
        Series("GPUs needed", hours, minutes, "lines", 1),
    ]
    title = f"{fleet.violation_share:.2%} of the requests wait over 2 s; the worst {fleet.worst_wait_s:,.0f} s"
    if fleet.worst_wait_s < 0.5:
        title = f"Nobody waits; {load.mean() / paid.mean():.0%} of the paid GPUs work on average"
    summary = f"The load needs {load.min():,.0f} to {load.max():,.0f} GPUs, {paid.min():,.0f} to {paid.max():,.0f} are paid for. {title}."
    figure = line_figure("day", title, summary, series, Axis("Time", "h"), Axis("GPUs", "GPUs"))
    if wait.max() > 0:
        queue = {
            "type": "scatter",
            "name": "Longest wait (s, right)",
            "mode": "lines",
            "x": hours,
            "y": _by_minute(wait, "highest"),
            "yaxis": "y2",
        }
        figure.plot["data"].append(queue | {"line": {"color": "#CC79A7", "width": 1.5, "dash": "dot"}})
        figure.plot["layout"]["yaxis2"] = {
            "title": {"text": "Wait (s)"},
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
            "tickmode": "auto",  # its own round numbers, not the left ones translated
        }
    return figure


def frontier_figure(curves: Mapping[str, Sequence[RouteResult]], singles: Mapping[str, RouteResult], routed: RouteResult) -> Figure:
    best = singles["reasoning"]
    series = []
    for colour, (name, curve) in enumerate(curves.items()):
        costs, quality = [r.gpu_s for r in curve], [100 * r.quality for r in curve]
        series.append(Series(CURVE_NAMES[name], costs, quality, "lines", colour, truth=name == "oracle"))
    dots = [f"All {name}: {100 * r.quality:.1f} %, {r.gpu_s:.2f} GPU-s" for name, r in singles.items()]
    series.append(
        Series(
            "One model for all", [r.gpu_s for r in singles.values()], [100 * r.quality for r in singles.values()], "markers", 3, text=dots
        )
    )
    series.append(Series("This run", [routed.gpu_s], [100 * routed.quality], "markers", 1))
    title = f"{100 * routed.quality:.1f} % right at {routed.gpu_s / best.gpu_s:.0%} of the GPU time of reasoning for all"
    summary = f"{title}; all reasoning {100 * best.quality:.1f} %, all full {100 * singles['full'].quality:.1f} %."
    return line_figure("frontier", title, summary, series, Axis("GPU time a query", "GPU-s", "log"), Axis("Answered rightly", "%"))


def lag_figure(lags: Sequence[float], missed: Mapping[str, Sequence[float]], fleet: FleetDay, params: FleetDayParams) -> Figure:
    series = [
        Series(name.capitalize(), lags, [100 * value for value in values], colour=k) for k, (name, values) in enumerate(missed.items())
    ]
    if params.lag_from == "given" and params.policy != "static":
        series.append(Series("This run", [params.lag_s], [100 * fleet.violation_share], "markers", 3))
    last = {name: values[-1] for name, values in missed.items()}
    title = f"At a lag of {lags[-1] / 60:.0f} min " + ", ".join(f"{name} misses {share:.1%}" for name, share in last.items())
    most = max(fleet.violation_share, *(max(values) for values in missed.values()))
    if most < 0.0005:
        title = f"Up to a lag of {lags[-1] / 60:.0f} min none of the three policies is late"
    said = "; ".join(
        f"{name}: " + ", ".join(f"{lag:.0f} s {value:.2%}" for lag, value in zip(lags, values, strict=True))
        for name, values in missed.items()
    )
    top = max(110 * most, 1.0)
    late = Axis("Requests that wait over 2 s", "%", range=(-0.05 * top, top))  # room for dots on the zero line
    return line_figure("lag", title, said + ".", series, Axis("Lag of a new replica", "s", "log"), late)


def safety_figure(report: SafetyReport, path: str) -> Figure:
    names = list(reversed(report.waterfalls))
    series = [
        Series(
            PART_NAMES[part], [name.capitalize() for name in names], [getattr(report.waterfalls[name], part) for name in names], colour=k
        )
        for k, part in enumerate(Parts._fields)
    ]
    totals = {name: parts.total for name, parts in report.waterfalls.items()}
    title = f"First visible token after {totals[path]:.2f} s ({path}); a check of the whole answer takes {totals['serial']:.1f} s"
    summary = ", ".join(f"{name} {total:.2f} s" for name, total in totals.items()) + "."
    return bar_figure(
        "safety", title, summary, series, Axis("Safety path"), Axis("To the first visible token", "s"), stacked=True, horizontal=True
    )


# --- tables ----------------------------------------------------------------------------------------------------------


def pool_table(fleet: FleetDay) -> Table:
    rows = []
    for k, part in enumerate(fleet.pools):
        day, pool = part.day, part.pool
        rows.append(
            (
                f"{pool.name} {k + 1}",
                f"{pool.model} {pool.weights}, {pool.gpus} x H100",
                round(float(part.load_rps.max()), 1),
                int(day.replicas.max()),
                round(day.replica_hours, 1),
                round(100 * day.violation_share, 3),
                round(day.worst_wait_s, 1),
            )
        )
    columns = ("Pool", "Replica", "Peak load (requests/s)", "Most replicas", "Replica-hours (h)", "Over 2 s (%)", "Worst wait (s)")
    return Table("pools", "Each model's pool in each region", columns, tuple(rows))


def mix_table(routed: RouteResult, singles: Mapping[str, RouteResult]) -> Table:
    rows = tuple(
        (tier.name, round(float(share), 4), tier.gpu_s, round(singles[tier.name].quality, 4))
        for tier, share in zip(TIERS, routed.mix, strict=True)
    )
    return Table(
        "mix", "Which model answers", ("Model", "Queries (share)", "GPU time a query (GPU-s)", "Right if it answered all (share)"), rows
    )
