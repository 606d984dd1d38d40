"""Entities with their features, requests for them, and stores of any layout that hold what the requests ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.freshness import batch_age_s
from simulators.engines.features.online import Access, Layout, OnlineRead, OnlineStore
from simulators.engines.features.read_cache import CachedReader
from simulators.engines.features.times import US_PER_S
from simulators.feature_store._online_params import FEATURES_A_VIEW, OnlineParams, schema_of
from simulators.lab import Context, KeySpace, Progress, Working

Floats = NDArray[np.float64]
ENTITIES = 5_000
NOW_S = 1_750_000_000
BATCH_RUN_S = 3_600.0
LAG_SPREAD = 0.5  # s.d. of the logarithm of the stream's lag
REQUESTS_PER_S = 100  # that reach one serving process
MAX_DISTINCT, MAX_ASKED = 20, 1_000  # requests drawn, and entities in all of them: what has to be loaded before anything is measured
WRITE_CHUNK = 500


class Design(NamedTuple):
    layout: Layout
    access: Access


@dataclass(frozen=True)
class World:
    """values (entities, 3) and age_s (entities,) of each view; requests: entity numbers (k,), those from `ENTITIES` on are unknown."""

    params: OnlineParams
    values: dict[str, Floats]
    age_s: dict[str, Floats]
    requests: list[list[int]]
    fetched_s: dict[int, float]  # when the cache last read an entity, before time 0

    @cached_property
    def schema(self) -> dict[str, tuple[str, ...]]:
        return schema_of(self.params.views)[0]

    @property
    def streaming(self) -> tuple[str, ...]:
        return schema_of(self.params.views)[1]

    @property
    def design(self) -> Design:
        return Design(self.params.layout, self.params.access)

    @property
    def cached(self) -> tuple[str, ...]:
        """Views the serving process keeps."""
        if not self.params.cache_ttl:
            return ()
        return tuple(view for view in self.schema if self.params.cached == "all" or view not in self.streaming)

    @cached_property
    def asked(self) -> list[int]:
        """The known entities of all requests."""
        return sorted({entity for request in self.requests for entity in request if entity < ENTITIES})


def make_world(params: OnlineParams, ctx: Context) -> World:
    schema, streaming = schema_of(params.views)
    draws = ctx.rng("online/values")
    values = {view: draws.lognormal(2, 1, (ENTITIES, FEATURES_A_VIEW)) for view in schema}
    ages = {view: _ages(params, view in streaming, ctx.rng(f"online/age/{view}")) for view in schema}
    return World(params, values, ages, _requests(params, ctx.rng("online/requests")), _fetched(params, ctx.rng("online/cache")))


def _ages(params: OnlineParams, streaming: bool, draws: np.random.Generator) -> Floats:
    """At a request: a stream is its lag behind, and its stall; a batch is the time since its last run began."""
    if streaming:
        return params.stream_lag * np.exp(LAG_SPREAD * draws.standard_normal(ENTITIES)) + params.stall
    return np.array([batch_age_s(params.batch_hours * 3_600, BATCH_RUN_S, share) for share in draws.random(ENTITIES)])


def _requests(params: OnlineParams, draws: np.random.Generator) -> list[list[int]]:
    count = min(MAX_DISTINCT, max(2, MAX_ASKED // params.entities))
    chosen = draws.integers(0, ENTITIES, (count, params.entities))
    unknown = draws.random(chosen.shape) < params.missing / 100
    drawn: list[list[int]] = (chosen + ENTITIES * unknown).tolist()
    return drawn


def _fetched(params: OnlineParams, draws: np.random.Generator) -> dict[int, float]:
    """The cache as a process finds it that has run for long: an entity is asked for at rate r and kept for T s, so r T / (1 + r T) of
    them are there, read at any moment of the last T s.
    """
    expected = params.cache_ttl * REQUESTS_PER_S * params.entities / ENTITIES
    known = 2 * ENTITIES  # unknown entities are kept as unknown
    there = draws.random(known) < expected / (1 + expected)
    ages = draws.random(known) * params.cache_ttl
    return {int(entity): -float(ages[entity]) for entity in np.flatnonzero(there)}


# --- stores ------------------------------------------------------------------------------------------------------------


@dataclass
class Shelf:
    """Stores of each layout on one client, filled when they are first wanted."""

    world: World
    space: KeySpace
    _filled: dict[Layout, OnlineStore] = field(default_factory=dict)

    def store(self, layout: Layout) -> Working[OnlineStore]:
        """The store of `layout` with everything the requests ask for."""
        if layout not in self._filled:
            store = self.empty(layout)
            yield from _fill(store, self.world)
            self._filled[layout] = store
        return self._filled[layout]

    def empty(self, layout: Layout) -> OnlineStore:
        prefix, keep_s = f"{self.space.prefix}{layout}:", self.space.keep_s
        streaming = self.world.streaming
        return OnlineStore(
            self.space.client, self.world.schema, layout, prefix, streaming=streaming, expire_s=keep_s, clock=lambda: float(NOW_S)
        )


def _fill(store: OnlineStore, world: World) -> Working[None]:
    chunks = [world.asked[i : i + WRITE_CHUNK] for i in range(0, len(world.asked), WRITE_CHUNK)]
    for at, (view, chunk) in enumerate((view, chunk) for chunk in chunks for view in world.schema):
        write(store, world, view, chunk)
        yield Progress(at, len(chunks) * len(world.schema), f"writing entities, layout {store.layout}")


def write(store: OnlineStore, world: World, view: str, entities: Sequence[int]) -> int:
    """Payload bytes of writing a view of the entities."""
    stamps = np.round((NOW_S - world.age_s[view][entities]) * US_PER_S).astype(np.int64)
    return store.write(view, entities, world.values[view][entities], stamps)


# --- requests ----------------------------------------------------------------------------------------------------------


class Requests:
    """A world's requests, again and again, as a serving process with or without a cache sends them.

    The cache lives in the requests' own time, `REQUESTS_PER_S`; before each pass it is set back to what a process that has run for long
    holds, or a few requests repeated would find everything in it.
    """

    def __init__(self, store: OnlineStore, world: World, access: Access, cached: Sequence[str] = ()) -> None:
        self._requests, self._access, self._next, self._now_s = world.requests, access, 0, 0.0
        self.reader = CachedReader(store, world.params.asked, cached, world.params.cache_ttl, self._clock)
        if self.reader.caches:
            everyone = sorted({entity for request in world.requests for entity in request})
            self.reader.preload(everyone, world.fetched_s)
        self._found = dict(self.reader.entries)

    def _clock(self) -> float:
        return self._now_s

    def __len__(self) -> int:
        return len(self._requests)

    def prepared(self) -> Callable[[], OnlineRead]:
        """The next request, ready to be sent: what happens here is not timed."""
        at = self._next % len(self._requests)
        if at == 0:
            self.reader.entries = dict(self._found)
        self._now_s = at / REQUESTS_PER_S
        self._next += 1
        request: list[Any] = self._requests[at]
        return lambda: self.reader.read(request, self._access)
