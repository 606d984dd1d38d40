"""What an online run's numbers say, one sentence for each effect it shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.engines.features.fan_out import Waits, slow_share
from simulators.feature_store._online_counts import Counts, network_of, replies, unknown_share, write_amplification
from simulators.feature_store._online_measure import Measured
from simulators.feature_store._online_views import STREAM_SLA_S, ages_of, name_of
from simulators.feature_store._online_world import Design, World
from simulators.lab import Insight

CLEAR = 1.3  # a ratio of measured times that is called one
FEAST_OVER_SERIAL = 5.11 / 4.2  # both measured by us on one quiet machine: Feast 0.67 from Redis, and a read of one view after another
USUAL = (50, 5)  # entities and views of that comparison
DAY_S = 86_400


def insights(world: World, counts: Counts, wait: Waits, found: Measured, *, real: bool) -> Iterator[Insight]:
    if real:
        yield from _layouts(world, found)
        yield from _pipelining(world, counts, found)
        yield from _feast(world, found)
    yield from _writes(world, found)
    yield from _fan_out(world, counts, wait)
    yield from _ages(world, counts)
    yield from _cache(world, counts)
    yield from _missing(world, counts)


def _layouts(world: World, found: Measured) -> Iterator[Insight]:
    serial, pipeline, row, _, blob = (found.ladder[design].ms(0.5) for design in _STAGES)
    if serial < CLEAR * pipeline or pipeline < CLEAR * blob:
        return
    p = world.params
    yield Insight(
        f"{p.entities} entities and {p.views} views: {serial:.2f} ms one command at a time, {pipeline:.2f} ms in one pipeline, "
        f"{row:.2f} ms with one hash an entity, {blob:.2f} ms with one packed string an entity: {serial / blob:.0f} times less for the "
        "same numbers.",
        "deep_dive",
        "layouts",
    )


_STAGES = (
    Design("view_hash", "serial"),
    Design("view_hash", "one_pipeline"),
    Design("row_hash", "one_pipeline"),
    Design("split_blob", "one_pipeline"),
    Design("blob", "one_pipeline"),
)


def _pipelining(world: World, counts: Counts, found: Measured) -> Iterator[Insight]:
    pipelined, commands = found.ladder[_STAGES[1]].ms(0.5), world.params.entities * world.params.views
    if commands < 50 or found.server is None:
        return
    worked, whole = found.server.us_a_read / 1e3, found.chosen.ms(0.5)
    yield Insight(
        f"A pipeline saves round trips, not parsing: {commands} commands in one still take {pipelined:.2f} ms; this design takes "
        f"{whole:.2f} ms, of which the server says it works {worked:.2f}.",
        "deep_dive",
        "pipelining",
    )


def _feast(world: World, found: Measured) -> Iterator[Insight]:
    if (world.params.entities, world.params.views) != USUAL or world.params.features.strip():
        return
    expected = FEAST_OVER_SERIAL * found.ladder[_STAGES[0]].ms(0.5)
    yield Insight(
        f"Feast's Redis store took {FEAST_OVER_SERIAL:.2f} times as long as reading one view after another where we measured both; by that "
        f"ratio it would take {expected:.1f} ms here, {expected / found.chosen.ms(0.5):.1f} times {name_of(world.design).lower()}.",
        "evaluation",
        "feast",
    )


def _writes(world: World, found: Measured) -> Iterator[Insight]:
    amplification = write_amplification(world, world.params.layout)
    if amplification > 1.05:
        yield Insight(
            f"A packed string is read and written back whole: a streaming update of 3 features writes {amplification:.3g} times the bytes "
            "that changed; streaming views in a string of their own leave the batch views alone.",
            "architecture",
            "write_amplification",
        )
    load = world.params.update_rate * found.write_us / 1e6
    if load > 1:
        yield Insight(
            f"{world.params.update_rate:,} writes a second at {found.write_us:.0f} us each keep {load:.1f} writers busy: one "
            "alone falls behind and its features grow old.",
            "capacity",
            "writer_load",
        )


def _fan_out(world: World, counts: Counts, wait: Waits) -> Iterator[Insight]:
    network, answers = network_of(world), replies(world, counts)
    if not network.slow_share or not wait.slow.any():
        return
    p99, hedged = (float(np.quantile(ms, 0.99)) for ms in (wait.time_ms, wait.hedged_ms))
    yield Insight(
        f"A request waits for {answers:,.1f} replies in {_rounds(counts)}, so {network.slow_share:.1%} of slow replies make "
        f"{slow_share(network.slow_share, answers):.0%} of requests slow, {wait.slow.mean():.0%} in the simulation; a second copy asked "
        f"after {network.hedge_after_ms:.2f} ms brings its p99 from {p99:.1f} to {hedged:.1f} ms.",
        "evaluation",
        "fan_out",
    )


def _rounds(counts: Counts) -> str:
    rounds = round(counts.round_trips)
    return "1 round" if rounds == 1 else f"{rounds:,} rounds"


def _ages(world: World, counts: Counts) -> Iterator[Insight]:
    batch, stream = (ages_of(world, counts, streaming=side) for side in (False, True))
    if len(batch) > 100:
        p50, p99 = np.quantile(batch, [0.5, 0.99]) / 3_600
        yield Insight(
            f"A batch feature is anywhere between one run and one run and a period old: {p50:.1f} h at the median, {p99:.1f} h at the 99th "
            f"percentile, for a job every {world.params.batch_hours:g} h.",
            "capacity",
            "batch_age",
        )
    if len(stream) and world.params.stall and np.quantile(stream, 0.99) > STREAM_SLA_S:
        yield Insight(
            f"The stream stopped {_span(world.params.stall)} ago and every read still answers, as fast as before: only the age of what is "
            f"served, {_span(float(np.median(stream)))}, tells.",
            "evaluation",
            "stall",
        )


def _cache(world: World, counts: Counts) -> Iterator[Insight]:
    if counts.hit_share is None:
        return
    stream = ages_of(world, counts, streaming=True)
    late = world.params.cached == "all" and len(stream) > 0 and float(np.quantile(stream, 0.99)) > STREAM_SLA_S
    price = (
        f"its price is streaming features {_span(float(np.quantile(stream, 0.99)))} old, {_span(STREAM_SLA_S)} are promised"
        if late
        else "the views it holds grow older by at most its time to live"
    )
    yield Insight(
        f"The process finds {counts.hit_share:.1%} of its entities in its own cache and sends {counts.commands:.0f} commands; {price}.",
        "architecture",
        "cache",
    )


def _missing(world: World, counts: Counts) -> Iterator[Insight]:
    if counts.missing_share == 0 or unknown_share(world) == 0:
        return
    if world.params.default == "zero":
        text = f"{counts.missing_share:.1%} of the served features are zeros nobody computed; a model cannot tell them from real ones."
    else:
        text = f"{counts.missing_share:.1%} of the served features are null, as unknown entities are: a default, not an error."
    yield Insight(text, "deep_dive", "missing")


def _span(seconds: float) -> str:
    if seconds >= 2 * 3_600:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 180 else f"{seconds:.1f} s"
