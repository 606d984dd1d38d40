"""The metric tree, triggers, A/A calibration, days and segments of the readout lab."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.experiment.stats import compare, summary
from simulators.engines.experiment.unit_days import day_key
from simulators.errors import InvalidInput
from simulators.experimentation._readout_days import Day, bands
from simulators.experimentation._readout_family import corrected, draw_family, rates
from simulators.experimentation.readout import ReadoutLab
from simulators.lab import Context, Data, DataFile
from simulators.params import parse_params

SEEDS = (1, 2, 3)


def run(values, seed=1, data=None):
    return run_lab(ReadoutLab, values, Context(seed=seed, assets=CachedAssets(None), data=data))


def metrics(values, seed=1, data=None):
    return {metric.key: metric.value for metric in run(values, seed, data).metrics}


def effects(result):
    return {insight.effect for insight in result.insights}


def own(tmp_path, text, **options):
    path = tmp_path / "own.csv"
    path.write_text(text)
    file, options = DataFile("own.csv", path), {"arm": "arm", "metric": "y", **options}
    ReadoutLab.data.check({"results": file}, options)
    return Data(str(hash(text)), {"results": file}, options)


def test_twenty_null_metrics_win_in_two_tests_of_three():
    values = {"metric": "clicks_per_view", "lift": 0.0, "moved": 0, "covariates": "none", "users": 10_000}
    for seed in SEEDS:
        raw = metrics({**values, "correction": "none"}, seed)
        assert raw["family_error"] == pytest.approx(0.64, abs=0.03) == raw["null_wins"]
        for correction in ("bonferroni", "holm", "bh", "hierarchical"):
            assert metrics({**values, "correction": correction}, seed)["family_error"] < 0.062


def test_corrections_trade_power_for_false_wins():
    """Four proxies at z = 3: power raw 85, BH 62, Holm 50, Bonferroni 49 %; false share raw 16, BH 4 %."""
    params = parse_params(ReadoutLab, {"lift": 0.0, "covariates": "none"})
    for seed in SEEDS:
        ctx = Context(seed=seed, assets=CachedAssets(None))
        found = {c: rates(0.0, params, 200_000, ctx, c) for c in ("none", "bh", "holm", "bonferroni")}
        assert found["none"].proxies == pytest.approx(0.85, abs=0.02)
        assert found["bh"].proxies == pytest.approx(0.62, abs=0.03)
        assert found["holm"].proxies == pytest.approx(0.50, abs=0.03)
        assert found["bonferroni"].proxies == pytest.approx(0.49, abs=0.03)
        assert found["none"].false_share == pytest.approx(0.16, abs=0.02)
        assert found["bh"].false_share < 0.05 < found["none"].false_share


def test_no_proxy_passes_the_gate_before_the_north_star():
    p = np.array([0.2, 1e-9, 1e-9, 0.5])
    assert corrected(p, "hierarchical").min() == pytest.approx(0.2)
    open_gate = corrected(np.array([0.001, 1e-9, 0.04, 0.5]), "hierarchical")
    assert open_gate == pytest.approx([0.001, 0.001, 0.08, 0.5])


def test_sums_of_the_proxies_are_those_of_as_many_users():
    """Drawn sums against the theory: z-scores of unmoved proxies have mean 0 and variance 1, moved ones mean 3."""
    params = parse_params(ReadoutLab, {"metrics": 100, "moved": 50, "covariates": "none"})
    z = []
    for seed in range(8):
        family = draw_family(params, (100_000, 100_000), _reading(), Context(seed=seed, assets=CachedAssets(None)))
        z.append([proxy.comparison.estimate / proxy.comparison.se for proxy in family.proxies])
    moved, still = np.array(z)[:, :50], np.array(z)[:, 50:]
    assert moved.mean() == pytest.approx(3.0, abs=0.2)
    assert still.mean() == pytest.approx(0.0, abs=0.2)
    assert still.std() == pytest.approx(1.0, abs=0.15)


def _reading():
    return compare(summary(1000, 100), summary(1000, 130))


def test_guardrails_decide():
    values = {"metric": "clicks_per_view", "lift": 5.0, "users": 400_000}
    for seed in SEEDS:
        assert metrics(values, seed)["ship"] == 1.0
        assert metrics({**values, "lift": -5.0}, seed)["ship"] == 0.0
        harmed = run({**values, "latency_rise": 2.0}, seed)
        assert {m.key: m for m in harmed.metrics}["ship"].note == "guardrail breached"
        assert "guardrail" in effects(harmed)
        unproven = {m.key: m for m in run({**values, "ni_margin": 0.0}, seed).metrics}
        assert unproven["ship"].value == 0.0


def test_users_who_never_reach_the_change_dilute_it():
    """Trigger 10 %: about 24 % power over all assigned, above 90 % among those who triggered."""
    for seed in SEEDS:
        values = {"metric": "clicks_per_view", "lift": 6.0, "trigger_rate": 10.0, "covariates": "none"}
        assigned = run(values, seed)
        power = {m.key: m.value for m in assigned.metrics}["power_at_truth"]
        triggered = metrics({**values, "population": "triggered"}, seed)
        assert power < 0.35
        assert triggered["power_at_truth"] > 0.85
        assert triggered["effect"] == pytest.approx(6.0, abs=5.0)
        assert "diluted" in effects(assigned)


def test_a_a_tests_are_uniform_for_users_and_not_for_views():
    values = {"metric": "clicks_per_view", "users": 10_000, "aa_runs": 600, "lift": 0.0}
    for seed in SEEDS:
        honest = run(values, seed)
        naive = run({**values, "ratio_variance": "naive"}, seed)
        fpr = [{m.key: m for m in result.metrics}["aa_fpr"].value for result in (honest, naive)]
        assert fpr[0] == pytest.approx(0.05, abs=0.03)
        assert fpr[1] > 0.11
        assert "aa_honest" in effects(honest)
        assert "aa_broken" in effects(naive)


def test_a_changed_day_leaves_the_band_and_quiet_days_do_not():
    false, days = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quiet = [Day(str(d), 1000, float(rng.normal(5, 1 / 1000**0.5))) for d in range(14)]
        false += sum(band.drifted for band in bands(quiet, 1.0))
        days += 13
        loud = [*quiet[:10], Day("10", 1000, quiet[10].value + 0.3), *quiet[11:]]
        assert bands(loud, 1.0)[10].drifted
    assert false / days < 0.02


@pytest.mark.parametrize("metric", ["revenue", "clicks_per_view"])
def test_the_world_itself_does_not_drift(metric):
    """Heavy tails included: at most one false alarm in twenty experiments."""
    assert sum("drift" in effects(run({"metric": metric, "users": 50_000}, seed)) for seed in range(20)) <= 1


def test_days_sort_as_numbers_or_dates():
    assert sorted(["10", "9", "2"], key=day_key) == ["2", "9", "10"]
    assert sorted(["2026-02-01", "2026-01-15"], key=day_key) == ["2026-01-15", "2026-02-01"]


def unit_days(units=600, days=3, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for unit in range(units):
        level = rng.normal(5, 2)
        for day in range(days):
            trigger = int(unit % 3 == 0)
            y = round(level + rng.normal(0, 0.2) + (1.0 if unit % 2 and trigger else 0.0), 6)
            rows.append((f"u{unit}", "ab"[unit % 2], f"2026-01-{day + 1:02d}", "EU" if unit % 5 else "US", trigger, y))
    text = "unit,arm,day,segment,trigger,y\n" + "".join(f"{u},{a},{d},{s},{t},{y:.6f}\n" for u, a, d, s, t, y in rows)
    return rows, text


def test_rows_of_unit_and_day_count_once_a_unit(tmp_path):
    rows, text = unit_days()
    data = own(tmp_path, text, unit="unit", day="day")
    found = metrics({"difference": "absolute"}, data=data)
    totals: dict[str, float] = {}
    for unit, *_, y in rows:
        totals[unit] = totals.get(unit, 0.0) + y
    arms = [[total for unit, total in totals.items() if int(unit[1:]) % 2 == side] for side in (0, 1)]
    expected = ttest_ind(arms[1], arms[0], equal_var=False)
    assert found["effect"] == pytest.approx(np.mean(arms[1]) - np.mean(arms[0]), rel=1e-9)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_segments_and_triggers_of_a_file(tmp_path):
    rows, text = unit_days(days=1)
    data = own(tmp_path, text, unit="unit", day="day", segment="segment", trigger="trigger")
    triggered = metrics({"difference": "absolute", "population": "triggered"}, data=data)
    chosen = [[y for unit, arm, *_, trigger, y in rows if trigger and arm == side] for side in "ab"]
    assert triggered["effect"] == pytest.approx(np.mean(chosen[1]) - np.mean(chosen[0]), rel=1e-9)
    table = next(table for table in run({}, data=data).tables if table.key == "family")
    assert {row[1] for row in table.rows} == {"all", "EU", "US"}
    assert all(row[5] >= row[4] for row in table.rows)


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        ("unit,arm,y\nu1,a,1\nu1,a,2\nu2,b,3\nu3,b,4\n", {"unit": "unit"}, "Line 3, column unit"),
        ("unit,arm,d,y\nu1,a,1,1\nu1,b,2,2\nu2,b,1,3\n", {"unit": "unit", "day": "d"}, "is in two arms"),
        ("unit,arm,d,y\nu1,a,1,1\nu1,a,1,2\nu2,b,1,3\n", {"unit": "unit", "day": "d"}, "two rows on day '1'"),
        ("arm,t,y\na,1,1\na,2,2\nb,0,3\nb,1,4\n", {"trigger": "t"}, "neither 0 nor 1"),
    ],
)
def test_bad_units_and_triggers_are_refused(tmp_path, text, options, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        own(tmp_path, text, **options)
