"""GPUs as a cost model sees them. Figures from the makers' public data sheets: dense arithmetic (no sparsity), links one way."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.engines.serving.names import find_by_name

TERA, GIGA, GIB = 1e12, 1e9, 2**30


@dataclass(frozen=True)
class Gpu:
    """`fp8_flops` is 0 where FP8 is storage only: weights are then unpacked and multiplied in BF16."""

    name: str
    bf16_flops: float
    fp8_flops: float
    hbm_bytes_per_s: float
    memory_bytes: float
    nvlink_bytes_per_s: float
    rdma_bytes_per_s: float
    pcie_bytes_per_s: float
    power_w: float


def _gpu(name: str, bf16: float, fp8: float, hbm: float, gib: float, nvlink: float, rdma: float, pcie: float, watts: float) -> Gpu:
    """From the units of the table: TFLOP/s, TFLOP/s, TB/s, GiB, GB/s, GB/s, GB/s, W."""
    return Gpu(name, bf16 * TERA, fp8 * TERA, hbm * TERA, gib * GIB, nvlink * GIGA, rdma * GIGA, pcie * GIGA, watts)


# L40S has no NVLink: its GPUs talk over PCIe.
GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        _gpu("A100", 312, 0, 2.039, 80, 300, 25, 32, 400),
        _gpu("H100", 989, 1978, 3.35, 80, 450, 50, 64, 700),
        _gpu("H200", 989, 1978, 4.8, 141, 450, 50, 64, 700),
        _gpu("B200", 2250, 4500, 7.7, 180, 900, 100, 128, 1000),
        _gpu("L40S", 362, 733, 0.864, 45, 32, 50, 32, 350),
    )
}


def find_gpu(name: str | Gpu) -> Gpu:
    """By name, with or without "SXM", in any case. Raises InvalidInput with the known names."""
    return name if isinstance(name, Gpu) else find_by_name("gpu", name.lower().replace("sxm", ""), GPUS)
