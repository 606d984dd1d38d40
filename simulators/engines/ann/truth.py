"""Exact neighbours by comparing a query with every vector, and recall against them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.library import faiss_library, faiss_metric
from simulators.engines.steps import Steps, blocks, finish
from simulators.errors import InvalidInput

# faiss hands 20 queries and more to BLAS, where a squared distance is |x|^2 + |q|^2 - 2xq and loses digits to cancellation.
# Fewer at a time are summed directly, as `IndexFlat` does for one query.
_MOST_QUERIES = 16
_BLOCK_VALUES = 200_000_000  # coordinates compared between two yields: about 15 ms


class Neighbors(NamedTuple):
    """Best first. Where fewer than k vectors match, the rest of `ids` is -1."""

    ids: npt.NDArray[np.int64]  # [q, k]
    scores: FloatArray  # [q, k]: inner product or cosine (higher is nearer), squared distance for l2 (lower is nearer)


def exact_knn(base: FloatArray, queries: FloatArray, k: int, *, metric: str = "ip", mask: npt.NDArray[np.bool_] | None = None) -> Neighbors:
    """The k nearest rows of base [n, d] for each query [q, d].

    mask   bool [n]: only these rows may be returned; ids stay row numbers of the whole base
    """
    return finish(exact_steps(base, queries, k, metric=metric, mask=mask))


def exact_steps(
    base: FloatArray, queries: FloatArray, k: int, *, metric: str = "ip", mask: npt.NDArray[np.bool_] | None = None
) -> Steps[Neighbors]:
    """`exact_knn` in steps."""
    rows = None if mask is None else _rows(mask, len(base))
    base = base if rows is None else base[rows]
    if metric == "cosine":
        base, queries = unit_length(base), unit_length(queries)
    found = Neighbors(np.full((len(queries), k), -1, dtype=np.int64), np.zeros((len(queries), k), dtype=np.float32))
    kept = min(k, len(base))
    at_once = max(1, min(_MOST_QUERIES, _BLOCK_VALUES // max(base.size, 1)))
    for block in blocks(len(queries) if kept else 0, at_once):
        scores, ids = faiss_library().knn(queries[block], base, kept, metric=faiss_metric(metric))
        found.scores[block, :kept] = scores
        found.ids[block, :kept] = ids if rows is None else rows[ids]
        yield block.stop / len(queries)
    return found


def recall_at_k(found_ids: npt.ArrayLike, true_ids: npt.ArrayLike, k: int) -> npt.NDArray[np.float64]:
    """Share of each query's exact top k that was returned, [q]: |found and true| / min(k, number of true neighbours).

    Ids of -1 are padding. NaN for a query that no vector matches: there is nothing to find.
    """
    found, true = np.asarray(found_ids)[:, :k], np.asarray(true_ids)[:, :k]
    wanted = true >= 0
    hits = ((true[:, :, None] == found[:, None, :]).any(axis=2) & wanted).sum(axis=1)
    possible = wanted.sum(axis=1)
    share: npt.NDArray[np.float64] = np.divide(hits, possible, out=np.full(len(true), np.nan), where=possible > 0)
    return share


def mean_interval(per_query: npt.NDArray[np.float64], *, seed: int = 0, resamples: int = 2000) -> tuple[float, float]:
    """95 % percentile-bootstrap interval of the mean over queries (Efron 1979). NaN entries are left out."""
    values = per_query[~np.isnan(per_query)]
    draws = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(values[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _rows(mask: npt.NDArray[np.bool_], n: int) -> npt.NDArray[np.int64]:
    if len(mask) != n:
        raise InvalidInput(f"mask has {len(mask):,} rows, base {n:,}")
    return np.flatnonzero(mask)
