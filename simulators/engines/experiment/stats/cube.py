"""A cube of `Moments`: one cell for every combination of day, arm and segment that occurs.

Rows are read once, in blocks that stay in cache; any slice of the cube is then a merge of cells. Published result stores are built
the same way, which is why a dashboard answers in milliseconds over billions of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment.stats.kernel import Floats, picked_sums, two_cell_sums
from simulators.engines.experiment.stats.moments import (
    Kind,
    Moments,
    block_columns,
    blocks,
    centred_sums,
    column_kinds,
    empty,
    equal_lengths,
    merge_centred,
    number_columns,
    refuse_not_finite,
    typical_values,
)
from simulators.errors import InvalidInput

Cell = tuple[Any, ...]
_FEW_CELLS = 8  # up to here a pass for each cell is quicker than sorting the block


class CellSums(NamedTuple):
    """Of the cells of one block, about the block's shift."""

    n: Floats  # (c,)
    sums: Floats  # (c, k)
    cross: Floats  # (c, k, k)


class MomentTable:
    """Moments by the columns named in `keys`; every other column given to `update` is a metric.

    Memory is one (k, k) matrix a cell, and buffers of one block while rows are read.
    """

    def __init__(self, keys: Iterable[str] = ("day", "arm", "segment")) -> None:
        self.keys = tuple(keys)
        self._names: tuple[str, ...] = ()
        self._kinds: tuple[Kind, ...] = ()
        self._cells: dict[Cell, int] = {}
        self._n = np.zeros(0)
        self._mean: Floats = np.zeros((0, 0))
        self._centred: Floats = np.zeros((0, 0, 0))

    @property
    def cells(self) -> tuple[Cell, ...]:
        return tuple(self._cells)

    def update(self, columns: Mapping[str, ArrayLike]) -> MomentTable:
        """Adds rows: keys (n,) of whole numbers or text, metrics (n,) of numbers. Returns the table.

        Raises InvalidInput for a missing key, unequal lengths, other metrics than before, or a value that is not finite.
        """
        keys, metrics = self._split(columns)
        for rows in blocks(keys | metrics):
            codes, present = _cell_codes([array[rows] for array in keys.values()], rows.stop - rows.start)
            block = block_columns(metrics, rows)
            with np.errstate(invalid="ignore"):  # infinite values are refused below, by name
                shift = typical_values(block, np.ones(len(codes), dtype=bool))
                add_up = _few_cells if len(present) <= _FEW_CELLS else _many_cells
                self._add(present, add_up(block, shift, codes, len(present)), shift)
        refuse_not_finite(self.total())
        return self

    def total(self, **where: Any) -> Moments:
        """Moments of the cells with these key values; a list, set, tuple or range means any of them. No such cell: n = 0."""
        unknown = set(where) - set(self.keys)
        if unknown:
            raise InvalidInput(f"The table has no key {', '.join(sorted(unknown))}; its keys are {', '.join(self.keys)}.")
        picked = {
            self.keys.index(key): value if isinstance(value, list | set | tuple | range) else (value,) for key, value in where.items()
        }
        merged = empty(self._names, self._kinds)
        for cell, i in self._cells.items():
            if all(cell[place] in values for place, values in picked.items()):
                merged += Moments._of(self._names, int(self._n[i]), self._mean[i], self._centred[i], self._kinds)
        return merged

    def _split(self, columns: Mapping[str, ArrayLike]) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        absent = [key for key in self.keys if key not in columns]
        if absent:
            raise InvalidInput(f"The rows have no column {', '.join(absent)}; the table is keyed by {', '.join(self.keys)}.")
        keys = {key: np.asarray(columns[key]) for key in self.keys}
        metrics = number_columns({name: column for name, column in columns.items() if name not in keys})
        equal_lengths(keys | metrics)
        names, kinds = tuple(metrics), column_kinds(metrics)
        if self._names and (names, kinds) != (self._names, self._kinds):
            raise InvalidInput(f"The table holds {', '.join(self._names)}; rows with {', '.join(names)} cannot be added.")
        self._names, self._kinds = names, kinds
        return keys, metrics

    def _add(self, present: list[Cell], sums: CellSums, shift: Floats) -> None:
        kept = sums.n > 0
        at = [self._cells.setdefault(cell, len(self._cells)) for cell, keep in zip(present, kept, strict=True) if keep]
        self._grow(len(self._cells))
        mean, centred = centred_sums(sums.n[kept], sums.sums[kept], sums.cross[kept], shift)
        merged = merge_centred(self._n[at], self._mean[at], self._centred[at], sums.n[kept], mean, centred)
        self._n[at], self._mean[at], self._centred[at] = merged

    def _grow(self, cells: int) -> None:
        k, more = len(self._names), cells - len(self._n)
        if more > 0:
            self._n = np.concatenate([self._n, np.zeros(more)])
            self._mean = np.concatenate([self._mean.reshape(-1, k), np.zeros((more, k))])
            self._centred = np.concatenate([self._centred.reshape(-1, k, k), np.zeros((more, k, k))])


def _cell_codes(keys: list[NDArray[Any]], rows: int) -> tuple[NDArray[np.int64], list[Cell]]:
    """Codes (m,) of the cell of each row, numbered from 0, and the key values of each cell; a few cells may be empty."""
    combined: NDArray[np.int64] = np.zeros(0 if keys else rows, dtype=np.int64)
    levels: list[NDArray[Any]] = []
    for key in keys:
        values, codes = _factorised(key)
        combined = codes if not levels else combined.astype(np.int64) * len(values) + codes
        levels.append(values)
    possible = math.prod(len(level) for level in levels)
    found = np.arange(possible) if possible <= _FEW_CELLS else np.unique(combined)
    shape = [len(level) for level in levels]
    cells = [tuple(_plain(level[i]) for level, i in zip(levels, np.unravel_index(code, shape), strict=True)) for code in found]
    contiguous = len(found) == (found[-1] + 1 if len(found) else 0)
    return (combined if contiguous else np.searchsorted(found, combined)), cells


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _factorised(key: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Values that may occur, and the place of each row's value among them. Small whole numbers need no sort."""
    if key.dtype.kind in "iu" and len(key):
        low, high = int(key.min()), int(key.max())
        if high - low < len(key):
            return np.arange(low, high + 1), key - low if low else key
    values, codes = np.unique(key, return_inverse=True)
    return values, codes


def _few_cells(columns: list[Floats], shift: Floats, codes: NDArray[Any], cells: int) -> CellSums:
    """Two cells in one pass; otherwise a pass over the block for each cell, while it stays in cache."""
    if cells == 2 and columns:
        return CellSums(*two_cell_sums(columns, shift, codes))
    sums = [picked_sums(columns, shift, codes == cell) for cell in range(cells)]
    return CellSums(*(np.stack([np.asarray(part) for part in parts]) for parts in zip(*sums, strict=True)))


def _many_cells(columns: list[Floats], shift: Floats, codes: NDArray[Any], cells: int) -> CellSums:
    """Rows sorted by cell, then summed run by run."""
    block = np.stack(columns) - shift[:, None]
    order = np.argsort(codes.astype(np.uint16 if cells <= 2**16 else np.int64), kind="stable")
    ordered = block[:, order]
    starts = np.searchsorted(codes[order], np.arange(cells))
    cross = np.empty((cells, len(block), len(block)))
    for i in range(len(block)):
        for j in range(i, len(block)):
            cross[:, i, j] = cross[:, j, i] = np.add.reduceat(ordered[i] * ordered[j], starts)
    n = np.diff(np.append(starts, len(codes))).astype(float)
    return CellSums(n, np.add.reduceat(ordered, starts, axis=1).T, cross)
