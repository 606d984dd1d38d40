"""What a layout keeps, reads and writes for the chosen windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features import layouts
from simulators.engines.features.layouts import Window
from simulators.engines.features.times import US_PER_S
from simulators.engines.features.windows import bounds
from simulators.feature_store._windows_params import DAY_S, WindowsParams
from simulators.feature_store._windows_stream import Stream
from simulators.feature_store._windows_world import Events, Floats

WORD = 8  # bytes of a number or of a time
NUMBERS = {"count": 1, "sum": 2, "avg": 2, "min": 1, "max": 1, "std": 4, "last": 2}  # of a tile, see tiles.partial
EVENT_BYTES = 3 * WORD  # id, time, value
MOMENTS = 361  # of a day at which the reads of a hierarchy are counted; prime to its levels


@dataclass(frozen=True)
class State:
    """reads_max, reads_mean: tiles or events of one request, all windows; writes: tiles or events changed by one event, rewrites of
    bodies included; entity_bytes (k,) of each key at the end of the events."""

    reads_max: float
    reads_mean: float
    writes: float
    entity_bytes: Floats

    @property
    def p50_bytes(self) -> float:
        return float(np.quantile(self.entity_bytes, 0.5))

    @property
    def p999_bytes(self) -> float:
        return float(np.quantile(self.entity_bytes, 0.999))

    @property
    def max_bytes(self) -> float:
        return float(self.entity_bytes.max())


def state_of(params: WindowsParams, events: Events, stream: Stream) -> State:
    shapes = params.shapes
    if params.mode == "snapshot":
        return _snapshot(params, events)
    if params.layout == "raw_events":
        longest = shapes[-1]
        read = _events_in(stream, *bounds(stream.at, longest.window_s, params.mode, longest.hop_s))
        return State(float(read.max()), float(read.mean()), 1.0, EVENT_BYTES * _recent(events, longest.window_s + longest.hop_s))
    reads = _tile_reads(params)
    writes = float(layouts.tiles_written(shapes, params.layout))
    kept = _kept_tiles(params, events) * tile_bytes(params)
    if params.layout == "precombined":
        writes += sum(_rewrites(events, shape) for shape in shapes) / events.n
    if params.mode != "sliding":
        return State(float(reads.max()), float(reads.mean()), writes, kept)
    cut = _cut_events(stream, shapes)
    longest_s = shapes[-1].window_s + shapes[-1].hop_s
    more = EVENT_BYTES * _recent(events, longest_s)
    return State(float(reads.max() + cut.max()), float(reads.mean() + cut.mean()), writes + 1, kept + more)


def tile_bytes(params: WindowsParams) -> int:
    """A tile's start and its partial; a distinct count keeps a sketch."""
    return WORD + ((1 << params.hll_p) if params.op == "count_distinct" else WORD * NUMBERS[params.op])


def newest_visible_s(params: WindowsParams) -> float:
    """The longest a punctual event waits until every window counts it."""
    if params.mode == "snapshot":
        return DAY_S
    return float(max(shape.hop_s for shape in params.shapes)) if params.mode == "hopping" else 0.0


def _tile_reads(params: WindowsParams) -> Floats:
    """Tiles read (m,) at moments of a day."""
    moments = 100 * DAY_S + (np.arange(MOMENTS) + 0.5) * DAY_S / MOMENTS
    closed = params.mode == "hopping"
    return np.array([layouts.tiles_read(params.shapes, params.layout, at, closed=closed) for at in moments], dtype=float)


def _events_in(stream: Stream, start: NDArray[np.int64], end: NDArray[np.int64]) -> Floats:
    low, high = stream.counted.events.places(stream.key, start, end)
    return np.asarray(np.maximum(high - low, 0), dtype=float)


def _cut_events(stream: Stream, shapes: tuple[Window, ...]) -> Floats:
    """Events (m,) read one by one, of the tiles that the tails of sliding windows cut."""
    total = np.zeros(len(stream.at))
    for window_s, hop_s in shapes:
        tail, hop = stream.at - window_s * US_PER_S, hop_s * US_PER_S
        total += _events_in(stream, tail, -(-tail // hop) * hop)
    return total


# --- bytes: what each key holds when the events end -----------------------------------------------------------------------


def _kept_tiles(params: WindowsParams, events: Events) -> Floats:
    """Non-empty tiles (k,)."""
    shapes = params.shapes
    if params.layout == "precombined":
        cells = [2.0 * (_recent(events, shape.window_s + shape.hop_s) > 0) for shape in shapes]
        return np.asarray(np.sum(cells, axis=0))
    if params.layout == "flat":
        return np.asarray(sum(_tiles(events, shape.hop_s, shape.window_s + shape.hop_s) for shape in shapes))
    levels = layouts.rollup_levels(shapes)
    return np.asarray(sum(_tiles(events, level, layouts.retention_s(shapes, level, levels)) for level in levels))


def _tiles(events: Events, hop_s: int, kept_s: float) -> Floats:
    """Non-empty tiles (k,) of one width that are young enough to be kept."""
    recent = _since(events, kept_s)
    key, tile = events.key[recent], events.ts[recent] // (hop_s * US_PER_S)
    first = np.ones(len(key), dtype=bool)
    first[1:] = (key[1:] != key[:-1]) | (tile[1:] != tile[:-1])
    return np.bincount(key[first], minlength=_keys(events)).astype(float)


def _recent(events: Events, kept_s: float) -> Floats:
    return np.bincount(events.key[_since(events, kept_s)], minlength=_keys(events)).astype(float)


def _since(events: Events, kept_s: float) -> NDArray[np.bool_]:
    return np.asarray(events.ts >= events.ts.max() - round(kept_s * US_PER_S))


def _keys(events: Events) -> int:
    return int(events.key[-1]) + 1


def _rewrites(events: Events, shape: Window) -> float:
    """Bodies written over all the time: at the close of each hop, for every key whose body is not empty."""
    hop = shape.hop_s * US_PER_S
    tile = events.ts // hop
    following = np.append(tile[1:], tile[-1:])
    last = np.append(events.key[1:] != events.key[:-1], True)
    following[last] = events.ts.max() // hop
    return float(np.minimum(following - tile, shape.window_s // shape.hop_s).sum())


def _snapshot(params: WindowsParams, events: Events) -> State:
    """A job at midnight computes one number a key and window."""
    windows, keys = len(params.windows), _keys(events)
    days = max(1.0, float(events.ts.max() - events.ts.min()) / US_PER_S / DAY_S)
    size = WORD * (1 + windows)
    return State(windows, windows, windows * keys * days / events.n, np.full(keys, float(size)))
