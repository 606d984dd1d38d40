"""Routing between models and the place of safety checks, against integrals, simulation and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from simulators.engines.serving.cascade import TIERS, Mixture, RouteResult, correct_chance, expected_quality, judge, retry_load, route
from simulators.engines.serving.safety import (
    PATHS,
    Safety,
    checked_tokens,
    expected_exposure_tokens,
    exposure_tokens,
    first_visible_s,
)
from simulators.errors import InvalidInput

SEEDS = range(3)
N = 30_000


def frontier(seed: int, noise: float) -> list[RouteResult]:
    rng = np.random.default_rng(seed)
    difficulty = Mixture().draw(rng, N)
    quality = expected_quality(difficulty + rng.normal(0, noise, N) if noise else difficulty, noise)
    return [judge(difficulty, route(quality, price)) for price in np.geomspace(0.005, 30, 100)]


def cost_share(seed: int, noise: float) -> float:
    """GPU seconds of the cheapest router within a point of all-reasoning, over all-reasoning's."""
    difficulty = Mixture().draw(np.random.default_rng(seed), N)
    best = correct_chance(TIERS[-1].ability, difficulty).mean()
    return min(result.gpu_s for result in frontier(seed, noise) if result.quality >= best - 0.01) / TIERS[-1].gpu_s


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0])
def test_expected_quality_is_the_integral_over_the_posterior(noise: float) -> None:
    mixture = Mixture()
    for signal in (-3.0, -0.5, 1.4, 3.0):

        def joint(z: float, signal: float = signal) -> float:
            parts = zip(mixture.share, mixture.mean, mixture.std, strict=True)
            prior = sum(share / std * np.exp(-(((z - mean) / std) ** 2) / 2) for share, mean, std in parts)
            return float(prior * np.exp(-(((signal - z) / noise) ** 2) / 2))

        whole = quad(joint, -9, 9, limit=200)[0]
        for i, tier in enumerate(TIERS):
            right = quad(lambda z, a=tier.ability: joint(z) * float(correct_chance(a, np.array(z))), -9, 9, limit=200)[0]
            assert expected_quality([signal], noise)[0, i] == pytest.approx(right / whole, abs=2e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_router_saves_what_it_can_see(seed: int) -> None:
    shares = [cost_share(seed, noise) for noise in (0, 0.5, 1.1, 2.2, 9)]
    assert shares == sorted(shares)
    assert shares == pytest.approx([0.31, 0.35, 0.43, 0.62, 0.87], abs=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_higher_price_costs_less_and_answers_worse(seed: int) -> None:
    results = frontier(seed, 0.5)
    costs, qualities = [r.gpu_s for r in results], [r.quality for r in results]
    assert np.all(np.diff(costs) <= 1e-12) and qualities[0] > 0.97 > qualities[-1]
    assert results[-1].mix.tolist() == [1, 0, 0] and results[0].mix[2] > 0.4
    assert all(result.mix.sum() == pytest.approx(1) for result in results)


def test_single_models() -> None:
    difficulty = Mixture().draw(np.random.default_rng(0), 200_000)
    qualities = [judge(difficulty, np.full(len(difficulty), i)).quality for i in range(3)]
    assert qualities == pytest.approx([0.729, 0.890, 0.976], abs=0.004)


@pytest.mark.parametrize("seed", SEEDS)
def test_retries_add_load_as_simulated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked, tries = N, 0
    while asked:
        tries += asked
        asked = int(rng.binomial(asked, 0.3 * 0.4))
    assert retry_load(0.7, 0.4) == pytest.approx(tries / N, rel=0.01)
    assert retry_load(1, 1) == 1 and retry_load(0.5, 0.5) > retry_load(0.9, 0.5)


def test_safety_paths_by_hand() -> None:
    """The arithmetic of the capacity calculators: 350 tokens at 15 ms, checks of 120 and 80 ms; prefill apart, as they have it."""
    safety = Safety()
    assert first_visible_s("parallel", safety, 0.12, 350, 32) == pytest.approx(0.12 + 350 * 0.015 + 0.08)
    assert first_visible_s("serial", safety, 0.15, 350, 32) == pytest.approx(5.60)
    assert first_visible_s("streaming", safety, 0.15, 350, 32) == pytest.approx(0.71)
    assert first_visible_s("optimistic", safety, 0.15, 350, 32) == 0.15
    assert exposure_tokens("optimistic", safety, 350, 32) == pytest.approx(32 + 0.08 / 0.015)
    assert exposure_tokens("streaming", safety, 350, 32) == 0
    assert exposure_tokens("optimistic", safety, 20, 32) == 20


@pytest.mark.parametrize("seed", SEEDS)
def test_exposure_as_simulated(seed: int) -> None:
    """Every unsafe answer is found once the detector has read an exponential number of tokens, or never."""
    safety, answer, window, rng = Safety(), 300, 40, np.random.default_rng(seed)
    needs = np.where(rng.random(N) < safety.recall, rng.exponential(safety.recall_tokens, N), np.inf)
    found = np.ceil(needs / window) * window  # tokens read by the check that finds it
    found = np.where(needs <= answer, np.minimum(found, answer), np.inf)
    optimistic = np.minimum(found + safety.output_s / safety.itl_s, answer)
    streaming = np.where(np.isinf(found), answer, (np.ceil(needs / window) - 1) * window)
    assert expected_exposure_tokens("optimistic", safety, answer, window) == pytest.approx(optimistic.mean(), rel=0.03)
    assert expected_exposure_tokens("streaming", safety, answer, window) == pytest.approx(streaming.mean(), rel=0.04)
    ordered = [expected_exposure_tokens(path, safety, answer, window) for path in ("serial", "streaming", "optimistic")]
    assert ordered == sorted(ordered)


def test_reading_all_again_grows_with_the_square() -> None:
    assert checked_tokens(1000, 10, cumulative=False) == 1000
    assert checked_tokens(1000, 10, cumulative=True) == 10 * 100 * 101 // 2
    grown = checked_tokens(2000, 10, cumulative=True) / checked_tokens(1000, 10, cumulative=True)
    assert grown == pytest.approx(4, rel=0.02)


def test_bad_input() -> None:
    with pytest.raises(InvalidInput, match="safety path is 'never'"):
        first_visible_s("never", Safety(), 0.1, 10, 10)
    for path in PATHS:
        with pytest.raises(InvalidInput, match="window of 0 tokens"):
            exposure_tokens(path, Safety(), 10, 0)
    with pytest.raises(InvalidInput, match="noise is -1"):
        expected_quality([0.0], -1)
    with pytest.raises(InvalidInput, match="recall from 0 to 1"):
        Safety(recall=1.5)
    with pytest.raises(InvalidInput, match="sum to 1"):
        Mixture(share=(0.5, 0.1, 0.1))
