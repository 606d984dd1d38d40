"""Whoever reads far from Greenwich sees times on the own clock, and still which moment was written."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.test_accessibility import sign_in

HOURS = {"Asia/Tokyo": 9, "UTC": 0}


@pytest.fixture(params=HOURS)
def browser_options(request: pytest.FixtureRequest) -> dict[str, str]:
    return {"timezone_id": request.param}


@pytest.fixture
def ahead(browser_options: dict[str, str]) -> timedelta:
    return timedelta(hours=HOURS[browser_options["timezone_id"]])


def moment_of(time: Locator) -> datetime:
    return datetime.fromisoformat(time.get_attribute("datetime") or "")


def on_clock(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def test_rounds_and_dates_of_a_cohort(page: Page, ahead: timedelta) -> None:
    sign_in(page, "candidate")
    page.goto("/interviews/")
    begun = page.locator("time[data-utc]").last
    expect(begun).to_have_text(on_clock(moment_of(begun) + ahead))
    if ahead:
        expect(begun).to_have_attribute("title", f"{on_clock(moment_of(begun))} UTC")
    expect(page.locator("[data-utc-zone]").first).to_be_visible(visible=not ahead)

    page.goto("/cohorts/")
    page.locator(".cohort-cards a").first.click()
    due = page.locator("time[data-local]").first
    expect(due).to_be_visible()
    zone = due.get_attribute("data-local")
    expect(page.locator(".own-time").first).to_be_visible(visible=bool(ahead) or zone != "UTC")
