"""The live board and a room side by side in two browsers: a keystroke reaches the board, a proctor's minutes reach the room."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

WITHIN_S = 2.0
SLACK_S = 3.0  # a machine that does other things at the same time
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
    user = User(username=name, first_name=name.split("-")[0].title())
    user.set_unusable_password()
    user.save()
    return user
def session(user):
    store = SessionStore()
    store["_auth_user_id"], store["_auth_user_backend"] = str(user.pk), "django.contrib.auth.backends.ModelBackend"
    store["_auth_user_hash"] = user.get_session_auth_hash()
    store.save()
    return store.session_key
owner, learner = person("{mark}-owner"), person("{mark}-learner")
by = By(owner)
cohort = cohorts.cohort_create(by=by, name="Board {mark}", timezone="UTC", now=now)
members.member_add(by=by, cohort=cohort, user=learner, role=Role.LEARNER, now=now)
draft = assignments.assignment_create(by=by, cohort=cohort, now=now,
    fields=AssignmentFields(title="A mock", kind="mock", problem="vector_search"))
published = assignments.assignment_publish(by=by, assignment=draft, published=True, now=now)
row = assignment_begin(user=learner, assignment=published, now=now)
attempt_start(attempt=row.attempt, actor=learner, now=now)
print(cohort.pk, row.attempt.pk, session(owner), session(learner))
"""


class Scene:
    """An instructor at the board and a learner in the room, each in a browser of their own."""

    def __init__(self, site: LiveSite, contexts: list[BrowserContext], cohort: str, attempt: str) -> None:
        self.cohort, self.attempt = cohort, attempt
        self.board, self.room = (context.new_page() for context in contexts)
        self.board.goto(f"/cohorts/{cohort}/live/")
        self.room.goto(f"/interviews/{attempt}/")
        expect(self.status).to_have_text("Live", timeout=20_000)

    @property
    def row(self) -> Any:
        return self.board.locator(f"#row-{self.attempt}")

    @property
    def status(self) -> Any:
        return self.board.locator("[data-part=status-words]")

    def type(self, text: str) -> None:
        """Types and returns when the room says that it is saved."""
        self.room.get_by_label("Your answer").locator("visible=true").fill(text)
        expect(self.room.locator("[data-part=save-mark]")).to_have_text(re.compile(r"saved \d\d"), timeout=20_000)

    def words(self, count: int, within_s: float) -> float:
        """Seconds until the board says so many words."""
        begin = time.monotonic()
        expect(self.row.locator("[data-cell=work]")).to_contain_text(f"{count} words", timeout=within_s * 1000)
        return time.monotonic() - begin


@pytest.fixture
def scene(browser: Browser, live_site: LiveSite, complaints: Complaints) -> Iterator[Scene]:
    mark = f"b{time.time_ns() % 10**9}"
    cohort, attempt, *sessions = live_site.manage("shell", "-v", "0", "-c", MADE.replace("{mark}", mark)).split()
    contexts = []
    for session in sessions:
        context = browser.new_context(base_url=live_site.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        context.set_default_timeout(15_000)
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_site.url}])
        complaints.watch(context, live_site.url.removeprefix("http://"))
        contexts.append(context)
    yield Scene(live_site, contexts, cohort, attempt)
    for context in contexts:
        context.close()
    assert complaints.unexpected() == []


def test_a_keystroke_in_the_room_stands_on_the_board_within_two_seconds(scene: Scene) -> None:
    scene.type("Recall first.")
    assert scene.words(2, 15) <= WITHIN_S + SLACK_S
    took = []
    for number in range(3, 9):
        scene.type("word " * number)
        took.append(scene.words(number, 15))
    assert sorted(took)[len(took) // 2] <= WITHIN_S, took
    assert scene.row.locator("[data-cell=connection]").inner_text() == "stream"


def test_minutes_and_messages_reach_the_open_room(scene: Scene) -> None:
    clock = scene.room.locator("[data-part=remaining]")
    before = seconds(clock.inner_text())
    scene.row.get_by_role("checkbox").check()
    expect(scene.board.locator("[data-part=selected]")).to_have_text("1 selected")
    scene.board.get_by_label("What to do").select_option("add")
    scene.board.get_by_role("button", name="Continue").click()
    scene.board.get_by_label("Minutes").fill("15")
    scene.board.get_by_label("Reason").fill("Fire alarm.")
    scene.board.get_by_role("button", name="Preview").click()
    expect(scene.board.get_by_role("row").filter(has_text="45:00")).to_contain_text("60:00")
    scene.board.get_by_role("button", name="Add or take minutes for 1").click()
    expect(scene.board.get_by_text("Done for 1 of 1")).to_be_visible()
    begin = time.monotonic()
    poll(lambda: seconds(clock.inner_text()) > before + 14 * 60, 10)
    assert time.monotonic() - begin <= WITHIN_S + SLACK_S


def test_the_candidate_sees_who_follows_and_raises_a_hand(scene: Scene) -> None:
    expect(scene.room.get_by_text("An instructor is present")).to_be_hidden()
    scene.row.get_by_role("link").click()
    expect(scene.room.get_by_text("An instructor is present")).to_be_visible()
    scene.type("Seen as it is saved.")
    expect(scene.board.locator(".follow-words")).to_have_text("Seen as it is saved.")
    assert faults(scene.board) == {}
    scene.board.get_by_role("textbox", name="Note").fill("Begins with recall.")
    scene.board.get_by_role("button", name="Keep at this second").click()
    expect(scene.board.get_by_text("Begins with recall.")).to_be_visible()
    scene.board.goto(f"/cohorts/{scene.cohort}/live/")
    # At once as a rule; where the page's goodbye was lost, as soon as it has not been heard of for 40 s.
    expect(scene.room.get_by_text("An instructor is present")).to_be_hidden(timeout=90_000)
    hand = scene.room.get_by_role("button", name="Raise hand")
    hand.click()
    expect(hand).to_have_attribute("aria-pressed", "true")
    expect(scene.row.locator("[data-cell=flags]")).to_contain_text("Hand raised")
    assert faults(scene.board) == {}


@pytest.mark.slow
def test_with_redis_stopped_the_board_goes_on_and_comes_back(scene: Scene, live_site: LiveSite, complaints: Complaints) -> None:
    complaints.expect("status of 5|ERR_")
    scene.type("Before it stops.")
    scene.words(3, 15)
    live_site.stop("redis")
    try:
        scene.type("Without Redis the database is asked.")
        scene.words(6, 25)
    finally:
        live_site.start("redis")
    live_site.wait_until_ready()
    scene.type("And back.")
    scene.words(2, 25)
    expect(scene.status).to_have_text("Live")


def seconds(text: str) -> int:
    minutes, _, rest = text.partition(":")
    return 60 * int(minutes) + int(rest)


def poll(met: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)
