"""Cohorts themselves: made, edited, archived, handed over, and their labels."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from django.db import transaction
from django.db.models import Max

from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.models import AssignedAttempt, Cohort, Label, Membership, Role
from mlsd_app.cohorts.services.codes import new_code
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

COHORTS_PER_OWNER = 50
LABELS_PER_COHORT = 50


def refuse_guest(by: By) -> None:
    if by.user.is_guest:
        raise Refused("guest", "You are a guest here. Sign up first: a cohort needs to know who is in it.", 403)


def text_checked(text: str, *, field: str, most: int, least: int = 1) -> str:
    """One line without control characters. Raises InvalidInput."""
    text = " ".join(text.split())
    if not least <= len(text) <= most or not text.isprintable():
        raise InvalidInput(f"The {field} has {len(text)} characters; expected {least} to {most} printable ones.", field=field)
    return text


def timezone_checked(name: str) -> str:
    if name not in available_timezones():
        raise InvalidInput(f"{name[:60]!r} is no time zone; expected a name such as Europe/Berlin.", field="timezone")
    return name


def locked(cohort: Cohort) -> Cohort:
    """The cohort's row, held until the transaction ends."""
    return Cohort.objects.select_for_update().get(pk=cohort.pk)


@transaction.atomic
def cohort_create(*, by: By, name: str, timezone: str, now: datetime) -> Cohort:
    refuse_guest(by)
    if Membership.objects.filter(user=by.user, role=Role.OWNER, removed_at=None).count() >= COHORTS_PER_OWNER:
        raise InvalidInput(f"You own {COHORTS_PER_OWNER} cohorts, the most there can be.")
    fields = {"name": text_checked(name, field="name", most=120), "timezone": timezone_checked(timezone)}
    cohort = Cohort.objects.create(**fields, join_code=new_code())
    Membership.objects.create(cohort=cohort, user=by.user, role=Role.OWNER, joined_via="made")
    audited(by=by, action="cohort.create", thing=cohort, cohort=cohort, now=now, after=fields)
    return cohort


@transaction.atomic
def cohort_edit(*, by: By, cohort: Cohort, name: str, timezone: str, base_version: int, now: datetime) -> Cohort:
    """Refused `stale` (409, with both versions) when somebody saved since the page was loaded. Stored instants do not move."""
    row = locked(cohort)
    after = {"name": text_checked(name, field="name", most=120), "timezone": timezone_checked(timezone)}
    before = {"name": row.name, "timezone": row.timezone}
    refuse_stale(base_version, row.version, before, after)
    row.name, row.timezone = after["name"], after["timezone"]
    row.version += 1
    row.save(update_fields=["name", "timezone", "version"])
    audited(by=by, action="cohort.edit", thing=row, cohort=row, now=now, before=before, after=after)
    return row


def refuse_stale(base_version: int, version: int, stored: dict[str, Any], given: dict[str, Any]) -> None:
    if base_version == version:
        return
    diff = [{"field": name, "stored": stored[name], "yours": given[name]} for name in given if given[name] != stored.get(name)]
    raise Refused(
        "stale", "Somebody saved this since you opened it. Nothing of yours was stored yet.", 409, {"version": version, "diff": diff}
    )


@transaction.atomic
def cohort_archive(*, by: By, cohort: Cohort, archived: bool, now: datetime) -> Cohort:
    """An archived cohort can be read; nobody joins and nothing is begun. What runs goes on to its close."""
    row = locked(cohort)
    if (row.archived_at is not None) == archived:
        return row
    before = {"archived_at": row.archived_at}
    row.archived_at = now if archived else None
    row.save(update_fields=["archived_at"])
    action = "cohort.archive" if archived else "cohort.restore"
    audited(by=by, action=action, thing=row, cohort=row, now=now, before=before, after={"archived_at": row.archived_at})
    return row


@transaction.atomic
def cohort_delete(*, by: By, cohort: Cohort, now: datetime) -> None:
    """For good. Refused once anybody has begun anything: then it can be archived."""
    row = locked(cohort)
    if AssignedAttempt.objects.filter(assignment__cohort=row).exists():
        raise Refused("has_attempts", "Learners have worked in this cohort, so it cannot be deleted. Archive it instead.", 409)
    audited(by=by, action="cohort.delete", thing=row, cohort=row, now=now, before={"name": row.name})
    row.delete()


@transaction.atomic
def cohort_transfer(*, by: By, cohort: Cohort, to: Membership, now: datetime) -> Membership:
    """Another member becomes the owner; the owner so far, if there is one, stays as instructor."""
    row = locked(cohort)
    if to.cohort_id != row.pk or to.removed_at is not None:
        raise InvalidInput("Only somebody who is in the cohort can own it.", field="to")
    former = Membership.objects.filter(cohort=row, role=Role.OWNER, removed_at=None).first()
    if former is not None:
        Membership.objects.filter(pk=former.pk).update(role=Role.INSTRUCTOR)
    Membership.objects.filter(pk=to.pk).update(role=Role.OWNER)
    to.refresh_from_db()
    before, after = {"owner": former.user_id if former else None}, {"owner": to.user_id}
    audited(by=by, action="cohort.transfer", thing=row, cohort=row, now=now, before=before, after=after)
    return to


# --- labels ----------------------------------------------------------------------------------------------------------


def label_name(name: str) -> str:
    """A label as it is stored. A semicolon would part it in two in an import."""
    name = text_checked(name, field="label", most=40)
    if ";" in name:
        raise InvalidInput(f"The label {name!r} has a semicolon, which separates labels in imports.", field="label")
    return name


@transaction.atomic
def label_add(*, by: By, cohort: Cohort, name: str, now: datetime) -> Label:
    """The label of that name, made at the end of the list if there is none."""
    row, name = locked(cohort), label_name(name)
    if existing := row.labels.filter(name__iexact=name).first():
        return existing
    if row.labels.count() >= LABELS_PER_COHORT:
        raise InvalidInput(f"This cohort has {LABELS_PER_COHORT} labels, the most there can be.", field="label")
    last = row.labels.aggregate(last=Max("position"))["last"]
    label = Label.objects.create(cohort=row, name=name, position=0 if last is None else last + 1)
    audited(by=by, action="label.add", thing=label, cohort=row, now=now, after={"name": name, "position": label.position})
    return label


@transaction.atomic
def label_edit(*, by: By, label: Label, name: str, up: bool, now: datetime) -> Label:
    """Renames it, and with `up` puts it one place higher, where it gives way to more labels."""
    cohort, name = locked(label.cohort), label_name(name)
    if cohort.labels.filter(name__iexact=name).exclude(pk=label.pk).exists():
        raise InvalidInput(f"There is a label {name!r} already.", field="label")
    before = {"name": label.name, "position": label.position}
    above = cohort.labels.filter(position__lt=label.position).order_by("-position").first() if up else None
    if above:
        label.position, above.position = above.position, label.position
        above.save(update_fields=["position"])
    label.name = name
    label.save(update_fields=["name", "position"])
    after = {"name": name, "position": label.position}
    audited(by=by, action="label.edit", thing=label, cohort=cohort, now=now, before=before, after=after)
    return label


@transaction.atomic
def label_remove(*, by: By, label: Label, now: datetime) -> None:
    """With it go its overrides, its accommodation, and its part in the groups of assignments. Refused while it alone is a group."""
    cohort = locked(label.cohort)
    alone = label.assignments.filter(everyone=False, people=None, archived_at=None).exclude(
        group_labels__in=cohort.labels.exclude(pk=label.pk)
    )
    if first := alone.first():
        raise Refused("label_in_use", f"{first.title} is assigned to this label alone. Choose another group there first.", 409)
    counts = {"members": label.memberships.count(), "overrides": label.overrides.count(), "accommodations": label.accommodations.count()}
    audited(by=by, action="label.remove", thing=label, cohort=cohort, now=now, before={"name": label.name, **counts})
    label.delete()
