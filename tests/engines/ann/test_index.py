"""Ten kinds of index behind one face: recall, scores, memory by formula, keeping, and refusals."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import pytest

from simulators.engines.ann import build
from simulators.engines.ann.data import Vectors, clustered_vectors
from simulators.engines.ann.index import KINDS, AnnIndex, build_index, index_steps, load_index
from simulators.engines.ann.kmeans import kmeans_steps
from simulators.engines.ann.memory import index_bytes
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.engines.steps import finish, relay
from simulators.errors import InvalidInput

N, D, Q, K = 6000, 32, 100, 10
SMALL = {"nlist": 32}
ALL = [*KINDS, "hnswlib"]
# Recall of the widest search: 1 for whole vectors, less where codes lose precision. An index below has lost vectors or mixed ids up.
WIDEST = {"flat": 1.0, "ivf_flat": 1.0, "hnsw": 0.99, "hnswlib": 0.99, "ivf_pq_refine": 0.97, "ivf_rabitq_refine": 0.97}
FLOOR = {"sq8": 0.95, "ivf_sq8": 0.95, "hnsw_sq8": 0.94, "ivf_pq": 0.4, "ivf_rabitq": 0.4} | WIDEST


@cache
def world() -> Vectors:
    return clustered_vectors(N, D, Q, seed=2)


def named(kind: str) -> tuple[str, dict[str, Any]]:
    return ("hnsw", {"library": "hnswlib"}) if kind == "hnswlib" else (kind, dict(SMALL))


@cache
def index(kind: str, metric: str = "ip") -> AnnIndex:
    name, params = named(kind)
    return build_index(world().base, name, metric=metric, **params)


def recall(found: Any, metric: str = "ip") -> float:
    return float(recall_at_k(found.ids, exact_knn(world().base, world().queries, K, metric=metric).ids, K).mean())


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("kind", ALL)
def test_the_widest_search_finds_what_the_codes_allow(kind: str, metric: str) -> None:
    found = index(kind, metric).search(world().queries, K, ef_search=512, nprobe=32, k_factor=32)
    assert recall(found, metric) >= FLOOR[kind]
    assert found.ids.shape == (Q, K) and (found.seconds > 0).all()


@pytest.mark.parametrize("kind", ["flat", "ivf_flat", "hnsw", "hnswlib", "ivf_pq_refine"])
@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
def test_scores_are_those_of_the_returned_vectors(kind: str, metric: str) -> None:
    found = index(kind, metric).search(world().queries, K)
    returned = world().base[found.ids]
    expected = (returned * world().queries[:, None]).sum(axis=2)
    if metric == "l2":
        expected = ((returned - world().queries[:, None]) ** 2).sum(axis=2)
    assert found.scores == pytest.approx(expected, abs=1e-4)
    steps = np.diff(found.scores, axis=1) * (-1 if metric == "l2" else 1)
    assert (steps <= 1e-6).all(), "best first"


@pytest.mark.parametrize("kind", ["ivf_flat", "ivf_sq8", "ivf_pq_refine", "ivf_rabitq_refine", "hnsw", "hnsw_sq8", "hnswlib"])
def test_a_wider_search_finds_more(kind: str) -> None:
    narrow, wide = ({"nprobe": 1, "ef_search": 10}, {"nprobe": 16, "ef_search": 200})
    assert recall(index(kind).search(world().queries, K, **wide)) >= recall(index(kind).search(world().queries, K, **narrow)) + 0.01


def test_more_rescored_candidates_find_more() -> None:
    few, many = (recall(index("ivf_pq_refine").search(world().queries, K, nprobe=32, k_factor=factor)) for factor in (1, 16))
    assert many >= few + 0.2


def test_rabitq_bits_buy_recall() -> None:
    recalls = [recall(build_index(world().base, "ivf_rabitq", nbits=bits, **SMALL).search(world().queries, K)) for bits in (1, 2, 4, 8)]
    assert (np.diff(recalls) > 0.01).all() and recalls[-1] > 0.95


def test_faiss_and_hnswlib_agree_at_equal_settings() -> None:
    ours, theirs = (index(kind).search(world().queries, K, ef_search=64) for kind in ("hnsw", "hnswlib"))
    assert recall(ours) == pytest.approx(recall(theirs), abs=0.02)
    assert (ours.ids == theirs.ids).mean() > 0.95


def test_hnswlib_is_called_as_one_would_call_it() -> None:
    raw = hnswlib.Index(space="ip", dim=D)
    raw.init_index(max_elements=N, M=16, ef_construction=64, random_seed=1)
    raw.add_items(world().base, num_threads=1)
    raw.set_ef(64)
    found, distances = raw.knn_query(world().queries, K, num_threads=1)
    ours = index("hnswlib").search(world().queries, K, ef_search=64)
    assert (ours.ids == found.astype(np.int64)).mean() > 0.97
    assert ours.scores == pytest.approx(1 - distances, abs=0.05)


def test_a_sorted_base_trains_as_good_codes() -> None:
    """Codecs and cells learn from rows drawn at random; the first rows of a sorted file would mislead them."""
    vectors = clustered_vectors(40_000, 16, 50, seed=3)
    ordered = np.ascontiguousarray(vectors.base[np.argsort(vectors.base[:, 0])])
    truth = exact_knn(ordered, vectors.queries, K).ids
    for kind in ("sq8", "ivf_sq8"):
        found = build_index(ordered, kind, nlist=32).search(vectors.queries, K, nprobe=32)
        assert recall_at_k(found.ids, truth, K).mean() > 0.9


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_the_formula_weighs_the_index_within_two_percent(kind: str) -> None:
    name, params = named(kind)
    model = index_bytes(N, D, name, **params)
    assert model.total == pytest.approx(index(kind).memory_bytes(), rel=0.02)
    assert model.total == pytest.approx(sum(model.parts.values()))


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("hnsw", {"M": 4, "ef_construction": 16}),
        ("hnsw", {"M": 48, "ef_construction": 16}),
        ("hnsw", {"M": 6, "ef_construction": 16, "library": "hnswlib"}),
        ("hnsw_sq8", {"M": 32, "ef_construction": 16}),
        ("ivf_flat", {"nlist": 600}),
        ("ivf_sq8", {"nlist": 8}),
        ("ivf_pq", {"nlist": 16, "pq_m": 8}),
        ("ivf_pq", {"nlist": 150, "pq_m": 32}),
        ("ivf_pq", {"nlist": 1000}),
        ("ivf_pq_refine", {"nlist": 64, "refine": "sq8"}),
        ("ivf_rabitq", {"nlist": 64, "nbits": 2}),
        ("ivf_rabitq", {"nlist": 64, "nbits": 8}),
        ("ivf_rabitq_refine", {"nlist": 64, "refine": "sq8"}),
    ],
)
def test_the_formula_follows_every_parameter(kind: str, params: dict[str, Any]) -> None:
    assert index_bytes(N, D, kind, **params).total == pytest.approx(build_index(world().base, kind, **params).memory_bytes(), rel=0.02)


def test_the_formula_meets_published_arithmetic() -> None:
    assert index_bytes(10**9, 768, "flat").total == 3.072e12
    assert index_bytes(10**9, 768, "hnsw", M=16).total == pytest.approx(3.22e12, rel=0.005)
    assert index_bytes(100_000, 128, "hnsw", M=16).total / 2**20 == pytest.approx(62.6, rel=0.005)
    assert index_bytes(100_000, 128, "hnsw", M=32).total / 2**20 == pytest.approx(74.8, rel=0.005)
    billion = index_bytes(10**9, 768, "ivf_pq", nlist=2**17, pq_m=64).parts
    assert (
        billion["codes"] == pytest.approx(32e9, rel=0.01)
        and billion["ids"] == 8e9
        and billion["centroids"] == pytest.approx(0.4e9, rel=0.02)
    )


# --- keeping, ids, steps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_saved_and_pickled_it_answers_the_same(kind: str, tmp_path: Path) -> None:
    index(kind).save(tmp_path / "index.npz")
    for kept in (load_index(tmp_path / "index.npz"), pickle.loads(pickle.dumps(index(kind), protocol=5))):
        mine, its = index(kind).search(world().queries, K), kept.search(world().queries, K)
        assert np.array_equal(mine.ids, its.ids) and np.array_equal(mine.scores, its.scores)
        assert (kept.memory_bytes(), kept.build_seconds) == (index(kind).memory_bytes(), index(kind).build_seconds)


@pytest.mark.parametrize("kind", ["flat", "ivf_pq_refine", "hnsw"])
def test_own_ids_come_back_also_after_keeping(kind: str, tmp_path: Path) -> None:
    own = np.random.default_rng(0).permutation(N) + 10**12
    labelled = build_index(world().base, kind, ids=own, **SMALL)
    labelled.save(tmp_path / "index.npz")
    plain = index(kind).search(world().queries, K).ids
    assert np.array_equal(load_index(tmp_path / "index.npz").search(world().queries, K).ids, own[plain])
    assert labelled.memory_bytes() == index(kind).memory_bytes() + 8 * N


@pytest.mark.parametrize("kind", ["flat", "ivf_flat", "ivf_pq", "hnsw", "hnswlib"])
def test_what_is_not_there_is_padding(kind: str) -> None:
    name, params = named(kind)
    few = build_index(world().base[:20], name, **(params | {"nlist": 4}))
    ids = few.search(world().queries, 30, nprobe=4).ids
    assert (ids[:, 20:] == -1).all() and {len(set(row)) for row in ids[:, :20].tolist()} == {20}


@pytest.mark.parametrize("kind", ALL)
def test_the_same_seed_builds_the_same_index(kind: str) -> None:
    name, params = named(kind)
    again = build_index(world().base, name, **params).search(world().queries, K)
    assert np.array_equal(again.ids, index(kind).search(world().queries, K).ids)


@pytest.mark.parametrize("kind", ["ivf_pq_refine", "hnsw", "hnswlib"])
def test_building_says_how_far_it_is(kind: str) -> None:
    name, params = named(kind)
    shares: list[float] = []
    made = finish(relay(index_steps(world().base, name, **params), shares.append))
    assert len(shares) >= 10 and (np.diff(shares) >= 0).all() and shares[0] > 0 and shares[-1] == 1
    assert made.build_seconds > 0


def test_every_vector_is_counted_in_one_cell_by_kmeans() -> None:
    rng = np.random.default_rng(0)
    centres = 10 * rng.standard_normal((5, 8))
    points = (np.repeat(centres, 200, axis=0) + 0.1 * rng.standard_normal((1000, 8))).astype(np.float32)
    found = finish(kmeans_steps(points, 5, spherical=False, seed=3))
    error = exact_knn(found, points, 1, metric="l2").scores.mean()
    spread = ((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()
    assert error < 0.3 * spread
    unit = finish(kmeans_steps(points, 5, spherical=True, seed=3))
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-5)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "more", "sentence"),
    [
        ("annoy", {}, "kind 'annoy' was given; expected one of flat, sq8"),
        ("flat", {"metric": "hamming"}, "metric 'hamming' was given; expected one of ip, l2, cosine"),
        ("flat", {"library": "hnswlib"}, "library 'hnswlib' was given for flat"),
        ("hnsw", {"trees": 3}, "no build parameter 'trees'; there are M, ef_construction"),
        ("hnsw", {"M": 1}, "M >= 2"),
        ("ivf_flat", {"nlist": 7000}, "nlist 7,000 was given for 6,000 vectors"),
        ("ivf_pq", {"pq_m": 5}, "pq_m 5 does not divide 32 dimensions; the divisors are 1, 2, 4, 8, 16, 32"),
        ("ivf_pq_refine", {"refine": "int3"}, "refine 'int3' was given; expected float32 or sq8"),
        ("ivf_rabitq", {"nbits": 0}, "nbits from 1 to 9"),
        ("flat", {"ids": [1, 2]}, "ids have the shape"),
        ("flat", {"ids": [0] * N}, "ids must be distinct"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(kind: str, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence.replace("(", r"\(")):
        build_index(world().base, kind, **more)


def test_too_few_vectors_for_a_codebook_are_refused() -> None:
    with pytest.raises(InvalidInput, match="15 vectors are too few"):
        build_index(world().base[:15], "ivf_pq", nlist=2)


def test_a_zero_vector_has_no_cosine() -> None:
    base = world().base.copy()
    base[17] = 0
    with pytest.raises(InvalidInput, match="base: row 17 has length zero"):
        build_index(base, "flat", metric="cosine")
    with pytest.raises(InvalidInput, match="queries: row 17 has length zero"):
        index("flat", "cosine").search(base[:20], K)
    assert build_index(base, "flat", metric="ip").n == N


@pytest.mark.parametrize(
    ("queries", "more", "sentence"),
    [
        (np.zeros((3, D + 1), np.float32), {}, "expected rows of 32 dimensions"),
        (np.zeros(D, np.float32), {}, "expected rows of 32 dimensions"),
        (np.zeros((3, D), np.float32), {"nprobe": 33}, "nprobe 33 was given; expected 1 to 32"),
        (np.zeros((3, D), np.float32), {"k": 0}, "k is 0, expected at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(queries: np.ndarray, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        index("ivf_flat").search(queries, **({"k": K} | more))


def test_odd_dimensions_have_sub_quantisers() -> None:
    assert build.BuildParams().sub_quantisers(64) == 32
    assert build.BuildParams().sub_quantisers(25) == 25
    assert build.BuildParams(pq_m=16).sub_quantisers(64) == 16
