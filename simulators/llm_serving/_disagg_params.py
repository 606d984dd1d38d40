"""Parameters of the lab `disaggregation`."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from simulators.lab import LabParams, param

LAYOUT_LABELS = {"colocated": "Colocated, chunked prefill", "disaggregated": "Prefill and decode pools"}
GPU_NAMES = ("H100", "H200", "B200", "A100", "L40S")
POOLED = ("disaggregated",)
DRAFTED = ("ngram", "draft", "eagle")


class DisaggregationParams(LabParams):
    layout: Literal["colocated", "disaggregated"] = param(
        "disaggregated", title="Layout", group="Layout", labels=LAYOUT_LABELS, help="One pool that does both, or a pool for each phase."
    )
    prefill_replicas: int = param(
        3,
        title="Prefill replicas",
        unit="replicas",
        ge=1,
        le=16,
        group="Layout",
        help="Read prompts. Colocated, all replicas of both numbers do both.",
    )
    decode_replicas: int = param(1, title="Decode replicas", unit="replicas", ge=1, le=16, group="Layout", help="Write answers.")
    chunk: int = param(
        512,
        title="Chunk (token budget)",
        unit="tokens/step",
        ge=64,
        le=8_192,
        scale="log",
        group="Layout",
        shown_when={"layout": ("colocated",)},
        help="Most tokens of one iteration; prompts are cut to fit beside the answers.",
    )
    link: float = param(
        400.0,
        title="Link of a prefill replica",
        unit="GB/s",
        ge=1,
        le=800,
        scale="log",
        group="Layout",
        shown_when={"layout": POOLED},
        help="Keys and values cross it, one prompt after the other. Eight cards of 400 Gb/s: 400.",
    )
    overlap: bool = param(
        False,
        title="Send layer by layer",
        group="Layout",
        shown_when={"layout": POOLED},
        help="Each layer's keys and values leave while the next is computed.",
    )
    lengths: Literal["conversation", "code", "reasoning"] = param(
        "conversation",
        title="Lengths",
        group="Load",
        labels={
            "conversation": "conversation (1,155 in, 211 out)",
            "code": "code (2,048 in, 28 out)",
            "reasoning": "reasoning (350 in, 3,500 out)",
        },
        help="Mean lengths; prompts and answers are drawn independently.",
    )
    rate: float = param(
        40.0, title="Arrivals", unit="requests/s", ge=0.5, le=100, scale="log", group="Load", help="Where TTFT, gaps and use are read."
    )
    prefill_gpu: Literal["H100", "H200", "B200", "A100", "L40S"] = param(
        "H100", title="GPU", group="Hardware", help="Of the prefill pool, or of all replicas."
    )
    decode_gpu: Literal["H100", "H200", "B200", "A100", "L40S"] = param(
        "H100",
        title="GPU of the decode pool",
        group="Hardware",
        shown_when={"layout": POOLED},
        help="Decoding needs bandwidth, not FLOP/s.",
    )
    tp: Literal["1", "2", "4", "8", "16"] = param(
        "8", title="Tensor parallelism", group="Hardware", help="GPUs that share every layer; above the 8 KV heads, heads are copied."
    )
    pp: Literal["1", "2", "4", "8"] = param(
        "1", title="Pipeline stages", group="Hardware", help="Layers cut into stages of their own GPUs."
    )
    weights: Literal["bf16", "fp8", "int4"] = param("bf16", title="Weights", group="Number formats", help="INT4 shrinks bytes, not FLOP.")
    kv: Literal["bf16", "fp8"] = param("bf16", title="Keys and values", group="Number formats", help="Format of the KV cache.")
    spec: Literal["none", "ngram", "draft", "eagle"] = param(
        "none",
        title="Speculation",
        group="Speculation",
        labels={"ngram": "n-gram", "draft": "draft model", "eagle": "EAGLE head"},
        help="Who guesses.",
    )
    k: int = param(
        3,
        title="Drafted tokens",
        unit="tokens",
        ge=0,
        le=8,
        group="Speculation",
        shown_when={"spec": DRAFTED},
        help="Guessed a step and verified together.",
    )
    alpha: float = param(
        0.8,
        title="Acceptance",
        unit="share",
        ge=0,
        le=0.95,
        step=0.05,
        group="Speculation",
        shown_when={"spec": DRAFTED},
        help="Chance that a guessed token is kept.",
    )
    draft_cost: float = param(
        0.03,
        title="Cost of a guess",
        unit="steps",
        ge=0,
        le=1,
        step=0.01,
        group="Speculation",
        shown_when={"spec": DRAFTED},
        help="In plain decode steps of the same batch.",
    )
    slo_ttft: float = param(
        2.0, title="TTFT limit", unit="s", ge=0.05, le=60, scale="log", group="SLO", help="Time to first token, at the 99th percentile."
    )
    slo_itl: float = param(
        50.0, title="ITL limit", unit="ms", ge=5, le=1_000, scale="log", group="SLO", help="Gap between two tokens, at the 99th percentile."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> DisaggregationParams:
        if self.spec != "none" and self.k == 0:
            raise ValueError("Drafted tokens: 0 were given with speculation on; expected at least 1, or speculation none.")
        return self
