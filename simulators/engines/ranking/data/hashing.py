"""The hashing trick (Weinberger 2009): an id without a vocabulary, at the price of collisions. The same on every machine and run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.ranking.arguments import Ints

_FNV_START, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def hash_ids(values: ArrayLike, buckets: int, seed: int = 0) -> Ints:
    """Buckets 0 .. buckets-1 of whole numbers or texts, in the shape given; each seed is another hash function."""
    if buckets < 1:
        raise ValueError(f"buckets is {buckets}; expected 1 or more.")
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        bits = array.astype(np.int64).view(np.uint64)
    elif array.dtype.kind in "UO":
        bits = _fnv1a(array.astype(str))
    else:
        raise ValueError(f"values is of type {array.dtype}; expected whole numbers or texts.")
    with np.errstate(over="ignore"):
        mixed = _splitmix(bits + _splitmix(np.asarray(np.uint64(seed % 2**64))))
    return (mixed % np.uint64(buckets)).astype(np.int64)


def _fnv1a(texts: NDArray[Any]) -> NDArray[np.uint64]:
    """FNV-1a over the UTF-8 bytes, one byte of all texts at a time."""
    encoded = np.char.encode(texts, "utf-8")
    columns = np.frombuffer(encoded.tobytes(), np.uint8).reshape(texts.size, -1)
    hashed = np.full(texts.size, _FNV_START)
    with np.errstate(over="ignore"):
        for column in columns.T:
            hashed = np.where(column > 0, (hashed ^ column) * _FNV_PRIME, hashed)
    return hashed.reshape(texts.shape)


def _splitmix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele 2014): every bit of the input moves half the bits of the output."""
    with np.errstate(over="ignore"):
        bits = bits + _STEP
        bits = (bits ^ (bits >> np.uint64(30))) * _MIX[0]
        bits = (bits ^ (bits >> np.uint64(27))) * _MIX[1]
    return bits ^ (bits >> np.uint64(31))
