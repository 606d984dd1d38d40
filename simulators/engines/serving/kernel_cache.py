"""Prefix caches: which full blocks of a prompt are kept, which go first, and what a request finds when it is admitted.

A cache is a table of block ids (open addressing) over slots, and a heap of the slots that may be evicted, least valuable on top. Blocks
that a prefill in progress was promised are pinned: they are not on the heap. Every tier of a replica holds what was computed there; a
shared tier what was computed anywhere. A prompt finds its leading blocks, each in the fastest tier that has it (Mooncake, FAST 2025).
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_random import scramble
from simulators.engines.serving.state import FIFO, LFU, NOBODY, Sim


@part
def cache_of(sim: Sim, r: int, tier: int) -> int:
    """Caches are numbered tier by tier; a tier has one a replica, or one for all."""
    return sim.tiers[tier].first_cache + (0 if sim.tiers[tier].shared == 1 else r)


@part
def match_tier(sim: Sim, r: int, block: int, until_s: float) -> int:
    """The fastest tier in which the replica finds the block, as far as it was there by `until_s`; NOBODY if none."""
    for tier in range(len(sim.tiers)):
        cache = cache_of(sim, r, tier)
        slot = find(sim, cache, block)
        if slot != NOBODY and sim.slots[slot].inserted_s <= until_s:
            return tier
    return NOBODY


@part
def matched_blocks(sim: Sim, r: int, i: int, until_s: float) -> int:
    """Leading blocks of the prompt that need not be computed. At least one token always is: its output is the first token."""
    request, size = sim.requests[i], sim.world[0].block_tokens
    prompt = min(request.first_prompt, request.prompt)  # a restart may have cut it, or added tokens that no block names
    limit = min(request.hash_to - request.hash_from, (prompt - 1) // size)
    count = 0
    while count < limit and match_tier(sim, r, sim.hash_ids[request.hash_from + count], until_s) != NOBODY:
        count += 1
    return count if count >= sim.world[0].min_prefix_blocks else 0


@part
def pin(sim: Sim, r: int, i: int, count: int, now: float) -> None:
    """Promises the blocks to the request; those in a slower tier are loaded, and its next iteration waits for them."""
    request = sim.requests[i]
    request.pinned = count
    for k in range(request.hash_from, request.hash_from + count):
        tier = match_tier(sim, r, sim.hash_ids[k], now)
        slot = find(sim, cache_of(sim, r, tier), sim.hash_ids[k])
        sim.block_tier[k] = tier
        sim.tiers[tier].hits += 1
        sim.replicas[r].extra_s += sim.tiers[tier].load_s
        sim.slots[slot].pins += 1
        if sim.slots[slot].pins == 1:
            heap_remove(sim, cache_of(sim, r, tier), sim.slots[slot].place)


@part
def cached_tokens(sim: Sim, r: int, i: int, now: float) -> int:
    """Prompt tokens that a request about to be admitted finds; none for one that has begun."""
    request = sim.requests[i]
    if len(sim.tiers) == 0 or request.processed > 0:
        return 0
    return matched_blocks(sim, r, i, now) * sim.world[0].block_tokens


@part
def claim(sim: Sim, r: int, i: int, tokens: int, now: float) -> None:
    """The request is admitted and counts the tokens it found, already added to `processed`, as done."""
    request = sim.requests[i]
    if tokens > 0:
        pin(sim, r, i, tokens // sim.world[0].block_tokens, now)
        sim.replicas[r].outstanding -= tokens
    if math.isnan(request.scheduled_s):
        request.cached = tokens


@part
def read_cached(sim: Sim, r: int, i: int, now: float) -> None:
    found = cached_tokens(sim, r, i, now)
    sim.requests[i].processed += found
    claim(sim, r, i, found, now)


@part
def unpin(sim: Sim, r: int, i: int) -> None:
    request = sim.requests[i]
    for k in range(request.hash_from, request.hash_from + request.pinned):
        cache = cache_of(sim, r, sim.block_tier[k])
        slot = find(sim, cache, sim.hash_ids[k])
        sim.slots[slot].pins -= 1
        if sim.slots[slot].pins == 0:
            heap_push(sim, cache, slot)
    request.pinned = 0


@part
def store(sim: Sim, r: int, i: int, tokens: int, now: float) -> None:
    """Touches or inserts the full blocks among the first `tokens`, in order, in every tier of the replica."""
    request = sim.requests[i]
    count = min(request.hash_to - request.hash_from, tokens // sim.world[0].block_tokens)
    for k in range(request.hash_from, request.hash_from + count):
        for tier in range(len(sim.tiers)):
            keep(sim, cache_of(sim, r, tier), sim.hash_ids[k], now)


@part
def keep(sim: Sim, cache: int, block: int, now: float) -> None:
    """Touches the block or inserts it, in place of the least valuable one if the cache is full and not all of it pinned."""
    sim.world[0].cache_clock += 1
    slot = find(sim, cache, block)
    if slot != NOBODY:
        touch(sim, cache, slot)
        return
    store_in, record = NOBODY, sim.caches[cache]
    if record.used < record.capacity:
        store_in = record.first_slot + record.used
        record.used += 1
    elif record.evictable > 0:
        store_in = sim.heap[record.first_slot]
        heap_remove(sim, cache, 0)
        table_remove(sim, cache, sim.slots[store_in].block)
    if store_in == NOBODY:
        return
    entry = sim.slots[store_in]
    entry.block, entry.uses, entry.pins, entry.inserted_s, entry.stamp = block, 1, 0, now, sim.world[0].cache_clock
    table_insert(sim, cache, store_in)
    heap_push(sim, cache, store_in)


@part
def touch(sim: Sim, cache: int, slot: int) -> None:
    entry, policy = sim.slots[slot], sim.world[0].cache_policy
    entry.uses += 1
    if policy != FIFO:
        entry.stamp = sim.world[0].cache_clock
    if entry.pins == 0:
        heap_down(sim, cache, entry.place)  # a use never makes a block less valuable


# Table: linear probing; an entry is moved back when one before it goes, so that there are no tombstones.


@part
def find(sim: Sim, cache: int, block: int) -> int:
    record = sim.caches[cache]
    at = scramble(block) & record.table_mask
    while sim.table[record.first_entry + at] != NOBODY:
        slot = sim.table[record.first_entry + at]
        if sim.slots[slot].block == block:
            return slot
        at = (at + 1) & record.table_mask
    return NOBODY


@part
def table_insert(sim: Sim, cache: int, slot: int) -> None:
    record = sim.caches[cache]
    at = scramble(sim.slots[slot].block) & record.table_mask
    while sim.table[record.first_entry + at] != NOBODY:
        at = (at + 1) & record.table_mask
    sim.table[record.first_entry + at] = slot


@part
def table_remove(sim: Sim, cache: int, block: int) -> None:
    record = sim.caches[cache]
    mask, first = record.table_mask, record.first_entry
    gap = scramble(block) & mask
    while sim.slots[sim.table[first + gap]].block != block:
        gap = (gap + 1) & mask
    at = (gap + 1) & mask
    while sim.table[first + at] != NOBODY:
        home = scramble(sim.slots[sim.table[first + at]].block) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):  # it may stand as early as the gap
            sim.table[first + gap] = sim.table[first + at]
            gap = at
        at = (at + 1) & mask
    sim.table[first + gap] = NOBODY


# Heap of evictable slots: the stalest on top (lru, fifo), or the least used and of these the stalest (lfu).


@part
def worse(sim: Sim, a: int, b: int) -> bool:
    if sim.world[0].cache_policy == LFU and sim.slots[a].uses != sim.slots[b].uses:
        return sim.slots[a].uses < sim.slots[b].uses
    return sim.slots[a].stamp < sim.slots[b].stamp


@part
def heap_place(sim: Sim, cache: int, place: int, slot: int) -> None:
    sim.heap[sim.caches[cache].first_slot + place] = slot
    sim.slots[slot].place = place


@part
def heap_push(sim: Sim, cache: int, slot: int) -> None:
    place = sim.caches[cache].evictable
    sim.caches[cache].evictable += 1
    heap_place(sim, cache, place, slot)
    heap_up(sim, cache, place)


@part
def heap_remove(sim: Sim, cache: int, place: int) -> None:
    record = sim.caches[cache]
    record.evictable -= 1
    last = sim.heap[record.first_slot + record.evictable]
    if place < record.evictable:
        heap_place(sim, cache, place, last)
        heap_up(sim, cache, place)
        heap_down(sim, cache, sim.slots[last].place)


@part
def heap_up(sim: Sim, cache: int, place: int) -> None:
    first = sim.caches[cache].first_slot
    slot = sim.heap[first + place]
    while place > 0 and worse(sim, slot, sim.heap[first + (place - 1) // 2]):
        heap_place(sim, cache, place, sim.heap[first + (place - 1) // 2])
        place = (place - 1) // 2
    heap_place(sim, cache, place, slot)


@part
def heap_down(sim: Sim, cache: int, place: int) -> None:
    first, size = sim.caches[cache].first_slot, sim.caches[cache].evictable
    slot = sim.heap[first + place]
    while 2 * place + 1 < size:
        child = 2 * place + 1
        if child + 1 < size and worse(sim, sim.heap[first + child + 1], sim.heap[first + child]):
            child += 1
        if not worse(sim, sim.heap[first + child], slot):
            break
        heap_place(sim, cache, place, sim.heap[first + child])
        place = child
    heap_place(sim, cache, place, slot)
