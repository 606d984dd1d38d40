"""Searching under a filter: three ways for a walk to stop, four strategies, and what they cost, against exact search and hnswlib."""

from __future__ import annotations

import heapq
import pickle
from functools import cache
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.ann.data import Vectors, clustered_vectors
from simulators.engines.ann.filters import estimated_share, fetched, plan_filter, search_filtered
from simulators.engines.ann.index import KINDS, AnnIndex, build_index
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.engines.ann.two_hop import graph_of
from simulators.errors import InvalidInput

N, D, Q, K = 4000, 24, 40, 10
Mask = npt.NDArray[np.bool_]


@cache
def world() -> Vectors:
    return clustered_vectors(N, D, Q, seed=3)


@cache
def index(kind: str = "hnsw", metric: str = "ip", library: str = "faiss") -> AnnIndex:
    return build_index(world().base, kind, metric=metric, nlist=32, library=library)


def random_mask(share: float, n: int = N) -> Mask:
    mask = np.zeros(n, dtype=np.bool_)
    mask[np.random.default_rng(1).permutation(n)[: round(share * n)]] = True
    return mask


def recall(ids: Any, mask: Mask, metric: str = "ip") -> float:
    return float(recall_at_k(ids, exact_knn(world().base, world().queries, K, metric=metric, mask=mask).ids, K).mean())


# --- the mask and its stops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_returns_only_what_passes(kind: str) -> None:
    mask = random_mask(0.3)
    found = index(kind).search(world().queries, K, mask=mask, nprobe=32, ef_search=200, k_factor=32)
    assert mask[found.ids[found.ids >= 0]].all()
    assert recall(found.ids, mask) >= {"ivf_pq": 0.4, "ivf_rabitq": 0.4, "sq8": 0.9, "ivf_sq8": 0.9, "hnsw_sq8": 0.85}.get(kind, 0.95)


@pytest.mark.parametrize("metric", ["ip", "l2", "cosine"])
@pytest.mark.parametrize("stop", ["visited", "accepted", "two_hop"])
def test_every_stop_finds_neighbours_and_their_scores_in_every_metric(stop: str, metric: str) -> None:
    mask = random_mask(0.3)
    found = index("hnsw", metric).search(world().queries, K, mask=mask, ef_search=150, stop=stop)
    assert recall(found.ids, mask, metric) >= 0.97 and mask[found.ids].all()
    truth = exact_knn(world().base, world().queries, K, metric=metric, mask=mask)
    same = found.ids == truth.ids
    assert same.mean() > 0.95 and found.scores[same] == pytest.approx(truth.scores[same], abs=1e-4)


def test_the_selector_is_faiss_s_own() -> None:
    mask = random_mask(0.1)
    bits = np.packbits(mask, bitorder="little")
    raw = faiss.deserialize_index(index().__getstate__()["engine"])
    params = faiss.SearchParametersHNSW(sel=faiss.IDSelectorBitmap(bits), efSearch=48)
    theirs = raw.search(world().queries, K, params=params)[1]
    assert (index().search(world().queries, K, mask=mask, ef_search=48).ids == theirs).all()


def test_accepted_is_hnswlib_s_filter() -> None:
    """Our twin of the faiss graph, which marks rejected rows, against hnswlib with its filter function over a graph of its own."""
    mask = random_mask(0.05)
    ours = index().search(world().queries, K, mask=mask, ef_search=64, stop="accepted")
    theirs = index("hnsw", library="hnswlib").search(world().queries, K, mask=mask, ef_search=64, stop="accepted")
    assert (ours.ids == theirs.ids).mean() > 0.98 and recall(ours.ids, mask) >= 0.99


def test_the_twin_walks_the_very_graph_of_faiss() -> None:
    """Without a filter, hnswlib over the copied graph finds what faiss finds over its own."""
    ours = index().search(world().queries, K, ef_search=32)
    twin = index().search(world().queries, K, mask=np.ones(N, dtype=np.bool_), ef_search=32, stop="accepted")
    assert (ours.ids == twin.ids).mean() > 0.98


def test_masks_follow_one_another_without_traces() -> None:
    narrow, wide = random_mask(0.02), random_mask(0.7)
    first = index().search(world().queries, K, mask=narrow, stop="accepted").ids
    index().search(world().queries, K, mask=wide, stop="accepted")
    assert (index().search(world().queries, K, mask=narrow, stop="accepted").ids == first).all()
    assert (index().search(world().queries, K).ids == pickle.loads(pickle.dumps(index())).search(world().queries, K).ids).all()


def test_flat_is_exact_under_any_mask() -> None:
    for share in (0.001, 0.1, 1.0):
        mask = random_mask(share)
        truth = exact_knn(world().base, world().queries, K, mask=mask)
        found = index("flat").search(world().queries, K, mask=mask)
        assert ((found.ids >= 0) == (truth.ids >= 0)).all() and recall(found.ids, mask) == 1


def test_nothing_passes_nothing_returns() -> None:
    nothing = np.zeros(N, dtype=np.bool_)
    for kind in ("flat", "ivf_flat", "hnsw"):
        for stop in ("visited", "accepted", "two_hop"):
            assert (index(kind).search(world().queries[:3], K, mask=nothing, stop=stop).ids == -1).all()


@pytest.mark.parametrize(
    ("kind", "library", "more", "sentence"),
    [
        ("hnsw", "faiss", {"mask": np.ones(N - 2, bool)}, "mask has 3,998 rows, base 4,000"),
        ("hnsw", "faiss", {"mask": np.ones((2, N), bool)}, r"mask has the shape \(2, 4000\)"),
        ("hnsw", "faiss", {"mask": np.ones(N)}, "expected bool"),
        ("hnsw", "faiss", {"stop": "never"}, "expected one of visited, accepted, two_hop"),
        ("hnsw", "hnswlib", {"stop": "visited"}, "expected accepted, or library faiss"),
        ("hnsw_sq8", "faiss", {"stop": "two_hop"}, "expected visited, or kind hnsw"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(kind: str, library: str, more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        index(kind, library=library).search(world().queries, K, **{"mask": random_mask(0.5), **more})


# --- two hops --------------------------------------------------------------------------------------------------------


def test_the_graph_is_read_as_faiss_keeps_it() -> None:
    graph = graph_of(index()._engine)
    assert (graph.vectors == world().base).all()
    assert graph.levels[graph.entry] == graph.levels.max()
    linked = graph.ground >= 0
    assert (np.diff(linked.astype(int), axis=1) <= 0).all(), "-1 stands only behind the last link"
    assert graph.ground.shape[1] == 2 * graph.M and linked[:, 0].all()


@pytest.mark.parametrize("share", [0.1, 0.03])
def test_two_hops_find_more_than_a_plain_walk_for_the_same_distances(share: float) -> None:
    mask = random_mask(share)
    hops = search_filtered(index(), world().queries, K, mask, strategy="inline", stop="two_hop", ef_search=40)
    assert hops.evaluations is not None
    widths = [
        search_filtered(index(), world().queries, K, mask, strategy="inline", ef_search=ef) for ef in (16, 24, 32, 48, 64, 96, 128, 256)
    ]
    equal = next(walk for walk in widths if walk.evaluations and walk.evaluations >= hops.evaluations)
    assert recall(hops.ids, mask) >= recall(equal.ids, mask) + 0.02


# --- strategies ------------------------------------------------------------------------------------------------------


@given(share=st.floats(0, 1), seed=st.integers(0, 10), strategy=st.sampled_from(["pre", "post", "inline", "auto"]), k=st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_whatever_the_mask_only_matches_come_back_once_and_in_order(share: float, seed: int, strategy: str, k: int) -> None:
    mask = np.random.default_rng(seed).random(N) < share
    found = search_filtered(index(), world().queries[:4], k, mask, strategy=strategy)
    assert found.ids.shape == (4, k) and (found.returned == (found.ids >= 0).sum(axis=1)).all()
    for row in found.ids:
        kept = row[row >= 0]
        assert mask[kept].all() and len(np.unique(kept)) == len(kept) and (row[len(kept) :] == -1).all()
    if strategy in ("pre", "auto"):
        assert (found.returned == min(k, mask.sum())).all()


@given(seed=st.integers(0, 1000), share=st.floats(0.001, 1))
@settings(max_examples=25, deadline=None)
def test_pre_filtering_is_exact(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random(N) < share
    found = search_filtered(index(), world().queries, K, mask, strategy="pre")
    if mask.any():
        assert recall(found.ids, mask) == 1 and found.evaluations == mask.sum()


def test_ids_of_the_caller_come_back() -> None:
    own = np.random.default_rng(0).permutation(10 * N)[:N]
    named, plain, mask = build_index(world().base, "hnsw", ids=own), index(), random_mask(0.2)
    for strategy in ("pre", "post", "inline"):
        expected = search_filtered(plain, world().queries, K, mask, strategy=strategy).ids
        found = search_filtered(named, world().queries, K, mask, strategy=strategy).ids
        assert (found == np.where(expected < 0, -1, own[expected])).all()


@pytest.mark.parametrize("kind", ["flat", "ivf_flat", "hnsw"])
def test_deleted_rows_pass_no_filter(kind: str) -> None:
    changed = build_index(world().base, kind, nlist=32)
    gone = np.unique(exact_knn(world().base, world().queries, 1).ids)
    changed.delete(gone)
    everything = np.ones(len(changed.row_ids), dtype=np.bool_)
    for strategy in ("post", "inline", "auto"):
        found = search_filtered(changed, world().queries, K, everything, strategy=strategy)
        assert not np.isin(found.ids, gone).any() and (found.returned == K).mean() > 0.9
    if kind == "ivf_flat":
        with pytest.raises(InvalidInput, match="expected a compacted index, or the vectors beside it"):
            search_filtered(changed, world().queries, K, everything, strategy="pre")
    else:
        found = search_filtered(changed, world().queries, K, everything, strategy="pre")
        assert not np.isin(found.ids, gone).any() and (found.returned == K).all()


def test_post_filtering_fetches_by_the_share_up_to_its_cap() -> None:
    assert fetched(10, 0.1, 3, 2000) == 300 and fetched(10, 0.001, 3, 2000) == 2000 and fetched(10, 0, 3, 500) == 500
    assert fetched(10, 1, 1, 2000) == 10
    narrow, wide = (search_filtered(index(), world().queries, K, random_mask(0.02), strategy="post", post_cap=cap) for cap in (50, 2000))
    assert wide.returned.mean() > 5 * narrow.returned.mean()


def test_the_planner_lists_few_searches_many_and_completes_short_answers() -> None:
    assert plan_filter(random_mask(0.001), K, plan_pre=0.02, plan_post=0.5).strategy == "pre"
    assert plan_filter(random_mask(0.1), K, plan_pre=0.02, plan_post=0.5).strategy == "inline"
    assert plan_filter(random_mask(0.9), K, plan_pre=0.02, plan_post=0.5).strategy == "post"
    large = [plan_filter(np.random.default_rng(2).random(200_000) < share, K).strategy for share in (0.001, 0.5)]
    assert large == ["pre", "inline"], "by cost: listing 200 rows, but walking where half passes"
    mask = random_mask(0.01)
    plain = search_filtered(index(), world().queries, K, mask, strategy="inline")
    planned = search_filtered(index(), world().queries, K, mask, strategy="auto", plan_pre=0, plan_post=1)
    assert planned.plan == "inline" and (plain.returned < K).any() and (planned.returned == K).all()
    assert planned.evaluations is not None and plain.evaluations is not None
    assert planned.evaluations == pytest.approx(plain.evaluations + mask.sum() * (plain.returned < K).mean())


@given(seed=st.integers(0, 50), share=st.floats(0, 1))
def test_a_share_is_estimated_to_within_sampling_error(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random(50_000) < share
    assert abs(estimated_share(mask) - mask.mean()) <= 5 * np.sqrt(0.25 / 2000)


def test_codes_need_the_vectors_beside_them() -> None:
    mask = random_mask(0.1)
    with pytest.raises(InvalidInput, match="ivf_sq8 holds codes, not vectors; expected flat, ivf_flat or hnsw"):
        search_filtered(index("ivf_sq8"), world().queries, K, mask, strategy="pre")
    assert recall(search_filtered(index("ivf_sq8"), world().queries, K, mask, strategy="pre", vectors=world().base).ids, mask) == 1
    assert recall(search_filtered(index("ivf_flat"), world().queries, K, mask, strategy="pre").ids, mask) == 1


@pytest.mark.parametrize(
    "more", [{"strategy": "around"}, {"strategy": "post", "oversample": 0.5}, {"strategy": "auto", "mask": np.ones(3, bool)}]
)
def test_bad_requests_are_sentences(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="expected|mask has 3 rows, base 4,000"):
        search_filtered(index(), world().queries, K, **{"mask": random_mask(0.5), **more})


# --- the count of distances ------------------------------------------------------------------------------------------


def reference_walk(query: np.ndarray, mask: Mask, ef: int) -> tuple[list[int], int]:
    """hnswlib's ground-layer search with a filter, as its paper and source describe it, one node at a time: (kept, distances computed)."""
    graph = graph_of(index()._engine)
    away = graph.distances(query, "ip")
    node, level = graph.entry, int(graph.levels[graph.entry]) - 1
    while level > 0:
        better = [other for other in graph.links(node, level) if away[other] < away[node]]
        node, level = (min(better, key=lambda other: away[other]), level) if better else (node, level - 1)
    seen, candidates, kept = {node}, [(away[node], node)], [(-away[node], node)] if mask[node] else []
    while candidates:
        distance, node = heapq.heappop(candidates)
        if len(kept) == ef and distance > -kept[0][0]:
            break
        for other in set(graph.links(node, 0).tolist()) - seen:
            seen.add(other)
            if len(kept) < ef or away[other] < -kept[0][0]:
                heapq.heappush(candidates, (away[other], other))
                if mask[other]:
                    heapq.heappush(kept, (-away[other], other))
                if len(kept) > ef:
                    heapq.heappop(kept)
    return [other for _, other in sorted(kept, reverse=True)], len(seen)


@pytest.mark.parametrize("share", [0.5, 0.05, 0.005])
def test_what_an_accepted_walk_compares_is_what_a_walk_by_hand_compares(share: float) -> None:
    mask = random_mask(share)
    found = search_filtered(index(), world().queries, K, mask, strategy="inline", stop="accepted", ef_search=32, count=True)
    kept, counts = zip(*(reference_walk(query, mask, 32) for query in world().queries), strict=True)
    assert found.evaluations == pytest.approx(np.mean(counts), rel=0.03)
    assert np.mean([set(row) == set(by_hand[:K]) for row, by_hand in zip(found.ids.tolist(), kept, strict=True)]) > 0.9


def test_cells_are_counted_with_their_passing_rows() -> None:
    mask = random_mask(0.1)
    whole = search_filtered(index("ivf_flat"), world().queries, K, mask, strategy="inline", nprobe=32, count=True)
    part = search_filtered(index("ivf_flat"), world().queries, K, mask, strategy="inline", nprobe=8, count=True)
    assert whole.evaluations == 32 + mask.sum() and part.evaluations is not None and 32 < part.evaluations < whole.evaluations
    every = search_filtered(index("ivf_flat"), world().queries, K, mask, strategy="post", nprobe=32, count=True)
    assert every.evaluations == 32 + N
    assert search_filtered(index("ivf_flat"), world().queries, K, mask, strategy="inline").evaluations is None, "only when asked for"
