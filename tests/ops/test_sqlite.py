"""SQLite as the site configures it: many writers at once, and nobody is told that the database is locked."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import ROOT, site_environment

WRITERS, WRITES = 4, 100
MIGRATE = "from django.core.management import call_command; call_command('migrate', 'contenttypes', verbosity=0)"
WRITER = f"""
import django; django.setup()
from django.db import connection, transaction
for _ in range({WRITES}):
    with transaction.atomic():
        with connection.cursor() as cursor:
            value = cursor.execute("SELECT value FROM counter").fetchone()[0]
            cursor.execute("UPDATE counter SET value = %s", [value + 1])
    connection.close()  # as after a request
"""


def settings_environment(var: Path) -> dict[str, str]:
    return site_environment(var, 8045, DJANGO_SETTINGS_MODULE="mlsd_app.settings")


def ask(var: Path, code: str) -> str:
    command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
    return subprocess.run(command, cwd=ROOT, env=settings_environment(var), capture_output=True, text=True, check=True).stdout.strip()


def test_pragmas_are_really_on(tmp_path: Path) -> None:
    code = """
from django.db import connection
with connection.cursor() as cursor:
    print([cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")])
"""
    ask(tmp_path, MIGRATE)
    assert ask(tmp_path, code) == "['wal', 1, 1, 10000]"


def test_a_transaction_takes_the_write_lock_when_it_begins(tmp_path: Path) -> None:
    code = """
import sqlite3
from django.conf import settings
from django.db import connection, transaction
with connection.cursor() as cursor:
    cursor.execute("CREATE TABLE t (x)")
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("SELECT 1")
    other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=0)
    try:
        other.execute("INSERT INTO t VALUES (1)")
    except sqlite3.OperationalError as error:
        print(error)
"""
    assert ask(tmp_path, code) == "database is locked"


@pytest.mark.slow
def test_no_writer_is_turned_away(tmp_path: Path) -> None:
    ask(tmp_path, MIGRATE)
    with sqlite3.connect(tmp_path / "loop45.sqlite3") as database:
        database.execute("CREATE TABLE counter (value INTEGER)")
        database.execute("INSERT INTO counter VALUES (0)")
    database.close()
    environment = {**settings_environment(tmp_path), "PYTHONPATH": os.fspath(ROOT)}
    writers = [subprocess.Popen([sys.executable, "-c", WRITER], env=environment, stderr=subprocess.PIPE) for _ in range(WRITERS)]
    errors = [writer.communicate(timeout=120)[1].decode() for writer in writers]
    assert errors == [""] * WRITERS
    with sqlite3.connect(tmp_path / "loop45.sqlite3") as database:
        assert database.execute("SELECT value FROM counter").fetchone()[0] == WRITERS * WRITES
    database.close()
