"""An attempt to hold in one's hands. Time is what the test says it is: `at(90)` is 90 s after the start."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.interviews import closing, lifecycle, runs
from mlsd_app.interviews.interviewer import throwing
from mlsd_app.interviews.models import Attempt
from problems.loader import load_problem
from problems.schema import Problem
from tests.web.interviews.bench import Bench

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


@pytest.fixture
def threads_database(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """A database that threads share as the site's processes do. SQLite's tests run in memory, where a second writer fails at once
    instead of waiting its turn; here they get a copy in a file."""
    memory = connections["default"]
    if memory.vendor != "sqlite":
        yield
        return
    memory.ensure_connection()
    named, file = memory.settings_dict["NAME"], str(tmp_path / "threads.sqlite3")
    with contextlib.closing(sqlite3.connect(file)) as copy:
        memory.connection.backup(copy)
    memory.settings_dict["NAME"] = file  # the dictionary that every new connection reads
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        memory.settings_dict["NAME"] = named
        connections["default"] = memory


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Runs that are finished as soon as they are asked for, with the metrics a test decides on."""
    made = Bench()
    for place in (runs, throwing):
        monkeypatch.setattr(place, "run_start", made.run_start)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Attempts that workers were asked to grade, with a broker that is said to be there."""
    sent: list[str] = []
    monkeypatch.setattr(closing, "redis_answers", lambda: True)
    monkeypatch.setattr(app, "send_task", lambda name, args, **options: sent.append(args[0]))
    return sent
