"""Where vectors lie in a fleet and which shards a query must ask: by tenant, by id range or by cluster.

tenant    a tenant stays whole on one shard, the largest placed first, each on the emptiest shard (LPT, Graham 1969)
id_range  equal parts at random, every query asks all of them
cluster   k-means cells as shards, a query asks the `visited` nearest: less fan-out, and true neighbours beyond the border are lost
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulators.engines.ann import data, kmeans, truth
from simulators.engines.steps import Steps

Floats = npt.NDArray[np.float64]
_PLACED_ONE_BY_ONE = 5_000  # tenants; the rest are slivers that level the shards
_N, _D, _QUERIES = 20_000, 64, 200
_K = 10


def tenant_sizes(tenants: int, zipf: float) -> Floats:
    """Shares of the corpus [tenants], the r-th largest in proportion to r^-zipf."""
    weights = np.arange(1, tenants + 1) ** -zipf
    shares: Floats = weights / weights.sum()
    return shares


def place_tenants(sizes: Floats, shards: int) -> Floats:
    """Share of the corpus on each shard [shards] when tenants, sorted by falling size, go whole to the emptiest one."""
    filled = [(0.0, shard) for shard in range(shards)]
    for size in sizes[:_PLACED_ONE_BY_ONE].tolist():
        least, shard = filled[0]
        heapq.heapreplace(filled, (least + size, shard))
    shares = np.zeros(shards)
    for share, shard in filled:
        shares[shard] = share
    return _levelled(shares, float(sizes[_PLACED_ONE_BY_ONE:].sum()))


def largest_to_mean(shares: Floats) -> float:
    return float(shares.max() / shares.mean())


def kept_by_k_per_shard(shards: int, k_per_shard: int, k: int = _K) -> float:
    """Expected share of the true top k that survives when each of `shards` random shards returns only its best k_per_shard.

    How many of the top k lie on one shard is binomial (k, 1 / shards); a shard returns at most k_per_shard of them.
    """
    on_one = stats.binom(k, 1 / shards)
    held = np.arange(k + 1)
    return float(shards * (on_one.pmf(held) * np.minimum(held, k_per_shard)).sum() / k)


class Routing(NamedTuple):
    """Clusters as shards, of the world of `data` at 20,000 x 64, where exact neighbours are known."""

    shares: Floats  # [shards], of the vectors
    order: npt.NDArray[np.int64]  # [queries, shards]: shards by falling similarity of the centroid
    found: npt.NDArray[np.bool_]  # [queries, shards, k]: true neighbour j lies on shard order[q, i]

    def recall(self, visited: int) -> float:
        """Share of the true top 10 on the `visited` nearest shards: no index behind them finds more."""
        return float(self.found[:, :visited].any(axis=1).mean())


def cluster_routing_steps(shards: int, *, seed: int) -> Steps[Routing]:
    """Cuts the world into `shards` k-means cells and finds where each query's neighbours lie."""
    vectors = yield from data.clustered_steps(_N, _D, _QUERIES, seed=seed)
    centroids = yield from kmeans.kmeans_steps(vectors.base, shards, spherical=True, seed=seed)
    exact = yield from truth.exact_steps(vectors.base, vectors.queries, _K)
    home = truth.exact_knn(centroids, vectors.base, 1).ids[:, 0]
    yield 0.9
    order = np.argsort(-(vectors.queries @ centroids.T), axis=1, kind="stable").astype(np.int64)
    shares = np.bincount(home, minlength=shards) / len(home)
    return Routing(shares, order, order[:, :, None] == home[exact.ids][:, None, :])


def _levelled(filled: Floats, rest: float) -> Floats:
    """`filled` with `rest` poured in, as water into connected vessels."""
    ascending = np.sort(filled)
    counts = np.arange(1, len(filled) + 1)
    levels = (rest + np.cumsum(ascending)) / counts  # of the surface, if only the lowest `counts` vessels got any
    wet = int(np.flatnonzero(levels >= ascending)[-1]) if rest > 0 else 0
    return np.maximum(filled, levels[wet]) if rest > 0 else filled
