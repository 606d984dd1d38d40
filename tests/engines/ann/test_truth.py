"""Worlds, exact search against numpy, and recall."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from simulators.engines.ann.data import clustered_vectors, shifted
from simulators.engines.ann.truth import exact_knn, mean_interval, recall_at_k
from simulators.errors import InvalidInput


def numpy_scores(base: np.ndarray, queries: np.ndarray, metric: str) -> np.ndarray:
    """[q, n] in float64, higher is nearer."""
    base, queries = base.astype(np.float64), queries.astype(np.float64)
    if metric == "l2":
        return -((queries[:, None, :] - base[None, :, :]) ** 2).sum(axis=2)
    if metric == "cosine":
        base, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (base, queries))
    return queries @ base.T


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_exact_search_agrees_with_numpy(metric: str, scale: float) -> None:
    rng = np.random.default_rng(0)
    base = (scale * rng.standard_normal((3000, 24)) + scale).astype(np.float32)  # off centre: squares would cancel
    queries = (scale * rng.standard_normal((40, 24)) + scale).astype(np.float32)
    found = exact_knn(base, queries, 10, metric=metric)
    scores = numpy_scores(base, queries, metric)
    assert np.array_equal(found.ids, np.argsort(-scores, axis=1)[:, :10])
    own = np.take_along_axis(scores, found.ids, axis=1) * (-1 if metric == "l2" else 1)
    assert found.scores == pytest.approx(own, rel=1e-4)


def test_a_mask_restricts_and_keeps_row_numbers() -> None:
    world = clustered_vectors(2000, 16, 20, seed=1)
    mask = np.random.default_rng(0).random(2000) < 0.1
    found = exact_knn(world.base, world.queries, 10, mask=mask)
    assert mask[found.ids].all()
    scores = np.where(mask, numpy_scores(world.base, world.queries, "ip"), -np.inf)
    assert np.array_equal(found.ids, np.argsort(-scores, axis=1)[:, :10])


@pytest.mark.parametrize("matching", [0, 1, 3])
def test_where_fewer_match_the_rest_is_padding(matching: int) -> None:
    world = clustered_vectors(100, 16, 5, seed=1)
    mask = np.arange(100) < matching
    ids = exact_knn(world.base, world.queries, 10, mask=mask).ids
    assert ((ids >= 0).sum(axis=1) == matching).all() and (ids[:, matching:] == -1).all()


def test_a_mask_of_another_length_is_refused() -> None:
    world = clustered_vectors(100, 16, 5, seed=1)
    with pytest.raises(InvalidInput, match="mask has 99 rows, base 100"):
        exact_knn(world.base, world.queries, 10, mask=np.ones(99, dtype=bool))


# --- recall ----------------------------------------------------------------------------------------------------------


def test_recall_counts_the_true_ones_once() -> None:
    true = [[1, 2, 3, 4], [1, 2, -1, -1], [-1, -1, -1, -1]]
    found = [[4, 3, 9, 1], [2, 2, -1, -1], [5, -1, -1, -1]]
    assert recall_at_k(found, true, 4)[:2].tolist() == [0.75, 0.5]
    assert np.isnan(recall_at_k(found, true, 4)[2]), "nothing matches: undefined, not 1"
    assert recall_at_k(found, true, 2).tolist()[:2] == [0.0, 0.5]


FOUND = arrays.arrays(np.int64, (3, 8), elements=st.integers(-1, 30))
TRUE = arrays.arrays(np.int64, (3, 8), elements=st.integers(0, 30), unique=True)


@given(FOUND, TRUE)
@settings(deadline=None)
def test_recall_is_the_share_of_the_set(found: np.ndarray, true: np.ndarray) -> None:
    expected = [len(set(mine) & set(wanted)) / 8 for mine, wanted in zip(found.tolist(), true.tolist(), strict=True)]
    assert recall_at_k(found, true, 8).tolist() == pytest.approx(expected)


def test_the_interval_covers_the_mean_about_95_times_in_100() -> None:
    rng = np.random.default_rng(5)
    covered = [low <= 0.8 <= high for _ in range(300) for low, high in [mean_interval(rng.binomial(10, 0.8, 100) / 10, resamples=400)]]
    assert 0.90 <= np.mean(covered) <= 0.985


# --- worlds ----------------------------------------------------------------------------------------------------------


def test_a_world_is_repeatable_and_its_knobs_are_independent() -> None:
    world, again = (clustered_vectors(3000, 48, 50, seed=3) for _ in range(2))
    assert np.array_equal(world.base, again.base)
    larger, other = clustered_vectors(5000, 48, 50, seed=3), clustered_vectors(3000, 48, 50, seed=4)
    assert np.array_equal(larger.base[:3000], world.base) and np.array_equal(larger.queries, world.queries)
    assert not np.array_equal(other.base, world.base)
    strange = clustered_vectors(3000, 48, 50, seed=3, query_shift=0.5)
    assert np.array_equal(strange.base, world.base) and not np.array_equal(strange.queries, world.queries)


def test_vectors_have_unit_length_and_the_type_of_the_library() -> None:
    world = clustered_vectors(500, 20, 30, seed=1, query_shift=0.3)
    for vectors in (world.base, world.queries):
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert vectors.dtype == np.float32 and vectors.flags.c_contiguous


def test_clusters_follow_zipf_and_hold_together() -> None:
    world = clustered_vectors(20_000, 32, 10, seed=1, clusters=20)
    sizes = np.bincount(world.base_cluster, minlength=20)
    expected = np.arange(1, 21) ** -0.7
    assert sizes / 20_000 == pytest.approx(expected / expected.sum(), abs=0.01)
    nearest = exact_knn(world.base, world.base[:300], 2).ids[:, 1]
    assert (world.base_cluster[nearest] == world.base_cluster[:300]).mean() > 0.9


def test_shifted_queries_lose_their_direction_by_degrees() -> None:
    queries = clustered_vectors(100, 64, 200, seed=1).queries
    closeness = [float((queries * shifted(queries, share, seed=1)).sum(axis=1).mean()) for share in (0, 0.25, 0.5, 0.75, 1)]
    assert closeness[0] == pytest.approx(1) and abs(closeness[-1]) < 0.1
    assert (np.diff(closeness) < -0.01).all()
