"""A day of a fleet: the fluid queue against a plain loop, and when each policy misses."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving.day import DayResult, simulate_day
from simulators.errors import InvalidInput

SEEDS = range(3)
PER_REPLICA = 5.0


def load(seed: int, spike: float = 1.0) -> np.ndarray:
    """A day: a slow wave, a step of 1.8 at nine, noise by the minute, and a spike nobody foresees at three."""
    second = np.arange(86_400.0)
    wave = 111 * (0.33 + 0.67 * (0.5 - 0.5 * np.cos(2 * np.pi * (second / 86_400 - 1 / 6))))
    step = 1 + 0.8 / (1 + np.exp(np.clip((9 * 3600 - second) / 60, -50, 50))) * (second < 11 * 3600)
    shocks, noise = np.random.default_rng(seed).normal(0, 0.01, 1440), np.zeros(1440)
    for minute in range(1, 1440):
        noise[minute] = 0.98 * noise[minute - 1] + shocks[minute]
    spiked = np.where((second >= 15 * 3600) & (second < 15.5 * 3600), spike, 1.0)
    return wave * step * np.repeat(np.exp(noise), 60) * spiked


def day(seed: int, policy: str, *, spike: float = 1.0, **options: object) -> DayResult:
    return simulate_day(load(seed, spike), PER_REPLICA, policy, forecast=load(seed + 100), **options)  # type: ignore[arg-type]


@given(
    st.lists(st.floats(0, 50), min_size=30, max_size=200),
    st.sampled_from(["static", "reactive", "predictive", "hybrid"]),
    st.integers(0, 40),
    st.integers(1, 20),
    st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_queue_and_bill_follow_from_the_replicas(rps: list[float], policy: str, lag: int, interval: int, warm: int) -> None:
    result = simulate_day(rps, 3.0, policy, lag_s=lag, interval_s=interval, cooldown_s=10, forecast=rps, warm=warm)
    waiting = 0.0
    queue = []
    for requests, replicas in zip(rps, result.replicas, strict=True):
        waiting = max(waiting + requests - 3.0 * replicas, 0.0)
        queue.append(waiting)
    assert np.allclose(result.queue, queue, atol=1e-9)
    assert np.allclose(result.wait_s, queue / (3.0 * result.replicas), atol=1e-9)
    assert result.replica_hours == pytest.approx(result.paid.sum() / 3600)
    assert np.all(result.replicas >= 1) and np.all(result.paid >= result.replicas)
    assert np.all(result.paid - result.replicas <= warm)
    late = np.array(rps)[result.wait_s > 2.0].sum()
    assert result.violation_share == pytest.approx(late / max(sum(rps), 1e-300), abs=1e-12)
    assert result.worst_wait_s == result.wait_s.max()


def test_new_replicas_come_after_the_lag_and_go_after_the_cooldown() -> None:
    rps = np.full(4000, 7.0)
    rps[1000:2000] = 70.0
    result = simulate_day(rps, 10.0, "reactive", lag_s=250, interval_s=50, cooldown_s=400)
    assert set(result.replicas[:1300]) == {1}  # seen at 1,050, up at 1,300
    assert result.replicas[1300] == 10
    fell = int(np.flatnonzero(result.replicas[1300:] < 10)[0]) + 1300
    assert 2400 <= fell <= 2500  # last wanted at 2,000
    assert result.replicas[-1] == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_reactive_scaling_misses_a_step_when_the_lag_is_long(seed: int) -> None:
    shares = [day(seed, "reactive", lag_s=lag).violation_share for lag in (30, 120, 300, 600)]
    assert shares[0] < 0.0005 and shares[1] < 0.0005
    assert 0.003 < shares[2] < shares[3] < 0.03
    assert day(seed, "reactive", lag_s=300, target=0.4).violation_share == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forecast_or_warm_standbys_prevent_it_at_a_price(seed: int) -> None:
    reactive, predictive, warm, half_empty = (
        day(seed, "reactive"),
        day(seed, "forecast"),
        day(seed, "reactive", warm=6),
        day(seed, "reactive", target=0.4),
    )
    assert predictive.violation_share == 0 and warm.violation_share == 0
    assert 1 < predictive.replica_hours / reactive.replica_hours < 1.1
    assert 1.1 < warm.replica_hours / reactive.replica_hours < half_empty.replica_hours / reactive.replica_hours < 1.85


def test_hybrid_survives_what_nobody_foresaw() -> None:
    shares = {policy: [day(seed, policy, spike=1.5).violation_share for seed in SEEDS] for policy in ("reactive", "predictive", "hybrid")}
    assert max(shares["hybrid"]) < min(shares["reactive"])
    assert np.mean(shares["hybrid"]) < np.mean(shares["predictive"])
    assert max(shares["predictive"]) > 2 * max(shares["reactive"])  # by luck of the forecast


@pytest.mark.parametrize("seed", SEEDS)
def test_monotone(seed: int) -> None:
    hours = [day(seed, "reactive", target=target).replica_hours for target in (0.9, 0.7, 0.5)]
    assert hours == sorted(hours)
    assert day(seed, "predictive", headroom=1.6).replica_hours > day(seed, "predictive", headroom=1.15).replica_hours
    static = day(seed, "static")
    assert static.violation_share == 0 and len(set(static.replicas)) == 1
    assert static.replica_hours > 1.2 * day(seed, "hybrid").replica_hours


def test_a_day_is_fast() -> None:
    rps, forecast = load(0), load(1)
    simulate_day(rps, PER_REPLICA, "hybrid", forecast=forecast)
    start = time.process_time()
    for _ in range(5):
        simulate_day(rps, PER_REPLICA, "hybrid", forecast=forecast)
    assert (time.process_time() - start) / 5 < 0.04


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"target": 1.0}, "target is 1; expected a utilisation"),
        ({"headroom": 0.9}, "headroom is 0.9"),
        ({"policy": "magic"}, "policy is 'magic'; expected one of static, reactive"),
        ({"policy": "predictive"}, "predictive needs a forecast"),
        ({"policy": "hybrid", "forecast": [1.0]}, "forecast has 1 seconds; expected 3"),
        ({"load_rps": [1.0, -2.0]}, "load_rps, second 1: -2"),
        ({"load_rps": [1.0, float("nan")]}, "load_rps, second 1: nan"),
        ({"load_rps": []}, "one number a second"),
        ({"replica_rps": 0}, "replica_rps is 0"),
        ({"lag_s": -1}, "lag_s is -1"),
        ({"warm": 1.5}, "warm is 1.5"),
    ],
)
def test_bad_input(arguments: dict[str, object], said: str) -> None:
    usual = {"load_rps": [1.0, 2.0, 3.0], "replica_rps": 1.0, "policy": "reactive"}
    with pytest.raises(InvalidInput, match=said):
        simulate_day(**(usual | arguments))  # type: ignore[arg-type]
