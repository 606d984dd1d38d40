"""Scatter-gather over a fleet: what happens to the tail when a query waits for its slowest shard.

Requests arrive as a Poisson stream, visit some or all shards, and are answered when the last of these has answered. A shard is a set of
replicas with first-come-first-served queues (`fleet_replicas`); the time of one search is lognormal, fitted to a median and a 99th
percentile. Read with `fleet_placement`, which says where vectors lie and which shards a query must visit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from simulators.engines.ann.fleet_replicas import UNANSWERED, Floats, Policy, Requests, Shard
from simulators.errors import InvalidInput

BLOCK = 500  # requests between two partial reports
_VISITS_A_STEP = 6_000  # simulated between two yields: about 25 ms
_Z99 = NormalDist().inv_cdf(0.99)


@dataclass(frozen=True)
class TailReport:
    """Latencies of the requests, from arrival to the last shard's answer."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    utilisation: float  # share of the workers' time spent working, from the first arrival to the last answer
    hedge_share: float  # copies sent, over shard requests
    p999_ms: float
    offered_load: float  # work really done over what the fleet can do while requests arrive; above 1 queues grow without end
    latency_ms: Floats  # [requests], in order of arrival
    hedges: int
    shard_requests: int


@dataclass(frozen=True)
class Lognormal:
    """Service time of one search."""

    mu: float
    sigma: float

    @classmethod
    def fitted(cls, p50_ms: float, p99_ms: float) -> Lognormal:
        if not p50_ms > 0:
            raise InvalidInput(f"p50 {p50_ms:g} ms was given; expected a time above 0", field="p50_ms")
        if not p99_ms > p50_ms:
            raise InvalidInput(f"p99 {p99_ms:g} ms was given with p50 {p50_ms:g} ms; expected p99 above p50", field="p99_ms")
        return cls(math.log(p50_ms), math.log(p99_ms / p50_ms) / _Z99)

    @property
    def mean_ms(self) -> float:
        return math.exp(self.mu + self.sigma**2 / 2)

    def quantile_ms(self, share: float) -> float:
        return math.exp(self.mu + self.sigma * NormalDist().inv_cdf(share))

    def slowest_of_ms(self, shards: int, share: float) -> float:
        """Quantile of the slowest of `shards` independent searches: the fan-out law 1 - (1 - p)^S, without queues."""
        return self.quantile_ms(share ** (1 / shards))

    def draw(self, size: int, rng: np.random.Generator) -> Floats:
        return np.asarray(np.exp(self.mu + self.sigma * rng.standard_normal(size)))


def simulate_scatter_gather(
    shards: int,
    replicas: int,
    *,
    p50_ms: float,
    p99_ms: float,
    utilisation: float | None = None,
    arrival_qps: float | None = None,
    hedge_ms: float | None = None,
    hedge_budget: float = 1.0,
    cancel: bool = True,
    n_requests: int = 4000,
    seed: int,
    workers: int = 1,
    visits: npt.NDArray[np.bool_] | None = None,
) -> TailReport:
    """Latency of requests that visit `shards` shards of `replicas` replicas each.

    Give either `utilisation`, the mean share of busy workers that first copies alone cause, or `arrival_qps`. Raises InvalidInput when
    these alone are more than the busiest shard can serve: no tail to speak of exists then.
    hedge_ms      a copy goes to another replica after this time without an answer; None: never
    hedge_budget  copies of a shard are at most this share of its requests so far
    workers       searches a replica runs at once
    visits        bool [n_requests, shards]: which shards each request visits; all, when None
    """
    service = Lognormal.fitted(p50_ms, p99_ms)
    policy = Policy(replicas, workers, hedge_ms, hedge_budget, cancel)
    everywhere = np.ones((n_requests, shards), dtype=bool) if visits is None else visits
    if (utilisation is None) == (arrival_qps is None):
        raise InvalidInput("expected either utilisation or arrival_qps, and not both", field="arrival_qps")
    qps = arrival_qps if arrival_qps is not None else qps_at(utilisation or 0.0, service, policy, everywhere)
    fleet = ScatterGather(service, policy, arrival_qps=qps, visits=everywhere, seed=seed)
    for _ in fleet.steps():
        pass
    return fleet.report()


class ScatterGather:
    """A simulation that can be watched: `steps` advances it, `report` tells of the requests answered so far.

    One random stream a purpose and shard: hedging, cancellation and load leave the draws of first copies alone, so two policies are
    compared on the same requests.
    """

    def __init__(self, service: Lognormal, policy: Policy, *, arrival_qps: float, visits: npt.NDArray[np.bool_], seed: int) -> None:
        _check(policy, visits, arrival_qps)
        capacity = capacity_qps(service, policy, visits)
        if arrival_qps > capacity:
            busiest = f"the busiest shard is asked by {visits.mean(axis=0).max():.0%} of the requests"
            able = f"its {policy.replicas} x {policy.workers} workers need {service.mean_ms:.3g} ms for each"
            raise InvalidInput(f"arrival {arrival_qps:,.0f} QPS exceeds capacity {capacity:,.0f}: {busiest}, and {able}.", field="qps")
        self._policy, self.n = policy, len(visits)
        gaps = _stream(seed, "arrivals").standard_exponential(self.n)
        self._arrivals_ms = np.cumsum(gaps) * (1e3 / arrival_qps)
        self._visitors = [np.flatnonzero(column) for column in visits.T]
        self._shards = [
            Shard(_requests(self._arrivals_ms[rows], service, policy, seed, shard), policy) for shard, rows in enumerate(self._visitors)
        ]
        self.done = 0  # requests that have arrived

    def steps(self) -> Iterator[int]:
        """Simulates block after block of 500 requests, all shards in each; yields how many requests have arrived everywhere."""
        for end in [*range(BLOCK, self.n, BLOCK), self.n]:
            until_ms = UNANSWERED if end == self.n else float(self._arrivals_ms[end - 1])
            visited = 0
            for shard, rows in zip(self._shards, self._visitors, strict=True):
                shard.advance(until_ms)
                visited += int(np.searchsorted(rows, end) - np.searchsorted(rows, self.done))
                if visited > _VISITS_A_STEP:
                    visited = 0
                    yield self.done
            self.done = end
            yield end

    def report(self) -> TailReport:
        """Of the requests whose answers are all in; InvalidInput is never raised, but there must be one at least."""
        answered_ms = np.zeros(self.n)
        for shard, rows in zip(self._shards, self._visitors, strict=True):
            answered_ms[rows] = np.maximum(answered_ms[rows], shard.answered_ms)
        whole = np.isfinite(answered_ms) & (np.arange(self.n) < self.done)
        latency_ms = (answered_ms - self._arrivals_ms)[whole]
        p50, p95, p99, p999 = np.percentile(latency_ms, (50, 95, 99, 99.9))
        sent = sum(int(np.searchsorted(rows, self.done)) for rows in self._visitors)
        hedges, busy_ms = sum(shard.hedges for shard in self._shards), sum(shard.busy_ms for shard in self._shards)
        workers = self._policy.replicas * self._policy.workers * len(self._shards)
        last_ms, window_ms = float(answered_ms[whole].max()), float(self._arrivals_ms[self.done - 1])
        return TailReport(
            p50_ms=float(p50),
            p95_ms=float(p95),
            p99_ms=float(p99),
            utilisation=busy_ms / (workers * max(last_ms, window_ms)),
            hedge_share=hedges / sent,
            p999_ms=float(p999),
            offered_load=busy_ms / (workers * window_ms),
            latency_ms=latency_ms,
            hedges=hedges,
            shard_requests=sent,
        )


def capacity_qps(service: Lognormal, policy: Policy, visits: npt.NDArray[np.bool_]) -> float:
    """Arrivals a second at which the busiest shard's workers would never rest, hedges not counted."""
    return policy.replicas * policy.workers * 1e3 / (service.mean_ms * float(visits.mean(axis=0).max()))


def qps_at(utilisation: float, service: Lognormal, policy: Policy, visits: npt.NDArray[np.bool_]) -> float:
    """Arrivals a second that keep this share of all workers busy with first copies."""
    if not 0 < utilisation < 1:
        raise InvalidInput(f"utilisation {utilisation:g} was given; expected a share above 0 and below 1", field="utilisation")
    workers = policy.replicas * policy.workers * visits.shape[1]
    return float(utilisation * workers * 1e3 / (service.mean_ms * visits.sum(axis=1).mean()))


def _requests(arrivals_ms: Floats, service: Lognormal, policy: Policy, seed: int, shard: int) -> Requests:
    n = len(arrivals_ms)
    times = [service.draw(n, _stream(seed, purpose, shard)) for purpose in ("service", "hedge service")]
    first = _stream(seed, "replica", shard).integers(policy.replicas, size=n)
    step = _stream(seed, "hedge replica", shard).integers(1, max(policy.replicas, 2), size=n)
    return Requests(arrivals_ms, np.concatenate(times), np.concatenate([first, (first + step) % policy.replicas]))


def _check(policy: Policy, visits: npt.NDArray[np.bool_], arrival_qps: float) -> None:
    for name, value in (
        ("replicas", policy.replicas),
        ("workers", policy.workers),
        ("shards", visits.shape[1]),
        ("n_requests", len(visits)),
    ):
        if value < 1:
            raise InvalidInput(f"{name} {value} was given; expected at least 1", field=name)
    if not arrival_qps > 0:
        raise InvalidInput(f"arrival {arrival_qps:g} QPS was given; expected a rate above 0", field="arrival_qps")
    if policy.hedge_ms is not None and policy.hedge_ms < 0 or not 0 <= policy.hedge_budget <= 1:
        raise InvalidInput("expected hedge_ms from 0 up and hedge_budget from 0 to 1", field="hedge_ms")
    if not visits.any(axis=1).all():
        raise InvalidInput("a request visits no shard; expected one at least for each", field="visits")


def _stream(seed: int, purpose: str, shard: int = 0) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(*purpose.encode(), shard)))
