"""A page of 50 from 150 candidates by MMR and by DPP: our loops against the usual numpy of the same algorithms, and pages in bulk.

Run: OMP_NUM_THREADS=1 python -m benchmarks.rerank
CPU time of one thread, median of 200; both routes start from scores and vectors and choose the same pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks._measure import table
from simulators.engines.ranking import rerank

CANDIDATES, PLACES, LAM, THETA, REPEATS, PAGES = 150, 50, 0.7, 0.8, 200, 1_000
Floats = NDArray[np.float64]


def numpy_mmr(scores: Floats, emb: Floats, k: int, lam: float) -> list[int]:
    s, likeness = _scaled(scores), _cosines(emb)
    left, nearest, page = np.ones(len(s), bool), np.full(len(s), -np.inf), [int(s.argmax())]
    while len(page) < k:
        left[page[-1]] = False
        nearest = np.maximum(nearest, likeness[page[-1]])
        page.append(int(np.where(left, lam * s - (1 - lam) * nearest, -np.inf).argmax()))
    return page


def numpy_dpp(scores: Floats, emb: Floats, k: int, theta: float) -> list[int]:
    """As Chen's published code does it: the kernel first, then one row of Cholesky factors a pick."""
    quality = np.exp(theta / (2 * (1 - theta)) * _scaled(scores))
    kernel = quality[:, None] * (_cosines(emb) + 1e-6 * np.eye(len(scores))) * quality
    rows, rest = np.zeros((k, len(scores))), np.diag(kernel).copy()
    page = [int(rest.argmax())]
    while len(page) < k:
        best, done = page[-1], len(page) - 1
        rows[done] = (kernel[best] - rows[:done, best] @ rows[:done]) / np.sqrt(rest[best])
        rest = rest - rows[done] ** 2
        rest[best] = -np.inf
        page.append(int(rest.argmax()))
    return page


def _scaled(scores: Floats) -> Floats:
    return np.asarray((scores - scores.min()) / (scores.max() - scores.min()))


def _cosines(emb: Floats) -> Floats:
    unit = emb / np.linalg.norm(emb, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


def cpu_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    costs = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        costs.append(time.process_time() - started)
    return 1e3 * float(np.median(costs))


def main() -> None:
    rerank.warm_up()
    rng, rows = np.random.default_rng(0), []
    for d in (16, 64):
        scores, emb = rng.normal(size=CANDIDATES), rng.normal(size=(CANDIDATES, d))
        for name, ours, theirs, knob in (("MMR", rerank.mmr, numpy_mmr, LAM), ("DPP", rerank.dpp_greedy, numpy_dpp, THETA)):
            assert ours(scores, emb, PLACES, knob).tolist() == theirs(scores, emb, PLACES, knob)
            own = cpu_ms(lambda: ours(scores, emb, PLACES, knob))  # noqa: B023
            peer = cpu_ms(lambda: theirs(scores, emb, PLACES, knob))  # noqa: B023
            rows.append((name, d, f"{own:.3f}", f"{peer:.3f}", f"{peer / own:.1f}"))
    print(table(("method", "dimensions", "ours (ms)", "numpy (ms)", "numpy / ours"), rows))
    scores, emb = rng.normal(size=(PAGES, 60)), rng.normal(size=(PAGES, 60, 16))
    bulk = (("MMR", lambda: rerank.mmr_pages(scores, emb, 10, LAM)), ("DPP", lambda: rerank.dpp_pages(scores, emb, 10, THETA)))
    print(f"\n{PAGES:,} pages of 10 from 60: " + ", ".join(f"{name} {cpu_ms(work, 5):.0f} ms" for name, work in bulk))


if __name__ == "__main__":
    main()
