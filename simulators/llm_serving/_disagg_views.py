"""Metrics, figures and tables of the lab `disaggregation`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.engines.serving import CostModel, SimResult
from simulators.engines.serving.cost_roofline import linear_flops, ridge_tokens
from simulators.engines.serving.gpus import find_gpu
from simulators.engines.serving.models import find_model
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.llm_serving._disagg_world import LIMITS_MS, SPLITS, USD_PER_HOUR, Layout, Sweep, Tail, World, cost_of

BATCHES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)
PARETO_KV, SPEC_KV = 1_500, 1_000
MODEL = find_model("Llama-3.1-70B")
MFU, MBU = 0.60, 0.75  # of the roofline


@dataclass(frozen=True)
class Reading:
    """The layout on the page at the page's rate."""

    world: World
    layout: Layout
    run: SimResult

    @property
    def ttft_p99_s(self) -> float:
        return float(np.percentile(self.run.ttft_s, 99))

    @property
    def itl_p99_ms(self) -> float | None:
        gap = self.run.itl_percentile_s(99)
        return None if gap is None else 1e3 * gap

    @property
    def busy(self) -> tuple[float, float]:
        """Share of the time that prefill and decode replicas iterate; colocated, both are the mean of all."""
        busy, p = self.run.busy_s / self.run.makespan_s, self.world.params
        if p.layout == "colocated":
            return float(busy.mean()), float(busy.mean())
        return float(busy[: p.prefill_replicas].mean()), float(busy[p.prefill_replicas :].mean())

    @property
    def transfer_share(self) -> float:
        return float(self.run.breakdown[:, 6].sum() / self.run.e2e_s.sum())

    @property
    def transfer_s(self) -> float:
        """Mean of a prompt's way to the decode pool."""
        return float(self.run.breakdown[:, 6].mean())


def reading_metrics(reading: Reading) -> list[Metric]:
    world, run, p = reading.world, reading.run, reading.world.params
    prefill, decode = reading.busy
    tokens_s = float(world.trace.output_tokens.sum()) / run.makespan_s
    gap = reading.itl_p99_ms
    return [
        Metric("ttft_p99_s", "Time to first token, p99", reading.ttft_p99_s, "s", "down", limit=p.slo_ttft, limit_label="SLO"),
        Metric(
            "itl_p99_ms",
            "Gap between tokens, p99",
            gap,
            "ms",
            "down",
            limit=p.slo_itl,
            limit_label="SLO",
            note="" if gap is not None else "No answer has two tokens.",
        ),
        Metric("prefill_busy", "Prefill replicas iterating", prefill, "share"),
        Metric("decode_busy", "Decode replicas iterating", decode, "share"),
        Metric("transfer_share", "Time spent between pools", reading.transfer_share, "share of all time", "down"),
        Metric("tokens_per_joule", "Output tokens a joule", tokens_s / world.watts, "tokens/J", "up", note="At the data sheet's power."),
        Metric("gpus", "GPUs", float(world.gpus), "GPUs", "down"),
    ]


def goodput_metrics(world: World, goodput: float, sweep: Sweep) -> list[Metric]:
    label, best = sweep.best if sweep.equal else ("", goodput)
    per_usd = goodput * 3_600 / world.usd_per_hour
    return [
        Metric(
            "goodput_rps",
            "Goodput: highest rate within both limits",
            goodput,
            "requests/s",
            "up",
            limit=max(best, goodput),
            limit_label=f"best of the sweep: {label}" if best >= goodput * (1 - 1e-9) else "this layout",
        ),
        Metric("goodput_per_gpu", "Goodput a GPU", goodput / world.gpus, "requests/s", "up"),
        Metric("goodput_per_usd", "Requests a dollar at goodput", per_usd, "requests/$", "up", note="At assumed prices by the hour."),
    ]


# --- figures -------------------------------------------------------------------------------------------------------------------


def limits_figure(world: World, found: list[Tail], own: Tail) -> Figure:
    """What each layout carries as the limit on gaps tightens."""
    limits = list(LIMITS_MS)
    others = [item for item in found if item.label != own.label][:5]
    curves = {item.label: [item.carries(world.params.slo_ttft, ms / 1e3) for ms in limits] for item in [*others, own]}
    series = [Series(item.label, limits, curves[item.label], colour=i) for i, item in enumerate(others)]
    series.append(Series(f"Yours: {own.label}", limits, curves[own.label], colour=5))
    at = world.params.slo_itl / 1e3
    now = {item.label: item.carries(world.params.slo_ttft, at) for item in [*others, own]}
    best = max(now, key=lambda label: now[label])
    yours = "" if best == own.label else f"; yours {now[own.label]:.0f}"
    title = f"At {world.params.slo_itl:g} ms between tokens {best} carries most, {now[best]:.0f} requests/s{yours}"
    said = "; ".join(f"{label}: {value:.1f} requests/s" for label, value in now.items()) + f" at {world.params.slo_itl:g} ms."
    axes = Axis("Limit on the gap between tokens, p99", "ms", "log"), Axis("Goodput", "requests/s")
    return with_line(line_figure("limits", title, said, series, *axes), label="SLO", x=world.params.slo_itl)


def split_figure(world: World, sweep: Sweep) -> Figure:
    """Goodput a replica over the numbers of prefill and decode replicas."""
    shapes = {(p, d): value / (p + d) for (p, d), value in sweep.splits.items()}
    series = [
        Series(f"{d}D", [f"{p}P" for p in SPLITS], [shapes[p, d] for p in SPLITS], colour=i, text=[f"{shapes[p, d]:.3g}" for p in SPLITS])
        for i, d in enumerate(SPLITS)
    ]
    best = max(shapes, key=lambda shape: shapes[shape])
    title = f"A replica is worth most at {best[0]}P + {best[1]}D: {shapes[best]:.3g} requests/s each"
    said = "; ".join(f"{p}P + {d}D {value:.3g} requests/s" for (p, d), value in sweep.splits.items()) + "."
    axes = Axis("Prefill replicas, beside 1 to 3 decode replicas"), Axis("Goodput a replica", "requests/s")
    return bar_figure("splits", title, said, series, *axes)


def pareto_figure(world: World) -> Figure:
    """Decode throughput a GPU against the gap between tokens, over batch sizes, for each tensor parallelism that holds the weights."""
    series = [_pareto(world, tp, i) for i, tp in enumerate(("1", "2", "4", "8", "16"))]
    kept = [item for item in series if item is not None and len(item.x)]
    tops = {item.name: max(item.y) for item in kept}
    best = max(tops, key=lambda name: tops[name])
    title = f"{best} writes most a GPU, {tops[best]:,.0f} tokens/s; more GPUs a replica buy shorter gaps"
    said = "; ".join(f"{item.name}: up to {max(item.y):,.0f} tokens/s a GPU, gap from {min(item.x):.1f} ms" for item in kept) + "."
    axes = Axis("Gap between tokens", "ms", "log"), Axis("Output tokens a GPU", "tokens/s")
    figure = line_figure("pareto", title, said, kept, *axes)
    return with_line(figure, label="SLO", x=world.params.slo_itl)


def _pareto(world: World, tp: str, colour: int) -> Series | None:
    p = world.params
    gpu = p.decode_gpu if p.layout == "disaggregated" else p.prefill_gpu
    try:
        cost = cost_of(p, gpu, tp)
        room = cost.num_blocks(16) * 16 // (PARETO_KV + 1)
    except InvalidInput:
        return None
    batches = [batch for batch in BATCHES if batch <= room]
    steps = [cost.step_s([PARETO_KV] * batch, []) for batch in batches]
    gpus = int(tp) * int(p.pp)
    text = [f"batch {batch}" for batch in batches]
    return Series(
        f"TP{tp}", [1e3 * s for s in steps], [b / s / gpus for b, s in zip(batches, steps, strict=True)], colour=colour, text=text
    )


def speculation_figure(world: World) -> Figure:
    """Tokens a second with speculation over without, as the batch grows."""
    p = world.params
    drafts = sorted({2, 5, max(p.k, 1)})
    speedup = {k: [world.decode_cost.spec_speedup(b, SPEC_KV, p.alpha, k, p.draft_cost) for b in BATCHES] for k in drafts}
    series = [Series(f"{k} drafted" + (" (yours)" if k == p.k else ""), list(BATCHES), speedup[k], colour=i) for i, k in enumerate(drafts)]
    own = speedup[max(p.k, 1)]
    title = f"{max(p.k, 1)} guesses at acceptance {p.alpha:g}: {own[0]:.1f} times at batch 1, {own[-1]:.2f} times at {BATCHES[-1]}"
    said = f"At {SPEC_KV:,} tokens of keys and values a request, {p.draft_cost:g} steps a guess: " + ", ".join(
        f"batch {b} {value:.2f}" for b, value in zip(BATCHES, own, strict=True)
    )
    axes = Axis("Requests in a step", "requests", "log"), Axis("Speed against none", "times")
    return with_line(line_figure("speculation", title, said + ".", series, *axes), label="no gain", y=1.0)


def roofline_figure(reading: Reading) -> Figure:
    """FLOP/s of the linear layers over tokens a step, and where this run's iterations are."""
    p = reading.world.params
    gpu = find_gpu(p.prefill_gpu)
    peak, ridge = linear_flops(gpu, p.weights) * MFU / 1e12, ridge_tokens(gpu, MODEL, p.weights) * MFU / MBU
    tokens = np.geomspace(1, 8_192, 60)
    roof = Series("Roofline", tokens.tolist(), (peak * np.minimum(1, tokens / ridge)).tolist(), mode="lines", truth=True)
    log = reading.run.iteration_log
    prompts = log["prefill_tokens"] > 0
    points = [
        _operating("Steps with prompts", log[prompts], peak, ridge, 1),
        _operating("Steps of answers only", log[~prompts], peak, ridge, 0),
    ]
    kept = [item for item in points if item is not None]
    title = f"Above {ridge:.0f} tokens a step arithmetic binds, below it reading the weights"
    said = "; ".join(f"{item.name}: median {item.x[0]:,.0f} tokens" for item in kept) + f"; ridge {ridge:.0f} tokens."
    axes = Axis("Tokens in a step", "tokens", "log"), Axis("Linear layers, a GPU", "TFLOP/s", "log")
    return line_figure("roofline", title, said, [roof, *kept], *axes)


def _operating(name: str, rows: Any, peak: float, ridge: float, colour: int) -> Series | None:
    if not len(rows):
        return None
    size = float(np.median(rows["total_tokens"]))
    return Series(name, [size], [peak * min(1.0, size / ridge)], mode="markers", colour=colour)


def figures_at_once(reading: Reading) -> Iterator[Figure]:
    yield pareto_figure(reading.world)
    yield speculation_figure(reading.world)
    yield roofline_figure(reading)


def tables(world: World, sweep: Sweep) -> list[Table]:
    rows = tuple(
        (label, value, value / world.gpus, value * 3_600 / world.usd_per_hour)
        for label, value in sorted(sweep.equal.items(), key=lambda item: -item[1])
    )
    columns = ("Layout", "Goodput (requests/s)", "A GPU (requests/s)", "For a dollar (requests/$)")
    return [Table("layouts", f"Layouts on {world.gpus} GPUs", columns, rows)] if rows else []


def sequences_that_fit(cost: CostModel) -> int:
    return int(cost.num_blocks(16) * 16 // (PARETO_KV + 1))


def prices(world: World) -> dict[str, float]:
    return {kind: USD_PER_HOUR[kind] for kind in dict.fromkeys(world.kinds)}
