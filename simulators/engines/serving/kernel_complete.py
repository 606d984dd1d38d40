"""The end of an iteration: tokens count, prompts end, requests finish or move on."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

import numpy as np

from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_cache import store, unpin
from simulators.engines.serving.kernel_memory import release
from simulators.engines.serving.kernel_pools import start_transfer
from simulators.engines.serving.kernel_queue import OUTPUT_WEIGHT, serve
from simulators.engines.serving.kernel_random import uniform
from simulators.engines.serving.state import (
    FIRST_BITS,
    ITL_BINS,
    ITL_FIRST_BITS,
    ITL_LOW_S,
    PREFILL,
    SARATHI,
    STATIC,
    VLLM_V0,
    VTC,
    Sim,
    unsigned,
)


@part
def complete(sim: Sim, r: int, now: float) -> None:
    """The iteration ends: tokens count, prompts end, requests finish, in batch order."""
    replica, world = sim.replicas[r], sim.world[0]
    gone, at = world.finished + world.moving, 0
    while at < replica.batch:
        last = sim.requests[sim.batch[r, at]].last_token_s
        stop = advance_steady(sim, r, at, last, now)
        if stop > at:
            count_gaps(sim, now - last, stop - at)
        else:
            advance(sim, r, sim.batch[r, at], now)
        at = max(stop, at + 1)
    if not rejoins(sim) and world.finished + world.moving > gone:
        drop_absent(sim, r)
    replica.batch = 0


@part
def rejoins(sim: Sim) -> bool:
    """Vidur's schedulers take the batch off the running list, to be appended again; under the others it never leaves it."""
    return sim.world[0].policy in (VLLM_V0, SARATHI)


@part
def advance_steady(sim: Sim, r: int, start: int, last: float, now: float) -> int:
    """One more token for the requests from position `start` of the batch on that had one at time `last` and go on after this one.

    Returns where that ended. The other of the two inner loops (see `join_steady`); whatever else can happen to a request is left to
    `advance`, so that this loop calls nothing.
    """
    replica, world = sim.replicas[r], sim.world[0]
    requests, batch, running, appends = sim.requests, sim.batch[r], sim.running[r], rejoins(sim)
    alone, at, stop, length = replica.decode_alone_s, start, replica.batch, replica.running
    if world.spec_k > 0 or world.order == VTC:
        return start
    while at < stop:
        i = batch[unsigned(at)]
        request = requests[unsigned(i)]
        processed = request.processed + 1
        if request.prompt_done == 0 or request.last_token_s != last or processed >= request.total:
            break
        request.processed = processed
        request.chunk = 0
        request.decode_s += alone
        request.last_token_s = now
        if appends:
            running[unsigned(length)] = i
            length += 1
        at += 1
    replica.running = length
    replica.outstanding -= at - start
    return at


@part
def advance(sim: Sim, r: int, i: int, now: float) -> None:
    """What the iteration did for one request."""
    request = sim.requests[i]
    chunk = request.chunk
    request.chunk = 0
    if request.prompt_done == 1:
        _decoded(sim, r, i, chunk, now)
    else:
        _prefilled(sim, r, i, chunk, now)
    if rejoins(sim) and request.blocks > 0:
        sim.running[r, sim.replicas[r].running] = i
        sim.replicas[r].running += 1


@part
def _decoded(sim: Sim, r: int, i: int, chunk: int, now: float) -> None:
    """One more token, or as many as were accepted."""
    replica, request = sim.replicas[r], sim.requests[i]
    if request.processed >= request.total:  # a finished slot of a static batch computes on
        request.processed += 1
        return
    tokens = 1 + accepted_drafts(sim, i, chunk - 1)
    request.processed += tokens
    request.decode_s += replica.decode_alone_s
    replica.outstanding -= tokens
    sim.itl_hist[0] += tokens - 1
    count_gaps(sim, now - request.last_token_s, 1)
    request.last_token_s = now
    if sim.world[0].order == VTC:
        serve(sim, r, i, OUTPUT_WEIGHT * tokens)
    if request.processed == request.total:
        _finish(sim, r, i, now)


@part
def _prefilled(sim: Sim, r: int, i: int, chunk: int, now: float) -> None:
    """A chunk of the prompt is done. The prompt's end yields a token."""
    replica, request = sim.replicas[r], sim.requests[i]
    if request.work_s > 0:
        done = request.work_s * chunk / (request.prompt - request.processed)
        request.work_s -= done
        replica.work_s -= done
    request.processed += chunk
    replica.outstanding -= chunk
    if math.isnan(request.evicted_s):
        request.prefill_s += replica.duration_s
    elif request.processed >= min(request.redo_until, request.prompt):  # a prompt cut by Vidur's restart ends before all is redone
        request.preempted_s += now - request.evicted_s
        request.evicted_s = math.nan
    if request.processed != request.prompt:
        return
    request.prompt_done = 1
    request.processed += 1
    replica.outstanding -= 1
    if math.isnan(request.first_token_s):
        request.first_token_s = now
        request.prefill_wait_s = now - request.scheduled_s - request.prefill_s - request.preempted_s
    else:
        count_gaps(sim, now - request.last_token_s, 1)
    request.last_token_s = now
    if len(sim.tiers) > 0:
        unpin(sim, r, i)
        store(sim, r, i, request.first_prompt, now)
    if request.processed == request.total:
        _finish(sim, r, i, now)
    elif replica.role == PREFILL:
        start_transfer(sim, r, i, now)


@part
def _finish(sim: Sim, r: int, i: int, now: float) -> None:
    """The last token is out. The blocks are free again, but for a slot of a static batch, which computes on until all are done."""
    sim.requests[i].finished_s = now
    sim.world[0].finished += 1
    if sim.world[0].cache_decode == 1:
        store(sim, r, i, sim.requests[i].kept, now)
    if sim.world[0].policy != STATIC:
        release(sim, r, i)


@part
def drop_absent(sim: Sim, r: int) -> None:
    """Closes the gaps of the running list after some of it gave up their blocks."""
    replica, kept = sim.replicas[r], 0
    for k in range(replica.running):
        i = sim.running[r, k]
        if sim.requests[i].blocks > 0 and sim.requests[i].moving == 0:
            sim.running[r, kept] = i
            kept += 1
    replica.running = kept


@part
def count_gaps(sim: Sim, gap_s: float, count: int) -> None:
    """Adds gaps between tokens to the histogram. Its bins are a per cent wide, but a logarithm a batch would cost more than pricing it."""
    position = 0
    if gap_s >= ITL_LOW_S:
        first_bits = int(np.float64(gap_s).view(np.int64) >> FIRST_BITS) - ITL_FIRST_BITS
        position = sim.itl_first_bin[unsigned(min(first_bits, len(sim.itl_first_bin) - 1))]
        while position < ITL_BINS - 1 and gap_s >= sim.itl_edges_s[unsigned(position + 1)]:
            position += 1
    sim.itl_hist[unsigned(position)] += count
    sim.world[0].itl_max_s = max(sim.world[0].itl_max_s, gap_s)


@part
def accepted_drafts(sim: Sim, i: int, drafts: int) -> int:
    """Drafted tokens accepted before the first refusal, each with chance alpha (Leviathan et al., ICML 2023).

    The chance is a hash of seed, request and progress, so that a draw does not depend on what other requests do.
    """
    world, accepted = sim.world[0], 0
    while accepted < drafts and uniform(world.seed, i, sim.requests[i].processed * 64 + accepted) < world.spec_alpha:
        accepted += 1
    return accepted
