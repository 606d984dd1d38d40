"""Questions as pure functions: shuffling, marking, reading, and what the schema keeps out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mlsd_app.quiz.questions import Question, draw
from mlsd_app.quiz.questions.base import kendall_tau, shuffled
from problems.loader import load_problem
from problems.quiz_schema import QuizItem
from simulators.errors import InvalidInput
from simulators.units import UnitError

PROBLEM = load_problem("vector_search")
COMMON = {
    "id": "ann.test.item",
    "tags": ["vector_search"],
    "phase": "deep_dive",
    "level": 1,
    "explain": "Because it is so.",
    "see": {"section": "deep_dive"},
}
CHOICE = {
    "type": "choice",
    "stem": "Which?",
    "options": [
        {"text": "one", "correct": True},
        {"text": "two", "why": "no"},
        {"text": "three", "why": "no"},
        {"text": "none", "why": "no"},
    ],
}
SEVERAL = {
    "type": "choice",
    "stem": "Which?",
    "multiple": True,
    "options": [{"text": "a", "correct": True}, {"text": "b", "correct": True}, {"text": "c", "why": "no"}, {"text": "d", "why": "no"}],
}
NUMBER = {
    "type": "number",
    "stem": "How much do {n} vectors take at $x_{i}$?",
    "answer": {"formula": "n * 768 * 4 / 1e9", "unit": "GB", "given": {"n": {"choices": [1e8, 1e9]}}},
    "rule": "derived",
    "wrong": [{"when": "n * 768 / 1e9", "because": "A float32 has four bytes."}],
}
ORDER = {"type": "order", "stem": "Order.", "axis": "size", "items": ["one", "two", "three", "four"]}
SLIP = {"type": "slip", "stem": "Which step?", "steps": ["a", "b", "c"], "wrong": 2, "right": "b is twice that."}


def made(fields: dict[str, Any], seed: int = 1, **changes: Any) -> Question:
    item: Any = TypeAdapter(QuizItem).validate_python({**COMMON, **fields, **changes})
    return draw(item, PROBLEM, seed)


# --- orders ----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 9), st.integers(0, 2**31))
def test_a_shuffle_is_a_permutation_that_the_seed_repeats(count: int, seed: int) -> None:
    assert sorted(shuffled(count, seed, "x")) == list(range(count))
    assert shuffled(count, seed, "x") == shuffled(count, seed, "x")


def test_every_order_comes_up() -> None:
    assert len({tuple(shuffled(3, seed, "x")) for seed in range(200)}) == 6


def test_a_pinned_option_stays_last_and_the_others_move() -> None:
    shown = [made(CHOICE, seed, pin="last").public()["options"] for seed in range(40)]
    assert {options[-1] for options in shown} == {"none"}
    assert {options[0] for options in shown} == {"one", "two", "three"}


def test_kendall() -> None:
    assert kendall_tau([0, 1, 2, 3]) == 1 and kendall_tau([3, 2, 1, 0]) == -1
    assert kendall_tau([1, 0, 2, 3]) == pytest.approx(4 / 6)


@given(st.permutations(range(4)))
def test_an_order_earns_its_tau_and_never_less_than_nothing(order: list[int]) -> None:
    question = made(ORDER)
    right = question.right()["order"]
    mark = question.mark({"order": order}).mark
    inversions = sum(right.index(a) > right.index(b) for a, b in itertools.combinations(order, 2))
    assert mark == pytest.approx(max(0.0, 1 - 2 * inversions / 6))
    assert (mark == 1) == (order == right)


def test_lines_to_order_are_never_shown_in_their_order() -> None:
    for seed in range(200):
        question = made(ORDER, seed)
        assert question.public()["lines"] != ["one", "two", "three", "four"]
        assert [question.public()["lines"][place] for place in question.right()["order"]] == ["one", "two", "three", "four"]


# --- marks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("picked", "mark"), [("ab", 1), ("a", 0.5), ("abc", 0.5), ("abcd", 0), ("ac", 0), ("c", 0), ("cd", 0)])
def test_several_right_options(picked: str, mark: float) -> None:
    question = made(SEVERAL)
    shown = question.public()["options"]
    assert question.mark({"picked": [shown.index(option) for option in picked]}).mark == mark


def test_one_option_is_right_or_not_and_every_other_says_why() -> None:
    question = made(CHOICE)
    for place, text in enumerate(question.public()["options"]):
        marked = question.mark({"picked": [str(place)]})
        assert marked.mark == (text == "one") and marked.correct == "one" and marked.given == {"picked": [place]}
        assert [reason.why for reason in marked.reasons if not reason.correct] == ["no"] * 3
        assert [reason.picked for reason in marked.reasons].index(True) == place
    with pytest.raises(InvalidInput):
        question.mark({"picked": [0, 1]})


def test_a_slip_is_found_and_set_right() -> None:
    question = made(SLIP)
    assert question.public()["options"] == ["a", "b", "c"], "steps keep their order"
    assert question.mark({"picked": [1]}).mark == 1 and question.mark({"picked": [0]}).mark == 0
    assert question.mark({"picked": [0]}).reasons[1].why == "b is twice that."


def test_a_free_answer_is_ticked_by_its_writer() -> None:
    question = made({"type": "free", "stem": "Why?", "points": ["a", "b", "c", "d"], "model": "All of it."})
    assert question.mark({"text": "because"}).state == "ungraded" and question.mark({"text": "because"}).mark is None
    ticked = question.mark({"text": "because", "points": [0, 2, 3]})
    assert (ticked.mark, ticked.state, ticked.echo) == (0.75, "self", "3 of 4 points")
    assert "All of it." not in str(question.public()) and "'a'" not in str(question.public())


# --- numbers ---------------------------------------------------------------------------------------------------------


def number_at(n: float, **changes: Any) -> Question:
    return next(question for seed in range(50) if f"{n:,.0f}".replace(",", "\u202f") in (question := made(NUMBER, seed, **changes)).stem)


def test_a_number_shows_its_line_with_the_numbers_put_in() -> None:
    question = number_at(1e9)
    marked = question.mark({"text": "3.072 TB"})
    assert marked.mark == 1 and marked.echo == "3.072 TB"
    assert marked.formula == "n × 768 × 4 / 1e9"
    assert marked.line == "1\u202f000\u202f000\u202f000 × 768 × 4 / 1e9 = 3\u202f072 GB"
    assert marked.inputs == (("n", "1\u202f000\u202f000\u202f000"),)
    assert "$x_{i}$" in question.stem, "braces of a formula stay"


@pytest.mark.parametrize(
    ("rule", "formula", "told"),
    [
        ("estimate", "n * 768 / 4645", "\u2248 165\u202f000\u202f000 GB"),
        ("estimate", "n * 768 / 4645e6", "\u2248 165 GB"),
        ("estimate", "n / 64e4", "\u2248 1\u202f560 GB"),
        ("estimate", "n / 4e8", "= 2.5 GB"),
        ("derived", "n / 64e4", "= 1\u202f562.5 GB"),
    ],
)
def test_an_estimate_is_told_with_three_digits_and_judged_by_all(rule: str, formula: str, told: str) -> None:
    question = number_at(1e9, rule=rule, answer={**NUMBER["answer"], "formula": formula}, wrong=[])
    marked = question.mark(question.right())
    assert marked.line.endswith(f" {told}")
    assert told.endswith(f" {marked.correct}")
    assert marked.notes[0] == "Exactly."


def test_the_mistake_that_leads_to_a_value_is_named() -> None:
    marked = number_at(1e8).mark({"text": "77 GB"})
    assert marked.mark == 0 and marked.wrong_path == "A float32 has four bytes."
    assert number_at(1e8).mark({"text": "307 GB"}).wrong_path == ""


def test_binary_units_and_their_strictness() -> None:
    assert number_at(1e8).mark({"text": "286.1 GiB"}).mark == 1
    gib = next(q for seed in range(50) if "100" in (q := made(NUMBER, seed)).stem)
    assert "Read as" in " ".join(gib.mark({"text": "307.2 GiB"}).notes)
    strict = made(NUMBER, gib.seed, binary_strict=True)
    assert strict.mark({"text": "307.2 GiB"}).mark == 0


def test_what_cannot_be_read_is_no_attempt_and_says_where() -> None:
    with pytest.raises(UnitError) as refusal:
        made(NUMBER).mark({"text": "85,9 GB"})
    assert (refusal.value.code, refusal.value.position, refusal.value.field) == ("comma", 2, "text")


def test_what_is_expected_tells_the_dimension_and_not_the_size() -> None:
    assert made(NUMBER).public()["expect"] == "information"
    percent = made({**NUMBER, "answer": {"value": 12, "unit": "%"}, "wrong": []}).public()
    assert percent["expect"] == "%" and "12" not in str({**percent, "stem": ""})


def test_the_right_answer_is_nowhere_in_what_is_public() -> None:
    for seed in range(20):
        question = made(NUMBER, seed)
        assert question.right()["text"] not in str(question.public())


# --- content that is no question -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {**CHOICE, "options": [{"text": "a", "correct": True}, {"text": "b", "correct": True}, {"text": "c", "why": "no"}]},
        {**CHOICE, "options": [{"text": "a", "correct": True}, {"text": "b"}, {"text": "c", "why": "no"}]},
        {**SLIP, "wrong": 4},
        {**ORDER, "items": ["one", "two"]},
        {"type": "lab", "stem": "?", "lab": "x", "ask": "pick", "metric": "recall"},
        {"type": "lab", "stem": "?", "lab": "x", "ask": "direction", "metric": "recall"},
        {"type": "lab", "stem": "?", "lab": "x", "ask": "value", "metric": "recall", "world": {"n": [1, 2]}},
    ],
)
def test_the_schema_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(fields)


def test_formulas_compute_and_do_nothing_else() -> None:
    for formula in ("__import__('os')", "n.real", "n[0]", "n ** n ** n", "(lambda: n)()", "unknown * 2"):
        with pytest.raises(ValueError, match=r"\w"):
            made({**NUMBER, "answer": {**NUMBER["answer"], "formula": formula}})  # type: ignore[dict-item]


def test_a_lab_question_needs_its_numbers() -> None:
    item: Any = next(item for item in (PROBLEM.quiz.items if PROBLEM.quiz else ()) if item.type == "lab")
    with pytest.raises(InvalidInput) as refusal:
        draw(item, PROBLEM, 1)
    assert refusal.value.field == "instance"
