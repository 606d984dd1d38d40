"""Interviews that run on a development site, so that its live board has rows. Begun anew at each start for whoever has none."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import yaml

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import Assignment, Cohort
from mlsd_app.cohorts.services import assignments
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin, is_open, tries_of
from mlsd_app.interviews.demo import SCRIPTS, Sitting
from mlsd_app.interviews.hands import hand_raise
from mlsd_app.interviews.lifecycle import attempt_start
from mlsd_app.interviews.models import Attempt

TITLE = "Practice mock, any evening"
TRIES = 20
SINCE_MIN = (26, 19, 11, 4)  # minutes each of them has been at it
HAND_UP = 1  # which of them wants to be looked at
PLAYED = frozenset({"ask", "confirm", "move", "text", "row"})  # what needs no worker


def demo_running(*, cohort: Cohort, owner: User, people: Iterable[User], now: datetime) -> list[Attempt]:
    """Interviews of `people` in the practice assignment, which is made if it is not there; those that run already are left alone."""
    practice = _practice(cohort, owner, now)
    made = []
    for number, (person, minutes) in enumerate(zip(people, SINCE_MIN, strict=False)):
        tries = tries_of(user=person, assignment=practice)
        if len(tries) < TRIES and not any(is_open(row) for row in tries):
            made.append(_played(person, practice, now - timedelta(minutes=minutes), now))
            if number == HAND_UP:
                hand_raise(attempt=made[-1], raised=True, actor=person, now=now - timedelta(seconds=50))
    return made


def _practice(cohort: Cohort, owner: User, now: datetime) -> Assignment:
    if found := cohort.assignments.filter(title=TITLE).select_related("cohort").first():
        return found
    brief = "As often as you like. Somebody of the staff looks in."
    fields = AssignmentFields(title=TITLE, brief=brief, kind="mock", problem="vector_search", attempts_allowed=TRIES)
    by = By(owner)
    draft = assignments.assignment_create(by=by, cohort=cohort, fields=fields, now=now)
    return assignments.assignment_publish(by=by, assignment=draft, published=True, now=now)


def _played(person: User, practice: Assignment, begun: datetime, now: datetime) -> Attempt:
    """The script of the finished demo interview, as far as the time since `begun` goes."""
    row: Any = assignment_begin(user=person, assignment=practice, now=begun)
    attempt: Attempt = attempt_start(attempt=row.attempt, actor=person, now=begun)
    script = yaml.safe_load(SCRIPTS.read_text(encoding="utf-8"))["finished"]
    sitting = Sitting(attempt, begun)
    for step in script["steps"]:
        if step["at"] <= (now - begun).total_seconds() and PLAYED & step.keys():
            sitting.take(step)
    return attempt
