"""Features that compute the same though nothing about them says so: found by the rank correlation of their values.

Ranks see through another unit or scale. Spearman 1904, The proof and measurement of association between two things.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Node = TypeVar("Node", bound=Hashable)


def rank_correlations(values: ArrayLike) -> Floats:
    """Spearman's correlation (f, f) of the features of entities (n, f), ties at their mean rank.

    A null is a value of its own below all others: two features that are null for the same entities agree there. A feature that is the
    same for everybody has no rank order; its correlations are NaN, its own included.
    Raises InvalidInput for fewer than two entities.
    """
    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or len(table) < 2:
        raise InvalidInput(f"Values of shape {table.shape} were given; expected at least 2 entities by f features.")
    ranks = stats.rankdata(np.where(np.isnan(table), -np.inf, table), axis=0)
    centred = ranks - ranks.mean(axis=0)
    norms = np.sqrt((centred**2).sum(axis=0))
    scaled = np.divide(centred, norms, out=np.full_like(centred, np.nan), where=norms > 0)
    return np.asarray(np.clip(scaled.T @ scaled, -1, 1))


def pairs_above(correlations: Floats, threshold: float) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, correlated by at least `threshold`; the weakest first, for whoever reviews them."""
    rows, columns = np.nonzero(np.triu(correlations >= threshold - 1e-12, k=1))
    order = np.argsort(correlations[rows, columns], kind="stable")
    return list(zip(rows[order].tolist(), columns[order].tolist(), strict=True))


def clusters(pairs: Iterable[tuple[Node, Node]]) -> list[set[Node]]:
    """What the pairs join together, directly or over others."""
    cluster_of: dict[Node, set[Node]] = {}
    for one, other in pairs:
        first, second = cluster_of.setdefault(one, {one}), cluster_of.setdefault(other, {other})
        if first is not second:
            first |= second
            cluster_of.update(dict.fromkeys(second, first))
    return list({id(cluster): cluster for cluster in cluster_of.values()}.values())
