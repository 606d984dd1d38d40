"""Scatter-gather: queues against queueing theory, fan-out against its law, hedging against its published effect."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.ann.fleet import Lognormal, ScatterGather, TailReport, simulate_scatter_gather
from simulators.engines.ann.fleet_replicas import UNANSWERED, Policy, Requests, Shard
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)


@cache
def tail(
    seed: int, utilisation: float, hedge_ms: float | None = None, budget: float = 1.0, cancel: bool = True, shards: int = 16
) -> TailReport:
    return simulate_scatter_gather(
        shards, 2, utilisation=utilisation, p50_ms=5, p99_ms=25, hedge_ms=hedge_ms, hedge_budget=budget, cancel=cancel, seed=seed
    )


def served(arrivals: np.ndarray, service: np.ndarray, policy: Policy, seed: int = 0) -> Shard:
    """A shard run to its end; service [n] for first copies, the same for hedges."""
    n, rng = len(arrivals), np.random.default_rng(seed)
    first = rng.integers(policy.replicas, size=n)
    replica = np.concatenate([first, (first + 1) % policy.replicas])
    shard = Shard(Requests(arrivals, np.concatenate([service, service]), replica), policy)
    shard.advance(UNANSWERED)
    return shard


# --- one queue ---------------------------------------------------------------------------------------------------------


def test_one_worker_follows_lindleys_recursion() -> None:
    """Lindley 1952: a first-come-first-served answer comes at max(arrival, answer before) + service."""
    rng = np.random.default_rng(5)
    arrivals, service = np.cumsum(rng.exponential(7, 2000)), rng.exponential(6, 2000)
    answered, before = [], 0.0
    for arrival, work in zip(arrivals, service, strict=True):
        before = max(arrival, before) + work
        answered.append(before)
    assert served(arrivals, service, Policy(1)).answered_ms == pytest.approx(answered)


@pytest.mark.parametrize(("cv2", "draw"), [(1.0, "exponential"), (0.0, "constant")])
def test_mean_wait_is_that_of_pollaczek_and_khinchine(cv2: float, draw: str) -> None:
    """M/M/1 and M/D/1: mean wait = load / (1 - load) x (1 + cv^2) / 2 x mean service."""
    load, mean, waits = 0.6, 5.0, []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(mean / load, 40_000))
        service = rng.exponential(mean, len(arrivals)) if draw == "exponential" else np.full(len(arrivals), mean)
        waits.append(np.mean(np.array(served(arrivals, service, Policy(1)).answered_ms) - arrivals - service))
    assert np.mean(waits) == pytest.approx(load / (1 - load) * (1 + cv2) / 2 * mean, rel=0.06)


def test_several_workers_wait_as_erlang_says() -> None:
    """M/M/c: the chance of waiting is Erlang's C; the mean wait is C / (c / mean - arrivals)."""
    workers, mean, load = 4, 5.0, 0.8
    offered = workers * load
    blocked = offered**workers / math.factorial(workers) / (1 - load)
    chance = blocked / (sum(offered**k / math.factorial(k) for k in range(workers)) + blocked)
    waits = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        arrivals, service = np.cumsum(rng.exponential(mean / offered, 40_000)), rng.exponential(mean, 40_000)
        waits.append(np.mean(np.array(served(arrivals, service, Policy(1, workers=workers)).answered_ms) - arrivals - service))
    assert np.mean(waits) == pytest.approx(chance * mean / (workers * (1 - load)), rel=0.1)


# --- conservation --------------------------------------------------------------------------------------------------------

policies = st.builds(
    Policy,
    replicas=st.integers(1, 4),
    workers=st.integers(1, 3),
    hedge_ms=st.none() | st.floats(0, 30),
    hedge_budget=st.floats(0, 1),
    cancel=st.booleans(),
)


@given(policy=policies, n=st.integers(1, 60), mean_gap=st.floats(0.1, 20), seed=st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_every_request_is_answered_once_and_no_work_is_lost(policy: Policy, n: int, mean_gap: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrivals, service = np.cumsum(rng.exponential(mean_gap, n)), rng.exponential(5, n)
    shard = served(arrivals, service, policy, seed)
    answered = np.array(shard.answered_ms)
    assert np.isfinite(answered).all()
    assert (answered >= arrivals + service - 1e-9).all(), "nobody is answered faster than a search takes"
    assert shard.hedges <= policy.hedge_budget * n
    assert policy.hedges or shard.hedges == 0
    assert (
        service.sum() - 1e-6 <= shard.busy_ms <= 2 * service.sum() + 1e-6
        if policy.hedges
        else shard.busy_ms == pytest.approx(service.sum())
    )
    workers = policy.replicas * policy.workers
    if policy.cancel or not policy.hedges:  # else copies wait their turn long after the last answer
        assert shard.busy_ms <= workers * (answered.max() + service.max()) + 1e-6


@given(cuts=st.lists(st.floats(0, 400), max_size=6), policy=policies, seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_advancing_in_stretches_changes_nothing(cuts: list[float], policy: Policy, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrivals, service = np.cumsum(rng.exponential(4, 50)), rng.exponential(5, 50)
    whole = served(arrivals, service, policy, seed)
    first = np.random.default_rng(seed).integers(policy.replicas, size=50)
    replica = np.concatenate([first, (first + 1) % policy.replicas])
    cut = Shard(Requests(arrivals, np.concatenate([service, service]), replica), policy)
    for until in [*sorted(cuts), UNANSWERED]:
        cut.advance(until)
    assert cut.answered_ms == whole.answered_ms and cut.hedges == whole.hedges and cut.busy_ms == pytest.approx(whole.busy_ms)


def test_a_hedge_never_due_changes_nothing() -> None:
    plain, never = tail(1, 0.6), tail(1, 0.6, hedge_ms=1e9)
    assert np.array_equal(plain.latency_ms, never.latency_ms) and never.hedges == 0


def test_cancelling_saves_work_and_never_costs_an_answer() -> None:
    for seed in SEEDS:
        kept, cancelled = tail(seed, 0.2, 10, cancel=False), tail(seed, 0.2, 10)
        assert cancelled.offered_load < kept.offered_load
        assert len(kept.latency_ms) == len(cancelled.latency_ms) == 4000


# --- service times and fan-out -----------------------------------------------------------------------------------------


def test_lognormal_holds_its_two_percentiles() -> None:
    service = Lognormal.fitted(5, 25)
    drawn = service.draw(200_000, np.random.default_rng(1))
    assert np.percentile(drawn, [50, 99]) == pytest.approx([5, 25], rel=0.03)
    assert drawn.mean() == pytest.approx(service.mean_ms, rel=0.01)


def test_slowest_of_many_follows_the_fan_out_law() -> None:
    """1 - (1 - p)^S, and the figures the walkthrough quotes for 5 and 25 ms."""
    service = Lognormal.fitted(5, 25)
    assert [round(service.slowest_of_ms(s, 0.5)) for s in (1, 16, 64, 256)] == pytest.approx([5, 16, 25, 34], abs=1)
    assert [round(service.slowest_of_ms(s, 0.99)) for s in (1, 16, 64, 256)] == pytest.approx([25, 47, 61, 77], abs=1)
    for shards, share in ((1, 0.01), (16, 0.15), (64, 0.47), (100, 0.63)):
        slow = service.quantile_ms(0.99)
        drawn = service.draw(4000 * shards, np.random.default_rng(shards)).reshape(4000, shards).max(axis=1)
        assert (drawn > slow).mean() == pytest.approx(share, abs=0.025)


@pytest.mark.parametrize("seed", SEEDS)
def test_idle_fleet_has_the_law_without_queues(seed: int) -> None:
    service = Lognormal.fitted(5, 25)
    for shards in (1, 16):
        idle = tail(seed, 0.01, shards=shards)
        assert idle.p50_ms == pytest.approx(service.slowest_of_ms(shards, 0.5), rel=0.05)
        assert idle.p99_ms == pytest.approx(service.slowest_of_ms(shards, 0.99), rel=0.15)


def test_wider_fan_out_is_slower() -> None:
    for seed in SEEDS:
        p99 = [tail(seed, 0.2, shards=shards).p99_ms for shards in (1, 4, 16, 64)]
        assert all(wide > 1.05 * narrow for narrow, wide in pairwise(p99))


def test_visiting_one_shard_takes_the_tail_of_one_shard() -> None:
    visits = np.zeros((4000, 16), dtype=bool)
    visits[np.arange(4000), np.random.default_rng(0).integers(16, size=4000)] = True
    one = simulate_scatter_gather(16, 2, utilisation=0.2, p50_ms=5, p99_ms=25, seed=1, visits=visits)
    assert one.p99_ms < 0.6 * tail(1, 0.2).p99_ms
    assert one.utilisation == pytest.approx(0.2, rel=0.1)


# --- hedging -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_hedging_pays_when_there_is_room(seed: int) -> None:
    """Design figures: p99 59-63 without, 34-36 with a hedge at 10 ms, 16 shards x 2 replicas at 20 % load."""
    plain, hedged = tail(seed, 0.2), tail(seed, 0.2, 10)
    assert 52 < plain.p99_ms < 66
    assert hedged.p99_ms < 0.7 * plain.p99_ms
    assert 31 < hedged.p99_ms < 38


@pytest.mark.parametrize("seed", SEEDS)
def test_hedging_a_busy_fleet_without_cap_or_cancellation_melts_it(seed: int) -> None:
    plain, storm = tail(seed, 0.6), tail(seed, 0.6, 10, cancel=False)
    assert plain.p99_ms < 130
    assert storm.p99_ms > 4000 and storm.offered_load > 1.1 and storm.hedge_share > 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_cancellation_stops_the_storm_and_gains_nothing_at_this_load(seed: int) -> None:
    plain, cancelled = tail(seed, 0.6), tail(seed, 0.6, 10)
    assert cancelled.offered_load < 0.9
    assert 0.85 * plain.p99_ms < cancelled.p99_ms < 200


def test_a_cap_of_five_percent_is_harmless_and_helps_on_average() -> None:
    pairs = [(tail(seed, 0.6), tail(seed, 0.6, 15.6, budget=0.05)) for seed in range(1, 9)]
    assert np.mean([capped.p99_ms / plain.p99_ms for plain, capped in pairs]) < 1
    assert all(capped.p99_ms < 1.08 * plain.p99_ms and capped.hedge_share <= 0.05 for plain, capped in pairs)


def test_a_rare_stall_is_what_hedging_was_made_for() -> None:
    """Dean & Barroso 2013: a hedge after 10 ms cut p99.9 from 1,800 to 74 ms for 2 % more requests. Same shape: rare, long stalls."""
    n, rng = 20_000, np.random.default_rng(2)
    arrivals = np.cumsum(rng.exponential(20, n))
    service = np.concatenate([rng.exponential(3, 2 * n)])
    service[rng.random(2 * n) < 0.002] = 1_800
    first = rng.integers(8, size=n)
    requests = Requests(arrivals, service, np.concatenate([first, (first + 1 + rng.integers(7, size=n)) % 8]))
    tails = []
    for hedge_ms in (None, 10.0):
        shard = Shard(requests, Policy(8, workers=8, hedge_ms=hedge_ms))
        shard.advance(UNANSWERED)
        tails.append((np.percentile(np.array(shard.answered_ms) - arrivals, 99.9), shard.hedges / n))
    (plain, _), (hedged, share) = tails
    assert plain > 1_500 and hedged < 100
    assert share < 0.06


# --- watching and refusing -----------------------------------------------------------------------------------------------


def test_it_can_be_watched_every_500_requests() -> None:
    visits = np.ones((2_000, 16), dtype=bool)
    fleet = ScatterGather(Lognormal.fitted(5, 25), Policy(2, hedge_ms=10.0), arrival_qps=100, visits=visits, seed=1)
    seen = [fleet.report().shard_requests for done in fleet.steps() if done and done % 500 == 0 and done == fleet.done]
    assert sorted(set(seen)) == [500 * 16, 1000 * 16, 1500 * 16, 2000 * 16]
    whole = simulate_scatter_gather(16, 2, arrival_qps=100, p50_ms=5, p99_ms=25, hedge_ms=10, n_requests=2_000, seed=1)
    assert np.array_equal(fleet.report().latency_ms, whole.latency_ms)


def test_the_same_seed_repeats_and_another_does_not() -> None:
    again = simulate_scatter_gather(16, 2, utilisation=0.2, p50_ms=5, p99_ms=25, seed=1)
    assert np.array_equal(again.latency_ms, tail(1, 0.2).latency_ms)
    assert not np.array_equal(again.latency_ms, tail(2, 0.2).latency_ms)


def test_utilisation_is_what_was_asked_for() -> None:
    for load in (0.1, 0.4, 0.7):
        assert tail(3, load).utilisation == pytest.approx(load, rel=0.06)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"arrival_qps": 2_400.0, "workers": 12}, "arrival 2,400 QPS exceeds capacity 1,889"),
        ({"arrival_qps": 10.0, "p99_ms": 5.0}, "expected p99 above p50"),
        ({"arrival_qps": 10.0, "p50_ms": 0.0}, "expected a time above 0"),
        ({"utilisation": 1.0}, "expected a share above 0 and below 1"),
        ({}, "either utilisation or arrival_qps"),
        ({"arrival_qps": 10.0, "replicas": 0}, "replicas 0"),
        ({"arrival_qps": 10.0, "hedge_budget": 2.0, "hedge_ms": 1.0}, "hedge_budget from 0 to 1"),
    ],
)
def test_what_no_fleet_can_do_is_refused(values: dict[str, float], said: str) -> None:
    given = {"shards": 4, "replicas": 1, "p50_ms": 5.0, "p99_ms": 25.0, "seed": 1, **values}
    with pytest.raises(InvalidInput, match=said):
        simulate_scatter_gather(**given)  # type: ignore[arg-type]
