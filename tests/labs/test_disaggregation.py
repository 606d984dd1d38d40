"""The lab `disaggregation`: pools against chunks at equal GPUs, splits, links, formats, speculation, and the challenge."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.serving import CostModel, SchedulerConfig, capacity, expected_tokens, simulate
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame, Result
from simulators.llm_serving._disagg_insights import of_reading
from simulators.llm_serving._disagg_params import DisaggregationParams
from simulators.llm_serving._disagg_views import Reading, sequences_that_fit
from simulators.llm_serving._disagg_world import (
    GRID_RATES,
    RATES,
    SEARCH_STEPS,
    Tail,
    carried,
    chunked,
    cost_of,
    own_layout,
    prefill_first,
    served,
    split,
    tail,
    world_of,
)
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

LAB = get_lab("llm_serving", "disaggregation")
SEEDS = (1, 2, 3)
JUDGED = (11, 12, 13, 14, 15)
STORE = CachedAssets(None)


def world(seed: int = 1, **values: Any) -> Any:
    return world_of(DisaggregationParams(**values), Context(seed=seed, assets=STORE))


@cache
def tail_of(seed: int, layout: str) -> Tail:
    """p99s at rising rates of "3P1D", "chunk 512" or "prefill first"."""
    w = world(seed)
    if layout == "prefill first":
        return finish(tail(prefill_first(w), w))
    made = chunked(w, int(layout.split()[1])) if layout.startswith("chunk") else split(w, int(layout[0]), int(layout[2]))
    return finish(tail(made, w))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_search_between_rates_the_tails_know_ends_where_the_whole_one_does(seed: int) -> None:
    w = world(seed)
    for itl_ms in (10, 50, 500):
        limited = world(seed, slo_itl=itl_ms)
        for name, layout in (("3P1D", split(w, 3, 1)), ("chunk 512", chunked(w, 512))):
            rates = tail_of(seed, name).between(limited.slo)
            found = finish(carried(layout, limited, rates=rates))
            assert found == pytest.approx(finish(carried(layout, limited)), rel=1e-9)
            assert RATES[0] <= rates[0] <= rates[1] <= RATES[1] * (1 + 1e-9)


def carries(seed: int, layout: str, itl_ms: float) -> float:
    return tail_of(seed, layout).carries(2.0, itl_ms / 1e3)


@cache
def lab_run(seed: int = 1, *values: tuple[str, Any]) -> Result:
    return run_lab(LAB, dict(values), Context(seed=seed, assets=STORE))


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def metric(result: Result, key: str) -> Any:
    return next(item for item in result.metrics if item.key == key)


# --- effects -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_pools_against_prefill_first_gain_most_under_a_strict_limit(seed: int) -> None:
    gains = [carries(seed, "3P1D", ms) / carries(seed, "prefill first", ms) for ms in (50, 100, 200)]
    assert gains[0] > 5 and 1.8 < gains[1] < gains[0] and 1.2 < gains[2] < gains[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_well_chosen_chunk_comes_close(seed: int) -> None:
    at_50 = carries(seed, "chunk 512", 50) / carries(seed, "3P1D", 50)
    at_20 = carries(seed, "chunk 256", 20) / carries(seed, "3P1D", 20)
    assert 0.8 < at_50 < 1.1 and 0.85 < at_20 < 1.25
    assert carries(seed, "chunk 2048", 50) < 0.3 * carries(seed, "chunk 512", 50), "a wrong chunk loses"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_split_loses_more_than_pools_gain(seed: int) -> None:
    right, even, wrong = (carries(seed, shape, 50) for shape in ("3P1D", "2P2D", "1P3D"))
    assert wrong < 0.65 * even and even < 0.8 * right and right > 40
    assert even < carries(seed, "chunk 512", 50)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_split_follows_the_lengths(seed: int) -> None:
    found = {}
    for lengths in ("conversation", "reasoning"):
        w = world(seed, lengths=lengths)
        found[lengths] = [finish(tail(split(w, p, 4 - p), w)).carries(2.0, 0.05) for p in (1, 3)]
    assert found["conversation"][1] > 1.5 * found["conversation"][0]
    assert found["reasoning"][0] > 1.5 * found["reasoning"][1], "long answers need decode replicas"


def test_tensor_parallelism_buys_gaps_not_tokens() -> None:
    fp8 = cost_of(DisaggregationParams(tp="2", weights="fp8"), "H100")
    wide = cost_of(DisaggregationParams(), "H100")
    steps = [model.step_s([1_500] * 128, []) for model in (fp8, wide)]
    assert steps[0] > 1.8 * steps[1], "the gap"
    assert 128 / steps[0] / 2 > 1.5 * 128 / steps[1] / 8, "tokens a GPU"
    assert 128 / steps[0] / 2 == pytest.approx(1_900, rel=0.05) and 128 / steps[1] / 8 == pytest.approx(1_020, rel=0.05)
    assert sequences_that_fit(cost_of(DisaggregationParams(tp="2"), "H100")) < 30


def test_speculation_fades_with_the_batch() -> None:
    cost = CostModel.roofline("70B", "H100", tp=8)
    gains = [cost.spec_speedup(batch, 1_000, 0.8, 3, 0.03) for batch in (1, 64, 128, 256)]
    assert gains == sorted(gains, reverse=True) and gains[0] > 2.3 and 1 < gains[3] < 1.3
    assert cost.spec_speedup(256, 1_000, 0.8, 5, 0.03) < 1 and cost.spec_speedup(128, 1_000, 0.6, 5, 0.03) < 1


@pytest.mark.parametrize("seed", SEEDS)
def test_simulated_speculation_accepts_what_is_expected(seed: int) -> None:
    """A lone request writes as many tokens a step as the closed form says."""
    w = world(seed, spec="draft", k=4, alpha=0.7, draft_cost=0.0)
    run = simulate(w.search.at_rate(0.01), w.cost, SchedulerConfig("vllm_v1"), spec=w.speculation, log_iterations=True)
    decodes = int((run.iteration_log["prefill_tokens"] == 0).sum())
    assert (w.search.output_tokens - 1).sum() / decodes == pytest.approx(expected_tokens(0.7, 4), rel=0.03)


def test_int4_helps_small_batches_only() -> None:
    bf16, int4 = (cost_of(DisaggregationParams(weights=name), "H100") for name in ("bf16", "int4"))
    small, full = ([model.step_s([500] * batch, []) for model in (bf16, int4)] for batch in (4, 256))
    assert small[1] < 0.75 * small[0] and full[1] > 0.95 * full[0]


@pytest.mark.parametrize("link", [5.0, 50.0, 400.0])
def test_a_prompt_takes_its_bytes_over_the_link(link: float) -> None:
    w = world(1, link=link, rate=1.0)
    reading = Reading(w, own_layout(w), finish(served(own_layout(w), w.trace, w, "")))
    expected = float(w.trace.prompt_tokens.mean()) * 327_680 / (link * 1e9)
    assert expected <= reading.transfer_s * 1.001 and reading.transfer_s < 1.35 * expected + 1e-3
    if link == 5:
        assert expected == pytest.approx(0.0757, rel=0.1)


def test_layer_by_layer_hides_the_link() -> None:
    slow = [world(1, link=5.0, rate=1.0, overlap=overlap) for overlap in (False, True)]
    waits = [Reading(w, own_layout(w), finish(served(own_layout(w), w.trace, w, ""))).transfer_s for w in slow]
    assert waits[1] < waits[0]


# --- accounts ----------------------------------------------------------------------------------------------------------------


def test_goodput_is_the_engines_capacity() -> None:
    w = world(2)
    found = finish(carried(own_layout(w), w))
    layout = own_layout(w)
    assert found == capacity(w.search, w.cost, layout.scheduler, slo=w.slo, rates=RATES, steps=SEARCH_STEPS, **layout.pool)
    assert finish(tail(layout, w)).carries(2.0, 0.05) == pytest.approx(found, rel=0.12), "read off the curve"


def test_reading_a_tail() -> None:
    made = Tail("x", np.full(len(GRID_RATES), 0.1), np.linspace(0.01, 0.12, len(GRID_RATES)))
    assert made.carries(2.0, 0.005) == 0 and made.carries(2.0, 1.0) == GRID_RATES[-1]
    limits = [made.carries(2.0, limit) for limit in (0.02, 0.04, 0.08)]
    assert limits == sorted(limits) and GRID_RATES[0] < limits[0] < limits[2] < GRID_RATES[-1]


def test_the_sweep_holds_the_page_to_account() -> None:
    wrong = lab_run(1, ("prefill_replicas", 1), ("decode_replicas", 3), ("rate", 20.0))
    goodput = metric(wrong, "goodput_rps")
    assert goodput.limit > 2 * goodput.value and {"wrong_layout", "tuned_chunk", "prefill_binds"} <= effects(wrong)
    right = metric(lab_run(), "goodput_rps")
    assert right.value >= 0.95 * right.limit


@pytest.mark.parametrize(
    ("preset", "effect"),
    [("wrong_split", "prefill_binds"), ("reasoning", "decode_binds"), ("speculate_full", "speculation"), ("a100_decode", "link")],
)
def test_presets_tell_their_effect(preset: str, effect: str) -> None:
    values = next(item.values for item in LAB.presets if item.key == preset)
    for seed in SEEDS:
        w = world(seed, **values)
        reading = Reading(w, own_layout(w), finish(served(own_layout(w), w.trace, w, "")))
        assert effect in {insight.effect for insight in of_reading(reading)}


def test_bars_of_the_splits_are_goodput_by_replica() -> None:
    result = lab_run()
    bars = next(item for item in result.figures if item.key == "splits").plot["data"]
    heights = {(int(x[0]), int(bar["name"][0])): y for bar in bars for x, y in zip(bar["x"], bar["y"], strict=True)}
    assert len(heights) == 9 and {bar["type"] for bar in bars} == {"bar"}
    w = world(1)
    for p, d in ((3, 1), (1, 2)):
        assert heights[p, d] == pytest.approx(finish(carried(split(w, p, d), w)) / (p + d), rel=1e-3)


def test_figures_come_before_the_searches() -> None:
    steps: list[Any] = []
    drive(LAB(), parse_params(LAB, {}), Context(seed=5, assets=CachedAssets(None)), emit=steps.append, cancelled=lambda: False)
    first = next(i for i, step in enumerate(steps) if isinstance(step, Frame))
    assert first < 0.2 * len(steps)


def test_an_own_trace_is_searched_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    rng = np.random.default_rng(1)
    rows = "".join(f"{i / 10:.2f},{rng.integers(100, 3_000)},{rng.integers(5, 200)}\n" for i in range(300))
    path.write_text("arrival_s,prompt_tokens,output_tokens\n" + rows)
    data = Data("own", {"trace": DataFile("mine.csv", path)}, {})
    result = run_lab(LAB, {}, Context(seed=1, assets=STORE, data=data))
    assert metric(result, "goodput_rps").value > 5
    assert any("the first 300 requests of your trace" in note for note in result.notes)


# --- refusals ----------------------------------------------------------------------------------------------------------------


def test_weights_that_do_not_fit_say_what_would() -> None:
    with pytest.raises(InvalidInput, match=r"needs 141 GB.*1 x H100 has 80 GiB: use tp >= 2 or fp8"):
        run_lab(LAB, {"tp": "1"}, Context(seed=1, assets=STORE))


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(InvalidInput, match="does not divide"):
        CostModel.roofline("70B", "H100", tp=24)


@pytest.mark.parametrize("values", [{"prefill_replicas": 0}, {"decode_replicas": 0}, {"spec": "draft", "k": 0}], ids=str)
def test_empty_pools_and_idle_drafts_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams, match="expected"):
        parse_params(LAB, values)


# --- the challenge -----------------------------------------------------------------------------------------------------------

CHALLENGE = LAB.challenges[0]


@cache
def judged(*design: tuple[str, Any]) -> dict[str, Any]:
    readings = []
    for seed in JUDGED:
        w = world(seed, **{**CHALLENGE.world, **dict(design)})
        readings.append(Reading(w, own_layout(w), finish(served(own_layout(w), w.trace, w, ""))))
    return {
        "ttft_p99_s": np.array([each.ttft_p99_s for each in readings]),
        "itl_p99_ms": np.array([each.itl_p99_ms for each in readings]),
        "gpus": np.array([each.world.gpus for each in readings]),
    }


@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_two_designs_of_different_kind_pass_with_room(name: str) -> None:
    values = judged(*getattr(CHALLENGE, name).items())
    for wanted in CHALLENGE.assertions:
        found = values[wanted.metric]
        assert wanted.target - found.mean() >= 2 * found.std(ddof=1), wanted.metric
    assert CHALLENGE.reference["layout"] != CHALLENGE.alternative["layout"]


@pytest.mark.parametrize(
    ("design", "missed"),
    [
        (dict(CHALLENGE.naive), "itl_p99_ms"),
        (dict(CHALLENGE.maxed), "gpus"),
        ({"prefill_replicas": 2, "decode_replicas": 2}, "ttft_p99_s"),
        ({"prefill_replicas": 1, "decode_replicas": 3}, "ttft_p99_s"),
    ],
    ids=["naive", "maxed", "even split", "one prefill"],
)
def test_the_tempting_designs_miss_something(design: dict[str, Any], missed: str) -> None:
    values = judged(*design.items())
    target = next(wanted.target for wanted in CHALLENGE.assertions if wanted.metric == missed)
    assert values[missed].mean() > target
