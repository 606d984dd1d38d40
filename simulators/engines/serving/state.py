"""What the compiled simulation works on: one record a request, one a replica, one for the world. No Python objects inside.

The names of the record fields are the vocabulary of all `kernel_*` modules, so this is the file to read first.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Records = Any  # a structured array; its elements are records, whose fields mypy does not know

NOBODY = -1
unsigned = np.uint64  # for an index known not to be negative

# Codes: the positions in scheduler.POLICIES, ORDERS, PREEMPTIONS.
VLLM_V0, SARATHI, VLLM_V1, STATIC, ORCA, SGLANG, DISAGGREGATED = range(7)
FCFS, PRIORITY, SJF, SRPT, SLO, VTC = range(6)
RECOMPUTE, SWAP = range(2)

ROUND_ROBIN, RANDOM, LEAST_LOADED, LEAST_PENDING, SESSION, BOUNDED_HASH, MAX_PREFIX, COST = range(8)
LRU, FIFO, LFU = range(3)

# Roles of a replica.
BOTH, PREFILL, DECODE = range(3)

# Why the loop returned.
RUNNING, DONE, LOG_FULL, OUTSIDE_GRID, STUCK = range(5)

REQUEST = np.dtype(
    [
        # What every step reads and writes comes first: 64 bytes, one cache line.
        ("processed", "i8"),  # n: tokens whose work is done, the newest output token included
        ("prompt", "i8"),  # P: tokens to process before the next output token; grows when a restart has output to redo
        ("total", "i8"),  # P + D
        ("blocks", "i8"),  # KV blocks held
        ("chunk", "i8"),  # tokens in the iteration that runs, 0 = not in it
        ("prompt_done", "i8"),
        ("last_token_s", "f8"),
        ("decode_s", "f8"),  # breakdown: what its decode iterations would have cost without prefills
        # Outcome.
        ("arrival_s", "f8"),
        ("scheduled_s", "f8"),
        ("first_token_s", "f8"),
        ("finished_s", "f8"),
        ("restarts", "i8"),
        ("replica", "i8"),
        ("cached", "i8"),  # prompt tokens found in the prefix cache at the first admission
        # Breakdown in progress.
        ("prefill_s", "f8"),
        ("prefill_wait_s", "f8"),
        ("preempted_s", "f8"),
        ("transfer_s", "f8"),
        ("evicted_s", "f8"),  # since when lost work is being redone; NaN = none is
        ("redo_until", "i8"),  # processed tokens at which it is redone
        # Queue: a node of a skew heap.
        ("key", "f8"),
        ("tie", "i8"),
        ("left", "i8"),
        ("right", "i8"),
        # What orders and routers look at.
        ("first_prompt", "i8"),  # prompt tokens as given
        ("kept", "i8"),  # tokens whose blocks a cache that keeps answers has at the end
        ("tenant", "i8"),
        ("rank", "f8"),  # minus its priority: smaller goes first
        ("ttft_slo_s", "f8"),
        ("session", "i8"),
        ("work_s", "f8"),  # what is left of the prefill seconds that the router expected of it
        ("swapped", "i8"),  # its KV is in host memory
        ("pinned", "i8"),  # prefix blocks it holds in the cache
        ("hash_from", "i8"),  # its blocks in `Sim.hash_ids`
        ("hash_to", "i8"),
        ("decode_replica", "i8"),
        ("moving", "i8"),  # its KV is on the way to a decode replica
    ],
    align=True,
)

REPLICA = np.dtype(
    [
        ("clock_s", "f8"),  # when its next batch may form; infinite = asleep
        ("dozed_off_s", "f8"),  # when it fell asleep although blocks had just become free, infinite otherwise
        ("retried_s", "f8"),  # when it last tried again at once
        ("roused_at", "i8"),  # number of iterations when it was last roused
        ("role", "i8"),
        ("free_blocks", "i8"),
        ("total_blocks", "i8"),
        ("running", "i8"),  # length of its row of `Sim.running`
        ("resident", "i8"),  # requests that hold blocks
        ("waiting", "i8"),
        ("restarts", "i8"),
        ("outstanding", "i8"),  # tokens still to process of all requests sent here
        ("work_s", "f8"),  # expected seconds of the prefills still to do (router `cost`)
        ("signal", "i8"),  # number of the newest reading of its load
        # The iteration that runs.
        ("batch", "i8"),  # length of its row of `Sim.batch`; 0 = none runs
        ("tokens", "i8"),
        ("prefill_tokens", "i8"),
        ("decodes", "i8"),
        ("decode_kv", "i8"),
        ("prefills", "i8"),
        ("prefill_kv_rounded", "i8"),
        ("chunk_sq", "i8"),
        ("chunk_kv", "i8"),
        ("extra_s", "f8"),  # swaps and loads from cache tiers that the iteration waits for
        ("started_s", "f8"),
        ("duration_s", "f8"),
        ("decode_alone_s", "f8"),  # what its decodes would cost without the prefills
        ("busy_s", "f8"),
        ("link_free_s", "f8"),  # when its outgoing link is free again
    ],
    align=True,
)

WORLD = np.dtype(
    [
        ("policy", "i8"),
        ("order", "i8"),
        ("preempt", "i8"),
        ("max_seqs", "i8"),
        ("token_budget", "i8"),
        ("long_prefill_threshold", "i8"),
        ("max_batch_tokens", "i8"),
        ("chunk_size", "i8"),
        ("block_size", "i8"),
        ("watermark_blocks", "i8"),
        ("reserved_blocks", "i8"),  # static, orca
        ("aging_tokens_per_s", "f8"),
        ("kv_step", "i8"),
        ("seed", "i8"),
        # Routing.
        ("router", "i8"),
        ("signal_delay_s", "f8"),
        ("load_factor", "f8"),
        ("short_replicas", "i8"),  # replicas 0 ... read prompts, the next `long_replicas` those over the threshold, the others decode
        ("long_replicas", "i8"),
        ("long_threshold", "i8"),
        ("routed_short", "i8"),
        ("routed_long", "i8"),
        # Transfers from prefill to decode replicas.
        ("link_s_per_token", "f8"),
        ("link_base_s", "f8"),
        ("overlap", "f8"),  # share of a transfer that can hide behind the prefill
        ("transfers", "i8"),  # root of the heap of requests on their way
        # Swapping.
        ("swap_s_per_block", "f8"),
        # Speculation.
        ("spec_k", "i8"),
        ("spec_alpha", "f8"),
        ("draft_cost", "f8"),
        # Prefix cache.
        ("block_tokens", "i8"),
        ("cache_policy", "i8"),
        ("cache_clock", "i8"),
        ("cache_decode", "i8"),  # keep the blocks of answers too
        ("min_prefix_blocks", "i8"),
        # Progress.
        ("arrived", "i8"),
        ("finished", "i8"),
        ("iterations", "i8"),
        ("extrapolated", "i8"),
        ("moving", "i8"),  # transfers begun
        ("logging", "i8"),
        ("status", "i8"),
        ("culprit", "i8"),
        ("itl_max_s", "f8"),
    ],
    align=True,
)

ITERATION = np.dtype(
    [
        ("replica", "i8"),
        ("batch_size", "i8"),
        ("total_tokens", "i8"),
        ("prefill_tokens", "i8"),
        ("duration_s", "f8"),
        ("start_s", "f8"),
        ("waiting", "i8"),  # requests in the replica's queue once the batch was formed
        ("free_blocks", "i8"),
    ]
)

# A reading of a replica's load, for routers that see it late; the newest of them are kept in a ring.
SIGNAL = np.dtype([("taken_s", "f8"), ("waiting", "i8"), ("outstanding", "i8"), ("work_s", "f8")])
SIGNAL_SAMPLES = 512

# Prefix cache: tiers from fast to slow, the caches of each, their slots (one a block).
TIER = np.dtype([("first_cache", "i8"), ("shared", "i8"), ("load_s", "f8"), ("hits", "i8")])
CACHE = np.dtype(
    [
        ("capacity", "i8"),
        ("used", "i8"),
        ("evictable", "i8"),  # length of its heap
        ("first_slot", "i8"),
        ("first_entry", "i8"),  # of its hash table in `Sim.table`
        ("table_mask", "i8"),
    ]
)
SLOT = np.dtype(
    [
        ("block", "i8"),
        ("uses", "i8"),
        ("stamp", "i8"),  # of the last use, under `fifo` of the insertion
        ("pins", "i8"),
        ("place", "i8"),  # on the heap
        ("inserted_s", "f8"),
    ]
)

# Gaps between tokens are counted in bins one per cent wide, from 10 microseconds to a day; the first and the last bin are open. Bin k
# begins at edge k. Numbers whose first bits agree (exponent and 7 bits of the fraction) lie within a per cent: all but one or two bins are
# ruled out by a look at the table of where such numbers begin.
ITL_LOW_S, ITL_BINS_PER_E, ITL_BINS = 1e-5, 100, 2300
ITL_EDGES_S = np.concatenate([[0.0], ITL_LOW_S * np.exp(np.arange(ITL_BINS) / ITL_BINS_PER_E)])
FIRST_BITS = 64 - (1 + 11 + 7)  # an eight-byte float, moved right by so many bits, is its sign, exponent and those
ITL_FIRST_BITS, _last = (int(bits) for bits in ITL_EDGES_S[[1, -1]].view(np.int64) >> FIRST_BITS)
ITL_FIRST_BIN = np.searchsorted(ITL_EDGES_S, (np.arange(ITL_FIRST_BITS, _last + 1) << FIRST_BITS).view(np.float64), side="right") - 1
ITL_EDGES_S.flags.writeable = ITL_FIRST_BIN.flags.writeable = False


class Sim(NamedTuple):
    """All arrays of one simulation; R replicas, n requests in order of arrival."""

    requests: Records  # REQUEST[n]
    replicas: Records  # REPLICA[R]
    world: Records  # WORLD[1]
    running: Ints  # [R, max_seqs] requests that hold blocks and are not in the batch (all of them under `vllm_v1`)
    batch: Ints  # [R, max_seqs] requests of the iteration, in batch order
    heads: Ints  # [R, tenants] roots of the waiting queues; one tenant unless the order is `vtc`
    service: Floats  # [R, tenants] weighted tokens served
    weights: Floats  # [tenants]
    itl_hist: Ints  # [ITL_BINS]
    itl_edges_s: Floats  # ITL_EDGES_S
    itl_first_bin: Ints  # ITL_FIRST_BIN
    log: Records  # ITERATION[...]
    signals: Records  # SIGNAL[R, SIGNAL_SAMPLES]
    tiers: Records  # TIER[tiers], none without a prefix cache
    caches: Records  # CACHE[caches]
    slots: Records  # SLOT[blocks of all caches]
    heap: Ints  # [blocks of all caches]
    table: Ints  # [entries of all caches]
    hash_ids: Ints
    block_tier: NDArray[np.int8]  # as hash_ids: where a block was found
