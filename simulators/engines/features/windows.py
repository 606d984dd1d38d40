"""Aggregates of a key's events over the last W seconds before a query, by the window shapes that production systems use.

Every window ends before its own end: the event at the query's very time is not in it.

    sliding    [t - W, t)                       exact; its tail moves with every query
    sawtooth   [floor_hop(t - W), t)            exact head, rounded tail: never blind to the newest event, counts up to one hop too much
    hopping    [floor_hop(t) - W, floor_hop(t)) fixed steps: right on average, blind to the hop that is still open
    snapshot   [floor_day(t) - W, floor_day(t)) yesterday's midnight

Chronon calls the second one sawtooth windows; its tail hops are those of `tail_hop`. Averages, sums and deviations come from prefix
sums, minima and maxima from a sparse table (Bender & Farach-Colton 2000), distinct counts from a Fenwick tree over last occurrences.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.compiled import compiled
from simulators.engines.features.keys import ABSENT, KeyCodes, KeyColumn, Keys
from simulators.engines.features.order import KeyedOrder, Places
from simulators.engines.features.times import NEVER, US_PER_S, Times, times_of
from simulators.errors import InvalidInput

Op = Literal["count", "sum", "avg", "min", "max", "std", "last", "count_distinct"]
Mode = Literal["sliding", "sawtooth", "hopping", "snapshot"]
DAY_S, HOUR_S, MINUTE_S = 86_400, 3_600, 60
Floats = NDArray[np.float64]


def tail_hop(window_s: float) -> int:
    """Seconds by which Chronon rounds a window's tail: a day from 12 days on, an hour from 12 hours on, else 5 minutes."""
    if window_s >= 12 * DAY_S:
        return DAY_S
    return HOUR_S if window_s >= 12 * HOUR_S else 5 * MINUTE_S


def bounds(query_ts: Times, window_s: float, mode: Mode, hop_s: float | None = None) -> tuple[Times, Times]:
    """Start (included) and end (not included) of each query's window, microseconds (m,). `hop_s` None: `tail_hop`.

    Raises InvalidInput for a window or hop that is not above 0, and for a given hop that does not divide the window.
    """
    window = _positive(window_s, "window_s")
    hop = _hop(window_s, hop_s)
    if mode == "sliding":
        return query_ts - window, query_ts
    if mode == "sawtooth":
        return _floor(query_ts - window, hop), query_ts
    if mode not in get_args(Mode):
        raise InvalidInput(f"mode is '{mode}'; expected one of {', '.join(get_args(Mode))}.", field="mode")
    end = _floor(query_ts, hop if mode == "hopping" else DAY_S * US_PER_S)
    return end - window, end


def aggregate(
    keys: Keys,
    ts: ArrayLike,
    values: ArrayLike,
    query_keys: Keys,
    query_ts: ArrayLike,
    *,
    op: Op,
    window_s: float,
    mode: Mode = "sliding",
    hop_s: float | None = None,
) -> Floats:
    """The aggregate (m,) of the events (n,) of each query's key in its window; NaN for an empty window, counts included.

    Values are numbers, for `count` and `count_distinct` also texts; events without one (NaN, None) are left out. `std` divides by the
    count. `last` is the newest event's value, of several at one time the last given. `mode` and `hop_s`: see `bounds`.
    """
    if op not in get_args(Op):
        raise InvalidInput(f"op is '{op}'; expected one of {', '.join(get_args(Op))}.", field="op")
    events = EventLog(keys, ts, _numbered(values) if op in ("count", "count_distinct") else values)
    at = times_of(query_ts)
    low, high = events.places(query_keys, *bounds(at, window_s, mode, hop_s))
    return events.over(low, np.where(at == NEVER, low, high), op)


def _numbered(values: ArrayLike) -> ArrayLike:
    """Numbers as they are, and a number for each distinct text; NaN where the value is missing."""
    if np.asarray(values).dtype.kind not in "OUS":
        return values
    codes = KeyColumn(values).codes
    return np.where(codes == ABSENT, np.nan, codes)


class EventLog:
    """Events sorted by (key, time), from which any window is two binary searches away."""

    def __init__(self, keys: Keys, ts: ArrayLike, values: ArrayLike) -> None:
        codes, times, given = KeyCodes(keys), times_of(ts), np.asarray(values, dtype=float)
        if not len(codes.codes) == len(times) == len(given):
            raise InvalidInput(f"{len(codes.codes)} keys, {len(times)} times and {len(given)} values were given; expected as many of each.")
        self._keys, self._order = codes, KeyedOrder(codes, times, usable=~np.isnan(given))
        self.values = given[self._order.row]

    def places(self, query_keys: Keys, start: Times, end: Times) -> tuple[Places, Places]:
        """The run of events [low, high) that each window (m,) holds."""
        code = self._keys.lookup(query_keys)
        if len(code) != len(start):
            raise InvalidInput(f"{len(code)} query keys were given with {len(start)} query times; expected as many.")
        low, high = (self._order.up_to(code, edge, inclusive=False) for edge in (start, end))
        return low, high

    def over(self, low: Places, high: Places, op: Op) -> Floats:
        """The aggregate of events [low, high) for each pair (m,)."""
        out, some = np.full(len(low), np.nan), high > low
        if some.any():
            out[some] = _OPS[op](self.values, low[some], high[some])
        return out


# --- one function an operation: values (n,) sorted by key and time, non-empty runs [low, high) (m,) -> (m,) ---------------


def _count(values: Floats, low: Places, high: Places) -> Floats:
    return (high - low).astype(float)


def _sum(values: Floats, low: Places, high: Places) -> Floats:
    prefix = np.concatenate([[0], np.cumsum(values, dtype=np.longdouble)])
    return np.asarray(prefix[high] - prefix[low], dtype=float)


def _avg(values: Floats, low: Places, high: Places) -> Floats:
    return _sum(values, low, high) / (high - low)


def _std(values: Floats, low: Places, high: Places) -> Floats:
    shifted = values - values.mean()  # so that squares do not swallow the digits
    mean = _avg(shifted, low, high)
    variance = np.maximum(_avg(shifted**2, low, high) - mean**2, 0.0)
    changes = np.cumsum(np.diff(values, prepend=values[:1]) != 0)
    return np.where(changes[high - 1] == changes[low], 0.0, np.sqrt(variance))  # the root would make 1e-9 of the rounding of equal values


def _last(values: Floats, low: Places, high: Places) -> Floats:
    return np.asarray(values[high - 1])


def _min(values: Floats, low: Places, high: Places) -> Floats:
    return -_max(-values, low, high)


def _max(values: Floats, low: Places, high: Places) -> Floats:
    """Two overlapping runs of a power of two cover any run."""
    level = np.frexp(high - low)[1] - 1  # floor(log2(length))
    out = np.empty(len(low))
    table = values
    for power in range(int(level.max()) + 1):
        if power:
            half = 1 << (power - 1)
            table = np.maximum(table[:-half], table[half:])
        mine = level == power
        out[mine] = np.maximum(table[low[mine]], table[high[mine] - (1 << power)])
    return out


def _count_distinct(values: Floats, low: Places, high: Places) -> Floats:
    """A value counts where it occurs last: sweep the ends upwards, keep one mark a value, and count the marks from `low` on."""
    _, number = np.unique(values, return_inverse=True)
    out = np.empty(len(low))
    compiled(_distinct)(number, low, high, np.argsort(high, kind="stable"), np.full(number.max() + 1, -1), out)
    return out


_OPS: dict[str, Callable[[Floats, Places, Places], Floats]] = {
    "count": _count,
    "sum": _sum,
    "avg": _avg,
    "min": _min,
    "max": _max,
    "std": _std,
    "last": _last,
    "count_distinct": _count_distinct,
}


def under_way(values: Floats, ts: Times, arrival: Times, low: Places, high: Places, at: Times) -> tuple[Floats, Floats]:
    """Count and sum (m,) of the events [low, high) that arrive only after their query's time `at`: they are not served yet.

    values, ts, arrival (n,) in the order of an `EventLog`; [low, high) as its `places` gives them.
    """
    count, total = np.zeros(len(at)), np.zeros(len(at))
    longest = int((arrival - ts).max(initial=0))
    compiled(_under_way)(values, ts, arrival, low, high, at, longest, count, total)
    return count, total


def _under_way(values: Any, ts: Any, arrival: Any, low: Any, high: Any, at: Any, longest: Any, count: Any, total: Any) -> None:
    for query in range(len(at)):
        event = high[query] - 1
        while event >= low[query] and ts[event] + longest > at[query]:  # what is older has arrived
            if arrival[event] > at[query]:
                count[query] += 1
                total[query] += values[event]
            event -= 1


def _distinct(number: Any, low: Any, high: Any, by_end: Any, last_at: Any, out: Any) -> None:
    tree = np.zeros(len(number) + 1, dtype=np.int64)  # Fenwick tree over places, one-based
    seen = 0
    for query in by_end:
        while seen < high[query]:
            for place, change in ((last_at[number[seen]] + 1, -1), (seen + 1, 1)):
                while 0 < place <= len(number):
                    tree[place] += change
                    place += place & -place
            last_at[number[seen]] = seen
            seen += 1
        marks = 0
        for place, sign in ((high[query], 1), (low[query], -1)):
            while place > 0:
                marks += sign * tree[place]
                place -= place & -place
        out[query] = marks


def warm_up() -> None:
    """Compiles the loops of this module, or loads what an earlier process compiled."""
    nothing, one = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.int64)
    _count_distinct(np.zeros(1), nothing, one)
    under_way(np.zeros(1), nothing, one, nothing, one, one)
    EventLog(nothing, nothing, nothing).places(nothing, nothing, one)


# --- durations --------------------------------------------------------------------------------------------------------


def _positive(seconds: float, field: str) -> int:
    if not seconds > 0:
        raise InvalidInput(f"{field} is {seconds} s; expected more than 0.", field=field)
    return round(seconds * US_PER_S)


def _hop(window_s: float, hop_s: float | None) -> int:
    if hop_s is None:
        return tail_hop(window_s) * US_PER_S
    hop = _positive(hop_s, "hop_s")
    if _positive(window_s, "window_s") % hop:
        raise InvalidInput(f"Hop {hop_s:g} s does not divide window {window_s:g} s.", field="hop_s")
    return hop


def _floor(times: Times, step_us: int) -> Times:
    return times // step_us * step_us
