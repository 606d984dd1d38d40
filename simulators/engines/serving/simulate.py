"""Iteration-level simulation of continuous batching (Orca, OSDI 2022; Vidur, MLSys 2024): a trace, a cost model, a scheduler; times out."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.result import SimResult
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.state import DONE, LOG_FULL, RUNNING, Sim
from simulators.engines.serving.trace import Trace
from simulators.engines.serving.world import build_world
from simulators.errors import InvalidInput

ITERATIONS_A_STEP = 20_000  # some 10 ms
ROUTERS = ("round_robin", "random", "least_loaded", "least_pending")


def simulate(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    *,
    num_blocks: int | None = None,
    replicas: int = 1,
    router: str = "round_robin",
    log_iterations: bool = False,
    seed: int = 0,
) -> SimResult:
    """Serves the whole trace and returns what happened to every request. Two runs of the same arguments agree to the last bit."""
    steps = simulate_steps(
        trace, cost, scheduler, num_blocks=num_blocks, replicas=replicas, router=router, log_iterations=log_iterations, seed=seed
    )
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def simulate_steps(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    *,
    num_blocks: int | None = None,
    replicas: int = 1,
    router: str = "round_robin",
    log_iterations: bool = False,
    seed: int = 0,
) -> Generator[float, None, SimResult]:
    """`simulate` in steps of some ten milliseconds, for whoever has to stay interruptible: yields the share of requests finished."""
    from simulators.engines.serving.kernel_loop import run

    tables = cost.tables
    blocks = cost.num_blocks(scheduler.block_size) if num_blocks is None else num_blocks
    sim = build_world(
        trace,
        tables,
        scheduler,
        num_blocks=blocks,
        replicas=replicas,
        router=ROUTERS.index(router),
        log=log_iterations,
        seed=seed,
    )
    while True:
        status = run(sim, tables, ITERATIONS_A_STEP)
        if status == DONE:
            return _result(trace, cost, sim, log_iterations)
        if status == LOG_FULL:
            sim = sim._replace(log=np.concatenate([sim.log, np.zeros_like(sim.log)]))
        elif status != RUNNING:
            raise InvalidInput(_failure(status, trace, tables, sim), field="trace")
        yield float(sim.world["finished"][0]) / len(trace)


def _failure(status: int, trace: Trace, tables: CostTables, sim: Sim) -> str:
    """Why the simulation cannot go on, as a sentence."""
    culprit, iteration = int(sim.world["culprit"][0]), int(sim.world["iterations"][0]) + 1
    return f"status {status} at iteration {iteration}, {culprit}"


def _result(trace: Trace, cost: Any, sim: Sim, logged: bool) -> SimResult:
    requests, replicas, world = sim.requests, sim.replicas, sim.world[0]
    return SimResult(
        trace=trace,
        scheduled_s=requests["scheduled_s"].copy(),
        first_token_s=requests["first_token_s"].copy(),
        finished_s=requests["finished_s"].copy(),
        restarts=requests["restarts"].copy(),
        replica=requests["replica"].copy(),
        cached_tokens=requests["cached"].copy(),
        breakdown=_breakdown(requests),
        iterations=int(world["iterations"]),
        busy_s=replicas["busy_s"].copy(),
        itl_hist=sim.itl_hist,
        itl_max_s=float(world["itl_max_s"]),
        iteration_log=sim.log[: world["iterations"]].copy() if logged else None,
        extrapolated=int(world["extrapolated"]),
        error_band=getattr(cost, "error_band", None),
        blocks_free=replicas["free_blocks"].copy(),
        blocks_total=replicas["total_blocks"].copy(),
        cache_hits=np.zeros(0, np.int64),
    )


def _breakdown(requests: Any) -> Any:
    """The columns of `SimResult.breakdown`; interference is what the others leave of finish - arrival."""
    queue = requests["scheduled_s"] - requests["arrival_s"]
    known = [queue, *(requests[f"{name}_s"] for name in ("prefill", "prefill_wait", "decode", "preempted", "transfer"))]
    rest = requests["finished_s"] - requests["arrival_s"] - sum(known)
    queue, prefill, wait, decode, preempted, transfer = known
    return np.column_stack([queue, prefill, wait, decode, rest, preempted, transfer])
