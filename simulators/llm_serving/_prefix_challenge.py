"""The design task of the lab `prefix_cache`."""

from __future__ import annotations

from simulators.lab import Assertion, Challenge

FIVE_TERABYTES = Challenge(
    slug="five_terabytes_of_memory",
    title="Five terabytes of memory",
    brief=(
        "An hour of chats, run **2.5 times** as fast as recorded, meets eight prefill workers that read one prompt at a time. All chats "
        "share their first block, one prompt in a hundred is longer than 80,000 tokens.\n\n"
        "* Mean time to first token at most **0.78 s**.\n"
        "* 99th percentile at most **7.8 s**; the longest prompts take about that long on an idle worker.\n"
        "* At most **32,000 blocks** of cache in all tiers together, 5.4 TB.\n\n"
        "Links to a shared pool carry 25 GB/s a worker. Choose the router and where the memory goes."
    ),
    world={
        "requests": 11_600,
        "speed": 2.5,
        "workers": 8,
        "signal_delay_s": 0.0,
        "pool_link_gb_s": 25.0,
        "shared_system_tokens": 512,
        "block_tokens": 512,
    },
    design=("router", "hbm_blocks", "dram_blocks", "pool_blocks", "policy", "min_blocks", "cache_decode"),
    assertions=(
        Assertion("ttft_mean_s", "<=", 0.78, "s", "target", label="Mean time to first token"),
        Assertion("ttft_p99_s", "<=", 7.8, "s", "target", label="99th percentile of the time to first token"),
        Assertion("total_blocks", "<=", 32_000.0, "blocks", "ceiling", label="Cache in all"),
    ),
    reference={"router": "cost", "hbm_blocks": 3_500},
    alternative={"router": "least_loaded", "hbm_blocks": 100, "pool_blocks": 28_000},
    naive={"router": "session", "hbm_blocks": 4_000},
    maxed={"router": "cost", "hbm_blocks": 20_000, "dram_blocks": 20_000, "pool_blocks": 200_000},
    debrief=(
        "Local caches need a router that looks into them AND at the queues: session hashing finds more and waits longer, least loaded "
        "finds next to nothing. A shared pool makes every worker as good as any other, so that the simplest router will do, as long as its "
        "link stays above the rate at which keys and values can be computed anew."
    ),
)
