"""Lab: what cheaper windows cost in error, and what exact ones cost in state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import get_args

from simulators.engines.features import windows as engine
from simulators.engines.features.layouts import Layout
from simulators.errors import InvalidInput
from simulators.feature_store import _windows_views as views
from simulators.feature_store._windows_burst import Attack, attack
from simulators.feature_store._windows_challenge import THREE_COUNTERS
from simulators.feature_store._windows_data import SPEC, own_events
from simulators.feature_store._windows_insights import insights
from simulators.feature_store._windows_params import WindowsParams
from simulators.feature_store._windows_sketch import average_of_averages, sketches
from simulators.feature_store._windows_state import State, state_of
from simulators.feature_store._windows_stream import Served, Stream, exact, served, stream_of
from simulators.feature_store._windows_world import Events, synthetic
from simulators.lab import Context, Frame, Lab, Preset, Progress, Result, Steps, Table, Working

LAYOUT_NAMES = dict(WindowsParams.model_fields["layout"].json_schema_extra["lab"]["labels"])  # type: ignore[index,call-overload,arg-type]


class WindowsLab(Lab):
    """What do cheaper windows cost in error, and what do exact ones cost in state?

    **World.** A million events of 2,000 keys in 30 days: log-normal rates, one busy key, one attacked within two minutes. Requests come at
    the times of 50,000 events; an event is not in its own window. The oracle is the sliding window over what really happened.

    **Windows.** A sawtooth ends at the request and starts at the last hop before the window's start; a hopping window moves in steps; a
    snapshot ends at midnight. Where a window is empty, counts and sums serve 0 and everything else null.

    **Stream.** Late events arrive ten minutes behind on average, two hours at most. The watermark trails the clock by the allowed lateness;
    what arrives behind it is dropped, what arrives before it is counted at its own time, and not served to those who asked earlier.
    Redelivered events count twice unless ids are remembered.

    **State.** Tiles keep partial aggregates that merge: (sum, count) for an average, four numbers for a deviation, a HyperLogLog sketch for
    distinct values. Flat tiles are as wide as the hop. Rolled-up tiles (5 minutes, 1 hour, 1 day beside your hops) are read as the fewest
    that cover the windows together. A body holds all closed tiles of a window and is rewritten for every key at every hop. Sliding windows
    over tiles also keep the events, because their tail cuts a tile. Reads of the hierarchy are counted at 361 moments of a day.

    **Attack.** The minutes around it are replayed tick by tick: the served count is written to the online store, stamped with the end of
    its window, and read back; the curve and the ages are what the store answered, on the world's clock.
    """

    title = "Windows and tiles"
    why = (
        "Velocity counters of minutes and counts of days share one stream. Freshness lives at the head of a window and cost at its tail, "
        "and an interviewer wants tile reads, writes and errors as numbers."
    )
    map_axes = ("reads", "worst_error")
    engines = (
        "simulators.engines.features.windows",
        "simulators.engines.features.layouts",
        "simulators.engines.features.tiles",
        "simulators.engines.features.online",
    )
    sources = (
        "Chronon documentation, windows and tiled architecture",
        "Flajolet et al. 2007, HyperLogLog; Ertl 2017, arXiv 1702.01284",
        "Akidau et al. 2015, The dataflow model, VLDB 8(12) (watermarks, allowed lateness)",
    )
    Params = WindowsParams
    data = SPEC
    challenges = (THREE_COUNTERS,)
    presets = (
        Preset(
            "card_testing",
            "Card testing attack",
            "Forty payments in two minutes, counters that hop by the minute. When does the model hear of it?",
            {"mode": "hopping", "hops": (60, 300, 3_600), "burst": 40},
        ),
        Preset(
            "seven_days_seven_tiles",
            "Seven days for seven bytes",
            "Day-wide tiles: the week fits in eight of them, and the count is 7 % too high.",
            {"windows": (604_800,), "hops": (86_400,)},
        ),
        Preset(
            "average_of_averages",
            "Average of averages",
            "Each tile keeps its average, a request averages those. Busy hours weigh as much as quiet ones.",
            {"op": "avg", "windows": (86_400, 604_800)},
        ),
        Preset(
            "hot_merchant",
            "Hot merchant",
            "One merchant has a third of all events, and the state keeps every event.",
            {"hot_key": 33.0, "layout": "raw_events", "mode": "sliding"},
        ),
    )

    @classmethod
    def warm_up(cls) -> None:
        engine.warm_up()

    def run(self, params: WindowsParams, ctx: Context) -> Steps:
        engine.warm_up()  # a worker has done so when it started
        yield Frame(views.known_at_once(params))
        events, prefix = yield from _events(params, ctx)
        stream = yield from stream_of(ctx, prefix, events, params if ctx.data is None else _undisturbed(params))
        found = yield from _found(params, ctx, prefix, events, stream)
        layouts = yield from _layouts(found)
        return Result(
            views.metrics(found),
            list(views.figures(found)),
            [views.window_table(found), *layouts],
            list(insights(found)),
            list(_notes(found, ctx)),
        )


def _events(params: WindowsParams, ctx: Context) -> Working[tuple[Events, str]]:
    if ctx.data is not None:
        return (yield from own_events(ctx)), f"windows/own/{ctx.data.digest}/{ctx.seed}"
    world = yield from synthetic(ctx, params.hot_key, params.burst)
    return world, f"windows/hot={params.hot_key}/burst={params.burst}/{ctx.seed}"


def _undisturbed(params: WindowsParams) -> WindowsParams:
    return params.model_copy(update={"late_share": 0.0, "duplicates": 0.0})


def _found(params: WindowsParams, ctx: Context, prefix: str, events: Events, stream: Stream) -> Working[views.Found]:
    made: list[Served] = []
    for i, window in enumerate(params.shapes):
        key = f"{prefix}/exact/{params.op}/{window.window_s}"
        truth = ctx.asset(key, partial(exact, stream.truth, window, params.op, stream.key, stream.at), disk=False)
        yield Progress(2 * i, 2 * len(params.shapes), "computing windows")
        made.append(served(stream, window, params.mode, params.op, stream.key, stream.at, truth))
        yield Progress(2 * i + 1, 2 * len(params.shapes), "computing windows")
    yield Frame(views.error_metrics(tuple(made)))
    seen: Attack | None = None
    if ctx.data is None and params.burst:
        seen = yield from attack(params, stream, ctx)
    sketch = (yield from sketches(params, stream, ctx)) if params.op == "count_distinct" else None
    averaged = yield from _averaged(params, events, stream, made)
    state = state_of(params, events, stream)
    yield Progress(1, 1, "counting state")
    return views.Found(params, events, stream, tuple(made), state, seen, sketch, averaged)


def _averaged(params: WindowsParams, events: Events, stream: Stream, made: list[Served]) -> Working[tuple[float | None, ...]]:
    errors: list[float | None] = []
    for item in made:
        wanted = params.op == "avg" and params.mode != "snapshot"
        errors.append(average_of_averages(item.window, params.mode, item, events, stream) if wanted else None)
        yield Progress(len(errors), len(made), "averaging averages")
    return tuple(errors)


def _layouts(found: views.Found) -> Working[list[Table]]:
    """The other layouts beside the chosen one; a snapshot has only one."""
    if found.params.mode == "snapshot":
        return []
    rows: list[tuple[str, State]] = []
    for layout in get_args(Layout):
        with suppress(InvalidInput):  # hops that cannot be rolled up
            params = found.params.model_copy(update={"layout": layout})
            state = found.state if layout == found.params.layout else state_of(params, found.events, found.stream)
            rows.append((LAYOUT_NAMES[layout], state))
        yield Progress(len(rows), 4, "comparing layouts")
    return [views.layout_table(rows)]


def _notes(found: views.Found, ctx: Context) -> Iterator[str]:
    if ctx.data is not None:
        yield "Your events are taken as punctual and delivered once; there is no attack in them."
    if found.attack and not found.attack.real_store:
        yield "No Redis answered: the attack was replayed through a store in the process."
    if found.params.op not in ("count", "sum", "avg") and found.stream.late is not None:
        yield "Late events that are counted take part from their own time on: this aggregate has no way to leave out what is under way."
    if found.attack and found.params.op != "count":
        yield "The attack is drawn as a count of events, whatever the aggregate."
