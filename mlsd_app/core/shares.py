"""Shares with their uncertainty."""

from __future__ import annotations

from simulators.engines.ranking.calibration import wilson


def share_interval(hits: float, n: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of `hits` of `n`, 0 to 1; None without observations."""
    if n == 0:
        return None
    low, high = wilson(hits / n, n)
    return float(low), float(high)
