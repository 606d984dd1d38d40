"""Interviews that were handed in and marked by rule, for tests of grading. Times are given, as if each learner had sat there."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading.marks import MarkGiven, Submission, task_submit
from mlsd_app.cohorts.grading.queue import task_claim
from mlsd_app.cohorts.grading.results import grading_catch_up
from mlsd_app.cohorts.grading.sections import subjects_in
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Task
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.lifecycle import attempt_start, attempt_submit
from mlsd_app.interviews.models import Attempt
from tests.web.cohorts.conftest import NOW

AFTERWARDS = NOW + timedelta(days=1)  # everything was marked by rule before
TEXTS = {
    "clarify": "I first ask how many vectors there are and how fresh they must be, because that decides the index.",
    "deep_dive": "The graph keeps walking over vectors that it may not return.\n\n"
    "So recall falls when a filter passes few of them, and I scan instead.",
    "evaluation": "I measure recall against exact search on a sample of a thousand queries every night.",
}
QUOTE = {"kind": "quote", "ref": "text/deep_dive", "text": "recall falls when a filter passes few of them"}


def hand_in(
    user: User, assignment: Assignment, *, at: datetime = NOW, texts: dict[str, str] | None = None, grade: bool = True
) -> AssignedAttempt:
    """One try, begun at `at`, handed in after 20 minutes and marked by rule."""
    row = assignment_begin(user=user, assignment=assignment, now=at)
    assert row.attempt is not None
    attempt = attempt_start(attempt=row.attempt, actor=user, now=at)
    for key, text in (TEXTS if texts is None else texts).items():
        save(attempt, f"text/{key}", text, at + timedelta(minutes=5))
    save(attempt, "row/components/a", {"kind": "ann_index", "name": "Index", "why": "recall within the budget"}, at + timedelta(minutes=6))
    attempt_submit(attempt=attempt, actor=user, now=at + timedelta(minutes=20))
    if grade:
        assert attempt_grade(attempt_id=str(attempt.pk), now=at + timedelta(minutes=21))
    row.refresh_from_db()
    return row


def save(attempt: Attempt, field: str, content: Any, now: datetime) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    reply = answer_save(
        attempt=attempt,
        field=field,
        content=text,
        base_rev=0,
        op_id=hashlib.sha256(f"{field}:{now}".encode()).hexdigest()[:40],
        client_id="tab",
        client_label="",
        lease_epoch=None,
        now=now,
    )
    assert reply.status == 200, reply.body


def marks_for(task: Task, level: int = 3, **others: MarkGiven) -> dict[str, MarkGiven]:
    """A level, with evidence, for all that only a person can judge."""
    assert task.assigned.attempt is not None
    evidence = [QUOTE] if level else []
    given = {"level": level, "evidence": evidence}
    return {key: MarkGiven.model_validate(given) for key in subjects_in(task.assigned.attempt, task.section).required} | others


def graded(task: Task, grader: User, *, level: int = 3, now: datetime = AFTERWARDS) -> Task:
    task_claim(user=grader, task=task, now=now)
    assert task.assigned.attempt is not None
    task.assigned.attempt.refresh_from_db()
    given = Submission(marks_for(task, level), task.assigned.attempt.rubric_version)
    return task_submit(by=By(grader), task=task, given=given, now=now)


def queued(assignment: Assignment, now: datetime = NOW) -> list[Task]:
    grading_catch_up(now=now, assignment=assignment)
    return list(Task.objects.filter(assigned__assignment=assignment).select_related("assigned__assignment__cohort", "assigned__attempt"))
