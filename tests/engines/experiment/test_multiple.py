"""Adjusted p-values against statsmodels, and the error rates that they promise."""

import numpy as np
import pytest
from scipy.special import ndtr
from statsmodels.stats.multitest import multipletests

from simulators.engines.experiment import multiple
from simulators.errors import InvalidInput

PEERS = {"bonferroni": "bonferroni", "holm": "holm", "bh": "fdr_bh"}


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("m", [1, 2, 7, 100, 5000])
def test_agrees_with_statsmodels(method, m):
    for seed in range(5):
        p = np.random.default_rng(seed).beta(0.5, 2, m)
        expected = multipletests(p, method=PEERS[method])[1]
        np.testing.assert_allclose(multiple.adjust(p, method=method), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", PEERS)
@pytest.mark.parametrize("p", [[0.0, 0.0, 1.0], [0.02, 0.02, 0.02, 0.5, 0.02], [1.0, 1.0], [1e-300, 0.3], [0.5, 0.001, 0.03, 0.001]])
def test_ties_and_ends_agree_with_statsmodels(method, p):
    np.testing.assert_allclose(multiple.adjust(p, method), multipletests(p, method=PEERS[method])[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", PEERS)
def test_order_of_the_input_is_kept_and_nothing_is_changed(method):
    rng = np.random.default_rng(1)
    p = rng.random(50) ** 2
    before, shuffle = p.copy(), rng.permutation(50)
    np.testing.assert_array_equal(multiple.adjust(p[shuffle], method), multiple.adjust(p, method)[shuffle])
    np.testing.assert_array_equal(p, before)


def test_holm_lies_between_bh_and_bonferroni():
    for seed in range(3):
        p = np.random.default_rng(seed).random(40) ** 3
        bh, holm, bonferroni = (multiple.adjust(p, method) for method in ("bh", "holm", "bonferroni"))
        assert (p <= bh).all() and (bh <= holm).all() and (holm <= bonferroni).all() and bonferroni.max() <= 1


@pytest.mark.parametrize("method", PEERS)
def test_no_p_values_give_none(method):
    assert multiple.adjust([], method).shape == (0,)


def test_family_and_discovery_errors_are_kept():
    """Twenty tests, four real at z = 3: some false rejection in at most 5 % of families; false among the rejected at most 5 %."""
    rng = np.random.default_rng(5)
    z = rng.standard_normal((4000, 20)) + np.r_[np.full(4, 3.0), np.zeros(16)]
    p = 2 * ndtr(-np.abs(z))
    found = {method: np.array([multiple.adjust(row, method) <= 0.05 for row in p]) for method in PEERS}
    for method in ("bonferroni", "holm"):
        assert found[method][:, 4:].any(axis=1).mean() <= 0.05 + 3 * (0.05 * 0.95 / 4000) ** 0.5
    rejected = found["bh"].sum(axis=1)
    assert (found["bh"][:, 4:].sum(axis=1) / np.maximum(rejected, 1)).mean() <= 0.05
    power = {method: hits[:, :4].mean() for method, hits in found.items()}
    assert power["bh"] > power["holm"] + 0.05 > power["bonferroni"] + 0.05


@pytest.mark.parametrize("p", [[0.1, 1.1], [-0.1], [float("nan")], [[[0.1, 0.2]]], ["a"], 0.05])
def test_bad_p_values_are_refused(p):
    with pytest.raises(InvalidInput, match="p-values"):
        multiple.adjust(p, "holm")


def test_unknown_method_is_refused():
    with pytest.raises(InvalidInput, match="bonferroni, holm or bh"):
        multiple.adjust([0.1], "sidak")


@pytest.mark.parametrize("method", PEERS)
def test_each_row_is_a_family_of_its_own(method):
    p = np.random.default_rng(3).random((6, 9)) ** 3
    np.testing.assert_array_equal(multiple.adjust(p, method), [multiple.adjust(row, method) for row in p])


def test_bonferroni_is_the_default():
    np.testing.assert_array_equal(multiple.adjust([0.01, 0.2]), multiple.adjust([0.01, 0.2], "bonferroni"))
