"""A day of a fleet whose size follows its load: a fluid queue on a grid of one second.

Replicas serve `replica_rps` each; what exceeds them waits. New replicas take `lag_s` (machine, weights, warm-up) before they serve, so an
autoscaler that looks at the load sees a rise too late by that much (Gandhi et al., AutoScale, ACM TOCS 2012).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.serving.trace import Floats, Ints
from simulators.errors import InvalidInput

POLICIES = ("static", "reactive", "predictive", "hybrid")
SYNONYMS = {"forecast": "predictive"}
HOUR_S = 3600
WAIT_SLO_S = 2.0  # a request that waits longer than this misses its time to first token


@dataclass(frozen=True)
class DayResult:
    """Every second: `replicas` that serve, `paid` ones (those and the warm standbys), requests in the `queue`, `wait_s` of a request
    that comes then. `violation_share`: of the requests, those that wait longer than the SLO."""

    replicas: Ints
    paid: Ints
    queue: Floats
    wait_s: Floats
    violation_share: float
    replica_hours: float
    worst_wait_s: float


def simulate_day(
    load_rps: ArrayLike,
    replica_rps: float,
    policy: str,
    *,
    lag_s: float = 300,
    interval_s: float = 60,
    target: float = 0.7,
    forecast: ArrayLike | None = None,
    headroom: float = 1.15,
    cooldown_s: float = 600,
    warm: int = 0,
    wait_slo_s: float = WAIT_SLO_S,
) -> DayResult:
    """One entry of `load_rps` a second; a request a second needs 1 / `replica_rps` replicas.

    Every `interval_s` the autoscaler asks how many replicas it wants:
    static: enough for the highest load of the day at utilisation `target`, all day.
    reactive: the mean load since it last looked, at utilisation `target`.
    predictive (or forecast): the highest `forecast` until what it orders now is up and it has looked again, at utilisation `target`, and
        never less than `headroom` times that load.
    hybrid: the larger of reactive and predictive.
    It orders at once, and lets replicas go only when it has wanted fewer for `cooldown_s`. `warm` standbys are up beside those wanted,
    are paid for, and serve as soon as they are wanted; they are ordered anew with the same lag.

    Raises InvalidInput for loads that are negative or not finite, target outside 0 to 1, headroom below 1, negative times, a forecast of
    another length than the load or none where the policy needs one.
    """
    from simulators.engines.serving import day_kernel

    load = _loads("load_rps", load_rps)
    policy = SYNONYMS.get(policy, policy)
    _check(policy, replica_rps, lag_s, interval_s, target, headroom, cooldown_s, warm, wait_slo_s)
    expected = _forecast(policy, forecast, load)
    share = max(headroom, 1 / target)
    paid, replicas = np.zeros((2, len(load)), dtype=np.int64)
    queue, wait = np.zeros((2, len(load)))
    arriving = np.zeros(len(load) + round(lag_s) + 1, dtype=np.int64)
    numbers = (round(lag_s), max(round(interval_s), 1), round(cooldown_s), int(warm))
    day_kernel.run(load, expected, POLICIES.index(policy), replica_rps, 1 / target, share, numbers, arriving, replicas, paid, queue, wait)
    served = float(load.sum())
    return DayResult(
        replicas=replicas,
        paid=paid,
        queue=queue,
        wait_s=wait,
        violation_share=float(load[wait > wait_slo_s].sum()) / served if served else 0.0,
        replica_hours=float(paid.sum()) / HOUR_S,
        worst_wait_s=float(wait.max()),
    )


def _loads(name: str, given: Any) -> Floats:
    load = np.asarray(given, dtype=np.float64)
    if load.ndim != 1 or not len(load):
        raise InvalidInput(f"{name} has shape {load.shape}; expected one number a second.", field=name)
    bad = np.flatnonzero(~np.isfinite(load) | (load < 0))
    if len(bad):
        raise InvalidInput(f"{name}, second {bad[0]}: {load[bad[0]]:g}; expected requests a second, 0 or more.", field=name)
    return load


def _forecast(policy: str, given: Any, load: Floats) -> Floats:
    if given is None:
        if policy in {"predictive", "hybrid"}:
            raise InvalidInput(f"policy {policy} needs a forecast; expected one number for each of {len(load)} seconds.", field="forecast")
        return load
    forecast = _loads("forecast", given)
    if len(forecast) != len(load):
        raise InvalidInput(f"forecast has {len(forecast)} seconds; expected {len(load)}, as many as load_rps.", field="forecast")
    return forecast


def _check(
    policy: str,
    replica_rps: float,
    lag_s: float,
    interval_s: float,
    target: float,
    headroom: float,
    cooldown_s: float,
    warm: int,
    wait_slo_s: float,
) -> None:
    if policy not in POLICIES:
        raise InvalidInput(f"policy is {policy!r}; expected one of {', '.join(POLICIES)}.", field="policy")
    rules = (
        ("replica_rps", replica_rps, replica_rps > 0, "requests a second above 0"),
        ("lag_s", lag_s, lag_s >= 0, "0 s or more"),
        ("interval_s", interval_s, interval_s > 0, "more than 0 s"),
        ("target", target, 0 < target < 1, "a utilisation above 0 and below 1"),
        ("headroom", headroom, headroom >= 1, "a factor of 1 or more"),
        ("cooldown_s", cooldown_s, cooldown_s >= 0, "0 s or more"),
        ("warm", warm, warm >= 0 and warm == int(warm), "a whole number of replicas, 0 or more"),
        ("wait_slo_s", wait_slo_s, wait_slo_s >= 0, "0 s or more"),
    )
    for name, value, good, expected in rules:
        if not (good and np.isfinite(value)):
            raise InvalidInput(f"{name} is {value:g}; expected {expected}.", field=name)
