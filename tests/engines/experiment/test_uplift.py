"""Uplift: effects known by construction, estimators against brute force, and forests against what honesty promises."""

import time

import numpy as np
import pytest

from simulators.engines.experiment import uplift
from simulators.engines.experiment.stats import Moments, compare
from simulators.engines.experiment.uplift.forest import grow_tree
from simulators.engines.experiment.uplift.segments import gaps_of, segment_effects
from simulators.engines.experiment.uplift.world import UpliftWorld
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)
LEARNERS = {"S": uplift.SLearner, "T": uplift.TLearner, "X": uplift.XLearner, "forest": uplift.CausalForest}


def data(seed, n=20_000, truth="subgroup"):
    world, rng = UpliftWorld(truth), np.random.default_rng(seed)
    return world.draw(n, rng), world.draw(10_000, rng)


def fitted(name, train, **options):
    return LEARNERS[name](**options).fit(train.X, train.treated, train.y)


# --- what the learners find --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def effects():
    """{truth: [(held-out users, {learner: effect})]}, a world a seed."""
    found = {}
    for truth, learners in (("subgroup", LEARNERS), ("constant", ("T", "forest"))):
        worlds = [data(seed, truth=truth) for seed in SEEDS]
        found[truth] = [(test, {name: fitted(name, train).effect(test.X) for name in learners}) for train, test in worlds]
    return found


@pytest.mark.slow
def test_smoothing_the_effect_beats_subtracting_two_models(effects):
    """PEHE: T 0.17, S, X and forest at most two thirds of it; gain at 30 %: T about 80 % of the oracle's, the others 95 % or more."""
    for test, found in effects["subgroup"]:
        error = {name: uplift.pehe(effect, test.tau) for name, effect in found.items()}
        best = uplift.policy_value(test.tau, test.tau, 0.3)
        value = {name: uplift.policy_value(effect, test.tau, 0.3) / best for name, effect in found.items()}
        assert error["T"] == pytest.approx(0.175, abs=0.02)
        assert all(error[name] < 0.67 * error["T"] for name in ("S", "X", "forest"))
        assert error["forest"] < error["S"] and error["forest"] < error["X"]
        assert 0.7 < value["T"] < 0.88
        assert all(value[name] > 0.94 for name in ("S", "X", "forest"))


@pytest.mark.slow
def test_the_t_learner_overstates_its_top_fifth_and_invents_differences(effects):
    for test, found in effects["subgroup"]:
        top = np.argsort(-found["T"])[:2000]
        assert found["T"][top].mean() / test.tau[top].mean() > 1.25
        top = np.argsort(-found["forest"])[:2000]
        assert 0.75 < found["forest"][top].mean() / test.tau[top].mean() < 1.2
    for test, found in effects["constant"]:
        assert uplift.pehe(found["T"], test.tau) > 0.14
        assert uplift.pehe(found["forest"], test.tau) < 0.05
        assert abs(uplift.qini(found["T"], test.treated, test.y)) < 0.02


def test_the_effect_of_a_heavily_unequal_split_is_found():
    """X and forest weigh by the share treated."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        X, treated = rng.standard_normal((8_000, 3)), rng.random(8_000) < 0.1
        tau = np.where(X[:, 0] > 0, 1.0, 0.0)
        y = X[:, 1] + tau * treated + 0.5 * rng.standard_normal(8_000)
        for name in ("X", "forest"):
            effect = LEARNERS[name](trees=50).fit(X, treated, y).effect(X)
            assert effect[tau == 1].mean() - effect[tau == 0].mean() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("name", LEARNERS)
def test_steps_and_repetition_change_nothing(name):
    train, test = data(1, 8_000)
    once = fitted(name, train, trees=60).effect(test.X)
    assert np.array_equal(once, fitted(name, train, trees=60).effect(test.X))
    stepped = LEARNERS[name](trees=60)
    shares = list(stepped.fit_steps(train.X, train.treated, train.y))
    assert shares == sorted(shares) and len(shares) >= 3 and shares[-1] == 1.0
    assert np.allclose(once, stepped.effect(test.X))


@pytest.mark.parametrize("name", LEARNERS)
def test_bad_input_gets_a_sentence(name):
    learner, rng = LEARNERS[name](), np.random.default_rng(0)
    X, treated, y = rng.random((500, 2)), np.arange(500) % 2, rng.random(500)
    with pytest.raises(InvalidInput, match="Treatment is constant in the training half"):
        learner.fit(X, np.ones(500), y)
    with pytest.raises(InvalidInput, match="before fit"):
        LEARNERS[name]().effect(X)
    with pytest.raises(InvalidInput, match="one value a row"):
        learner.fit(X, treated[:-1], y)
    with pytest.raises(InvalidInput, match="y is not finite in row 3"):
        learner.fit(X, treated, np.where(np.arange(500) == 3, np.nan, y))
    with pytest.raises(InvalidInput, match="row 7, column 1"):
        learner.fit(np.where((np.arange(500) == 7)[:, None] & [False, True], np.inf, X), treated, y)
    with pytest.raises(InvalidInput, match="other values than 0 and 1"):
        learner.fit(X, treated * 2, y)
    with pytest.raises(InvalidInput, match="rows are treated"):
        learner.fit(X, np.arange(500) < 3, y)
    with pytest.raises(InvalidInput, match="2 covariates"):
        learner.fit(X, treated, y).effect(X[:, :1])
    with pytest.raises((InvalidInput, TypeError)):
        LEARNERS[name](no_such_option=1)


# --- the forest ------------------------------------------------------------------------------------------------------------------------


def brute_force_split(bins, uv, vv, min_leaf):
    """The best first cut by trying every one."""
    best, at = uv.sum() ** 2 / vv.sum(), None
    for j in range(bins.shape[1]):
        for cut in np.unique(bins[:, j])[:-1]:
            left = bins[:, j] <= cut
            if min(left.sum(), (~left).sum()) < min_leaf:
                continue
            gain = sum(uv[side].sum() ** 2 / vv[side].sum() for side in (left, ~left))
            if gain > best * (1 + 1e-9):
                best, at = gain, (j, int(cut))
    return at


def test_the_first_split_is_the_best_one():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        bins = rng.integers(0, 12, (200, 3)).astype(np.uint8)
        uv, vv, rows = rng.standard_normal(200) + (bins[:, 1] > 5), rng.random(200) + 0.1, np.arange(200)
        tree = grow_tree(bins, uv, vv, rows, rows, 20, 1)
        assert (int(tree.feature[0]), int(tree.cut[0])) == brute_force_split(bins, uv, vv, 20)


def test_leaves_hold_the_means_of_rows_that_chose_no_split():
    rng = np.random.default_rng(4)
    bins, uv, vv = rng.integers(0, 40, (2_000, 4)).astype(np.uint8), rng.standard_normal(2_000), rng.random(2_000)
    split, fill = np.arange(1_000), np.arange(1_000, 2_000)
    tree = grow_tree(bins, uv, vv, split, fill, 25, 6)
    other = grow_tree(bins, np.where(np.arange(2_000) < 1_000, uv, 7.0), vv, split, fill, 25, 6)
    assert np.array_equal(tree.feature, other.feature) and np.array_equal(tree.cut, other.cut)
    leaf = np.array([walk(tree, row) for row in bins])
    assert len(set(leaf)) > 10
    assert min(np.bincount(leaf[split])[np.unique(leaf[split])]) >= 25
    for node in set(leaf[fill]):
        assert tree.uv[node] == pytest.approx(uv[fill][leaf[fill] == node].mean())
        assert tree.vv[node] == pytest.approx(vv[fill][leaf[fill] == node].mean())


def walk(tree, row):
    node = 0
    while tree.feature[node] >= 0:
        node = tree.left[node] + (row[tree.feature[node]] > tree.cut[node])
    return node


def test_a_forest_pools_its_trees():
    train, test = data(2, 3_000)
    forest = fitted("forest", train, trees=40)
    whole = forest.pooled(test.X)
    later = forest.pooled(test.X, first=20)
    forest.grown = forest.grown[:20]
    assert np.allclose((forest.pooled(test.X) + later).uv, whole.uv)


def test_propensity_removes_confounding():
    """Treated people would have been better off anyway; with the right chances the forest finds no effect."""
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((8_000, 2))
        chance = 1 / (1 + np.exp(-1.5 * X[:, 0]))
        treated = rng.random(8_000) < chance
        y = 2 * X[:, 0] + 0.3 * rng.standard_normal(8_000)
        honest = uplift.CausalForest(trees=30, propensity=chance).fit(X, treated, y).effect(X)
        assert abs(honest.mean()) < 0.1
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        uplift.CausalForest(propensity=1.0).fit(X, treated, y)


@pytest.mark.slow
def test_a_hundred_trees_take_about_a_second():
    train, test = data(1)
    fitted("forest", train, trees=10).effect(test.X)
    started = time.process_time()
    fitted("forest", train).effect(test.X)
    assert time.process_time() - started < 4.0


# --- judging ---------------------------------------------------------------------------------------------------------------------------


def brute_force_qini(effect, treated, y):
    """Radcliffe's curve threshold by threshold, and the area by summing trapezoids."""
    points = [(0.0, 0.0)]
    for threshold in sorted(set(effect), reverse=True):
        kept = effect >= threshold
        t, c = y[kept & treated], y[kept & ~treated]
        gain = (t.sum() - c.mean() * len(t)) / treated.sum() if len(c) else 0.0
        points.append((kept.mean(), gain))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in zip(points, points[1:], strict=False))
    return points, area - points[-1][1] / 2


@pytest.mark.parametrize("ties", [False, True])
def test_qini_is_the_area_of_the_curve(ties):
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        treated, effect = rng.random(400) < 0.4, rng.standard_normal(400)
        effect = np.round(effect, 1) if ties else effect
        y = rng.standard_normal(400) + effect * treated
        points, area = brute_force_qini(effect, treated, y)
        share, gain = uplift.qini_curve(effect, treated, y)
        assert np.allclose(np.column_stack([share, gain]), points)
        assert uplift.qini(effect, treated, y) == pytest.approx(area)
        assert gain[-1] == pytest.approx(y[treated].mean() - y[~treated].mean())


def test_qini_orders_truth_noise_and_reversed():
    for seed in SEEDS:
        _, test = data(seed, 100)
        noise = np.random.default_rng(seed).standard_normal(len(test.y))
        best, chance, worst = (uplift.qini(score, test.treated, test.y) for score in (test.tau, noise, -test.tau))
        assert best > chance + 0.01 > worst + 0.02
        assert worst == pytest.approx(-best, abs=0.01)
        assert uplift.qini(np.full(len(test.y), 3.0), test.treated, test.y) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(InvalidInput, match="both arms"):
        uplift.qini([1.0, 2.0], [1, 1], [1.0, 2.0])


def test_sorted_groups_hold_the_effects_of_their_members():
    inside = 0
    for seed in range(10):
        _, test = data(seed, 100)
        order = np.argsort(-test.tau, kind="stable")
        groups = uplift.gates(test.tau, test.treated, test.y)
        for group, rows in zip(groups, np.array_split(order, 5), strict=True):
            arms = [Moments.from_arrays({"y": test.y[rows][test.treated[rows] == arm]}) for arm in (False, True)]
            assert group.observed.estimate == pytest.approx(compare(*arms).estimate)
            inside += group.observed.ci[0] <= test.tau[rows].mean() <= group.observed.ci[1]
        assert groups[0].observed.estimate > groups[-1].observed.estimate
    assert 43 <= inside <= 50
    with pytest.raises(InvalidInput, match="groups"):
        uplift.gates(test.tau, test.treated, test.y, groups=0)


def test_policy_value_by_hand():
    tau = np.array([3.0, 1.0, -2.0, 0.5])
    assert uplift.policy_value(tau, tau, 0.25) == pytest.approx(0.75)
    assert uplift.policy_value(tau, tau, 1.0) == pytest.approx(4.5 / 4)  # nobody is treated to his harm
    assert uplift.policy_value(np.ones(4), tau, 0.5) == pytest.approx(0.5 * tau.mean())  # ties share the cap
    assert uplift.policy_value(-tau, tau, 1.0) == pytest.approx(-0.5)
    with pytest.raises(InvalidInput, match="cap"):
        uplift.policy_value(tau, tau, 0.0)


# --- segments --------------------------------------------------------------------------------------------------------------------------


def arms_of(y, treated, where):
    return tuple(Moments.from_arrays({"y": y[where & (treated == arm)]}) for arm in (False, True))


def test_gap_of_a_segment_is_its_effect_minus_that_of_everybody_else():
    rng = np.random.default_rng(5)
    segment, treated = rng.integers(0, 4, 2_000), rng.random(2_000) < 0.5
    y = 1e6 + rng.standard_normal(2_000) + 0.5 * treated * (segment == 2)
    cells = {str(i): arms_of(y, treated, segment == i) for i in range(4)}
    found = segment_effects([cells], correction="none")
    for i, item in enumerate(found):
        inside, outside = (compare(*arms_of(y, treated, where)) for where in (segment == i, segment != i))
        assert item.gap == pytest.approx(inside.estimate - outside.estimate)
        assert item.gap_se == pytest.approx((inside.variance + outside.variance) ** 0.5)
    assert [item.significant for item in found][2]


def test_corrected_segments_keep_the_error_rate():
    """Nothing differs: 40 segments name a false one in most tests, with Bonferroni in about 5 %."""
    wins, tests, rng = np.zeros(3), 150, np.random.default_rng(6)
    for _ in range(tests):
        n, mean = np.full((2, 40), 200.0), rng.standard_normal((2, 40)) / 200**0.5
        arms = [tuple(Moments(("y",), 200, [200 * m[i]], [[199 + 200 * m[i] ** 2]]) for m in mean) for i in range(40)]
        cells = {str(i): pair for i, pair in enumerate(arms)}
        assert gaps_of(n, mean, np.full((2, 40), 199.0))[0].shape == (40,)
        for i, correction in enumerate(("none", "bonferroni", "bh")):
            wins[i] += any(item.significant for item in segment_effects([cells], correction=correction))
    assert wins[0] > 0.7 * tests
    assert wins[1] < 0.12 * tests and wins[2] < 0.12 * tests


def test_a_small_segment_is_refused_by_name():
    rng = np.random.default_rng(7)
    y, treated = rng.random(300), np.arange(300) % 2 == 0
    cells = {"US": arms_of(y, treated, np.arange(300) > 5), "EU × tablet": arms_of(y, treated, np.arange(300) <= 5)}
    with pytest.raises(InvalidInput, match="Segment EU × tablet has 3 control units; 30 needed"):
        segment_effects([cells])
    assert segment_effects([{"all": arms_of(y, treated, np.ones(300, dtype=bool))}]) == []
