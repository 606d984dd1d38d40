"""Windows against a loop over events, and tiles against the values they stand for."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.features import tiles, windows
from simulators.engines.features.tiles import HyperLogLog
from simulators.errors import InvalidInput

S, DAY = 1_000_000, 86_400
OPS = ["count", "sum", "avg", "min", "max", "std", "last", "count_distinct"]
MODES = ["sliding", "sawtooth", "hopping", "snapshot"]
EVENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(-3, 3)), max_size=40)
QUERIES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 500)), max_size=20)


def of(op: str, values: list[float]) -> float:
    if not values:
        return math.nan
    return {
        "count": len,
        "sum": math.fsum,
        "avg": statistics.fmean,
        "min": min,
        "max": max,
        "std": statistics.pstdev,
        "last": lambda given: given[-1],
        "count_distinct": lambda given: len(set(given)),
    }[op](values)


def edges(mode: str, t: float, window: float, hop: float) -> tuple[float, float]:
    if mode == "sliding":
        return t - window, t
    if mode == "sawtooth":
        return (t - window) // hop * hop, t
    end = t // hop * hop if mode == "hopping" else t // DAY * DAY
    return end - window, end


@settings(max_examples=300, deadline=None)
@given(EVENTS, QUERIES, st.sampled_from(OPS), st.sampled_from(MODES), st.sampled_from([(60, 10), (60, 60), (200, 50)]))
def test_agrees_with_a_loop_over_events(events: Any, asked: Any, op: Any, mode: Any, shape: tuple[int, int]) -> None:
    window, hop = shape
    keys, ts, values = ([event[i] for event in events] for i in range(3))
    times = np.array(ts, dtype=np.int64) * S
    query = np.array([t for _, t in asked], dtype=np.int64) * S
    out = windows.aggregate(
        np.array(keys, dtype=int),
        times,
        values,
        np.array([k for k, _ in asked], dtype=int),
        query,
        op=op,
        window_s=window,
        mode=mode,
        hop_s=hop,
    )
    expected = []
    for key, t in asked:
        low, high = edges(mode, t, window, hop)
        inside = [e for e in sorted(events, key=lambda event: event[1]) if e[0] == key and low <= e[1] < high]
        expected.append(of(op, [float(value) for *_, value in inside]))
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


def test_chronon_tail_hops() -> None:
    assert [windows.tail_hop(w) for w in (60, 12 * 3600 - 1, 12 * 3600, 12 * DAY - 1, 12 * DAY)] == [300, 300, 3600, 3600, DAY]
    low, high = windows.bounds(np.array([1_000_000 * S]), 7 * DAY, "sawtooth")
    assert (low[0] // S) % 3600 == 0 and high[0] == 1_000_000 * S


def test_digits_survive_a_large_offset() -> None:
    draws = np.random.default_rng(5).normal(1e9, 1, 5000)
    out = windows.aggregate(np.zeros(5000, int), np.arange(5000), draws, [0], [5000], op="std", window_s=1)
    assert out[0] == pytest.approx(draws.std(), rel=1e-9)


def test_missing_values_do_not_count() -> None:
    out = windows.aggregate([1, 1, 1], [0, 1, 2], [1.0, np.nan, 3.0], [1, 1], [3, 0], op="count", window_s=1)
    np.testing.assert_array_equal(out, [2, np.nan])


def test_cheaper_windows_err_as_theory_says() -> None:
    """Poisson events: a sawtooth counts half a hop too much on average; hopping is right on average and misses the open hop."""
    draws = np.random.default_rng(11)
    ts = np.sort(draws.integers(0, 40 * 3600 * S, 400_000))
    query = draws.integers(20 * 3600 * S, 40 * 3600 * S, 20_000)
    keys, asked, values = np.zeros(len(ts), int), np.zeros(len(query), int), np.ones(len(ts))
    for window, hop in ((300, 60), (3600, 300)):
        exact, tooth, hopping = (
            windows.aggregate(keys, ts, values, asked, query, op="count", window_s=window, mode=mode, hop_s=hop)
            for mode in ("sliding", "sawtooth", "hopping")
        )
        assert (tooth >= exact).all()
        assert tooth.mean() / exact.mean() - 1 == pytest.approx(hop / (2 * window), rel=0.05)
        assert hopping.mean() / exact.mean() == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"op": "median"}, "op is 'median'"),
        ({"mode": "tumbling"}, "mode is 'tumbling'"),
        ({"window_s": 0}, "window_s is 0 s"),
        ({"window_s": 300, "mode": "hopping", "hop_s": 7}, "Hop 7 s does not divide window 300 s."),
        ({"values": [1.0, 2.0]}, "1 keys, 1 times and 2 values"),
        ({"query_ts": [1, 2]}, "1 query keys were given with 2 query times"),
    ],
)
def test_bad_input_is_a_sentence(change: dict[str, Any], words: str) -> None:
    given = {"keys": [1], "ts": [0], "values": [1.0], "query_keys": [1], "query_ts": [1], "op": "sum", "window_s": 60, **change}
    with pytest.raises(InvalidInput) as refused:
        windows.aggregate(**given)
    assert words in refused.value.message


@pytest.mark.parametrize("seed", range(3))
def test_events_under_way_agree_with_a_loop(seed: int) -> None:
    draws = np.random.default_rng(seed)
    key, ts = np.sort(draws.integers(0, 3, 300)), draws.integers(0, 1_000, 300)
    order = np.lexsort((ts, key))
    ts, values, arrival = ts[order], draws.normal(size=300), ts[order] + draws.integers(0, 200, 300)
    asked, at = draws.integers(0, 4, 100), draws.integers(0, 1_200, 100)
    low, high = windows.EventLog(key, ts, values).places(asked, at - 300, at)
    count, total = windows.under_way(values, ts, arrival, low, high, at)
    for i in range(100):
        waits = (key == asked[i]) & (ts >= at[i] - 300) & (ts < at[i]) & (arrival > at[i])
        assert count[i] == waits.sum() and total[i] == pytest.approx(values[waits].sum())
    assert count.sum() > 0


# --- tiles -------------------------------------------------------------------------------------------------------------

NUMBERS = st.lists(st.lists(st.floats(-1e6, 1e6), max_size=8), max_size=6)


@settings(max_examples=200, deadline=None)
@given(NUMBERS, st.sampled_from(["count", "sum", "avg", "min", "max", "std"]))
def test_merged_tiles_are_the_aggregate_of_all_values(groups: list[list[float]], op: str) -> None:
    merged = tiles.merge([tiles.partial(group, op) for group in groups], op)
    values = [value for group in groups for value in group]
    if not values:
        assert merged is None
    else:
        assert merged == pytest.approx(of(op, values), rel=1e-9, abs=1e-4)


def test_an_average_is_not_the_average_of_averages() -> None:
    assert tiles.merge([tiles.partial([2, 4, 6], "avg"), tiles.partial([12], "avg")], "avg") == 6


def test_deviation_of_tiles_far_from_zero() -> None:
    draws = np.random.default_rng(2).normal(1e9, 1, (7, 500))
    assert tiles.merge([tiles.partial(tile, "std") for tile in draws], "std") == pytest.approx(draws.std(), rel=1e-7)


def test_the_last_value_wins_and_of_a_tie_the_later_tile() -> None:
    parts = [tiles.partial([(5, 1.0), (9, 2.0), (9, 3.0)], "last"), tiles.partial([(9, 4.0), (1, 0.0)], "last"), tiles.partial([], "last")]
    assert tiles.merge(parts[:1], "last") == 3 and tiles.merge(parts, "last") == 4


def test_distinct_counts_do_not_tile() -> None:
    for refuse in (lambda: tiles.merge([], "count_distinct"), lambda: tiles.partial([1], "count_distinct")):
        with pytest.raises(ValueError, match="count_distinct does not support tiling"):
            refuse()
    with pytest.raises(InvalidInput, match="op is 'median'"):
        tiles.merge([], "median")


@pytest.mark.parametrize("p", [6, 10, 12])
def test_hyperloglog_errs_within_its_bound(p: int) -> None:
    errors = []
    for seed in range(12):
        draws = np.random.default_rng(seed)
        n = int(10 ** draws.uniform(0, 5))
        values = draws.integers(0, 2**62, n)
        errors.append(HyperLogLog(p).add(values).add(values).count() / len(np.unique(values)) - 1)
    assert np.sqrt(np.mean(np.square(errors))) < 1.6 * 1.04 / 2 ** (p / 2)


def test_hyperloglog_merges_to_the_sketch_of_all_values() -> None:
    one, two = HyperLogLog(8).add(range(1000)), HyperLogLog(8).add(np.arange(500, 2000))
    both = HyperLogLog(8).add(np.arange(2000.0))
    np.testing.assert_array_equal(one.merge(two).registers, both.registers)
    assert HyperLogLog(8).count() == 0
    assert HyperLogLog(10).add(["a", "b", "a"]).count() == pytest.approx(2, abs=0.01)
    with pytest.raises(InvalidInput, match="the same p"):
        one.merge(HyperLogLog(9))
    with pytest.raises(InvalidInput, match="expected 4 to 16"):
        HyperLogLog(3)


def test_texts_are_counted() -> None:
    keys, ts, values = ["u"] * 4, [1, 2, 3, 4], ["x", "y", "x", None]
    asked: dict[str, Any] = {"query_keys": ["u", "w"], "query_ts": [10, 10], "window_s": 60}
    np.testing.assert_array_equal(windows.aggregate(keys, ts, values, op="count", **asked), [3, np.nan])
    np.testing.assert_array_equal(windows.aggregate(keys, ts, values, op="count_distinct", **asked), [2, np.nan])


@pytest.mark.parametrize("seed", range(3))
def test_equal_values_have_no_deviation(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=200).repeat(3) * 1e3
    keys, ts = np.arange(200).repeat(3), np.tile([1, 2, 3], 200)
    assert not windows.aggregate(keys, ts, values, np.arange(200), np.full(200, 9), op="std", window_s=1).any()


def test_partials_may_come_from_elsewhere() -> None:
    assert tiles.merge([(3.0, 6.0, 14.0), (1.0, 4.0, 16.0)], "std") == pytest.approx(statistics.pstdev([1, 2, 3, 4]))
    with pytest.raises(InvalidInput, match="pairs of time and value"):
        tiles.partial([1.0, 2.0, 3.0, 4.0], "last")


@pytest.mark.parametrize(
    ("values", "distinct"),
    [({"a", "b"}, 2), (range(9), 9), ((str(i % 7) for i in range(50)), 7), ("abc", 1), ([(1, 2), (3, 4), (1, 2)], 2)],
)
def test_sketches_take_any_iterable(values: Any, distinct: int) -> None:
    assert HyperLogLog().add(values).count() == pytest.approx(distinct, abs=0.1)
