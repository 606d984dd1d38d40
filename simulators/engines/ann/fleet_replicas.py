"""One shard's replicas as a queue: first come first served, hedged requests, cancellation of the loser, a budget of hedges.

A hedged request (Dean & Barroso 2013, The tail at scale) is sent to one replica; has no answer come after `hedge_ms`, a copy goes to
another, and the first answer counts. Cancelling takes the loser out of its queue; a search that already runs is run to its end, since a
graph walk does not ask after every hop whether it is still wanted. Shards do not influence one another, except through the query that
waits for all of them, so each is simulated alone.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
UNANSWERED = float("inf")


@dataclass(frozen=True)
class Policy:
    replicas: int
    workers: int = 1  # requests a replica serves at once
    hedge_ms: float | None = None  # None: never send a copy
    hedge_budget: float = 1.0  # copies sent, as a share of the requests so far
    cancel: bool = True  # the copy that lost leaves its queue

    @property
    def hedges(self) -> bool:
        return self.hedge_ms is not None and self.replicas > 1 and self.hedge_budget > 0


class Requests(NamedTuple):
    """The requests of one shard. Copy i is request i at its first replica, copy n + i the hedge of it."""

    arrivals_ms: Floats  # [n], ascending
    service_ms: Floats  # [2n], of every copy
    replica: npt.NDArray[np.int64]  # [2n], of every copy; the hedge's differs from the first


class Shard:
    """A discrete-event simulation that can be advanced in stretches of time.

    Arrivals and hedge timers are known beforehand and run through in order; only completions wait in a heap, never more than there are
    workers.
    """

    def __init__(self, requests: Requests, policy: Policy) -> None:
        self.n = n = len(requests.arrivals_ms)
        self.policy = policy
        self.service_ms: list[float] = requests.service_ms.tolist()
        self.replica: list[int] = requests.replica.tolist()
        self.answered_ms = [UNANSWERED] * n  # when the first answer came
        self.hedges = 0
        self.busy_ms = 0.0  # work done so far, of copies that lost too
        self._waiting: list[deque[int]] = [deque() for _ in range(policy.replicas)]
        self._free = [policy.workers] * policy.replicas
        self._running: list[tuple[float, int]] = []
        self._times, self._copies = _timers(requests.arrivals_ms, policy)
        self._next = 0
        self._arrived = 0

    def advance(self, until_ms: float) -> None:
        """Everything that happens up to `until_ms`; infinity drains the queues."""
        while self._next < len(self._times) and self._times[self._next] <= until_ms:
            now, copy = self._times[self._next], self._copies[self._next]
            self._next += 1
            self._complete(now)
            if copy < self.n:
                self._arrived += 1
                self._send(copy, now)
            elif self.answered_ms[copy - self.n] == UNANSWERED and self.hedges + 1 <= self.policy.hedge_budget * self._arrived:
                self.hedges += 1
                self._send(copy, now)
        self._complete(until_ms)

    def _complete(self, until_ms: float) -> None:
        while self._running and self._running[0][0] <= until_ms:
            now, copy = heapq.heappop(self._running)
            self.busy_ms += self.service_ms[copy]
            request = self._request(copy)
            self.answered_ms[request] = min(self.answered_ms[request], now)
            self._next_in_line(self.replica[copy], now)

    def _send(self, copy: int, now: float) -> None:
        replica = self.replica[copy]
        if self._free[replica]:
            self._free[replica] -= 1
            self._start(copy, now)
        else:
            self._waiting[replica].append(copy)

    def _start(self, copy: int, now: float) -> None:
        heapq.heappush(self._running, (now + self.service_ms[copy], copy))

    def _next_in_line(self, replica: int, now: float) -> None:
        """The worker takes the first copy in line that is still wanted, or becomes free."""
        line = self._waiting[replica]
        while line:
            copy = line.popleft()
            if not self.policy.cancel or self.answered_ms[self._request(copy)] == UNANSWERED:
                return self._start(copy, now)
        self._free[replica] += 1

    def _request(self, copy: int) -> int:
        return copy if copy < self.n else copy - self.n


def _timers(arrivals_ms: Floats, policy: Policy) -> tuple[list[float], list[int]]:
    """Times of arrivals and of hedges due, in order, with the copy each would send."""
    times, copies = arrivals_ms, np.arange(len(arrivals_ms))
    if policy.hedge_ms is not None and policy.hedges:
        times = np.concatenate([arrivals_ms, arrivals_ms + policy.hedge_ms])
        copies = np.arange(2 * len(arrivals_ms))
    order = np.argsort(times, kind="stable")
    return times[order].tolist(), copies[order].tolist()
