"""Entity keys as small integers: one column or a tuple of columns, compared value by value and never as joined text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Codes = NDArray[np.int64]
Keys = ArrayLike | tuple[ArrayLike, ...]
ABSENT = -1


class KeyColumn:
    """The distinct values of one column; `codes` (n,) numbers them, `ABSENT` where the value is missing."""

    def __init__(self, column: ArrayLike) -> None:
        values = _array(column)
        self._numbers: dict[Any, int] | None = None
        if values.dtype.kind == "O":
            self._numbers = {value: code for code, value in enumerate(dict.fromkeys(v for v in values.tolist() if not _missing(v)))}
            self.codes = self.lookup(values)
            return
        self._known, self.codes = np.unique(values, return_inverse=True)
        self.codes[_not_a_number(values)] = ABSENT

    def __len__(self) -> int:
        return len(self._known) if self._numbers is None else len(self._numbers)

    def lookup(self, column: ArrayLike) -> Codes:
        """The code (m,) of each value; `ABSENT` for values the column does not hold."""
        values = _array(column)
        if self._numbers is None and values.dtype.kind == "O":
            self._numbers = {value: code for code, value in enumerate(self._known.tolist())}
        if self._numbers is not None:
            return np.array([ABSENT if _missing(v) else self._numbers.get(v, ABSENT) for v in values.tolist()], dtype=np.int64)
        if (values.dtype.kind in "US") != (self._known.dtype.kind in "US") or len(self) == 0:
            return np.full(len(values), ABSENT)  # the number 1 is not the text "1"
        at = np.minimum(np.searchsorted(self._known, values), len(self) - 1)
        return np.where(self._known[at] == values, at, ABSENT)


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


def _array(column: ArrayLike) -> NDArray[Any]:
    """As numpy sees it, but for a list of mixed values, in which numpy would turn the number 1 into the text "1"."""
    values = np.asarray(column)
    if values.dtype.kind not in "US" or isinstance(column, np.ndarray):
        return values
    given = list(cast("Iterable[Any]", column))
    return values if all(isinstance(value, str | bytes) for value in given) else np.array([*given, None], dtype=object)[:-1]


def _missing(value: Any) -> bool:
    return value is None or value != value


def _not_a_number(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
