"""Every item of every bank: it can be asked, its own answer is right, a wrong one is not, and nothing tells before the answer."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from mlsd_app.quiz.checks import leaked, quiz_faults, readiness_faults
from mlsd_app.quiz.questions import draw
from mlsd_app.quiz.questions.base import ChoiceQuestion, OrderQuestion, Question
from mlsd_app.quiz.questions.numbers import NumberQuestion
from mlsd_app.quiz.questions.truths import Draw, checked_draws, truth_of
from problems.calculators import evaluate
from problems.quiz_schema import CalculatedAnswer, Choice, FixedAnswer, LabQuestion, Number, See, WrongPath
from problems.schema import Problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.encoding import plain
from simulators.errors import InvalidInput
from simulators.lab import Context
from simulators.registry import get_lab
from simulators.units import parse_quantity, parse_unit
from tests.contract.problem_checks import COMPLETE, slug_of

SEEDS = range(20)
every_problem = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)


@every_problem
def test_nothing_is_wrong_with_the_bank(problem: Problem) -> None:
    assert quiz_faults(problem) == []


def test_each_readiness_question_has_a_free_answer_and_a_twin_marked_by_rule() -> None:
    assert readiness_faults(COMPLETE) == []


def test_there_are_enough_items() -> None:
    assert len(COMPLETE) >= 16 and sum(len(problem.quiz.items) for problem in COMPLETE if problem.quiz) >= 192


@every_problem
def test_a_seed_decides_numbers_and_order_and_nothing_else(problem: Problem) -> None:
    for item in asked(problem):
        for seed in SEEDS:
            again = draw(item, problem, seed)
            assert again.public() == draw(item, problem, seed).public()
            assert again.right() == draw(item, problem, seed).right(), item.id


@every_problem
def test_the_place_of_the_right_option_says_nothing(problem: Problem) -> None:
    """Over many seeds every place holds the right option about equally often; a pinned last option stays last."""
    places: dict[int, Counter[int]] = defaultdict(Counter)
    for item in asked(problem):
        if not isinstance(item, Choice) or item.multiple or item.pin:
            continue
        for seed in range(100):
            places[len(item.options)][draw(item, problem, seed).right()["picked"][0]] += 1
    for count, found in places.items():
        expected = found.total() / count
        assert all(0.5 * expected < found[place] < 1.6 * expected for place in range(count)), (count, found)


@every_problem
def test_answers_from_calculators_are_what_the_calculator_says(problem: Problem) -> None:
    for item in asked(problem):
        if isinstance(item, Number) and isinstance(item.answer, CalculatedAnswer):
            calculator = problem.calculator(item.answer.calculator)
            assert calculator
            output = next(entry for entry in evaluate(calculator, item.answer.inputs).outputs if entry.key == item.answer.output)
            question = draw(item, problem, 0)
            assert isinstance(question, NumberQuestion)
            truth = question.solution.truth
            assert truth.base == pytest.approx(output.value * parse_unit(output.unit).factor)


@every_problem
def test_a_worked_line_ends_in_the_right_answer(problem: Problem) -> None:
    for item in asked(problem):
        question = draw(item, problem, 3)
        if isinstance(question, NumberQuestion):
            marked = question.mark(question.right())
            assert marked.correct and not marked.wrong_path
            if marked.line:
                _, equal, told = re.split(r" ([=\N{ALMOST EQUAL TO}]) ", marked.line)
                within = 1e-5 if equal == "=" else 0.5 * 10 ** (1 - question.solution.digits)
                assert parse_quantity(told, question.expect).base == pytest.approx(question.solution.truth.base, rel=within), item.id
                assert all(name in marked.formula for name, _ in marked.inputs)


@every_problem
def test_known_mistakes_are_named(problem: Problem) -> None:
    for item in asked(problem):
        question = draw(item, problem, 1)
        if not isinstance(question, NumberQuestion):
            continue
        unit = question.solution.truth.unit
        for value, because in question.paths:
            if value > 0:
                typed = f"${value:.12g}{unit[1:]}" if unit.startswith("$") else f"{value:.12g} {unit}"
                marked = question.mark({"text": typed})
                assert because in marked.wrong_path, item.id


@every_problem
def test_what_is_no_answer_is_refused_with_the_field(problem: Problem) -> None:
    senseless: list[Any] = [None, "", "x", -1, 99, True, [0, 0], [None], {"a": 1}, 1.5, ["0", "0"], [[0]]]
    for item in asked(problem):
        question = draw(item, problem, 0)
        field = {"choice": "picked", "order": "order", "number": "text"}.get(question.form)
        if field is None:
            continue
        for value in senseless:
            with pytest.raises(InvalidInput) as refusal:
                question.mark({field: value})
            assert refusal.value.field == field and refusal.value.message
        with pytest.raises(InvalidInput):
            question.mark({})


def asked(problem: Problem) -> Iterator[Any]:
    """Items that need no run of a lab."""
    assert problem.quiz
    return (item for item in problem.quiz.items if not isinstance(item, LabQuestion))


# --- the checks themselves -------------------------------------------------------------------------------------------


def spoiled(**changes: Any) -> Problem:
    """A good problem whose first item of `kind` is spoiled."""
    problem = next(problem for problem in COMPLETE if problem.slug == "vector_search")
    assert problem.quiz
    kind = changes.pop("kind")
    items = list(problem.quiz.items)
    place = next(place for place, item in enumerate(items) if item.type == kind)
    items[place] = items[place].model_copy(update=changes)
    return problem.model_copy(update={"quiz": problem.quiz.model_copy(update={"items": tuple(items)})})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"kind": "choice", "explain": "Too short."}, "2 words; expected 15"),
        ({"kind": "choice", "rubric": ("deep_dive.nowhere",)}, "'deep_dive.nowhere' does not exist"),
        ({"kind": "choice", "stem": "Another stem.", "explain": "word " * 20}, ""),  # another item, and nothing wrong with it
        ({"kind": "number", "wrong": (WrongPath(when="n * d * 4 / 1e9", because="It is right."),)}, "is right at"),
        ({"kind": "number", "answer": FixedAnswer(value=-1, unit="GB")}, "expected a number above zero"),
        ({"kind": "number", "answer": FixedAnswer(value=3, unit="furlongs")}, "furlongs"),
        (
            {"kind": "flashcard", "front": "Its explanation is: " + "long words " * 9, "explain": "long words " * 9},
            "before the answer it shows",
        ),
        ({"kind": "lab", "vary": {"clusters": (100, -5)}}, "-5"),
        ({"kind": "lab", "lab": "nowhere"}, "There is no lab"),
        ({"kind": "slip", "id": "ann.raw.bytes"}, "stands 2 times"),
        ({"kind": "order", "phase": "architecture", "explain": "w " * 20, "see": See(section="deep_dive#nowhere")}, "'deep_dive#nowhere'"),
    ],
)
def test_a_spoiled_item_is_found(changes: dict[str, Any], part: str) -> None:
    faults = quiz_faults(spoiled(**changes))
    assert any(part in fault for fault in faults) if part else faults == []


# --- questions that a lab answers ------------------------------------------------------------------------------------


def templates() -> list[Any]:
    return [
        pytest.param(problem, item, id=item.id)
        for problem in COMPLETE
        for item in (problem.quiz.items if problem.quiz else ())
        if isinstance(item, LabQuestion)
    ]


@pytest.mark.parametrize(("problem", "item"), templates())
def test_a_template_makes_different_questions_with_parameters_the_lab_takes(problem: Problem, item: LabQuestion) -> None:
    lab = get_lab(problem.slug, item.lab)
    draws = checked_draws(item, lab)
    assert len({draw.key(problem.slug, item, lab) for draw in draws}) == len(draws)
    again = [Draw(**json.loads(json.dumps({"params": d.params, "options": d.options, "seeds": d.seeds}))) for d in draws]
    assert [d.key(problem.slug, item, lab) for d in again] == [d.key(problem.slug, item, lab) for d in draws], "a key survives storing"


class Made:
    """An instance as the database would give it back."""

    def __init__(self, item: LabQuestion, made: Draw, truth: dict[str, Any]) -> None:
        self.lab, self.params, self.options, self.truth = item.lab, made.params, list(made.options), json.loads(json.dumps(truth))


@pytest.fixture(scope="module")
def assets() -> CachedAssets:
    return CachedAssets(None)


def runs_of(problem: Problem, item: LabQuestion, made: Draw, seeds: tuple[int, ...], assets: CachedAssets) -> Any:
    lab = get_lab(problem.slug, item.lab)
    return [[plain(run_lab(lab, setting, Context(seed=seed, assets=assets)))["metrics"] for seed in seeds] for setting in made.settings]


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "item"), templates())
def test_a_template_really_makes_a_question_and_other_seeds_answer_it_alike(
    problem: Problem, item: LabQuestion, assets: CachedAssets
) -> None:
    """Its first draws are run until one is usable. That one can be answered, leaks nothing, and other seeds agree with it."""
    made, truth = first_usable(problem, item, assets)
    again = truth_of(item, runs_of(problem, item, made, tuple(101 + seed for seed in made.seeds), assets))
    assert again.usable, again.reason
    for name in ("answer", "order", "correct"):
        assert again.truth.get(name) == truth.get(name)
    if item.ask == "value":
        assert again.truth["mean"] == pytest.approx(truth["mean"], rel=0.1)
    is_answerable(draw(item, problem, 5, Made(item, made, truth)))


def first_usable(problem: Problem, item: LabQuestion, assets: CachedAssets) -> tuple[Draw, dict[str, Any]]:
    reasons = []
    for made in checked_draws(item, get_lab(problem.slug, item.lab))[:3]:
        verdict = truth_of(item, runs_of(problem, item, made, made.seeds, assets))
        if verdict.usable:
            return made, verdict.truth
        reasons.append(verdict.reason)
    pytest.fail(f"no question: {reasons}")


def is_answerable(question: Question) -> None:
    assert question.mark(question.right()).mark == 1
    assert leaked(question) == ""
    if isinstance(question, ChoiceQuestion):
        others = [place for place in range(len(question.options)) if place not in question.right()["picked"]]
        assert all(question.mark({"picked": place}).mark == 0 for place in others)
    if isinstance(question, OrderQuestion):
        assert question.mark({"order": question.right()["order"][::-1]}).mark == 0
