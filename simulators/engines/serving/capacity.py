"""The highest rate a configuration carries within its SLO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulators.engines.serving.result import check_slo
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate
from simulators.engines.serving.trace import Trace
from simulators.errors import InvalidInput


def capacity(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    *,
    slo: Mapping[str, float],
    rates: tuple[float, float] = (0.1, 200),
    steps: int = 9,
    **simulate_kw: Any,
) -> float:
    """Requests a second at which TTFT and the gaps between tokens still meet `slo` (ttft_s, itl_s, percentile=99), as in DistServe's
    goodput (OSDI 2024).

    The trace is replayed at other rates, its arrivals rescaled by time. `steps` halvings of the ratio between the two `rates`, so the
    answer is the highest rate that was seen to pass; 0.0 if the lower one fails, the upper one if that passes.
    """
    low, high = rates
    if not 0 < low < high:
        raise InvalidInput(f"rates are {rates}; expected two rising numbers above 0 (requests a second).", field="rates")
    if steps < 1:
        raise InvalidInput(f"steps is {steps}; expected at least 1.", field="steps")
    check_slo(slo)

    def passes(rate_rps: float) -> bool:
        return simulate(trace.at_rate(rate_rps), cost, scheduler, **simulate_kw).meets(slo)

    if not passes(low):
        return 0.0
    if passes(high):
        return float(high)
    for _ in range(steps):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if passes(middle) else (low, middle)
    return float(low)
