"""Which requests share the next iteration: the policies, queue orders and limits a simulation can be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulators.errors import InvalidInput

POLICIES = ("vllm_v0", "sarathi", "vllm_v1", "static", "orca", "sglang", "disaggregated")
ORDERS = ("fcfs", "priority", "sjf", "srpt", "slo", "vtc")
PREEMPTIONS = ("recompute", "swap")


@dataclass(frozen=True)
class SchedulerConfig:
    """One replica's scheduler.

    policy: `static` (a batch runs until its last member is done), `orca` (OSDI 2022), `vllm_v0` (SOSP 2023), `sarathi` (OSDI 2024),
        `vllm_v1` (one token budget for prompts and decodes), `sglang` (prefill first, longest cached prefix first), `disaggregated`
        (pools of prefill and of decode replicas; DistServe, OSDI 2024).
    order: of the waiting queue. `vtc` shares service between tenants (Fairness in Serving LLMs, OSDI 2024). Only `vllm_v1` and
        `disaggregated` know another order than `fcfs`.
    max_seqs: sequences in one iteration, and resident ones; token_budget: tokens in one iteration (`vllm_v1`, `disaggregated`);
        long_prefill_threshold: prompt tokens of one request in one iteration, 0 = no limit of its own.
    max_batch_tokens: `vllm_v0`, prompts padded to the longest; chunk_size: `sarathi`; max_len: tokens reserved by `static` and `orca`.
    watermark: share of the blocks that an admission leaves free (`vllm_v0`, `sarathi`).
    aging_tokens_per_s: `srpt`, tokens that a second of waiting is worth.
    tenant_weights: `vtc`, the service a tenant is owed; one each, empty = equal.
    """

    policy: str
    order: str = "fcfs"
    max_seqs: int = 128
    token_budget: int = 2048
    long_prefill_threshold: int = 0
    max_batch_tokens: int = 4096
    chunk_size: int = 512
    block_size: int = 16
    watermark: float = 0.01
    preempt: str = "recompute"
    max_len: int = 8192
    aging_tokens_per_s: float = 0.0
    tenant_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        choose("policy", self.policy, POLICIES)
        choose("order", self.order, ORDERS)
        choose("preempt", self.preempt, PREEMPTIONS)
        for name in ("max_seqs", "token_budget", "max_batch_tokens", "chunk_size", "block_size", "max_len"):
            at_least(name, getattr(self, name), 1)
        for name in ("long_prefill_threshold", "watermark", "aging_tokens_per_s"):
            at_least(name, getattr(self, name), 0)
        if self.watermark >= 1:
            raise InvalidInput(f"watermark is {self.watermark:g}; expected a share of the blocks below 1.", field="watermark")
        if self.order != "fcfs" and self.policy not in {"vllm_v1", "disaggregated"}:
            message = f"policy {self.policy} serves its queue in order of arrival; order={self.order} needs vllm_v1 or disaggregated."
            raise InvalidInput(message, field="order")
        if any(not weight > 0 for weight in self.tenant_weights):
            raise InvalidInput(f"tenant_weights are {self.tenant_weights}; expected numbers above 0.", field="tenant_weights")

    def code(self, name: str) -> int:
        """The number of a choice in the compiled code."""
        return {"policy": POLICIES, "order": ORDERS, "preempt": PREEMPTIONS}[name].index(getattr(self, name))

    def watermark_blocks(self, num_blocks: int) -> int:
        """Blocks that an admission leaves free; only Vidur's two schedulers keep any."""
        return int(self.watermark * num_blocks) if self.policy in {"vllm_v0", "sarathi"} else 0


def choose(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidInput(f"{name} is {value!r}; expected one of {', '.join(choices)}.", field=name)


def at_least(name: str, value: Any, least: float) -> None:
    if not value >= least:
        raise InvalidInput(f"{name} is {value}; expected at least {least:g}.", field=name)
