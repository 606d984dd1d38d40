"""What a run of the lab `scheduler_race` shows, in sentences made of its numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.lab import Insight
from simulators.llm_serving._race_measure import Report, slowest, why_slow
from simulators.llm_serving._race_params import RESERVING
from simulators.llm_serving._race_sides import Side
from simulators.llm_serving._race_views import seconds
from simulators.llm_serving._race_world import LONG_TOKENS

SMALL_BUDGET = 1_024
BUSY = 0.9
UNFAIR, FAIR = 0.8, 0.9
STARVED = 20.0  # times the median


def insights(report: Report) -> Iterator[Insight]:
    yield from _head_of_line(report)
    yield from _gaps(report)
    yield from _long_ones(report)
    yield from _pools(report)
    yield from _tenants(report)
    yield from _memory(report)
    yield from _traps(report)
    yield _slowest(report)


def _head_of_line(report: Report) -> Iterator[Insight]:
    p, world = report.world.params, report.world
    p99 = report.ttft(report.short, 99)
    if p99 is None:
        return
    alone = float(np.percentile(world.alone.ttft_s[report.short], 99))
    waits = f"Short prompts have a TTFT p99 of {seconds(p99)} against {seconds(alone)} alone"
    if p99 <= p.slo_ttft:
        if p.policy == "vllm_v1" and p.order == "srpt" and world.long.any():
            yield Insight(
                f"{waits}: least prompt left goes first, so a long prompt is read in what the others leave.", "deep_dive", "srpt_cures"
            )
        return
    blocked = float(np.mean(world.trace.prompt_tokens > LONG_TOKENS)) > 0 and p.order in ("fcfs", "slo", "vtc", "priority")
    if not blocked:
        yield Insight(f"{waits}: the pool has more work than it can do, or serves others first.", "deep_dive", "ttft_missed")
        return
    yield Insight(
        f"{waits}: under {p.order} they stand behind {int(world.long.sum())} prompts of more than {LONG_TOKENS:,} tokens.",
        "deep_dive",
        "head_of_line",
    )
    if p.policy in ("vllm_v1", "sarathi") and p.token_budget < SMALL_BUDGET and not p.long_prefill_threshold:
        yield Insight(
            f"Chunks of {p.token_budget} tokens hold the gaps at {report.itl_ms(99) or 0:.0f} ms, but a prompt that runs takes each step's "
            "budget first: chunking alone does not help the time to first token.",
            "deep_dive",
            "chunks_not_ttft",
        )
    if p.policy == "vllm_v1" and p.long_prefill_threshold:
        left = max(0, p.token_budget - p.long_prefill_threshold)
        yield Insight(
            f"A threshold of {p.long_prefill_threshold} tokens leaves {left:,} of each step to others; several long prompts at once "
            "still fill it.",
            "deep_dive",
            "threshold",
        )


def _gaps(report: Report) -> Iterator[Insight]:
    p, gap, tail = report.world.params, report.itl_ms(99), report.itl_ms(99.9)
    if gap is None or tail is None:
        return
    share = float(report.run.breakdown[:, 4].sum() / max(report.run.breakdown[:, 3:5].sum(), 1e-9))
    if gap > p.slo_itl:
        text = (
            f"The gap between tokens has a p99 of {gap:.0f} ms, limit {p.slo_itl:g} ms: {share:.0%} of the decoding time goes into prompts"
        )
        cure = "a smaller budget shortens every step" if p.policy in ("vllm_v1", "sarathi") else "chunks or pools would keep them apart"
        yield Insight(f"{text} in the same iterations; {cure}.", "deep_dive", "itl_missed")
    if p.policy in ("vllm_v0", "sglang") and tail > 4 * gap:
        yield Insight(
            f"Prefill first stops every answer while a prompt is read: ITL p99.9 is {tail:,.0f} ms, the p99 of {gap:.0f} ms hides it.",
            "evaluation",
            "prefill_first",
        )


def _long_ones(report: Report) -> Iterator[Insight]:
    p, world = report.world.params, report.world
    if not world.long.any():
        return
    alone, median = float(np.median(world.alone.ttft_s[world.long])), report.ttft(world.long, 50) or 0.0
    if alone > p.slo_ttft:
        yield Insight(
            f"A long prompt takes {seconds(alone)} to read on an empty replica, so no scheduler meets {p.slo_ttft:g} s for it: it needs "
            "more GPUs at once, a cached prefix, or a limit of its own.",
            "capacity",
            "long_impossible",
        )
    if p.order == "srpt" and p.policy in ("vllm_v1", "disaggregated"):
        yield Insight(f"The long prompts pay: their median TTFT is {seconds(median)}, {seconds(alone)} alone.", "deep_dive", "srpt_pays")


def _pools(report: Report) -> Iterator[Insight]:
    p = report.world.params
    if p.policy != "disaggregated":
        return
    gap, p99 = report.itl_ms(99) or 0.0, report.ttft(report.short, 99) or 0.0
    if p.long:
        yield Insight(
            f"Decode replicas never read a prompt (ITL p99 {gap:.0f} ms), and {p.long} prefill replica{'s' * (p.long > 1)} kept for long "
            f"prompts leaves the short ones {seconds(p99)} at p99.",
            "architecture",
            "pools_and_kept",
        )
    elif report.world.long.any():
        yield Insight(
            f"Pools cure the gaps (ITL p99 {gap:.0f} ms), not the queue: first come, first served before fewer prefill replicas leaves "
            f"short prompts {seconds(p99)} at p99.",
            "architecture",
            "pools_not_ttft",
        )
    busy = report.run.busy_s / report.run.makespan_s
    prefill, decode = float(busy[: p.prefill].mean()), float(busy[p.prefill :].mean())
    if min(prefill, decode) < 0.5 * max(prefill, decode):
        yield Insight(
            f"The split is uneven: prefill replicas iterate {prefill:.0%} of the time, decode ones {decode:.0%}.", "architecture", "split"
        )


def _tenants(report: Report) -> Iterator[Insight]:
    p, world = report.world.params, report.world
    if world.own or p.burst < 2 or world.trace.tenant is None:
        return
    others = report.ttft(world.trace.tenant != 0, 99) or 0.0
    noisy = report.ttft(world.trace.tenant == 0, 99) or 0.0
    fair = report.fairness
    index = "" if fair is None else f" (Jain's index {fair:.2f} in the burst)"
    if p.order == "vtc" and p.policy in ("vllm_v1", "disaggregated"):
        text = f"Fair shares keep the burst at home: the free tier waits {seconds(noisy)} at p99, the others {seconds(others)}{index}."
        yield Insight(text, "deep_dive", "vtc")
    elif others > p.slo_ttft:
        text = f"The free tier bursts {p.burst:g}-fold and everyone pays: the other tiers' TTFT p99 is {seconds(others)}{index}."
        yield Insight(text, "deep_dive", "noisy_neighbour")


def _memory(report: Report) -> Iterator[Insight]:
    p, run, trace = report.world.params, report.run, report.world.trace
    evicted = int(run.restarts.sum())
    if evicted:
        hit = run.restarts > 0
        lost = float(run.breakdown[hit, 5].mean())
        how = "reading lost tokens again" if p.preempt == "recompute" else "moving blocks to host memory and back"
        yield Insight(
            f"{evicted:,} evictions hit {int(hit.sum()):,} requests, each of which spends {seconds(lost)} on {how}.",
            "deep_dive",
            "evictions",
        )
    if p.policy in ("static", "orca"):
        reserved = report.setup.scheduler.max_len
        used = float((trace.prompt_tokens + trace.output_tokens).mean()) / reserved
        seqs = min(p.max_seqs, report.world.num_blocks * 16 // reserved)
        yield Insight(
            f"{reserved:,} tokens are reserved for each request and {used:.1%} of them used: {seqs} requests fit a replica, however short.",
            "capacity",
            "reserved",
        )


def _traps(report: Report) -> Iterator[Insight]:
    p, world = report.world.params, report.world
    mean, p99 = float(report.run.ttft_s.mean()), float(np.percentile(report.run.ttft_s, 99))
    if mean <= p.slo_ttft < p99:
        yield Insight(f"A mean hides it: TTFT is {seconds(mean)} on average and {seconds(p99)} at p99.", "evaluation", "mean_hides")
    longest = report.ttft(world.long, 50)
    if longest is not None and world.long.mean() < 0.01 and p99 <= p.slo_ttft < longest:
        yield Insight(
            f"The p99 over all requests is {seconds(p99)} because only {world.long.mean():.1%} are long; those wait {seconds(longest)} at "
            "the median. Report length classes apart.",
            "evaluation",
            "p99_hides_long",
        )
    if report.busy > BUSY and report.good.mean() > 0.9 and p99 <= p.slo_ttft:
        yield Insight(
            f"Replicas iterate {report.busy:.0%} of the time and {report.good.mean():.0%} of the requests meet both limits: with answers "
            "to write there is always an iteration to run, so utilisation near 1 is not overload.",
            "evaluation",
            "busy_is_not_overload",
        )
    median = float(np.median(report.run.ttft_s))
    if p.order == "sjf" and p.policy in ("vllm_v1", "disaggregated") and p99 > max(STARVED * median, p.slo_ttft):
        yield Insight(f"Shortest first starves: the median TTFT is {seconds(median)}, the p99 {seconds(p99)}.", "deep_dive", "sjf_starves")


def _slowest(report: Report) -> Insight:
    i = int(slowest(report, 1)[0])
    trace = report.world.trace
    size = f"{trace.prompt_tokens[i]:,} tokens in and {trace.output_tokens[i]:,} out"
    text = f"The longest delay, {seconds(float(report.delay_s[i]))}, hit a request of {size}: it {_clause(why_slow(report, i))}."
    return Insight(text, "deep_dive", "slowest")


def _clause(why: str) -> str:
    """The phrase after "it"."""
    if why.startswith(("waited", "decoded", "was moved")):
        return why
    return f"was {why}" if why.startswith("evicted") else f"was slow because {why}"


def side_insight(found: dict[str, Side]) -> Iterator[Insight]:
    """One long prompt, told by the policy that lets it block most and the one that blocks least."""
    if len(found) < 2:
        return
    paged = [side for side in found.values() if side.policy not in RESERVING] or list(found.values())
    worst, best = max(paged, key=_p99), min(paged, key=_p99)
    yield Insight(
        f"Side by side, short requests have a TTFT p99 of {seconds(worst.short_ttft_p99_s)} under {worst.label} and "
        f"{seconds(best.short_ttft_p99_s)} under {best.label}.",
        "deep_dive",
        "side_by_side",
    )


def _p99(side: Side) -> float:
    return side.short_ttft_p99_s
