"""The peeking lab: the effects it must show, its challenge, and what it refuses."""

import math
import time
from functools import cache

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.experiment.sequential import RULES
from simulators.errors import InvalidInput
from simulators.experimentation.peeking import Peeking
from simulators.lab import Context, Frame
from simulators.params import parse_params

SEEDS = (1, 2, 3)
REPS = 40_000


def result(values, seed=1):
    return run_lab(Peeking, values, Context(seed=seed, assets=CachedAssets(None)))


@cache
def defaults(seed):
    return result({"reps": REPS}, seed)


def quantities(found, kind):
    return {metric.key.partition("@")[0]: metric.value for metric in found.metrics if metric.key.endswith(f"@{kind}")}


def effects(found):
    return {insight.effect for insight in found.insights}


# --- effects ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_table_shows_what_each_rule_costs(seed):
    found = {kind: quantities(defaults(seed), kind) for kind in RULES}
    expected = {  # false positives %, power %, mean looks, exaggeration
        "fixed": (5.0, 80, 14, 1.13),
        "naive": (21.8, 88, 6.6, 1.61),
        "bonferroni": (2.2, 55, None, None),
        "obrien_fleming": (5.0, 78, 10.7, 1.28),
        "power": (5.0, 77, 10.0, 1.39),
        "pocock": (5.0, 70, 9.6, 1.58),
        "always_valid": (1.3, 48, 11.4, 1.68),
        "msprt": (1.0, 49, None, None),
    }
    for kind, (fpr, power, looks, exaggeration) in expected.items():
        assert found[kind]["fpr"] == pytest.approx(fpr, abs=0.8 if kind == "naive" else 0.45), kind
        assert found[kind]["power"] == pytest.approx(power, abs=1.4), kind
        assert looks is None or found[kind]["mean_looks"] == pytest.approx(looks, abs=0.12), kind
        assert exaggeration is None or found[kind]["exaggeration"] == pytest.approx(exaggeration, abs=0.03), kind


@pytest.mark.parametrize("seed", SEEDS)
def test_batches_favour_group_sequential_rules(seed):
    found = {kind: quantities(defaults(seed), kind) for kind in RULES}
    assert found["fixed"]["power"] - found["obrien_fleming"]["power"] < 4
    assert found["obrien_fleming"]["power"] - found["pocock"]["power"] > 5
    assert found["pocock"]["power"] - found["always_valid"]["power"] > 15
    assert found["pocock"]["mean_looks"] < found["obrien_fleming"]["mean_looks"] < found["fixed"]["mean_looks"]
    assert found["fixed"]["exaggeration"] < found["obrien_fleming"]["exaggeration"] < found["pocock"]["exaggeration"]


@pytest.mark.parametrize(("looks", "expected"), [(2, 8), (5, 14), (10, 19), (20, 25), (100, 38)])
def test_naive_peeking_gets_worse_with_every_look(looks, expected):
    for seed in SEEDS:
        found = result({"looks": looks, "n_per_look": 50, "rules": ("naive",), "reps": 20_000}, seed)
        assert quantities(found, "naive")["fpr"] == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_overrun_breaks_plans_and_not_anytime_rules(seed):
    found = result({"overrun": 2.0, "rules": ("fixed", "obrien_fleming", "always_valid", "msprt"), "reps": REPS}, seed)
    assert quantities(found, "obrien_fleming")["fpr"] == pytest.approx(10.6, abs=0.8)
    assert quantities(found, "fixed")["fpr"] > 9
    assert max(quantities(found, kind)["fpr"] for kind in ("always_valid", "msprt")) < 2.2
    assert "overrun" in effects(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_cuped_pays_for_the_always_valid_interval(seed):
    raw = quantities(defaults(seed), "always_valid")
    half = result({"variance_ratio": 0.51, "rules": ("always_valid",), "reps": REPS}, seed)
    assert quantities(half, "always_valid")["power"] == pytest.approx(85, abs=1.5)
    assert quantities(half, "always_valid")["power"] - raw["power"] > 30
    assert quantities(half, "always_valid")["exaggeration"] < raw["exaggeration"]
    assert "cuped" in effects(half)


@pytest.mark.parametrize("seed", SEEDS)
def test_tuning_moves_power(seed):
    def power(tuning):
        return quantities(result({"tuning": tuning, "rules": ("always_valid",), "reps": REPS}, seed), "always_valid")["power"]

    assert power(500) == pytest.approx(37, abs=1.5)
    assert power(14_000) == pytest.approx(48, abs=1.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_later_spending_is_less_exaggerated_and_stops_later(seed):
    two, three = (
        quantities(result({"rho": rho, "rules": ("power",), "reps": REPS}, seed), "power")
        if rho != 2
        else quantities(defaults(seed), "power")
        for rho in (2, 3)
    )
    assert three["exaggeration"] == pytest.approx(1.33, abs=0.03) and three["exaggeration"] < two["exaggeration"]
    assert three["mean_looks"] == pytest.approx(10.4, abs=0.12) and three["mean_looks"] > two["mean_looks"]


@pytest.mark.parametrize("seed", SEEDS)
def test_insights_name_the_effects_of_the_run(seed):
    assert effects(defaults(seed)) == {"naive_peeking", "group_sequential", "pocock", "always_valid_cost", "exaggeration", "verdict"}
    assert effects(result({"effect": 0.0, "reps": 2_000}, seed)) == {"naive_peeking", "verdict"}


# --- parts of the page -----------------------------------------------------------------------------------------------------


def test_every_metric_has_its_simulation_error():
    found = defaults(1)
    for metric in found.metrics:
        if metric.series:
            low, high = metric.ci
            assert low <= metric.value <= high
    (fixed,) = [metric for metric in found.metrics if metric.key == "fpr@fixed"]
    assert fixed.ci[1] - fixed.ci[0] == pytest.approx(2 * 1.96 * 100 * math.sqrt(0.05 * 0.95 / REPS), rel=0.05)


def test_figures_add_up_and_keep_to_six_colours():
    found = defaults(1)
    figures = {figure.key: figure for figure in found.figures}
    assert set(figures) == {"false_positives", "boundaries", "stopping", "p_paths"}
    for trace in figures["stopping"].plot["data"]:
        assert sum(trace["y"]) == pytest.approx(1) and trace["x"][-1] == "never"
    for trace in figures["false_positives"].plot["data"]:
        assert (np.diff(trace["y"]) >= 0).all()
    for figure in figures.values():
        inks = {trace.get("line", trace["marker"])["color"] for trace in figure.plot["data"]} - {"#7F7F7F"}
        assert len(inks) <= 6


def test_p_values_of_the_shown_tests_dip_below_alpha_and_recover():
    (figure,) = [figure for figure in defaults(1).figures if figure.key == "p_paths"]
    plain = [trace["y"] for trace in figure.plot["data"] if trace["mode"] == "lines"]
    valid = [trace["y"] for trace in figure.plot["data"] if trace["mode"] == "markers"]
    assert len(plain) == len(valid) == 3
    for p, q in zip(plain, valid, strict=True):
        assert min(p) < 0.05 <= p[-1]
        assert all(b > a for a, b in zip(p, q, strict=True))  # 14 looks: every look has its marker


def test_conditional_power_rises_with_z_and_is_left_out_of_short_plans():
    (table,) = [table for table in defaults(1).tables if table.key == "conditional_power"]
    for k in range(0, 9, 3):
        assert all(a[column] < b[column] for a, b in zip(table.rows[k:], table.rows[k + 1 : k + 3], strict=False) for column in (2, 3))
    assert [t.key for t in result({"looks": 3, "reps": 1_000}).tables] == ["rules"]


def test_uneven_looks_follow_the_fractions():
    found = result({"fractions": (0.2, 0.5, 1.0), "rules": ("fixed", "obrien_fleming"), "reps": REPS})
    assert quantities(found, "fixed")["power"] == pytest.approx(80, abs=1)
    assert quantities(found, "fixed")["mean_looks"] == 3
    assert quantities(found, "obrien_fleming")["fpr"] == pytest.approx(5, abs=0.45)
    assert {metric.key: metric.value for metric in found.metrics}["users"] == 14_000


def test_without_an_effect_there_is_nothing_to_overstate():
    found = result({"effect": 0.0, "reps": 2_000, "rules": ("naive",)})
    (metric,) = [metric for metric in found.metrics if metric.key == "exaggeration@naive"]
    assert metric.value is None and metric.note == "There is no effect to overstate."
    assert quantities(found, "naive")["power"] == quantities(found, "naive")["fpr"]


def test_the_default_run_is_quick_and_shows_itself_early():
    Peeking.warm_up()
    said = []
    start = time.process_time()
    drive(Peeking(), parse_params(Peeking, {}), Context(seed=1, assets=CachedAssets(None)), emit=said.append, cancelled=lambda: False)
    assert time.process_time() - start <= 0.3
    assert any(isinstance(step, Frame) for step in said)


# --- the challenge ---------------------------------------------------------------------------------------------------------


def missed(design, seed):
    (challenge,) = Peeking.challenges
    found = {m.key.partition("@")[0]: m.value for m in result({**challenge.world, **design}, seed).metrics}
    return {
        item.metric
        for item in challenge.assertions
        if found[item.metric] is None or (found[item.metric] > item.target if item.op == "<=" else found[item.metric] < item.target)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_the_challenge_is_neither_given_away_nor_impossible(seed):
    (challenge,) = Peeking.challenges
    assert missed(challenge.reference, seed) == set() == missed(challenge.alternative, seed)
    assert challenge.reference["rules"] != challenge.alternative["rules"]
    assert "fpr" in missed(challenge.naive, seed)
    assert missed(challenge.maxed, seed) == {"users", "variance_left"}
    assert missed({"rules": ("fixed",)}, seed) == {"mean_looks"}
    assert missed({"rules": ("pocock",)}, seed) == {"power", "exaggeration"}
    assert {"power", "exaggeration"} <= missed({"rules": ("always_valid",)}, seed)


def test_some_random_designs_pass_the_challenge():
    (challenge,) = Peeking.challenges
    rng, passed, tried = np.random.default_rng(3), 0, 400
    for seed in range(tried):
        design = {
            "rules": (str(rng.choice(RULES)),),
            "rho": float(np.exp(rng.uniform(np.log(0.5), np.log(5)))),
            "tuning": float(np.exp(rng.uniform(np.log(100), np.log(1e6)))),
            "tau": float(np.exp(rng.uniform(np.log(0.001), 0))),
            "overrun": 1 + int(rng.integers(0, 21)) / 10,  # the grid of the slider
            "variance_ratio": round(float(rng.uniform(0.2, 1)), 2),
            "reps": 2_000,
        }
        passed += not missed(design, seed)
    assert 0.005 <= passed / tried <= 0.3


# --- bad input -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"fractions": (0.5, 0.4, 1.0)}, "Information fractions must rise and end at 1."),
        ({"fractions": (0.25, 0.5)}, "Information fractions must rise and end at 1."),
        ({"rules": ()}, "none was chosen; expected 1 to 9"),
        ({"rules": ("naive", "naive")}, "names one twice"),
        ({"tau": 0.0}, "mSPRT mixture: 0.0 was given; expected 0.001 or more s.d."),
        ({"looks": 0}, "Planned looks: 0 was given; expected 1 or more looks."),
    ],
)
def test_bad_input_is_refused_in_a_sentence(values, sentence):
    with pytest.raises(InvalidInput) as caught:
        parse_params(Peeking, values)
    assert sentence in caught.value.message
