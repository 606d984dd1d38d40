"""Parameters of the lab `real_engine`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from simulators.engines.serving.tiny.language import to_tokens
from simulators.errors import InvalidInput
from simulators.lab import LabParams, param

BLOCK_TOKENS = 16
LONGEST_PROMPT, LONGEST_ANSWER = 256, 160
SPEC_LABELS = {"none": "none", "ngram": "n-gram table", "draft": "draft model", "weak_draft": "draft model, hardly trained"}


class RealParams(LabParams):
    mode: Literal["sequential", "static", "continuous"] = param(
        "continuous",
        title="Batching",
        group="Scheduler",
        labels={"sequential": "one request at a time", "static": "static batches", "continuous": "continuous"},
        help="Static: a batch ends when its longest answer ends. Continuous: every iteration is filled anew.",
    )
    max_seqs: int = param(
        16,
        title="Sequences",
        unit="sequences",
        ge=1,
        le=64,
        group="Scheduler",
        shown_when={"mode": ["static", "continuous"]},
        help="Most requests in one iteration.",
    )
    token_budget: int = param(
        128,
        title="Token budget",
        unit="tokens/step",
        ge=16,
        le=512,
        scale="log",
        group="Scheduler",
        shown_when={"mode": ["sequential", "continuous"]},
        help="Most tokens of one iteration, answers and pieces of prompts together. Static batches read whole prompts.",
    )
    prefix_cache: bool = param(
        True,
        title="Prefix cache",
        group="Memory",
        shown_when={"mode": ["sequential", "continuous"]},
        help="Full blocks of prompt are found again by a hash of their text. Static slots are in one piece and share nothing.",
    )
    num_blocks: int = param(
        1_024,
        title="KV blocks",
        unit="blocks",
        ge=32,
        le=4_096,
        scale="log",
        group="Memory",
        help="Blocks of 16 tokens of keys and values. When they run out, the last request admitted is evicted and computed again.",
    )
    spec: Literal["none", "ngram", "draft", "weak_draft"] = param(
        "none", title="Speculation", group="Speculation", labels=SPEC_LABELS, help="Who guesses the next tokens for the model to verify."
    )
    k: int = param(
        4,
        title="Guesses a step",
        unit="tokens",
        ge=1,
        le=8,
        group="Speculation",
        shown_when={"spec": ["ngram", "draft", "weak_draft"]},
        help="Tokens guessed and then verified in one pass.",
    )
    temperature: float = param(
        0.0,
        title="Temperature",
        ge=0,
        le=1,
        step=0.1,
        group="Speculation",
        help="0: always the likeliest token. 1: as the model says.",
    )
    requests: int = param(32, title="Requests", unit="requests", ge=8, le=64, scale="log", group="Load", help="Prompts of 8 to 256 tokens.")
    shared_prefix: int = param(
        0, title="Shared system prompt", unit="tokens", ge=0, le=512, step=16, group="Load", help="Tokens every prompt begins with."
    )
    rate: float = param(
        0.0,
        title="Arrivals",
        unit="requests/s",
        ge=0,
        le=200,
        soft=(0, 60),
        group="Load",
        help="Poisson arrivals a second of CPU time; 0: all are there at the start.",
    )
    prompt: str = param(
        "",
        title="Your own prompt",
        group="Load",
        max_items=2_000,
        help="Words of the model's language (see the table of answers), served as the first request. Empty: none.",
    )

    @property
    def worst_case_tokens(self) -> int:
        """What a slot has to set aside if no answer's length is known."""
        return LONGEST_PROMPT + LONGEST_ANSWER + self.shared_prefix

    @property
    def worst_case_blocks(self) -> int:
        return -(-self.worst_case_tokens // BLOCK_TOKENS)

    @model_validator(mode="after")
    def _fits(self) -> RealParams:
        if self.num_blocks < self.worst_case_blocks:
            raise ValueError(
                f"num_blocks is {self.num_blocks}; the longest request, {self.worst_case_tokens} tokens with the shared prompt, needs "
                f"{self.worst_case_blocks}: raise num_blocks or shorten shared_prefix."
            )
        return self

    @model_validator(mode="after")
    def _words(self) -> RealParams:
        try:
            words = len(to_tokens(self.prompt))
        except InvalidInput as unknown:
            raise ValueError(unknown.message) from unknown
        if words > LONGEST_PROMPT:
            raise ValueError(f"The prompt has {words} words; expected at most {LONGEST_PROMPT}.")
        return self
