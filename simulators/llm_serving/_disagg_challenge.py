"""The challenge of the lab `disaggregation`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

STRICT_GAPS = Challenge(
    slug="strict_gaps",
    title="Twenty milliseconds between tokens",
    brief=(
        "Conversations arrive at 40 requests a second for Llama-3.1-70B in BF16 on H100 nodes of eight.\n\n"
        "Keep the time to first token within 2 s and the gap between tokens within 20 ms, both at the 99th percentile, on at most 32 GPUs. "
        "You choose whether prompts are read apart from answers, how many replicas do what, and how long a step may be."
    ),
    world={
        "lengths": "conversation",
        "rate": 40.0,
        "prefill_gpu": "H100",
        "decode_gpu": "H100",
        "tp": "8",
        "pp": "1",
        "weights": "bf16",
        "kv": "bf16",
        "spec": "none",
        "link": 400.0,
        "slo_ttft": 2.0,
        "slo_itl": 20.0,
    },
    design=("layout", "prefill_replicas", "decode_replicas", "chunk", "overlap"),
    assertions=(
        Assertion("ttft_p99_s", "<=", 2.0, "s", "target", label="Time to first token, p99"),
        Assertion("itl_p99_ms", "<=", 20.0, "ms", "target", label="Gap between tokens, p99"),
        Assertion("gpus", "<=", 32.0, "GPUs", "ceiling", label="GPUs"),
    ),
    reference={"layout": "disaggregated", "prefill_replicas": 3, "decode_replicas": 1},
    alternative={"layout": "colocated", "chunk": 256},
    naive={"layout": "colocated", "chunk": 2_048},
    maxed={"layout": "disaggregated", "prefill_replicas": 16, "decode_replicas": 16},
    debrief=(
        "Three prefill replicas and one for decoding carry it, and so do four replicas that do both in steps short enough. With a step of "
        "2,048 tokens every answer waits for a tenth of a second whenever a prompt is read; with an even split two prefill replicas have "
        "more to read than they can. Pools pay when one limit is strict and the mix of lengths holds still; a tuned chunk needs neither."
    ),
)
