"""Iteration-level simulation of continuous batching (Orca, OSDI 2022; Vidur, MLSys 2024): a trace, a cost model, a scheduler; times out."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from simulators.engines.serving.cost_table import (
    AXES,
    ROOFLINE,
    VIDUR,
    StepLoad,
    axis_limit,
    make_tables,
    outside_axis,
    step_load,
    step_seconds,
)
from simulators.engines.serving.options import Pools, PrefixCache, Router, Speculation, from_mapping
from simulators.engines.serving.result import SimResult
from simulators.engines.serving.scheduler import SchedulerConfig, at_least
from simulators.engines.serving.state import DONE, LOG_FULL, OUTSIDE_GRID, RUNNING, Sim
from simulators.engines.serving.trace import Trace
from simulators.engines.serving.world import Plan, build_world
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

ITERATIONS_A_STEP = 20_000  # some 10 ms
SimSteps = Generator[float, None, SimResult]


def simulate(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    *,
    num_blocks: int | None = None,
    replicas: int = 1,
    router: str | Mapping[str, Any] = "round_robin",
    prefix_cache: Mapping[str, Any] | None = None,
    pools: Mapping[str, Any] | None = None,
    spec: Mapping[str, Any] | None = None,
    log_iterations: bool = False,
    seed: int = 0,
    prefill_only: bool = False,
) -> SimResult:
    """Serves the whole trace and returns what happened to every request. The same arguments give the same result to the last bit.

    cost: a CostModel. num_blocks: KV blocks of each replica; what fits beside the weights unless given. router: a name, or a mapping
    with `kind` and more (`options.Router`). prefix_cache, pools, spec: mappings (`options.PrefixCache`, `Pools`, `Speculation`).
    `pools` goes with policy `disaggregated` and says how many replicas there are. `spec` draws accepted tokens from `seed`.
    prefill_only: a request finishes with its first token, as on the prefill side of a disaggregated fleet whose decode side is not
    simulated; a cache with `decode` then gets the blocks of the answer at that time.

    Raises InvalidInput for an option out of range, a request that can never be served (its row, its tokens, the limit), and an iteration
    outside measured cost tables (axis, limit, iteration).
    """
    options = (num_blocks, replicas, router, prefix_cache, pools, spec, log_iterations, seed, prefill_only)
    return finish(_steps(make_plan(trace, cost, scheduler, *options)))


def simulate_steps(
    trace: Trace, cost: Any, scheduler: SchedulerConfig, *, iterations_a_step: int = ITERATIONS_A_STEP, **options: Any
) -> SimSteps:
    """`simulate` for whoever has to stay interruptible: yields the share of requests finished after so many iterations, by default every
    ten milliseconds or so; with long prompts and caches an iteration takes longer."""
    defaults = {"num_blocks": None, "replicas": 1, "router": "round_robin", "prefix_cache": None, "pools": None, "spec": None}
    plan = make_plan(trace, cost, scheduler, **{**defaults, "log_iterations": False, "seed": 0, **options})
    return _steps(plan, iterations_a_step)


def make_plan(
    trace: Trace,
    cost: Any,
    scheduler: SchedulerConfig,
    num_blocks: int | None,
    replicas: int,
    router: str | Mapping[str, Any],
    prefix_cache: Mapping[str, Any] | None,
    pools: Mapping[str, Any] | None,
    spec: Mapping[str, Any] | None,
    log_iterations: bool,
    seed: int,
    prefill_only: bool = False,
) -> Plan:
    at_least("replicas", replicas, 1)
    pool = None if pools is None else from_mapping(Pools, "pools", pools)
    if (pool is None) != (scheduler.policy != "disaggregated"):
        raise InvalidInput(f"policy {scheduler.policy} with pools={pools}; pools and policy disaggregated belong together.", field="pools")
    blocks = cost.num_blocks(scheduler.block_size) if num_blocks is None else num_blocks
    at_least("num_blocks", blocks, 1)
    named = {"kind": router} if isinstance(router, str) else router
    return Plan(
        trace=trace,
        cost=cost,
        scheduler=scheduler,
        num_blocks=int(blocks),
        replicas=replicas if pool is None else pool.prefill + pool.decode,
        router=from_mapping(Router, "router", named),
        cache=None if prefix_cache is None else from_mapping(PrefixCache, "prefix_cache", prefix_cache),
        pools=pool,
        spec=None if spec is None else from_mapping(Speculation, "spec", spec),
        log_iterations=log_iterations,
        seed=seed,
        prefill_only=prefill_only,
    )


def _steps(plan: Plan, iterations_a_step: int = ITERATIONS_A_STEP) -> SimSteps:
    from simulators.engines.serving.kernel_loop import run  # here, because they load the compiler
    from simulators.engines.serving.kernel_pointers import cost_table, sim_table

    sim = build_world(plan)
    state, costs = sim_table(sim), cost_table(plan.tables)
    decode_costs = costs if plan.decode_cost is plan.cost else cost_table(plan.decode_cost.tables)
    while True:
        status = run(state, costs, decode_costs, iterations_a_step)
        if status == DONE:
            return _result(plan, sim)
        if status == LOG_FULL:
            sim = sim._replace(log=np.concatenate([sim.log, np.zeros_like(sim.log)]))
            state = sim_table(sim)
        elif status != RUNNING:
            raise InvalidInput(_outside(plan, sim) if status == OUTSIDE_GRID else _stuck(plan, sim), field="trace")
        yield float(sim.world["finished"][0]) / len(plan.trace)


def _outside(plan: Plan, sim: Sim) -> str:
    """Names axis, limit and iteration of a load that the cost tables do not cover."""
    r = int(sim.world["culprit"][0])
    tables = plan.decode_cost.tables if sim.replicas["role"][r] != sim.replicas["role"][0] else plan.tables
    load = StepLoad(int(sim.replicas["batch"][r]), *(int(sim.replicas[name][r]) for name in StepLoad._fields[1:]))
    axis, iteration = outside_axis(tables, load), int(sim.world["iterations"][0]) + 1
    return (
        f"iteration {iteration:,} (replica {r}, {sim.replicas['batch'][r]} requests, {sim.replicas['tokens'][r]:,} tokens) leaves the cost "
        f"tables, which end at {axis_limit(tables, axis):g} on the axis '{AXES[axis]}'; "
        "a cost model with extrapolate=True goes on in a straight line."
    )


def _stuck(plan: Plan, sim: Sim) -> str:
    """Names the first request that waits for ever: it grew beyond what one replica admits."""
    i = int(np.flatnonzero(np.isnan(sim.requests["finished_s"]) & (sim.requests["blocks"] == 0))[0])
    tokens, scheduler = int(sim.requests["prompt"][i]), plan.scheduler
    limits = f"{plan.num_blocks:,} blocks of {scheduler.block_size} tokens, {scheduler.watermark_blocks(plan.num_blocks):,} kept free"
    if scheduler.policy == "vllm_v0":
        limits += f", and max_batch_tokens {scheduler.max_batch_tokens:,}"
    return f"row {plan.trace.row[i] + 1}: restarted with {tokens:,} tokens to read again, the request can never be admitted: {limits}."


def _result(plan: Plan, sim: Sim) -> SimResult:
    requests, replicas, world = sim.requests, sim.replicas, sim.world[0]
    return SimResult(
        trace=plan.trace,
        scheduled_s=requests["scheduled_s"].copy(),
        first_token_s=requests["first_token_s"].copy(),
        finished_s=requests["finished_s"].copy(),
        restarts=requests["restarts"].copy(),
        replica=requests["replica"].copy(),
        decode_replica=np.where(requests["decode_replica"] >= 0, requests["decode_replica"], requests["replica"]),
        cached_tokens=requests["cached"].copy(),
        breakdown=_breakdown(requests),
        iterations=int(world["iterations"]),
        busy_s=replicas["busy_s"].copy(),
        itl_hist=sim.itl_hist,
        itl_max_s=float(world["itl_max_s"]),
        iteration_log=sim.log[: world["iterations"]].copy() if plan.log_iterations else None,
        extrapolated=int(world["extrapolated"]),
        error_band=plan.cost.error_band,
        blocks_free=replicas["free_blocks"].copy(),
        blocks_total=replicas["total_blocks"].copy(),
        cache_hits=sim.tiers["hits"].copy(),
    )


def _breakdown(requests: Any) -> Any:
    """The columns of `SimResult.breakdown`; interference is what the others leave of finish - arrival."""
    queue = requests["scheduled_s"] - requests["arrival_s"]
    known = [queue, *(requests[f"{name}_s"] for name in ("prefill", "prefill_wait", "decode", "preempted", "transfer"))]
    rest = requests["finished_s"] - requests["arrival_s"] - sum(known)
    queue, prefill, wait, decode, preempted, transfer = known
    return np.column_stack([queue, prefill, wait, decode, rest, preempted, transfer])


def warm_up() -> None:
    """Compiles the simulator and the pricing of a step, or loads what an earlier process compiled, so that nobody waits for it later."""
    from simulators.engines.serving.kernel_loop import run
    from simulators.engines.serving.kernel_pointers import cost_table, sim_table

    plan = make_plan(Trace([0.0], [1], [1]), _NoCost(), SchedulerConfig("vllm_v1"), 1, 1, "round_robin", None, None, None, False, 0)
    sim = build_world(plan)
    run(sim_table(sim), cost_table(plan.tables), cost_table(plan.tables), 0)
    outside_axis(plan.tables, step_load([1], []))
    step_seconds(make_tables(ROOFLINE), step_load([1], []))


class _NoCost:
    """Cost tables of no content: enough to compile for."""

    tables = make_tables(VIDUR)
