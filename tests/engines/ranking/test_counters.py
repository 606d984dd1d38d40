"""Counters against lists of events, and window counts against pandas and brute force."""

import time

import numpy as np
import pandas as pd
import pytest

from simulators.engines.ranking.counters import DecayedCounter, SlidingCounter, warm_up, window_counts

SEEDS = (0, 1, 2)


def stream(seed, n=400, keys=5, span=5_000.0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, keys, n), np.sort(rng.uniform(0, span, n)), rng.integers(1, 4, n)


# --- sliding --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "bucket"), [(600, 60), (600, 600), (900, 300)])
def test_sliding_counts_the_buckets_of_the_window(window, bucket):
    for seed in SEEDS:
        counter, past = SlidingCounter(window, bucket), []
        for key, t, n in zip(*stream(seed), strict=True):
            counter.add(key, t, n)
            past.append((key, t, n))
            now = t + bucket / 3
            since = (now // bucket + 1) * bucket - window
            assert counter.value(key, now) == sum(m for k, at, m in past if k == key and at >= since)


def test_sliding_lies_between_two_exact_windows():
    counter, times = SlidingCounter(1_200, 300), stream(4)[1]
    for i, t in enumerate(times):
        counter.add("post", t)
        seen = times[: i + 1]
        assert (seen > t - 900).sum() <= counter.value("post", t) <= (seen > t - 1_200).sum()


def test_late_events_count_in_their_bucket_or_not_at_all():
    counter = SlidingCounter(600, 60)
    counter.add("a", 1_000)
    counter.add("a", 700)  # 300 s late
    counter.add("a", 100)  # older than the window
    assert counter.value("a", 1_000) == 2
    assert counter.value("a", 1_350) == 1
    assert counter.value("a", 5_000) == 0
    assert counter.value("a", 700) == 1  # of the past, what is still held


def test_a_quiet_key_is_emptied_by_the_time_of_others():
    counter = SlidingCounter(600, 60)
    counter.add("quiet", 0, 5)
    counter.add("busy", 10_000)
    counter.add("quiet", 10_000)
    assert counter.value("quiet", 10_000) == 1 == counter.value("busy", 10_000)


def test_keys_beyond_the_first_block_keep_their_counts():
    sliding, decayed = SlidingCounter(60, 60), DecayedCounter(60)
    for key in range(3_000):
        sliding.add(key, 10, key)
        decayed.add(key, 10, key)
    assert all(sliding.value(key, 10) == key == decayed.value(key, 10) for key in range(3_000))


def test_bytes_are_those_of_the_counts():
    assert SlidingCounter(3_600, 300).bytes_per_key == 48
    assert SlidingCounter(24 * 3_600, 300).bytes_per_key == 1_152
    assert DecayedCounter(1_800).bytes_per_key == 8


def test_unknown_keys_have_no_events():
    assert SlidingCounter(60, 60).value("x", 5) == 0
    assert DecayedCounter(60).value("x", 5) == 0.0


# --- decayed --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [0.5, 60, 7_200])
def test_decayed_is_the_sum_of_halved_events(half_life):
    """At half a second the stream is 10,000 half-lives long, so the landmark moves often."""
    for seed in SEEDS:
        counter, (keys, times, counts) = DecayedCounter(half_life), stream(seed)
        for i, (key, t, n) in enumerate(zip(keys, times, counts, strict=True)):
            counter.add(key, t, n)
            mine = keys[: i + 1] == key
            exact = (counts[: i + 1] * 0.5 ** ((t + 7 - times[: i + 1]) / half_life))[mine].sum()
            assert counter.value(key, t + 7) == pytest.approx(exact, rel=1e-9)


def test_order_of_arrival_does_not_matter():
    forward, backward = DecayedCounter(100), DecayedCounter(100)
    events = [("a", 0, 3), ("a", 50, 1), ("b", 60, 2), ("a", 400, 1)]
    for key, t, n in events:
        forward.add(key, t, n)
    for key, t, n in reversed(events):
        backward.add(key, t, n)
    assert forward.value("a", 500) == pytest.approx(backward.value("a", 500))
    assert forward.value("b", 160) == pytest.approx(1.0)


def test_a_moment_long_past_is_refused():
    counter = DecayedCounter(1)
    counter.add("a", 0)
    counter.add("b", 5_000)
    with pytest.raises(ValueError, match="half-lives before"):
        counter.value("a", 0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: SlidingCounter(0, 60), "window_s"),
        (lambda: SlidingCounter(np.inf, 60), "window_s"),
        (lambda: SlidingCounter(600, np.nan), "bucket_s"),
        (lambda: SlidingCounter(600, 250), "bucket_s"),
        (lambda: SlidingCounter(60, 600), "bucket_s"),
        (lambda: DecayedCounter(-1), "half_life_s"),
        (lambda: SlidingCounter(60, 60).add("a", np.nan), "t is"),
        (lambda: SlidingCounter(60, 60).add("a", 1, -1), "n is"),
        (lambda: DecayedCounter(60).add("a", 1, 1.5), "n is"),
        (lambda: DecayedCounter(60).add("a", np.inf), "t is"),
    ],
)
def test_counters_name_what_is_wrong(call, named):
    with pytest.raises(ValueError, match=named):
        call()


# --- window counts ------------------------------------------------------------------------------------------------------------------


def brute(event_key, event_t, query_key, query_t, window, lag):
    return [
        int(((event_key == k) & (event_t >= q - lag - window) & (event_t < q - lag)).sum()) for k, q in zip(query_key, query_t, strict=True)
    ]


@pytest.mark.parametrize("window", ["30s", "10min", "2h"])
def test_window_counts_are_pandas_rolling_closed_left(window):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"key": rng.integers(0, 20, 3_000), "t": rng.permutation(20_000)[:3_000]}).sort_values("t")
        frame["at"] = pd.to_datetime(frame["t"], unit="s")
        rolled = frame.set_index("at").groupby("key")["t"].rolling(window, closed="left").count()
        expected = rolled.fillna(0).astype(int).to_numpy()
        ours = window_counts(frame["key"], frame["t"], frame["key"], frame["t"], pd.Timedelta(window).total_seconds())
        assert ours[np.lexsort((frame["t"], frame["key"]))].tolist() == expected.tolist()
        assert ours.dtype == np.int64


@pytest.mark.parametrize(("window", "lag"), [(10, 0), (10, 5), (100, 30), (np.inf, 0), (np.inf, 12)])
def test_window_counts_with_ties_and_lag_against_brute_force(window, lag):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        event_key, event_t = rng.integers(0, 6, 500), rng.integers(0, 200, 500).astype(float)
        query_key, query_t = rng.integers(0, 8, 300), rng.integers(-20, 250, 300).astype(float)
        expected = brute(event_key, event_t, query_key, query_t, window, lag)
        assert window_counts(event_key, event_t, query_key, query_t, window, lag).tolist() == expected


def test_bounds_are_half_open():
    assert window_counts(["a"] * 3, [0, 10, 20], ["a"], [20], 20).tolist() == [2]  # 0 is in, 20 is not
    assert window_counts(["a"] * 3, [0, 10, 20], ["a"], [20], 20, lag_s=10).tolist() == [1]
    assert window_counts([], [], ["a"], [20.0], 20).tolist() == [0]
    assert window_counts(["a"], [0.0], [], [], 20).tolist() == []
    assert window_counts(["a"], [0.0], ["b"], [1.0], 20).tolist() == [0]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        (([1], [0.0, 1.0], [1], [0.0], 5), "event_t"),
        (([1], [0.0], [1, 2], [0.0], 5), "query_t"),
        (([1], [np.nan], [1], [0.0], 5), "event_t"),
        (([1], [0.0], [1], [np.inf], 5), "query_t"),
        (([1], [0.0], [1], [0.0], 0), "window_s"),
        (([1], [0.0], [1], [0.0], np.nan), "window_s"),
        (([1], [0.0], [1], [0.0], 5, -1), "lag_s"),
    ],
)
def test_window_counts_name_what_is_wrong(values, named):
    with pytest.raises(ValueError, match=named):
        window_counts(*values)


def test_a_million_window_counts_take_half_a_second():
    warm_up()
    rng = np.random.default_rng(0)
    key, t = rng.integers(0, 3_000, 1_000_000), rng.uniform(0, 172_800, 1_000_000)
    costs = []
    for _ in range(3):
        started = time.process_time()
        window_counts(key, t, key, t, 3_600, 300)
        costs.append(time.process_time() - started)
    assert min(costs) < 2.0  # half a second on a busy machine
