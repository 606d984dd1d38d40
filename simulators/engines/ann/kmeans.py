"""Lloyd's k-means for the cells of an inverted file (Lloyd 1982; spherical variant Dhillon & Modha 2001), in steps.

faiss trains in one call that nobody can interrupt: 4,096 cells of 768 dimensions take minutes. Here an iteration yields between blocks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.library import faiss_library
from simulators.engines.steps import Steps, blocks

ITERATIONS = 10
POINTS_PER_CENTROID = 64  # more training points move the cells little and cost in proportion
_BLOCK_PRODUCTS = 1 << 30  # multiplications between two yields: about 20 ms


def kmeans_steps(vectors: FloatArray, k: int, *, spherical: bool, seed: int) -> Steps[FloatArray]:
    """k centroids [k, d] of vectors [n, d], n >= k.

    spherical   centroids keep unit length, so that the nearest one by inner product is the nearest one
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    sample = vectors[rng.permutation(len(vectors))[: POINTS_PER_CENTROID * k]]
    centroids = unit_length(sample[:k]) if spherical else sample[:k].copy()
    for iteration in range(ITERATIONS):
        sums, counts = np.zeros_like(centroids), np.zeros(k)
        for block in blocks(len(sample), max(64, _BLOCK_PRODUCTS // centroids.size)):
            members = _membership(sample[block], centroids)
            sums += members @ sample[block]
            counts += np.asarray(members.sum(axis=1)).ravel()
            yield (iteration + block.stop / len(sample)) / ITERATIONS
        centroids = _means(sums, counts, sample, rng)
        centroids = unit_length(centroids) if spherical else centroids
    return centroids


def _membership(points: FloatArray, centroids: FloatArray) -> Any:
    """Sparse [k, points]: 1 where the point's nearest centroid is the row's."""
    _, nearest = faiss_library().knn(points, centroids, 1)
    ones = np.ones(len(points), dtype=np.float32)
    return sparse.csc_array((ones, nearest[:, 0], np.arange(len(points) + 1)), shape=(len(centroids), len(points)))


def _means(sums: FloatArray, counts: npt.NDArray[np.float64], sample: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Mean of each cell; an empty one starts again at a random point."""
    means: FloatArray = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    empty = np.flatnonzero(counts == 0)
    means[empty] = sample[rng.integers(len(sample), size=len(empty))]
    return means
