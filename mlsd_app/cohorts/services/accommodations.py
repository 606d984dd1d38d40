"""What differs for a person or a label: accommodations in a whole cohort, overrides in one assignment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.models import Accommodation, Assignment, Cohort, Label, Membership, Override
from mlsd_app.cohorts.policy import Accommodations, OverrideFields, checked
from mlsd_app.cohorts.services.cohorts import locked
from simulators.errors import InvalidInput


def _target(cohort: Cohort, user: User | None, label: Label | None) -> dict[str, Any]:
    """The person or the label, exactly one of them and of this cohort, as the columns it is stored in."""
    if (user is None) == (label is None):
        raise InvalidInput("Name one person or one label.", field="person")
    if label is not None and label.cohort_id != cohort.pk:
        raise InvalidInput("The label belongs to another cohort.", field="label")
    if user is not None and not Membership.objects.filter(cohort=cohort, user=user, removed_at=None).exists():
        raise InvalidInput("The person is not in this cohort.", field="person")
    return {"user": user, "label": label}


def _ids(target: Mapping[str, Any]) -> dict[str, int]:
    return {name: thing.pk for name, thing in target.items() if thing is not None}


@transaction.atomic
def accommodation_set(
    *,
    by: By,
    cohort: Cohort,
    fields: Mapping[str, Any],
    user: User | None = None,
    label: Label | None = None,
    valid_from: datetime | None = None,
    valid_to: datetime | None = None,
    now: datetime,
) -> Accommodation:
    """Replaces what held for this person or label. Attempts that are begun keep what was frozen on them."""
    target = _target(locked(cohort), user, label)
    said = checked(Accommodations, fields, field="fields").said()
    if valid_from and valid_to and valid_to <= valid_from:
        raise InvalidInput("The accommodation ends before it begins.", field="valid_to")
    former = Accommodation.objects.filter(cohort=cohort, **target).first()
    values = {"fields": said, "valid_from": valid_from, "valid_to": valid_to, "set_by": by.user}
    row, _ = Accommodation.objects.update_or_create(cohort=cohort, **target, defaults=values)
    after = {**_ids(target), "fields": said, "valid_from": valid_from, "valid_to": valid_to}
    audited(by=by, action="accommodation.set", thing=row, cohort=cohort, now=now, before=_before(former), after=after)
    return row


def _before(row: Accommodation | Override | None) -> dict[str, Any]:
    if row is None:
        return {}
    times = {"valid_from": row.valid_from, "valid_to": row.valid_to} if isinstance(row, Accommodation) else {}
    return {"fields": row.fields, **times}


@transaction.atomic
def accommodation_clear(*, by: By, accommodation: Accommodation, now: datetime) -> None:
    cohort = accommodation.cohort
    before = {"user": accommodation.user_id, "label": accommodation.label_id, **_before(accommodation)}
    audited(by=by, action="accommodation.clear", thing=accommodation, cohort=cohort, now=now, before=before)
    accommodation.delete()


@transaction.atomic
def override_set(
    *, by: By, assignment: Assignment, fields: Mapping[str, Any], user: User | None = None, label: Label | None = None, now: datetime
) -> Override:
    """Replaces what differs for this person or label. Raises InvalidInput when the times do not fit those of the assignment."""
    cohort = locked(assignment.cohort)
    target = _target(cohort, user, label)
    override = checked(OverrideFields, fields, field="fields")
    _check_times(assignment, override)
    former = Override.objects.filter(assignment=assignment, **target).first()
    values = {"fields": override.said(), "set_by": by.user}
    row, _ = Override.objects.update_or_create(assignment=assignment, **target, defaults=values)
    after = {**_ids(target), "fields": row.fields}
    audited(by=by, action="override.set", thing=row, cohort=cohort, now=now, before=_before(former), after=after)
    return row


def _check_times(assignment: Assignment, override: OverrideFields) -> None:
    opens = override.opens_at or assignment.opens_at
    closes = override.closes_at or assignment.closes_at
    due = override.due_at or assignment.due_at
    if closes and due and override.closes_at and closes < due:
        raise InvalidInput("It would close before it is due.", field="closes_at")
    if opens and (last := max((moment for moment in (closes, due) if moment), default=None)) and last <= opens:
        raise InvalidInput("It would open after it has closed.", field="opens_at")


@transaction.atomic
def override_clear(*, by: By, override: Override, now: datetime) -> None:
    cohort = override.assignment.cohort
    before = {"user": override.user_id, "label": override.label_id, **_before(override)}
    audited(by=by, action="override.clear", thing=override, cohort=cohort, now=now, before=before)
    override.delete()
