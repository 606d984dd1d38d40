"""Parity cell by cell, drift by distribution, and freshness against a promise."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.engines.features import parity
from simulators.engines.features.freshness import Sla, batch_age_s
from simulators.errors import InvalidInput

NAN = np.nan


def test_the_four_figures_of_each_feature() -> None:
    online = [[1, NAN, 0], [2, NAN, 5], [3, 3, 1], [4.0000001, 4, -1]]
    offline = [[1, 9, 0], [2.5, NAN, 5], [3, NAN, NAN], [4, 4, 1]]
    report = parity.compare(online, offline, names=["a", "b", "c"])
    np.testing.assert_array_equal(report.mismatch, [0.25, 0, 0.25])
    np.testing.assert_array_equal(report.missing, [0, 0.25, 0])
    np.testing.assert_array_equal(report.extra, [0, 0.25, 0.25])
    assert report["a"].smape == pytest.approx((2 * 0.5 / 4.5 + 2e-7 / 8) / 4)
    assert report["c"].smape == pytest.approx(2 / 3)
    assert report.n == report["a"].n == 4


def test_tolerances_are_numpys() -> None:
    draws = np.random.default_rng(0)
    a = draws.normal(size=(500, 3))
    b = a + draws.normal(scale=1e-3, size=a.shape)
    report = parity.compare(a, b, rtol=1e-3, atol=5e-4)
    np.testing.assert_allclose(report.mismatch, 1 - np.isclose(a, b, rtol=1e-3, atol=5e-4).mean(axis=0))
    same = parity.compare([[np.inf]], [[np.inf]])
    assert same.mismatch[0] == 0


def test_a_wrong_key_has_no_drift_and_all_the_mismatch() -> None:
    values = np.random.default_rng(1).normal(size=(5000, 1))
    wrong = np.random.default_rng(2).permutation(values)
    assert parity.psi(values, wrong) == pytest.approx(0, abs=1e-12)
    assert parity.compare(wrong, values).mismatch[0] > 0.99


@pytest.mark.parametrize("seed", range(3))
def test_psi_is_the_symmetric_divergence_of_two_normals(seed: int) -> None:
    """For normals a shift d apart, the sum of both Kullback-Leibler divergences is d^2; ten bins keep most of it."""
    draws = np.random.default_rng(seed)
    found = parity.psi(draws.normal(size=100_000), draws.normal(0.5, 1, 100_000))
    assert 0.2 < found < 0.25


def test_psi_of_values_with_many_ties_and_nulls() -> None:
    assert parity.psi([0.0] * 99 + [1.0], [0.0] * 99 + [1.0, NAN]) == pytest.approx(0)
    assert parity.psi([0.0, 1.0] * 50, [1.0] * 100) > 1


def test_psi_of_shares_is_that_of_the_values() -> None:
    for seed in range(3):
        draws = np.random.default_rng(seed)
        before, after = draws.poisson(2.0, 2_000), draws.normal(2.5, 1, (3, 500))
        shares = [parity.quantile_shares(before, row) for row in after]
        assert all(np.allclose([p.sum(), q.sum()], 1) for p, q in shares)
        found = parity.psi_of_shares(shares[0][0], [q for _, q in shares])
        assert found.tolist() == pytest.approx([parity.psi(before, row) for row in after])


def test_freshness() -> None:
    ages = np.concatenate([np.full(98, 10.0), [100, 100, NAN]])
    result = Sla(60, 0.99).check(ages)
    assert (result.p50, result.p99, result.breached_share, result.status) == (10, 100, 0.02, "breached")
    assert Sla(60, 0.9).check(ages).status == "ok"
    assert Sla(60).check([NAN]) == Sla(60).check([]) and Sla(60).check([]).status == "no data"
    assert batch_age_s(24 * 3600, 3600, 0.5) == 13 * 3600


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parity.compare([[1]], [[1, 2]]), "expected the same (rows, features)"),
        (lambda: parity.compare([[1]], [[1]], names=["a", "b"]), "2 names were given for 1 features"),
        (lambda: parity.psi([NAN], [1]), "reference holds no value"),
        (lambda: parity.psi([1], [1], bins=1), "expected 2 or more"),
        (lambda: Sla(0), "expected more than 0 seconds"),
        (lambda: Sla(5, 1.5), "expected above 0 and at most 1"),
    ],
)
def test_bad_input_is_a_sentence(call, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput) as refused:
        call()
    assert words in refused.value.message


def test_one_feature_may_come_as_a_row() -> None:
    report = parity.compare([1.0, 2.0, NAN], [1.0, 3.0, 4.0])
    assert report.mismatch == report.missing == pytest.approx(1 / 3)
