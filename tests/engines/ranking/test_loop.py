"""The feedback loop: what each policy finds, and at which price, in worlds whose best slates are known."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from simulators.engines.ranking import loop, worlds
from simulators.engines.ranking.arguments import Flags, Ints
from simulators.engines.ranking.loop import (
    IMPRESSIONS,
    PLAIN,
    PRIOR_WEIGHT,
    SLATE,
    Belief,
    Learning,
    Rounds,
    best,
    gini,
    iter_rounds,
    simulate_rounds,
)
from simulators.engines.ranking.step import Step

SEEDS = range(5)


@cache
def run(seed: int, policy: Any, epsilon: float = 0.05, rounds: int = 60, learning: Learning = PLAIN, **knobs: Any) -> Rounds:
    return simulate_rounds(worlds.loop_world(seed, **knobs), policy, epsilon, rounds, seed, learning=learning)


def late(field: str, policy: Any, epsilon: float = 0.05, **settings: Any) -> float:
    """Mean over the seeds of the last 20 rounds; three seeds where every slate takes its own draws."""
    seeds = SEEDS[:3] if policy == "thompson" else SEEDS
    return float(np.mean([np.mean(getattr(run(seed, policy, epsilon, **settings), field)[-20:]) for seed in seeds]))


# --- the effects --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "epsilon", "served", "model", "coverage"),
    [
        ("greedy", 0.0, 0.76, 0.76, 0.06),
        ("epsilon", 0.02, 0.78, 0.79, 0.27),
        ("epsilon", 0.05, 0.80, 0.83, 0.50),
        ("epsilon", 0.1, 0.79, 0.86, 0.72),
        ("epsilon", 0.2, 0.75, 0.90, 0.92),
        ("epsilon", 0.5, 0.55, 0.93, 1.0),
        ("new_item", 0.05, 0.82, 0.85, 0.48),
        ("ucb", 0.0, 0.79, 0.79, 0.07),
        pytest.param("thompson", 0.0, 0.90, 0.94, 0.48, marks=pytest.mark.slow),
    ],
)
def test_what_a_policy_earns_learns_and_shows(policy: Any, epsilon: float, served: float, model: float, coverage: float) -> None:
    assert late("served", policy, epsilon) == pytest.approx(served, abs=0.04)
    assert late("model", policy, epsilon) == pytest.approx(model, abs=0.04)
    assert late("coverage", policy, epsilon) == pytest.approx(coverage, abs=0.04)


def test_the_best_share_of_exploration_for_clicks_is_below_the_best_for_the_model() -> None:
    shares = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)
    served = [late("served", "epsilon", share) for share in shares]
    model = [late("model", "epsilon", share) for share in shares]
    assert shares[int(np.argmax(served))] in (0.05, 0.1)
    assert model == sorted(model)
    assert served[0] + 0.01 < max(served) and served[-1] < served[0] - 0.15


def test_new_items_get_what_is_set_aside_for_them() -> None:
    assert late("new_share", "greedy") < 0.01
    assert late("new_share", "epsilon") == pytest.approx(0.05, abs=0.01)
    assert late("new_share", "new_item") == pytest.approx(0.31, abs=0.04)
    boosted = Learning(boost_rounds=5)
    assert late("new_share", "greedy", learning=boosted) == pytest.approx(1, abs=0.05)
    assert late("model", "greedy", learning=boosted) > late("model", "greedy") + 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_an_optimistic_prior_explores_by_itself(seed: int) -> None:
    optimist = run(seed, "greedy", learning=Learning(prior="served"))
    assert optimist.new_share[-20:].mean() > 4
    assert optimist.overconfidence[-20:].mean() > 1.15
    assert run(seed, "greedy").overconfidence[-20:].mean() < 1.05


def test_exploration_is_worth_most_where_content_says_little() -> None:
    content = Learning(content=0.6)
    served = [late("served", "epsilon", share, learning=content) for share in (0.0, 0.05, 0.1)]
    assert served == pytest.approx([0.91, 0.89, 0.86], abs=0.03)
    assert served[0] > served[1] + 0.01 > served[2] + 0.02, "with it, exploration only costs"
    assert late("served", "epsilon", 0.05) > late("served", "epsilon", 0.0) + 0.01, "without it, it pays"


def test_without_churn_exploration_no_longer_pays_in_clicks() -> None:
    still, explored = (late("served", "epsilon", share, churn=0.0) for share in (0.0, 0.1))
    assert still == pytest.approx(0.86, abs=0.04) and explored == pytest.approx(0.85, abs=0.03)
    assert still - explored > late("served", "epsilon", 0.0) - late("served", "epsilon", 0.1) + 0.02


@pytest.mark.slow
def test_a_false_history_is_slow_to_unlearn() -> None:
    grudge = {policy: late("grudge", policy, 0.1, biased_share=0.3) for policy in ("greedy", "epsilon")}
    assert grudge["greedy"] < 0.02
    assert grudge["greedy"] <= grudge["epsilon"] < 0.15
    assert late("grudge", "thompson", biased_share=0.3, items=200) < 0.4, "even where it explores most"
    assert late("model", "greedy", biased_share=0.3) < late("model", "greedy") - 0.02


def test_demotion_takes_random_slots_from_items_that_failed() -> None:
    demoting = Learning(demote_below=0.5)
    assert late("coverage", "epsilon", 0.1, learning=demoting) < late("coverage", "epsilon", 0.1) - 0.1
    assert late("new_share", "epsilon", 0.1, learning=demoting) > late("new_share", "epsilon", 0.1) * 1.3


# --- what must hold on every run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["greedy", "epsilon", "new_item", "thompson", "ucb"])
@pytest.mark.parametrize("seed", SEEDS[:3])
def test_nothing_beats_the_oracle_and_every_impression_is_counted(seed: int, policy: Any) -> None:
    found = simulate_rounds(worlds.loop_world(seed, items=150), policy, 0.2, 12, seed)
    assert found.exposure.shape == (12, 150) and (found.exposure.sum(axis=1) == IMPRESSIONS).all()
    for shares in (found.served, found.model, found.gini, found.coverage):
        assert shares.shape == (12,) and (shares >= 0).all() and (shares <= 1).all()
    assert np.array_equal(found.coverage, (found.exposure > 0).mean(axis=1))
    if policy == "greedy":
        assert np.allclose(found.served, found.model)
    assert (found.random_share == (0.2 if policy in ("epsilon", "new_item") else 0)).all()


@pytest.mark.parametrize("seed", SEEDS[:3])
@pytest.mark.parametrize(("policy", "epsilon"), [("epsilon", 0.3), ("epsilon", 1.0), ("new_item", 1.0), ("thompson", 0.0), ("ucb", 0.0)])
def test_no_slate_shows_an_item_twice(seed: int, policy: Any, epsilon: float, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, learn = list[Ints](), Belief.learn

    def watched(belief: Belief, segment: Ints, slates: Ints, clicked: Flags) -> Ints:
        seen.append(slates)
        return learn(belief, segment, slates, clicked)

    monkeypatch.setattr(Belief, "learn", watched)
    simulate_rounds(worlds.loop_world(seed, items=100, churn=0.05), policy, epsilon, 4, seed)
    assert len(seen) == 4
    for slates in seen:
        assert slates.shape == (IMPRESSIONS // SLATE, SLATE)
        assert all(len(set(row)) == SLATE for row in slates.tolist())


def test_all_random_serves_the_mean_item() -> None:
    world = worlds.loop_world(1, churn=0.0)
    found = simulate_rounds(world, "epsilon", 1.0, 20, 1)
    oracle = np.sort(world.p, axis=1)[:, -SLATE:].mean()
    assert found.oracle_ctr == pytest.approx(oracle)
    assert found.served.mean() == pytest.approx(world.p.mean() / oracle, rel=0.02)
    assert found.gini.max() < 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_rates_are_shrunk_twice(seed: int) -> None:
    """Against the formula written out for one item of one segment."""
    world = worlds.loop_world(seed)
    belief, prior = Belief.of(world), np.full(world.p.shape, 0.07)
    rates = belief.rates(prior)
    shown, clicks = world.first_shown[:, 17], world.first_clicks[:, 17]
    item = (clicks.sum() + PRIOR_WEIGHT * 0.07) / (shown.sum() + PRIOR_WEIGHT)
    assert rates[4, 17] == pytest.approx((clicks[4] + PRIOR_WEIGHT * item) / (shown[4] + PRIOR_WEIGHT))


def test_best_is_the_sorted_head() -> None:
    scores = np.random.default_rng(2).normal(size=(40, 60))
    assert np.array_equal(best(scores), np.argsort(-scores, axis=1)[:, :SLATE])


def test_gini_of_known_distributions() -> None:
    assert gini(np.full(8, 3)) == pytest.approx(0)
    assert gini(np.eye(1, 8, dtype=int)[0]) == pytest.approx(1 - 1 / 8)
    counts = np.random.default_rng(3).integers(0, 50, 30)
    pairs = np.abs(counts[:, None] - counts).sum() / (2 * 30 * counts.sum())
    assert gini(counts) == pytest.approx(pairs)
    assert np.isnan(gini(np.zeros(4, dtype=int)))


# --- the world ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_replaces_the_share_of_churn_and_nothing_else(seed: int) -> None:
    world = worlds.loop_world(seed, items=400, churn=0.02)
    after = world.step()
    assert world.p.shape == (10, 400) and world.round == 0 and after.round == 1 and not world.arriving.any()
    assert after.arriving.sum() == 8
    assert np.array_equal((world.p != after.p).all(axis=0), after.arriving)
    assert not after.first_shown[:, after.arriving].any()
    assert np.array_equal(world.step().p, after.p), "the same step twice"
    assert np.array_equal(worlds.loop_world(seed, items=400, churn=0.0).step().p, world.p)


def test_knobs_leave_other_draws_alone() -> None:
    plain, biased = worlds.loop_world(3), worlds.loop_world(3, biased_share=0.3, churn=0.1)
    assert np.array_equal(plain.p, biased.p) and biased.biased.sum() == 150
    assert np.array_equal(plain.first_clicks, biased.first_clicks)
    assert np.array_equal(biased.first_shown - plain.first_shown, 20 * np.broadcast_to(biased.biased, plain.p.shape))
    assert plain.first_shown.mean() == pytest.approx(3, abs=0.1)
    assert 0.05 < plain.p.mean() < 0.11


def test_a_fraction_of_an_item_arrives_now_and_then() -> None:
    world, came = worlds.loop_world(0, items=100, churn=0.005), 0
    for _ in range(200):
        world = world.step()
        came += int(world.arriving.sum())
    assert 70 <= came <= 130


# --- manners ------------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_rounds_and_leaves_the_world() -> None:
    world = worlds.loop_world(4, items=120)
    before = world.p.copy()
    once, again, other = (simulate_rounds(world, "thompson", rounds=5, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(once.exposure, again.exposure) and np.array_equal(once.served, again.served)
    assert not np.array_equal(once.exposure, other.exposure)
    assert np.array_equal(world.p, before)


def test_no_churn_means_no_new_items() -> None:
    found = simulate_rounds(worlds.loop_world(0, items=100, churn=0.0), rounds=3)
    assert np.isnan(found.new_share).all() and np.isnan(found.grudge).all()


def test_steps_come_on_the_way_and_closing_stops() -> None:
    steps = iter_rounds(worlds.loop_world(0), "thompson", rounds=20)
    first = next(steps)
    assert isinstance(first, Step) and 0 <= first.done < first.total == 20
    steps.close()
    counts = [step.done for step in iter_rounds(worlds.loop_world(0), "epsilon", rounds=60)]
    assert counts == sorted(counts) and counts


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"policy": "best"}, "policy is 'best'; expected one of greedy"),
        ({"epsilon": 1.2}, "epsilon is 1.2; expected 0 to 1"),
        ({"epsilon": float("nan")}, "epsilon is nan"),
        ({"rounds": 0}, "rounds is 0"),
        ({"learning": Learning(content=1.5)}, "content is 1.5"),
        ({"learning": Learning(boost_rounds=-1)}, "boost_rounds is -1"),
        ({"learning": Learning(demote_below=-0.1)}, "demote_below is -0.1"),
        ({"learning": Learning(prior="mine")}, "prior is 'mine'"),  # type: ignore[arg-type]
        ({"policy": "epsilon", "epsilon": 0.9, "learning": Learning(boost_rounds=20)}, "epsilon 0.9 and the boost of 20 rounds .* 110%"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        loop.simulate_rounds(worlds.loop_world(0, items=50), **settings)


@pytest.mark.parametrize("knobs", [{"items": 5}, {"churn": 1.5}, {"churn": -0.1}, {"biased_share": 2.0}])
def test_bad_knobs_are_named(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(knobs))):
        worlds.loop_world(0, **knobs)
