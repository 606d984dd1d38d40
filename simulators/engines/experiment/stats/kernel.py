"""The loops that read every row: counts, sums and products of two columns in a single pass, of one cell's rows or of two cells' at once.

Compiled by numba, because numpy needs a pass and a temporary for each of the five sums: on ten million rows the fused loop runs at the
speed of memory. The compiler may reorder the additions (which vectorises them) but must respect missing and infinite values, so that
these are noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.compiled import compiled

Floats = NDArray[np.float64]


def _pair_sums(a: Any, b: Any, shift_a: float, shift_b: float, picked: Any, out: Any) -> None:
    sum_a = sum_b = sum_aa = sum_ab = sum_bb = 0.0
    for i in range(len(picked)):
        x = a[i] - shift_a if picked[i] else 0.0
        y = b[i] - shift_b if picked[i] else 0.0
        sum_a += x
        sum_b += y
        sum_aa += x * x
        sum_ab += x * y
        sum_bb += y * y
    out[0], out[1], out[2], out[3], out[4] = sum_a, sum_b, sum_aa, sum_ab, sum_bb


def _pair_sums_of_two(a: Any, b: Any, shift_a: float, shift_b: float, codes: Any, out: Any) -> None:
    """Ten accumulators in registers, no branch: each row goes to one cell and adds zeros to the other.

    Neither cell is got by subtraction, so an enormous or missing value in one leaves the other exact.
    """
    n = 0
    a0 = b0 = aa0 = ab0 = bb0 = 0.0
    a1 = b1 = aa1 = ab1 = bb1 = 0.0
    for i in range(len(codes)):
        second = codes[i] != 0
        x, y = a[i] - shift_a, b[i] - shift_b
        x0, x1 = (0.0, x) if second else (x, 0.0)
        y0, y1 = (0.0, y) if second else (y, 0.0)
        n += second
        a0 += x0
        b0 += y0
        aa0 += x0 * x0
        ab0 += x0 * y0
        bb0 += y0 * y0
        a1 += x1
        b1 += y1
        aa1 += x1 * x1
        ab1 += x1 * y1
        bb1 += y1 * y1
    out[0, 0], out[0, 1], out[0, 2], out[0, 3], out[0, 4], out[0, 5] = a0, b0, aa0, ab0, bb0, len(codes) - n
    out[1, 0], out[1, 1], out[1, 2], out[1, 3], out[1, 4], out[1, 5] = a1, b1, aa1, ab1, bb1, n


def picked_sums(columns: Sequence[Floats], shift: Floats, picked: NDArray[np.bool_]) -> tuple[float, Floats, Floats]:
    """Count, sums (k,) and products (k, k) of k columns (m,) about `shift` (k,), over the rows that `picked` (m,) names."""
    k, add_up = len(columns), compiled(_pair_sums, reorder=True)
    sums, cross, out = np.zeros(k), np.zeros((k, k)), np.zeros(5)
    for i, j in combinations(range(k), 2) if k > 1 else [(0, 0)] * k:
        add_up(columns[i], columns[j], shift[i], shift[j], picked, out)
        sums[[i, j]] = out[0:2]
        cross[i, i], cross[j, j] = out[2], out[4]
        cross[i, j] = cross[j, i] = out[3]
    return float(np.count_nonzero(picked)), sums, cross


def two_cell_sums(columns: Sequence[Floats], shift: Floats, codes: NDArray[Any]) -> tuple[Floats, Floats, Floats]:
    """Counts (2,), sums (2, k) and products (2, k, k) of the rows with code 0 and of those with another, in one pass a pair of columns."""
    k, add_up = len(columns), compiled(_pair_sums_of_two, reorder=True)
    sums, cross, out = np.zeros((2, k)), np.zeros((2, k, k)), np.zeros((2, 6))
    for i, j in combinations(range(k), 2) if k > 1 else [(0, 0)]:
        add_up(columns[i], columns[j], shift[i], shift[j], codes, out)
        sums[:, i], sums[:, j] = out[:, 0], out[:, 1]
        cross[:, i, i], cross[:, j, j] = out[:, 2], out[:, 4]
        cross[:, i, j] = cross[:, j, i] = out[:, 3]
    return out[:, 5].copy(), sums, cross


def warm_up() -> None:
    """Compiles the loops for the usual types of keys, or loads what an earlier process compiled."""
    two_cell_sums([np.zeros(1), np.zeros(1)], np.zeros(2), np.zeros(1, dtype=np.int8))
    two_cell_sums([np.zeros(1), np.zeros(1)], np.zeros(2), np.zeros(1, dtype=np.int64))
    picked_sums([np.zeros(1), np.zeros(1)], np.zeros(2), np.ones(1, dtype=bool))
