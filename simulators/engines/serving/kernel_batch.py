"""One iteration: who joins it, what it costs, and what has changed when it ends."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math

from simulators.engines.serving.cost_kernel import outside, step_seconds
from simulators.engines.serving.cost_table import INSIDE, CostTables, StepLoad
from simulators.engines.serving.jit import inlined
from simulators.engines.serving.kernel_memory import release
from simulators.engines.serving.kernel_queue import OUTPUT_WEIGHT, serve
from simulators.engines.serving.state import (
    ITL_BINS,
    ITL_BINS_PER_E,
    ITL_LOW_S,
    LOG_FULL,
    OUTSIDE_GRID,
    SARATHI,
    STATIC,
    VLLM_V0,
    VTC,
    Records,
    Sim,
)


@inlined
def open_batch(replica: Records) -> None:
    replica.batch = replica.tokens = replica.prefill_tokens = replica.decodes = replica.decode_kv = 0
    replica.prefills = replica.prefill_kv_rounded = replica.chunk_sq = replica.chunk_kv = 0


@inlined
def join(sim: Sim, r: int, i: int, chunk: int) -> None:
    """The request takes part in the iteration with `chunk` tokens: prompt tokens, or one to decode and those to verify."""
    replica = sim.replicas[r]
    sim.batch[r, replica.batch] = i
    replica.batch += 1
    sim.requests[i].chunk = chunk
    _count(sim, r, i, 1)


@inlined
def join_steady(sim: Sim, r: int, start: int, stop: int) -> int:
    """Joins the decodes at positions `start`... of the running list as long as none of them needs a block; returns where that ended.

    Nearly all of a simulation is this loop, so its sums are kept in registers.
    """
    replica, size, tokens_each = sim.replicas[r], sim.world[0].block_size, 1 + sim.world[0].spec_k
    count, kv, at = replica.batch, 0, start
    if replica.free_blocks < 1:
        return start
    while at < stop:
        i = sim.running[r, at]
        request = sim.requests[i]
        processed = request.processed
        if request.prompt_done == 0 or processed + tokens_each > request.blocks * size + 1:
            break
        request.chunk = tokens_each
        sim.batch[r, count] = i
        kv += processed
        count += 1
        at += 1
    replica.batch = count
    replica.decodes += at - start
    replica.tokens += (at - start) * tokens_each
    replica.decode_kv += kv
    return at


@inlined
def leave(sim: Sim, r: int, i: int) -> None:
    """Undoes `join`, for a request that is evicted while the batch forms."""
    replica, at = sim.replicas[r], 0
    while sim.batch[r, at] != i:
        at += 1
    replica.batch -= 1
    for k in range(at, replica.batch):
        sim.batch[r, k] = sim.batch[r, k + 1]
    _count(sim, r, i, -1)
    sim.requests[i].chunk = 0


@inlined
def _count(sim: Sim, r: int, i: int, sign: int) -> None:
    """Adds the request to the sums that price the iteration, or takes it out of them."""
    replica, request = sim.replicas[r], sim.requests[i]
    chunk, kv = request.chunk, request.processed
    replica.tokens += sign * chunk
    if request.prompt_done == 1:
        replica.decodes += sign
        replica.decode_kv += sign * kv
        return
    step = sim.world[0].kv_step
    replica.prefills += sign
    replica.prefill_tokens += sign * chunk
    replica.prefill_kv_rounded += sign * ((kv + step - 1) // step * step)
    replica.chunk_sq += sign * chunk * chunk
    replica.chunk_kv += sign * chunk * kv


@inlined
def launch(sim: Sim, tables: CostTables, r: int, now: float) -> None:
    """Prices the batch and starts it: the replica's clock is set to its end."""
    replica, world = sim.replicas[r], sim.world[0]
    load = StepLoad(
        replica.batch,
        replica.tokens,
        replica.decodes,
        replica.decode_kv,
        replica.prefills,
        replica.prefill_kv_rounded,
        replica.chunk_sq,
        replica.chunk_kv,
    )
    if outside(tables, load) != INSIDE:
        world.extrapolated += 1
        if not tables.extrapolate:
            world.status, world.culprit = OUTSIDE_GRID, r
            return
    seconds = step_seconds(tables, load)
    alone = 0.0
    if replica.decodes > 0:
        draft = _draft_seconds(sim, tables, r)
        alone = seconds if replica.prefills == 0 else step_seconds(tables, _decodes_only(replica, replica.tokens - replica.prefill_tokens))
        alone += draft
        seconds += draft
    replica.decode_alone_s = alone
    replica.duration_s = seconds + replica.extra_s
    replica.extra_s = 0.0
    replica.started_s = now
    replica.clock_s = now + replica.duration_s
    replica.busy_s += replica.duration_s
    if world.logging == 1:
        _log(sim, r)
    world.iterations += 1


@inlined
def _decodes_only(replica: Records, tokens: int) -> StepLoad:
    return StepLoad(replica.decodes, tokens, replica.decodes, replica.decode_kv, 0, 0, 0, 0)


@inlined
def _draft_seconds(sim: Sim, tables: CostTables, r: int) -> float:
    """Drafting k tokens, each at `draft_cost` of a plain decode step of the same sequences."""
    world = sim.world[0]
    if world.spec_k == 0:
        return 0.0
    return world.spec_k * world.draft_cost * step_seconds(tables, _decodes_only(sim.replicas[r], sim.replicas[r].decodes))


@inlined
def _log(sim: Sim, r: int) -> None:
    replica, world = sim.replicas[r], sim.world[0]
    row = sim.log[world.iterations]
    row.replica, row.batch_size = r, replica.batch
    row.total_tokens, row.prefill_tokens = replica.tokens, replica.prefill_tokens
    row.duration_s, row.start_s = replica.duration_s, replica.started_s
    if world.iterations + 1 == len(sim.log):
        world.status = LOG_FULL


@inlined
def complete(sim: Sim, r: int, now: float) -> None:
    """The iteration ends: tokens count, prompts end, requests finish, in batch order."""
    replica, world = sim.replicas[r], sim.world[0]
    rejoins = world.policy in (VLLM_V0, SARATHI)  # there the batch was taken off the running list; elsewhere it never left it
    plain = world.spec_k == 0 and world.order != VTC
    previous, alone, running, finished = replica.previous_end_s, replica.decode_alone_s, replica.running, world.finished
    steady = 0
    for k in range(replica.batch):
        i = sim.batch[r, k]
        request = sim.requests[i]
        request.chunk, chunk = 0, request.chunk
        if plain and request.prompt_done == 1 and request.last_token_s == previous and request.processed + 1 < request.total:
            request.processed += 1
            request.decode_s += alone
            request.last_token_s = now
            steady += 1
        elif request.prompt_done == 1:
            _decoded(sim, r, i, chunk, now)
        else:
            _prefilled(sim, r, i, chunk, now)
        if rejoins and request.blocks > 0:
            sim.running[r, running] = i
            running += 1
    replica.running = running
    replica.outstanding -= steady
    if steady > 0:
        count_gaps(sim, now - previous, steady)
    if world.finished > finished and not rejoins:
        drop_absent(sim, r)
    replica.previous_end_s = now
    replica.batch = 0


@inlined
def _decoded(sim: Sim, r: int, i: int, chunk: int, now: float) -> None:
    """One more token, or as many as were accepted."""
    replica, request = sim.replicas[r], sim.requests[i]
    if request.processed >= request.total:  # a finished slot of a static batch computes on
        request.processed += 1
        return
    tokens = min(1 + accepted_drafts(sim, i, chunk - 1), request.total - request.processed)
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


@inlined
def _prefilled(sim: Sim, r: int, i: int, chunk: int, now: float) -> None:
    """A chunk of the prompt is done. The prompt's end yields a token."""
    replica, request = sim.replicas[r], sim.requests[i]
    request.processed += chunk
    replica.outstanding -= chunk
    if math.isnan(request.evicted_s):
        request.prefill_s += replica.duration_s
    elif request.processed >= request.redo_until:
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
    if request.processed == request.total:
        _finish(sim, r, i, now)


@inlined
def _finish(sim: Sim, r: int, i: int, now: float) -> None:
    """The last token is out. The blocks are free again, but for a slot of a static batch, which computes on until all are done."""
    sim.requests[i].finished_s = now
    sim.world[0].finished += 1
    if sim.world[0].policy != STATIC:
        release(sim, r, i)


@inlined
def drop_absent(sim: Sim, r: int) -> None:
    """Closes the gaps of the running list after some of it gave up their blocks."""
    replica, kept = sim.replicas[r], 0
    for k in range(replica.running):
        i = sim.running[r, k]
        if sim.requests[i].blocks > 0:
            sim.running[r, kept] = i
            kept += 1
    replica.running = kept


@inlined
def count_gaps(sim: Sim, gap_s: float, count: int) -> None:
    """Adds gaps between tokens to the histogram: bins of equal ratio, the first and the last open."""
    position = 0
    if gap_s > ITL_LOW_S:
        position = min(int(math.log(gap_s / ITL_LOW_S) * ITL_BINS_PER_E) + 1, ITL_BINS - 1)
    sim.itl_hist[position] += count
    sim.world[0].itl_max_s = max(sim.world[0].itl_max_s, gap_s)


@inlined
def accepted_drafts(sim: Sim, i: int, drafts: int) -> int:
    """Drafted tokens accepted before the first refusal, each with chance alpha (Leviathan et al., ICML 2023).

    The chance is a hash of seed, request and progress, so that a draw does not depend on what other requests do.
    """
    world, accepted = sim.world[0], 0
    while accepted < drafts and uniform(world.seed, i, sim.requests[i].processed * 64 + accepted) < world.spec_alpha:
        accepted += 1
    return accepted


@inlined
def uniform(seed: int, stream: int, draw: int) -> float:
    """A number in [0, 1) from three integers: two rounds of the splitmix64 finaliser."""
    x = _scramble(_scramble(seed * 0x632BE59BD9B4E019 + stream) + draw)
    return ((x >> 11) & 0x1FFFFFFFFFFFFF) / 9007199254740992.0


@inlined
def _scramble(x: int) -> int:
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * -0x40A7B892E31B1A47
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * -0x6B2FB644ECCEEE15
    return x ^ ((x >> 31) & 0x1FFFFFFFF)
