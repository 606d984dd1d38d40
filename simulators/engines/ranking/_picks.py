"""The loops behind `rerank` that choose item by item, over many pages at once. Compiled by numba on first use.

Vectors come as units (S, d, n), one coordinate a row, so that the cosines of all items with the chosen one are d vectorised additions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.engines.compiled import compiled

RIDGE = 1e-6  # on the diagonal of the DPP's similarities, so that a page may be longer than the vectors


def _closest(scores: Any, unit: Any, lam: float, order: Any) -> None:
    """Maximal marginal relevance: lam x score - (1 - lam) x largest cosine with what stands above; the first by score alone."""
    pages, n = scores.shape
    for page in range(pages):
        nearest, taken = np.full(n, -np.inf), np.zeros(n, np.bool_)
        for place in range(order.shape[1]):
            best, best_gain = -1, 0.0
            for i in range(n):
                gain = scores[page, i] if place == 0 else lam * scores[page, i] - (1.0 - lam) * nearest[i]
                if not taken[i] and (best < 0 or gain > best_gain):
                    best, best_gain = i, gain
            order[page, place], taken[best] = best, True
            cosine = np.zeros(n)
            for axis in range(unit.shape[1]):
                part = unit[page, axis, best]
                for i in range(n):
                    cosine[i] += part * unit[page, axis, i]
            nearest = np.maximum(nearest, cosine)


def _satiated(value: Any, unit: Any, gamma: float, order: Any) -> None:
    """Each place goes to the item worth most after what stands above it: value x exp(-gamma x sum of squared positive cosines)."""
    pages, n = value.shape
    for page in range(pages):
        left, taken = value[page].copy(), np.zeros(n, np.bool_)
        for place in range(order.shape[1]):
            best = -1
            for i in range(n):
                if not taken[i] and (best < 0 or left[i] > left[best]):
                    best = i
            order[page, place], taken[best] = best, True
            cosine = np.zeros(n)
            for axis in range(unit.shape[1]):
                part = unit[page, axis, best]
                for i in range(n):
                    cosine[i] += part * unit[page, axis, i]
            left *= np.exp(-gamma * np.maximum(cosine, 0.0) ** 2)


def _determinant(log_quality: Any, unit: Any, order: Any) -> None:
    """Fast greedy MAP of a determinantal point process (Chen, Zhang & Zhou 2018, algorithm 1).

    A new item multiplies det(L) by q^2 x `rest`, its squared distance from the span of the chosen. Kept apart from q, `rest` stays within
    [RIDGE, 1 + RIDGE] however strong the quality is; rows of `factor` are Cholesky factors of the chosen.
    """
    pages, n = log_quality.shape
    for page in range(pages):
        rest, taken, factor = np.full(n, 1.0 + RIDGE), np.zeros(n, np.bool_), np.zeros((order.shape[1], n))
        for place in range(order.shape[1]):
            best, best_gain = -1, 0.0
            for i in range(n):
                if not taken[i]:
                    gain = 2.0 * log_quality[page, i] + np.log(max(rest[i], RIDGE))
                    if best < 0 or gain > best_gain:
                        best, best_gain = i, gain
            order[page, place], taken[best] = best, True
            row = factor[place]
            for axis in range(unit.shape[1]):
                part = unit[page, axis, best]
                for i in range(n):
                    row[i] += part * unit[page, axis, i]
            for above in range(place):
                part = factor[above, best]
                for i in range(n):
                    row[i] -= part * factor[above, i]
            row /= np.sqrt(max(rest[best], RIDGE))
            rest -= row * row


def warm_up() -> None:
    """Compiles the loops, or loads what an earlier process compiled."""
    one, unit, order = np.ones((1, 1)), np.ones((1, 1, 1)), np.zeros((1, 1), np.int64)
    compiled(_closest)(one, unit, 1.0, order)
    compiled(_satiated)(one, unit, 1.0, order)
    compiled(_determinant)(one, unit, order)
