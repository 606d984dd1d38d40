"""What the stream made of the events, the windows served from it, and how far they are from the exact ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.layouts import Window
from simulators.engines.features.times import US_PER_S, Times
from simulators.engines.features.windows import EventLog, Mode, Op, bounds, under_way
from simulators.feature_store._windows_params import WindowsParams
from simulators.feature_store._windows_world import Events, Floats
from simulators.lab import Context, Progress, Working

COUNTED = ("count", "sum", "count_distinct")  # an empty window is served as 0; of the other aggregates it is null
ADDITIVE = ("count", "sum", "avg")


@dataclass(frozen=True)
class Log:
    """An event log that knows its size, so that a cache can bound what it holds."""

    events: EventLog
    n: int

    def memory_bytes(self) -> int:
        return 40 * self.n


@dataclass(frozen=True)
class Stream:
    """The truth, what was counted, and what is still under way.

    truth    every event once
    counted  events that arrived before the watermark passed them, twice where they were redelivered and nothing drops repeats
    late     the counted ones that came late, None where none did; `late_ts` and `arrival` of each in the log's order of (key, time)
    dropped, repeated  numbers of events
    """

    truth: Log
    counted: Log
    late: Log | None
    late_ts: Times
    arrival: Times
    dropped: int
    repeated: int
    key: NDArray[np.int64]
    at: Times

    def memory_bytes(self) -> int:
        return self.truth.memory_bytes() + self.counted.memory_bytes()


@dataclass(frozen=True)
class Served:
    """One window over all requests (m,): exact, by shape alone (every event on time and once), and as served."""

    window: Window
    exact: Floats
    shaped: Floats
    served: Floats

    def differ(self, *, shape_only: bool = False) -> float:
        """Share of requests served another value than the exact one; two nulls agree."""
        value = self.shaped if shape_only else self.served
        same = (value == self.exact) | (np.isnan(value) & np.isnan(self.exact))
        close = np.abs(value - self.exact) <= 1e-9 * np.abs(self.exact)  # sums of floats in another order
        return float(1 - (same | close).mean())

    def error(self, *, shape_only: bool = False) -> float | None:
        """Mean absolute error over the mean exact value; None where nothing is there to compare."""
        gap, scale = self._gap(shape_only)
        return float(np.abs(gap).sum() / scale) if scale else None

    def bias(self, *, shape_only: bool = False) -> float | None:
        gap, scale = self._gap(shape_only)
        return float(gap.sum() / scale) if scale else None

    def _gap(self, shape_only: bool) -> tuple[Floats, float]:
        gap = (self.shaped if shape_only else self.served) - self.exact
        both = ~np.isnan(gap)
        return gap[both], float(np.abs(self.exact[both]).sum())


def values_of(events: Events, op: Op) -> Floats:
    return events.merchant if op == "count_distinct" else events.amount


def stream_of(ctx: Context, prefix: str, events: Events, params: WindowsParams) -> Working[Stream]:
    """The stream of these settings; what it is sorted into is kept in the worker."""
    values = values_of(events, params.op)
    column = "merchant" if params.op == "count_distinct" else "amount"
    truth = ctx.asset(f"{prefix}/log/{column}", lambda: Log(EventLog(events.key, events.ts, values), events.n), disk=False)
    yield Progress(0, 1, "sorting the stream")
    fate = f"late={params.late_share}/{params.lateness}/twice={0 if params.dedup else params.duplicates}"
    made = ctx.asset(f"{prefix}/stream/{column}/{fate}", lambda: _stream(events, values, params, truth), disk=False)
    yield Progress(1, 1, "sorting the stream")
    return made


def _stream(events: Events, values: Floats, params: WindowsParams, truth: Log) -> Stream:
    late = events.late_draw < params.late_share / 100
    dropped = late & (events.delay_s > params.lateness)
    repeated = ~dropped & (events.double_draw < (0 if params.dedup else params.duplicates / 100))
    asked = events.key[events.asked], events.ts[events.asked]
    counts = int(dropped.sum()), int(repeated.sum())
    if not late.any() and not repeated.any():
        return Stream(truth, truth, None, events.ts[:0], events.ts[:0], *counts, *asked)
    times = np.where(dropped, 0, 1) + repeated
    rows = np.repeat(np.arange(events.n), times)
    counted = Log(EventLog(events.key[rows], events.ts[rows], values[rows]), len(rows))
    on_the_way = rows[late[rows]]
    arrival = events.ts[on_the_way] + np.round(events.delay_s[on_the_way] * US_PER_S).astype(np.int64)
    waiting = Log(EventLog(events.key[on_the_way], events.ts[on_the_way], values[on_the_way]), len(on_the_way)) if len(on_the_way) else None
    return Stream(truth, counted, waiting, events.ts[on_the_way], arrival, *counts, *asked)


def exact(log: Log, window: Window, op: Op, key: NDArray[np.int64], at: Times) -> Floats:
    """The sliding window (m,) over what really happened."""
    return _values(log, key, *bounds(at, window.window_s, "sliding"), op)


def served(stream: Stream, window: Window, mode: Mode, op: Op, key: NDArray[np.int64], at: Times, truth: Floats) -> Served:
    """One window at the times (m,) and keys (m,) of requests, beside the exact one."""
    edges = bounds(at, window.window_s, mode, window.hop_s)
    shaped = truth if mode == "sliding" else _values(stream.truth, key, *edges, op)
    if stream.counted is stream.truth:
        return Served(window, truth, shaped, shaped)
    return Served(window, truth, shaped, _arrived(stream, key, at, edges, op))


def _values(log: Log, key: NDArray[np.int64], start: Times, end: Times, op: Op) -> Floats:
    return _default(log.events.over(*log.events.places(key, start, end), op), op)


def _default(values: Floats, op: Op) -> Floats:
    return np.nan_to_num(values) if op in COUNTED else values


def _arrived(stream: Stream, key: NDArray[np.int64], at: Times, edges: tuple[Times, Times], op: Op) -> Floats:
    """Counted events of the window that had arrived at the time of the request.

    What is under way is taken off counts, sums and averages. A minimum or a distinct count has no way to take it off, so there the few
    late events count from their own time on.
    """
    if stream.late is None or op not in ADDITIVE:
        return _values(stream.counted, key, *edges, op)
    low, high = stream.late.events.places(key, *edges)
    waiting = under_way(stream.late.events.values, stream.late_ts, stream.arrival, low, high, at)
    n = _values(stream.counted, key, *edges, "count") - waiting[0]
    if op == "count":
        return n
    total = np.where(n > 0, _values(stream.counted, key, *edges, "sum") - waiting[1], 0.0)
    return total if op == "sum" else np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
