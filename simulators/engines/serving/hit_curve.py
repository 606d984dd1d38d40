"""Which share of prompt blocks a prefix cache of a given size finds: a trace replayed against it, without a clock.

A cache of whole blocks, as in PagedAttention (SOSP 2023) and Mooncake's KV pool (FAST 2025).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.serving.trace import Ints, Trace
from simulators.errors import InvalidInput

POLICIES = ("lru", "fifo", "lfu")


def hit_curve(trace: Trace, capacities: ArrayLike, policy: str = "lru") -> NDArray[np.float64]:
    """Share of all prompt blocks of the trace that are found, for each capacity in blocks (0 = unbounded): float64[len(capacities)].

    One cache for all requests. A prompt is looked up whole; then its blocks are touched, or inserted where absent, in their order.
    Raises InvalidInput for a trace without hash_ids, an unknown policy or a negative capacity.
    """
    sizes = np.atleast_1d(np.asarray(capacities))
    if trace.hash_ids is None:
        raise InvalidInput("the trace has no hash_ids; a hit curve needs the block ids of every prompt.", field="hash_ids")
    if policy not in POLICIES:
        raise InvalidInput(f"policy is {policy!r}; expected one of {', '.join(POLICIES)}.", field="policy")
    if sizes.ndim != 1 or np.any(sizes < 0) or np.any(sizes != np.floor(sizes)):
        raise InvalidInput(f"capacities are {sizes.tolist()}; expected whole numbers of blocks, 0 for unbounded.", field="capacities")
    known, blocks = np.unique(trace.hash_ids, return_inverse=True)
    blocks = blocks.astype(np.int64)
    code = POLICIES.index(policy)
    hits = [count_hits(blocks, trace.hash_ptr, len(known), int(size) or len(known), code) for size in sizes]
    return np.array(hits, dtype=np.float64) / max(len(blocks), 1)


def count_hits(blocks: Ints, ptr: Ints, known: int, capacity: int, policy: int) -> int:
    """Blocks found when the prompts blocks[ptr[i]:ptr[i + 1]], ids 0 to known - 1, go through a cache of `capacity` blocks in turn."""
    from simulators.engines.serving import hit_kernel

    after, before = np.full((2, known + 1), known)  # the list; its ends hang on the extra node `known`
    uses = np.zeros(known, dtype=np.int64)  # 0 = not in the cache
    last = np.full(len(blocks) + 2 if POLICIES[policy] == "lfu" else 2, known)  # last node of each number of uses; `known` = none
    return int(hit_kernel.replay(blocks, ptr, after, before, uses, last, capacity, policy))
