"""From an upload to a video that can be found: encoders that serve a queue, and what the views pay for the wait.

Workers take one upload at a time and finish what they began. Demand for a new video halves every half-life, so an upload that can be
found t hours late has lost 1 - 2^(-t / half_life) of its views.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Generator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import xlog1py

from simulators.engines.ranking.arguments import Floats, between, finite, one_of, same_length
from simulators.engines.ranking.step import Pace, Step
from simulators.engines.steps import finished

POLICIES = ("fifo", "shortest", "views", "views/cost")
SINGLY = 0.15  # share of a frame's time that a batch does not divide
_LOOK = 512  # uploads served between two looks at the clock


class Ingest(NamedTuple):
    """What became of n uploads, in the order they were given."""

    done_s: Floats  # (n,) when the video can be found
    utilisation: float  # work offered / what the workers can do while uploads arrive; above 1 the queue grows
    wait_p50_s: float  # from arrival to the first frame
    wait_p99_s: float
    views_lost: float  # share of the views; each upload counts alike where `views` are not known


def iter_ingest(
    arrival_s: ArrayLike,
    frames: ArrayLike,
    *,
    workers: int,
    frame_ms: float,
    batch: int,
    overhead_s: float,
    policy: str,
    views: ArrayLike | None = None,
    half_life_h: float = 12.0,
    predicted_views: ArrayLike | None = None,
) -> Generator[Step, None, Ingest]:
    """Uploads (n,) with their times in seconds and frames to encode, through a queue before equal workers.

    policy           who goes first when a worker is free: fifo, the shortest work, the most views, or the most views a second of work
    views            (n,) of each upload; the loss is counted in these
    predicted_views  (n,) what the queue knows of them; None: the views themselves

    An upload takes overhead_s + frames x frame_ms x (.85 / batch + .15): a batch shares most of a frame's time. ValueError names the
    argument that is wrong. In steps; `simulate_ingest` is the same in one go.
    """
    arrived, count = finite("arrival_s", arrival_s, ndim=1), _at_least("frames", frames, 0)
    weight = np.ones(len(arrived)) if views is None else _at_least("views", views, 0)
    known = weight if predicted_views is None else _at_least("predicted_views", predicted_views, 0)
    same_length(arrival_s=arrived, frames=count, views=weight, predicted_views=known)
    _check(len(arrived), workers, frame_ms, batch, overhead_s, half_life_h)
    work_s = service_s(count, frame_ms=frame_ms, batch=batch, overhead_s=overhead_s)
    order = np.argsort(arrived, kind="stable")
    rank = _rank(policy, work_s, known)
    began = np.empty(len(arrived))
    began[order] = yield from _serve(arrived[order].tolist(), work_s[order].tolist(), rank[order].tolist(), workers)
    wait, late_h = began - arrived, (began + work_s - arrived) / 3600
    lost = float(np.average(1 - 0.5 ** (late_h / half_life_h), weights=weight)) if weight.sum() > 0 else 0.0
    p50, p99 = np.quantile(wait, (0.5, 0.99))
    return Ingest(began + work_s, _utilisation(arrived, began + work_s, work_s, workers), float(p50), float(p99), lost)


simulate_ingest = finished("simulate_ingest", iter_ingest)


def service_s(frames: ArrayLike, *, frame_ms: float, batch: int, overhead_s: float) -> Floats:
    """Seconds (n,) a worker is busy with uploads of so many frames."""
    share = (1 - SINGLY) / batch + SINGLY
    return np.asarray(overhead_s + np.asarray(frames, dtype=np.float64) * frame_ms / 1000 * share)


def fanout_miss(miss_rate: float, candidates: int) -> float:
    """Chance that at least one of a request's candidates misses the cache, each by itself."""
    between("miss_rate", miss_rate, 0, 1)
    if candidates < 0:
        raise ValueError(f"candidates is {candidates}; expected 0 or more.")
    return float(-np.expm1(xlog1py(candidates, -miss_rate)))


def lru_hit_rate(requests: ArrayLike, capacity: int) -> float:
    """Share of the requests (n,), ids in order of time, that a cache of the `capacity` last used ids holds; it begins empty."""
    asked = np.asarray(requests)
    if asked.ndim != 1 or not len(asked):
        raise ValueError(f"requests has shape {asked.shape}; expected a list of at least one id.")
    if capacity < 0:
        raise ValueError(f"capacity is {capacity}; expected 0 or more.")
    held: OrderedDict[object, None] = OrderedDict()
    hits = 0
    for key in asked.tolist():
        if key in held:
            held.move_to_end(key)
            hits += 1
            continue
        held[key] = None
        if len(held) > capacity:
            held.popitem(last=False)
    return hits / len(asked)


def _serve(arrival: list[float], work: list[float], rank: list[float], workers: int) -> Generator[Step, None, list[float]]:
    """When each of the uploads, sorted by arrival, begins; the lowest rank waiting goes first, of equal ones the earlier."""
    total, pace = len(arrival), Pace()
    free, waiting, began = [arrival[0]] * workers, list[tuple[float, int]](), [0.0] * total
    now, coming = arrival[0], 0
    for served in range(total):
        now = max(now, heapq.heappop(free))
        if not waiting:
            now = max(now, arrival[coming])
        while coming < total and arrival[coming] <= now:
            heapq.heappush(waiting, (rank[coming], coming))
            coming += 1
        _, upload = heapq.heappop(waiting)
        began[upload] = now
        heapq.heappush(free, now + work[upload])
        if served % _LOOK == 0 and pace.due():
            yield Step(served, total, "encoding uploads")
    return began


def _rank(policy: str, work_s: Floats, views: Floats) -> Floats:
    """(n,) lower goes first."""
    one_of("policy", policy, POLICIES)
    if policy == "fifo":
        return np.zeros(len(work_s))
    if policy == "shortest":
        return work_s
    return -views if policy == "views" else -views / np.maximum(work_s, 1e-12)


def _utilisation(arrival_s: Floats, done_s: Floats, work_s: Floats, workers: int) -> float:
    """Over the time uploads arrive in; of uploads that all come at once, over the time until the last is done."""
    span = float(np.ptp(arrival_s)) or float(done_s.max() - arrival_s.min())
    return float(work_s.sum()) / (workers * span) if span > 0 else 0.0


def _at_least(name: str, values: ArrayLike, low: float) -> Floats:
    array = finite(name, values, ndim=1)
    if len(array) and array.min() < low:
        raise ValueError(f"{name} holds {array.min():g}; expected {low:g} or more.")
    return array


def _check(uploads: int, workers: int, frame_ms: float, batch: int, overhead_s: float, half_life_h: float) -> None:
    if not uploads:
        raise ValueError("arrival_s is empty; expected at least one upload.")
    for name, count in (("workers", workers), ("batch", batch)):
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")
    for name, value in (("frame_ms", frame_ms), ("overhead_s", overhead_s)):
        between(name, value, 0, 1e9)
    if not 0 < half_life_h < np.inf:
        raise ValueError(f"half_life_h is {half_life_h:g}; expected hours above 0.")
