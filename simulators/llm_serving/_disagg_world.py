"""The world of the lab `disaggregation`: machines, layouts, what each carries within the limits, and a sweep that finds the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, simulate_steps, synth_trace
from simulators.engines.serving.capacity import capacity_steps
from simulators.engines.serving.gpus import find_gpu
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._disagg_params import DisaggregationParams
from simulators.llm_serving._trace_data import at_own_or_lab_rate, own_trace

Floats = NDArray[np.float64]

REQUESTS = 5_000
# What a search replays: enough that the longest answers, too, reach a steady state.
SEARCH_REQUESTS, SEARCH_REQUESTS_LONG = 1_000, 3_000
LONG_ANSWERS = 1_000  # tokens on average
SEQUENCES = 1_024
RATES = (0.5, 100.0)
SEARCH_STEPS = 8
CHUNKS = (256, 512, 2_048)
GRID_RATES = np.geomspace(2.0, 100.0, 12)
LIMITS_MS = (10, 15, 20, 30, 50, 75, 100, 200, 500)
SPLITS = (1, 2, 3)
# Assumed: rented in 2025 by the hour; edit them in your head, the ratios matter.
USD_PER_HOUR = {"A100": 1.3, "H100": 2.0, "H200": 2.6, "B200": 4.0, "L40S": 0.8}


@dataclass(frozen=True)
class Layout:
    """Replicas and what each does."""

    label: str
    scheduler: SchedulerConfig
    pool: Mapping[str, Any]


@dataclass(frozen=True)
class World:
    params: DisaggregationParams
    cost: CostModel
    decode_cost: CostModel
    trace: Trace
    search: Trace  # its beginning: what searches replay
    key: str  # names machines, lengths and limits, not the layout

    @property
    def slo(self) -> dict[str, float]:
        return {"ttft_s": self.params.slo_ttft, "itl_s": self.params.slo_itl / 1_000}

    @property
    def replicas(self) -> int:
        return self.params.prefill_replicas + self.params.decode_replicas

    @property
    def gpus_each(self) -> int:
        return int(self.params.tp) * int(self.params.pp)

    @property
    def gpus(self) -> int:
        return self.replicas * self.gpus_each

    @property
    def kinds(self) -> tuple[str, ...]:
        """The GPU of each replica."""
        p = self.params
        second = p.decode_gpu if p.layout == "disaggregated" else p.prefill_gpu
        return (p.prefill_gpu,) * p.prefill_replicas + (second,) * p.decode_replicas

    @property
    def usd_per_hour(self) -> float:
        return self.gpus_each * sum(USD_PER_HOUR[kind] for kind in self.kinds)

    @property
    def watts(self) -> float:
        return self.gpus_each * sum(find_gpu(kind).power_w for kind in self.kinds)

    @property
    def speculation(self) -> dict[str, Any] | None:
        p = self.params
        return None if p.spec == "none" else {"kind": p.spec, "k": p.k, "alpha": p.alpha, "draft_cost": p.draft_cost}


def cost_of(params: DisaggregationParams, gpu: str, tp: str = "") -> CostModel:
    return CostModel.roofline("Llama-3.1-70B", gpu, tp=int(tp or params.tp), pp=int(params.pp), weights=params.weights, kv=params.kv)


def world_of(params: DisaggregationParams, ctx: Context) -> World:
    """Raises InvalidInput where weights do not fit or tp does not divide the heads."""
    p, given = params, own_trace(ctx)
    cost = cost_of(p, p.prefill_gpu)
    decode_cost = cost if p.layout == "colocated" or p.decode_gpu == p.prefill_gpu else cost_of(p, p.decode_gpu)
    if given is None:
        trace = synth_trace("conversation", REQUESTS, p.rate, ctx.seed, lengths=p.lengths)
    else:
        trace = at_own_or_lab_rate(ctx, given, p.rate)
    lengths = f"{ctx.seed}/{p.lengths}" if ctx.data is None else ctx.data.digest
    draft = f"{p.spec}/{p.k}/{p.alpha}/{p.draft_cost}" if p.spec != "none" else "none"
    machine = f"{p.prefill_gpu}/{p.decode_gpu}/{p.tp}/{p.pp}/{p.weights}/{p.kv}/{draft}/{p.link}/{p.overlap}"
    key = f"disagg/v1/{lengths}/{machine}"
    return World(p, cost, decode_cost, trace, beginning(trace), key)


def beginning(trace: Trace) -> Trace:
    return trace.rows(slice(0, SEARCH_REQUESTS_LONG if trace.output_tokens.mean() > LONG_ANSWERS else SEARCH_REQUESTS))


# --- layouts -------------------------------------------------------------------------------------------------------------------


def own_layout(world: World) -> Layout:
    p = world.params
    if p.layout == "disaggregated":
        return split(world, p.prefill_replicas, p.decode_replicas)
    return chunked(world, p.chunk)


def split(world: World, prefill: int, decode: int) -> Layout:
    pools: dict[str, Any] = {"prefill": prefill, "decode": decode, "link_gb_s": world.params.link, "overlap": world.params.overlap}
    if world.params.decode_gpu != world.params.prefill_gpu:
        pools["decode_cost"] = cost_of(world.params, world.params.decode_gpu)
    return Layout(f"{prefill}P + {decode}D", SchedulerConfig("disaggregated", max_seqs=SEQUENCES), {"pools": pools})


def chunked(world: World, chunk: int) -> Layout:
    scheduler = SchedulerConfig("vllm_v1", max_seqs=min(SEQUENCES, chunk), token_budget=chunk)
    return Layout(f"Colocated, chunk {chunk}", scheduler, {"replicas": world.replicas})


def prefill_first(world: World) -> Layout:
    longest = int(world.trace.prompt_tokens.max())
    scheduler = SchedulerConfig("vllm_v0", max_seqs=SEQUENCES, max_batch_tokens=max(4_096, longest))
    return Layout("Colocated, prefill first", scheduler, {"replicas": world.replicas})


def served(layout: Layout, trace: Trace, world: World, label: str, *, log: bool = False) -> Working[SimResult]:
    steps = simulate_steps(trace, world.cost, layout.scheduler, spec=world.speculation, log_iterations=log, **layout.pool)
    return (yield from relay(steps, lambda share: Progress(share, 1, label)))


def carried(layout: Layout, world: World, done: float = 0.0, total: float = 1.0, rates: tuple[float, float] = RATES) -> Working[float]:
    """Requests a second within the limits at p99, by bisection, as finely whatever the `rates` it lies between."""
    options = {"spec": world.speculation, **layout.pool}
    steps = max(1, SEARCH_STEPS - round(np.log2(np.log(RATES[1] / RATES[0]) / np.log(rates[1] / rates[0]))))
    search = capacity_steps(world.search, world.cost, layout.scheduler, slo=world.slo, rates=rates, steps=steps, **options)
    return (yield from relay(search, lambda share: Progress(done + share, total, f"what {layout.label} carries")))


# --- sweeps --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sweep:
    """Requests a second within the limits: of every split, and of layouts on as many replicas as the page has."""

    splits: dict[tuple[int, int], float]
    equal: dict[str, float]

    @property
    def best(self) -> tuple[str, float]:
        label = max(self.equal, key=lambda name: self.equal[name])
        return label, self.equal[label]


def sweep(world: World) -> Working[Sweep]:
    """All splits up to 3 and 3 replicas; all splits and some chunks at equal replicas."""
    equal = [(p, world.replicas - p) for p in range(1, world.replicas)]
    shapes = sorted({(p, d) for p in SPLITS for d in SPLITS} | set(equal))
    layouts = [chunked(world, chunk) for chunk in CHUNKS]
    total, splits = len(shapes) + len(layouts), {}
    for i, (prefill, decode) in enumerate(shapes):
        splits[prefill, decode] = yield from carried(split(world, prefill, decode), world, i, total)
        yield Progress(i + 1, total, "every split")
    found = {split(world, *shape).label: splits[shape] for shape in equal}
    for i, layout in enumerate(layouts):
        found[layout.label] = yield from carried(layout, world, len(shapes) + i, total)
        yield Progress(len(shapes) + i + 1, total, "chunks")
    return Sweep({shape: splits[shape] for shape in splits if max(shape) <= max(SPLITS)}, found)


@dataclass(frozen=True)
class Tail:
    """p99 of TTFT and of the gaps at rising rates: what a layout carries under any limits can be read off."""

    label: str
    ttft_s: Floats
    itl_s: Floats

    def between(self, slo: Mapping[str, float]) -> tuple[float, float]:
        """Two rates between which a limit is first passed, out of those that halving RATES comes by: `carried` ends at the same rate
        whether it searches between these two or all of RATES.
        """
        late = np.flatnonzero((self.ttft_s > slo["ttft_s"]) | (self.itl_s > slo["itl_s"]))
        i = int(late[0]) if len(late) else len(GRID_RATES) - 1
        known = np.array([GRID_RATES[i - 1] if i else RATES[0], GRID_RATES[i]])
        marks, whole = 2**SEARCH_STEPS, np.log(RATES[1] / RATES[0])
        low, high = np.round(np.log(known / RATES[0]) / whole * marks, 6)
        width = 2 ** int(np.ceil(np.log2(np.ceil(high) - np.floor(low))))
        first = min(int(low), marks - width)
        return RATES[0] * float(np.exp(whole * first / marks)), RATES[0] * float(np.exp(whole * (first + width) / marks))

    def carries(self, ttft_limit_s: float, itl_limit_s: float) -> float:
        """Where the worse of the two tails crosses its limit, between rates on a log scale; 0 if it is beyond at the lowest."""
        over = np.log(np.maximum(self.ttft_s / ttft_limit_s, self.itl_s / itl_limit_s))
        late = np.flatnonzero(over > 0)
        if not len(late):
            return float(GRID_RATES[-1])
        i = int(late[0])
        if i == 0:
            return 0.0
        part = -over[i - 1] / (over[i] - over[i - 1])
        return float(GRID_RATES[i - 1] * (GRID_RATES[i] / GRID_RATES[i - 1]) ** part)


def tail(layout: Layout, world: World) -> Working[Tail]:
    ttft, itl = [], []
    for rate in GRID_RATES:
        run = yield from served(layout, world.search.at_rate(rate), world, f"{layout.label} at {rate:.3g} requests/s")
        ttft.append(float(np.percentile(run.ttft_s, 99)))
        itl.append(run.itl_percentile_s(99) or 1e-6)
        yield Progress(len(ttft), len(GRID_RATES), f"{layout.label} at rising rates")
    return Tail(layout.label, np.array(ttft), np.array(itl))


def tails(world: World) -> Working[list[Tail]]:
    """The layouts the page's is compared with."""
    layouts = [prefill_first(world), *(chunked(world, chunk) for chunk in CHUNKS)]
    if world.replicas > 1:
        decode = max(1, world.replicas // 4)
        layouts.append(split(world, world.replicas - decode, decode))
    found = []
    for layout in layouts:
        found.append((yield from tail(layout, world)))
    return found
