"""The queue before the encoders, against brute force and queueing theory; caches and fan-out against their definitions."""

from functools import cache
from math import factorial

import numpy as np
import pytest

from simulators.engines.ranking.encoding import POLICIES, fanout_miss, iter_ingest, lru_hit_rate, service_s, simulate_ingest
from simulators.engines.ranking.worlds import ingest_world
from simulators.engines.steps import finish

SEEDS = (0, 1, 2)
COST = {"frame_ms": 20.0, "batch": 8, "overhead_s": 0.2}
ingest_world = cache(ingest_world)


def brute_force(arrival, work, rank, workers):
    """Begin of each upload: at every moment at which a worker is free, look at all that wait."""
    free, began, left = np.zeros(workers) + arrival.min(), np.full(len(arrival), np.nan), set(range(len(arrival)))
    while left:
        worker = int(free.argmin())
        now = max(free[worker], min(arrival[i] for i in left))
        upload = min((i for i in left if arrival[i] <= now), key=lambda i: (rank[i], arrival[i], i))
        began[upload], free[worker] = now, now + work[upload]
        left.remove(upload)
    return began


@cache
def day(seed, workers=2, policy="fifo", cap=10_000, batch=8):
    world = ingest_world(seed)
    frames = np.clip(world.duration_s, 1, cap)
    cost = COST | {"batch": batch}
    return simulate_ingest(
        world.arrival_s, frames, workers=workers, policy=policy, views=world.views, predicted_views=world.predicted_views, **cost
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_every_policy_serves_as_brute_force_does(policy, workers, seed):
    rng = np.random.default_rng(seed)
    arrival, frames, views = rng.uniform(0, 60, 80), rng.integers(1, 300, 80), rng.lognormal(size=80)
    work = service_s(frames, **COST)
    rank = {"fifo": np.zeros(80), "shortest": work, "views": -views, "views/cost": -views / work}[policy]
    found = simulate_ingest(arrival, frames, workers=workers, policy=policy, views=views, **COST)
    began = brute_force(arrival, work, rank, workers)
    late_h = (began + work - arrival) / 3600
    assert np.allclose(found.done_s, began + work)
    assert found.wait_p99_s == pytest.approx(np.quantile(began - arrival, 0.99))
    assert found.views_lost == pytest.approx((views * (1 - 2 ** (-late_h / 12))).sum() / views.sum())


@pytest.mark.parametrize("workers", [1, 4])
def test_the_mean_wait_is_erlangs(workers):
    """M/M/c: chance to wait by Erlang C, then an exponential with rate c mu - lambda."""
    rng, load = np.random.default_rng(0), 0.7 * workers
    arrival = np.cumsum(rng.exponential(1 / load, 400_000))
    found = simulate_ingest(
        arrival, rng.exponential(1, 400_000), workers=workers, frame_ms=1000, batch=1, overhead_s=0, policy="fifo", half_life_h=1
    )
    last = load**workers / factorial(workers) / (1 - load / workers)
    waits = last / (sum(load**k / factorial(k) for k in range(workers)) + last)
    assert found.utilisation == pytest.approx(0.7, abs=0.01)
    assert found.wait_p99_s == pytest.approx(np.log(waits / 0.01) / (workers - load), rel=0.06)


@pytest.mark.parametrize("seed", SEEDS)
def test_more_encoders_lose_less_and_three_quarters_busy_is_not_idle_at_the_burst(seed):
    one, two, three = (day(seed, workers) for workers in (1, 2, 3))
    assert one.utilisation > 1.4 > 0.85 > two.utilisation > 0.7 > three.utilisation
    assert one.views_lost > 0.2 > 0.07 > two.views_lost > 2 * three.views_lost
    assert two.wait_p99_s > 5_000


@pytest.mark.parametrize("seed", SEEDS)
def test_views_a_second_of_work_is_the_best_order_and_its_tail_pays(seed):
    lost = {policy: day(seed, policy=policy).views_lost for policy in POLICIES}
    assert lost["views/cost"] < 0.8 * lost["views"] < 0.8 * lost["shortest"] < 0.8 * lost["fifo"]
    assert day(seed, policy="views/cost").wait_p99_s > 2 * day(seed).wait_p99_s


@pytest.mark.parametrize("seed", SEEDS)
def test_fewer_frames_help_as_an_order_does_and_unbatched_encoders_drown(seed):
    assert day(seed, cap=32).views_lost < day(seed).views_lost / 5
    assert day(seed, batch=1).views_lost > 0.4


def test_nobody_waits_before_more_encoders_than_uploads():
    found = simulate_ingest([5.0, 5.0, 9.0], [10, 20, 30], workers=3, policy="views", **COST)
    assert found.wait_p50_s == found.wait_p99_s == 0
    assert np.allclose(found.done_s, [5, 5, 9] + service_s([10, 20, 30], **COST))


def test_uploads_that_come_at_once_keep_the_encoders_busy_throughout():
    found = simulate_ingest(np.zeros(4), np.full(4, 100), workers=2, policy="fifo", **COST)
    assert found.utilisation == pytest.approx(1)


def test_the_order_given_does_not_matter_and_steps_give_the_same():
    world = ingest_world(0, uploads_h=300.0)
    mixed = np.random.default_rng(1).permutation(len(world.arrival_s))
    asked = {"workers": 1, "policy": "views/cost"} | COST
    straight = simulate_ingest(world.arrival_s, world.duration_s, views=world.views, **asked)
    shuffled = finish(iter_ingest(world.arrival_s[mixed], world.duration_s[mixed], views=world.views[mixed], **asked))
    assert np.allclose(straight.done_s[mixed], shuffled.done_s)
    assert straight.views_lost == pytest.approx(shuffled.views_lost)


def test_a_batch_shares_most_of_a_frames_time():
    assert np.allclose(service_s([100.0], frame_ms=20, batch=1, overhead_s=0.2), 2.2)
    assert np.allclose(service_s([100.0], frame_ms=20, batch=8, overhead_s=0.2), 0.2 + 2 * (0.85 / 8 + 0.15))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrival_s": []}, "arrival_s"),
        ({"arrival_s": [0.0, np.nan]}, "arrival_s"),
        ({"frames": [1.0]}, "frames"),
        ({"frames": [1.0, -1.0]}, "frames"),
        ({"views": [1.0, -1.0]}, "views"),
        ({"views": [1.0]}, "views"),
        ({"workers": 0}, "workers"),
        ({"batch": 0}, "batch"),
        ({"frame_ms": -1.0}, "frame_ms"),
        ({"overhead_s": np.nan}, "overhead_s"),
        ({"half_life_h": 0.0}, "half_life_h"),
        ({"policy": "random"}, "policy"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    good = {"arrival_s": [0.0, 1.0], "frames": [1.0, 2.0], "workers": 1, "policy": "fifo"} | COST
    if change == {"arrival_s": []}:
        change = {"arrival_s": [], "frames": []}
    asked = good | change
    with pytest.raises(ValueError, match=message):
        simulate_ingest(asked.pop("arrival_s"), asked.pop("frames"), **asked)


# --- caches ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [0, 1, 5, 40, 200])
def test_the_cache_hits_what_a_list_of_last_uses_holds(capacity):
    requests = np.random.default_rng(capacity).zipf(1.3, 600) % 100
    held, hits = [], 0
    for key in requests:
        hits += key in held
        held = [key, *(other for other in held if other != key)][:capacity]
    assert lru_hit_rate(requests, capacity) == pytest.approx(hits / len(requests))


def test_a_cache_of_everything_misses_each_id_once_and_a_scan_defeats_a_smaller_one():
    scan = np.tile(np.arange(10), 5)
    assert lru_hit_rate(scan, 10) == pytest.approx(1 - 10 / 50)
    assert lru_hit_rate(scan, 9) == 0


def test_a_request_misses_unless_all_candidates_hit():
    assert fanout_miss(0.001, 500) == pytest.approx(1 - 0.999**500)
    assert fanout_miss(1e-12, 500) == pytest.approx(5e-10, rel=1e-6)
    assert (fanout_miss(0, 500), fanout_miss(1, 500), fanout_miss(1, 0)) == (0, 1, 0)
    drawn = np.random.default_rng(0).random((20_000, 100)) < 0.01
    assert drawn.any(axis=1).mean() == pytest.approx(fanout_miss(0.01, 100), abs=0.02)


def test_caches_name_what_is_wrong():
    for wrong in (lambda: lru_hit_rate([], 3), lambda: lru_hit_rate([[1]], 3)):
        with pytest.raises(ValueError, match="requests"):
            wrong()
    with pytest.raises(ValueError, match="capacity"):
        lru_hit_rate([1], -1)
    with pytest.raises(ValueError, match="miss_rate"):
        fanout_miss(1.5, 3)
    with pytest.raises(ValueError, match="candidates"):
        fanout_miss(0.5, -3)


# --- the day --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_day_has_its_burst_and_its_long_tails(seed):
    world = ingest_world(seed)
    an_hour = np.bincount((world.arrival_s // 3600).astype(int), minlength=24)
    assert len(an_hour) == 24 and (np.diff(world.arrival_s) >= 0).all()
    assert an_hour[14] == pytest.approx(3 * 12_000, rel=0.03) and an_hour[2] == pytest.approx(4_000, rel=0.1)
    assert np.median(world.duration_s) == pytest.approx(40, rel=0.03) and world.duration_s.max() == 1_800
    assert np.log(world.views).std() == pytest.approx(1.6, rel=0.02)
    assert np.log(world.predicted_views / world.views).std() == pytest.approx(0.8, rel=0.02)


def test_a_knob_leaves_the_other_draws_alone():
    calm, noisy = ingest_world(0, prediction_noise=0.0), ingest_world(0)
    assert np.array_equal(calm.predicted_views, calm.views)
    assert np.array_equal(calm.arrival_s, noisy.arrival_s) and np.array_equal(calm.duration_s, noisy.duration_s)


@pytest.mark.parametrize("knob", [{"burst": -1.0}, {"uploads_h": 0.0}, {"diurnal": 1.5}, {"prediction_noise": np.nan}])
def test_a_knob_out_of_range_is_named(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        ingest_world(0, **knob)
