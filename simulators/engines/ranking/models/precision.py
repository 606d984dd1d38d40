"""Whether this machine gains from bfloat16."""

from __future__ import annotations

import time
from functools import cache
from typing import Literal

import torch

Bf16 = Literal["auto", "on", "off"]
_SIDE, _RUNS = 333, 3
_WORTH_IT = 1.5  # half precision must be this much faster, so that the noise of a clock does not decide
_ENOUGH_MACS = 5e7  # multiply-adds a step below which casting costs more than it saves


def use_bf16(wish: Bf16 | bool, macs_per_step: float) -> bool:
    """Whether the dense step runs in bfloat16; "auto": where the machine is faster at it and the step large enough."""
    if wish not in ("auto", "on", "off", True, False):
        raise ValueError(f"bf16 is {wish!r}; expected auto, on or off.")
    return faster() and macs_per_step >= _ENOUGH_MACS if wish == "auto" else wish in ("on", True)


@cache
def faster() -> bool:
    """Probed once a process: a 4,096 x 333 by 333 x 333 product in both precisions."""
    single, half = (_best_s(kind) for kind in (torch.float32, torch.bfloat16))
    return half * _WORTH_IT < single


def _best_s(kind: torch.dtype) -> float:
    rows, weights = torch.ones(4096, _SIDE, dtype=kind), torch.ones(_SIDE, _SIDE, dtype=kind)
    taken = []
    for _ in range(_RUNS):
        start = time.process_time()
        torch.mm(rows, weights)
        taken.append(time.process_time() - start)
    return min(taken)
