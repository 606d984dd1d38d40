"""Sequential tests: published bounds, independent distributions, the promise of validity, and the table against plain numpy."""

import math
import time

import numpy as np
import pytest
from scipy import integrate
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal, norm
from statsmodels.stats.proportion import proportion_confint

from simulators.engines.experiment.sequential import (
    RULES,
    Rule,
    always_valid,
    always_valid_bound,
    conditional_power,
    crossing_probability,
    group_sequential_bounds,
    haybittle_peto_bounds,
    msprt,
    msprt_bound,
    powered_effect,
    simulate_stopping,
    spent_alpha,
)
from simulators.engines.experiment.stats import Comparison, compare, summary
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)
FIVE = np.arange(1, 6) / 5


def comparison(estimate, se, n):
    return Comparison(estimate=estimate, se=se, variance=se**2, n=n)


# --- group sequential bounds -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spending", "published"),
    [("obrien_fleming", (4.877, 3.357, 2.680, 2.290, 2.031)), ("pocock", (2.438, 2.427, 2.410, 2.397, 2.386))],
)
def test_published_bounds(spending, published):
    assert group_sequential_bounds(FIVE, spending=spending) == pytest.approx(published, abs=5.1e-4)


def test_one_look_is_the_fixed_test():
    assert group_sequential_bounds([1.0]) == pytest.approx([norm.isf(0.025)], abs=1e-12)
    assert group_sequential_bounds([1.0], sides=1) == pytest.approx([norm.isf(0.05)], abs=1e-12)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "power"])
@pytest.mark.parametrize("first", [0.15, 0.5, 0.9])
def test_two_looks_against_the_bivariate_normal(spending, first):
    r = math.sqrt(first)
    for alpha in (0.01, 0.05, 0.2):
        two = group_sequential_bounds([first, 1], alpha, spending=spending)
        assert 1 - multivariate_normal.cdf(two, cov=[[1, r], [r, 1]], lower_limit=-two) == pytest.approx(alpha, abs=1e-9)
        one = group_sequential_bounds([first, 1], alpha, sides=1, spending=spending)
        assert 1 - multivariate_normal.cdf(one, cov=[[1, r], [r, 1]]) == pytest.approx(alpha, abs=1e-9)


def test_three_uneven_looks_against_nested_quadrature():
    t = np.array([0.2, 0.7, 1.0])
    c = group_sequential_bounds(t, 0.05, spending="power", rho=3.0)
    edge = c * np.sqrt(t)

    def running(b2):
        one = [norm.pdf(b1, scale=math.sqrt(t[0])) * norm.pdf(b2 - b1, scale=math.sqrt(t[1] - t[0])) for b1 in nodes]
        last = ndtr((edge[2] - b2) / math.sqrt(0.3)) - ndtr((-edge[2] - b2) / math.sqrt(0.3))
        return float(np.dot(weights, one)) * last

    x, w = np.polynomial.legendre.leggauss(120)
    nodes, weights = x * edge[0], w * edge[0]
    stays, _ = integrate.quad(running, -edge[1], edge[1], epsabs=1e-12)
    assert 1 - stays == pytest.approx(0.05, abs=1e-9)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "power"])
@pytest.mark.parametrize("sides", [1, 2])
def test_each_look_spends_its_share(spending, sides):
    t = np.array([0.1, 0.15, 0.4, 0.8, 1.0])
    bounds = group_sequential_bounds(t, 0.05, sides, spending)
    spent = sides * spent_alpha(t, 0.05 / sides, spending)
    reached = [crossing_probability(t[:k], bounds[:k], sides) for k in range(1, 6)]
    assert reached == pytest.approx(spent, abs=1e-9)


def test_later_looks_do_not_move_earlier_bounds():
    assert group_sequential_bounds([0.3, 0.6, 1])[:2] == pytest.approx(group_sequential_bounds([0.3, 0.6, 0.61, 0.9, 1])[:2], abs=1e-12)


def test_more_data_than_planned_becomes_the_plan():
    over = group_sequential_bounds([0.5, 1.0, 1.25])
    assert over == pytest.approx(group_sequential_bounds([0.4, 0.8, 1.0]), abs=1e-12)
    assert crossing_probability([0.4, 0.8, 1.0], over) == pytest.approx(0.05, abs=1e-9)


def test_larger_rho_spends_later():
    bounds = [group_sequential_bounds(FIVE, spending="power", rho=rho) for rho in (0.5, 1, 2, 3, 5)]
    assert all(a[0] < b[0] and a[-1] > b[-1] for a, b in zip(bounds, bounds[1:], strict=False))


def test_tiny_shares_spend_nothing_a_float_can_hold():
    bounds = group_sequential_bounds([0.002, 0.5, 1.0])
    assert math.isinf(bounds[0]) and bounds[1:] == pytest.approx(group_sequential_bounds([0.5, 1.0]), abs=1e-9)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock", "power"])
def test_180_looks_within_the_budget(spending):
    t = np.arange(1, 181) / 180
    start = time.process_time()
    bounds = group_sequential_bounds(t, spending=spending)
    assert time.process_time() - start <= 1.5
    assert (np.diff(bounds) < 0).all()
    rng, crossed, tests = np.random.default_rng(5), 0, 20_000
    for _ in range(4):
        z = np.cumsum(rng.standard_normal((tests, 180)), axis=1) / np.sqrt(np.arange(1, 181))
        crossed += int((np.abs(z) >= bounds).any(axis=1).sum())
    assert abs(crossed / (4 * tests) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / (4 * tests))


@pytest.mark.parametrize("information", [[], [0.5, 0.4, 1], [0.5, 0.5, 1], [0.2, 0.8], [0, 1], [-1, 1], [0.5, math.nan], [[0.5, 1]]])
def test_bad_fractions_are_refused(information):
    with pytest.raises(InvalidInput, match="Information fractions must rise and end at 1"):
        group_sequential_bounds(information)


@pytest.mark.parametrize(
    "arguments",
    [
        {"alpha": 0},
        {"alpha": 1},
        {"sides": 3},
        {"spending": "linear"},
        {"spending": "power", "rho": 0},
        {"information": [0.5, 0.500001, 1]},
    ],
)
def test_bad_arguments_are_refused(arguments):
    with pytest.raises(InvalidInput):
        group_sequential_bounds(**{"information": FIVE, **arguments})


@pytest.mark.parametrize("alpha", [0.001, 0.01, 0.05, 0.2])
@pytest.mark.parametrize("looks", [1, 2, 14])
@pytest.mark.parametrize("sides", [1, 2])
def test_haybittle_peto_spends_exactly_alpha(alpha, looks, sides):
    t = np.arange(1, looks + 1) / looks
    bounds = haybittle_peto_bounds(t, alpha, sides)
    assert crossing_probability(t, bounds, sides) == pytest.approx(alpha, abs=1e-9)
    assert (bounds[:-1] >= 3).all()


def test_conditional_power_against_simulation():
    rng = np.random.default_rng(3)
    for z, share, theta in ((0.5, 0.3, 2.8), (2.0, 0.6, None), (-1.0, 0.5, 1.0)):
        drift = z / math.sqrt(share) if theta is None else theta
        rest = rng.normal(drift * (1 - share), math.sqrt(1 - share), 200_000)
        hit = np.abs(z * math.sqrt(share) + rest) >= 2.0
        assert conditional_power(z, share, 2.0, theta) == pytest.approx(hit.mean(), abs=0.005)
    with pytest.raises(InvalidInput):
        conditional_power(1.0, 1.0, 2.0)


# --- always valid ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("n", [10, 1_000, 10**6])
def test_the_interval_is_the_published_one(alpha, n):
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / 800
    half = math.sqrt(0.04 * n) * math.sqrt(2 * (n * rho2 + 1) * math.log(math.sqrt(n * rho2 + 1) / alpha)) / (n * math.sqrt(rho2))
    ci, _ = always_valid(comparison(1.0, 0.2, n), tuning=800, alpha=alpha)
    assert ci == pytest.approx((1 - half, 1 + half), rel=1e-12)


def test_the_one_sided_interval_is_the_published_one():
    n, alpha = 9_000, 0.05
    rho2 = (-2 * math.log(2 * alpha) + math.log(1 - 2 * math.log(2 * alpha))) / 5000
    half = 0.2 * math.sqrt(n) * math.sqrt(2 * (n * rho2 + 1) * math.log(1 + math.sqrt(n * rho2 + 1) / (2 * alpha))) / (n * math.sqrt(rho2))
    assert always_valid(comparison(1.0, 0.2, n), alternative="greater")[0] == pytest.approx((1 - half, math.inf), rel=1e-12)
    assert always_valid(comparison(1.0, 0.2, n), alternative="less")[0] == pytest.approx((-math.inf, 1 + half), rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("z", [2.8, 4.0, 9.0])
def test_at_level_p_the_interval_touches_zero(alternative, z):
    found = comparison((-1 if alternative == "less" else 1) * z * 0.1, 0.1, 9_000)
    _, p = always_valid(found, alternative=alternative)
    ci, _ = always_valid(found, alternative=alternative, alpha=p)
    assert 0 < p < 0.2
    assert min(abs(end) for end in ci) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_p_and_interval_agree_and_p_falls_with_the_estimate(alternative):
    sign, last = (-1 if alternative == "less" else 1), 1.1
    for z in np.linspace(0.0, 6, 41):
        found = comparison(sign * z, 1.0, 4_000)
        (low, high), p = always_valid(found, alternative=alternative)
        assert (p < 0.05) == (low > 0 or high < 0)
        assert p <= last
        last = p


def test_p_values_are_capped():
    assert always_valid(comparison(0.0, 1.0, 100))[1] == 1.0
    assert always_valid(comparison(0.0, 1.0, 100), alternative="greater")[1] == 0.4999
    assert always_valid(comparison(5.0, 1.0, 100), alternative="less")[1] == 0.4999
    assert 0 < always_valid(comparison(60.0, 1.0, 10_000))[1] < 1e-300


def test_it_takes_what_compare_gives():
    rng = np.random.default_rng(1)
    arms = [summary(4_000, y.sum(), (y * y).sum()) for y in (rng.normal(0, 1, 4_000), rng.normal(0.2, 1, 4_000))]
    found = compare(*arms)
    (low, high), p = always_valid(found)
    assert low < found.ci[0] < found.ci[1] < high
    assert found.p_value < p < 1e-6
    assert always_valid(compare(summary(1, 1, 1), arms[1])) == (None, None)


@pytest.mark.parametrize(
    "arguments", [{"alpha": 0}, {"alpha": 1}, {"tuning": 0}, {"alternative": "up"}, {"alpha": 0.5, "alternative": "less"}]
)
def test_always_valid_refuses(arguments):
    with pytest.raises(InvalidInput):
        always_valid(comparison(1, 1, 100), **arguments)


def test_msprt_is_the_likelihood_ratio_of_the_mixture():
    for estimate, variance, tau in ((0.05, 2 / 7000, 0.05), (0.0, 1.0, 2.0), (-3.0, 0.5, 0.1)):
        mixed = norm.pdf(estimate, scale=math.sqrt(variance + tau**2))
        assert msprt(estimate, variance, tau) == pytest.approx(mixed / norm.pdf(estimate, scale=math.sqrt(variance)), rel=1e-12)
    assert msprt(1e3, 1.0, 1.0) == math.inf


def test_msprt_bound_is_where_the_ratio_reaches_one_over_alpha():
    for variance in (1e-4, 0.01, 3.0):
        z = float(msprt_bound(variance, 0.05))
        assert msprt(z * math.sqrt(variance), variance, 0.05) == pytest.approx(20, rel=1e-9)


@pytest.mark.parametrize("tau", [0, -1, math.nan, math.inf])
def test_tau_must_exceed_zero(tau):
    with pytest.raises(InvalidInput, match="tau must exceed 0"):
        msprt(1.0, 1.0, tau)


@pytest.mark.parametrize("variance", [0, -1, math.nan])
def test_msprt_needs_a_variance(variance):
    with pytest.raises(InvalidInput, match="variance"):
        msprt(1.0, variance, 1.0)


# --- the table -------------------------------------------------------------------------------------------------------------


def by_hand(bound, looks, per_look, effect, reps, seed, ratio):
    """One row with numpy alone, from the same stream."""
    noise = np.random.default_rng(seed).standard_normal((reps, looks))
    k = np.arange(1, looks + 1)
    se = np.sqrt(2 * ratio / (per_look * k))
    null = np.cumsum(noise, axis=1) / np.sqrt(k)
    z = null + effect / se
    hit = np.abs(z) >= bound
    first = hit.argmax(axis=1)
    stopped = hit.any(axis=1)
    ratios = (z * se)[np.arange(reps), first][stopped] / effect
    looked = np.where(stopped, first + 1, looks)
    return (np.abs(null) >= bound).any(axis=1).mean(), stopped.mean(), looked.mean(), ratios.mean(), (ratios < 0).mean(), looked, ratios


@pytest.mark.parametrize("seed", SEEDS)
def test_the_table_is_the_one_numpy_makes(seed):
    reps, effect, ratio = 20_000, 0.03, 0.6
    for rule, row in simulate_stopping(RULES, 10, 400, effect, reps, seed, ratio).items():
        fpr, power, looks, exaggeration, wrong, looked, ratios = by_hand(row.bounds, 10, 400, effect, reps, seed, ratio)
        assert (row.fpr, row.power) == (fpr, power), rule
        assert row[4] == pytest.approx(looks) and row.exaggeration == pytest.approx(exaggeration) and row.wrong_sign == pytest.approx(wrong)
        assert row.mean_looks_se == pytest.approx(looked.std() / math.sqrt(reps))
        assert row.exaggeration_se == pytest.approx(ratios.std() / math.sqrt(len(ratios)))
        assert row.stops.sum() == round(power * reps) and row.stops_null.sum() == round(fpr * reps)


@pytest.mark.parametrize("seed", SEEDS)
def test_valid_rules_keep_alpha_and_naive_peeking_does_not(seed):
    rows = simulate_stopping(RULES, 14, 500, 0.05, 100_000, seed)
    for rule in ("fixed", "haybittle_peto", "obrien_fleming", "power", "pocock"):
        assert abs(rows[rule].fpr - 0.05) < 4 * rows[rule].fpr_se, rule
    for rule in ("bonferroni", "always_valid", "msprt"):
        assert rows[rule].fpr < 0.03, rule
    assert 0.20 < rows["naive"].fpr < 0.25
    low, high = proportion_confint(round(rows["naive"].fpr * 100_000), 100_000, alpha=0.0001)
    exact = crossing_probability(np.arange(1, 15) / 14, np.full(14, -ndtri(0.025)))
    assert low < exact < high


def test_naive_peeking_by_number_of_looks():
    exact = [crossing_probability(np.arange(1, k + 1) / k, np.full(k, 1.959964)) for k in (2, 5, 10, 20)]
    assert exact == pytest.approx([0.083, 0.142, 0.193, 0.248], abs=1e-3)  # Armitage, McPherson & Rowe 1969


def test_the_fixed_test_has_the_power_it_was_built_for():
    for power in (0.5, 0.8, 0.95):
        row = simulate_stopping(["fixed"], 5, 200, powered_effect(5, 200, power=power), 50_000, 4)["fixed"]
        assert abs(row.power - power) < 4 * row.power_se
        assert row.mean_looks == 5


def test_the_same_seed_repeats_and_other_rules_do_not_matter():
    rule = Rule("power", rho=3.0)
    once = simulate_stopping([rule], 6, 100, 0.1, 5_000, 9)[rule]
    again = simulate_stopping(["naive", rule], 6, 100, 0.1, 5_000, 9)[rule]
    assert once[:10] == again[:10] and (once.stops == again.stops).all()
    assert once[:10] != simulate_stopping([rule], 6, 100, 0.1, 5_000, 10)[rule][:10]


def test_no_effect_and_no_stop_are_none():
    assert simulate_stopping(["naive"], 3, 100, 0.0, 1_000, 1)["naive"].exaggeration is None
    quiet = simulate_stopping(["always_valid"], 2, 50, 1e-6, 10, 1)["always_valid"]
    assert (quiet.power, quiet.exaggeration, quiet.mean_looks) == (0.0, None, 2.0)


def test_past_the_plan_only_anytime_rules_hold():
    rows = simulate_stopping(["fixed", "obrien_fleming", "always_valid", "msprt"], 28, 500, 0.05, 50_000, 2, planned=14)
    assert rows["obrien_fleming"].fpr > 0.09 and rows["fixed"].fpr > 0.09
    assert max(rows["always_valid"].fpr, rows["msprt"].fpr) < 0.025
    assert (rows["obrien_fleming"].bounds[13:] == rows["obrien_fleming"].bounds[13]).all()


def test_anytime_bounds_of_the_table_are_those_of_the_interval():
    row = simulate_stopping([Rule("always_valid", tuning=900)], 4, 100, 0.1, 10, 1)[Rule("always_valid", tuning=900)]
    assert row.bounds == pytest.approx(always_valid_bound(2 * 100 * np.arange(1, 5), 900))
    (low, _), _ = always_valid(comparison(row.bounds[2], 1.0, 600), tuning=900)
    assert low == pytest.approx(0, abs=1e-12)


def test_the_whole_table_within_the_budget():
    simulate_stopping(RULES, 14, 500, 0.05, 10, 1)
    start = time.process_time()
    simulate_stopping(RULES, 14, 500, 0.05, 100_000, 1)
    assert time.process_time() - start <= 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        {"rules": ["no such rule"]},
        {"rules": []},
        {"looks": 0},
        {"reps": 0},
        {"n_per_look": 1.5},
        {"effect": math.nan},
        {"variance_ratio": 0},
    ]
    + [{"planned": 9}, {"alpha": 0}],
)
def test_the_simulation_refuses(arguments):
    good = {"rules": ["naive"], "looks": 3, "n_per_look": 100, "effect": 0.1, "reps": 10, "seed": 1}
    with pytest.raises(InvalidInput):
        simulate_stopping(**{**good, **arguments})
