"""The index as it stands in an hour, and what is read from it: recall, speed beside a rebuilt index, waiting behind inserts, a sweep."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.index import AnnIndex, SearchResult, index_steps
from simulators.engines.ann.truth import exact_knn, mean_interval, recall_at_k
from simulators.lab import Context, Progress, Working
from simulators.vector_search._deletes_ledger import Ledger, Policy
from simulators.vector_search._deletes_stream import HOURS, IdArray, Pattern, Stream
from simulators.vector_search._vectors import K, told

TIMED = 40  # queries timed, in PASSES passes; recall is over all
PASSES = 3
AT_ONCE = 100  # queries between two yields
ORACLES = 4  # days, evenly spread, on which the live vectors are indexed afresh; the start is one more
SHARES = (0.0, 0.3, 0.5, 0.7, 0.9, 0.97)
SWEEP_QUERIES = 100
WRITE_BATCH, WRITES = 8, 100  # vectors inserted under one lock, and how many such batches are timed
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Bench:
    """What every measurement of a run needs."""

    ctx: Context
    stream: Stream
    pattern: Pattern
    policy: Policy
    ledger: Ledger
    search: dict[str, Any]  # of `AnnIndex.search`

    @property
    def build(self) -> dict[str, Any]:
        return self.policy.build(len(self.stream.live(0)))

    @property
    def key(self) -> str:
        return f"{self.stream.key}/{self.policy.index}"


@dataclass(frozen=True)
class Reading:
    """One hour. `recall` [q]; `near` [q]: the nearest vector the index holds is alive."""

    hour: int
    recall: FloatVector
    near: npt.NDArray[np.bool_]
    seconds: FloatVector  # [timed queries], median over passes
    rebuilt_seconds: FloatVector
    rebuilt_recall: float | None
    bytes_share: float  # of the index, against the rebuilt one at equal live size
    tombstone_share: float
    deleted_bytes: int
    imbalance: float | None
    rebuilt_imbalance: float | None

    @property
    def day(self) -> float:
        return self.hour / HOURS

    @property
    def mean_recall(self) -> float:
        return float(self.recall.mean())

    @property
    def interval(self) -> tuple[float, float]:
        return mean_interval(self.recall)

    @property
    def near_recall(self) -> float | None:
        return float(self.recall[self.near].mean()) if self.near.any() else None

    @property
    def qps_ratio(self) -> float:
        return float(self.rebuilt_seconds.mean() / self.seconds.mean())


# --- the index of an hour ----------------------------------------------------------------------------------------------


def rebuilt(bench: Bench, hour: int) -> Working[AnnIndex]:
    """A new index of what is alive at the end of the hour."""
    stream, policy = bench.stream, bench.policy
    ids = stream.live(hour)
    words = "building the index" if not hour else f"rebuilding for day {hour / HOURS:.1f}"
    steps = index_steps(
        stream.vectors(ids), policy.kind, metric=stream.pool.metric, seed=bench.ctx.seed, ids=ids, **_fitting(bench.build, len(ids))
    )
    return (yield from bench.ctx.asset_steps(f"{bench.key}/rebuilt={hour}", lambda: told(steps, words), disk=not hour))


def _fitting(build: dict[str, Any], n: int) -> dict[str, Any]:
    return {**build, "nlist": min(build["nlist"], n)} if "nlist" in build else build


def changed(bench: Bench, index: AnnIndex, start: int, end: int) -> Working[AnnIndex]:
    """A copy of the index of hour `start` after the changes up to hour `end`: in every hour first the deletes, then the inserts."""
    index = copy.copy(index)
    for hour in range(start + 1, end + 1):
        if len(leaving := bench.stream.deleted(hour)):
            index.delete(leaving)
        arriving = bench.stream.inserted(hour)
        yield from told(index.add_steps(bench.stream.vectors(arriving), arriving), f"day {hour / HOURS:.1f}: inserting and deleting")
    return index


def index_of(bench: Bench, hour: int, hours: Sequence[int]) -> Working[AnnIndex]:
    """The index at the end of `hour`, from its last rebuild or from the last measured hour (of `hours`) since."""
    base = bench.ledger.base(hour)
    path = [at for at in hours if base < at < hour]
    if not path and base == hour:
        return (yield from rebuilt(bench, hour))
    key = f"{bench.key}/from={base}/by={path}/at={hour}"

    def work() -> Working[AnnIndex]:
        before = (yield from index_of(bench, path[-1], hours)) if path else (yield from rebuilt(bench, base))
        return (yield from changed(bench, before, path[-1] if path else base, hour))

    return (yield from bench.ctx.asset_steps(key, work, disk=False))


# --- readings ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Oracle:
    hour: int
    index: AnnIndex


def oracle_days(days: int, policy: Policy) -> set[int]:
    """Numbers of the days (from 0) that get an oracle: the last one and others at equal distances; all where a rebuild is quick."""
    if policy.kind == "ivf_flat":
        return set(range(days))
    return {round((i + 1) * days / ORACLES) - 1 for i in range(ORACLES)} & set(range(days)) | {days - 1}


def read(bench: Bench, index: AnnIndex, oracle: Oracle, hour: int) -> Working[Reading]:
    """Recall over all queries; then index and oracle timed in turns over the same queries."""
    stream, queries = bench.stream, bench.stream.queries(hour)
    live = stream.live(hour)
    truth = exact_knn(stream.vectors(live), queries, K, metric=stream.pool.metric)
    found = yield from _asked(index, queries, bench.search, "measuring recall")
    compared = queries if oracle.hour == hour else queries[:TIMED]
    afresh = yield from _asked(oracle.index, compared, bench.search, "measuring the rebuilt index")
    times, oracle_times = [found.seconds[:TIMED]], [afresh.seconds[:TIMED]]
    for _ in range(PASSES - 1):
        times.append(index.search(queries[:TIMED], K, **bench.search).seconds)
        oracle_times.append(oracle.index.search(queries[:TIMED], K, **bench.search).seconds)
        yield Progress(1, 1, "timing")
    true_ids = np.where(truth.ids < 0, -1, live[truth.ids])
    inverted = bench.policy.kind == "ivf_flat"
    return Reading(
        hour=hour,
        recall=recall_at_k(found.ids, true_ids, K),
        near=_near_live(bench, hour, queries, truth.scores[:, 0]),
        seconds=np.median(times, axis=0),
        rebuilt_seconds=np.median(oracle_times, axis=0),
        rebuilt_recall=float(recall_at_k(afresh.ids, true_ids, K).mean()) if oracle.hour == hour else None,
        bytes_share=(index.memory_bytes() / index.n) / (oracle.index.memory_bytes() / oracle.index.n),
        tombstone_share=index.tombstones / index.held,
        deleted_bytes=index.deleted_bytes(),
        imbalance=index.list_imbalance() if inverted else None,
        rebuilt_imbalance=oracle.index.list_imbalance() if inverted else None,
    )


def _asked(index: AnnIndex, queries: FloatArray, search: dict[str, Any], label: str) -> Working[SearchResult]:
    parts = []
    for start in range(0, len(queries), AT_ONCE):
        parts.append(index.search(queries[start : start + AT_ONCE], K, **search))
        yield Progress(start, len(queries), label)
    return SearchResult(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _near_live(bench: Bench, hour: int, queries: FloatArray, best: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Where no vector deleted since the last rebuild is nearer than the nearest live one."""
    stream, metric = bench.stream, bench.stream.pool.metric
    buried = np.flatnonzero((stream.died > bench.ledger.base(hour)) & (stream.died <= hour))
    if not len(buried) or not bench.ledger.tombstones[hour]:
        return np.ones(len(queries), dtype=np.bool_)
    dead = exact_knn(stream.vectors(buried), queries, 1, metric=metric).scores[:, 0]
    return dead >= best if metric == "l2" else dead <= best


# --- waiting behind inserts ------------------------------------------------------------------------------------------


class Latency(NamedTuple):
    still_ms: float  # 99th percentile of searches alone
    inserting_ms: float  # with the wait for the insert in progress


def while_inserting(bench: Bench, index: AnnIndex, queries: FloatArray) -> Working[Latency]:
    """Searches that share one lock with a writer: a query that comes during a batch of inserts waits for the rest of it.

    The writer inserts without a pause, so every query meets a batch, at a moment drawn evenly over its time.
    """
    index, rng = copy.copy(index), bench.ctx.rng("arrival within a batch")
    rows = rng.integers(len(bench.stream.pool.vectors), size=(WRITES, WRITE_BATCH))
    free = int(index.row_ids.max()) + 1
    alone, behind = [], []
    for i, batch in enumerate(rows):
        started = time.perf_counter()
        index.add(bench.stream.pool.vectors[batch], free + WRITE_BATCH * i + np.arange(WRITE_BATCH))
        busy = time.perf_counter() - started
        asked = rng.integers(len(queries), size=2)
        seconds = index.search(queries[asked], K, **bench.search).seconds
        alone += seconds.tolist()
        behind += (seconds + rng.random(2) * busy).tolist()
        if i % 10 == 9:
            yield Progress(i + 1, WRITES, "searching while inserting")
    return Latency(*(float(np.percentile(times, 99) * 1e3) for times in (alone, behind)))


# --- sweep over the tombstone share --------------------------------------------------------------------------------------


class SweepPoint(NamedTuple):
    share: float
    recall: float
    near_recall: float | None
    speed: float  # throughput against the same index before any delete


def sweep(bench: Bench) -> Working[list[SweepPoint]]:
    """The index of the start, of which ever more is deleted and nothing inserted."""
    stream, queries = bench.stream, bench.stream.pool.queries[:SWEEP_QUERIES]
    index = copy.copy((yield from rebuilt(bench, 0)))
    order = _leaving_order(stream, bench.pattern, bench.ctx.rng("sweep"))
    points: list[SweepPoint] = []
    full_speed = 0.0
    for before, share in zip((0.0, *SHARES), SHARES, strict=False):
        n = len(order)
        if int(share * n) > int(before * n):
            index.delete(order[int(before * n) : int(share * n)])
        live = np.sort(order[int(share * n) :])
        truth = exact_knn(stream.vectors(live), queries, K, metric=stream.pool.metric)
        near = live[truth.ids[:, 0]] == exact_knn(stream.vectors(np.arange(n)), queries, 1, metric=stream.pool.metric).ids[:, 0]
        found = yield from _asked(index, queries, bench.search, "sweeping the tombstone share")
        again = yield from _asked(index, queries[:TIMED], bench.search, "sweeping the tombstone share")
        recall = recall_at_k(found.ids, np.where(truth.ids < 0, -1, live[truth.ids]), K)
        rate = 1 / float(np.minimum(found.seconds[:TIMED], again.seconds).mean())
        full_speed = full_speed or rate
        points.append(SweepPoint(share, float(recall.mean()), float(recall[near].mean()) if near.any() else None, rate / full_speed))
    return points


def _leaving_order(stream: Stream, pattern: str, rng: np.random.Generator) -> IdArray:
    ids = stream.live(0)
    if pattern == "random":
        return rng.permutation(ids)
    tenant = stream.pool.tenant[stream.source[ids]]
    return ids[np.argsort(rng.permutation(tenant.max() + 1)[tenant], kind="stable")]
