"""People in a cohort: added, removed, given a role and labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.grading.queue import waiting_state
from mlsd_app.cohorts.models import Cohort, Label, Membership, Role, Task
from mlsd_app.cohorts.services.codes import MEMBERS_PER_COHORT
from mlsd_app.cohorts.services.cohorts import locked
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput


def person_named(text: str) -> User:
    """The one account with this user name or e-mail address. Raises InvalidInput."""
    text = text.strip()
    people = User.objects.filter(is_guest=False, is_active=True)
    found = list(people.filter(email__iexact=text)[:2] if "@" in text else people.filter(username=text)[:2])
    if len(found) != 1:
        many = "More than one account has" if found else "No account has"
        raise InvalidInput(f"{many} the name or address {text[:80]!r}; ask for the exact user name.", field="person")
    return found[0]


@transaction.atomic
def member_add(
    *, by: By, cohort: Cohort, user: User, role: Role, labels: Sequence[Label] = (), via: str = "added", now: datetime
) -> Membership:
    """Puts a person in, or back in. One who is in already keeps the role and gets the labels as well."""
    row = locked(cohort)
    refuse_role(role)
    member = Membership.objects.filter(cohort=row, user=user).first()
    if member is None or member.removed_at is not None:
        if row.memberships.filter(removed_at=None).count() >= MEMBERS_PER_COHORT:
            raise InvalidInput(f"This cohort has {MEMBERS_PER_COHORT} members, the most there can be.")
        values = {"role": role, "joined_via": via, "removed_at": None}
        member, _ = Membership.objects.update_or_create(cohort=row, user=user, defaults=values)
        action = "member.add"
    else:
        action = "member.labels"
    before = _label_ids(member)
    member.labels.add(*_of_cohort(row, labels))
    after = {"user": user.pk, "role": member.role, "labels": _label_ids(member)}
    audited(by=by, action=action, thing=member, cohort=row, now=now, before={"labels": before}, after=after)
    return member


def refuse_role(role: Role) -> None:
    if role == Role.OWNER:
        raise InvalidInput("A cohort has one owner; hand it over in the settings instead.", field="role")


def _of_cohort(cohort: Cohort, labels: Sequence[Label]) -> Sequence[Label]:
    if any(label.cohort_id != cohort.pk for label in labels):
        raise InvalidInput("A label belongs to another cohort.", field="labels")
    return labels


def _label_ids(member: Membership) -> list[int]:
    return sorted(member.labels.values_list("pk", flat=True))


@transaction.atomic
def member_remove(*, by: By, member: Membership, now: datetime, reason: str = "") -> Membership:
    """Takes a person out. What was begun goes on and stays with the managers; tasks they held become free."""
    row = _locked(member)
    if row.role == Role.OWNER:
        raise Refused("owner", "The owner cannot be removed; hand the cohort over first.", 409)
    if row.removed_at is not None:
        return row
    row.removed_at = now
    row.save(update_fields=["removed_at"])
    _free_tasks(row)
    after = {"user": row.user_id, "removed_at": now}
    audited(by=by, action="member.remove", thing=row, cohort=row.cohort, now=now, after=after, reason=reason[:500])
    return row


@transaction.atomic
def member_role(*, by: By, member: Membership, role: Role, now: datetime) -> Membership:
    row = _locked(member)
    refuse_role(role)
    if row.role == Role.OWNER:
        raise Refused("owner", "The owner's role changes only by handing the cohort over.", 409)
    before, row.role = row.role, role
    row.save(update_fields=["role"])
    if role not in (Role.INSTRUCTOR, Role.GRADER):
        _free_tasks(row)
    audited(by=by, action="member.role", thing=row, cohort=row.cohort, now=now, before={"role": before}, after={"role": role})
    return row


@transaction.atomic
def member_labels(*, by: By, member: Membership, labels: Sequence[Label], now: datetime) -> Membership:
    """Exactly these labels."""
    row = _locked(member)
    before: dict[str, Any] = {"labels": _label_ids(row)}
    row.labels.set(_of_cohort(row.cohort, labels))
    audited(by=by, action="member.labels", thing=row, cohort=row.cohort, now=now, before=before, after={"labels": _label_ids(row)})
    return row


def _locked(member: Membership) -> Membership:
    return Membership.objects.select_for_update(of=("self",)).select_related("cohort").get(pk=member.pk)


def _free_tasks(member: Membership) -> None:
    held = Task.objects.filter(assigned__assignment__cohort=member.cohort_id)
    held.filter(lease_user=member.user_id, state="in_progress").update(lease_user=None, lease_until=None, state=waiting_state())
    held.filter(tagged_to=member.user_id).exclude(state="graded").update(tagged_to=None)
