"""Layouts of tiles: what they read holds the window and nothing else, and costs what arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.features import layouts, tiles, windows
from simulators.engines.features.layouts import Run, Window
from simulators.errors import InvalidInput

DAY = 86_400
VELOCITY = (Window(300, 20), Window(3_600, 300), Window(7 * DAY, 43_200))
ROLLED_UP = (Window(300, 20), Window(3_600, 300), Window(7 * DAY, 3_600))


def test_what_requests_read_and_events_write() -> None:
    assert layouts.tiles_read(VELOCITY, "flat", 20 * DAY + 1.5) == 44
    assert layouts.tiles_read(VELOCITY, "flat", 20 * DAY) == 41  # no tile is open at the turn
    assert layouts.tiles_read(VELOCITY, "flat", 20 * DAY + 1.5, closed=True) == 41  # a hopping window leaves the open tiles out
    assert layouts.tiles_read(VELOCITY, "precombined", 1e6, closed=True) == 3
    assert layouts.tiles_read([Window(7 * DAY, 1)], "flat", 1e6 + 0.5) == 604_801
    assert layouts.tiles_read(VELOCITY, "precombined", 1e6) == 6
    assert [layouts.tiles_written(VELOCITY, layout) for layout in ("flat", "precombined", "raw_events")] == [3, 3, 1]
    assert layouts.rollup_levels(ROLLED_UP) == (20, 300, 3_600, DAY)
    assert layouts.tiles_written(ROLLED_UP, "hierarchical") == 4


def test_a_hierarchy_of_four_levels_reads_at_most_58_tiles() -> None:
    reads = [layouts.tiles_read(ROLLED_UP, "hierarchical", 20 * DAY + second) for second in range(0, DAY, 7)]
    assert max(reads) == 58
    assert min(reads) < 15  # at midnight, when days are whole


def greedy(start: int, end: int, levels: tuple[int, ...]) -> list[tuple[int, int]]:
    """The plain way: always the largest tile that starts here and ends in time."""
    out = []
    while start < end:
        level = max(level for level in levels if start % level == 0 and start + level <= end)
        out.append((level, start))
        start += level
    return out


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 3_000), st.integers(0, 3_000), st.sampled_from([(1, 5, 60, 600), (20, 300, 3_600), (7,), (2, 4, 8)]))
def test_decomposition_is_the_greedy_one(a: int, b: int, levels: tuple[int, ...]) -> None:
    start, end = sorted((a * levels[0], b * levels[0]))
    found = [(run.level_s, at) for run in layouts.decompose(start, end, levels) for at in range(run.start_s, run.end_s, run.level_s)]
    assert sorted(found) == sorted(greedy(start, end, levels))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(8 * DAY, 9 * DAY))
def test_windows_share_the_tiles_they_have_in_common(seed: int, at: float) -> None:
    levels = layouts.rollup_levels(ROLLED_UP)
    read = {(run.level_s, s) for run in layouts.runs_of(ROLLED_UP, levels, at) for s in range(run.start_s, run.end_s, run.level_s)}
    end = int(-(-at // 20)) * 20
    alone = [greedy(int((at - w.window_s) // w.hop_s) * w.hop_s, end, levels) for w in ROLLED_UP]
    assert read == {tile for tiles_of_one in alone for tile in tiles_of_one}


@pytest.mark.parametrize("op", ["count", "sum", "avg", "min", "max", "std"])
def test_merged_tiles_serve_the_sawtooth_window(op: Any) -> None:
    """Tiles filled event by event and merged along the plan give what the window over events gives."""
    levels = layouts.rollup_levels(ROLLED_UP)
    for seed in range(3):
        draws = np.random.default_rng(seed)
        ts = np.sort(draws.uniform(0, 9 * DAY, 20_000))
        values = draws.lognormal(size=len(ts))
        at = 8.5 * DAY + draws.uniform(0, 9_000)
        past = ts < at
        store: dict[tuple[int, int], Any] = {}
        for level in levels:
            start = (ts[past] // level * level).astype(int)
            store |= {(level, int(s)): tiles.partial(values[past][start == s], op) for s in np.unique(start)}
        for window in ROLLED_UP:
            runs = layouts.decompose(int((at - window.window_s) // window.hop_s) * window.hop_s, int(-(-at // 20)) * 20, levels)
            parts = [store.get((run.level_s, s), ()) for run in runs for s in range(run.start_s, run.end_s, run.level_s)]
            us = [np.array(np.round(np.atleast_1d(t) * 1e6), dtype=np.int64) for t in (ts, at)]
            exact = windows.aggregate(
                np.zeros(len(ts), int), us[0], values, [0], us[1], op=op, window_s=window.window_s, mode="sawtooth", hop_s=window.hop_s
            )
            merged = tiles.merge(parts, op)
            assert exact[0] == pytest.approx(merged, rel=1e-9) if merged is not None else np.isnan(exact[0])


def test_tiles_are_kept_as_long_as_a_window_ends_in_them() -> None:
    levels = layouts.rollup_levels(ROLLED_UP)
    kept = {level: layouts.retention_s(ROLLED_UP, level, levels) for level in levels}
    assert kept == {20: 320, 300: 3_900, 3_600: 7 * DAY + 3_600, DAY: 8 * DAY}


def test_levels_that_do_not_nest_are_refused() -> None:
    with pytest.raises(InvalidInput, match="420 s cannot be rolled up from tiles of 300 s"):
        layouts.rollup_levels([Window(840, 420), Window(3_600, 300)])
    with pytest.raises(InvalidInput, match="which keep tiles"):
        layouts.tiles_read(VELOCITY, "raw_events", 0)
    assert layouts.decompose(0, 0, (20, 300)) == [] and Run(20, 0, 60).tiles == 3
