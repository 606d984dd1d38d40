"""The engine: requests in, tokens out, every iteration a real forward pass over paged keys and values.

    engine = PagedEngine(TinyLM.load("target"), TinyLM.load("draft"))
    result = engine.serve([Request(prompt, 40), ...], mode="continuous", max_seqs=16, spec={"kind": "draft", "k": 4})

One iteration: the scheduler says who computes how many tokens (`scheduler`), drafts are guessed (`speculate`), all tokens go through the
model as one flat batch (`model`, `paged`), and whoever's text is computed to its end gets its next token or tokens.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.tiny.model import MAX_POSITIONS, TinyLM
from simulators.engines.serving.tiny.paged import BlockPool, PagedKV
from simulators.engines.serving.tiny.result import Counts, Request, ServeResult, StepRecord, checked_requests
from simulators.engines.serving.tiny.scheduler import Continuous, Static, Work, new_sequence
from simulators.engines.serving.tiny.scheduler import Sequence as Running
from simulators.engines.serving.tiny.speculate import Verdict, forward, make_drafter, probabilities, verify, verify_greedy
from simulators.engines.steps import finish
from simulators.errors import InvalidInput

MODES = ("sequential", "static", "continuous")
ServeSteps = Generator[StepRecord, None, ServeResult]


class PagedEngine:
    """A model, perhaps a draft model, and memory for `num_blocks` blocks of `block_size` tokens. One thread."""

    def __init__(self, model: TinyLM, draft: TinyLM | None = None, num_blocks: int = 1024, block_size: int = 16) -> None:
        if num_blocks < 1 or block_size < 1:
            raise InvalidInput(
                f"The engine has {num_blocks} blocks of {block_size} tokens; expected at least 1 of each.", field="num_blocks"
            )
        self.model, self.draft = model, draft
        self.num_blocks, self.block_size = num_blocks, block_size
        self.kv = PagedKV(model.shape, num_blocks, block_size)

    def serve(
        self,
        requests: Sequence[Request],
        mode: str = "continuous",
        max_seqs: int = 16,
        token_budget: int = 128,
        prefix_cache: bool = True,
        spec: Mapping[str, Any] | str | None = None,
        **options: Any,
    ) -> ServeResult:
        """Serves all requests to the end. The prefix cache and the clock start anew with each call.

        requests: `Request`s, or tuples (prompt, output tokens, arrival in seconds). mode: `continuous`; `static`, which ignores
        token_budget and prefix_cache; `sequential`, one request at a time. token_budget: tokens of an iteration. spec: None, "ngram" or
        "draft", or a mapping of kind and k (drafted tokens a step, 4 unless given).
        Options: temperature (0 = greedy), seed (of the draws), max_len (tokens that a static slot sets aside; the longest prompt plus the
        longest answer unless given).
        Raises InvalidInput for a request that the blocks can never hold, an unknown mode, a draft without a model.
        """
        return finish(self.serve_steps(requests, mode, max_seqs, token_budget, prefix_cache, spec, **options))

    def serve_steps(
        self,
        requests: Sequence[Request],
        mode: str = "continuous",
        max_seqs: int = 16,
        token_budget: int = 128,
        prefix_cache: bool = True,
        spec: Mapping[str, Any] | str | None = None,
        *,
        temperature: float = 0.0,
        seed: int = 0,
        max_len: int | None = None,
    ) -> ServeSteps:
        """`serve` for whoever has to stay interruptible: yields the record of every iteration."""
        if mode not in MODES:
            raise InvalidInput(f"mode is {mode!r}; expected one of {', '.join(MODES)}.", field="mode")
        for name, value in (("max_seqs", max_seqs), ("token_budget", token_budget)):
            if value < 1:
                raise InvalidInput(f"{name} is {value}; expected at least 1.", field=name)
        if not temperature >= 0:
            raise InvalidInput(f"temperature is {temperature:g}; expected 0 or more.", field="temperature")
        checked = checked_requests(requests)
        reserved = max_len or max(len(r.prompt) for r in checked) + max(r.output_tokens for r in checked)
        self._check_fits(checked, reserved, mode)
        kind, k = spec_of(spec)
        drafter = make_drafter(kind, self.draft, self.num_blocks, self.block_size, temperature)
        pool, counts = BlockPool(self.num_blocks, self.block_size), Counts()
        scheduler: Continuous | Static
        if mode == "static":
            scheduler = Static(pool, max_seqs, reserved, k)
        else:
            scheduler = Continuous(pool, counts, 1 if mode == "sequential" else max_seqs, token_budget, k, prefix_cache)
        sequences = [new_sequence(i, request, self.block_size, seed) for i, request in enumerate(checked)]
        return _Run(self, scheduler, drafter, counts, temperature, sequences).steps()

    def calibrate(self) -> CostModel:
        """Measures this machine now: what an iteration costs, as a model for the simulator. About a second; see `calibrate`."""
        from simulators.engines.serving.tiny.calibrate import calibrate  # it serves requests itself

        return calibrate(self)

    def _check_fits(self, requests: Sequence[Request], reserved: int, mode: str) -> None:
        room = self.num_blocks * self.block_size
        for place, request in enumerate(requests, start=1):
            tokens = len(request.prompt) + request.output_tokens
            size = f"Request {place} of {len(request.prompt)} prompt and {request.output_tokens} output tokens"
            if tokens - 1 > room:  # the last token's keys are never needed
                raise InvalidInput(f"{size} can never be served: {self._pool_text(room)}.", field="num_blocks")
            if tokens > MAX_POSITIONS:
                raise InvalidInput(f"{size} is longer than the model's {MAX_POSITIONS} positions.", field="requests")
            if mode == "static" and tokens > reserved:
                raise InvalidInput(f"{size} does not fit into the max_len of {reserved} tokens.", field="max_len")
        if mode == "static" and -(-reserved // self.block_size) > self.num_blocks:
            raise InvalidInput(f"A static slot sets {reserved} tokens aside; {self._pool_text(room)}.", field="num_blocks")

    def _pool_text(self, room: int) -> str:
        return f"{self.num_blocks} blocks of {self.block_size} tokens hold {room}"


def spec_of(spec: Mapping[str, Any] | str | None) -> tuple[str, int]:
    """Kind of draft and drafted tokens a step (0 with kind none)."""
    given: Mapping[str, Any] = {"kind": spec or "none"} if spec is None or isinstance(spec, str) else spec
    unknown = sorted(set(given) - {"kind", "k"})
    if unknown:
        raise InvalidInput(f"spec knows no {', '.join(unknown)}; expected kind and k.", field="spec")
    kind, k = str(given.get("kind", "draft")), int(given.get("k", 4))
    if k < 0:
        raise InvalidInput(f"k is {k}; expected 0 or more drafted tokens.", field="k")
    return (kind, k) if k and kind != "none" else ("none", 0)


class _Run:
    """One call of `serve`."""

    def __init__(
        self,
        engine: PagedEngine,
        scheduler: Continuous | Static,
        drafter: Any,
        counts: Counts,
        temperature: float,
        sequences: list[Running],
    ) -> None:
        self.engine, self.scheduler, self.drafter, self.counts, self.temperature = engine, scheduler, drafter, counts, temperature
        self.sequences = sequences
        self.coming = deque(sorted(sequences, key=lambda sequence: sequence.arrival_s))
        self.clock_s = 0.0
        self.log: list[StepRecord] = []

    def steps(self) -> ServeSteps:
        began = time.perf_counter()
        while self.coming or self.scheduler.waiting or self.scheduler.running:
            self._receive()
            yield self._step()
        return self._result(time.perf_counter() - began)

    def _receive(self) -> None:
        """Requests that have arrived join the queue; with nothing else to do the clock goes on to the next arrival."""
        if self.coming and not self.scheduler.waiting and not self.scheduler.running:
            self.clock_s = max(self.clock_s, self.coming[0].arrival_s)
        while self.coming and self.coming[0].arrival_s <= self.clock_s:
            self.scheduler.waiting.append(self.coming.popleft())

    def _step(self) -> StepRecord:
        began = time.process_time()
        works = self.scheduler.form()
        self.counts.blocks_peak = max(self.counts.blocks_peak, self.scheduler.pool.in_use)
        self.drafter.propose(works)
        works.sort(key=lambda work: work.rows)
        load = _load(works)
        written = self._compute(works)
        self.scheduler.complete(works)
        duration = time.process_time() - began
        record = StepRecord(self.clock_s, duration, *load)
        self.clock_s += duration
        for sequence, tokens in written:
            sequence.token_s += [self.clock_s] * tokens
        self.log.append(record)
        return record

    def _compute(self, works: list[Work]) -> list[tuple[Running, int]]:
        """One forward pass; every sequence whose text is computed gets its next tokens. Returns how many each."""
        ends = np.cumsum([work.rows for work in works])
        asking = [(work, int(end)) for work, end in zip(works, ends, strict=True) if work.yields]
        rows = np.concatenate([np.arange(end - len(work.drafts) - 1, end) for work, end in asking] or [np.zeros(0, np.int64)])
        logits = forward(self.engine.model, self.engine.kv, [work.span for work in works], [work.tokens for work in works], rows)
        for work in works:
            work.sequence.computed += work.own
        return self._choose([work for work, _ in asking], logits)

    def _choose(self, works: list[Work], logits: Tensor) -> list[tuple[Running, int]]:
        top = torch.topk(logits, 2, dim=-1)
        best, margins = top.indices[:, 0].tolist(), (top.values[:, 0] - top.values[:, 1]).tolist()
        written, row = [], 0
        for work in works:
            stop = row + len(work.drafts) + 1
            verdict = self._verdict(work, best[row:stop], logits[row:stop])
            self._write(work, verdict, margins[row:stop])
            written.append((work.sequence, len(verdict.tokens)))
            row = stop
        return written

    def _verdict(self, work: Work, best: list[int], logits: Tensor) -> Verdict:
        if self.temperature == 0:
            return verify_greedy(best, work.drafts)
        return verify(probabilities(logits.numpy(), self.temperature), work.drafts, work.draft_p, work.sequence.rng)

    def _write(self, work: Work, verdict: Verdict, margins: list[float]) -> None:
        sequence, counts = work.sequence, self.counts
        counts.decodes += len(sequence.tokens) > sequence.prompt_tokens
        sequence.tokens += verdict.tokens
        sequence.margins += margins[: len(verdict.tokens)]
        sequence.computed += verdict.accepted
        # The draft model has read all its guesses but the last.
        sequence.drafted += min(verdict.accepted, max(0, len(work.drafts) - 1))
        counts.proposed += len(work.drafts)
        counts.accepted += verdict.accepted
        counts.tested += verdict.tested
        counts.rounds += bool(work.drafts)
        counts.expected += sum(verdict.chances)
        counts.variance += sum(chance * (1 - chance) for chance in verdict.chances)

    def _result(self, wall_s: float) -> ServeResult:
        return ServeResult(
            tokens=[s.tokens[s.prompt_tokens :] for s in self.sequences],
            token_s=[s.token_s for s in self.sequences],
            margins=[s.margins for s in self.sequences],
            arrival_s=np.array([s.arrival_s for s in self.sequences]),
            cached_tokens=np.array([s.cached_tokens for s in self.sequences]),
            restarts=np.array([s.restarts for s in self.sequences]),
            counts=self.counts,
            wall_s=wall_s,
            log=self.log,
        )


def _load(works: list[Work]) -> tuple[int, int, int, int]:
    """What the iteration holds: sequences, tokens, those of prompts, KV tokens that decodes read."""
    prefill = sum(work.own for work in works if not work.sequence.decoding)
    decode_kv = sum(work.sequence.computed + 1 for work in works if work.sequence.decoding)
    return len(works), sum(work.rows for work in works), prefill, decode_kv
