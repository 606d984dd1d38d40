"""Vector files of strangers: what is right is read exactly, the rest is refused in a sentence, nothing is executed or believed."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from simulators.engines.ann import files
from simulators.engines.ann.data import read_ivecs, read_vectors
from simulators.errors import InvalidInput

RNG = np.random.default_rng(4)
FLOATS = RNG.standard_normal((50, 6)).astype(np.float32)


def npy(array: np.ndarray, **more: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def npy_header(text: str, version: tuple[int, int] = (1, 0)) -> bytes:
    body = (text + "\n").encode("latin1", "replace")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(body)) + body


def records(rows: Any, dtype: str) -> bytes:
    return b"".join(struct.pack("<i", len(row)) + np.asarray(row, dtype=dtype).tobytes() for row in rows)


def written(folder: Path, name: str, body: bytes) -> Path:
    path = folder / name
    path.write_bytes(body)
    return path


# --- what is right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("a.npy", npy(FLOATS), FLOATS),
        ("a.npy", npy(np.asfortranarray(FLOATS)), FLOATS),
        ("a.npy", npy(FLOATS.astype(">f4")), FLOATS),
        ("a.npy", npy(FLOATS.astype(np.float16)), FLOATS.astype(np.float16)),
        ("A.NPY", npy((FLOATS * 50).astype(np.uint8)), (FLOATS * 50).astype(np.uint8)),
        ("a.fvecs", records(FLOATS, "<f4"), FLOATS),
        ("a.bvecs", records((FLOATS * 50).astype(np.uint8), "u1"), (FLOATS * 50).astype(np.uint8)),
    ],
)
def test_vectors_are_read_exactly(name: str, body: bytes, expected: np.ndarray, tmp_path: Path) -> None:
    path = written(tmp_path, name, body)
    found = read_vectors(path)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert np.array_equal(found, expected.astype(np.float32))
    assert np.array_equal(read_vectors(path, 7), found[:7])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
def test_neighbour_ids_are_read_exactly(dtype: str, tmp_path: Path) -> None:
    ids = RNG.integers(0, 1000, (20, 10))
    assert np.array_equal(read_ivecs(written(tmp_path, "t.ivecs", records(ids, "<i4"))), ids)
    found = read_ivecs(written(tmp_path, "t.npy", npy(ids.astype(dtype))))
    assert found.dtype == np.int32 and np.array_equal(found, ids)


def test_the_given_name_rules_over_the_path(tmp_path: Path) -> None:
    path = written(tmp_path, "7f3a", records(FLOATS, "<f4"))
    assert np.array_equal(read_vectors(path, name="base.fvecs"), FLOATS)


# --- what is wrong ---------------------------------------------------------------------------------------------------

ragged = [[0.0] * 128] * 812 + [[0.0] * 96] + [[0.0] * 128] * 3
nan = FLOATS.copy()
nan[31, 2] = np.nan
infinite = FLOATS.copy()
infinite[8, 5] = -np.inf

REFUSED = [
    ("base.fvecs", records(ragged, "<f4"), "base.fvecs: record 812 has dimension 96, expected 128"),
    ("a.fvecs", records([[0.0] * 8] * 3 + [[0.0] * 9], "<f4"), "a.fvecs: record 3 has dimension 9, expected 8"),
    ("a.fvecs", records(FLOATS, "<f4")[:-5], "a.fvecs: is truncated: record 49 has 23 of 28 bytes"),
    ("a.fvecs", records([[0.0] * 3000], "<f4"), "a.fvecs: record 0 has dimension 3000, expected 1 to 2,048"),
    ("a.fvecs", struct.pack("<i", -4) + b"x" * 100, "a.fvecs: record 0 has dimension -4, expected 1 to 2,048"),
    ("a.fvecs", struct.pack("<i", 2**31 - 1), "record 0 has dimension 2147483647"),
    ("a.fvecs", b"abc", "a.fvecs: is truncated: 3 bytes"),
    ("a.fvecs", records(nan, "<f4"), "a.fvecs: row 31 holds NaN or infinity"),
    ("a.bvecs", records([[1] * 4, [1] * 5], "u1"), "a.bvecs: record 1 has dimension 5, expected 4"),
    ("a.npy", npy(nan), "a.npy: row 31 holds NaN or infinity"),
    ("a.npy", npy(infinite.astype(np.float16)), "a.npy: row 8 holds NaN or infinity"),
    ("a.npy", npy(FLOATS.astype(np.float64)), "a.npy: has dtype float64, expected float32, float16 or uint8"),
    ("a.npy", npy(FLOATS.astype(np.complex64)), "a.npy: has dtype complex64"),
    ("a.npy", npy(np.zeros(3, dtype=[("x", "f4")])), "a.npy: has dtype"),
    ("a.npy", npy(np.array([{"a": 1}], dtype=object), allow_pickle=True), "a.npy: holds pickled Python objects, which are never opened"),
    ("a.npy", pickle.dumps(FLOATS), "a.npy: its .npy header cannot be read"),
    ("a.npy", npy(FLOATS[0]), "a.npy: has 1 dimensions (shape 6), expected 2"),
    ("a.npy", npy(FLOATS.reshape(5, 10, 6)), "a.npy: has 3 dimensions (shape 5 x 10 x 6), expected 2"),
    ("a.npy", npy(np.float32(3)), "a.npy: has 0 dimensions"),
    ("a.npy", npy(FLOATS)[:-1], "a.npy: is truncated: its header promises 1,328 bytes, the file has 1,327"),
    ("a.npy", npy(FLOATS) + b"zz", "a.npy: has 2 bytes more than its header promises"),
    ("a.npy", npy(np.zeros((0, 6), np.float32)), "a.npy: is empty (shape 0 x 6)"),
    ("a.npy", npy(np.zeros((6, 0), np.float32)), "a.npy: is empty (shape 6 x 0)"),
    ("a.npy", npy(np.zeros((2, 10_000), np.float32)), "a.npy: has 10,000 dimensions, expected at most 2,048"),
    ("a.npy", npy(np.zeros((200_001, 1), np.uint8)), "a.npy: has 200,001 rows, expected at most 200,000"),
    (
        "a.npy",
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 2048)}"),
        "is truncated: its header promises",
    ),
    ("a.npy", npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-5, -7)}"), "sizes are whole numbers from 0 up"),
    ("a.npy", npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (1e9, 2)}"), "header"),
    ("a.npy", npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (10**90, 2)}"), "header cannot be read"),
    ("a.npy", npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 90 + ", 2)}"), "rows"),
    ("a.npy", npy_header("__import__('os').system('true')"), "header cannot be read"),
    ("a.npy", npy_header("(" * 5000), "header cannot be read"),
    ("a.npy", npy_header("x" * 60_000), "header cannot be read"),
    ("a.npy", b"\x93NUMPY\x09\x00" + b"x" * 50, "header"),
    ("a.npy", b"", "a.npy: is empty (0 bytes)"),
    ("a.parquet", b"PAR1", "a.parquet: has the suffix .parquet, expected .npy, .fvecs or .bvecs"),
    ("vectors", b"PAR1", "vectors: has the suffix none, expected .npy, .fvecs or .bvecs"),
]


@pytest.mark.parametrize(("name", "body", "sentence"), REFUSED, ids=range(len(REFUSED)))
def test_bad_vectors_are_refused_in_a_sentence(name: str, body: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_vectors(written(tmp_path, name, body))
    assert sentence in caught.value.message
    assert caught.value.message.startswith(f"{name}: ")


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.fvecs"
    with path.open("wb") as handle:
        handle.truncate(files.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(InvalidInput, match=r"big.fvecs: has 512 MiB, expected at most 512 MiB"):
        read_vectors(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"gone.npy: there is no such file"):
        read_vectors(tmp_path / "gone.npy")


def test_a_promise_allocates_nothing(tmp_path: Path) -> None:
    body = npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (200000, 2048)}") + b"x" * 1000
    path = written(tmp_path, "a.npy", body)
    tracemalloc.start()
    with pytest.raises(InvalidInput):
        read_vectors(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


class Bomb:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("a pickle was opened",))


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    for body in (npy(np.array([[Bomb()]], dtype=object), allow_pickle=True), pickle.dumps(Bomb())):
        with pytest.raises(InvalidInput):
            read_vectors(written(tmp_path, "a.npy", body))


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("t.npy", npy(FLOATS), "t.npy: has dtype float32, expected int32, int64 or uint32"),
        ("t.npy", npy(np.array([[1, -2]])), "t.npy: row 0 names id -2"),
        ("t.npy", npy(np.array([[1, 2], [3, 2**40]])), "t.npy: row 1 names id 1099511627776"),
        ("t.ivecs", records([[1, 2], [3]], "<i4"), "t.ivecs: record 1 has dimension 1, expected 2"),
        ("t.fvecs", records([[1, 2]], "<f4"), "t.fvecs: has the suffix .fvecs, expected .ivecs or .npy"),
    ],
)
def test_bad_ids_are_refused_in_a_sentence(name: str, body: bytes, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_ivecs(written(tmp_path, name, body))
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (np.zeros((4, 10), np.int32), "t: has 4 rows, expected 5: one a query"),
        (np.zeros((5, 9), np.int32), "t: has 9 columns, expected at least 10"),
        (np.full((5, 10), 100, np.int32), "t: row 0 names id 100, but the base has rows 0 to 99"),
    ],
)
def test_ground_truth_that_does_not_fit_is_refused(ids: np.ndarray, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        files.check_ground_truth(ids, 100, 5, 10, "t")


# --- fuzzing: a refusal or right vectors, never another exception ----------------------------------------------------------


def reads_or_refuses(name: str, body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), name, body)
        try:
            found = read_vectors(path)
        except InvalidInput as refused:
            assert refused.message.startswith(f"{name}: ")
        else:
            assert found.ndim == 2 and found.dtype == np.float32 and np.isfinite(found).all() and found.nbytes <= 8 * len(body)


@given(st.binary(max_size=400), st.sampled_from(["a.npy", "a.fvecs", "a.bvecs"]))
@settings(deadline=None, max_examples=150)
def test_any_bytes(body: bytes, name: str) -> None:
    reads_or_refuses(name, body)


@given(st.binary(max_size=60), st.integers(0, 140), st.integers(0, 200))
@settings(deadline=None, max_examples=200)
def test_any_damage_to_a_good_npy(patch: bytes, at: int, cut: int) -> None:
    good = npy(FLOATS)
    reads_or_refuses("a.npy", good[:at] + patch + good[at + len(patch) : len(good) - cut])


literals = st.recursive(
    st.integers(-(2**70), 2**70) | st.text(max_size=5) | st.none() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(literals, literals, literals)
@settings(deadline=None, max_examples=200)
@example("<f4", False, (True, True))
@example("<f4", 0, (2**63, 2**63))
@example([("a", "<f4", (2,))], False, (3, 3))
@example("|O", False, (3, 3))
@example("<f4,<f4", False, (1, 1))
def test_any_header(descr: Any, fortran: Any, shape: Any) -> None:
    reads_or_refuses("a.npy", npy_header(repr({"descr": descr, "fortran_order": fortran, "shape": shape})) + b"\0" * 64)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=40))
@settings(deadline=None, max_examples=150)
def test_any_record_headers(words: list[int]) -> None:
    for name in ("a.fvecs", "a.bvecs"):
        reads_or_refuses(name, np.array(words, dtype="<i4").tobytes())
