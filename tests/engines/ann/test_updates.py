"""Adding, deleting and compacting: nothing lost, nothing that was deleted found, refusals that name what is wrong."""

from __future__ import annotations

import copy
import pickle
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulators.engines.ann.data import FloatArray, clustered_vectors
from simulators.engines.ann.index import AnnIndex, build_index
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.errors import InvalidInput

N, D, K = 600, 16, 10
WIDE = {"nprobe": 8, "ef_search": 4000, "k_factor": 8}  # visits everything
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "flat": ("flat", {}),
    "sq8": ("sq8", {}),
    "ivf_flat": ("ivf_flat", {"nlist": 8}),
    "ivf_sq8": ("ivf_sq8", {"nlist": 8}),
    "ivf_pq": ("ivf_pq", {"nlist": 8}),
    "ivf_rabitq": ("ivf_rabitq", {"nlist": 8}),
    "hnsw": ("hnsw", {}),
    "hnsw_sq8": ("hnsw_sq8", {}),
    "hnswlib": ("hnsw", {"library": "hnswlib"}),
    "hnswlib_replace": ("hnsw", {"library": "hnswlib", "replace_deleted": True}),
}
IN_PLACE = {"flat", "sq8", "ivf_flat", "ivf_sq8", "ivf_pq", "ivf_rabitq"}
CODES = {"ivf_pq", "ivf_rabitq"}
WHOLE = sorted(set(CASES) - CODES - {"sq8", "ivf_sq8", "hnsw_sq8"})


@cache
def pool() -> FloatArray:
    return clustered_vectors(3 * N, D, 1, seed=4, clusters=20).base


@cache
def queries() -> FloatArray:
    return clustered_vectors(1, D, 40, seed=4, clusters=20).queries


@cache
def original(case: str, metric: str = "ip") -> AnnIndex:
    kind, params = CASES[case]
    return build_index(pool()[:N], kind, metric=metric, **params)


def fresh(case: str, metric: str = "ip") -> AnnIndex:
    return copy.copy(original(case, metric))


def half_replaced(case: str, metric: str = "ip") -> tuple[AnnIndex, np.ndarray]:
    """Every second vector deleted, as many added under new ids; and the ids that live, which are rows of the pool."""
    index = fresh(case, metric)
    index.delete(np.arange(0, N, 2))
    index.add(pool()[N : 3 * N // 2], np.arange(N, 3 * N // 2))
    return index, np.concatenate([np.arange(1, N, 2), np.arange(N, 3 * N // 2)])


def found_everywhere(index: AnnIndex) -> set[int]:
    """All ids there are, by a search that visits everything for a handful of queries, asked for more than there are.

    Where new vectors take over the place of deleted ones, links of the old place lead nowhere useful and a few vectors cannot be reached:
    there the ids are read from the index, and the search must not return others.
    """
    ids = index.search(queries()[:4], index.held + 5, **WIDE).ids
    met = [set(row[row >= 0].tolist()) for row in ids]
    assert [len(row) for row in met] == (ids >= 0).sum(axis=1).tolist(), "no vector twice"
    if not index.params.replace_deleted:
        assert {len(row) for row in met} == {index.n}, "each query meets every live vector"
        return met[0]
    held = set(index.live_vectors()[1].tolist())
    assert all(row <= held and len(row) >= 0.85 * len(held) for row in met)
    return held


# --- conservation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_live_is_inserted_less_deleted_and_all_of_it_is_found(case: str) -> None:
    index, live = half_replaced(case)
    assert index.n == len(live) == N
    assert found_everywhere(index) == set(live.tolist())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_the_same_under_other_metrics(case: str, metric: str) -> None:
    index, live = half_replaced(case, metric)
    assert found_everywhere(index) == set(live.tolist())
    truth = live[exact_knn(pool()[live], queries(), K, metric=metric).ids]
    assert recall_at_k(index.search(queries(), K, **WIDE).ids, truth, K).mean() > (0.4 if case in CODES else 0.95)


@pytest.mark.parametrize("case", WHOLE)
def test_a_new_vector_is_found_under_its_id_and_scores_as_itself(case: str) -> None:
    index = fresh(case, "l2")
    index.delete([3, 599, 17])
    index.add(pool()[2 * N : 2 * N + 3], [10**12, 17, 5000])  # 17 comes back as another vector
    found = index.search(pool()[2 * N : 2 * N + 3], 1, **WIDE)
    assert found.ids[:, 0].tolist() == [10**12, 17, 5000]
    assert found.scores[:, 0] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_report_says_what_stays_behind(case: str) -> None:
    index = fresh(case)
    whole = index.memory_bytes()
    report = index.delete(np.arange(150))
    assert report == (150, 0 if case in IN_PLACE else 150, case in IN_PLACE)
    assert index.tombstones == report.tombstones
    if case in IN_PLACE:
        assert index.memory_bytes() < 0.97 * whole + 8 * N and index.deleted_bytes() == 0
    else:
        assert index.memory_bytes() >= whole, "a tombstone frees nothing"
        assert index.deleted_bytes() == pytest.approx(0.25 * index.memory_bytes(), rel=0.01)


def test_only_replacing_takes_the_place_of_deleted_vectors() -> None:
    held = {}
    for case in ("hnsw", "hnswlib", "hnswlib_replace"):
        index, _ = half_replaced(case)
        held[case] = (index.held, index.tombstones)
    assert held == {"hnsw": (900, 300), "hnswlib": (900, 300), "hnswlib_replace": (600, 0)}


@pytest.mark.parametrize("case", sorted(set(CASES) - CODES))
def test_compaction_leaves_the_live_vectors_and_nothing_else(case: str) -> None:
    index, live = half_replaced(case)
    index.delete(live[:200])
    index.compact()
    assert (index.n, index.held, index.tombstones, index.deleted_bytes()) == (400, 400, 0, 0)
    assert found_everywhere(index) == set(live[200:].tolist())
    kind, params = CASES[case]
    anew = build_index(pool()[live[200:]], kind, ids=live[200:], **params)
    assert index.memory_bytes() == pytest.approx(anew.memory_bytes(), rel=0.02)
    same = recall_at_k(index.search(queries(), K).ids, anew.search(queries(), K).ids, K).mean()
    assert same > (0.9 if case.endswith("sq8") else 0.98)


@pytest.mark.parametrize("case", CASES)
def test_kept_half_way_it_goes_on(case: str) -> None:
    """Saved and loaded, it still knows its tombstones and free places, and takes further changes."""
    index, live = half_replaced(case)
    index.delete(live[:50])
    again = pickle.loads(pickle.dumps(index, protocol=5))
    assert (again.n, again.tombstones) == (index.n, index.tombstones)
    assert found_everywhere(again) == set(live[50:].tolist())
    again.add(pool()[2 * N : 2 * N + 80], np.arange(2 * N, 2 * N + 80))
    assert found_everywhere(again) == {*live[50:].tolist(), *range(2 * N, 2 * N + 80)}
    assert index.n == len(live) - 50, "the copy is a copy"


@pytest.mark.parametrize("case", CASES)
def test_everything_deleted_finds_nothing_and_can_be_filled_again(case: str) -> None:
    index = fresh(case)
    index.delete(np.arange(N))
    assert index.n == 0 and (index.search(queries()[:3], K).ids == -1).all()
    index.add(pool()[N : N + 30], np.arange(30))
    assert found_everywhere(index) == set(range(30))


@pytest.mark.parametrize("case", ["flat", "ivf_flat", "hnsw", "hnswlib", "hnswlib_replace"])
def test_a_filter_runs_along_the_rows_that_are_there(case: str) -> None:
    index, live = half_replaced(case)
    odd = index.row_ids % 3 == 0
    stop = "accepted" if case.startswith("hnswlib") else "visited"
    ids = index.search(queries()[:5], N, mask=odd, stop=stop, **WIDE).ids
    assert {frozenset(row[row >= 0].tolist()) for row in ids} == {frozenset(live[live % 3 == 0].tolist())}


@pytest.mark.parametrize("kind", ["ivf_pq_refine", "ivf_rabitq_refine"])
def test_refined_indexes_take_additions(kind: str) -> None:
    index = build_index(pool()[:N], kind, nlist=8)
    index.add(pool()[N : N + 100], np.arange(5000, 5100))
    found = index.search(pool()[N : N + 100], 1, nprobe=8, k_factor=60).ids[:, 0]
    assert index.n == N + 100 and (found >= 5000).mean() > 0.5


# --- steps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["hnsw", "hnswlib_replace"])
def test_stopped_between_two_steps_the_index_is_whole(case: str) -> None:
    index = fresh(case)
    steps = index.add_steps(pool()[N:], np.arange(N, 3 * N))
    share = next(steps)
    steps.close()
    assert 0 < share < 1 and index.n == N + round(share * 2 * N)
    assert found_everywhere(index) == set(range(index.n))
    compacting = index.compact_steps()
    next(compacting)
    compacting.close()
    assert found_everywhere(index) == set(range(index.n))


# --- old centroids ---------------------------------------------------------------------------------------------------


def test_an_inverted_file_keeps_its_old_cells_until_it_is_retrained() -> None:
    old, new = (clustered_vectors(2000, 32, 60, seed=seed, clusters=20) for seed in (1, 2))
    index = build_index(old.base, "ivf_flat", nlist=32)
    even = index.list_imbalance()
    index.delete(np.arange(2000))
    index.add(new.base, np.arange(2000))
    drifted = index.list_imbalance()
    sizes = np.array([index._engine.invlists.list_size(cell) for cell in range(32)])
    assert drifted == pytest.approx(32 * (sizes**2).sum() / sizes.sum() ** 2)
    truth = exact_knn(new.base, new.queries, K).ids
    before = recall_at_k(index.search(new.queries, K, nprobe=4).ids, truth, K).mean()
    index.compact()
    after = recall_at_k(index.search(new.queries, K, nprobe=4).ids, truth, K).mean()
    assert drifted > even + 0.5 and index.list_imbalance() < drifted - 0.5
    assert after > before + 0.2


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_unknown_ids_are_listed_and_nothing_is_deleted(case: str) -> None:
    index = fresh(case)
    with pytest.raises(InvalidInput, match=r"7 of 9 ids \(the first five: 600, 601, 602, 603, 604\) are not in the index; nothing was"):
        index.delete([1, 606, 605, 604, 603, 602, 601, 600, 2])
    assert index.n == N
    index.delete([5])
    with pytest.raises(InvalidInput, match=r"1 of 1 ids \(5\) is not in the index"):
        index.delete([5])


@pytest.mark.parametrize("kind", ["ivf_pq_refine", "ivf_rabitq_refine"])
def test_kinds_that_cannot_delete_name_the_alternative(kind: str) -> None:
    plain = kind.removesuffix("_refine")
    with pytest.raises(InvalidInput, match=f"{kind} cannot delete: .*{plain} deletes in place, hnsw hides"):
        build_index(pool()[:N], kind, nlist=8).delete([0])


@pytest.mark.parametrize(
    ("vectors", "ids", "sentence"),
    [
        (np.ones((2, D + 1)), [900, 901], "expected rows of 16 dimensions"),
        (np.ones((2, D)), [900], r"ids have the shape \(1,\), expected \(2,\)"),
        (np.ones((2, D)), [900, 900], "distinct and not negative"),
        (np.ones((2, D)), [900, -1], "distinct and not negative"),
        (np.ones((2, D)), [900, 7], r"1 of 2 ids \(7\) is in the index already; delete before adding again"),
        (np.zeros((1, D)), [900], "vectors: row 0 has length zero"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_sentence(vectors: np.ndarray, ids: list[int], sentence: str) -> None:
    index = fresh("flat", "cosine")
    with pytest.raises(InvalidInput, match=sentence):
        index.add(vectors, ids)
    assert index.n == N


@pytest.mark.parametrize("case", sorted(CODES))
def test_codes_do_not_give_the_vectors_back(case: str) -> None:
    with pytest.raises(InvalidInput, match="do not give the vectors back; build a new index"):
        fresh(case).compact()


def test_there_is_nothing_to_compact_in_an_empty_index() -> None:
    index = fresh("hnsw")
    index.delete(np.arange(N))
    with pytest.raises(InvalidInput, match="nothing to compact"):
        index.compact()


def test_too_few_vectors_for_the_cells_are_refused() -> None:
    index = fresh("ivf_flat")
    index.delete(np.arange(N - 5))
    with pytest.raises(InvalidInput, match="nlist 8 was given for 5 vectors"):
        index.compact()
    assert index.n == 5


def test_only_inverted_files_have_lists() -> None:
    with pytest.raises(InvalidInput, match="hnsw has no lists; expected an ivf kind"):
        fresh("hnsw").list_imbalance()


# --- any order of changes, against a plain dictionary ------------------------------------------------------------------


class Changes(RuleBasedStateMachine):
    """An index and a dictionary {id: row of the pool} take the same changes and must hold the same vectors."""

    @initialize(case=st.sampled_from(WHOLE))
    def start(self, case: str) -> None:
        kind, params = CASES[case]
        self.index = build_index(pool()[:40], kind, **params)
        self.live = {i: i for i in range(40)}
        self.next_id = 40

    @rule(count=st.integers(1, 12), reuse=st.booleans(), start=st.integers(0, 3 * N - 13))
    def add(self, count: int, reuse: bool, start: int) -> None:
        gone = [i for i in range(self.next_id) if i not in self.live]
        ids = (gone if reuse else [])[:count]
        ids += range(self.next_id, self.next_id + count - len(ids))
        self.next_id = max(self.next_id, max(ids) + 1)
        self.index.add(pool()[start : start + count], ids)
        self.live |= {own: start + i for i, own in enumerate(ids)}

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.live)), min_size=1, max_size=20, unique=True))
        assert self.index.delete(ids).removed == len(ids)
        for own in ids:
            del self.live[own]

    @precondition(lambda self: len(self.live) >= 8)
    @rule()
    def compact(self) -> None:
        self.index.compact()
        assert self.index.tombstones == 0

    @invariant()
    def the_same_vectors_are_found(self) -> None:
        if not hasattr(self, "index"):
            return
        assert self.index.n == len(self.live)
        found = self.index.search(queries()[:1], len(self.live) + 3, **WIDE)
        kept = found.ids[0] >= 0
        assert set(found.ids[0][kept].tolist()) <= set(self.live), "nothing deleted is returned"
        expected = np.array([pool()[self.live[own]] @ queries()[0] for own in found.ids[0][kept].tolist()])
        assert found.scores[0][kept] == pytest.approx(expected, abs=1e-5)
        vectors, ids = self.index.live_vectors()
        assert sorted(ids.tolist()) == sorted(self.live), "nothing is lost"
        assert np.array_equal(vectors, pool()[[self.live[own] for own in ids.tolist()]])


TestChanges = Changes.TestCase
TestChanges.settings = settings(max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
