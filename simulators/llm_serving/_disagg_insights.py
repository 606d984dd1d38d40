"""What a run of the lab `disaggregation` shows, in sentences made of its numbers."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.serving.models import find_model
from simulators.lab import Insight
from simulators.llm_serving._disagg_views import Reading, sequences_that_fit
from simulators.llm_serving._disagg_world import Sweep, Tail

CLEAR = 0.1
BINDS = 0.85  # of the time iterating: prompts then queue


def insights(reading: Reading, goodput: float, sweep: Sweep, found: list[Tail], own: Tail) -> Iterator[Insight]:
    yield from _against(reading, goodput, sweep)
    yield from _baseline(reading, found, own)
    yield from of_reading(reading)


def of_reading(reading: Reading) -> Iterator[Insight]:
    """What the run at the page's rate says by itself."""
    yield from _binding(reading)
    yield from _split(reading)
    yield from _link(reading)
    yield from _formats(reading)
    yield from _speculation(reading)


def _against(reading: Reading, goodput: float, sweep: Sweep) -> Iterator[Insight]:
    if not sweep.equal:
        return
    label, best = sweep.best
    splits = {name: value for name, value in sweep.equal.items() if "P + " in name}
    chunks = {name: value for name, value in sweep.equal.items() if name not in splits}
    if splits:
        pair = [max(group, key=lambda name: group[name]) for group in (splits, chunks)]
        ratio = splits[pair[0]] / max(chunks[pair[1]], 1e-9)
        text = f"At equal GPUs the best split, {pair[0]}, carries {splits[pair[0]]:.1f} requests/s and the best chunk, {pair[1]}, "
        yield Insight(
            f"{text}{chunks[pair[1]]:.1f}: a tuned chunk is {1 / max(ratio, 1e-9):.0%} of disaggregation.", "deep_dive", "tuned_chunk"
        )
    if goodput < (1 - CLEAR) * best:
        yield Insight(
            f"{reading.layout.label} carries {goodput:.1f} requests/s, {label} on the same GPUs {best:.1f}: split and chunk matter more "
            "than whether there are pools.",
            "architecture",
            "wrong_layout",
        )


def _baseline(reading: Reading, found: list[Tail], own: Tail) -> Iterator[Insight]:
    p = reading.world.params
    first = found[0].carries(p.slo_ttft, p.slo_itl / 1e3)
    mine = own.carries(p.slo_ttft, p.slo_itl / 1e3)
    if first > 0 and mine > first:
        yield Insight(
            f"Against prefill first it is {mine / first:.1f} times at {p.slo_itl:g} ms and "
            f"{own.carries(p.slo_ttft, 0.5) / max(found[0].carries(p.slo_ttft, 0.5), 1e-9):.1f} times at 500 ms: published gains use that "
            "baseline and a tight limit.",
            "evaluation",
            "baseline",
        )


def _binding(reading: Reading) -> Iterator[Insight]:
    p, gap = reading.world.params, reading.itl_p99_ms or 0.0
    late, slow = reading.ttft_p99_s > p.slo_ttft, gap > p.slo_itl
    if late or slow:
        what = f"the first token ({reading.ttft_p99_s:.2f} s)" if late else f"the gap between tokens ({gap:.0f} ms)"
        also = f" and the gap between tokens ({gap:.0f} ms)" if late and slow else ""
        text = f"At {reading.world.trace.rate_rps:.3g} requests/s {what}{also} is over the limit at p99."
        yield Insight(text, "evaluation", "over_limit")


def _split(reading: Reading) -> Iterator[Insight]:
    """A pool that binds while the other has room. Iterating all the time is no sign of it: decode replicas always find work."""
    p, (prefill, _) = reading.world.params, reading.busy
    if p.layout != "disaggregated":
        return
    if reading.ttft_p99_s > p.slo_ttft and prefill > BINDS:
        yield Insight(
            f"Prompts queue for the prefill pool, which iterates {prefill:.0%} of the time beside {p.decode_replicas} decode replicas with "
            f"a gap p99 of {reading.itl_p99_ms or 0:.0f} ms: the split does not fit the lengths.",
            "architecture",
            "prefill_binds",
        )
    elif (reading.itl_p99_ms or 0.0) > p.slo_itl and prefill < BINDS:
        yield Insight(
            f"The decode pool binds while prefill replicas iterate {prefill:.0%} of the time: the split does not fit the lengths.",
            "architecture",
            "decode_binds",
        )


def _link(reading: Reading) -> Iterator[Insight]:
    p = reading.world.params
    if p.layout != "disaggregated":
        return
    size = reading.world.cost.kv_bytes_per_token
    mean = float(reading.world.trace.prompt_tokens.mean())
    yield Insight(
        f"A prompt of {mean:,.0f} tokens is {mean * size / 1e6:,.0f} MB of keys and values, "
        f"{1e3 * mean * size / (p.link * 1e9):.1f} ms on {p.link:g} GB/s; in this run the way took "
        f"{1e3 * reading.transfer_s:.1f} ms on average, {reading.transfer_share:.2%} of all time.",
        "capacity",
        "link",
    )


def _formats(reading: Reading) -> Iterator[Insight]:
    world, p = reading.world, reading.world.params
    fit, step = sequences_that_fit(world.decode_cost), world.decode_cost.step_s([1_500] * 128, [])
    gpus = world.gpus_each
    yield Insight(
        f"TP{p.tp} {p.weights} holds {fit:,} requests of 1,500 tokens a replica; 128 of them take {1e3 * step:.0f} ms a step, "
        f"{128 / step / gpus:,.0f} tokens/s a GPU. More GPUs a replica buy shorter gaps, not cheaper tokens.",
        "capacity",
        "tensor_parallelism",
    )
    if int(p.tp) > find_model("Llama-3.1-70B").kv_heads:
        yield Insight(f"TP{p.tp} exceeds the 8 KV heads: each is kept {int(p.tp) // 8} times.", "capacity", "kv_copies")
    if p.weights == "int4":
        text = (
            "INT4 weights shrink what a small batch reads; above some 74 tokens a step on an H100 arithmetic binds and they gain nothing."
        )
        yield Insight(text, "capacity", "int4")


def _speculation(reading: Reading) -> Iterator[Insight]:
    p, cost = reading.world.params, reading.world.decode_cost
    if p.spec == "none":
        return
    one, many = (cost.spec_speedup(batch, 1_000, p.alpha, p.k, p.draft_cost) for batch in (1, 256))
    verdict = "a loss" if many < 1 else "still a gain"
    yield Insight(
        f"{p.k} guesses at acceptance {p.alpha:g} speed a lone request up {one:.1f} times and a batch of 256 {many:.2f} times, {verdict}: "
        "verifying costs arithmetic, which a full batch has none to spare of.",
        "deep_dive",
        "speculation",
    )
