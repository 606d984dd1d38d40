"""Metrics, figures and tables of the lab `real_engine`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from simulators.engines.serving import CostModel
from simulators.engines.serving.tiny.calibrate import DECODE_KV
from simulators.engines.serving.tiny.language import to_text
from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table
from simulators.llm_serving._real_runs import PLAIN, SEQUENTIAL, STATIC, TYPICAL_KV, UNCACHED, Measured, Report, mean_batch

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SHOWN_ANSWERS = 4
SHOWN_WORDS = 24
ROWS = ("simulated", "measured")
KINDS = ("Answers only", "Prompt tokens too")


# --- metrics -----------------------------------------------------------------------------------------------------------------


def metrics(report: Report) -> list[Metric]:
    return [*_speed(report), *_memory(report), *_speculation(report), *_foreseen(report), *_parity(report)]


def _speed(report: Report) -> Iterator[Metric]:
    chosen, static = report.chosen, report.measured[STATIC]
    run = chosen.run
    yield Metric("tokens_per_s", "Output tokens a CPU second", chosen.tokens_per_s, "tokens/s", "up", measured=True)
    yield Metric("speedup_sequential", "Against one request at a time", report.speedup(SEQUENTIAL), "x", "up", measured=True)
    yield Metric("speedup_static", "Against static batches of 16", report.speedup(STATIC), "x", "up", measured=True)
    p95, base = (float(np.percentile(one.run.ttft_s, 95)) for one in (chosen, static))
    yield Metric("ttft_p95_s", "TTFT, 95th percentile", p95, "s", "down", measured=True)
    yield Metric("ttft_vs_static", "TTFT p95 against static batches", p95 / base, "x", "down", measured=True)
    gaps = run.itl_s
    gap = float(np.percentile(gaps, 99)) * 1e3 if len(gaps) else None
    yield Metric(
        "itl_p99_ms", "Gap between tokens, 99th percentile", gap, "ms", "down", measured=True, note="" if len(gaps) else "No gaps."
    )
    yield Metric("cpu_s", "CPU time of the design's run", run.busy_s, "s", "down", measured=True)
    yield Metric("wall_s", "Wall time of the design's run", run.wall_s, "s", "down", measured=True)


def _memory(report: Report) -> Iterator[Metric]:
    run, p, plan = report.chosen.run, report.params, report.chosen.plan
    timed = p.rate > 0  # who is served together then depends on how fast this machine is
    worst = plan.slots * p.worst_case_blocks
    yield Metric(
        "blocks_peak",
        "KV blocks at the peak",
        float(run.blocks_peak),
        "blocks",
        "down",
        measured=timed,
        limit=float(worst),
        limit_label="worst-case reservation",
    )
    prompt = sum(len(request.prompt) for request in plan.requests)
    hit = float(run.cached_tokens.sum()) / prompt
    yield Metric("hit_rate", "Prompt tokens found in the prefix cache", hit, "share", "up", measured=timed)
    yield Metric("preemptions", "Evictions", float(run.restarts.sum()), "evictions", "down", measured=timed)
    if UNCACHED in report.measured:
        ratio = float(run.ttft_s.mean() / report.measured[UNCACHED].run.ttft_s.mean())
        yield Metric("ttft_vs_uncached", "Mean TTFT against no prefix cache", ratio, "x", "down", measured=True)


def _speculation(report: Report) -> Iterator[Metric]:
    run, p = report.chosen.run, report.params
    if p.spec == "none":
        return
    timed, counts = p.rate > 0, run.counts
    expected = counts.expected / counts.tested if counts.tested else None
    yield Metric(
        "acceptance",
        "Guesses accepted",
        run.acceptance,
        "share",
        "up",
        measured=timed,
        limit=expected,
        limit_label="expected, sum of min(p, q)",
        note="" if counts.tested else "Nothing was guessed.",
    )
    yield Metric("tokens_per_decode", "Tokens of a decode step", run.tokens_per_decode, "tokens", "up", measured=timed)
    yield Metric("spec_speedup", "Speed-up by speculation, measured", report.speedup(PLAIN), "x", "up", measured=True)
    batch = mean_batch(report.measured[PLAIN].run)
    formula = report.formula_speedup(batch)
    yield Metric("spec_formula", f"Speed-up by formula at {batch} sequences", formula, "x", "up", measured=True)


def _foreseen(report: Report) -> Iterator[Metric]:
    chosen = report.chosen
    note = f"Machine busy: its speed changed by {abs(report.drift):.0%} during the run. Repeat." if report.busy else ""
    errors = (None, None) if report.busy else (100 * chosen.makespan_error, 100 * chosen.request_error)
    yield Metric("makespan_error", "Simulated makespan over measured, less one", errors[0], "%", measured=True, note=note)
    yield Metric("request_error", "Mean error of a request's time", errors[1], "%", "down", measured=True, note=note)
    yield Metric("drift", "Change of the machine's speed meanwhile", 100 * report.drift, "%", measured=True)


def _parity(report: Report) -> Iterator[Metric]:
    if report.params.temperature > 0:
        note = "Answers are drawn at this temperature; guesses change which draws are made, not their distribution."
        yield Metric("mismatches", "Answers that differ between modes", None, "answers", "down", note=note)
        return
    yield Metric(
        "mismatches", "Answers that differ between modes", float(report.parity.different), "answers", "down", limit=0.0, limit_label="exact"
    )
    yield Metric("ties", "Answers that part at a tie of logits", float(report.parity.ties), "answers", "down")


# --- figures -----------------------------------------------------------------------------------------------------------------


def figures(report: Report) -> list[Figure]:
    shown = [
        speed_figure(report),
        timeline_figure(report),
        surface_figure(report.cost, report.measured.get(PLAIN, report.chosen)),
        scatter_figure(report),
    ]
    return shown if report.params.spec == "none" else [*shown, speculation_figure(report)]


def speed_figure(report: Report) -> Figure:
    names = list(report.measured)
    real = [one.tokens_per_s for one in report.measured.values()]
    foreseen = [one.foreseen_tokens_per_s for one in report.measured.values()]
    series = [
        Series("measured", names, real, text=[f"{value:,.0f}" for value in real]),
        Series("simulated", names, foreseen, colour=4, text=[f"{value:,.0f}" for value in foreseen]),
    ]
    title = f"{report.speedup(SEQUENTIAL):.1f} times the speed of one request at a time, {report.speedup(STATIC):.1f} times static batches"
    said = "; ".join(f"{name}: {a:,.0f} tokens/s, simulated {b:,.0f}" for name, a, b in zip(names, real, foreseen, strict=True)) + "."
    return bar_figure("speed", title, said, series, Axis("Run"), Axis("Output tokens a CPU second", "tokens/s"))


def timeline_figure(report: Report) -> Figure:
    """Gantt: every iteration of the real run over those the simulator foresaw."""
    chosen = report.chosen
    log = chosen.foreseen.iteration_log
    rows: dict[str, list[Any]] = {
        "measured": [(r.start_s, r.duration_s, r.tokens, r.prefill_tokens) for r in chosen.run.log],
        "simulated": [(r["start_s"], r["duration_s"], r["total_tokens"], r["prefill_tokens"]) for r in log],
    }
    figure = bar_figure("timeline", "", "", _spans(rows), Axis("Run"), Axis("CPU time", "s"), horizontal=True)
    for trace, kind in zip(figure.plot["data"], (0, 1), strict=False):
        trace["base"] = [r[0] for name in ROWS for r in rows[name] if (r[3] > 0) == kind]
        trace["textposition"], trace["hovertemplate"] = "none", "%{text}<extra></extra>"
        trace["marker"]["line"] = {"width": 0}
    figure.plot["layout"] |= {"barmode": "overlay", "bargap": 0.3}
    real, foreseen = chosen.run.makespan_s, chosen.foreseen.makespan_s
    title = f"The last answer was done after {real:.2f} s; the simulator said {foreseen:.2f} s"
    said = f"{len(rows['measured'])} iterations measured, {len(rows['simulated'])} simulated."
    return Figure("timeline", title, figure.plot, said)


def _spans(rows: dict[str, list[Any]]) -> list[Series]:
    series = []
    for kind, name in enumerate(KINDS):
        chosen = [(row, r) for row in ROWS for r in rows[row] if (r[3] > 0) == kind]
        text = [f"{1e3 * r[1]:.1f} ms: {r[2]:.0f} tokens, {r[3]:.0f} of prompts" for _, r in chosen]
        series.append(Series(name, [row for row, _ in chosen], [r[1] for _, r in chosen], colour=kind, text=text))
    return series


def surface_figure(cost: CostModel, one: Measured | None = None) -> Figure:
    """Calibrated time of a decode iteration over the batch, and the real ones of a run without guesses."""
    lines = [
        Series(f"calibrated, {kv} tokens each", BATCHES, [1e3 * cost.step_s([kv] * n, []) for n in BATCHES], colour=i, mode="lines")
        for i, kv in enumerate(DECODE_KV)
    ]
    batch, ms = _decode_points(one) if one else ([], [])
    points = Series("iterations of the run", batch, ms, mode="markers", colour=4)
    alone, sixteen = (1e3 * cost.step_s([TYPICAL_KV] * n, []) for n in (1, 16))
    title = f"Sixteen answers take {sixteen / alone:.1f} times the time of one: the rest is the gain of batching"
    said = f"At {TYPICAL_KV} tokens each, one sequence takes {alone:.2f} ms an iteration, sixteen take {sixteen:.2f} ms."
    axes = Axis("Sequences in the iteration", "sequences", "log"), Axis("Time of an iteration", "ms", "log")
    return line_figure("surface", title, said, [*lines, points] if batch else lines, *axes)


def _decode_points(one: Measured) -> tuple[list[int], list[float]]:
    """Median milliseconds of iterations without prompt tokens and without guesses, by sequences."""
    found: dict[int, list[float]] = {}
    for record in one.run.log:
        if not record.prefill_tokens and record.tokens == record.sequences:
            found.setdefault(record.sequences, []).append(1e3 * record.duration_s)
    return sorted(found), [float(np.median(found[n])) for n in sorted(found)]


def scatter_figure(report: Report) -> Figure:
    chosen = report.chosen
    measured, foreseen = chosen.run.finished_s - chosen.run.arrival_s, chosen.foreseen.e2e_s
    most = float(max(measured.max(), foreseen.max()))
    series = [
        Series("equal", [0, most], [0, most], mode="lines", truth=True),
        Series("a request", measured.tolist(), foreseen.tolist(), mode="markers"),
    ]
    title = f"A request's time is foreseen to {chosen.request_error:.0%} on average"
    if report.busy:
        title = "The machine changed its speed during the run: no claim about the error"
    said = f"Mean error of a request {chosen.request_error:.1%}; of the last answer {chosen.makespan_error:+.1%}."
    axes = Axis("Measured time to the last token", "s"), Axis("Simulated time to the last token", "s")
    return line_figure("scatter", title, said, series, *axes)


def speculation_figure(report: Report) -> Figure:
    formula = [report.formula_speedup(n) for n in BATCHES]
    batch = mean_batch(report.measured[PLAIN].run)
    series = [
        Series("formula with calibrated iterations", BATCHES, formula, mode="lines+markers"),
        Series("measured in this run", [batch], [report.speedup(PLAIN)], mode="markers", colour=1),
        Series("no gain", [BATCHES[0], BATCHES[-1]], [1, 1], mode="lines", truth=True),
    ]
    title = f"Guessing gives {formula[0]:.1f}x alone and {formula[4]:.1f}x among sixteen"
    said = (
        f"Measured at about {batch} sequences: {report.speedup(PLAIN):.2f}x; the formula says {report.formula_speedup(batch):.2f}x there."
    )
    axes = Axis("Sequences in the iteration", "sequences", "log"), Axis("Speed-up by speculation", "x")
    return line_figure("speculation", title, said, series, *axes)


# --- tables ------------------------------------------------------------------------------------------------------------------


def tables(report: Report) -> list[Table]:
    return [foreseen_table(report), answers_table(report)]


def foreseen_table(report: Report) -> Table:
    """Measured, simulated, error, for every run and figure."""
    rows = [row for name, one in report.measured.items() for row in _pairs(name, one)]
    shown = [(name, what, a, b, None if report.busy else 100 * (b / a - 1)) for name, what, a, b in rows]
    title = "What was measured and what the simulator says"
    return Table(
        "foreseen", title, ("Run", "Figure", "Measured (unit of the figure)", "Simulated (unit of the figure)", "Error (%)"), tuple(shown)
    )


def _pairs(name: str, one: Measured) -> Iterator[tuple[str, str, float, float]]:
    run, foreseen = one.run, one.foreseen
    yield name, "last answer done (s)", run.makespan_s, foreseen.makespan_s
    yield name, "output tokens/s", one.tokens_per_s, one.foreseen_tokens_per_s
    yield name, "TTFT, mean (s)", float(run.ttft_s.mean()), float(foreseen.ttft_s.mean())
    yield name, "TTFT, p95 (s)", float(np.percentile(run.ttft_s, 95)), float(np.percentile(foreseen.ttft_s, 95))
    gap = foreseen.summary()["itl_s"]["mean"]
    if len(run.itl_s) and gap:
        yield name, "gap between tokens, mean (ms)", 1e3 * float(run.itl_s.mean()), 1e3 * gap
    yield name, "iterations", float(run.steps), float(foreseen.iterations)


def answers_table(report: Report) -> Table:
    plan, run = report.chosen.plan, report.chosen.run
    shared = report.params.shared_prefix
    rows = tuple(
        (i + 1, _words(plan.requests[i].prompt[shared:], last=True), _words(run.tokens[i]))  # type: ignore[arg-type]
        for i in range(min(SHOWN_ANSWERS, len(plan.requests)))
    )
    return Table("answers", "What the model wrote", ("Request", "End of the prompt", "Beginning of the answer"), rows)


def _words(tokens: Sequence[int], last: bool = False) -> str:
    if len(tokens) <= SHOWN_WORDS:
        return to_text(tokens)
    return f"... {to_text(tokens[-SHOWN_WORDS:])}" if last else f"{to_text(tokens[:SHOWN_WORDS])} ..."
