"""Collects what `policy.resolve` needs from the database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Accommodation, Assignment, Label, Membership, Override
from mlsd_app.cohorts.policy import Layer, Resolved, resolve


def policy_for(*, assignment: Assignment, user: User, now: datetime) -> Resolved:
    """What holds for this person in this assignment at `now`."""
    member = Membership.objects.filter(cohort=assignment.cohort_id, user=user).first()
    labels = list(member.labels.all()) if member else []  # by position: the last one wins
    accommodations = [row for row in Accommodation.objects.filter(cohort=assignment.cohort_id) if in_force(row, now)]
    overrides = list(assignment.overrides.all())
    layers = [
        *_of_labels(labels, accommodations),
        *_of_labels(labels, overrides),
        *_of_person(user, accommodations),
        *_of_person(user, overrides),
    ]
    base = {
        "opens_at": assignment.opens_at,
        "due_at": assignment.due_at,
        "closes_at": assignment.closes_at,
        "attempts": assignment.attempts_allowed,
    }
    return resolve(base=base, layers=layers)


def in_force(row: Accommodation, now: datetime) -> bool:
    return (row.valid_from is None or row.valid_from <= now) and (row.valid_to is None or now < row.valid_to)


def _of_labels(labels: Sequence[Label], rows: Iterable[Accommodation | Override]) -> list[Layer]:
    by_label = {row.label_id: row for row in rows if row.label_id is not None}
    return [Layer(f"label {label.name}", by_label[label.pk].fields) for label in labels if label.pk in by_label]


def _of_person(user: User, rows: Iterable[Accommodation | Override]) -> list[Layer]:
    kind = {Accommodation: "accommodation of the person", Override: "override for the person"}
    return [Layer(kind[type(row)], row.fields) for row in rows if row.user_id == user.pk]
