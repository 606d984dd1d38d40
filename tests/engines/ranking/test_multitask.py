"""Multi-task nets against closed forms, an independent logistic regression, and the effects of sharing on a world whose truth is known."""

import time
from functools import cache

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from simulators.engines.ranking import metrics
from simulators.engines.ranking.multitask import KINDS, fit_multitask, iter_multitask
from simulators.engines.ranking.worlds import task_world

A, B = 0, 1
SMALL = {"rows": 2_000, "test_rows": 500}
QUICK = {"epochs": 2, "batch": 256}


def small_fit(kind="mmoe", seed=0, **changes):
    world = task_world(seed, **SMALL)
    return world, fit_multitask(world.X, world.Y, world.mask, kind=kind, seed=seed, **QUICK, **changes)


# --- shapes, counts and gates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "count"),
    [
        ({"kind": "single"}, 2 * (16 * 12 + 12 + 12 * 8 + 8) + 2 * (8 * 8 + 8 + 8 + 1)),
        ({"kind": "shared_bottom"}, (16 * 12 + 12 + 12 * 8 + 8) + 2 * (8 * 8 + 8 + 8 + 1)),
        ({"kind": "mmoe", "experts": 8}, 2_898),
        ({"kind": "ple", "experts": 4}, 1_530),
        ({"kind": "mmoe", "experts": 32}, 11_106),
        ({"kind": "mmoe", "experts": 3, "expert": (5,), "tower": ()}, 3 * (16 * 5 + 5) + 2 * (16 * 3 + 3) + 2 * (5 + 1)),
    ],
)
def test_parameters_are_counted(design, count):
    world = task_world(0, rows=50, test_rows=1)
    assert fit_multitask(world.X, world.Y, world.mask, epochs=1, **design).n_params == count


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_are_probabilities_of_every_task(kind):
    world, model = small_fit(kind)
    found = model.predict(world.X_test)
    assert found.shape == (500, 2) and found.dtype == np.float64
    assert ((found > 0) & (found < 1)).all()
    assert np.allclose(found[:7], model.predict(world.X_test[:7]), atol=1e-6)


def test_gates_weigh_the_experts_a_task_may_use():
    world, mmoe = small_fit("mmoe", experts=5)
    gates = mmoe.gates(world.X_test)
    assert gates.shape == (2, 5) and np.allclose(gates.sum(axis=1), 1) and (gates > 0).all()
    by_row = np.mean([mmoe.gates(row[None]) for row in world.X_test[:40]], axis=0)
    assert np.allclose(by_row, mmoe.gates(world.X_test[:40]), atol=1e-6)
    ple = small_fit("ple", experts=5)[1].gates(world.X_test)
    assert ple[A, B] == ple[B, A] == 0 and np.allclose(ple.sum(axis=1), 1)
    assert (np.delete(ple[A], B) > 0).all() and (np.delete(ple[B], A) > 0).all()
    assert small_fit("single")[1].gates(world.X_test).tolist() == [[1, 0], [0, 1]]
    assert small_fit("shared_bottom")[1].gates(world.X_test).tolist() == [[1], [1]]


def test_three_tasks_give_each_its_private_expert():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(600, 4)), rng.integers(0, 2, (600, 3))
    gates = fit_multitask(X, Y, kind="ple", experts=4, **QUICK).gates(X)
    assert ((gates[:, :3] > 0) == np.eye(3, dtype=bool)).all() and (gates[:, 3] > 0).all()
    assert (fit_multitask(X, Y, kind="ple", experts=3, **QUICK).gates(X) == np.eye(3)).all()


def test_a_task_without_gates_is_learned_alone():
    """The first task's net knows nothing of the second's labels."""
    world = task_world(0, **SMALL)
    other = np.where(world.mask, 1 - world.Y, np.nan)
    swapped = np.stack([world.Y[:, A], other[:, B]], axis=1)
    for kind, same in (("single", True), ("shared_bottom", False), ("mmoe", False)):
        a, b = (fit_multitask(world.X, Y, kind=kind, **QUICK).predict(world.X_test)[:, A] for Y in (world.Y, swapped))
        assert np.allclose(a, b, atol=1e-6) == same, kind


# --- labels --------------------------------------------------------------------------------------------------------------


def test_unlabelled_rows_do_not_count():
    world = task_world(0, **SMALL)
    rng = np.random.default_rng(1)
    noise = np.where(world.mask, world.Y, rng.integers(0, 2, world.Y.shape))
    by_nan, by_mask, unmasked = (
        fit_multitask(world.X, *labels, kind="mmoe", epochs=12).predict(world.X_test)
        for labels in ((world.Y,), (noise, world.mask), (noise,))
    )
    assert (by_nan == by_mask).all()
    assert np.abs(unmasked[:, B].mean() - by_mask[:, B].mean()) > 0.1  # coin flips as labels pull the rare task towards a half


def test_rows_without_a_label_of_the_task_do_not_count_for_it_though_others_have_one():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(900, 3)), np.tile([1.0, np.nan], (900, 1))
    Y[::10, 1] = 0
    found = fit_multitask(X, Y, kind="single", epochs=40, batch=100).predict(X)
    assert found[:, 0].min() > 0.9 and found[:, 1].max() < 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_watch_losses_have_the_odds_of_their_closed_form(seed):
    """Four kinds of video, click rates p and minutes m: exact gives p m, Covington's p m / (1 - p)."""
    rng = np.random.default_rng(seed)
    p, minutes, kind = np.array([0.1, 0.3, 0.5, 0.7]), np.array([8.0, 2.0, 4.0, 1.0]), np.arange(8_000) % 4
    clicked = rng.random(8_000) < p[kind]
    watched = np.where(clicked, minutes[kind] * rng.uniform(0.5, 1.5, 8_000), 0)
    X, Y = np.eye(4)[kind], np.stack([clicked, watched], axis=1)
    expected = np.array([watched[kind == each].mean() for each in range(4)])
    rate = np.array([clicked[kind == each].mean() for each in range(4)])
    odds = {"exact": expected, "covington": expected / (1 - rate)}
    for watch_loss, closed_form in odds.items():
        model = fit_multitask(X, Y, kind="single", watch_task=1, watch_loss=watch_loss, epochs=60, batch=1_000, lr=2e-3, seed=seed)
        found = model.predict(np.eye(4))
        assert np.allclose(found[:, 1], closed_form, rtol=0.05), watch_loss
        assert np.allclose(found[:, 0], rate, atol=0.03)
    assert odds["covington"][3] > 2.5 * odds["exact"][3]  # far apart where clicks are common


def test_watch_minutes_may_be_unlabelled_too():
    rng = np.random.default_rng(0)
    X, watched = np.eye(2)[np.arange(2_000) % 2], np.where(np.arange(2_000) % 2, 6.0, 2.0)
    Y = np.stack([watched > 0, np.where(rng.random(2_000) < 0.5, watched, np.nan)], axis=1)
    found = fit_multitask(X, Y, kind="single", watch_task=1, epochs=80).predict(np.eye(2))
    assert np.allclose(found[:, 1], [2, 6], rtol=0.05)


def test_task_weights_move_the_shared_net():
    world = task_world(0, rows=6_000, test_rows=4_000)
    scores = {
        weights: metrics.auc(
            (world.p_test[:, B] > np.median(world.p_test[:, B])).astype(int),
            fit_multitask(world.X, world.Y, kind="shared_bottom", weights=weights, epochs=8).predict(world.X_test)[:, B],
        )
        for weights in ((1, 0), (0, 1))
    }
    assert scores[0, 1] > scores[1, 0] + 0.03


# --- agreement and manners -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_linear_world_it_is_as_good_as_a_logistic_regression(seed):
    rng = np.random.default_rng(seed)
    X, w = rng.normal(size=(8_000, 5)), rng.normal(size=5)
    p = expit(X @ w - 1)
    y = (rng.random(8_000) < p).astype(int)
    train, test = slice(6_000), slice(6_000, None)
    peer = LogisticRegression(C=1e6).fit(X[train], y[train]).predict_proba(X[test])[:, 1]
    own = fit_multitask(X[train], y[train, None], kind="single", epochs=15, seed=seed).predict(X[test])[:, 0]
    assert metrics.excess_log_loss(p[test], own) < metrics.excess_log_loss(p[test], peer) + 0.008
    assert metrics.auc(y[test], own) > metrics.auc(y[test], peer) - 0.005


def test_columns_of_any_scale_are_learned_alike():
    world = task_world(0, **SMALL)
    scale, shift = np.logspace(-3, 4, 16), np.linspace(-50, 500, 16)
    plain = fit_multitask(world.X, world.Y, kind="mmoe", **QUICK).predict(world.X_test)
    moved = fit_multitask(world.X * scale + shift, world.Y, kind="mmoe", **QUICK).predict(world.X_test * scale + shift)
    assert np.allclose(plain, moved, atol=1e-3)


def test_a_constant_column_is_no_trouble():
    world = task_world(0, **SMALL)
    X = np.column_stack([world.X, np.full(2_000, 3.0)])
    assert np.isfinite(fit_multitask(X, world.Y, **QUICK).predict(X)).all()


def test_the_same_seed_gives_the_same_net_and_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    world, first = small_fit(seed=3)
    second, other = small_fit(seed=3)[1], fit_multitask(world.X, world.Y, kind="mmoe", seed=4, **QUICK)
    assert (first.predict(world.X_test) == second.predict(world.X_test)).all()
    assert not np.allclose(first.predict(world.X_test), other.predict(world.X_test), atol=1e-3)
    assert torch.equal(state, torch.get_rng_state())


def test_steps_come_often_end_with_the_same_model_and_may_be_left():
    world = task_world(0, rows=20_000, test_rows=500)
    started, gaps, seen = time.thread_time(), [], []
    steps = iter_multitask(
        world.X, world.Y, world.mask, kind="mmoe", epochs=2, probe=lambda model: {"mean": model.predict(world.X_test).mean()}
    )
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            model = stop.value
            break
        gaps.append(time.thread_time() - started)
        started = time.thread_time()
    assert sorted(gaps)[len(gaps) // 2] < 0.03
    assert [step.done for step in seen] == sorted(step.done for step in seen) and seen[-1].done == seen[-1].total
    probes = [step.metrics["mean"] for step in seen if "mean" in step.metrics]
    assert len(probes) == 2 and probes[-1] == model.predict(world.X_test).mean()
    assert any(0 < step.metrics.get("loss", 0) < 2 for step in seen)
    twin = fit_multitask(world.X, world.Y, world.mask, kind="mmoe", epochs=2)
    assert (twin.predict(world.X_test) == model.predict(world.X_test)).all()
    left = iter_multitask(world.X, world.Y)
    next(left)
    left.close()


X, Y = np.zeros((6, 3)), np.tile([0.0, 1.0], (6, 1))
NAN_AT = np.where(np.eye(6, 3, dtype=bool), np.nan, X)


@pytest.mark.parametrize(
    ("arguments", "changes", "named"),
    [
        ((X[:5], Y), {}, "Y has 6 rows; expected 5"),
        ((NAN_AT, Y), {}, "X holds 3"),
        ((X[0], Y), {}, "X has 1 dimensions"),
        ((X, Y[:, 0]), {}, "Y has shape"),
        ((X, Y + 0.5), {}, "Y holds 0.5 in column 0"),
        ((X, np.where([True, False], Y, np.nan)), {}, "Y has no label in column 1"),
        ((X, np.where([True, False], Y, np.nan), np.ones((6, 2), bool)), {}, "Y holds 6 NaN where mask"),
        ((X, Y, np.ones((6, 3), bool)), {}, "mask has shape"),
        ((X, Y, 2 * np.ones((6, 2))), {}, "mask holds 2; expected 0 or 1"),
        ((X, Y), {"kind": "moe"}, "kind is 'moe'"),
        ((X, Y), {"watch_loss": "huber"}, "watch_loss is 'huber'"),
        ((X, Y), {"watch_task": 2}, "watch_task is 2"),
        ((X, -Y), {"watch_task": 1}, "Y holds -1 in column 1; expected minutes"),
        ((X, Y), {"kind": "ple", "experts": 1}, "experts is 1"),
        ((X, Y), {"experts": 0}, "experts is 0"),
        ((X, Y), {"expert": ()}, "expert is"),
        ((X, Y), {"tower": (0,)}, "tower is"),
        ((X, Y), {"epochs": 0}, "epochs is 0"),
        ((X, Y), {"batch": 0}, "batch is 0"),
        ((X, Y), {"lr": 0.0}, "lr is 0"),
        ((X, Y), {"weights": (1,)}, "weights is"),
        ((X, Y), {"weights": (1, -1)}, "weights is"),
        ((X, Y), {"weights": (0, 0)}, "weights is"),
        ((X, Y), {"weights": (1, np.nan)}, "weights holds"),
    ],
)
def test_bad_input_is_named(arguments, changes, named):
    with pytest.raises(ValueError, match=named):
        fit_multitask(*arguments, **changes)


def test_rows_to_predict_must_look_like_those_learned_from():
    model = fit_multitask(X, Y, epochs=1)
    for rows, named in ((X[:, :2], "X is 6 x 2"), (X[:0], "X is 0 x 3"), (NAN_AT, "X holds 3"), (X[0], "X has 1 dim")):
        for reads in (model.predict, model.gates):
            with pytest.raises(ValueError, match=named):
                reads(rows)


# --- the world -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_follow_the_known_probabilities(seed):
    world = task_world(seed, label_rate=0.3, rows=20_000)
    assert world.X.shape == (20_000, 16) and world.X_test.shape == (20_000, 16) and world.p_test.shape == (20_000, 2)
    assert world.mask[:, A].all() and abs(world.mask[:, B].mean() - 0.3) < 4 * np.sqrt(0.21 / 20_000)
    assert (np.isnan(world.Y) == ~world.mask).all()
    for task in (A, B):
        known = world.mask[:, task]
        p, y = world.p[known, task], world.Y[known, task]
        for part in np.array_split(np.argsort(p), 5):
            assert abs((y - p)[part].mean()) < 4 * np.sqrt((p * (1 - p))[part].sum()) / len(part)


def test_rho_turns_the_second_task_and_leaves_the_rest():
    same, apart, opposed = (task_world(1, rho=rho, rows=4_000) for rho in (1, 0, -1))
    logit = [np.log(w.p / (1 - w.p)) + [0.7, 2.2] for w in (same, apart, opposed)]
    assert np.allclose(logit[0][:, A], logit[0][:, B]) and np.allclose(logit[2][:, A], -logit[2][:, B])
    assert abs(np.corrcoef(logit[1].T)[0, 1]) < 0.06
    for other in (apart, opposed):
        assert (other.X == same.X).all() and (other.mask == same.mask).all() and (other.Y[:, A] == same.Y[:, A]).all()
    assert task_world(1).X[0, 0] != task_world(2).X[0, 0]


@pytest.mark.parametrize("knobs", [{"rho": 1.1}, {"label_rate": 0}, {"label_rate": 1.2}, {"rows": 0}, {"test_rows": 0}])
def test_a_world_that_cannot_be_is_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        task_world(0, **knobs)


# --- what sharing does -----------------------------------------------------------------------------------------------------


@cache
def excess_of_b(rho, kind, seed):
    """1000 x mean KL of the rare task at the full size."""
    world = task_world(seed, rho=rho)
    model = fit_multitask(world.X, world.Y, world.mask, kind=kind, seed=seed)
    return 1000 * metrics.excess_log_loss(world.p_test[:, B], model.predict(world.X_test)[:, B])


def mean_excess(rho, kind):
    return np.mean([excess_of_b(rho, kind, seed) for seed in range(4)])


@pytest.mark.slow
def test_sharing_poisons_strangers_and_gates_save_them():
    single, shared, mmoe = (mean_excess(0.0, kind) for kind in ("single", "shared_bottom", "mmoe"))
    assert shared > 1.3 * single
    assert mmoe < 0.8 * shared
    assert all(excess_of_b(0.0, "mmoe", seed) < excess_of_b(0.0, "shared_bottom", seed) for seed in range(4))


@pytest.mark.slow
def test_sharing_feeds_the_rare_twin():
    assert mean_excess(1.0, "shared_bottom") < 0.5 * mean_excess(1.0, "single")
