"""What an iteration costs and how much KV cache fits: one class for measured tables, kernel profiles and rooflines.

`tables` is all that the simulator reads; `memory` is what the number of KV blocks follows from. Models are compared and fitted by
replacing tables, never by changing them in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulators.engines.serving.cost_files import profile_tables, read_vidur
from simulators.engines.serving.cost_roofline import Efficiency, roofline_tables
from simulators.engines.serving.cost_table import CostTables, Ints, StepLoad, step_load, step_seconds, vidur_tables
from simulators.engines.serving.gpus import GIB, Gpu, find_gpu
from simulators.engines.serving.models import Model, find_model
from simulators.engines.serving.tokens import expected_tokens
from simulators.errors import InvalidInput

RESERVED_BYTES = 4e9  # a GPU's activations, CUDA graphs and communication buffers
GB = 1e9
# Mean end-to-end error (low, high) against published runs of vLLM 0.19 in the LLMServingSim repository, 300 requests each.
ROOFLINE_BAND = (-0.13, 0.13)
TABLE_BAND = (-0.13, -0.06)
UNREDUCED_BAND = (-0.22, -0.06)  # two GPUs and more, and no profile of their all-reduces


@dataclass(frozen=True)
class Memory:
    """What the replica's GPUs hold."""

    model: Model
    gpu: Gpu
    tp: int = 1
    pp: int = 1
    weights: str = "bf16"
    kv: str = "bf16"

    @property
    def gpus(self) -> int:
        return self.tp * self.pp

    @property
    def kv_bytes_per_token(self) -> float:
        """One copy of a token's keys and values [bytes]."""
        return self.model.kv_bytes_per_token(self.kv)

    @property
    def resident_bytes_per_token(self) -> float:
        """Over all GPUs: with more GPUs than KV heads, heads are kept more than once."""
        return self.kv_bytes_per_token * self.tp / min(self.tp, self.model.kv_heads)

    def num_blocks(self, block_size: int, mem_fraction: float) -> int:
        usable = self.gpu.memory_bytes * mem_fraction * self.gpus
        left = usable - self.model.weight_bytes(self.weights) - RESERVED_BYTES * self.gpus
        blocks = int(left // (self.resident_bytes_per_token * block_size))
        if blocks < 1:
            raise InvalidInput(self.too_small(), field="tp")
        return blocks

    def too_small(self) -> str:
        return (
            f"{self.model.name} {self.weights} needs {self.model.weight_bytes(self.weights) / GB:.0f} GB, and every GPU "
            f"{RESERVED_BYTES / GB:.0f} GB beside; {self.gpus} x {self.gpu.name} has {self.gpu.memory_bytes * self.gpus / GIB:.0f} GiB: "
            f"use tp >= {self._tp_that_fits()}{' or fp8' if self.weights == 'bf16' else ''}."
        )

    def _tp_that_fits(self) -> int:
        """GPUs a stage, doubled until their memory holds the weights."""
        tp = 2 * self.tp
        while self.gpu.memory_bytes * tp * self.pp <= self.model.weight_bytes(self.weights):
            tp *= 2
        return tp


@dataclass(frozen=True, eq=False)
class CostModel:
    """Seconds of an iteration on one replica.

    `name` and `error_band` (low, high: relative error of the mean end-to-end time that models of this kind have shown) belong on every
    result. Make one with `from_vidur`, `from_profiles` or `roofline`.
    """

    tables: CostTables
    name: str
    error_band: tuple[float, float]
    memory: Memory | None = None

    @classmethod
    def from_vidur(
        cls,
        path_npz: str | Path,
        num_layers: int,
        *,
        batching_overhead: float = 0.1,
        allreduce_launch_ms: float = 0.02,
        extrapolate: bool = False,
    ) -> CostModel:
        """Tables of Vidur's predictors (Agrawal et al., MLSys 2024): a .npz with milliseconds a layer and GPU, see `read_vidur`.

        They say nothing of memory, so `num_blocks` has to be given to whoever needs it. Raises InvalidInput for a missing array or a
        wrong shape.
        """
        arrays = read_vidur(Path(path_npz))
        overheads: dict[str, Any] = {"batching_overhead": batching_overhead, "allreduce_launch_ms": allreduce_launch_ms}
        tables = vidur_tables(arrays, num_layers, **overheads, extrapolate=extrapolate)
        return cls(tables, f"Vidur tables, {Path(path_npz).name}", TABLE_BAND)

    @classmethod
    def from_profiles(
        cls, folder: str | Path, model: str | Model, *, tp: int = 1, gpu: str | Gpu | None = None, extrapolate: bool = False
    ) -> CostModel:
        """Kernel profiles in the layout of LLMServingSim: dense.csv, per_sequence.csv, attention.csv (see `profile_tables`).

        Without a profile of all-reduces, tp > 1 is too fast by their time; `fit_cost` can find it. `gpu` serves `num_blocks` only.
        """
        found = find_model(model)
        check_parallel(found, tp, 1)
        tables = profile_tables(Path(folder), found.layers, extrapolate=extrapolate)
        memory = None if gpu is None else Memory(found, find_gpu(gpu), tp)
        return cls(tables, f"kernel profile of {found.name}, TP{tp}", TABLE_BAND if tp == 1 else UNREDUCED_BAND, memory)

    @classmethod
    def roofline(
        cls,
        model: str | Model,
        gpu: str | Gpu,
        *,
        tp: int = 1,
        pp: int = 1,
        weights: str = "bf16",
        kv: str = "bf16",
        micro_batches: int | None = None,
        **efficiency: Any,
    ) -> CostModel:
        """Closed form over data sheet figures (module `cost_roofline`); `efficiency` takes mfu, mbu, mfu_attn, mbu_kv.

        weights: bf16, fp8, int4 (weights only). kv: bf16, fp8. An iteration goes through `pp` stages in `micro_batches` parts (default
        pp). Raises InvalidInput if the weights do not fit, tp does not divide the heads, or a name is unknown.
        """
        found, card = find_model(model), find_gpu(gpu)
        check_parallel(found, tp, pp)
        unknown = sorted(set(efficiency) - set(Efficiency.__dataclass_fields__))
        if unknown:
            raise InvalidInput(f"roofline knows no {', '.join(unknown)}; expected mfu, mbu, mfu_attn or mbu_kv.", field=unknown[0])
        memory = Memory(found, card, tp, pp, weights, kv)
        if found.weight_bytes(weights) >= card.memory_bytes * memory.gpus:
            raise InvalidInput(memory.too_small(), field="tp")
        tables = roofline_tables(found, card, tp, pp, weights, kv, micro_batches or pp, Efficiency(**efficiency))
        layout = f"TP{tp}" + (f" PP{pp}" if pp > 1 else "")
        return cls(tables, f"roofline of {found.name} {weights} on {card.name} {layout}", ROOFLINE_BAND, memory)

    def step_s(self, decode_kv: Sequence[int] | Ints, prefill: Sequence[tuple[int, int]]) -> float:
        """Seconds of one iteration: `decode_kv` tokens in the KV cache of each decoding request, (chunk, KV before it) of each prefill.

        Raises InvalidInput for an empty iteration, a negative number, and a load outside measured tables (naming axis and limit).
        """
        self._check_step(decode_kv, prefill)
        return step_seconds(self.tables, step_load(decode_kv, prefill, self.tables.kv_step))

    @staticmethod
    def _check_step(decode_kv: Sequence[int] | Ints, prefill: Sequence[tuple[int, int]]) -> None:
        if len(decode_kv) + len(prefill) == 0:
            raise InvalidInput("the iteration is empty; expected at least one decode or prefill.")
        if any(kv < 0 for kv in decode_kv):
            raise InvalidInput(f"decode_kv has {min(decode_kv)} tokens; expected 0 or more.", field="decode_kv")
        for chunk, before in prefill:
            if chunk < 1 or before < 0:
                message = f"prefill has a chunk of {chunk} tokens after {before}; expected at least 1 after 0 or more."
                raise InvalidInput(message, field="prefill")

    def num_blocks(self, block_size: int = 16, mem_fraction: float = 0.9) -> int:
        """KV blocks of `block_size` tokens beside the weights and 4 GB a GPU. Raises InvalidInput if none fits or memory is unknown."""
        if block_size < 1:
            raise InvalidInput(f"block_size is {block_size}; expected at least 1 token.", field="block_size")
        if not 0 < mem_fraction <= 1:
            raise InvalidInput(f"mem_fraction is {mem_fraction:g}; expected a share above 0 and up to 1.", field="mem_fraction")
        return self._known_memory("num_blocks").num_blocks(block_size, mem_fraction)

    @property
    def kv_bytes_per_token(self) -> float:
        return self._known_memory("kv_bytes_per_token").kv_bytes_per_token

    def _known_memory(self, wanted: str) -> Memory:
        if self.memory is None:
            raise InvalidInput(f"{self.name} says nothing of model and GPU memory; give {wanted} yourself.", field=wanted)
        return self.memory

    def spec_speedup(self, batch: int, kv_tokens: float, alpha: float, k: int, draft_cost: float) -> float:
        """Tokens a second with speculation over without, for `batch` requests of `kv_tokens` each.

        Verifying reads the KV cache once and puts k + 1 tokens a request through the linear layers; each drafted token costs
        `draft_cost` plain steps. Leviathan et al., ICML 2023, theorem 3.8, with measured instead of constant verification cost.
        """
        if batch < 1:
            raise InvalidInput(f"batch is {batch}; expected at least 1 request.", field="batch")
        plain = step_load([round(kv_tokens)] * batch, [], self.tables.kv_step)
        verify: StepLoad = plain._replace(tokens=batch * (k + 1))
        plain_s, verify_s = step_seconds(self.tables, plain), step_seconds(self.tables, verify)
        return expected_tokens(alpha, k) * plain_s / (verify_s + k * draft_cost * plain_s)

    def with_tables(self, **fields: Any) -> CostModel:
        """The same model with some fields of its tables replaced, for instance extrapolate=True or host_s=."""
        return replace(self, tables=self.tables._replace(**fields))


def check_parallel(model: Model, tp: int, pp: int) -> None:
    """Raises InvalidInput unless tp shares out the heads and pp the layers."""
    if tp < 1 or pp < 1:
        raise InvalidInput(f"tp is {tp} and pp is {pp}; expected at least 1 each.", field="tp")
    if model.q_heads % tp or (model.kv_heads % tp and tp % model.kv_heads):
        message = f"tp {tp} does not divide the {model.q_heads} query heads and {model.kv_heads} KV heads of {model.name}."
        raise InvalidInput(message, field="tp")
    if pp > model.layers:
        raise InvalidInput(f"pp is {pp}; {model.name} has only {model.layers} layers.", field="pp")
