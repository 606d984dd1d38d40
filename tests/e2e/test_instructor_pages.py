"""Figures, map, exports and content reports in a real browser: charts are drawn, axe is content, the keyboard reaches everything."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

MADE = """
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.cohorts.demo import demo_cohort
def person(name):
    return User.objects.get_or_create(username=name, defaults={"password": "!"})[0]
owner = person("figures-owner")
cohort = demo_cohort(instructor=owner, candidate=person("figures-candidate"), now=timezone.now())
store = SessionStore()
store["_auth_user_id"], store["_auth_user_backend"] = str(owner.pk), "django.contrib.auth.backends.ModelBackend"
store["_auth_user_hash"] = owner.get_session_auth_hash()
store.save()
mock, quiz = (cohort.assignments.get(title__startswith=title).pk for title in ("First mock", "Warm-up quiz"))
print(cohort.pk, mock, quiz, store.session_key)
"""


@pytest.fixture
def browser_options() -> dict[str, Any]:
    """Colours are read off at once, not half-way through a transition."""
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def places(browser_context: BrowserContext, live_site: LiveSite) -> dict[str, str]:
    """Addresses, with the owner of the demo cohort signed in."""
    cohort, mock, quiz, key = live_site.manage("shell", "-v", "0", "-c", MADE).split()[-4:]
    browser_context.add_cookies([{"name": "sessionid", "value": key, "url": live_site.url}])
    base = f"/cohorts/{cohort}/"
    return {
        "cohort": f"{base}analytics/",
        "mock": f"{base}assignments/{mock}/analytics/",
        "quiz": f"{base}assignments/{quiz}/analytics/",
        "map": f"{base}assignments/{mock}/map/",
        "exports": f"{base}exports/",
        "own": "/cohorts/exports/",
        "authoring": "/authoring/feature_store/",
        "problems": "/authoring/",
    }


def test_axe_finds_nothing_serious(page: Page, places: dict[str, str], complaints: Complaints) -> None:
    for name, path in places.items():
        page.goto(path)
        if name in ("cohort", "mock", "quiz"):
            expect(page.locator(".js-plotly-plot").first).to_be_visible()
        assert faults(page) == {}, name


def test_a_file_is_asked_for_with_the_keyboard(page: Page, places: dict[str, str]) -> None:
    page.goto(places["exports"])
    page.get_by_label("What", exact=True).focus()
    page.keyboard.press("R")  # Runs
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Make the file":
            break
    page.keyboard.press("Enter")
    expect(page.locator("table")).to_contain_text("Runs as CSV")
