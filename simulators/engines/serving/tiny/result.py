"""What is served and what comes out of it: requests, measured times and counts of a run, and the comparison of two runs' tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.serving.tiny.language import VOCABULARY, to_tokens
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TIE = 1e-4  # logits this close may change places when rows are added up in another order


class Request(NamedTuple):
    """prompt: token ids, or a text of known words. output_tokens: length of the answer. arrival_s: on the engine's clock."""

    prompt: Sequence[int] | str
    output_tokens: int
    arrival_s: float = 0.0


class StepRecord(NamedTuple):
    """One iteration. Times are CPU seconds on the engine's clock. `decode_kv`: KV tokens that the decoding sequences read together."""

    start_s: float
    duration_s: float
    sequences: int
    tokens: int
    prefill_tokens: int
    decode_kv: int


@dataclass
class Counts:
    """hits: prompt blocks found in the prefix cache. proposed: drafted tokens; tested: those looked at, up to and with the first refused.

    expected: sum over the tested of the chance of acceptance, sum over tokens of min(p, q); `accepted` scatters around it.
    """

    blocks_peak: int = 0
    hits: int = 0
    proposed: int = 0
    tested: int = 0
    accepted: int = 0
    expected: float = 0.0
    variance: float = 0.0  # of `accepted` around `expected`
    rounds: int = 0  # verifications of at least one drafted token
    decodes: int = 0  # times a sequence decoded, with drafts or without


@dataclass(frozen=True)
class ServeResult:
    """n requests in the order given. Times are CPU seconds of the process from the start of the run, idle waits for arrivals skipped.

    tokens: the answers. token_s: when each token came. margins: of each token, logit of the first choice less that of the second.
    cached_tokens: prompt tokens found in the prefix cache. restarts: preemptions. log: one record an iteration.
    """

    tokens: list[list[int]]
    token_s: list[list[float]]
    margins: list[list[float]]
    arrival_s: Floats
    cached_tokens: Ints
    restarts: Ints
    counts: Counts
    wall_s: float
    log: list[StepRecord] = field(repr=False)

    @property
    def first_token_s(self) -> Floats:
        return np.array([times[0] for times in self.token_s])

    @property
    def finished_s(self) -> Floats:
        return np.array([times[-1] for times in self.token_s])

    @property
    def ttft_s(self) -> Floats:
        return self.first_token_s - self.arrival_s

    @property
    def itl_s(self) -> Floats:
        """Every gap between two tokens of an answer, pooled; tokens of one verification come together."""
        return np.concatenate([np.diff(times) for times in self.token_s])

    @property
    def steps(self) -> int:
        return len(self.log)

    @property
    def busy_s(self) -> float:
        """CPU seconds in iterations."""
        return sum(record.duration_s for record in self.log)

    @property
    def makespan_s(self) -> float:
        return float(self.finished_s.max() - self.arrival_s.min())

    @property
    def tokens_per_s(self) -> float:
        return sum(map(len, self.tokens)) / self.makespan_s

    @property
    def blocks_peak(self) -> int:
        return self.counts.blocks_peak

    @property
    def hits(self) -> int:
        return self.counts.hits

    @property
    def proposed(self) -> int:
        return self.counts.proposed

    @property
    def accepted(self) -> int:
        return self.counts.accepted

    @property
    def acceptance(self) -> float | None:
        """Share of the tested drafts that were accepted: the alpha of Leviathan et al. 2023. None without drafts."""
        return self.counts.accepted / self.counts.tested if self.counts.tested else None

    @property
    def tokens_per_decode(self) -> float:
        """Tokens that one decode of a sequence yielded, with drafts or without."""
        return 1 + self.counts.accepted / max(1, self.counts.decodes)

    @property
    def tokens_per_round(self) -> float | None:
        """Tokens that one verification yielded, the target's own included."""
        return 1 + self.counts.accepted / self.counts.rounds if self.counts.rounds else None


class Parity(NamedTuple):
    """Answers of two runs: equal throughout; equal up to a tie within `TIE`; different."""

    identical: int
    ties: int
    different: int


def compare_tokens(one: ServeResult, other: ServeResult, tie: float = TIE) -> Parity:
    """Where two answers part, either run must have seen two choices within `tie`; what follows is then another text."""
    ties = different = 0
    for i, (a, b) in enumerate(zip(one.tokens, other.tokens, strict=True)):
        parted = next((k for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), None)
        if parted is None:
            continue
        close = min(one.margins[i][parted], other.margins[i][parted]) <= tie
        ties, different = ties + close, different + (not close)
    return Parity(len(one.tokens) - ties - different, ties, different)


def checked_requests(requests: Sequence[Request]) -> list[Request]:
    """Requests with token ids for prompts. Raises InvalidInput, naming the request, for what cannot be served by any engine."""
    if not requests:
        raise InvalidInput("There are no requests; expected at least one.", field="requests")
    return [_checked(place, Request(*request)) for place, request in enumerate(requests, start=1)]


def _checked(place: int, request: Request) -> Request:
    prompt = to_tokens(request.prompt) if isinstance(request.prompt, str) else [int(token) for token in request.prompt]
    if not prompt:
        raise InvalidInput(f"Request {place} has an empty prompt; expected at least 1 token.", field="prompt")
    for at, token in enumerate(prompt, start=1):
        if not 0 <= token < VOCABULARY:
            raise InvalidInput(f"Request {place}, token {at} is {token}; expected 0 to {VOCABULARY - 1}.", field="prompt")
    if request.output_tokens < 1:
        raise InvalidInput(f"Request {place} asks for {request.output_tokens} output tokens; expected at least 1.", field="output_tokens")
    if not (np.isfinite(request.arrival_s) and request.arrival_s >= 0):
        raise InvalidInput(f"Request {place} arrives at {request.arrival_s} s; expected a time of 0 s or later.", field="arrival_s")
    return Request(prompt, int(request.output_tokens), float(request.arrival_s))
