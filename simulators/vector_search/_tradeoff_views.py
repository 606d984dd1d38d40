"""What the lab `index_tradeoffs` shows: metrics, figures and tables of its benches."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table
from simulators.vector_search._designs import Bench, Design
from simulators.vector_search._vectors import K, World

FEW_FOR_P99 = 100


def exact_metrics(exact: Bench) -> list[Metric]:
    series = "Exact search, same run"
    return [
        Metric("p50_ms@exact", "Latency, median", exact.latency_ms(50), "ms", "down", measured=True, series=series),
        Metric("qps@exact", "Throughput of one thread", exact.qps, "queries/s", "up", measured=True, series=series),
    ]


def model_metrics(design: Design, world: World, target_n: int) -> list[Metric]:
    """What the formula says before anything is built."""
    per_vector, at_target = design.memory(world.n, world.d).total / world.n, design.memory(target_n, world.d).total
    series, title = design.label, f"Memory at {count(target_n)} vectors, by formula"
    return [
        Metric(f"model_bytes_per_vector@{design.kind}", "Memory per vector, by formula", per_vector, "bytes/vector", "down", series=series),
        Metric(f"target_bytes@{design.kind}", title, at_target, "bytes", "down", series=series),
    ]


def bench_metrics(bench: Bench, exact: Bench, world: World) -> list[Metric]:
    kind, series = bench.design.kind, bench.design.label
    few = f"Of {len(bench.seconds)} queries: close to the slowest one." if len(bench.seconds) < FEW_FOR_P99 else ""
    return [
        Metric(
            f"recall@{kind}",
            f"Recall@{K}",
            bench.mean_recall,
            "share",
            "up",
            ci=bench.recall_interval,
            limit=1.0,
            limit_label="exact search",
            series=series,
        ),
        Metric(f"qps@{kind}", "Throughput of one thread", bench.qps, "queries/s", "up", measured=True, series=series),
        Metric(f"speedup@{kind}", "Throughput against exact search", bench.qps / exact.qps, "x", "up", measured=True, series=series),
        Metric(f"p50_ms@{kind}", "Latency, median", bench.latency_ms(50), "ms", "down", measured=True, series=series),
        Metric(f"p99_ms@{kind}", "Latency, 99th percentile", bench.latency_ms(99), "ms", "down", measured=True, series=series, note=few),
        Metric(
            f"build_s@{kind}",
            "Build time",
            bench.index.build_seconds,
            "s",
            "down",
            measured=True,
            series=series,
            note="Measured when this index was built; a kept index is not built again.",
        ),
        Metric(f"bytes_per_vector@{kind}", "Memory per vector, measured", bench.bytes_per_vector, "bytes/vector", "down", series=series),
        Metric(f"memory_share@{kind}", "Memory against Flat", bench.bytes_per_vector / (4 * world.d), "share", "down", series=series),
    ]


# --- figures ---------------------------------------------------------------------------------------------------------


def memory_figure(designs: Sequence[Design], world: World) -> Figure:
    """Bytes a vector by part, from the formula: it stands before the first index is built."""
    models = {design.label: design.memory(world.n, world.d).parts for design in designs}
    parts = list(dict.fromkeys(part for model in models.values() for part in model))
    labels = list(models)
    bars = [Series(part, labels, [models[label].get(part, 0) / world.n for label in labels], colour=i) for i, part in enumerate(parts)]
    totals = {label: sum(model.values()) / world.n for label, model in models.items()}
    least, most = min(totals, key=totals.__getitem__), max(totals, key=totals.__getitem__)
    title = f"{most} takes {totals[most] / totals[least]:.1f} times the memory of {least}"
    if len(totals) == 1:
        title = f"{most} takes {totals[most]:.0f} bytes a vector; the float32 vector alone is {4 * world.d}"
    summary = "; ".join(
        f"{label}: {totals[label]:.0f} bytes a vector ({', '.join(f'{part} {size / world.n:.0f}' for part, size in models[label].items())})"
        for label in labels
    )
    return bar_figure("memory", title, summary, bars, Axis("Index"), Axis("Memory", "bytes/vector"), stacked=True)


def pareto_figure(benches: Sequence[Bench], exact: Bench) -> Figure:
    """Recall against throughput: each design's sweep as a curve, its chosen setting as a dot, the front of all dashed."""
    curves = [_curve(bench) for bench in benches if len(bench.sweep) > 1]
    chosen = [
        Series(
            f"{bench.design.label}, {bench.design.setting}",
            [bench.mean_recall],
            [bench.qps],
            mode="markers",
            colour=bench.design.colour,
            text=[f"{bench.design.label} at {bench.design.setting}: recall {bench.mean_recall:.3f}, {bench.qps:,.0f} queries/s"],
        )
        for bench in benches
    ]
    points = [(p.recall, p.qps) for bench in benches for p in bench.sweep] + [(1.0, exact.qps)]
    edge = front(points)
    truth = [
        Series("Exact search", [1.0], [exact.qps], mode="markers", truth=True, text=[f"Exact search: {exact.qps:,.0f} queries/s"]),
        Series("Pareto front", [x for x, _ in edge], [y for _, y in edge], mode="lines", truth=True),
    ]
    title, summary = _pareto_words(benches, exact)
    return line_figure(
        "pareto", title, summary, [*curves, *chosen, *truth], Axis(f"Recall@{K}", "share"), Axis("Throughput", "queries/s", "log")
    )


def _curve(bench: Bench) -> Series:
    name = {"nprobe": "nprobe", "ef_search": "ef"}[bench.design.width_name]
    text = [f"{bench.design.label}, {name} {p.width}: recall {p.recall:.3f}, {p.qps:,.0f} queries/s" for p in bench.sweep]
    recalls, rates = [p.recall for p in bench.sweep], [p.qps for p in bench.sweep]
    return Series(bench.design.label, recalls, rates, colour=bench.design.colour, text=text)


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other beats in both coordinates, by falling y."""
    edge: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (-point[1], -point[0])):
        if not edge or x > edge[-1][0]:
            edge.append((x, y))
    return edge


def fastest_at(benches: Sequence[Bench], recall: float) -> tuple[Bench, int, float] | None:
    """Bench, search width and queries/s of the fastest swept setting that reaches the recall."""
    reached = [(bench, p.width, p.qps) for bench in benches for p in bench.sweep if p.recall >= recall]
    return max(reached, key=lambda item: item[2], default=None)


def _pareto_words(benches: Sequence[Bench], exact: Bench) -> tuple[str, str]:
    summary = "; ".join(f"{b.design.label} at {b.design.setting}: recall {b.mean_recall:.3f}, {b.qps:,.0f} queries/s" for b in benches)
    summary += f"; exact search: {exact.qps:,.0f} queries/s"
    best = fastest_at(benches, 0.95)
    if best is None:
        return "No setting reaches recall 0.95" if any(b.sweep for b in benches) else "Recall against throughput", summary
    bench, _, qps = best
    return f"At recall 0.95, {bench.design.label} is fastest: {qps / exact.qps:.1f} times exact search", summary


def width_figure(benches: Sequence[Bench]) -> Figure | None:
    """Recall against the search width; None when every design is exhaustive."""
    swept = [bench for bench in benches if len(bench.sweep) > 1]
    if not swept:
        return None
    curves = [
        Series(f"{b.design.label} ({_width_words(b)})", [p.width for p in b.sweep], [p.recall for p in b.sweep], colour=b.design.colour)
        for b in swept
    ]
    lowest = min(swept, key=lambda bench: bench.ceiling)
    title = f"Wider search lifts {lowest.design.label} to recall {lowest.ceiling:.2f} and no further"
    if lowest.ceiling > 0.99:
        title = "Every design reaches recall 0.99 when it searches widely enough"
    summary = "; ".join(
        f"{b.design.label}: recall {b.sweep[0].recall:.3f} at {b.sweep[0].width}, {b.sweep[-1].recall:.3f} at {b.sweep[-1].width}"
        for b in swept
    )
    return line_figure(
        "width",
        title,
        summary,
        curves,
        Axis("Search width: cells visited or candidates kept", "count", "log"),
        Axis(f"Recall@{K}", "share"),
    )


def _width_words(bench: Bench) -> str:
    return "nprobe" if bench.design.width_name == "nprobe" else "ef"


# --- tables ----------------------------------------------------------------------------------------------------------


def numbers_table(benches: Sequence[Bench], exact: Bench, world: World) -> Table:
    columns = (
        "Index",
        "Setting",
        f"Recall@{K} (share)",
        "Throughput (queries/s)",
        "Against exact (x)",
        "Median (ms)",
        "99th percentile (ms)",
        "Build (s)",
        "Measured (bytes/vector)",
        "By formula (bytes/vector)",
    )
    rows = tuple(
        (
            b.design.label,
            b.design.setting,
            round(b.mean_recall, 4),
            round(b.qps, 1),
            round(b.qps / exact.qps, 2),
            round(b.latency_ms(50), 4),
            round(b.latency_ms(99), 4),
            round(b.index.build_seconds, 3),
            round(b.bytes_per_vector, 2),
            round(b.design.memory(world.n, world.d).total / world.n, 2),
        )
        for b in benches
    )
    return Table("numbers", "The numbers of this run", columns, rows)


def sweep_table(benches: Sequence[Bench]) -> Table:
    columns = ("Index", "Search width (cells or candidates)", f"Recall@{K} (share)", "Throughput (queries/s)")
    rows = tuple((b.design.label, p.width or None, round(p.recall, 4), round(p.qps, 1)) for b in benches for p in b.sweep)
    return Table("sweep", "Recall and throughput over the search width", columns, rows)


def count(n: float) -> str:
    """1e9 -> "1 billion"."""
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if n >= size:
            return f"{n / size:,.3g} {word}"
    return f"{n:,.0f}"
