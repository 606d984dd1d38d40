"""A cohort a development site starts with, so that the panel has something to show. Made by the services, as a person would."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.analytics.demo import demo_quiz_over
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading.demo import demo_graded
from mlsd_app.cohorts.models import Assignment, Cohort, Label, Membership, Role
from mlsd_app.cohorts.services import accommodations, assignments, cohorts, members
from mlsd_app.cohorts.services.assignments import AssignmentFields

NAME = "ML system design, autumn"
LEARNERS = (
    ("amara", "Amara Okafor", "Tuesday group"),
    ("bruno", "Bruno Keller", "Tuesday group"),
    ("chitra", "Chitra Nair", "Thursday group"),
    ("dmitri", "Dmitri Volkov", "Thursday group"),
    ("elif", "Elif Demir", "Tuesday group"),
    ("farid", "Farid Haddad", "Thursday group"),
    ("greta", "Greta Lindholm", "Tuesday group"),
    ("hiro", "Hiro Tanaka", "Thursday group"),
    ("ines", "Ines Carvalho", "Tuesday group"),
    ("jonas", "Jonas Weber", "Thursday group"),
    ("kemi", "Kemi Adeyemi", "Tuesday group"),
    ("lucia", "Lucia Moretti", "Thursday group"),
)


@transaction.atomic
def demo_cohort(*, instructor: User, candidate: User, now: datetime) -> Cohort:
    """The instructor's demo cohort, whole or not at all; one that is there already is left as it is."""
    existing = Cohort.objects.filter(name=NAME, memberships__user=instructor, memberships__role=Role.OWNER).first()
    if existing is not None:
        return existing
    by = By(instructor)
    cohort = cohorts.cohort_create(by=by, name=NAME, timezone="Europe/Berlin", now=now)
    _people(by, cohort, candidate, now)
    for fields in _assignments(now):
        made = assignments.assignment_create(by=by, cohort=cohort, fields=fields, now=now)
        assignments.assignment_publish(by=by, assignment=made, published=True, now=now)
    demo_graded(by=by, cohort=cohort, learners=demo_learners(cohort)[:6], now=now)
    demo_quiz_over(by=by, cohort=cohort, learners=demo_learners(cohort), now=now)
    _exceptions(by, cohort, now)
    return cohort


def demo_learner(username: str, name: str) -> User:
    """A made-up person who cannot sign in."""
    first, _, last = name.partition(" ")
    user = User.objects.filter(username=username).first()
    if user is None:
        user = User(username=username, first_name=first, last_name=last)
        user.set_unusable_password()
        user.save()
    return user


def demo_learners(cohort: Cohort) -> Sequence[Membership]:
    """The made-up learners of the demo cohort, whom running and graded attempts may be given to."""
    names = [f"demo-{username}" for username, _, _ in LEARNERS]
    return list(cohort.memberships.filter(user__username__in=names).select_related("user"))


def _people(by: By, cohort: Cohort, candidate: User, now: datetime) -> None:
    labels: dict[str, Label] = {
        name: cohorts.label_add(by=by, cohort=cohort, name=name, now=now) for name in dict.fromkeys(label for _, _, label in LEARNERS)
    }
    for username, name, label in LEARNERS:
        user = demo_learner(f"demo-{username}", name)
        members.member_add(by=by, cohort=cohort, user=user, role=Role.LEARNER, labels=[labels[label]], now=now)
    members.member_add(by=by, cohort=cohort, user=candidate, role=Role.LEARNER, labels=[labels["Tuesday group"]], now=now)
    members.member_add(by=by, cohort=cohort, user=demo_learner("demo-mika", "Mika Saari"), role=Role.GRADER, now=now)
    members.member_add(by=by, cohort=cohort, user=demo_learner("demo-noor", "Noor Rahman"), role=Role.OBSERVER, now=now)


def _assignments(now: datetime) -> list[AssignmentFields]:
    day = now.replace(minute=0, second=0, microsecond=0)
    return [
        AssignmentFields(
            title="Mock: vector search at a billion items",
            brief="Take the full 45 minutes in one sitting. Size the index **before** you choose it, and back one claim with a run.",
            kind="mock",
            problem="vector_search",
            settings={"preset": "five_phase", "mode": "soft", "show": "real", "level": "senior"},
            opens_at=day - timedelta(days=1),
            due_at=day + timedelta(days=6),
            closes_at=day + timedelta(days=8),
            late_steps=[{"until_h": 24, "credit": 0.9}, {"until_h": 48, "credit": 0.7}],
            attempts_allowed=2,
        ),
        AssignmentFields(
            title="Quiz: retrieval and its arithmetic",
            brief="Ten questions, half an hour. Numbers need a unit.",
            kind="quiz",
            problem="vector_search",
            settings={"count": 10, "limit_min": 30},
            opens_at=day - timedelta(days=3),
            due_at=day + timedelta(days=2),
        ),
        AssignmentFields(
            title="Read: feature store, capacity and deep dive",
            brief="Write down one number you did not expect.",
            kind="reading",
            problem="feature_store",
            settings={"phases": ["capacity", "deep_dive"]},
            due_at=day + timedelta(days=12),
            show_when="at_once",
        ),
    ]


def _exceptions(by: By, cohort: Cohort, now: datetime) -> None:
    user = demo_learner("demo-chitra", "Chitra Nair")
    accommodations.accommodation_set(by=by, cohort=cohort, user=user, fields={"multiplier": 1.25, "break_s": 600}, now=now)
    label = Label.objects.get(cohort=cohort, name="Thursday group")
    mock = Assignment.objects.get(cohort=cohort, kind="mock", closes_at__gt=now)
    later = {"due_at": (mock.due_at or now) + timedelta(days=1)}
    accommodations.override_set(by=by, assignment=mock, label=label, fields=later, now=now)
