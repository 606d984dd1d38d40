"""What the safety path adds to an answer of this fleet: sampled over the day's load, models and utilisations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulators.engines.serving.safety import (
    PATHS,
    Safety,
    checked_tokens,
    expected_exposure_tokens,
    exposure_tokens,
    first_visible_s,
)
from simulators.lab import Context
from simulators.llm_serving._fleet_params import FleetDayParams
from simulators.llm_serving._fleet_pools import RTT_S, FleetDay, Surface

Floats = npt.NDArray[np.float64]
ANSWERS = 2_000
CHECK_SIGMA = 0.3  # of the log of the input check's time
UNSAFE_SHARE = 0.01


class Parts(NamedTuple):
    """Seconds until a mean answer shows its first token, in order."""

    before: float  # input check in front of the prefill
    prefill: float
    input_after: float  # what the input check takes beyond the prefill
    held: float  # tokens held back
    output_check: float

    @property
    def total(self) -> float:
        return sum(self)


@dataclass(frozen=True)
class SafetyReport:
    """`added_s`: seconds to the first visible token beyond the prefill, of sampled answers; `waterfalls` by path."""

    typical: Safety
    ttft_s: float
    added_s: Floats
    waterfalls: dict[str, Parts]
    shown_tokens: float
    shown_expected_tokens: float
    checks_rps: float
    checked_tokens: int


def safety_report(ctx: Context, fleet: FleetDay, curves: tuple[Surface, ...], params: FleetDayParams, remote: float) -> SafetyReport:
    prefill_s, itl_s = _sampled(ctx, fleet, curves, remote)
    rng = ctx.rng("fleet/safety")
    checks_s = Safety().input_s * rng.lognormal(0.0, CHECK_SIGMA, ANSWERS)
    typical = replace(Safety(), itl_s=float(itl_s.mean()))
    added = [
        first_visible_s(
            params.safety, replace(typical, input_s=float(check), itl_s=float(gap)), float(first), params.answer_tokens, params.window
        )
        - first
        for check, gap, first in zip(checks_s, itl_s, prefill_s, strict=True)
    ]
    mean_s = float(prefill_s.mean())
    shape = (params.answer_tokens, params.window)
    windows = -(-params.answer_tokens // params.window) if params.safety in {"streaming", "optimistic"} else 1
    return SafetyReport(
        typical=typical,
        ttft_s=mean_s,
        added_s=np.array(added),
        waterfalls={path: waterfall(path, typical, mean_s, *shape) for path in PATHS},
        shown_tokens=exposure_tokens(params.safety, typical, *shape),
        shown_expected_tokens=expected_exposure_tokens(params.safety, typical, *shape),
        checks_rps=windows * fleet.queries * fleet.retries / len(fleet.pools[0].load_rps),
        checked_tokens=checked_tokens(*shape, cumulative=params.recheck) if windows > 1 else params.answer_tokens,
    )


def waterfall(path: str, safety: Safety, prefill_s: float, answer_tokens: int, window: int) -> Parts:
    serial, shown_at_once = path == "serial", path == "optimistic"
    held = {"streaming": min(window, answer_tokens), "optimistic": 0}.get(path, answer_tokens) * safety.itl_s
    after = 0.0 if serial or shown_at_once else max(safety.input_s - prefill_s, 0.0)
    return Parts(safety.input_s if serial else 0.0, prefill_s, after, held, 0.0 if shown_at_once else safety.output_s)


def _sampled(ctx: Context, fleet: FleetDay, curves: tuple[Surface, ...], remote: float) -> tuple[Floats, Floats]:
    """Seconds to the first token and between tokens of answers drawn from the day: pool by load, second by load."""
    rng = ctx.rng("fleet/answers")
    weight = np.array([part.load_rps.sum() for part in fleet.pools])
    counts = rng.multinomial(ANSWERS, weight / weight.sum())
    by_name = dict(zip(("mini", "full", "reasoning"), curves, strict=True))
    first, gap = [], []
    for part, count in zip(fleet.pools, counts, strict=True):
        seconds = np.searchsorted(np.cumsum(part.load_rps), rng.random(count) * part.load_rps.sum())
        ttft, itl = by_name[part.pool.name].at(part.utilisation[np.minimum(seconds, len(part.load_rps) - 1)])
        first.append(ttft)
        gap.append(itl)
    travel = RTT_S * (rng.random(ANSWERS) < remote)
    return np.concatenate(first) + travel, np.concatenate(gap)
