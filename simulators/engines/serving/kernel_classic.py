"""What came before paged memory, and a prefill-first scheduler beside it: static batches, Orca, and the way of SGLang."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_batch import blocks_to_decode, decode_tokens, join, join_steady
from simulators.engines.serving.kernel_cache import matched_blocks, read_cached
from simulators.engines.serving.kernel_memory import admit, blocks_for, evict, release, strike, take_blocks
from simulators.engines.serving.kernel_queue import pop, push
from simulators.engines.serving.state import NOBODY, Sim

SGLANG_CHUNK = 8192  # prompt tokens of one iteration
LOOK_AHEAD = 128  # longer queues are served in order of arrival


@part
def form_static(sim: Sim, r: int, now: float) -> None:
    """A batch is filled when the last member of the previous one is done; until then every slot computes on."""
    replica = sim.replicas[r]
    if replica.running > 0 and all_finished(sim, r):
        for k in range(replica.running):
            release(sim, r, sim.running[r, k])
        replica.running = 0
    if replica.running > 0:
        join_all(sim, r)
    else:
        admit_reserving(sim, r, now)


@part
def form_orca(sim: Sim, r: int, now: float) -> None:
    """Iteration-level scheduling (OSDI 2022): whole prompts join beside decodes; the longest possible answer is reserved for."""
    join_all(sim, r)
    admit_reserving(sim, r, now)


@part
def all_finished(sim: Sim, r: int) -> bool:
    done = True
    for k in range(sim.replicas[r].running):
        done = done and not math.isnan(sim.requests[sim.running[r, k]].finished_s)
    return done


@part
def join_all(sim: Sim, r: int) -> None:
    for k in range(sim.replicas[r].running):
        i = sim.running[r, k]
        join(sim, r, i, decode_tokens(sim, i) if sim.requests[i].prompt_done == 1 else sim.requests[i].prompt)


@part
def admit_reserving(sim: Sim, r: int, now: float) -> None:
    """Whole prompts off the queue, as long as `max_len` tokens in one piece can be set aside for each."""
    replica, world = sim.replicas[r], sim.world[0]
    while replica.waiting > 0 and replica.running < world.max_seqs and replica.free_blocks >= world.reserved_blocks:
        i = pop(sim, r)
        read_cached(sim, r, i, now)
        admit(sim, r, i, world.reserved_blocks, now)
        sim.running[r, replica.running] = i
        replica.running += 1
        join(sim, r, i, sim.requests[i].prompt - sim.requests[i].processed)


@part
def form_sglang(sim: Sim, r: int, now: float) -> None:
    """Prompts first and alone, the longest cached prefix first (SGLang, NeurIPS 2024); without any, all decodes."""
    replica = sim.replicas[r]
    read_prompts(sim, r, now)
    if replica.batch > 0:
        return
    retract(sim, r, now)
    at = 0
    while at < replica.running:
        at = join_steady(sim, r, at, replica.running)
        if at < replica.running:
            i = sim.running[r, at]
            take_blocks(sim, r, i, blocks_to_decode(sim, i))
            join(sim, r, i, decode_tokens(sim, i))
            at += 1


@part
def read_prompts(sim: Sim, r: int, now: float) -> None:
    """The prompt begun in the last iteration goes on, then new ones, each with blocks for all of it and one left for every decode."""
    replica, world = sim.replicas[r], sim.world[0]
    for k in range(replica.running):
        i = sim.running[r, k]
        if sim.requests[i].prompt_done == 0:
            join(sim, r, i, min(sim.requests[i].prompt - sim.requests[i].processed, SGLANG_CHUNK - replica.tokens))
    while replica.waiting > 0 and replica.running < world.max_seqs and replica.tokens < SGLANG_CHUNK:
        i = pop_longest_prefix(sim, r, now)
        blocks = blocks_for(sim, sim.requests[i].prompt)
        if sim.requests[i].swapped > 0 or blocks > replica.free_blocks - min(replica.running, replica.total_blocks - blocks):
            push(sim, r, 0, i)
            return
        read_cached(sim, r, i, now)
        admit(sim, r, i, blocks, now)
        sim.running[r, replica.running] = i
        replica.running += 1
        join(sim, r, i, min(sim.requests[i].prompt - sim.requests[i].processed, SGLANG_CHUNK - replica.tokens))


@part
def pop_longest_prefix(sim: Sim, r: int, now: float) -> int:
    """Takes the waiting request that finds most of its prompt cached, in a short queue; the first of a long one."""
    replica = sim.replicas[r]
    if len(sim.tiers) == 0 or replica.waiting > LOOK_AHEAD:
        return pop(sim, r)
    best, most, looked = NOBODY, -1, NOBODY
    while replica.waiting > 0:
        i = pop(sim, r)
        found = matched_blocks(sim, r, i, now)
        if found > most:
            best, most = i, found
        sim.requests[i].left, looked = looked, i  # off the queue its child is free to link those looked at
    while looked != NOBODY:
        i, looked = looked, sim.requests[looked].left
        if i != best:
            push(sim, r, 0, i)
    return best


@part
def retract(sim: Sim, r: int, now: float) -> None:
    """While the decodes cannot all get their next token, the one with the fewest so far goes back to the queue, never the last one."""
    replica = sim.replicas[r]
    while replica.running > 1:
        missing, least = 0, 0
        for k in range(replica.running):
            i, other = sim.running[r, k], sim.running[r, least]
            missing += blocks_to_decode(sim, i)
            written = sim.requests[i].processed - sim.requests[i].first_prompt
            if written < sim.requests[other].processed - sim.requests[other].first_prompt:
                least = k
        if missing <= replica.free_blocks:
            return
        victim = sim.running[r, least]
        strike(sim, r, least)
        evict(sim, r, victim, now)
