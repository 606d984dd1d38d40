"""One iteration: who joins it, what it costs, and what has changed when it ends."""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from simulators.engines.serving.cost_kernel import outside, step_seconds
from simulators.engines.serving.cost_table import INSIDE, CostTables, StepLoad
from simulators.engines.serving.jit import part
from simulators.engines.serving.kernel_memory import blocks_missing
from simulators.engines.serving.state import LOG_FULL, OUTSIDE_GRID, Records, Sim, unsigned


@part
def open_batch(replica: Records) -> None:
    replica.batch = replica.tokens = replica.prefill_tokens = replica.decodes = replica.decode_kv = 0
    replica.prefills = replica.prefill_kv_rounded = replica.chunk_sq = replica.chunk_kv = 0


@part
def join(sim: Sim, r: int, i: int, chunk: int) -> None:
    """The request takes part in the iteration with `chunk` tokens: prompt tokens, or one to decode and those to verify."""
    replica = sim.replicas[r]
    sim.batch[r, replica.batch] = i
    replica.batch += 1
    sim.requests[i].chunk = chunk
    _count(sim, r, i, 1)


@part
def decode_tokens(sim: Sim, i: int) -> int:
    """Tokens of a decode: one, and the drafts to verify as far as the answer goes on."""
    return max(1, min(1 + sim.world[0].spec_k, sim.requests[i].total - sim.requests[i].processed))


@part
def blocks_to_decode(sim: Sim, i: int) -> int:
    """Blocks missing for that. The token to decode from is among the processed ones."""
    return blocks_missing(sim, i, sim.requests[i].processed + decode_tokens(sim, i) - 1)


@part
def join_steady(sim: Sim, r: int, start: int, stop: int) -> int:
    """Joins the decodes at positions `start`... of the running list while a block is free for the next; returns where that ended.

    Nearly all of a simulation is this loop and that of `complete`: what they use is kept in registers, indices are unsigned (which
    spares a look for negative ones), and a block is taken without a branch, because one in sixteen is what a processor guesses wrong.
    """
    replica, size, tokens_each = sim.replicas[r], sim.world[0].block_size, 1 + sim.world[0].spec_k
    requests, running, batch = sim.requests, sim.running[r], sim.batch[r]
    count, kv, at, free = replica.batch, 0, start, replica.free_blocks
    if tokens_each > size:
        return start  # could need two blocks
    while at < stop and free > 0:
        i = running[unsigned(at)]
        request = requests[unsigned(i)]
        processed, blocks = request.processed, request.blocks
        if request.prompt_done == 0 or processed + tokens_each > request.total:
            break
        missing = int(processed + tokens_each - 1 > blocks * size)
        request.blocks = blocks + missing
        request.chunk = tokens_each
        batch[unsigned(count)] = i
        free -= missing
        kv += processed
        count += 1
        at += 1
    replica.batch = count
    replica.free_blocks = free
    replica.decodes += at - start
    replica.tokens += (at - start) * tokens_each
    replica.decode_kv += kv
    return at


@part
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


@part
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


@part
def launch(sim: Sim, tables: CostTables, r: int, now: float) -> None:
    """Prices the batch and starts it: the replica's clock is set to its end."""
    replica, world = sim.replicas[r], sim.world[0]
    load = load_of(replica)
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
        alone = min(alone, seconds) + draft  # measured tables are not quite monotone
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


@part
def load_of(replica: Records) -> StepLoad:
    kv = (replica.decodes, replica.decode_kv, replica.prefills, replica.prefill_kv_rounded)
    return StepLoad(replica.batch, replica.tokens, *kv, replica.chunk_sq, replica.chunk_kv)


@part
def _decodes_only(replica: Records, tokens: int) -> StepLoad:
    return StepLoad(replica.decodes, tokens, replica.decodes, replica.decode_kv, 0, 0, 0, 0)


@part
def _draft_seconds(sim: Sim, tables: CostTables, r: int) -> float:
    """Drafting k tokens, each at `draft_cost` of a plain decode step of the same sequences."""
    world = sim.world[0]
    if world.spec_k == 0:
        return 0.0
    return world.spec_k * world.draft_cost * step_seconds(tables, _decodes_only(sim.replicas[r], sim.replicas[r].decodes))


@part
def _log(sim: Sim, r: int) -> None:
    replica, world = sim.replicas[r], sim.world[0]
    row = sim.log[world.iterations]
    row.replica, row.batch_size = r, replica.batch
    row.total_tokens, row.prefill_tokens = replica.tokens, replica.prefill_tokens
    row.duration_s, row.start_s = replica.duration_s, replica.started_s
    row.waiting, row.free_blocks = replica.waiting, replica.free_blocks
    if world.iterations + 1 == len(sim.log):
        world.status = LOG_FULL
