"""Checks of arguments: each returns the array it was given as the type the callers compute with, or raises ValueError naming it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def finite(name: str, values: ArrayLike, *, ndim: int | None = None) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has {array.ndim} dimensions; expected {ndim}.")
    bad = ~np.isfinite(array)
    if bad.any():
        raise ValueError(f"{name} holds {int(bad.sum())} values that are not finite; expected numbers.")
    return array


def probabilities(name: str, values: ArrayLike, *, ndim: int | None = None) -> Floats:
    array = finite(name, values, ndim=ndim)
    outside = (array < 0) | (array > 1)
    if outside.any():
        raise ValueError(f"{name} holds {array[outside][0]:g}; expected probabilities in [0, 1].")
    return array


def binary(name: str, values: ArrayLike, *, ndim: int | None = None) -> Floats:
    array = finite(name, values, ndim=ndim)
    outside = (array != 0) & (array != 1)
    if outside.any():
        raise ValueError(f"{name} holds {array[outside][0]:g}; expected 0 or 1.")
    return array


def ids(name: str, values: ArrayLike, *, below: int | None = None, ndim: int | None = None) -> Ints:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iub":
        raise ValueError(f"{name} is of type {array.dtype}; expected whole numbers.")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} has {array.ndim} dimensions; expected {ndim}.")
    if array.size and (array.min() < 0 or (below is not None and array.max() >= below)):
        raise ValueError(
            f"{name} reaches from {array.min()} to {array.max()}; expected {'0 or more' if below is None else f'0 to {below - 1}'}."
        )
    return array.astype(np.int64)


def same_length(**arrays: Any) -> int:
    """The common number of rows."""
    (first, rows), *others = ((name, len(array)) for name, array in arrays.items())
    for name, length in others:
        if length != rows:
            raise ValueError(f"{name} has {length} rows; expected {rows}, as {first} has.")
    return rows


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(allowed)}.")
    return value


def between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # also where it is NaN
        raise ValueError(f"{name} is {value:g}; expected {low:g} to {high:g}.")
