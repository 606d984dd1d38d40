"""One face for ten kinds of index: build, search one query at a time with the clock running, weigh, save, load."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import build, masks
from simulators.engines.ann.build import KINDS, BuildParams
from simulators.engines.ann.data import FloatArray, unit_length
from simulators.engines.ann.files import check_directions
from simulators.engines.ann.library import METRICS, faiss_library, faiss_metric
from simulators.engines.ann.updates import DeleteReport, Updatable
from simulators.engines.steps import Steps, finish, timed
from simulators.errors import InvalidInput

__all__ = ["KINDS", "METRICS", "AnnIndex", "DeleteReport", "SearchResult", "build_index", "index_steps", "load_index"]

DEFAULT_EF_SEARCH = 64
DEFAULT_NPROBE = 16
DEFAULT_K_FACTOR = 8
IdArray = npt.NDArray[np.int64]


class SearchResult(NamedTuple):
    ids: IdArray  # [q, k], best first, -1 where nothing more was found
    scores: FloatArray  # [q, k]: inner product or cosine (higher is nearer), squared distance for l2 (lower is nearer)
    seconds: npt.NDArray[np.float64]  # [q], wall-clock of each query alone


def build_index(
    base: FloatArray, kind: str, *, metric: str = "ip", seed: int = 0, ids: npt.ArrayLike | None = None, **params: Any
) -> AnnIndex:
    """An index over base [n, d].

    kind     one of KINDS (see `build`)
    metric   "ip", "l2", or "cosine": vectors and queries are scaled to unit length
    ids      int [n], what `search` returns instead of row numbers
    params   fields of `build.BuildParams`: M, ef_construction, nlist, pq_m, nbits, refine, library
    Raises InvalidInput for unknown names and for sizes that do not fit the vectors.
    """
    return finish(index_steps(base, kind, metric=metric, seed=seed, ids=ids, **params))


def index_steps(
    base: FloatArray, kind: str, *, metric: str = "ip", seed: int = 0, ids: npt.ArrayLike | None = None, **params: Any
) -> Steps[AnnIndex]:
    """`build_index` in steps of 5 to 50 ms."""
    unknown = sorted(params.keys() - BuildParams.__dataclass_fields__.keys())
    if unknown:
        raise InvalidInput(f"There is no build parameter {unknown[0]!r}; there are {', '.join(BuildParams.__dataclass_fields__)}")
    chosen = BuildParams(**params)
    faiss_metric(metric)
    base = np.ascontiguousarray(base, dtype=np.float32)
    build.check_build(len(base), base.shape[1], kind, chosen)
    check_directions(base, metric, "base")
    own = None if ids is None else _own_ids(ids, len(base))
    engine, seconds = yield from timed(build.build_steps(_comparable(base, metric), kind, metric, seed, chosen))
    return AnnIndex(kind, metric, base.shape[1], len(base), chosen, engine, own, seconds)


class AnnIndex(Updatable):
    """A built index. Picklable; searches one query at a time on one thread. What changes it is in `updates`."""

    def __init__(
        self, kind: str, metric: str, dim: int, n: int, params: BuildParams, engine: Any, ids: IdArray | None, build_seconds: float
    ) -> None:
        self.kind, self.metric, self.dim, self.n, self.params = kind, metric, dim, n, params
        self.build_seconds = build_seconds
        self._engine, self._ids = engine, ids
        self.walks: masks.GraphWalks | None = None
        self._bytes: int | None = None  # counted when first asked for

    def memory_bytes(self) -> int:
        """Size of the index when serialised, which holds the same arrays as in memory; `ids` of the caller on top."""
        self._bytes = self._bytes or _serialised_bytes(self._engine)
        return self._bytes + (0 if self._ids is None else self._ids.nbytes)

    def _changed(self) -> None:
        self._bytes = self.walks = None

    def search(
        self,
        queries: FloatArray,
        k: int,
        *,
        ef_search: int | None = None,
        nprobe: int | None = None,
        k_factor: float | None = None,
        mask: npt.ArrayLike | None = None,
        stop: str = "visited",
    ) -> SearchResult:
        """The k nearest neighbours of queries [q, d].

        Queries are asked one by one, whatever the kind: in a batch exact search runs as a matrix product and graphs do not, which
        would compare two things. What does not concern the kind is ignored.

        ef_search   HNSW: candidates kept during the search (default 64; at least k are kept)
        nprobe      IVF: cells visited (default 16, or all where there are fewer)
        k_factor    refine: k x this many candidates are re-scored (default 8)
        mask        bool [rows], along `row_ids`: what may be returned. Making a filter of it is not in `seconds`
        stop        HNSW with a mask: when the walk ends, see `masks`
        Raises InvalidInput for a mask of another length and for a stop the index does not have.
        """
        passing = self._passing(mask)
        if passing is not None:
            masks.check_stop(self.kind, self.params, stop)
        queries = self._checked(queries, k, nprobe)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.zeros((len(queries), k), dtype=np.float32)
        seconds = np.empty(len(queries))
        width = {"ef_search": ef_search or DEFAULT_EF_SEARCH, "nprobe": nprobe or min(DEFAULT_NPROBE, self.params.nlist)}
        calls = (
            self._calls(queries, scores, ids, k_factor=k_factor or DEFAULT_K_FACTOR, **width)
            if passing is None
            else self._masked_calls(passing, stop, queries, scores, ids, k_factor=k_factor or DEFAULT_K_FACTOR, **width)
        )
        for i, ask in enumerate(calls):
            started = time.perf_counter()
            ask()
            seconds[i] = time.perf_counter() - started
        return SearchResult(self.named(ids), scores, seconds)

    def named(self, rows: IdArray) -> IdArray:
        """The caller's ids of rows; -1 stays -1."""
        return rows if self._ids is None or not len(self._ids) else np.where(rows < 0, -1, self._ids[rows])

    def rows(self, ids: IdArray) -> IdArray:
        """The rows of ids that `search` returned; -1 stays -1."""
        if self._ids is None:
            return ids
        order = np.argsort(self._ids)
        return np.where(ids < 0, -1, order[np.searchsorted(self._ids, np.maximum(ids, self._ids[order[0]]), sorter=order)])

    def vectors(self) -> FloatArray:
        """The vectors [n, d] as they are compared, by row; InvalidInput for an index that holds codes."""
        if self.n < len(self.row_ids) and (self.kind == "ivf_flat" or self.params.library == "hnswlib"):
            raise InvalidInput(
                f"{self.kind} no longer holds the vectors of deleted rows; expected a compacted index, or the vectors beside it"
            )
        return masks.whole_vectors(self._engine, self.kind, self.params)

    def save(self, path: str | Path) -> None:
        """One .npz file, without pickles."""
        with Path(path).open("wb") as handle:
            np.savez(handle, allow_pickle=False, **self._arrays())

    def __getstate__(self) -> dict[str, npt.NDArray[Any]]:
        return self._arrays()

    def __setstate__(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        about = json.loads(str(arrays["about"]))
        params = BuildParams(**about.pop("params"))
        engine = _deserialised(arrays["engine"], params, about["metric"], about["dim"])
        self.__init__(params=params, engine=engine, ids=arrays.get("ids"), **about)  # type: ignore[misc]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        names = ("kind", "metric", "dim", "n", "build_seconds")
        about = {name: getattr(self, name) for name in names} | {"params": vars(self.params)}
        arrays = {"about": np.array(json.dumps(about)), "engine": _serialised(self._engine)}
        return arrays if self._ids is None else {**arrays, "ids": self._ids}

    def _checked(self, queries: FloatArray, k: int, nprobe: int | None) -> FloatArray:
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise InvalidInput(f"queries have the shape {queries.shape}, expected rows of {self.dim} dimensions as in the index")
        if k < 1:
            raise InvalidInput(f"k is {k}, expected at least 1", field="k")
        if self.kind.startswith("ivf") and nprobe is not None and not 1 <= nprobe <= self.params.nlist:
            raise InvalidInput(f"nprobe {nprobe} was given; expected 1 to {self.params.nlist}, the number of cells", field="nprobe")
        check_directions(queries, self.metric, "queries")
        return _comparable(queries, self.metric)

    def _calls(
        self, queries: FloatArray, scores: FloatArray, ids: IdArray, *, ef_search: int, nprobe: int, k_factor: float
    ) -> Iterator[Callable[[], None]]:
        """A call a query that fills its row of scores and ids."""
        if self.params.library == "hnswlib":
            return masks.hnswlib_calls(self._engine, self.metric, queries, scores, ids, ef_search, matches=self.n)
        return self._faiss_calls(queries, scores, ids, _search_params(self.kind, ef_search, nprobe, k_factor))

    def _masked_calls(
        self,
        mask: masks.BoolArray,
        stop: str,
        queries: FloatArray,
        scores: FloatArray,
        ids: IdArray,
        *,
        ef_search: int,
        nprobe: int,
        k_factor: float,
    ) -> Iterator[Callable[[], None]]:
        """The same among the rows of the mask."""
        if self.kind == "flat":
            return masks.exact_calls(self.vectors(), self.metric, np.flatnonzero(mask), queries, scores, ids)
        if self.params.library == "hnswlib":
            matches = int(mask.sum())
            return masks.hnswlib_calls(self._engine, self.metric, queries, scores, ids, ef_search, matches=matches, mask=mask)
        if self.kind == "hnsw" and stop != "visited":
            if self.walks is None or self.walks.n != self._engine.ntotal:
                self.walks = masks.GraphWalks(self._engine, self.metric)
            return self.walks.calls(stop, mask, queries, scores, ids, ef_search)
        settings = _search_params(self.kind, ef_search, nprobe, k_factor, masks.selector(mask))
        return self._faiss_calls(queries, scores, ids, settings)

    def _faiss_calls(self, queries: FloatArray, scores: FloatArray, ids: IdArray, params: Any) -> Iterator[Callable[[], None]]:
        """The compiled method itself: the checks of faiss's Python wrapper take as long as a short walk through a graph."""
        pointer, ask, k = faiss_library().swig_ptr, self._engine.search_c, ids.shape[1]
        for i in range(len(queries)):
            yield partial(ask, 1, pointer(queries[i : i + 1]), k, pointer(scores[i : i + 1]), pointer(ids[i : i + 1]), params)

    def passing_rows(self, mask: npt.ArrayLike) -> masks.BoolArray:
        """The mask, bool [rows], without tombstones. Raises InvalidInput for another length."""
        wanted = masks.checked_mask(mask, self.n if self._ids is None else len(self._ids))
        return wanted & (self.row_ids >= 0) if self.tombstones else wanted

    def _passing(self, mask: npt.ArrayLike | None) -> masks.BoolArray | None:
        """The rows that may be returned, tombstones left out; None: all. hnswlib knows its own tombstones."""
        if mask is not None:
            return self.passing_rows(mask)
        if not self.tombstones or self.params.library == "hnswlib":
            return None
        live: masks.BoolArray = self.row_ids >= 0
        return live


def load_index(path: str | Path) -> AnnIndex:
    """What `AnnIndex.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        index = AnnIndex.__new__(AnnIndex)
        index.__setstate__(dict(arrays))
        return index


def _search_params(kind: str, ef_search: int, nprobe: int, k_factor: float, selector: Any = None) -> Any:
    faiss, only = faiss_library(), {} if selector is None else {"sel": selector}
    if kind.startswith("hnsw"):
        return faiss.SearchParametersHNSW(efSearch=ef_search, **only)
    if not kind.startswith("ivf"):
        return faiss.SearchParameters(**only) if only else None
    cells = faiss.IVFRaBitQSearchParameters if "rabitq" in kind else faiss.SearchParametersIVF
    cells = cells(nprobe=nprobe, **only)
    return faiss.IndexRefineSearchParameters(k_factor=k_factor, base_index_params=cells) if kind.endswith("_refine") else cells


def _comparable(vectors: FloatArray, metric: str) -> FloatArray:
    return unit_length(vectors) if metric == "cosine" else vectors


def _own_ids(ids: npt.ArrayLike, n: int) -> IdArray:
    own = np.asarray(ids, dtype=np.int64)
    if own.shape != (n,):
        raise InvalidInput(f"ids have the shape {own.shape}, expected ({n},): one a vector", field="ids")
    if len(np.unique(own)) < n or own.min(initial=0) < 0:
        raise InvalidInput("ids must be distinct and not negative: -1 stands for nothing found", field="ids")
    return own


# --- bytes -----------------------------------------------------------------------------------------------------------


def _serialised_bytes(engine: Any) -> int:
    """Counted while it is written, so that no copy of a large index is held."""
    if hasattr(engine, "index_file_size"):  # hnswlib
        return int(engine.index_file_size())
    faiss, sizes = faiss_library(), []
    writer = faiss.PyCallbackIOWriter(lambda part: sizes.append(len(part)))
    faiss.write_index(engine, writer)
    del writer  # flushes
    return sum(sizes)


def _serialised(engine: Any) -> npt.NDArray[np.uint8]:
    if not hasattr(engine, "index_file_size"):
        return faiss_library().serialize_index(engine)  # type: ignore[no-any-return]
    with tempfile.NamedTemporaryFile() as file:
        engine.save_index(file.name)
        return np.fromfile(file.name, dtype=np.uint8)


def _deserialised(data: npt.NDArray[np.uint8], params: BuildParams, metric: str, dim: int) -> Any:
    if params.library == "faiss":
        return faiss_library().deserialize_index(data)
    import hnswlib

    index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=dim)
    with tempfile.NamedTemporaryFile() as file:
        data.tofile(file.name)
        index.load_index(file.name, allow_replace_deleted=params.replace_deleted)
    index.set_num_threads(1)
    return index
