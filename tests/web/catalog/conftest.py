from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.catalog import views
from problems.loader import load_problem
from problems.schema import Phase, Problem, ProblemHead

NOW = datetime(2026, 3, 2, 14, 3, 22, tzinfo=UTC)


@pytest.fixture
def user(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def other(db: None) -> User:
    return User.objects.create_user("grace")


@pytest.fixture
def mine(client: Client, user: User) -> Client:
    """The browser of `user`."""
    client.force_login(user)
    return client


@pytest.fixture
def problem() -> Problem:
    return load_problem("vector_search")


@pytest.fixture
def phase(problem: Problem) -> Phase:
    return problem.phases[0]


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> Problem:
    """A problem whose walkthrough is still to come, whatever the folders hold today."""
    head = {name: getattr(load_problem("experimentation"), name) for name in ProblemHead.model_fields}
    found = Problem(**{**head, "state": "labs_only"})
    monkeypatch.setattr(views, "load_problem", lambda slug: found if slug == found.slug else load_problem(slug))
    return found
