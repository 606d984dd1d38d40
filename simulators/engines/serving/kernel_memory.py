"""KV blocks (PagedAttention, SOSP 2023): who holds how many, and what happens to a request that has to give its own up."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import inlined
from simulators.engines.serving.kernel_queue import requeue
from simulators.engines.serving.state import SARATHI, SWAP, VLLM_V0, Sim


@inlined
def blocks_for(sim: Sim, tokens: int) -> int:
    size = sim.world[0].block_size
    return (tokens + size - 1) // size


@inlined
def blocks_missing(sim: Sim, i: int, tokens: int) -> int:
    """Blocks the request lacks to hold so many tokens. Mostly none, which a product shows sooner than a division."""
    held = sim.requests[i].blocks
    return blocks_for(sim, tokens) - held if tokens > held * sim.world[0].block_size else 0


@inlined
def take_blocks(sim: Sim, r: int, i: int, count: int) -> None:
    """The caller has seen that there are enough."""
    sim.requests[i].blocks += count
    sim.replicas[r].free_blocks -= count


@inlined
def release(sim: Sim, r: int, i: int) -> None:
    sim.replicas[r].free_blocks += sim.requests[i].blocks
    sim.replicas[r].resident -= 1
    sim.requests[i].blocks = 0


@inlined
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
    release(sim, r, i)
    requeue(sim, r, i)


@inlined
def _forget(sim: Sim, r: int, i: int) -> None:
    """Recompute: everything processed is prompt again. Vidur cuts a half-read prompt there; vLLM v1 keeps it whole."""
    request, policy = sim.requests[i], sim.world[0].policy
    if request.prompt_done == 1 or policy in (VLLM_V0, SARATHI):
        request.prompt = request.processed
    sim.replicas[r].outstanding += request.processed
    request.processed = 0
    request.prompt_done = 0


@inlined
def admit(sim: Sim, r: int, i: int, blocks: int, now: float) -> None:
    """A request off the queue becomes resident."""
    request = sim.requests[i]
    take_blocks(sim, r, i, blocks)
    sim.replicas[r].resident += 1
    if math.isnan(request.scheduled_s):
        request.scheduled_s = now
