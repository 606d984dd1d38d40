"""What the long functions of this package report on the way: `iter_x` yields `Step`s and returns what `fit_x` or `simulate_x` returns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

PACE_S = 0.02


class Step(NamedTuple):
    """`done` of `total` units of work, what is being done, and figures so far."""

    done: int
    total: int
    label: str
    metrics: Mapping[str, float] = {}


class Pace:
    """Says when the next report is due, so that short units of work are not reported one by one."""

    def __init__(self, every_s: float = PACE_S) -> None:
        self.every_s = every_s
        self.last = time.perf_counter()

    def due(self) -> bool:
        now = time.perf_counter()
        if now - self.last < self.every_s:
            return False
        self.last = now
        return True
