"""Partial aggregates that merge: a stream keeps one a tile and a request merges the tiles of its window.

An average of averages is wrong, so a tile keeps (sum, count). Distinct counts do not merge at all without the values themselves;
HyperLogLog keeps a sketch that does, with a standard error of 1.04 / sqrt(2^p) (Flajolet et al. 2007; the estimator that needs no
correction table is Ertl's, 2017, arXiv 1702.01284).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

TileOp = Literal["count", "sum", "avg", "min", "max", "std", "last"]
Partial = tuple[float, ...]


def partial(values: ArrayLike, op: str) -> Partial:
    """What a tile keeps of its values (n,); () where there are none, NaN left out.

    count (n,); sum (sum, n); avg (sum, n); min, max (value,); std (n, sum, sum of squares, shift), both sums about the shift.
    `last` takes (n, 2) pairs of time and value and keeps the newest (time, value), of several at one time the last given.
    Raises InvalidInput for an operation without a partial, and for `last` without pairs.
    """
    _check(op)
    if op == "last":
        pairs = np.asarray(values, dtype=float)
        pairs = pairs.reshape(-1, 2) if pairs.size == 0 else pairs
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise InvalidInput(
                f"Values of shape {pairs.shape} were given for last; expected pairs of time and value (n, 2).", field="values"
            )
        pairs = pairs[~np.isnan(pairs).any(axis=1)]
        newest = len(pairs) - 1 - int(np.argmax(pairs[::-1, 0])) if len(pairs) else 0
        return tuple(pairs[newest].tolist()) if len(pairs) else ()
    numbers = np.asarray(values, dtype=float).ravel()
    numbers = numbers[~np.isnan(numbers)]
    return _kept(numbers, op) if len(numbers) else ()


def _kept(numbers: NDArray[np.float64], op: str) -> Partial:
    n = float(len(numbers))
    match op:
        case "count":
            return (n,)
        case "sum" | "avg":
            return (math.fsum(numbers), n)
        case "min":
            return (float(numbers.min()),)
        case "max":
            return (float(numbers.max()),)
    shifted = numbers - numbers[0]
    return (n, float(shifted.sum()), float((shifted**2).sum()), float(numbers[0]))


def merge(partials: Iterable[Partial], op: str) -> float | None:
    """The aggregate over all tiles together; None where they are empty. A partial of `std` without a shift has its sums about 0.

    Raises ValueError for `count_distinct`, which does not tile (use `HyperLogLog`), and for other operations without a partial.
    """
    _check(op)
    kept = [part for part in partials if part]
    if not kept:
        return None
    match op:
        case "count" | "sum":
            return math.fsum(part[0] for part in kept)
        case "avg":
            return math.fsum(part[0] for part in kept) / math.fsum(part[1] for part in kept)
        case "min":
            return min(part[0] for part in kept)
        case "max":
            return max(part[0] for part in kept)
        case "last":
            return max(reversed(kept), key=lambda part: part[0])[1]
    return _deviation(kept)


def _deviation(kept: Sequence[Partial]) -> float:
    """Standard deviation about the common mean, dividing by the count; every tile is moved to the first one's shift."""
    about = [(*part, 0.0)[:4] for part in kept]
    count, shift = math.fsum(part[0] for part in about), about[0][3]
    moved = [(n, s, q, own - shift) for n, s, q, own in about]
    mean = math.fsum(s + n * d for n, s, _, d in moved) / count
    squares = math.fsum(q - 2 * (mean - d) * s + n * (mean - d) ** 2 for n, s, q, d in moved)
    return math.sqrt(max(squares / count, 0.0))


def _check(op: str) -> None:
    if op == "count_distinct":
        raise InvalidInput("count_distinct does not support tiling; use HyperLogLog for an estimate that merges.", field="op")
    if op not in get_args(TileOp):
        raise InvalidInput(f"op is '{op}'; expected one of {', '.join(get_args(TileOp))}.", field="op")


class HyperLogLog:
    """A mergeable sketch of how many distinct values were added: 2^p registers of one byte.

    p from 4 to 16. `add` and `merge` change the sketch and return it, so that calls chain.
    """

    def __init__(self, p: int = 12) -> None:
        if not 4 <= p <= 16:
            raise InvalidInput(f"p is {p}; expected 4 to 16.", field="p")
        self.p = p
        self.registers = np.zeros(1 << p, dtype=np.uint8)

    @property
    def standard_error(self) -> float:
        """Relative standard error of `count`."""
        return 1.04 / math.sqrt(len(self.registers))

    def add(self, values: Any) -> HyperLogLog:
        """Adds one value or any iterable of them: whole numbers, floats, texts or tuples. Equal numbers are one whatever their type."""
        hashes = _hashes(_row(values))
        rest = hashes << np.uint64(self.p) | np.uint64(1 << (self.p - 1))  # the mark bounds the rank at 64 - p + 1
        rank = 64 - _bit_length(rest) + 1
        np.maximum.at(self.registers, (hashes >> np.uint64(64 - self.p)).astype(np.int64), rank.astype(np.uint8))
        return self

    def merge(self, other: HyperLogLog) -> HyperLogLog:
        """Adds all that `other` has seen. Raises InvalidInput for another number of registers."""
        if other.p != self.p:
            raise InvalidInput(f"Sketches of p = {self.p} and p = {other.p} do not merge; expected the same p.", field="p")
        np.maximum(self.registers, other.registers, out=self.registers)
        return self

    def count(self) -> float:
        """Estimated number of distinct values (Ertl 2017, algorithm 6)."""
        m, q = len(self.registers), 64 - self.p
        multiplicity = np.bincount(self.registers, minlength=q + 2)
        z = m * _tau(1 - multiplicity[q + 1] / m)
        for k in range(q, 0, -1):
            z = 0.5 * (z + multiplicity[k])
        z += m * _sigma(multiplicity[0] / m)
        return 0.0 if math.isinf(z) else m * m / (2 * math.log(2) * z)


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z, y = z + x * y, y + y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before, y = math.sqrt(x), z, 0.5 * y
        z -= (1 - x) ** 2 * y
    return z / 3


def _row(values: Any) -> NDArray[Any]:
    """Values as one row (n,); numpy alone would take a set for one value and tuples for rows of values."""
    if hasattr(values, "__array__"):
        return np.ravel(values)
    items = list(values) if isinstance(values, Iterable) and not isinstance(values, str | bytes) else [values]
    if any(isinstance(item, tuple | list) for item in items):
        return np.array([*items, None], dtype=object)[:-1]
    return np.asarray(items)


def _hashes(values: NDArray[Any]) -> NDArray[np.uint64]:
    if values.dtype.kind in "iub":
        return _splitmix64(values.astype(np.int64).view(np.uint64))
    if values.dtype.kind == "f":
        whole = (values == np.rint(values)) & (np.abs(values) < 2**53)
        bits = np.where(whole, np.where(whole, values, 0).astype(np.int64).view(np.uint64), values.astype(np.float64).view(np.uint64))
        return _splitmix64(bits)
    digests = [blake2b(str(value).encode(), digest_size=8).digest() for value in values.tolist()]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _splitmix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Steele, Lea & Flood 2014: every input bit reaches every output bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _bit_length(x: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits up to the highest one set: floats are exact below 2^53, so the halves go apart."""
    high = np.frexp((x >> np.uint64(32)).astype(float))[1]
    low = np.frexp((x & np.uint64(0xFFFFFFFF)).astype(float))[1]
    length: NDArray[np.int64] = np.where(high > 0, high + 32, low).astype(np.int64)
    return length
