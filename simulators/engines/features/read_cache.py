"""A cache of some views in the serving process: the cheapest read is the one that is not sent, and the price is age."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.online import Access, OnlineRead, OnlineStore

Floats = NDArray[np.float64]


class Entry(NamedTuple):
    """Values (f,) and ages (v,) of one entity's cached views as they were at `fetched_s`."""

    fetched_s: float
    values: Floats
    age_s: Floats


class CachedReader:
    """Reads `features` of a store, those of the views in `cached` from memory while they are younger than `ttl_s`.

    clock  seconds, any origin
    hits, lookups  count entities asked for
    """

    def __init__(
        self, store: OnlineStore, features: Sequence[str], cached: Collection[str], ttl_s: float, clock: Callable[[], float]
    ) -> None:
        wanted = [store.resolve(feature) for feature in features]
        self._store, self._features, self._ttl_s, self._clock = store, list(features), ttl_s, clock
        held = [view in cached and ttl_s > 0 for view, _ in wanted]
        self._kept, self._read = ([feature for feature, one in zip(features, held, strict=True) if one is side] for side in (True, False))
        self._kept_at, self._read_at = (np.flatnonzero(np.array(held, dtype=bool) == side) for side in (True, False))
        views = [view for view in store.schema if any(view == owner for owner, _ in wanted)]
        kept_views = {view for (view, _), one in zip(wanted, held, strict=True) if one}
        self._kept_views, self._read_views = (np.array([v in kept_views for v in views], dtype=bool) == side for side in (True, False))
        self.entries: dict[Any, Entry] = {}
        self.hits = self.lookups = 0

    @property
    def caches(self) -> bool:
        return bool(self._kept)

    def preload(self, keys: Iterable[Any], fetched_s: Mapping[Any, float], access: Access = "one_pipeline") -> None:
        """Holds the entities in `keys` as if each had been read at its time in `fetched_s`; ages then count from there."""
        self._fetch([key for key in keys if key in fetched_s], access, lambda key: fetched_s[key])

    def read(self, keys: Iterable[Any], access: Access = "one_pipeline") -> OnlineRead:
        """As `OnlineStore.read`; entities the cache does not hold cost a read of the cached views of their own."""
        entities = list(keys)
        if not self.caches:
            return self._store.read(entities, self._features, access=access)
        now = self._clock()
        stale = [key for key in dict.fromkeys(entities) if key not in self.entries or now - self.entries[key].fetched_s >= self._ttl_s]
        self.lookups += len(entities)
        self.hits += len(entities) - len(stale)
        sent = [self._fetch(stale, access, lambda _: now), self._store.read(entities, self._read, access=access)]
        return self._joined(entities, now, sent)

    def _fetch(self, keys: list[Any], access: Access, fetched_s: Callable[[Any], float]) -> OnlineRead:
        got = self._store.read(keys, self._kept, access=access)
        for key, values, age_s in zip(keys, got.values, got.age_s, strict=True):
            self.entries[key] = Entry(fetched_s(key), values, age_s)
        return got

    def _joined(self, entities: list[Any], now: float, sent: list[OnlineRead]) -> OnlineRead:
        values = np.empty((len(entities), len(self._features)))
        age_s = np.empty((len(entities), len(self._kept_views)))
        values[:, self._read_at], age_s[:, self._read_views] = sent[1].values, sent[1].age_s
        held = [self.entries[key] for key in entities]
        if held:
            values[:, self._kept_at] = np.array([entry.values for entry in held])
            since = np.array([now - entry.fetched_s for entry in held])
            age_s[:, self._kept_views] = np.array([entry.age_s for entry in held]) + since[:, None]
        trips, commands, payload = (sum(getattr(read, name) for read in sent) for name in ("round_trips", "commands", "bytes"))
        return OnlineRead(values, age_s, trips, commands, payload)
