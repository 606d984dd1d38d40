"""What an iteration of the engine costs on this machine now, in the form the simulator reads: kernels measured at a few knots.

The way of Vidur and LLMServingSim, on the engine at hand: linear layers by tokens, attention of decodes by (sequences, KV length), of
prompt chunks by (tokens, KV before), and what remains of real iterations (scheduling, choosing tokens) by sequences. Medians of CPU
time. The whole takes about a second, because a machine that changes its clock makes a long calibration worse, not better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.cost_table import PROFILE, make_tables, step_load, step_seconds
from simulators.engines.serving.tiny.language import language
from simulators.engines.serving.tiny.model import TinyLM
from simulators.engines.serving.tiny.paged import PagedAttention, PagedKV, Span
from simulators.engines.serving.tiny.result import Request
from simulators.engines.steps import finish

if TYPE_CHECKING:
    from simulators.engines.serving.tiny.engine import PagedEngine

Floats = NDArray[np.float64]

TOKENS = (1, 2, 3, 8, 16, 64, 128)  # dense: a single row is slower than three, hence the first knots
SEQUENCES = (1, 4, 16)
DECODES, DECODE_KV = (1, 4, 16), (16, 128, 384)
CHUNKS, CHUNK_KV = (1, 16, 64, 128), (0, 256)
LENGTH_SIGMA = 0.6
REPEATS = 5
STEPS = 11  # real iterations a batch size
DRAFT_PROMPT, DRAFT_STEPS = 24, 6
# What the mean end-to-end time of a run was off by, on the machine this was written on (tests/labs/test_real_engine.py asserts it).
BAND = (-0.15, 0.15)


def calibrate(engine: PagedEngine) -> CostModel:
    """Cost of an iteration without speculation. Lengths beyond the knots go on in a straight line."""
    return finish(calibrate_steps(engine))


def calibrate_steps(engine: PagedEngine) -> Generator[float, None, CostModel]:
    """`calibrate` for whoever has to stay interruptible: yields the share done every few milliseconds."""
    model, size = engine.model, engine.block_size
    jobs: list[Callable[[], float]] = [partial(dense_s, model, tokens) for tokens in TOKENS]
    jobs += [partial(attention_s, model, size, 1, spread(kv, n)) for n in DECODES for kv in DECODE_KV]
    jobs += [partial(attention_s, model, size, rows, [before]) for rows in CHUNKS for before in CHUNK_KV]
    jobs += [partial(step_s, engine, count) for count in SEQUENCES]
    seconds: list[float] = []
    for job in jobs:
        seconds.append(job())
        yield len(seconds) / len(jobs)
    ends = np.cumsum([len(TOKENS), len(DECODES) * len(DECODE_KV), len(CHUNKS) * len(CHUNK_KV)])
    return _cost(model.shape.layers, *np.split(np.array(seconds), ends))


def _cost(layers: int, dense: Floats, decode: Floats, chunk: Floats, steps: Floats) -> CostModel:
    decode = decode.reshape(len(DECODES), -1)
    bare = np.interp(SEQUENCES, TOKENS, dense) + np.interp(SEQUENCES, DECODES, decode[:, 0])
    tables = make_tables(
        PROFILE,
        num_layers=layers,
        extrapolate=True,
        dense_tokens=TOKENS,
        dense_s=dense,
        sequence_knots=SEQUENCES,
        sequence_s=np.maximum(steps - bare, 0),
        chunk_knots=CHUNKS,
        chunk_kv_knots=CHUNK_KV,
        chunk_s=chunk.reshape(len(CHUNKS), -1),
        decode_knots=DECODES,
        decode_kv_knots=DECODE_KV,
        decode_s=decode,
    )
    return CostModel(tables, "this machine, measured now", BAND)


def dense_s(model: TinyLM, tokens: int) -> float:
    """Seconds of everything but attention for `tokens` tokens, one next token wanted."""
    text, positions, last = torch.zeros(tokens, dtype=torch.long), torch.arange(tokens), torch.tensor([tokens - 1])
    return _median_s(lambda: model(text, positions, _no_attention, last))


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


def step_s(engine: PagedEngine, sequences: int) -> float:
    """Seconds of a whole iteration of short decodes, from a real run: median of those without a prompt."""
    text = language().sample(4, np.random.default_rng(0))
    requests = [Request(text, STEPS + 1)] * sequences
    log = engine.serve(requests, max_seqs=sequences, token_budget=len(text) * sequences, prefix_cache=False).log
    return float(np.median([record.duration_s for record in log if not record.prefill_tokens]))


def draft_cost(engine: PagedEngine, cost: CostModel, kind: str, k: int, sequences: int) -> float:
    """What `simulate` calls so: time of one guessed token for each of `sequences`, in plain iterations of the target.

    From real iterations with `k` guesses each: what they take beyond the verification that `cost` knows. Scheduling, tables and the
    choice among guesses are in it, so it is not nothing for an n-gram table.
    """
    text = language().sample(DRAFT_PROMPT, np.random.default_rng(1))
    requests = [Request(text, 1 + DRAFT_STEPS * (k + 1))] * sequences
    budget = max(DRAFT_PROMPT, k + 1) * sequences
    log = engine.serve(requests, max_seqs=sequences, token_budget=budget, prefix_cache=False, spec={"kind": kind, "k": k}).log
    full = [record for record in log if not record.prefill_tokens and record.tokens == sequences * (k + 1)]
    if not full:
        return 0.0  # a table that never knows how to go on costs nothing
    kv = round(float(np.median([record.decode_kv for record in full])) / sequences)
    plain = step_load([kv] * sequences, [])
    plain_s, verify_s = (step_seconds(cost.tables, load) for load in (plain, plain._replace(tokens=sequences * (k + 1))))
    return max(0.0, float(np.median([record.duration_s for record in full])) - verify_s) / (k * plain_s)


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
