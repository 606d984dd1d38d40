"""What our filtered search costs over faiss called directly, and how its two rules compare with hnswlib's filter, as ratios in one run.

    python benchmarks/filters.py

Contestants take turns over the same queries, one query a call, and the quickest of the repeats counts. A ratio of time above 1 means we
are slower.
"""

from __future__ import annotations

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import hnswlib
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._measure import table
from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.filters import search_filtered
from simulators.engines.ann.index import AnnIndex, build_index

N, D, QUERIES, K = 20_000, 64, 200, 10
EF, NPROBE = 64, 16
SHARES = (0.5, 0.1, 0.01)
REPEATS = 15

Array = np.ndarray[Any, Any]
Contestant = Callable[[], None]


def main() -> None:
    vectors = clustered_vectors(N, D, QUERIES, seed=1)
    rows = [row for kind in ("hnsw", "ivf_flat") for row in _over_faiss(kind, vectors.base, vectors.queries)]
    rows += _over_hnswlib(vectors.base, vectors.queries)
    sys.stdout.write(f"{N:,} x {D}, {QUERIES} queries one at a time, one thread, best of {REPEATS} interleaved repeats\n\n")
    sys.stdout.write(table(["comparison", "ours (µs/query)", "theirs (µs/query)", "ratio", "expected"], rows) + "\n")


def _over_faiss(kind: str, base: Array, queries: Array) -> list[list[str]]:
    """`search_filtered` inline, everything included, against faiss's Python interface with its bitmap selector on the same index."""
    index = build_index(base, kind)
    raw = faiss.deserialize_index(index.__getstate__()["engine"])
    rows = []
    for share in SHARES:
        mask = _mask(share)
        selector = faiss.IDSelectorBitmap(bits := np.packbits(mask, bitorder="little"))
        params = _faiss_params(kind, selector)
        ours, theirs = _race([_ours(index, queries, mask), _each(queries, lambda query, p=params: raw.search(query, K, params=p))])
        rows.append([f"faiss {kind}, s = {share:g}", *_micro(ours, theirs), "<= 1.15"])
        del bits
    return rows


def _faiss_params(kind: str, selector: Any) -> Any:
    return (
        faiss.SearchParametersHNSW(sel=selector, efSearch=EF) if kind == "hnsw" else faiss.SearchParametersIVF(sel=selector, nprobe=NPROBE)
    )


def _over_hnswlib(base: Array, queries: Array) -> list[list[str]]:
    """The "accepted" stop over the graph of faiss against hnswlib with its filter function, built with equal M and efConstruction."""
    index = build_index(base, "hnsw")
    peer = hnswlib.Index(space="ip", dim=D)
    peer.init_index(max_elements=N, M=16, ef_construction=64, random_seed=1)
    peer.add_items(base, num_threads=1)
    peer.set_ef(EF)
    rows = []
    for share in SHARES[:2]:
        mask = _mask(share)
        passes = mask.tolist().__getitem__
        few = queries[:40]
        ask = _each(few, lambda query, f=passes: peer.knn_query(query, K, num_threads=1, filter=f))
        ours, theirs = _race([_ours(index, few, mask, stop="accepted"), ask])
        rows.append([f"hnswlib with its filter function, s = {share:g}", *_micro(ours, theirs), "< 1"])
    return rows


def _mask(share: float) -> Array:
    return np.random.default_rng(0).random(N) < share


# --- timing ----------------------------------------------------------------------------------------------------------


def _race(contestants: Sequence[tuple[Contestant, int]]) -> list[float]:
    """Seconds a query of each: the quickest of the repeats in which they take turns."""
    for run, _ in contestants:
        run()  # warm
    rounds = [[_timed(run) / queries for run, queries in contestants] for _ in range(REPEATS)]
    return [min(found[i] for found in rounds) for i in range(len(contestants))]


def _timed(run: Contestant) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _ours(index: AnnIndex, queries: Array, mask: Array, **settings: Any) -> tuple[Contestant, int]:
    """The search of all queries under one mask, making the library's filter of it included."""
    width: dict[str, Any] = {"nprobe": NPROBE} if index.kind.startswith("ivf") else {"ef_search": EF}

    def run() -> None:
        search_filtered(index, queries, K, mask, strategy="inline", **width, **settings)

    return run, len(queries)


def _each(queries: Array, ask: Callable[[Array], Any]) -> tuple[Contestant, int]:
    def run() -> None:
        for i in range(len(queries)):
            ask(queries[i : i + 1])

    return run, len(queries)


def _micro(ours: float, theirs: float) -> list[str]:
    return [f"{ours * 1e6:.1f}", f"{theirs * 1e6:.1f}", f"{ours / theirs:.3f}"]


if __name__ == "__main__":
    main()
