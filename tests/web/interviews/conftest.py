"""An attempt to hold in one's hands. Time is what the test says it is: `at(90)` is 90 s after the start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.models import Attempt
from problems.loader import load_problem
from problems.schema import Problem

NOW = datetime(2026, 3, 2, 14, 3, 22, 123457, tzinfo=UTC)
LIMIT_S = 2700


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


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
def ready(user: User, problem: Problem) -> Attempt:
    """In its lobby: five phases of 45 minutes, soft."""
    return lifecycle.attempt_create(user=user, problem=problem, now=NOW, seed=7)


@pytest.fixture
def running(ready: Attempt, user: User) -> Attempt:
    """Begun at NOW, to end at `at(LIMIT_S)`."""
    return lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
