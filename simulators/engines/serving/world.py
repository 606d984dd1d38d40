"""From a trace, a scheduler and the options of `simulate` to the arrays that the compiled loop works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.options import EVICTIONS, ROUTERS, Pools, PrefixCache, Router, Speculation
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.state import (
    BOTH,
    CACHE,
    DECODE,
    ITERATION,
    ITL_BINS,
    ITL_EDGES_S,
    ITL_FIRST_BIN,
    NOBODY,
    PREFILL,
    REPLICA,
    REQUEST,
    SIGNAL,
    SIGNAL_SAMPLES,
    SLOT,
    TIER,
    WORLD,
    Sim,
)
from simulators.engines.serving.trace import Trace
from simulators.errors import InvalidInput

LOG_ROWS = 1 << 15  # to begin with; doubled whenever full


@dataclass(frozen=True)
class Plan:
    """One simulation, all options checked."""

    trace: Trace
    cost: Any
    scheduler: SchedulerConfig
    num_blocks: int
    replicas: int
    router: Router
    cache: PrefixCache | None
    pools: Pools | None
    spec: Speculation | None
    log_iterations: bool
    seed: int
    prefill_only: bool = False

    @property
    def tables(self) -> CostTables:
        tables: CostTables = self.cost.tables
        return tables

    @property
    def decode_cost(self) -> Any:
        return self.cost if self.pools is None or self.pools.decode_cost is None else self.pools.decode_cost

    @property
    def decode_blocks(self) -> int:
        """KV blocks of a decode replica: as given, else what fits beside the weights if it is another machine."""
        if self.pools is None or (self.pools.decode_blocks is None and self.pools.decode_cost is None):
            return self.num_blocks
        return self.pools.decode_blocks or int(self.decode_cost.num_blocks(self.scheduler.block_size))


def build_world(plan: Plan) -> Sim:
    check_fits(plan.trace, plan.scheduler, plan.num_blocks)
    if plan.pools is not None:
        check_fits(plan.trace, plan.scheduler, plan.decode_blocks)
    scheduler, trace, replicas = plan.scheduler, plan.trace, plan.replicas
    lanes = int(trace.tenant.max()) + 1 if scheduler.order == "vtc" and trace.tenant is not None else 1
    hash_ids = np.zeros(0, np.int64) if plan.cache is None or trace.hash_ids is None else trace.hash_ids
    return Sim(
        requests=_requests(plan),
        replicas=_replicas(plan),
        world=_world(plan),
        running=np.zeros((replicas, scheduler.max_seqs), np.int64),
        batch=np.zeros((replicas, scheduler.max_seqs), np.int64),
        heads=np.full((replicas, lanes), NOBODY, np.int64),
        service=np.zeros((replicas, lanes)),
        weights=tenant_weights(scheduler, lanes),
        itl_hist=np.zeros(ITL_BINS, np.int64),
        itl_edges_s=ITL_EDGES_S,
        itl_first_bin=ITL_FIRST_BIN,
        log=np.zeros(LOG_ROWS if plan.log_iterations else 1, ITERATION),
        signals=_signals(replicas),
        **_caches(plan),
        hash_ids=np.array(hash_ids, dtype=np.int64),
        block_tier=np.zeros(len(hash_ids), np.int8),
    )


def check_fits(trace: Trace, scheduler: SchedulerConfig, num_blocks: int) -> None:
    """Refuses a request that could never be admitted, by its row, its tokens and the limit."""
    prompt, total, policy = trace.prompt_tokens, trace.prompt_tokens + trace.output_tokens, scheduler.policy
    reserved = scheduler.watermark_blocks(num_blocks)
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


def _requests(plan: Plan) -> Any:
    trace = plan.trace
    requests = np.zeros(len(trace), REQUEST)
    requests["arrival_s"] = trace.arrival_s
    requests["prompt"] = requests["first_prompt"] = trace.prompt_tokens
    requests["kept"] = trace.prompt_tokens + trace.output_tokens
    requests["total"] = trace.prompt_tokens + (1 if plan.prefill_only else trace.output_tokens)
    for name in ("scheduled_s", "first_token_s", "finished_s", "last_token_s", "evicted_s"):
        requests[name] = np.nan
    requests["tenant"] = 0 if trace.tenant is None else trace.tenant
    requests["rank"] = 0.0 if trace.priority is None else -trace.priority
    requests["ttft_slo_s"] = np.inf if trace.ttft_slo_s is None else trace.ttft_slo_s
    requests["session"] = sessions(trace)
    if plan.cache is not None and trace.hash_ids is not None:
        requests["hash_from"], requests["hash_to"] = trace.hash_ptr[:-1], trace.hash_ptr[1:]
    for name in ("left", "right", "decode_replica"):
        requests[name] = NOBODY
    return requests


def sessions(trace: Trace) -> Any:
    """What a session router keeps together: the session if the trace names it, else the second block of the prompt (the first is often
    the same for all), else the tenant, else nothing."""
    if trace.session is not None:
        return trace.session
    if trace.hash_ids is None:
        return np.arange(len(trace)) if trace.tenant is None else trace.tenant
    first, stop = trace.hash_ptr[:-1], trace.hash_ptr[1:]
    return trace.hash_ids[np.minimum(first + 1, stop - 1)]


def _replicas(plan: Plan) -> Any:
    replicas = np.zeros(plan.replicas, REPLICA)
    replicas["clock_s"] = replicas["dozed_off_s"] = np.inf
    replicas["retried_s"] = np.nan
    replicas["roused_at"] = -1
    replicas["role"] = BOTH
    replicas["total_blocks"] = plan.num_blocks
    if plan.pools is not None:
        replicas["role"][: plan.pools.prefill] = PREFILL
        replicas["role"][plan.pools.prefill :] = DECODE
        replicas["total_blocks"][plan.pools.prefill :] = plan.decode_blocks
    replicas["free_blocks"] = replicas["total_blocks"]
    return replicas


def _world(plan: Plan) -> Any:
    scheduler, pools, world = plan.scheduler, plan.pools, np.zeros(1, WORLD)
    for name in ("policy", "order", "preempt"):
        world[name] = scheduler.code(name)
    same = ("max_seqs", "token_budget", "long_prefill_threshold", "max_batch_tokens", "chunk_size", "block_size", "aging_tokens_per_s")
    for name in same:
        world[name] = getattr(scheduler, name)
    world["watermark_blocks"] = scheduler.watermark_blocks(plan.num_blocks)
    world["reserved_blocks"] = -(-scheduler.max_len // scheduler.block_size)
    world["kv_step"] = plan.tables.kv_step
    world["logging"], world["seed"], world["transfers"] = plan.log_iterations, plan.seed, NOBODY
    world["router"] = ROUTERS.index(plan.router.kind)
    world["signal_delay_s"], world["load_factor"] = plan.router.signal_delay_s, plan.router.load_factor
    world["short_replicas"] = plan.replicas if pools is None else pools.prefill - pools.long
    if scheduler.preempt == "swap":
        world["swap_s_per_block"] = scheduler.block_size * plan.cost.kv_bytes_per_token / host_bytes_per_s(plan.cost)
    if pools is not None:
        world["long_replicas"], world["long_threshold"] = pools.long, pools.long_threshold
        world["link_s_per_token"], world["link_base_s"] = plan.cost.kv_bytes_per_token / (pools.link_gb_s * 1e9), pools.base_s
        world["overlap"] = 1.0 - 1.0 / plan.tables.num_layers if pools.overlap else 0.0
    if plan.spec is not None and plan.spec.kind != "none":
        world["spec_k"], world["spec_alpha"], world["draft_cost"] = plan.spec.k, plan.spec.alpha, plan.spec.draft_cost
    if plan.cache is not None:
        world["cache_policy"], world["cache_decode"] = EVICTIONS.index(plan.cache.policy), plan.cache.decode
        world["block_tokens"], world["min_prefix_blocks"] = plan.trace.block_tokens, plan.cache.min_blocks
    return world


def host_bytes_per_s(cost: Any) -> float:
    """Between a replica's GPUs and host memory: each GPU has a PCIe link of its own."""
    return float(cost.memory.gpu.pcie_bytes_per_s * cost.memory.gpus)


def _signals(replicas: int) -> Any:
    signals = np.zeros((replicas, SIGNAL_SAMPLES), SIGNAL)
    signals["taken_s"] = -np.inf
    return signals


def _caches(plan: Plan) -> dict[str, Any]:
    """Tiers, their caches and the memory of all of these: slots, heaps and hash tables at most half full."""
    found = [] if plan.cache is None or plan.trace.hash_ids is None else plan.cache.all_tiers()
    tiers = np.zeros(len(found), TIER)
    capacities: list[int] = []
    for row, tier in zip(tiers, found, strict=True):
        row["first_cache"], row["shared"] = len(capacities), tier.shared
        if np.isfinite(tier.gb_s):
            row["load_s"] = plan.trace.block_tokens * plan.cost.kv_bytes_per_token / (tier.gb_s * 1e9)
        capacities += [tier.blocks] * (1 if tier.shared else plan.replicas)
    caches = np.zeros(len(capacities), CACHE)
    caches["capacity"] = capacities
    entries = np.array([1 << (2 * blocks - 1).bit_length() for blocks in capacities], dtype=np.int64)
    caches["first_slot"] = np.cumsum(caches["capacity"]) - caches["capacity"]
    caches["first_entry"], caches["table_mask"] = np.cumsum(entries) - entries, entries - 1
    slots = int(sum(capacities))
    return {
        "tiers": tiers,
        "caches": caches,
        "slots": np.zeros(slots, SLOT),
        "heap": np.zeros(slots, np.int64),
        "table": np.full(int(entries.sum()), NOBODY, np.int64),
    }
