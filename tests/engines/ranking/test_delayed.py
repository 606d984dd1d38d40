"""Conversion rates from young clicks: what each method makes of a new campaign, and the fits against independent ones."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der
from scipy.special import expit
from scipy.stats import weibull_min
from sklearn.linear_model import LogisticRegression

from simulators.engines.ranking import delayed, metrics, worlds
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.delayed import CLIP, DFM_RIDGE, IPW_RIDGE, METHODS, RIDGE, DelayedModel, fit_delayed, iter_delayed, minimum
from simulators.engines.ranking.worlds.delay import DelayWorld, delay_world
from simulators.engines.steps import finish

SEEDS = range(5)


class Found(NamedTuple):
    ratio: float  # p-hat / p on the new campaign
    excess: float  # xLL there, thousandths of a nat


@cache
def world(seed: int, **knobs: Any) -> DelayWorld:
    return worlds.delay_world(seed, **knobs)


@cache
def model(seed: int, method: Any, **knobs: Any) -> DelayedModel:
    log = world(seed, **knobs)
    return fit_delayed(log.X, log.converted, log.delay, log.elapsed, method=method)


def found(seed: int, method: Any, **knobs: Any) -> Found:
    log = world(seed, **knobs)
    p, p_hat = log.p_test[log.is_new], model(seed, method, **knobs).predict(log.X_test)[log.is_new]
    return Found(p_hat.sum() / p.sum(), 1000 * metrics.excess_log_loss(p, p_hat))


# --- effects --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_campaign_of_two_days(seed: int) -> None:
    naive, wait, dfm, ipw = (found(seed, method) for method in METHODS)
    assert 0.12 < naive.ratio < 0.25 and naive.excess > 150
    assert 0.36 < wait.ratio < 0.52 and 50 < wait.excess < 110
    assert 0.8 < dfm.ratio < 1.25 and dfm.excess < 6
    assert 0.7 < ipw.ratio < 1.25 and ipw.excess < 12


def test_the_joint_fit_is_right_on_average() -> None:
    assert np.mean([found(seed, "dfm").ratio for seed in SEEDS]) == pytest.approx(1, abs=0.07)
    assert np.mean([found(seed, "ipw").ratio for seed in SEEDS]) == pytest.approx(1, abs=0.1)
    assert np.mean([found(seed, "dfm").excess for seed in SEEDS]) < 3 < 10 * 3 < np.mean([found(seed, "wait").excess for seed in SEEDS])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_shorter_delay_and_an_older_launch_are_easier(seed: int) -> None:
    assert found(seed, "naive", mean_delay=1.5).ratio == pytest.approx(0.47, abs=0.08)
    for knobs in ({"mean_delay": 1.5}, {"new_days": 5.0}):
        assert found(seed, "dfm", **knobs).ratio == pytest.approx(1, abs=0.2)
        assert found(seed, "naive", **knobs).ratio > found(seed, "naive").ratio + 0.08
    assert found(seed, "wait", new_days=5.0).ratio < 0.52, "still younger than the wait"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_heavy_tail_breaks_both_delay_laws_in_opposite_directions(seed: int) -> None:
    assert found(seed, "dfm", shape=0.5).ratio < 0.8
    assert found(seed, "ipw", shape=0.5).ratio > 1.3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_hazard_is_that_of_the_world(seed: int) -> None:
    log = world(seed)
    for method in ("dfm", "ipw"):
        hazard = model(seed, method).hazard(log.X_test)
        assert np.corrcoef(np.log(hazard), -np.log(log.scale_test))[0, 1] > 0.9
        assert np.median(hazard * log.scale_test) == pytest.approx(1, abs=0.3)
    for method in ("naive", "wait"):
        assert np.isnan(model(seed, method).hazard(log.X_test)).all() and len(model(seed, method).hazard(log.X_test)) == len(log.X_test)


# --- the fits, against independent ones ---------------------------------------------------------------------------------------


class Small(NamedTuple):
    X: Floats
    converted: Floats
    delay: Floats
    elapsed: Floats

    @property
    def design(self) -> Floats:
        """The scaling written out: two-valued columns are centred only."""
        scale = self.X.std(axis=0)
        scale[-1] = 1.0
        return np.column_stack([np.ones(len(self.X)), (self.X - self.X.mean(axis=0)) / scale])


@cache
def small(seed: int) -> Small:
    log = world(seed, clicks=3_000)
    X = log.X * np.array([40.0, 1, 0.01, 1, 1, 1]) + np.array([100.0, 0, 0, 0, 0, 0])
    return Small(X, log.converted, log.delay, log.elapsed)


@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize(("method", "wait"), [("naive", 7.0), ("wait", 4.0)])
def test_naive_and_wait_are_logistic_regressions(seed: int, method: Any, wait: float) -> None:
    log = small(seed)
    kept = log.elapsed >= (wait if method == "wait" else 0)
    reference = LogisticRegression(C=1 / RIDGE, tol=1e-10, max_iter=10_000).fit(log.design[kept, 1:], log.converted[kept])
    fitted = fit_delayed(*log, method=method, wait_days=wait)
    assert fitted.predict(log.X) == pytest.approx(reference.predict_proba(log.design[:, 1:])[:, 1], rel=5e-4)
    assert fitted.youngest_days == log.elapsed[kept].min()


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_dfm_is_at_the_top_of_its_likelihood(seed: int) -> None:
    """The likelihood as the paper writes it, climbed by another optimiser with numerical gradients from the point found."""
    log, fitted = small(seed), fit_delayed(*small(seed), method="dfm")
    assert fitted.log_hazard is not None
    width = log.design.shape[1]

    def loss(weights: Floats) -> float:
        p, hazard = expit(log.design @ weights[:width]), np.exp(log.design @ weights[width:])
        done = log.converted == 1
        value = np.log(p[done]).sum() + np.log(hazard[done]).sum() - (hazard[done] * log.delay[done]).sum()
        value += np.log(1 - p[~done] + p[~done] * np.exp(-hazard[~done] * log.elapsed[~done])).sum()
        ridge = RIDGE * (weights[1:width] ** 2).sum() + DFM_RIDGE * (weights[width + 1 :] ** 2).sum()
        return float(-value + ridge / 2)

    mine = np.concatenate([fitted.rate, fitted.log_hazard])
    other = minimize(loss, mine, method="BFGS", options={"maxiter": 20})
    assert loss(mine) - other.fun < 0.01
    assert fitted.hazard(log.X) == pytest.approx(np.exp(log.design @ fitted.log_hazard))


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_ipw_solves_its_two_estimating_equations(seed: int) -> None:
    log, fitted = small(seed), fit_delayed(*small(seed), method="ipw")
    assert fitted.log_hazard is not None
    done = log.converted == 1
    X, hazard = log.design[done], fitted.hazard(log.X)[done]
    reach = hazard * log.elapsed[done]
    score = X.T @ (1 - hazard * log.delay[done] - reach / np.expm1(reach)) - IPW_RIDGE * np.r_[0, fitted.log_hazard[1:]]
    assert np.abs(score).max() < 1e-4 * len(X)
    label = log.converted / np.maximum(1 - np.exp(-fitted.hazard(log.X) * log.elapsed), CLIP)
    score = log.design.T @ (label - fitted.predict(log.X)) - RIDGE * np.r_[0, fitted.rate[1:]]
    assert np.abs(score).max() < 1e-4 * len(log.X)


def test_descent_finds_the_valley_of_rosenbrock() -> None:
    at, steps = finish(minimum(lambda x: (float(rosen(x)), rosen_der(x)), np.array([-1.2, 1.0, 0.5])))
    assert at == pytest.approx(np.ones(3), abs=1e-4) and steps < 100


# --- the world ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_the_log_holds_what_has_arrived(seed: int) -> None:
    log = world(seed)
    done = log.converted == 1
    assert (log.delay[done] <= log.elapsed[done]).all() and np.isnan(log.delay[~done]).all()
    assert not (done & (log.to_come == 1)).any()
    assert 0.15 < log.to_come.sum() / (log.to_come + log.converted).sum() < 0.35
    new = log.X[:, -1] == 1
    assert log.elapsed[new].max() <= 2 and new.sum() == pytest.approx(60_000 * 2 / 30 * 0.7, rel=0.1)
    assert (log.converted + log.to_come)[new].mean() == pytest.approx(log.p_test[log.is_new].mean(), rel=0.08)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.7])
def test_delays_follow_the_cut_weibull_law(shape: float) -> None:
    log = world(1, shape=shape, window=12.0, mean_delay=4.0)
    law = [weibull_min(shape, scale=scale) for scale in log.scale_test[:50]]
    by_hand = [np.average([item.cdf(day) / item.cdf(12.0) for item in law], weights=log.p_test[:50]) for day in (0.5, 3.0, 12.0, 20.0)]
    first = DelayWorld(**{**vars(log), "p_test": log.p_test[:50], "scale_test": log.scale_test[:50]})
    assert first.arrived_by(np.array([0.5, 3.0, 12.0, 20.0])) == pytest.approx(np.minimum(by_hand, 1))
    old = (log.elapsed > 12) & (log.converted == 1)
    seen = (log.delay[old] <= 3).mean()
    assert seen == pytest.approx(log.arrived_by(np.array([3.0]))[0], abs=0.03) and log.delay[old].max() <= 12


def test_knobs_leave_other_draws_alone() -> None:
    plain, later = world(2), delay_world(2, mean_delay=3.0, lift=0.0)
    assert np.array_equal(plain.X, later.X) and np.array_equal(plain.elapsed, later.elapsed)
    assert np.array_equal(plain.p_test[~plain.is_new], later.p_test[~later.is_new])
    assert later.converted.sum() > plain.converted.sum() - 500


# --- manners ------------------------------------------------------------------------------------------------------------------


def test_the_same_log_gives_the_same_model() -> None:
    first, second = (fit_delayed(*small(0), method="dfm") for _ in range(2))
    assert np.array_equal(first.rate, second.rate)


def test_steps_come_on_the_way() -> None:
    steps = list(iter_delayed(*small(0), method="dfm"))
    assert len(steps) > 5 and steps[-1].metrics["loss"] < steps[0].metrics["loss"]
    losses = [step.metrics["loss"] for step in steps]
    assert losses == sorted(losses, reverse=True)


GOOD = {"X": [[1.0], [2.0], [3.0]], "converted": [1, 0, 0], "delay": [1.0, np.nan, np.nan], "elapsed": [2.0, 5.0, 9.0]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": [[1.0], [np.nan], [3.0]]}, "X holds 1 values that are not finite"),
        ({"X": [1.0, 2.0, 3.0]}, "X has 1 dimensions"),
        ({"converted": [1, 0]}, "converted has 2 rows; expected 3"),
        ({"converted": [1, 0, 2]}, "converted holds 2; expected 0 or 1"),
        ({"converted": [0, 0, 0]}, "converted: The log leaves 0 conversions in 3 clicks"),
        ({"converted": [1, 1, 1], "delay": [1.0, 1.0, 1.0]}, "converted: The log leaves 3 conversions in 3"),
        ({"delay": [np.nan, np.nan, np.nan]}, "delay holds 1 values that are not finite"),
        ({"delay": [-1.0, 0, 0]}, "delay is -1 days at row 0"),
        ({"delay": [3.0, 0, 0]}, "delay is 3 days at row 0, whose click is 2 days old"),
        ({"elapsed": [2.0, -5.0, 9.0]}, "elapsed holds -5"),
        ({"method": "best"}, "method is 'best'; expected one of naive, wait, dfm, ipw"),
        ({"method": "wait", "wait_days": 4}, "wait_days: A wait of 4 days leaves 0 conversions in 2 clicks"),
        ({"method": "wait", "wait_days": -1}, "wait_days is -1"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], words: str) -> None:
    settings: dict[str, Any] = {**GOOD, **change}
    with pytest.raises(ValueError, match=words):
        delayed.fit_delayed(settings.pop("X"), settings.pop("converted"), settings.pop("delay"), settings.pop("elapsed"), **settings)


def test_other_columns_than_fitted_are_refused() -> None:
    with pytest.raises(ValueError, match="X has 2 columns; expected 6"):
        model(0, "naive").predict(np.zeros((3, 2)))


@pytest.mark.parametrize(
    "knobs", [{"mean_delay": 0.0}, {"shape": -1.0}, {"new_days": np.nan}, {"lift": 99.0}, {"clicks": 0}, {"window": 0}]
)
def test_bad_knobs_are_named(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(knobs))):
        delay_world(0, **knobs)
