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
def take_blocks(sim: Sim, r: int, i: int, needed: int) -> None:
    """Gives the request blocks until it holds `needed`. The caller has seen that there are enough."""
    more = needed - sim.requests[i].blocks
    if more > 0:
        sim.requests[i].blocks += more
        sim.replicas[r].free_blocks -= more


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
def admit(sim: Sim, r: int, i: int, needed: int, now: float) -> None:
    """A request off the queue becomes resident with `needed` blocks."""
    request = sim.requests[i]
    take_blocks(sim, r, i, needed)
    sim.replicas[r].resident += 1
    if math.isnan(request.scheduled_s):
        request.scheduled_s = now
