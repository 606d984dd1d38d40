"""Around the grader: who grades an attempt, once, and what happens to it then. What it is worth stands in `scoring`."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.interviews.closing import grade_enqueue
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring import grade

CLAIM_HOLDS = timedelta(seconds=120)  # a worker that has not finished by then is taken for dead
UNCLAIMED_AFTER = timedelta(seconds=30)


def attempt_grade(*, attempt_id: str, now: datetime) -> bool:
    """Grades the attempt if it waits for that and nobody else is at it; whether it did. Safe to call any number of times."""
    if not _claim(attempt_id, now):
        return False
    grade(attempt=Attempt.objects.get(pk=attempt_id), now=now)
    with transaction.atomic():
        row = attempt_lock(attempt=Attempt(pk=attempt_id))
        if row.status != Status.GRADING:
            return False  # void meanwhile, or another worker was faster
        row.status, row.grading_needed = Status.GRADED, False
        row.save(update_fields=["status", "grading_needed"])
        event_add(attempt=row, kind="graded", now=now, online=False)
        if row.kind == "mock":
            attempt_release(attempt=row, actor=None, now=now)
    return True


def _claim(attempt_id: str, now: datetime) -> bool:
    waiting = Attempt.objects.filter(pk=attempt_id, grading_needed=True, status__in=[Status.CLOSED, Status.GRADING])
    free = waiting.filter(Q(grading_claimed_at=None) | Q(grading_claimed_at__lte=now - CLAIM_HOLDS))
    return bool(free.update(grading_claimed_at=now, status=Status.GRADING))


@transaction.atomic
def attempt_release(*, attempt: Attempt, actor: User | None, now: datetime) -> Attempt:
    """Opens the result to its owner; a mock's at once, an assigned one's when whoever assigned it says so. Refused unless graded."""
    row = attempt_lock(attempt=attempt)
    if row.status == Status.RELEASED:
        return row
    if row.status != Status.GRADED:
        raise Refused("wrong_state", f"Only a graded interview can be released; this one is: {row.get_status_display().lower()}.", 409)
    row.status, row.released_at = Status.RELEASED, now
    row.save(update_fields=["status", "released_at"])
    event_add(attempt=row, kind="released", now=now, actor=actor, online=actor is not None)
    return row


def grading_requeue(*, now: datetime) -> int:
    """Asks again for attempts whose request was lost or whose worker died; how many."""
    waiting = [str(pk) for pk in _overdue(now).values_list("pk", flat=True)]
    for attempt_id in waiting:
        grade_enqueue(attempt_id)
    return len(waiting)


def _overdue(now: datetime) -> QuerySet[Attempt]:
    unclaimed = Q(grading_claimed_at=None, processed_at__lte=now - UNCLAIMED_AFTER)
    return Attempt.objects.filter(unclaimed | Q(grading_claimed_at__lte=now - CLAIM_HOLDS), grading_needed=True)
