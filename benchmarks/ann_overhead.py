"""What our layer costs over the libraries below it, as ratios within one run on one thread.

    python benchmarks/ann_overhead.py

The contestants of a row take turns over the same queries, one query a call, and the quickest of the repeats counts.
A ratio of time above 1 means we are slower; a ratio of throughput above 1 means we are faster.
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

from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.index import AnnIndex, build_index
from simulators.engines.ann.truth import exact_knn, recall_at_k

N, D, QUERIES, K = 20_000, 64, 200, 10
M, EF_CONSTRUCTION, NLIST, NPROBE = 16, 64, 128, 16
WIDTHS = range(10, 130, 2)
EQUAL_RECALL = 0.99
REPEATS = 25

Array = np.ndarray[Any, Any]
Timer = Callable[[], tuple[Array, Array]]  # -> ids [q, K], seconds [q]


def main() -> None:
    vectors = clustered_vectors(N, D, QUERIES, seed=1)
    truth = exact_knn(vectors.base, vectors.queries, K).ids
    rows = [_raw_faiss(kind, vectors.base, vectors.queries) for kind in ("flat", "ivf_flat", "hnsw")]
    rows += [_hnswlib(vectors.base, vectors.queries, truth), _numpy(vectors.base, vectors.queries, truth)]
    print(f"{N:,} x {D}, {QUERIES} queries one at a time, one thread, best of {REPEATS} interleaved repeats\n")
    print("| comparison | ours (µs/query) | theirs (µs/query) | ratio | expected |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def _raw_faiss(kind: str, base: Array, queries: Array) -> tuple[str, ...]:
    """Our `search` against faiss's Python interface on the same built index."""
    index = build_index(base, kind, nlist=NLIST, M=M, ef_construction=EF_CONSTRUCTION)
    raw = faiss.deserialize_index(index.__getstate__()["engine"])
    settings = {"flat": None, "ivf_flat": faiss.SearchParametersIVF(nprobe=NPROBE), "hnsw": faiss.SearchParametersHNSW(efSearch=64)}[kind]
    ours, theirs = _race([_ours(index, queries), _each(queries, lambda query: raw.search(query, K, params=settings)[1])])
    return f"faiss {kind}, same index: time", *_micro(ours, theirs), f"{ours.mean() / theirs.mean():.3f}", "<= 1.05"


def _hnswlib(base: Array, queries: Array, truth: Array) -> tuple[str, ...]:
    """Our HNSW (faiss) against hnswlib built with equal M and efConstruction, each at the narrowest search of equal recall."""
    index = build_index(base, "hnsw", M=M, ef_construction=EF_CONSTRUCTION)
    peer = hnswlib.Index(space="ip", dim=D)
    peer.init_index(max_elements=N, M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
    peer.add_items(base, num_threads=1)

    def peer_at(ef: int) -> Timer:
        def timed() -> tuple[Array, Array]:
            peer.set_ef(ef)
            return _each(queries, lambda query: peer.knn_query(query, K, num_threads=1)[0])()

        return timed

    our_ef = _narrowest(lambda ef: _ours(index, queries, ef_search=ef), truth)
    peer_ef = _narrowest(peer_at, truth)
    ours, theirs = _race([_ours(index, queries, ef_search=our_ef), peer_at(peer_ef)])
    name = f"HNSW, recall {EQUAL_RECALL}: ours at ef {our_ef}, hnswlib at ef {peer_ef}: throughput"
    return name, *_micro(ours, theirs), f"{theirs.mean() / ours.mean():.2f}", ">= 0.8"


def _numpy(base: Array, queries: Array, truth: Array) -> tuple[str, ...]:
    """IVF at recall 0.95 or more against a matrix-vector product and argpartition."""
    index = build_index(base, "ivf_flat", nlist=NLIST)
    settings = {"nprobe": NPROBE}
    assert recall_at_k(_ours(index, queries, **settings)()[0], truth, K).mean() >= 0.95

    def brute(query: Array) -> Array:
        scores = base @ query[0]
        best = np.argpartition(scores, -K)[-K:]
        return best[np.argsort(-scores[best])]

    ours, theirs = _race([_ours(index, queries, **settings), _each(queries, brute)])
    return (
        f"IVF-Flat nprobe {NPROBE} against numpy brute force: throughput",
        *_micro(ours, theirs),
        f"{theirs.mean() / ours.mean():.2f}",
        "> 1",
    )


# --- timing ----------------------------------------------------------------------------------------------------------


def _race(timers: Sequence[Timer]) -> list[Array]:
    """Seconds [q] of each contestant: the quickest of the repeats in which they take turns."""
    for timer in timers:
        timer()  # warm
    rounds = [[timer()[1] for timer in timers] for _ in range(REPEATS)]
    return [min((found[i] for found in rounds), key=np.sum) for i in range(len(timers))]


def _ours(index: AnnIndex, queries: Array, **settings: Any) -> Timer:
    """A call of the engine's `search`, its own preparation included and spread over the queries."""

    def timed() -> tuple[Array, Array]:
        started = time.perf_counter()
        found = index.search(queries, K, **settings)
        total = time.perf_counter() - started
        return found.ids, np.full(len(queries), total / len(queries))

    return timed


def _each(queries: Array, ask: Callable[[Array], Array]) -> Timer:
    def timed() -> tuple[Array, Array]:
        started = time.perf_counter()
        ids = [ask(queries[i : i + 1]) for i in range(len(queries))]
        total = time.perf_counter() - started
        return np.reshape(ids, (len(queries), -1)), np.full(len(queries), total / len(queries))

    return timed


def _narrowest(timer_at: Callable[[int], Timer], truth: Array) -> int:
    return next(ef for ef in WIDTHS if recall_at_k(timer_at(ef)()[0], truth, K).mean() >= EQUAL_RECALL)


def _micro(ours: Array, theirs: Array) -> tuple[str, str]:
    return f"{ours.mean() * 1e6:.1f}", f"{theirs.mean() * 1e6:.1f}"


if __name__ == "__main__":
    main()
