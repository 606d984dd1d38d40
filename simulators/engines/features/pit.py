"""Point-in-time joins: for every label the feature value that was true, or that was known, when the label's request was made.

A feature row is a candidate for an entity row at time t when its key is the same, its event time is at most t (`inclusive`) or below t
(`exclusive`), and at least t - ttl; with `known_at` it must also have been created by t, so that a late arrival or last night's backfill
is not seen by yesterday's request. The newest event time wins, then the newest created time, then the later row. A null in the winning
row is served; it is not filled from an older row. Every entity row gives one output row, in the order given.

Feast joins inclusively by event time and offers the created-time filter; Chronon joins exclusively. Snodgrass (1999) calls the two time
axes valid time and transaction time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.compiled import compiled
from simulators.engines.features.keys import ABSENT, KeyCodes, Keys
from simulators.engines.features.order import KeyedOrder
from simulators.engines.features.times import NEVER, US_PER_S, Times, microseconds, span, times_of
from simulators.errors import InvalidInput

Upper = Literal["inclusive", "exclusive"]
Rows = NDArray[np.int64]
NONE = -1
_LAST = np.iinfo(np.int64).max


class PitResult(NamedTuple):
    """values (m, f), NaN without a candidate; row (m,) index of the feature row, -1 for none; age_s (m,) t - event time, NaN for none."""

    values: NDArray[np.float64]
    row: Rows
    age_s: NDArray[np.float64]


class PointInTimeIndex:
    """Feature rows sorted by (key, event time, created time), ready for any number of joins.

    keys        (n,) or a tuple of columns (n,)
    event_ts    (n,) microseconds UTC, or anything `times_of` takes
    values      (n, f) or (n,)
    created_ts  (n,) when each row became known; null: never known. Needed for `known_at`.
    """

    def __init__(self, keys: Keys, event_ts: ArrayLike, values: ArrayLike, created_ts: ArrayLike | None = None) -> None:
        self._keys = KeyCodes(keys)
        event, created = times_of(event_ts), None if created_ts is None else times_of(created_ts)
        features = np.asarray(values, dtype=float)
        self.values = features[:, np.newaxis] if features.ndim == 1 else features
        _same_length(self._keys.codes, event=event, values=self.values, created=created)
        self._order = KeyedOrder(self._keys, event, created)
        self._created = None if created is None else np.where(created == NEVER, _LAST, created)[self._order.row]  # unknown: not known yet

    def join(
        self, entity_keys: Keys, entity_ts: ArrayLike, *, ttl_s: float | None = None, upper: Upper = "inclusive", known_at: bool = False
    ) -> PitResult:
        """The winning row for each entity row (m,).

        ttl_s     age a row may have at the entity row's time, bound included; None or 0: any
        upper     whether a row of exactly the entity row's time counts
        known_at  only rows created by the entity row's time; raises InvalidInput without `created_ts`
        """
        if upper not in ("inclusive", "exclusive"):
            raise InvalidInput(f"upper is '{upper}'; expected 'inclusive' or 'exclusive'.", field="upper")
        code, at, ttl_us = self._keys.lookup(entity_keys), times_of(entity_ts), span(ttl_s)
        _same_length(code, entity_ts=at)
        code[at == NEVER] = ABSENT
        place = self._order.up_to(code, at, inclusive=upper == "inclusive") - 1
        if known_at:
            place = self._newest_known(place, at)
        place[place < self._order.start[code]] = NONE
        if ttl_us is not None and len(self._order):
            place[self._order.ts[place] < at - ttl_us] = NONE
        return self._result(place, at)

    def _newest_known(self, place: Rows, at: Times) -> Rows:
        """The nearest place at or before `place` (m,) whose row had been created by then."""
        if self._created is None:
            raise InvalidInput("known_at was asked for, but the feature rows have no created time.", field="known_at")
        out, latest_first = np.empty(len(place), dtype=np.int64), np.argsort(at, kind="stable")[::-1]
        compiled(_nearest_known)(place, at, latest_first, self._created, self._newest_created_first, out)
        return out

    @cached_property
    def _newest_created_first(self) -> Rows:
        assert self._created is not None
        return np.argsort(self._created, kind="stable")[::-1]

    def _result(self, place: Rows, at: Times) -> PitResult:
        found = place != NONE
        row, age_s = np.full(len(place), NONE), np.full(len(place), np.nan)
        values = np.full((len(place), self.values.shape[1]), np.nan)
        row[found] = self._order.row[place[found]]
        values[found] = self.values[row[found]]
        age_s[found] = (at[found] - self._order.ts[place[found]]) / US_PER_S
        return PitResult(values, row, age_s)


def _nearest_known(place: Any, at: Any, latest_first: Any, created: Any, newest_created_first: Any, out: Any) -> None:
    """Walks the queries back in time, striking out rows created later; a struck place points on to the one before it.

    A union-find with path halving: near-constant work a query, however deep a backfill has buried the row that was known.
    """
    before = np.arange(len(created) + 1)  # shifted by one, so that 0 is "none"
    strike = 0
    for query in latest_first:
        while strike < len(newest_created_first) and created[newest_created_first[strike]] > at[query]:
            struck = newest_created_first[strike] + 1
            before[struck] = struck - 1
            strike += 1
        here = place[query] + 1
        while before[here] != here:
            before[here] = before[before[here]]
            here = before[here]
        out[query] = here - 1


def warm_up() -> None:
    """Compiles the searches, or loads what an earlier process compiled."""
    PointInTimeIndex([1], [1], [1.0], [1]).join([1], [1], known_at=True)


# --- the same over rows as dictionaries -------------------------------------------------------------------------------

EVENT = ("event_timestamp", "event_ts", "timestamp", "ts")  # names a column of times may have; the first that a row holds counts
CREATED = ("created", "created_timestamp", "created_ts", "created_at")
Record = Mapping[str, Any]


def point_in_time_join(
    entity_rows: Sequence[Record],
    feature_rows: Sequence[Record],
    *,
    join_keys: Sequence[str] | str,
    feature: str,
    ttl_seconds: float | None = None,
    upper: Upper = "inclusive",
    filter_by_created: bool = False,
) -> list[Any]:
    """The value of `feature` (any type) for each entity row, None where there is none.

    Rows hold the join keys and `event_timestamp`; feature rows also `feature` and, where known, `created`. Other usual names of the two
    times are read as well: `EVENT`, `CREATED`. Times: see `microseconds`. A single join key needs no list.
    """
    if not feature_rows:
        return [None] * len(entity_rows)
    created = _created_of(feature_rows)
    index = PointInTimeIndex(_keys_of(feature_rows, join_keys), _times_of(feature_rows), np.zeros(len(feature_rows)), created)
    if not entity_rows:
        return []
    joined = index.join(
        _keys_of(entity_rows, join_keys), _times_of(entity_rows), ttl_s=ttl_seconds, upper=upper, known_at=filter_by_created
    )
    return [None if row == NONE else _field(feature_rows[row], feature, int(row)) for row in joined.row]


def snapshot(
    feature_rows: Sequence[Record], *, join_keys: Sequence[str] | str, feature: str, start: Any, end: Any, ttl_seconds: float | None = None
) -> dict[Any, Any]:
    """The newest value of every key from `start` to `end`, both included: what a store holds after that interval was loaded.

    With a time to live as well, the later of `start` and `end - ttl` counts; `start` None: from the first row on. Keys are plain
    values, or tuples for several join keys. Raises InvalidInput when `start` lies behind `end`.
    """
    first, last, ttl_us = microseconds(start), microseconds(end), span(ttl_seconds)
    if first > last:
        raise InvalidInput(f"The snapshot starts at {start} and ends at {end}; expected a start before the end.", field="start")
    first = max(first, last - ttl_us) if ttl_us is not None else first
    times = _times_of(feature_rows)
    created = times_of(_created_of(feature_rows))
    within = np.flatnonzero((times >= first) & (times <= last) & (times != NEVER))
    oldest_first = within[np.lexsort([created[within], times[within]])]
    return {_key_of(feature_rows[row], join_keys): _field(feature_rows[row], feature, int(row)) for row in oldest_first}


def _key_of(row: Record, join_keys: Sequence[str] | str) -> Any:
    values = tuple(row[name] for name in _names(join_keys))
    return values[0] if len(values) == 1 else values


def _keys_of(rows: Sequence[Record], join_keys: Sequence[str] | str) -> tuple[NDArray[Any], ...]:
    if not join_keys:
        raise InvalidInput("No join key was given; expected at least one column name.", field="join_keys")
    return tuple(_objects([_field(row, name, number) for number, row in enumerate(rows)]) for name in _names(join_keys))


def _names(join_keys: Sequence[str] | str) -> Sequence[str]:
    return (join_keys,) if isinstance(join_keys, str) else join_keys


def _times_of(rows: Sequence[Record]) -> Times:
    return times_of(_objects([_field(row, _first(row, EVENT), number) for number, row in enumerate(rows)]))


def _created_of(rows: Sequence[Record]) -> NDArray[Any]:
    return _objects([row.get(_first(row, CREATED)) for row in rows])


def _first(row: Record, names: Sequence[str]) -> str:
    """The first of the names that the row holds, and the usual one where it holds none."""
    return next((name for name in names if name in row), names[0])


def _field(row: Record, name: str, number: int) -> Any:
    try:
        return row[name]
    except KeyError:
        raise InvalidInput(f"Row {number} has no '{name}'; it has {', '.join(map(str, row))}.", field=name) from None


def _objects(values: list[Any]) -> NDArray[Any]:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _same_length(codes: Rows, **others: NDArray[Any] | None) -> None:
    for name, other in others.items():
        if other is not None and len(other) != len(codes):
            raise InvalidInput(f"{len(codes)} keys were given with {len(other)} of {name}; expected as many.", field=name)
