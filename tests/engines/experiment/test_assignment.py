"""Assignment against the recorded answers of GrowthBook's own JavaScript SDK (1.8.0), against brute force and against chance.

`assignment_cases.json` holds random conditions and experiments with what that SDK answered: arm, value, in the experiment or not, whether
the hash was used, the bucket, whether a stored bucket was used.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from simulators.engines.experiment import assignment
from simulators.engines.experiment.assignment.hashing import fnv1a32
from simulators.errors import InvalidInput

CASES = json.loads((Path(__file__).parent / "assignment_cases.json").read_text())
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False) | texts
names = st.sampled_from(
    ["$and", "$or", "$not", "$in", "$gt", "$vgt", "$all", "$elemMatch", "$regex", "$size", "$inGroup", "$nope", "a", "b.c"]
)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8)


def brute_fnv(text: str) -> int:
    state = 2166136261
    for character in text:
        state = (state ^ ord(character)) * 16777619 % 2**32
    return state


# --- hashing ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "known"), [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)])
def test_the_hash_is_fnv1a(text: str, known: int) -> None:
    assert fnv1a32(text) == known == brute_fnv(text)


@given(texts, texts)
def test_versions_are_what_their_formulas_say(value: str, seed: str) -> None:
    assert assignment.hash_unit(value, seed, 1) == brute_fnv(value + seed) % 1000 / 1000
    assert assignment.hash_unit(value, seed) == brute_fnv(str(brute_fnv(seed + value))) % 10000 / 10000
    assert assignment.hash_unit(value, seed, 3) is None


@given(st.lists(texts, min_size=1, max_size=30), texts, st.sampled_from([1, 2]))
def test_arrays_of_texts_hash_as_each_of_them(values: list[str], seed: str, version: int) -> None:
    for ids in (np.array(values), np.array(values, dtype=object)):
        assert assignment.hash_many(ids, seed, version).tolist() == [assignment.hash_unit(v, seed, version) for v in values]


@given(st.lists(st.integers(-(10**6), 2**63 - 1), min_size=1, max_size=30), st.sampled_from([1, 2]))
def test_arrays_of_numbers_hash_as_their_decimal_texts(values: list[int], version: int) -> None:
    found = assignment.hash_many(np.array(values, dtype=np.int64), "exp", version)
    assert found.tolist() == [assignment.hash_unit(str(value), "exp", version) for value in values]


def test_bytes_hash_as_texts_and_other_ids_are_refused() -> None:
    assert assignment.hash_many(np.array([b"ab", b"c"]), "s").tolist() == assignment.hash_many(np.array(["ab", "c"]), "s").tolist()
    assert assignment.hash_many(np.array([], dtype=int), "s").size == 0
    for ids in (np.array([1.5]), np.array([[1], [2]]), np.array([True])):
        with pytest.raises(InvalidInput, match="expected"):
            assignment.hash_many(ids, "s")
    with pytest.raises(InvalidInput, match="Hash version 7"):
        assignment.hash_many(np.arange(3), "s", 7)


@pytest.mark.parametrize("seed", ["exp-1", "exp-2", "layer"])
@pytest.mark.parametrize("ids", [np.arange(200_000), np.arange(200_000).astype(str)], ids=["numbers", "texts"])
def test_splitmix_is_even_and_its_seeds_are_independent(seed: str, ids: Any) -> None:
    u = assignment.splitmix_many(ids, seed)
    counts = np.bincount((u * 100).astype(int), minlength=100)
    assert chi2.sf(((counts - 2000) ** 2 / 2000).sum(), 99) > 1e-4
    other = assignment.splitmix_many(ids, seed + "x")
    assert abs(np.corrcoef(u < 0.5, other < 0.5)[0, 1]) < 5 / np.sqrt(len(ids))


def test_a_million_assignments_take_a_fraction_of_a_second() -> None:
    ids, experiment = np.arange(1_000_000), {"key": "exp", "variations": [0, 1], "hashVersion": 2}
    best = min(cpu_seconds(lambda: assignment.assign_many(ids, experiment)) for _ in range(3))
    assert best <= 0.3


def cpu_seconds(work: Any) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started


# --- ranges -----------------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 10), st.floats(-1, 2), st.none() | st.lists(st.floats(0, 1), max_size=10))
def test_ranges_follow_one_another_and_coverage_keeps_their_starts(arms: int, coverage: float, weights: list[float] | None) -> None:
    full, part = assignment.bucket_ranges(arms, 1.0, weights), assignment.bucket_ranges(arms, coverage, weights)
    kept = min(max(coverage, 0.0), 1.0)
    assert full[-1][1] == pytest.approx(1.0, abs=0.0101)
    for (low, high), (start, end) in zip(full, part, strict=True):
        assert low == start and end - start == pytest.approx(kept * (high - low), abs=1e-12)
    assert all(one[1] == pytest.approx(two[0]) for one, two in zip(full, full[1:], strict=False))


def test_weights_that_make_no_sense_are_replaced_by_equal_ones() -> None:
    equal = [(0.0, 0.5), (0.5, 1.0)]
    for weights in ([0.4, 0.1], [0.7, 0.6], [0.2, 0.3, 0.5]):
        assert assignment.bucket_ranges(2, 1.0, weights) == equal
    assert assignment.bucket_ranges(2, 1.0, [0.4, 0.5999]) == [(0.0, 0.4), (0.4, 0.9999)]
    assert assignment.bucket_ranges(0) == []


def test_a_range_holds_its_start_and_not_its_end() -> None:
    ranges = [(0.0, 0.25), (0.5, 0.75)]
    assert [assignment.choose_variation(u, ranges) for u in (0.0, 0.25, 0.4999, 0.5, 0.75)] == [0, -1, -1, 1, -1]
    u = np.linspace(0, 0.9999, 2_000)
    assert assignment.choose_many(u, ranges).tolist() == [assignment.choose_variation(x, ranges) for x in u.tolist()]


def test_namespaces_cut_the_line_of_version_one() -> None:
    inside = [assignment.in_namespace(str(i), ("ns", 0.2, 0.6)) for i in range(500)]
    assert inside == [0.2 <= brute_fnv(f"{i}__ns") % 1000 / 1000 < 0.6 for i in range(500)]


# --- conditions -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("condition", "attributes", "known"), CASES["conditions"])
def test_conditions_are_judged_as_the_reference_does(condition: Any, attributes: Any, known: bool) -> None:
    assert assignment.evaluate_condition(condition, attributes, CASES["saved_groups"]) is known


@pytest.mark.parametrize(
    ("wanted", "value", "holds"),
    [
        ({"$eq": 5}, "5", False), (5, "5", False), (True, 1, False), ({"$ne": 5}, "5", True), ({"$in": [1]}, True, False),
        ({"$gt": 5, "$lt": 10}, "8", True), ({"$gt": "5", "$lt": "10"}, 8, True), ({"$gt": 5}, "many", False), ({"$lt": 5}, "", True),
        ({"$ini": ["STRASSE"]}, "straße", False), ({"$ini": ["Σ"]}, "σ", True), ({"$alli": ["A", "b"]}, ["a", "B", "c"], True),
        ({"$notRegex": "^a"}, "abc", False), ({"$notRegexi": "^A"}, "abc", False), ({"$notRegex": "^a"}, "xyz", True),
        ({"$nope": 1}, 1, False), ({"$regex": "("}, "a", False), ({"$in": 1}, 1, False), ({"$nin": 1}, 2, False), ({"$all": 1}, [1], False),
        ({"$veq": "1.2.3"}, "v1.2.3+build", True), ({"$vlt": "1.0.0"}, "1.0.0-rc.1", True), ({"$vgt": "9.0.0"}, "10.0.0", True),
        ({"$elemMatch": {"$eq": 0}}, [0], True), ({"$elemMatch": {"n": {"$gt": 3}}}, [{"n": 2}, {"n": 4}], True),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, True), ({"a": 1}, {"a": 1, "b": 2}, False), ({}, {}, True),
    ],
)  # fmt: skip
def test_a_value_is_compared_by_type_and_converted_only_to_be_ordered(wanted: Any, value: Any, holds: bool) -> None:
    assert assignment.evaluate_condition({"x": wanted}, {"x": value}) is holds


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [({"$lt": 5}, True), ({"$lte": 0}, True), ({"$gt": 5}, False), ({"$ne": "de"}, True), (None, True), (False, False),
     ({"$eq": None}, True),
     ({"$exists": False}, True), ({"$notRegex": "a"}, True), ({"$regex": "a"}, False), ({"$nin": ["a"]}, True),
     ({"$notInGroup": "g"}, True),
     ({"$inGroup": "g"}, False), ({"$size": 0}, False), ({"$not": {"$regex": "a"}}, True)],
)  # fmt: skip
def test_missing_values_count_as_null(wanted: Any, holds: bool) -> None:
    assert assignment.evaluate_condition({"deep.path": wanted}, {"deep": 3}, {"g": ["a"]}) is holds
    assert assignment.evaluate_condition({"deep.path": wanted}, {"deep": {"path": None}}, {"g": ["a"]}) is holds


@given(st.dictionaries(names, anything, max_size=3), st.dictionaries(st.sampled_from(["a", "b"]), anything))
def test_whatever_is_asked_gets_an_answer_and_its_opposite(condition: dict[str, Any], attributes: dict[str, Any]) -> None:
    found = assignment.evaluate_condition(condition, attributes)
    assert assignment.evaluate_condition({"$not": condition}, attributes) is not found
    assert assignment.evaluate_condition({"$and": [condition, condition]}, attributes) is found
    assert assignment.evaluate_condition({"$nor": [condition]}, attributes) is not found


# --- one unit ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("experiment", "context", "sticky", "known"), CASES["runs"])
def test_units_are_assigned_as_the_reference_does(experiment: Any, context: Any, sticky: Any, known: list[Any]) -> None:
    found = assignment.assign(experiment, {**context, "savedGroups": CASES["saved_groups"]}, sticky)
    assert [found.variation, found.value, found.in_experiment, found.hash_used, found.bucket] == known[:5]
    assert found.reason == "sticky_bucket" if known[5] else found.reason != "sticky_bucket"


TEST = {"key": "t", "variations": ["a", "b"], "meta": [{"key": "0"}, {"key": "1"}]}
USER = {"attributes": {"id": "u1", "country": "DE"}}
STEPS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("invalid", {"variations": ["a"]}, {}),
    ("disabled", {}, {"enabled": False}),
    ("override", {}, {"url": "https://x.de/p?t=1#top"}),
    ("override", {}, {"forcedVariations": {"t": 1}}),
    ("inactive", {"active": False}, {}),
    ("hash_attribute", {"hashAttribute": "device"}, {}),
    ("filters", {"filters": [{"seed": "f", "ranges": []}]}, {}),
    ("namespace", {"namespace": ["n", 0, 0]}, {}),
    ("condition", {"condition": {"country": "US"}}, {}),
    ("prerequisite", {"parentConditions": [{"id": "flag", "condition": {"value": "on"}}]}, {"features": {"flag": {"defaultValue": "off"}}}),
    ("hash_version", {"hashVersion": 9}, {}),
    ("coverage", {"coverage": 0}, {}),
    ("force", {"force": 1}, {}),
    ("qa_mode", {}, {"qaMode": True}),
    ("inactive", {"status": "stopped"}, {}),
    ("assigned", {}, {}),
]


@pytest.mark.parametrize("first", range(len(STEPS)))
def test_the_first_step_in_order_decides(first: int) -> None:
    """A unit whom several steps concern is decided by the first of them."""
    for later in range(first, len(STEPS)):
        (reason, experiment, context), (_, more, mine) = STEPS[first], STEPS[later]
        found = assignment.assign({**TEST, **more, **experiment}, {**USER, **mine, **context})
        assert found.reason == reason
        assert found.in_experiment is (reason in ("override", "force", "assigned"))
        assert found.hash_used is (found.bucket is not None) is (reason == "assigned")


def test_a_remembered_arm_outlives_coverage_condition_and_filters() -> None:
    closed = {**TEST, "coverage": 0, "condition": {"country": "US"}, "filters": [{"seed": "f", "ranges": []}]}
    sticky = [{"attributeName": "id", "attributeValue": "u1", "assignments": {"t__0": "1"}}]
    found = assignment.assign(closed, USER, sticky)
    assert (found.variation, found.in_experiment, found.reason) == (1, True, "sticky_bucket")
    assert not assignment.assign({**closed, "disableStickyBucketing": True}, USER, sticky).in_experiment
    assert not assignment.assign({**closed, "bucketVersion": 1}, USER, sticky).in_experiment
    blocked = assignment.assign({**TEST, "bucketVersion": 1, "minBucketVersion": 1}, USER, sticky)
    assert (blocked.in_experiment, blocked.reason) == (False, "sticky_bucket")
    assert not assignment.assign(closed, {"attributes": {"id": "u2"}}, sticky).in_experiment


def test_the_fallback_stands_in_for_a_missing_attribute() -> None:
    fallback = {**TEST, "fallbackAttribute": "device"}
    device = {"attributes": {"device": "d7"}}
    assert assignment.assign(fallback, device).bucket == assignment.hash_unit("d7", "t", 1)
    assert assignment.assign(fallback, {"attributes": {"device": "d7", "id": "u1"}}).bucket == assignment.hash_unit("u1", "t", 1)
    assert not assignment.assign({**fallback, "disableStickyBucketing": True}, device).in_experiment


def test_prerequisites_in_a_circle_keep_everybody_out() -> None:
    rule = {"parentConditions": [{"id": "b", "condition": {"value": True}}], "force": True}
    circle = {"a": {"defaultValue": True, "rules": [rule]}, "b": {"rules": [{**rule, "parentConditions": [{"id": "a"}]}]}}
    experiment = {**TEST, "parentConditions": [{"id": "a", "condition": {}}]}
    assert assignment.assign(experiment, {**USER, "features": circle}).reason == "prerequisite"
    circle["b"] = {"defaultValue": True, "rules": []}
    assert assignment.assign(experiment, {**USER, "features": circle}).in_experiment


# --- many units -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "extra",
    [{}, {"hashVersion": 2, "coverage": 0.37}, {"weights": [0.1, 0.2, 0.7]}, {"namespace": ["n", 0.1, 0.6]}, {"force": 2}, {"force": 9},
     {"filters": [{"seed": "f", "ranges": [[0, 0.4], [0.6, 0.7]]}, {"seed": "g", "ranges": [[0, 0.9]], "hashVersion": 1}]},
     {"ranges": [[0, 0.1], [0.5, 0.9], [0.9, 1]], "seed": "s"}, {"status": "draft"}, {"hashVersion": 5}, {"coverage": 0}],
)  # fmt: skip
def test_many_units_are_assigned_as_each_of_them(extra: dict[str, Any]) -> None:
    experiment = {"key": "many", "variations": ["a", "b", "c"], **extra}
    one_by_one = [assignment.assign(experiment, {"attributes": {"id": i}}) for i in range(800)]
    found = assignment.assign_many(np.arange(800), experiment)
    assert found.dtype == np.int8
    assert found.tolist() == [item.variation if item.in_experiment else -1 for item in one_by_one]


def test_what_ids_cannot_answer_is_refused() -> None:
    for extra in ({"condition": {"a": 1}}, {"parentConditions": [{"id": "f"}]}, {"filters": [{"attribute": "device", "ranges": []}]}):
        with pytest.raises(InvalidInput, match="Experiment many"):
            assignment.assign_many(np.arange(3), {"key": "many", "variations": [0, 1], **extra})


def plan(**more: Any) -> assignment.LayerPlan:
    def experiment(key: str, share: float, **extra: Any) -> dict[str, Any]:
        return {"key": key, "variations": [0, 1], "coverage": share, **extra}

    layers = [
        {"key": "L1", "experiments": [experiment("E1", 0.2), experiment("E2", 0.5, weights=[0.2, 0.8]), experiment("E3", 0.3)]},
        {"key": "L2", "experiments": [experiment("E4", 0.4), experiment("E5", 0.2)]},
    ]
    return assignment.LayerPlan(layers, **more)


@pytest.mark.parametrize("first", [0, 10**6, 7 * 10**8])
def test_layers_exclude_inside_and_overlap_outside(first: int) -> None:
    n = 200_000
    found = plan(holdout=0.1).assign_many(np.arange(first, first + n))
    inside = np.array([found[key] >= 0 for key in ("E1", "E2", "E3")])
    assert inside.sum(axis=0).max() == 1, "no unit is in two experiments of a layer"
    assert inside.any(axis=0).mean() == pytest.approx(0.9, abs=0.005), "the layer is full but for the holdout"
    assert (found["E4"] >= 0).mean() == pytest.approx(0.36, abs=0.005)
    assert (found["E2"][found["E2"] >= 0] == 1).mean() == pytest.approx(0.8, abs=0.01)
    both = ((found["E2"] >= 0) & (found["E4"] >= 0)).mean()
    assert both == pytest.approx(0.9 * 0.5 * 0.4, abs=0.004), "layers overlap as chance has it"


def test_the_holdout_is_cut_first_and_enters_nothing() -> None:
    ids = np.arange(100_000)
    with_holdout, without = plan(holdout=0.2).assign_many(ids), plan().assign_many(ids)
    held = plan(holdout=0.2).held_out(ids)
    assert held.mean() == pytest.approx(0.2, abs=0.005)
    for key in without:
        assert (with_holdout[key][held] == -1).all()
        assert (with_holdout[key][~held] == without[key][~held]).all(), "a holdout moves nobody else"


def test_domains_share_out_the_traffic() -> None:
    layers = [
        {"key": name, "domain": (name, low, high), "experiments": [{"key": f"E-{name}", "coverage": 1.0}]}
        for name, low, high in (("D1", 0.0, 0.3), ("D2", 0.3, 1.0))
    ]
    found = assignment.LayerPlan(layers).assign_many(np.arange(100_000))
    assert ((found["E-D1"] >= 0) ^ (found["E-D2"] >= 0)).all()
    assert (found["E-D1"] >= 0).mean() == pytest.approx(0.3, abs=0.005)


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([{"key": "L2", "experiments": [{"key": f"E{i}", "coverage": 0.4} for i in range(3)]}], "Layer L2 needs 120 % of its units."),
        ([{"key": "L", "experiments": [{"key": "E", "weights": [0.4, 0.5]}]}], "Weights sum to 0.9, expected 1."),
        ([{"key": "L", "experiments": [{"key": "E", "weights": [1.0]}]}], "1 weights were given for 2 arms."),
        ([{"key": k, "experiments": [{"key": "E"}]} for k in "LM"], "Plan names experiment E twice."),
        ([{"key": k, "domain": (k, low, 1), "experiments": []} for k, low in (("A", 0), ("B", 0.5))], "Domains A and B overlap."),
        ([{"key": "L", "experiments": [{"key": "E", "coverage": -0.1}]}], "Experiment E has coverage -0.1; expected 0 to 1."),
    ],
)
def test_a_plan_that_cannot_be_is_refused(layers: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        assignment.LayerPlan(layers)
    assert caught.value.message == sentence
    with pytest.raises(InvalidInput, match="holdout of 2"):
        assignment.LayerPlan([], holdout=2)


# --- what versions are worth ------------------------------------------------------------------------------------------------------


def test_seeds_with_a_common_stem_correlate_in_version_one_and_not_in_two() -> None:
    ids = np.arange(200_000)
    shares, largest = {}, {}
    for version in (1, 2):
        arms = np.array([assignment.hash_many(ids, f"exp-{i}", version) >= 0.5 for i in range(40)], dtype=np.float32)
        phi = np.asarray(np.corrcoef(arms))[np.triu_indices(40, 1)]
        shares[version] = float((chi2.sf(len(ids) * phi**2, 1) < 0.001).mean())
        largest[version] = float(np.abs(phi).max())
    assert shares[1] >= 0.40 and largest[1] > 0.8
    assert shares[2] <= 0.01 and largest[2] < 0.012
