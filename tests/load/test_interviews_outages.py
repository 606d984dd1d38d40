"""A mock interview whose processes are killed: it closes with its true time, is graded, and its clock answers without Redis."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.live import LiveSite, wait_until

START = "/interviews/"
GRADED_WITHIN_S = 150.0
ROOM_S = 10.0


@pytest.fixture
def person(live_site: LiveSite) -> requests.Session:
    session = requests.Session()
    session.get(f"{live_site.url}{START}", timeout=60).raise_for_status()
    return session


def post(site: LiveSite, person: requests.Session, path: str, data: Any = None, **options: Any) -> requests.Response:
    return person.post(f"{site.url}{path}", data=data, headers={"X-CSRFToken": person.cookies["csrftoken"]}, timeout=60, **options)


def begun(site: LiveSite, person: requests.Session) -> str:
    """Id of an attempt that is running."""
    made = post(site, person, "/interviews/new", {"problem": "vector_search", "preset": "five_phase"})
    attempt = made.url.rstrip("/").split("/")[-2]
    answer = post(site, person, f"/interviews/{attempt}/start")
    assert answer.status_code == 200, answer.text
    return attempt


def row(site: LiveSite, attempt: str) -> dict[str, Any]:
    """The attempt as the site's database has it; read past the site, which may be down."""
    with closing(sqlite3.connect(site.var / "loop45.sqlite3", timeout=10)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT * FROM interviews_attempt WHERE id = ?", (attempt.replace("-", ""),)).fetchone()
        return dict(found)


def age(site: LiveSite, attempt: str, remaining_s: float) -> datetime:
    """As if the attempt had been begun long ago, with so much left until it is closed for good; its deadline."""
    begun_at = datetime.now(UTC) - timedelta(seconds=2700 + 30 - remaining_s)
    check_at = datetime.now(UTC) + timedelta(seconds=remaining_s)
    texts = [moment.replace(tzinfo=None).isoformat(" ") for moment in (begun_at, check_at)]
    with closing(sqlite3.connect(site.var / "loop45.sqlite3", timeout=10)) as database:
        database.execute("UPDATE interviews_attempt SET started_at = ?, next_check_at = ? WHERE id = ?", (*texts, attempt.replace("-", "")))
        database.commit()
    return begun_at + timedelta(seconds=2700)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.slow
def test_killed_before_the_sweep_it_closes_with_its_true_time_and_is_graded(live_site: LiveSite, person: requests.Session) -> None:
    attempt = begun(live_site, person)
    deadline = age(live_site, attempt, remaining_s=3)
    hard_close = time.monotonic() + 3
    live_site.kill("worker-batch")
    live_site.kill("web")
    wait_until(lambda: row(live_site, attempt)["status"] == "released", GRADED_WITHIN_S, lambda: str(row(live_site, attempt)))
    assert time.monotonic() - hard_close <= GRADED_WITHIN_S
    found = row(live_site, attempt)
    assert moment(found["closed_at"]) == deadline and found["reason"] == "timed_out"
    assert moment(found["processed_at"]) > deadline + timedelta(seconds=30), "closed by what came up again, later than it was over"


@pytest.mark.slow
def test_without_redis_the_clock_runs_pauses_and_closes(live_site: LiveSite, person: requests.Session) -> None:
    attempt = begun(live_site, person)
    live_site.stop("redis")
    try:
        for path, state in (("pause", "paused"), ("resume", "running"), ("move", "running")):
            before = time.monotonic()
            answer = post(live_site, person, f"/interviews/{attempt}/{path}", json={"to": 1} if path == "move" else {})
            assert answer.status_code == 200 and answer.json()["clock"]["state"] == state
            assert time.monotonic() - before < ROOM_S
        deadline = age(live_site, attempt, remaining_s=0)
        clock = person.get(f"{live_site.url}/interviews/{attempt}/clock", timeout=60).json()
        assert clock["status"] == "closed" and clock["clock"]["state"] == "closed"
        assert moment(row(live_site, attempt)["closed_at"]) == deadline
    finally:
        live_site.start("redis")
    live_site.wait_until_ready()
    wait_until(lambda: row(live_site, attempt)["status"] == "released", GRADED_WITHIN_S, lambda: str(row(live_site, attempt)))
