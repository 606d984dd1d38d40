"""The interference lab: every effect it must show, against the true effect of its worlds, and the manners of a lab."""

import time
from functools import cache

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.encoding import dumps
from simulators.engines.experiment.marketplace import Market, MarketParams
from simulators.experimentation._interference_market import Sample
from simulators.experimentation.interference import InterferenceLab
from simulators.lab import Context, Frame, Progress
from simulators.params import InvalidParams, parse_params

SEEDS = (1, 2, 3)


def run(values, seed=1):
    return run_lab(InterferenceLab, values, Context(seed=seed, assets=CachedAssets(None)))


def metrics(values, seed=1):
    return {metric.key: metric for metric in run(values, seed).metrics}


def said(values, seed=1):
    return {insight.effect for insight in run(values, seed).insights}


@cache
def sample(design, worlds=40, seed=0, **values):
    """Worlds tested by one design; without a history unless asked."""
    found, market = Sample(), Market(MarketParams(**{"pre_days": 0, **values}))
    for i in range(worlds):
        found.add(market.run(design, 1000 * seed + i))
    return found


# --- the market -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "gte"), [(0.5, 10.0), (0.8, 5.5), (1.0, 3.9), (1.2, 3.0)])
def test_user_split_reads_demand_whatever_a_launch_is_worth(load, gte):
    for seed in SEEDS:
        found = sample("user", 8, seed, load=load, spread=0.0)
        assert found.mean == pytest.approx(10.0, abs=0.4)
        assert found.truth == pytest.approx(gte, abs=0.7)
        if load >= 0.8:
            assert found.bias > 4.0
            assert found.coverage == 0


def test_history_takes_the_noise_out_of_clusters():
    for seed in SEEDS:
        plain, adjusted = sample("cluster", 30, seed), sample("cluster_pre", 30, seed, pre_days=4)
        assert 4.0 < plain.sd < 9.0
        assert adjusted.sd < 0.4 * plain.sd
        assert abs(adjusted.bias) < 1.0


def test_longer_windows_are_noisier():
    for seed in SEEDS:
        short, hour, long = (sample("switchback", 30, seed, window_min=w) for w in (15, 60, 480))
        assert short.sd < hour.sd < long.sd
        assert long.sd > 2.5 * short.sd


def test_short_windows_inherit_supply():
    """Busy drivers carry the last arm over: +1.4 pp with windows of 15 minutes, less with longer ones."""
    for seed in SEEDS:
        short, long = (sample("switchback", 30, seed, busy_min=120, window_min=w, analysis="fixed_effects") for w in (15, 240))
        assert short.bias >= 0.5
        assert long.bias < 0.6 * short.bias


def test_burn_in_trades_bias_for_noise():
    for seed in SEEDS:
        values = {"busy_min": 120, "window_min": 120, "analysis": "fixed_effects"}
        whole, burnt = (sample("switchback", 30, seed, burn_in_min=b, **values) for b in (0, 60))
        assert burnt.bias < whole.bias
        assert burnt.half_width > whole.half_width


def test_orders_are_not_units_and_hours_are_comparable():
    for seed in SEEDS:
        orders, units, effects = (sample("switchback", 40, seed, analysis=a) for a in ("order_iid", "unit", "fixed_effects"))
        assert orders.estimate == pytest.approx(units.estimate, abs=1e-9)
        assert orders.coverage < 0.55
        assert units.coverage >= 0.85
        assert effects.sd < 0.75 * units.sd
        assert np.mean(units.deff) > 8


def test_drifting_drivers_make_clusters_leak():
    for seed in SEEDS:
        still, drifting = (sample("cluster_pre", 20, seed, pre_days=4, drift=d) for d in (0.0, 0.3))
        assert drifting.bias > still.bias + 0.8
        assert drifting.bias > 1.0


# --- rankings -------------------------------------------------------------------------------------------------------------------------


def test_interleaving_finds_the_better_ranker_with_fewer_sessions():
    for seed in SEEDS:
        found = metrics({"question": "viewer_ranking"}, seed)
        assert found["gte"].value == pytest.approx(1.4, abs=0.3)
        assert found["sessions_ratio"].value >= 6
        assert found["preference"].ci[0] > 0
    assert {"interleaving_saves", "direction_only"} <= said({"question": "viewer_ranking"})


def test_counterfactual_interleaving_halves_the_error_of_a_seller_split():
    for seed in SEEDS:
        found = metrics({"question": "seller_ranking"}, seed)
        assert found["gte"].value == pytest.approx(68, abs=4)
        assert found["estimate@split"].value == pytest.approx(120, abs=6)
        assert found["abs_bias@counterfactual"].value <= 0.5 * found["abs_bias@split"].value


# --- what the page says ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "effects"),
    [
        ({}, {"user_split_biased", "history_helps_clusters", "windows_and_noise"}),
        ({"design": "switchback", "window": 15, "busy": 120.0}, {"carryover"}),
        ({"design": "switchback", "analysis": "order_iid"}, {"orders_are_not_units"}),
        ({"design": "switchback", "analysis": "fixed_effects"}, {"fixed_effects"}),
        ({"design": "cluster", "drift": 0.3, "spread": 0.0}, {"clusters_leak"}),
        ({"design": "cluster", "regions": 6, "days": 1}, {"no_interval"}),
    ],
)
def test_effects_are_said(values, effects):
    assert effects <= said(values)


def test_without_scarcity_nobody_is_accused():
    assert "user_split_biased" not in said({"load": 0.3, "spread": 0.0})
    assert "user_split_biased" not in said({"delta": 0.0})


def test_every_design_is_held_against_the_truth():
    result = run({"design": "switchback", "replicates": 10})
    assert {figure.key for figure in result.figures} == {"estimates", "designs", "windows", "carryover"}
    table = next(table for table in result.tables if table.key == "designs")
    bias = {row[0]: row[4] for row in table.rows}
    assert bias["Users"] > 4 > abs(bias["Clusters with history"]) + abs(bias["Switchback"])


def test_carry_over_starts_at_control_and_ends_where_a_launch_would():
    result = run({"design": "switchback", "window": 480, "busy": 30.0})
    after, settled = (np.array(trace["y"]) for trace in next(f for f in result.figures if f.key == "carryover").plot["data"])
    assert settled[0] < 0
    assert abs(after[0]) < 0.5 * abs(settled[0])
    assert after[-12:].mean() == pytest.approx(settled[-12:].mean(), rel=0.35)


# --- manners --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"design": "switchback", "window": 50}, "Window 50 min does not divide 24 h."),
        ({"design": "switchback", "burn_in": 60}, "Burn-in 60 min leaves nothing"),
        ({"design": "switchback", "analysis": "fixed_effects", "days": 1}, "2 days or more"),
        ({"design": "cluster", "regions": 4, "group": 3}, "fewer than two full clusters"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(values, sentence):
    with pytest.raises(InvalidParams) as caught:
        parse_params(InterferenceLab, values)
    assert sentence in str(caught.value)


def test_few_clusters_have_no_interval_and_say_so():
    found = metrics({"design": "cluster", "regions": 6, "days": 1, "replicates": 4})
    assert found["coverage"].value is None
    assert found["coverage"].note == "Fewer than 4 clusters an arm: no interval."


@pytest.mark.parametrize("question", ["market", "viewer_ranking", "seller_ranking"])
def test_the_same_seed_gives_the_same_result_and_frames_on_the_way(question):
    values = {"question": question, "replicates": 8}
    assert dumps(run(values, 4)) == dumps(run(values, 4)) != dumps(run(values, 5))
    steps = []
    context = Context(seed=1, assets=CachedAssets(None))
    drive(InterferenceLab(), parse_params(InterferenceLab, values), context, emit=steps.append, cancelled=lambda: False)
    assert sum(isinstance(step, Frame) for step in steps) >= 3
    assert any(isinstance(step, Progress) for step in steps)


def test_one_replicate_is_enough_to_run():
    for values in ({}, {"design": "switchback", "window": 1440, "days": 1}, {"question": "viewer_ranking"}, {"question": "seller_ranking"}):
        assert run({**values, "replicates": 1}).insights


def test_a_replicate_costs_milliseconds():
    """Three worlds of four days: 10 ms of one core when measured; the bound leaves room for a busy machine."""
    market = Market(MarketParams(pre_days=0))
    market.run("switchback", 0)
    start = time.process_time()
    for seed in range(10):
        market.run("switchback", seed)
    assert (time.process_time() - start) / 10 < 0.09


@pytest.mark.slow
def test_challenge_separates_designs():
    challenge = InterferenceLab.challenges[0]

    def missed(design, seed):
        found = metrics({**challenge.world, **design}, seed)
        return {
            a.metric
            for a in challenge.assertions
            if found[a.metric].value is None or (found[a.metric].value - a.target) * (1 if a.op == "<=" else -1) > 0
        }

    for seed in SEEDS:
        assert not missed(challenge.reference, seed)
        assert not missed(challenge.alternative, seed)
    assert "abs_bias" in missed(challenge.naive, 1)
    assert missed(challenge.maxed, 1) == {"test_days"}
    assert "half_width" in missed({"design": "cluster"}, 1)
    assert "abs_bias" in missed({"design": "switchback", "window": 15, "analysis": "fixed_effects"}, 1)
