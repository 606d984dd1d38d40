"""The feedback loop lab: its presets' stories, the challenge, and what the page gets round by round."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ranking.loop import IMPRESSIONS, Rounds, simulate_rounds
from simulators.engines.ranking.worlds.loop import loop_world
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Progress, Result
from simulators.params import parse_params
from simulators.youtube_recs import _loop_views as views
from simulators.youtube_recs._loop_challenge import FIND_THE_NEW
from simulators.youtube_recs._loop_params import LoopParams
from simulators.youtube_recs._loop_runs import LATE, Gain, Recent, chosen, learning, world_of
from simulators.youtube_recs.feedback_loop import FeedbackLoop

SEEDS = (0, 1, 2)


@cache
def context(seed: int) -> Context:
    return Context(seed=seed, assets=CachedAssets(None))


@cache
def result(seed: int, **values: Any) -> Result:
    return run_lab(FeedbackLoop, values, context(seed))


def metrics(seed: int, **values: Any) -> dict[str, Any]:
    return {metric.key: metric for metric in result(seed, **values).metrics}


def effects(seed: int, **values: Any) -> dict[str, str]:
    return {insight.effect: insight.text for insight in result(seed, **values).insights}


def preset(key: str) -> dict[str, Any]:
    (found,) = [item for item in FeedbackLoop.presets if item.key == key]
    return dict(found.values)


# --- stories --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_greedy_is_right_about_what_it_shows_and_blind_to_the_rest(seed: int) -> None:
    found, said = metrics(seed, policy="greedy"), effects(seed, policy="greedy")
    assert found["overconfidence"].value == pytest.approx(1, abs=0.04)
    assert found["served"].value == pytest.approx(found["model"].value) and found["served"].value < 90
    assert found["coverage"].value < 10 and found["new_share"].value < 0.01 and found["random_slots"].value == 0
    assert found["price"].value == pytest.approx(0, abs=1e-9)
    assert {"agrees", "missed", "cold_start"} <= set(said) and "price" not in said
    assert f"{found['served'].value / 100:.0%} of the clicks" in said["agrees"]


@pytest.mark.parametrize("seed", SEEDS)
def test_exploration_has_a_price_and_a_return(seed: int) -> None:
    found, said = metrics(seed, **preset("five_to_ten")), effects(seed, **preset("five_to_ten"))
    assert found["model"].value - found["served"].value > 4
    assert found["price"].value == pytest.approx(100 * (1 - found["served"].value / found["model"].value))
    assert 5 < found["price"].value < 10, "of a tenth of the slots, for a random item is clicked now and then"
    assert found["gain_model"].value > 3 and found["coverage"].value > 65
    assert {"price", "gain", "optimum", "newcomers"} <= set(said)


@pytest.mark.parametrize("seed", SEEDS)
def test_content_makes_exploration_a_cost(seed: int) -> None:
    (sweep,) = [figure for figure in result(seed, **preset("content_saves")).figures if figure.key == "sweep"]
    served = sweep.plot["data"][0]["y"]
    assert served[0] > served[-1] + 0.1
    assert metrics(seed, **preset("content_saves"))["served"].value > metrics(seed)["served"].value + 3
    assert "content" in effects(seed, **preset("content_saves"))
    assert metrics(seed, **preset("content_saves"))["gain_served"].value < metrics(seed)["gain_served"].value


@pytest.mark.parametrize("seed", SEEDS)
def test_a_false_history_stays(seed: int) -> None:
    values = {**preset("old_grudge"), "items": 200, "rounds": 30}
    found = metrics(seed, **values)
    assert found["grudge"].value < 0.5
    assert f"{found['grudge'].value:.2f} of their fair share" in effects(seed, **values)["grudge"]
    assert metrics(seed)["grudge"].value is None and "false history" in metrics(seed)["grudge"].note


def test_an_optimist_and_a_still_catalogue_are_named() -> None:
    optimist = {"policy": "greedy", "prior": "served", "items": 200, "rounds": 30}
    quiet = {"policy": "ucb", "churn": 0.0, "items": 200, "rounds": 30}
    assert "optimist" in effects(0, **optimist) and "agrees" not in effects(0, **optimist)
    still = metrics(0, **quiet)
    assert still["new_share"].value is None and still["new_share"].note
    assert "newcomers" not in {figure.key for figure in result(0, **quiet).figures}
    assert "ucb_batch" in effects(0, **quiet)


def test_gains_are_judged_against_the_noise_between_worlds() -> None:
    for metric in [
        metrics(seed, **values)[key] for seed in SEEDS for values in ({}, {"epsilon": 0.1}) for key in ("gain_served", "gain_model")
    ]:
        assert metric.ci[0] <= metric.value <= metric.ci[1]
        assert metric.note.startswith("Within noise") == (metric.ci[0] < 0 < metric.ci[1])
    clear, noisy = Gain(np.array([3.0, 4.0, 5.0]), np.array([-1.0, 4.0, 1.0])), metrics(0)["gain_served"]
    assert clear.clear(clear.served) and not clear.clear(clear.model) and not clear.clear(clear.served[:1])
    assert noisy.unit == "points"
    one_world = metrics(0, items=5_000, rounds=30)["gain_served"]
    assert one_world.ci is None and "One world" in one_world.note


# --- the challenge --------------------------------------------------------------------------------------------------------------


def missed(values: dict[str, Any]) -> set[str]:
    """Of the mean over the seeds; the tiles of the lab on the engine's rounds, without what else a run of the lab shows."""
    params = LoopParams(**values)
    found = [
        tiles(params, simulate_rounds(world_of(params, context(seed)), *chosen(params), params.rounds, seed, learning=learning(params)))
        for seed in SEEDS
    ]
    means = {item.metric: float(np.mean([run[item.metric].value for run in found])) for item in FIND_THE_NEW.assertions}
    return {item.metric for item in FIND_THE_NEW.assertions if (means[item.metric] - item.target) * (1 if item.op == ">=" else -1) < 0}


def tiles(params: LoopParams, rounds: Rounds) -> dict[str, Any]:
    return {metric.key: metric for metric in views.metrics(rounds, params)}


@pytest.mark.parametrize(
    ("design", "fails"),
    [
        (FIND_THE_NEW.reference, set()),
        pytest.param(FIND_THE_NEW.alternative, set(), marks=pytest.mark.slow),
        (FIND_THE_NEW.naive, {"coverage", "new_share"}),
        ({}, {"new_share"}),
        (FIND_THE_NEW.maxed, {"served", "random_slots"}),
        ({"policy": "greedy", "boost_rounds": 5}, {"coverage"}),
        ({"policy": "ucb"}, {"coverage", "new_share"}),
    ],
    ids=["reference", "alternative", "naive", "defaults", "maxed", "boost", "ucb"],
)
def test_the_challenge(design: dict[str, Any], fails: set[str]) -> None:
    assert missed({**FIND_THE_NEW.world, **design}) - {"model", "served"} == fails - {"model", "served"}
    assert set(design) <= set(FIND_THE_NEW.design)
    if design in (FIND_THE_NEW.reference, FIND_THE_NEW.alternative, FIND_THE_NEW.maxed):
        assert missed({**FIND_THE_NEW.world, **design}) == fails


def test_units_of_the_challenge_are_those_of_the_metrics() -> None:
    assert {item.metric: item.unit for item in FIND_THE_NEW.assertions} == {
        item.metric: metrics(0)[item.metric].unit for item in FIND_THE_NEW.assertions
    }


# --- what the page gets -----------------------------------------------------------------------------------------------------------


def test_every_round_is_a_frame() -> None:
    said = list[Progress | Frame]()
    drive(FeedbackLoop(), parse_params(FeedbackLoop, {}), context(0), emit=said.append, cancelled=lambda: False)
    frames = [step for step in said if isinstance(step, Frame)]
    curves = [next(figure for figure in frame.figures if figure.key == "clicks") for frame in frames]
    assert [len(figure.plot["data"][0]["x"]) for figure in curves] == list(range(1, 61))
    (last,) = [figure for figure in result(0).figures if figure.key == "clicks"]
    assert curves[-1] == last


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lab_shows_what_the_engine_finds(seed: int) -> None:
    params = LoopParams(policy="new_item", epsilon=0.08, boost_rounds=2)
    run = simulate_rounds(loop_world(seed, items=150), "new_item", 0.08, 24, seed, learning=learning(params))
    found = metrics(seed, policy="new_item", epsilon=0.08, boost_rounds=2, items=150, rounds=24)
    assert found["served"].value == pytest.approx(100 * run.served[-LATE:].mean())
    assert found["coverage"].value == pytest.approx(100 * run.coverage[-LATE:].mean())
    assert found["new_share"].value == pytest.approx(run.new_share[-LATE:].mean())


def test_recent_impressions_belong_to_the_item_there_now() -> None:
    world, recent, run = loop_world(3, items=120, churn=0.05), Recent(120), simulate_rounds(loop_world(3, items=120, churn=0.05), rounds=30)
    worlds = [world]
    for _ in range(29):
        worlds.append(worlds[-1].step())
    for now, exposure in zip(worlds, run.exposure, strict=True):
        recent.add(now, exposure)
    found = recent.exposure(worlds[-1])
    expected = [run.exposure[max(10, int(worlds[-1].arrived[item])) :, item].sum() for item in range(120)]
    assert found.shown.tolist() == expected
    old = worlds[-1].arrived < 10
    assert found.oracle[old].sum() <= IMPRESSIONS * LATE and found.oracle.max() <= IMPRESSIONS / 10 * LATE


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epsilon": 0.9, "boost_rounds": 20}, "expected at most 100 %"),
        ({"policy": "thompson", "items": 5_000, "rounds": 300}, "items x rounds of at most 300,000"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        result(0, **values)
