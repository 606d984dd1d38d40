"""The highest rate a configuration carries within its SLO."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from simulators.engines.serving.result import check_slo
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate_steps
from simulators.engines.serving.trace import Trace
from simulators.engines.steps import finish, relay
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
    return finish(capacity_steps(trace, cost, scheduler, slo=slo, rates=rates, steps=steps, **simulate_kw))


def capacity_steps(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    *,
    slo: Mapping[str, float],
    rates: tuple[float, float] = (0.1, 200),
    steps: int = 9,
    **simulate_kw: Any,
) -> Generator[float, None, float]:
    """`capacity` for whoever has to stay interruptible: yields the share of the search that is done every ten milliseconds or so."""
    low, high = rates
    if not 0 < low < high:
        raise InvalidInput(f"rates are {rates}; expected two rising numbers above 0 (requests a second).", field="rates")
    if steps < 1:
        raise InvalidInput(f"steps is {steps}; expected at least 1.", field="steps")
    check_slo(slo)

    def passes(rate_rps: float, done: int) -> Generator[float, None, bool]:
        simulation = simulate_steps(trace.at_rate(rate_rps), cost, scheduler, **simulate_kw)
        result = yield from relay(simulation, lambda share: (done + share) / (steps + 2))
        return result.meets(slo)

    if not (yield from passes(low, 0)):
        return 0.0
    if (yield from passes(high, 1)):
        return float(high)
    for step in range(steps):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if (yield from passes(middle, step + 2)) else (low, middle)
    return float(low)
