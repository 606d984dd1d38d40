"""The seconds of `simulate_day`, compiled; imported only where a day is simulated."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from simulators.engines.serving.jit import compiled
from simulators.engines.serving.trace import Floats, Ints

STATIC, REACTIVE, PREDICTIVE, HYBRID = range(4)  # as in day.POLICIES


@compiled
def run(
    load: Floats,
    forecast: Floats,
    policy: int,
    replica_rps: float,
    spare: float,
    forecast_spare: float,
    numbers: tuple[int, int, int, int],
    arriving: Ints,
    replicas: Ints,
    paid: Ints,
    queue: Floats,
    wait: Floats,
) -> None:
    """Fills the last four arrays; `arriving` counts the replicas that come up at a second. Everything ordered is paid once it is up."""
    lag, interval, cooldown, warm = numbers
    wanted = _wanted(load, forecast, policy, 0, lag + interval, interval, spare, forecast_spare, replica_rps)
    ready, ordered, waiting = wanted + warm, 0, 0.0
    enough_since = 0
    for second in range(len(load)):
        ready += arriving[second]
        ordered -= arriving[second]
        if second > 0 and second % interval == 0:
            now = _wanted(load, forecast, policy, second, lag + interval, interval, spare, forecast_spare, replica_rps)
            if now >= wanted:
                wanted, enough_since = now, second
            elif second - enough_since >= cooldown:
                wanted = now
            order = wanted + warm - ready - ordered
            if order > 0 and lag > 0:
                arriving[second + lag] += order
                ordered += order
            elif order > 0:
                ready += order
        ready = min(ready, wanted + warm)
        replicas[second] = min(wanted, ready)
        paid[second] = ready
        capacity = replicas[second] * replica_rps
        waiting = max(waiting + load[second] - capacity, 0.0)
        queue[second] = waiting
        wait[second] = waiting / capacity


@compiled
def _wanted(
    load: Floats,
    forecast: Floats,
    policy: int,
    second: int,
    horizon: int,
    interval: int,
    spare: float,
    forecast_spare: float,
    replica_rps: float,
) -> int:
    """Replicas the policy asks for, at least one. `spare` is capacity over load."""
    capacity = 0.0
    if policy == STATIC:
        capacity = _highest(load, 0, len(load)) * spare
    if policy in (REACTIVE, HYBRID):
        capacity = _mean(load, max(second - interval, 0), max(second, 1)) * spare
    if policy in (PREDICTIVE, HYBRID):
        capacity = max(capacity, _highest(forecast, second, second + horizon + 1) * forecast_spare)
    return max(int(np.ceil(capacity / replica_rps - 1e-9)), 1)


@compiled
def _highest(values: Floats, start: int, stop: int) -> float:
    highest = 0.0
    for i in range(start, min(stop, len(values))):
        highest = max(highest, values[i])
    return highest


@compiled
def _mean(values: Floats, start: int, stop: int) -> float:
    total = 0.0
    for i in range(start, stop):
        total += values[i]
    return total / (stop - start)
