"""Metrics against scikit-learn and against sums over all pairs, with ties; refusals name the argument."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from simulators.engines.ranking import metrics

SEEDS = (1, 2, 3)
EXACT = 1e-9


def labelled(seed: int, rows: int = 500, levels: int | None = None) -> tuple[Any, Any]:
    """Labels and scores in [0, 1] that know a little; `levels` rounds them so that most are tied."""
    draws = np.random.default_rng(seed)
    p = draws.beta(1, 4, rows)
    y = (draws.random(rows) < p).astype(float)
    return y, p if levels is None else np.round(p * levels) / levels


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("levels", (None, 7, 1))
def test_auc_is_scikit_learns(seed: int, levels: int | None) -> None:
    y, score = labelled(seed, levels=levels)
    assert metrics.auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=EXACT)
    assert metrics.auc(y, np.exp(5 * score)) == pytest.approx(metrics.auc(y, score), abs=EXACT)
    assert metrics.auc(y, -score) == pytest.approx(1 - metrics.auc(y, score), abs=EXACT)


@pytest.mark.parametrize("seed", SEEDS)
def test_expected_auc_counts_every_pair_by_its_chance(seed: int) -> None:
    draws = np.random.default_rng(seed)
    p, score = draws.random(60) * 0.8, draws.integers(0, 12, 60) / 12.0  # ties
    chance = p[:, None] * (1 - p)
    np.fill_diagonal(chance, 0)
    won = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    assert metrics.expected_auc(p, score) == pytest.approx((chance * won).sum() / chance.sum(), abs=EXACT)
    assert metrics.expected_auc(p, p) >= metrics.expected_auc(p, score)
    y, score = labelled(seed, levels=7)
    assert metrics.expected_auc(y, score) == pytest.approx(roc_auc_score(y, score), abs=EXACT)
    assert np.isnan(metrics.expected_auc(np.ones(3), np.arange(3)))


@pytest.mark.parametrize("seed", SEEDS)
def test_auc_counts_pairs(seed: int) -> None:
    y, score = labelled(seed, 80, levels=6)
    pairs = [(s > t) + (s == t) / 2 for s, t in itertools.product(score[y == 1], score[y == 0])]
    assert metrics.auc(y, score) == pytest.approx(np.mean(pairs), abs=EXACT)


def test_auc_without_both_classes_is_nan() -> None:
    assert np.isnan(metrics.auc([1, 1], [0.1, 0.2])) and np.isnan(metrics.auc([], []))
    assert np.isnan(metrics.gauc([1, 1, 0], [0.1, 0.2, 0.3], [1, 1, 2]))
    assert metrics.auc([0, 1], [0.5, 0.5]) == 0.5


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("text", (False, True))
def test_gauc_weighs_mixed_groups_by_rows(seed: int, text: bool) -> None:
    y, score = labelled(seed, levels=9)
    group = np.random.default_rng(seed).zipf(1.5, len(y)).clip(max=40)
    parts = [(group == g) for g in np.unique(group) if 0 < y[group == g].mean() < 1]
    expected = np.average([roc_auc_score(y[rows], score[rows]) for rows in parts], weights=[rows.sum() for rows in parts])
    names = np.array([f"user {g}" for g in group]) if text else group
    assert metrics.gauc(y, score, names) == pytest.approx(expected, abs=EXACT)
    assert metrics.gauc(y, score, np.zeros(len(y), int)) == pytest.approx(metrics.auc(y, score), abs=EXACT)


@pytest.mark.parametrize("seed", SEEDS)
def test_log_loss_is_scikit_learns(seed: int) -> None:
    y, p = labelled(seed)
    p[:4] = 0, 1, 0, 1
    assert metrics.log_loss(y, p) == pytest.approx(log_loss(y, p), abs=EXACT)


@pytest.mark.parametrize("seed", SEEDS)
def test_excess_is_the_expected_loss_above_the_truths(seed: int) -> None:
    _, p = labelled(seed)
    _, truth = labelled(seed + 10)
    assert metrics.excess_log_loss(truth, p) == pytest.approx(metrics.log_loss(truth, p) - metrics.log_loss(truth, truth), abs=EXACT)
    assert metrics.excess_log_loss(truth, truth) == pytest.approx(0, abs=1e-12)
    assert metrics.excess_log_loss([0, 1, 0.5], [0, 1, 0.5]) == pytest.approx(0, abs=1e-12)
    assert metrics.excess_log_loss([0.5], [0.25]) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75))


@pytest.mark.parametrize("seed", SEEDS)
def test_normalized_entropy_is_one_for_the_base_rate(seed: int) -> None:
    y, p = labelled(seed)
    constant = np.full(len(y), y.mean())
    assert metrics.normalized_entropy(y, constant) == pytest.approx(1, abs=EXACT)
    assert metrics.normalized_entropy(y, p) == pytest.approx(log_loss(y, p) / log_loss(y, constant), abs=EXACT)
    assert np.isnan(metrics.normalized_entropy([0, 0], [0.1, 0.2]))


def test_calibration_ratio() -> None:
    assert metrics.calibration_ratio([1, 0, 0, 1], [0.5, 0.25, 0.25, 1]) == pytest.approx(1)
    assert metrics.calibration_ratio([1, 0], [0.2, 0.1]) == pytest.approx(0.3)
    assert np.isnan(metrics.calibration_ratio([0, 0], [0.2, 0.1]))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", ("quantile", "uniform"))
@pytest.mark.parametrize("levels", (None, 25))
def test_ece_agrees_with_the_calibration_curve(seed: int, strategy: Any, levels: int | None) -> None:
    y, p = labelled(seed, 800, levels)
    bins = 8
    rate, mean = calibration_curve(y, p, n_bins=bins, strategy=strategy)
    edges = np.quantile(p, np.linspace(0, 1, bins + 1)) if strategy == "quantile" else np.linspace(0, 1, bins + 1)
    rows = np.bincount(np.searchsorted(edges[1:-1], p))
    assert metrics.ece(y, p, bins=bins, strategy=strategy) == pytest.approx(
        np.average(np.abs(rate - mean), weights=rows[rows > 0]), abs=EXACT
    )
    shuffled = np.random.default_rng(seed).permutation(len(y))
    assert metrics.ece(y[shuffled], p[shuffled], bins, strategy) == pytest.approx(metrics.ece(y, p, bins, strategy), abs=EXACT)


def test_ece_defaults_are_fifteen_bins_of_equal_mass() -> None:
    y, p = labelled(1)
    assert metrics.ece(y, p) == metrics.ece(y, p, bins=15, strategy="quantile") != metrics.ece(y, p, strategy="uniform")
    assert metrics.ece([0, 1, 0, 1], [0.5] * 4) == 0
    assert metrics.ece([0, 0], [0.25, 0.25]) == 0.25


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", (1, 5, 30))
@pytest.mark.parametrize("levels", (1000, 3))
def test_ndcg_is_scikit_learns(seed: int, k: int, levels: int) -> None:
    draws = np.random.default_rng(seed)
    relevance, score = draws.poisson(0.5, (40, 12)).astype(float), draws.integers(0, levels, (40, 12)).astype(float)
    relevance[:3] = 0
    assert metrics.ndcg_at_k(relevance, score, k) == pytest.approx(ndcg_score(relevance, score, k=k), abs=EXACT)
    assert metrics.ndcg_at_k(relevance, score, k, gain="exp2") == pytest.approx(ndcg_score(2**relevance - 1, score, k=k), abs=EXACT)
    assert metrics.ndcg_at_k(relevance[relevance.any(axis=1)], relevance[relevance.any(axis=1)], k) == pytest.approx(1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("k", (1, 3, 6))
def test_recall_is_the_mean_over_all_orders_of_equal_scores(seed: int, k: int) -> None:
    draws = np.random.default_rng(seed)
    relevant, score = draws.random((6, 6)) < 0.3, draws.integers(0, 3, (6, 6)).astype(float)
    relevant[0] = False
    orders = [np.array(order) for order in itertools.permutations(range(6))]
    expected = [
        np.mean([row[order[np.argsort(-of[order], kind="stable")[:k]]].sum() / row.sum() for order in orders])
        for row, of in zip(relevant, score, strict=True)
        if row.any()
    ]
    assert metrics.recall_at_k(relevant, score, k) == pytest.approx(np.mean(expected), abs=EXACT)
    assert metrics.recall_at_k(relevant, score, 6) == pytest.approx(1)


def test_recall_without_a_relevant_item_is_nan() -> None:
    assert np.isnan(metrics.recall_at_k(np.zeros((2, 3), bool), np.zeros((2, 3)), 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_mass_is_the_chance_that_the_next_choice_is_listed(seed: int) -> None:
    draws = np.random.default_rng(seed)
    p = draws.dirichlet(np.ones(20), 30)
    ids = np.argsort(draws.random(p.shape), axis=1)[:, :5]
    best = -np.sort(-p, axis=1)[:, :5].sum(axis=1).mean()
    found = metrics.mass_at_k(p, ids)
    assert found.mass == pytest.approx(np.mean([row[of].sum() for row, of in zip(p, ids, strict=True)]), abs=EXACT)
    assert found.of_oracle == pytest.approx(found.mass / best, abs=EXACT) and found.of_oracle < 1
    assert metrics.mass_at_k(p, np.argsort(-p, axis=1)[:, :5]).of_oracle == pytest.approx(1)
    assert metrics.mass_at_k(p, np.tile(np.arange(20), (30, 1))) == pytest.approx((1, 1))


def test_mass_counts_repeats_once_and_empty_slots_not() -> None:
    assert metrics.mass_at_k([[0.5, 0.3, 0.2]], [[1, -1, 1]]) == pytest.approx((0.3, 0.3))
    assert metrics.mass_at_k([[0.5, 0.3, 0.2]], [[1, -1]]) == pytest.approx((0.3, 0.375))


REFUSED: tuple[tuple[str, Callable[[], float]], ...] = (
    ("^y ", lambda: metrics.auc([0, 2], [1, 2])),
    ("^score ", lambda: metrics.auc([0, 1], [1, np.nan])),
    ("^score has 3 rows", lambda: metrics.auc([0, 1], [1, 2, 3])),
    ("^y has 2 dimensions", lambda: metrics.auc([[0, 1]], [[1, 2]])),
    ("^group ", lambda: metrics.gauc([0, 1], [1, 2], [1])),
    ("^p ", lambda: metrics.log_loss([0, 1], [0.5, 1.5])),
    ("^y ", lambda: metrics.log_loss([0, -0.5], [0.5, 0.5])),
    ("^y has no rows", lambda: metrics.log_loss([], [])),
    ("^p_true ", lambda: metrics.excess_log_loss([np.nan], [0.5])),
    ("^p ", lambda: metrics.normalized_entropy([0, 1], [0.5, -1])),
    ("^p ", lambda: metrics.calibration_ratio([0, 1], [0.5, 2])),
    ("^strategy ", lambda: metrics.ece([0, 1], [0.5, 0.5], strategy="mass")),  # type: ignore[arg-type]
    ("^bins ", lambda: metrics.ece([0, 1], [0.5, 0.5], bins=0)),
    ("^relevance has shape", lambda: metrics.ndcg_at_k([[1, 0]], [[1, 0, 0]], 1)),
    ("^relevance holds -1", lambda: metrics.ndcg_at_k([[-1, 0]], [[1, 0]], 1)),
    ("^k is 0", lambda: metrics.ndcg_at_k([[1, 0]], [[1, 0]], 0)),
    ("^gain ", lambda: metrics.ndcg_at_k([[1, 0]], [[1, 0]], 1, gain="log")),  # type: ignore[arg-type]
    ("^relevant ", lambda: metrics.recall_at_k([[2, 0]], [[1, 0]], 1)),
    ("^p_true ", lambda: metrics.mass_at_k([[1.5, 0]], [[0]]).mass),
    ("^ids ", lambda: metrics.mass_at_k([[0.5, 0.5]], [[2]]).mass),
    ("^ids ", lambda: metrics.mass_at_k([[0.5, 0.5]], [[0.0]]).mass),
)


@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_refusals_name_the_argument(message: str, call: Callable[[], float]) -> None:
    with pytest.raises(ValueError, match=message):
        call()
