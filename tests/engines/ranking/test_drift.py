"""Schedules of training in a world that changes overnight, against the known probabilities and an independent fit."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from simulators.engines.ranking import drift, metrics
from simulators.engines.ranking.drift import Replay, fit_logistic, iter_replay, replay
from simulators.engines.ranking.worlds import DriftWorld, drift_world

SEEDS = (0, 1, 2)
BEFORE, SHIFT, AFTER, LAST = slice(5, 15), 15, 16, slice(-5, None)


@cache
def world(seed: int, **knobs: Any) -> DriftWorld:
    return drift_world(seed, **knobs)


@cache
def played(seed: int, schedule: Any, knobs: tuple[tuple[str, Any], ...] = (), **options: Any) -> Replay:
    return replay(world(seed, **dict(knobs)).labelled, schedule, **options)


def oracle(seed: int) -> Any:
    return np.array([metrics.normalized_entropy(day.y, day.p) for day in world(seed).days])


# --- effects --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_does_not_see_that_the_ranking_is_gone(seed: int) -> None:
    static = played(seed, "static")
    assert static.ne[BEFORE].mean() < 0.73
    assert (static.ne[SHIFT:] > 1).all(), "worse than the base rate, and it stays so"
    assert abs(static.ratio[SHIFT:].mean() - 1) < 0.08
    assert static.rows_trained == 0 and static.retrained_on == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_shorter_the_memory_the_faster_the_recovery(seed: int) -> None:
    after = {name: played(seed, *args[:1], **args[1]).ne[AFTER] for name, args in WAYS.items()}
    assert after["static"] > after["daily"] > after["week"] > after["three"] > after["yesterday"] + 0.1
    assert after["static"] > after["platt"] > after["three"]
    assert played(seed, "daily").ne[LAST].mean() > 0.8, "half of its history is of another world"
    before = {name: played(seed, *args[:1], **args[1]).ne[BEFORE].mean() for name, args in WAYS.items()}
    assert before["yesterday"] > before["week"] + 0.005, "a short memory is noisy while nothing changes"


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "static": ("static", {}),
    "daily": ("daily", {}),
    "week": ("window", {"window": 7}),
    "three": ("window", {}),
    "yesterday": ("window", {"window": 1}),
    "platt": ("recalibrate", {}),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_larger_step_pays_before_and_gains_on_the_day(seed: int) -> None:
    slow, middle, fast = (played(seed, "online", lr=lr) for lr in (0.1, 0.6, 1.5))
    assert slow.ne[BEFORE].mean() < middle.ne[BEFORE].mean() < fast.ne[BEFORE].mean()
    assert slow.ne[SHIFT] > middle.ne[SHIFT] + 0.05 > fast.ne[SHIFT] + 0.1
    assert middle.rows_trained == 75_000
    assert np.nanmean(middle.ne) - oracle(seed)[5:].mean() < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_an_alarm_trains_when_it_matters(seed: int) -> None:
    alarm, three = played(seed, "triggered"), played(seed, "window")
    assert AFTER in alarm.retrained_on, "the morning after the shift"
    assert alarm.rows_trained <= 15_000 < 200_000 < three.rows_trained
    assert np.nanmean(alarm.ne) < np.nanmean(three.ne) + 0.003
    assert len(played(seed, "triggered", threshold=0.5).retrained_on) == 1, "a high threshold still sees this shift"
    assert played(seed, "triggered", threshold=5.0).retrained_on == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_base_rate_that_rises_is_predicted_too_low_until_platt_has_seen_a_day(seed: int) -> None:
    knobs = (("shift", "base_rate"),)
    static, platt = played(seed, "static", knobs), played(seed, "recalibrate", knobs)
    assert 0.55 < static.ratio[SHIFT] < 0.7 and 0.55 < static.ratio[LAST].mean() < 0.7, "under, so bids are too low"
    assert 0.93 < platt.ratio[AFTER] < 1.07 and platt.ne[AFTER] < static.ne[AFTER] - 0.05
    falls = replay(world(seed, shift="base_rate", lift=-1.0).labelled, "static")
    assert falls.ratio[LAST].mean() > 1.4, "over, where click rates fall"


def test_labels_that_come_late_delay_the_recovery() -> None:
    for schedule in ("window", "online", "recalibrate", "triggered"):
        late = played(0, schedule, label_lag=2)
        assert late.ne[AFTER] > 0.95 or schedule == "recalibrate"
        assert (late.ne[AFTER:19] > played(0, schedule).ne[AFTER:19] - 0.01).all()
    assert played(0, "window", label_lag=2).retrained_on[0] == 8
    assert 18 in played(0, "triggered", label_lag=2).retrained_on, "the shift day is known two days later"


# --- bookkeeping ------------------------------------------------------------------------------------------------------------------


def test_what_is_trained_is_counted() -> None:
    assert played(0, "daily").rows_trained == 3_000 * sum(range(5, 30))
    assert played(0, "window").rows_trained == 25 * 9_000
    assert played(0, "window", window=1).rows_trained == played(0, "recalibrate").rows_trained == 75_000
    assert played(0, "weekly").retrained_on == (12, 19, 26) and played(0, "weekly").rows_trained == 63_000
    assert played(0, "daily").retrained_on == tuple(range(5, 30))
    assert played(0, "window", window=14).rows_trained == 3_000 * sum(min(day, 14) for day in range(5, 30))


@pytest.mark.parametrize("schedule", drift.SCHEDULES)
def test_the_days_add_up(schedule: Any) -> None:
    found, days = played(1, schedule), world(1).days
    assert found.ne.shape == found.ratio.shape == (30,) and np.isnan(found.ne[:5]).all() and np.isfinite(found.ne[5:]).all()
    for day in (5, 15, 29):
        assert found.ne[day] == pytest.approx(metrics.normalized_entropy(days[day].y, found.p[day]))
        assert found.ratio[day] == pytest.approx(found.p[day].sum() / days[day].y.sum())
    assert len(found.p[0]) == 0


@pytest.mark.parametrize("schedule", drift.SCHEDULES)
def test_nothing_is_known_before_its_day(schedule: Any) -> None:
    """Labels of a day change nothing of what was predicted before; of online, nothing before their batch."""
    days = world(2, rows=400).labelled
    changed = [(x, 1 - y) if day >= 12 else (x, y) for day, (x, y) in enumerate(days)]
    one, other = replay(days, schedule), replay(changed, schedule)
    for day in range(5, 12):
        assert (one.p[day] == other.p[day]).all()
    assert (one.p[12][: drift.BATCH] == other.p[12][: drift.BATCH]).all()
    if schedule != "static":
        assert any((one.p[day] != other.p[day]).any() for day in range(12, 30))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_fit_is_the_optimum_of_an_independent_library(seed: int) -> None:
    draws = np.random.default_rng(seed)
    x = draws.normal(size=(60_000, 6))
    y = (draws.random(60_000) < 1 / (1 + np.exp(2 - x[:, 0]))).astype(float)
    expected = LogisticRegression(C=1.0, tol=1e-10, max_iter=500).fit(x, y)
    for start in (None, np.full(7, 2.0)):
        found = fit_logistic(x, y, start)
        assert found == pytest.approx(np.concatenate([expected.intercept_, expected.coef_[0]]), abs=2e-4)


def test_steps_report_a_day_each() -> None:
    steps = list(iter_replay(world(0).labelled, "window"))
    assert [step.done for step in steps] == list(range(6, 31)) and {step.total for step in steps} == {30}
    assert [step.metrics["ne"] for step in steps] == pytest.approx(played(0, "window").ne[5:])
    running = iter_replay(world(0).labelled, "online")
    next(running)
    running.close()


# --- the world ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_changes_overnight_and_back(seed: int) -> None:
    found = world(seed, shift="both", return_day=18)
    for day, now in enumerate(found.days):
        shifted = 15 <= day < 18
        logit = np.log(now.p / (1 - now.p))
        weights = found.shifted if shifted else found.weights
        assert logit == pytest.approx((-1 if shifted else -2) + now.X @ weights)
        assert now.y.mean() == pytest.approx(now.p.mean(), abs=0.03)
    assert found.flipped.sum() == 12 and (found.shifted == np.where(found.flipped, -found.weights, found.weights)).all()
    assert 0.2 < (found.weights[found.flipped] ** 2).sum() / (found.weights**2).sum() < 0.4
    calm = world(seed, flipped=0)
    assert (calm.shifted == calm.weights).all() and (calm.days[3].X == found.days[3].X).all() and (calm.days[3].y == found.days[3].y).all()


# --- arguments ------------------------------------------------------------------------------------------------------------------


def test_bad_arguments_are_named() -> None:
    days = world(0, rows=50, days=8).labelled
    for name, value in {"window": 0, "lr": 0, "threshold": -1, "label_lag": -1, "schedule": "never"}.items():
        with pytest.raises(ValueError, match=name):
            replay(days, **{name: value})
    x, y = days[0]
    for bad in (
        days[:5],
        [(x, y * 0), *days],
        [(x, y * 0 + 1), *days],
        [(x * np.nan, y), *days],
        [(x, y[:-1]), *days],
        [(x, y * 2), *days],
        [(x[:, :3], y), *days],
        [(x[:0], y[:0]), *days],
        [(y, y), *days],
    ):
        with pytest.raises(ValueError, match="days"):
            replay(bad)
    with pytest.raises(ValueError, match=r"days\[2\].*clicks"):
        replay([*days[:2], (x, y * 0), *days[3:]])
    for name, value in {"flipped": 41, "rows": 0, "days": 0, "lift": np.nan, "return_day": -1, "shift": "none"}.items():
        with pytest.raises(ValueError, match=name):
            drift_world(0, **{name: value})
