"""A quiz of the demo cohort that is over, so that there are figures to look at. Answered by the services, right or wrong by number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import Assignment, Cohort, Membership
from mlsd_app.cohorts.services import assignments
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.quiz.bank import items_of
from mlsd_app.quiz.checks import wrong_answers
from mlsd_app.quiz.questions import Question
from mlsd_app.quiz.questions.numbers import NumberQuestion
from mlsd_app.quiz.responses import Given, response_give
from mlsd_app.quiz.served import served
from simulators.units import quantity_of

PROBLEM = "vector_search"
TYPES = ("choice", "number", "order", "slip")
ITEMS = 8
BITS_FOR_BYTES = 8


def demo_quiz_over(*, by: By, cohort: Cohort, learners: Sequence[Membership], now: datetime) -> Assignment:
    """A week old. Later learners know more; every fourth learner writes bits for bytes."""
    begun = now - timedelta(days=7)
    items = [entry.item.id for entry in items_of(PROBLEM) if entry.item.type in TYPES][:ITEMS]
    fields = AssignmentFields(
        title="Warm-up quiz: vector search",
        brief="Eight questions to begin with.",
        kind="quiz",
        problem=PROBLEM,
        settings={"items": items},
        opens_at=begun - timedelta(days=1),
        due_at=begun + timedelta(days=2),
        closes_at=begun + timedelta(days=3),
    )
    made = assignments.assignment_create(by=by, cohort=cohort, fields=fields, now=begun - timedelta(days=1))
    assignments.assignment_publish(by=by, assignment=made, published=True, now=begun - timedelta(days=1))
    for number, member in enumerate(learners):
        _take(made, member, number, begun + timedelta(hours=number))
    return made


def _take(assignment: Assignment, member: Membership, number: int, at: datetime) -> None:
    row = assignment_begin(user=member.user, assignment=assignment, now=at)
    assert row.sitting is not None
    for place in range(len(row.sitting.items)):
        answer = _answer(served(row.sitting, place).question, number, place)
        given = Given(answer=answer, op_id=f"demo-{row.pk}-{place}", ms=20_000 + 3_000 * place)
        response_give(user=member.user, sitting=row.sitting, place=place, given=given, now=at + timedelta(minutes=2 * place + 1))


def _answer(question: Question, number: int, place: int) -> Mapping[str, Any]:
    if isinstance(question, NumberQuestion) and number % 4 == 1:
        truth = question.solution.truth
        return {"text": quantity_of(BITS_FOR_BYTES * truth.value, question.solution.unit).text}
    if (7 * number + 5 * place) % 12 < 4 + number // 2:
        return question.right()
    return next(wrong_answers(question))
