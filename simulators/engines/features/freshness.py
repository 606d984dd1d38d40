"""How old a served feature is, against what was promised for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from simulators.errors import InvalidInput


@dataclass(frozen=True)
class SlaResult:
    """p50, p99 in seconds, None without a single age; `breached_share` of the ages lies above the target."""

    p50: float | None
    p99: float | None
    breached_share: float
    status: Literal["ok", "breached", "no data"]


@dataclass(frozen=True)
class Sla:
    """A promise: the `quantile` (0 to 1) of a feature's age is at most `target_s` seconds."""

    target_s: float
    quantile: float = 0.99

    def __post_init__(self) -> None:
        if not self.target_s > 0:
            raise InvalidInput(f"target_s is {self.target_s}; expected more than 0 seconds.", field="target_s")
        if not 0 < self.quantile <= 1:
            raise InvalidInput(f"quantile is {self.quantile}; expected above 0 and at most 1.", field="quantile")

    def check(self, ages: ArrayLike) -> SlaResult:
        """Ages (n,) in seconds against the promise; NaN (nothing served) is left out."""
        known = np.asarray(ages, dtype=float).ravel()
        known = known[~np.isnan(known)]
        if not len(known):
            return SlaResult(None, None, 0.0, "no data")
        p50, p99, promised = np.quantile(known, [0.5, 0.99, self.quantile]).tolist()
        return SlaResult(p50, p99, float((known > self.target_s).mean()), "ok" if promised <= self.target_s else "breached")


def batch_age_s(period_s: float, run_s: float, quantile: float) -> float:
    """Age of a batch feature at a random request: it is `run_s` old when it arrives, and then waits up to a period for the next."""
    return run_s + period_s * quantile
