"""The LLM serving problem: its arithmetic against the engine and closed forms, its quoted figures against the labs."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest

from problems.calculators import CalculatorResult, evaluate
from problems.loader import load_problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.serving import CostModel, expected_tokens
from simulators.engines.serving.cascade import TIERS, Mixture, expected_quality, judge, route
from simulators.engines.serving.gpus import find_gpu
from simulators.engines.serving.safety import Safety, exposure_tokens, first_visible_s
from simulators.lab import Context
from simulators.registry import get_lab


def computed(key: str, **inputs: float) -> CalculatorResult:
    calculator = load_problem("llm_serving").calculator(key)
    assert calculator, key
    return evaluate(calculator, inputs)


# --- figures that the walkthrough quotes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "output", "expected"),
    [
        ("traffic", "mean_rps", 18_519),
        ("traffic", "peak_rps", 37_037),
        ("traffic", "prompt_rate", 42.8e6),
        ("traffic", "answer_rate", 7.81e6),
        ("prefill_gpus", "linear", 4_274),
        ("prefill_gpus", "gpus", 4_320),
        ("prefill_gpus", "balance", 107_650),
        ("decode_gpus", "weights_ms", 14.04),
        ("decode_gpus", "kv_ms", 15.65),
        ("decode_gpus", "itl_ms", 33.7),
        ("decode_gpus", "per_gpu", 1_900),
        ("decode_gpus", "fleet", 4_107),
        ("kv_cache", "per_token", 327_680),
        ("kv_cache", "tokens", 1.36e6),
        ("kv_cache", "chats", 906),
        ("kv_cache", "long_fit", 13.6),
        ("ridge", "ridge", 295.2),
        ("ridge", "crossing", 430_600),
        ("long_prompt", "alone_s", 9.0),
        ("long_prompt", "waiting", 54),
        ("kv_transfer", "wire_ms", 7.57),
        ("reuse", "break_even", 11.0),
        ("speculation", "tokens", 2.952),
        ("autoscaling", "ready_s", 280.5),
        ("safety_latency", "buffered", 5.6),
        ("safety_latency", "streamed", 0.71),
        ("safety_latency", "shown", 37.3),
        ("cost", "full_load", 0.293),
        ("cost", "real", 0.732),
        ("api_or_own", "api_day", 6_000),
        ("api_or_own", "gpus", 12),
        ("api_or_own", "own_day", 289.7),
    ],
)
def test_defaults_reproduce_the_figures_the_walkthrough_quotes(key: str, output: str, expected: float) -> None:
    assert computed(key).value(output) == pytest.approx(expected, rel=0.005)


def test_other_inputs_reproduce_the_other_figures() -> None:
    assert computed("traffic", messages=10, answer=500, peak=1).value("answer_rate") == pytest.approx(11.6e6, rel=0.005)
    bf16 = computed("decode_gpus", weight_gb=141.1, gpus=8)
    assert bf16.value("itl_ms") == pytest.approx(16, abs=1.5) and bf16.value("fleet") == pytest.approx(7_660, rel=0.1)
    assert computed("kv_transfer", prompt=100_000).value("wire_ms") == pytest.approx(655, rel=0.002)
    assert computed("speculation", k=5).value("tokens") == pytest.approx(3.69, abs=0.005)
    assert computed("ridge", tflops=1978, weight_bytes=1).value("ridge") == pytest.approx(295, abs=1), "FP8 doubles both"
    assert computed("ridge", weight_bytes=0.5).value("ridge") == pytest.approx(74, abs=0.5)
    assert computed("ridge", weight_bytes=1).value("crossing") == pytest.approx(430_600 / 2, rel=1e-3)
    assert computed("api_or_own", queries=1_000).value("api_day") == pytest.approx(6)
    assert computed("formats", weight_bytes=2).value("fit") == 2 and computed("formats").value("fit") == 1
    assert computed("long_prompt", hit=0.85).value("alone_s") < 2.7, "most of what is left is attention of the new tokens to the old"


# --- against the engine --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weights", "tp"), [("bf16", 8), ("bf16", 4), ("fp8", 2), ("fp8", 8)])
def test_cache_calculator_holds_what_the_engine_holds(weights: str, tp: int) -> None:
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=tp, weights=weights)
    result = computed("kv_cache", gpus=tp, weight_gb=141.1 if weights == "bf16" else 70.55)
    assert result.value("per_token") == cost.kv_bytes_per_token
    assert result.value("tokens") == pytest.approx(16 * cost.num_blocks(), rel=0.005)


@pytest.mark.parametrize(("batch", "context"), [(16, 500), (64, 1_500), (128, 1_500), (128, 6_000)])
def test_decode_calculator_is_a_step_of_the_engine(batch: int, context: int) -> None:
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=2, weights="fp8")
    step_ms = 1_000 * cost.step_s(np.full(batch, context), [])
    result = computed("decode_gpus", batch=batch, context=context)
    assert result.value("itl_ms") == pytest.approx(step_ms, rel=0.08)
    assert result.value("per_gpu") == pytest.approx(batch / step_ms * 1_000 / 2, rel=0.08)


@pytest.mark.parametrize(("prompt", "tp"), [(100_000, 8), (20_000, 8), (100_000, 4), (200_000, 8)])
def test_long_prompt_calculator_is_a_step_of_the_engine(prompt: int, tp: int) -> None:
    step_s = CostModel.roofline("Llama-3.1-70B", "H100", tp=tp).step_s([], [(prompt, 0)])
    assert computed("long_prompt", prompt=prompt, gpus=tp).value("alone_s") == pytest.approx(step_s, rel=0.03)


@pytest.mark.parametrize("hit", [0.25, 0.5, 0.85])
def test_cached_part_of_a_long_prompt_costs_what_the_engine_says(hit: float) -> None:
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=8)
    cached = round(100_000 * hit)
    assert computed("long_prompt", hit=hit).value("alone_s") == pytest.approx(cost.step_s([], [(100_000 - cached, cached)]), rel=0.05)


@pytest.mark.parametrize(("name", "ridge"), [("H100", 295), ("A100", 153), ("H200", 206)])
def test_ridge_is_that_of_the_data_sheets(name: str, ridge: float) -> None:
    gpu = find_gpu(name)
    result = computed("ridge", tflops=gpu.bf16_flops / 1e12, bandwidth=gpu.hbm_bytes_per_s / 1e12)
    assert result.value("ridge") == pytest.approx(ridge, abs=1)


@pytest.mark.parametrize(("alpha", "k"), [(0.8, 3), (0.8, 5), (0.3, 1), (0.95, 8)])
def test_speculation_yields_the_engines_and_the_drawn_number_of_tokens(alpha: float, k: int) -> None:
    tokens = computed("speculation", alpha=alpha, k=k).value("tokens")
    assert tokens == pytest.approx(expected_tokens(alpha, k), rel=1e-12)
    accepted = np.random.default_rng(5).random((40_000, k)) < alpha
    assert 1 + np.cumprod(accepted, axis=1).sum(axis=1).mean() == pytest.approx(tokens, rel=0.02)


def test_speculation_gains_what_the_text_says_and_less_the_larger_the_batch() -> None:
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=8)
    gains = [cost.spec_speedup(batch, 1_024, 0.8, 3, 0.03) for batch in (1, 64, 128, 256)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] == pytest.approx(2.7, abs=0.1) and gains[2] == pytest.approx(1.5, abs=0.1)
    assert cost.spec_speedup(256, 1_024, 0.8, 5, 0.03) < 1


@pytest.mark.parametrize("window", [16, 32, 128])
def test_safety_calculator_is_the_engines(window: int) -> None:
    result = computed("safety_latency", window=window)
    assert result.value("buffered") == pytest.approx(first_visible_s("serial", Safety(), 0.15, 350, window), rel=1e-9)
    assert result.value("streamed") == pytest.approx(first_visible_s("streaming", Safety(), 0.15, 350, window), rel=1e-9)
    assert result.value("shown") == pytest.approx(exposure_tokens("optimistic", Safety(), 350, window), abs=1), "whole tokens"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_router_comes_within_a_point_of_reasoning_at_the_share_the_text_says(seed: int) -> None:
    difficulty, rng = Mixture().draw(np.random.default_rng(seed), 40_000), np.random.default_rng(seed + 10)
    reasoning = judge(difficulty, np.full(difficulty.size, 2))
    for noise, share in ((0.5, 0.38), (1.0, 0.46)):
        chances = expected_quality(difficulty + noise * rng.standard_normal(difficulty.size), noise)
        runs = [judge(difficulty, route(chances, price)) for price in np.geomspace(0.005, 0.3, 40)]
        near = [run.gpu_s for run in runs if reasoning.quality - run.quality <= 0.01]
        assert min(near) / TIERS[2].gpu_s < share


def test_little_law_and_chunks_of_the_cache_add_up() -> None:
    for mix in (0.0, 0.4, 5.0):
        result = computed("kv_cache", mix=mix)
        assert result.value("chat_share") + result.value("long_share") == pytest.approx(100)


# --- figures that labs measure -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def assets() -> CachedAssets:
    return CachedAssets(None)


def measured(assets: CachedAssets, lab: str, seed: int, **values: object) -> dict[str, float]:
    result = run_lab(get_lab("llm_serving", lab), values, Context(seed=seed, assets=assets))
    return {metric.key: metric.value for metric in result.metrics if metric.value is not None}


ROWS: dict[str, dict[str, object]] = {
    "One queue": {},
    "[Chunks": {"policy": "sarathi", "token_budget": 512},
    "Shortest": {"order": "srpt", "token_budget": 320},
    "[Two pools": {"policy": "disaggregated"},
    "Two pools": {"policy": "disaggregated", "long": 1},
}


def waiting_table() -> dict[str, list[str]]:
    phase = load_problem("llm_serving").phase("deep_dive")
    assert phase
    lines = [line for line in phase.text.splitlines() if line.startswith(tuple(f"| {name}" for name in ROWS)) and "ms |" in line]
    return {line[2:]: [cell.strip() for cell in line.split("|")[1:-1]] for line in lines}


def bounds(cell: str) -> tuple[float, float]:
    found = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", cell)]
    return found[0], found[-1]


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_table_of_waiting_is_what_the_lab_measures(seed: int, assets: CachedAssets) -> None:
    table = waiting_table()
    assert len(table) == len(ROWS)
    for line, (_, ttft, itl, _) in table.items():
        lab = measured(assets, "scheduler_race", seed, **next(values for name, values in ROWS.items() if line.startswith(name)))
        check_within(lab["itl_p99_ms"], bounds(itl))
        if ttft == "no better":
            assert lab["short_ttft_p99_s"] > 10
        else:
            check_within(lab["short_ttft_p99_s"], bounds(ttft))


def check_within(value: float, ends: Sequence[float]) -> None:
    low, high = ends
    assert 0.93 * low <= value <= 1.07 * high, f"{value} is not in {low} to {high}"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_burst_of_one_tenant_makes_others_wait_as_the_text_says(seed: int, assets: CachedAssets) -> None:
    world: dict[str, object] = {"model": "Llama-3.1-8B", "tp": "1", "replicas": 1, "long_share": 0, "rate": 12, "burst": 21}
    assert 180 < measured(assets, "scheduler_race", seed, **world)["others_ttft_p99_s"] < 230
    assert measured(assets, "scheduler_race", seed, order="vtc", **world)["others_ttft_p99_s"] < 2.5


def test_sessions_find_more_and_wait_longer_than_queue_plus_uncached_prefill(assets: CachedAssets) -> None:
    cost, session, stale = (measured(assets, "prefix_cache", 1, **v) for v in ({}, {"router": "session"}, {"signal_delay_s": 1.0}))
    assert session["hit_tokens"] > cost["hit_tokens"] + 0.05
    assert 2.5 < session["ttft_mean_s"] / cost["ttft_mean_s"] < 4.5
    assert 2.5 < stale["ttft_mean_s"] / cost["ttft_mean_s"] < 4.2


def test_reactive_scaling_misses_at_the_step_and_the_larger_of_both_does_not(assets: CachedAssets) -> None:
    reactive, quick, hybrid = (measured(assets, "fleet_day", 1, **v) for v in ({}, {"lag_s": 30}, {"policy": "hybrid"}))
    assert reactive["violation_share"] > 0.2
    assert quick["violation_share"] < 0.05 and hybrid["violation_share"] < 0.05
