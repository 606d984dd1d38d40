"""The quiz by keyboard alone, as one works through it on a train; and what axe says of every page and state."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults

PROBLEM = "/quiz/problems/youtube_recs/"
ITEMS = 20


def ready(page: Page) -> None:
    """A question is there and keys work."""
    expect(page.locator("#card[data-ready] [data-question]")).to_be_visible(timeout=15_000)


class Learner:
    """Presses keys. `seen` holds the kinds of questions met, `faults` what axe found the first time each state was shown."""

    def __init__(self, page: Page, *, audit: bool = False) -> None:
        self.page, self.audit = page, audit
        self.results = 0
        self.seen: set[str] = set()
        self.found: dict[str, Any] = {}

    def work(self) -> None:
        """Until the summary."""
        while self.step():
            pass

    def step(self) -> bool:
        ready(self.page)
        form = self.page.locator("[data-question]").get_attribute("data-form") or ""
        self.look(form)
        getattr(self, form)()
        expect(self.page.locator("[data-result]")).to_be_visible()
        self.results += 1
        self.look(f"result of {form}")
        last = self.page.locator("a[data-next]").get_attribute("href") or ""
        self.page.keyboard.press("Enter")
        if "/done/" in last:
            self.page.wait_for_url("**/done/")
            return False
        expect(self.page.locator("[data-result]")).to_be_hidden()
        return True

    def look(self, state: str) -> None:
        if state not in self.seen and self.audit and (complaints := faults(self.page)):
            self.found[state] = complaints
        self.seen.add(state)

    def reveal(self) -> None:
        self.page.keyboard.press("Space")
        expect(self.page.locator("[data-rate]")).to_be_visible()
        self.look("rating of reveal")
        self.page.keyboard.press("3")

    def free(self) -> None:
        expect(self.page.locator("#free-text")).to_be_focused()
        self.page.keyboard.type("Retrieval first, then ranking.")
        self.page.keyboard.press("Control+Enter")
        expect(self.page.locator("[data-rate]")).to_be_visible()
        self.look("rating of free")
        self.page.keyboard.press("1")
        expect(self.page.locator("input[name=points]").first).to_be_checked()
        self.page.keyboard.press("Enter")

    def choice(self) -> None:
        self.page.keyboard.press("2")
        expect(self.page.locator("input[name=picked]").nth(1)).to_be_checked()
        self.page.keyboard.press("s")

    def number(self) -> None:
        expect(self.page.locator("#number")).to_be_focused()
        self.page.keyboard.type("12 TB")
        expect(self.page.locator("[data-echo]")).to_have_text(re.compile(r"Read as 12 TB\."))
        self.page.keyboard.press("Enter")

    def order(self) -> None:
        second = self.page.locator("[data-row]").nth(1).inner_text()
        self.page.keyboard.press("2")
        self.page.keyboard.press("ArrowUp")
        first = self.page.locator("[data-row]").first
        expect(first).to_be_focused()
        assert first.inner_text().split("\n")[-1] == second.split("\n")[-1]
        self.page.keyboard.press("g")


def begin(page: Page, url: str = PROBLEM) -> None:
    page.goto(url)
    page.get_by_role("button", name="Practise").press("Enter")
    ready(page)


def test_twenty_mixed_questions_without_a_mouse(page: Page) -> None:
    begin(page)
    learner = Learner(page)
    learner.work()
    assert learner.results >= ITEMS
    assert {"reveal", "free", "choice", "number", "order"} <= learner.seen
    expect(page.get_by_role("heading", name="Done", exact=True)).to_be_visible()
    expect(page.locator(".quiz-review").first).to_be_visible()


def test_the_day_begins_with_enter_and_goes_on_after_a_reload(page: Page) -> None:
    page.goto("/quiz/", wait_until="networkidle")
    page.keyboard.press("Enter")
    ready(page)
    learner = Learner(page)
    learner.step()
    learner.step()
    stem = page.locator("#stem").inner_text()
    page.reload()
    expect(page.locator("#stem")).to_have_text(stem)
    page.goto("/quiz/")
    page.get_by_role("button", name="Resume").press("Enter")
    expect(page.locator("#stem")).to_have_text(stem)


def test_undo_hint_report_and_time_by_key(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page.goto("/quiz/problems/vector_search/?type=number")
    page.get_by_role("button", name="Practise").press("Enter")
    ready(page)
    stem = page.locator("#stem").inner_text()
    page.keyboard.press("Tab")  # out of the field
    page.keyboard.press("h")
    expect(page.locator("#hint")).to_contain_text("Hint.")
    page.locator("#number").press("Enter")
    expect(page.get_by_role("alert").filter(has_text="not an attempt")).to_be_visible()
    page.locator("#number").fill("300 GB")
    page.keyboard.press("Enter")
    expect(page.locator("[data-result]")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator("#stem")).to_have_text(stem)
    page.keyboard.press("Tab")
    page.keyboard.press("f")
    dialog = page.get_by_role("dialog", name="Report this question")
    expect(dialog).to_be_visible()
    dialog.get_by_label("In a sentence").fill("Which k?")
    dialog.get_by_role("button", name="Send").press("Enter")
    expect(dialog.get_by_role("status")).to_contain_text("Thank you")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Hide the time").press("Enter")
    expect(page.locator("[data-elapsed]")).to_be_hidden()


def test_what_cannot_be_read_is_said_while_it_is_typed(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page.goto("/quiz/problems/vector_search/?type=number")
    page.get_by_role("button", name="Practise").press("Enter")
    ready(page)
    page.keyboard.type("85,9 GB")
    expect(page.locator("[data-echo]")).to_contain_text("point")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="not an attempt")).to_be_visible()
    expect(page.locator("#number")).to_have_value("85,9 GB")


# --- axe -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser_options() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}


@pytest.mark.slow
def test_axe_on_every_page_and_state(page: Page) -> None:
    begin(page)
    learner = Learner(page, audit=True)
    learner.work()
    learner.look("summary")
    for url in ("/quiz/", "/quiz/plan/", "/quiz/readiness/", "/quiz/stats/", PROBLEM):
        page.goto(url)
        if url == "/quiz/stats/":
            page.locator("[data-drawn]").nth(2).wait_for()
        learner.look(url)
    page.goto("/quiz/", wait_until="networkidle")
    page.keyboard.press("Enter")
    ready(page)
    page.keyboard.press("Tab")
    page.keyboard.press("f")
    learner.look("report")
    assert learner.found == {}
