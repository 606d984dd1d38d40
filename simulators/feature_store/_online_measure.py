"""How long reads take: the chosen design alone, then the usual designs turn by turn, so that noise hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.online import OnlineStore
from simulators.feature_store._online_counts import in_process
from simulators.feature_store._online_world import Design, Requests, Shelf, World, write
from simulators.lab import Frame, Progress, Working

Floats = NDArray[np.float64]
LADDER = (
    Design("view_hash", "serial"),
    Design("view_hash", "per_view"),
    Design("view_hash", "one_pipeline"),
    Design("row_hash", "one_pipeline"),
    Design("split_blob", "one_pipeline"),
    Design("blob", "one_pipeline"),
)
LADDER_READS, WARM_READS, WRITES, SIZED = 40, 3, 200, 20
FIRST_READS = 20  # after them there is something to show
CHOSEN_S, FLOOR_S, LADDER_S = 2.5, 0.5, 2.0  # measuring ends after so long, whatever was asked
SILENT_S = 0.02  # how long it measures between two words
_READING = ("get", "mget", "hmget")


@dataclass
class Times:
    """Seconds of each read so far, and of the transform that follows it."""

    read_s: list[float] = field(default_factory=list)
    transform_s: list[float] = field(default_factory=list)

    def ms(self, quantile: float) -> float:
        """Quantile of a whole fetch: read and transform."""
        return float(np.quantile(np.add(self.read_s, self.transform_s), quantile)) * 1e3


class Server(NamedTuple):
    """Of a real server: microseconds it says it worked for a read, and bytes an entity takes in it."""

    us_a_read: float
    entity_bytes: float


@dataclass
class Measured:
    chosen: Times = field(default_factory=Times)
    floor: Times = field(default_factory=Times)  # the chosen design on a store in this process
    ladder: dict[Design, Times] = field(default_factory=dict)
    write_us: float = 0.0
    server: Server | None = None


def served(values: Floats, default: str) -> Floats:
    """The vector of a request: what is missing by its default, and a ratio computed on demand for each entity."""
    filled = np.where(np.isnan(values), 0.0, values) if default == "zero" else values
    first, last = filled[:, :1], filled[:, -1:]
    return np.hstack([filled, first / (1 + np.abs(last))])


def measure(world: World, shelf: Shelf, *, real: bool, picture: Callable[[Measured], Frame]) -> Working[Measured]:
    """Everything there is to time; a `picture` of it once the chosen design is known. `real`: the shelf stands on a server."""
    found = Measured()
    store = yield from shelf.store(world.params.layout)
    aside = yield from in_process(world).store(world.params.layout)
    yield from _timed(Requests(aside, world, world.params.access, world.cached), world, found.floor, LADDER_READS, FLOOR_S)
    found.write_us = _write_us(store, world)
    for reads in (min(FIRST_READS, world.params.requests), world.params.requests):
        before = _worked_us(shelf) if real else 0.0
        sent = yield from _timed(Requests(store, world, world.params.access, world.cached), world, found.chosen, reads, CHOSEN_S)
        if real:
            found.server = Server((_worked_us(shelf) - before) / sent, _size_of_entity(store, world, shelf))
        yield picture(found)
    yield from _ladder(world, shelf, found)
    return found


def _ladder(world: World, shelf: Shelf, found: Measured) -> Working[None]:
    streams = {}
    for design in LADDER:
        streams[design] = Requests((yield from shelf.store(design.layout)), world, design.access)
        found.ladder[design] = Times()
    started = spoke = time.perf_counter()
    for turn in range(LADDER_READS + WARM_READS):
        for design in _rotated(LADDER, turn):
            _time_one(streams[design], world, found.ladder[design] if turn >= WARM_READS else Times())
            if time.perf_counter() - spoke > SILENT_S:
                spoke = time.perf_counter()
                yield Progress(turn, LADDER_READS + WARM_READS, "measuring the usual designs")
        if time.perf_counter() - started > LADDER_S and turn >= WARM_READS:
            return


def _rotated(designs: tuple[Design, ...], turn: int) -> tuple[Design, ...]:
    """Another one goes first each time: on a busy machine whoever follows a long read pays for it."""
    first = turn % len(designs)
    return designs[first:] + designs[:first]


def _timed(requests: Requests, world: World, into: Times, reads: int, most_s: float) -> Working[int]:
    """Times reads until there are `reads` of them, or for `most_s`; how many were sent, the first ones to warm up included."""
    had = len(into.read_s) - WARM_READS
    for _ in range(WARM_READS):
        _time_one(requests, world, Times())
    started = spoke = time.perf_counter()
    while len(into.read_s) < reads and spoke - started < most_s:
        _time_one(requests, world, into)
        if time.perf_counter() - spoke > SILENT_S:
            spoke = time.perf_counter()
            yield Progress(len(into.read_s), reads, "measuring reads")
    return len(into.read_s) - had


def _time_one(requests: Requests, world: World, into: Times) -> None:
    send = requests.prepared()
    start = time.perf_counter()
    read = send()
    got = time.perf_counter()
    served(read.values, world.params.default)
    into.transform_s.append(time.perf_counter() - got)
    into.read_s.append(got - start)


def _write_us(store: OnlineStore, world: World) -> float:
    """One streaming write, of many in one pipeline."""
    entities: Sequence[int] = (world.asked or [0])[:WRITES]
    start = time.perf_counter()
    write(store, world, world.streaming[0], entities)
    return (time.perf_counter() - start) / len(entities) * 1e6


def _worked_us(shelf: Shelf) -> float:
    """Microseconds the server has spent on reading commands since it started."""
    stats: dict[str, Any] = shelf.space.client.info("commandstats")
    return float(sum(stats.get(f"cmdstat_{name}", {"usec": 0})["usec"] for name in _READING))


def _size_of_entity(store: OnlineStore, world: World, shelf: Shelf) -> float:
    sizes = [sum(shelf.space.client.memory_usage(key) or 0 for key in store.keys_of(entity)) for entity in world.asked[:SIZED]]
    return float(np.mean(sizes)) if sizes else 0.0
