"""One column of a file as the models take it: texts as ids, counts as their logarithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.data.hashing import hash_ids

MISSING, RARE, FIRST = 0, 1, 2
MISSING_DENSE = -1.0
_IDENTIFIER = 0.9  # distinct values a row from which a column looks like a key


def encode(name: str, column: Any, buckets: int, min_count: int) -> tuple[Ints, int, list[str]]:
    """Ids of a dictionary column, how many there are, and a warning if it looks like a key.

    0 is missing, 1 rarer than `min_count`; the others in order of appearance, or hashed when there are more than `buckets`.
    """
    merged = column.unify_dictionaries().combine_chunks()
    values = merged.dictionary.to_numpy(zero_copy_only=False)
    codes = merged.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(values) + 1)[:-1]
    kept = counts >= min_count
    total = int(kept.sum())
    ids = np.full(len(values) + 1, RARE, np.int64)
    ids[-1] = MISSING
    if buckets and total > buckets:
        ids[:-1][kept] = FIRST + hash_ids(values[kept].astype(str), buckets)
        total = buckets
    else:
        ids[:-1][kept] = FIRST + np.arange(total)
    return ids[codes], FIRST + total, _identifier(name, len(values), len(codes))


def _identifier(name: str, values: int, rows: int) -> list[str]:
    if rows < 1000 or values < _IDENTIFIER * rows:
        return []
    return [f"column {name} has {values:,} values in {rows:,} rows: an identifier?"]


def log_scaled(values: Floats) -> NDArray[np.float32]:
    """sign(x) log(1 + |x|), -1 where missing: below every count."""
    scaled = np.where(np.isnan(values), MISSING_DENSE, np.copysign(np.log1p(np.abs(values)), values))
    return scaled.astype(np.float32)
