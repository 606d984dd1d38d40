"""What the lab `prefix_cache` lets a user choose."""

from __future__ import annotations

from typing import Literal

from simulators.lab import LabParams, param

ROUTERS = {
    "round_robin": "Round robin",
    "random": "Random",
    "least_loaded": "Least loaded",
    "least_pending": "Shortest queue",
    "session": "Session hash",
    "bounded_hash": "Session hash, bounded load",
    "max_prefix": "Longest cached prefix",
    "cost": "Queue + uncached prefill",
}
RouterName = Literal["round_robin", "random", "least_loaded", "least_pending", "session", "bounded_hash", "max_prefix", "cost"]
UNIT_TOKENS = 512  # sizes are in blocks of so many tokens whatever the granularity of the hashes, so that memory stays comparable


class PrefixParams(LabParams):
    """Memory, then routing, then traffic; of the traffic only the speed acts on the user's own trace."""

    hbm_blocks: int = param(
        2_000,
        title="HBM cache a worker",
        unit="blocks",
        ge=100,
        le=20_000,
        scale="log",
        group="Cache",
        help="In blocks of 512 tokens (168 MB for Llama-3.1-70B), on the GPUs of each worker; found there, a block costs nothing.",
    )
    dram_blocks: int = param(
        0,
        title="DRAM cache a worker",
        unit="blocks",
        ge=0,
        le=20_000,
        group="Cache",
        help="In the host memory of each worker, read over its eight PCIe links.",
    )
    pool_blocks: int = param(
        0,
        title="Shared pool",
        unit="blocks",
        ge=0,
        le=200_000,
        soft=(0, 64_000),
        group="Cache",
        help="One cache for all workers: whatever was computed anywhere is found by everybody, over the network.",
    )
    pool_link_gb_s: float = param(
        400.0,
        title="Pool link",
        unit="GB/s",
        ge=1,
        le=800,
        scale="log",
        group="Cache",
        help="Of one worker to the pool; 400 GB/s are eight 400 Gb network cards. Too slow, and reading the prompt anew is faster.",
    )
    policy: Literal["lru", "fifo", "lfu"] = param(
        "lru",
        title="Eviction",
        group="Cache",
        labels={"lru": "LRU", "fifo": "FIFO", "lfu": "LFU"},
        help="Which block goes when a cache is full: longest unused, oldest, or least often used.",
    )
    min_blocks: int = param(
        1,
        title="Shortest match used",
        unit="blocks",
        ge=1,
        le=64,
        soft=(1, 16),
        group="Cache",
        help="Shorter matches are not worth a look-up and are computed.",
    )
    cache_decode: bool = param(
        False,
        title="Keep answers too",
        group="Cache",
        help="The keys and values of an answer go back to the worker that read its prompt; the next turn of the chat begins with them.",
    )
    router: RouterName = param(
        "cost",
        title="Router",
        group="Routing",
        labels=ROUTERS,
        help="Which worker reads a prompt. The last three look into the caches or loads.",
    )
    signal_delay_s: float = param(
        0.0,
        title="Age of the router's view",
        unit="s",
        ge=0,
        le=10,
        step=0.1,
        group="Routing",
        help="How old the loads and cache contents are that the router decides by.",
    )
    workers: int = param(
        8, title="Prefill workers", unit="workers", ge=1, le=32, group="Routing", help="Of 8 x H100 each; they read one prompt at a time."
    )
    requests: int = param(
        11_600,
        title="Prompts",
        unit="prompts",
        ge=500,
        le=20_000,
        scale="log",
        group="Traffic",
        help="How much of the chats is replayed; 11,600 are the recorded hour. Caches begin empty, so a short replay finds less.",
    )
    speed: float = param(
        3.0,
        title="Clock",
        unit="times",
        ge=0.5,
        le=8,
        scale="log",
        group="Traffic",
        help="The trace runs so much faster than recorded: more prompts a second, the same reuse.",
    )
    shared_system_tokens: int = param(
        512,
        title="Shared system prompt",
        unit="tokens",
        ge=0,
        le=8_192,
        soft=(0, 4_096),
        step=256,
        group="Traffic",
        help="All chats begin with the same tokens; only whole blocks of them are shared.",
    )
    block_tokens: int = param(
        512,
        title="Hash block",
        unit="tokens",
        ge=16,
        le=1_024,
        scale="log",
        group="Traffic",
        help="Tokens a hash stands for. Finer blocks find a little more and cost more look-ups; the memory of the caches stays the same.",
    )
    gpu_usd_h: float = param(
        2.0,
        title="GPU price",
        unit="$/GPU-h",
        ge=0.1,
        le=20,
        scale="log",
        group="Traffic",
        help="For the bill of the GPU time spent reading prompts.",
    )
