"""From a unit's id to a number in [0, 1), one id at a time or a whole array, and from that number to an arm.

Version 1 hashes value + seed with 32-bit FNV-1a and keeps three digits; its last byte is often the last character of the seed, so seeds
that end alike give numbers that move together. Version 2 hashes seed + value, writes the result as a decimal text, hashes that text
and keeps four digits. Both are those of the public GrowthBook SDK specification; a character counts as its code point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InvalidInput

OFFSET, PRIME, MASK = 0x811C9DC5, 0x01000193, 0xFFFFFFFF
STEPS = {1: 1_000, 2: 10_000}  # how many different numbers a version gives
CHUNK = 16_384  # units at a time: the working arrays stay in the cache
Words = NDArray[np.uint32]
Ranges = Sequence[tuple[float, float]]


def fnv1a32(text: str, state: int = OFFSET) -> int:
    """32-bit FNV-1a (Fowler, Noll & Vo) over the code points of `text`."""
    for character in text:
        state = ((state ^ ord(character)) * PRIME) & MASK
    return state


def hash_unit(value: str, seed: str, version: int = 2) -> float | None:
    """A number in [0, 1) for one unit; None for an unknown version."""
    if version == 1:
        return fnv1a32(value + seed) % STEPS[1] / STEPS[1]
    if version == 2:
        return fnv1a32(str(fnv1a32(seed + value))) % STEPS[2] / STEPS[2]
    return None


def bucket_ranges(n_variations: int, coverage: float = 1.0, weights: Sequence[float] | None = None) -> list[tuple[float, float]]:
    """Where on [0, 1) each arm lies. Coverage is cut to [0, 1] and shrinks each range, which keeps its start.

    As the specification says, weights of the wrong number, or whose sum is not within 0.01 of 1, are replaced by equal ones.
    """
    coverage = min(max(coverage, 0.0), 1.0)
    if weights is None or len(weights) != n_variations or not 0.99 <= sum(weights) <= 1.01:
        weights = [1 / n_variations] * n_variations if n_variations > 0 else []
    found, start = [], 0.0
    for weight in weights:
        found.append((start, start + coverage * weight))
        start += weight
    return found


def choose_variation(u: float, ranges: Ranges) -> int:
    """Index of the first range that holds `u` (start included, end not); -1 when none does."""
    return next((arm for arm, (low, high) in enumerate(ranges) if low <= u < high), -1)


def in_namespace(unit_id: str, namespace: Sequence[Any]) -> bool:
    """Whether a unit lies in (name, low, high), a part of the number line that several experiments share out."""
    name, low, high = namespace
    u = hash_unit(unit_id, f"__{name}", 1)
    return u is not None and low <= u < high


# --- a whole array ----------------------------------------------------------------------------------------------------------------


def hash_many(unit_ids: NDArray[Any], seed: str, version: int | str = 2) -> NDArray[np.float64]:
    """`hash_unit` of every id (n,), texts or whole numbers (hashed as decimal texts); version "splitmix64" is `splitmix_many`.

    Raises InvalidInput for other ids or versions.
    """
    if version == "splitmix64":
        return splitmix_many(unit_ids, seed)
    if version not in STEPS:
        raise InvalidInput(f"Hash version {version!r} was given; expected 1 or 2.", field="hashVersion")
    return _chunked(unit_ids, lambda ids: _fnv_numbers(ids, seed, int(version)))


def splitmix_many(unit_ids: NDArray[Any], seed: str) -> NDArray[np.float64]:
    """A 64-bit hash in [0, 1) for every id: SplitMix64 (Steele, Lea & Flood 2014) of the id, or of two FNV-1a halves of a text, + seed."""
    salt = np.uint64(fnv1a32(seed) << 32 | fnv1a32(seed[::-1], OFFSET ^ 0x5BD1E995))
    return _chunked(unit_ids, lambda ids: _splitmix(_as_words(ids) + _splitmix(salt)) / 2.0**64)


def choose_many(u: NDArray[np.float64], ranges: Ranges) -> NDArray[np.int8]:
    """`choose_variation` of every number (n,)."""
    arms = np.full(len(u), -1, dtype=np.int8)
    for arm, (low, high) in reversed(list(enumerate(ranges))):
        arms[(u >= low) & (u < high)] = arm
    return arms


def _chunked(unit_ids: NDArray[Any], number: Callable[[NDArray[Any]], NDArray[np.float64]]) -> NDArray[np.float64]:
    ids = _checked(unit_ids)
    found = np.empty(len(ids))
    for start in range(0, len(ids), CHUNK):
        found[start : start + CHUNK] = number(ids[start : start + CHUNK])
    return found


def _checked(unit_ids: NDArray[Any]) -> NDArray[Any]:
    """Ids as an array of unsigned numbers or of texts."""
    ids = np.ascontiguousarray(unit_ids)
    if ids.ndim != 1:
        raise InvalidInput(f"Unit ids of shape {ids.shape} were given; expected one row of them.", field="unit_ids")
    if ids.dtype.kind in "iu":
        return ids.astype(str) if len(ids) and ids.min() < 0 else ids.astype(np.uint64)
    if ids.dtype.kind == "O":
        ids = ids.astype(str)
    if ids.dtype.kind not in "US":
        raise InvalidInput(f"Unit ids of type {ids.dtype} were given; expected whole numbers or texts.", field="unit_ids")
    return ids


def _fnv_numbers(ids: NDArray[Any], seed: str, version: int) -> NDArray[np.float64]:
    if version == 1:
        state = _absorb_text(_absorb(np.full(len(ids), OFFSET, dtype=np.uint32), ids), seed)
    else:
        inner = _absorb(np.full(len(ids), fnv1a32(seed), dtype=np.uint32), ids)
        state = _absorb_digits(np.full(len(ids), OFFSET, dtype=np.uint32), inner)
    return (state % np.uint32(STEPS[version])) / STEPS[version]


def _absorb(state: Words, ids: NDArray[Any]) -> Words:
    return _absorb_digits(state, ids) if ids.dtype.kind == "u" else _absorb_characters(state, ids)


def _absorb_text(state: Words, text: str) -> Words:
    for character in text:
        state = (state ^ np.uint32(ord(character))) * np.uint32(PRIME)
    return state


def _absorb_digits(state: Words, numbers: NDArray[Any]) -> Words:
    """Hashes each number's decimal text, most significant digit first; leading zeros are no part of it."""
    digits = list(_digits(numbers))[::-1]
    shortest = len(str(int(numbers.min()))) if len(numbers) else 1
    for place, digit in zip(range(len(digits), 0, -1), digits, strict=True):
        fed = (state ^ (digit + np.uint32(48))) * np.uint32(PRIME)
        state = fed if place <= shortest else np.where(numbers >= numbers.dtype.type(10 ** (place - 1)), fed, state)
    return state


def _digits(numbers: NDArray[Any]) -> Iterator[Words]:
    """Decimal digits of every number, least significant first."""
    rest, ten = numbers, numbers.dtype.type(10)
    for _ in range(len(str(int(numbers.max()))) if len(numbers) else 1):
        tens = rest // ten
        yield (rest - tens * ten).astype(np.uint32)
        rest = tens


def _absorb_characters(state: Words, texts: NDArray[Any]) -> Words:
    """Code points of every text; what numpy pads short ones with (zeros at the end) is no part of them."""
    width = 4 if texts.dtype.kind == "U" else 1
    codes = texts.view(np.dtype(f"u{width}")).reshape(len(texts), texts.dtype.itemsize // width)
    lengths = np.char.str_len(texts)
    shortest = int(lengths.min()) if len(texts) else 0
    for place in range(codes.shape[1]):
        fed = (state ^ codes[:, place].astype(np.uint32)) * np.uint32(PRIME)
        state = fed if place < shortest else np.where(place < lengths, fed, state)
    return state


def _as_words(ids: NDArray[Any]) -> NDArray[np.uint64]:
    if ids.dtype.kind == "u":
        return ids
    low = _absorb_characters(np.full(len(ids), OFFSET, dtype=np.uint32), ids)
    high = _absorb_characters(np.full(len(ids), OFFSET ^ 0x5BD1E995, dtype=np.uint32), ids)
    return high.astype(np.uint64) << np.uint64(32) | low


def _splitmix(words: Any) -> Any:
    """The finaliser of SplitMix64 on numpy words; overflow is the arithmetic."""
    with np.errstate(over="ignore"):
        mixed = words + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return mixed ^ mixed >> np.uint64(31)
