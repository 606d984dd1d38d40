"""Interviews of the demo cohort that are over: some graded and let out, some waiting in the queue. Made by the services."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import yaml

from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading.marks import EvidenceGiven, MarkGiven, Submission, task_submit
from mlsd_app.cohorts.grading.queue import task_claim, task_hand_up
from mlsd_app.cohorts.grading.results import grading_catch_up, results_refresh, results_release
from mlsd_app.cohorts.grading.sections import subjects_in
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Membership, Role, Task
from mlsd_app.cohorts.services import assignments
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.interviews.answers import texts_of
from mlsd_app.interviews.demo import SCRIPTS, Sitting
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.lifecycle import attempt_start, attempt_submit

PLAYED = ("ask", "confirm", "move", "text", "row")  # of the script; runs would have to be computed
SHARES = (1.0, 0.85, 0.7, 0.9, 0.6, 0.5)  # of the script that each learner does
GRADED = "Tuesday group"


def demo_graded(*, by: By, cohort: Cohort, learners: Sequence[Membership], now: datetime) -> Assignment:
    """A first mock, two weeks old. One group's is graded and out, with one piece handed up; the other's waits."""
    begun = now - timedelta(days=9)
    fields = AssignmentFields(
        title="First mock: vector search",
        brief="A first round, to see where you stand.",
        kind="mock",
        problem="vector_search",
        opens_at=begun - timedelta(days=5),
        due_at=begun + timedelta(days=1),
        closes_at=begun + timedelta(days=3),
        late_steps=[{"until_h": 48, "credit": 0.8}],
    )
    made = assignments.assignment_create(by=by, cohort=cohort, fields=fields, now=begun - timedelta(days=6))
    assignments.assignment_publish(by=by, assignment=made, published=True, now=begun - timedelta(days=6))
    for number, (member, share) in enumerate(zip(learners, SHARES, strict=False)):
        late = timedelta(days=1.2) if number == 2 else timedelta()
        _hand_in(member, made, share, begun + timedelta(hours=number) + late)
    grading_catch_up(now=now, assignment=made)
    _grade(by, cohort, made, now)
    group = cohort.labels.get(name=GRADED)
    people = [member.user for member in learners if group in member.labels.all()]
    results_release(by=by, assignment=made, now=now, people=people, partly=True)
    return made


def _hand_in(member: Membership, assignment: Assignment, share: float, at: datetime) -> AssignedAttempt:
    """As much of the candidate's demo interview as `share` says, drawn by the member."""
    draw = random.Random(member.pk)  # noqa: S311 - made up, not secret
    row = assignment_begin(user=member.user, assignment=assignment, now=at)
    assert row.attempt is not None
    attempt = attempt_start(attempt=row.attempt, actor=member.user, now=at)
    sitting, script = Sitting(attempt, at), _script()
    for step in script["steps"]:
        kept = "move" in step or draw.random() < share
        if kept and any(name in step for name in PLAYED):
            sitting.take(step)
    closed = at + timedelta(seconds=script["submit"])
    attempt_submit(attempt=attempt, actor=member.user, now=closed)
    attempt_grade(attempt_id=str(attempt.pk), now=closed)
    return row


def _script() -> Mapping[str, Any]:
    scripts: Mapping[str, Mapping[str, Any]] = yaml.safe_load(SCRIPTS.read_text(encoding="utf-8"))
    return scripts["finished"]


def _grade(by: By, cohort: Cohort, assignment: Assignment, now: datetime) -> None:
    """By the owner and the grader in turn; one piece of the last learner goes up to the lead."""
    graders = [by.user, *(member.user for member in cohort.memberships.filter(role=Role.GRADER))]
    tasks = Task.objects.filter(assigned__assignment=assignment, assigned__user__memberships__labels__name=GRADED).distinct()
    rows = list(tasks.select_related("assigned__assignment__cohort", "assigned__attempt"))
    for number, task in enumerate(rows):
        grader = graders[number % len(graders)]
        task_claim(user=grader, task=task, now=now)
        if number == len(rows) - 1:
            task_hand_up(user=grader, task=task, words="The text mentions an experiment that no run shows. Count it?", now=now)
            continue
        assert task.assigned.attempt is not None
        given = Submission(_marks(task), task.assigned.attempt.rubric_version)
        task_submit(by=By(grader), task=task, given=given, now=now)
        results_refresh(assignment=assignment, now=now, user=task.assigned.user)


def _marks(task: Task) -> dict[str, MarkGiven]:
    """Levels that go with how much was written, cited from the longest text."""
    attempt = task.assigned.attempt
    assert attempt is not None
    key, text = max(texts_of(attempt).items(), key=lambda entry: len(entry[1]))
    quote = text.split("\n\n")[0][:300].rsplit(" ", 1)[0]
    evidence = [EvidenceGiven(kind="quote", ref=f"text/{key}", text=quote)] if quote else []
    draw = random.Random(task.pk)  # noqa: S311 - made up, not secret
    return {
        subject: MarkGiven(level=draw.choice([2, 3, 3, 4]) if evidence else 0, evidence=evidence)
        for subject in subjects_in(attempt, task.section).required
    }
