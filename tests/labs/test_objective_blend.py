"""The blend lab: every effect it must show, its challenge, and what the page is made of."""

from functools import cache

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ranking import rerank
from simulators.engines.ranking.worlds import blend_world
from simulators.engines.ranking.worlds.blend import TASKS, comments
from simulators.engines.steps import finish
from simulators.lab import Context, Frame
from simulators.params import InvalidParams, parse_params
from simulators.youtube_recs import _blend_pages as pages
from simulators.youtube_recs._blend_challenge import ONE_WEIGHT, SATISFIED
from simulators.youtube_recs._blend_front import Cloud, random_weights
from simulators.youtube_recs._blend_heads import heads_steps, macs_a_candidate, truth_of
from simulators.youtube_recs._blend_params import HEADS, ObjectiveBlendParams
from simulators.youtube_recs.objective_blend import ObjectiveBlendLab

SEEDS = (0, 1, 2)
CLICKS, MINUTES = {**ONE_WEIGHT, "w_click": 1.0}, {**ONE_WEIGHT, "w_minutes": 1.0}
BUBBLE = {"focus": 3.0, "likeness": 0.9, "gamma": 0.4, "diversity": "mmr"}


@cache
def context(seed):
    return Context(seed=seed, assets=CachedAssets(None))


@cache
def _result(seed, values):
    return run_lab(ObjectiveBlendLab, dict(values), context(seed))


def result(seed, **values):
    return _result(seed, tuple(sorted(values.items())))


def metrics(seed, **values):
    return {metric.key: metric.value for metric in result(seed, **values).metrics}


def rows(seed, table="designs", **values):
    found = next(item for item in result(seed, **values).tables if item.key == table)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


def said(seed, **values):
    return {insight.effect for insight in result(seed, **values).insights}


def change(seed, column, **values):
    """Of this design against the ranking by its score alone, relative."""
    found = rows(seed, **values)
    return found["This design"][column] / found["By score alone"][column] - 1


# --- the world ------------------------------------------------------------------------------------------------------------------------


@cache
def small_world(seed=0, **knobs):
    return blend_world(seed, slates=200, train_rows=6_000, **knobs)


def test_world_has_the_promised_shapes():
    world = small_world()
    assert world.X.shape == (200, 60, 16) == world.emb.shape
    assert set(world.heads) == set(HEADS)
    assert all(values.shape == (200, 60) for values in (*world.heads.values(), world.topic, world.creator, world.minutes_if_clicked))
    assert world.X_train.shape == (6_000, 16) and world.Y_train.shape == (6_000, len(TASKS))
    assert world.gamma == 0.3


def test_world_knows_its_chances():
    """What was seen of the shown impressions agrees with the truth of the slates, which are drawn alike."""
    for seed in SEEDS:
        world = blend_world(seed, slates=1_000)
        for column, task in enumerate(TASKS):
            seen, true = world.Y_train[:, column], world.heads[task].ravel()
            error = np.hypot(seen.std() / len(seen) ** 0.5, 5 * true.std() / len(true) ** 0.5)  # slates share their viewer
            assert abs(seen.mean() - true.mean()) < 4 * error


def test_nothing_is_liked_or_watched_without_a_click():
    world = small_world()
    click = world.heads["click"]
    assert all((world.heads[head] <= click).all() for head in ("like", "dislike", "subscribe"))
    assert (world.Y_train[world.Y_train[:, 0] == 0] == 0).all()
    assert world.heads["minutes"] == pytest.approx(click * world.minutes_if_clicked)
    assert (comments(world.heads["like"]) < world.heads["like"]).all()


def test_one_knob_leaves_the_other_draws_alone():
    base, bait, like = small_world(), small_world(bait_share=0.5), small_world(likeness=0.9)
    assert np.array_equal(base.topic, bait.topic) and np.array_equal(base.emb, bait.emb)
    assert np.array_equal(base.X, like.X) and not np.array_equal(base.emb, like.emb)
    assert bait.heads["dislike"].mean() > 1.3 * base.heads["dislike"].mean()


def test_focus_and_likeness_do_what_they_say():
    def topics(world):
        return np.mean([len(set(row)) for row in world.topic.tolist()])

    assert topics(small_world(focus=3.0)) < 0.8 * topics(small_world())
    for likeness in (0.0, 0.5, 0.9):
        world = small_world(likeness=likeness)
        unit = world.emb / np.linalg.norm(world.emb, axis=2, keepdims=True)
        same = (world.topic[:, :, None] == world.topic[:, None, :]) & ~np.eye(60, dtype=bool)
        assert (unit @ unit.transpose(0, 2, 1))[same].mean() == pytest.approx(likeness, abs=0.05)


@pytest.mark.parametrize("knob", [{"gamma": -0.1}, {"bait_share": 1.1}, {"focus": np.nan}, {"likeness": 2.0}, {"slates": 0}])
def test_world_names_a_knob_that_is_wrong(knob):
    with pytest.raises(ValueError, match=next(iter(knob))):
        blend_world(0, **knob)


# --- pages ----------------------------------------------------------------------------------------------------------------------------


@cache
def audience(gamma=0.3):
    world = small_world(gamma=gamma)
    return pages.Audience.of(world, truth_of(world))


def test_a_page_brings_what_the_definition_says():
    crowd = audience()
    found = pages.serve(crowd, rerank.ranked(crowd.truth[..., 0], 10))
    for slate in (0, 17):
        for i, head in enumerate(HEADS):
            value = rerank.satiated_value(crowd.truth[slate, :, i], crowd.emb[slate], found.pages[slate], 0.3)
            assert found.brought[slate, HEADS.index(head)] == pytest.approx(value)
        assert found.topics[slate] == len(set(crowd.topic[slate, found.pages[slate]].tolist()))
        unit = crowd.emb[slate, found.pages[slate]]
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        assert found.distance[slate] == pytest.approx(1 - (unit @ unit.T)[np.triu_indices(10, 1)].mean())
    assert found.dislikes == pytest.approx(1e3 * found.mean("dislike") / found.mean("click"))


def test_short_watches_are_those_of_a_log_normal():
    rng, mean = np.random.default_rng(0), 0.6
    minutes = mean * np.exp(0.5 * rng.standard_normal(200_000) - 0.125)
    assert minutes.mean() == pytest.approx(mean, rel=0.01)
    assert pages.short_watch(np.array([mean]))[0] == pytest.approx((minutes < 0.5).mean(), abs=0.005)


def test_capped_pages_are_author_cap_slate_by_slate():
    crowd = audience()
    scores = pages.scored(crowd.truth, pages.weights_of(ObjectiveBlendParams()))
    for cap in (1, 2):
        found = pages.arranged(crowd, scores, ObjectiveBlendParams(diversity="cap", cap=cap))
        for slate in range(40):
            assert found[slate].tolist() == rerank.author_cap(scores[slate], crowd.creator[slate], 10, cap).tolist()


def test_exploration_keeps_the_top_and_repeats_nobody():
    chosen = np.argsort(np.random.default_rng(0).random((50, 60)), axis=1)[:, :10]
    found = pages.explored(chosen, 60, 3, np.random.default_rng(1))
    assert np.array_equal(found[:, :7], chosen[:, :7])
    assert all(len(set(page)) == 10 for page in found.tolist())
    assert len(set(found[:, 7:].ravel().tolist())) > 40  # any candidate may come up
    assert np.array_equal(pages.explored(chosen, 60, 0, np.random.default_rng(1)), chosen)


def test_front_holds_exactly_the_designs_that_nothing_beats():
    rng = np.random.default_rng(0)
    for _ in range(50):
        minutes, dislikes = rng.integers(0, 8, (2, 30)).astype(float)
        found = {(minutes[i], dislikes[i]) for i in Cloud(minutes, dislikes).front()}
        expected = {
            (m, d)
            for m, d in zip(minutes, dislikes, strict=True)
            if not any(m2 >= m and d2 <= d and (m2, d2) != (m, d) for m2, d2 in zip(minutes, dislikes, strict=True))
        }
        assert found == expected


def test_random_weights_rank_by_something():
    drawn = random_weights(np.random.default_rng(0))
    assert (drawn > 0).any(axis=1).all() and (drawn[:, HEADS.index("dislike")] <= 0).all()


def test_work_of_the_ranker_counts_its_weights():
    """Weights of the net without its biases, the mixing of experts, the blend, the cosines."""
    from simulators.engines.ranking.multitask import fit_multitask

    rng = np.random.default_rng(0)
    net = fit_multitask(rng.normal(size=(20, 16)), np.arange(100).reshape(20, 5) % 2, kind="mmoe", experts=7, epochs=1).net
    weights = sum(values.numel() for name, values in net.named_parameters() if name.endswith("weight"))
    params = ObjectiveBlendParams(experts=7)
    assert macs_a_candidate(params) == weights + 5 * 7 * 8 + len(HEADS)
    assert macs_a_candidate(params.model_copy(update={"diversity": "mmr"})) == macs_a_candidate(params) + 160
    assert macs_a_candidate(params.model_copy(update={"heads": "oracle"})) == len(HEADS)


# --- effects --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_clicks_buy_bait_and_minutes_buy_rage(seed):
    clicks, minutes, blend = metrics(seed, **CLICKS), metrics(seed, **MINUTES), metrics(seed)
    assert clicks["clicks"] == pytest.approx(4.95, abs=0.2) and minutes["clicks"] == pytest.approx(3.25, abs=0.2)
    assert clicks["minutes"] < 0.65 * minutes["minutes"]
    assert 200 < clicks["dislikes"] < 270 and 45 < minutes["dislikes"] < 70 and 18 < blend["dislikes"] < 28
    assert 0.88 < blend["minutes"] / minutes["minutes"] < 0.97
    assert clicks["abandonment"] > 20 > 2 > minutes["abandonment"]
    assert blend["subscriptions"] > minutes["subscriptions"] > clicks["subscriptions"]
    assert {"clickbait", "rage", "dislike_probability", "true_heads"} <= said(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_covington_overstates_minutes_and_leans_to_clicks(seed):
    exact, covington = rows(seed, "heads", **MINUTES), rows(seed, "heads", **MINUTES, watch_loss="covington")
    assert 0.88 < exact["minutes"]["Predicted / true (x)"] < 1.13
    assert 1.5 < covington["minutes"]["Predicted / true (x)"] < 2.2
    assert metrics(seed, **MINUTES, watch_loss="covington")["dislikes"] > 1.5 * metrics(seed, **MINUTES)["dislikes"]
    assert "covington" in said(seed, **MINUTES, watch_loss="covington")


@pytest.mark.parametrize("seed", SEEDS)
def test_light_diversity_costs_little_and_heavy_costs_much(seed):
    watched, topics = "Watched (min a slate)", metrics(seed)["topics"]
    light, dpp = {"diversity": "mmr", "lam": 0.9}, {"diversity": "dpp", "theta": 0.95}
    heavy, heavy_dpp = {"diversity": "mmr", "lam": 0.5}, {"diversity": "dpp", "theta": 0.8}
    assert -0.045 < change(seed, watched, **light) < 0 and -0.055 < change(seed, watched, **dpp) < 0
    assert -0.38 < change(seed, watched, **heavy) < -0.22
    assert change(seed, watched, **heavy) < change(seed, watched, **heavy_dpp) < -0.1
    assert 0.5 < metrics(seed, **light)["topics"] - topics < 1.5
    assert abs(metrics(seed, diversity="cap")["topics"] - topics) < 0.3
    assert {"diversity_mmr", "min_max"} <= said(seed, **light) and "diversity_cap" in said(seed, diversity="cap")


@pytest.mark.parametrize("seed", SEEDS)
def test_diversity_only_costs_without_satiation_and_pays_in_a_bubble(seed):
    assert change(seed, "Worth (points)", gamma=0.0, diversity="mmr") < -0.005
    assert "nobody tires" in " ".join(insight.text for insight in result(seed, gamma=0.0, diversity="mmr").insights)
    assert change(seed, "Worth (points)", **BUBBLE) > 0.015
    assert change(seed, "Worth (points)", **BUBBLE, lam=0.3) < -0.06


@pytest.mark.parametrize("seed", SEEDS)
def test_the_ceiling_holds(seed):
    for values in ({}, CLICKS, {"diversity": "mmr"}, {"explore_slots": 3}, BUBBLE):
        assert metrics(seed, **values)["value_share"] < 1
    bounds = {m.key: m.limit for m in result(seed, **MINUTES).metrics}
    for values in (CLICKS, MINUTES, {}):
        assert all(metrics(seed, **values)[key] <= bounds[key] for key in ("clicks", "minutes", "likes", "subscriptions"))
    assert metrics(seed, heads="oracle", **MINUTES)["minutes"] > 0.97 * bounds["minutes"]


def test_a_miscalibrated_head_is_another_weight():
    """Ten times the like head is ten times its weight, on the same slates."""
    scaled, weighed = metrics(0, head_scale_like=10.0), metrics(0, w_like=50.0)
    assert scaled["minutes"] == weighed["minutes"] and scaled["head_off"] == pytest.approx(10, rel=0.25)
    assert "miscalibration" in said(0, head_scale_like=10.0)
    assert metrics(0, heads="oracle")["head_off"] == pytest.approx(1)


def test_exploration_costs_and_is_said():
    for seed in SEEDS:
        none, one, five = (metrics(seed, explore_slots=slots)["minutes"] for slots in (0, 1, 5))
        assert none > one > five
        assert "exploration" in said(seed, explore_slots=1)


# --- challenge ------------------------------------------------------------------------------------------------------------------------


def missed(seed, design):
    assert set(design) <= set(SATISFIED.design)
    world = {name: value for name, value in SATISFIED.world.items() if value != ObjectiveBlendParams.model_fields[name].default}
    found = {metric.key: metric for metric in result(seed, **world, **design).metrics}
    assert all(found[item.metric].unit == item.unit for item in SATISFIED.assertions)
    return {
        item.metric
        for item in SATISFIED.assertions
        if (found[item.metric].value > item.target if item.op == "<=" else found[item.metric].value < item.target)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_challenge_separates_designs(seed):
    assert not missed(seed, SATISFIED.reference) and not missed(seed, SATISFIED.alternative)
    assert {"minutes", "dislikes", "subscriptions"} <= missed(seed, SATISFIED.naive)
    assert {"dislikes", "topics"} <= missed(seed, MINUTES)
    assert missed(seed, {"diversity": "cap"}) == {"topics"} == missed(seed, {})
    assert "minutes" in missed(seed, {"w_dislike": 100.0, "diversity": "mmr", "lam": 0.3})


def test_challenge_has_ceilings():
    """Both are of the design alone, so the large net need not be trained here."""
    ceilings = {item.metric: item.target for item in SATISFIED.assertions if item.kind == "ceiling"}
    maxed, reference = (ObjectiveBlendParams(**SATISFIED.world, **design) for design in (SATISFIED.maxed, SATISFIED.reference))
    assert macs_a_candidate(maxed) > ceilings["macs"] > macs_a_candidate(reference) == metrics(0, **SATISFIED.reference)["macs"]
    assert maxed.explore_slots > ceilings["explore_slots"] >= reference.explore_slots


# --- manners --------------------------------------------------------------------------------------------------------------------------


def test_all_weights_zero_is_refused_in_a_sentence():
    with pytest.raises(InvalidParams, match="All weights are 0"):
        parse_params(ObjectiveBlendLab, ONE_WEIGHT)


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_weight_that_is_no_number_is_refused_by_name(value):
    with pytest.raises(InvalidParams) as refused:
        parse_params(ObjectiveBlendLab, {"w_like": value})
    assert "w_like" in refused.value.errors


def test_only_a_penalty_still_makes_a_page():
    found = result(0, **{**ONE_WEIGHT, "w_dislike": 1.0})
    share = next(metric for metric in found.metrics if metric.key == "value_share")
    assert share.value is None and share.note
    assert found.notes


def test_training_streams_its_curve_and_a_warm_run_learns_nothing():
    frames = []
    fresh = Context(seed=5, assets=CachedAssets(None))
    for _ in range(2):
        frames.append(0)

        def emit(step):
            frames[-1] += isinstance(step, Frame) and any(figure.key == "learning" for figure in step.figures)

        drive(ObjectiveBlendLab(), parse_params(ObjectiveBlendLab, {}), fresh, emit=emit, cancelled=lambda: False)
    assert frames == [5, 0]


def test_heads_get_closer_to_the_truth_pass_by_pass():
    params = ObjectiveBlendParams()
    world = blend_world(0)
    heads = finish(heads_steps(context(0), params, world))
    assert all(values[-1] < 0.7 * values[0] for values in heads.excess.values())


def test_page_of_one_viewer_adds_up():
    found = next(figure for figure in result(0).figures if figure.key == "slate")
    *bars, truth = found.plot["data"]
    assert [trace["name"] for trace in bars] == ["minutes", "like", "subscription", "dislike"]
    totals = np.sum([trace["x"] for trace in bars], axis=0)
    assert (np.diff(totals) <= 1e-3).all() and len(totals) == 10  # ranked by score
    assert len(truth["x"]) == 10


@pytest.mark.parametrize("preset", ObjectiveBlendLab.presets, ids=lambda preset: preset.key)
def test_presets_tell_their_story(preset):
    found = metrics(0, **preset.values)
    match preset.key:
        case "clickbait_factory":
            assert found["dislikes"] > 200
        case "rage_minutes":
            assert found["minutes"] > metrics(0)["minutes"] and found["dislikes"] > 2 * metrics(0)["dislikes"]
        case "satisfied_viewers":
            assert found["dislikes"] < metrics(0)["dislikes"] and found["topics"] > metrics(0)["topics"]
        case "bubble":
            assert change(0, "Worth (points)", **preset.values) > 0
        case _:
            assert found["dislikes"] > 1.5 * metrics(0, **MINUTES)["dislikes"]
