"""Item-to-item: what the watchers of the same items watched (Sarwar 2001; Linden, Smith & York 2003)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from simulators.engines.ranking.arguments import ids, same_length


def co_watch(users: ArrayLike, items: ArrayLike, n_users: int, n_items: int, shrink: float = 5.0) -> NDArray[np.float32]:
    """(U, I): for each user the sum over the items they watched of its cosine with every item; watched twice counts once.

    The cosine of items i and j is (users of both) / (sqrt(users of i x users of j) + shrink), and 0 of an item with itself, so that
    an item is recommended for its neighbours' sake.
    """
    watched = watched_matrix(users, items, n_users, n_items)
    scores: NDArray[np.float32] = (watched @ item_cosines(watched, shrink)).toarray()
    return scores


def watched_matrix(users: ArrayLike, items: ArrayLike, n_users: int, n_items: int) -> Any:
    """CSR (U, I) of float32 ones."""
    who, what = ids("users", users, below=n_users, ndim=1), ids("items", items, below=n_items, ndim=1)
    same_length(users=who, items=what)
    matrix = sparse.csr_matrix((np.ones(len(who), np.float32), (who, what)), shape=(n_users, n_items))
    matrix.data[:] = 1.0  # repeats were added up
    return matrix


def item_cosines(watched: Any, shrink: float = 5.0) -> Any:
    """CSR (I, I) of shrunk cosines between the columns of a `watched_matrix`."""
    if not (np.isfinite(shrink) and shrink >= 0):
        raise ValueError(f"shrink is {shrink}; expected 0 or more.")
    counts = np.asarray(watched.sum(axis=0), dtype=np.float32).ravel()
    both = (watched.T @ watched).tocoo()
    cosine = both.data / (np.sqrt(counts[both.row] * counts[both.col]) + np.float32(shrink))
    cosine[both.row == both.col] = 0.0
    return sparse.csr_matrix((cosine, (both.row, both.col)), shape=both.shape)
