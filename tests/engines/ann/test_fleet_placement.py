"""Placement: conservation, published bounds, and the figures of routing and of few results a shard."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.ann.fleet_placement import (
    Routing,
    cluster_routing_steps,
    kept_by_k_per_shard,
    largest_to_mean,
    place_tenants,
    tenant_sizes,
)
from simulators.engines.steps import finish

SEEDS = (1, 2, 3)


@cache
def routing(seed: int, shards: int = 16) -> Routing:
    return finish(cluster_routing_steps(shards, seed=seed))


@given(tenants=st.integers(1, 20_000), zipf=st.floats(0, 2), shards=st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_placing_tenants_loses_nothing_and_keeps_grahams_bound(tenants: int, zipf: float, shards: int) -> None:
    """Graham 1966: who comes last to the fullest shard found it at the mean of the others' data or below. Largest first, that is at most
    the tenant after the first S, unless the fullest shard holds one tenant alone."""
    sizes = tenant_sizes(tenants, zipf)
    placed = place_tenants(sizes, shards)
    assert placed.sum() == pytest.approx(1)
    last = sizes[shards] if tenants > shards else 0.0
    assert placed.max() <= max(sizes[0], 1 / shards + (1 - 1 / shards) * last) * (1 + 1e-9)
    assert placed.max() >= sizes[0] - 1e-12


def test_skew_makes_a_whale() -> None:
    even, skewed = (largest_to_mean(place_tenants(tenant_sizes(1_000, zipf), 16)) for zipf in (0.0, 1.6))
    assert even < 1.02 and skewed > 5


def test_sliver_tenants_level_the_shards() -> None:
    exact = place_tenants(tenant_sizes(4_000, 0.8), 16)
    many = place_tenants(tenant_sizes(200_000, 0.8), 16)
    assert largest_to_mean(exact) < 1.01 or exact.max() == pytest.approx(tenant_sizes(4_000, 0.8)[0])
    assert largest_to_mean(many) < 1.01


def test_few_results_of_each_shard_keep_what_the_design_says() -> None:
    assert [kept_by_k_per_shard(16, k) for k in (1, 2, 3, 5)] == pytest.approx([0.76, 0.96, 0.995, 1.0], abs=0.005)
    assert kept_by_k_per_shard(1, 4) == pytest.approx(0.4)


@pytest.mark.parametrize("k_per_shard", [1, 2, 3])
def test_the_closed_form_agrees_with_drawing_neighbours(k_per_shard: int) -> None:
    drawn = np.random.default_rng(4).multinomial(10, np.full(16, 1 / 16), size=20_000)
    assert kept_by_k_per_shard(16, k_per_shard) == pytest.approx(np.minimum(drawn, k_per_shard).sum(axis=1).mean() / 10, abs=0.004)


@pytest.mark.parametrize("seed", SEEDS)
def test_routing_to_few_clusters_loses_neighbours_at_the_borders(seed: int) -> None:
    """Design figures: 1, 2, 4 and 8 of 16 clusters keep .66, .80, .93 and .99."""
    found = routing(seed)
    recalls = [found.recall(visited) for visited in (1, 2, 4, 8, 16)]
    assert recalls == sorted(recalls) and recalls[-1] == 1
    assert recalls[:4] == pytest.approx([0.69, 0.83, 0.935, 0.99], abs=0.08)
    assert found.shares.sum() == pytest.approx(1) and largest_to_mean(found.shares) > 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_routing_beats_guessing(seed: int) -> None:
    assert routing(seed).recall(2) > 3 * 2 / 16
