"""Loops over rows, compiled by numba on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(loop: Callable[..., Any], *, reorder: bool = False) -> Callable[..., Any]:
    """`loop` as machine code, kept on disk for the next process; it runs without the interpreter's lock.

    reorder: sums may be added up in another order, which vectorises them, but missing and infinite values count as they should. numba is
    imported here, because a process that only shows pages never needs it.
    """
    from numba import njit

    made: Callable[..., Any] = njit(loop, fastmath={"reassoc", "contract", "nsz"} if reorder else False, cache=True, nogil=True)
    return made
