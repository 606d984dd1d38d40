"""Disaggregation (DistServe and Splitwise, 2024): prompts are read on some replicas, answers written on others, the KV cache moves."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_memory import release
from simulators.engines.serving.kernel_queue import enqueue, merge
from simulators.engines.serving.state import DECODE, NOBODY, Sim


@part
def start_transfer(sim: Sim, r: int, i: int, now: float) -> None:
    """The prompt's KV queues for the replica's outgoing link, first come first served; its blocks stay taken until it has left.

    Layer by layer a transfer can begin during the prefill: then only what the prefill did not cover is waited for, the last layer at
    least.
    """
    replica, request, world = sim.replicas[r], sim.requests[i], sim.world[0]
    sending = request.prompt * world.link_s_per_token
    sending = max(sending - request.prefill_s, sending * (1.0 - world.overlap))
    replica.link_free_s = max(replica.link_free_s, now) + sending
    request.key, request.tie = replica.link_free_s + world.link_base_s, i
    request.transfer_s -= now
    request.moving = 1
    request.left = request.right = NOBODY
    world.transfers = merge(sim.requests, world.transfers, i)
    world.moving += 1


@part
def deliver(sim: Sim) -> None:
    """The earliest transfer arrives: the request queues at the least loaded decode replica, and its blocks at the sender are free."""
    world = sim.world[0]
    i = world.transfers
    request = sim.requests[i]
    now, source, left = request.key, request.replica, request.total - request.processed
    world.transfers = merge(sim.requests, request.left, request.right)
    request.moving = 0
    request.transfer_s += now
    release(sim, source, i)
    sim.replicas[source].outstanding -= left
    target = least_loaded_decode(sim)
    sim.replicas[target].outstanding += left
    request.decode_replica = target
    enqueue(sim, target, i)
    wake(sim, source, now)
    wake(sim, target, now)


@part
def least_loaded_decode(sim: Sim) -> int:
    best = NOBODY
    for r in range(len(sim.replicas)):
        candidate = sim.replicas[r]
        if candidate.role == DECODE and (best == NOBODY or candidate.outstanding < sim.replicas[best].outstanding):
            best = r
    return best


@part
def wake(sim: Sim, r: int, now: float) -> None:
    """A sleeping replica looks at its queue again."""
    if sim.replicas[r].clock_s == math.inf:
        sim.replicas[r].clock_s = now
