"""The one loop that reads every row: counts, sums and products of two columns over the rows of one cell, in a single pass.

Compiled by numba, because numpy needs a pass and a temporary for each of the five sums: on ten million rows the fused loop runs at the
speed of memory. The compiler may reorder the additions (which vectorises them) but must respect missing and infinite values, so that
these are noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@cache
def _compiled() -> Callable[..., None]:
    """numba is imported here, because a process that only shows pages never needs it."""
    from numba import njit

    made: Callable[..., None] = njit(_pair_sums, fastmath={"reassoc", "contract", "nsz"}, cache=True, nogil=True)
    return made


def picked_sums(columns: Sequence[Floats], shift: Floats, picked: NDArray[np.bool_]) -> tuple[float, Floats, Floats]:
    """Count, sums (k,) and products (k, k) of k columns (m,) about `shift` (k,), over the rows that `picked` (m,) names."""
    k, add_up = len(columns), _compiled()
    sums, cross, out = np.zeros(k), np.zeros((k, k)), np.zeros(5)
    for i, j in combinations(range(k), 2) if k > 1 else [(0, 0)] * k:
        add_up(columns[i], columns[j], shift[i], shift[j], picked, out)
        sums[[i, j]] = out[0:2]
        cross[i, i], cross[j, j] = out[2], out[4]
        cross[i, j] = cross[j, i] = out[3]
    return float(np.count_nonzero(picked)), sums, cross


def warm_up() -> None:
    """Compiles the loop, or loads what an earlier process compiled."""
    picked_sums([np.zeros(1), np.zeros(1)], np.zeros(2), np.ones(1, dtype=bool))
