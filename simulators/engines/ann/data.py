"""Vectors whose exact neighbours are known, and readers for the user's own (`files`).

The world: real embeddings crowd into topics of very different size and have far fewer degrees of freedom than coordinates. So points are
drawn from Gaussian clusters, the r-th most popular with weight r^-0.7 (Zipf), in a latent space of rank 32; a random linear map carries
them to d dimensions, where they get unit length and a little noise. Queries are further draws of the same mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.files import read_ivecs, read_vectors
from simulators.engines.steps import Steps, blocks, finish

__all__ = ["Vectors", "clustered_steps", "clustered_vectors", "read_ivecs", "read_vectors", "shifted", "unit_length"]

FloatArray = npt.NDArray[np.float32]
RANK = 32  # degrees of freedom of the latent space
SPREAD = 0.7  # of a cluster around its centre, in units of the spread of the centres
NOISE = 0.02  # per coordinate of a vector of unit length
ZIPF = 0.7
BLOCK_VALUES = 1 << 20  # numbers drawn between two yields: about 20 ms


@dataclass(frozen=True)
class Vectors:
    base: FloatArray  # [n, d], unit length
    queries: FloatArray  # [q, d], unit length, none of them in the base
    base_cluster: npt.NDArray[np.int32]  # [n]
    query_cluster: npt.NDArray[np.int32]  # [q]


@dataclass(frozen=True)
class _Mixture:
    centres: FloatArray  # [clusters, rank]
    projection: FloatArray  # [rank, d]
    cumulative: npt.NDArray[np.float64]  # [clusters], of the Zipf weights


def clustered_vectors(n: int, d: int, n_queries: int, *, seed: int, clusters: int = 200, query_shift: float = 0.0) -> Vectors:
    """n base vectors and n_queries held-out queries in d dimensions.

    query_shift   0: queries come from the base's mixture; 1: they point in random directions; between: a blend, of unit length.
    One random stream a purpose: the first 1,000 vectors are the same for every n, and the base is the same for every query_shift.
    """
    return finish(clustered_steps(n, d, n_queries, seed=seed, clusters=clusters, query_shift=query_shift))


def clustered_steps(n: int, d: int, n_queries: int, *, seed: int, clusters: int = 200, query_shift: float = 0.0) -> Steps[Vectors]:
    """`clustered_vectors` in steps."""
    mixture = _mixture(d, clusters, seed)
    base, base_cluster = yield from _draws(mixture, n, seed, "base")
    queries, query_cluster = yield from _draws(mixture, n_queries, seed, "queries")
    return Vectors(base, shifted(queries, query_shift, seed=seed), base_cluster, query_cluster)


def shifted(queries: FloatArray, query_shift: float, *, seed: int) -> FloatArray:
    """Queries [q, d] blended with random directions by share `query_shift`, of unit length: out-of-distribution queries."""
    if not query_shift:
        return queries
    away = unit_length(_stream(seed, "shift").standard_normal(queries.shape, dtype=np.float32))
    return unit_length((1 - query_shift) * queries + query_shift * away)


def unit_length(vectors: FloatArray) -> FloatArray:
    """Each row divided by its length. Rows of zeros stay zeros: they have no direction."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled


def _mixture(d: int, clusters: int, seed: int) -> _Mixture:
    rank = min(RANK, d)
    weights = np.arange(1, clusters + 1) ** -ZIPF
    return _Mixture(
        centres=_stream(seed, "centres").standard_normal((clusters, rank), dtype=np.float32),
        projection=_stream(seed, "projection").standard_normal((rank, d), dtype=np.float32),
        cumulative=np.cumsum(weights / weights.sum()),
    )


def _draws(mixture: _Mixture, n: int, seed: int, purpose: str) -> Steps[tuple[FloatArray, npt.NDArray[np.int32]]]:
    rank, d = mixture.projection.shape
    which, latent, noise = (_stream(seed, f"{purpose}/{part}") for part in ("which", "latent", "noise"))
    cluster = np.searchsorted(mixture.cumulative, which.random(n)).clip(max=len(mixture.centres) - 1).astype(np.int32)
    vectors = np.empty((n, d), dtype=np.float32)
    for block in blocks(n, max(1, BLOCK_VALUES // d)):
        own = mixture.centres[cluster[block]]
        points = own + SPREAD * latent.standard_normal(own.shape, dtype=np.float32)
        clean = unit_length(points @ mixture.projection)
        vectors[block] = unit_length(clean + NOISE * noise.standard_normal(clean.shape, dtype=np.float32))
        yield block.stop / n
    return vectors, cluster


def _stream(seed: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())))
