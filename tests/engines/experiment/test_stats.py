"""The comparison of two arms against scipy and statsmodels, and its answers where the data allow none."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportions_chisquare
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from simulators.engines.experiment.stats import Moments, MomentTable, compare, summary
from simulators.errors import InvalidInput

CLOSE = {"rel": 1e-9, "abs": 1e-13}


def two_arms(seed=0, n=(900, 1300), effect=0.2, rho=0.6):
    rng = np.random.default_rng(seed)
    made = []
    for size, shift in zip(n, (0.0, effect), strict=True):
        x = rng.gamma(2, 3, size)
        y = 5 + shift + rho * x + rng.normal(0, 1 + shift, size)
        made.append({"y": y, "x": x, "z": 0.4 * y + rng.normal(0, 2, size), "d": rng.poisson(6, size) + 1.0})
    return made


def moments(columns):
    return Moments.from_arrays(columns)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_welch_agrees_with_scipy(alternative):
    a, b = two_arms()
    ours = compare(moments(a), moments(b), alternative=alternative, alpha=0.03)
    theirs = scipy_stats.ttest_ind(b["y"], a["y"], equal_var=False, alternative=alternative)
    interval = theirs.confidence_interval(0.97)
    assert ours.p_value == pytest.approx(theirs.pvalue, **CLOSE)
    assert ours.df == pytest.approx(theirs.df, **CLOSE)
    assert ours.ci == pytest.approx((interval.low, interval.high), **CLOSE)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_z_agrees_with_statsmodels(alternative):
    a, b = two_arms()
    means = CompareMeans(DescrStatsW(b["y"]), DescrStatsW(a["y"]))
    names = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}
    ours = compare(moments(a), moments(b), method="z", alternative=alternative)
    assert ours.p_value == pytest.approx(means.ztest_ind(alternative=names[alternative], usevar="unequal")[1], **CLOSE)
    assert ours.df is None


def test_chi_square_agrees_with_statsmodels():
    ours = compare(summary(4000, 310), summary(4100, 372), method="chi2")
    chi2, p_value, _ = proportions_chisquare([310, 372], [4000, 4100])
    assert ours.p_value == pytest.approx(p_value, **CLOSE)
    assert ours.p_value != pytest.approx(compare(summary(4000, 310), summary(4100, 372), method="z").p_value, rel=1e-6)
    assert compare(summary(4000, 310), summary(4100, 372), method="chi2", alternative="greater").p_value == pytest.approx(
        p_value / 2, **CLOSE
    )


def test_cuped_is_the_within_arm_regression_slope():
    """With one slope for both arms, least squares on arm and covariates gives the same theta and the same effect."""
    a, b = two_arms()
    control, treatment = moments(a), moments(b)
    # Least squares weighs arms by n - 1, CUPED equally; arms of one size make the two the same.
    equal = [{name: column[:900] for name, column in columns.items()} for columns in (a, b)]
    arm = np.repeat([0.0, 1.0], 900)
    y, x, z = (np.concatenate([columns[name] for columns in equal]) for name in ("y", "x", "z"))
    fit = sm.OLS(y, np.column_stack([np.ones_like(y), arm, x, z])).fit()
    ours = compare(moments(equal[0]), moments(equal[1]), covariates=("x", "z"))
    assert ours.theta == pytest.approx(tuple(fit.params[2:]), rel=1e-9)
    assert ours.estimate == pytest.approx(fit.params[1], rel=1e-9)
    assert compare(control, treatment, covariates=("x", "z")).se < compare(control, treatment, covariates=("x",)).se
    one = compare(control, treatment, covariates=("x",))
    assert one.theta == pytest.approx(
        (np.cov(a["y"], a["x"])[0, 1] + np.cov(b["y"], b["x"])[0, 1]) / (a["x"].var(ddof=1) + b["x"].var(ddof=1)), rel=1e-9
    )


def test_cuped_equals_a_t_test_on_the_adjusted_metric():
    a, b = two_arms()
    ours = compare(moments(a), moments(b), covariates=("x",))
    theirs = scipy_stats.ttest_ind(b["y"] - ours.theta * b["x"], a["y"] - ours.theta * a["x"], equal_var=False)
    assert (ours.p_value, ours.df) == pytest.approx((theirs.pvalue, theirs.df), **CLOSE)
    fixed = compare(moments(a), moments(b), covariates=("x",), theta=ours.theta)
    assert fixed.se == pytest.approx(ours.se, rel=1e-12)


@pytest.mark.parametrize("rho", [0.5, 0.7, 0.9])
def test_cuped_removes_rho_squared(rho):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=200_000)
        y = rho * x + math.sqrt(1 - rho**2) * rng.normal(size=200_000)
        arms = [Moments.from_arrays({"y": y, "x": x}, where=rng.permutation(200_000) % 2 == arm) for arm in (0, 1)]
        assert compare(*arms, covariates=("x",)).variance_reduction == pytest.approx(rho**2, abs=0.01)


def test_post_period_covariate_hides_the_effect():
    """A covariate that the treatment moves by 0.3 takes theta * 0.3 out of a true effect of 0.2."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=400_000)
        y = 0.7 * x + math.sqrt(1 - 0.49) * rng.normal(size=400_000)
        treated = rng.random(400_000) < 0.5
        columns = {"y": y + 0.2 * treated, "x": x + 0.3 * treated}
        arms = [Moments.from_arrays(columns, where=treated == arm) for arm in (False, True)]
        assert compare(*arms).estimate == pytest.approx(0.2, abs=0.015)
        assert compare(*arms, covariates=("x",)).estimate == pytest.approx(-0.01, abs=0.015)


def test_ratio_variance_agrees_with_the_bootstrap():
    a, b = two_arms(n=(1500, 1500))
    ours = compare(moments(a), moments(b), denominator="d")
    rng = np.random.default_rng(1)

    def ratio(columns):
        drawn = rng.integers(0, len(columns["y"]), (3000, len(columns["y"])))
        return columns["y"][drawn].mean(axis=1) / columns["d"][drawn].mean(axis=1)

    assert ours.estimate == pytest.approx(b["y"].mean() / b["d"].mean() - a["y"].mean() / a["d"].mean(), rel=1e-12)
    assert ours.se == pytest.approx(float(np.std(ratio(b) - ratio(a))), rel=0.05)


def test_ratio_with_ratio_covariate_is_cuped_on_the_linearised_ratios():
    a, b = two_arms()
    ours = compare(moments(a), moments(b), denominator="d", covariates=("x",), denominator_covariate="z")

    def linear(columns, top, bottom):
        ratio = columns[top].mean() / columns[bottom].mean()
        return (columns[top] - ratio * columns[bottom]) / columns[bottom].mean()

    post, pre = [linear(c, "y", "d") for c in (a, b)], [linear(c, "x", "z") for c in (a, b)]
    theta = sum(np.cov(y, x)[0, 1] for y, x in zip(post, pre, strict=True)) / sum(x.var(ddof=1) for x in pre)
    variances = [np.var(y - theta * x, ddof=1) for y, x in zip(post, pre, strict=True)]
    assert ours.theta == pytest.approx(theta, rel=1e-9)
    assert ours.unit_variance == pytest.approx(tuple(variances), rel=1e-9)
    assert ours.variance == pytest.approx(sum(v / len(c["y"]) for v, c in zip(variances, (a, b), strict=True)), rel=1e-9)


def test_relative_lift_is_the_delta_method_on_all_three_means():
    """Var(g(means)) with the numeric gradient of D / mu in (treatment, treatment x, control, control x)."""
    a, b = two_arms()
    ours = compare(moments(a), moments(b), covariates=("x",), difference="relative")
    theta = ours.theta
    means = np.array([b["y"].mean(), b["x"].mean(), a["y"].mean(), a["x"].mean()])

    def lift(m):
        return (m[0] - m[2] - theta * (m[1] - m[3])) / m[2]

    gradient = np.array([(lift(means + h) - lift(means - h)) / 2e-5 for h in np.eye(4) * 1e-5])
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = np.cov(b["y"], b["x"]) / len(b["y"])
    covariance[2:, 2:] = np.cov(a["y"], a["x"]) / len(a["y"])
    assert ours.estimate == pytest.approx(lift(means), rel=1e-9)
    assert ours.variance == pytest.approx(gradient @ covariance @ gradient, rel=1e-6)
    fixed = compare(moments(a), moments(b), covariates=("x",), difference="relative_fixed")
    absolute = compare(moments(a), moments(b), covariates=("x",))
    assert fixed.ci == pytest.approx(tuple(bound / means[2] for bound in absolute.ci), rel=1e-9)
    assert fixed.se != pytest.approx(ours.se, rel=1e-3)


def test_non_inferiority_and_equivalence():
    a, b = two_arms(effect=0.0)
    control, treatment = moments(a), moments(b)
    shifted = scipy_stats.ttest_ind(b["y"] + 0.3, a["y"], equal_var=False, alternative="greater").pvalue
    below = scipy_stats.ttest_ind(b["y"] - 0.3, a["y"], equal_var=False, alternative="less").pvalue
    assert compare(control, treatment, margin=0.3, alternative="greater").p_value == pytest.approx(shifted, **CLOSE)
    assert compare(control, treatment, margin=0.3, alternative="less").p_value == pytest.approx(below, **CLOSE)
    assert compare(control, treatment, margin=0.3).p_value == pytest.approx(max(shifted, below), **CLOSE)


def test_large_means_keep_their_digits():
    rng = np.random.default_rng(3)
    spread = rng.normal(0, 1, 200_000)
    exact = compare(Moments.from_arrays({"y": spread[::2]}), Moments.from_arrays({"y": spread[1::2]}))
    far = compare(Moments.from_arrays({"y": 1e9 + spread[::2]}), Moments.from_arrays({"y": 1e9 + spread[1::2]}))
    assert far.se == pytest.approx(exact.se, rel=1e-6)
    table = MomentTable(("arm",)).update({"arm": np.arange(200_000) % 2, "y": 1e9 + spread})
    assert compare(table.total(arm=0), table.total(arm=1)).se == pytest.approx(exact.se, rel=1e-6)


def test_one_enormous_unit_does_not_spoil_the_other_arm():
    rng = np.random.default_rng(4)
    arm, y = rng.integers(0, 2, 50_000), rng.normal(0, 1, 50_000)
    y[np.flatnonzero(arm == 0)[7]] = 1e12
    table = MomentTable(("arm",)).update({"arm": arm, "y": y})
    assert table.total(arm=1).covariance()[0, 0] == pytest.approx(y[arm == 1].var(ddof=1), rel=1e-6)


values = arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e6, 1e6, allow_nan=False, width=32))


@settings(max_examples=60, deadline=None)
@given(a=values, b=values, c=values)
def test_merging_is_associative_and_equals_one_pass(a, b, c):
    parts = [Moments.from_arrays({"y": part, "x": part[::-1]}) for part in (a, b, c)]
    left, right = (parts[0] + parts[1]) + parts[2], parts[0] + (parts[1] + parts[2])
    whole = Moments.from_arrays({"y": np.concatenate([a, b, c]), "x": np.concatenate([a[::-1], b[::-1], c[::-1]])})
    scale = max(1.0, float(np.abs(whole.cross).max()))
    for merged in (left, right):
        assert merged.n == whole.n
        assert np.allclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-6)
        assert np.allclose(merged.centred, whole.centred, rtol=1e-9, atol=1e-9 * scale)


@pytest.mark.parametrize("cells", [2, 3, 9, 200])
def test_table_agrees_with_masks(cells):
    rng = np.random.default_rng(cells)
    n = 150_000
    arm = rng.integers(0, cells, n).astype(np.int16)
    columns = {"y": rng.normal(3, 2, n), "x": rng.gamma(2, 1, n), "b": rng.random(n) < 0.1}
    table = MomentTable(("arm",)).update({"arm": arm, **columns})
    for value in (0, cells - 1):
        ours, direct = table.total(arm=value), Moments.from_arrays(columns, where=arm == value)
        assert ours.n == direct.n == int((arm == value).sum())
        assert ours.kinds == ("mean", "mean", "proportion")
        assert np.allclose(ours.centred, direct.centred, rtol=1e-9)
        assert np.allclose(ours.sums, [column[arm == value].sum() for column in columns.values()], rtol=1e-9)
    assert table.total().n == n


def test_table_slices_by_text_and_several_values():
    columns = {"day": [1, 1, 2, 3], "arm": ["a", "b", "a", "a"], "segment": ["x", "x", "y", "x"], "y": [1.0, 2.0, 4.0, 8.0]}
    table = MomentTable().update(columns).update(columns)
    assert table.total(arm="a", day=range(1, 3)).sums[0] == pytest.approx(10)
    assert table.total(segment=["x"]).n == 6
    assert table.total(arm="never").n == 0
    with pytest.raises(InvalidInput, match="no key country"):
        table.total(country="de")


def test_proportions_use_p_one_minus_p():
    assert summary(200, 50).covariance()[0, 0] == 0.25 * 0.75
    flags = np.arange(200) < 50
    assert Moments.from_arrays({"y": flags}).covariance()[0, 0] == pytest.approx(0.25 * 0.75, rel=1e-12)


@pytest.mark.parametrize(
    ("control", "treatment", "options", "sentence"),
    [
        (summary(1, 1, 1), summary(9, 3, 4), {}, "Arm control has 1 unit"),
        (summary(9, 3, 4), summary(0, 0, 0), {}, "Arm treatment has 0 units"),
        (summary(9, 9, 9), summary(9, 3, 4), {}, "no variance"),
        (summary(9, 9, 2), summary(9, 3, 4), {}, "smaller than sum"),
        (summary(9, 0, 4), summary(9, 3, 4), {"difference": "relative"}, "control arm's mean is zero"),
        (summary(9, 0, 4), summary(9, 3, 4), {"difference": "relative_fixed"}, "control arm's mean is zero"),
        (summary(50, 0), summary(50, 3), {"method": "chi2"}, "no variance"),
    ],
)
def test_no_answer_comes_with_a_sentence(control, treatment, options, sentence):
    result = compare(control, treatment, **options)
    assert sentence in result.error
    assert result.error.endswith((".", "?"))
    assert (result.estimate, result.se, result.ci, result.p_value) == (None,) * 4


def test_constant_covariate_and_metric_as_its_own_covariate():
    a, b = two_arms()
    for columns in (a, b):
        columns["same"] = np.full(len(columns["y"]), 7e8)
    control, treatment = moments(a), moments(b)
    constant = compare(control, treatment, covariates=("same",))
    assert (constant.theta, constant.variance_reduction) == (0.0, pytest.approx(0.0, abs=1e-12))
    assert "explain y completely" in compare(control, treatment, covariates=("y",)).error


def test_bad_arguments_are_refused():
    a, b = summary(9, 3, 4), summary(9, 3, 4)
    for options in (
        {"alpha": 0},
        {"margin": -1},
        {"difference": "ratio"},
        {"method": "chi2"},
        {"denominator_covariate": "x"},
        {"metric": "q"},
    ):
        with pytest.raises(InvalidInput):
            compare(a, b, **options)
    for column in ([1.0, np.nan], [1.0, np.inf], ["a", "b"]):
        with pytest.raises(InvalidInput, match="y"):
            Moments.from_arrays({"y": np.asarray(column)})
    picked = Moments.from_arrays({"y": np.array([1.0, np.nan, 3.0])}, where=np.array([True, False, True]))
    assert picked.sums[0] == 4.0
    with pytest.raises(InvalidInput, match="unequal lengths"):
        Moments.from_arrays({"y": [1.0], "x": [1.0, 2.0]})


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int64, np.uint8])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_two_arms_in_one_pass_equal_each_arm_alone(dtype, k):
    """More rows than a block; one arm holds an enormous value, which must not reach the other."""
    rng = np.random.default_rng(k)
    n = 1_100_000 if k == 2 else 20_000
    arm = rng.integers(0, 2, n).astype(dtype)
    columns = {f"c{i}": rng.normal(10.0**i, 1, n) for i in range(k)}
    columns["c0"][np.flatnonzero(arm == 1)[:3]] = 1e14
    table = MomentTable(("arm",)).update({"arm": arm, **columns})
    for code in (0, 1):
        found, picked = table.total(arm=code), np.stack([column[arm == code] for column in columns.values()])
        assert found.n == picked.shape[1]
        np.testing.assert_allclose(found.mean, picked.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(np.diag(found.covariance()), picked.var(axis=1, ddof=1), rtol=1e-9)
        if k > 1 and code == 0:
            np.testing.assert_allclose(found.covariance(), np.cov(picked), rtol=1e-7, atol=1e-9)


def test_a_missing_value_in_one_arm_is_refused_by_name():
    columns = {"arm": np.array([0, 1] * 5, dtype=np.int8), "y": np.arange(10.0), "x": np.arange(10.0)}
    columns["x"][3] = np.nan
    with pytest.raises(InvalidInput, match="Column x"):
        MomentTable(("arm",)).update(columns)


def test_a_table_without_keys_is_one_cell():
    y = np.arange(10.0)
    total = MomentTable(()).update({"y": y}).total()
    assert (total.n, total.mean[0], total.covariance()[0, 0]) == pytest.approx((10, 4.5, y.var(ddof=1)))


def test_rows_are_picked_by_anything_true_or_false():
    y = np.arange(6.0)
    for picked in ([True, False, True, False, True, False], [1, 0, 1, 0, 1, 0]):
        assert Moments.from_arrays({"y": y}, where=picked).sums.tolist() == [6.0]
    with pytest.raises(InvalidInput, match="unequal lengths"):
        Moments.from_arrays({"y": y}, where=[True, False])


@pytest.mark.parametrize("kind", [bool, int, float])
def test_chi_square_takes_any_column_of_0_and_1(kind):
    rng = np.random.default_rng(4)
    ones = [rng.random(n) < share for n, share in ((900, 0.2), (1100, 0.25))]
    arms = [Moments.from_arrays({"y": column.astype(kind)}) for column in ones]
    table = [[column.sum(), (~column).sum()] for column in ones]
    assert compare(*arms, method="chi2").p_value == pytest.approx(scipy_stats.chi2_contingency(table, correction=False).pvalue, rel=1e-9)
    with pytest.raises(InvalidInput, match="0 and 1"):
        compare(Moments.from_arrays({"y": [0.0, 2.0, 1.0]}), Moments.from_arrays({"y": [0.0, 1.0, 1.0]}), method="chi2")
