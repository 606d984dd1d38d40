"""Which replica a request is sent to."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.jit import inlined
from simulators.engines.serving.kernel_batch import uniform
from simulators.engines.serving.state import Sim

ROUND_ROBIN, RANDOM, LEAST_LOADED, LEAST_PENDING, SESSION, BOUNDED_HASH, MAX_PREFIX, COST = range(8)


@inlined
def choose_replica(sim: Sim, i: int) -> int:
    world, count = sim.world[0], len(sim.replicas)
    if world.router == ROUND_ROBIN:
        return i % count
    if world.router == RANDOM:
        return int(uniform(world.seed, i, 0) * count)
    best = 0
    for r in range(1, count):
        if load_of(sim, r) < load_of(sim, best):
            best = r
    return best


@inlined
def load_of(sim: Sim, r: int) -> int:
    return sim.replicas[r].waiting if sim.world[0].router == LEAST_PENDING else sim.replicas[r].outstanding
