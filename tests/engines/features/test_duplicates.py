"""Rank correlations against scipy's, pairs, clusters, and what the registry does with copies."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from simulators.engines.features.definitions import FeatureView
from simulators.engines.features.duplicates import clusters, pairs_above, rank_correlations
from simulators.engines.features.registry import Registry
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_correlations_are_spearmans(seed: int) -> None:
    draws = np.random.default_rng(seed)
    values = np.column_stack([draws.normal(size=300), draws.poisson(1, 300), draws.exponential(size=300).round(1)])
    values = np.column_stack([values, values[:, 0] + draws.normal(size=300)])
    found = rank_correlations(values)
    for one, other in itertools.product(range(4), range(4)):
        assert found[one, other] == pytest.approx(stats.spearmanr(values[:, one], values[:, other]).statistic, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_scale_does_not_matter_and_nulls_are_a_value(seed: int) -> None:
    draws = np.random.default_rng(seed)
    one = draws.lognormal(size=500)
    one[draws.random(500) < 0.3] = np.nan
    found = rank_correlations(np.column_stack([one, 100 * one, np.log(one), -one, draws.normal(size=500)]))
    assert found[0, 1] == found[0, 2] == pytest.approx(1)
    assert found[0, 3] < 0.5 and abs(found[0, 4]) < 0.2
    filled = np.where(np.isnan(one), -1e9, one)
    assert rank_correlations(np.column_stack([one, filled]))[0, 1] == pytest.approx(1)


def test_what_is_the_same_for_everybody_has_no_order() -> None:
    found = rank_correlations([[1, 5], [1, 6], [1, 7]])
    assert np.isnan(found[0]).all() and found[1, 1] == pytest.approx(1)
    assert pairs_above(found, 0.5) == []
    for wrong in ([[1, 2]], [1, 2, 3]):
        with pytest.raises(InvalidInput, match="at least 2 entities"):
            rank_correlations(wrong)


def test_pairs_come_weakest_first_and_each_once() -> None:
    correlations = np.array([[1, 0.9, 0.7], [0.9, 1, 0.8], [0.7, 0.8, 1]])
    assert pairs_above(correlations, 0.8) == [(1, 2), (0, 1)]
    assert pairs_above(correlations, 1) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_clusters_are_connected_components(seed: int) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.random.default_rng(seed).integers(0, 60, (40, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    _, labels = connected_components(coo_array((np.ones(len(pairs)), pairs.T), shape=(60, 60)), directed=False)
    expected = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels[pairs.ravel()].tolist())}
    assert {frozenset(group) for group in clusters(map(tuple, pairs.tolist()))} == expected


# --- copies in a registry ----------------------------------------------------------------------------------------------

TEXT = """
name: {name}
entity: user_id
source: {source}
timestamp: ts
owner: growth
features:
  {feature}: {{op: count, window: 7 d}}
  other: {{op: sum, column: {column}, window: 1 d}}
"""


def view(name: str, feature: str = "clicks", source: str = "events.clicks", column: str = "bid") -> FeatureView:
    return FeatureView.from_yaml(TEXT.format(name=name, feature=feature, source=source, column=column))


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.register(view("a"), cost_usd=100)
    made.register(view("b", feature="n", column="price"), cost_usd=60)
    made.add_source("derived.x", derived_from="a v1:other")
    made.register(view("d", source="derived.x"), cost_usd=10)
    made.add_model("ranker", "ads", {"a:clicks": 30, "b:n": 10})
    made.add_model("churn", "growth", {"b:n": 10})
    made.add_model("late", "growth", {"d:clicks": 10})
    return made


def test_one_feature_may_be_a_copy_where_its_view_is_none(registry: Registry) -> None:
    prints = registry.feature_fingerprints()
    assert prints["a v1:clicks"] == prints["b v1:n"] and prints["a v1:other"] != prints["b v1:other"]
    assert prints["d v1:clicks"] != prints["a v1:clicks"], "a source made from a feature is no copy of the feature's source"
    assert set(registry.feature_fingerprints(view("new"))) == {"new v1:clicks", "new v1:other"}


def test_without_readers_is_not_without_use(registry: Registry) -> None:
    assert registry.unread() == ("a v1:other", "b v1:other", "d v1:other")
    assert registry.orphans() == ("b v1:other", "d v1:other"), "a v1:other feeds a source that is read"
    assert registry.models_broken_by("a:other") == ("late",)


def test_a_replacement_inherits_readers_and_cost_falls(registry: Registry) -> None:
    before = registry.cost("model")
    registry.record_read("b:n", "churn", 7)
    assert registry.replace("b:n", "a:clicks").state == "removed"
    assert registry.reads("a:clicks") == {"ranker": 40, "churn": 10} and registry.reads("b:n") == {}
    assert registry.models_broken_by("b:n") == () and registry.models_broken_by("a:clicks") == ("churn", "ranker")
    assert sum(before.values()) - sum(registry.cost("model").values()) == pytest.approx(30) and registry.cost_of("b:n") == 0
    with pytest.raises(InvalidInput, match="cannot replace itself"):
        registry.replace("a:clicks", "a:clicks")
