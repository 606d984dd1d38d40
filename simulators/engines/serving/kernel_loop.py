"""The event loop. There is no event heap: the next event is the next arrival, the next transfer or the earliest replica clock."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.cost_table import CostTables
from simulators.engines.serving.jit import compiled, part
from simulators.engines.serving.kernel_batch import launch, open_batch
from simulators.engines.serving.kernel_classic import form_orca, form_sglang, form_static
from simulators.engines.serving.kernel_complete import complete, rejoins
from simulators.engines.serving.kernel_memory import bring_back
from simulators.engines.serving.kernel_pointers import open_costs, open_sim
from simulators.engines.serving.kernel_pools import deliver, wake
from simulators.engines.serving.kernel_queue import enqueue
from simulators.engines.serving.kernel_router import choose_replica, prefill_seconds, publish
from simulators.engines.serving.kernel_v1 import form_vllm_v1
from simulators.engines.serving.kernel_vidur import form_sarathi, form_vllm_v0
from simulators.engines.serving.state import (
    COST,
    DECODE,
    DONE,
    LEAST_LOADED,
    NOBODY,
    ORCA,
    RUNNING,
    SARATHI,
    SGLANG,
    STATIC,
    STUCK,
    SWAP,
    VLLM_V0,
    Ints,
    Sim,
)


@compiled
def run(sim_table: Ints, cost_table: Ints, decode_cost_table: Ints, iterations: int) -> int:
    """Simulates until all requests are finished or that many more iterations have begun. Returns the status; call again to go on.

    The arguments are tables of `kernel_pointers`: the state, the costs, and those of the replicas in the decode pool.
    """
    sim: Sim = open_sim(sim_table)
    tables: CostTables = open_costs(cost_table)
    decode_tables: CostTables = open_costs(decode_cost_table)
    world = sim.world[0]
    world.status = RUNNING
    stop = world.iterations + iterations
    while world.status == RUNNING and world.iterations < stop:
        r = next_replica(sim, tables)
        if r == NOBODY:
            break
        replica = sim.replicas[r]
        now = replica.clock_s
        if replica.batch > 0:
            complete(sim, r, now)
        form(sim, r, now)
        if replica.batch > 0:
            launch(sim, decode_tables if replica.role == DECODE else tables, r, now)
        if world.router >= LEAST_LOADED:
            publish(sim, r, now)
    return world.status


@part
def next_replica(sim: Sim, tables: CostTables) -> int:
    """Lets requests arrive until a replica's clock comes first, and returns that replica; NOBODY if nothing will happen any more."""
    world = sim.world[0]
    while True:
        r = earliest(sim)
        now = sim.replicas[r].clock_s
        transfer_s = math.inf if world.transfers == NOBODY else sim.requests[world.transfers].key
        if world.arrived < len(sim.requests) and sim.requests[world.arrived].arrival_s <= min(now, transfer_s):
            arrive(sim, tables, world.arrived)
        elif transfer_s <= now and transfer_s < math.inf:
            deliver(sim)
        elif now < math.inf:
            return r
        elif not rouse(sim):
            world.status = DONE if world.finished == len(sim.requests) else STUCK
            return NOBODY


@part
def rouse(sim: Sim) -> bool:
    """No arrival is left. A replica that slept with blocks just freed and requests waiting goes on from the time it fell asleep, unless
    nothing at all has happened since it was last roused.
    """
    for r in range(len(sim.replicas)):
        replica, iterations = sim.replicas[r], sim.world[0].iterations
        if replica.waiting > 0 and replica.dozed_off_s < math.inf and replica.roused_at < iterations:
            replica.clock_s, replica.dozed_off_s = replica.dozed_off_s, math.inf
            replica.roused_at = iterations
            return True
    return False


@part
def earliest(sim: Sim) -> int:
    best = 0
    for r in range(1, len(sim.replicas)):
        if sim.replicas[r].clock_s < sim.replicas[best].clock_s:
            best = r
    return best


@part
def arrive(sim: Sim, tables: CostTables, i: int) -> None:
    """A request reaches the system and joins the queue of the replica it is sent to."""
    request, world = sim.requests[i], sim.world[0]
    r = choose_replica(sim, tables, i)
    world.arrived += 1
    if r < world.short_replicas:
        world.routed_short += 1
    else:
        world.routed_long += 1
    request.replica = r
    sim.replicas[r].outstanding += request.total
    if world.router == COST:
        request.work_s = prefill_seconds(sim, tables, i, r)
        sim.replicas[r].work_s += request.work_s
    enqueue(sim, r, i)
    wake(sim, r, request.arrival_s)
    if world.router >= LEAST_LOADED:
        publish(sim, r, request.arrival_s)


@part
def form(sim: Sim, r: int, now: float) -> None:
    """Forms the next batch. If there is none the replica sleeps until something arrives.

    Evictions can leave the batch empty and the queue full. Vidur's two schedulers then sleep all the same (see `rouse`); under the others
    the replica tries again at once, because blocks are free now, but only once: it may have to wait for those of a transfer.
    """
    world, replica = sim.world[0], sim.replicas[r]
    open_batch(replica)
    restarts = replica.restarts
    if world.preempt == SWAP:
        bring_back(sim, r, now)
    if world.policy == VLLM_V0:
        form_vllm_v0(sim, r, now)
    elif world.policy == SARATHI:
        form_sarathi(sim, r, now)
    elif world.policy == STATIC:
        form_static(sim, r, now)
    elif world.policy == ORCA:
        form_orca(sim, r, now)
    elif world.policy == SGLANG:
        form_sglang(sim, r, now)
    else:
        form_vllm_v1(sim, r, now)
    if replica.batch > 0:
        return
    evicted = replica.restarts > restarts
    if evicted and replica.retried_s != now and not rejoins(sim):
        replica.retried_s = now
    else:
        replica.clock_s = math.inf
        replica.dozed_off_s = now if evicted else math.inf
