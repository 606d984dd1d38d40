"""The event loop. There is no event heap: the next event is the next arrival or the earliest replica clock, whichever comes first."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.jit import compiled, inlined
from simulators.engines.serving.kernel_batch import complete, launch, open_batch
from simulators.engines.serving.kernel_queue import enqueue
from simulators.engines.serving.kernel_router import choose_replica
from simulators.engines.serving.kernel_v1 import form_vllm_v1
from simulators.engines.serving.kernel_vidur import form_sarathi, form_vllm_v0
from simulators.engines.serving.state import DONE, NOBODY, RUNNING, SARATHI, STUCK, VLLM_V0, Sim


@compiled
def run(sim: Sim, tables: CostTables, iterations: int) -> int:
    """Simulates until all requests are finished or that many more iterations have begun. Returns the status; call again to go on."""
    world = sim.world[0]
    world.status = RUNNING
    stop = world.iterations + iterations
    while world.status == RUNNING and world.iterations < stop:
        r = next_replica(sim)
        if r == NOBODY:
            break
        now = sim.replicas[r].clock_s
        if sim.replicas[r].batch > 0:
            complete(sim, r, now)
        form(sim, r, now)
        if sim.replicas[r].batch > 0:
            launch(sim, tables, r, now)
    return world.status


@inlined
def next_replica(sim: Sim) -> int:
    """Lets requests arrive until a replica's clock comes first, and returns that replica; NOBODY if nothing will happen any more."""
    world = sim.world[0]
    while True:
        r = earliest(sim)
        now = sim.replicas[r].clock_s
        if world.arrived < len(sim.requests) and sim.requests[world.arrived].arrival_s <= now:
            arrive(sim, world.arrived)
            world.arrived += 1
        elif now < math.inf:
            return r
        else:
            world.status = DONE if world.finished == len(sim.requests) else STUCK
            return NOBODY


@inlined
def earliest(sim: Sim) -> int:
    best = 0
    for r in range(1, len(sim.replicas)):
        if sim.replicas[r].clock_s < sim.replicas[best].clock_s:
            best = r
    return best


@inlined
def arrive(sim: Sim, i: int) -> None:
    request = sim.requests[i]
    r = choose_replica(sim, i)
    request.replica = r
    sim.replicas[r].outstanding += request.total
    enqueue(sim, r, i)
    wake(sim, r, request.arrival_s)


@inlined
def wake(sim: Sim, r: int, now: float) -> None:
    if sim.replicas[r].clock_s == math.inf:
        sim.replicas[r].clock_s = now


@inlined
def form(sim: Sim, r: int, now: float) -> None:
    """Forms the next batch. If there is none the replica sleeps until something arrives.

    Evictions can leave the batch empty and the queue full. With no arrival to come the replica then tries once more at once: the blocks
    are free now.
    """
    world, replica = sim.world[0], sim.replicas[r]
    open_batch(replica)
    restarts = replica.restarts
    if world.policy == VLLM_V0:
        form_vllm_v0(sim, r, now)
    elif world.policy == SARATHI:
        form_sarathi(sim, r, now)
    else:
        form_vllm_v1(sim, r, now)
    if replica.batch == 0 and (replica.restarts == restarts or world.arrived < len(sim.requests)):
        replica.clock_s = math.inf
