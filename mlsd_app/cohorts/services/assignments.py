"""Assignments: written, published, copied, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from django.db import transaction
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.kinds import settings_checked
from mlsd_app.cohorts.models import Assignment, Cohort, Label, Membership, Role
from mlsd_app.cohorts.policy import MOST_STEPS, LateStep, LateSteps
from mlsd_app.cohorts.services.cohorts import refuse_stale, text_checked
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

ASSIGNMENTS_PER_COHORT = 300
MOST_BRIEF = 10_000
AT_ONCE = ("title", "brief", "due_at", "late_steps", "counts", "everyone", "group_labels", "people", "show_when", "say_present")


class AssignmentFields(BaseModel):
    """Everything an author decides. `group_labels` and `people` hold ids of labels and memberships of the cohort."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=120)
    brief: str = Field("", max_length=MOST_BRIEF)
    kind: Literal["mock", "quiz", "challenge", "prediction", "reading"]
    problem: str = Field(min_length=1, max_length=64)
    settings: dict[str, Any] = {}
    opens_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None
    late_steps: list[LateStep] = Field(default=[], max_length=MOST_STEPS)
    attempts_allowed: int = Field(1, ge=1, le=20)
    counts: Literal["best", "last", "first", "mean"] = "best"
    everyone: bool = True
    group_labels: list[int] = Field(default=[], max_length=50)
    people: list[int] = Field(default=[], max_length=2000)
    show_questions: bool = True
    show_score: bool = True
    show_when: Literal["at_once", "due", "release"] = "release"
    say_present: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        times = [moment for moment in (self.opens_at, self.due_at, self.closes_at) if moment]
        if times != sorted(times) or (self.opens_at and self.opens_at in times[1:]):
            raise ValueError("it must open before it is due, and be due no later than it closes")
        if self.show_score and not self.show_questions:
            raise ValueError("a score without the questions says too much; hide the score as well")
        if not self.everyone and not self.group_labels and not self.people:
            raise ValueError("choose at least one label or person, or everyone")
        LateSteps(steps=self.late_steps)
        return self


COLUMNS = tuple(name for name in AssignmentFields.model_fields if name not in ("group_labels", "people"))


def fields_of(assignment: Assignment) -> dict[str, Any]:
    """What `AssignmentFields` takes, as the assignment has it."""
    values = {name: getattr(assignment, name) for name in COLUMNS}
    groups = {
        "group_labels": sorted(assignment.group_labels.values_list("pk", flat=True)),
        "people": sorted(assignment.people.values_list("pk", flat=True)),
    }
    return {**values, **groups}


def _normal(cohort: Cohort, fields: AssignmentFields) -> dict[str, Any]:
    """As `fields_of` gives it, checked against the content and the cohort."""
    values = {**fields.model_dump(), "title": text_checked(fields.title, field="title", most=120)}
    if "\x00" in fields.brief:
        raise InvalidInput("The brief has a NUL character.", field="brief")
    values["settings"] = settings_checked(kind=fields.kind, problem=fields.problem, given=fields.settings)
    if fields.everyone:
        values["group_labels"], values["people"] = [], []
    values["group_labels"], values["people"] = sorted(set(values["group_labels"])), sorted(set(values["people"]))
    if Label.objects.filter(cohort=cohort, pk__in=values["group_labels"]).count() != len(values["group_labels"]):
        raise InvalidInput("A label is not one of this cohort's.", field="group_labels")
    learners = Membership.objects.filter(cohort=cohort, role=Role.LEARNER, removed_at=None, pk__in=values["people"])
    if learners.count() != len(values["people"]):
        raise InvalidInput("A person is not a learner of this cohort.", field="people")
    return values


def _store(assignment: Assignment, values: Mapping[str, Any]) -> None:
    for name in COLUMNS:
        setattr(assignment, name, values[name])
    assignment.save()
    assignment.group_labels.set(values["group_labels"])
    assignment.people.set(values["people"])


@transaction.atomic
def assignment_create(*, by: By, cohort: Cohort, fields: AssignmentFields, now: datetime) -> Assignment:
    """A draft: learners see it once it is published."""
    row = Cohort.objects.select_for_update().get(pk=cohort.pk)
    if row.assignments.count() >= ASSIGNMENTS_PER_COHORT:
        raise InvalidInput(f"This cohort has {ASSIGNMENTS_PER_COHORT} assignments, the most there can be.")
    values = _normal(row, fields)
    assignment = Assignment(cohort=row, author=by.user)
    _store(assignment, values)
    audited(by=by, action="assignment.create", thing=assignment, cohort=row, now=now, after=values)
    return assignment


# --- editing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One field that an edit would change. `at_once`: it holds for what was begun already, too."""

    field: str
    before: Any
    after: Any
    at_once: bool


def assignment_changes(*, assignment: Assignment, fields: AssignmentFields) -> list[Change]:
    """What saving would change. Raises InvalidInput as saving would."""
    before, after = fields_of(assignment), _normal(assignment.cohort, fields)
    if assignment.attempts.exists() and (before["kind"], before["problem"]) != (after["kind"], after["problem"]):
        raise InvalidInput("Kind and problem stay as they are once somebody has begun; copy the assignment instead.", field="kind")
    return [Change(name, before[name], after[name], name in AT_ONCE) for name in before if before[name] != after[name]]


@transaction.atomic
def assignment_edit(*, by: By, assignment: Assignment, fields: AssignmentFields, base_version: int, now: datetime) -> Assignment:
    """Refused `stale` (409, with the fields that differ) when somebody saved since. Attempts keep what was frozen on them."""
    row = _locked(assignment)
    before, after = fields_of(row), _normal(row.cohort, fields)
    refuse_stale(base_version, row.version, before, after)
    if not assignment_changes(assignment=row, fields=fields):
        return row
    row.version += 1
    _store(row, after)
    audited(by=by, action="assignment.edit", thing=row, cohort=row.cohort, now=now, before=before, after=after)
    return row


def _locked(assignment: Assignment) -> Assignment:
    return Assignment.objects.select_for_update(of=("self",)).select_related("cohort").get(pk=assignment.pk)


@transaction.atomic
def assignment_publish(*, by: By, assignment: Assignment, published: bool, now: datetime) -> Assignment:
    """Shows it to its learners, or takes it back as long as nobody has begun."""
    row = _locked(assignment)
    if (row.published_at is not None) == published:
        return row
    if not published and row.attempts.exists():
        raise Refused("has_attempts", "Somebody has begun, so it stays visible. Archive it to take it away.", 409)
    if published and row.closes_at and row.closes_at <= now:
        raise InvalidInput("It closed already; give it a later close first.", field="closes_at")
    before, row.published_at = {"published_at": row.published_at}, now if published else None
    row.save(update_fields=["published_at"])
    action = "assignment.publish" if published else "assignment.unpublish"
    audited(by=by, action=action, thing=row, cohort=row.cohort, now=now, before=before, after={"published_at": row.published_at})
    return row


@transaction.atomic
def assignment_copy(*, by: By, assignment: Assignment, to: Cohort, shift_days: int, now: datetime) -> Assignment:
    """A draft in `to` with the same content and every date moved. In another cohort it is for everyone: labels are its own."""
    if not -3650 <= shift_days <= 3650:
        raise InvalidInput(f"{shift_days} days were given; expected -3650 to 3650.", field="shift_days")
    values, shift = fields_of(assignment), timedelta(days=shift_days)
    for name in ("opens_at", "due_at", "closes_at"):
        values[name] = values[name] + shift if values[name] else None
    if to.pk != assignment.cohort_id:
        values |= {"everyone": True, "group_labels": [], "people": []}
    made = assignment_create(by=by, cohort=to, fields=AssignmentFields(**values), now=now)
    made.copied_from = assignment
    made.save(update_fields=["copied_from"])
    after = {"from": assignment.pk, "shift_days": shift_days}
    audited(by=by, action="assignment.copy", thing=made, cohort=to, now=now, after=after)
    return made


@transaction.atomic
def assignment_delete(*, by: By, assignment: Assignment, now: datetime) -> Assignment | None:
    """For good when nobody has begun (None); else archived: hidden from learners, kept for staff."""
    row = _locked(assignment)
    if not row.attempts.exists():
        audited(by=by, action="assignment.delete", thing=row, cohort=row.cohort, now=now, before=fields_of(row))
        row.delete()
        return None
    if row.archived_at is None:
        row.archived_at = now
        row.save(update_fields=["archived_at"])
        audited(by=by, action="assignment.archive", thing=row, cohort=row.cohort, now=now, after={"archived_at": now})
    return row


@transaction.atomic
def assignment_restore(*, by: By, assignment: Assignment, now: datetime) -> Assignment:
    row = _locked(assignment)
    if row.archived_at is not None:
        before, row.archived_at = {"archived_at": row.archived_at}, None
        row.save(update_fields=["archived_at"])
        audited(by=by, action="assignment.restore", thing=row, cohort=row.cohort, now=now, before=before, after={"archived_at": None})
    return row
