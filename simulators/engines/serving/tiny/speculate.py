"""Speculative decoding: cheap guesses, one forward pass of the target to check them, and the target's own distribution as the outcome.

Leviathan et al., ICML 2023, and Chen et al. 2023. `verify` is the rule that makes it exact; `ModelDraft` and `NgramDraft` guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulators.engines.serving.tiny.model import TinyLM
from simulators.engines.serving.tiny.paged import PagedAttention, PagedKV, Span
from simulators.engines.serving.tiny.scheduler import Work
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]


class Verdict(NamedTuple):
    """tokens: the accepted drafts and one more. accepted: how many drafts; tested: how many were looked at; chances: of each tested one."""

    tokens: list[int]
    accepted: int
    tested: int
    chances: list[float]


def probabilities(logits: NDArray[Any], temperature: float) -> Floats:
    """softmax(logits / temperature) over the last axis; at 0 all on the largest."""
    if temperature == 0:
        return np.asarray(np.eye(logits.shape[-1])[logits.argmax(axis=-1)])
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def draw(p: Floats, rng: np.random.Generator) -> int:
    """A token from p, which need not sum to exactly 1."""
    cumulated = np.cumsum(p)
    return int(min(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"), len(p) - 1))


def verify(p: Floats, drafts: Sequence[int], q: Floats | None, rng: np.random.Generator) -> Verdict:
    """Tokens distributed as if drawn from the target, one by one.

    p (drafts + 1, vocabulary): the target's distribution at each place. q (drafts, vocabulary): what each draft was drawn from; None if
    it was certain. A draft x stays with chance min(1, p(x) / q(x)); the first that does not is replaced by a draw from max(0, p - q);
    if all stay, one more token comes from p.
    """
    chances = []
    for place, token in enumerate(drafts):
        guessed = q[place] if q is not None else np.eye(p.shape[-1])[token]
        chances.append(float(np.minimum(p[place], guessed).sum()))
        if rng.random() * guessed[token] >= p[place, token]:
            other = draw(np.maximum(p[place] - guessed, 0), rng)
            return Verdict([*drafts[:place], other], place, place + 1, chances)
    return Verdict([*drafts, draw(p[len(drafts)], rng)], len(drafts), len(drafts), chances)


def verify_greedy(best: Sequence[int], drafts: Sequence[int]) -> Verdict:
    """`verify` at temperature 0: drafts stay as long as they are the target's first choice `best` (drafts + 1)."""
    accepted = next((place for place, token in enumerate(drafts) if token != best[place]), len(drafts))
    tested = min(accepted + 1, len(drafts))
    return Verdict([*drafts[:accepted], best[accepted]], accepted, tested, [1.0] * accepted + [0.0] * (tested - accepted))


class Drafter(Protocol):
    """Fills `drafts` of those works that have room, and `draft_p` unless the guesses are certain."""

    def propose(self, works: Sequence[Work]) -> None: ...


class NoDraft:
    def propose(self, works: Sequence[Work]) -> None:
        pass


class NgramDraft:
    """The token that followed the last two the last time they stood together, in any prompt or answer so far.

    Prompt lookup (Saxena 2023) with one table for all requests, hence the caution of a shared prefix cache: timing can tell what others
    wrote.
    """

    def __init__(self) -> None:
        self.after: dict[tuple[int, int], int] = {}

    def propose(self, works: Sequence[Work]) -> None:
        for work in works:
            self._learn(work)
            pair = (*work.sequence.tokens[-2:],)
            while len(work.drafts) < work.room and pair in self.after:
                work.drafts.append(self.after[pair])
                pair = (pair[1], work.drafts[-1])

    def _learn(self, work: Work) -> None:
        tokens, start = work.sequence.tokens, max(work.sequence.indexed, 2)
        for at in range(start, len(tokens)):
            self.after[tokens[at - 2], tokens[at - 1]] = tokens[at]
        work.sequence.indexed = len(tokens)


class ModelDraft:
    """A small model with pages of its own under the target's block tables, so that a shared prefix is shared for both."""

    def __init__(self, model: TinyLM, kv: PagedKV, temperature: float) -> None:
        self.model, self.kv, self.temperature = model, kv, temperature

    def propose(self, works: Sequence[Work]) -> None:
        alive = [work for work in works if work.sequence.left > 0]
        self._catch_up(alive)
        longest = max((work.room for work in alive), default=0)
        for _ in range(1, longest):
            self._guess_on([work for work in alive if work.room > len(work.drafts)])

    def _catch_up(self, works: list[Work]) -> None:
        """Reads what the target reads in this iteration, and what of its last guesses was accepted unread; then guesses once."""
        spans = [Span(w.sequence.drafted, w.sequence.computed + w.own - w.sequence.drafted, w.sequence.blocks) for w in works]
        for work, span in zip(works, spans, strict=True):
            work.sequence.drafted = span.start + span.rows
        texts = [work.sequence.tokens[span.start : span.start + span.rows] for work, span in zip(works, spans, strict=True)]
        self._guess(works, spans, texts)

    def _guess_on(self, works: list[Work]) -> None:
        spans = [Span(work.sequence.computed + work.own + len(work.drafts) - 1, 1, work.sequence.blocks) for work in works]
        self._guess(works, spans, [[work.drafts[-1]] for work in works])

    def _guess(self, works: list[Work], spans: list[Span], texts: list[list[int]]) -> None:
        if not works:
            return
        order = sorted(range(len(works)), key=lambda i: spans[i].rows)
        spans, texts, works = [spans[i] for i in order], [texts[i] for i in order], [works[i] for i in order]
        ends = np.cumsum([span.rows for span in spans]) - 1
        guessing = [i for i, work in enumerate(works) if work.room > len(work.drafts)]
        logits = forward(self.model, self.kv, spans, texts, ends[guessing])
        self._append([works[i] for i in guessing], logits)

    def _append(self, works: list[Work], logits: Tensor) -> None:
        if self.temperature == 0:
            for work, token in zip(works, logits.argmax(dim=-1).tolist(), strict=True):
                work.drafts.append(token)
            return
        for work, q in zip(works, probabilities(logits.numpy(), self.temperature), strict=True):
            work.drafts.append(draw(q, work.sequence.rng))
            work.draft_p = q[None] if work.draft_p is None else np.concatenate([work.draft_p, q[None]])


def forward(model: TinyLM, kv: PagedKV, spans: Sequence[Span], texts: Sequence[Sequence[int]], rows: NDArray[np.int64]) -> Tensor:
    """One pass over spans sorted by rows. Logits (len(rows), vocabulary) behind the given rows of the step."""
    tokens = torch.tensor([token for text in texts for token in text])
    positions = torch.from_numpy(np.concatenate([np.arange(span.start, span.start + span.rows) for span in spans]))
    with torch.inference_mode():
        return model(tokens, positions, PagedAttention(kv, spans), torch.from_numpy(rows))  # type: ignore[no-any-return]


def make_drafter(kind: str, draft: TinyLM | None, num_blocks: int, block_size: int, temperature: float) -> Drafter:
    if kind == "none":
        return NoDraft()
    if kind == "ngram":
        return NgramDraft()
    if kind != "draft":
        raise InvalidInput(f"spec kind is {kind!r}; expected none, ngram or draft.", field="spec")
    if draft is None:
        raise InvalidInput("spec kind 'draft' needs a draft model; this engine was made without one (draft=None).", field="spec")
    return ModelDraft(draft, PagedKV(draft.shape, num_blocks, block_size), temperature)
