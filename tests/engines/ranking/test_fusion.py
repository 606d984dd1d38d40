"""Fusion of modalities: the world's best prediction against simulation, nets against it, and what dropout, scale and missingness do."""

import pickle
import time
from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import expit, logit

from simulators.engines.ranking import metrics
from simulators.engines.ranking.fusion import KINDS, fit_fusion, iter_fusion, usage
from simulators.engines.ranking.worlds import modal_world

SEEDS = (0, 1, 2)
NAMES = ("text", "visual", "audio")
SMALL = {"rows": 3_000, "test_rows": 400}


def excess(p, found):
    return 1_000 * metrics.excess_log_loss(p, found)


@cache
def world_of(seed, **knobs):
    return modal_world(seed, **knobs)


@cache
def trained(seed, kind, dropout, epochs=4, normalise=True, **knobs):
    world = world_of(seed, **knobs)
    shares = dict(dropout) if isinstance(dropout, tuple) else dropout
    return fit_fusion(world.X, world.present, world.y, kind=kind, modality_dropout=shares, epochs=epochs, normalise=normalise, seed=seed)


def lost(seed, model, present, **knobs):
    """Excess log loss of the model and of the Bayes rule."""
    world = world_of(seed, **knobs)
    return tuple(excess(world.p_test, rule(world.X_test, present)) for rule in (model.predict, world.bayes))


# --- the world -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("seen", [("text",), ("visual", "audio"), NAMES, ("text", "audio")])
def test_bayes_is_the_mean_of_the_truth_given_what_is_seen(seed, seen):
    """Calibrated in every tenth of its own prediction, and no worse by any reweighting of what it read."""
    world = world_of(seed)
    present = world.served(*seen)
    found = world.bayes(world.X_test, present)
    for part in np.array_split(np.argsort(found), 10):
        error = (world.p_test - found)[part]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(part)) + 1e-3
    for name in seen:  # what is left of the truth is uncorrelated with every coordinate read
        left = (world.p_test - found) @ world.X_test[name] / len(found)
        assert np.abs(left).max() < 5 * np.std(world.p_test - found) * world.X_test[name].std() / np.sqrt(len(found))


@pytest.mark.parametrize("seed", SEEDS)
def test_bayes_of_one_item_by_simulation(seed):
    """Latents drawn from the prior and weighed by the likelihood of the text vector that was seen."""
    world = world_of(seed, noise_text=1.0, **SMALL)
    rng = np.random.default_rng(seed)
    prior = 0.36 + 0.64 * np.eye(3)
    seen = world.X_test["text"][0]
    # Coordinates are independent: the other latents given text, then its noise, by two regressions on the one vector.
    text = seen / 2 + rng.standard_normal((200_000, 12)) * np.sqrt(0.5)
    others = 0.36 * text[:, None] + np.einsum(
        "ab,nbj->naj", np.linalg.cholesky(prior[1:, 1:] - 0.36**2), rng.standard_normal((200_000, 2, 12))
    )
    logits = -1.8 + text @ world.directions[0] + np.einsum("naj,aj->n", others, world.directions[1:])
    drawn = expit(logits)
    found = world.bayes(world.X_test, world.served("text"))[0]
    assert found == pytest.approx(drawn.mean(), abs=5 * drawn.std() / np.sqrt(200_000))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_odds_and_labels_follow_the_weights(seed):
    world = modal_world(seed, weight_text=2.0, weight_visual=0.0, weight_audio=0.5, noise_text=0.0)
    assert np.linalg.norm(world.directions, axis=1) == pytest.approx([2.0, 0.0, 0.5])
    assert world.X["text"].shape == (60_000, 12) and world.X_test["audio"].shape == (20_000, 12) and world.present.shape == (60_000, 3)
    assert abs((world.y - world.p).mean()) < 4 * 0.5 / np.sqrt(60_000)
    slope = np.linalg.lstsq(world.X["text"], logit(world.p) + 1.8, rcond=None)[0]
    assert slope @ world.directions[0] / 2 == pytest.approx(np.linalg.norm(slope), rel=0.03)
    assert np.corrcoef(world.X_test["text"][:, 0], world.X_test["visual"][:, 0])[0, 1] == pytest.approx(0.36 / np.sqrt(1.36), abs=0.04)


def test_a_knob_leaves_the_other_draws_alone():
    plain, changed = modal_world(3, **SMALL), modal_world(3, miss_train_visual=0.5, mnar=0.6, scale_visual=0.1, **SMALL)
    assert (plain.X["text"] == changed.X["text"]).all() and (plain.p == changed.p).all() and (plain.y == changed.y).all()
    there = changed.present[:, 1]
    assert np.allclose(changed.X["visual"][there], 0.1 * plain.X["visual"][there]) and (changed.X["visual"][~there] == 0).all()
    assert plain.present.all() and changed.present.any(axis=1).all()
    assert np.allclose(changed.bayes(changed.X_test, changed.served(*NAMES)), plain.bayes(plain.X_test, plain.served(*NAMES)))
    again = pickle.loads(pickle.dumps(plain))
    assert (again.X_test["audio"] == plain.X_test["audio"]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_missing_shares_hold_with_and_without_a_reason(seed):
    for mnar in (0.0, 0.6):
        world = modal_world(seed, mnar=mnar, miss_train_visual=0.25, miss_train_audio=0.4, rows=30_000)
        for present in (world.present, world.present_test):
            assert np.abs((~present)[:, 1:].mean(axis=0) - [0.25, 0.40]).max() < 0.02
        poorer = world.p[~world.present[:, 1]].mean() / world.p[world.present[:, 1]].mean()
        assert (poorer < 0.7) if mnar else (0.93 < poorer < 1.07)


@pytest.mark.parametrize(
    "knobs", [{"miss_train_text": 1.2}, {"miss_serve_audio": -0.1}, {"mnar": -1}, {"scale_visual": 0}, {"noise_text": -1}, {"rows": 0}]
)
def test_a_world_that_cannot_be_is_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        modal_world(0, **knobs)


# --- nets ------------------------------------------------------------------------------------------------------------------------


def small_fit(kind, seed=0, **changes):
    world = world_of(seed, miss_train_visual=0.3, **SMALL)
    return world, fit_fusion(world.X, world.present, world.y, kind=kind, seed=seed, epochs=1, **changes)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_never_read(kind):
    world, model = small_fit(kind)
    present = world.present_test
    found = model.predict(world.X_test, present)
    assert found.shape == (400,) and found.dtype == np.float64 and ((found > 0) & (found < 1)).all()
    other = {name: np.where(present[:, [m]], world.X_test[name], np.nan) for m, name in enumerate(NAMES)}
    assert (model.predict(other, present) == found).all()
    assert not np.allclose(model.predict(world.X_test, world.served("text")), found)
    assert np.allclose(model.predict({name: x[:9] for name, x in world.X_test.items()}, present[:9]), found[:9], atol=1e-6)


def test_gates_weigh_modalities():
    world, gated = small_fit("gated")
    gates = gated.gates(world.X_test, world.present_test)
    assert gates.shape == (400, 3) and np.allclose(gates.sum(axis=1), 1, atol=1e-6) and (gates > 0).all()
    assert gates.std(axis=0).min() > 0
    for kind in ("mean", "late"):
        equal = small_fit(kind)[1].gates(world.X_test, world.present_test)
        assert np.allclose(equal, world.present_test / world.present_test.sum(axis=1, keepdims=True), atol=1e-6)
    for kind in ("concat", "concat_mask"):
        assert np.isnan(small_fit(kind)[1].gates(world.X_test, world.present_test)).all()


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("concat", 3 * 13 * 24 + 73 * 48 + 49),
        ("concat_mask", 3 * 13 * 24 + 76 * 48 + 49),
        ("mean", 3 * 13 * 24 + 25 * 48 + 49),
        ("late", 3 * (13 * 24 + 25 * 48 + 49)),
        ("gated", 3 * 13 * 24 + 25 * 48 + 49 + 76 * 3 + 3 * 24),
    ],
)
def test_parameters_are_counted(kind, count):
    assert small_fit(kind)[1].n_params == count
    assert small_fit(kind, hidden=48)[1].n_params > 1.9 * count


def test_modalities_may_have_any_names_widths_and_number():
    rng = np.random.default_rng(0)
    X, y = {"title": rng.normal(size=(3_000, 5)), "cover": rng.normal(size=(3_000, 9))}, rng.random(3_000)
    y = (expit(2 * X["title"][:, 0] - 2 * X["cover"][:, 1]) > y).astype(int)
    for kind in KINDS:
        model = fit_fusion(X, np.ones((3_000, 2), bool), y, kind=kind, epochs=6, modality_dropout=0.0)
        assert metrics.auc(y, model.predict(X, np.ones((3_000, 2), bool))) > 0.75


def test_dropout_by_name_hides_only_that_modality():
    world = world_of(0, rows=20_000, test_rows=4_000)
    present = np.ones((20_000, 3), bool)
    models = {
        name: fit_fusion(world.X, present, world.y, kind="concat", modality_dropout={name: 0.9}, epochs=3) for name in ("text", "visual")
    }

    def without(name, model):
        rest = world.served(*(other for other in NAMES if other != name))
        return excess(world.p_test, model.predict(world.X_test, rest))

    assert without("text", models["text"]) < 0.95 * without("text", models["visual"])
    assert without("visual", models["visual"]) < 0.95 * without("visual", models["text"])


def test_the_same_seed_gives_the_same_net_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    world, first = small_fit("gated", seed=0)
    found = first.predict(world.X_test, world.present_test)
    assert (small_fit("gated", seed=0)[1].predict(world.X_test, world.present_test) == found).all()
    other = fit_fusion(world.X, world.present, world.y, kind="gated", seed=1, epochs=1)
    assert not np.allclose(other.predict(world.X_test, world.present_test), found, atol=1e-3)
    assert torch.equal(state, torch.get_rng_state())


def test_steps_come_often_and_end_with_the_same_model():
    world = world_of(0, rows=20_000, test_rows=400)
    steps, gaps, seen, started = iter_fusion(world.X, world.present, world.y, kind="gated", epochs=3), [], [], time.thread_time()
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            model = stop.value
            break
        gaps.append(time.thread_time() - started)
        started = time.thread_time()
    assert sorted(gaps)[len(gaps) // 2] < 0.03 and all(0 < step.metrics["loss"] < 2 for step in seen)
    assert [step.done for step in seen] == sorted(step.done for step in seen) and seen[-1].done <= seen[-1].total
    twin = fit_fusion(world.X, world.present, world.y, kind="gated", epochs=3)
    assert (twin.predict(world.X_test, world.present_test) == model.predict(world.X_test, world.present_test)).all()
    left = iter_fusion(world.X, world.present, world.y)
    next(left)
    left.close()


X = {"a": np.zeros((4, 2)), "b": np.ones((4, 3))}
ALL, Y = np.ones((4, 2), bool), np.array([0, 1, 0, 1])
HOLED = {"a": np.full((4, 2), np.nan), "b": X["b"]}


@pytest.mark.parametrize(
    ("arguments", "changes", "named"),
    [
        (({}, ALL, Y), {}, "X has the modalities none"),
        ((X, ALL[:, :1], Y), {}, "present has shape"),
        ((X, 2 * ALL, Y), {}, "present holds 2; expected 0 or 1"),
        ((X, ALL & [[True], [True], [False], [True]], Y), {}, "present has 4 rows, 1 without any modality"),
        (({**X, "b": np.ones((5, 3))}, ALL, Y), {}, r"X\['b'\] has shape"),
        (({**X, "b": np.ones(4)}, ALL, Y), {}, r"X\['b'\] has shape"),
        ((HOLED, ALL, Y), {}, r"X\['a'\] holds 8"),
        ((X, ALL, Y + 0.5), {}, "y holds"),
        ((X, ALL, Y[:3]), {}, "y has 3 rows"),
        ((X, ALL, Y), {"kind": "sum"}, "kind is 'sum'"),
        ((X, ALL, Y), {"modality_dropout": 1.0}, "modality_dropout is"),
        ((X, ALL, Y), {"modality_dropout": {"c": 0.1}}, "modality_dropout names c"),
        ((X, ALL, Y), {"epochs": 0}, "epochs is 0"),
        ((X, ALL, Y), {"hidden": 0}, "hidden is 0"),
    ],
)
def test_bad_input_is_named(arguments, changes, named):
    with pytest.raises(ValueError, match=named):
        fit_fusion(*arguments, **changes)


def test_what_is_predicted_must_look_like_what_was_learned():
    model = fit_fusion(X, ALL, Y, epochs=1)
    for given, named in (({"a": X["a"]}, "X has the modalities a"), ({"a": X["b"], "b": X["b"]}, r"X\['a'\] has 3 columns")):
        with pytest.raises(ValueError, match=named):
            model.predict(given, ALL)
    assert np.isfinite(model.predict(HOLED, ALL & [False, True])).all()


# --- what fusion does ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_dropout_prepares_for_what_is_missing_and_gates_alone_do_not(seed):
    """Trained on complete rows and served text only; then as served, and with all present."""
    world = world_of(seed)
    over = {}
    for kind, dropout in (("concat", 0.0), ("late", 0.0), ("gated", 0.0), ("gated", 0.3), ("concat_mask", 0.3)):
        model_loss, bayes_loss = lost(seed, trained(seed, kind, dropout), world.served("text"))
        over[kind, dropout] = model_loss / bayes_loss
    assert over["late", 0.0] > 1.8 and over["concat", 0.0] > 1.08 and over["gated", 0.0] > 1.06
    assert over["gated", 0.3] < 1.06 and over["concat_mask", 0.3] < 1.08

    def auc_below_bayes(kind, dropout, present):
        found = trained(seed, kind, dropout).predict(world.X_test, present)
        return metrics.expected_auc(world.p_test, world.bayes(world.X_test, present)) - metrics.expected_auc(world.p_test, found)

    assert auc_below_bayes("gated", 0.3, world.present_test) < 0.008 < auc_below_bayes("late", 0.0, world.present_test)
    assert auc_below_bayes("concat", 0.0, world.served(*NAMES)) < 0.004
    assert 0.85 < usage(trained(seed, "gated", 0.3).predict, world)["visual"] < 1.1
    assert usage(trained(seed, "concat", 0.0).predict, world)["visual"] > usage(trained(seed, "gated", 0.3).predict, world)["visual"] + 0.05


def test_the_bayes_rule_uses_each_modality_as_it_should():
    world = world_of(0)
    assert usage(world.bayes, world) == pytest.approx(dict.fromkeys(NAMES, 1.0))
    text_only = usage(lambda X, present: world.bayes(X, present & [True, False, False] | ~present.any(axis=1, keepdims=True)), world)
    assert text_only["visual"] == text_only["audio"] == 0
    assert np.isnan(usage(world.bayes, modal_world(0, weight_audio=0.0, weight_visual=0.0, noise_text=0.0, **SMALL))["visual"])


REASON = {"miss_train_visual": 0.25, "miss_train_audio": 0.4, "mnar": 0.6}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_mask_that_tells_the_outcome_helps_until_an_outage(seed):
    world = world_of(seed, **REASON)
    masked, dropped = trained(seed, "concat_mask", 0.0, **REASON), trained(seed, "gated", 0.3, **REASON)
    served, bayes = lost(seed, masked, world.present_test, **REASON)
    assert served < bayes - 2  # better than the rule that takes what is missing for chance
    outage, at_random = lost(seed, masked, world.served("text"), **REASON)
    assert outage > 1.4 * at_random
    assert lost(seed, dropped, world.served("text"), **REASON)[0] < 0.85 * outage


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_small_vectors_are_ignored_until_they_are_normalised(seed):
    """Visual vectors of a tenth the size, one pass: dropout on the others does not repair it, unit variance does."""
    tenth = {"scale_visual": 0.1}
    world = world_of(seed, **tenth)
    raw = trained(seed, "concat", 0.0, epochs=1, normalise=False, **tenth)
    hidden = trained(seed, "concat", (("text", 0.6),), epochs=1, normalise=False, **tenth)
    unit = trained(seed, "concat", 0.0, epochs=1, **tenth)
    patient = trained(seed, "concat", 0.0, epochs=4, normalise=False, **tenth)
    visual = [usage(model.predict, world)["visual"] for model in (raw, hidden, unit, patient)]
    assert visual[0] < 0.6 and visual[1] < 0.6 and visual[2] > 0.9 and visual[3] > 0.9
    whole = world.served(*NAMES)
    auc = [metrics.expected_auc(world.p_test, model.predict(world.X_test, whole)) for model in (raw, unit)]
    assert auc[0] < auc[1] - 0.04
