"""The network between a serving process and a sharded store, simulated: a request waits for the slowest shard of each of its rounds.

Dean & Barroso 2013, The tail at scale, CACM 56(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SPREAD = 0.25  # s.d. of the logarithm of a reply's time
SLOW_FACTOR = 10.0
HEDGE_QUANTILE = 1.645  # normal score of the 95th percentile of a reply that is not slow: after it a second copy is asked


@dataclass(frozen=True)
class Network:
    """Replies take `rtt_ms` at the median, log-normally; a share `slow_share` of them takes ten times as long."""

    rtt_ms: float
    shards: int
    slow_share: float

    @property
    def hedge_after_ms(self) -> float:
        return float(self.rtt_ms * np.exp(SPREAD * HEDGE_QUANTILE))

    def shards_asked(self, keys: int) -> float:
        """Mean number of shards that hold `keys` keys, spread by hash."""
        return self.shards * (1 - (1 - 1 / self.shards) ** keys)


class Waits(NamedTuple):
    """Of each simulated request (n,): its time, its time had every late reply been asked of a second copy, and whether a reply was slow."""

    time_ms: Floats
    hedged_ms: Floats
    slow: NDArray[np.bool_]


def slow_share(share: float, replies: float) -> float:
    """Requests that wait for at least one slow reply: 1 - (1 - p)^k."""
    return float(1 - (1 - share) ** replies)


def simulate(network: Network, *, rounds: int, keys: int, requests: int, rng: np.random.Generator) -> Waits:
    """Requests of `rounds` round trips after one another, each to the shards that hold `keys` keys."""
    asked = _asked(network.shards, (requests, rounds), keys, rng)
    answered = np.arange(asked.max(initial=0)) < asked[..., None]
    first, slow = _replies(network, answered.shape, rng)
    second, _ = _replies(network, answered.shape, rng)
    hedged = np.minimum(first, network.hedge_after_ms + second)
    times = [np.where(answered, reply, 0.0).max(axis=2, initial=0).sum(axis=1) for reply in (first, hedged)]
    return Waits(times[0], times[1], np.asarray((slow & answered).any(axis=(1, 2))))


def _asked(shards: int, shape: tuple[int, int], keys: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How many different shards hold `keys` keys, by throwing them: one for one key."""
    if keys == 1 or shards == 1:
        return np.full(shape, min(keys, 1), dtype=np.int64)
    thrown = np.sort(rng.integers(0, shards, (*shape, keys)), axis=2)
    return np.asarray(1 + (np.diff(thrown, axis=2) != 0).sum(axis=2), dtype=np.int64)


def _replies(network: Network, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Floats, NDArray[np.bool_]]:
    slow = rng.random(shape) < network.slow_share
    return network.rtt_ms * np.exp(SPREAD * rng.standard_normal(shape)) * np.where(slow, SLOW_FACTOR, 1.0), slow
