"""Figures of the lab `scheduler_race` about the run on the page: waiting times, iterations, queue and memory, the slowest requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure
from simulators.llm_serving._race_measure import PARTS, SPENT, Report, slowest, why_slow
from simulators.llm_serving._race_world import LONG_TOKENS, Bools, Floats

SHARES = np.concatenate([np.linspace(0, 0.9, 46), 1 - np.geomspace(0.1, 1e-4, 40)])
GANTT_ITERATIONS = 400
GRID = 240
SLOWEST = 50
KINDS = ("Answers only", "Answers beside prompts", "Prompts only")
SHADES = {"Answers only": 0, "Answers beside prompts": 4, "Prompts only": 1}


def seconds(value: float | None) -> str:
    """A time as a person says it."""
    if value is None:
        return "undefined"
    if value < 0.0995:
        return f"{1_000 * value:.0f} ms"
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


# --- distributions -----------------------------------------------------------------------------------------------------------


def ttft_figure(report: Report) -> Figure:
    world = report.world
    series = [
        Series("Alone on the machine", *_cdf(world.alone.ttft_s[report.short]), mode="lines", truth=True),
        Series(f"Prompts up to {LONG_TOKENS:,} tokens", *_cdf(report.run.ttft_s[report.short]), mode="lines", colour=0),
        Series("Longer prompts", *_cdf(report.run.ttft_s[world.long]), mode="lines", colour=1),
    ]
    series = [item for item in series if len(item.x)]
    p99, alone = report.ttft(report.short, 99), np.percentile(world.alone.ttft_s, 99)
    over = float(np.mean(report.run.ttft_s[report.short] > world.params.slo_ttft)) if report.short.any() else 0.0
    title = f"{over:.1%} of the short prompts wait longer than {world.params.slo_ttft:g} s for their first token"
    if not report.short.any():
        title = f"Every prompt is longer than {LONG_TOKENS:,} tokens"
    said = f"99th percentile of the short prompts {seconds(p99)}, of all prompts alone on the machine {seconds(float(alone))}."
    figure = line_figure("ttft", title, said, series, Axis("Time to first token", "s", "log"), Axis("Requests", percent=True))
    return with_line(figure, label="SLO", x=world.params.slo_ttft)


def _cdf(values: Floats) -> tuple[list[float], list[float]]:
    """Quantiles dense in the tail, on axes that a log scale can show."""
    if not len(values):
        return [], []
    return np.maximum(np.quantile(values, SHARES), 1e-4).tolist(), SHARES.tolist()


def itl_figure(report: Report) -> Figure:
    run, limit = report.run, report.world.params.slo_itl
    counts = np.cumsum(run.itl_hist)
    share = counts / max(int(counts[-1]), 1)
    kept = np.flatnonzero((run.itl_hist > 0) & (share < 1 - 1e-7)) if counts[-1] else np.zeros(0, dtype=int)
    edges = 1_000 * run.itl_edges_s[1:]
    series = [Series("Gaps between tokens", edges[kept], share[kept], mode="lines")]
    over = 1 - float(np.interp(limit, edges, share)) if counts[-1] else 0.0
    title = f"{over:.1%} of the gaps between tokens are longer than {limit:g} ms"
    numbers = [report.itl_ms(q) for q in (50, 99, 99.9)]
    said = "Median, 99th and 99.9th percentile: " + ", ".join("none" if ms is None else f"{ms:.1f} ms" for ms in numbers) + "."
    figure = line_figure("itl", title, said, series, Axis("Gap between two tokens", "ms", "log"), Axis("Gaps", percent=True))
    return with_line(figure, label="SLO", x=limit)


# --- iterations over time ------------------------------------------------------------------------------------------------------


def timeline_figure(report: Report) -> Figure:
    """A Gantt chart of the iterations around the moment a long prompt (else the worst-delayed request) is read."""
    log = report.run.iteration_log
    start, replica, what = _moment(report)
    rows = _window(log, start)
    pooled = report.world.params.policy == "disaggregated"
    names = _replica_names(report) if pooled else [f"replica {r + 1}" for r in range(report.setup.replicas)]
    figure = bar_figure("timeline", "", "", _spans(rows, names), Axis("Replica"), Axis("Time", "s"), stacked=True, horizontal=True)
    _place_spans(figure, rows)
    figure.plot["layout"]["xaxis"]["range"] = [float(rows["start_s"].min()), float((rows["start_s"] + rows["duration_s"]).max())]
    figure.plot["layout"]["yaxis"] |= {"categoryorder": "array", "categoryarray": names[::-1]}
    longest = float(rows["duration_s"].max())
    title = f"While {names[replica]} reads {what}, an iteration takes up to {seconds(longest)}"
    said = f"{len(rows)} iterations from {rows['start_s'].min():.1f} s on; each bar is one, longer where it holds prompt tokens."
    return Figure("timeline", title, figure.plot, said)


def _moment(report: Report) -> tuple[float, int, str]:
    """Start of the story: when the long prompt whose reading took longest was scheduled; its replica; what was read."""
    run, world = report.run, report.world
    chosen = np.flatnonzero(world.long) if world.long.any() else slowest(report, 1)
    i = int(chosen[np.argmax(run.breakdown[chosen, 1] + run.breakdown[chosen, 2])])
    return float(run.scheduled_s[i]), int(run.replica[i]), f"a prompt of {world.trace.prompt_tokens[i]:,} tokens"


def _window(log: Any, start: float) -> Any:
    """The iterations from shortly before `start` on, in order of time."""
    order = np.argsort(log["start_s"], kind="stable")
    at = int(np.searchsorted(log["start_s"][order], start))
    first = max(0, at - GANTT_ITERATIONS // 8)
    return log[order[first : first + GANTT_ITERATIONS]]


def _replica_names(report: Report) -> list[str]:
    p = report.world.params
    kept = [f"prefill {r + 1}" + (" (long)" if r >= p.prefill - p.long else "") for r in range(p.prefill)]
    return kept + [f"decode {r + 1}" for r in range(p.decode)]


def _kind(rows: Any) -> Any:
    decodes = rows["total_tokens"] - rows["prefill_tokens"]
    return np.where(rows["prefill_tokens"] == 0, 0, np.where(decodes > 0, 1, 2))


def _spans(rows: Any, names: Sequence[str]) -> list[Series]:
    kinds, series = _kind(rows), []
    for kind, name in enumerate(KINDS):
        chosen = rows[kinds == kind]
        text = [
            f"{row['duration_s'] * 1e3:.0f} ms: {row['prefill_tokens']:,} prompt tokens, "
            f"{row['total_tokens'] - row['prefill_tokens']} answers, {row['waiting']} waiting"
            for row in chosen
        ]
        places = [names[r] for r in chosen["replica"]]
        series.append(Series(name, places, chosen["duration_s"], colour=SHADES[name], text=text))
    return [item for item in series if len(item.x)]


def _place_spans(figure: Figure, rows: Any) -> None:
    """Each bar begins where its iteration began, and says on hovering what was in it."""
    kinds = _kind(rows)
    for trace in figure.plot["data"]:
        chosen = rows[kinds == KINDS.index(trace["name"])]
        trace |= {"base": [round(float(start), 4) for start in chosen["start_s"]], "hovertemplate": "%{text}<extra></extra>"}
        trace |= {"textposition": "none", "marker": {**trace["marker"], "line": {"width": 0}}}


def queue_figure(times: Floats, waiting: Floats) -> Figure:
    most = int(np.argmax(waiting))
    title = f"Up to {waiting[most]:,.0f} requests wait at once, {seconds(times[most] - times[0])} into the run"
    if not waiting.any():
        title = "No request waits for long: the queues are empty whenever one looks"
    said = f"Requests waiting over all replicas: mean {waiting.mean():,.1f}, most {waiting.max():,.0f}."
    return line_figure(
        "queue",
        title,
        said,
        [Series("Waiting", times.tolist(), waiting.tolist(), mode="lines")],
        Axis("Time", "s"),
        Axis("Waiting", "requests"),
    )


def blocks_figure(report: Report, times: Floats, free: Floats) -> Figure:
    least = float(free.min())
    title = f"The fullest replica keeps {least:.0%} of its KV blocks free at worst"
    if report.run.restarts.any():
        title = f"KV memory runs out: {int(report.run.restarts.sum()):,} evictions"
    said = f"Free KV blocks of the replica that has fewest: mean {free.mean():.0%}, least {least:.0%}."
    series = [Series("Free blocks, fullest replica", times.tolist(), free.tolist(), mode="lines", colour=2)]
    axis = Axis("Free KV blocks", percent=True, range=(0.0, 1.0))
    return line_figure("blocks", title, said, series, Axis("Time", "s"), axis)


def over_time(report: Report) -> tuple[Floats, Floats, Floats]:
    """Times, requests waiting over all replicas, and the smallest share of free blocks, as the iterations began."""
    log, run = report.run.iteration_log, report.run
    start = float(run.trace.arrival_s[0])
    times = np.linspace(start, start + run.makespan_s, GRID)
    waiting, free = np.zeros(GRID), np.ones(GRID)
    for r in range(report.setup.replicas):
        mine = np.flatnonzero(log["replica"] == r)  # row numbers: the log itself is large
        if len(mine):
            rows = mine[np.searchsorted(log["start_s"][mine], times).clip(1, len(mine)) - 1]
            over = times > float(log["start_s"][mine[-1]] + log["duration_s"][mine[-1]])
            waiting += np.where(over, 0, log["waiting"][rows])
            free = np.minimum(free, np.where(over, 1.0, log["free_blocks"][rows] / run.blocks_total[r]))
    return times, waiting, free


# --- who was slow ------------------------------------------------------------------------------------------------------------


def slowest_figure(report: Report) -> Figure:
    """Where the slowest requests spent their time, each beside what it would have taken alone."""
    found = slowest(report, SLOWEST)
    ranks = list(range(1, len(found) + 1))
    why = [f"{_request(report, i)}: {why_slow(report, i)}" for i in found]
    parts = report.parts[found]
    series = [Series(name, ranks, parts[:, j].tolist(), colour=j) for j, name in enumerate(PARTS) if parts[:, j].max() > 1e-3]
    alone = Series("Alone on the machine", ranks, report.world.alone.e2e_s[found], mode="markers", truth=True, text=why)
    figure = bar_figure(
        "slowest", "", "", series, Axis("Requests by delay", "rank"), Axis("Time from arrival to last token", "s"), stacked=True
    )
    for trace in figure.plot["data"]:
        trace |= {"hovertext": why, "hovertemplate": "%{hovertext}<br>%{fullData.name}: %{y:.2f} s<extra></extra>"}
    figure.plot["data"].append(line_figure("", "", "", [alone], Axis("x"), Axis("y")).plot["data"][0])
    figure.plot["layout"]["showlegend"] = True
    share = parts.sum(axis=0) / max(parts.sum(), 1e-9)
    top = int(np.argmax(share))
    title = f"The slowest {len(found)} spend {share[top]:.0%} of their time {SPENT[top]}"
    return Figure("slowest", title, figure.plot, f"The slowest request: {why[0]}.")


def _request(report: Report, i: int) -> str:
    trace = report.world.trace
    return f"{trace.prompt_tokens[i]:,} in, {trace.output_tokens[i]:,} out"


def class_masks(report: Report) -> list[tuple[str, str, Bools]]:
    """(tier, length class, which requests) for the table of waiting times."""
    trace, found = report.world.trace, []
    lengths = (("short", report.short), ("long", report.world.long))
    names = trace.tenant_names[:20] if trace.tenant is not None else ()
    for tier, mask in [("all", np.ones(len(trace), dtype=bool)), *((name, trace.tenant == code) for code, name in enumerate(names))]:
        found += [(tier, length, mask & chosen) for length, chosen in lengths if (mask & chosen).any()]
    return found
