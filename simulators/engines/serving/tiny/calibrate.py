"""What an iteration of the engine costs on this machine now, in the form the simulator reads: kernels measured at a few knots.

The way of Vidur and LLMServingSim, on the engine at hand: linear layers by tokens, attention of decodes by (sequences, KV length), of
prompt chunks by (tokens, KV before), and what remains of real iterations (scheduling, choosing tokens) by sequences. Medians of CPU
time. The whole takes about a second, because a machine that changes its clock makes a long calibration worse, not better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.cost_table import PROFILE, make_tables
from simulators.engines.serving.tiny.language import language
from simulators.engines.serving.tiny.model import TinyLM
from simulators.engines.serving.tiny.paged import PagedAttention, PagedKV, Span
from simulators.engines.serving.tiny.result import Request

if TYPE_CHECKING:
    from simulators.engines.serving.tiny.engine import PagedEngine

Floats = NDArray[np.float64]

TOKENS = (1, 2, 3, 4, 8, 16, 32, 64, 128)  # dense: a single row is slower than three, hence the first knots
SEQUENCES = (1, 2, 4, 8, 16, 32)
DECODES, DECODE_KV = (1, 4, 16, 32), (16, 128, 512)
CHUNKS, CHUNK_KV = (1, 16, 64, 128), (0, 256)
LENGTH_SIGMA = 0.6
REPEATS = 5
STEPS = 11  # real iterations a batch size
# What the mean end-to-end time of a run was off by, on the machine this was written on (tests/labs/test_real_engine.py asserts it).
BAND = (-0.15, 0.15)


def calibrate(engine: PagedEngine) -> CostModel:
    """Cost of an iteration without speculation. Lengths beyond the knots go on in a straight line."""
    dense = dense_s(engine.model)
    decode = np.array([[attention_s(engine.model, engine.block_size, 1, spread(kv, n)) for kv in DECODE_KV] for n in DECODES])
    chunk = np.array([[attention_s(engine.model, engine.block_size, rows, [before]) for before in CHUNK_KV] for rows in CHUNKS])
    steps = step_s(engine)
    bare = np.interp(SEQUENCES, TOKENS, dense) + np.interp(SEQUENCES, DECODES, decode[:, 0])
    tables = make_tables(
        PROFILE,
        num_layers=engine.model.shape.layers,
        extrapolate=True,
        dense_tokens=TOKENS,
        dense_s=dense,
        sequence_knots=SEQUENCES,
        sequence_s=np.maximum(steps - bare, 0),
        chunk_knots=CHUNKS,
        chunk_kv_knots=CHUNK_KV,
        chunk_s=chunk,
        decode_knots=DECODES,
        decode_kv_knots=DECODE_KV,
        decode_s=decode,
    )
    return CostModel(tables, "this machine, measured now", BAND)


def dense_s(model: TinyLM) -> Floats:
    """Seconds of everything but attention, one next token wanted, at TOKENS."""
    return np.array([_median_s(_pass(model, tokens)) for tokens in TOKENS])


def _pass(model: TinyLM, tokens: int) -> Callable[[], object]:
    text, positions, last = torch.zeros(tokens, dtype=torch.long), torch.arange(tokens), torch.tensor([tokens - 1])
    return lambda: model(text, positions, _no_attention, last)


def _no_attention(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q.reshape(len(q), -1)


def spread(mean: int, count: int) -> list[int]:
    """`count` lengths around `mean` (tokens before the new one), lognormal like those of chats: a step reads every sequence's blocks up
    to the longest one's length, so equal lengths would make it look cheaper than it is."""
    normal = [NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)]
    lengths = np.exp(LENGTH_SIGMA * np.array(normal))
    return [max(0, round(length) - 1) for length in lengths * (mean / lengths.mean())]


def attention_s(model: TinyLM, block_size: int, rows: int, before: Sequence[int]) -> float:
    """Seconds of all layers' attention: a sequence each of `rows` new tokens, behind `before` tokens in the cache."""
    shape, sequences = model.shape, len(before)
    blocks = -(-(max(before) + rows) // block_size)
    kv = PagedKV(shape, sequences * blocks, block_size)
    spans = [Span(before[i], rows, range(i * blocks, (i + 1) * blocks)) for i in range(sequences)]
    q = torch.zeros(sequences * rows, shape.q_heads, shape.head_dim)
    k = torch.zeros(sequences * rows, shape.kv_heads, shape.head_dim)

    def attend() -> None:
        attention = PagedAttention(kv, spans)
        for layer in range(shape.layers):
            attention(layer, q, k, k)

    return _median_s(attend)


def step_s(engine: PagedEngine) -> Floats:
    """Seconds of a whole iteration of short decodes, at SEQUENCES, from real runs: median of those without a prompt."""
    text = language().sample(4, np.random.default_rng(0))
    seconds = []
    for count in SEQUENCES:
        log = engine.serve([Request(text, STEPS + 1)] * count, max_seqs=count, token_budget=len(text) * count, prefix_cache=False).log
        seconds.append(float(np.median([record.duration_s for record in log if not record.prefill_tokens])))
    return np.array(seconds)


def _median_s(work: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    with torch.inference_mode():
        work()
        for _ in range(repeats):
            began = time.process_time()
            work()
            times.append(time.process_time() - began)
    return float(np.median(times))


def mean_of(one: CostModel, other: CostModel) -> CostModel:
    """The calibration half-way between one before a run and one after it."""
    names = ("dense_s", "sequence_s", "chunk_s", "decode_s")
    return one.with_tables(**{name: (getattr(one.tables, name) + getattr(other.tables, name)) / 2 for name in names})


def drift(before: CostModel, after: CostModel) -> float:
    """Relative change of the machine's speed between two calibrations: of the time of typical iterations."""
    a, b = (sum(_typical(cost)) for cost in (before, after))
    return b / a - 1


def _typical(cost: CostModel) -> Sequence[float]:
    return [cost.step_s([100] * 16, []), cost.step_s([100], []), cost.step_s([100] * 8, [(64, 0)])]
