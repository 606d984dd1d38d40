"""Two models over the same documents: rotation, alignment, search among mixed versions, against known neighbours."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.ann.data import FloatArray, Vectors, clustered_vectors, unit_length
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.engines.ann.versions import MODES, mixed_search, procrustes, quietest_direction, raise_cosines, rotate_model, score_scale
from simulators.errors import InvalidInput

SEEDS = (1, 2, 3)
K = 10


@cache
def world(seed: int) -> Vectors:
    return clustered_vectors(20_000, 64, 200, seed=seed)


@cache
def truth(seed: int) -> np.ndarray:
    return exact_knn(world(seed).base, world(seed).queries, K).ids


@cache
def recall(seed: int, share: float, mode: str, degrees: float = 30.0, cosine: float = 0.0) -> tuple[float, float]:
    """Recall and the share of results from new vectors with this share migrated at random."""
    old, q_old = world(seed).base, world(seed).queries
    new, q_new = rotate_model(old, degrees, seed=seed), rotate_model(q_old, degrees, seed=seed)
    true = truth(seed)
    if cosine:
        quiet = quietest_direction(new)
        new, q_new = (raise_cosines(x, cosine, direction=quiet) for x in (new, q_new))
        true = exact_knn(new, q_new, K).ids
    migrated = np.random.default_rng(seed).permutation(len(old)) < share * len(old)
    found = mixed_search(old, new, migrated, q_old, q_new, K, mode=mode)
    return float(recall_at_k(found.ids, true, K).mean()), float(migrated[found.ids].mean())


def points(n: int, d: int, seed: int) -> FloatArray:
    return unit_length(np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32))


# --- the model of a new model --------------------------------------------------------------------------------------------


@given(d=st.integers(2, 40), degrees=st.floats(0, 90), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_rotation_turns_every_vector_by_the_angle_and_keeps_products(d: int, degrees: float, seed: int) -> None:
    x = points(20, 2 * (d // 2) or 2, seed)
    turned = rotate_model(x, degrees, seed=seed)
    assert (x * turned).sum(axis=1) == pytest.approx(np.cos(np.radians(degrees)), abs=1e-4)
    assert np.abs(turned @ turned.T - x @ x.T).max() < 1e-4


def test_an_odd_dimension_keeps_one_direction() -> None:
    turned = rotate_model(np.eye(5, dtype=np.float32), 90, seed=3)
    assert np.trace(turned) == pytest.approx(1, abs=1e-4), "four directions turn away, one stays"


def test_raised_cosines_have_the_mean_and_keep_the_order() -> None:
    x = world(1).base
    raised = raise_cosines(x, 0.5, direction=quietest_direction(x))
    scores, before = raised[:400] @ raised[400:1400].T, x[:400] @ x[400:1400].T
    assert np.linalg.norm(raised, axis=1) == pytest.approx(1, abs=1e-5)
    assert scores.mean() == pytest.approx(0.5 + 0.5 * before.mean(), abs=0.01)
    assert np.corrcoef(scores.ravel(), before.ravel())[0, 1] > 0.999


# --- mixing versions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_drift_of_the_query_model_alone(seed: int) -> None:
    """Design figures for 5, 10, 20, 30, 45 and 60 degrees."""
    expected = {5: 0.92, 10: 0.85, 20: 0.695, 30: 0.56, 45: 0.345, 60: 0.13}
    for degrees, value in expected.items():
        found = exact_knn(world(seed).base, rotate_model(world(seed).queries, degrees, seed=seed), K)
        assert recall_at_k(found.ids, truth(seed), K).mean() == pytest.approx(value, abs=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_migrated_is_worse_than_either_end(seed: int) -> None:
    """Design figures at 30 degrees, 0, 10, 25, 50, 75 and 100 %: .56, .42, .42, .55, .77, 1.0."""
    curve = [recall(seed, share, "naive")[0] for share in (0, 0.1, 0.25, 0.5, 0.75, 1)]
    assert curve == pytest.approx([0.56, 0.435, 0.43, 0.56, 0.775, 1.0], abs=0.04)
    assert min(curve) < curve[0] - 0.08 and curve[-1] == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_new_vectors_take_far_more_than_their_share(seed: int) -> None:
    assert recall(seed, 0.1, "naive")[1] == pytest.approx(0.5, abs=0.08)
    assert recall(seed, 0.1, "dual_read")[1] == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("mode", ["dual_read", "dual_read_calibrated"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_dual_read_finds_everything_where_scores_compare(mode: str, share: float) -> None:
    for seed in SEEDS:
        assert recall(seed, share, mode)[0] > 0.995


@pytest.mark.parametrize("seed", SEEDS)
def test_raw_scores_fail_and_z_scores_hold_where_scores_do_not_compare(seed: int) -> None:
    raw, calibrated = (recall(seed, 0.1, mode, cosine=0.5) for mode in ("dual_read", "dual_read_calibrated"))
    assert raw[0] < 0.4 and raw[1] > 0.7
    assert calibrated[0] > 0.97 and calibrated[1] == pytest.approx(0.1, abs=0.03)


@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), k=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_dual_read_agrees_with_sorting_all_scores(seed: int, share: float, k: int) -> None:
    """Against numpy: every served vector scored by its own query, the best k."""
    old, new, q_old, q_new = points(60, 8, seed), points(60, 8, seed + 1), points(5, 8, seed + 2), points(5, 8, seed + 3)
    migrated = np.random.default_rng(seed).random(60) < share
    found = mixed_search(old, new, migrated, q_old, q_new, k, mode="dual_read")
    scores = np.where(migrated, q_new @ new.T, q_old @ old.T)
    assert found.scores == pytest.approx(-np.sort(-scores, axis=1)[:, :k], abs=1e-5)
    assert all(len(set(row)) == k for row in found.ids.tolist()), "no document stands twice"


def test_models_of_other_dimensions_are_read_apart() -> None:
    old, new, q_old, q_new = points(50, 8, 1), points(50, 12, 2), points(4, 8, 3), points(4, 12, 4)
    half = np.arange(50) < 25
    for mode in MODES[1:]:
        assert mixed_search(old, new, half, q_old, q_new, 5, mode=mode).ids.shape == (4, 5)
    with pytest.raises(InvalidInput, match=r"8 dimensions, the new one 12.*dual read"):
        mixed_search(old, new, half, q_old, q_new, 5, mode="naive")


def test_what_does_not_fit_is_refused() -> None:
    x, q = points(50, 8, 1), points(4, 8, 3)
    with pytest.raises(InvalidInput, match="mode 'both' was given"):
        mixed_search(x, x, np.zeros(50, bool), q, q, 5, mode="both")
    with pytest.raises(InvalidInput, match="the mask 49"):
        mixed_search(x, x, np.zeros(49, bool), q, q, 5, mode="naive")


def test_a_scale_is_of_the_documents_not_of_the_best() -> None:
    scale = score_scale(world(1).base, world(1).queries)
    assert abs(scale.mean) < 0.05 and 0.05 < scale.sd < 0.3


# --- alignment -----------------------------------------------------------------------------------------------------------


@given(d=st.integers(2, 24), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_procrustes_is_orthogonal_and_recovers_a_rotation(d: int, seed: int) -> None:
    x = points(4 * d, d, seed)
    turn = procrustes(x, rotate_model(x, 40, seed=seed))
    assert np.abs(turn @ turn.T - np.eye(d)).max() < 1e-4
    assert np.abs(x @ turn - rotate_model(x, 40, seed=seed)).max() < 1e-3


def test_procrustes_agrees_with_scipy() -> None:
    from scipy.linalg import orthogonal_procrustes

    source, target = points(100, 12, 1), points(100, 12, 2)
    assert procrustes(source, target) == pytest.approx(orthogonal_procrustes(source, target)[0], abs=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_alignment_needs_pairs_and_a_rotation(seed: int) -> None:
    """Exact for a rotation with pairs enough; useless with ten pairs, or where cosines were raised."""
    old, q_old = world(seed).base, world(seed).queries
    new, q_new = rotate_model(old, 30, seed=seed), rotate_model(q_old, 30, seed=seed)

    def aligned(pairs: int, target: FloatArray, query: FloatArray) -> float:
        turn = procrustes(old[:pairs], target[:pairs])
        true = exact_knn(target, query, K).ids
        migrated = np.arange(len(old)) % 10 == 0
        return float(recall_at_k(mixed_search(old @ turn, target, migrated, q_old, query, K, mode="naive").ids, true, K).mean())

    assert aligned(200, new, q_new) > 0.99
    assert aligned(10, new, q_new) < 0.3
    quiet = quietest_direction(new)
    assert aligned(200, raise_cosines(new, 0.5, direction=quiet), raise_cosines(q_new, 0.5, direction=quiet)) < 0.3
