"""The world of the lab `deletes`: hour by hour, which vectors arrive and which leave. Nothing here knows of an index."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.ann import data as ann_data
from simulators.engines.ann.data import FloatArray
from simulators.engines.ann.kmeans import kmeans_steps
from simulators.engines.ann.truth import exact_knn
from simulators.lab import Context, Data, Progress, Working
from simulators.vector_search._vectors import SYNTHETIC_QUERIES, own_world, told

HOURS = 24
NOON = 12
NEVER = np.iinfo(np.int32).max
DIM, CLUSTERS = 64, 200
OWN_TENANTS = 50  # k-means cells that stand for tenants in the user's own vectors
MOST_POOL = 120_000  # vectors drawn; after these, vectors that left return under a new id
MOST_LEAVING = 0.9  # of the live vectors at one noon
IdArray = npt.NDArray[np.int64]
HourArray = npt.NDArray[np.int32]
Pattern = Literal["random", "tenant"]


class Churn(NamedTuple):
    n: int  # live vectors
    percent: float  # of them, replaced a day
    pattern: Pattern
    days: int

    @property
    def hourly(self) -> float:
        return self.n * self.percent / 100 / HOURS


@dataclass(frozen=True)
class Pool:
    """Vectors to draw from. The first rows are there at the start, the others wait their turn."""

    key: str
    metric: str
    vectors: FloatArray  # [m, d]
    tenant: npt.NDArray[np.int32]  # [m]
    is_new: npt.NDArray[np.bool_]  # [m], drawn from the other mixture
    queries: FloatArray  # [q, d]
    new_queries: FloatArray  # [q, d], of the other mixture
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stream:
    """What happened: id i is vector `source[i]`, inserted in hour `born[i]` (0: there at the start), deleted in hour `died[i]`."""

    key: str
    pool: Pool
    hours: int
    source: IdArray
    born: npt.NDArray[np.int32]
    died: npt.NDArray[np.int32]

    @cached_property
    def _births(self) -> list[IdArray]:
        return _by_hour(self.born, self.hours)

    @cached_property
    def _deaths(self) -> list[IdArray]:
        return _by_hour(self.died, self.hours)

    def inserted(self, hour: int) -> IdArray:
        return self._births[hour]

    def deleted(self, hour: int) -> IdArray:
        return self._deaths[hour]

    def live(self, hour: int) -> IdArray:
        """Ids that are alive at the end of the hour."""
        return np.flatnonzero((self.born <= hour) & (self.died > hour))

    def vectors(self, ids: IdArray) -> FloatArray:
        return self.pool.vectors[self.source[ids]]

    def queries(self, hour: int) -> FloatArray:
        """Queries follow the data: the share from the other mixture is that of the live vectors. Tenants that left are still asked for."""
        share = float(self.pool.is_new[self.source[self.live(hour)]].mean())
        if not share:
            return self.pool.queries
        turn = np.random.default_rng(len(self.pool.queries)).random(len(self.pool.queries))  # the same queries switch, in the same order
        return np.where((turn < share)[:, None], self.pool.new_queries, self.pool.queries)


def _by_hour(hour_of: npt.NDArray[np.int32], hours: int) -> list[IdArray]:
    order = np.argsort(hour_of, kind="stable")
    edges = np.searchsorted(hour_of[order], np.arange(hours + 2))
    return [order[start:end] for start, end in zip(edges[:-1], edges[1:], strict=True)]


# --- pools -----------------------------------------------------------------------------------------------------------


def synthetic_pool(ctx: Context, churn: Churn, shift: float) -> Working[Pool]:
    """Two mixtures of Gaussian clusters; `shift` of what arrives comes from the second. A cluster is a tenant."""
    arriving = int(churn.hourly * HOURS * churn.days * (1.5 if churn.pattern == "tenant" else 1.0))
    m = churn.n + min(max(arriving, churn.n), MOST_POOL)
    key = f"deletes/pool/1/n={churn.n}/m={m}/shift={shift!r}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _drawn(key, churn.n, m, shift, ctx.seed), disk=False))


def _drawn(key: str, n: int, m: int, shift: float, seed: int) -> Working[Pool]:
    old = yield from told(ann_data.clustered_steps(m, DIM, SYNTHETIC_QUERIES, seed=seed, clusters=CLUSTERS), "drawing vectors")
    is_new = np.zeros(m, dtype=np.bool_)
    if not shift:
        return Pool(key, "ip", old.base, old.base_cluster, is_new, old.queries, old.queries)
    other = ann_data.clustered_steps(m, DIM, SYNTHETIC_QUERIES, seed=seed + 1_000_003, clusters=CLUSTERS)
    new = yield from told(other, "drawing vectors of the other mixture")
    is_new[n:] = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,))).random(m - n) < shift
    vectors = np.where(is_new[:, None], new.base, old.base)
    tenant = np.where(is_new, CLUSTERS + new.base_cluster, old.base_cluster)
    return Pool(key, "ip", vectors, tenant, is_new, old.queries, new.queries)


def own_pool(ctx: Context, data: Data) -> Working[Pool]:
    """The user's vectors in random order. k-means cells stand for tenants."""
    world = yield from own_world(ctx, data)
    key = f"{world.key}/pool/1"
    order = ctx.rng("own order").permutation(world.n)
    vectors = np.ascontiguousarray(world.base[order])
    cells = min(OWN_TENANTS, world.n // 20)
    steps = kmeans_steps(vectors, cells, spherical=world.metric != "l2", seed=ctx.seed)
    centroids = yield from ctx.asset_steps(f"{key}/tenants", lambda: told(steps, "sorting your vectors into tenants"), disk=False)
    tenant = exact_knn(centroids, vectors, 1, metric=world.metric).ids[:, 0].astype(np.int32)
    return Pool(key, world.metric, vectors, tenant, np.zeros(len(vectors), np.bool_), world.queries, world.queries, world.notes)


# --- the stream ------------------------------------------------------------------------------------------------------


def streamed(ctx: Context, pool: Pool, churn: Churn) -> Working[Stream]:
    key = f"{pool.key}/stream/1/n={churn.n}/{churn.percent!r}/{churn.pattern}/{churn.days}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _simulated(key, pool, churn, ctx.rng("stream")), disk=False))


def _simulated(key: str, pool: Pool, churn: Churn, rng: np.random.Generator) -> Working[Stream]:
    simulation = _Simulation(pool, churn, rng)
    hours = churn.days * HOURS
    for hour in range(1, hours + 1):
        simulation.hour(hour)
        if hour % HOURS == 0:
            yield Progress(hour, hours, "drawing arrivals and departures")
    return Stream(key, pool, hours, simulation.source, simulation.born, simulation.died)


class _Simulation:
    """Random: every hour some vectors leave and as many arrive. Tenant: the arrivals are the same, but whole tenants leave at noon."""

    def __init__(self, pool: Pool, churn: Churn, rng: np.random.Generator) -> None:
        self.pool, self.churn, self.rng = pool, churn, rng
        self.reserve = deque(range(churn.n, len(pool.vectors)))
        self.live: IdArray = np.arange(churn.n)
        self.source: IdArray = np.arange(churn.n)  # pool row by id
        self.born: HourArray = np.zeros(churn.n, np.int32)
        self.died: HourArray = np.full(churn.n, NEVER, np.int32)
        self.inserted = self.deleted = 0
        self.tenants = _Tenants(pool.tenant, rng)

    def hour(self, hour: int) -> None:
        arrivals = round(self.churn.hourly * hour) - self.inserted
        leaving = self._leaving(hour)
        self._delete(leaving, hour)
        self._insert(arrivals, hour)

    def _leaving(self, hour: int) -> IdArray:
        if self.churn.pattern == "random":
            count = min(round(self.churn.hourly * hour) - self.deleted, len(self.live))
            return self.rng.choice(self.live, count, replace=False)
        if hour % HOURS != NOON:
            return self.live[:0]
        quota = round(self.churn.hourly * (hour + NOON)) - self.deleted  # of the whole day
        return self.tenants.leave(self.live, self.source[self.live], min(quota, int(MOST_LEAVING * len(self.live))))

    def _delete(self, ids: IdArray, hour: int) -> None:
        self.died[ids] = hour
        self.live = self.live[self.died[self.live] == NEVER]
        self.reserve.extend(self.source[ids].tolist())
        self.deleted += len(ids)

    def _insert(self, count: int, hour: int) -> None:
        rows = np.fromiter(self._arriving(count), dtype=np.int64)
        self.live = np.concatenate([self.live, np.arange(len(self.source), len(self.source) + len(rows))])
        self.source = np.concatenate([self.source, rows])
        self.born = np.concatenate([self.born, np.full(len(rows), hour, np.int32)])
        self.died = np.concatenate([self.died, np.full(len(rows), NEVER, np.int32)])
        self.inserted += len(rows)

    def _arriving(self, count: int) -> Iterator[int]:
        """The next rows of the reserve; those of tenants that are away wait on."""
        for _ in range(len(self.reserve)):
            if count <= 0:
                return
            row = self.reserve.popleft()
            if self.churn.pattern == "tenant" and self.tenants.away[self.pool.tenant[row]]:
                self.reserve.append(row)
            else:
                count -= 1
                yield row


class _Tenants:
    """Tenants leave in a random order that goes round; when more than half are away, those gone longest may return."""

    def __init__(self, tenant: npt.NDArray[np.int32], rng: np.random.Generator) -> None:
        self.tenant = tenant
        self.away = np.zeros(tenant.max() + 1, dtype=np.bool_)
        self.order = deque(rng.permutation(np.unique(tenant)).tolist())
        self.gone: deque[int] = deque()

    def leave(self, ids: IdArray, rows: IdArray, quota: int) -> IdArray:
        """Ids of the tenants that leave: whole ones, until at least `quota` vectors are gone."""
        own = self.tenant[rows]
        leaving: list[IdArray] = []
        total = 0
        for _ in range(len(self.order)):
            if total >= quota:
                break
            which = self._next()
            leaving.append(ids[own == which])
            total += len(leaving[-1])
        return np.concatenate(leaving) if leaving else ids[:0]

    def _next(self) -> int:
        which = self.order.popleft()
        self.order.append(which)
        self.away[which] = True
        self.gone.append(which)
        if len(self.gone) > len(self.order) // 2:
            self.away[self.gone.popleft()] = False
        return int(which)
