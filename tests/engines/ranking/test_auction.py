"""The auction by brute force and by its laws; a day under budgets; what wrong probabilities cost."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from simulators.engines.ranking import auction, calibration
from simulators.engines.ranking.auction import Auction, Day
from simulators.engines.ranking.worlds import AuctionWorld, auction_world
from simulators.engines.ranking.worlds.auction import BIASED_SHARE, Distortion, with_model
from simulators.engines.steps import finish

SEEDS = (0, 1, 2)


@cache
def world(seed: int, **knobs: Any) -> AuctionWorld:
    return auction_world(seed, **knobs)


@cache
def oracle(seed: int) -> Auction:
    return auction.second_price(world(seed).value, world(seed).p, world(seed).p)


def lost(seed: int, p_hat: Any) -> tuple[float, float, float]:
    """Relative change of welfare and revenue against the true probabilities, and the winners' ratio."""
    found = auction.second_price(world(seed).value, p_hat, world(seed).p)
    return found.welfare / oracle(seed).welfare - 1, found.revenue / oracle(seed).revenue - 1, found.winner_ratio


def calibrated(seed: int, method: Any, by: str, rows: int) -> Any:
    w, log = world(seed), world(seed).log
    groups = {"global": (None, None), "segment": (log.segment[:rows], w.segment), "slice": (log.slice[:rows], w.slice)}
    return method().fit(log.p_hat[:rows], log.y[:rows], groups[by][0]).predict(w.p_hat, groups[by][1])


# --- one auction ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reserve", [0.0, 0.25])
@pytest.mark.parametrize("seed", SEEDS)
def test_against_brute_force(seed: int, reserve: float) -> None:
    rng = np.random.default_rng(seed)
    value, p_hat, p = rng.lognormal(0, 0.6, (200, 4)), rng.random((200, 4)) * 0.3, rng.random((200, 4)) * 0.3
    found = auction.second_price(value, p_hat, p, reserve)
    welfare = revenue = predicted = true = 0.0
    for n in range(200):
        scores = sorted(((value[n, m] * p_hat[n, m], m) for m in range(4)), reverse=True)
        (best, m), (second, _) = scores[:2]
        if best < reserve:
            assert found.winner[n] == -1 and found.price_per_click[n] == 0
            continue
        price = min(max(second, reserve) / p_hat[n, m], value[n, m])
        assert found.winner[n] == m and found.price_per_click[n] == pytest.approx(price)
        welfare, revenue = welfare + value[n, m] * p[n, m], revenue + price * p[n, m]
        predicted, true = predicted + p_hat[n, m], true + p[n, m]
    assert (found.welfare, found.revenue) == pytest.approx((welfare, revenue))
    assert found.winner_ratio == pytest.approx(predicted / true)
    assert (found.winner == -1).any() == (reserve > 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_other_bid_earns_an_advertiser_more_than_the_own_value(seed: int) -> None:
    """Truthful bidding is dominant: utility (value - price) p, for a bid above, below and at the value."""
    w, rng = auction_world(seed, auctions=2_000), np.random.default_rng(seed)
    gain = rng.choice([0.5, 0.8, 1.3, 3.0], 2_000)
    bids = w.value.copy()
    bids[:, 0] *= gain
    honest, other = (auction.second_price(v, w.p, w.p) for v in (w.value, bids))

    def utility(found: Auction) -> Any:
        return np.where(found.winner == 0, (w.value[:, 0] - found.price_per_click) * w.p[:, 0], 0.0)

    assert (utility(other) <= utility(honest) + 1e-12).all() and utility(other).sum() < utility(honest).sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_truth_maximises_welfare_and_pays_no_more_than_it(seed: int) -> None:
    w = world(seed)
    assert oracle(seed).winner_ratio == pytest.approx(1)
    assert oracle(seed).welfare == pytest.approx((w.value * w.p).max(axis=1).sum())
    assert oracle(seed).revenue == pytest.approx(np.sort(w.value * w.p, axis=1)[:, -2].sum())
    assert (oracle(seed).price_per_click <= w.value[np.arange(60_000), oracle(seed).winner]).all()


def test_ties_a_lone_ad_and_nothing_worth_showing() -> None:
    tie = auction.second_price([[1.0, 1.0]], [[0.2, 0.2]], [[0.1, 0.2]])
    assert (tie.winner[0], tie.price_per_click[0]) == (0, 1.0)
    alone = auction.second_price([[2.0]], [[0.5]], [[0.5]], reserve=0.1)
    assert (alone.winner[0], alone.price_per_click[0], alone.revenue) == pytest.approx((0, 0.2, 0.1))
    nothing = auction.second_price([[1.0, 2.0]], [[0.0, 0.0]], [[0.1, 0.1]])
    assert nothing.winner[0] == -1 and nothing.welfare == nothing.revenue == 0 and np.isnan(nothing.winner_ratio)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_uniform_factor_changes_nothing_until_there_is_a_reserve(seed: int) -> None:
    w = world(seed)
    half = auction.second_price(w.value, w.p / 2, w.p)
    np.testing.assert_array_equal(half.winner, oracle(seed).winner)
    np.testing.assert_allclose(half.price_per_click, oracle(seed).price_per_click, rtol=1e-12)
    full, halved = (auction.second_price(w.value, p_hat, w.p, reserve=0.08) for p_hat in (w.p, w.p / 2))
    assert -0.29 < halved.welfare / full.welfare - 1 < -0.23
    assert -0.20 < halved.revenue / full.revenue - 1 < -0.14


# --- what wrong probabilities cost -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_winners_are_more_overpredicted_than_the_ads(seed: int) -> None:
    w = world(seed)
    welfare, revenue, ratio = lost(seed, w.p_hat)
    assert -0.06 < welfare < -0.04 and -0.19 < revenue < -0.13
    assert 1.70 < ratio < 1.92 and 1.30 < w.p_hat.sum() / w.p.sum() < 1.40


@pytest.mark.parametrize("seed", SEEDS)
def test_a_monotone_distortion_leaves_auc_and_costs_money(seed: int) -> None:
    w = world(seed, slope=1.8, intercept=1.8, segment_shift=0.0, noise=0.0)
    welfare, revenue, _ = lost(seed, w.p_hat)
    assert -0.03 < welfare < -0.01 and -0.25 < revenue < -0.17
    order = np.argsort(w.p.ravel())
    assert (np.diff(w.p_hat.ravel()[order]) >= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_calibrating_by_segment_restores_what_noise_leaves(seed: int) -> None:
    bare = lost(seed, world(seed).p_hat)[0]
    by = {by: lost(seed, calibrated(seed, calibration.Platt, by, 20_000)) for by in ("global", "segment")}
    floor = lost(seed, calibrated(seed, calibration.Platt, "segment", 150_000))[0]
    isotonic = lost(seed, calibrated(seed, calibration.Isotonic, "segment", 20_000))[0]
    assert bare < by["global"][0] - 0.01 and by["global"][0] < by["segment"][0] - 0.007
    assert -0.030 < by["segment"][0] <= floor + 0.002 and floor < -0.022, "noise cannot be calibrated away"
    assert by["global"][0] - 0.001 < isotonic < by["segment"][0]
    assert all(0.95 < ratio < 1.05 for _, _, ratio in by.values())


@pytest.mark.parametrize("method", [calibration.Platt, calibration.Isotonic])
@pytest.mark.parametrize("seed", SEEDS)
def test_too_many_slices_are_worse_than_doing_nothing(seed: int, method: Any) -> None:
    p_hat = calibrated(seed, method, "slice", 5_000)
    welfare, _, ratio = lost(seed, p_hat)
    assert welfare < -0.14 < lost(seed, world(seed).p_hat)[0]
    assert ratio > 1.5 and ratio > p_hat.sum() / world(seed).p.sum() + 0.15, "the overall ratio looks better than that of the winners"


@pytest.mark.parametrize("seed", SEEDS)
def test_uncorrected_sampling_overcharges(seed: int) -> None:
    w = world(seed, slope=1.0, intercept=0.0, segment_shift=0.0, noise=0.0, keep_negatives=0.1)
    welfare, revenue, _ = lost(seed, w.p_hat)
    assert 0.09 < revenue < 0.18 and -0.05 < welfare < -0.03
    welfare, revenue, ratio = lost(seed, calibration.undo_downsampling(w.p_hat, 0.1))
    assert (welfare, revenue, ratio) == pytest.approx((0, 0, 1), abs=1e-9)


# --- a day ------------------------------------------------------------------------------------------------------------------------


@cache
def day(seed: int, pacing: Any) -> Day:
    return auction.simulate_day(world(seed), world(seed).p, pacing)


@pytest.mark.parametrize("seed", SEEDS)
def test_pacing_buys_more_for_the_same_money(seed: int) -> None:
    none, throttle, multiplier = day(seed, "none"), day(seed, "throttle"), day(seed, "multiplier")
    gone = ~np.isnan(none.depleted_at)
    assert gone.mean() >= 0.9 and 0.5 < none.depleted_at[gone].mean() < 0.66 and none.deviation > 0.4
    assert throttle.welfare > 1.04 * none.welfare and multiplier.welfare > 1.45 * none.welfare
    assert throttle.deviation < 0.05 and multiplier.deviation < 0.05
    assert throttle.overspend < 0.005 and multiplier.overspend < 0.005 < none.overspend < 0.05
    assert throttle.revenue == pytest.approx(none.revenue, rel=0.03) and multiplier.revenue == pytest.approx(none.revenue, rel=0.03)


@pytest.mark.parametrize("pacing", ["none", "throttle", "multiplier"])
def test_books_balance(pacing: Any) -> None:
    found, w = day(0, pacing), world(0)
    assert found.spend.shape == (96, 20) and found.budget.shape == found.depleted_at.shape == (20,)
    assert found.revenue == pytest.approx(found.spend.sum()) and found.welfare > found.revenue > 0
    assert w.traffic.sum() == pytest.approx(1)
    spent = found.spend.sum(axis=0)
    assert found.overspend == pytest.approx(np.maximum(spent - w.budget, 0).sum() / w.budget.sum())
    for a, at in enumerate(found.depleted_at):
        last = 96 if np.isnan(at) else round(at * 96)
        assert (found.spend[last:, a] == 0).all(), "nothing is spent after the budget is gone"
        assert found.spend[: last - 1, a].sum() < w.budget[a]


def test_without_budgets_a_day_is_its_auctions() -> None:
    w = world(1, tightness=50.0)
    found = auction.simulate_day(w, w.p)
    assert (found.welfare, found.revenue) == pytest.approx((oracle(1).welfare, oracle(1).revenue))
    assert np.isnan(found.depleted_at).all() and found.overspend == 0 and found.deviation < 0.05
    np.testing.assert_allclose(found.spend.sum(axis=0), w.demand)
    for pacing in ("throttle", "multiplier"):
        assert auction.simulate_day(w, w.p, pacing).welfare == pytest.approx(oracle(1).welfare)


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_costs_more_where_bids_are_paced(seed: int) -> None:
    noisy = world(seed, slope=1.0, intercept=0.0, segment_shift=0.0, noise=0.8)
    found = auction.simulate_day(world(seed), noisy.p_hat, "multiplier")
    assert -0.17 < found.welfare / day(seed, "multiplier").welfare - 1 < -0.10


@pytest.mark.parametrize("pacing", ["throttle", "multiplier"])
def test_a_timid_controller_is_late(pacing: Any) -> None:
    slow = auction.simulate_day(world(0), world(0).p, pacing, gain=0.01)
    assert slow.deviation > 3 * day(0, pacing).deviation


def test_steps_and_their_end_agree() -> None:
    small = auction_world(0, auctions=40_000)
    steps, labels = auction.iter_day(small, small.p, "throttle"), []
    try:
        while True:
            labels.append(next(steps))
    except StopIteration as stop:
        np.testing.assert_array_equal(stop.value.spend, auction.simulate_day(small, small.p, "throttle").spend)
    assert all(0 < step.done <= step.total == 96 and 0 < step.metrics["spent"] < 1.1 for step in labels)
    half = auction.iter_day(small, small.p, "throttle")
    half.close()
    assert finish(auction.iter_day(small, small.p)).revenue > 0


# --- the world --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_is_as_described(seed: int) -> None:
    w = world(seed)
    logit = np.log(w.p / (1 - w.p))
    assert w.value.shape == (60_000, 8) and (logit.mean(), logit.std()) == pytest.approx((-3.2, 1.0), abs=0.01)
    assert (w.value.mean(), np.log(w.value).std()) == pytest.approx((1.0, 0.6), abs=0.01)
    assert (np.diff(np.sort(w.advertiser, axis=1), axis=1) > 0).all() and len(np.unique(w.advertiser)) == 20
    assert w.segment.mean() == pytest.approx(BIASED_SHARE, abs=0.005) and len(np.unique(w.slice)) == 200
    assert all(len(np.unique(w.segment[w.slice == s])) == 1 for s in range(0, 200, 20))
    assert len(w.log.y) == 150_000 and w.log.y.mean() == pytest.approx(w.log.p.mean(), abs=0.003)
    assert (w.budget / w.demand).mean() == pytest.approx(0.5 * np.exp(0.045), abs=0.12)


def test_a_knob_leaves_the_other_draws_alone() -> None:
    plain, moved = auction_world(3, auctions=1_000), auction_world(3, auctions=1_000, noise=1.0, tightness=2.0)
    for name in ("value", "p", "advertiser", "slice", "lottery", "demand"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(moved, name))
    np.testing.assert_array_equal(plain.log.y, moved.log.y)
    np.testing.assert_allclose(moved.budget, 4 * plain.budget)
    assert (plain.p_hat != moved.p_hat).any() and (auction_world(4, auctions=1_000).p != plain.p).any()
    np.testing.assert_array_equal(auction_world(3, auctions=1_000, log_rows=500).log.y, plain.log.y[:500])
    again = with_model(plain, Distortion(noise=1.0))
    np.testing.assert_array_equal(again.p_hat, moved.p_hat)
    np.testing.assert_array_equal(again.log.p_hat, moved.log.p_hat)


ONE, P = np.ones((2, 3)), np.full((2, 3), 0.1)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: auction.second_price(ONE, P[:1], P), "p_hat is"),
        (lambda: auction.second_price(ONE, P, P[:, :2]), "p_true is"),
        (lambda: auction.second_price(ONE, 2 * ONE, P), "p_hat holds 2"),
        (lambda: auction.second_price(ONE, P, P * np.nan), "p_true holds"),
        (lambda: auction.second_price(-ONE, P, P), "value holds -1"),
        (lambda: auction.second_price(ONE[0], P[0], P[0]), "value has 1 dimensions"),
        (lambda: auction.second_price(ONE[:, :0], P[:, :0], P[:, :0]), "value has no ads"),
        (lambda: auction.second_price(ONE, P, P, reserve=-1), "reserve is -1"),
        (lambda: auction.simulate_day(world(0), P), "p_hat is"),
        (lambda: auction.simulate_day(world(0), world(0).p, "slow"), "pacing is 'slow'"),  # type: ignore[arg-type]
        (lambda: auction.simulate_day(world(0), world(0).p, "none", gain=0.0), "gain is 0"),
        (lambda: auction_world(0, ads=30), "ads is 30"),
        (lambda: auction_world(0, auctions=100), "intervals is 96"),
    ],
)
def test_wrong_arguments_are_named(call: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        call()
