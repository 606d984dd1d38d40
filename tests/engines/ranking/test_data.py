"""Click logs from files of every layout, refusals with the line, splits, and the hash."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from simulators.engines.ranking import metrics
from simulators.engines.ranking.data import CtrData, ctr_columns, hash_ids, iter_read_ctr, read_ctr, split
from simulators.engines.ranking.models import fit_ctr
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)
DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).parents[4] / "shared" / "data"))
HEADER = ("label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))


def criteo_rows(seed: int = 1, rows: int = 300) -> list[list[str]]:
    """Rows as Criteo has them: counts, some missing, and hexadecimal ids, some missing."""
    draws = np.random.default_rng(seed)

    def count() -> str:
        return "" if draws.random() < 0.2 else str(draws.integers(-1, 500))

    def category(values: int) -> str:
        return "" if draws.random() < 0.1 else f"{draws.integers(0, values):08x}"

    return [[str(int(draws.random() < 0.3)), *(count() for _ in range(13)), *(category(5 + i) for i in range(26))] for _ in range(rows)]


def saved(path: Path, rows: list[list[str]], mark: str = ",", header: tuple[str, ...] | None = HEADER) -> Path:
    lines = [mark.join(row) for row in ([list(header)] if header else []) + rows]
    text = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def test_criteo_reads_alike_with_and_without_header_zipped_or_not(tmp_path: Path) -> None:
    rows = criteo_rows()
    with_header = read_ctr(saved(tmp_path / "a.csv", rows), "label")
    headerless = read_ctr(saved(tmp_path / "b.tsv.gz", rows, "\t", None), "label")
    assert with_header.fields.shape == (300, 26) and with_header.dense.shape == (300, 13)
    assert with_header.names == headerless.names == (*HEADER[14:], *HEADER[1:14]) and with_header.history is None
    for name in ("fields", "dense", "y"):
        np.testing.assert_array_equal(getattr(with_header, name), getattr(headerless, name))
    np.testing.assert_array_equal(with_header.y, [float(row[0]) for row in rows])


def test_ids_missing_rare_and_kept(tmp_path: Path) -> None:
    rows = [[str(i % 2), color, "1.5"] for i, color in enumerate(["red", "blue", "red", "", "green", "blue", "red"])]
    data = read_ctr(saved(tmp_path / "a.csv", rows, header=("label", "color", "x")), "label")
    assert data.fields[:, 0].tolist() == [2, 3, 2, 0, 1, 3, 2] and data.cards == (4,)
    all_kept = read_ctr(tmp_path / "a.csv", "label", min_count=1)
    assert all_kept.fields[:, 0].tolist() == [2, 3, 2, 0, 4, 3, 2] and all_kept.cards == (5,)


def test_numbers_are_signed_logarithms_and_missing_is_below_every_count(tmp_path: Path) -> None:
    rows = [["0", "0"], ["1", "99"], ["0", ""], ["1", "-3"]]
    data = read_ctr(saved(tmp_path / "a.csv", rows, header=("label", "x")), "label")
    np.testing.assert_allclose(data.dense[:, 0], [0, np.log(100), -1, -np.log(4)], rtol=1e-6)


def test_more_values_than_buckets_are_hashed(tmp_path: Path) -> None:
    rows = [[str(i % 2), f"id{i % 200}"] for i in range(1000)]
    path = saved(tmp_path / "a.csv", rows, header=("label", "ad_id"))
    assert read_ctr(path, "label").cards == (202,) == read_ctr(path, "label", buckets=0).cards
    hashed = read_ctr(path, "label", buckets=50)
    assert hashed.cards == (52,) and hashed.fields.max() <= 51 and len(np.unique(hashed.fields)) > 40
    of_value = {rows[i][1]: hashed.fields[i, 0] for i in range(200)}
    assert all(hashed.fields[i, 0] == of_value[rows[i][1]] for i in range(1000))


@pytest.mark.parametrize(("mark", "header"), ((",", ("userId", "movieId", "rating", "timestamp")), ("\t", None), ("::", None)))
def test_ratings_are_positive_from_four(tmp_path: Path, mark: str, header: tuple[str, ...] | None) -> None:
    rows = [["1", "10", "5", "300"], ["1", "11", "3", "100"], ["2", "10", "4", "200"]]
    data = read_ctr(saved(tmp_path / "ratings", rows, mark, header), "rating", min_count=1)
    assert data.y.tolist() == [1, 0, 1] and data.fields.shape == (3, 2) and data.dense.shape == (3, 0)
    assert data.time is not None and data.time.tolist() == [300, 100, 200]
    train, test = split(data, "time", 1 / 3)
    assert train.time is not None and test.time is not None and train.time.max() < test.time.min()


def test_recbole_headers_and_named_columns(tmp_path: Path) -> None:
    rows = [["u1", "7", "1", "0.5"], ["u2", "8", "0", "0.25"]]
    path = saved(tmp_path / "x.inter", rows, "\t", ("user_id:token", "item_id:token", "label:float", "price:float"))
    data = read_ctr(path, "label", min_count=1)
    assert data.names == ("user_id", "item_id", "price")
    chosen = read_ctr(path, "label", sparse=["price"], dense=["item_id"], min_count=1)
    assert chosen.names == ("price", "user_id", "item_id") or chosen.names == ("price", "item_id")
    assert chosen.dense[:, 0] == pytest.approx(np.log1p([7, 8]))


def broken(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return path


REFUSED = (
    ("label,a\n" + "1,2\n" * 10 + "\n2,3\n", "line 13: label is '2'; 0 or 1 expected"),
    ("label,a\n0,1\n1,x1\n" * 1 + "0,2\n", None),
    ("label,a,b\n1,2,x\n1,2\n", "line 3: 2 columns found where the header names 3"),
    ("label,a\n1,inf\n", "line 2: a is 'inf'"),
    ("label,a\n", "no rows"),
    ("", "has 0 MB"),
    ("label\n1\n", "at least one feature"),
    ("label,a,a\n1,2,3\n", "'a' stands twice"),
    ("1,2\n0,3\n", "expected a header"),
    ("click,a\n1,2\n", "has no column 'label'"),
    (",".join(f"c{i}" for i in range(61)) + "\n", "61 columns; at most 60"),
)


@pytest.mark.parametrize(("text", "message"), [case for case in REFUSED if case[1]])
def test_refusals_say_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        read_ctr(broken(tmp_path, text), "label")


def test_a_number_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    path = broken(tmp_path, 'label,a,b\n1,2,"x\ny"\n\n0,zz,y\n')
    with pytest.raises(InvalidInput, match="line 5: a is 'zz'; a number expected") as caught:
        read_ctr(path, "label", dense=["a"])
    assert caught.value.field == "a"
    with pytest.raises(InvalidInput, match="b is empty|line .*: b is 'x"):
        read_ctr(path, "label", time="b")


def test_criteo_with_a_column_too_many(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="41 columns; Criteo's layout has 40"):
        read_ctr(saved(tmp_path / "a.tsv", [[*row, "1"] for row in criteo_rows(rows=3)], "\t", None), "label")
    rows = criteo_rows(rows=5)
    rows[3].append("1")
    with pytest.raises(InvalidInput, match="line 5: 41 columns found where the header names 40"):
        read_ctr(saved(tmp_path / "b.csv", rows), "label")


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    with pytest.raises(InvalidInput, match="not text"):
        ctr_columns(tmp_path / "a.csv")
    (tmp_path / "b.gz").write_bytes(b"\x1f\x8bnonsense")
    with pytest.raises(InvalidInput, match="gzip"):
        ctr_columns(tmp_path / "b.gz")


def test_an_identifier_is_warned_of(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", [[str(i % 2), f"v{i}", "a"] for i in range(2000)], header=("label", "C3", "C4"))
    with pytest.warns(UserWarning, match="column C3 has 2,000 values in 2,000 rows: an identifier"):
        read_ctr(path, "label")
    assert len(finish(iter_read_ctr(path, "label")).notes) == 1


def test_labels_may_be_missing_and_rating_thresholds_named(tmp_path: Path) -> None:
    path = broken(tmp_path, "label,a\n1,2\n,3\n0,4\n")
    np.testing.assert_array_equal(read_ctr(path, "label").y, [1, np.nan, 0])
    assert read_ctr(path, "a", positive_at=3).y.tolist() == [0, 1, 1]


@pytest.mark.validation
def test_the_criteo_sample_trains_like_any_other_file() -> None:
    path = DATA / "ranking" / "criteo_sample.txt"
    if not path.exists():
        pytest.skip("criteo_sample.txt is not there")
    data = read_ctr(path, "label")
    assert data.fields.shape == (200, 26) and data.dense.shape == (200, 13) and data.y.sum() == 49
    train, test = split(data, "random", 0.2)
    for kind in ("lr", "dcnv2", "lightgbm"):
        model = fit_ctr(train, kind, epochs=1 if kind == "lightgbm" else 5, batch=32)  # type: ignore[arg-type]
        assert metrics.auc(train.y, model.predict(train)) > 0.8
        assert np.isfinite(model.predict(test)).all()


# --- arrays ----------------------------------------------------------------------------------------------------------


def log(rows: int = 10) -> CtrData:
    users = np.arange(rows) % 3
    return CtrData(np.column_stack([users, users]), (3, 3), np.zeros((rows, 1), np.float32), None, np.arange(rows) % 2)


def test_arrays_that_do_not_fit_are_named() -> None:
    fields, dense, y = np.zeros((4, 2), np.int64), np.zeros((4, 1)), np.zeros(4)
    for name, given in {
        "fields": (fields + 5, (3, 3), dense, None, y),
        "dense": (fields, (3, 3), dense + np.nan, None, y),
        "history": (fields, (3, 3), dense, np.full((4, 2), -2), y),
        "y": (fields, (3, 3), dense, None, y + 2),
        "p": (fields, (3, 3), dense, None, y, y + 2),
        "time": (fields, (3, 3), dense, None, y, None, y + np.inf),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} "):
            CtrData(*given)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="^dense has 3 rows"):
        CtrData(fields, (3, 3), dense[:3], None, y)
    with pytest.raises(ValueError, match="^fields has 2 columns"):
        CtrData(fields, (3,), dense, None, y)
    with pytest.raises(ValueError, match="^fields is of type"):
        CtrData(fields.astype(float), (3, 3), dense, None, y)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_splits_part_the_rows(seed: int) -> None:
    time = np.random.default_rng(seed).permutation(100).astype(float)
    data = CtrData(np.arange(100)[:, None] % 7, (7,), time[:, None].astype(np.float32), None, np.zeros(100), time=time)
    train, test = split(data, "time", 0.25)
    assert len(test) == 25 and train.time is not None and test.time is not None and train.time.max() < test.time.min()
    train, test = split(data, "random", 0.25, seed=seed)
    assert len(test) == 25 and len(train) == 75 and 0 < test.time.mean() < 99  # type: ignore[union-attr]
    assert sorted(np.concatenate([train.time, test.time])) == sorted(time)  # type: ignore[list-item]
    train, test = split(data, "leave_last")
    for user in range(7):
        mine = data.fields[:, 0] == user
        assert test.time[test.fields[:, 0] == user].tolist() == [time[mine].max()]  # type: ignore[index]


def test_splits_without_time_follow_the_order_and_keep_users_who_came_once() -> None:
    train, test = split(log(10), "time", 0.2)
    assert test.y.tolist() == [0, 1] and len(train) == 8
    once = CtrData(np.array([[0], [1], [1], [2]]), (3,), np.zeros((4, 0)), None, np.array([0, 1, 0, 1]))  # type: ignore[arg-type]
    train, test = split(once, "leave_last")
    assert test.fields[:, 0].tolist() == [1] and train.fields[:, 0].tolist() == [0, 1, 2]
    for by, test_share, message in (("week", 0.2, "^by "), ("time", 0, "^test "), ("time", 1, "^test ")):
        with pytest.raises(ValueError, match=message):
            split(once, by, test_share)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
def test_hashes_are_even_and_independent_between_seeds(seed: int) -> None:
    values = np.arange(20_000)
    for given in (values, [f"user-{value}" for value in values]):
        one, other = hash_ids(given, 50, seed), hash_ids(given, 50, seed + 100)
        counts = np.bincount(one, minlength=50)
        assert ((counts - 400) ** 2 / 400).sum() < 100  # chi-square of 49 degrees: 85 has probability 0.001
        assert (one == other).mean() == pytest.approx(1 / 50, abs=0.005)
        np.testing.assert_array_equal(one, hash_ids(given, 50, seed))


def test_hash_of_texts_does_not_depend_on_their_company() -> None:
    alone, among = hash_ids(["ab"], 10**9), hash_ids(["a much longer text", "ab", "", "ä"], 10**9)
    assert alone[0] == among[1] and len(set(among.tolist())) == 4 and hash_ids(np.zeros((2, 3), int), 7).shape == (2, 3)
    with pytest.raises(ValueError, match="^buckets "):
        hash_ids([1], 0)
    with pytest.raises(ValueError, match="^values "):
        hash_ids([1.5], 4)
