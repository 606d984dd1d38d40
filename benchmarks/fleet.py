"""Recall the fleet lab quotes, measured again at 100,000 x 768, and the time of one event simulation against its own arithmetic bound."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks._measure import table
from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.fleet import simulate_scatter_gather
from simulators.engines.ann.index import build_index
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.vector_search._fleet_plan import COARSE, DESIGNS

N, D, QUERIES, K = 100_000, 768, 200, 10
SHARDS, REQUESTS = 16, 4_000
BUILDS = (
    ("hnsw", {"M": 16, "ef_construction": 64}, {"ef_search": 128}, DESIGNS),
    ("hnsw_sq8", {"M": 16, "ef_construction": 64}, {"ef_search": 128}, DESIGNS),
    ("ivf_pq", {"nlist": 256, "pq_m": 384}, {"nprobe": 32}, DESIGNS),
    ("ivf_pq_refine", {"nlist": 256, "pq_m": 384, "refine": "sq8"}, {"nprobe": 32, "k_factor": 8}, DESIGNS),
    ("ivf_pq", {"nlist": 256, "pq_m": 64}, {"nprobe": 32}, COARSE),
    ("ivf_pq_refine", {"nlist": 256, "pq_m": 64, "refine": "sq8"}, {"nprobe": 32, "k_factor": 8}, COARSE),
)


def recalls() -> str:
    vectors = clustered_vectors(N, D, QUERIES, seed=1)
    true = exact_knn(vectors.base, vectors.queries, K).ids
    rows = []
    for kind, build, search, facts in BUILDS:
        found = build_index(vectors.base, kind, **build).search(vectors.queries, K, **search)  # type: ignore[arg-type]
        rows.append((kind, build, f"{recall_at_k(found.ids, true, K).mean():.3f}", facts[kind].recall))
    return table(("Design", "Built with", f"Recall@{K} measured", "Quoted by the lab"), rows)


def simulations() -> str:
    """CPU time of a simulation over that of pushing and popping as many completions, which no event simulation escapes."""
    bound = _cpu_s(_heap_alone)
    rows = []
    policies: dict[str, dict[str, Any]] = {
        "no hedging": {},
        "hedge after 10 ms": {"hedge_ms": 10.0},
        "and never cancel": {"hedge_ms": 10.0, "cancel": False},
    }
    for name, policy in policies.items():
        seconds = _cpu_s(partial(simulate_scatter_gather, SHARDS, 2, utilisation=0.6, p50_ms=5, p99_ms=25, seed=1, **policy))
        rows.append((name, f"{seconds * 1e3:.0f}", f"{seconds / bound:.1f}"))
    return table((f"{REQUESTS:,} requests x {SHARDS} shards", "CPU (ms)", "Against a bare heap (x)"), rows)


def _heap_alone() -> None:
    draws, heap = random.Random(1), [0.0] * 32
    heapq.heapify(heap)
    for _ in range(SHARDS * REQUESTS):
        heapq.heappush(heap, draws.random())
        heapq.heappop(heap)


def _cpu_s(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return sorted(times)[2]


def main() -> None:
    print(simulations(), end="\n\n")
    print(recalls())


if __name__ == "__main__":
    main()
