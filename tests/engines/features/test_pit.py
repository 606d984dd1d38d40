"""Point-in-time joins against a reference that looks at every pair of rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.features.pit import NONE, PointInTimeIndex, point_in_time_join, snapshot
from simulators.engines.features.times import NEVER, microseconds, times_of
from simulators.errors import InvalidInput

S = 1_000_000
Row = tuple[Any, int, int | None]  # key, event time, created time
TIMES = st.integers(-5, 12).map(lambda second: second * S)
CREATED = st.one_of(st.none(), TIMES)
KEYS = st.integers(0, 2)


def winner(rows: list[Row], key: Any, at: int, ttl_us: int | None, upper: str, known_at: bool) -> int:
    best, best_rank = NONE, None
    for number, (own, event, created) in enumerate(rows):
        if own != key or event > at or (upper == "exclusive" and event == at):
            continue
        if ttl_us is not None and event < at - ttl_us:
            continue
        if known_at and (created is None or created > at):
            continue
        rank = (event, NEVER if created is None else created, number)
        if best_rank is None or rank > best_rank:
            best, best_rank = number, rank
    return best


def made(rows: list[Row], values: Any = None) -> PointInTimeIndex:
    created = [NEVER if row[2] is None else row[2] for row in rows]
    return PointInTimeIndex([row[0] for row in rows], [row[1] for row in rows], np.arange(len(rows)) if values is None else values, created)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(KEYS, TIMES, CREATED), min_size=1, max_size=25),
    st.lists(st.tuples(st.integers(0, 3), TIMES), max_size=25),
    st.sampled_from([None, 0, 1, 3, 100]),
    st.sampled_from(["inclusive", "exclusive"]),
    st.booleans(),
)
def test_agrees_with_every_pair_of_rows(rows: list[Row], asked: list[tuple[int, int]], ttl: float | None, upper: Any, known: bool) -> None:
    keys, at = np.array([key for key, _ in asked], dtype=int), np.array([time for _, time in asked], dtype=np.int64)
    joined = made(rows).join(keys, at, ttl_s=ttl, upper=upper, known_at=known)
    expected = [winner(rows, key, time, int(ttl * S) if ttl else None, upper, known) for key, time in asked]
    assert joined.row.tolist() == expected
    assert len(joined.values) == len(asked), "one row out for each row in"
    for row, value, age, (_, time) in zip(expected, joined.values[:, 0], joined.age_s, asked, strict=True):
        assert (np.isnan(value) and np.isnan(age)) if row == NONE else (value == row and age == (time - rows[row][1]) / S)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(KEYS, KEYS, TIMES), min_size=1, max_size=20), st.lists(st.tuples(KEYS, KEYS, TIMES), min_size=1, max_size=20))
def test_composite_keys_are_tuples_and_not_joined_text(rows: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]) -> None:
    texts = ["", "1", "11"]

    def columns(of: list[tuple[int, int, int]]) -> tuple[list[str], list[int]]:
        return [texts[a] for a, _, _ in of], [b for _, b, _ in of]

    index = PointInTimeIndex(columns(rows), [t for *_, t in rows], np.zeros(len(rows)))
    joined = index.join(columns(asked), [t for *_, t in asked])
    plain: list[Row] = [((a, b), t, None) for a, b, t in rows]
    assert joined.row.tolist() == [winner(plain, (a, b), t, None, "inclusive", False) for a, b, t in asked]


def test_a_large_join_keeps_every_row_in_order_and_agrees_with_pandas() -> None:
    import pandas as pd

    draws = np.random.default_rng(3)
    n, m = 50_000, 10_000
    features = pd.DataFrame({"key": draws.integers(0, 500, n), "ts": draws.permutation(10 * n)[:n], "value": draws.normal(size=n)})
    labels = pd.DataFrame({"key": draws.integers(0, 550, m), "ts": draws.integers(0, 10 * n, m), "order": np.arange(m)})
    joined = PointInTimeIndex(features.key.to_numpy(), features.ts.to_numpy(), features.value.to_numpy()).join(labels.key, labels.ts)
    expected = pd.merge_asof(labels.sort_values("ts"), features.sort_values("ts"), on="ts", by="key").sort_values("order").value
    np.testing.assert_array_equal(joined.values[:, 0], expected.to_numpy())


def test_a_backfill_that_buries_every_row_is_seen_through() -> None:
    """All rows were created again last night; a request of yesterday knew none of them, and the deepest search stays quick."""
    n = 200_000
    ts = np.arange(n, dtype=np.int64)
    created = np.full(n, n + 5, dtype=np.int64)
    created[0] = 0
    index = PointInTimeIndex(np.zeros(n, dtype=int), ts, ts.astype(float), created)
    joined = index.join(np.zeros(n, dtype=int), ts, known_at=True)
    assert (joined.row == 0).all()
    assert (index.join([0], [n + 5], known_at=True).row == n - 1).all()


def test_a_null_in_the_winning_row_is_served() -> None:
    index = made([(1, 0, 0), (1, S, S)], values=[5.0, np.nan])
    joined = index.join([1], [2 * S])
    assert joined.row.tolist() == [1] and np.isnan(joined.values[0, 0]) and joined.age_s.tolist() == [1.0]


def test_values_of_several_features_and_missing_keys() -> None:
    index = PointInTimeIndex(np.array(["a", None, "b"], dtype=object), [0, 0, 0], np.arange(6.0).reshape(3, 2))
    joined = index.join(np.array(["b", None, 1, "a"], dtype=object), [1, 1, 1, 1])
    assert joined.row.tolist() == [2, NONE, NONE, 0]
    np.testing.assert_array_equal(joined.values, [[4, 5], [np.nan] * 2, [np.nan] * 2, [0, 1]])
    assert PointInTimeIndex(["1"], [0], [1.0]).join([1], [1]).row.tolist() == [NONE], "the number 1 is not the text '1'"


def test_no_rows_on_either_side() -> None:
    empty = PointInTimeIndex(np.array([], dtype=int), np.array([], dtype=np.int64), np.zeros((0, 3)), np.array([], dtype=np.int64))
    for known in (False, True):
        assert np.isnan(empty.join([1, 2], [0, 0], known_at=known).values).all()
        assert made([(1, 0, 0)]).join(np.array([], dtype=int), np.array([], dtype=np.int64), known_at=known).values.shape == (0, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda index: index.join([1], [1], upper="sideways"), "expected 'inclusive' or 'exclusive'"),
        (lambda index: index.join([1], [1], ttl_s=-1), "expected 0 (without end) or more"),
        (lambda index: index.join([1], [1, 2]), "1 keys were given with 2 of entity_ts"),
        (lambda index: index.join(([1], [1]), [1]), "Keys of 2 columns were given; expected 1"),
        (lambda index: PointInTimeIndex([1], [1], [1.0]).join([1], [1], known_at=True), "no created time"),
        (lambda index: PointInTimeIndex([1, 2], [1], [1.0]), "2 keys were given"),
        (lambda index: index.join([1], ["yesterday"]), "'yesterday' is not a time"),
    ],
)
def test_bad_input_is_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        call(made([(1, 0, 0)]))
    assert words in refused.value.message


# --- rows as dictionaries ----------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def row(user: Any, hours: float, value: Any, created: float | None = None, **more: Any) -> dict[str, Any]:
    made_at = None if created is None else NOON + timedelta(hours=created)
    return {"user": user, "event_timestamp": NOON + timedelta(hours=hours), "clicks": value, "created": made_at, **more}


def test_any_offset_and_any_type_of_value() -> None:
    singapore = (NOON + timedelta(hours=1)).astimezone(timezone(timedelta(hours=8)))
    asked = [{"user": 1, "event_timestamp": singapore}, {"user": 1, "event_timestamp": "2026-03-04T13:30:00+02:00"}]
    rows = [row(1, 0, "noon"), row(1, 0.9, "later"), row(1, 1.1, "after")]
    assert point_in_time_join(asked, rows, join_keys=["user"], feature="clicks") == ["later", None]


def test_duplicates_stay_and_ties_go_to_the_newest_created_time() -> None:
    asked = [{"user": 1, "event_timestamp": NOON}] * 2
    rows = [row(1, 0, "new", created=2), row(1, 0, "old", created=-1), row(1, -1, "before", created=-1)]
    join = {"join_keys": ["user"], "feature": "clicks"}
    assert point_in_time_join(asked, rows, **join) == ["new", "new"]
    assert point_in_time_join(asked, rows, **join, filter_by_created=True) == ["old", "old"]
    assert point_in_time_join(asked, rows, **join, upper="exclusive") == ["before", "before"]
    assert point_in_time_join(asked, rows, **join, upper="exclusive", ttl_seconds=3600) == ["before", "before"], "the bound is included"
    assert point_in_time_join(asked, rows, **join, upper="exclusive", ttl_seconds=3599) == [None, None]
    assert point_in_time_join(asked, [row(1, 0, None)], **join) == [None, None]
    assert point_in_time_join([], rows, **join) == [] and point_in_time_join(asked, [], **join) == [None, None]


def test_a_row_without_its_key_is_named() -> None:
    with pytest.raises(InvalidInput, match="Row 0 has no 'device'"):
        point_in_time_join([row(1, 0, 1)], [row(1, 0, 1)], join_keys=["device"], feature="clicks")


def test_snapshot_honours_the_stricter_bound() -> None:
    rows = [row(1, -5, "a"), row(1, -3, "b"), row(2, -4, "c"), row(2, 1, "future"), row(3, -1, "d", created=0), row(3, -1, "e", created=-1)]
    take = {"join_keys": ["user"], "feature": "clicks", "end": NOON}
    assert snapshot(rows, start=NOON - timedelta(hours=9), **take) == {1: "b", 2: "c", 3: "d"}
    assert snapshot(rows, start=NOON - timedelta(hours=9), ttl_seconds=3.5 * 3600, **take) == {1: "b", 3: "d"}
    assert snapshot(rows, start=NOON - timedelta(hours=2), ttl_seconds=10 * 3600, **take) == {3: "d"}
    assert snapshot(rows, start=NOON - timedelta(hours=3), **take) == {1: "b", 3: "d"}, "the start is included"
    both = snapshot(rows, start=NOON - timedelta(hours=9), end=NOON, join_keys=["user", "created"], feature="clicks")
    assert both[(1, None)] == "b"
    with pytest.raises(InvalidInput, match="expected a start before the end"):
        snapshot(rows, start=NOON, end=NOON - timedelta(hours=1), join_keys=["user"], feature="clicks")


def test_times_in_any_common_form_are_the_same_moment() -> None:
    moment = np.datetime64("2026-03-04T12:00:00")
    forms = [NOON, NOON.replace(tzinfo=None), "2026-03-04T12:00:00Z", "2026-03-04T20:00:00+08:00", moment, microseconds(NOON)]
    assert {microseconds(form) for form in forms} == {1_772_625_600 * S}
    assert {microseconds(missing) for missing in (None, np.datetime64("NaT"), float("nan"))} == {NEVER}
    assert microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Singapore"])
def test_columns_of_a_data_frame_with_missing_times(zone: str | None) -> None:
    import pandas as pd

    column = pd.Series(pd.to_datetime(["2026-03-04T12:00:00", None])).dt.tz_localize(zone)
    expected = NOON if zone != "Asia/Singapore" else NOON - timedelta(hours=8)
    assert times_of(column).tolist() == times_of(column.tolist()).tolist() == [microseconds(expected), NEVER]
    rows = [{"user": 1, "event_timestamp": moment, "created": pd.NaT, "clicks": 3} for moment in column]
    asked = [{"user": 1, "event_timestamp": pd.Timestamp("2026-03-05", tz="UTC")}, {"user": 1, "event_timestamp": pd.NaT}]
    join = {"join_keys": ["user"], "feature": "clicks"}
    assert point_in_time_join(asked, rows, **join) == [3, None]
    assert point_in_time_join(asked, rows, **join, filter_by_created=True) == [None, None], "never known to have been created"


@pytest.mark.parametrize(("event", "created"), [("timestamp", "created"), ("ts", "created_ts"), ("event_timestamp", "created_timestamp")])
def test_rows_may_name_their_times_otherwise(event: str, created: str) -> None:
    rows = [{"user": 1, event: 10 * S, created: 90 * S, "f": "late"}, {"user": 1, event: 5 * S, created: 5 * S, "f": "known"}]
    asked = [{"user": 1, event: 20 * S}]
    assert point_in_time_join(asked, rows, join_keys="user", feature="f") == ["late"]
    assert point_in_time_join(asked, rows, join_keys=["user"], feature="f", filter_by_created=True) == ["known"]
    assert snapshot(rows, join_keys="user", feature="f", start=None, end=9 * S) == {1: "known"}


def test_whole_floats_are_times_and_others_are_not() -> None:
    assert times_of([5e6, np.nan]).tolist() == [5_000_000, NEVER]
    with pytest.raises(InvalidInput, match="whole microseconds"):
        times_of([0.5])
