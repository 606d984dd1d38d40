"""Cohorts, people and assignments as the API shows them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Accommodation, Assignment, Audit, Cohort, Membership, Override, Role
from mlsd_app.cohorts.panel import assignment_state
from mlsd_app.cohorts.rules import may, role_in
from mlsd_app.cohorts.services.assignments import fields_of
from mlsd_app.cohorts.services.csv_import import CsvPlan


def cohort_answer(cohort: Cohort, user: User) -> dict[str, Any]:
    return {
        "id": cohort.pk,
        "name": cohort.name,
        "timezone": cohort.timezone,
        "version": cohort.version,
        "role": role_in(user=user, cohort_id=cohort.pk) or "staff",
        "learners": cohort.memberships.filter(role=Role.LEARNER, removed_at=None).count(),
        "archived_at": cohort.archived_at,
        "join_code": cohort.join_code if may(user, "manage_learners", cohort) else None,
    }


def member_answer(member: Membership) -> dict[str, Any]:
    return {
        "id": member.pk,
        "user": member.user_id,
        "name": member.user.shown_name,
        "role": member.role,
        "labels": [label.name for label in member.labels.all()],
        "joined_at": member.joined_at,
        "removed_at": member.removed_at,
    }


def import_answer(plan: CsvPlan, *, written: bool) -> dict[str, Any]:
    rows = {"new": [asdict(row) for row in plan.new], "already_in": [asdict(row) for row in plan.already_in]}
    return {"written": written, **rows, "new_labels": plan.new_labels}


def assignment_answer(assignment: Assignment, *, whole: bool) -> dict[str, Any]:
    """`whole`: with the groups it is for, which learners are not shown."""
    fields = fields_of(assignment)
    if not whole:
        fields |= {"group_labels": [], "people": []}
    dates = {"published_at": assignment.published_at, "archived_at": assignment.archived_at}
    state = assignment_state(assignment, timezone.now())
    return {"id": assignment.pk, "cohort": assignment.cohort_id, "version": assignment.version, "state": state, **dates, **fields}


def override_answer(row: Override) -> dict[str, Any]:
    return {"user": row.user_id, "label": row.label.name if row.label else None, "set": row.fields}


def accommodation_answer(row: Accommodation) -> dict[str, Any]:
    label = row.label.name if row.label else None
    return {"user": row.user_id, "label": label, "set": row.fields, "valid_from": row.valid_from, "valid_to": row.valid_to}


def audit_answer(entry: Audit) -> dict[str, Any]:
    names = ("at", "role", "action", "object_type", "object_id", "before", "after", "reason", "request_id", "address")
    return {"id": entry.pk, "actor": entry.actor_id, **{name: getattr(entry, name) for name in names}}
