"""The world of the lab `scheduler_race`: requests, machines, how a policy is set up on them, and what each request would take alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, simulate, simulate_steps, synth_trace
from simulators.engines.serving.gpus import find_gpu
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._race_params import POLICY_LABELS, TIERS, RaceParams
from simulators.llm_serving._trace_data import at_own_or_lab_rate, own_trace

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

REQUESTS = 6_000
LONG_TOKENS = 8_000  # a prompt above it is a long one
LONG_OUTPUT = 500
BURST_S = 60.0
BLOCK = 16
SHIPPED_SEQS, SHIPPED_CHUNK, SHIPPED_BUDGET, SHIPPED_LEN = 256, 512, 2_048, 8_192
LEAN_BUDGET = 320
WHOLE_PROMPTS = 4_096  # prompt tokens of a batch under vLLM v0, unless a prompt is longer


@dataclass(frozen=True)
class Alone:
    """What each request would take on an empty replica that reads its prompt in one step: seconds, float64[n]."""

    ttft_s: Floats
    e2e_s: Floats


@dataclass(frozen=True)
class Setup:
    """One contestant: a scheduler and the pool it runs on."""

    label: str
    scheduler: SchedulerConfig
    pool: Mapping[str, Any]

    @property
    def replicas(self) -> int:
        pools = self.pool.get("pools")
        return int(pools["prefill"] + pools["decode"] if pools else self.pool["replicas"])


@dataclass(frozen=True)
class World:
    params: RaceParams
    cost: CostModel
    num_blocks: int
    trace: Trace
    alone: Alone
    key: str  # names everything but the scheduler
    own: bool

    @cached_property
    def long(self) -> Bools:
        return np.asarray(self.trace.prompt_tokens > LONG_TOKENS)

    @property
    def slo(self) -> dict[str, float]:
        return {"ttft_s": self.params.slo_ttft, "itl_s": self.params.slo_itl / 1_000}

    @property
    def gpus(self) -> int:
        return replicas_of(self.params) * int(self.params.tp)


def replicas_of(params: RaceParams) -> int:
    return params.prefill + params.decode if params.policy == "disaggregated" else params.replicas


def cost_of(params: RaceParams) -> CostModel:
    return CostModel.roofline(params.model, params.gpu, tp=int(params.tp), weights=params.weights)


# --- requests ----------------------------------------------------------------------------------------------------------------


def world_of(params: RaceParams, ctx: Context) -> World:
    """Raises InvalidInput where the weights do not fit the GPUs."""
    cost = cost_of(params)
    blocks = max(1, int(params.kv_blocks_scale * cost.num_blocks(BLOCK)))
    given = own_trace(ctx)
    trace = drawn_trace(params, ctx) if given is None else at_own_or_lab_rate(ctx, given, params.rate)
    lengths = f"{ctx.seed}/{params.long_share}/{params.long_tokens}/{params.burst}" if ctx.data is None else ctx.data.digest
    machine = f"{params.model}/{params.gpu}/{params.tp}/{params.weights}"
    alone = ctx.asset(f"race/alone/{lengths}/{machine}", lambda: alone_times(trace, cost), disk=False)
    tiers = "/".join(f"{weight:g}" for weight in params.tier_weights)
    key = f"race/v1/{machine}/{lengths}/{replicas_of(params)}/{blocks}/{params.preempt}/{tiers}/{params.slo_ttft}"
    return World(params, cost, blocks, ranked(trace, params, alone), alone, key, given is not None)


def drawn_trace(params: RaceParams, ctx: Context) -> Trace:
    """Four tiers with equal rates, one of which may burst, lengths of conversations, and long prompts at random rows.

    The draws do not depend on rate or share: a slider moves the same requests, and a larger share keeps the long ones that were there.
    """
    burst_rps = params.rate / len(TIERS) * (params.burst - 1)
    start = min(60.0, 0.25 * REQUESTS / params.rate)
    trace = synth_trace(
        "tenants", REQUESTS, params.rate, ctx.seed, tenants=TIERS, burst_rps=burst_rps, burst_start_s=start, burst_s=BURST_S
    )
    rows = ctx.rng("long prompts").permutation(REQUESTS)[: round(params.long_share / 100 * REQUESTS)]
    return with_long_rows(trace, rows, params.long_tokens)


def with_long_rows(trace: Trace, rows: Any, tokens: int) -> Trace:
    prompt, output = trace.prompt_tokens.copy(), trace.output_tokens.copy()
    prompt[rows], output[rows] = tokens, LONG_OUTPUT
    return replace(trace, prompt_tokens=prompt, output_tokens=output)


def ranked(trace: Trace, params: RaceParams, alone: Alone) -> Trace:
    """With what queue orders go by: the tier's weight as priority, and a deadline that leaves a prompt the time it takes alone.

    A trace that brings its own keeps them.
    """
    weights = np.array(tenant_weights(params, trace))
    priority = weights[trace.tenant] if trace.priority is None and trace.tenant is not None else trace.priority
    deadline = params.slo_ttft + alone.ttft_s if trace.ttft_slo_s is None else trace.ttft_slo_s
    return replace(trace, priority=priority, ttft_slo_s=deadline)


def tenant_weights(params: RaceParams, trace: Trace) -> tuple[float, ...]:
    """A weight for every tenant of the trace; those beyond the four tiers count 1."""
    return params.tier_weights + (1.0,) * max(0, len(trace.tenant_names) - len(TIERS))


def alone_times(trace: Trace, cost: CostModel) -> Alone:
    """Prompts by simulating them so far apart that none meets another; decodes in closed form, for a step alone is linear in its KV."""
    kinds, of = np.unique(trace.prompt_tokens, return_inverse=True)
    reads = Trace(np.arange(len(kinds)) * 1e4, kinds, np.ones(len(kinds), dtype=np.int64))
    whole = SchedulerConfig("vllm_v1", token_budget=int(kinds.max()), max_seqs=1)
    ttft = simulate(reads, cost, whole, num_blocks=int(kinds.max()) // BLOCK + 2).ttft_s[of]
    empty, per_token = cost.step_s([0], []), (cost.step_s([1_000_000], []) - cost.step_s([0], [])) / 1e6
    steps = trace.output_tokens - 1.0
    held = trace.prompt_tokens + 1 + (steps - 1) / 2  # mean KV of those steps
    return Alone(ttft, ttft + steps * (empty + per_token * held))


# --- contestants -------------------------------------------------------------------------------------------------------------


def own_setup(world: World) -> Setup:
    """The settings on the page."""
    p = world.params
    scheduler = scheduler_of(
        p.policy,
        world,
        max_seqs=p.max_seqs,
        max_len=p.max_len,
        order=p.order if p.policy in ("vllm_v1", "disaggregated") else "fcfs",
        token_budget=p.token_budget,
        chunk_size=p.token_budget,
        long_prefill_threshold=p.long_prefill_threshold,
        aging_tokens_per_s=p.aging if p.order == "srpt" else 0.0,
    )
    pool = split(world, p.prefill, p.decode, p.long) if p.policy == "disaggregated" else {"replicas": p.replicas}
    return Setup("Your settings", scheduler, pool)


def scheduler_of(policy: str, world: World, **settings: Any) -> SchedulerConfig:
    p, trace = world.params, world.trace
    total = int((trace.prompt_tokens + trace.output_tokens).max())
    weights = tenant_weights(p, trace) if settings.get("order") == "vtc" else ()
    return SchedulerConfig(
        policy,
        max_batch_tokens=max(WHOLE_PROMPTS, int(trace.prompt_tokens.max())),
        max_len=max(settings.pop("max_len", SHIPPED_LEN), total),
        preempt=p.preempt,
        tenant_weights=weights,
        **{"max_seqs": SHIPPED_SEQS, "token_budget": SHIPPED_BUDGET, "chunk_size": SHIPPED_CHUNK, **settings},
    )


def split(world: World, prefill: int, decode: int, long: int) -> dict[str, Any]:
    """Pools whose replicas send keys and values over the network card of each of their GPUs."""
    link = find_gpu(world.params.gpu).rdma_bytes_per_s / 1e9 * int(world.params.tp)
    return {"pools": {"prefill": prefill, "decode": decode, "long": long, "long_threshold": LONG_TOKENS, "link_gb_s": link}}


def shipped(world: World) -> dict[str, Setup]:
    """Every policy as it comes, on as many replicas as the page asks for; one alone cannot be split."""
    replicas = replicas_of(world.params)
    found = {
        policy: Setup(label, scheduler_of(policy, world), {"replicas": replicas})
        for policy, label in POLICY_LABELS.items()
        if policy != "disaggregated"
    }
    if replicas > 1:
        decode = max(1, replicas // 4)
        pool = split(world, replicas - decode, decode, 0)
        label = f"Disaggregated {replicas - decode}P + {decode}D"
        found["disaggregated"] = Setup(label, scheduler_of("disaggregated", world), pool)
    return found


def cures(world: World) -> dict[str, Setup]:
    """The two designs that let short prompts past a long one."""
    replicas, decode = replicas_of(world.params), max(1, replicas_of(world.params) // 4)
    lean = scheduler_of("vllm_v1", world, order="srpt", token_budget=LEAN_BUDGET)
    found = {"srpt": Setup(f"vLLM v1, SRPT, budget {LEAN_BUDGET}", lean, {"replicas": replicas})}
    if replicas - decode >= 2:
        label = f"Disaggregated, 1 of {replicas - decode}P for long prompts"
        found["kept"] = Setup(label, scheduler_of("disaggregated", world), split(world, replicas - decode, decode, 1))
    return found


def served(
    setup: Setup, trace: Trace, world: World, label: str, *, done: float = 0.0, total: float = 1.0, log: bool = False
) -> Working[SimResult]:
    """The simulation, yielding its progress as a part of the whole."""
    steps = simulate_steps(trace, world.cost, setup.scheduler, num_blocks=world.num_blocks, log_iterations=log, **setup.pool)
    return (yield from relay(steps, lambda share: Progress(done + share, total, label)))
