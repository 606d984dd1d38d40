"""Sparse, readable vectors from who follows whom: communities of producers, a user's interest in them, and items placed by who likes them.

Satuluri et al. 2020, "SimClusters: community-based representations for heterogeneous recommendations at Twitter". A producer is known
for one community; a user is interested in those of whom they follow; an item stands where the interests of its likers add up, from its
first like on.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.linalg import svds

from simulators.engines.compiled import compiled
from simulators.engines.ranking.arguments import Floats, Ints, finite, ids, one_of, same_length

Method = Literal["spectral", "modularity"]
METHODS: tuple[Method, ...] = ("spectral", "modularity")
NEIGHBOURS = 20  # of a producer in the similarity graph
SWEEPS = 50
NOWHERE = -1  # label of a producer whom nobody follows


def known_for(follow: Any, k: int, method: Method = "spectral", seed: int = 0) -> Ints:
    """Community (P,) from 0 to k - 1 of each producer; -1 where nobody follows one. follow (U, P), sparse, above 0 where u follows p.

    spectral    k-means on the leading right singular vectors of D_u^-1/2 F D_p^-1/2 (Dhillon 2001)
    modularity  moves of one producer at a time on the graph of the 20 nearest by cosine of followers, from random labels, while
                modularity rises (Newman & Girvan 2004)
    ValueError for a matrix that is not finite or holds negative values, a k below 1 or above the number of followed producers.
    """
    one_of("method", method, METHODS)
    matrix = _matrix("follow", follow)
    followed = np.flatnonzero(np.asarray(matrix.sum(axis=0)).ravel() > 0)
    if k != int(k) or not 1 <= k <= len(followed):
        raise ValueError(f"k is {k}; expected 1 to {len(followed)}, the number of producers with followers.")
    labels = np.full(matrix.shape[1], NOWHERE, np.int64)
    find = _spectral if method == "spectral" else _modularity
    labels[followed] = find(matrix[:, followed], int(k), np.random.default_rng(seed))
    return labels


def interested_in(follow: Any, labels: ArrayLike, k: int, top: int = 10) -> Floats:
    """Interest (U, k) of each user: followed producers counted by community, the `top` largest kept, of length 1.

    follow (U, P) sparse, labels (P,) below k, -1 for none. Of equal counts the smaller community is kept; a user who follows nobody
    known has a row of zeros.
    """
    matrix = _matrix("follow", follow)
    codes = np.asarray(labels)
    known = np.flatnonzero(codes != NOWHERE)
    same_length(labels=codes, producers=np.empty(matrix.shape[1]))
    if top != int(top) or top < 1:
        raise ValueError(f"top is {top}; expected a whole number of 1 or more.")
    column = ids("labels", codes[known], below=k, ndim=1)
    one_hot = sparse.csr_array((np.ones(len(known)), (known, column)), shape=(len(codes), k))
    counts = (matrix @ one_hot).toarray()
    if top < k:
        order = np.argsort(-counts, axis=1, kind="stable")
        np.put_along_axis(counts, order[:, top:], 0.0, axis=1)
    return _unit(counts)


def item_embedding(favs: Any, interested: ArrayLike) -> Floats:
    """(I, k): for each item the sum of its likers' interests. favs (U, I) sparse, interested (U, k)."""
    matrix, interests = _matrix("favs", favs), finite("interested", interested, ndim=2)
    same_length(favs=np.empty(matrix.shape[0]), interested=interests)
    return np.asarray(matrix.T @ interests)


def _matrix(name: str, values: Any) -> sparse.csr_array[np.float64]:
    matrix = sparse.csr_array(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"{name} has {matrix.ndim} dimensions; expected 2.")
    if (finite(name, matrix.data) < 0).any():
        raise ValueError(f"{name} holds {matrix.data.min():g}; expected 0 or more.")
    return matrix


def _unit(rows: Floats) -> Floats:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 0))


def _spectral(matrix: sparse.csr_array[np.float64], k: int, rng: np.random.Generator) -> Ints:
    from sklearn.cluster import KMeans

    users, producers = (1 / np.sqrt(np.maximum(np.asarray(matrix.sum(axis=axis)).ravel(), 1e-12)) for axis in (1, 0))
    scaled = sparse.diags_array(users) @ matrix @ sparse.diags_array(producers)
    if k < min(scaled.shape):
        right = svds(scaled, k=k, v0=rng.standard_normal(min(scaled.shape)))[2]
    else:
        right = np.linalg.svd(scaled.toarray(), full_matrices=False)[2]
    seed = int(rng.integers(2**31))
    return np.asarray(KMeans(k, n_init=4, random_state=seed).fit_predict(_unit(right.T)), np.int64)


def _modularity(matrix: sparse.csr_array[np.float64], k: int, rng: np.random.Generator) -> Ints:
    graph = _nearest(matrix)
    labels = rng.permutation(np.arange(graph.shape[0]) % k)
    orders = np.stack([rng.permutation(len(labels)) for _ in range(SWEEPS)])
    compiled(_move)(graph.indptr, graph.indices, graph.data, orders, k, labels)
    return labels


def _nearest(matrix: sparse.csr_array[np.float64]) -> sparse.csr_array[np.float64]:
    """Cosines of followers (P, P), of each producer's nearest and of those it is nearest to."""
    length = np.sqrt(np.asarray(matrix.power(2).sum(axis=0)).ravel())
    unit = matrix @ sparse.diags_array(1 / length)
    cosine = (unit.T @ unit).toarray()
    np.fill_diagonal(cosine, 0.0)
    far = np.argsort(-cosine, axis=1, kind="stable")[:, NEIGHBOURS:]
    np.put_along_axis(cosine, far, 0.0, axis=1)
    return sparse.csr_array(np.maximum(cosine, cosine.T))


def _move(start: Any, neighbour: Any, weight: Any, orders: Any, k: int, labels: Any) -> None:
    """Each producer in turn goes to the community that gains most: its links there, less what chance would give."""
    n = len(labels)
    degree, total = np.zeros(n), np.zeros(k)
    for i in range(n):
        for edge in range(start[i], start[i + 1]):
            degree[i] += weight[edge]
        total[labels[i]] += degree[i]
    both_ways = degree.sum()
    links = np.zeros(k)
    for order in orders:
        moved = 0
        for i in order:
            links[:] = 0.0
            for edge in range(start[i], start[i + 1]):
                links[labels[neighbour[edge]]] += weight[edge]
            old = labels[i]
            total[old] -= degree[i]
            best, best_gain = old, links[old] - degree[i] * total[old] / both_ways
            for c in range(k):
                gain = links[c] - degree[i] * total[c] / both_ways
                if gain > best_gain + 1e-12:
                    best, best_gain = c, gain
            total[best] += degree[i]
            labels[i] = best
            moved += best != old
        if moved == 0:
            break
