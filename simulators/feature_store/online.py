"""Lab: where the time of a feature fetch goes, measured on a real Redis, and which layout buys it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from simulators.engines.features.fan_out import Waits
from simulators.feature_store import _online_views as views
from simulators.feature_store._online_challenge import FRESH_AND_FAST
from simulators.feature_store._online_counts import Counts, count, in_process, waits
from simulators.feature_store._online_insights import insights
from simulators.feature_store._online_measure import Measured, measure
from simulators.feature_store._online_params import OnlineParams
from simulators.feature_store._online_world import ENTITIES, Shelf, World, make_world
from simulators.lab import Context, Figure, Frame, Lab, Metric, Preset, Progress, Result, Steps, Working

NOT_ANSWERING = "Redis is not answering; showing the in-process store."


class Online(Lab):
    """Where do the milliseconds of a feature fetch go, and which layout buys them back?

    **Measured.** The lab writes the entities its requests ask for, of 5,000, into the Redis this site runs on, under keys of its own that
    are deleted at the end, and reads them back by redis-py with its C parser. The chosen design is timed alone; then the usual designs
    take turns, so that noise hits all of them alike. The floor is the same code on a dictionary in this process. What the server says it
    worked is its own account (`INFO commandstats`). Reads and the on-demand transform are timed together.

    **Counted.** Round trips, commands, bytes, ages, nulls and cache hits are counted, not timed, and the same on every machine. Memory of
    an entity is keys, field names and values, and 64 bytes a key and 4 a field that Redis adds; the page shows what Redis says beside it.
    The cache is set to what a process holds that has run for long at 100 requests a second.

    **Simulated**, and labelled so: the network. Each reply takes the round trip at the median, log-normally, and a share of replies takes
    ten times as long; a round waits for its slowest shard; a hedged read asks a second copy after the 95th percentile of a usual reply.
    """

    title = "Online reads"
    why = (
        "A store with a sub-millisecond get serves no vector in that time: a vector is views times entities times what the client parses. "
        "An interviewer wants to hear commands and round trips counted before machines are added."
    )
    exclusive = True
    phase = "deep_dive"
    engines = (
        "simulators.engines.features.online",
        "simulators.engines.features.read_cache",
        "simulators.engines.features.in_process",
        "simulators.engines.features.fan_out",
        "simulators.engines.features.freshness",
    )
    sources = (
        "Dean & Barroso 2013, The tail at scale, CACM 56(2)",
        "Redis documentation, Pipelining and Memory optimization",
        "Feast documentation, Python feature server and Redis online store",
    )
    map_axes = ("write_amplification", "p50_ms")
    Params = OnlineParams
    challenges = (FRESH_AND_FAST,)
    presets = (
        Preset(
            "one_view_at_a_time",
            "One view at a time",
            "Twenty views, one command after another: a thousand round trips for one request.",
            {"views": 20, "requests": 50},
        ),
        Preset(
            "fifty_candidates",
            "Fifty candidates",
            "The same 250 commands in one pipeline: the round trips are gone, the parsing is not.",
            {"access": "one_pipeline"},
        ),
        Preset(
            "stream_stopped",
            "Stream stopped, nobody noticed",
            "The writer died six hours ago. Latency is perfect.",
            {"layout": "split_blob", "access": "one_pipeline", "stall": 21_600},
        ),
        Preset(
            "twenty_shards",
            "Twenty shards",
            "One reply in a hundred is slow, and a request needs twenty of them.",
            {"layout": "blob", "access": "one_pipeline", "shards": 20, "entities": 200},
        ),
    )

    def run(self, params: OnlineParams, ctx: Context) -> Steps:
        yield Progress(0, 1, f"drawing {ENTITIES:,} entities")
        world = make_world(params, ctx)
        counts = yield from count(world, in_process(world))
        wait = yield from waits(world, counts, ctx)
        known = Known(world, counts, wait)
        yield Frame(known.metrics, known.figures)
        found = yield from _from_server(known, ctx)
        real = found is not None
        if found is None:
            found = yield from measure(world, in_process(world), real=False, picture=known.picture)
        return Result(
            metrics=[*views.measured_metrics(world, found), *known.metrics],
            figures=[views.ladder_figure(world, found), views.parts_figure(world, wait, found), *known.figures],
            tables=[views.designs_table(world, found), views.ages_table(world, counts)],
            insights=tuple(insights(world, counts, wait, found, real=real)),
            notes=tuple(_notes(known, found, real=real)),
        )


class Known(NamedTuple):
    """What is known without a clock."""

    world: World
    counts: Counts
    wait: Waits

    @property
    def metrics(self) -> list[Metric]:
        return [*views.counted_metrics(self.world, self.counts), *views.network_metrics(self.world, self.counts, self.wait)]

    @property
    def figures(self) -> list[Figure]:
        return [views.age_figure(self.world, self.counts), views.network_figure(self.world, self.counts, self.wait)]

    def picture(self, found: Measured) -> Frame:
        """The chosen design, before the others are measured."""
        return Frame(views.measured_metrics(self.world, found), [views.parts_figure(self.world, self.wait, found)])


def _from_server(known: Known, ctx: Context) -> Working[Measured | None]:
    """Measured on the run's own keys of a real Redis; None where it does not answer, or stops answering."""
    with ctx.key_space() as space:
        if space is None:
            return None
        try:
            return (yield from measure(known.world, Shelf(known.world, space), real=True, picture=known.picture))
        except space.errors:
            return None


def _notes(known: Known, found: Measured, *, real: bool) -> Iterator[str]:
    if not real:
        yield NOT_ANSWERING
    if len(found.chosen.read_s) < known.world.params.requests:
        yield f"{len(found.chosen.read_s):,} of {known.world.params.requests:,} reads were measured before the time for it was over."
    reads = min(len(times.read_s) for times in found.ladder.values())
    yield f"Each of the usual designs was read {reads} times; their 99th percentiles are the slowest of so few."
