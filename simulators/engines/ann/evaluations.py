"""How many distances a search computed: the cost that no machine and no neighbour on it disturbs.

Graphs of faiss count for themselves. What an inverted file compares follows from the cells it visits. hnswlib does not tell, but a walk
that ends at the ef-th match has opened every node nearer than it, and so has compared all their links.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.index import DEFAULT_NPROBE, AnnIndex, SearchResult
from simulators.engines.ann.library import faiss_library
from simulators.engines.ann.masks import BoolArray, IdArray


class Counter:
    """Made before a search, asked after it."""

    def __init__(self, index: AnnIndex, *, all_kinds: bool = True) -> None:
        """all_kinds   False: inverted files, whose count takes a search of its own, are left uncounted"""
        self._index, self._all_kinds = index, all_kinds
        self._before = self._so_far()

    def of(self, queries: FloatArray, mask: BoolArray | None, *, nprobe: int | None = None, **_: Any) -> float | None:
        """Distances computed since then, mean over queries [q, d]; None where nobody tells."""
        index = self._index
        if index.params.library == "hnswlib" or not len(queries):
            return None
        if index.kind.startswith("hnsw"):
            return (self._so_far() - self._before) / len(queries)
        if index.kind.startswith("ivf"):
            if not self._all_kinds:
                return None
            return _in_cells(index._engine, queries, nprobe or min(DEFAULT_NPROBE, index.params.nlist), mask)
        return float(index.n if mask is None else mask.sum())

    def _so_far(self) -> int:
        walks = self._index.walks
        return int(faiss_library().cvar.hnsw_stats.ndis) + (walks.two_hop.evaluations if walks else 0)


def walked(index: AnnIndex, queries: FloatArray, found: SearchResult) -> float | None:
    """Distances an "accepted" walk computed, mean over queries; `found` [q, ef_search] holds all it kept. None for hnswlib's own index."""
    if index.walks is None or not len(queries):
        return None
    graph, last = index.walks.graph, index.rows(found.ids)[:, -1]
    each = [_opened(graph.ground, graph.distances(query, index.metric), int(end)) for query, end in zip(queries, last, strict=True)]
    return float(np.mean(each))


def _opened(ground: npt.NDArray[np.int32], distances: FloatArray, last: int) -> int:
    """Nodes compared by a walk that opens all nodes up to the last one it kept; the whole graph where it found fewer than it wanted."""
    if last < 0:
        return len(ground)
    opened = distances <= distances[last]
    compared = np.append(opened, False)  # one more, where the -1 behind the last link points
    compared[ground[opened]] = True
    return int(compared[:-1].sum())


def _in_cells(engine: Any, queries: FloatArray, nprobe: int, mask: BoolArray | None) -> float:
    """Centroids compared, and the passing vectors of the cells visited."""
    ivf = faiss_library().extract_index_ivf(engine)
    _, cells = ivf.quantizer.search(queries, nprobe)
    visited, times = np.unique(cells, return_counts=True)
    compared = [_passing(ivf.invlists, int(cell), mask) for cell in visited]
    return float(ivf.nlist + np.dot(compared, times) / len(queries))


def _passing(lists: Any, cell: int, mask: BoolArray | None) -> int:
    size = lists.list_size(cell)
    if mask is None or not size:
        return int(size)
    ids: IdArray = faiss_library().rev_swig_ptr(lists.get_ids(cell), size)
    return int(mask[ids].sum())
