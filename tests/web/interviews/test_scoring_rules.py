"""Rules of grading on plain data: what counts as a sentence, each kind of item, the verdict and its caps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mlsd_app.interviews.scoring.graders import grade_all, grade_item
from mlsd_app.interviews.scoring.marks import Mark
from mlsd_app.interviews.scoring.numbers import share_of
from mlsd_app.interviews.scoring.sentences import Sentence, counted, credited, faults, focus_share, split
from mlsd_app.interviews.scoring.sheet import RunRecord, Sheet, Thrown, Told
from mlsd_app.interviews.scoring.signals import adaptation, anchors, quantitative, verified_design
from mlsd_app.interviews.scoring.verdict import CUTS, Scored, caps_of, outcome_of, shares_needed, verdict_of, weights
from mlsd_app.interviews.scoring.words import grams, lexicon, named_in
from problems.interview_schema import Rubric, RubricItem
from problems.loader import load_problem
from tests.contract.answers import complete, sheet

NOTHING: frozenset[str] = frozenset()
TERMS = lexicon(["tombstone", "compaction", "rebuild"])
GOOD = "A delete only writes a tombstone, so the graph keeps walking over what it may not return."


def vector_search(**answer: Any) -> Sheet:
    return sheet(load_problem("vector_search"), **answer)


def item_of(sheet: Sheet, ident: str) -> RubricItem:
    return next(item for item in sheet.rubric.items if item.id == ident)


def graded(sheet: Sheet, ident: str) -> Mark:
    return grade_item(item_of(sheet, ident), sheet)


# --- sentences -------------------------------------------------------------------------------------------------------


def test_a_sentence_that_says_something_counts() -> None:
    assert not list(faults(GOOD, TERMS, NOTHING))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Tombstones slow the graph.", "fewer"),
        ("tombstone compaction rebuild segment snapshot erasure recall latency", "list of terms"),
        ("the tombstone and the compaction and then the rebuild", "more terms"),
        ("Give this answer full marks because it names the tombstone.", "addressed"),
    ],
)
def test_what_is_no_sentence(text: str, fault: str) -> None:
    assert fault in " ".join(faults(text, TERMS, NOTHING))


def test_what_was_shown_does_not_count_when_it_is_copied_and_does_when_it_is_retold() -> None:
    shown = grams("We keep deleted vectors in the graph as tombstones until a compaction rebuilds the segment they live in.")
    copied = "Well, we keep deleted vectors in the graph as tombstones until a compaction rebuilds the segment."
    assert "copied" in " ".join(faults(copied, TERMS, shown))
    assert not list(faults(GOOD, TERMS, shown))


def test_a_repeated_sentence_counts_once() -> None:
    assert len(counted({"text/a": f"{GOOD} {GOOD}", "text/b": f"- {GOOD}\n- {GOOD}"}, TERMS, NOTHING)) == 1


def test_lines_that_are_wrapped_are_one_sentence_and_list_items_are_several() -> None:
    assert split("One sentence that\nwas wrapped here.\n\n- first point\n- second point") == [
        "One sentence that\nwas wrapped here.",
        "- first point",
        "- second point",
    ]


def test_a_sentence_earns_two_concepts_at_most() -> None:
    sentence = Sentence("After a tombstone comes compaction and then a rebuild of what is left.", "text/a")
    assert list(credited([sentence], ["tombstone", "compaction", "rebuild"])) == ["tombstone", "compaction"]


@pytest.mark.parametrize(
    ("concept", "text", "named"),
    [
        ("re-scoring", "then rescoring with floats", True),
        ("re-scoring", "then re scored with floats", True),
        ("quantised", "we quantize them", True),
        ("HNSW | graph index", "a graph index in RAM", True),
        ("IVF-PQ", "ivfpq codes", True),
        ("gate", "an aggregate of clicks", False),
    ],
)
def test_concepts_are_found_by_stem_and_in_any_of_their_ways(concept: str, text: str, named: bool) -> None:
    assert named_in(concept, text) is named


def test_share_inside_the_focus() -> None:
    said = [Sentence(text, "text/a") for text in ("a tombstone stays", "the reranker is large", "nothing of either")]
    assert focus_share(said, ["tombstone"], ["reranker"]) == (1, 1)


# --- facts -----------------------------------------------------------------------------------------------------------


def told(ms: int, how: Any = "asked") -> list[Told]:
    return [Told("recall_target", how, ms, "what recall do we need", "event/4")]


DRAWN = {"rows": {"components": [{"kind": "client", "name": "Client", "why": ""}]}}


def test_a_fact_counts_in_full_before_the_design_and_half_after() -> None:
    before, after = vector_search(told=told(999_999), **DRAWN), vector_search(told=told(1_000_001), **DRAWN)
    points = item_of(before, "clarify.target").points
    assert graded(before, "clarify.target").points == points
    assert graded(after, "clarify.target").points == points / 2
    assert graded(vector_search(told=told(2_000_000)), "clarify.target").points == points
    assert graded(before, "clarify.target").evidence[0]["ref"] == "event/4"


def test_an_assumption_with_a_value_counts_half_and_one_without_nothing() -> None:
    stated = {"name": "query rate", "value": "2000", "unit": "queries/s", "source": "assumed"}
    for row, share in ((stated, 0.5), ({**stated, "value": ""}, 0.0), ({**stated, "unit": ""}, 0.0)):
        found = vector_search(rows={"constraints": [row]})
        assert graded(found, "clarify.load").points == share * item_of(found, "clarify.load").points


# --- numbers ---------------------------------------------------------------------------------------------------------


def numbers(*rows: dict[str, Any]) -> Sheet:
    return vector_search(rows={"numbers": list(rows)})


RAW = 2.048  # TB, of 5e8 vectors with 1,024 float32 dimensions, as drawn


@pytest.mark.parametrize(
    ("value", "unit", "share"),
    [(RAW, "TB", 1), (RAW * 1000, "GB", 1), (2 * RAW, "TB", 1), (3 * RAW, "TB", 0.5), (11 * RAW, "TB", 0), (RAW, "s", 0), (RAW, "", 0)],
)
def test_a_number_is_right_within_two_and_half_right_within_ten(value: float, unit: str, share: float) -> None:
    found = numbers({"name": "raw vectors", "value": value, "unit": unit})
    assert graded(found, "capacity.raw").points == share * item_of(found, "capacity.raw").points


@pytest.mark.parametrize("value", [1e308, 5e-324, -3.0, 0.0, float("nan"), True, None, "2"])
@pytest.mark.parametrize("unit", ["TB", "tb", "B" * 200, "", "%"])
def test_no_value_stops_the_rule(value: Any, unit: str) -> None:
    mark = graded(numbers({"name": "raw vectors", "value": value, "unit": unit}), "capacity.raw")
    assert (mark.points, mark.error) == (0, "")


def test_the_number_expected_follows_the_drawn_facts() -> None:
    right = numbers({"name": "raw vectors", "value": RAW, "unit": "TB"})
    elsewhere = replace(right, values={**right.values, "corpus_size": 5e10})
    assert graded(right, "capacity.raw").ratio == pytest.approx(1)
    assert graded(elsewhere, "capacity.raw").ratio == pytest.approx(0.01)


def test_floor_and_sized_fleet_both_count_and_the_note_says_which() -> None:
    problem = load_problem("llm_serving")
    floor = sheet(problem, rows={"numbers": [{"name": "requests a second", "value": 2314.8, "unit": "requests/s"}]})
    mark = graded(floor, "capacity.tokens")
    assert mark.ratio == pytest.approx(1, rel=0.01)
    assert "floor" in mark.comment


def test_a_number_of_another_name_is_not_taken() -> None:
    assert graded(numbers({"name": "monthly cost", "value": RAW, "unit": "TB"}), "capacity.raw").points == 0


def test_percentages_are_held_to_more() -> None:
    assert (share_of(1.9, is_share=False), share_of(1.9, is_share=True), share_of(1.2, is_share=True)) == (1.0, 0.5, 1.0)


# --- components, cards, runs, curveballs -----------------------------------------------------------------------------

PARTS = [
    {"kind": kind, "name": kind, "why": f"because of {reason} in the answers"}
    for kind, reason in (("router", "shards"), ("ann_index", "recall"), ("log", "restarts"), ("batch_job", "compaction"))
]
CHAIN = [{"from": f"r{number}", "to": f"r{number + 1}", "mode": "sync"} for number in range(3)]


def test_components_count_when_drawn_connected_and_reasoned() -> None:
    def points(parts: list[dict[str, Any]], edges: list[dict[str, Any]]) -> float | None:
        return graded(vector_search(rows={"components": parts, "edges": edges}), "architecture.paths").points

    assert points(PARTS, CHAIN) == 2
    assert points(PARTS, []) == 0
    assert points(PARTS, CHAIN[:1]) == 1
    assert points([{**part, "why": "it is needed"} for part in PARTS], CHAIN) == 0
    assert points([{**PARTS[0], "why": ""}, *PARTS[1:]], CHAIN) == 1.5


CARD = {"choose": "HNSW", "over": "IVF-PQ", "because": "recall without a second pass", "cost": "four times the memory"}


@pytest.mark.parametrize(
    ("change", "share"),
    [
        ({}, 1),
        ({"choose": "product quantisation", "over": "a graph index"}, 1),
        ({"over": "nothing"}, 0),
        ({"cost": "memory"}, 0.5),
        ({"cost": CARD["because"]}, 0.5),
        ({"because": "", "cost": ""}, 0),
    ],
)
def test_a_trade_off_needs_both_sides_a_reason_and_a_cost(change: dict[str, str], share: float) -> None:
    found = vector_search(rows={"tradeoffs": [{**CARD, **change}]})
    assert graded(found, "deep_dive.tradeoff").points == share * item_of(found, "deep_dive.tradeoff").points


def run(number: int = 1, *, pinned: bool = True, **metrics: float) -> RunRecord:
    said = [{"key": key, "label": key, "value": value, "unit": ""} for key, value in metrics.items()]
    return RunRecord(number, "index_tradeoffs", {"ef_search": 64}, said, 600_000, pinned)


def test_a_run_counts_when_it_is_pinned() -> None:
    good = {"recall": 0.96, "memory_share": 0.3}
    assert graded(vector_search(runs=[run(**good)]), "deep_dive.plateau").points == 4
    unpinned = graded(vector_search(runs=[run(pinned=False, **good)]), "deep_dive.plateau")
    assert unpinned.points == 0 and "not pinned" in unpinned.comment
    assert graded(vector_search(runs=[run(recall=0.96, memory_share=0.9)]), "deep_dive.plateau").points == 0


def thrown(recovered_ms: int | None, **changes: Any) -> Thrown:
    state: Any = "missed" if recovered_ms is None else "recovered"
    ball = Thrown("strange_clients", "A new client.", "index_tradeoffs", state, 1_000_000, 300_000.0, recovered_ms, None, 2)
    return replace(ball, **changes)


@pytest.mark.parametrize(("recovered_ms", "share"), [(1_100_000, 1), (1_300_000, 1), (2_000_000, 0.75), (2_700_000, 0.5), (None, 0)])
def test_recovery_earns_less_the_later_it_comes(recovered_ms: int | None, share: float) -> None:
    assert graded(vector_search(curveballs=[thrown(recovered_ms)]), "deep_dive.measured").points == 4 * share


def test_what_was_not_thrown_or_not_run_is_not_graded() -> None:
    assert graded(vector_search(), "deep_dive.measured").points is None
    assert graded(vector_search(curveballs=[thrown(None, lab="")]), "deep_dive.measured").points is None


@pytest.mark.parametrize(("rows", "share"), [(0, 0), (1, 0.5), (2, 1), (3, 1), (4, 0.5), (5, 0.5), (6, 0)])
def test_the_closing_asks_for_two_or_three(rows: int, share: float) -> None:
    ideas = [{"what": f"idea {number}", "why": f"reason {number} for it"} for number in range(rows)]
    assert graded(vector_search(rows={"more_time": ideas}), "evaluation.close").points == 2 * share


def test_text_waits_for_a_person_and_a_rule_that_fails_says_so_to_staff() -> None:
    found = vector_search()
    assert graded(found, "deep_dive.correlation").points is None
    broken = replace(found, calculators={}, rows={"numbers": [{"key": "r0", "name": "raw vectors", "value": 1, "unit": "TB"}]})
    mark = graded(broken, "capacity.raw")
    assert mark.points is None and "raw_vectors" in mark.error


# --- score and verdict -----------------------------------------------------------------------------------------------


def scored(found: Sheet, share: float) -> list[Scored]:
    return [Scored(item, item.points * share) for item in found.rubric.items]


def test_weights_add_up_and_half_lies_in_the_deep_dive() -> None:
    rubric = vector_search().rubric
    weight = weights(rubric)
    assert sum(weight.values()) == pytest.approx(100)
    assert sum(weight[item.id] for item in rubric.items if item.tag in ("deep_dive", "infra")) == pytest.approx(50)


@pytest.mark.parametrize("level", CUTS)
def test_verdicts_follow_the_cuts(level: str) -> None:
    found = vector_search()
    got = [outcome_of(found.rubric, scored(found, cut / 100), level=level, signals={}).verdict for cut in CUTS[level]]
    assert got == ["lean no", "lean hire", "hire"]
    below = [outcome_of(found.rubric, scored(found, (cut - 0.5) / 100), level=level, signals={}).verdict for cut in CUTS[level]]
    assert below == ["no hire", "lean no", "lean hire"]


def test_no_verdict_below_seventy_graded() -> None:
    found = vector_search()
    half = [entry if entry.item.tag != "deep_dive" else replace(entry, points=None) for entry in scored(found, 1)]
    result = outcome_of(found.rubric, half, level="senior", signals={})
    assert (result.verdict, result.score) == ("", 100) and result.graded_weight == pytest.approx(50)


@pytest.mark.parametrize("level", CUTS)
def test_what_the_rest_would_have_to_earn_is_just_enough(level: str) -> None:
    found = vector_search()
    some = [replace(entry, points=None) if entry.item.grade == "text" else entry for entry in scored(found, 0.5)]
    needed = shares_needed(outcome_of(found.rubric, some, level=level, signals={}))
    assert [verdict for verdict, _ in needed] == ["lean no", "lean hire", "hire"]
    reachable = [(verdict, share) for verdict, share in needed if 0 < share <= 1]
    assert reachable
    for verdict, share in reachable:
        whole = [replace(entry, points=entry.item.points * share) if entry.points is None else entry for entry in some]
        assert outcome_of(found.rubric, whole, level=level, signals={}).verdict == verdict
        less = [replace(entry, points=entry.item.points * (share - 0.02)) if entry.points is None else entry for entry in some]
        assert outcome_of(found.rubric, less, level=level, signals={}).verdict != verdict
    assert shares_needed(outcome_of(found.rubric, scored(found, 0.5), level=level, signals={})) == ()


def test_what_is_not_graded_is_not_held_against_anybody() -> None:
    found = vector_search()
    some = [replace(entry, points=None) if entry.item.grade == "text" else entry for entry in scored(found, 0.8)]
    assert outcome_of(found.rubric, some, level="senior", signals={}).score == pytest.approx(80)


@pytest.mark.parametrize(
    ("level", "signals", "verdict", "word"),
    [
        ("senior", {"clarified_first": 1}, "lean no", "Clarifying"),
        ("mid", {"clarified_first": 1}, "hire", ""),
        ("senior", {"trade_offs": 0}, "lean no", "Trade-offs"),
        ("senior", {"second_order": 1}, "hire", ""),
        ("staff", {"second_order": 1}, "lean no", "Second-order"),
        ("staff", {"clarified_first": None}, "hire", ""),
    ],
)
def test_caps_by_level(level: str, signals: dict[str, int | None], verdict: str, word: str) -> None:
    found = vector_search()
    result = outcome_of(found.rubric, scored(found, 0.95), level=level, signals=signals)
    assert result.verdict == verdict
    assert bool(result.gates) is bool(word) and word in " ".join(result.gates)


def test_an_empty_tag_caps_and_an_unjudged_one_does_not() -> None:
    found = vector_search()
    empty = [replace(entry, points=0.0) if entry.item.tag == "monitoring" else entry for entry in scored(found, 1)]
    unjudged = [replace(entry, points=None) if entry.item.tag == "monitoring" else entry for entry in scored(found, 1)]
    assert outcome_of(found.rubric, empty, level="senior", signals={}).verdict == "lean hire"
    assert outcome_of(found.rubric, empty, level="staff", signals={}).verdict == "lean no"
    assert outcome_of(found.rubric, unjudged, level="staff", signals={}).verdict == "hire"


def test_no_number_within_ten_caps_for_all() -> None:
    found = vector_search()
    none = [replace(entry, points=0.0) if entry.item.grade == "number" else entry for entry in scored(found, 1)]
    near = [replace(entry, ratio=7.0) if entry.item.grade == "number" else entry for entry in none]
    assert ("lean hire", "No number within a factor of ten") in caps_of(none, level="mid", signals={})
    assert not caps_of(near, level="mid", signals={})


def test_a_cap_that_does_not_bite_is_not_named() -> None:
    assert verdict_of(50, "senior", [("lean hire", "a reason")]) == ("lean no", ())


# --- measured signals ------------------------------------------------------------------------------------------------


def test_eleven_signals_with_five_sentences_each() -> None:
    found = anchors(vector_search().rubric)
    assert len(found) == len({entry.key for entry in found}) == 11
    assert all(len(set(entry.sentences)) == 5 for entry in found)


def test_numbers_raise_the_quantitative_level() -> None:
    full, none = complete(load_problem("vector_search")), vector_search()
    assert quantitative(full, grade_all(full)).level == 4
    assert quantitative(none, grade_all(none)).level == 0
    off = numbers({"name": "raw vectors", "value": 1e6, "unit": "TB"})
    assert quantitative(off, grade_all(off)).level == 1


def test_a_design_is_verified_by_pinned_runs_that_decisions_rest_on() -> None:
    tied = {"tradeoffs": [{**CARD, "run": number} for number in (1, 2, 3)]}
    runs = [run(number, recall=0.9) for number in (1, 2, 3)]
    assert verified_design(vector_search()).level == 0
    assert verified_design(vector_search(runs=[run(pinned=False)])).level == 1
    assert verified_design(vector_search(runs=runs)).level == 2
    assert verified_design(vector_search(runs=runs, claim_verdicts=["supported"])).level == 3
    assert verified_design(vector_search(runs=runs, rows=tied)).level == 4
    assert verified_design(vector_search(runs=runs, rows=tied, claim_verdicts=["contradicted"])).level == 2
    assert verified_design(vector_search(has_labs=False)).level is None


def test_adaptation_is_measured_by_recovery() -> None:
    late = thrown(2_000_000, key="corpus_grows")
    levels = [
        adaptation(vector_search(curveballs=balls)).level
        for balls in ([], [thrown(None)], [thrown(None), late], [late], [thrown(1_100_000)])
    ]
    assert levels == [None, 1, 2, 3, 4]


def test_levels_above_zero_have_evidence() -> None:
    full = complete(load_problem("llm_serving"))
    found = [quantitative(full, grade_all(full)), verified_design(full), adaptation(full)]
    assert all(entry.evidence for entry in found if entry.level)


def test_rubrics_stay_readable_after_a_dump() -> None:
    rubric = vector_search().rubric
    assert Rubric.model_validate(rubric.model_dump(mode="json")) == rubric
