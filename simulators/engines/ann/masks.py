"""How an index searches only the rows that pass a filter, and when such a search stops.

visited    the library's selector: rejected nodes are walked and use up ef_search like any other, so cost is constant and recall falls
           with the share that passes (faiss `IDSelector`)
accepted   the walk goes on until ef_search accepted nodes are found, so recall is constant and cost grows as 1 / share (hnswlib's filter)
two_hop    only passing nodes are compared, found up to two links away (ACORN-1, see `two_hop`)

The rule concerns graphs. Exact search and inverted files reject rows without any loss: what they visit does not depend on the filter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.build import BuildParams
from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.library import faiss_library
from simulators.engines.ann.two_hop import Graph, TwoHop, graph_of
from simulators.errors import InvalidInput

Stop = Literal["visited", "accepted", "two_hop"]
STOPS: tuple[str, ...] = get_args(Stop)
BoolArray = npt.NDArray[np.bool_]
IdArray = npt.NDArray[np.int64]
Calls = Iterator[Callable[[], None]]


def checked_mask(mask: npt.ArrayLike, n: int) -> BoolArray:
    """The mask as bool [n], or InvalidInput."""
    given = np.asarray(mask)
    if given.ndim != 1 or len(given) != n:
        rows = f"{len(given):,} rows" if given.ndim == 1 else f"the shape {given.shape}"
        raise InvalidInput(f"mask has {rows}, base {n:,}", field="mask")
    if given.dtype != np.bool_:
        raise InvalidInput(f"mask holds {given.dtype}, expected bool: True where a row passes", field="mask")
    return np.ascontiguousarray(given)


def check_stop(kind: str, params: BuildParams, stop: str) -> None:
    """Raises InvalidInput where the index cannot stop that way, with what can."""
    if stop not in STOPS:
        raise InvalidInput(f"stop {stop!r} was given; expected one of {', '.join(STOPS)}", field="stop")
    if params.library == "hnswlib" and stop != "accepted":
        raise InvalidInput(f"hnswlib has no stop {stop!r}; expected accepted, or library faiss for the others", field="stop")
    if kind == "hnsw_sq8" and stop != "visited":
        raise InvalidInput(f"stop {stop!r} compares whole vectors and hnsw_sq8 holds codes; expected visited, or kind hnsw", field="stop")


def whole_vectors(engine: Any, kind: str, params: BuildParams) -> FloatArray:
    """What a faiss or hnswlib index compares [n, d], by row: a view where the index holds it in one piece."""
    if params.library == "hnswlib":
        return np.ascontiguousarray(engine.get_items(np.arange(engine.element_count)), dtype=np.float32)
    if kind == "ivf_flat":
        engine.make_direct_map()
        return engine.reconstruct_n(0, engine.ntotal)  # type: ignore[no-any-return]
    if kind not in ("flat", "hnsw"):
        raise InvalidInput(f"{kind} holds codes, not vectors; expected flat, ivf_flat or hnsw, or the vectors beside it", field="kind")
    faiss = faiss_library()
    flat = faiss.downcast_index(engine if kind == "flat" else engine.storage)
    view: FloatArray = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
    return view


def selector(mask: BoolArray) -> Any:
    """faiss's selector of the rows that pass: a bit a row. Keeps its bits alive."""
    bits = np.packbits(mask, bitorder="little")
    made = faiss_library().IDSelectorBitmap(bits)
    made.bits = bits
    return made


def exact_calls(vectors: FloatArray, metric: str, rows: IdArray, queries: FloatArray, scores: FloatArray, ids: IdArray) -> Calls:
    """A call a query: the nearest among `rows` of vectors [n, d], compared where they lie. Fills its row of scores and ids [q, k]."""
    faiss, kept = faiss_library(), min(ids.shape[1], len(rows))
    if not kept:
        return iter([lambda: None] * len(queries))
    compare = faiss.knn_L2sqr_by_idx if metric == "l2" else faiss.knn_inner_products_by_idx
    pointer, n, d = faiss.swig_ptr, *vectors.shape
    base, subset = pointer(vectors), pointer(rows)

    def ask(i: int) -> None:
        compare(pointer(queries[i : i + 1]), base, subset, d, 1, n, len(rows), kept, pointer(scores[i : i + 1]), pointer(ids[i : i + 1]))

    return (partial(ask, i) for i in range(len(queries)))


# --- graphs ----------------------------------------------------------------------------------------------------------


class GraphWalks:
    """The walks faiss does not offer, over the graph of a faiss HNSW index of whole vectors. Each is made when first asked for."""

    def __init__(self, engine: Any, metric: str) -> None:
        self.n, self.metric = int(engine.ntotal), metric
        self.graph = graph_of(engine)
        self._twin: _Twin | None = None
        self.two_hop = TwoHop(self.graph, metric)

    def calls(self, stop: str, mask: BoolArray, queries: FloatArray, scores: FloatArray, ids: IdArray, ef_search: int) -> Calls:
        """A call a query that fills its row of scores and ids [q, k]."""
        if stop == "two_hop":
            return self.two_hop.calls(mask, queries, scores, ids, ef_search)
        self._twin = self._twin or _Twin(self.graph, self.metric)
        return self._twin.calls(mask, queries, scores, ids, ef_search)


class _Twin:
    """The same graph in hnswlib. Rejected rows carry hnswlib's mark for deleted ones: they are walked and not returned, as by its filter
    function, which asks Python about every node and takes ten times as long."""

    def __init__(self, graph: Graph, metric: str) -> None:
        self.engine = hnswlib_from(graph, metric)
        self.metric = metric
        self._passing = np.ones(len(graph.vectors), dtype=np.bool_)

    def calls(self, mask: BoolArray, queries: FloatArray, scores: FloatArray, ids: IdArray, ef_search: int) -> Calls:
        for row in np.flatnonzero(self._passing & ~mask).tolist():
            self.engine.mark_deleted(row)
        for row in np.flatnonzero(mask & ~self._passing).tolist():
            self.engine.unmark_deleted(row)
        self._passing = mask.copy()
        return hnswlib_calls(self.engine, self.metric, queries, scores, ids, ef_search, matches=int(mask.sum()))


def hnswlib_calls(
    engine: Any,
    metric: str,
    queries: FloatArray,
    scores: FloatArray,
    ids: IdArray,
    ef_search: int,
    *,
    matches: int,
    mask: BoolArray | None = None,
) -> Calls:
    """A call a query of hnswlib; `mask` by its filter function. `matches`: how many rows can be found at all."""
    engine.set_ef(max(ef_search, ids.shape[1]))
    passes = None if mask is None else mask.tolist().__getitem__

    def ask(i: int) -> None:
        found, distances = _as_many_as_there_are(engine, queries[i : i + 1], min(ids.shape[1], matches), passes)
        ids[i, : found.shape[1]] = found
        scores[i, : found.shape[1]] = distances if metric == "l2" else 1 - distances

    return (partial(ask, i) for i in range(len(queries)))


def _as_many_as_there_are(engine: Any, query: FloatArray, k: int, passes: Callable[[int], bool] | None) -> tuple[Any, Any]:
    """hnswlib returns k neighbours or raises: where the graph does not reach as many, fewer are asked for."""
    for fewer in range(k, 0, -1):
        try:
            return engine.knn_query(query, fewer, num_threads=1, filter=passes)  # type: ignore[no-any-return]
        except RuntimeError:
            continue
    return np.empty((1, 0), np.int64), np.empty((1, 0), np.float32)


def hnswlib_from(graph: Graph, metric: str) -> Any:
    """The graph of a faiss index as an hnswlib index, written in hnswlib's file format (`HierarchicalNSW::saveIndex`, version 0.8)."""
    import hnswlib

    d = graph.vectors.shape[1]
    index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=d)
    with tempfile.NamedTemporaryFile() as file:
        for part in _hnswlib_file(graph):
            file.write(part)
        file.flush()
        index.load_index(file.name, max_elements=len(graph.vectors))
    index.set_num_threads(1)
    return index


def _hnswlib_file(graph: Graph) -> Iterator[bytes]:
    n, d = graph.vectors.shape
    width = graph.ground.shape[1]  # 2M
    node = np.dtype([("count", "<u4"), ("links", "<u4", (width,)), ("vector", "<f4", (d,)), ("label", "<u8")])
    yield np.array([0, n, n, node.itemsize, node.fields["label"][1], node.fields["vector"][1]], "<u8").tobytes()  # type: ignore[index]
    yield np.array([graph.levels.max() - 1], "<i4").tobytes() + np.array([graph.entry], "<u4").tobytes()
    yield np.array([graph.M, width, graph.M], "<u8").tobytes() + np.array([1 / np.log(graph.M)], "<f8").tobytes()
    yield np.array([graph.ef_construction], "<u8").tobytes()
    nodes = np.zeros(n, dtype=node)
    nodes["count"], nodes["links"] = _counted(graph.ground)
    nodes["vector"], nodes["label"] = graph.vectors, np.arange(n)
    yield nodes.tobytes()
    for row, level in enumerate(graph.levels.tolist()):
        upper = [graph.links(row, above) for above in range(1, level)]
        yield np.array([4 * (graph.M + 1) * len(upper)], "<u4").tobytes()
        for links in upper:
            yield np.concatenate([[len(links)], links, np.zeros(graph.M - len(links))]).astype("<u4").tobytes()


def _counted(links: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]:
    """How many links each row has, and the links with nothing after them. faiss puts -1 only behind the last."""
    return (links >= 0).sum(axis=1), np.maximum(links, 0).astype(np.uint32)
