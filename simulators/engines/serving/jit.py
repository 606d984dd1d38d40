"""The decorator of every compiled function of this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


@cache
def _stamp() -> tuple[float, int]:
    """Newest change and total size of the package's sources."""
    files = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


def compiled(function: F) -> F:
    """Machine code on the first call, kept on disk for the next process.

    numba looks only at the file of a function itself when it asks whether the code on disk is still good. Our functions call each other
    across files, so the whole package is looked at instead: a changed policy is never run as it was before.
    """
    made = njit(cache=True, nogil=True)(function)
    made._cache._cache_file._source_stamp = _stamp()
    return cast(F, made)
