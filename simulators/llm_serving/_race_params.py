"""Parameters of the lab `scheduler_race`."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le
from pydantic import model_validator

from simulators.lab import LabParams, param

POLICY_LABELS = {
    "static": "Static batching",
    "orca": "Orca (reserved memory)",
    "vllm_v0": "vLLM v0 (prefill first)",
    "sarathi": "Sarathi (chunked prefill)",
    "vllm_v1": "vLLM v1 (token budget)",
    "sglang": "SGLang (prefill first)",
    "disaggregated": "Disaggregated pools",
}
ORDER_LABELS = {
    "fcfs": "first come, first served",
    "priority": "priority of the tier",
    "sjf": "shortest prompt first",
    "srpt": "least prompt left (SRPT)",
    "slo": "earliest TTFT deadline",
    "vtc": "fair shares (VTC)",
}
TIERS = ("free", "plus", "pro", "api")
BUDGETED = ("vllm_v1", "disaggregated", "sarathi")  # policies with a limit of tokens a step
ORDERED = ("vllm_v1", "disaggregated")
RESERVING = ("static", "orca")
POOLED = ("disaggregated",)
COLOCATED = tuple(policy for policy in POLICY_LABELS if policy not in POOLED)


class RaceParams(LabParams):
    policy: Literal["static", "orca", "vllm_v0", "sarathi", "vllm_v1", "sglang", "disaggregated"] = param(
        "vllm_v1", title="Policy", group="Scheduler", labels=POLICY_LABELS, help="Which requests share the next iteration."
    )
    order: Literal["fcfs", "priority", "sjf", "srpt", "slo", "vtc"] = param(
        "fcfs",
        title="Queue order",
        group="Scheduler",
        shown_when={"policy": ORDERED},
        labels=ORDER_LABELS,
        help="Who of the waiting goes first. With SRPT half-read prompts queue again too.",
    )
    token_budget: int = param(
        2048,
        title="Token budget",
        unit="tokens/step",
        ge=64,
        le=32_768,
        scale="log",
        group="Scheduler",
        shown_when={"policy": BUDGETED},
        help="Most tokens of one iteration; Sarathi's chunk size. A longer step reads prompts faster and makes every answer wait.",
    )
    long_prefill_threshold: int = param(
        0,
        title="Long-prompt threshold",
        unit="tokens/step/request",
        ge=0,
        le=8_192,
        soft=(0, 4_096),
        group="Scheduler",
        shown_when={"policy": ORDERED},
        help="Most prompt tokens of one request in one iteration; 0: no limit of its own.",
    )
    max_seqs: int = param(
        256, title="Sequences", unit="sequences", ge=1, le=1_024, scale="log", group="Scheduler", help="Most requests in one iteration."
    )
    max_len: int = param(
        8_192,
        title="Reserved length",
        unit="tokens",
        ge=512,
        le=131_072,
        scale="log",
        group="Scheduler",
        shown_when={"policy": RESERVING},
        help="Static batching and Orca reserve memory for so many tokens a request, whatever it will need.",
    )
    aging: float = param(
        0.0,
        title="Aging",
        unit="tokens/s",
        ge=0,
        le=5_000,
        group="Scheduler",
        shown_when={"order": ("srpt",)},
        help="A second of waiting counts like so many prompt tokens less: a bound on starvation.",
    )
    rate: float = param(
        24.0, title="Arrivals", unit="requests/s", ge=0.5, le=100, scale="log", group="Load", help="Of all replicas together, Poisson."
    )
    long_share: float = param(
        0.4, title="Long prompts", unit="%", ge=0, le=5, step=0.1, group="Load", help="Share of the requests, at random places."
    )
    long_tokens: int = param(
        100_000, title="Long prompt", unit="tokens", ge=8_000, le=500_000, scale="log", group="Load", help="Each answers with 500 tokens."
    )
    burst: float = param(
        1.0,
        title="Burst of the free tier",
        unit="times",
        ge=1,
        le=50,
        scale="log",
        group="Tenants",
        help="For 60 s the free tier sends so many times its usual quarter of the requests.",
    )
    tier_weights: tuple[Annotated[float, Ge(0.1), Le(16)], ...] = param(
        (1.0, 1.0, 1.0, 1.0),
        title="Tier weights",
        unit="share of service",
        max_items=4,
        group="Tenants",
        help="What free, plus, pro and api are owed under fair shares; under priority the larger goes first.",
    )
    replicas: int = param(
        4,
        title="Replicas",
        unit="replicas",
        ge=1,
        le=16,
        group="Hardware",
        shown_when={"policy": COLOCATED},
        help="Copies of the model, requests dealt round robin.",
    )
    prefill: int = param(
        3, title="Prefill replicas", unit="replicas", ge=1, le=16, group="Hardware", shown_when={"policy": POOLED}, help="Read prompts."
    )
    decode: int = param(
        1, title="Decode replicas", unit="replicas", ge=1, le=16, group="Hardware", shown_when={"policy": POOLED}, help="Write answers."
    )
    long: int = param(
        0,
        title="Kept for long prompts",
        unit="replicas",
        ge=0,
        le=16,
        group="Hardware",
        shown_when={"policy": POOLED},
        help="So many of the prefill replicas read only prompts above 8,000 tokens, the others only shorter ones.",
    )
    gpu: Literal["H100", "H200", "B200", "A100", "L40S"] = param(
        "H100", title="GPU", group="Hardware", help="Data sheet arithmetic, bandwidth, memory and links."
    )
    model: Literal["Llama-3.1-8B", "Llama-2-7B", "Qwen3-32B", "Llama-3.1-70B", "Qwen3-30B-A3B", "gpt-oss-120b"] = param(
        "Llama-3.1-70B", title="Model", group="Hardware", help="Shapes from its public configuration."
    )
    tp: Literal["1", "2", "4", "8"] = param("8", title="GPUs a replica (TP)", group="Hardware", help="Tensor parallelism within a node.")
    weights: Literal["bf16", "fp8", "int4"] = param("bf16", title="Weights", group="Hardware", help="Number format of the weights.")
    kv_blocks_scale: float = param(
        1.0,
        title="KV memory",
        unit="share of planned blocks",
        ge=0.02,
        le=1,
        scale="log",
        group="Memory",
        help="1: all that is left beside the weights. Less: who does not fit any more is evicted.",
    )
    preempt: Literal["recompute", "swap"] = param(
        "recompute",
        title="Evicted requests",
        group="Memory",
        labels={"recompute": "are recomputed", "swap": "move to host memory"},
        help="What happens to the keys and values of a request that has to make room.",
    )
    slo_ttft: float = param(
        2.0, title="TTFT limit", unit="s", ge=0.05, le=60, scale="log", group="SLO", help="Time to first token, at the 99th percentile."
    )
    slo_itl: float = param(
        50.0, title="ITL limit", unit="ms", ge=5, le=1_000, scale="log", group="SLO", help="Gap between two tokens, at the 99th percentile."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> RaceParams:
        if self.policy in BUDGETED and self.token_budget < self.max_seqs:
            raise ValueError(
                f"The token budget of {self.token_budget} is below the {self.max_seqs} sequences, whose decodes alone would overrun it: "
                "raise token_budget to at least max_seqs."
            )
        if len(self.tier_weights) != len(TIERS):
            raise ValueError(f"Tier weights: {len(self.tier_weights)} numbers were given; expected one for each of {', '.join(TIERS)}.")
        if self.policy in POOLED and self.long >= self.prefill:
            raise ValueError(
                f"{self.long} of {self.prefill} prefill replicas are kept for long prompts; expected at least one for the others."
            )
        return self
