"""Item statistics against figures worked out by hand, against other libraries, and on groups with known difficulty."""

from __future__ import annotations

from math import sqrt
from statistics import correlation, covariance, mean, stdev

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from mlsd_app.cohorts.item_analysis import item_statistics, presented
from mlsd_app.cohorts.item_analysis import test_statistics as whole_statistics
from mlsd_app.core.shares import share_interval

NAN = float("nan")
HAND = np.array([[1.0, 2, 0], [1, 1, 1], [0, 1, 0], [1, 2, 1], [0, 0, 1]])
HIGHEST = np.array([1.0, 2, 1])


def rasch(people: int, difficulty: NDArray[np.float64], seed: int, slope: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """0/1 marks of people whose ability is standard normal."""
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=(people, 1))
    slopes = np.ones_like(difficulty) if slope is None else slope
    return np.asarray(rng.random((people, len(difficulty))) < 1 / (1 + np.exp(-slopes * (ability - difficulty))), dtype=float)


def test_by_hand() -> None:
    first, second, third = item_statistics(HAND, HIGHEST)
    assert first.facility == pytest.approx(0.6, abs=1e-12)
    assert second.facility == pytest.approx(6 / 5 / 2, abs=1e-12)
    rest = [2.0, 2, 1, 3, 1]
    assert first.discrimination == pytest.approx(100 * correlation([1.0, 1, 0, 1, 0], rest), abs=1e-9)
    assert first.efficiency == pytest.approx(
        100 * covariance([1.0, 1, 0, 1, 0], rest) / covariance([0.0, 0, 1, 1, 1], [1.0, 1, 2, 2, 3]), abs=1e-9
    )
    assert second.sd == pytest.approx(100 * stdev([2.0, 1, 1, 2, 0]) / 2, abs=1e-9)
    totals = [3.0, 3, 1, 4, 1]
    spreads = [sqrt(max(0.0, covariance(list(column), totals))) for column in HAND.T]
    assert [item.effective_weight for item in (first, second, third)] == pytest.approx([100 * s / sum(spreads) for s in spreads], abs=1e-9)
    assert [item.intended_weight for item in (first, second, third)] == pytest.approx([25, 50, 25])


def test_the_whole_by_hand() -> None:
    found = whole_statistics(HAND, HIGHEST)
    totals = [75.0, 75, 25, 100, 25]
    assert (found.n, found.items) == (5, 3)
    assert found.mean == pytest.approx(mean(totals)) and found.median == 75 and found.sd == pytest.approx(stdev(totals))
    alpha = 3 / 2 * (1 - sum(stdev(column) ** 2 for column in HAND.T.tolist()) / stdev([3.0, 3, 1, 4, 1]) ** 2)
    assert found.alpha == pytest.approx(alpha, abs=1e-9)
    assert found.sem == pytest.approx(stdev(totals) * sqrt(1 - alpha), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_other_libraries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, 5, size=(60, 8)).astype(float) + rng.normal(size=(60, 1)) * 2
    frame = pd.DataFrame(marks)
    highest = np.full(8, 10.0)
    for number, item in enumerate(item_statistics(marks, highest)):
        rest = frame.drop(columns=number).sum(axis=1)
        assert item.discrimination == pytest.approx(100 * frame[number].corr(rest), abs=1e-9)
    found = whole_statistics(marks, highest)
    total = frame.sum(axis=1) * 100 / 80
    assert found.skewness == pytest.approx(total.skew(), abs=1e-9) and found.kurtosis == pytest.approx(total.kurt(), abs=1e-9)
    # alpha is a ratio of mean squares of a two-way analysis of variance
    grand = marks.mean()
    people = 8 * ((marks.mean(axis=1) - grand) ** 2).sum() / 59
    residual = ((marks - marks.mean(axis=1, keepdims=True) - marks.mean(axis=0) + grand) ** 2).sum() / (59 * 7)
    assert found.alpha == pytest.approx(1 - residual / people, abs=1e-9)


def test_shares_have_the_wilson_interval_of_statsmodels() -> None:
    for successes, n in ((0, 7), (3, 7), (7, 7), (41, 100)):
        assert share_interval(successes, n) == pytest.approx(proportion_confint(successes, n, method="wilson"), abs=1e-9)
    assert share_interval(13, 25) == pytest.approx((0.3350, 0.6997), abs=1e-4)
    assert share_interval(0, 0) is None


def test_difficulty_and_discrimination_are_found_again() -> None:
    difficulty = np.array([-2.0, -1, 0, 1, 2, 0])
    slope = np.array([1.0, 1, 1, 1, 1, 0])  # the last one tells nobody apart
    for seed in range(3):
        found = item_statistics(rasch(4000, difficulty, seed, slope), np.ones(6))
        facilities = [item.facility or 0.0 for item in found]
        assert facilities[:5] == sorted(facilities[:5], reverse=True)
        assert abs(facilities[5] - 0.5) < 0.03
        assert abs(found[5].discrimination or 0) < 6 < min(item.discrimination or 0 for item in found[:5])


def test_an_item_keyed_wrongly_is_negative_and_flagged() -> None:
    marks = rasch(400, np.zeros(8), 1, np.full(8, 2.0))
    marks[:, 3] = 1 - marks[:, 3]
    found = item_statistics(marks, np.ones(8))
    assert found[3].against and (found[3].discrimination or 0) < -20 and found[3].effective_weight == 0
    assert not any(item.against for number, item in enumerate(found) if number != 3)


def test_not_reached_is_not_difficult() -> None:
    marks = rasch(200, np.zeros(4), 2)
    cut = marks.copy()
    cut[50:, 3] = NAN
    assert item_statistics(cut, np.ones(4))[3].facility == pytest.approx(marks[:50, 3].mean())
    assert item_statistics(cut, np.ones(4))[3].n == 50
    assert whole_statistics(cut, np.ones(4)).n == 50


def test_nobody_reached_it() -> None:
    marks = np.array([[1.0, NAN], [0.0, NAN]])
    item = item_statistics(marks, np.ones(2))[1]
    assert (item.n, item.facility, item.discrimination, item.sd) == (0, None, None, None)
    assert whole_statistics(marks, np.ones(2)).items == 1


@pytest.mark.parametrize(
    "marks",
    [np.ones((6, 3)), np.ones((1, 3)), np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 0]]), np.zeros((0, 3))],
    ids=["all the same", "one person", "equal totals", "nobody"],
)
def test_undefined_figures_are_none_and_never_nan(marks: NDArray[np.float64]) -> None:
    rows = [vars(item) for item in item_statistics(marks, np.ones(3))] + [vars(whole_statistics(marks, np.ones(3)))]
    for row in rows:
        for value in row.values():
            parts = value if isinstance(value, tuple) else (value,)
            assert all(part is None or np.isfinite(part) for part in parts)


def test_constant_item_has_no_discrimination() -> None:
    marks = rasch(50, np.zeros(3), 3)
    marks[:, 0] = 1
    assert item_statistics(marks, np.ones(3))[0].discrimination is None


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Alpha of parallel items with correlation .25: Spearman-Brown says k rho / (1 + (k - 1) rho)."""
    k, rho, n, hits = 6, 0.25, 80, 0
    truth = k * rho / (1 + (k - 1) * rho)
    for seed in range(300):
        rng = np.random.default_rng(seed)
        marks = sqrt(rho) * rng.normal(size=(n, 1)) + sqrt(1 - rho) * rng.normal(size=(n, k))
        low, high = whole_statistics(marks, np.ones(k)).alpha_ci or (NAN, NAN)
        hits += low <= truth <= high
    assert stats.binomtest(hits, 300, 0.95).pvalue > 1e-4


@pytest.mark.parametrize("n", [4, 5, 29, 30, 99, 100])
def test_small_groups_withhold_what_they_cannot_carry(n: int) -> None:
    marks = rasch(n, np.linspace(-1, 1, 5), 7)
    item, whole = presented(item_statistics(marks, np.ones(5))[0]), presented(whole_statistics(marks, np.ones(5)))
    assert (item["facility"] is None) == (n < 5)
    for shown in (item["discrimination"], item["efficiency"], item["effective_weight"], whole["alpha"], whole["sem"]):
        assert (shown is None) == (n < 30)
    assert (item["discrimination_ci"] is None) == (whole["alpha_ci"] is None) == (n < 30 or n >= 100)
    assert bool(item["hidden_reason"]) == (n < 30)


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="people, items"):
        item_statistics(np.ones((3, 2)), np.ones(3))
    with pytest.raises(ValueError, match="above 0"):
        whole_statistics(np.ones((3, 2)), np.array([1.0, 0]))
