"""What the lab `real_engine` measures and foresees: one run of the design, its baselines, and the simulator's word on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, expected_tokens, simulate
from simulators.engines.serving.tiny import PagedEngine, Parity, Request, ServeResult, TinyLM, compare_tokens
from simulators.engines.serving.tiny.calibrate import calibrate_steps, draft_cost, drift, mean_of
from simulators.engines.serving.tiny.language import language, to_tokens
from simulators.engines.serving.tiny.paged import prefix_keys
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working
from simulators.llm_serving._real_params import BLOCK_TOKENS, LONGEST_ANSWER, LONGEST_PROMPT, RealParams

PROMPT_MEDIAN, PROMPT_SIGMA, SHORTEST_PROMPT = 55, 0.6, 8
ANSWER_MEAN = 40
BASE_SLOTS = 16  # of the static baseline
SEQUENTIAL_REQUESTS = 12  # enough to know the speed of one at a time; all of them would take most of the run
ITERATION_TOKENS, SILENT_TOKENS = 20, 60  # an iteration costs about as much as 20 more tokens in it; speak every 10 ms or so
BUSY_DRIFT = 0.10
TYPICAL_KV = 100
DRAFT_BATCHES, DRAFT_BLOCKS = (1, 4, 16), 6  # blocks a sequence of that measurement needs

CHOSEN, STATIC, SEQUENTIAL, PLAIN, UNCACHED = "this design", "static", "sequential", "without speculation", "without prefix cache"


@dataclass(frozen=True)
class Plan:
    """One run of the engine: what is asked of it, in the engine's words and in the simulator's."""

    name: str
    mode: str
    requests: list[Request]
    slots: int
    params: RealParams
    spec: str = "none"
    cache: bool = False
    num_blocks: int = 0

    @property
    def engine_options(self) -> dict[str, Any]:
        p = self.params
        return {
            "mode": self.mode,
            "max_seqs": self.slots,
            "token_budget": p.token_budget,
            "prefix_cache": self.cache,
            "spec": {"kind": engine_kind(self.spec), "k": p.k},
            "temperature": p.temperature,
            "max_len": p.worst_case_tokens,
        }

    @property
    def scheduler(self) -> SchedulerConfig:
        p = self.params
        if self.mode == "static":
            return SchedulerConfig("static", max_seqs=self.slots, max_len=p.worst_case_tokens, block_size=BLOCK_TOKENS)
        return SchedulerConfig("vllm_v1", max_seqs=self.slots, token_budget=p.token_budget, block_size=BLOCK_TOKENS)


@dataclass(frozen=True)
class Measured:
    """A run and what the simulator, calibrated before and after it, says of it."""

    plan: Plan
    run: ServeResult
    foreseen: SimResult

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second in which the engine computed."""
        return sum(map(len, self.run.tokens)) / self.run.busy_s

    @property
    def foreseen_tokens_per_s(self) -> float:
        return float(self.foreseen.trace.output_tokens.sum() / self.foreseen.busy_s.sum())

    @property
    def makespan_error(self) -> float:
        return self.foreseen.makespan_s / self.run.makespan_s - 1

    @property
    def request_error(self) -> float:
        """Mean over requests of |foreseen - measured| / measured time to the last token."""
        measured = self.run.finished_s - self.run.arrival_s
        return float(np.mean(np.abs(self.foreseen.e2e_s - measured) / measured))


@dataclass(frozen=True)
class Report:
    """All of one lab run. `drift`: the machine's relative change of speed between the two calibrations."""

    params: RealParams
    cost: CostModel
    drift: float
    parity: Parity
    draft_costs: dict[int, float]
    measured: dict[str, Measured]

    @property
    def busy(self) -> bool:
        return abs(self.drift) > BUSY_DRIFT

    @property
    def chosen(self) -> Measured:
        return self.measured[CHOSEN]

    def speedup(self, over: str) -> float:
        return self.chosen.tokens_per_s / self.measured[over].tokens_per_s

    def formula_speedup(self, batch: int) -> float:
        """Tokens a second with speculation over without, from calibrated iterations and the acceptance seen."""
        alpha = acceptance_rate(self.chosen.run, self.params.k)
        return self.cost.spec_speedup(batch, TYPICAL_KV, alpha, self.params.k, draft_share(self.draft_costs, batch))


def make_requests(params: RealParams, ctx: Context) -> list[Request]:
    """Prompts and answer lengths; moving one parameter leaves the other draws alone."""
    lengths, texts, arrivals = ctx.rng("real/lengths"), ctx.rng("real/texts"), ctx.rng("real/arrivals")
    prefix = language().sample(params.shared_prefix, ctx.rng("real/prefix")) if params.shared_prefix else []
    prompt = np.clip(lengths.lognormal(np.log(PROMPT_MEDIAN), PROMPT_SIGMA, 128), SHORTEST_PROMPT, LONGEST_PROMPT).astype(int)
    answer = np.clip(lengths.geometric(1 / ANSWER_MEAN, 128), 1, LONGEST_ANSWER)
    gaps = arrivals.exponential(1 / params.rate, 128) if params.rate else np.zeros(128)
    comes = np.cumsum(gaps) - gaps[0]
    bodies = [language().sample(int(length), texts) for length in prompt[: params.requests]]
    if params.prompt.strip():
        bodies[0] = to_tokens(params.prompt)
    return [Request([*prefix, *body], int(answer[i]), float(comes[i])) for i, body in enumerate(bodies)]


def plans(params: RealParams, requests: list[Request]) -> Iterator[Plan]:
    """The design, the two baselines, and the design without what is to be shown."""
    slots = 1 if params.mode == "sequential" else params.max_seqs
    cache = params.prefix_cache and params.mode != "static"
    blocks, enough = params.num_blocks, BASE_SLOTS * params.worst_case_blocks
    yield Plan(CHOSEN, params.mode, requests, slots, params, params.spec, cache, blocks)
    yield Plan(SEQUENTIAL, "sequential", requests[:SEQUENTIAL_REQUESTS], 1, params, num_blocks=enough)
    yield Plan(STATIC, "static", requests, BASE_SLOTS, params, num_blocks=enough)
    if params.spec != "none":
        yield Plan(PLAIN, params.mode, requests, slots, params, "none", cache, blocks)
    if params.shared_prefix and cache:
        yield Plan(UNCACHED, params.mode, requests, slots, params, params.spec, False, blocks)


def measure(engine: PagedEngine, params: RealParams, ctx: Context, before: CostModel) -> Working[Report]:
    """Runs everything, calibrates again, foresees with the mean of the calibrations before and after."""
    found: dict[str, tuple[Plan, ServeResult]] = {}
    for plan in plans(params, make_requests(params, ctx)):
        found[plan.name] = (plan, (yield from _served(engine, plan)))
    after = yield from calibrated(engine, "measuring this machine again")
    cost = mean_of(before, after)
    costs = yield from _draft_costs(engine, cost, params)
    share = draft_share(costs, mean_batch(found[PLAIN][1])) if costs else 0.0
    measured = {}
    for name, (plan, run) in found.items():
        measured[name] = Measured(plan, run, foresee(plan, run, cost, share))
        yield Progress(len(measured), len(found), "simulating the same runs")
    return Report(params, cost, drift(before, after), parity(found), costs, measured)


def calibrated(engine: PagedEngine, label: str) -> Working[CostModel]:
    return (yield from relay(calibrate_steps(engine), lambda share: Progress(share, 1, label)))


def _draft_costs(engine: PagedEngine, cost: CostModel, params: RealParams) -> Working[dict[int, float]]:
    """Cost of a guessed token alone and among others; empty without speculation."""
    found: dict[int, float] = {}
    for batch in DRAFT_BATCHES if params.spec != "none" else ():
        if batch * DRAFT_BLOCKS <= params.num_blocks:
            found[batch] = draft_cost(engine, cost, engine_kind(params.spec), params.k, batch)
            yield Progress(len(found), len(DRAFT_BATCHES), "measuring guesses")
    return found


def draft_share(costs: dict[int, float], batch: int) -> float:
    return float(np.interp(batch, list(costs), list(costs.values())))


def engine_kind(spec: str) -> str:
    return "draft" if spec == "weak_draft" else spec


def mean_batch(run: ServeResult) -> int:
    """Sequences in an iteration, weighted by time."""
    return max(1, round(sum(record.sequences * record.duration_s for record in run.log) / run.busy_s))


def _served(engine: PagedEngine, plan: Plan) -> Working[ServeResult]:
    if plan.num_blocks != engine.num_blocks:
        engine = PagedEngine(engine.model, engine.draft, plan.num_blocks, BLOCK_TOKENS)
    steps, tokens, silent = engine.serve_steps(plan.requests, **plan.engine_options), 0, 0
    total = sum(len(request.prompt) + request.output_tokens for request in plan.requests)
    while True:
        try:
            record = next(steps)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        tokens += record.tokens
        silent += ITERATION_TOKENS + record.tokens
        if silent > SILENT_TOKENS:
            yield Progress(min(tokens, total), total, f"serving: {plan.name}")
            silent = 0


def foresee(plan: Plan, run: ServeResult, cost: CostModel, share: float) -> SimResult:
    """The simulator on the same requests and rules. It is told the acceptance of guesses, which no machine's speed decides."""
    spec = None
    if plan.spec != "none":
        spec = {"kind": "draft", "k": plan.params.k, "alpha": acceptance_rate(run, plan.params.k), "draft_cost": share}
    cache = {"blocks": plan.num_blocks} if plan.cache else None
    trace = trace_of(plan)
    return simulate(trace, cost, plan.scheduler, num_blocks=plan.num_blocks, prefix_cache=cache, spec=spec, log_iterations=True)


def trace_of(plan: Plan) -> Trace:
    keys = [prefix_keys(request.prompt[: len(request.prompt) - 1], BLOCK_TOKENS) for request in plan.requests]  # type: ignore[arg-type]
    names = {key: number for number, key in enumerate(dict.fromkeys(key for row in keys for key in row))}
    pointers = np.concatenate([[0], np.cumsum([-(-len(request.prompt) // BLOCK_TOKENS) for request in plan.requests])])
    ids = np.full(int(pointers[-1]), -1)
    for row, start in zip(keys, pointers[:-1], strict=True):
        ids[start : start + len(row)] = [names[key] for key in row]
    unshared = ids < 0
    ids[unshared] = len(names) + np.arange(int(unshared.sum()))
    return Trace(
        arrival_s=[request.arrival_s for request in plan.requests],
        prompt_tokens=[len(request.prompt) for request in plan.requests],
        output_tokens=[request.output_tokens for request in plan.requests],
        hash_ids=ids,
        hash_ptr=pointers,
        block_tokens=BLOCK_TOKENS,
    )


def acceptance_rate(run: ServeResult, k: int) -> float:
    """The alpha at which k independent guesses would have yielded as many tokens a step: also for tables that sometimes cannot guess."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_tokens(middle, k) < run.tokens_per_decode else (low, middle)
    return low


def parity(found: dict[str, tuple[Plan, ServeResult]]) -> Parity:
    """Answers of the design against those of each other run, all comparisons together."""
    chosen = found[CHOSEN][1]
    seen = [compare_tokens(_first(chosen, len(run.tokens)), run) for name, (_, run) in found.items() if name != CHOSEN]
    return Parity(*map(sum, zip(*seen, strict=True)))


def _first(run: ServeResult, count: int) -> ServeResult:
    return replace(run, tokens=run.tokens[:count], margins=run.margins[:count])


def load_engine(params: RealParams) -> PagedEngine:
    draft = TinyLM.load(params.spec) if params.spec in {"draft", "weak_draft"} else None
    return PagedEngine(TinyLM.load("target"), draft, num_blocks=params.num_blocks, block_size=BLOCK_TOKENS)
