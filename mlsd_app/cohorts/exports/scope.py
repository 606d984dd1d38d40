"""Whose rows an export holds, and what people are called in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.anonymous import code_names
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Result
from mlsd_app.cohorts.policy import FLAGS

# Keys under which accommodations stand in events and in the log.
TIME = ("multiplier", "extra_s", "break_s", "extra_time_min", "extra_attempts")
ACCOMMODATIONS = frozenset({*FLAGS, *TIME, "accommodation", "accommodations"})
YOU = "you"


@dataclass
class Scope:
    """`cohort` None: everything of `user`'s own. `names`: real names, where the scores are out."""

    user: User
    cohort: Cohort | None = None
    assignment: Assignment | None = None
    names: bool = False
    _codes: dict[int, dict[int, str]] = field(default_factory=dict)
    _named: dict[int, dict[int, str]] = field(default_factory=dict)
    _salts: dict[int | None, str] = field(default_factory=dict)

    @property
    def tries(self) -> QuerySet[AssignedAttempt]:
        """The cohort's tries; of an own export those of its user."""
        if self.cohort is None:
            return AssignedAttempt.objects.filter(user=self.user)
        rows = AssignedAttempt.objects.filter(assignment__cohort=self.cohort)
        return rows.filter(assignment=self.assignment) if self.assignment else rows

    def person(self, assignment_id: int | None, user_id: int) -> str:
        """The code name of the assignment, or the name of somebody whose score in it is out."""
        if self.cohort is None or assignment_id is None:
            return YOU
        if self.names and user_id in self._released(assignment_id):
            return self._named[assignment_id][user_id]
        if assignment_id not in self._codes:
            self._codes[assignment_id] = code_names(Assignment.objects.get(pk=assignment_id))
        return self._codes[assignment_id].get(user_id, "Somebody")

    def grader(self, assignment_id: int | None, grader_id: int | None) -> str | None:
        """A code that is the same for one grader within an assignment and says nothing outside of it; None for a rule."""
        if grader_id is None:
            return None
        if assignment_id not in self._salts:
            own = Assignment.objects.filter(pk=assignment_id) if assignment_id else Assignment.objects.none()
            self._salts[assignment_id] = own.values_list("salt", flat=True).first() or ""
        return f"Grader {hashlib.sha256(f'{self._salts[assignment_id]}:grader:{grader_id}'.encode()).hexdigest()[:6]}"

    def _released(self, assignment_id: int) -> Mapping[int, str]:
        if assignment_id not in self._named:
            rows = Result.objects.filter(assignment=assignment_id, released_at__isnull=False).select_related("user")
            self._named[assignment_id] = {row.user_id: row.user.shown_name for row in rows}
        return self._named[assignment_id]


def without_accommodations(value: Any) -> Any:
    """The value without anything that tells who has more time, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_accommodations(inner) for key, inner in value.items() if key not in ACCOMMODATIONS}
    if isinstance(value, list):
        return [without_accommodations(inner) for inner in value]
    return value
