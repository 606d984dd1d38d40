"""What a design sends, serves and stores: counted, not timed, so the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.fan_out import Network, Waits, simulate
from simulators.engines.features.in_process import InProcessClient
from simulators.engines.features.online import Layout
from simulators.feature_store._online_world import ENTITIES, Requests, Shelf, World, write
from simulators.lab import Context, KeySpace, Progress, Working

Floats = NDArray[np.float64]
KEY_BYTES, FIELD_BYTES = 64, 4  # what Redis adds to a key (dictionary entry, object, expiry) and to a field of a small hash
SIMULATED, DRAWS_A_CHUNK, MOST_DRAWS = 4_000, 100_000, 3_000_000


@dataclass(frozen=True)
class Counts:
    """Means over the requests; age_s {view: (entities served,)} in the order of the schema, NaN left out."""

    round_trips: float
    commands: float
    bytes: float
    missing_share: float
    hit_share: float | None
    age_s: dict[str, Floats]


def count(world: World, shelf: Shelf) -> Working[Counts]:
    store = yield from shelf.store(world.params.layout)
    requests = Requests(store, world, world.params.access, world.cached)
    reads = []
    for at in range(len(requests)):
        reads.append(requests.prepared()())
        yield Progress(at, len(requests), "counting what is sent")
    ages = np.vstack([read.age_s for read in reads])
    owners = {store.resolve(feature)[0] for feature in world.params.asked}
    views = [view for view in world.schema if view in owners]
    reader = requests.reader
    return Counts(
        round_trips=float(np.mean([read.round_trips for read in reads])),
        commands=float(np.mean([read.commands for read in reads])),
        bytes=float(np.mean([read.bytes for read in reads])),
        missing_share=float(np.isnan(np.vstack([read.values for read in reads])).mean()),
        hit_share=reader.hits / reader.lookups if reader.caches else None,
        age_s={view: column[~np.isnan(column)] for view, column in zip(views, ages.T, strict=True)},
    )


def in_process(world: World) -> Shelf:
    return Shelf(world, KeySpace(InProcessClient(), ""))


def write_amplification(world: World, layout: Layout) -> float:
    """Bytes a streaming write of one view writes, over those of the view itself."""
    view = world.streaming[0]
    return write(in_process(world).empty(layout), world, view, [0]) / write(in_process(world).empty("view_hash"), world, view, [0])


def entity_bytes(world: World, layout: Layout) -> float:
    """Memory of one entity in Redis: its keys, fields and values, and what the server adds to each."""
    shelf = in_process(world)
    store = shelf.empty(layout)
    for view in world.schema:
        write(store, world, view, [0])
    fields = len(world.schema) + sum(map(len, world.schema.values())) if layout in ("view_hash", "row_hash") else 0
    return float(shelf.space.client.stored_bytes() + KEY_BYTES * len(store.keys_of(0)) + FIELD_BYTES * fields)


def network_of(world: World) -> Network:
    p = world.params
    return Network(p.rtt, p.shards, p.slow / 100)


def replies(world: World, counts: Counts) -> float:
    """How many shards answer a request, over all of its rounds."""
    a_round = 1.0 if world.params.access == "serial" else network_of(world).shards_asked(world.params.entities)
    return round(counts.round_trips) * a_round


def waits(world: World, counts: Counts, ctx: Context) -> Working[Waits]:
    """The simulated network under the round trips that were counted; fewer requests where each has many."""
    rounds, keys = round(counts.round_trips), 1 if world.params.access == "serial" else world.params.entities
    width = max(1, rounds) * max(keys, min(keys, world.params.shards))
    requests = max(200, min(SIMULATED, MOST_DRAWS // width))
    chunk, draws, parts = max(1, DRAWS_A_CHUNK // width), ctx.rng("online/network"), []
    for done in range(0, requests, chunk):
        parts.append(simulate(network_of(world), rounds=rounds, keys=keys, requests=min(chunk, requests - done), rng=draws))
        yield Progress(done, requests, "simulating the network")
    return Waits(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def unknown_share(world: World) -> float:
    return float(np.mean([entity >= ENTITIES for request in world.requests for entity in request]))
