"""Sample ratio mismatch against scipy, sample sizes against statsmodels and by simulation."""

import numpy as np
import pytest
from scipy.stats import chisquare
from statsmodels.stats.power import NormalIndPower

from simulators.engines.experiment.power import mde, power, sample_size
from simulators.engines.experiment.srm import srm_test
from simulators.errors import InvalidInput


def test_srm_agrees_with_scipy_and_sums_days():
    days = np.array([[500, 520, 260], [480, 530, 250]])
    found = srm_test(days, (2, 2, 1))
    counts = days.sum(axis=0)
    theirs = chisquare(counts, counts.sum() * np.array([0.4, 0.4, 0.2]))
    assert (found.chi2, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue), rel=1e-12)
    assert found.max_deviation == pytest.approx(float(np.abs(counts / counts.sum() - [0.4, 0.4, 0.2]).max()))


@pytest.mark.parametrize(
    ("counts", "status"),
    [((50_000, 50_100), "green"), ((44_700, 45_489), "yellow"), ((50_000, 51_800), "red"), ((10**9, 10**9 + 300_000), "yellow")],
)
def test_srm_bands(counts, status):
    assert srm_test(counts, (1, 1)).status == status


def test_srm_edges():
    assert srm_test((0, 0), (1, 1)).p_value == 1.0
    for counts, ratio in (((1, -1), (1, 1)), ((1, 1), (1, 0)), ((1, 1, 1), (1, 1)), ((1,), (1,))):
        with pytest.raises(InvalidInput):
            srm_test(counts, ratio)


def test_sample_size_of_the_textbook_case():
    assert sample_size(0.001, 0.05 * 0.95) / 2 == pytest.approx(745_644, abs=1)


@pytest.mark.parametrize("allocation", [(0.5, 0.5), (0.9, 0.1)])
def test_power_agrees_with_statsmodels(allocation):
    total = sample_size(0.3, 4.0, alpha=0.02, power=0.9, allocation=allocation)
    n1, n2 = total * allocation[0], total * allocation[1]
    theirs = NormalIndPower().power(0.3 / 2, n1, 0.02, ratio=n2 / n1)
    assert power(0.3, 4.0, n1, n2, alpha=0.02) == pytest.approx(theirs, rel=1e-9)
    assert theirs == pytest.approx(0.9, abs=1e-6)
    assert mde(4.0, n1, n2, alpha=0.02, power=0.9) == pytest.approx(0.3, rel=1e-12)


def test_no_effect_is_found_at_the_rate_alpha_and_more_arms_cost_more():
    assert power(0.0, 4.0, 100, 100, alpha=0.05) == pytest.approx(0.05)
    assert sample_size(0.1, 1, allocation=(1, 1, 1)) == pytest.approx(1.5 * sample_size(0.1, 1))
    lopsided = (0.6, 0.2, 0.2)
    assert sample_size(0.1, 1, allocation=lopsided, comparisons="all_vs_all") > sample_size(0.1, 1, allocation=lopsided)


def test_power_is_what_simulation_finds():
    rng = np.random.default_rng(7)
    gaps = rng.normal(0.25, 1, (20_000, 100)).mean(axis=1) - rng.normal(0, 1, (20_000, 150)).mean(axis=1)
    rejected = np.mean(np.abs(gaps) > 1.959964 * np.sqrt(1 / 100 + 1 / 150))
    assert power(0.25, 1.0, 100, 150) == pytest.approx(rejected, abs=0.012)


@pytest.mark.parametrize(
    "options", [{"mde": 0}, {"variance": 0}, {"alpha": 1}, {"power": 0.01}, {"allocation": (1,)}, {"comparisons": "some"}]
)
def test_bad_plans_are_refused(options):
    with pytest.raises(InvalidInput):
        sample_size(**{"mde": 0.1, "variance": 1.0, **options})
