"""Runs of the filter strategies: once over the queries of the run with the clock on, and over a grid of shares for the curves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.filters import FilteredResult, search_filtered
from simulators.engines.ann.index import AnnIndex, index_steps
from simulators.engines.ann.truth import mean_interval, recall_at_k
from simulators.lab import Context, Progress, Working
from simulators.vector_search._designs import Design, built
from simulators.vector_search._filter_world import Ask, Bitmaps, Clustered, drawn_filters, percent
from simulators.vector_search._vectors import K, told

LABELS = {"pre": "Pre-filter", "post": "Post-filter", "inline": "Inline", "auto": "Planner"}
COLOURS = {"pre": 2, "post": 1, "inline": 0, "auto": 3}
M, EF_CONSTRUCTION = 16, 64
CELLS, MANY_CELLS, MANY_VECTORS = 128, 256, 50_000  # cells of the inverted file; more of them from so many vectors on
PASSES = 3
GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 1.0)
GRID_QUERIES = 40
SLOW_QUERIES = 40  # of a walk whose cost grows as 1 / share, or that is written in numpy
YIELD_S = 0.02


@dataclass(frozen=True)
class Setup:
    """A strategy with the settings that concern it, so that the others make no other run of it."""

    strategy: str
    index: str
    search: Mapping[str, Any]

    @property
    def label(self) -> str:
        return LABELS[self.strategy]

    @property
    def slow(self) -> bool:
        return self.strategy in ("inline", "auto") and self.search.get("stop") in ("accepted", "two_hop")

    @property
    def key(self) -> str:
        return "/".join([self.strategy, self.index, *(f"{name}={value!r}" for name, value in sorted(self.search.items()))])


def setup_of(strategy: str, params: Any) -> Setup:
    if strategy == "pre":
        return LISTED
    search: dict[str, Any] = {"ef_search": params.ef_search} if params.index == "hnsw" else {"nprobe": params.nprobe}
    if strategy in ("post", "auto"):
        search |= {"oversample": params.oversample, "post_cap": params.post_cap}
    if strategy in ("inline", "auto") and params.index == "hnsw":
        search["stop"] = params.stop
    if strategy == "auto":
        search |= {"plan_pre": params.plan_pre, "plan_post": params.plan_post}
    return Setup(strategy, params.index, search)


LISTED = Setup("pre", "none", {})  # pre-filtering: the measure of the others


class Answer(NamedTuple):
    """What one query got."""

    recall: float  # NaN where no vector passes
    returned: int
    evaluations: float
    plan: str


@dataclass
class Run:
    """A strategy over the first queries of the run. `passes` grows while the run goes on."""

    setup: Setup
    answers: Sequence[Answer]
    groups: Sequence[str]
    matches: npt.NDArray[np.float64]  # [q], how many vectors pass
    n: int
    passes: list[npt.NDArray[np.float64]] = field(default_factory=list)  # seconds [q] each

    @cached_property
    def recall(self) -> npt.NDArray[np.float64]:
        return np.array([answer.recall for answer in self.answers])

    @property
    def defined(self) -> bool:
        return bool((~np.isnan(self.recall)).any())

    @property
    def mean_recall(self) -> float | None:
        return float(np.nanmean(self.recall)) if self.defined else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        return mean_interval(self.recall) if self.defined else None

    @cached_property
    def returned(self) -> npt.NDArray[np.float64]:
        return np.array([answer.returned for answer in self.answers], dtype=np.float64)

    @property
    def short(self) -> npt.NDArray[np.bool_]:
        """Answers with fewer results than there were matches to return."""
        return self.returned < np.minimum(K, self.matches)

    @property
    def evaluations(self) -> npt.NDArray[np.float64]:
        return np.array([answer.evaluations for answer in self.answers])

    @property
    def seconds(self) -> npt.NDArray[np.float64]:
        median: npt.NDArray[np.float64] = np.median(self.passes, axis=0)
        return median

    def by_group(self) -> dict[str, npt.NDArray[np.intp]]:
        """Queries of each class of filter, in order of appearance."""
        names = np.array(self.groups)
        return {name: np.flatnonzero(names == name) for name in dict.fromkeys(self.groups)}

    @cached_property
    def _worst(self) -> tuple[float, float] | None:
        """Mean recall of the class it serves worst, and the median share that passes there."""
        known = [rows[~np.isnan(self.recall[rows])] for rows in self.by_group().values()]
        classes = [(float(self.recall[rows].mean()), float(np.median(self.matches[rows])) / self.n) for rows in known if len(rows)]
        return min(classes, default=None)

    @property
    def worst_recall(self) -> float | None:
        return self._worst[0] if self._worst else None

    @property
    def worst_share(self) -> float:
        return self._worst[1] if self._worst else 0.0

    @property
    def cost_share(self) -> float | None:
        """Distance evaluations against comparing every match."""
        listed = float(self.matches.mean())
        return float(self.evaluations.mean()) / listed if listed else None


class GridPoint(NamedTuple):
    share: float
    recall: float
    evaluations: float
    returned: float


@dataclass(frozen=True)
class Rig:
    """What the strategies work on: the vectors, which pre-filtering compares, and the index behind the others."""

    found: Clustered
    flat: AnnIndex
    index: AnnIndex

    def ask(self, setup: Setup, filters: Bitmaps, i: int) -> FilteredResult:
        """Query i with its own filter."""
        query, index = self.found.world.queries[i : i + 1], self.flat if setup.strategy == "pre" else self.index
        search = dict(setup.search)
        if "nprobe" in search:
            search["nprobe"] = min(search["nprobe"], index.params.nlist)
        return search_filtered(index, query, K, filters.mask(i), strategy=setup.strategy, vectors=self.flat.vectors(), count=True, **search)


# --- measuring -------------------------------------------------------------------------------------------------------


def filter_index(ctx: Context, found: Clustered, kind: str) -> Working[AnnIndex]:
    build = {"M": M, "ef_construction": EF_CONSTRUCTION} if kind == "hnsw" else {"nlist": cells(found.world.n)}
    return (yield from built(ctx, found.world, Design(kind, build, {})))


def cells(n: int) -> int:
    """Of an inverted file over n vectors."""
    return min(CELLS if n < MANY_VECTORS else MANY_CELLS, n // 8)


def flat_index(ctx: Context, found: Clustered) -> Working[AnnIndex]:
    """The vectors themselves behind the face of an index: what pre-filtering compares."""
    steps = index_steps(found.world.base, "flat", metric=found.world.metric)
    return (yield from ctx.asset_steps(f"{found.world.base_key}/flat", lambda: told(steps, "reading vectors"), disk=False))


def first_run(rig: Rig, setup: Setup, filters: Bitmaps) -> Working[Run]:
    """Every query once, each with its own filter."""
    q = min(len(filters), SLOW_QUERIES) if setup.slow else len(filters)
    results = yield from _pass(rig, setup, filters, q)
    answers = [_answer(result, filters.true_ids[i]) for i, result in enumerate(results)]
    matches = filters.shares()[:q] * filters.n
    return Run(setup, answers, filters.groups[:q], matches, filters.n, [_seconds(results)])


def further_pass(rig: Rig, run: Run, filters: Bitmaps) -> Working[None]:
    if run.setup.search.get("stop") == "two_hop" and run.setup.strategy != "post":
        return  # numpy's time says nothing about the algorithm
    results = yield from _pass(rig, run.setup, filters, len(run.answers))
    run.passes.append(_seconds(results))


def _pass(rig: Rig, setup: Setup, filters: Bitmaps, q: int) -> Working[list[FilteredResult]]:
    results: list[FilteredResult] = []
    last = time.perf_counter()
    for i in range(q):
        results.append(rig.ask(setup, filters, i))
        if time.perf_counter() - last > YIELD_S:
            yield Progress(i + 1, q, f"asking with {setup.label.lower()}")
            last = time.perf_counter()
    yield Progress(q, q, f"asking with {setup.label.lower()}")
    return results


def _answer(result: FilteredResult, true_ids: npt.NDArray[np.int64]) -> Answer:
    recall = float(recall_at_k(result.ids, true_ids[None], K)[0])
    return Answer(recall, int(result.returned[0]), float(result.evaluations or 0.0), result.plan)


def _seconds(results: Sequence[FilteredResult]) -> npt.NDArray[np.float64]:
    return np.array([result.seconds[0] for result in results])


def grid_point(ctx: Context, rig: Rig, setup: Setup, share: float, correlation: str) -> Working[GridPoint]:
    """A point of the curves. Recall and cost are the same in every run and kept."""
    asks = [Ask(f"s = {percent(share)}", share, correlation)] * min(GRID_QUERIES, len(rig.found.world.queries))
    filters = yield from drawn_filters(ctx, rig.found, asks, "grid", K)

    def made() -> Working[GridPoint]:
        run = yield from first_run(rig, setup, filters)
        return GridPoint(share, float(np.nanmean(run.recall)), float(run.evaluations.mean()), float(run.returned.mean()))

    return (yield from ctx.asset_steps(f"{filters.key}/{setup.key}/ef={EF_CONSTRUCTION}/M={M}", made))
