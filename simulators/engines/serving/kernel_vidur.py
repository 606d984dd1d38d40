"""Two schedulers as Vidur (MLSys 2024) has them: vLLM before its rewrite (prefill first, SOSP 2023) and Sarathi-Serve (OSDI 2024).

Both take the requests of a batch off the running list; those that go on are appended to its end when the iteration is over.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_batch import blocks_to_decode, decode_tokens, join, join_steady
from simulators.engines.serving.kernel_cache import read_cached
from simulators.engines.serving.kernel_memory import admit, blocks_for, evict, take_blocks
from simulators.engines.serving.kernel_queue import peek, pop
from simulators.engines.serving.state import NOBODY, Sim, unsigned


@part
def form_vllm_v0(sim: Sim, r: int, now: float) -> None:
    """Whole prompts if any may be admitted, and nothing beside them; otherwise one token of every running request."""
    replica, world = sim.replicas[r], sim.world[0]
    longest = 0
    while True:
        i = peek(sim, r)
        if i == NOBODY or not may_admit(sim, r, i):
            break
        longest = max(longest, sim.requests[i].prompt)
        if (replica.batch + 1) * longest > world.max_batch_tokens:
            break
        pop(sim, r)
        read_cached(sim, r, i, now)
        admit(sim, r, i, blocks_for(sim, sim.requests[i].prompt), now)
        join(sim, r, i, sim.requests[i].prompt - sim.requests[i].processed)
    if replica.batch > 0:
        return
    sort_by_arrival(sim, r)
    head, tail = 0, replica.running
    while head < tail and replica.batch < world.max_seqs:
        head = join_steady(sim, r, head, min(tail, head + world.max_seqs - replica.batch))
        if head == tail or replica.batch == world.max_seqs:
            break
        head += 1
        tail = decode_or_evict(sim, r, sim.running[r, head - 1], head, tail, now)
    keep_rest(sim, r, 0, head, tail)


@part
def form_sarathi(sim: Sim, r: int, now: float) -> None:
    """Decodes first, then half-read prompts, then new ones, as far as the chunk of this iteration goes."""
    replica, world = sim.replicas[r], sim.world[0]
    head, tail, half_read = 0, replica.running, 0
    while head < tail and replica.batch < world.max_seqs:
        head = join_steady(sim, r, head, min(tail, head + world.max_seqs - replica.batch))
        if head == tail or replica.batch == world.max_seqs:
            break
        i = sim.running[r, head]
        head += 1
        if sim.requests[i].prompt_done == 1:
            tail = decode_or_evict(sim, r, i, head, tail, now)
        else:
            sim.running[r, half_read] = i  # behind the head: already read
            half_read += 1
    skipped = 0
    for k in range(half_read):
        i = sim.running[r, k]
        if not join_chunk(sim, r, i):
            sim.running[r, skipped] = i
            skipped += 1
    keep_rest(sim, r, skipped, head, tail)
    sort_by_arrival(sim, r)
    while True:
        i = peek(sim, r)
        if i == NOBODY or not may_admit(sim, r, i) or world.chunk_size - replica.tokens <= 0:
            break
        pop(sim, r)
        read_cached(sim, r, i, now)
        admit(sim, r, i, blocks_for(sim, sim.requests[i].prompt), now)
        join_chunk(sim, r, i)


@part
def join_chunk(sim: Sim, r: int, i: int) -> bool:
    """The next piece of the prompt that the iteration has room for, if it has any."""
    request = sim.requests[i]
    chunk = min(request.prompt - request.processed, sim.world[0].chunk_size - sim.replicas[r].tokens)
    if chunk > 0:
        join(sim, r, i, chunk)
    return chunk > 0


@part
def may_admit(sim: Sim, r: int, i: int) -> bool:
    """Room for one more sequence, and blocks for the whole prompt above the watermark."""
    replica, world = sim.replicas[r], sim.world[0]
    if replica.resident >= world.max_seqs or replica.batch >= world.max_seqs or sim.requests[i].swapped > 0:
        return False
    return replica.free_blocks - blocks_for(sim, sim.requests[i].prompt) >= world.watermark_blocks


@part
def decode_or_evict(sim: Sim, r: int, i: int, head: int, tail: int, now: float) -> int:
    """One token for the request. While no block is free the last of the list is evicted, at last the request itself.

    Returns the new end of the list, whose positions from `head` on are not visited yet.
    """
    replica = sim.replicas[r]
    missing = blocks_to_decode(sim, i)
    while replica.free_blocks < max(1, missing):
        if tail == head:
            evict(sim, r, i, now)
            return tail
        tail -= 1
        evict(sim, r, sim.running[r, tail], now)
    take_blocks(sim, r, i, missing)
    join(sim, r, i, decode_tokens(sim, i))
    return tail


@part
def keep_rest(sim: Sim, r: int, front: int, head: int, tail: int) -> None:
    """The running list becomes its first `front` entries and those not visited."""
    running = sim.running[r]
    for k in range(head, tail):
        running[front + k - head] = running[k]
    sim.replicas[r].running = front + tail - head


@part
def sort_by_arrival(sim: Sim, r: int) -> None:
    """Stable insertion sort: the list is nearly in order. Rows are in order of arrival, so only a falling row number asks for times."""
    running, requests = sim.running[r], sim.requests
    for k in range(1, sim.replicas[r].running):
        i, at = running[unsigned(k)], k
        while at > 0 and running[at - 1] > i and requests[running[at - 1]].arrival_s > requests[i].arrival_s:
            running[at] = running[at - 1]
            at -= 1
        running[at] = i
