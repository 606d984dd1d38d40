"""vLLM's scheduler since version 1: one budget of tokens an iteration, spent on decodes and pieces of prompts alike.

Running requests first, in their order; then, if nobody had to be evicted, the waiting queue. Blocks are taken for the tokens
processed so far and those of this iteration, without a watermark.
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_batch import decode_tokens, join, join_steady, leave
from simulators.engines.serving.kernel_cache import cached_tokens, claim
from simulators.engines.serving.kernel_memory import admit, blocks_missing, evict, strike, take_blocks
from simulators.engines.serving.kernel_queue import peek, pop, serve
from simulators.engines.serving.state import NOBODY, PRIORITY, SRPT, VTC, Sim

ALL, DECODES = 0, 1  # which of the running requests a pass serves


@part
def form_vllm_v1(sim: Sim, r: int, now: float) -> None:
    if sim.world[0].order == SRPT:
        if serve_running(sim, r, DECODES, now):
            serve_shortest_first(sim, r, now)
    elif serve_running(sim, r, ALL, now):
        while admit_next(sim, r, now):
            pass


@part
def serve_running(sim: Sim, r: int, which: int, now: float) -> bool:
    """Every running request gets what it can use of the budget. False if somebody was evicted."""
    replica, restarts, k = sim.replicas[r], sim.replicas[r].restarts, 0
    while k < replica.running and budget_left(sim, r) > 0:
        steady = join_steady(sim, r, k, min(replica.running, k + budget_left(sim, r) // (1 + sim.world[0].spec_k)))
        if steady > k:
            k = steady
            continue
        i = sim.running[r, k]
        k += 1
        if which == DECODES and sim.requests[i].prompt_done == 0:
            continue
        k -= make_room(sim, r, i, k, now)
        if sim.requests[i].blocks == 0:
            break
        join_running(sim, r, i)
    return replica.restarts == restarts


@part
def budget_left(sim: Sim, r: int) -> int:
    return sim.world[0].token_budget - sim.replicas[r].tokens


@part
def next_chunk(sim: Sim, r: int, i: int) -> int:
    """Tokens of the request in this iteration: what remains, the threshold for long prompts, the budget left; the least of these."""
    request, world = sim.requests[i], sim.world[0]
    if request.prompt_done == 1:
        return min(decode_tokens(sim, i), max(1, budget_left(sim, r)))
    chunk = min(request.prompt - request.processed, budget_left(sim, r))
    return min(chunk, world.long_prefill_threshold) if world.long_prefill_threshold > 0 else chunk


@part
def blocks_wanted(sim: Sim, i: int, chunk: int) -> int:
    """Blocks it lacks for the chunk. A decode's token is among the processed ones already; drafts are not."""
    request = sim.requests[i]
    return blocks_missing(sim, i, request.processed + chunk - request.prompt_done)


@part
def join_running(sim: Sim, r: int, i: int) -> None:
    chunk = next_chunk(sim, r, i)
    take_blocks(sim, r, i, blocks_wanted(sim, i, chunk))
    join(sim, r, i, chunk)


@part
def make_room(sim: Sim, r: int, i: int, visited: int, now: float) -> int:
    """Evicts until the request's next chunk fits, at last itself. Returns how many of the first `visited` of the list went."""
    replica, gone = sim.replicas[r], 0
    while blocks_wanted(sim, i, next_chunk(sim, r, i)) > replica.free_blocks:
        at = least_urgent(sim, r)
        victim = sim.running[r, at]
        gone += at < visited - gone
        if sim.requests[victim].chunk > 0:
            leave(sim, r, victim)
        strike(sim, r, at)
        evict(sim, r, victim, now)
        if victim == i:
            break
    return gone


@part
def least_urgent(sim: Sim, r: int) -> int:
    """Position of the next victim: the last of the list, or of those of the lowest priority the last to arrive."""
    last = sim.replicas[r].running - 1
    if sim.world[0].order != PRIORITY:
        return last
    worst = last
    for k in range(last):
        a, b = sim.running[r, k], sim.running[r, worst]
        if sim.requests[a].rank > sim.requests[b].rank or (sim.requests[a].rank == sim.requests[b].rank and a > b):
            worst = k
    return worst


@part
def admit_next(sim: Sim, r: int, now: float) -> bool:
    """The head of the queue joins the running list and this iteration, if there is room for it."""
    replica, world = sim.replicas[r], sim.world[0]
    i = peek(sim, r)
    if i == NOBODY or replica.running >= world.max_seqs or budget_left(sim, r) <= 0 or sim.requests[i].swapped > 0:
        return False
    found = cached_tokens(sim, r, i, now)
    sim.requests[i].processed += found
    chunk = next_chunk(sim, r, i)
    blocks = blocks_wanted(sim, i, chunk)
    if blocks > replica.free_blocks:
        sim.requests[i].processed -= found
        return False
    pop(sim, r)
    claim(sim, r, i, found, now)
    admit(sim, r, i, blocks, now)
    sim.running[r, replica.running] = i
    replica.running += 1
    join(sim, r, i, chunk)
    if world.order == VTC and sim.requests[i].prompt_done == 0:
        serve(sim, r, i, float(sim.requests[i].prompt))
    return True


@part
def serve_shortest_first(sim: Sim, r: int, now: float) -> None:
    """Shortest remaining prompt first, among half-read and waiting requests alike; waiting shortens a prompt by `aging`."""
    replica, closed, restarts = sim.replicas[r], False, sim.replicas[r].restarts
    while budget_left(sim, r) > 0:
        half_read, waiting = shortest_half_read(sim, r), NOBODY if closed else peek(sim, r)
        if waiting != NOBODY and (half_read == NOBODY or sim.requests[waiting].key < remaining(sim, half_read)):
            closed = not admit_next(sim, r, now)
        elif half_read != NOBODY:
            make_room(sim, r, half_read, 0, now)
            if sim.requests[half_read].blocks > 0:
                join_running(sim, r, half_read)
            closed = closed or replica.restarts != restarts
        else:
            return


@part
def shortest_half_read(sim: Sim, r: int) -> int:
    """The resident request with the least prompt left that has no chunk in this iteration yet."""
    best = NOBODY
    for k in range(sim.replicas[r].running):
        i = sim.running[r, k]
        request = sim.requests[i]
        if request.prompt_done == 0 and request.chunk == 0 and (best == NOBODY or remaining(sim, i) < remaining(sim, best)):
            best = i
    return best


@part
def remaining(sim: Sim, i: int) -> float:
    request = sim.requests[i]
    return request.prompt - request.processed + sim.world[0].aging_tokens_per_s * request.arrival_s
