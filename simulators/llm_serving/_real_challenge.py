"""The design task of the lab `real_engine`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

HALF_THE_MEMORY = Challenge(
    slug="half_the_memory",
    title="Twice the speed in less than half the memory",
    brief=(
        "Forty-eight requests are there at once, prompts of 8 to 256 tokens, answers of up to 160. One core serves them.\n\n"
        "* Write at least **2.2 times** the tokens a second of one request at a time.\n"
        "* The 95th percentile of the time to first token is at most **0.7** of that of static batches of 16.\n"
        "* **0** answers may differ from those of the other modes by more than a tie of logits.\n"
        "* At its peak the engine holds at most **160 blocks**; 16 slots would set aside 416 for the longest request.\n\n"
        "You choose batching, sequences, token budget, prefix cache, and speculation. Speeds are compared within the run, so the machine "
        "does not matter."
    ),
    world={"requests": 48, "shared_prefix": 0, "rate": 0.0, "temperature": 0.0, "num_blocks": 1_024, "prompt": ""},
    design=("mode", "max_seqs", "token_budget", "prefix_cache", "spec", "k"),
    assertions=(
        Assertion("speedup_sequential", ">=", 2.2, "x", "target", reference_value=3.8, label="Against one request at a time"),
        Assertion("ttft_vs_static", "<=", 0.7, "x", "target", reference_value=0.35, label="TTFT p95 against static batches"),
        Assertion("mismatches", "<=", 0.0, "answers", "safety", over="all", label="Answers that differ"),
        Assertion("blocks_peak", "<=", 160.0, "blocks", "ceiling", label="KV blocks at the peak"),
    ),
    reference={"mode": "continuous", "max_seqs": 16, "prefix_cache": True},
    alternative={"mode": "continuous", "max_seqs": 8, "spec": "ngram", "k": 3},
    naive={"mode": "static", "max_seqs": 16},
    maxed={"mode": "continuous", "max_seqs": 64, "token_budget": 512},
    debrief=(
        "Sixteen sequences already share most of what a pass over the weights costs; sixty-four answer the first tokens sooner and hold "
        "twice the blocks. Eight sequences that verify three guesses a step write as much with fewer blocks, and the answers stay "
        "the same token by token. Static batches hold the longest answer's memory for every slot and let it wait for the slowest."
    ),
)
