"""What a run of the lab `real_engine` shows, in sentences made of its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.lab import Insight
from simulators.llm_serving._real_runs import PLAIN, SEQUENTIAL, STATIC, UNCACHED, Report, mean_batch


def insights(report: Report) -> Iterator[Insight]:
    yield from _batching(report)
    yield from _prefix(report)
    yield from _speculation(report)
    yield from _memory(report)
    yield from _parity(report)
    yield _foreseen(report)


def _batching(report: Report) -> Iterator[Insight]:
    p = report.params
    gain, over_static = report.speedup(SEQUENTIAL), report.speedup(STATIC)
    if p.mode == "sequential":
        yield Insight(
            f"One request at a time writes {report.chosen.tokens_per_s:,.0f} tokens/s; static batches of 16 write "
            f"{1 / over_static:.1f} times as many, since one pass over the weights serves all.",
            "deep_dive",
            "batching",
        )
        return
    if p.mode == "static":
        yield Insight(
            f"Static batches write {gain:.1f} times the tokens of one request at a time, and {_idle_share(report):.0%} of their slots' "
            "work is done for answers that have ended: each batch waits for its longest.",
            "deep_dive",
            "static_waits",
        )
        return
    ttft = np.percentile(report.chosen.run.ttft_s, 95) / np.percentile(report.measured[STATIC].run.ttft_s, 95)
    yield Insight(
        f"Continuous batching writes {gain:.1f} times the tokens of one request at a time and {over_static:.1f} times those of static "
        f"batches; its TTFT p95 is {ttft:.2f} of theirs.",
        "deep_dive",
        "continuous",
    )


def _idle_share(report: Report) -> float:
    """Of all decode slots computed, those of answers that had ended."""
    run = report.chosen.run
    slots = sum(record.sequences for record in run.log if not record.prefill_tokens)
    return max(0.0, 1 - run.counts.decodes / max(1, slots))


def _prefix(report: Report) -> Iterator[Insight]:
    if UNCACHED not in report.measured:
        return
    run, without = report.chosen.run, report.measured[UNCACHED].run
    yield Insight(
        f"With the shared prompt of {report.params.shared_prefix} tokens cached, the mean TTFT is {run.ttft_s.mean():.2f} s against "
        f"{without.ttft_s.mean():.2f} s: {run.hits} blocks were found instead of computed, and {run.blocks_peak} blocks hold what took "
        f"{without.blocks_peak}.",
        "deep_dive",
        "prefix_cache",
    )


def _speculation(report: Report) -> Iterator[Insight]:
    run, p = report.chosen.run, report.params
    if PLAIN not in report.measured:
        return
    counts, gain, batch = run.counts, report.speedup(PLAIN), mean_batch(report.measured[PLAIN].run)
    if not counts.tested:
        yield Insight("The table never knew how to go on, so nothing was guessed.", "deep_dive", "speculation")
        return
    verdict = "pays" if gain > 1.05 else "costs more than it gives" if gain < 0.95 else "gives nothing"
    yield Insight(
        f"{counts.accepted / counts.tested:.0%} of the tested guesses were accepted ({counts.expected / counts.tested:.0%} expected), "
        f"{run.tokens_per_decode:.2f} tokens a step: at about {batch} sequences speculation {verdict}, {gain:.2f}x measured, "
        f"{report.formula_speedup(batch):.2f}x by the formula.",
        "deep_dive",
        "speculation",
    )
    alone, many = report.formula_speedup(1), report.formula_speedup(16)
    if alone > many:
        yield Insight(
            f"From calibrated iterations the gain falls from {alone:.2f}x alone to {many:.2f}x at 16 sequences: a full batch has no idle "
            f"arithmetic to verify {p.k} guesses with.",
            "deep_dive",
            "falls_with_batch",
        )
    two, one = report.cost.step_s([], [(3, 100)]), report.cost.step_s([100], [])
    if two < 1.1 * one:
        yield Insight(
            f"Three rows take {two / one:.2f} times the time of one here: batch 1 flatters speculation, on this machine as on a GPU.",
            "evaluation",
            "batch_one_flatters",
        )


def _memory(report: Report) -> Iterator[Insight]:
    run, plan, p = report.chosen.run, report.chosen.plan, report.params
    worst = plan.slots * p.worst_case_blocks
    if run.restarts.sum():
        yield Insight(
            f"{int(run.restarts.sum())} times a request was evicted because {p.num_blocks} blocks were not enough for "
            f"{plan.slots} sequences; it kept its text and had its keys and values computed again.",
            "deep_dive",
            "preemption",
        )
    elif p.mode == "continuous" and run.blocks_peak < worst:
        yield Insight(
            f"{run.blocks_peak} blocks at the peak hold what a reservation for the longest answer would need {worst} for.",
            "architecture",
            "paged_memory",
        )


def _parity(report: Report) -> Iterator[Insight]:
    if report.params.temperature > 0:
        return
    same = report.parity
    ties = f", {same.ties} more up to a tie of logits" if same.ties else ""
    if same.different:
        yield Insight(f"{same.different} answers differ between modes by more than a tie: the engine is wrong.", "evaluation", "parity")
        return
    yield Insight(
        f"{same.identical} of {sum(same)} answers compared with other modes are the same token by token{ties}.", "evaluation", "parity"
    )


def _foreseen(report: Report) -> Insight:
    if report.busy:
        return Insight(
            f"The machine's speed changed by {abs(report.drift):.0%} between the calibrations before and after the run: busy, so repeat "
            "before you judge the simulator.",
            "evaluation",
            "foreseen",
        )
    chosen = report.chosen
    return Insight(
        f"The simulator, calibrated in half a second, is {chosen.makespan_error:+.1%} off the measured makespan and "
        f"{chosen.request_error:.1%} off a request's time.",
        "evaluation",
        "foreseen",
    )
