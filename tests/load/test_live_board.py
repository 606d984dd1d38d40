"""Forty interviews that run, and a board that shows them: how long after a save its row changes, and whether anything else suffers."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from tests.live import LiveSite

RUNNING = 40
SAVE_EVERY_S = 2.5  # a person who types
FOR_S = 30.0
ROW_WITHIN_S = 2.0
OPERATION_WITHIN_S = 3.0
TOKEN = "a" * 32
MADE = """
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import Role
from mlsd_app.cohorts.services import assignments, cohorts, members
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.interviews.lifecycle import attempt_start
now = timezone.now()
def person(name):
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    return user
def session(user):
    store = SessionStore()
    store["_auth_user_id"], store["_auth_user_backend"] = str(user.pk), "django.contrib.auth.backends.ModelBackend"
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.save()
    return store.session_key
owner = person("{mark}-owner")
by = By(owner)
cohort = cohorts.cohort_create(by=by, name="Load {mark}", timezone="UTC", now=now)
draft = assignments.assignment_create(by=by, cohort=cohort, now=now,
    fields=AssignmentFields(title="A mock", kind="mock", problem="vector_search"))
published = assignments.assignment_publish(by=by, assignment=draft, published=True, now=now)
print(cohort.pk, session(owner))
for number in range({count}):
    learner = person(f"{mark}-{number}")
    members.member_add(by=by, cohort=cohort, user=learner, role=Role.LEARNER, now=now)
    row = assignment_begin(user=learner, assignment=published, now=now)
    attempt_start(attempt=row.attempt, actor=learner, now=now)
    print(row.attempt.pk, session(learner))
"""


def browser(session: str) -> requests.Session:
    made = requests.Session()
    made.cookies.update({"sessionid": session, "csrftoken": TOKEN})
    made.headers.update({"X-CSRFToken": TOKEN})
    return made


@dataclass
class Board:
    """Reads the board's stream; `seen` says when each attempt was first shown with so many words."""

    url: str
    person: requests.Session
    seen: dict[tuple[str, int], float] = field(default_factory=dict)

    @contextmanager
    def watching(self) -> Iterator[None]:
        answer = self.person.get(self.url, stream=True, timeout=60)
        assert answer.status_code == 200
        reader = threading.Thread(target=self._read, args=(answer,), daemon=True)
        reader.start()
        try:
            yield
        finally:
            answer.raw.close() if answer.raw else None

    def _read(self, answer: requests.Response) -> None:
        try:
            for line in answer.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    self._take(json.loads(line[6:]), time.monotonic())
        except (requests.RequestException, OSError, AttributeError, ValueError):
            return  # closed

    def _take(self, data: dict[str, Any], now: float) -> None:
        for row in data.get("rows", ()):
            words = int(row["html"].partition("</b> words")[0].rpartition(">")[2] or 0)
            self.seen.setdefault((row["id"], words), now)


def save(site: str, person: requests.Session, attempt: str, rev: int) -> float:
    """Saves a text of `rev + 1` words; when the site acknowledged it."""
    body = {
        "content": "word " * (rev + 1),
        "base_rev": rev,
        "op_id": f"load-{attempt[:8]}-{rev}",
        "client_id": f"load-{attempt[:8]}",
        "lease_epoch": None,
    }
    for _ in range(5):  # as a page does that is told that the database is busy
        answer = person.put(f"{site}/interviews/{attempt}/answers/text/clarify", json=body, timeout=60)
        if answer.status_code != 503:
            break
        time.sleep(1)
    assert answer.status_code == 200, answer.text
    return time.monotonic()


def type_on(site: str, person: requests.Session, attempt: str, until: float, start_s: float) -> dict[tuple[str, int], float]:
    """Saves again and again; {(attempt, words): when it was acknowledged}."""
    time.sleep(start_s)
    acknowledged, rev = {}, 0
    while time.monotonic() < until:
        begin = time.monotonic()
        acknowledged[attempt, rev + 1] = save(site, person, attempt, rev)
        rev += 1
        time.sleep(max(0.0, SAVE_EVERY_S - (time.monotonic() - begin)))
    return acknowledged


def measured(site: str, lines: list[list[str]]) -> tuple[list[float], float]:
    """Seconds from each acknowledged save to its row on the board, and seconds an operation on all of them takes."""
    (cohort, session), *rooms = lines
    owner = browser(session)
    board = Board(f"{site}/cohorts/{cohort}/live/stream", owner)
    until = time.monotonic() + FOR_S
    with board.watching(), ThreadPoolExecutor(len(rooms)) as pool:
        jobs = [
            pool.submit(type_on, site, browser(own), attempt, until, number * SAVE_EVERY_S / len(rooms))
            for number, (attempt, own) in enumerate(rooms)
        ]
        time.sleep(FOR_S / 2)
        begin = time.monotonic()
        body = {"op": "add", "attempts": "all", "args": {"minutes": 5}, "reason": "Measured."}
        answer = browser(session).post(f"{site}/api/v1/cohorts/{cohort}/operations", json=body, timeout=60)
        operation_s = time.monotonic() - begin
        assert answer.status_code == 200 and all(result["status"] == 200 for result in answer.json()["results"]), answer.text
        acknowledged = {key: at for job in jobs for key, at in job.result().items()}
        time.sleep(2 * ROW_WITHIN_S)
    return [_shown_at(board, attempt, words) - at for (attempt, words), at in acknowledged.items()], operation_s


def _shown_at(board: Board, attempt: str, words: int) -> float:
    """When the row had these words, or more: saves that come together are shown together."""
    return min((at for (found, count), at in board.seen.items() if found == attempt and count >= words), default=float("inf"))


@pytest.mark.slow
def test_rows_follow_saves_within_two_seconds(live_site: LiveSite) -> None:
    script = MADE.replace("{mark}", f"l{time.time_ns() % 10**9}").replace("{count}", str(RUNNING))
    lines = [line.split() for line in live_site.manage("shell", "-v", "0", "-c", script).splitlines() if line.strip()]
    delays, operation_s = measured(live_site.url, lines)
    p95 = statistics.quantiles(delays, n=20)[-1]
    assert len(delays) >= RUNNING * 5 and p95 <= ROW_WITHIN_S, f"p95 {p95:.2f} s of {len(delays)} saves"
    assert operation_s <= OPERATION_WITHIN_S, f"{operation_s:.2f} s for {RUNNING} interviews"
