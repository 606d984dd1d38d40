"""Pieces come into the queue once what was handed in has been marked by rule, and come back when it is marked anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import F, Max, Q, QuerySet

from mlsd_app.cohorts.grading.queue import order_key
from mlsd_app.cohorts.grading.rubrics import rubric_apply, rubric_latest
from mlsd_app.cohorts.grading.sections import ANSWER, SECTIONS
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Task
from mlsd_app.interviews.models import Status
from mlsd_app.quiz.models import Sitting, SittingStatus
from mlsd_app.quiz.sittings import answers_of


def tasks_make(*, now: datetime, assignment: Assignment | None = None) -> list[AssignedAttempt]:
    """Makes what is missing, of one assignment or of all; the tries whose work came in. Safe to call at any time, also twice at once.

    An interview comes in once the rules have marked it: an abandoned one only after staff let it be graded. It is put under the
    assignment's own rubric where there is one.
    """
    _again(assignment)
    return [row for row in _without(assignment) if _pieces(row, now)]


def _without(assignment: Assignment | None) -> QuerySet[AssignedAttempt]:
    mocks = Q(attempt__status__in=[Status.GRADED, Status.RELEASED])
    quizzes = Q(sitting__status=SittingStatus.CLOSED)
    rows = AssignedAttempt.objects.filter(mocks | quizzes, queued_at=None).select_related("assignment", "attempt", "sitting")
    return rows.filter(assignment=assignment) if assignment else rows


@transaction.atomic
def _pieces(row: AssignedAttempt, now: datetime) -> bool:
    if not AssignedAttempt.objects.filter(pk=row.pk, queued_at=None).update(queued_at=now):
        return False  # somebody else has just done it
    if row.attempt is not None and (own := rubric_latest(row.assignment)):
        rubric_apply(attempt=row.attempt, rubric=own, now=now)
    keys = {key: order_key(assignment=row.assignment, section=key, assigned=row) for key in _keys(row)}
    Task.objects.bulk_create([Task(assigned=row, section=key, order_key=place) for key, place in keys.items()], ignore_conflicts=True)
    return True


def _keys(row: AssignedAttempt) -> Iterator[str]:
    if row.attempt is not None:
        yield from (section.key for section in SECTIONS)
    elif row.sitting is not None:
        yield from (f"{ANSWER}{key}" for key in free_answers(row.sitting))


def free_answers(sitting: Sitting) -> dict[str, str]:
    """{"problem/item": what was written} of the free answers that hold some text."""
    found = {}
    for place, response in answers_of(sitting).items():
        entry = sitting.items[place]
        key = f"{entry['problem']}/{entry['item']}"
        text = str(response.given.get("text") or "").strip()
        if text and sitting.content.get(key, {}).get("type") == "free":
            found[key] = text
    return found


def _again(assignment: Assignment | None) -> int:
    """What was marked by rule anew since a person graded it (reopened, or late text accepted) has to be looked at again."""
    graded = Task.objects.filter(state="graded", assigned__attempt__isnull=False)
    if assignment:
        graded = graded.filter(assigned__assignment=assignment)
    marked = graded.annotate(marked_at=Max("assigned__attempt__events__at", filter=Q(assigned__attempt__events__kind="graded")))
    stale = list(marked.filter(marked_at__gt=F("graded_at")).values_list("pk", flat=True))
    return Task.objects.filter(pk__in=stale, state="graded").update(state="check_again")
