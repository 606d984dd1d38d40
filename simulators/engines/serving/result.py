"""What a simulation measured: times of every request, and the usual figures made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.serving.state import ITL_EDGES_S
from simulators.engines.serving.trace import Trace
from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BREAKDOWN = ("queue", "prefill", "prefill_wait", "decode", "interference", "preempted", "transfer")
PERCENTILES = (50, 90, 95, 99)
Figures = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class SimResult:
    """n requests in the order of the trace; all times are seconds on the trace's clock.

    scheduled_s, first_token_s, finished_s: float64[n]; the start of the first iteration that held the request, and the ends of those
        that yielded its first and its last token.
    restarts, replica, cached_tokens: int64[n]; evictions, where the prompt was read, prompt tokens found in the prefix cache.
    decode_replica: int64[n], where the answer was written: another replica only after a transfer.
    breakdown: float64[n, 7] seconds, columns `breakdown_names`, disjoint, together finish - arrival. queue: never scheduled yet; prefill:
        iterations with a chunk of its own prompt; prefill_wait: admitted, prompt unfinished, not in the batch; decode: what its decode
        iterations would have cost without any prefill in them; interference: the rest from first token to finish; preempted: from an
        eviction until the lost work is redone; transfer: from a prefill to a decode replica.
    busy_s: float64[R], time spent in iterations. makespan_s: from the first arrival to the last finish.
    itl_hist, itl_edges_s: gaps between tokens, counted in bins one per cent wide (int64[b], float64[b + 1]).
    iteration_log: one record an iteration (replica, batch_size, total_tokens, prefill_tokens, duration_s, start_s; waiting and
        free_blocks of its replica as it starts), or None.
    extrapolated: iterations outside the cost tables, possible only where the cost model allows it. error_band: of the cost model.
    blocks_free, blocks_total: int64[R] at the end. cache_hits: int64[tiers], prefix blocks found in each tier, fastest first.
    """

    trace: Trace
    scheduled_s: Floats
    first_token_s: Floats
    finished_s: Floats
    restarts: Ints
    replica: Ints
    decode_replica: Ints
    cached_tokens: Ints
    breakdown: Floats
    iterations: int
    busy_s: Floats
    itl_hist: Ints
    itl_max_s: float
    iteration_log: Any
    extrapolated: int
    error_band: Any
    blocks_free: Ints
    blocks_total: Ints
    cache_hits: Ints
    breakdown_names: tuple[str, ...] = BREAKDOWN

    @property
    def makespan_s(self) -> float:
        return float(self.finished_s.max() - self.trace.arrival_s[0])

    @cached_property
    def ttft_s(self) -> Floats:
        """Time to first token."""
        return np.asarray(self.first_token_s - self.trace.arrival_s)

    @cached_property
    def tpot_s(self) -> Floats:
        """Time per output token after the first; NaN for answers of one token."""
        gaps = self.trace.output_tokens - 1.0
        return np.asarray((self.finished_s - self.first_token_s) / np.where(gaps > 0, gaps, np.nan))

    @cached_property
    def e2e_s(self) -> Floats:
        return np.asarray(self.finished_s - self.trace.arrival_s)

    @property
    def itl_edges_s(self) -> Floats:
        """The first bin begins at 0; the last is open, whatever its edge."""
        return ITL_EDGES_S

    def itl_percentile_s(self, q: float) -> float | None:
        """The gap between tokens that q per cent of all gaps do not exceed, to one per cent; None if there was no gap."""
        total = int(self.itl_hist.sum())
        if not total:
            return None
        counts = np.cumsum(self.itl_hist)
        at = int(np.searchsorted(counts, max(q / 100 * total, 1)))
        share = (q / 100 * total - (counts[at] - self.itl_hist[at])) / self.itl_hist[at]
        low, high = self.itl_edges_s[at : at + 2]
        return float(min(low + (high - low) * np.clip(share, 0, 1), self.itl_max_s))

    def summary(self) -> dict[str, Any]:
        """Mean, p50, p90, p95, p99, max of ttft_s, tpot_s, itl_s, e2e_s (None where there is nothing); throughput_rps, output_tok_s."""
        return {
            "ttft_s": _figures(self.ttft_s),
            "tpot_s": _figures(self.tpot_s[~np.isnan(self.tpot_s)]),
            "itl_s": self._itl_figures(),
            "e2e_s": _figures(self.e2e_s),
            "throughput_rps": len(self.trace) / self.makespan_s,
            "output_tok_s": float(self.trace.output_tokens.sum()) / self.makespan_s,
        }

    def _itl_figures(self) -> Figures:
        total = int(self.itl_hist.sum())
        mean = float((self.finished_s - self.first_token_s).sum()) / total if total else None
        percentiles = {f"p{q}": self.itl_percentile_s(q) for q in PERCENTILES}
        return {"mean": mean, **percentiles, "max": self.itl_max_s if total else None}

    def goodput_rps(self, slo: Mapping[str, float]) -> float:
        """Requests a second that meet all limits: TTFT <= ttft_s, and time per output token <= itl_s. A limit left out holds always."""
        check_slo(slo)
        good = (self.ttft_s <= slo.get("ttft_s", np.inf)) & ~(self.tpot_s > slo.get("itl_s", np.inf))
        return float(good.sum() / self.makespan_s)

    def meets(self, slo: Mapping[str, float]) -> bool:
        """Whether TTFT and the pooled gaps between tokens are within their limits at the percentile (99 unless given)."""
        check_slo(slo)
        q = slo.get("percentile", 99)
        gap = self.itl_percentile_s(q)
        return bool(np.percentile(self.ttft_s, q) <= slo.get("ttft_s", np.inf)) and (gap is None or gap <= slo.get("itl_s", np.inf))


def check_slo(slo: Mapping[str, float]) -> None:
    unknown = sorted(set(slo) - {"ttft_s", "itl_s", "percentile"})
    if unknown or not {"ttft_s", "itl_s"} & set(slo):
        raise InvalidInput(f"slo has {', '.join(slo) or 'no limits'}; expected ttft_s or itl_s or both, and percentile.", field="slo")
    if not 0 < slo.get("percentile", 99) <= 100:
        raise InvalidInput(f"percentile is {slo['percentile']:g}; expected a number above 0, at most 100.", field="slo")


def _figures(values: Floats) -> Figures:
    if not len(values):
        return dict.fromkeys(("mean", *(f"p{q}" for q in PERCENTILES), "max"))
    percentiles = zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
    return {"mean": float(values.mean()), **{f"p{q}": float(value) for q, value in percentiles}, "max": float(values.max())}
