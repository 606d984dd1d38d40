"""The pools of replicas behind the models: how fast they are at which load, and a day of each under its autoscaler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.serving import CostModel, DayResult, SchedulerConfig, simulate, simulate_day, synth_trace
from simulators.engines.serving.cascade import TIERS, RouteResult, retry_load
from simulators.engines.serving.day import WAIT_SLO_S
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._fleet_load import Loads
from simulators.llm_serving._fleet_params import FleetDayParams

Floats = npt.NDArray[np.float64]
GB = 1e9
FREE_SHARE = 0.7
RTT_S = 0.12
SURFACE_REQUESTS, SURFACE_SEED = 400, 0
UTILISATIONS = np.array([0.05, 0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 1.0])


class Pool(NamedTuple):
    """Replicas of one model: `gpus` each, `gpu_s` of them a query."""

    name: str
    model: str
    gpus: int
    weights: str
    lengths: str
    gpu_s: float

    @property
    def replica_rps(self) -> float:
        return self.gpus / self.gpu_s

    def cost(self) -> CostModel:
        return CostModel.roofline(self.model, "H100", tp=self.gpus, weights=self.weights)

    @property
    def weight_gb(self) -> float:
        memory = self.cost().memory
        return memory.model.weight_bytes(self.weights) / GB if memory else 0.0


_SHAPES = {
    "mini": ("Llama-3.1-8B", 1, "bf16", "conversation"),
    "full": ("Llama-3.1-70B", 4, "fp8", "conversation"),
    "reasoning": ("Llama-3.1-70B", 8, "bf16", "reasoning"),
}
POOLS = tuple(Pool(tier.name, *_SHAPES[tier.name], tier.gpu_s) for tier in TIERS)


@dataclass(frozen=True)
class Surface:
    """Of one replica, at UTILISATIONS of the load it can just carry: mean seconds to the first token and between tokens."""

    ttft_s: Floats
    itl_s: Floats

    def at(self, utilisation: Floats) -> tuple[Floats, Floats]:
        used = np.clip(utilisation, UTILISATIONS[0], 1.0)
        return np.interp(used, UTILISATIONS, self.ttft_s), np.interp(used, UTILISATIONS, self.itl_s)


def surfaces(ctx: Context) -> Working[tuple[Surface, ...]]:
    """Replays of a short trace at rising rates, made once."""

    def build() -> Working[tuple[Surface, ...]]:
        made: list[Surface] = []
        for pool in POOLS:
            cost, scheduler = pool.cost(), SchedulerConfig("vllm_v1", max_seqs=256)
            rush = synth_trace("batch", SURFACE_REQUESTS, 1.0, SURFACE_SEED, lengths=pool.lengths)
            limit_rps = simulate(rush, cost, scheduler).summary()["throughput_rps"]
            rows = []
            for used in UTILISATIONS:
                trace = synth_trace("conversation", SURFACE_REQUESTS, limit_rps * used, SURFACE_SEED, lengths=pool.lengths)
                said = simulate(trace, cost, scheduler).summary()
                rows.append((said["ttft_s"]["p50"], said["itl_s"]["mean"]))
                yield Progress(len(made), len(POOLS), "measuring a replica")
            made.append(Surface(*np.array(rows).T))
        return tuple(made)

    return (yield from ctx.asset_steps(f"serving/fleet/surfaces/{SURFACE_REQUESTS}", build))


# --- a day -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PoolDay:
    """One pool in one region. `load_rps` includes retries; `shed_rps`: requests turned away, free users first."""

    pool: Pool
    load_rps: Floats
    forecast_rps: Floats
    day: DayResult
    shed_rps: Floats

    @property
    def capacity_rps(self) -> Floats:
        return np.asarray(self.day.replicas * self.pool.replica_rps, dtype=np.float64)

    @property
    def utilisation(self) -> Floats:
        return np.asarray(np.minimum(self.load_rps / self.capacity_rps, 1.0), dtype=np.float64)


@dataclass(frozen=True)
class FleetDay:
    pools: tuple[PoolDay, ...]
    queries: float
    retries: float

    def _weighted(self, values: list[float]) -> float:
        loads = [float(part.load_rps.sum()) for part in self.pools]
        return float(np.dot(values, loads) / max(sum(loads), 1e-9))

    @property
    def violation_share(self) -> float:
        return self._weighted([part.day.violation_share for part in self.pools])

    @property
    def worst_wait_s(self) -> float:
        return max(part.day.worst_wait_s for part in self.pools)

    @property
    def gpu_hours(self) -> float:
        return sum(part.day.replica_hours * part.pool.gpus for part in self.pools)

    @property
    def replica_hours(self) -> float:
        return sum(part.day.replica_hours for part in self.pools)

    @property
    def shed_share(self) -> float:
        return sum(float(part.shed_rps.sum()) for part in self.pools) / max(sum(float(part.load_rps.sum()) for part in self.pools), 1e-9)


def lag_of(pool: Pool, params: FleetDayParams) -> float:
    if params.lag_from == "given":
        return params.lag_s
    return params.provisioning_s + pool.weight_gb / params.weights_gb_s + params.warm_up_s


def fleet_day(loads: Loads, routed: RouteResult, params: FleetDayParams) -> Working[FleetDay]:
    """Every pool of every region through the day."""
    retries = retry_load(routed.quality, params.retry)
    parts = []
    for rps, forecast in zip(loads.rps, loads.forecast_rps, strict=True):
        for pool, share in zip(POOLS, routed.mix, strict=True):
            if share > 0:
                factor = float(share) * retries
                parts.append(pool_day(pool, rps * factor, forecast * factor, params))
                yield Progress(len(parts), len(loads.rps) * len(POOLS), "simulating the day")
    return FleetDay(tuple(parts), float(loads.rps.sum()), retries)


def pool_day(pool: Pool, rps: Floats, forecast: Floats, params: FleetDayParams, *, policy: str = "", lag_s: float | None = None) -> PoolDay:
    day = simulate_day(
        rps,
        pool.replica_rps,
        policy or params.policy,
        lag_s=lag_of(pool, params) if lag_s is None else lag_s,
        interval_s=params.interval_s,
        target=params.target,
        forecast=forecast,
        headroom=params.headroom,
        cooldown_s=params.cooldown_s,
        warm=params.warm,
    )
    if params.admission == "none" or not day.violation_share:
        return PoolDay(pool, rps, forecast, day, np.zeros_like(rps))
    return _shedding(pool, rps, forecast, day, FREE_SHARE if params.admission == "free" else 1.0)


def _shedding(pool: Pool, rps: Floats, forecast: Floats, day: DayResult, share: float) -> PoolDay:
    """The same replicas, but who would wait longer than the SLO is turned away, up to a share of each second's requests."""
    capacity, shed = day.replicas * pool.replica_rps, np.zeros_like(rps)
    queue, waiting = np.zeros_like(rps), 0.0
    for second in np.flatnonzero(day.queue > 0).tolist():  # elsewhere nobody waits, with or without shedding
        waiting = 0.0 if second == 0 or day.queue[second - 1] == 0 else waiting
        grown = max(waiting + rps[second] - capacity[second], 0.0)
        shed[second] = min(max(grown - WAIT_SLO_S * capacity[second], 0.0), share * rps[second])
        queue[second] = waiting = grown - shed[second]
    wait = queue / capacity
    late = float((rps - shed)[wait > WAIT_SLO_S * (1 + 1e-9)].sum())
    better = DayResult(
        replicas=day.replicas,
        paid=day.paid,
        queue=queue,
        wait_s=wait,
        violation_share=late / max(float(rps.sum()), 1e-9),
        replica_hours=day.replica_hours,
        worst_wait_s=float(wait.max()),
    )
    return PoolDay(pool, rps, forecast, better, shed)


def static_reasoning_gpu_hours(loads: Loads, params: FleetDayParams, retries: float) -> float:
    """The yardstick: every query to the reasoning model on a fleet of peak size all day."""
    pool = POOLS[-1]
    peak = [
        pool_day(pool, rps * retries, forecast * retries, params.model_copy(update={"warm": 0}), policy="static")
        for rps, forecast in zip(loads.rps, loads.forecast_rps, strict=True)
    ]
    return sum(part.day.replica_hours * pool.gpus for part in peak)
