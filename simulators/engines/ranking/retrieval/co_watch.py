"""Item-to-item: what the watchers of the same items watched (Sarwar 2001; Linden, Smith & York 2003)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from simulators.engines.ranking.arguments import ids, same_length
from simulators.engines.ranking.step import Step
from simulators.engines.steps import blocks, finish

Floats32 = NDArray[np.float32]
_PRODUCTS = 8_000_000  # multiplied between two reports: about 10 ms


def co_watch(users: ArrayLike, items: ArrayLike, n_users: int, n_items: int, shrink: float = 5.0) -> Floats32:
    """(U, I): for each user the sum over the items they watched of its cosine with every item; watched twice counts once.

    The cosine of items i and j is (users of both) / (sqrt(users of i x users of j) + shrink), and 0 of an item with itself, so that
    an item is recommended for its neighbours' sake.
    """
    watched = watched_matrix(users, items, n_users, n_items)
    return finish(iter_co_watch(watched, watched, shrink))


def watched_matrix(users: ArrayLike, items: ArrayLike, n_users: int, n_items: int) -> Any:
    """CSR (U, I) of float32 ones."""
    who, what = ids("users", users, below=n_users, ndim=1), ids("items", items, below=n_items, ndim=1)
    same_length(users=who, items=what)
    matrix = sparse.csr_matrix((np.ones(len(who), np.float32), (who, what)), shape=(n_users, n_items))
    matrix.data[:] = 1.0  # repeats were added up
    return matrix


def iter_co_watch(log: Any, watchers: Any, shrink: float = 5.0) -> Generator[Step, None, Floats32]:
    """Scores (u, I) of `watchers` (u, I) by the cosines in `log` (U, I), both `watched_matrix`; some columns at a time."""
    if not (np.isfinite(shrink) and shrink >= 0):
        raise ValueError(f"shrink is {shrink}; expected 0 or more.")
    n_items = log.shape[1]
    counts = np.asarray(log.sum(axis=0), dtype=np.float32).ravel()
    by_item, scores = log.T.tocsr(), np.empty((watchers.shape[0], n_items), np.float32)
    pairs_a_column = (np.diff(log.indptr).astype(np.float64) ** 2).sum() / n_items
    for part in blocks(n_items, max(1, int(_PRODUCTS / (pairs_a_column + watchers.nnz + n_items)))):
        cosine = (by_item @ by_item[part].T).toarray()
        cosine /= np.sqrt(counts[:, None] * counts[part]) + np.float32(shrink) + (counts == 0)[:, None]
        cosine[np.arange(part.start, part.stop), np.arange(part.stop - part.start)] = 0.0
        scores[:, part] = watchers @ cosine
        yield Step(part.stop, n_items, "counting who watched both")
    return scores
