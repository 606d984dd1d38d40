"""Readers for vector files: .npy and the .fvecs, .bvecs and .ivecs records of the TEXMEX collection (Jégou et al. 2011).

Files come from strangers. The header is checked before the body is touched, no size a header claims is believed before the file's own
size confirms it, bodies are memory-mapped, and nothing is ever unpickled. Rows and records are counted from 0, as numpy does.
"""

from __future__ import annotations

import ast
import re
import struct
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from simulators.engines.steps import blocks
from simulators.errors import InvalidInput

MAX_ROWS = 200_000
MAX_DIM = 2_048
MAX_BYTES = 512 * 2**20
VECTOR_SUFFIXES = (".npy", ".fvecs", ".bvecs")
ID_SUFFIXES = (".ivecs", ".npy")

_BLOCK_ROWS = 4096
_LENGTH = {(1, 0): "<H", (2, 0): "<I"}  # of the header, by version of the format
_PLAIN_DTYPE = re.compile(r"[<>|=]?(f2|f4|f8|c8|c16|[iu][1248]|b1)")
MOST_HEADER_BYTES = 10_000


def read_vectors(path: str | Path, limit: int | None = None, *, name: str | None = None) -> npt.NDArray[np.float32]:
    """Vectors of a .npy (2-D float32, float16 or uint8), .fvecs or .bvecs file as float32 [n, d].

    limit   read only the first rows
    name    the file as the user knows it: its suffix says the format, and messages use it (default: the path's name)
    Raises InvalidInput with a sentence for every file it cannot use.
    """
    path, name = Path(path), name or Path(path).name
    suffix = _checked_suffix(path, name, VECTOR_SUFFIXES)
    if suffix == ".npy":
        rows = _npy_rows(path, name, ("float32", "float16", "uint8"), limit)
    else:
        rows = _record_rows(path, name, np.dtype("<f4" if suffix == ".fvecs" else "u1"), limit)
    return _finite_floats(rows, name)


def read_ivecs(path: str | Path, *, name: str | None = None) -> npt.NDArray[np.int32]:
    """Neighbour ids [q, k] of an .ivecs file or a 2-D integer .npy. Raises InvalidInput as `read_vectors` does."""
    path, name = Path(path), name or Path(path).name
    if _checked_suffix(path, name, ID_SUFFIXES) == ".npy":
        rows = _npy_rows(path, name, ("int32", "int64", "uint32"), None)
    else:
        rows = _record_rows(path, name, np.dtype("<i4"), None)
    return _small_ids(rows, name)


def read_column(path: str | Path, *, name: str | None = None) -> npt.NDArray[Any]:
    """A bool or integer column [n] of a 1-D .npy file (a single column of a 2-D one). Raises InvalidInput as `read_vectors` does."""
    path, name = Path(path), name or Path(path).name
    _checked_suffix(path, name, (".npy",))
    with path.open("rb") as handle:
        header = _npy_header(handle, name)
        offset = handle.tell()
    dtype, shape = _npy_dtype(header.get("descr"), ("bool", "uint8", "int32", "int64"), name), header.get("shape")
    if not isinstance(shape, tuple) or [type(size) for size in shape] not in ([int], [int, int]) or shape[1:] not in ((), (1,)):
        raise InvalidInput(f"{name}: has the shape {_short(shape)}, expected one column with a value a row")
    _check_shape(shape[0], 1, None, name)
    _check_length(path, name, offset + shape[0] * dtype.itemsize)
    return np.array(np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(shape[0],)))


# --- .npy ------------------------------------------------------------------------------------------------------------


def _npy_rows(path: Path, name: str, dtypes: tuple[str, ...], limit: int | None) -> npt.NDArray[Any]:
    with path.open("rb") as handle:
        header = _npy_header(handle, name)
        offset = handle.tell()
    dtype, shape = _npy_dtype(header.get("descr"), dtypes, name), header.get("shape")
    if not isinstance(shape, tuple) or any(type(size) is not int or size < 0 for size in shape):
        raise InvalidInput(f"{name}: its .npy header gives the shape {_short(shape)}; sizes are whole numbers from 0 up")
    if len(shape) != 2:
        raise InvalidInput(f"{name}: has {len(shape)} dimensions (shape {_shape(shape)}), expected 2: rows x vector dimensions")
    _check_shape(shape[0], shape[1], limit, name)
    _check_length(path, name, offset + shape[0] * shape[1] * dtype.itemsize)
    order: Literal["F", "C"] = "F" if header.get("fortran_order") else "C"
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape, order=order)[:limit]


def _npy_header(handle: BinaryIO, name: str) -> dict[str, Any]:
    """The header's dictionary (NumPy Enhancement Proposal 1), read as a literal of bounded length."""
    magic = handle.read(8)
    version = tuple(magic[6:])
    if magic[:6] != b"\x93NUMPY" or version not in _LENGTH:
        raise InvalidInput(f"{name}: its .npy header cannot be read; save the array with numpy.save")
    code = _LENGTH[version]
    claimed = handle.read(struct.calcsize(code))
    length = struct.unpack(code, claimed)[0] if len(claimed) == struct.calcsize(code) else 0
    try:
        header = ast.literal_eval(handle.read(min(length, MOST_HEADER_BYTES)).decode("latin1").strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        header = None
    if not isinstance(header, dict) or length > MOST_HEADER_BYTES:
        raise InvalidInput(f"{name}: its .npy header cannot be read; save the array with numpy.save")
    return header


def _npy_dtype(descr: Any, dtypes: tuple[str, ...], name: str) -> np.dtype[Any]:
    if isinstance(descr, str) and descr.lstrip("<>|=") == "O":
        raise InvalidInput(f"{name}: holds pickled Python objects, which are never opened; save a 2-D array of {_either(dtypes)}")
    plain = isinstance(descr, str) and _PLAIN_DTYPE.fullmatch(descr)
    dtype: np.dtype[Any] | None = np.dtype(descr) if plain else None
    if dtype is None or dtype.name not in dtypes:
        raise InvalidInput(f"{name}: has dtype {dtype.name if dtype else _short(descr)}, expected {_either(dtypes)}")
    return dtype


# --- .fvecs, .bvecs, .ivecs: each record is an int32 dimension, then that many values -------------------------------------


def _record_rows(path: Path, name: str, dtype: np.dtype[Any], limit: int | None) -> npt.NDArray[Any]:
    size = path.stat().st_size
    if size < 4:
        raise InvalidInput(f"{name}: is truncated: {size} bytes, and a record begins with 4 bytes for its dimension")
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    dim = int(raw[:4].view("<i4")[0])
    if not 1 <= dim <= MAX_DIM:
        raise InvalidInput(f"{name}: record 0 has dimension {dim}, expected 1 to {MAX_DIM:,}")
    record = 4 + dim * dtype.itemsize
    whole = size // record
    rows = raw[: whole * record].reshape(whole, record)
    _check_dimensions(rows, raw[whole * record :], dim, name)
    if size % record:
        raise InvalidInput(f"{name}: is truncated: record {whole} has {size % record} of {record} bytes")
    _check_shape(whole, dim, limit, name)
    return rows[:limit, 4:].copy().view(dtype)


def _check_dimensions(rows: npt.NDArray[np.uint8], rest: npt.NDArray[np.uint8], dim: int, name: str) -> None:
    given = rows[:, :4].copy().view("<i4")[:, 0]
    if len(rest) >= 4:
        given = np.append(given, rest[:4].view("<i4"))
    ragged = np.flatnonzero(given != dim)
    if len(ragged):
        raise InvalidInput(f"{name}: record {ragged[0]} has dimension {given[ragged[0]]}, expected {dim}")


# --- checks ----------------------------------------------------------------------------------------------------------


def _checked_suffix(path: Path, name: str, known: tuple[str, ...]) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in known:
        raise InvalidInput(f"{name}: has the suffix {suffix or 'none'}, expected {_either(known)}")
    if not path.is_file():
        raise InvalidInput(f"{name}: there is no such file")
    size = path.stat().st_size
    if size == 0:
        raise InvalidInput(f"{name}: is empty (0 bytes)")
    if size > MAX_BYTES:
        raise InvalidInput(f"{name}: has {size / 2**20:,.0f} MiB, expected at most {MAX_BYTES / 2**20:,.0f} MiB")
    return suffix


def _check_shape(rows: int, dim: int, limit: int | None, name: str) -> None:
    if rows == 0 or dim == 0:
        raise InvalidInput(f"{name}: is empty (shape {_shape((rows, dim))}), expected at least one row and one dimension")
    if dim > MAX_DIM:
        raise InvalidInput(f"{name}: has {dim:,} dimensions, expected at most {MAX_DIM:,}")
    if min(rows, limit or rows) > MAX_ROWS:
        raise InvalidInput(f"{name}: has {rows:,} rows, expected at most {MAX_ROWS:,}")


def _check_length(path: Path, name: str, expected: int) -> None:
    size = path.stat().st_size
    if size < expected:
        raise InvalidInput(f"{name}: is truncated: its header promises {expected:,} bytes, the file has {size:,}")
    if size > expected:
        raise InvalidInput(f"{name}: has {size - expected:,} bytes more than its header promises")


def _finite_floats(rows: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    floats = np.empty(rows.shape, dtype=np.float32)
    for block in blocks(len(rows), _BLOCK_ROWS):
        floats[block] = rows[block]
        bad = np.flatnonzero(~np.isfinite(floats[block]).all(axis=1))
        if len(bad):
            raise InvalidInput(f"{name}: row {block.start + bad[0]} holds NaN or infinity; expected finite numbers")
    return floats


def _small_ids(rows: npt.NDArray[Any], name: str) -> npt.NDArray[np.int32]:
    outside = np.argwhere((rows < 0) | (rows >= MAX_ROWS))
    if len(outside):
        row, column = outside[0]
        raise InvalidInput(f"{name}: row {row} names id {rows[row, column]}; ids are row numbers of the base, from 0 up")
    return np.ascontiguousarray(rows, dtype=np.int32)


def check_same_dim(base: npt.NDArray[Any], queries: npt.NDArray[Any], base_name: str, name: str) -> None:
    if base.shape[1] != queries.shape[1]:
        raise InvalidInput(f"{name}: has {queries.shape[1]:,} dimensions, {base_name} has {base.shape[1]:,}; they must be equal")


def check_directions(vectors: npt.NDArray[np.float32], metric: str, name: str) -> None:
    """Under cosine a vector of length zero has no direction; it is refused by row."""
    if metric != "cosine":
        return
    zero = np.flatnonzero(~vectors.any(axis=1))
    if len(zero):
        raise InvalidInput(f"{name}: row {zero[0]} has length zero, which has no cosine; remove it or choose another metric")


def check_ground_truth(ids: npt.NDArray[np.int32], n: int, n_queries: int, k: int, name: str) -> None:
    """One row a query, at least k columns, ids of base rows."""
    if len(ids) != n_queries:
        raise InvalidInput(f"{name}: has {len(ids):,} rows, expected {n_queries:,}: one a query")
    if ids.shape[1] < k:
        raise InvalidInput(f"{name}: has {ids.shape[1]} columns, expected at least {k}: one a neighbour")
    outside = np.argwhere((ids < 0) | (ids >= n))
    if len(outside):
        row, column = outside[0]
        raise InvalidInput(f"{name}: row {row} names id {ids[row, column]}, but the base has rows 0 to {n - 1:,}")


def _either(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "()"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
