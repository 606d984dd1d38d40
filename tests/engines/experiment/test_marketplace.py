"""The marketplace engine: its estimators against statsmodels, its market against what must hold, its drafts against brute force."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm

from simulators.engines.experiment import marketplace
from simulators.engines.experiment.marketplace import Market, MarketParams, cluster_ols, fixed_effects, order_effect, unit_effect
from simulators.engines.experiment.marketplace.market import WARM_UP_SLOTS
from simulators.engines.experiment.marketplace.ranking import positions, ranked
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)
SMALL = MarketParams(regions=8, days=2, pre_days=1)


def units(seed, n=400, groups=20):
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, groups, n)
    arm = np.arange(n) % 2
    y = 5 + 0.3 * arm + rng.standard_normal(groups)[cluster] + rng.standard_normal(n)
    return rng, y, arm, cluster


def clustered(y, x, cluster, weights=None):
    model = sm.OLS(y, x) if weights is None else sm.WLS(y, x, weights=weights)
    return model.fit(cov_type="cluster", cov_kwds={"groups": cluster})


# --- estimators -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_cluster_robust_ols_agrees_with_statsmodels(seed):
    rng, y, arm, cluster = units(seed)
    x = np.column_stack([np.ones(len(y)), arm, rng.standard_normal(len(y))])
    ours, theirs = cluster_ols(y, x, cluster), clustered(y, x, cluster)
    assert ours.coefficients == pytest.approx(theirs.params, abs=1e-9)
    assert ours.covariance == pytest.approx(theirs.cov_params(), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_relative_unit_effect_is_the_delta_method_over_weighted_least_squares(seed):
    rng, y, arm, cluster = units(seed)
    weights, history = rng.uniform(1, 3, len(y)), rng.standard_normal(len(y))
    centred = history - np.average(history, weights=weights)
    fit = clustered(y, np.column_stack([np.ones(len(y)), arm, centred]), cluster, weights)
    ratio = fit.params[1] / fit.params[0]
    gradient = np.array([-ratio, 1, 0]) / fit.params[0]
    ours = unit_effect(y, arm, cluster, history, weights)
    assert ours.estimate == pytest.approx(ratio, abs=1e-9)
    assert ours.se == pytest.approx(np.sqrt(gradient @ fit.cov_params() @ gradient), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_fixed_effects_agree_with_dummies_in_statsmodels(seed, weighted):
    rng, y, arm, cluster = units(seed)
    cell = rng.integers(0, 40, len(y))
    weights = rng.uniform(1, 3, len(y)) if weighted else np.ones(len(y))
    dummies = (cell[:, None] == np.unique(cell)).astype(float)
    fit = clustered(y, np.column_stack([arm, dummies]), cluster, weights)
    mean, share = np.average(y, weights=weights), np.average(arm, weights=weights)
    base = mean - fit.params[0] * share
    ours = fixed_effects(y, arm, cell, cluster, weights)
    assert ours.estimate == pytest.approx(fit.params[0] / base, abs=1e-9)
    assert ours.se == pytest.approx(fit.bse[0] * mean / base**2, abs=1e-9)


def test_weighted_units_are_the_ratio_of_totals():
    rng = np.random.default_rng(1)
    requests = rng.integers(50, 100, 60)
    orders, arm = rng.binomial(requests, 0.4), np.arange(60) % 2
    whole = order_effect(*(part[arm == a].sum() for a in (0, 1) for part in (orders, requests)))
    assert unit_effect(orders / requests, arm, np.arange(60), weights=requests).estimate == pytest.approx(whole.estimate, abs=1e-12)


def test_design_effect_is_that_of_kish():
    """Clusters of 25 requests with ICC 0.1: 1 + 24 x 0.1."""
    rng = np.random.default_rng(4)
    share = np.repeat(rng.beta(0.4 * 9, 0.6 * 9, 4000), 25)  # ICC of Beta(a, b) is 1 / (a + b + 1)
    cluster = np.repeat(np.arange(4000), 25)
    y, arm = (rng.random(len(share)) < share).astype(float), cluster % 2
    whole = order_effect(y[arm == 0].sum(), (arm == 0).sum(), y[arm == 1].sum(), (arm == 1).sum())
    assert marketplace.design_effect(unit_effect(y, arm, cluster), whole) == pytest.approx(3.4, rel=0.06)


def test_few_clusters_give_an_estimate_without_an_interval():
    found = Market(MarketParams(regions=6, days=1, pre_days=0)).run("cluster", 1)
    assert found.se is None and found.ci is None
    assert found.error == "Fewer than 4 clusters an arm: no interval."
    assert np.isfinite(found.estimate)


# --- the market -----------------------------------------------------------------------------------------------------------------------


def test_drivers_are_neither_made_nor_lost():
    """Idle never exceeds the fleet, also when drivers drift; riders served never exceed those who want."""
    for seed in SEEDS:
        world = Market(replace(SMALL, drift=0.3)).world(seed)
        wants = world.assigned(np.zeros(world.always.shape, np.int8))
        served, idle = world.play(wants)
        assert (served <= wants).all() and (served >= 0).all() and (idle >= 0).all()
        assert idle.sum(axis=1).max() <= world.drivers.sum()
        still, _ = Market(SMALL), None
        quiet = still.world(seed)
        served, idle = quiet.play(0 * quiet.assigned(np.zeros(quiet.always.shape, np.int8)))
        assert (idle == quiet.drivers).all() and served.sum() == 0


def test_rationing_treats_both_arms_alike():
    """Two riders want for each driver: each arm gets its share of what there is."""
    world = Market(replace(SMALL, load=3.0)).world(5)
    shape = world.always.shape
    served, _ = world.play(np.stack([np.full(shape, 30), np.full(shape, 10)]))
    treated = served[1].sum() / served.sum()
    assert served.sum() < 0.6 * 40 * shape[0] * shape[1]
    assert treated == pytest.approx(0.25, abs=0.01)


def test_without_scarcity_every_design_finds_the_lift():
    for seed in SEEDS:
        market = Market(MarketParams(load=0.2, spread=0.0, delta=0.2, pre_days=1))
        world = market.world(seed)
        assert world.gte == pytest.approx(0.2, abs=0.005)
        for design in marketplace.DESIGNS:
            run = market.test(world, design)
            assert abs(run.estimate - run.gte) < 4 * run.se


def test_the_same_seed_is_the_same_world_for_every_design():
    market = Market(SMALL)
    runs = {design: (market.run(design, 7), market.run(design, 7)) for design in marketplace.DESIGNS}
    assert len({run.gte for pair in runs.values() for run in pair}) == 1
    assert all(a.estimate == b.estimate for a, b in runs.values())
    assert len({pair[0].estimate for pair in runs.values()}) == 4
    assert market.run("user", 8).gte != market.run("user", 7).gte


def test_no_lift_is_no_effect():
    for seed in SEEDS:
        world = Market(replace(SMALL, delta=0.0)).world(seed)
        assert world.gte == 0


@pytest.mark.parametrize("delta", [0.1, -0.2])
def test_a_split_by_user_reads_demand(delta):
    for seed in SEEDS:
        run = Market(MarketParams(delta=delta, pre_days=0)).run("user", seed)
        assert run.estimate == pytest.approx(delta, abs=0.012)
        assert abs(run.gte) < 0.7 * abs(delta)


def test_unit_table_counts_every_order_and_request_of_the_test():
    market = Market(replace(SMALL, regions=7, group=2))
    world = market.world(3)
    asked = (world.always + world.sometimes + world.never)[WARM_UP_SLOTS + 288 :].sum()
    for design, rows in (("user", 14), ("cluster", 4), ("cluster_pre", 4), ("switchback", 4 * 48)):
        table = market.test(world, design).unit_table
        assert {len(column) for column in table.values()} == {rows}
        assert table["requests"].sum() == asked
        assert 0 < table["orders"].sum() < asked
    switchback = market.test(world, "switchback").unit_table
    assert switchback["treated"].sum() == len(switchback["treated"]) / 2
    burnt = Market(replace(market.params, burn_in_min=30)).test(world, "switchback").unit_table
    assert burnt["requests"].sum() == pytest.approx(asked / 2, rel=0.02)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"window_min": 50}, "Window 50 min does not divide 24 h."),
        ({"window_min": 16}, "Window 16 min is no multiple"),
        ({"burn_in_min": 60}, "Burn-in 60 min leaves nothing"),
        ({"load": 0.0}, "load is 0.0; expected 0.05 to 20."),
        ({"analysis": "magic"}, "expected order_iid, unit, fixed_effects"),
        ({"regions": 4, "group": 4}, "leave one cluster"),
    ],
)
def test_bad_parameters_are_refused_in_a_sentence(values, sentence):
    with pytest.raises(InvalidInput, match=sentence.replace(".", r"\.")):
        MarketParams(**values)


def test_bad_designs_are_refused_in_a_sentence():
    with pytest.raises(InvalidInput, match="no design 'magic'"):
        Market(SMALL).run("magic", 1)
    with pytest.raises(InvalidInput, match="2 days or more"):
        Market(replace(SMALL, days=1, analysis="fixed_effects")).run("switchback", 1)


# --- rankings -------------------------------------------------------------------------------------------------------------------------


def test_team_draft_keeps_every_item_once_and_balances_the_teams():
    rng = np.random.default_rng(1)
    for _ in range(200):
        a, b = rng.permutation(9), rng.permutation(9)
        ranking, teams = marketplace.team_draft(a, b, rng)
        assert sorted(ranking) == list(range(9))
        for k in range(1, 10):
            assert abs(2 * int(teams[:k].sum()) - k) <= 1
        left = {0: list(a), 1: list(b)}
        for item, team in zip(ranking, teams, strict=True):
            assert next(i for i in left[int(team)]) == item
            left = {t: [i for i in items if i != item] for t, items in left.items()}


def test_team_draft_of_other_items_and_of_equal_rankers():
    rng = np.random.default_rng(2)
    assert sorted(marketplace.team_draft(["x", "y"], ["z"], rng).ranking) == ["x", "y", "z"]
    assert marketplace.team_draft([3, 1, 2], [3, 1, 2], rng).ranking.tolist() == [3, 1, 2]
    firsts = Counter(int(marketplace.team_draft([0, 1], [1, 0], rng).teams[0]) for _ in range(2000))
    assert firsts[0] == pytest.approx(1000, abs=120)
    with pytest.raises(InvalidInput, match="rank_b names an item twice"):
        marketplace.team_draft([1], [2, 2], rng)


def test_many_drafts_follow_the_same_rule():
    """Pages of the compiled loop have the distribution of `team_draft`."""
    rng = np.random.default_rng(3)
    a, b, n = np.array([0, 1, 2]), np.array([2, 0, 1]), 6000
    pages, teams = marketplace.team_drafts(np.tile(a, (n, 1)), np.tile(b, (n, 1)), rng.integers(0, 2, (n, 3), dtype=np.int8))
    many = Counter((*page, *team) for page, team in zip(pages.tolist(), teams.tolist(), strict=True))
    single = Counter()
    for _ in range(n):
        draft = marketplace.team_draft(a, b, rng)
        single[(*draft.ranking.tolist(), *draft.teams.tolist())] += 1
    assert set(many) == set(single)
    assert all(abs(many[key] - single[key]) < 250 for key in many)


def test_counterfactual_page_is_the_ranking_of_an_arm_that_is_alone():
    rng = np.random.default_rng(4)
    control, treated = (ranked(rng.standard_normal((50, 12))) for _ in range(2))
    for arm, alone in ((False, control), (True, treated)):
        assert (marketplace.counterfactual_interleave(control, treated, np.full((50, 12), arm), rng) == alone).all()
    mixed = marketplace.counterfactual_interleave(control, treated, rng.random((50, 12)) < 0.5, rng)
    assert (np.sort(mixed, axis=1) == np.arange(12)).all()
    assert (np.take_along_axis(positions(mixed), mixed, 1) == np.arange(12)).all()
