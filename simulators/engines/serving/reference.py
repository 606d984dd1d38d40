"""The simulator once more in plain Python, slow and short: what `vllm_v0`, `sarathi` and `vllm_v1` mean, without a thought for speed.

Tests hold the compiled simulator to it bit for bit. It shares no code with it but the trace and the scheduler's settings: requests are
objects, queues are lists, and an iteration is priced from the list of its members.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.trace import Trace

StepSeconds = Callable[[Sequence[int], Sequence[tuple[int, int]]], float]


@dataclass(eq=False)
class Request:
    row: int
    arrival_s: float
    prompt: int
    output: int
    priority: float = 0.0
    deadline_s: float = math.inf
    processed: int = 0
    prompt_done: bool = False
    blocks: int = 0
    restarts: int = 0
    replica: int = -1
    scheduled_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None


@dataclass(eq=False)
class Replica:
    scheduler: SchedulerConfig
    num_blocks: int
    clock_s: float = math.inf  # infinite: asleep
    asleep_since_s: float | None = None  # set if blocks had just been freed
    free: int = 0
    waiting: list[Request] = field(default_factory=list)
    running: list[Request] = field(default_factory=list)
    batch: list[tuple[Request, int]] = field(default_factory=list)
    evicted: bool = False

    def __post_init__(self) -> None:
        self.free = self.num_blocks

    def blocks_for(self, tokens: int) -> int:
        return math.ceil(tokens / self.scheduler.block_size)

    def take(self, request: Request, blocks: int) -> None:
        request.blocks += blocks
        self.free -= blocks

    def give_back(self, request: Request) -> None:
        self.free += request.blocks
        request.blocks = 0

    def restart(self, request: Request) -> None:
        """Everything processed becomes prompt; vLLM v1 keeps a prompt that was not read to its end as it is."""
        if request.prompt_done or self.scheduler.policy != "vllm_v1":
            request.output = request.prompt + request.output - request.processed
            request.prompt = request.processed
        request.processed, request.prompt_done = 0, False
        request.restarts += 1
        self.give_back(request)
        self.evicted = True
        if self.scheduler.order == "priority":
            self.enqueue(request)
        else:
            self.waiting.insert(0, request)

    def enqueue(self, request: Request) -> None:
        """Behind all that go first or came earlier; restarted ones stand at the very front and stay there."""
        keys: dict[str, Callable[[Request], tuple[bool, float, int]]] = {
            "fcfs": lambda r: (r.restarts == 0, 0.0, r.row),
            "sjf": lambda r: (r.restarts == 0, r.prompt, r.row),
            "slo": lambda r: (r.restarts == 0, r.deadline_s, r.row),
            "priority": lambda r: (True, -r.priority, r.row),
        }
        key = keys[self.scheduler.order]
        place = sum(key(other) < key(request) for other in self.waiting)
        self.waiting.insert(place, request)

    def join(self, request: Request, tokens: int) -> None:
        self.batch.append((request, tokens))

    @property
    def tokens(self) -> int:
        return sum(tokens for _, tokens in self.batch)

    def members(self) -> list[Request]:
        return [request for request, _ in self.batch]

    def may_admit(self, request: Request) -> bool:
        """Vidur's test: room for one more, and blocks for the whole prompt above the watermark."""
        cap, in_batch = self.scheduler.max_seqs, self.members()
        resident = len(self.running) + sum(member not in self.running for member in in_batch)
        above = self.free - self.blocks_for(request.prompt) >= int(self.scheduler.watermark * self.num_blocks)
        return resident < cap and len(in_batch) < cap and above

    def admit(self, request: Request, blocks: int) -> None:
        self.waiting.remove(request)
        self.take(request, blocks)
        if request.scheduled_s is None:
            request.scheduled_s = self.clock_s

    def decode_or_restart(self, request: Request, rest: list[Request]) -> bool:
        while self.free < 1:
            victim = rest.pop() if rest else request
            self.restart(victim)
            if victim is request:
                return False
        if request.processed > self.scheduler.block_size * request.blocks:
            self.take(request, 1)
        return True

    def form(self) -> None:
        self.batch, self.evicted = [], False
        {"vllm_v0": self.form_vllm_v0, "sarathi": self.form_sarathi, "vllm_v1": self.form_vllm_v1}[self.scheduler.policy]()

    def form_vllm_v0(self) -> None:
        while self.waiting and self.may_admit(self.waiting[0]):
            request = self.waiting[0]
            longest = max([request.prompt, *(member.prompt for member in self.members())])
            if (len(self.batch) + 1) * longest > self.scheduler.max_batch_tokens:
                break
            self.admit(request, self.blocks_for(request.prompt))
            self.join(request, request.prompt)
        if self.batch:
            return
        rest = sorted(self.running, key=lambda r: r.arrival_s)
        while rest and len(self.batch) < self.scheduler.max_seqs:
            request = rest.pop(0)
            if self.decode_or_restart(request, rest):
                self.join(request, 1)
        self.running = rest

    def form_sarathi(self) -> None:
        rest, half_read, skipped = self.running, [], []
        while rest and len(self.batch) < self.scheduler.max_seqs:
            request = rest.pop(0)
            if not request.prompt_done:
                half_read.append(request)
            elif self.decode_or_restart(request, rest):
                self.join(request, 1)
        for request in half_read:
            chunk = min(request.prompt - request.processed, self.scheduler.chunk_size - self.tokens)
            if chunk > 0:
                self.join(request, chunk)
            else:
                skipped.append(request)
        self.running = sorted(skipped + rest, key=lambda r: r.arrival_s)
        while self.waiting and self.may_admit(self.waiting[0]) and self.scheduler.chunk_size > self.tokens:
            request = self.waiting[0]
            self.admit(request, self.blocks_for(request.prompt))
            self.join(request, min(request.prompt, self.scheduler.chunk_size - self.tokens))

    def form_vllm_v1(self) -> None:
        place = 0
        while place < len(self.running) and self.tokens < self.scheduler.token_budget:
            request = self.running[place]
            if not self.fit_or_evict(request):
                break
            place = self.running.index(request) + 1
            self.grow_and_join(request)
        while not self.evicted and self.waiting and self.tokens < self.scheduler.token_budget:
            request = self.waiting[0]
            if len(self.running) >= self.scheduler.max_seqs or self.wanted(request) > self.free:
                return
            self.admit(request, 0)
            self.running.append(request)
            self.grow_and_join(request)

    def chunk(self, request: Request) -> int:
        left = self.scheduler.token_budget - self.tokens
        if request.prompt_done:
            return 1
        return min(request.prompt - request.processed, self.scheduler.long_prefill_threshold or left, left)

    def wanted(self, request: Request) -> int:
        """Blocks missing for the next chunk; the token to decode from is among the processed ones."""
        tokens = request.processed + (0 if request.prompt_done else self.chunk(request))
        return max(0, self.blocks_for(tokens) - request.blocks)

    def grow_and_join(self, request: Request) -> None:
        chunk = self.chunk(request)
        self.take(request, self.wanted(request))
        self.join(request, chunk)

    def fit_or_evict(self, request: Request) -> bool:
        while self.wanted(request) > self.free:
            victim = self.running[-1]
            if self.scheduler.order == "priority":
                victim = max(self.running, key=lambda r: (-r.priority, r.row))
            self.running.remove(victim)
            self.batch = [(member, tokens) for member, tokens in self.batch if member is not victim]
            self.restart(victim)
            if victim is request:
                return False
        return True

    def end_iteration(self) -> int:
        """Effects in batch order; returns how many requests finished."""
        finished = 0
        for request, tokens in self.batch:
            request.processed += tokens
            if not request.prompt_done and request.processed == request.prompt:
                request.prompt_done = True
                request.processed += 1
                if request.first_token_s is None:
                    request.first_token_s = self.clock_s
            if request.processed == request.prompt + request.output:
                request.finished_s = self.clock_s
                self.give_back(request)
                finished += 1
            elif self.scheduler.policy != "vllm_v1":
                self.running.append(request)
        self.running = [request for request in self.running if request.finished_s is None]
        self.batch = []
        return finished


def simulate_reference(
    trace: Trace, step_s: StepSeconds, scheduler: SchedulerConfig, *, num_blocks: int, replicas: int = 1, router: str = "round_robin"
) -> tuple[list[Request], int]:
    """All requests, finished, and the number of iterations. Routers: round_robin, least_pending, least_loaded (outstanding tokens)."""
    pool = [Replica(scheduler, num_blocks) for _ in range(replicas)]
    requests = [_request(trace, i) for i in range(len(trace))]
    arrived = iterations = finished = 0
    while finished < len(requests):
        replica = min(pool, key=lambda r: r.clock_s)
        if arrived < len(requests) and requests[arrived].arrival_s <= replica.clock_s:
            _arrive(requests[arrived], requests[:arrived], pool, router)
            arrived += 1
            continue
        if replica.clock_s == math.inf:
            replica = next(r for r in pool if r.waiting and r.asleep_since_s is not None)
            replica.clock_s, replica.asleep_since_s = replica.asleep_since_s or 0.0, None
        finished += replica.end_iteration()
        replica.form()
        if replica.batch:
            iterations += 1
            replica.clock_s = replica.clock_s + price(replica.batch, step_s)
        elif not replica.evicted or scheduler.policy != "vllm_v1":
            replica.asleep_since_s = replica.clock_s if replica.evicted else None
            replica.clock_s = math.inf
    return requests, iterations


def _request(trace: Trace, i: int) -> Request:
    arrival_s = float(trace.arrival_s[i])
    priority = 0.0 if trace.priority is None else float(trace.priority[i])
    slo_s = math.inf if trace.ttft_slo_s is None else float(trace.ttft_slo_s[i])
    return Request(i, arrival_s, int(trace.prompt_tokens[i]), int(trace.output_tokens[i]), priority, arrival_s + slo_s)


def _arrive(request: Request, earlier: list[Request], pool: list[Replica], router: str) -> None:
    def outstanding(r: int) -> int:
        there = (other for other in earlier if other.replica == r and other.finished_s is None)
        return sum(other.prompt + other.output - other.processed for other in there)

    load = {"round_robin": lambda r: 0, "least_pending": lambda r: len(pool[r].waiting), "least_loaded": outstanding}[router]
    request.replica = request.row % len(pool) if router == "round_robin" else min(range(len(pool)), key=load)
    replica = pool[request.replica]
    replica.enqueue(request)
    if replica.clock_s == math.inf:
        replica.clock_s = request.arrival_s


def price(batch: list[tuple[Request, int]], step_s: StepSeconds) -> float:
    decodes = [request.processed for request, _ in batch if request.prompt_done]
    prefills = [(tokens, request.processed) for request, tokens in batch if not request.prompt_done]
    return step_s(decodes, prefills)


def vidur_step(tables: CostTables) -> StepSeconds:
    """Vidur's duration of an iteration from the tables of `vidur_tables`, in plain Python floats."""
    rows = {name: getattr(tables, name).tolist() for name in ("attention_ms", "allreduce_ms", "input_norm_ms", "mlp_ms", "add_ms")}
    decode_ms, prefill_ms, step = tables.decode_ms.tolist(), tables.prefill_ms.tolist(), tables.kv_step

    def seconds(decodes: Sequence[int], prefills: Sequence[tuple[int, int]]) -> float:
        tokens = len(decodes) + sum(chunk for chunk, _ in prefills)
        decode = prefill = 0.0
        if decodes:
            decode = decode_ms[len(decodes)][math.ceil(int(sum(decodes) / len(decodes)) / step)]
            decode *= 1 + tables.decode_overhead if len(decodes) > 1 else 1
        if prefills:
            kv, chunk = sum(math.ceil(before / step) for _, before in prefills), round(sum(chunk**2 for chunk, _ in prefills) ** 0.5)
            prefill = prefill_ms[kv][chunk]
            prefill *= 1 + tables.prefill_overhead if len(prefills) > 1 else 1
        attention = rows["attention_ms"][tokens] + decode + prefill + rows["allreduce_ms"][tokens] + rows["input_norm_ms"][tokens]
        return ((attention + rows["mlp_ms"][tokens]) + rows["add_ms"][tokens]) * tables.num_layers * 1e-3  # type: ignore[no-any-return]

    return seconds
