"""Who takes part in the next iteration: continuous batching under a budget of tokens, or a static batch that nobody joins or leaves.

The rules of `continuous` are those of vLLM since version 1, which the simulator calls `vllm_v1`: there is no prefill phase and no decode
phase, only tokens of a sequence whose keys and values are not computed yet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from simulators.engines.serving.tiny.paged import BlockPool, Key, Span, prefix_keys
from simulators.engines.serving.tiny.result import Counts, Request


@dataclass(eq=False)
class Sequence:
    """A request on its way. `computed`: tokens (the first so many) whose keys and values are in `blocks`."""

    index: int
    prompt_tokens: int
    output_tokens: int
    arrival_s: float
    tokens: list[int]
    keys: list[Key]
    rng: np.random.Generator
    computed: int = 0
    drafted: int = 0  # as `computed`, of the draft model
    indexed: int = 0  # tokens the n-gram draft has learnt from
    cached_tokens: int = 0
    restarts: int = 0
    blocks: list[int] = field(default_factory=list)
    token_s: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Output tokens still to come."""
        return self.prompt_tokens + self.output_tokens - len(self.tokens)

    @property
    def decoding(self) -> bool:
        """Only its newest token, one it wrote itself, is still to be computed."""
        return self.computed == len(self.tokens) - 1 >= self.prompt_tokens


@dataclass(eq=False)
class Work:
    """What one sequence does in the iteration: `own` tokens of its text, and up to `room` drafted ones to verify behind them."""

    sequence: Sequence
    own: int
    room: int = 0
    drafts: list[int] = field(default_factory=list)
    draft_p: NDArray[np.float64] | None = None  # (drafts, vocabulary): what each was drawn from; None: it was certain

    @property
    def rows(self) -> int:
        return self.own + len(self.drafts)

    @property
    def tokens(self) -> list[int]:
        done = self.sequence.computed
        if self.sequence.left == 0:
            return [self.sequence.tokens[-1]]
        return [*self.sequence.tokens[done : done + self.own], *self.drafts]

    @property
    def span(self) -> Span:
        return Span(self.sequence.computed, self.rows, self.sequence.blocks)

    @property
    def yields(self) -> bool:
        """The text is computed to its end, so the next token can be chosen."""
        return self.sequence.left > 0 and self.sequence.computed + self.own == len(self.sequence.tokens)


def new_sequence(index: int, request: Request, block_size: int, seed: int) -> Sequence:
    tokens = [int(token) for token in request.prompt]
    rng = np.random.default_rng([seed, index])  # of its own: what is drawn does not depend on who else is served
    return Sequence(index, len(tokens), request.output_tokens, request.arrival_s, tokens, prefix_keys(tokens, block_size), rng)


class Continuous:
    """Iteration-level scheduling (Orca, OSDI 2022) over paged blocks (vLLM, SOSP 2023), `token_budget` tokens an iteration.

    Running sequences first, in order of admission; then, if nobody had to be evicted, the waiting ones. Out of blocks, the last admitted
    is evicted: it keeps its tokens, computes them again later, and goes to the front of the queue.
    """

    def __init__(self, pool: BlockPool, counts: Counts, max_seqs: int, token_budget: int, drafts: int, prefix_cache: bool) -> None:
        self.pool, self.counts = pool, counts
        self.max_seqs, self.token_budget, self.drafts, self.prefix_cache = max_seqs, token_budget, drafts, prefix_cache
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def form(self) -> list[Work]:
        works: list[Work] = []
        budget, resident = self.token_budget, len(self.running)
        while len(works) < len(self.running) and budget > 0:
            work = self._work(self.running[len(works)], budget)
            if not self._make_room(work):
                break
            works.append(work)
            budget -= work.own + work.room
        if len(self.running) == resident:
            works += self._admit(budget)
        return works

    def _work(self, sequence: Sequence, budget: int) -> Work:
        own = min(len(sequence.tokens) - sequence.computed, budget)
        # The last token of an answer needs no draft behind it.
        room = min(self.drafts, sequence.left - 1, budget - own) if sequence.decoding else 0
        return Work(sequence, own, room)

    def _missing(self, work: Work) -> int:
        """Blocks it lacks for its tokens."""
        return blocks_for(work.sequence.computed + work.own + work.room, self.pool) - len(work.sequence.blocks)

    def _make_room(self, work: Work) -> bool:
        """Evicts from the end of the running list until the blocks are there; False if that reached the sequence itself."""
        while self._missing(work) > self.pool.available:
            victim = self.running.pop()
            self._evict(victim)
            if victim is work.sequence:
                return False
        work.sequence.blocks += self.pool.take(max(0, self._missing(work)))
        return True

    def _evict(self, victim: Sequence) -> None:
        self.pool.release(victim.blocks)
        victim.blocks, victim.computed, victim.drafted = [], 0, 0
        victim.restarts += 1
        self.waiting.appendleft(victim)

    def _admit(self, budget: int) -> list[Work]:
        admitted = []
        while self.waiting and len(self.running) < self.max_seqs and budget > 0:
            sequence = self.waiting[0]
            known = self._known(sequence)
            sequence.computed = len(known) * self.pool.block_size
            work = Work(sequence, min(len(sequence.tokens) - sequence.computed, budget))
            if self._missing(work) - len(known) + self.pool.idle_among(known) > self.pool.available:
                sequence.computed = 0
                break
            self._enter(work, known)
            admitted.append(work)
            budget -= work.own
        return admitted

    def _known(self, sequence: Sequence) -> list[int]:
        """Blocks that hold the beginning of its text; never all of it, for the last token's logits are wanted."""
        if not self.prefix_cache:
            return []
        return self.pool.known(sequence.keys[: (len(sequence.tokens) - 1) // self.pool.block_size])

    def _enter(self, work: Work, known: list[int]) -> None:
        sequence = self.waiting.popleft()
        self.pool.share(known)
        sequence.blocks = list(known)
        sequence.drafted = sequence.computed
        sequence.blocks += self.pool.take(self._missing(work))
        if sequence.restarts == 0:
            sequence.cached_tokens = sequence.computed
            self.counts.hits += len(known)
        self.running.append(sequence)

    def complete(self, works: list[Work]) -> None:
        """After the iteration: full blocks of prompt become known to others, finished sequences leave."""
        if self.prefix_cache:
            for work in works:
                self._remember(work.sequence)
        for work in works:
            if work.sequence.left == 0:
                self.running.remove(work.sequence)
                self.pool.release(work.sequence.blocks)

    def _remember(self, sequence: Sequence) -> None:
        done = sequence.computed // self.pool.block_size
        if sequence.computed <= sequence.prompt_tokens + self.pool.block_size:  # later there is nothing new
            for key, block in zip(sequence.keys[:done], sequence.blocks, strict=False):
                self.pool.remember(key, block)


class Static:
    """A batch is filled when all of the previous one are done. Each slot sets `max_len` tokens aside and computes on when it is done."""

    def __init__(self, pool: BlockPool, max_seqs: int, max_len: int, drafts: int) -> None:
        self.pool, self.max_seqs, self.max_len, self.drafts = pool, max_seqs, max_len, drafts
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def form(self) -> list[Work]:
        if not self.running:
            self._fill()
        return [self._work(sequence) for sequence in self.running]

    def _fill(self) -> None:
        reserved = -(-self.max_len // self.pool.block_size)
        while self.waiting and len(self.running) < self.max_seqs and self.pool.available >= reserved:
            sequence = self.waiting.popleft()
            sequence.blocks = self.pool.take(reserved)
            self.running.append(sequence)

    def _work(self, sequence: Sequence) -> Work:
        if sequence.left == 0:  # a slot that is done repeats its last token, at the end of what it has set aside if need be
            sequence.computed = min(sequence.computed, self.max_len - 1)
            return Work(sequence, 1)
        room = min(self.drafts, sequence.left - 1) if sequence.decoding else 0
        return Work(sequence, len(sequence.tokens) - sequence.computed, room)

    def complete(self, works: list[Work]) -> None:
        if all(work.sequence.left == 0 for work in works):
            for work in works:
                self.pool.release(work.sequence.blocks)
            self.running = []


def blocks_for(tokens: int, pool: BlockPool) -> int:
    return -(-tokens // pool.block_size)
