"""Which share of prompt blocks a prefix cache of a given size finds: a trace replayed against it, without a clock.

A cache of whole blocks, as in PagedAttention (SOSP 2023) and Mooncake's KV pool (FAST 2025). One ordered list serves all three policies:
the block to evict is at its head. FIFO leaves a block where it was inserted, LRU moves a block that is used to the tail, LFU keeps the
list ordered by uses and, among equals, by last use (Matani, Shah and Mitra, An O(1) algorithm for implementing the LFU cache, 2021).
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.serving.jit import compiled
from simulators.engines.serving.trace import Ints, Trace
from simulators.errors import InvalidInput

POLICIES = ("lru", "fifo", "lfu")
LRU, FIFO, LFU = range(3)


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
        raise InvalidInput(f"capacities are {capacities}; expected whole numbers of blocks, 0 for unbounded.", field="capacities")
    known, blocks = np.unique(trace.hash_ids, return_inverse=True)
    blocks = blocks.astype(np.int64)
    code = POLICIES.index(policy)
    hits = [count_hits(blocks, trace.hash_ptr, len(known), int(size) or len(known), code) for size in sizes]
    return np.array(hits, dtype=np.float64) / max(len(blocks), 1)


def count_hits(blocks: Ints, ptr: Ints, known: int, capacity: int, policy: int) -> int:
    """Blocks found when the prompts blocks[ptr[i]:ptr[i + 1]], ids 0 to known - 1, go through a cache of `capacity` blocks in turn."""
    after, before = np.full((2, known + 1), known)  # the list; its ends hang on the extra node `known`
    uses = np.zeros(known, dtype=np.int64)  # 0 = not in the cache
    last = np.full(len(blocks) + 2 if policy == LFU else 2, known)  # last node of each number of uses; `known` = none
    return int(_replay(blocks, ptr, after, before, uses, last, capacity, policy))


@compiled
def _replay(blocks: Ints, ptr: Ints, after: Ints, before: Ints, uses: Ints, last: Ints, capacity: int, policy: int) -> int:
    known = len(uses)
    held = hits = 0
    for request in range(len(ptr) - 1):
        prompt = blocks[ptr[request] : ptr[request + 1]]
        for block in prompt:
            hits += uses[block] > 0
        for block in prompt:
            if uses[block] > 0:
                if policy != FIFO:
                    _touch(after, before, uses, last, block, policy, known)
                continue
            if held == capacity:
                _evict(after, before, uses, last, policy, known)
            else:
                held += 1
            _insert(after, before, uses, last, block, policy, known)
    return hits


@compiled
def _insert(after: Ints, before: Ints, uses: Ints, last: Ints, block: int, policy: int, end: int) -> None:
    uses[block] = 1
    place = before[end]
    if policy == LFU:
        place = last[1] if last[1] != end else end  # behind the others used once; nobody is: at the head
        last[1] = block
    _link(after, before, place, block)


@compiled
def _touch(after: Ints, before: Ints, uses: Ints, last: Ints, block: int, policy: int, end: int) -> None:
    if policy == LRU:
        _unlink(after, before, block)
        _link(after, before, before[end], block)
        return
    count = uses[block]
    place = last[count + 1] if last[count + 1] != end else last[count]
    if place == block:
        place = before[block]
    _leave(before, uses, last, block, end)
    _unlink(after, before, block)
    uses[block] = count + 1
    last[count + 1] = block
    _link(after, before, place, block)


@compiled
def _evict(after: Ints, before: Ints, uses: Ints, last: Ints, policy: int, end: int) -> None:
    victim = after[end]
    if policy == LFU:
        _leave(before, uses, last, victim, end)
    _unlink(after, before, victim)
    uses[victim] = 0


@compiled
def _leave(before: Ints, uses: Ints, last: Ints, block: int, end: int) -> None:
    """Nobody or the node before becomes the last one of this number of uses."""
    count = uses[block]
    if last[count] == block:
        previous = before[block]
        last[count] = previous if previous != end and uses[previous] == count else end


@compiled
def _link(after: Ints, before: Ints, place: int, block: int) -> None:
    """Behind `place`."""
    following = after[place]
    after[place] = block
    before[block] = place
    after[block] = following
    before[following] = block


@compiled
def _unlink(after: Ints, before: Ints, block: int) -> None:
    after[before[block]] = after[block]
    before[after[block]] = before[block]
