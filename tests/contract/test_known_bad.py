"""What must not earn points, per problem, and its counterpart, what must: without it a blind grader would pass."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from mlsd_app.interviews.scoring.graders import grade_all
from mlsd_app.interviews.scoring.marks import Mark
from mlsd_app.interviews.scoring.sheet import Sheet
from mlsd_app.interviews.scoring.verdict import Outcome, Scored, outcome_of, weights
from problems.loader import load_problem
from problems.schema import Problem
from tests.contract.answers import BAD, bad, complete, good, good_sheet, scripted, sheet
from tests.contract.problem_checks import COMPLETE, slug_of

every_problem = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)
MOST = 5.0  # weighted points of 100
SIBLINGS = {("image_search", "vector_search"): 20.0}  # the same index under both: an answer to one does hold parts of the other
WORTH = 0.75  # of the automatic points, for a scripted good answer


def outcome(sheet: Sheet, marks: dict[str, Mark] | None = None) -> Outcome:
    marks = marks or grade_all(sheet)
    scored = [Scored(item, marks[item.id].points, ratio=marks[item.id].ratio) for item in sheet.rubric.items]
    return outcome_of(sheet.rubric, scored, level="senior", signals={})


def judged_by_people(sheet: Sheet) -> Outcome:
    """As if a person had given nothing for all that waits for one: then there is a verdict."""
    marks = grade_all(sheet)
    scored = [Scored(item, marks[item.id].points or 0.0) for item in sheet.rubric.items]
    return outcome_of(sheet.rubric, scored, level="mid", signals={})


@every_problem
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_earns_next_to_nothing(problem: Problem, kind: str) -> None:
    found = bad(problem, kind)
    result = outcome(found)
    earned = {item: mark.points for item, mark in grade_all(found).items() if mark.points}
    assert result.earned <= MOST, earned
    assert result.verdict in ("", "no hire")
    assert judged_by_people(found).verdict == "no hire"


@every_problem
@pytest.mark.parametrize("other", scripted())
def test_the_good_answer_to_another_problem_earns_next_to_nothing(problem: Problem, other: str) -> None:
    if other == problem.slug:
        pytest.skip("its own answer")
    answer = good(other)
    found = sheet(problem, texts=answer["texts"], rows=answer["rows"])
    earned = {item: mark.points for item, mark in grade_all(found).items() if mark.points}
    assert outcome(found).earned <= SIBLINGS.get((problem.slug, other), MOST), earned
    assert judged_by_people(found).verdict == "no hire"


@pytest.mark.parametrize("slug", scripted())
def test_a_good_answer_is_seen(slug: str) -> None:
    found = good_sheet(load_problem(slug))
    marks = grade_all(found)
    weight = weights(found.rubric)
    automatic = sum(weight[item.id] for item in found.rubric.items if marks[item.id].graded)
    missed = {
        item.id: (marks[item.id].points, marks[item.id].comment)
        for item in found.rubric.items
        if (marks[item.id].points or 0) < item.points
    }
    assert outcome(found, marks).earned >= WORTH * automatic, missed


@every_problem
def test_every_automatic_item_can_be_earned_in_full(problem: Problem) -> None:
    found = complete(problem)
    marks = grade_all(found)
    short = {
        item.id: marks[item.id]
        for item in found.rubric.items
        if item.grade != "text" and marks[item.id].points != item.points and not argued(problem, item.needs, item.grade)
    }
    assert not short
    assert all(mark.evidence for mark in marks.values() if mark.points)


@every_problem
def test_a_rubric_can_be_graded_by_rule_for_the_most_part(problem: Problem) -> None:
    """Also where no curveball came up; and no signal hangs on a single item."""
    assert problem.rubric
    weight, items = weights(problem.rubric), problem.rubric.items
    assert sum(weight[item.id] for item in items if item.grade not in ("text", "curveball")) >= 40
    assert sum(weight[item.id] for item in items if item.grade == "mention") <= 10
    counts = Counter(item.signal for item in items)
    assert all(counts[signal.key] >= 2 for signal in problem.rubric.signals)


def argued(problem: Problem, needs: tuple[str, ...], grade: str) -> bool:
    """Whether a curveball item names only events without a lab, which no rule can grade."""
    assert problem.interviewer
    return grade == "curveball" and not [ball for ball in problem.interviewer.curveballs if ball.key in needs and ball.change]


@every_problem
def test_a_rule_gives_no_error_on_an_empty_answer(problem: Problem) -> None:
    marks = grade_all(sheet(problem))
    assert not [mark.error for mark in marks.values() if mark.error]
    assert all(mark.points in (0, None) for mark in marks.values())


@every_problem
def test_the_same_marks_twenty_times_and_fast(problem: Problem) -> None:
    begun = time.perf_counter()
    first = grade_all(complete(problem))
    assert all(grade_all(complete(problem)) == first for _ in range(19))
    assert (time.perf_counter() - begun) / 20 <= 2.0
