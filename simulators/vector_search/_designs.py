"""The designs a run compares, and what is read from each: recall, latency, memory, and a sweep of the search width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.index import AnnIndex, SearchResult, index_steps
from simulators.engines.ann.memory import MemoryModel, index_bytes
from simulators.engines.ann.truth import mean_interval, recall_at_k
from simulators.lab import Context, Progress, Working
from simulators.vector_search._vectors import K, World, told

LABELS = {
    "flat": "Flat",
    "sq8": "SQ8",
    "ivf_flat": "IVF-Flat",
    "ivf_sq8": "IVF-SQ8",
    "ivf_pq": "IVF-PQ",
    "ivf_pq_refine": "IVF-PQ + refine",
    "ivf_rabitq": "IVF-RaBitQ",
    "ivf_rabitq_refine": "IVF-RaBitQ + refine",
    "hnsw": "HNSW",
    "hnsw_sq8": "HNSW-SQ8",
}
SWEEP_EF = (10, 16, 32, 64, 128, 256, 512)
PASSES = 3
SWEEP_QUERIES = (12, 30)  # fewest and most that are timed at each width
SWEEP_BUDGET_S = 0.06  # of exact search, which bounds every width
YIELD_S = 0.02
PASS_BUDGET_S = 0.15  # of exact search a pass: how many queries are timed when one takes long
FEWEST_TIMED = 30


@dataclass(frozen=True)
class Design:
    kind: str
    build: Mapping[str, Any]  # of `index_steps`
    search: Mapping[str, Any]  # of `AnnIndex.search`
    colour: int = 0

    @property
    def label(self) -> str:
        return LABELS[self.kind]

    @property
    def width_name(self) -> str:
        """The knob that trades recall for time; "" for exhaustive search."""
        return "nprobe" if self.kind.startswith("ivf") else "ef_search" if self.kind.startswith("hnsw") else ""

    @property
    def width(self) -> int:
        return int(self.search[self.width_name]) if self.width_name else 0

    @property
    def setting(self) -> str:
        name = {"nprobe": "nprobe", "ef_search": "ef", "": "exhaustive"}[self.width_name]
        return f"{name} {self.width}" if self.width_name else name

    def widths(self) -> list[int]:
        if not self.width_name:
            return []
        if self.width_name == "ef_search":
            return list(SWEEP_EF)
        nlist = int(self.build["nlist"])
        return sorted({*(2**i for i in range(nlist.bit_length()) if 2**i <= nlist), nlist})

    def memory(self, n: int, d: int) -> MemoryModel:
        return index_bytes(n, d, self.kind, **self.build)


EXACT = Design("flat", {}, {})


def design_of(kind: str, params: Any, colour: int) -> Design:
    """The design of `kind` with the parameters that concern it, so that the others do not make another index of it."""
    build: dict[str, Any] = {}
    search: dict[str, Any] = {}
    if kind.startswith("ivf"):
        build["nlist"], search["nprobe"] = params.nlist, params.nprobe
    if kind.startswith("ivf_pq"):
        build["pq_m"] = params.pq_m
    if kind.endswith("_refine"):
        build["refine"], search["k_factor"] = params.refine, params.k_factor
    if kind.startswith("hnsw"):
        build |= {"M": params.M, "ef_construction": params.ef_construction}
        search["ef_search"] = params.ef_search
    return Design(kind, build, search, colour)


class SweepPoint(NamedTuple):
    width: int
    recall: float
    qps: float


@dataclass
class Bench:
    """One design under test. `passes` grows while the run goes on; every number is of the passes so far."""

    design: Design
    index: AnnIndex
    recall: npt.NDArray[np.float64]  # [q]
    passes: list[npt.NDArray[np.float64]]  # seconds [timed queries] each
    sweep: list[SweepPoint] = field(default_factory=list)

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        """Of each query, the median over the passes: a neighbour that disturbs one pass does not count."""
        median: npt.NDArray[np.float64] = np.median(self.passes, axis=0)
        return median

    @property
    def qps(self) -> float:
        return float(1 / self.seconds.mean())

    def latency_ms(self, percentile: float) -> float:
        return float(np.percentile(self.seconds, percentile) * 1e3)

    @cached_property
    def mean_recall(self) -> float:
        return float(self.recall.mean())

    @cached_property
    def recall_interval(self) -> tuple[float, float]:
        return mean_interval(self.recall)

    @property
    def bytes_per_vector(self) -> float:
        return self.index.memory_bytes() / self.index.n

    @property
    def ceiling(self) -> float:
        """The best recall of the sweep: what no search width exceeds."""
        return max((point.recall for point in self.sweep), default=self.mean_recall)


# --- measuring -------------------------------------------------------------------------------------------------------


def built(ctx: Context, world: World, design: Design) -> Working[AnnIndex]:
    steps = index_steps(world.base, design.kind, metric=world.metric, seed=ctx.seed, **design.build)
    return (yield from ctx.asset_steps(index_key(world, design, ctx.seed), lambda: told(steps, f"building {design.label}")))


def index_key(world: World, design: Design, seed: int) -> str:
    settings = "/".join(f"{name}={value}" for name, value in sorted(design.build.items()))
    return f"{world.base_key}/index/1/{design.kind}/{settings}/metric={world.metric}/seed={seed}"


def exact_bench(ctx: Context, world: World) -> Working[Bench]:
    """Exact search, the measure of all others: the first pass, over as many queries as its budget allows."""
    steps = index_steps(world.base, "flat", metric=world.metric)
    index = yield from ctx.asset_steps(f"{world.base_key}/flat", lambda: told(steps, "building Flat"), disk=False)
    one = float(np.median(index.search(world.queries[:3], K).seconds))
    timed = max(FEWEST_TIMED, int(PASS_BUDGET_S / one))
    found = yield from search_pass(index, world.queries[:timed], EXACT.search, "timing exact search")
    return Bench(EXACT, index, recall_at_k(found.ids, world.true_ids[:timed], K), [found.seconds])


def first_bench(ctx: Context, world: World, design: Design, timed: int) -> Working[Bench]:
    """The index, its recall over all queries and a first pass of timings."""
    index = yield from built(ctx, world, design)
    found = yield from search_pass(index, world.queries, design.search, f"searching {design.label}")
    return Bench(design, index, recall_at_k(found.ids, world.true_ids, K), [found.seconds[:timed]])


def further_pass(bench: Bench, world: World, timed: int) -> Working[None]:
    found = yield from search_pass(bench.index, world.queries[:timed], bench.design.search, f"timing {bench.design.label}")
    bench.passes.append(found.seconds)


def search_pass(index: AnnIndex, queries: npt.NDArray[np.float32], settings: Mapping[str, Any], label: str) -> Working[SearchResult]:
    """Every query once, one at a time, with a yield about every 20 ms."""
    parts: list[SearchResult] = []
    done, at_once = 0, 8
    while done < len(queries):
        parts.append(index.search(queries[done : done + at_once], K, **settings))
        done += at_once
        at_once = max(1, int(YIELD_S / parts[-1].seconds.mean()))
        yield Progress(min(done, len(queries)), len(queries), label)
    return SearchResult(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def sweep(ctx: Context, world: World, bench: Bench, exact: Bench) -> Working[None]:
    """Recall and speed over the search width. Recall does not change from run to run and is kept; speed is measured anew."""
    design = bench.design
    if not design.width_name:
        bench.sweep = [SweepPoint(0, bench.mean_recall, bench.qps)]
        return
    others = "/".join(f"{name}={value}" for name, value in sorted(design.search.items()) if name != design.width_name)
    key = f"{index_key(world, design, ctx.seed)}/sweep/{world.key}/{others}"
    recalls = yield from ctx.asset_steps(key, lambda: _sweep_recalls(world, bench))
    queries = world.queries[: int(np.clip(SWEEP_BUDGET_S * exact.qps, *SWEEP_QUERIES))]
    for width, recall in recalls:
        settings = {**design.search, design.width_name: width}
        passes = []
        for _ in range(PASSES):
            found = yield from search_pass(bench.index, queries, settings, f"sweeping {design.label}")
            passes.append(found.seconds)
        bench.sweep.append(SweepPoint(width, recall, float(1 / np.median(passes, axis=0).mean())))


def _sweep_recalls(world: World, bench: Bench) -> Working[Sequence[tuple[int, float]]]:
    recalls = []
    for width in bench.design.widths():
        settings = {**bench.design.search, bench.design.width_name: width}
        found = yield from search_pass(bench.index, world.queries, settings, f"sweeping {bench.design.label}")
        recalls.append((width, float(recall_at_k(found.ids, world.true_ids, K).mean())))
    return recalls
