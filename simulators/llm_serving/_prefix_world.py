"""Chats that repeat their history, the workers that read their prompts, and one simulation of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, simulate_steps, synth_trace
from simulators.engines.serving.hit_curve import count_hits
from simulators.engines.steps import relay
from simulators.errors import InvalidInput
from simulators.lab import Context, DataFile, DataInfo, DataSpec, Progress, Working
from simulators.llm_serving._prefix_params import ROUTERS, UNIT_TOKENS, PrefixParams
from simulators.llm_serving._trace_data import SLOT, SPEC, own_trace, read_file

REQUESTS, WINDOW_S = 11_600, 3_537.0  # the Mooncake conversation hour: about 8,200 sessions
GPUS_A_WORKER = 8
WHOLE_HOUR_TOKENS = 256  # finer hash blocks are replayed for a shorter time
GB = 1e9
LOOKUPS_A_STEP = 600_000  # 10 to 20 ms of a simulation
LENGTHS = 400  # at which the time to read a prompt alone is computed; between them it is all but straight
CAPACITIES = (100, 300, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000, 0)  # of 512 tokens; 0 = unbounded
POLICIES = ("lru", "fifo", "lfu")
Floats = npt.NDArray[np.float64]


def cost_model() -> CostModel:
    return CostModel.roofline("Llama-3.1-70B", "H100", tp=GPUS_A_WORKER)


@dataclass(frozen=True)
class World:
    """`key` names the trace for the cache of assets; `named` has the blocks of answers in its hash ids as well."""

    key: str
    trace: Trace
    cost: CostModel

    @cached_property
    def alone_s(self) -> Floats:
        """Seconds to read each prompt on an idle worker without any cache."""
        tokens = np.unique(np.rint(np.geomspace(1, self.trace.prompt_tokens.max(), LENGTHS)).astype(np.int64))
        seconds = [self.cost.step_s([], [(int(length), 0)]) for length in tokens]
        return np.asarray(np.interp(self.trace.prompt_tokens, tokens, seconds))

    @cached_property
    def named(self) -> Trace:
        return with_answers(self.trace)

    @cached_property
    def break_even_gb_s(self) -> float:
        """Link at which loading a prompt of the mean length takes as long as reading it."""
        tokens = round(float(self.trace.prompt_tokens.mean()))
        return tokens * self.cost.kv_bytes_per_token / self.cost.step_s([], [(tokens, 0)]) / GB


def make_world(ctx: Context, params: PrefixParams) -> World:
    own = own_trace(ctx)
    if own is not None:
        assert ctx.data is not None
        return World(f"own/{ctx.data.digest}/{params.speed!r}", own.stretched(1 / params.speed), cost_model())
    shape = f"{params.requests}/{params.block_tokens}/{params.shared_system_tokens}/{params.speed!r}"
    key = f"chats/{shape}/seed={ctx.seed}"

    def build() -> Trace:
        return synth_trace(
            "multi_turn",
            requests_of(params),
            REQUESTS / WINDOW_S,
            ctx.seed,
            block_tokens=params.block_tokens,
            shared_system_tokens=params.shared_system_tokens,
            speed=params.speed,
        )

    return World(key, ctx.asset(f"serving/prefix/trace/{key}", build, disk=False), cost_model())


def requests_of(params: PrefixParams) -> int:
    """What was asked for, or as much of it as keeps fine blocks countable."""
    return round(params.requests * min(1.0, params.block_tokens / WHOLE_HOUR_TOKENS))


def with_answers(trace: Trace) -> Trace:
    """Each prompt's ids followed by those of the full blocks that its answer completes, named as the next turn of the session names them.

    A last turn's answer gets ids of its own: it takes room like any other. Without sessions the trace does not say what follows what,
    and comes back as it is.
    """
    if trace.session is None or trace.hash_ids is None:
        return trace
    size, ptr = trace.block_tokens, trace.hash_ptr
    following, fresh = _next_turn(trace.session), int(trace.hash_ids.max()) + 1
    rows = []
    for i, j in enumerate(following.tolist()):
        full, total = trace.prompt_tokens[i] // size, (trace.prompt_tokens[i] + trace.output_tokens[i]) // size
        own = trace.hash_ids[ptr[i] : ptr[i + 1]]
        if total <= full:
            rows.append(own)
            continue
        after = trace.hash_ids[ptr[j] + full : min(ptr[j] + total, ptr[j + 1])] if j >= 0 else np.arange(fresh, fresh + total - full)
        fresh += 0 if j >= 0 else total - full
        named = np.concatenate([own[:full], after])
        rows.append(named if len(named) >= len(own) else own)
    sizes = np.cumsum([0, *(len(row) for row in rows)])
    return replace(trace, hash_ids=np.concatenate(rows), hash_ptr=sizes)


def _next_turn(session: Any) -> npt.NDArray[np.int64]:
    """Row of the next request of the same session, -1 for the last."""
    order = np.argsort(session, kind="stable")
    following = np.full(len(session), -1, dtype=np.int64)
    same = session[order][1:] == session[order][:-1]
    following[order[:-1][same]] = order[1:][same]
    return following


# --- one fleet ---------------------------------------------------------------------------------------------------------


def in_trace_blocks(blocks: int, trace: Trace) -> int:
    """A size in blocks of 512 tokens, in blocks of the trace; at least one where there is any."""
    return max(blocks * UNIT_TOKENS // trace.block_tokens, 1) if blocks else 0


def cache_options(params: PrefixParams, world: World) -> dict[str, Any]:
    gpu = world.cost.memory.gpu if world.cost.memory else None
    dram_gb_s = GPUS_A_WORKER * (gpu.pcie_bytes_per_s if gpu else 0.0) / GB
    tiers = [
        {"blocks": in_trace_blocks(params.dram_blocks, world.trace), "gb_s": dram_gb_s},
        {"blocks": in_trace_blocks(params.pool_blocks, world.trace), "gb_s": params.pool_link_gb_s, "shared": True},
    ]
    return {
        "blocks": in_trace_blocks(params.hbm_blocks, world.trace),
        "policy": params.policy,
        "tiers": tiers,
        "decode": params.cache_decode,
        "min_blocks": params.min_blocks,
    }


def tier_names(params: PrefixParams) -> list[str]:
    """Of the tiers there are, fastest first."""
    return ["HBM", *(["DRAM"] if params.dram_blocks else []), *(["Pool"] if params.pool_blocks else [])]


def replayed(world: World, params: PrefixParams, router: str, label: str) -> Working[SimResult]:
    """The trace through the workers: prompts only, one at a time on each, as in the prefill half of a disaggregated fleet."""
    trace = world.named if params.cache_decode else world.trace
    longest = int(trace.prompt_tokens.max()) + 1
    scheduler = SchedulerConfig("vllm_v1", max_seqs=1, token_budget=longest, max_len=longest)
    looks = len(trace.hash_ids) / len(trace) * (6 + (params.workers if router in {"cost", "max_prefix"} else 0))
    steps = simulate_steps(
        trace,
        world.cost,
        scheduler,
        replicas=params.workers,
        router={"kind": router, "signal_delay_s": params.signal_delay_s},
        prefix_cache=cache_options(params, world),
        prefill_only=True,
        iterations_a_step=max(int(LOOKUPS_A_STEP / looks), 20),
    )
    return (yield from relay(steps, lambda share: Progress(share, 1.0, label)))


@dataclass(frozen=True)
class Reading:
    """What a simulated fleet comes to. `found`: blocks by tier, fastest first; `busy_s`: seconds a worker."""

    hit: float
    hit_tokens: float
    ttft_mean_s: float
    ttft_p99_s: float
    busy_s: Floats
    found: tuple[int, ...]
    saved_gpu_s: float

    @property
    def imbalance(self) -> float:
        return float(self.busy_s.max() / self.busy_s.mean())


def read_off(world: World, result: SimResult) -> Reading:
    trace = world.trace
    return Reading(
        hit=float(result.cached_tokens.sum() / trace.block_tokens / len(trace.hash_ids)),
        hit_tokens=float(result.cached_tokens.sum() / trace.prompt_tokens.sum()),
        ttft_mean_s=float(result.ttft_s.mean()),
        ttft_p99_s=float(np.percentile(result.ttft_s, 99)),
        busy_s=result.busy_s,
        found=tuple(int(count) for count in result.cache_hits),
        saved_gpu_s=GPUS_A_WORKER * float(world.alone_s.sum() - result.busy_s.sum()),
    )


def measured(ctx: Context, world: World, params: PrefixParams, router: str) -> Working[Reading]:
    """One router's fleet, made once for everything that acts on it."""
    acting = params.model_dump(exclude={"router", "gpu_usd_h", "requests", "speed", "shared_system_tokens", "block_tokens"})
    key = f"serving/prefix/fleet/{world.key}/{router}/" + "/".join(f"{name}={value!r}" for name, value in sorted(acting.items()))

    def build() -> Working[Reading]:
        result = yield from replayed(world, params, router, f"replaying {ROUTERS[router].lower()}")
        return read_off(world, result)

    return (yield from ctx.asset_steps(key, build, disk=False))


def hit_curves(ctx: Context, world: World, extra: int) -> Working[dict[str, Floats]]:
    """Exact share of blocks that ONE cache finds, by policy: CAPACITIES, then `extra` blocks. No set of smaller caches can beat it."""

    def build() -> Working[dict[str, Floats]]:
        trace = world.trace
        known, ids = np.unique(trace.hash_ids, return_inverse=True)
        blocks, curves = ids.astype(np.int64), dict[str, Floats]()
        for code, policy in enumerate(POLICIES):
            hits = []
            for capacity in (*CAPACITIES, extra):
                hits.append(count_hits(blocks, trace.hash_ptr, len(known), in_trace_blocks(capacity, trace) or len(known), code))
                yield Progress(code, len(POLICIES), "replaying ideal caches")
            curves[policy] = np.array(hits) / len(blocks)
        return curves

    return (yield from ctx.asset_steps(f"serving/prefix/curves/{world.key}/{extra}", build, disk=False))


@dataclass(frozen=True)
class HotBlock:
    """A block by the requests that hold it; `place`: mean position in their prompts, the first is 0."""

    block: int
    requests: int
    place: float


def hottest(trace: Trace, count: int = 10) -> list[HotBlock]:
    known, at, uses = np.unique(trace.hash_ids, return_inverse=True, return_counts=True)
    order = np.argsort(-uses, kind="stable")[:count]
    place = np.arange(len(trace.hash_ids)) - np.repeat(trace.hash_ptr[:-1], np.diff(trace.hash_ptr))
    return [HotBlock(int(known[k]), int(uses[k]), float(place[at == k].mean())) for k in order]


# --- the user's own trace ------------------------------------------------------------------------------------------------


def _check(files: Any, options: Any) -> DataInfo:
    info = SPEC.check(files, options)
    file: DataFile = files[SLOT]
    if read_file(file, options).hash_ids is None:
        raise InvalidInput(f"{file.name} has no column hash_ids; this lab needs the ids of every prompt's blocks to see what repeats.")
    return info


DATA: DataSpec = replace(
    SPEC,
    check=_check,
    options=tuple(option for option in SPEC.options if option.key != "clock"),
    help="Prompts with the hashes of their blocks. Mooncake's public traces can be uploaded as they are; the clock of the page applies.",
    example='{"timestamp": 0, "input_length": 1100, "output_length": 52, "hash_ids": [0, 1, 2]}\n'
    '{"timestamp": 400, "input_length": 1700, "output_length": 310, "hash_ids": [0, 1, 3, 4]}\n',
)
