"""Calibrators against scikit-learn and brute force, and on worlds whose probabilities are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from simulators.engines.ranking import calibration, metrics
from simulators.engines.ranking.calibration import Histogram, Isotonic, Platt, Temperature
from simulators.engines.ranking.worlds import auction_world

SEEDS = (0, 1, 2)
ALL = (Platt, Isotonic, Temperature, Histogram)


def log_of(seed: int, rows: int = 5_000) -> tuple[Any, Any, Any]:
    """True probability, a distorted one, and clicks."""
    rng = np.random.default_rng(seed)
    score = rng.normal(-2, 1, rows)
    p = expit(score)
    return p, expit(1.8 * score + 1.8), (rng.random(rows) < p).astype(float)


@pytest.mark.parametrize("seed", SEEDS)
def test_isotonic_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = np.round(rng.random(3_000), 2 + seed), (rng.random(3_000) < 0.3).astype(float)  # many ties, then few
    asked = np.concatenate([[0.0, 1.0], rng.random(2_000), p])
    theirs = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(p, y).predict(asked)
    np.testing.assert_allclose(Isotonic().fit(p, y).predict(asked), theirs, atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", SEEDS)
def test_platt_is_logistic_regression_on_the_logit_once_rows_are_many(seed: int) -> None:
    _, p_hat, y = log_of(seed, 50_000)
    theirs = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p_hat)[:, None], y)
    assert Platt().fit(p_hat, y).coef_ == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=2e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_platt_minimises_the_loss_of_platts_targets(seed: int) -> None:
    _, p_hat, y = log_of(seed, 200)
    x, positives = logit(p_hat), y.sum()
    targets = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (len(y) - positives + 2))
    found = minimize(lambda t: (np.logaddexp(0, t[0] * x + t[1]) - targets * (t[0] * x + t[1])).sum(), [1.0, 0.0], tol=1e-10)
    assert Platt().fit(p_hat, y).coef_ == pytest.approx(tuple(found.x), abs=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_temperature_minimises_the_loss_over_one_number(seed: int) -> None:
    _, p_hat, y = log_of(seed, 1_000)
    grid = np.linspace(0.2, 5, 2_401)
    losses = [(np.logaddexp(0, logit(p_hat) / t) - y * logit(p_hat) / t).sum() for t in grid]
    assert Temperature().fit(p_hat, y).temperature_ == pytest.approx(grid[np.argmin(losses)], abs=2e-3)


def test_separated_classes_keep_platt_and_temperature_finite() -> None:
    p, y = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0.0, 0, 1, 1])
    for method in (Platt(), Temperature()):
        found = method.fit(p, y).predict(np.array([0.0, 0.05, 0.5, 0.95, 1.0]))
        assert np.isfinite(found).all() and (np.diff(found) >= 0).all()


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("seed", SEEDS)
def test_maps_of_the_smooth_and_isotonic_kind_do_not_decrease(method: Any, seed: int) -> None:
    _, p_hat, y = log_of(seed)
    found = method().fit(p_hat, y).predict(np.linspace(0, 1, 500))
    assert ((found >= 0) & (found <= 1)).all()
    if method is not Histogram:
        assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_histogram_gives_the_rate_of_each_bin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = rng.permutation(np.arange(1_000)) / 1_000
    y = (rng.random(1_000) < p).astype(float)
    found = Histogram(bins=10).fit(p, y).predict(p)
    for low in range(0, 1_000, 100):
        rows = (p * 1_000 >= low) & (p * 1_000 < low + 100)
        np.testing.assert_allclose(found[rows], y[rows].mean(), atol=1e-12)


@pytest.mark.parametrize("bins", [1, 3, 50])
def test_histogram_lives_with_few_values(bins: int) -> None:
    p, y = np.array([0.2] * 50 + [0.7] * 2), np.array([0.0] * 40 + [1.0] * 12)
    found = Histogram(bins).fit(p, y).predict(np.array([0.0, 0.2, 0.5, 0.7, 1.0]))
    assert np.isfinite(found).all()
    if bins > 1:
        assert found[1] == pytest.approx(0.2) and found[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("method", ALL)
def test_a_segment_has_a_map_of_its_own(method: Any) -> None:
    _, p_hat, y = log_of(3)
    names = np.where(np.arange(len(y)) % 3 == 0, "tablet", "phone")
    both = method().fit(p_hat, y, names)
    for name in ("tablet", "phone"):
        alone = method().fit(p_hat[names == name], y[names == name])
        np.testing.assert_allclose(both.predict(p_hat[:99], np.full(99, name)), alone.predict(p_hat[:99]), atol=1e-12)
    np.testing.assert_allclose(both.predict(p_hat), method().fit(p_hat, y).predict(p_hat), atol=1e-12)
    grid = p_hat[:12].reshape(3, 4)
    np.testing.assert_array_equal(both.predict(grid, names[:12].reshape(3, 4)).ravel(), both.predict(p_hat[:12], names[:12]))


@pytest.mark.parametrize("method", ALL)
def test_a_segment_of_one_class_or_unheard_of_is_pooled(method: Any) -> None:
    _, p_hat, y = log_of(4)
    names = np.full(len(y), "phone", dtype=object)
    names[np.flatnonzero(y == 0)[:40]] = "tablet"
    names[np.flatnonzero(y == 1)[:5]] = "watch"
    found = method().fit(p_hat, y, names.astype(str))
    assert found.pooled_ == ("tablet", "watch")
    for name in ("tablet", "watch", "fridge"):
        np.testing.assert_array_equal(found.predict(p_hat[:50], np.full(50, name)), found.predict(p_hat[:50]))


def test_undoing_downsampling_inverts_it() -> None:
    assert calibration.undo_downsampling([0.02 / (0.02 + 0.98 * 0.1)], 0.1)[0] == pytest.approx(0.02)
    rng = np.random.default_rng(0)
    p = rng.random(100)
    for keep in (0.01, 0.3, 1.0):
        np.testing.assert_allclose(calibration.undo_downsampling(p / (p + (1 - p) * keep), keep), p, atol=1e-12)
    np.testing.assert_array_equal(calibration.undo_downsampling([0.0, 1.0], 0.1), [0.0, 1.0])


@pytest.mark.parametrize("seed", SEEDS)
def test_reliability_is_the_table_behind_the_calibration_error(seed: int) -> None:
    _, p_hat, y = log_of(seed)
    table = calibration.reliability(y, np.round(p_hat, 2), bins=15)
    assert table.n.sum() == len(y) and (np.diff(table.p_mean) > 0).all()
    assert (table.n * np.abs(table.p_mean - table.rate)).sum() / len(y) == pytest.approx(metrics.ece(y, np.round(p_hat, 2), 15), abs=1e-12)
    assert ((table.lo <= table.rate) & (table.rate <= table.hi)).all()


def test_wilson_holds_the_truth_and_knows_the_edge() -> None:
    lo, hi = calibration.wilson(np.array([0.0, 0.5, 1.0]), np.array([10, 10, 10]))
    assert (lo[0], hi[0]) == pytest.approx((0, 0.2775), abs=1e-4)  # Newcombe 1998: 0 of 10
    assert (lo[1], hi[1]) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    rng = np.random.default_rng(0)
    for p in (0.02, 0.3, 0.9):
        lo, hi = calibration.wilson(rng.binomial(200, p, 4_000) / 200, np.full(4_000, 200))
        assert ((lo <= p) & (p <= hi)).mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: Platt().fit([0.1, 1.2], [0, 1]), "p holds 1.2"),
        (lambda: Platt().fit([0.1, np.nan], [0, 1]), "p holds 1 values"),
        (lambda: Isotonic().fit([0.1, 0.2], [0, 2]), "y holds 2"),
        (lambda: Isotonic().fit([0.1, 0.2], [0, 1, 1]), "y has 3 rows"),
        (lambda: Histogram().fit([[0.1, 0.2]], [0, 1]), "p has 2 dimensions"),
        (lambda: Histogram(bins=0), "bins is 0"),
        (lambda: Platt().fit([0.1, 0.2], [0, 0]), "y holds 0 clicks"),
        (lambda: Platt().fit([0.1, 0.2], [0, 1], ["a"]), "segment is"),
        (lambda: Platt().predict([0.1]), "p cannot be calibrated before"),
        (lambda: Platt().fit([0.1, 0.2], [0, 1]).predict([0.1], ["a", "b"]), "segment is"),
        (lambda: calibration.undo_downsampling([0.1], 0), "keep is 0"),
        (lambda: calibration.undo_downsampling([-0.1], 0.5), "p holds -0.1"),
        (lambda: calibration.reliability([], []), "y has 0 rows"),
        (lambda: calibration.reliability([0.5], [0.5]), "y holds 0.5"),
    ],
)
def test_wrong_arguments_are_named(call: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_a_calibrator_needs(seed: int) -> None:
    """Excess log loss (1,000 nats) on 1.8 logit + 1.8: two numbers are learned from hundreds of rows, a curve from tens of thousands."""
    world = auction_world(seed, slope=1.8, intercept=1.8, segment_shift=0, noise=0, auctions=2_000)
    p, p_hat, log = world.p.ravel(), world.p_hat.ravel(), world.log

    def excess(method: Any, rows: int) -> float:
        found = method().fit(log.p_hat[:rows], log.y[:rows]).predict(p_hat)
        return 1000 * metrics.excess_log_loss(p, np.clip(found, 1e-4, 1 - 1e-4))  # isotonic says 0 and 1 at the ends

    assert 11 < 1000 * metrics.excess_log_loss(p, p_hat) < 13
    assert excess(Platt, 500) < 6 and excess(Isotonic, 500) > 3 * excess(Platt, 500)
    assert excess(Platt, 10_000) < 0.6 and excess(Isotonic, 10_000) > 2 * excess(Platt, 10_000)
    assert excess(Platt, 50_000) < 0.15 and excess(Isotonic, 50_000) < 3 < excess(Isotonic, 500)
    assert 7 < excess(Temperature, 50_000) < 9.5, "it cannot move the mean"
    assert metrics.auc(log.y, log.p_hat) == pytest.approx(metrics.auc(log.y, log.p), abs=1e-9)
