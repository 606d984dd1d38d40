"""Running interviews of a cohort to try the live board and its operations on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Membership, Role
from mlsd_app.cohorts.services import accommodations, operations
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.selectors import clock_of, state_of
from tests.web.cohorts.conftest import NOW, House, person

REASON = "Fire alarm in the building."


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def begun(house: House, user: User, *, start_s: float = 0, assignment: Assignment | None = None, **extra: Any) -> Attempt:
    """An interview of `user` that runs since `start_s`; `extra` are fields of an accommodation."""
    if extra:
        accommodations.accommodation_set(by=house.by, cohort=house.cohort, user=user, fields=extra, now=NOW)
    row = assignment_begin(user=user, assignment=assignment or house.assignment(), now=at(start_s))
    assert row.attempt is not None
    return lifecycle.attempt_start(attempt=row.attempt, actor=user, now=at(start_s))


def crowd(house: House, count: int, *, start_s: float = 0) -> list[Attempt]:
    """So many learners whose interviews run since `start_s`. The rows are copies of one that went through the services."""
    assignment = house.assignment()
    first = begun(house, house.learner, start_s=start_s, assignment=assignment)
    users = [person(f"crowd-{number}", first_name=f"Crowd {number:03d}") for number in range(count - 1)]
    Membership.objects.bulk_create([Membership(cohort=house.cohort, user=user, role=Role.LEARNER, joined_via="added") for user in users])
    fields = {field.attname: getattr(first, field.attname) for field in Attempt._meta.concrete_fields if not field.primary_key}
    copies = Attempt.objects.bulk_create([Attempt(**{**fields, "user_id": user.pk}) for user in users])
    AssignedAttempt.objects.bulk_create(
        [
            AssignedAttempt(assignment=assignment, user_id=copy.user_id, number=1, attempt=copy, version=1, begun_at=at(start_s))
            for copy in copies
        ]
    )
    return [first, *copies]


def run(house: House, op: str, attempts: list[Attempt], *, now: datetime, by: Any = None, **changes: Any) -> list[operations.Outcome]:
    """The operation with `args` and the other arguments of the service."""
    given: dict[str, Any] = {"args": {}, "reason": REASON, **changes}
    return operations.operation_run(by=by or house.by, cohort=house.cohort, op=op, attempts=attempts, now=now, **given)


def save(attempt: Attempt, field: str, content: str | Mapping[str, Any], now: datetime, *, rev: int = 0) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    reply = answer_save(
        attempt=attempt,
        field=field,
        content=text,
        base_rev=rev,
        op_id=f"{field}-{now.isoformat()}"[-40:],
        client_id="bench",
        client_label="Bench",
        lease_epoch=None,
        now=now,
    )
    assert reply.status == 200, reply.body


def limit_s(attempt: Attempt) -> float:
    return clock_of(Attempt.objects.get(pk=attempt.pk)).limit_s


def left_s(attempt: Attempt, now: datetime) -> float | None:
    return state_of(Attempt.objects.get(pk=attempt.pk), now).remaining_s
