"""Which replica a request is sent to, by what the router knew `signal_delay_s` ago."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.cost_kernel import step_seconds
from simulators.engines.serving.cost_table import CostTables, StepLoad
from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_cache import matched_blocks
from simulators.engines.serving.kernel_random import scramble, uniform
from simulators.engines.serving.state import (
    BOUNDED_HASH,
    COST,
    LEAST_PENDING,
    MAX_PREFIX,
    RANDOM,
    ROUND_ROBIN,
    SESSION,
    SIGNAL_SAMPLES,
    Sim,
)


@part
def choose_replica(sim: Sim, tables: CostTables, i: int) -> int:
    """Among those that read prompts of its length; a tie goes to the lowest number."""
    world, request = sim.world[0], sim.requests[i]
    long = world.long_replicas > 0 and request.prompt > world.long_threshold
    first = world.short_replicas if long else 0
    count = world.long_replicas if long else world.short_replicas
    if world.router == ROUND_ROBIN:
        turn = world.routed_long if long else world.routed_short
        return first + turn % count
    if world.router == RANDOM:
        return first + int(uniform(world.seed, i, 0) * count)
    if world.router in (SESSION, BOUNDED_HASH):
        return first + hashed(sim, i, first, count)
    best, least = first, score(sim, tables, i, first)
    for r in range(first + 1, first + count):
        value = score(sim, tables, i, r)
        if value < least:
            best, least = r, value
    return best


@part
def score(sim: Sim, tables: CostTables, i: int, r: int) -> float:
    """Smaller is better: waiting requests, outstanding tokens, blocks not found, or seconds until the prompt would be read."""
    world, request = sim.world[0], sim.requests[i]
    seen = signal_sample(sim, r, request.arrival_s - world.signal_delay_s)
    if world.router == LEAST_PENDING:
        return float(sim.signals[r, seen].waiting)
    if world.router == MAX_PREFIX:
        return -float(matched_blocks(sim, r, i, request.arrival_s - world.signal_delay_s))
    if world.router == COST:
        return sim.signals[r, seen].work_s + prefill_seconds(sim, tables, i, r)
    return float(sim.signals[r, seen].outstanding)


@part
def prefill_seconds(sim: Sim, tables: CostTables, i: int, r: int) -> float:
    """What reading the part of the prompt that is not cached would take alone, in one piece."""
    world, request = sim.world[0], sim.requests[i]
    cached = matched_blocks(sim, r, i, request.arrival_s - world.signal_delay_s) * world.block_tokens
    rest = request.prompt - cached
    rounded = (cached + world.kv_step - 1) // world.kv_step * world.kv_step
    return step_seconds(tables, StepLoad(1, rest, 0, 0, 1, rounded, rest * rest, rest * cached))


@part
def hashed(sim: Sim, i: int, first: int, count: int) -> int:
    """The session's own replica; with bounded loads the next with at most `load_factor` times the mean (Mirrokni et al., 2018)."""
    world, request = sim.world[0], sim.requests[i]
    home = (scramble(request.session + 1) & 0x7FFFFFFF) % count
    if world.router == SESSION:
        return home
    now, total = request.arrival_s - world.signal_delay_s, float(request.total)
    for r in range(first, first + count):
        total += sim.signals[r, signal_sample(sim, r, now)].outstanding
    for k in range(count):
        r = first + (home + k) % count
        if sim.signals[r, signal_sample(sim, r, now)].outstanding <= world.load_factor * total / count:
            return (home + k) % count
    return home


@part
def publish(sim: Sim, r: int, now: float) -> None:
    """Writes down the replica's load. Readings closer than the delay over the length of the ring replace each other."""
    replica, delay = sim.replicas[r], sim.world[0].signal_delay_s
    last = sim.signals[r, replica.signal % SIGNAL_SAMPLES]
    if delay > 0 and now - last.taken_s > 2 * delay / SIGNAL_SAMPLES:
        replica.signal += 1
        sim.signals[r, replica.signal % SIGNAL_SAMPLES].taken_s = now
    sample = sim.signals[r, replica.signal % SIGNAL_SAMPLES]
    sample.waiting, sample.outstanding, sample.work_s = replica.waiting, replica.outstanding, replica.work_s


@part
def signal_sample(sim: Sim, r: int, until_s: float) -> int:
    """The newest reading taken by that time, the oldest kept if all are newer; without a delay the newest."""
    newest = sim.replicas[r].signal
    if sim.world[0].signal_delay_s == 0:
        return newest % SIGNAL_SAMPLES
    at = newest
    while at > max(newest - SIGNAL_SAMPLES + 1, 0) and sim.signals[r, at % SIGNAL_SAMPLES].taken_s > until_s:
        at -= 1
    return at % SIGNAL_SAMPLES
