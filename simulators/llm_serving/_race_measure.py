"""What a run of the lab `scheduler_race` is judged by: waiting by class and tier, fairness, cost, and why a request was slow."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from simulators.engines.serving import SimResult, Trace
from simulators.llm_serving._race_world import BURST_S, LONG_TOKENS, Bools, Floats, Setup, World, tenant_weights

GPU_USD_PER_HOUR = 2.0
OUTPUT_WEIGHT = 2.0  # as in VTC: an output token is twice the service of a prompt token
# Columns of the engine's breakdown as the page groups them: six colours.
SPENT = (
    "waiting in the queue",
    "reading their own prompt",
    "with a half-read prompt set aside",
    "decoding",
    "decoding slower because prompts are read in the same iterations",
    "evicted or on the move between pools",
)  # the same, of several requests
PARTS = ("waits in the queue", "reads its prompt", "prompt set aside", "decodes", "decodes beside prompts", "evicted or moved")
COLUMNS: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (3,), (4,), (5, 6))


@dataclass(frozen=True)
class Report:
    """One contestant on one world."""

    world: World
    setup: Setup
    run: SimResult

    @cached_property
    def short(self) -> Bools:
        return ~self.world.long

    def ttft(self, chosen: Bools, q: float) -> float | None:
        return percentile(self.run.ttft_s[chosen], q)

    def itl_ms(self, q: float) -> float | None:
        gap = self.run.itl_percentile_s(q)
        return None if gap is None else 1_000 * gap

    @cached_property
    def delay_s(self) -> Floats:
        """End-to-end time beyond what the request would take alone."""
        return np.asarray(self.run.e2e_s - self.world.alone.e2e_s)

    @cached_property
    def parts(self) -> Floats:
        return grouped(self.run.breakdown)

    @cached_property
    def good(self) -> Bools:
        """Requests that meet both limits."""
        slo = self.world.slo
        return np.asarray((self.run.ttft_s <= slo["ttft_s"]) & ~(self.run.tpot_s > slo["itl_s"]))

    @property
    def busy(self) -> float:
        """Mean share of the time a replica iterates, until the last token."""
        return float(np.mean(self.run.busy_s) / self.run.makespan_s)

    @property
    def gpus(self) -> int:
        return self.setup.replicas * int(self.world.params.tp)

    @property
    def usd_per_m_tokens(self) -> float:
        tokens = float(self.world.trace.output_tokens.sum())
        return self.gpus * GPU_USD_PER_HOUR / 3_600 * self.run.makespan_s / tokens * 1e6

    @cached_property
    def fairness(self) -> float | None:
        return jain_of_service(self.run, tenant_weights(self.world.params, self.world.trace), self.window)

    @property
    def window(self) -> tuple[float, float]:
        """When fairness is looked at: the burst if there is one, else from the first arrival to the last."""
        trace, p = self.world.trace, self.world.params
        if self.world.own or p.burst == 1:
            return float(trace.arrival_s[0]), float(trace.arrival_s[-1])
        start = min(60.0, 0.25 * len(trace) / p.rate)
        return start, min(start + BURST_S, float(trace.arrival_s[-1]))


def percentile(values: Floats, q: float) -> float | None:
    return float(np.percentile(values, q)) if len(values) else None


def grouped(breakdown: Floats) -> Floats:
    """float64[n, 6]: the engine's seven columns as PARTS."""
    return np.column_stack([breakdown[:, list(columns)].sum(axis=1) for columns in COLUMNS])


# --- fairness ----------------------------------------------------------------------------------------------------------------


def jain_of_service(run: SimResult, weights: tuple[float, ...], window: tuple[float, float]) -> float | None:
    """Jain's index of what each tenant got in the window, against its max-min fair share of all that was served.

    1: everybody got the fair share; 1/k: one of k got everything. None where fewer than two tenants asked for anything.
    """
    trace = run.trace
    if trace.tenant is None or window[1] <= window[0]:
        return None
    work = trace.prompt_tokens + OUTPUT_WEIGHT * trace.output_tokens
    before, after = (service_until(run, at) for at in window)
    count = len(trace.tenant_names)
    got = np.bincount(trace.tenant, after - before, count).astype(np.float64)
    asked = np.bincount(trace.tenant, np.where(trace.arrival_s <= window[1], work - before, 0.0), count).astype(np.float64)
    active = asked > 0
    if active.sum() < 2 or got.sum() <= 0:
        return None
    ratio = got[active] / max_min_shares(asked[active], np.array(weights)[:count][active], float(got.sum()))
    return float(ratio.sum() ** 2 / (len(ratio) * (ratio**2).sum()))


def service_until(run: SimResult, at: float) -> Floats:
    """Weighted tokens each request had received at a time: its prompt with the first token, its answer evenly until the finish."""
    trace = run.trace
    written = np.clip((at - run.first_token_s) / np.maximum(run.finished_s - run.first_token_s, 1e-9), 0, 1)
    return np.asarray((run.first_token_s <= at) * (trace.prompt_tokens + OUTPUT_WEIGHT * trace.output_tokens * written))


def max_min_shares(asked: Floats, weights: Floats, total: float) -> Floats:
    """`total` filled into demands like water, by weight: who asks less than the level gets all of it (Bertsekas & Gallager 1992)."""
    shares, open_ = np.zeros(len(asked)), np.ones(len(asked), dtype=bool)
    while total > 1e-9 and open_.any():
        level = total / weights[open_].sum()
        modest = open_ & (asked <= level * weights)
        filled = modest if modest.any() else open_
        shares[filled] = asked[filled] if modest.any() else level * weights[filled]
        total -= float(shares[filled].sum())
        open_ &= ~filled
        if not modest.any():
            break
    return shares


# --- why a request was slow --------------------------------------------------------------------------------------------------


def slowest(report: Report, count: int) -> Any:
    """Positions of the requests delayed longest, longest first."""
    return np.argsort(-report.delay_s, kind="stable")[:count]


def why_slow(report: Report, i: int) -> str:
    """A phrase: which part of its time held request i up, and behind which prompt."""
    run, part = report.run, int(np.argmax(_excess(report, i)))
    seconds = report.parts[i, part]
    if part == 0:
        return f"waited {seconds:.2f} s in the queue{_behind(run, i, run.trace.arrival_s[i], run.scheduled_s[i])}"
    if part in (1, 2):
        what = "its own prompt took" if part == 1 else "its prompt was set aside for"
        return f"{what} {seconds:.2f} s{_behind(run, i, run.scheduled_s[i], run.first_token_s[i])}"
    if part == 4:
        return f"its tokens waited {seconds:.2f} s for prompts in the same iterations"
    if part == 5:
        count = int(run.restarts[i])
        times = f"evicted {count} time{'s' * (count > 1)}, lost" if count else "was moved between pools for"
        return f"{times} {seconds:.2f} s"
    return f"decoded {seconds:.2f} s in a batch with others, {report.world.alone.e2e_s[i] - report.world.alone.ttft_s[i]:.2f} s alone"


def _excess(report: Report, i: int) -> Floats:
    """The parts of a request beyond what it needs alone."""
    alone, parts = report.world.alone, report.parts[i].copy()
    parts[1] -= alone.ttft_s[i]
    parts[3] -= alone.e2e_s[i] - alone.ttft_s[i]
    return np.asarray(parts)


def _behind(run: SimResult, i: int, start: float, end: float) -> str:
    """Names the largest other prompt that the same replica read in that time, if it was a long one."""
    trace: Trace = run.trace
    beside = (run.replica == run.replica[i]) & (run.scheduled_s < end) & (run.first_token_s > start)
    beside[i] = False
    if not beside.any():
        return ""
    largest = int(trace.prompt_tokens[beside].max())
    others = int(((trace.prompt_tokens > LONG_TOKENS) & beside).sum())
    if largest <= LONG_TOKENS:
        return ""
    return f" behind a prompt of {largest:,} tokens" if others == 1 else f" behind {others} long prompts, the largest {largest:,} tokens"
