"""Fixtures and markers for all tests.

Markers are put on by what a test asks for, so that nobody has to think of them: a browser makes it `e2e`, the live site makes it
`live`, the test database makes it `database`. Where several processes share the work, the tests of one lab, or else of one file, stay
together: they share what was slow to make.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import TransactionTestCase, override_settings

from tests.live import LiveSite, running_site
from tests.redis_server import RedisServer

BROWSER_FIXTURES = {"browser", "browser_context", "page"}
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker in _markers_of(item):
            item.add_marker(marker)
        item.add_marker(pytest.mark.xdist_group(_group_of(item)))
    # Playwright's sync API leaves an event loop running in the thread, under which Django refuses to use the database.
    # The tests that use it therefore come last.
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


def _markers_of(item: pytest.Item) -> list[str]:
    fixtures = set(getattr(item, "fixturenames", ()))
    if fixtures & BROWSER_FIXTURES:
        return ["e2e"]
    if "live_site" in fixtures:
        return ["live"]
    return ["database"] if _uses_database(item, fixtures) else []


def _group_of(item: pytest.Item) -> str:
    arguments = getattr(getattr(item, "callspec", None), "params", {})
    lab = arguments.get("lab")
    return lab.__module__ if lab is not None and item.path.parent.name == "contract" else str(item.path.relative_to(item.config.rootpath))


def _uses_database(item: pytest.Item, fixtures: set[str]) -> bool:
    case: Any = getattr(item, "cls", None)
    is_django_case = isinstance(case, type) and issubclass(case, TransactionTestCase)
    return is_django_case or item.get_closest_marker("django_db") is not None or bool(fixtures & DATABASE_FIXTURES)


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What tests write goes to a temporary folder, and no test reaches the Redis of a site that runs from this checkout."""
    var = tmp_path_factory.mktemp("var")
    folders = {"VAR_DIR": var, "ASSETS_DIR": var / "assets", "UPLOADS_DIR": var / "uploads", "STATIC_ROOT": var / "static"}
    nowhere = var / "no-redis.sock"
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
    with override_settings(
        **folders, PASSWORD_HASHERS=hashers, REDIS_URL=f"unix://{nowhere}?db=0", CELERY_BROKER_URL=f"redis+socket://{nowhere}"
    ):
        yield var


@pytest.fixture(scope="session", autouse=True)
def audit_triggers() -> Iterator[None]:
    """Tests with transactions of their own end by emptying every table, which the triggers of the audit log refuse: they stand aside
    for that moment. (PostgreSQL truncates, which row triggers do not see.)"""
    final: Any = import_module("mlsd_app.cohorts.migrations.0002_audit_is_final")
    teardown: Any = TransactionTestCase._fixture_teardown  # type: ignore[attr-defined]

    def without_triggers(case: TransactionTestCase) -> None:
        if connection.vendor != "sqlite":
            return teardown(case)
        with connection.schema_editor() as editor:
            final.drop(None, editor)
        try:
            teardown(case)
        finally:
            with connection.schema_editor() as editor:
                final.create(None, editor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", without_triggers)
        yield


@pytest.fixture(scope="session")
def session_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis") / "r.sock")
    yield server
    server.stop()


@pytest.fixture
def redis_server(session_redis: RedisServer) -> RedisServer:
    """The Redis of this test session, up whatever the test before did to it."""
    session_redis.start()
    return session_redis


@pytest.fixture(scope="session")
def session_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def live_site(session_site: LiveSite) -> LiveSite:
    """The running site of this test session, with every process up whatever the test before did to it."""
    session_site.wait_until_ready()
    return session_site
