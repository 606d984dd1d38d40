"""From a trace, a scheduler and the options of `simulate` to the arrays that the compiled loop works on; every option is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.scheduler import SchedulerConfig, at_least
from simulators.engines.serving.state import ITERATION, ITL_BINS, NOBODY, REPLICA, REQUEST, WORLD, Sim
from simulators.engines.serving.trace import Trace
from simulators.errors import InvalidInput

LOG_ROWS = 1 << 15  # to begin with; doubled whenever full
NO_LOG = 1


def build_world(
    trace: Trace, tables: CostTables, scheduler: SchedulerConfig, *, num_blocks: int, replicas: int, router: int, log: bool, seed: int
) -> Sim:
    at_least("replicas", replicas, 1)
    at_least("num_blocks", num_blocks, 1)
    check_fits(trace, scheduler, num_blocks)
    lanes = int(trace.tenant.max()) + 1 if scheduler.order == "vtc" and trace.tenant is not None else 1
    return Sim(
        requests=_requests(trace),
        replicas=_replicas(replicas, num_blocks),
        world=_world(tables, scheduler, num_blocks, router, log, seed),
        running=np.zeros((replicas, scheduler.max_seqs), np.int32),
        batch=np.zeros((replicas, scheduler.max_seqs), np.int32),
        heads=np.full((replicas, lanes), NOBODY, np.int64),
        service=np.zeros((replicas, lanes)),
        weights=tenant_weights(scheduler, lanes),
        itl_hist=np.zeros(ITL_BINS, np.int64),
        log=np.zeros(LOG_ROWS if log else NO_LOG, ITERATION),
    )


def check_fits(trace: Trace, scheduler: SchedulerConfig, num_blocks: int) -> None:
    """Refuses a request that could never be admitted, by its row, its tokens and the limit."""
    prompt, total, policy = trace.prompt_tokens, trace.prompt_tokens + trace.output_tokens, scheduler.policy
    reserved = int(scheduler.watermark * num_blocks) if policy in {"vllm_v0", "sarathi"} else 0
    room = (num_blocks - reserved) * scheduler.block_size
    held = f"{num_blocks:,} blocks of {scheduler.block_size} tokens hold {room:,} tokens"
    if policy == "vllm_v0":
        _refuse(trace, prompt, scheduler.max_batch_tokens, f"max_batch_tokens is {scheduler.max_batch_tokens:,}")
    if policy in {"static", "orca"}:
        _refuse(trace, total, scheduler.max_len, f"max_len is {scheduler.max_len:,}")
        _refuse(trace, np.full(len(trace), scheduler.max_len), room, f"{held}, and max_len is reserved for each request")
    elif policy in {"vllm_v0", "sarathi"}:
        _refuse(trace, prompt, room, f"{held} above the watermark" if reserved else held)
    else:
        _refuse(trace, total - 1, room, held)


def _refuse(trace: Trace, tokens: Any, limit: int, said: str) -> None:
    too_long = np.flatnonzero(tokens > limit)
    if len(too_long):
        i = too_long[0]
        size = f"{trace.prompt_tokens[i]:,} prompt and {trace.output_tokens[i]:,} output tokens"
        raise InvalidInput(f"row {trace.row[i] + 1}: a request of {size} can never be served: {said}.", field="trace")


def tenant_weights(scheduler: SchedulerConfig, lanes: int) -> Any:
    weights = scheduler.tenant_weights or (1.0,) * lanes
    if len(weights) < lanes:
        raise InvalidInput(f"tenant_weights has {len(weights)} numbers; the trace has {lanes} tenants.", field="tenant_weights")
    return np.array(weights, dtype=np.float64)


def _requests(trace: Trace) -> Any:
    requests = np.zeros(len(trace), REQUEST)
    requests["arrival_s"] = trace.arrival_s
    requests["prompt"] = requests["first_prompt"] = trace.prompt_tokens
    requests["total"] = trace.prompt_tokens + trace.output_tokens
    for name in ("scheduled_s", "first_token_s", "finished_s", "last_token_s", "evicted_s"):
        requests[name] = np.nan
    optional: Mapping[str, Any] = {"tenant": 0, "priority": 0.0, "ttft_slo_s": np.inf}
    for name, default in optional.items():
        given = getattr(trace, name)
        requests[name] = default if given is None else given
    requests["left"] = requests["right"] = NOBODY
    return requests


def _replicas(count: int, num_blocks: int) -> Any:
    replicas = np.zeros(count, REPLICA)
    replicas["clock_s"] = np.inf
    replicas["previous_end_s"] = np.nan
    replicas["free_blocks"] = replicas["total_blocks"] = num_blocks
    return replicas


def _world(tables: CostTables, scheduler: SchedulerConfig, num_blocks: int, router: int, log: bool, seed: int) -> Any:
    world = np.zeros(1, WORLD)
    for name in ("policy", "order", "preempt"):
        world[name] = scheduler.code(name)
    same = ("max_seqs", "token_budget", "long_prefill_threshold", "max_batch_tokens", "chunk_size", "block_size", "aging_tokens_per_s")
    for name in same:
        world[name] = getattr(scheduler, name)
    world["watermark_blocks"] = int(scheduler.watermark * num_blocks)
    world["reserved_blocks"] = -(-scheduler.max_len // scheduler.block_size)
    world["kv_step"] = tables.kv_step
    world["router"], world["logging"], world["seed"] = router, log, seed
    world["transfers"] = NOBODY
    return world
