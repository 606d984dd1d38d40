"""Rows of what was graded, and of the log."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any

from django.db.models import QuerySet

from mlsd_app.cohorts.exports.scope import Scope, without_accommodations
from mlsd_app.cohorts.exports.work_rows import CHUNK, assignments_of, attempts_in, chunks, out
from mlsd_app.cohorts.models import Assignment, Audit, Membership, Result, Role
from mlsd_app.interviews.models import ItemScore
from problems.errors import InvalidInput
from problems.loader import load_problem

GRADES = ("score", "graded_weight", "state", "verdict", "late_credit", "attempt")


# --- gradebook -------------------------------------------------------------------------------------------------------


def gradebook_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    """A line a learner, by the name that is shown: in code the order tells nothing. Names stand only beside scores that are out."""
    assignments = _assignments(scope)
    members = _members(scope)
    results: dict[int, dict[int, Result]] = defaultdict(dict)
    for result in Result.objects.filter(assignment__in=assignments).select_related("counted").order_by():
        results[result.user_id][result.assignment_id] = result
    named = sorted((_called(scope, member), member) for member in members)
    for person, member in named:
        own = results[member.user_id]
        grades = {f"{pk}.{name}": value for pk in assignments for name, value in _grades(scope, own.get(pk)).items()}
        yield {"person": person, "labels": [label.name for label in member.labels.all()], **grades}


def gradebook_columns(scope: Scope) -> list[str]:
    return [f"{pk}.{name}" for pk in _assignments(scope) for name in GRADES]


def _assignments(scope: Scope) -> list[int]:
    rows = Assignment.objects.filter(cohort=scope.cohort, published_at__isnull=False)
    return list((rows.filter(pk=scope.assignment.pk) if scope.assignment else rows).order_by("pk").values_list("pk", flat=True))


def _members(scope: Scope) -> list[Membership]:
    rows = Membership.objects.filter(cohort=scope.cohort, role=Role.LEARNER, removed_at=None)
    return list(rows.select_related("user").prefetch_related("labels"))


def _called(scope: Scope, member: Membership) -> str:
    if scope.names:
        return member.user.shown_name
    code = hashlib.sha256(f"gradebook:{member.cohort_id}:{member.code_name_seed}".encode()).hexdigest()[:8]
    return f"Learner {code}"


def _grades(scope: Scope, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {"state": "none"}
    if scope.names and result.released_at is None:
        return {"state": "not released"}  # a name beside a score that is not out would end the anonymous grading
    return {
        "score": result.score if result.override_score is None else result.override_score,
        "graded_weight": result.graded_weight,
        "state": result.state,
        "verdict": result.verdict,
        "late_credit": result.late_credit,
        "attempt": _try_id(result),
    }


def _try_id(result: Result) -> str | None:
    counted = result.counted
    return None if counted is None else str(counted.attempt_id or counted.sitting_id or counted.pk)


# --- marks -----------------------------------------------------------------------------------------------------------


def item_score_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    """Marks that hold; a learner's own only once they are out."""
    rows = ItemScore.objects.filter(out(scope), attempt__in=attempts_in(scope), superseded_by=None).order_by("attempt", "item_id", "pk")
    rows = rows.select_related("attempt").defer("attempt__content")
    for found in chunks(rows.iterator(chunk_size=CHUNK)):
        assignments = assignments_of(scope, "attempt", {row.attempt_id for row in found})
        for row in found:
            yield _item_row(scope, row, assignments.get(row.attempt_id))


def _item_row(scope: Scope, row: ItemScore, assignment: int | None) -> dict[str, Any]:
    tag, signal = _rubric(row.attempt.problem).get(row.item_id, (None, None))
    return {
        "person": scope.person(assignment, row.attempt.user_id),
        "assignment": assignment,
        "attempt": str(row.attempt_id),
        "item": row.item_id,
        "tag": tag,
        "signal": signal,
        "rubric_version": row.rubric_version,
        "state": row.state,
        "points": row.points,
        "max": row.max,
        "grader": scope.grader(assignment, row.grader_id),
        "evidence": len(row.evidence),
    }


@cache
def _rubric(slug: str) -> dict[str, tuple[str | None, str | None]]:
    """{item: (tag, signal)}; nothing for a problem that is gone."""
    try:
        rubric = load_problem(slug).rubric
    except InvalidInput:
        return {}
    return {item.id: (item.tag, item.signal) for item in rubric.items} if rubric else {}


# --- the log ---------------------------------------------------------------------------------------------------------


def audit_rows(scope: Scope) -> Iterator[dict[str, Any]]:
    """Oldest first. Entries about accommodations are left out; who has more time is nobody's to carry away."""
    rows: QuerySet[Audit] = Audit.objects.filter(cohort=scope.cohort).exclude(action__startswith="accommodation")
    names = ("at", "role", "action", "object_type", "object_id", "reason", "request_id", "address")
    for entry in rows.order_by("pk").iterator(chunk_size=CHUNK):
        sides = {"before": without_accommodations(entry.before), "after": without_accommodations(entry.after)}
        yield {"id": entry.pk, "actor": entry.actor_id, **sides, **{name: getattr(entry, name) for name in names}}
