"""The roofline of a decoder on GPUs: every term a number of FLOP or bytes over what the hardware does a second.

Williams, Waterman and Patterson, Roofline (CACM 2009); for transformers Pope et al., Efficiently Scaling Transformer Inference
(MLSys 2023). Per iteration of T tokens on t tensor-parallel GPUs of F FLOP/s and B bytes/s:

    linear layers     max(2 x params x T / (F mfu t), weight bytes / (B mbu t))
    prefill attention 4 x q_heads x head_dim x layers x sum(chunk x (kv + chunk / 2)) / (F16 mfu_attn t)
    decode attention  kv_bytes x sum(kv) / (B mbu_kv min(t, kv_heads))
    all-reduces       2 x layers x (10 us + T x hidden x 2 B x 2 (t - 1) / t / (0.8 NVLink)), for t > 1
    host              1 ms + 4 us x sequences

Attention is computed in BF16 whatever the weights are (F16); FP8 doubles F only for the linear layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulators.engines.serving.cost_table import ROOFLINE, CostTables, Floats, make_tables
from simulators.engines.serving.gpus import Gpu
from simulators.engines.serving.models import Model
from simulators.errors import InvalidInput

ACTIVATION_BYTES = 2
ALLREDUCES_PER_LAYER = 2  # one after attention, one after the MLP
ALLREDUCE_BASE_S = 10e-6
LINK_SHARE = 0.8  # of NVLink's data sheet speed that a ring reaches
HOP_BASE_S = 10e-6
HOST_S = 1e-3
HOST_S_PER_SEQUENCE = 4e-6
NODE_GPUS = 8

Curve = float | Mapping[float, float]
# Measured on A100, for use as `mfu=` and `mbu_kv=`: share of peak FLOP/s by tokens, of peak bytes/s by decoding sequences.
A100_MFU: Mapping[float, float] = {512: 0.68, 1024: 0.68, 2048: 0.75, 4096: 0.75}
A100_MBU_KV: Mapping[float, float] = {16: 0.29, 64: 0.54, 128: 0.69}


@dataclass(frozen=True)
class Efficiency:
    """Share of the data sheet that kernels reach. `mfu` may be a curve {tokens: share}, `mbu_kv` a curve {decoding sequences: share}."""

    mfu: Curve = 0.60
    mbu: float = 0.75
    mfu_attn: float = 0.35
    mbu_kv: Curve = 0.60

    def __post_init__(self) -> None:
        for name in ("mfu", "mbu", "mfu_attn", "mbu_kv"):
            _, shares = knots(getattr(self, name))
            if not (len(shares) and np.all((shares > 0) & (shares <= 1))):
                raise InvalidInput(f"{name} is {getattr(self, name)}; expected a share above 0 and up to 1.", field=name)


def knots(curve: Curve) -> tuple[Floats, Floats]:
    """A curve as sorted knots and values; a constant has one knot."""
    points = sorted(curve.items()) if isinstance(curve, Mapping) else [(0.0, curve)]
    return np.array([x for x, _ in points], dtype=np.float64), np.array([y for _, y in points], dtype=np.float64)


def linear_flops(gpu: Gpu, weights: str) -> float:
    """FLOP/s of the linear layers: FP8 where the GPU multiplies FP8, else BF16 (INT4 and storage-only FP8 are unpacked first)."""
    return gpu.fp8_flops if weights == "fp8" and gpu.fp8_flops else gpu.bf16_flops


def ridge_tokens(gpu: Gpu, model: Model, weights: str = "bf16") -> float:
    """Tokens an iteration must have for a dense model's linear layers to take as long to compute as to read, at data sheet speeds."""
    return linear_flops(gpu, weights) * model.weight_bytes(weights) / model.params / (2 * gpu.hbm_bytes_per_s)


def roofline_tables(model: Model, gpu: Gpu, tp: int, pp: int, weights: str, kv: str, micro_batches: int, share: Efficiency) -> CostTables:
    mfu_tokens, mfu = knots(share.mfu)
    kv_batch, kv_share = knots(share.mbu_kv)
    weight_bytes = model.weight_bytes(weights)
    expert_bytes = weight_bytes * model.expert_params / model.params
    weight_rate = gpu.hbm_bytes_per_s * share.mbu * tp
    pair_flop = 4 * model.q_heads * model.head_dim * model.layers
    return make_tables(
        ROOFLINE,
        num_layers=model.layers,
        linear_s_per_token=2 * model.params_per_token / (linear_flops(gpu, weights) * tp),
        mfu_tokens=mfu_tokens,
        mfu=mfu,
        weight_s=(weight_bytes - expert_bytes) / weight_rate,
        expert_s=expert_bytes / weight_rate,
        expert_share=model.experts_per_token / model.experts,
        attention_s_per_pair=pair_flop / (gpu.bf16_flops * share.mfu_attn * tp),
        kv_s_per_token=model.kv_bytes_per_token(kv) / (gpu.hbm_bytes_per_s * min(tp, model.kv_heads)),
        kv_bandwidth_batch=kv_batch,
        kv_bandwidth_share=kv_share,
        host_s=HOST_S,
        host_s_per_sequence=HOST_S_PER_SEQUENCE,
        **_links(model, gpu, tp, pp, micro_batches),
    )


def _links(model: Model, gpu: Gpu, tp: int, pp: int, micro_batches: int) -> dict[str, Any]:
    """All-reduces of tensor parallelism, hops between the stages of pipeline parallelism (NVLink inside a node, else RDMA)."""
    activation = model.hidden * ACTIVATION_BYTES
    hop_link = gpu.nvlink_bytes_per_s if tp * pp <= NODE_GPUS else gpu.rdma_bytes_per_s
    ring = 2 * (tp - 1) / tp
    return {
        "allreduce_calls": ALLREDUCES_PER_LAYER * model.layers if tp > 1 else 0,
        "allreduce_base_s": ALLREDUCE_BASE_S,
        "allreduce_s_per_token": activation * ring / (LINK_SHARE * gpu.nvlink_bytes_per_s),
        "stages": pp,
        "micro_batches": micro_batches,
        "hop_base_s": HOP_BASE_S,
        "hop_s_per_token": activation / hop_link,
    }
