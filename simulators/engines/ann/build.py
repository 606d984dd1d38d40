"""How each kind of index is built, in blocks, so that a build can be watched and stopped.

flat                every vector, compared one by one
sq8                 the same with a byte a coordinate (scalar quantisation)
ivf_*               inverted file: k-means cells, of which a search visits nprobe (Jégou, Douze & Schmid 2011)
ivf_pq              product quantisation, 4 bits a sub-vector, scanned 32 codes at a time in registers (André et al. 2015, "fast scan")
ivf_rabitq          one bit (or a few) a coordinate with an unbiased distance estimate (Gao & Long 2024)
*_refine            fetches k x k_factor candidates by code, re-scores them with better vectors kept beside
hnsw, hnsw_sq8      layered proximity graph, greedy search ef_search wide (Malkov & Yashunin 2018)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.kmeans import kmeans_steps
from simulators.engines.ann.library import faiss_library, faiss_metric
from simulators.engines.steps import Steps, blocks, scaled
from simulators.errors import InvalidInput

Kind = Literal[
    "flat", "sq8", "ivf_flat", "ivf_sq8", "ivf_pq", "ivf_pq_refine", "ivf_rabitq", "ivf_rabitq_refine", "hnsw", "hnsw_sq8"
]  # fmt: skip
KINDS: tuple[str, ...] = get_args(Kind)
PQ_CENTROIDS = 16  # 4-bit codes
_BLOCK_VALUES = 1 << 19  # coordinates added to a flat or inverted index between two yields
_SAMPLE = 1 << 14  # vectors that train a codec


@dataclass(frozen=True)
class BuildParams:
    """What a kind may be built with; it ignores what does not concern it."""

    M: int = 16  # links a node and layer in HNSW; twice as many on the ground layer
    ef_construction: int = 64  # candidates kept while a node looks for its links
    nlist: int = 128  # k-means cells
    pq_m: int = 0  # sub-quantisers; 0: d / 2, or d where d is odd
    nbits: int = 1  # of RaBitQ, a coordinate
    refine: str = "float32"  # or "sq8": what the candidates are re-scored with
    library: str = "faiss"  # or "hnswlib", for hnsw
    replace_deleted: bool = False  # hnswlib: a new vector takes over the place of a deleted one

    def sub_quantisers(self, d: int) -> int:
        return self.pq_m or (d if d % 2 else d // 2)


def check_build(n: int, d: int, kind: str, params: BuildParams) -> None:
    """Raises InvalidInput for what cannot be built from n vectors of d dimensions."""
    for message, field in _objections(n, d, kind, params):
        raise InvalidInput(message, field=field)


def _objections(n: int, d: int, kind: str, p: BuildParams) -> Iterator[tuple[str, str]]:
    m = p.sub_quantisers(d)
    if kind not in KINDS:
        yield f"kind {kind!r} was given; expected one of {', '.join(KINDS)}", "kind"
    if p.library != "faiss" and (p.library, kind) != ("hnswlib", "hnsw"):
        yield f"library {p.library!r} was given for {kind}; expected faiss, or hnswlib for hnsw", "library"
    if p.M < 2 or p.ef_construction < 1 or p.nlist < 1 or not 1 <= p.nbits <= 9:
        yield "expected M >= 2, ef_construction >= 1, nlist >= 1 and nbits from 1 to 9", "M"
    if kind.startswith("ivf") and p.nlist > n:
        yield f"nlist {p.nlist:,} was given for {n:,} vectors; expected at most one cell a vector", "nlist"
    if kind.startswith("ivf_pq") and (m < 1 or d % m):
        yield f"pq_m {m} does not divide {d} dimensions; the divisors are {', '.join(map(str, _divisors(d)))}", "pq_m"
    if kind.startswith("ivf_pq") and n < PQ_CENTROIDS:
        yield f"{kind} learns {PQ_CENTROIDS} centroids a sub-vector; {n} vectors are too few", "kind"
    if kind.endswith("_refine") and p.refine not in ("float32", "sq8"):
        yield f"refine {p.refine!r} was given; expected float32 or sq8", "refine"


def _divisors(d: int) -> list[int]:
    return [m for m in range(1, d + 1) if d % m == 0]


def build_steps(base: FloatArray, kind: str, metric: str, seed: int, params: BuildParams) -> Steps[Any]:
    """A filled faiss (or hnswlib) index over base [n, d]; blocks are the same on every machine, and so is the index."""
    if kind.startswith("ivf"):
        return (yield from _ivf_steps(base, kind, metric, seed, params))
    if params.library == "hnswlib":
        return (yield from _hnswlib_steps(base, metric, seed, params))
    faiss, d = faiss_library(), base.shape[1]
    index = _empty(kind, d, metric, params.M)
    rows = max(1, _BLOCK_VALUES // d)
    if kind.startswith("hnsw"):
        index.hnsw.efConstruction = params.ef_construction
        index.hnsw.rng = faiss.RandomGenerator(seed + 1)
        rows = hnsw_block(d, params.M, params.ef_construction)
    index.train(_sample(base, seed))
    yield from _add(index, base, rows, 0.0)
    return index


def _empty(kind: str, d: int, metric: str, m: int) -> Any:
    faiss, measure = faiss_library(), faiss_metric(metric)
    makers = {
        "flat": lambda: faiss.IndexFlat(d, measure),
        "sq8": lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, measure),
        "hnsw": lambda: faiss.IndexHNSWFlat(d, m, measure),
        "hnsw_sq8": lambda: faiss.IndexHNSWSQ(d, faiss.ScalarQuantizer.QT_8bit, m, measure),
    }
    return makers[kind]()


def hnsw_block(d: int, m: int, ef_construction: int) -> int:
    """Vectors that enter the graph between two yields: about 20 ms at 20k to 100k vectors, by a fit of measured build times."""
    microseconds = 50 * (ef_construction / 64) ** 0.9 * (m / 16) ** 0.5 * (0.6 + 0.4 * d / 64)
    return int(np.clip(20_000 / microseconds, 8, 1024))


def _hnswlib_steps(base: FloatArray, metric: str, seed: int, p: BuildParams) -> Steps[Any]:
    import hnswlib

    n, d = base.shape
    index = hnswlib.Index(space="l2" if metric == "l2" else "ip", dim=d)
    index.init_index(
        max_elements=n, M=p.M, ef_construction=p.ef_construction, random_seed=seed + 1, allow_replace_deleted=p.replace_deleted
    )
    index.set_num_threads(1)
    for block in blocks(n, hnsw_block(d, p.M, p.ef_construction)):
        index.add_items(base[block], np.arange(block.start, block.stop), num_threads=1)
        yield block.stop / n
    return index


# --- inverted files --------------------------------------------------------------------------------------------------


def _ivf_steps(base: FloatArray, kind: str, metric: str, seed: int, p: BuildParams) -> Steps[Any]:
    centroids = yield from scaled(kmeans_steps(base, p.nlist, spherical=metric != "l2", seed=seed), 0.0, 0.5)
    index = _ivf(kind.removesuffix("_refine"), centroids, metric, p)
    sample = _sample(base, seed)
    if kind.startswith("ivf_pq"):
        yield from scaled(_pq_steps(index, sample), 0.5, 0.7)
    else:
        index.train(sample)  # the cells are known, so only the codec is trained
    if kind.endswith("_refine"):
        index = _with_refine(index, sample, metric, p.refine)
    yield from _add(index, base, max(1, _BLOCK_VALUES // base.shape[1]), 0.7)
    return index


def _ivf(kind: str, centroids: FloatArray, metric: str, p: BuildParams) -> Any:
    faiss, measure = faiss_library(), faiss_metric(metric)
    nlist, d = centroids.shape
    quantiser = faiss.IndexFlat(d, measure)
    quantiser.add(centroids)
    makers = {
        "ivf_flat": lambda: faiss.IndexIVFFlat(quantiser, d, nlist, measure),
        "ivf_sq8": lambda: faiss.IndexIVFScalarQuantizer(quantiser, d, nlist, faiss.ScalarQuantizer.QT_8bit, measure),
        "ivf_pq": lambda: faiss.IndexIVFPQFastScan(quantiser, d, nlist, p.sub_quantisers(d), 4, measure),
        "ivf_rabitq": lambda: faiss.IndexIVFRaBitQ(quantiser, d, nlist, measure, True, p.nbits),
    }
    return makers[kind]()


def _pq_steps(index: Any, sample: FloatArray) -> Steps[None]:
    """Trains the product quantiser one sub-space at a time. Codes are of the vectors themselves, not of residuals: fast scan's default."""
    faiss, pq = faiss_library(), index.pq
    codebooks = []
    for j in range(pq.M):
        part = faiss.ProductQuantizer(pq.dsub, 1, 4)
        part.cp.min_points_per_centroid = 1
        part.train(np.ascontiguousarray(sample[:, j * pq.dsub : (j + 1) * pq.dsub]))
        codebooks.append(faiss.vector_to_array(part.centroids))
        yield (j + 1) / pq.M
    faiss.copy_array_to_vector(np.concatenate(codebooks), pq.centroids)
    index.is_trained = True


def _with_refine(index: Any, sample: FloatArray, metric: str, refine: str) -> Any:
    faiss = faiss_library()
    beside = _empty("flat" if refine == "float32" else "sq8", sample.shape[1], metric, 0)
    beside.train(sample)
    return faiss.IndexRefine(index, beside)


def _sample(base: FloatArray, seed: int) -> FloatArray:
    """Rows that train a codec: drawn at random, because files are often sorted."""
    if len(base) <= _SAMPLE:
        return base
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    return base[np.sort(rng.choice(len(base), _SAMPLE, replace=False))]


def _add(index: Any, base: FloatArray, rows: int, done: float) -> Steps[None]:
    for block in blocks(len(base), rows):
        index.add(base[block])
        yield done + (1 - done) * block.stop / len(base)
