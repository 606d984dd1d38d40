"""The lab `assignment`: what the hash does to pairs, what layers keep apart, what faults make of a log, and its challenge."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.experiment.srm import sequential_srm, srm_by_phase, srm_test
from simulators.errors import InvalidInput
from simulators.experimentation._assignment_alarm import REPS, simulate
from simulators.experimentation._assignment_logs import Units as LogUnits
from simulators.experimentation._assignment_logs import expose, log_chunk, read_logs, shares_by_day
from simulators.experimentation._assignment_params import AssignmentParams
from simulators.experimentation._assignment_plan import CONFLICTS, EXPERIMENTS, packing_of, parse_plan
from simulators.experimentation._assignment_traffic import SCALE, SHAPE, ids_of
from simulators.lab import Context, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

LAB = get_lab("experimentation", "assignment")
SEEDS = (1, 2, 3)
RUNS = 60


@cache
def store() -> CachedAssets:
    return CachedAssets(None)


def run(seed: int = 1, **values: Any) -> Result:
    return run_lab(LAB, {"n_units": 100_000, **values}, Context(seed=seed, assets=store()))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None
    return found


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def params(**values: Any) -> AssignmentParams:
    return AssignmentParams(**values)


# --- hash -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("id_kind", ["integer", "uuid"])
def test_version_one_lets_experiments_predict_one_another(seed: int, id_kind: str) -> None:
    weak, strong = (run(seed, hash=name, id_kind=id_kind, fault="none") for name in ("fnv_v1", "fnv_v2"))
    assert value(weak, "correlated") >= 40 and value(weak, "max_phi") > 0.5 and "hash_correlated" in effects(weak)
    assert value(strong, "correlated") <= 5 and value(strong, "max_phi") < 0.02 and "hash_independent" in effects(strong)
    assert value(run(seed, hash="splitmix64", id_kind=id_kind), "correlated") <= 5


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_salt_every_experiment_is_the_same(seed: int) -> None:
    result = run(seed, hash="unsalted", packing="all_overlap")
    assert value(result, "max_phi") == pytest.approx(1) and "unsalted" in effects(result)
    assert value(result, "conflict_units") == pytest.approx(3 * 0.95 * 0.2 * 100_000, rel=0.03)
    lost = 100 * 0.95 * 0.1 * (1 - 0.96**3)
    assert value(result, "conflict_loss") == pytest.approx(lost, rel=0.06), "half of those units, treated by all three pairs"


def test_uuids_are_texts_of_their_shape_and_differ() -> None:
    ids = ids_of(params(id_kind="uuid"), 5_000_000, 0, 4_000)
    assert len(set(ids.tolist())) == 4_000
    assert all(re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", text) for text in ids.tolist())
    assert (ids[10:20] == ids_of(params(id_kind="uuid"), 5_000_000, 10, 10)).all(), "an id does not depend on its chunk"


# --- layers -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", range(1, 13))
def test_conflicting_experiments_share_a_layer(layers: int) -> None:
    packing = packing_of(params(layers=layers))
    assert set(packing.shares) == set(EXPERIMENTS) and not packing.apart()
    sizes = [len(layer) for layer in packing.layers.values()]
    assert max(sizes) - min(sizes) <= 1 and len(sizes) == min(layers, 9)
    assert all(sum(layer.values()) <= 1 + 1e-9 for layer in packing.layers.values())


@pytest.mark.parametrize("seed", SEEDS)
def test_one_layer_starves_and_a_layer_each_collides(seed: int) -> None:
    one, each = run(seed, packing="one_layer"), run(seed, packing="all_overlap")
    assert value(one, "traffic_met") == pytest.approx(100 / 2.4) and value(one, "conflict_units") == 0
    assert {"overbooked", "no_conflicts"} <= effects(one)
    assert value(each, "traffic_met") == 100 and "conflicts" in effects(each)
    assert value(each, "conflict_units") == pytest.approx(3 * 0.95 * 0.2**2 * 100_000, rel=0.06)
    assert value(each, "conflict_loss") == pytest.approx(4 * 3 * 0.95 * 0.1**2, rel=0.15)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_interaction_of_conflicting_pairs_is_measured(seed: int) -> None:
    figure = next(item for item in run(seed, packing="all_overlap", n_units=1_000_000).figures if item.key == "interaction")
    shown = figure.plot["data"][0]
    values, margins = np.array(shown["y"]), np.array(shown["error_y"]["array"])
    assert len(values) == len(CONFLICTS)
    assert (np.abs(values + 4) < 1.6 * margins).all() and np.abs(values.mean() + 4) < margins.mean()


def test_cuped_makes_room() -> None:
    packing = packing_of(params(layers=2, cuped_rho=0.65))
    assert packing.traffic_met == 1 and packing.wanted == pytest.approx(0.693, abs=1e-3)
    assert packing_of(params(layers=2)).traffic_met == pytest.approx(1 / 1.2)


def test_units_add_up() -> None:
    result = run(holdout=10.0)
    figure = next(item for item in result.figures if item.key == "coverage")
    shares = figure.plot["data"][0]["y"]
    assert sum(shares) == pytest.approx(100) and shares[0] >= 9.5
    table = next(item for item in result.tables if item.key == "plan")
    assert sum(float(row[4] or 0) for row in table.rows) == pytest.approx(sum(i * share for i, share in enumerate(shares)) / 100 * 100_000)


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        ("E1=L1:20, E13=L2:20", "Plan names unknown experiment E13."),
        ("E1=L2:60, E2=L2:60", "Layer L2 needs 120 % of its units."),
        ("E1=L1:20, E1=L2:20", "Plan names experiment E1 twice."),
        ("E1=L13:20", "Plan names layer L13; expected L1 to L12."),
        ("E1:L1=20", "'E1:L1=20' was given; expected experiment=layer:percent, such as E1=L1:20."),
        (" , ", "The plan is empty"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_beside_its_field(plan: str, sentence: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        parse_params(LAB, {"packing": "custom", "custom": plan})
    assert sentence in caught.value.errors["custom"]


def test_a_plan_of_ones_own_is_taken_as_written() -> None:
    assert parse_plan("E1=L1:12.5,E2=L1:20 %") == {"L1": {"E1": 0.125, "E2": 0.2}}
    result = run(packing="custom", custom="E1=L1:50, E2=L2:50")
    assert value(result, "traffic_met") == 0 and "underserved" in effects(result)
    assert value(result, "conflict_units") == pytest.approx(0.95 * 0.25 * 100_000, rel=0.03)
    even = run(packing="custom")
    assert value(even, "traffic_met") == 100 and value(even, "layers_used") == 3 and value(even, "conflict_units") == 0


# --- logs -------------------------------------------------------------------------------------------------------------------------------


def many(fault: str, rate: float, n: int = 200_000, **more: Any) -> list[Any]:
    """What many launches of one test read: independent units, arms and losses each time."""
    chosen, rng = params(fault=fault, fault_rate=rate, n_units=n, **more), np.random.default_rng(5)
    return [read_logs(chosen, log_chunk(chosen, rng.gamma(SHAPE, SCALE, n), rng.random(n), rng)) for _ in range(RUNS)]


@cache
def crashes(rate: float) -> tuple[Any, ...]:
    return tuple(many("treatment_crash", rate))


def test_a_crash_wins_and_the_ratio_sees_it() -> None:
    readings = crashes(2.0)
    assert np.mean([item.lift.estimate for item in readings]) == pytest.approx(0.014, abs=0.002)
    assert np.mean([item.false_win for item in readings]) >= 0.8
    assert np.mean([item.srm.status == "red" for item in readings]) >= 0.75


def test_a_small_crash_wins_more_often_than_it_is_seen() -> None:
    readings = crashes(1.0)
    assert np.mean([item.lift.estimate for item in readings]) == pytest.approx(0.007, abs=0.002)
    wins, red = np.mean([item.false_win for item in readings]), np.mean([item.srm.status == "red" for item in readings])
    unstopped = np.mean([item.false_win and item.srm.status != "red" for item in readings])
    assert 0.2 <= wins <= 0.6 and red <= 0.3 and unstopped >= 0.15


@pytest.mark.parametrize("rate", [1.0, 2.0])
def test_the_odds_are_what_many_launches_show(rate: float) -> None:
    readings = crashes(rate)
    odds = readings[0].odds
    for expected, seen in (
        (odds.win, [item.false_win for item in readings]),
        (odds.red, [item.srm.status == "red" for item in readings]),
        (odds.unstopped, [item.false_win and item.srm.status != "red" for item in readings]),
    ):
        assert np.mean(seen) == pytest.approx(expected, abs=4 * np.sqrt(max(0.02, expected * (1 - expected)) / RUNS))


@pytest.mark.parametrize(("fault", "lift"), [("redirect_loss", 0.0), ("bot_filter", -0.0425), ("late_trigger", 0.05)])
def test_faults_lose_their_share_and_bias_in_their_own_direction(fault: str, lift: float) -> None:
    readings = many(fault, 5.0, n=50_000)
    assert np.mean([item.missing for item in readings]) == pytest.approx(0.05, abs=0.003)
    assert np.mean([item.lift.estimate for item in readings]) == pytest.approx(lift, abs=0.006)
    assert np.mean([item.lift.estimate for item in readings]) == pytest.approx(expected_lift(fault), abs=0.005)


def expected_lift(fault: str) -> float:
    """From a large population directly."""
    rng, n = np.random.default_rng(9), 400_000
    units = LogUnits(rng.gamma(SHAPE, SCALE, n), rng.random(n), np.zeros(n, dtype=np.int64), rng.random(n), np.ones(n, dtype=bool))
    seen = expose(params(fault=fault, fault_rate=5.0), units, 0.5)
    return float(units.y[seen.kept].mean() / units.y.mean() - 1)


def test_id_churn_biases_and_keeps_the_ratio() -> None:
    readings = many("id_churn", 10.0, n=50_000)
    assert np.mean([item.srm.p_value < 0.05 for item in readings]) <= 0.25
    assert abs(np.mean([item.lift.estimate for item in readings])) > 0.01
    assert "id_churn" in effects(run(fault="id_churn"))


def test_a_sound_log_is_read_as_one() -> None:
    readings = many("none", 5.0, n=50_000)
    assert np.mean([item.srm.p_value < 0.05 for item in readings]) <= 0.17
    assert abs(np.mean([item.lift.estimate for item in readings])) < 0.003
    assert all(item.missing == 0 for item in readings)


def test_the_readout_is_welchs_test() -> None:
    chosen, rng = params(fault="none"), np.random.default_rng(2)
    y, u = rng.gamma(SHAPE, SCALE, 20_000), rng.random(20_000)
    reading = read_logs(chosen, log_chunk(chosen, y, u, rng))
    theirs = ttest_ind(y[u < 0.5], y[u >= 0.5], equal_var=False)
    assert reading.lift.estimate == pytest.approx(y[u < 0.5].mean() / y[u >= 0.5].mean() - 1)
    assert reading.lift.p_value == pytest.approx(theirs.pvalue, abs=0.01), "relative and absolute tests differ by the noise of the mean"


# --- ramps ------------------------------------------------------------------------------------------------------------------------------

RAMP = (10.0,) * 7 + (50.0,)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ramp_pooled_is_a_false_alarm_and_phase_by_phase_is_none(seed: int) -> None:
    result = run(seed, ramp=RAMP, fault="none")
    assert value(result, "srm_pooled_p") < 1e-6 and value(result, "srm_p") > 0.001
    assert "ramp_pooled" in effects(result)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ramp_without_sticky_buckets_pulls_the_engaged_over(seed: int) -> None:
    result = run(seed, ramp=RAMP, fault="ramp_without_sticky", fault_rate=10.0)
    assert value(result, "lift") > 2 and value(result, "srm_p") < 0.001 and value(result, "missing") < 0
    assert {"not_sticky", "false_win_caught"} <= effects(result)
    assert "no_ramp" in effects(run(seed, fault="ramp_without_sticky"))


def test_phases_are_tested_each_against_its_own_share() -> None:
    counts, plans = np.array([[900, 100], [480, 520]]), np.array([[0.9, 0.1], [0.5, 0.5]])
    found = srm_by_phase(counts, plans)
    each = [srm_test(count, plan) for count, plan in zip(counts, plans, strict=True)]
    assert found.chi2 == pytest.approx(sum(item.chi2 for item in each)) and found.df == 2
    assert srm_by_phase(counts[:1], plans[:1]) == each[0]
    assert srm_by_phase([[10, 0]], [[1.0, 0.0]]).p_value == 1
    with pytest.raises(InvalidInput):
        srm_by_phase([1, 2], [0.5, 0.5])


def test_the_last_share_holds_and_nobody_treated_is_said() -> None:
    assert shares_by_day(params(ramp=(10.0, 20.0), days=4)).tolist() == [0.1, 0.2, 0.2, 0.2]
    nobody = run(ramp=(0.0,))
    assert next(metric for metric in nobody.metrics if metric.key == "lift").value is None and "undefined" in effects(nobody)
    with pytest.raises(InvalidParams, match="at least one number"):
        parse_params(LAB, {"ramp": ()})


# --- alarms -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_peeking_rings_false_and_the_sequential_test_does_not(seed: int) -> None:
    alarms = simulate(params(days=28, fault="none"), np.random.default_rng(seed))
    rates = {level: [alarms.rings(key, level) for key in ("chi2_daily", "sequential", "chi2_end")] for level in (0.05, 0.001)}
    assert 0.2 <= rates[0.05][0] <= 0.35 and rates[0.05][1] <= 0.03 and rates[0.05][2] <= 0.08
    assert rates[0.001][0] <= 0.02 and rates[0.001][1] <= 0.004


@pytest.mark.parametrize("seed", SEEDS)
def test_looking_daily_costs_power(seed: int) -> None:
    alarms = simulate(params(days=28, fault_rate=2.0), np.random.default_rng(seed))
    assert 0.55 <= alarms.rings("chi2_end", 0.001) <= 0.8
    assert 0.2 <= alarms.rings("sequential", 0.001) <= 0.45
    result = run(seed, days=28)
    assert {"alarm_peeking", "alarm_price"} <= effects(result)


@pytest.mark.parametrize("share", [50.0, 30.0])
def test_the_paths_are_those_of_the_engines(share: float) -> None:
    chosen = params(days=10, ramp=(share,), fault="none", units_per_day=2)
    alarms = simulate(chosen, np.random.default_rng(4))
    dealt = np.random.default_rng(4).binomial(2_000, shares_by_day(chosen), (REPS, 10)).astype(float)
    counts, plan = np.stack([2_000 - dealt[0], dealt[0]], axis=1), (1 - share / 100, share / 100)
    assert alarms.sequential_null[0] == pytest.approx(sequential_srm(counts, plan))
    assert alarms.chi2_null[0] == pytest.approx([srm_test(counts[: day + 1], plan).p_value for day in range(10)])


# --- the challenge ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "missed"),
    [
        ("reference", set()),
        ("alternative", set()),
        ("naive", {"traffic_met", "correlated"}),
        ("maxed", {"conflict_units", "layers_used", "rho"}),
    ],
)
def test_designs_of_the_challenge_pass_and_fail_as_declared(design: str, missed: set[str]) -> None:
    challenge = LAB.challenges[0]
    results = [run(seed, **{**challenge.world, **getattr(challenge, design)}) for seed in (11, 12, 13)]
    failed = set()
    for assertion in challenge.assertions:
        values = [value(result, assertion.metric) for result in results]
        judged = values if assertion.over == "all" else [float(np.mean(values))]
        if not all(v <= assertion.target if assertion.op == "<=" else v >= assertion.target for v in judged):
            failed.add(assertion.metric)
    assert failed == missed
    assert all(metric.unit == a.unit for a in challenge.assertions for metric in results[0].metrics if metric.key == a.metric)


def test_more_than_four_layers_breaks_the_ceiling_and_no_holdout_a_target() -> None:
    assert value(run(layers=5), "layers_used") == 5
    assert value(run(holdout=0.0), "holdout") == 0 and value(run(), "holdout") == 5
