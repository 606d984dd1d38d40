"""Entity keys as small integers: one column or a tuple of columns, compared value by value and never as joined text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Codes = NDArray[np.int64]
Keys = ArrayLike | tuple[ArrayLike, ...]
ABSENT = -1


class KeyColumn:
    """The distinct values of one column; `codes` (n,) numbers them in order of appearance, `ABSENT` where the value is missing."""

    def __init__(self, column: ArrayLike) -> None:
        values = _canonical(column)
        self._kind = values.dtype.kind
        self._numbers: dict[Any, int] | None = None
        if self._kind == "O":
            self._numbers = {value: code for code, value in enumerate(dict.fromkeys(v for v in values.tolist() if not _missing(v)))}
            self.codes = self.lookup(values)
        else:
            encoded = pa.array(values, from_pandas=True).dictionary_encode()  # by hash: several times as quick as sorting
            self._known, self.codes = encoded.dictionary, _codes(encoded.indices)

    def __len__(self) -> int:
        return len(self._known) if self._numbers is None else len(self._numbers)

    def lookup(self, column: ArrayLike) -> Codes:
        """The code (m,) of each value; `ABSENT` for values the column does not hold. The number 1 is not the text "1"."""
        values = _canonical(column)
        if self._numbers is None and values.dtype.kind == self._kind:
            return _codes(pc.index_in(pa.array(values, from_pandas=True), value_set=self._known))
        if self._numbers is None:  # other types on the other side: compare as Python does
            self._numbers = {value: code for code, value in enumerate(self._known.to_pylist())}
        return np.array([ABSENT if _missing(v) else self._numbers.get(v, ABSENT) for v in values.tolist()], dtype=np.int64)


class KeyCodes:
    """Codes (n,) of single or composite keys, and the lookup of other keys among them.

    keys  one column (n,), or a tuple of columns (n,) that form a composite key
    """

    def __init__(self, keys: Keys) -> None:
        columns = _columns(keys)
        self._columns = [KeyColumn(column) for column in columns]
        self._steps: list[KeyColumn] = []
        codes = self._columns[0].codes
        for column in self._columns[1:]:
            step = KeyColumn(_paired(codes, column.codes, len(column)))
            self._steps.append(step)
            codes = np.where((codes == ABSENT) | (column.codes == ABSENT), ABSENT, step.codes)
        self.codes: Codes = codes.astype(np.int64, copy=False)

    def __len__(self) -> int:
        """Codes lie below this number."""
        return len(self._steps[-1] if self._steps else self._columns[0])

    def lookup(self, keys: Keys) -> Codes:
        """The code (m,) of each key; `ABSENT` for keys that are not there. Raises InvalidInput for another number of columns."""
        columns = _columns(keys)
        if len(columns) != len(self._columns):
            raise InvalidInput(f"Keys of {len(columns)} columns were given; expected {len(self._columns)}.")
        codes = self._columns[0].lookup(columns[0])
        for column, values, step in zip(self._columns[1:], columns[1:], self._steps, strict=True):
            second = column.lookup(values)
            paired = step.lookup(_paired(codes, second, len(column)))
            codes = np.where((codes == ABSENT) | (second == ABSENT), ABSENT, paired)
        return codes


def _paired(first: Codes, second: Codes, base: int) -> Codes:
    return first.astype(np.int64) * max(base, 1) + second  # below (rows)^2, which int64 holds


def _columns(keys: Keys) -> list[ArrayLike]:
    columns = list(keys) if isinstance(keys, tuple) else [keys]
    lengths = {np.shape(column) for column in columns}
    if not columns or len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise InvalidInput(f"Key columns of shapes {sorted(lengths)} were given; expected one or more columns of the same length.")
    return columns


def _canonical(column: ArrayLike) -> NDArray[Any]:
    """int64, float64, text, bytes or, for mixed values, objects; numpy would turn the 1 of a list [1, "a"] into text."""
    values = np.asarray(column)
    if values.dtype.kind in "US" and not isinstance(column, np.ndarray):
        given = list(cast("Iterable[Any]", column))
        if not all(isinstance(value, str | bytes) for value in given):
            return np.array([*given, None], dtype=object)[:-1]
    if values.dtype.kind == "M":
        return values.astype("datetime64[us]").astype(np.int64)
    narrow = {"b": np.int64, "i": np.int64, "u": np.int64, "f": np.float64}.get(values.dtype.kind)
    return values.astype(object if values.dtype == np.uint64 else narrow, copy=False) if narrow else values


def _codes(indices: Any) -> Codes:
    return np.asarray(indices.fill_null(ABSENT).to_numpy(zero_copy_only=False), dtype=np.int64)


def _missing(value: Any) -> bool:
    return value is None or bool(value != value)
