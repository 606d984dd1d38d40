"""Cohorts, what is assigned to them, and how it is graded. Times are UTC.

A person belongs to a cohort by a membership and to nothing else: the owner is the member whose role is owner. Rows about a learner go
with the learner's account; rows that somebody merely made, set or graded stay and forget the name. Times of an attempt, its clock and
its text stand in `interviews`.
"""

from __future__ import annotations

from mlsd_app.cohorts.models.assignments import AssignedAttempt, Assignment, Kind, Override, Result, random_salt
from mlsd_app.cohorts.models.designs import Prediction, TrySubmission
from mlsd_app.cohorts.models.grading import Comment, Note, Rubric, Task, TaskDraft, TaskSkip
from mlsd_app.cohorts.models.people import Accommodation, Cohort, Label, Membership, Role, random_seed
from mlsd_app.cohorts.models.records import Audit, AuditIsFinal, Export

__all__ = [
    "Accommodation",
    "AssignedAttempt",
    "Assignment",
    "Audit",
    "AuditIsFinal",
    "Cohort",
    "Comment",
    "Export",
    "Kind",
    "Label",
    "Membership",
    "Note",
    "Override",
    "Result",
    "Prediction",
    "Role",
    "TrySubmission",
    "Rubric",
    "Task",
    "TaskDraft",
    "TaskSkip",
    "random_salt",
    "random_seed",
]
