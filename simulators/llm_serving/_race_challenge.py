"""The challenge of the lab `scheduler_race`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

LONG_AND_SHORT = Challenge(
    slug="long_and_short",
    title="Long prompts may wait, short ones may not",
    brief=(
        "A pool serves Llama-3.1-70B on nodes of 8 H100 to 24 requests a second. Most prompts have about a thousand tokens; four in a "
        "thousand have a hundred thousand and take nine seconds to read on an empty node.\n\n"
        "Deliver a time to first token of at most 2 s for the short prompts and a gap between tokens of at most 50 ms, both at the 99th "
        "percentile, and let no long prompt wait longer than 75 s for its first token. You have at most 32 GPUs. You choose the policy, "
        "the order of the queue, the limits of a step, and how many replicas do what."
    ),
    world={
        "rate": 24.0,
        "long_share": 0.4,
        "long_tokens": 100_000,
        "burst": 1.0,
        "gpu": "H100",
        "model": "Llama-3.1-70B",
        "tp": "8",
        "weights": "bf16",
        "kv_blocks_scale": 1.0,
        "slo_ttft": 2.0,
        "slo_itl": 50.0,
    },
    design=(
        "policy",
        "order",
        "token_budget",
        "long_prefill_threshold",
        "max_seqs",
        "max_len",
        "aging",
        "replicas",
        "prefill",
        "decode",
        "long",
        "preempt",
    ),
    assertions=(
        Assertion("short_ttft_p99_s", "<=", 2.0, "s", "target", label="TTFT of short prompts, p99"),
        Assertion("itl_p99_ms", "<=", 50.0, "ms", "target", label="Gap between tokens, p99"),
        Assertion("long_ttft_max_s", "<=", 75.0, "s", "target", label="Longest TTFT of a long prompt"),
        Assertion("gpus", "<=", 32.0, "GPUs", "ceiling", label="GPUs"),
    ),
    reference={"policy": "disaggregated", "prefill": 3, "decode": 1, "long": 1},
    alternative={"policy": "vllm_v1", "order": "srpt", "token_budget": 320},
    naive={"policy": "vllm_v1", "order": "fcfs", "token_budget": 2_048},
    maxed={"policy": "vllm_v1", "order": "srpt", "token_budget": 512, "replicas": 16},
    debrief=(
        "Two kinds of design pass. Pools: decode replicas never read a prompt, and a prefill replica of their own keeps the long prompts "
        "out of the short ones' way; without it they queue behind long prompts before fewer machines than before. One pool: least prompt "
        "left goes first, and a step short enough for the gaps. Each half alone fails: a small budget cures the gaps and not the queue, "
        "SRPT with a large budget cures the queue and not the gaps. Long prompts pay in both, which is why they have a limit too."
    ),
)
