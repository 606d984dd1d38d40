"""Rating files in the layouts people have, and what is said about files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulators.engines.ranking import data
from simulators.engines.ranking.data import ratings as module
from simulators.errors import InvalidInput

ROWS = [("196", "242", "3", "881250949"), ("186", "302", "4.5", "891717742"), ("196", "302", "4", "878887116")]
LAYOUTS = {
    "u.data": ("\t", ""),
    "ratings.dat": ("::", ""),
    "ratings.csv": (",", "userId,movieId,rating,timestamp\n"),
    "ml.inter": ("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"),
    "no_header.csv": (",", ""),
}


def write(path: Path, rows: list[tuple[str, ...]], separator: str, header: str = "", end: str = "\n") -> Path:
    path.write_text(header + "".join(separator.join(row) + end for row in rows), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_every_layout_gives_the_same_rows(name: str, end: str, tmp_path: Path) -> None:
    found = data.read_ratings(write(tmp_path / name, ROWS, *LAYOUTS[name], end=end))
    assert found.user.tolist() == [0, 1, 0] and found.item.tolist() == [0, 1, 1]
    assert found.user_names.tolist() == ["196", "186"] and found.item_names.tolist() == ["242", "302"]
    assert found.rating.tolist() == [3, 4.5, 4] and (found.n_users, found.n_items) == (2, 2)
    assert found.time is not None and found.time.tolist() == [881250949, 891717742, 878887116]
    assert found.positive.tolist() == [False, True, True]
    assert data.read_ratings(tmp_path / name, positive_at=4.2).positive.tolist() == [False, True, False]


def test_the_layout_is_seen_from_the_first_line_not_the_name(tmp_path: Path) -> None:
    for name, (separator, header) in LAYOUTS.items():
        found = data.read_ratings(write(tmp_path / f"{name}.bin", ROWS, separator, header))
        assert found.item.tolist() == [0, 1, 1]


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('\ufeffTimestamp,Score,note,movie_id,"User ID"\n12,5,"a, b",m1,ann\n13,1,,m2,bob\n', encoding="utf-8")
    found = data.read_ratings(path)
    assert found.user_names.tolist() == ["ann", "bob"] and found.item_names.tolist() == ["m1", "m2"]
    assert found.rating.tolist() == [5, 1] and found.time is not None and found.time.tolist() == [12, 13]


def test_milliseconds_become_seconds_and_missing_times_are_none(tmp_path: Path) -> None:
    ms = [(user, item, rating, f"{time}250") for user, item, rating, time in ROWS]
    found = data.read_ratings(write(tmp_path / "ms.csv", ms, ",")).time
    assert found is not None and found.tolist() == [881250949.25, 891717742.25, 878887116.25]
    assert data.read_ratings(write(tmp_path / "no.csv", [row[:3] for row in ROWS], ",", "user,item,rating\n")).time is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_wrong_value_is_named_with_line_and_column(name: str, tmp_path: Path) -> None:
    separator, header = LAYOUTS[name]
    for place, value, said in (
        (2, "five", "rating 'five' is not a number (column 3)."),
        (3, "2021-01-01", "timestamp '2021-01-01' is not a number (column 4)."),
        (2, "nan", "rating 'nan' is not a number (column 3)."),
        (1, "", "item is empty (column 2); expected a name or number."),
    ):
        rows = [list(row) for row in ROWS * 30]
        rows[39][place] = value
        path = write(tmp_path / name, [tuple(row) for row in rows], separator, header)
        with pytest.raises(InvalidInput) as refused:
            data.read_ratings(path)
        assert refused.value.message == f"{name}, line {40 + bool(header)}: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is an empty file"),
        (b"user,item,rating\n", "has a header and no rows"),
        (b"one column\nnothing else\n", "is one column"),
        (b"user,rating\n1,2\n", "no column item"),
        (b"a,b,c\n1,2,3\n", "no column user"),
        (b"1\t2\t3\t4\t5\n", "5 columns and no header"),
        (b"1\t2\t3\t4\n1\t2\t3\n", "line 2 has 3 columns; line 1 has 4"),
        (b"1::2::3::4\n1::2::3\n", "line 2 has 3 columns; line 1 has 4"),
        (b"1\t2\t3\t4\n1\t2\xff\t3\t4\n", "line 2: byte 0xff is not UTF-8"),
        (b"\xff\xfe\x00", "line 1: byte 0xff is not UTF-8"),
    ],
)
def test_what_is_no_rating_file_is_refused_in_a_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(InvalidInput, match="^mine.csv") as refused:
        data.read_ratings(tmp_path / "mine.csv")
    assert said in refused.value.message and refused.value.message.endswith(".")


def test_files_beyond_the_limits_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "u.data", ROWS, "\t")
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    with pytest.raises(InvalidInput, match="more than 2 rows"):
        data.read_ratings(path)
    monkeypatch.setattr(module, "MAX_BYTES", 20)
    with pytest.raises(InvalidInput, match="at most 0 MB"):
        data.read_ratings(path)


def test_it_agrees_with_pandas_on_a_larger_file(tmp_path: Path) -> None:
    import pandas as pd

    rng = np.random.default_rng(4)
    n = 100_000
    table = pd.DataFrame(
        {
            "user": rng.integers(0, 5_000, n),
            "item": rng.integers(0, 2_000, n),
            "rating": rng.integers(1, 11, n) / 2,
            "timestamp": rng.integers(8e8, 9e8, n),
        }
    )
    table.to_csv(tmp_path / "u.data", sep="\t", header=False, index=False)
    found = data.read_ratings(tmp_path / "u.data")
    np.testing.assert_array_equal(found.user, pd.factorize(table.user)[0])
    np.testing.assert_array_equal(found.item, pd.factorize(table.item)[0])
    np.testing.assert_array_equal(found.rating, table.rating)
    np.testing.assert_array_equal(found.time, table.timestamp)
