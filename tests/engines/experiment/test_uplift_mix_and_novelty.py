"""Stratified comparisons, drifting effects and holdouts, against formulas and brute force."""

import numpy as np
import pytest

from simulators.engines.experiment import mix, novelty
from simulators.engines.experiment.stats import Moments, compare, summary
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)


def test_the_published_example_of_a_reversal():
    """Friday 1 % treated, Saturday 50 %, a million visitors each: both days up, together down (Crook et al. 2009)."""
    days = [
        (summary(990_000, 20_000), summary(10_000, 230)),
        (summary(500_000, 5_000), summary(500_000, 6_000)),
    ]
    assert all(compare(*arms).estimate > 0 for arms in days)
    pooled, within = (estimate(days, difference="relative").estimate for estimate in (mix.pooled, mix.stratified))
    assert pooled == pytest.approx(-0.27, abs=0.005)
    assert within == pytest.approx((0.023 + 0.012) / (20_000 / 990_000 + 0.01) - 1)


@pytest.mark.parametrize("difference", ["absolute", "relative", "relative_fixed"])
def test_stratified_intervals_cover(difference):
    """The spread of 400 estimates is what the standard error says, and the true effect is in the interval."""
    rng, estimates, errors, inside = np.random.default_rng(2), [], [], 0
    levels, sizes = np.array([2.0, 5.0]), np.array([[300, 40], [150, 160]])
    shares = sizes.sum(axis=1) / sizes.sum()
    truth = 0.4 if difference == "absolute" else 0.4 / (shares @ levels)
    for _ in range(400):
        strata = [
            tuple(Moments.from_arrays({"y": rng.normal(level + 0.4 * arm, 1.0, n)}) for arm, n in enumerate(pair))
            for level, pair in zip(levels, sizes, strict=True)
        ]
        found = mix.stratified(strata, difference=difference)
        estimates.append(found.estimate)
        errors.append(found.se)
        inside += found.ci[0] <= truth <= found.ci[1]
    assert np.mean(estimates) == pytest.approx(truth, abs=4 * np.std(estimates) / 20)
    assert 365 <= inside <= 395 or difference == "relative_fixed"
    if difference != "relative_fixed":
        assert np.std(estimates) == pytest.approx(np.mean(errors), rel=0.12)


def test_one_stratum_is_the_plain_comparison():
    rng = np.random.default_rng(3)
    arms = tuple(Moments.from_arrays({"y": rng.normal(3 + arm, 1, 500)}) for arm in (0, 1))
    for difference in ("absolute", "relative", "relative_fixed"):
        plain, within = compare(*arms, difference=difference, method="z"), mix.stratified([arms], difference=difference)
        assert within.estimate == pytest.approx(plain.estimate)
        assert within.se == pytest.approx(plain.se)
        assert within.ci == pytest.approx(plain.ci)


def test_strata_without_both_arms_are_left_out():
    good, lonely = (summary(100, 10), summary(100, 20)), (summary(100, 50), summary(0, 0))
    assert mix.stratified([good, lonely]).n == 200
    assert "both arms" in mix.stratified([lonely]).error
    assert "zero" in mix.stratified([(summary(100, 0), summary(100, 20))], difference="relative").error
    assert "variance" in mix.stratified([(summary(100, 0), summary(100, 0))]).error
    with pytest.raises(InvalidInput, match="No stratum"):
        mix.pooled([])
    with pytest.raises(InvalidInput, match="difference"):
        mix.stratified([good], difference="odd")


def test_a_new_definition_during_a_ramp_invents_a_lift():
    """15 % more from day 8, ramp 10 to 50 %: +6.8 % without noise, found in every draw, and gone within days."""
    shares, added = [0.1] * 7 + [0.5] * 7, [0.0] * 7 + [0.15] * 7
    treatment, control = (np.average(1 + np.array(added), weights=weights) for weights in (shares, 1 - np.array(shares)))
    assert treatment / control - 1 == pytest.approx(0.068, abs=0.0005)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        days = [mix.draw_version_day(share, more, rng) for share, more in zip(shares, added, strict=True)]
        assert mix.pooled(days, difference="relative").estimate == pytest.approx(0.068, abs=0.004)
        assert abs(mix.stratified(days, difference="relative").estimate) < 0.003


def test_novelty_by_calendar_and_by_age():
    """Week 1 averages 4.0 %, day 28 1.0 %; with 4 % new users a day, day 14 reads 2.2 %, users of that age 1.4 %."""
    decay, sizes = novelty.Decay(0.01, 0.05, 5.0), novelty.arrivals(0.04, 28)
    assert decay.at(np.arange(7)).mean() == pytest.approx(0.040, abs=0.0005)
    assert decay.at(27) == pytest.approx(0.010, abs=0.0005)
    assert decay.on_day(sizes, 14) == pytest.approx(0.022, abs=0.0005)
    assert decay.at(13) == pytest.approx(0.014, abs=0.0005)
    assert decay.on_day(sizes, 1) == pytest.approx(0.06)
    slow = sum(size * float(decay.at(13 - i)) for i, size in enumerate(sizes[:14])) / sum(sizes[:14])
    assert decay.on_day(sizes, 14) == pytest.approx(slow)


def test_cohort_sums_are_those_of_their_users():
    """Mean and variance of cohort totals against users drawn one by one."""
    n, rng, decay = 50, np.random.default_rng(8), novelty.Decay(0.5, 0.0, 5.0)
    sums = np.array([novelty.draw_actions([novelty.draw_rates(n, rng)], decay, 1, rng)[0] for _ in range(4_000)])
    rates = rng.gamma(novelty.SHAPE, novelty.MEAN_ACTIONS / novelty.SHAPE, (4_000, n))
    users = rng.poisson(rates).sum(axis=1), rng.poisson(1.5 * rates).sum(axis=1)
    for found, slow in zip(sums.T, users, strict=True):
        assert found.mean() == pytest.approx(slow.mean(), rel=0.02)
        assert found.std() == pytest.approx(slow.std(), rel=0.06)
    moments = novelty.moments_of(n, n * novelty.MEAN_ACTIONS)
    assert moments.covariance()[0, 0] == pytest.approx(rng.poisson(rates).var(), rel=0.05)


def test_ids_that_do_not_last_shrink_the_holdout():
    """Person by person: ids end at random, and who returns was exposed unless dealt into the holdout each time."""
    rng, people, life, holdout, days = np.random.default_rng(9), 400_000, 20.0, 0.2, 30
    held, exposed = rng.random(people) < holdout, np.zeros(people, dtype=bool)
    exposed[~held] = True
    for _ in range(days):
        renewed = rng.random(people) < 1 - np.exp(-1 / life)
        held[renewed] = rng.random(int(renewed.sum())) < holdout
        exposed[~held] = True
    assert (~exposed[held]).mean() == pytest.approx(novelty.never_exposed(days, life, holdout), abs=0.01)


def test_a_holdout_reads_what_is_left_of_the_effect():
    decay, sizes = novelty.Decay(0.05, 0.0, 5.0), novelty.arrivals(0.0, 28)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        rates = np.array([novelty.draw_rates(n, rng)[0] for n in novelty.holdout_sizes(10_000_000, 0.1)])
        for life, left in ((1e9, 1.0), (30.0, novelty.never_exposed(25, 30.0, 0.1))):
            week = novelty.holdout_week(decay, sizes, 4, 10_000_000, 0.1, life, rates, rng)
            assert week.last_day == 28 and week.true == pytest.approx(0.05)
            assert week.measured.estimate == pytest.approx(0.05 * left, abs=0.005)


def test_detectable_effect_of_a_holdout():
    """2.80 CV sqrt(1/Nh + 1/N(1-h))."""
    mean = novelty.MEAN_ACTIONS * novelty.WEEK
    cv = (1 / mean + 1 / novelty.SHAPE) ** 0.5
    assert novelty.holdout_mde(1_000_000, 0.01) == pytest.approx(2.80 * cv * (1 / 10_000 + 1 / 990_000) ** 0.5, rel=0.001)
