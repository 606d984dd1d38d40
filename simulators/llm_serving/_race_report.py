"""Metrics and tables of the lab `scheduler_race`, and the figures that set the policies side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table
from simulators.llm_serving._race_measure import PARTS, Report, percentile, slowest, why_slow
from simulators.llm_serving._race_params import RESERVING
from simulators.llm_serving._race_sides import CURVE_REQUESTS, Curve, Side
from simulators.llm_serving._race_views import class_masks, seconds
from simulators.llm_serving._race_world import LONG_TOKENS, World

NO_LONG = f"No prompt is longer than {LONG_TOKENS:,} tokens."
NO_SHORT = f"Every prompt is longer than {LONG_TOKENS:,} tokens."
WHY_ROWS = 12
# Colour and stroke of the policies: prefill-first ones share a colour, as do those that reserve memory.
STROKES = {
    "static": (3, "dot"),
    "orca": (3, "solid"),
    "vllm_v0": (4, "solid"),
    "sglang": (4, "dot"),
    "sarathi": (2, "solid"),
    "vllm_v1": (0, "solid"),
    "disaggregated": (1, "solid"),
}


def metrics(report: Report) -> list[Metric]:
    return [*_waiting(report), *_gaps(report), *_pool(report)]


def _waiting(report: Report) -> list[Metric]:
    world, alone = report.world, report.world.alone
    every = np.ones(len(world.trace), dtype=bool)
    return [
        Metric(
            "short_ttft_p99_s",
            "TTFT of short prompts, p99",
            report.ttft(report.short, 99),
            "s",
            "down",
            limit=percentile(alone.ttft_s[report.short], 99),
            limit_label="alone on the machine",
            note="" if report.short.any() else NO_SHORT,
        ),
        Metric("ttft_p50_s", "TTFT of all prompts, median", report.ttft(every, 50), "s", "down"),
        Metric("ttft_p99_s", "TTFT of all prompts, p99", report.ttft(every, 99), "s", "down"),
        Metric(
            "long_ttft_p50_s",
            "TTFT of long prompts, median",
            report.ttft(world.long, 50),
            "s",
            "down",
            limit=percentile(alone.ttft_s[world.long], 50),
            limit_label="alone on the machine",
            note="" if world.long.any() else NO_LONG,
        ),
        Metric(
            "long_ttft_max_s",
            "TTFT of long prompts, longest",
            report.ttft(world.long, 100),
            "s",
            "down",
            note="" if world.long.any() else NO_LONG,
        ),
        _others(report),
    ]


def _others(report: Report) -> Metric:
    """What the busiest tenant does to the rest."""
    trace, label = report.world.trace, "TTFT of the other tenants, p99"
    if trace.tenant is None or len(np.unique(trace.tenant)) < 2:
        return Metric("others_ttft_p99_s", label, None, "s", "down", note="The trace names no two tenants.")
    busiest = int(np.argmax(np.bincount(trace.tenant)))
    noisy = 0 if not report.world.own else busiest
    note = f"All but {trace.tenant_names[noisy]}."
    return Metric("others_ttft_p99_s", label, report.ttft(trace.tenant != noisy, 99), "s", "down", note=note)


def _gaps(report: Report) -> list[Metric]:
    note = "" if report.itl_ms(50) is not None else "No answer has two tokens."
    limit, said = report.world.params.slo_itl, "SLO"
    return [
        Metric("itl_p50_ms", "Gap between tokens (ITL), median", report.itl_ms(50), "ms", "down", note=note),
        Metric("itl_p99_ms", "Gap between tokens (ITL), p99", report.itl_ms(99), "ms", "down", limit=limit, limit_label=said, note=note),
        Metric("itl_p999_ms", "Gap between tokens (ITL), p99.9", report.itl_ms(99.9), "ms", "down", note=note),
    ]


def _pool(report: Report) -> list[Metric]:
    run, world = report.run, report.world
    offered = len(world.trace) / world.trace.duration_s if world.trace.duration_s else None
    fairness = report.fairness
    return [
        Metric(
            "goodput_rps",
            "Goodput: requests within both limits",
            run.goodput_rps(world.slo),
            "requests/s",
            "up",
            limit=offered,
            limit_label="offered",
        ),
        Metric("slo_share", "Requests within both limits", float(report.good.mean()), "share", "up", limit=1.0, limit_label="all"),
        Metric("throughput_rps", "Requests served", len(world.trace) / run.makespan_s, "requests/s", "up"),
        Metric(
            "fairness",
            "Jain's index of service",
            fairness,
            "index",
            "up",
            limit=1.0,
            limit_label="max-min fair shares",
            note="" if fairness is not None else "Fewer than two tenants asked for service.",
        ),
        Metric("preemptions", "Evictions", float(run.restarts.sum()), "evictions", "down"),
        Metric("busy", "Replicas iterating", report.busy, "share", limit=1.0, limit_label="always"),
        Metric("gpus", "GPUs", float(report.gpus), "GPUs", "down"),
        Metric("usd_per_m_tokens", "Price of a million output tokens", report.usd_per_m_tokens, "$", "down", note="At $2 a GPU-hour."),
    ]


# --- side by side ---------------------------------------------------------------------------------------------------------------


def suffered_figure(found: Sequence[Side], scene: World) -> Figure:
    """Where the hardest-hit short request of every policy spent its time, the gentlest policy on top."""
    order = sorted(found, key=lambda side: -side.loss_s)  # a horizontal axis counts upwards
    labels = [f"{side.label}: TTFT {seconds(side.victim_ttft_s)}" for side in order]
    parts = np.array([side.victim_parts for side in order])
    series = [Series(name, labels, parts[:, j].tolist(), colour=j) for j, name in enumerate(PARTS) if parts[:, j].max() > 1e-3]
    axis = Axis("Time to the last token", "s", range=(0.0, _reach(order)))
    figure = bar_figure("suffered", "", "", series, Axis("Policy"), axis, stacked=True, horizontal=True)
    for trace in figure.plot["data"]:
        trace |= {
            "hovertext": [_victim(side) for side in order],
            "hovertemplate": "%{hovertext}<br>%{fullData.name}: %{x:.2f} s<extra></extra>",
        }
    figure.plot["layout"]["yaxis"] |= {"automargin": True}
    own, best, worst = found[-1], order[-1], order[0]
    other, verb = (worst, "more") if best is own else (best, "less")
    title = (
        f"{_event(scene)}: with your settings the worst-hit short request loses {seconds(own.loss_s)}, "
        f"{verb} ({seconds(other.loss_s)}) under {other.label}"
    )
    said = "; ".join(f"{side.label}: {_victim(side)}" for side in order[::-1]) + "."
    return Figure("suffered", title, figure.plot, said)


def _event(scene: World) -> str:
    """What the policies are compared on; an own trace is not the scene with one long prompt."""
    if scene.own:
        return f"The first {len(scene.trace):,} requests of your trace"
    return f"A prompt of {int(scene.trace.prompt_tokens.max()):,} tokens lands"


def _reach(order: Sequence[Side]) -> float:
    """The axis ends where the paged policies do: bars of those that reserve memory may leave the picture."""
    paged = [side for side in order if side.policy not in RESERVING or side is order[-1]]
    return 1.08 * max(float(side.victim_parts.sum()) for side in paged)


def _victim(side: Side) -> str:
    return (
        f"{side.victim_prompt:,} in, {side.victim_output:,} out, TTFT {seconds(side.victim_ttft_s)}, "
        f"{seconds(float(side.victim_parts.sum()))} in all against {seconds(side.victim_alone_s)} alone"
    )


def sides_table(found: Sequence[Side], scene: World) -> Table:
    columns = (
        "Policy",
        "Short TTFT p99 (s)",
        "Long TTFT (s)",
        "ITL p99 (ms)",
        "Longest gap (ms)",
        "Worst-hit request: TTFT (s)",
        "In all (s)",
        "Alone (s)",
        *(f"{part} (s)" for part in PARTS),
    )
    rows = tuple(
        (
            side.label,
            side.short_ttft_p99_s,
            side.long_ttft_s,
            side.itl_p99_ms,
            side.itl_max_ms,
            side.victim_ttft_s,
            float(side.victim_parts.sum()),
            side.victim_alone_s,
            *(float(part) for part in side.victim_parts),
        )
        for side in sorted(found, key=lambda side: side.loss_s)
    )
    title = f"{_event(scene)}, under every policy" if scene.own else "One long prompt among short ones, every policy"
    return Table("sides", title, columns, rows)


def capacity_figure(found: Sequence[Curve], report: Report) -> Figure:
    """Goodput over offered rate, the policies as they come; the page's settings are a point."""
    p, offered = report.world.params, report.world.trace.rate_rps
    goodput = {curve.label: curve.goodput_rps(p.slo_ttft, p.slo_itl / 1_000) for curve in found}
    series = [
        Series(curve.label, curve.rates_rps.tolist(), goodput[curve.label].tolist(), colour=STROKES[curve.policy][0]) for curve in found
    ]
    first = report.good[:CURVE_REQUESTS]  # the requests that the curves replay
    own = offered * float(first.mean())
    top = float(found[0].rates_rps[-1])
    ideal = Series("All within limits", [0, top], [0, top], mode="lines", truth=True)
    here = Series("Your settings", [min(offered, 1.5 * top)], [own], mode="markers", colour=5)
    peaks = {label: float(values.max()) for label, values in goodput.items()}
    best = max(peaks, key=lambda label: peaks[label])
    title = f"With the first {len(first)} requests {best} as it comes carries most within limits: {peaks[best]:.3g} requests/s"
    said = "Best of each: " + ", ".join(f"{label} {peak:.3g}" for label, peak in peaks.items()) + "."
    axes = Axis("Offered", "requests/s"), Axis("Within both limits", "requests/s")
    figure = line_figure("capacity", title, said, [*series, here, ideal], *axes)
    for trace, curve in zip(figure.plot["data"], found, strict=False):
        trace["line"]["dash"] = STROKES[curve.policy][1]
    figure.plot["data"][len(series)]["marker"] |= {"size": 14, "symbol": "diamond"}
    return figure


# --- tables of the run on the page ---------------------------------------------------------------------------------------------------


def tables(report: Report) -> list[Table]:
    return [_classes_table(report), _slow_table(report)]


def _classes_table(report: Report) -> Table:
    run, alone = report.run, report.world.alone
    columns = ("Tier", "Prompts", "Requests", "TTFT p50 (s)", "TTFT p99 (s)", "TTFT max (s)", "Alone p50 (s)", "Within both limits (share)")
    rows: list[tuple[str | float | int | None, ...]] = []
    for tier, length, mask in class_masks(report):
        times = [float(np.percentile(run.ttft_s[mask], q)) for q in (50, 99, 100)]
        rows.append((tier, length, int(mask.sum()), *times, float(np.median(alone.ttft_s[mask])), float(report.good[mask].mean())))
    return Table("classes", "Time to first token by tier and length", columns, tuple(rows))


def _slow_table(report: Report) -> Table:
    run, trace, found = report.run, report.world.trace, slowest(report, WHY_ROWS)
    columns = ("Row", "Prompt tokens", "Output tokens", "Replica", "In all (s)", "Alone (s)", "TTFT (s)", "Why was this one slow")
    rows = tuple(
        (
            int(trace.row[i]) + 1,
            int(trace.prompt_tokens[i]),
            int(trace.output_tokens[i]),
            int(run.replica[i]) + 1,
            float(run.e2e_s[i]),
            float(report.world.alone.e2e_s[i]),
            float(run.ttft_s[i]),
            why_slow(report, int(i)),
        )
        for i in found
    )
    return Table("slow", "The slowest requests", columns, rows)
