"""Seconds of one iteration, compiled: the three kinds of `cost_table` evaluated.

Imported only where something is simulated or priced: a process that just shows pages never loads numba.
"""
# mypy: disable-error-code="no-any-return"
# An element of an array is Any to mypy and a float to the compiler.

from __future__ import annotations

import math

from simulators.engines.serving.cost_table import INSIDE, ROOFLINE, VIDUR, CostTables, Floats, Ints, StepLoad
from simulators.engines.serving.jit import compiled, part
from simulators.engines.serving.kernel_pointers import open_costs

# Numbers of `cost_table.AXES`.
TOKENS, DECODES, DECODE_KV, CHUNK, CHUNK_KV, SEQUENCES = 1, 2, 3, 4, 5, 6


@compiled
def step_seconds_of(table: Ints, load: StepLoad) -> float:
    """`step_seconds` for callers from Python; table: of `kernel_pointers.cost_table`."""
    return step_seconds(open_costs(table), load)


@compiled
def outside_of(table: Ints, load: StepLoad) -> int:
    return outside(open_costs(table), load)


@part
def step_seconds(tables: CostTables, load: StepLoad) -> float:
    """Seconds of one iteration. Beyond the last cell of a grid the last two go on in a straight line: ask `outside` first."""
    if tables.kind == VIDUR:
        kernels, reduces = vidur_seconds(tables, load), 0.0
    elif tables.kind == ROOFLINE:
        kernels, reduces = roofline_seconds(tables, load), 0.0
    else:
        kernels, reduces = tables.kernel_scale * profile_seconds(tables, load), allreduce_seconds(tables, float(load.tokens))
    return kernels + reduces + tables.host_s + tables.host_s_per_sequence * load.sequences


@part
def outside(tables: CostTables, load: StepLoad) -> int:
    """The axis (a number of `cost_table.AXES`) on which the load leaves the grid, 0 if none."""
    if tables.kind == ROOFLINE:
        return INSIDE
    if tables.kind == VIDUR:
        return _outside_vidur(tables, load)
    return _outside_profile(tables, load)


@part
def vidur_seconds(tables: CostTables, load: StepLoad) -> float:
    """Vidur's sum of operator times, its additions kept in order (MLSys 2024): milliseconds a layer, times layers."""
    tokens = load.tokens
    decode = prefill = 0.0
    if load.decodes > 0:
        column = _ceil_div(load.decode_kv // load.decodes, tables.kv_step)
        decode = _cell(tables.decode_ms, load.decodes, column)
        if load.decodes > 1:
            decode *= 1 + tables.decode_overhead
    if load.prefills > 0:
        prefill = _cell(tables.prefill_ms, load.prefill_kv_rounded // tables.kv_step, equivalent_chunk(load.chunk_sq))
        if load.prefills > 1:
            prefill *= 1 + tables.prefill_overhead
    attention = _at(tables.attention_ms, tokens) + decode + prefill + _at(tables.allreduce_ms, tokens) + _at(tables.input_norm_ms, tokens)
    return tables.kernel_scale * (((attention + _at(tables.mlp_ms, tokens)) + _at(tables.add_ms, tokens)) * tables.num_layers * 1e-3)


@part
def equivalent_chunk(chunk_sq: int) -> int:
    """One chunk with the quadratic work of all: sqrt of the sum of squares, rounded (no integer lies half-way)."""
    return int(math.sqrt(chunk_sq) + 0.5)


@part
def roofline_seconds(tables: CostTables, load: StepLoad) -> float:
    """Linear layers are bound by FLOP/s or by reading the weights; prefill attention by FLOP/s; decode attention by reading KV.

    With pipeline stages a step's tokens go through in micro-batches; stages stand idle (stages - 1)/(micro_batches + stages - 1) of it.
    """
    tokens = load.tokens / tables.micro_batches
    compute = tables.linear_s_per_token * tokens / curve(tables.mfu_tokens, tables.mfu, tokens)
    touched = 1.0 - (1.0 - tables.expert_share) ** tokens if tables.expert_s > 0.0 else 0.0
    linear = max(compute, tables.weight_s + tables.expert_s * touched)
    prefill = tables.attention_s_per_pair * (load.chunk_kv + load.chunk_sq / 2.0)
    decode = tables.kv_s_per_token * load.decode_kv / curve(tables.kv_bandwidth_batch, tables.kv_bandwidth_share, float(load.decodes))
    kernels = linear + (prefill + decode) / tables.micro_batches
    whole = tables.kernel_scale * kernels + allreduce_seconds(tables, tokens)
    slots = tables.micro_batches + tables.stages - 1.0
    return whole / tables.stages * slots + (tables.stages - 1.0) * (tables.hop_base_s + tables.hop_s_per_token * tokens)


@part
def allreduce_seconds(tables: CostTables, tokens: float) -> float:
    return tables.allreduce_calls * max(tables.allreduce_base_s + tables.allreduce_s_per_token * tokens, tables.allreduce_floor_s)


@part
def profile_seconds(tables: CostTables, load: StepLoad) -> float:
    """Dense layers by tokens, per-sequence layers by sequences, attention of prefills and of decodes each from its own 2-D table.

    Several chunks are priced as one of equal work: chunk = sqrt(sum c^2), KV before it = sum(c x KV) / chunk.
    """
    seconds = line(tables.dense_tokens, tables.dense_s, float(load.tokens))
    seconds += line(tables.sequence_knots, tables.sequence_s, float(load.sequences))
    if load.prefills > 0:
        chunk = math.sqrt(load.chunk_sq)
        seconds += plane(tables.chunk_knots, tables.chunk_kv_knots, tables.chunk_s, chunk, load.chunk_kv / chunk)
    if load.decodes > 0:
        mean_kv = load.decode_kv / load.decodes
        seconds += plane(tables.decode_knots, tables.decode_kv_knots, tables.decode_s, float(load.decodes), mean_kv)
    return seconds


@part
def _outside_vidur(tables: CostTables, load: StepLoad) -> int:
    if load.tokens >= len(tables.mlp_ms):
        return TOKENS
    if load.decodes >= tables.decode_ms.shape[0]:
        return DECODES
    if load.decodes > 0 and _ceil_div(load.decode_kv // load.decodes, tables.kv_step) >= tables.decode_ms.shape[1]:
        return DECODE_KV
    if equivalent_chunk(load.chunk_sq) >= tables.prefill_ms.shape[1]:
        return CHUNK
    return CHUNK_KV if load.prefill_kv_rounded // tables.kv_step >= tables.prefill_ms.shape[0] else INSIDE


@part
def _outside_profile(tables: CostTables, load: StepLoad) -> int:
    if load.tokens > tables.dense_tokens[-1]:
        return TOKENS
    if load.sequences > tables.sequence_knots[-1]:
        return SEQUENCES
    if load.decodes > tables.decode_knots[-1]:
        return DECODES
    if load.decodes > 0 and load.decode_kv > tables.decode_kv_knots[-1] * load.decodes:
        return DECODE_KV
    chunk = math.sqrt(load.chunk_sq)
    if chunk > tables.chunk_knots[-1]:
        return CHUNK
    return CHUNK_KV if load.chunk_kv > tables.chunk_kv_knots[-1] * chunk else INSIDE


@part
def _ceil_div(a: int, b: int) -> int:
    return (a + b - 1) // b


@part
def _at(table: Floats, i: int) -> float:
    last = len(table) - 1
    return table[i] if i <= last else _beyond(table[last], table[last - 1], i - last)


@part
def _cell(table: Floats, row: int, column: int) -> float:
    last = table.shape[0] - 1
    if row <= last:
        return _at(table[row], column)
    return _beyond(_at(table[last], column), _at(table[last - 1], column), row - last)


@part
def _beyond(last: float, before: float, steps: float) -> float:
    return last + (last - before) * steps


@part
def curve(knots: Floats, values: Floats, x: float) -> float:
    """Linear between knots, held at both ends: efficiencies do not grow beyond what was measured."""
    return line(knots, values, min(x, knots[-1]))


@part
def line(knots: Floats, values: Floats, x: float) -> float:
    """Linear between knots; held below the first; beyond the last it goes on as between the last two."""
    if x <= knots[0] or len(knots) == 1:
        return values[0]
    i = _segment(knots, x)
    return values[i] + (values[i + 1] - values[i]) * ((x - knots[i]) / (knots[i + 1] - knots[i]))


@part
def plane(row_knots: Floats, column_knots: Floats, values: Floats, row: float, column: float) -> float:
    """Bilinear interpolation in values[row, column], with the ends of `line`."""
    if row <= row_knots[0] or len(row_knots) == 1:
        return line(column_knots, values[0], column)
    i = _segment(row_knots, row)
    low, high = line(column_knots, values[i], column), line(column_knots, values[i + 1], column)
    return low + (high - low) * ((row - row_knots[i]) / (row_knots[i + 1] - row_knots[i]))


@part
def _segment(knots: Floats, x: float) -> int:
    """The i with knots[i] < x <= knots[i + 1], the last segment for x beyond; by halving."""
    low, high = 0, len(knots) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if knots[middle] < x:
            low = middle
        else:
            high = middle
    return low
