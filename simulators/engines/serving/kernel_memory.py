"""KV blocks (PagedAttention, SOSP 2023): who holds how many, and what happens to a request that has to give its own up."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_cache import unpin
from simulators.engines.serving.kernel_queue import peek, pop, requeue
from simulators.engines.serving.state import SARATHI, SWAP, VLLM_V0, Sim


@part
def blocks_for(sim: Sim, tokens: int) -> int:
    size = sim.world[0].block_size
    return (tokens + size - 1) // size


@part
def blocks_missing(sim: Sim, i: int, tokens: int) -> int:
    """Blocks the request lacks to hold so many tokens. Mostly none, which a product shows sooner than a division."""
    held = sim.requests[i].blocks
    return blocks_for(sim, tokens) - held if tokens > held * sim.world[0].block_size else 0


@part
def take_blocks(sim: Sim, r: int, i: int, count: int) -> None:
    """The caller has seen that there are enough."""
    sim.requests[i].blocks += count
    sim.replicas[r].free_blocks -= count


@part
def release(sim: Sim, r: int, i: int) -> None:
    sim.replicas[r].free_blocks += sim.requests[i].blocks
    sim.replicas[r].resident -= 1
    sim.requests[i].blocks = 0


@part
def evict(sim: Sim, r: int, i: int, now: float) -> None:
    """Preemption: the blocks go, the request returns to the queue. Its tokens so far become prompt to compute again, or wait in host
    memory. The caller has taken it off the running list."""
    request, world = sim.requests[i], sim.world[0]
    if math.isnan(request.evicted_s):
        request.evicted_s = now
    request.redo_until = max(request.redo_until, request.processed)
    request.restarts += 1
    if world.preempt == SWAP:
        request.swapped = request.blocks
        sim.replicas[r].extra_s += request.blocks * world.swap_s_per_block
    else:
        _forget(sim, r, i)
    if request.pinned > 0:
        unpin(sim, r, i)
    release(sim, r, i)
    requeue(sim, r, i)


@part
def _forget(sim: Sim, r: int, i: int) -> None:
    """Recompute: everything processed is prompt again. Vidur cuts a half-read prompt there; vLLM v1 keeps it whole."""
    request, policy = sim.requests[i], sim.world[0].policy
    if request.prompt_done == 1 or policy in (VLLM_V0, SARATHI):
        request.prompt = request.processed
    sim.replicas[r].outstanding += request.processed
    request.processed = 0
    request.prompt_done = 0


@part
def admit(sim: Sim, r: int, i: int, blocks: int, now: float) -> None:
    """A request off the queue becomes resident."""
    request = sim.requests[i]
    take_blocks(sim, r, i, blocks)
    sim.replicas[r].resident += 1
    if math.isnan(request.scheduled_s):
        request.scheduled_s = now


@part
def bring_back(sim: Sim, r: int, now: float) -> None:
    """Swapped requests at the head of the queue get blocks again and go on where they were; the iteration waits for the copy."""
    replica, world = sim.replicas[r], sim.world[0]
    while replica.waiting > 0 and sim.requests[peek(sim, r)].swapped > 0 and replica.resident < world.max_seqs:
        request = sim.requests[peek(sim, r)]
        spare = max(world.watermark_blocks, 1) if replica.resident > 0 else 0  # so that it is not evicted again at once
        if replica.free_blocks - request.swapped < spare:
            return
        i = pop(sim, r)
        take_blocks(sim, r, i, request.swapped)
        replica.resident += 1
        replica.extra_s += request.swapped * world.swap_s_per_block
        request.swapped = 0
        request.preempted_s += now - request.evicted_s
        request.evicted_s = math.nan
        sim.running[r, replica.running] = i
        replica.running += 1


@part
def strike(sim: Sim, r: int, at: int) -> None:
    """Takes one position off the running list."""
    replica = sim.replicas[r]
    replica.running -= 1
    for k in range(at, replica.running):
        sim.running[r, k] = sim.running[r, k + 1]
