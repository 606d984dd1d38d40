"""Corrections for position on a world whose relevance and examination are known, and what each is refused for."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

from simulators.engines.ranking import metrics, position
from simulators.engines.ranking.position import PositionModel, Rows, examination, fit_position, iter_position, propensity
from simulators.engines.ranking.worlds import PositionWorld, position_world
from simulators.engines.steps import finish

SEEDS = (0, 1, 2)
SMALL = {"slates": 400, "test_slates": 200, "eps": 0.5}
QUICK = {"steps": 30, "batch": 256}


@cache
def world(seed: int, **knobs: Any) -> PositionWorld:
    return position_world(seed, **knobs)


@cache
def model(seed: int, kind: Any, knobs: tuple[tuple[str, Any], ...] = (), **options: Any) -> PositionModel:
    found = world(seed, **dict(knobs))
    return fit_position(found.X, found.clicks, kind=kind, randomised=found.randomised, seed=seed, **options)


def regret(seed: int, kind: Any, knobs: tuple[tuple[str, Any], ...] = (), **options: Any) -> float:
    """Per cent of the oracle's clicks."""
    found = world(seed, **dict(knobs))
    return 100 * found.regret(model(seed, kind, knobs, **options).relevance(found.X_test))


def curve_error(seed: int, kind: Any, knobs: tuple[tuple[str, Any], ...] = (), **options: Any) -> float:
    believed = model(seed, kind, knobs, **options).examination
    assert believed is not None
    return float(np.abs(believed - world(seed, **dict(knobs)).examination).max())


# --- effects --------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_corrections_recover_what_the_position_hides(seed: int) -> None:
    old = 100 * world(seed).old_regret
    assert 27 < old < 32 and 7 < regret(seed, "naive") < 10
    assert regret(seed, "pal") < 1.4 and regret(seed, "ips") < 1.6
    assert regret(seed, "pal") < regret(seed, "feature") < 3.6 < regret(seed, "random_only") < 9
    assert curve_error(seed, "pal") < 0.04
    found = world(seed)
    xll = {k: 1e3 * metrics.excess_log_loss(found.p_test.ravel(), model(seed, k).relevance(found.X_test).ravel()) for k in ("naive", "pal")}
    assert xll["pal"] < 20 < 100 < xll["naive"], "a click at position 1 is what relevance means; clicks as they are say far less"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_bias_grows_with_what_the_policy_put_on_top_for_other_reasons(seed: int) -> None:
    assert regret(seed, "naive", (("rho", 0.9),)) < 2.6, "a good old policy hides the bias"
    assert 100 * world(seed, eta=0.0).old_regret == pytest.approx(0, abs=1e-9), "positions that all are looked at cost nothing"
    assert regret(seed, "random_only", (("eps", 1.0),)) < 1.8, "when all slates are shuffled nothing is left to correct"


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_position_tower_leaves_the_bias_to_relevance(seed: int) -> None:
    slow = {"position_lr": 0.003, "position_init": "normal"}
    assert regret(seed, "pal", **slow) > 4 > 2.5 * regret(seed, "pal")
    assert curve_error(seed, "pal", **slow) > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_cascade_users_have_no_curve_of_their_own(seed: int) -> None:
    """PAL finds the mean look at the log; on a page it ranks itself, users look elsewhere."""
    knobs = (("user", "cascade"),)
    found, mine = world(seed, user="cascade"), model(seed, "pal", knobs)
    assert regret(seed, "pal", knobs) < 1 < 2 < regret(seed, "naive", knobs)
    assert curve_error(seed, "pal", knobs) < 0.08
    served = found.looks(found.ordered(mine.relevance(found.X_test))).mean(axis=0)
    assert mine.examination is not None and np.abs(mine.examination - served).max() > 0.13


@pytest.mark.parametrize(("eps", "low", "high"), [(0.02, 0.1, 0.25), (0.05, 0.3, 0.5), (0.2, 1.3, 2.1)])
def test_shuffling_costs_clicks_in_proportion(eps: float, low: float, high: float) -> None:
    for seed in SEEDS:
        found = world(seed, eps=eps, slates=1_000)
        assert low < 100 * found.logging_cost < high
        assert found.randomised.mean() == pytest.approx(eps)


def test_propensities_come_closer_with_more_shuffled_slates() -> None:
    errors = {}
    for eps in (0.02, 0.05, 0.5):
        worlds = [world(seed, eps=eps, test_slates=10) for seed in range(8)]
        errors[eps] = float(np.mean([np.abs(propensity(w.clicks, w.randomised) - w.examination).max() for w in worlds]))
    assert errors[0.5] < 0.025 < errors[0.05] < 0.075 and errors[0.05] < errors[0.02] < 0.12


# --- the world ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("user", ["pbm", "cascade"])
def test_clicks_come_as_often_as_the_world_says(seed: int, user: Any) -> None:
    found = world(seed, user=user, slates=8_000)
    assert found.clicks.mean(axis=0) == pytest.approx((found.p * found.looks(found.p)).mean(axis=0), abs=0.015)
    assert found.clicks_per_slate(found.p) == pytest.approx(found.clicks.sum(axis=1).mean(), rel=0.03)
    assert found.examination == pytest.approx(found.looks(found.p).mean(axis=0))


@pytest.mark.parametrize("user", ["pbm", "cascade"])
def test_no_order_beats_the_oracles(user: Any) -> None:
    found = world(0, user=user, slates=50, test_slates=30, positions=4)
    best = [max(found.clicks_per_slate(p[None, list(order)]) for order in permutations(range(4))) for p in found.p_test]
    assert found.oracle_clicks == pytest.approx(np.mean(best))
    assert found.regret(found.p_test) == 0 < found.regret(-found.p_test)
    assert found.regret(-np.tile(np.arange(4.0), (30, 1))) == pytest.approx(found.old_regret)


def test_one_knob_leaves_the_other_draws_alone() -> None:
    base, clicked = world(0, **SMALL), world(0, **SMALL, eta=2.0)
    assert (base.X == clicked.X).all() and (base.p_test == clicked.p_test).all() and (base.clicks != clicked.clicks).any()
    more = world(0, **(SMALL | {"eps": 0.8}))
    assert more.randomised[base.randomised].all() and (more.X[~more.randomised] == base.X[~more.randomised]).all()
    again = position_world(0, **SMALL)
    assert (again.X == base.X).all() and (again.clicks == base.clicks).all()


# --- the interface --------------------------------------------------------------------------------------------------------------


def test_examination_falls_with_the_rank() -> None:
    assert examination(4, 1.0) == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert examination(3, 0.0).tolist() == [1, 1, 1] and examination(2, 2.0)[1] == 0.25


def test_propensity_is_the_relative_click_rate_of_shuffled_slates() -> None:
    clicks = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 1]])
    assert propensity(clicks, np.array([True, True, False, False])).tolist() == [1, 0.5, 0]
    assert propensity(clicks, np.array([1, 1, 1, 1])).tolist() == [1, 2 / 3, 2 / 3]
    assert propensity([[1, 1], [0, 1]], [True, True]).tolist() == [1, 1], "above 1 is noise"


@pytest.mark.parametrize("kind", position.KINDS)
def test_a_model_scores_items_alone_or_in_slates(kind: Any) -> None:
    found = world(0, **SMALL)
    mine = fit_position(found.X, found.clicks, kind=kind, randomised=found.randomised, **QUICK)
    slates = mine.relevance(found.X_test)
    assert slates.shape == found.p_test.shape and ((slates > 0) & (slates < 1)).all()
    assert mine.relevance(found.X_test[:, 3]) == pytest.approx(slates[:, 3], abs=1e-6)
    assert mine.relevance(found.X_test[:0, 0]).shape == (0,)
    if kind in ("pal", "ips"):
        assert mine.examination is not None and mine.examination.shape == (10,) and mine.examination[0] == 1
    else:
        assert mine.examination is None
    assert mine.click_probability(found.X_test, 1) == pytest.approx(slates)
    lower = mine.click_probability(found.X_test, 10)
    assert (lower < slates).mean() == (0 if kind in ("naive", "random_only") else 1 if kind != "feature" else (lower < slates).mean())


def test_the_feature_model_is_served_at_one_position_or_at_all() -> None:
    found = world(0, **SMALL)
    at = {s: fit_position(found.X, found.clicks, kind="feature", serve_position=s, **QUICK) for s in (1, 4, "mean")}  # type: ignore[arg-type]
    each = np.mean([at[1].click_probability(found.X_test, k) for k in range(1, 11)], axis=0)
    assert at["mean"].relevance(found.X_test) == pytest.approx(each)
    assert at[4].relevance(found.X_test) == pytest.approx(at[1].click_probability(found.X_test, 4))


def test_ips_takes_the_propensities_it_is_given_or_estimates_them() -> None:
    found = world(0, **SMALL)
    estimated = propensity(found.clicks, found.randomised)
    given = fit_position(found.X, found.clicks, kind="ips", propensity=estimated, **QUICK)
    own = fit_position(found.X, found.clicks, kind="ips", randomised=found.randomised, **QUICK)
    assert given.examination == pytest.approx(estimated) and own.examination == pytest.approx(estimated)
    assert (given.relevance(found.X_test) == own.relevance(found.X_test)).all()
    flat = fit_position(found.X, found.clicks, kind="ips", propensity=np.ones(10), **QUICK)
    naive = fit_position(found.X, found.clicks, kind="naive", **QUICK)
    assert flat.relevance(found.X_test) == pytest.approx(naive.relevance(found.X_test)), "weights of 1 change nothing"


def test_a_position_nobody_looks_at_teaches_ips_nothing() -> None:
    found = world(0, **SMALL)
    clicks, e = found.clicks.copy(), np.r_[np.ones(9), 0.0]
    clicks[:, 9] = 0
    with_it = fit_position(found.X, clicks, kind="ips", propensity=e, **QUICK)
    without = fit_position(found.X[:, :9], clicks[:, :9], kind="ips", propensity=e[:9], **QUICK)
    assert with_it.relevance(found.X_test) == pytest.approx(without.relevance(found.X_test), abs=1e-6)


def test_slates_may_differ_in_length() -> None:
    found = world(0, **SMALL)
    kept = np.tile(np.arange(10), 400) < np.repeat(np.where(np.arange(400) % 2, 10, 6), 10)
    every = Rows(found.X.reshape(4_000, -1), np.tile(np.arange(10), 400), found.clicks.ravel(), np.repeat(found.randomised, 10))
    rows = Rows(every.x[kept], every.position[kept], every.click[kept], None if every.randomised is None else every.randomised[kept])
    mine = finish(position.iter_rows(rows, 10, kind="ips", **QUICK))  # type: ignore[arg-type]
    rate = [rows.click[(rows.position == k) & rows.randomised].mean() for k in range(10)]
    assert mine.examination == pytest.approx(np.minimum(np.array(rate) / rate[0], 1))


def test_steps_report_and_closing_stops() -> None:
    found = world(0, **SMALL)
    before = torch.get_rng_state()
    steps = list(iter_position(found.X, found.clicks, kind="pal"))
    assert steps[-1].done == steps[-1].total == 400 and len(steps) > 3 and all("loss" in step.metrics for step in steps[:-1])
    assert all(0 < step.done <= step.total for step in steps)
    running = iter_position(found.X, found.clicks)
    next(running)
    running.close()
    assert (torch.get_rng_state() == before).all(), "nobody else's random numbers move"


def test_the_same_seed_is_the_same_model() -> None:
    found = world(0, **SMALL)
    one, same, other = (fit_position(found.X, found.clicks, kind="pal", seed=seed, **QUICK).relevance(found.X_test) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()


def test_features_of_any_scale_mean_the_same() -> None:
    found = world(0, **SMALL)
    stretched = np.concatenate([found.X * 1_000 + 5, np.ones((*found.X.shape[:2], 1))], axis=2)
    constant = np.concatenate([found.X, np.ones((*found.X.shape[:2], 1))], axis=2)
    one, other = (fit_position(x, found.clicks, **QUICK).relevance(x[:50]) for x in (stretched, constant))
    assert one == pytest.approx(other, abs=1e-3)


X, C = np.zeros((4, 3, 2)), np.tile([1, 0, 1], (4, 1))


@pytest.mark.parametrize(
    ("X", "clicks", "options", "words"),
    [
        (np.zeros((4, 3)), C, {}, "X"),
        (np.full((4, 3, 2), np.nan), C, {}, "X"),
        (X, C[:3], {}, "clicks"),
        (X, C * 2, {}, "clicks"),
        (X, C * np.nan, {}, "clicks"),
        (X[:0], C[:0], {}, "clicks"),
        (X, C, {"kind": "magic"}, "kind"),
        (X, C, {"kind": "ips"}, "randomised"),
        (X, C, {"kind": "random_only"}, "randomised"),
        (X, C, {"kind": "random_only", "randomised": [False] * 4}, "randomised"),
        (X, C, {"kind": "random_only", "randomised": [True] * 3}, "randomised"),
        (X, C, {"kind": "ips", "propensity": [1, 0.5]}, "propensity"),
        (X, C, {"kind": "ips", "propensity": [1, 0.5, 1.5]}, "propensity"),
        (X, C, {"kind": "ips", "propensity": [1, 0.5, np.nan]}, "propensity"),
        (X, C, {"kind": "ips", "propensity": [1, 0.5, 0]}, "propensity"),
        (X, C, {"kind": "feature", "serve_position": 4}, "serve_position"),
        (X, C, {"kind": "feature", "serve_position": 0}, "serve_position"),
        (X, C, {"kind": "pal", "position_init": "ones"}, "position_init"),
        (X, C, {"kind": "pal", "position_lr": 0}, "position_lr"),
        (X, C, {"steps": 0}, "steps"),
        (X, C, {"batch": 0}, "batch"),
    ],
)
def test_bad_arguments_are_named(X: Any, clicks: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit_position(X, clicks, **options)


def test_other_bad_arguments_are_named() -> None:
    for bad in (lambda: examination(0, 1), lambda: examination(3, -1)):
        with pytest.raises(ValueError, match="k is 0|eta is -1"):
            bad()
    with pytest.raises(ValueError, match="clicks"):
        propensity([[0, 1]], [True])
    with pytest.raises(ValueError, match="randomised"):
        propensity([[1, 1]], [False])
    with pytest.raises(ValueError, match="X"):
        fit_position(X, C, steps=1).relevance(np.zeros((2, 3)))
    for name, value in {"eps": 1.5, "eta": -1, "rho": 2, "noise": -1, "slates": 0, "features": 1, "user": "robot"}.items():
        with pytest.raises(ValueError, match=name):
            position_world(0, **{name: value})
