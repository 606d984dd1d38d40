"""What one iteration costs, as plain arrays: the interface between cost models and the simulator's compiled loop.

A cost model fills `CostTables`; the loop describes an iteration by the handful of sums in `StepLoad`; `step_seconds` turns the two into
seconds. The model's own `step_s` and the loop call the very same compiled function (`cost_kernel`), so they agree to the last bit.

Three kinds: VIDUR (tables of Vidur, MLSys 2024, looked up exactly as that simulator does), ROOFLINE (closed form over FLOP/s and bytes/s)
and PROFILE (measured kernels, interpolated linearly in one or two variables).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VIDUR, ROOFLINE, PROFILE = 0, 1, 2

INSIDE = 0  # else the number of the axis that a load leaves
AXES = (
    "inside the grid",
    "tokens in the iteration",
    "decoding sequences",
    "mean KV length of the decodes (tokens)",
    "prefill chunk (tokens)",
    "KV length before the prefill chunk (tokens)",
    "sequences in the iteration",
)


class StepLoad(NamedTuple):
    """One iteration, as far as its cost goes. All integers; a request is a prefill until its prompt is done, then a decode."""

    sequences: int
    tokens: int  # through the linear layers: chunks, plus one a decode (k + 1 where k drafted tokens are verified)
    decodes: int
    decode_kv: int  # sum over decodes of the KV tokens they read
    prefills: int
    prefill_kv_rounded: int  # sum over prefills of the KV before the chunk, each rounded up to `CostTables.kv_step`
    chunk_sq: int  # sum over prefills of chunk^2
    chunk_kv: int  # sum over prefills of chunk x KV before it


class CostTables(NamedTuple):
    """Everything `step_seconds` reads. Make one with `make_tables`, which fills the fields that a kind has no use for.

    Seconds = `kernel_scale` x kernels + all-reduces + `host_s` + `host_s_per_sequence` x sequences. VIDUR keeps its all-reduces among
    the kernels, where its rounding has them.
    """

    kind: int
    extrapolate: bool  # outside the grid: False refuses, True goes on in a straight line and is counted
    kernel_scale: float
    host_s: float
    host_s_per_sequence: float
    # All-reduces of tensor parallelism (ROOFLINE, PROFILE): calls x max(base + tokens x per_token, floor).
    allreduce_calls: float
    allreduce_base_s: float
    allreduce_s_per_token: float
    allreduce_floor_s: float
    # VIDUR: milliseconds a layer; 1-D tables by tokens, their rounding already applied (see `vidur_tables`).
    num_layers: float  # of every kind: a transfer layer by layer hides behind the prefill
    kv_step: int
    decode_overhead: float
    prefill_overhead: float
    attention_ms: Floats  # projections, RoPE and KV save
    allreduce_ms: Floats
    input_norm_ms: Floats
    mlp_ms: Floats
    add_ms: Floats
    decode_ms: Floats  # [decodes, ceil(mean KV / kv_step)]
    prefill_ms: Floats  # [KV rounded up / kv_step, equivalent chunk]
    # ROOFLINE: `linear_s_per_token` and `kv_s_per_token` are at full FLOP/s and bytes/s; the curves hold the share that is reached.
    linear_s_per_token: float  # 2 x active parameters / (F x t)
    mfu_tokens: Floats  # knots of the curve below; one knot = constant
    mfu: Floats
    weight_s: float  # bytes that every token reads / (B x mbu x t)
    expert_s: float  # bytes of all experts / (B x mbu x t), 0 for a dense model
    expert_share: float  # experts a token uses / experts: a step of T tokens touches 1 - (1 - share)^T of them
    attention_s_per_pair: float  # 4 x q_heads x head_dim x L / (F x mfu_attn x t), a pair being (query token, KV token)
    kv_s_per_token: float  # kv_bytes / (B x min(t, kv_heads))
    kv_bandwidth_batch: Floats
    kv_bandwidth_share: Floats
    stages: float  # pipeline stages pp
    micro_batches: float
    hop_base_s: float
    hop_s_per_token: float
    # PROFILE: seconds of all layers together at the knots.
    dense_tokens: Floats
    dense_s: Floats
    sequence_knots: Floats
    sequence_s: Floats
    chunk_knots: Floats
    chunk_kv_knots: Floats
    chunk_s: Floats  # [chunk, KV before it]
    decode_knots: Floats
    decode_kv_knots: Floats
    decode_s: Floats  # [decodes, mean KV]


MATRICES = {"decode_ms", "prefill_ms", "chunk_s", "decode_s"}
ONES = {"kernel_scale", "stages", "micro_batches", "num_layers"}


def make_tables(kind: int, **fields: Any) -> CostTables:
    """`CostTables` of one exact set of types, whatever the numbers came as, so that the loop is compiled once for all kinds."""
    unknown = sorted(set(fields) - set(CostTables._fields))
    if unknown:
        raise InvalidInput(f"cost tables have no field {', '.join(unknown)}.")
    types = {name: str(kind) for name, kind in CostTables.__annotations__.items()}
    made = {name: _field(name, types[name], fields.get(name)) for name in CostTables._fields if name != "kind"}
    return CostTables(kind=int(kind), **made)


def _field(name: str, kind: str, value: Any) -> Any:
    if "Floats" in kind:
        shape = (1, 1) if name in MATRICES else (1,)
        filler = np.ones(shape) if name in {"mfu", "kv_bandwidth_share"} else np.zeros(shape)
        return filler if value is None else np.array(value, dtype=np.float64, order="C")
    if "bool" in kind:
        return bool(value)
    if "int" in kind:
        return 64 if value is None else int(value)
    return (1.0 if name in ONES else 0.0) if value is None else float(value)


def vidur_tables(
    arrays: Mapping[str, Floats],
    num_layers: int,
    *,
    batching_overhead: float = 0.1,
    allreduce_launch_ms: float = 0.02,
    allreduce_floor_ms: float = 0.0,
    **fields: Any,
) -> CostTables:
    """Tables of Vidur's predictors, by name, summed ahead in Vidur's own order of additions, so that no bit of a duration changes.

    1-D tables are indexed by tokens; all but the KV save are looked up at the tokens rounded up to 8. Tables that know no all-reduce
    (absent or all zero: tensor parallelism 1) get none, and no launch time for it either. `fields` go to `make_tables`.
    """
    tokens = np.arange(len(arrays["attn_pre_proj"]))
    rounded = np.minimum((tokens + 7) // 8 * 8, tokens[-1])

    def at8(name: str) -> Floats:
        return np.asarray(np.asarray(arrays[name], dtype=np.float64)[rounded])

    reduces = "all_reduce" in arrays and bool(np.any(arrays["all_reduce"]))
    allreduce = np.maximum(at8("all_reduce") + allreduce_launch_ms, allreduce_floor_ms) if reduces else np.zeros(len(tokens))
    return make_tables(
        VIDUR,
        num_layers=num_layers,
        kv_step=64,
        decode_overhead=batching_overhead,
        prefill_overhead=batching_overhead,
        attention_ms=((at8("attn_pre_proj") + at8("attn_post_proj")) + at8("attn_rope")) + arrays["attn_kv_cache_save"],
        allreduce_ms=allreduce,
        input_norm_ms=at8("input_layernorm"),
        mlp_ms=(((at8("mlp_up_proj") + at8("mlp_down_proj")) + at8("mlp_act")) + allreduce) + at8("post_attention_layernorm"),
        add_ms=at8("add"),
        decode_ms=arrays["attn_decode__bs_x_kv64"],
        prefill_ms=arrays["attn_prefill__kv64_x_chunk"],
        **fields,
    )


def step_load(decode_kv: Sequence[int] | Ints, prefill: Sequence[tuple[int, int]], kv_step: int = 64) -> StepLoad:
    """The sums of an iteration: KV tokens of each decode, (chunk, KV before it) in tokens of each prefill."""
    kv = np.asarray(decode_kv, dtype=np.int64).reshape(-1)
    chunk, before = np.asarray(prefill, dtype=np.int64).reshape(-1, 2).T
    return StepLoad(
        sequences=len(kv) + len(chunk),
        tokens=len(kv) + int(chunk.sum()),
        decodes=len(kv),
        decode_kv=int(kv.sum()),
        prefills=len(chunk),
        prefill_kv_rounded=int(((before + kv_step - 1) // kv_step * kv_step).sum()),
        chunk_sq=int((chunk * chunk).sum()),
        chunk_kv=int((chunk * before).sum()),
    )


def step_seconds(tables: CostTables, load: StepLoad) -> float:
    """Seconds of one iteration, by the compiled function that the simulator uses. InvalidInput names the axis a load leaves."""
    from simulators.engines.serving import cost_kernel, kernel_pointers

    table = kernel_pointers.cost_table(tables)
    axis = int(cost_kernel.outside_of(table, load))
    if axis != INSIDE and not tables.extrapolate:
        raise InvalidInput(outside_message(tables, axis))
    return float(cost_kernel.step_seconds_of(table, load))


def outside_axis(tables: CostTables, load: StepLoad) -> int:
    """The axis (a number of `AXES`) on which a load leaves the tables, INSIDE if on none."""
    from simulators.engines.serving import cost_kernel, kernel_pointers

    return int(cost_kernel.outside_of(kernel_pointers.cost_table(tables), load))


def axis_limit(tables: CostTables, axis: int) -> float:
    """The last value of an axis (a number of `AXES`) that the tables cover."""
    if tables.kind == VIDUR:
        decodes, decode_kv = tables.decode_ms.shape
        prefill_kv, chunk = tables.prefill_ms.shape
        step = tables.kv_step
        limits = (np.inf, len(tables.mlp_ms) - 1, decodes - 1, (decode_kv - 1) * step, chunk - 1, (prefill_kv - 1) * step, np.inf)
        return float(limits[axis])
    knots = (
        tables.dense_tokens,
        tables.decode_knots,
        tables.decode_kv_knots,
        tables.chunk_knots,
        tables.chunk_kv_knots,
        tables.sequence_knots,
    )
    return float(knots[axis - 1][-1])


def outside_message(tables: CostTables, axis: int) -> str:
    return (
        f"the cost tables end at {axis_limit(tables, axis):g} on the axis '{AXES[axis]}'; set extrapolate=True to go on in a straight line"
    )
