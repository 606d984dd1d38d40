# mypy: disable-error-code="untyped-decorator"
"""Growing one tree of a causal forest and walking down it: loops over rows, compiled by numba.

Only a process that fits a forest imports this module.

A tree is flat arrays over its nodes. Node 0 is the root; `feature` -1 marks a leaf; rows whose bin is at most `cut` go to child `left`, the
others to `left + 1`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _best_split(bins: Any, uv: Any, vv: Any, rows: Any, min_leaf: int, n_bins: int) -> Any:
    """(feature, cut) with the largest sum(uv)^2 / sum(vv) over both sides; (-1, 0) where no split leaves enough rows or gains."""
    features = bins.shape[1]
    sums = np.zeros((features, n_bins, 3))
    for row in rows:
        for j in range(features):
            cell = sums[j, bins[row, j]]
            cell[0] += uv[row]
            cell[1] += vv[row]
            cell[2] += 1.0
    total = sums[0].sum(axis=0)
    best, best_feature, best_cut = total[0] ** 2 / total[1] * (1 + 1e-9), -1, 0
    for j in range(features):
        num = den = count = 0.0
        for k in range(n_bins - 1):
            num += sums[j, k, 0]
            den += sums[j, k, 1]
            count += sums[j, k, 2]
            if count < min_leaf or total[2] - count < min_leaf:
                continue
            gain = num**2 / den + (total[0] - num) ** 2 / (total[1] - den)
            if gain > best:
                best, best_feature, best_cut = gain, j, k
    return best_feature, best_cut


@njit(cache=True, nogil=True)
def _partition(bins: Any, rows: Any, spare: Any, feature: int, cut: int) -> Any:
    """Moves the rows of the left child to the front, in place; returns how many they are."""
    kept = moved = 0
    for row in rows:
        if bins[row, feature] <= cut:
            rows[kept] = row
            kept += 1
        else:
            spare[moved] = row
            moved += 1
    rows[kept:] = spare[:moved]
    return kept


@njit(cache=True, nogil=True)
def grow(bins: Any, uv: Any, vv: Any, rows: Any, min_leaf: int, max_depth: int, n_bins: int) -> Any:
    """Best split first come: nodes are split in the order they were made, until none gains or has the rows."""
    room = 2 * (len(rows) // min_leaf) + 1
    feature, cut, left = np.full(room, -1, np.int32), np.zeros(room, np.int32), np.zeros(room, np.int32)
    start, stop, depth = np.zeros(room, np.int64), np.zeros(room, np.int64), np.zeros(room, np.int64)
    spare = np.empty_like(rows)
    stop[0] = len(rows)
    nodes, node = 1, 0
    while node < nodes:
        a, b = start[node], stop[node]
        if b - a >= 2 * min_leaf and depth[node] < max_depth:
            best_feature, best_cut = _best_split(bins, uv, vv, rows[a:b], min_leaf, n_bins)
            if best_feature >= 0:
                feature[node], cut[node], left[node] = best_feature, best_cut, nodes
                middle = a + _partition(bins, rows[a:b], spare, best_feature, best_cut)
                start[nodes], stop[nodes], start[nodes + 1], stop[nodes + 1] = a, middle, middle, b
                depth[nodes] = depth[nodes + 1] = depth[node] + 1
                nodes += 2
        node += 1
    return feature[:nodes], cut[:nodes], left[:nodes]


@njit(cache=True, nogil=True)
def _leaf_of(bins: Any, row: int, feature: Any, cut: Any, left: Any) -> Any:
    node = 0
    while feature[node] >= 0:
        node = left[node] + (1 if bins[row, feature[node]] > cut[node] else 0)
    return node


@njit(cache=True, nogil=True)
def fill(bins: Any, uv: Any, vv: Any, rows: Any, feature: Any, cut: Any, left: Any) -> Any:
    """Means of uv and vv over the given rows of each leaf; 0 for a leaf that none of them reaches."""
    sums, counts = np.zeros((len(feature), 2)), np.zeros(len(feature))
    for row in rows:
        leaf = _leaf_of(bins, row, feature, cut, left)
        sums[leaf, 0] += uv[row]
        sums[leaf, 1] += vv[row]
        counts[leaf] += 1.0
    for leaf in range(len(counts)):
        if counts[leaf] > 0:
            sums[leaf] /= counts[leaf]
    return sums[:, 0].copy(), sums[:, 1].copy()


@njit(cache=True, nogil=True)
def add_leaves(bins: Any, feature: Any, cut: Any, left: Any, uv: Any, vv: Any, out_uv: Any, out_vv: Any) -> None:
    """Adds to each row's sums what its leaf holds."""
    for row in range(len(bins)):
        leaf = _leaf_of(bins, row, feature, cut, left)
        out_uv[row] += uv[leaf]
        out_vv[row] += vv[leaf]
