"""Counts of events by key over recent time, live and as they stood at past moments.

A sliding counter is a ring of buckets that all keys turn together, so no key keeps a clock; its newest bucket is open, so it covers
between one bucket less than the window and the window. A decayed counter halves what it holds every half-life; it keeps one number a key,
the sum of n x 2^((t - landmark) / half_life), by a landmark that all keys share (forward decay: Cormode, Shkapenyuk, Srivastava & Xu 2009).
`window_counts` says for training rows what an exact window held at their time, as the stream of events had arrived by then.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.compiled import compiled
from simulators.engines.features.keys import ABSENT, KeyColumn
from simulators.engines.ranking.arguments import Ints, finite, same_length

FIRST_KEYS = 1_024
FAR = 512  # half-lives from the landmark after which it moves: 2^512 is half of a double's range


class SlidingCounter:
    """Events of the last `window_s`, in buckets of `bucket_s` that must divide it; times in seconds.

    Events older than the window are forgotten on arrival, whoever brings them late.
    """

    def __init__(self, window_s: float, bucket_s: float) -> None:
        _positive("window_s", window_s)
        _positive("bucket_s", bucket_s)
        buckets = round(window_s / bucket_s)
        if buckets < 1 or abs(buckets * bucket_s - window_s) > 1e-9 * window_s:
            raise ValueError(f"bucket_s is {bucket_s:g}; expected a divisor of the window of {window_s:g} s.")
        self.window_s, self.bucket_s, self.buckets = float(window_s), float(bucket_s), buckets
        self._newest: int | None = None  # bucket, counted from time 0
        self._rows = _Rows(np.zeros((FIRST_KEYS, buckets), np.uint32))

    @property
    def bytes_per_key(self) -> int:
        """Of counts: four bytes a bucket."""
        return 4 * self.buckets

    def add(self, key: Hashable, t: float, n: int = 1) -> None:
        bucket, count = self._bucket(t), _count(n)
        self._turn(bucket)
        if self._newest is not None and bucket > self._newest - self.buckets:
            row = self._rows.of(key)
            self._rows.values[row, bucket % self.buckets] += count

    def value(self, key: Hashable, t: float) -> int:
        """Events in the bucket of `t` and the ones before it, as many as fill a window; of a past `t`, those still held."""
        bucket, row = self._bucket(t), self._rows.known(key)
        if row is None or self._newest is None:
            return 0
        held = np.arange(max(bucket, self._newest) - self.buckets + 1, min(bucket, self._newest) + 1)
        return int(self._rows.values[row, held % self.buckets].sum(dtype=np.int64))

    def _turn(self, bucket: int) -> None:
        """Empties the buckets that time has moved into."""
        if self._newest is None:
            self._newest = bucket
        if bucket > self._newest:
            passed = np.arange(max(self._newest, bucket - self.buckets) + 1, bucket + 1)
            self._rows.values[:, passed % self.buckets] = 0
            self._newest = bucket

    def _bucket(self, t: float) -> int:
        return int(_time(t) // self.bucket_s)


class DecayedCounter:
    """Events, each worth 2^(-age / half_life_s); times in seconds. Events may arrive in any order."""

    bytes_per_key = 8

    def __init__(self, half_life_s: float) -> None:
        _positive("half_life_s", half_life_s)
        self.half_life_s = float(half_life_s)
        self._landmark: float | None = None
        self._rows = _Rows(np.zeros(FIRST_KEYS))

    def add(self, key: Hashable, t: float, n: int = 1) -> None:
        count, age = _count(n), self._half_lives(t)
        if age > FAR:
            self._rows.values *= 2.0**-age
            self._landmark, age = float(t), 0.0
        row = self._rows.of(key)
        self._rows.values[row] += count * 2.0**age

    def value(self, key: Hashable, t: float) -> float:
        """What the key's events are worth at `t`, which is not before the newest of them."""
        row = self._rows.known(key)
        if row is None:
            return 0.0
        age = self._half_lives(t)
        if age < -FAR:
            raise ValueError(f"t is {t:g}, {-age:.0f} half-lives before what the counter last held; it keeps no history.")
        return float(self._rows.values[row] * 2.0**-age)

    def _half_lives(self, t: float) -> float:
        """Since the landmark, which the first time sets."""
        if self._landmark is None:
            self._landmark = _time(t)
        return (_time(t) - self._landmark) / self.half_life_s


class _Rows:
    """A row of `values` a key, dealt in order of appearance; the array doubles when it is full."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values
        self._row: dict[Hashable, int] = {}

    def known(self, key: Hashable) -> int | None:
        return self._row.get(key)

    def of(self, key: Hashable) -> int:
        row = self._row.setdefault(key, len(self._row))
        if row == len(self.values):
            self.values = np.concatenate([self.values, np.zeros_like(self.values)])
        return row


def window_counts(
    event_key: ArrayLike, event_t: ArrayLike, query_key: ArrayLike, query_t: ArrayLike, window_s: float, lag_s: float = 0
) -> Ints:
    """Events (m,) of each query's key with q - lag_s - window_s <= t < q - lag_s, for query times q (m,); in any order.

    event_key (n,), event_t (n,)  keys of any one type; a missing key matches nothing
    window_s                      above 0; infinite counts everything before
    lag_s                         how far the stream of events is behind, 0 or more
    ValueError names the argument: lengths that differ, times that are not finite, a window or lag out of range.
    """
    if not window_s > 0:
        raise ValueError(f"window_s is {window_s}; expected more than 0.")
    if not 0 <= lag_s < np.inf:
        raise ValueError(f"lag_s is {lag_s}; expected 0 or more.")
    times, asked = finite("event_t", event_t, ndim=1), finite("query_t", query_t, ndim=1)
    keys, wanted = np.asarray(event_key), np.asarray(query_key)
    same_length(event_key=keys, event_t=times)
    same_length(query_key=wanted, query_t=asked)
    column = KeyColumn(keys)
    order = np.lexsort((times, column.codes))
    start = np.searchsorted(column.codes[order], np.arange(len(column) + 1))
    until = asked - lag_s
    counts = np.zeros(len(asked), np.int64)
    compiled(_between)(column.lookup(wanted), until - window_s, until, start, times[order], counts)
    return counts


def warm_up() -> None:
    """Compiles the search, or loads what an earlier process compiled."""
    window_counts([0], [0.0], [0], [1.0], 2.0)


def _between(code: Any, since: Any, until: Any, start: Any, times: Any, counts: Any) -> None:
    """Places of a key's sorted times from the first at or after `since` to the first at or after `until`."""
    for query in range(len(code)):
        if code[query] == ABSENT:
            continue
        begin, end = start[code[query]], start[code[query] + 1]
        found = 0
        for bound, sign in ((until[query], 1), (since[query], -1)):
            low, high = begin, end
            while low < high:
                middle = (low + high) // 2
                if times[middle] < bound:
                    low = middle + 1
                else:
                    high = middle
            found += sign * low
        counts[query] = found


def _positive(name: str, value: float) -> None:
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value}; expected more than 0.")


def _time(t: float) -> float:
    if not np.isfinite(t):
        raise ValueError(f"t is {t}; expected a time in seconds.")
    return float(t)


def _count(n: int) -> int:
    if n != int(n) or n < 0:
        raise ValueError(f"n is {n}; expected a whole number, 0 or more.")
    return int(n)
