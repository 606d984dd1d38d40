"""Filtered search that compares only rows that pass, found up to two links away: ACORN-1 (Patel et al. 2024, arXiv 2403.04871).

A plain walk through an HNSW graph spends its comparisons on rows it must reject. Here the neighbours of a node are its own and those of
its neighbours; of these only passing, unseen ones are compared, at most 2M. No filter need be known when the graph is built. Where
fewer than about one in a thousand passes, two hops hold no further match and the walk ends early: list the matches instead.

In numpy, to be read; its cost is counted in distance evaluations, since its time would compare Python with C++.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.library import faiss_library

IntArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Graph:
    """The graph of a faiss HNSW index, as arrays."""

    vectors: FloatArray  # [n, d]
    levels: IntArray  # [n], how many layers a node is on, at least 1
    ground: IntArray  # [n, 2M], links of the lowest layer, -1 behind the last
    neighbours: IntArray  # links of all layers, node by node
    starts: npt.NDArray[np.int64]  # [n], where a node's links begin in `neighbours`
    entry: int  # node on the highest layer
    M: int
    ef_construction: int

    def distances(self, query: FloatArray, metric: str, nodes: npt.NDArray[Any] | slice = slice(None)) -> FloatArray:
        """Of query [d] to nodes, or to all: squared distance, or the inner product with its sign turned. Lower is nearer."""
        vectors = self.vectors[nodes]
        distances: FloatArray = np.square(vectors - query).sum(axis=1) if metric == "l2" else -(vectors @ query)
        return distances

    def links(self, node: int, level: int) -> IntArray:
        """Links of a node on a layer; 0 is the lowest."""
        width = self.ground.shape[1]
        start = int(self.starts[node]) + (width + (level - 1) * self.M if level else 0)
        own = self.neighbours[start : start + (self.M if level else width)]
        return own[own >= 0]


def graph_of(engine: Any) -> Graph:
    """The graph of a faiss `IndexHNSWFlat`."""
    faiss, hnsw = faiss_library(), engine.hnsw
    n, d, width = engine.ntotal, engine.d, hnsw.nb_neighbors(0)
    codes = faiss.vector_to_array(faiss.downcast_index(engine.storage).codes)
    neighbours = faiss.vector_to_array(hnsw.neighbors)
    starts = faiss.vector_to_array(hnsw.offsets)[:n].astype(np.int64)
    return Graph(
        vectors=codes.view(np.float32).reshape(n, d),
        levels=faiss.vector_to_array(hnsw.levels),
        ground=neighbours[starts[:, None] + np.arange(width)],
        neighbours=neighbours,
        starts=starts,
        entry=int(hnsw.entry_point),
        M=int(hnsw.nb_neighbors(1)),
        ef_construction=int(hnsw.efConstruction),
    )


class TwoHop:
    """The walk. `evaluations` counts every distance since the object was made, as faiss's `hnsw_stats` do."""

    def __init__(self, graph: Graph, metric: str) -> None:
        self._graph, self._metric = graph, metric
        self.evaluations = 0

    def calls(
        self, mask: BoolArray, queries: FloatArray, scores: FloatArray, ids: npt.NDArray[np.int64], ef_search: int
    ) -> Iterator[Callable[[], None]]:
        """A call a query that fills its row of scores and ids [q, k]."""

        def ask(i: int) -> None:
            found = self._walk(queries[i], mask, max(ef_search, ids.shape[1]))[: ids.shape[1]]
            ids[i, : len(found)] = [node for _, node in found]
            scores[i, : len(found)] = [distance if self._metric == "l2" else -distance for distance, _ in found]

        return (partial(ask, i) for i in range(len(queries)))

    def _distances(self, query: FloatArray, nodes: npt.NDArray[Any]) -> FloatArray:
        self.evaluations += len(nodes)
        return self._graph.distances(query, self._metric, nodes)

    def _walk(self, query: FloatArray, mask: BoolArray, ef: int) -> list[tuple[float, int]]:
        """The ef nearest passing nodes that were met, as (distance, node), nearest first."""
        start = self._descend(query)
        seen = np.zeros(len(mask), dtype=np.bool_)
        seen[start[1]] = True
        open_nodes = [start]  # nearest first
        kept = [(-start[0], start[1])] if mask[start[1]] else []  # passing ones, farthest first
        while open_nodes:
            distance, node = heapq.heappop(open_nodes)
            if len(kept) == ef and distance > -kept[0][0]:
                break
            near = self._passing_within_two(node, mask, seen, bool(kept))
            seen[near] = True
            for away, other in zip(self._distances(query, near).tolist(), near.tolist(), strict=True):
                if len(kept) == ef and away >= -kept[0][0]:
                    continue
                heapq.heappush(open_nodes, (away, other))
                if mask[other]:
                    heapq.heappush(kept, (-away, other))
                    if len(kept) > ef:
                        heapq.heappop(kept)
        return sorted((-away, node) for away, node in kept)

    def _passing_within_two(self, node: int, mask: BoolArray, seen: BoolArray, arrived: bool) -> IntArray:
        """Unseen passing nodes one or two links away, the closer links first, at most 2M of them. Until a first match is met, and where
        there is none, the node's own neighbours whether they pass or not: the walk has to get to where matches are."""
        ground = self._graph.ground
        one: IntArray = ground[node][ground[node] >= 0]
        reach = np.concatenate([one, ground[one].ravel()])
        reach = reach[reach >= 0]
        reach = reach[mask[reach] & ~seen[reach]]
        if not len(reach) and not arrived:
            unseen: IntArray = one[~seen[one]]
            return unseen
        _, first = np.unique(reach, return_index=True)
        nearest_by_links: IntArray = reach[np.sort(first)[: ground.shape[1]]]
        return nearest_by_links

    def _descend(self, query: FloatArray) -> tuple[float, int]:
        """The nearest node of the layers above the ground, by greedy steps from the entry: (distance, node)."""
        node = self._graph.entry
        distance = float(self._distances(query, np.array([node]))[0])
        for level in range(int(self._graph.levels[node]) - 1, 0, -1):
            while len(near := self._graph.links(node, level)):
                away = self._distances(query, near)
                if away.min() >= distance:
                    break
                distance, node = float(away.min()), int(near[away.argmin()])
        return distance, node
