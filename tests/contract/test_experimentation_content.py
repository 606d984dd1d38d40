"""The experimentation problem: its arithmetic against the engines, simulation and textbook formulas."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chisquare

from problems.calculators import CalculatorResult, evaluate
from problems.loader import load_problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.experiment import power
from simulators.engines.experiment.srm import srm_test
from simulators.lab import Context
from simulators.registry import get_lab


def computed(key: str, **inputs: float) -> CalculatorResult:
    calculator = load_problem("experimentation").calculator(key)
    assert calculator, key
    return evaluate(calculator, inputs)


@pytest.mark.parametrize(
    ("key", "output", "expected"),
    [
        ("sample_size", "per_arm", 745_644),
        ("sample_size", "both", 1_491_288),
        ("cuped_saving", "needed", 380_278),
        ("days_to_n", "distinct", 1_912_039),
        ("days_to_n", "naive", 5_600_000),
        ("days_to_n", "run_days", 14),
        ("false_wins", "any_metric", 641.5),
        ("false_wins", "corrected", 48.8),
        ("false_wins", "false_share", 22.0),
        ("srm_size", "srm_users", 676_000),
        ("holdout_mde", "mde", 0.563),
        ("design_effect", "deff", 5.95),
        ("switchback_units", "units", 6720),
        ("assignment_rate", "session_rate", 231_481),
        ("assignment_rate", "hash_cores", 0.694),
        ("assignment_rate", "rankings", 1e12),
        ("exposure_log", "every_session", 40),
        ("exposure_log", "first_a_day", 4),
        ("exposure_log", "interactions", 100),
        ("results_cube", "cells", 1.12e8),
        ("results_cube", "cube_gb", 5.376),
    ],
)
def test_defaults_reproduce_the_figures_the_walkthrough_quotes(key: str, output: str, expected: float) -> None:
    assert computed(key).value(output) == pytest.approx(expected, rel=0.003)


def test_other_inputs_reproduce_the_other_figures() -> None:
    plain = computed("sample_size").value("per_arm")
    assert computed("sample_size", lift=1).value("per_arm") == pytest.approx(4 * plain)
    assert computed("sample_size", tests=20).value("per_arm") == pytest.approx(1.9 * plain, rel=0.01)
    assert computed("sample_size", power=95).value("per_arm") == pytest.approx(1.66 * plain, rel=0.01)
    assert computed("cuped_saving", new_share=0.2).value("needed") == pytest.approx(453_352, rel=1e-5)
    assert 6 < computed("days_to_n").value("user_days") < 7
    assert computed("srm_size", loss=5).value("srm_users") == pytest.approx(26_000, rel=0.01)
    assert computed("srm_size", loss=0.5).value("srm_users") == pytest.approx(2.72e6, rel=0.01)


@pytest.mark.parametrize("given", [{}, {"lift": 0.5, "baseline": 30}, {"alpha": 1, "power": 95}, {"alpha": 20, "power": 55, "tests": 7}])
def test_sample_size_is_that_of_the_engine(given: dict[str, float]) -> None:
    result = computed("sample_size", **given)
    rate, lift, alpha, wanted, tests = (result.inputs[key] for key in ("baseline", "lift", "alpha", "power", "tests"))
    rate /= 100
    total = power.sample_size(rate * lift / 100, rate * (1 - rate), alpha / 100 / tests, wanted / 100)
    assert result.value("per_arm") == pytest.approx(total / 2, rel=1e-9)


def test_holdout_and_engine_see_the_same_smallest_effect() -> None:
    for held in (0.5, 1.0, 10.0):
        result = computed("holdout_mde", held=held)
        n, cv = result.inputs["n"], result.inputs["cv"]
        assert result.value("mde") == pytest.approx(100 * power.mde(cv**2, n * held / 100, n * (1 - held / 100)), rel=1e-9)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_distinct_users_are_what_simulated_visits_give(seed: int) -> None:
    rng, days = np.random.default_rng(seed), 14
    come = rng.random((20_000, days)) < 0.2
    expected = computed("days_to_n", population=20_000, days=days)
    assert come.any(axis=1).sum() == pytest.approx(expected.value("distinct"), rel=0.01)
    assert come.sum() == pytest.approx(expected.value("naive"), rel=0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sample_ratio_alarms_in_four_of_five_tests_of_the_size_given(seed: int) -> None:
    result = computed("srm_size", loss=5)
    planned, keep = round(result.value("srm_users")), 0.95
    rng = np.random.default_rng(seed)
    red = 0
    for _ in range(400):
        treated = rng.binomial(planned, 0.5)
        red += srm_test([planned - treated, rng.binomial(treated, keep)], (0.5, 0.5)).p_value < 0.001
    assert red / 400 == pytest.approx(0.8, abs=0.08)


def test_the_ratio_in_the_quiz_is_as_suspicious_as_it_says() -> None:
    assert chisquare([50_900, 49_900]).pvalue == pytest.approx(0.0016, rel=0.05)


def test_carry_over_is_the_mean_of_a_fading_memory() -> None:
    for hours, burn, memory in ((1, 0.0, 5), (0.25, 0.3, 40), (4, 0.9, 100)):
        window = 60 * hours
        area, _ = quad(lambda t, c=memory: math.exp(-t / c), burn * window, window)
        carried = computed("switchback_units", hours=hours, burn=burn, memory_min=memory).value("carried")
        assert carried == pytest.approx(100 * area / (window * (1 - burn)), rel=1e-6)


@pytest.mark.parametrize("icc", [0.05, 0.3])
def test_design_effect_is_the_variance_of_simulated_cluster_means(icc: float) -> None:
    rng, m = np.random.default_rng(3), 20
    shared, own = rng.normal(size=(4000, 1)) * math.sqrt(icc), rng.normal(size=(4000, m)) * math.sqrt(1 - icc)
    assert m * (shared + own).mean(axis=1).var() == pytest.approx(computed("design_effect", m=m, icc=icc).value("deff"), rel=0.08)


def test_cuped_parts_add_up_to_what_is_needed() -> None:
    for new_share, rho in ((0.0, 0.7), (0.3, 0.9), (1.0, 0.5)):
        result = computed("cuped_saving", new_share=new_share, rho=rho)
        assert result.value("left_noise") + result.value("left_new") == pytest.approx(result.value("needed"))


def test_the_false_win_comes_before_the_alarm_only_when_the_loss_is_selective() -> None:
    assert computed("srm_size").dominating == "srm_users"
    assert computed("srm_size", fake_lift=0.3).dominating == "win_users"


def test_pooling_the_quizzed_ramp_reverses_both_days() -> None:
    """Both days gain within themselves; pooled, treatment looks worse: the mechanism the walkthrough describes."""
    control = np.array([[990_000, 0.0202], [500_000, 0.0100]])
    treated = np.array([[10_000, 0.0230], [500_000, 0.0120]])
    assert (treated[:, 1] > control[:, 1]).all()
    pooled = [np.average(arm[:, 1], weights=arm[:, 0]) for arm in (control, treated)]
    assert pooled[1] / pooled[0] - 1 == pytest.approx(-0.27, abs=0.01)


# --- figures that labs measure ------------------------------------------------------------------------------------------

RULES = {"Look once": "fixed", "Naive": "naive", "O'Brien": "obrien_fleming", "Pocock": "pocock", "Always-valid": "always_valid"}


def measured(lab: str, **values: object) -> dict[str, float | None]:
    result = run_lab(get_lab("experimentation", lab), values, Context(seed=2, assets=CachedAssets(None)))
    return {metric.key: metric.value for metric in result.metrics}


def prose(phase: str) -> str:
    found = load_problem("experimentation").phase(phase)
    assert found
    return found.text


def test_the_table_of_stopping_rules_is_what_the_lab_measures() -> None:
    lab = measured("peeking", tuning=14_000)
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in prose("deep_dive").splitlines()
        if re.match(r"\| (Look|Naive|O'B|Poc|Alw).*\d \|$", line)
    ]
    assert len(rows) == len(RULES)
    for name, *cells in rows:
        kind = next(kind for start, kind in RULES.items() if name.startswith(start))
        false_positives, found, looks, exaggeration = (float(cell.rstrip(" %")) for cell in cells)
        assert lab[f"fpr@{kind}"] == pytest.approx(false_positives, abs=0.6)
        assert lab[f"power@{kind}"] == pytest.approx(found, abs=1.2)
        assert lab[f"mean_looks@{kind}"] == pytest.approx(looks, abs=0.15)
        assert lab[f"exaggeration@{kind}"] == pytest.approx(exaggeration, abs=0.03)


def test_the_covariate_from_the_future_takes_the_effect_the_text_says() -> None:
    lab = measured("readout", metric="clicks_per_view", covariates="post_period", lift=5.0)
    assert lab["effect_raw"] == pytest.approx(4.7, abs=1.3), "another draw of the users moves it by about half a point"
    assert abs(lab["effect"] or 0) < 1
