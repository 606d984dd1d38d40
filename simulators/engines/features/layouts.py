"""How the tiles of several windows are kept, and what a request then reads and an event then writes.

    flat          a row of tiles a window, as wide as its hop                   reads W/hop + 1 a window, writes one a window
    hierarchical  one set of tiles a level, each level a multiple of the last   reads few large tiles inside and small ones at both ends
    precombined   a body of all closed tiles, and the open one                  reads two a window, rewrites the body at every hop
    raw_events    the events themselves                                        reads every event of the longest window

A window's tail is rounded down to its hop (a sawtooth, see `windows`), so its first tile is whole; the last one may still be open.
Rolling tiles up by level is what stream processors do under the names of tiling and multi-level time buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from simulators.errors import InvalidInput

Layout = Literal["flat", "hierarchical", "precombined", "raw_events"]
STANDARD_LEVELS_S = (300, 3_600, 86_400)


class Window(NamedTuple):
    window_s: int
    hop_s: int


class Run(NamedTuple):
    """Consecutive tiles of one level: those that start at start_s, start_s + level_s, ... before end_s."""

    level_s: int
    start_s: int
    end_s: int

    @property
    def tiles(self) -> int:
        return (self.end_s - self.start_s) // self.level_s


def rollup_levels(windows: Sequence[Window]) -> tuple[int, ...]:
    """Seconds of each level: the hops of all windows, and 5 min, 1 h and 1 d where they are coarser than the finest hop.

    Levels longer than every window hold nothing a request could use, and are left out. Raises InvalidInput when one is not a multiple of
    the level below, because a tile could then not be rolled up from whole ones.
    """
    hops = {window.hop_s for window in windows}
    longest = max(window.window_s for window in windows)
    levels = sorted(hops | {level for level in STANDARD_LEVELS_S if min(hops) < level <= longest})
    for below, above in pairwise(levels):
        if above % below:
            raise InvalidInput(
                f"Tiles of {above} s cannot be rolled up from tiles of {below} s; expected hops of which each is a multiple of the next "
                f"smaller level ({', '.join(map(str, levels))} s).",
                field="hops",
            )
    return tuple(levels)


def decompose(start_s: int, end_s: int, levels: Sequence[int]) -> list[Run]:
    """The fewest closed tiles that cover [start_s, end_s): small ones to the first boundary of the level above, and so on inwards.

    Both ends are multiples of `levels[0]`. The runs do not overlap.
    """
    runs, low, high = [], start_s, end_s
    for level, above in pairwise((*levels, 0)):
        up, down = (_ceil(low, above), high // above * above) if above else (high, high)
        if up > down:
            up = down = high
        runs += [Run(level, low, up), Run(level, down, high)]
        low, high = up, down
        if low >= high:
            break
    return [run for run in runs if run.tiles]


def runs_of(windows: Sequence[Window], levels: Sequence[int], at_s: float, *, closed: bool = False) -> list[Run]:
    """What one request at `at_s` reads of a hierarchy for all windows together: a tile that two windows share is read once.

    closed  leave the open hop out, as a hopping window does
    """
    wanted = [run for window in windows for run in decompose(*_span(window, at_s, levels[0], closed), levels)]
    return [run for level in levels for run in _union([run for run in wanted if run.level_s == level])]


def tiles_read(windows: Sequence[Window], layout: Layout, at_s: float, *, closed: bool = False) -> int:
    """Tiles that a request at `at_s` reads of the layouts that keep tiles; `closed` as in `runs_of`."""
    match layout:
        case "flat":
            spans = [(window.hop_s, *_span(window, at_s, window.hop_s, closed)) for window in windows]
            return sum((end - start) // hop for hop, start, end in spans)
        case "precombined":
            return len(windows) if closed else 2 * len(windows)
        case "hierarchical":
            return sum(run.tiles for run in runs_of(windows, rollup_levels(windows), at_s, closed=closed))
    raise InvalidInput(f"layout is '{layout}'; expected flat, hierarchical or precombined, which keep tiles.", field="layout")


def tiles_written(windows: Sequence[Window], layout: Layout) -> int:
    """Tiles (or, of raw_events, the event) that one event changes at once; what a precombined body is rewritten comes on top."""
    if layout == "raw_events":
        return 1
    return len(rollup_levels(windows)) if layout == "hierarchical" else len(windows)


def retention_s(windows: Sequence[Window], level_s: int, levels: Sequence[int]) -> int:
    """How long a level's tiles are needed: as long as a window that ends in them, or until the level above has taken them in."""
    whole = [window.window_s for window in windows if window.hop_s <= level_s <= window.window_s]
    above = next((level for level in levels if level > level_s), level_s)
    return max([*whole, above]) + level_s


def _union(runs: Sequence[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in sorted(runs):
        if joined and run.start_s <= joined[-1].end_s:
            joined[-1] = joined[-1]._replace(end_s=max(joined[-1].end_s, run.end_s))
        else:
            joined.append(run)
    return joined


def _span(window: Window, at_s: float, finest_s: int, closed: bool) -> tuple[int, int]:
    """Start and end of the tiles of a window: its tail rounded down to the hop, its head to the tile that is open, or left out."""
    length, hop = window
    if closed:
        end = int(at_s // hop) * hop
        return end - length, end
    return int((at_s - length) // hop) * hop, _ceil(at_s, finest_s)


def _ceil(value: float, step: int) -> int:
    return int(-(-value // step)) * step
