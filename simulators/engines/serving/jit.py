"""The decorators of all compiled functions of this package."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


@cache
def _stamp() -> tuple[float, int]:
    """Newest change and total size of the sources that compiled code is made of."""
    folder = Path(__file__).parent
    shared = [folder / f"{name}.py" for name in ("jit", "state", "cost_table")]
    files = [path.stat() for path in (*shared, *folder.glob("*kernel*.py"))]
    return max(file.st_mtime for file in files), sum(file.st_size for file in files)


def compiled(function: F) -> F:
    """Machine code on the first call, kept on disk for the next process.

    numba looks only at the file of a function itself when it asks whether the code on disk is still good. Our functions call each other
    across files, so all of them are looked at instead: a changed policy is never run as it was before.

    Nothing in this package allocates an array in compiled code, hence no reference counting (`_nrt=False`), which would cost more than
    the simulation itself.
    """
    made = njit(cache=True, nogil=True, _nrt=False, error_model="numpy")(function)
    made._cache._cache_file._source_stamp = _stamp()
    return cast(F, made)


def outlined(function: F) -> F:
    """A part of compiled functions that is called, not copied: what happens once a request rather than once a token."""
    return cast(F, njit(_nrt=False, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function))


def inlined(function: F) -> F:
    """A part of compiled functions that becomes a piece of its caller, so that passing the state costs nothing."""
    made = njit(_nrt=False, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)(function)
    return cast(F, made)
