"""Grading in a real browser: five pieces by keyboard alone, a draft that comes back, and every page of grading as axe sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

PIECES = 5
MADE = """
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.cohorts.demo import demo_cohort
from mlsd_app.cohorts.models import Task, TaskDraft
def person(name):
    return User.objects.get_or_create(username=name, defaults={"password": "!"})[0]
owner = person("grading-owner")
cohort = demo_cohort(instructor=owner, candidate=person("grading-candidate"), now=timezone.now())
store = SessionStore()
store["_auth_user_id"], store["_auth_user_backend"] = str(owner.pk), "django.contrib.auth.backends.ModelBackend"
store["_auth_user_hash"] = owner.get_session_auth_hash()
store.save()
assignment = cohort.assignments.get(title__startswith="First mock")
TaskDraft.objects.all().delete()
Task.objects.filter(state="in_progress").update(state="ungraded", lease_user=None)
print(cohort.pk, assignment.pk, store.session_key)
"""
LEFT = """
from mlsd_app.cohorts.models import Task
print(Task.objects.filter(assigned__assignment={assignment}, state="graded").count())
"""


class Grading:
    """An owner with the demo cohort: some interviews are graded, twelve pieces wait."""

    def __init__(self, page: Page, site: LiveSite, cohort: str, assignment: str) -> None:
        self.page, self.site = page, site
        self.cohort = f"/cohorts/{cohort}/"
        self.assignment, self.pk = f"{self.cohort}assignments/{assignment}/", assignment

    def graded(self) -> int:
        return int(self.site.manage("shell", "-v", "0", "-c", LEFT.format(assignment=self.pk)))

    def begin(self) -> None:
        self.page.goto(f"{self.assignment}grading/")
        self.page.get_by_role("button", name="Grade next").focus()
        self.page.keyboard.press("Enter")
        self.ready()

    def ready(self) -> None:
        """A piece is shown and its script listens to keys."""
        expect(self.page.locator("[data-grading] [data-subject].is-current")).to_have_count(1)

    def points(self) -> int:
        return self.page.locator("[data-subject]").count()


@pytest.fixture
def browser_options() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def grading(page: Page, browser_context: BrowserContext, live_site: LiveSite) -> Grading:
    """The demo cohort is made once for the site; what an earlier test held goes back."""
    cohort, assignment, session = live_site.manage("shell", "-v", "0", "-c", MADE).split()
    browser_context.add_cookies([{"name": "sessionid", "value": session, "url": live_site.url}])
    return Grading(page, live_site, cohort, assignment)


def test_five_pieces_by_keyboard_alone(grading: Grading) -> None:
    """Each point gets a level, and each level its evidence; then n."""
    page, before = grading.page, grading.graded()
    grading.begin()
    for _ in range(PIECES):
        address = page.url
        for place in range(grading.points()):
            if place:
                page.keyboard.press("j")
            page.keyboard.press("]")
            page.keyboard.press("e")
            page.keyboard.press("2")
        expect(page.locator("[data-subject].is-current input:checked")).to_have_value("2")
        page.keyboard.press("n")
        expect(page).not_to_have_url(address)
        grading.ready()
    assert grading.graded() == before + PIECES


def test_without_evidence_it_is_refused_and_nothing_is_lost(grading: Grading, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page = grading.page
    grading.begin()
    for _ in range(grading.points()):
        page.keyboard.press("0")
        page.keyboard.press("j")
    page.keyboard.press("3")
    page.keyboard.press("c")
    page.keyboard.type("worth more, but why")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.get_by_role("alert")).to_contain_text("needs evidence")
    wrong = page.locator("[data-subject].is-wrong")
    expect(wrong.locator("textarea")).to_have_value("worth more, but why")
    expect(wrong.locator("input:checked")).to_have_value("3")
    expect(wrong).to_be_focused()


def test_what_was_selected_is_cited_and_the_draft_comes_back(grading: Grading) -> None:
    page = grading.page
    grading.begin()
    page.locator("[data-passage][data-kind=quote]").first.select_text()
    page.keyboard.press("e")
    cited = page.locator("[data-subject].is-current [data-part=cited] li")
    expect(cited).to_have_count(1)
    page.keyboard.press("4")
    expect(page.locator("[data-part=saved]")).to_have_text("Draft kept.")
    page.reload()
    expect(cited).to_have_count(1)
    expect(page.locator("[data-subject].is-current input:checked")).to_have_value("4")
    cited.get_by_role("button", name=re.compile("Remove")).click()
    expect(cited).to_have_count(0)


def test_axe_on_every_page(grading: Grading) -> None:
    page = grading.page
    places = [f"{grading.cohort}grading/", f"{grading.cohort}gradebook/"]
    places += [f"{grading.assignment}{name}/" for name in ("grading", "rubric", "release")]
    found = {}
    for place in places:
        page.goto(place)
        found[place] = faults(page)
    grading.begin()
    page.keyboard.press("]")
    page.keyboard.press("e")
    page.keyboard.press("3")
    found["a piece"] = faults(page)
    assert {place: complaints for place, complaints in found.items() if complaints} == {}
