from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import Assignment, Cohort, Membership, Role
from mlsd_app.cohorts.services import assignments, cohorts, members
from mlsd_app.cohorts.services.assignments import AssignmentFields

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_counts_of_other_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wrong codes are counted in the cache."""
    if "db" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("db")
    cache.clear()
    yield
    cache.clear()


def person(username: str, **changes: Any) -> User:
    user = User(username=username, **changes)
    user.set_unusable_password()
    user.save()
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def mock_fields(**changes: Any) -> AssignmentFields:
    return AssignmentFields.model_validate({"title": "A mock", "kind": "mock", "problem": "vector_search", **changes})


def quiz_fields(**changes: Any) -> AssignmentFields:
    settings = {"count": 3}
    return AssignmentFields.model_validate(
        {"title": "A quiz", "kind": "quiz", "problem": "vector_search", "settings": settings, "show_when": "at_once", **changes}
    )


def reading_fields(**changes: Any) -> AssignmentFields:
    return AssignmentFields.model_validate({"title": "A text", "kind": "reading", "problem": "vector_search", **changes})


class House:
    """A cohort with one person in each role, two learners, a removed one, and somebody of another cohort."""

    def __init__(self) -> None:
        self.owner = person("owner")
        self.by = By(self.owner)
        self.cohort = cohorts.cohort_create(by=self.by, name="Autumn", timezone="UTC", now=NOW)
        self.people = {"owner": self.owner, "stranger": person("stranger"), "staff": person("staff", is_staff=True)}
        for role in (Role.INSTRUCTOR, Role.GRADER, Role.OBSERVER, Role.LEARNER):
            self.people[role.value] = self.add(role.value, role)
        self.other_learner = self.add("other-learner", Role.LEARNER)
        removed = self.add("removed", Role.LEARNER)
        members.member_remove(by=self.by, member=self.member(removed), now=NOW)
        self.people["removed"] = removed
        self.elsewhere = cohorts.cohort_create(by=By(self.people["stranger"]), name="Elsewhere", timezone="UTC", now=NOW)

    def add(self, username: str, role: Role) -> User:
        user = person(username, email=f"{username}@example.org", first_name=username.title())
        members.member_add(by=self.by, cohort=self.cohort, user=user, role=role, now=NOW)
        return user

    def member(self, user: User) -> Membership:
        return Membership.objects.select_related("cohort", "user").get(cohort=self.cohort, user=user)

    def member_of(self, pk: int) -> User:
        return Membership.objects.select_related("user").get(pk=pk).user

    def assignment(self, fields: AssignmentFields | None = None, *, published: bool = True, cohort: Cohort | None = None) -> Assignment:
        made = assignments.assignment_create(by=self.by, cohort=cohort or self.cohort, fields=fields or mock_fields(), now=NOW)
        return assignments.assignment_publish(by=self.by, assignment=made, published=True, now=NOW) if published else made

    @property
    def learner(self) -> User:
        return self.people["learner"]


@pytest.fixture
def house(db: None) -> House:
    return House()
