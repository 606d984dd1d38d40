"""What the online lab shows: metrics, figures and tables of what was counted, measured and simulated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.fan_out import Waits, slow_share
from simulators.engines.features.freshness import Sla
from simulators.feature_store._online_counts import Counts, entity_bytes, network_of, replies, write_amplification
from simulators.feature_store._online_measure import LADDER, Measured
from simulators.feature_store._online_world import Design, World
from simulators.figures import Axis, Series, bar_figure, line_figure
from simulators.lab import Figure, Metric, Table

BATCH_SLA_S, STREAM_SLA_S = 26 * 3_600.0, 10.0
LAYOUTS = {"view_hash": "Hash per view", "row_hash": "Hash per entity", "blob": "One blob", "split_blob": "Two blobs"}
ACCESS = {"serial": "one by one", "per_view": "a pipeline a view", "one_pipeline": "one pipeline"}
NO_SERVER = "Only a Redis server can tell."
_TAIL = np.logspace(0, -3, 40)


def name_of(design: Design) -> str:
    return f"{LAYOUTS[design.layout]}, {ACCESS[design.access]}"


# --- metrics -----------------------------------------------------------------------------------------------------------


def counted_metrics(world: World, counts: Counts) -> list[Metric]:
    p = world.params
    served_default = counts.missing_share if p.default == "zero" else 0.0
    return [
        Metric("round_trips", "Round trips of a request", counts.round_trips, "round trips", "down", limit=1.0, limit_label="one pipeline"),
        Metric("commands", "Commands of a request", counts.commands, "commands", "down"),
        Metric("payload_bytes", "Values and times received", counts.bytes, "B", "down"),
        Metric(
            "write_amplification",
            "Bytes a streaming write writes, over those that changed",
            write_amplification(world, p.layout),
            "x",
            "down",
            limit=1.0,
            limit_label="the view alone",
        ),
        Metric("entity_bytes", "Memory of one entity", entity_bytes(world, p.layout), "B", "down", note="Keys, fields, values, Redis."),
        Metric("million_gb", "Memory of a million entities", entity_bytes(world, p.layout) / 1e3, "GB", "down"),
        Metric("null_share", "Features served as null", counts.missing_share - served_default, "share", "down"),
        Metric("default_share", "Features served as an invented zero", served_default, "share", "down"),
        _hits(counts),
        *_age_metrics(world, counts),
    ]


def _hits(counts: Counts) -> Metric:
    note = "" if counts.hit_share is not None else "Nothing is cached."
    return Metric("cache_hits", "Entities found in the process's cache", counts.hit_share, "share", "up", note=note)


def _age_metrics(world: World, counts: Counts) -> Iterator[Metric]:
    for key, words, unit, seconds, target in (
        ("batch", "batch features", "h", 3_600.0, BATCH_SLA_S),
        ("stream", "streaming features", "s", 1.0, STREAM_SLA_S),
    ):
        ages = ages_of(world, counts, streaming=key == "stream") / seconds
        for name, quantile in (("p50", 0.5), ("p99", 0.99)):
            label = f"Age of {words}, {'median' if name == 'p50' else '99th percentile'}"
            if not len(ages):
                yield Metric(f"{key}_age_{name}_{unit}", label, None, unit, "down", note="None was served.")
                continue
            bound = {"limit": target / seconds, "limit_label": "promised"} if name == "p99" else {}
            yield Metric(f"{key}_age_{name}_{unit}", label, float(np.quantile(ages, quantile)), unit, "down", **bound)  # type: ignore[arg-type]


def ages_of(world: World, counts: Counts, *, streaming: bool) -> NDArray[np.float64]:
    parts = [ages for view, ages in counts.age_s.items() if (view in world.streaming) is streaming]
    return np.concatenate(parts) if parts else np.empty(0)


def network_metrics(world: World, counts: Counts, wait: Waits) -> list[Metric]:
    answers = replies(world, counts)
    expected = slow_share(network_of(world).slow_share, answers)
    p50, p99, hedged = (float(np.quantile(values, q)) for values, q in ((wait.time_ms, 0.5), (wait.time_ms, 0.99), (wait.hedged_ms, 0.99)))
    return [
        Metric("network_p50_ms", "Network, median (simulated)", p50, "ms", "down", limit=world.params.rtt, limit_label="one round trip"),
        Metric("network_p99_ms", "Network, 99th percentile (simulated)", p99, "ms", "down"),
        Metric("hedged_p99_ms", "The same with hedged reads (simulated)", hedged, "ms", "down"),
        Metric(
            "slow_share",
            "Requests that wait for a slow reply (simulated)",
            float(wait.slow.mean()),
            "share",
            "down",
            note=f"{answers:,.1f} replies: 1-(1-p)^k is {expected:.0%}.",
        ),
    ]


def measured_metrics(world: World, found: Measured) -> list[Metric]:
    few = f"Of {len(found.chosen.read_s):,} reads."
    load = world.params.update_rate * found.write_us / 1e6
    return [
        Metric("p50_ms", "Fetch, median", found.chosen.ms(0.5), "ms", "down", measured=True, note=few),
        Metric("p99_ms", "Fetch, 99th percentile", found.chosen.ms(0.99), "ms", "down", measured=True, note=few),
        Metric("floor_ms", "The same fetch without a server, median", found.floor.ms(0.5), "ms", "down", measured=True),
        Metric("write_us", "One streaming write", found.write_us, "us", "down", measured=True, note="Of many in one pipeline."),
        Metric("writer_load", "Streaming writer busy", load, "share", "down", measured=True, limit=1.0, limit_label="it falls behind"),
        _in_redis(found),
    ]


def _in_redis(found: Measured) -> Metric:
    value, note = (found.server.entity_bytes, "As Redis says.") if found.server else (None, NO_SERVER)
    return Metric("redis_entity_bytes", "Memory of one entity, measured", value, "B", "down", measured=True, note=note)


# --- figures -----------------------------------------------------------------------------------------------------------


def ladder_figure(world: World, found: Measured) -> Figure:
    """Median of the usual designs, the fastest at the bottom; the chosen one in its own colour."""
    bars = {name_of(design): times.ms(0.5) for design, times in found.ladder.items()}
    if world.design not in found.ladder or world.cached:
        bars["This design"] = found.chosen.ms(0.5)
    bars["This design, no server"] = found.floor.ms(0.5)
    order = sorted(bars, key=bars.__getitem__)
    mine = {"This design", name_of(world.design)} if not world.cached else {"This design"}
    series = [
        Series(label, order, [bars[name] if (name in mine) is own else None for name in order], colour=colour, text=texts)
        for label, own, colour in (("This design", True, 1), ("Others", False, 0))
        for texts in [[f"{bars[name]:.2f} ms" if (name in mine) is own else "" for name in order]]
    ]
    slowest, fastest = (pick(found.ladder, key=lambda design: found.ladder[design].ms(0.5)) for pick in (max, min))
    ratio = found.ladder[slowest].ms(0.5) / found.ladder[fastest].ms(0.5)
    title = f"{name_of(fastest)}: {ratio:.0f} times faster than {name_of(slowest).lower()}"
    summary = "; ".join(f"{name}: {bars[name]:.3f} ms" for name in order)
    scale = Axis("Fetch, median of measured reads", "ms", type="log")
    return bar_figure("designs", title, summary, series, Axis("Design"), scale, stacked=True, horizontal=True)


def parts_of(world: World, wait: Waits, found: Measured) -> dict[str, float]:
    """Milliseconds of a median request by where they go; what is measured adds up to the fetch."""
    whole, built = found.chosen.ms(0.5), min(float(np.median(found.floor.read_s)) * 1e3, found.chosen.ms(0.5))
    transform = float(np.median(found.chosen.transform_s)) * 1e3
    server = min(found.server.us_a_read / 1e3, whole) if found.server else 0.0
    return {
        "Network (simulated)": float(np.median(wait.time_ms)),
        "Server": server,
        "Sockets and client": max(0.0, whole - built - server - transform),
        "Build and decode": built,
        "Transform": transform,
    }


def parts_figure(world: World, wait: Waits, found: Measured) -> Figure:
    parts = parts_of(world, wait, found)
    here = {name: ms for name, ms in parts.items() if not name.startswith("Network")}
    most = max(here, key=here.__getitem__)
    share = here[most] / max(sum(here.values()), 1e-9)
    order = list(reversed(parts))
    series = [
        Series(label, order, [parts[name] or None if ("simulated" in name) is apart else None for name in order], colour=colour, text=texts)
        for label, apart, colour in (("Simulated", True, 5), ("Measured", False, 0))
        for texts in [[_ms(parts[name]) if ("simulated" in name) is apart and parts[name] else "" for name in order]]
    ]
    title = f"Of the time on this machine {share:.0%} is {most.lower()}, {here['Server'] / max(sum(here.values()), 1e-9):.0%} the server"
    summary = "; ".join(f"{name}: {ms:.3f} ms" for name, ms in parts.items())
    scale = Axis("Time, median", "ms", type="log")
    return bar_figure("parts", title, summary, series, Axis("Part of a request"), scale, stacked=True, horizontal=True)


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.2g} ms"


def age_figure(world: World, counts: Counts) -> Figure:
    """Median and 99th percentile of the age of each view as served, against what is promised."""
    views = [view for view, ages in counts.age_s.items() if len(ages)]
    targets = [STREAM_SLA_S if view in world.streaming else BATCH_SLA_S for view in views]
    p50, p99 = ([max(1e-3, float(np.quantile(counts.age_s[view], q))) for view in views] for q in (0.5, 0.99))
    late = [view for view, age, target in zip(views, p99, targets, strict=True) if age > target]
    title = (
        f"{len(late)} of {len(views)} views break their promise: {', '.join(late[:3])}" if late else "Every view is as fresh as promised"
    )
    series = [
        Series("median", views, p50, mode="markers", colour=0),
        Series("99th percentile", views, p99, mode="markers", colour=1),
        Series("promised", views, targets, mode="markers", truth=True),
    ]
    summary = "; ".join(f"{view}: {age:,.0f} s of {target:,.0f} s" for view, age, target in zip(views, p99, targets, strict=True))
    figure = line_figure("ages", title, summary, series, Axis("View"), Axis("Age of what was served", "s", type="log"))
    figure.plot["data"][2]["marker"] |= {"symbol": "line-ew-open", "size": 18, "line": {"width": 3}}
    return figure


def network_figure(world: World, counts: Counts, wait: Waits) -> Figure:
    """Share of requests that wait longer than a time."""
    network = network_of(world)
    expected = slow_share(network.slow_share, replies(world, counts))
    curves = (("as asked", wait.time_ms, 0), ("late replies hedged", wait.hedged_ms, 2))
    series = [Series(name, np.quantile(ms, 1 - _TAIL).tolist(), _TAIL.tolist(), mode="lines", colour=c) for name, ms, c in curves]
    if expected:
        span = [float(min(wait.time_ms.min(), wait.hedged_ms.min())), float(wait.time_ms.max())]
        series.append(Series("with a slow reply, 1-(1-p)^k", span, [expected] * 2, mode="lines", truth=True))
    title = f"Simulated network: {wait.slow.mean():.0%} of requests wait for a slow reply, {network.slow_share:.1%} of replies are slow"
    p99, hedged = (float(np.quantile(ms, 0.99)) for ms in (wait.time_ms, wait.hedged_ms))
    summary = f"p50 {np.median(wait.time_ms):.2f} ms, p99 {p99:.2f} ms, hedged {hedged:.2f} ms"
    scale = Axis("Time on the network, simulated", "ms", type="log" if float(wait.time_ms.min()) > 0 else "linear")
    return line_figure("network", title, summary, series, scale, Axis("Requests that take longer", percent=True, type="log"))


# --- tables ------------------------------------------------------------------------------------------------------------


def designs_table(world: World, found: Measured) -> Table:
    p = world.params
    rows = []
    for design in LADDER:
        times = found.ladder[design]
        rows.append(
            (name_of(design), times.ms(0.5), times.ms(0.99), write_amplification(world, design.layout), entity_bytes(world, design.layout))
        )
    title = f"The usual designs, without a cache, at {p.entities} entities and {p.views} views, measured turn by turn"
    return Table("designs", title, ("Design", "Median (ms)", "p99 (ms)", "Write amplification (x)", "Memory an entity (B)"), tuple(rows))


def ages_table(world: World, counts: Counts) -> Table:
    rows = []
    for view, ages in counts.age_s.items():
        sla = Sla(STREAM_SLA_S if view in world.streaming else BATCH_SLA_S)
        check = sla.check(ages)
        rows.append((view, "stream" if view in world.streaming else "batch", check.p50, check.p99, sla.target_s, check.status))
    return Table(
        "ages", "Age of what was served, by view", ("View", "Written by", "Median (s)", "p99 (s)", "Promised (s)", "Promise"), tuple(rows)
    )
