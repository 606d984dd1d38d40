"""What the lab `prefix_cache` shows: metrics, figures and tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.llm_serving._prefix_params import ROUTERS, UNIT_TOKENS, PrefixParams
from simulators.llm_serving._prefix_world import CAPACITIES, GPUS_A_WORKER, POLICIES, Floats, Reading, World, hottest, tier_names

POLICY_NAMES = {"lru": "LRU", "fifo": "FIFO", "lfu": "LFU"}


def total_blocks(params: PrefixParams) -> int:
    return params.workers * (params.hbm_blocks + params.dram_blocks) + params.pool_blocks


def metrics(world: World, params: PrefixParams, reading: Reading) -> list[Metric]:
    block_bytes = world.trace.block_tokens * world.cost.kv_bytes_per_token
    slower = sum(reading.found[1:])
    band = f"{world.cost.name}; mean times of such models have been off by up to {max(map(abs, world.cost.error_band)):.0%}."
    busy_gpu_s = GPUS_A_WORKER * float(reading.busy_s.sum())
    return [
        Metric(
            "ttft_mean_s",
            "Time to first token, mean",
            reading.ttft_mean_s,
            "s",
            "down",
            limit=float(world.alone_s.mean()),
            limit_label="idle worker, no cache",
            note=band,
        ),
        Metric(
            "ttft_p99_s",
            "Time to first token, 99th percentile",
            reading.ttft_p99_s,
            "s",
            "down",
            limit=float(np.percentile(world.alone_s, 99)),
            limit_label="idle worker, no cache",
        ),
        Metric("hit_tokens", "Prompt tokens found", reading.hit_tokens, "share", "up"),
        Metric(
            "saved_gpu_s",
            "Prefill not done",
            reading.saved_gpu_s,
            "GPU-s",
            "up",
            note="Against reading every prompt whole; below 0 where loads from a slow tier cost more than they save.",
        ),
        Metric("imbalance", "Busiest worker against the mean", reading.imbalance, "x", "down", limit=1.0, limit_label="even work"),
        Metric("busy", "Workers busy", busy_gpu_s / GPUS_A_WORKER / params.workers / span_s(world, reading), "share", None),
        Metric("moved_tb", "Read from slower tiers", slower * block_bytes / 1e12, "TB", "down"),
        Metric(
            "cost_usd",
            "Prefill",
            busy_gpu_s / 3600 * params.gpu_usd_h / float(world.trace.prompt_tokens.sum()) * 1e6,
            "$/M tokens",
            "down",
            note="GPU time spent reading prompts, idle time not counted.",
        ),
        Metric(
            "total_blocks",
            "Cache in all",
            float(total_blocks(params)),
            "blocks",
            "down",
            note=f"{total_blocks(params) * UNIT_TOKENS * world.cost.kv_bytes_per_token / 1e12:.2f} TB of keys and values.",
        ),
    ]


def span_s(world: World, reading: Reading) -> float:
    """From the first arrival until the busiest worker could have been done."""
    return max(world.trace.duration_s, float(reading.busy_s.max()), 1e-9)


def bound_metrics(params: PrefixParams, reading: Reading, curves: Mapping[str, Floats]) -> list[Metric]:
    bound, one = float(curves["lru"][len(CAPACITIES) - 1]), float(curves[params.policy][-1])
    return [
        Metric("hit_blocks", "Prompt blocks found", reading.hit, "share", "up", limit=bound, limit_label="unbounded cache"),
        Metric(
            "one_cache_hit",
            "Blocks one cache of all this memory would find",
            one,
            "share",
            "up",
            limit=bound,
            limit_label="unbounded cache",
        ),
    ]


# --- figures ---------------------------------------------------------------------------------------------------------


def curve_figure(params: PrefixParams, curves: Mapping[str, Floats], reading: Reading) -> Figure:
    sizes = CAPACITIES[:-1]
    bound = float(curves["lru"][len(CAPACITIES) - 1])
    series = [
        Series(f"One {POLICY_NAMES[name]} cache", sizes, curves[name][: len(sizes)].tolist(), colour=i) for i, name in enumerate(POLICIES)
    ]
    mine = [f"This fleet: {reading.hit:.1%} with {total_blocks(params):,} blocks in {params.workers} caches"]
    series.append(Series("This fleet", [total_blocks(params)], [reading.hit], mode="markers", colour=3, text=mine))
    one = float(curves[params.policy][-1])
    title = f"This fleet finds {reading.hit:.0%} of the blocks; one cache of the same memory {one:.0%}, an unbounded one {bound:.0%}"
    said = ", ".join(f"{size:,} blocks {share:.1%}" for size, share in zip(sizes, curves["lru"], strict=False))
    figure = line_figure(
        "hit_curve",
        title,
        f"One LRU cache: {said}.",
        series,
        Axis("Cache", "blocks of 512 tokens", "log"),
        Axis("Blocks found", percent=True),
    )
    return with_line(figure, label=f"unbounded: {bound:.1%}", y=bound)


def router_figure(params: PrefixParams, readings: Mapping[str, Reading]) -> Figure:
    """Mean TTFT over hit rate, one point a router."""
    series = []
    for name, reading in readings.items():
        said = f"{ROUTERS[name]}: {reading.hit_tokens:.1%} found, mean TTFT {reading.ttft_mean_s:,.2f} s, busiest {reading.imbalance:.1f}x"
        chosen = name == params.router
        series.append(
            Series(
                ROUTERS[name] + (" (chosen)" if chosen else ""),
                [reading.hit_tokens],
                [reading.ttft_mean_s],
                "markers",
                int(chosen),
                text=[said],
            )
        )
    fastest = min(readings, key=lambda name: readings[name].ttft_mean_s)
    fullest = max(readings, key=lambda name: readings[name].hit_tokens)
    title = f"{ROUTERS[fastest]} answers first; {ROUTERS[fullest]} finds most"
    if fastest == fullest:
        title = f"{ROUTERS[fastest]} finds most and answers first"
    summary = "; ".join(f"{ROUTERS[name]}: {r.hit_tokens:.1%} found, {r.ttft_mean_s:,.2f} s" for name, r in readings.items())
    found = Axis("Prompt tokens found", percent=True, range=(0.0, max(1.1 * readings[fullest].hit_tokens, 0.01)))
    figure = line_figure("routers", title, summary, series, found, Axis("Mean TTFT", "s", "log"))
    labels = _labels(readings)
    for trace, (name, reading) in zip(figure.plot["data"], readings.items(), strict=True):
        right = reading.hit_tokens < 0.6 * max(r.hit_tokens for r in readings.values())
        place = "middle right" if right else "middle left"
        trace |= {"mode": "markers+text", "text": [labels[name]], "textposition": place, "hovertext": trace["text"]}
        trace["hovertemplate"] = "%{hovertext}<extra></extra>"
    figure.plot["layout"]["showlegend"] = False
    return figure


def _labels(readings: Mapping[str, Reading]) -> dict[str, str]:
    """Names beside the points; points that lie on each other share the label of the first."""
    groups: dict[str, list[str]] = {}
    for name, reading in readings.items():
        on = next((first for first in groups if _close(readings[first], reading)), name)
        groups.setdefault(on, []).append(ROUTERS[name])
    return dict.fromkeys(readings, "") | {first: _in_short(names) for first, names in groups.items()}


def _in_short(names: list[str]) -> str:
    first, *others = names
    if len(others) > 1:
        return f"{first} and {len(others)} more"
    return ", ".join([first, *(name.lower() for name in others)])


def _close(a: Reading, b: Reading) -> bool:
    return abs(a.hit_tokens - b.hit_tokens) < 0.03 and 0.6 < a.ttft_mean_s / b.ttft_mean_s < 1.7


def load_figure(reading: Reading) -> Figure:
    names = [str(k + 1) for k in range(len(reading.busy_s))]
    busy = [float(seconds) for seconds in reading.busy_s]
    title = f"The busiest worker does {reading.imbalance:.2f} times the mean work"
    summary = f"Workers are busy for {min(busy):,.0f} to {max(busy):,.0f} s, {np.mean(busy):,.0f} s on average."
    figure = bar_figure("load", title, summary, [Series("Busy", names, busy, colour=0)], Axis("Worker"), Axis("Reading prompts", "s"))
    return with_line(figure, label="mean", y=float(np.mean(busy)))


def tier_figure(world: World, params: PrefixParams, reading: Reading) -> Figure:
    """Where the blocks of all prompts came from."""
    blocks = len(world.trace.hash_ids)
    names = [*tier_names(params), "Computed"]
    counts = [*reading.found, blocks - sum(reading.found)]
    shares = [count / blocks for count in counts]
    labels = [f"{share:.1%}" for share in shares]
    title = f"{shares[-1]:.0%} of the blocks are computed; " + ", ".join(
        f"{share:.0%} come from {name}" for name, share in zip(names[:-1], shares, strict=False)
    )
    return bar_figure(
        "tiers",
        title,
        title + ".",
        [Series("Blocks", names, shares, colour=0, text=labels)],
        Axis("Found in"),
        Axis("Prompt blocks", percent=True),
    )


# --- tables ----------------------------------------------------------------------------------------------------------


def hot_table(world: World) -> Table:
    rows = tuple(
        (f"{hot.block}", hot.requests, round(hot.requests / len(world.trace), 4), round(hot.place, 1)) for hot in hottest(world.trace)
    )
    return Table(
        "hot_blocks",
        "The ten hottest blocks",
        ("Block id", "Requests that hold it", "Of all requests (share)", "Mean place in the prompt (blocks)"),
        rows,
    )


def curve_table(curves: Mapping[str, Floats]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for k, capacity in enumerate(CAPACITIES):
        rows.append((f"{capacity:,}" if capacity else "unbounded", *(round(float(curves[name][k]), 4) for name in POLICIES)))
    columns = ("Cache (blocks of 512 tokens)", *(f"{POLICY_NAMES[name]} (share of blocks)" for name in POLICIES))
    return Table("ideal_caches", "What one cache finds, exactly", columns, tuple(rows))


def router_table(readings: Mapping[str, Reading]) -> Table:
    rows = tuple(
        (
            ROUTERS[name],
            round(r.hit_tokens, 4),
            round(r.ttft_mean_s, 3),
            round(r.ttft_p99_s, 2),
            round(r.imbalance, 2),
            round(r.saved_gpu_s),
        )
        for name, r in readings.items()
    )
    columns = ("Router", "Tokens found (share)", "Mean TTFT (s)", "TTFT p99 (s)", "Busiest worker (x mean)", "Prefill not done (GPU-s)")
    return Table("routers", "Every router on this trace and these caches", columns, rows)
