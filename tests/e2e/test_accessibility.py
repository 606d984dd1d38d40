"""WCAG as axe sees it on every kind of page, light and dark, at a desk and on a phone.

The `page` fixture adds the rest: a message about the Content-Security-Policy, a script error or a request to another host fails
the test. A page that is new gets a line in PAGES or OWN_PAGES.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from problems.base import PHASES
from problems.loader import all_problems
from simulators.registry import labs
from tests.e2e.conftest import Complaints

WRITTEN = next(problem for problem in all_problems() if problem.complete)
COMPLETE, CALCULATOR = WRITTEN.slug, WRITTEN.calculators[0]
LABS_ONLY = [problem.slug for problem in all_problems() if not problem.complete][:1]
LABS = [f"/labs/{problem}/{lab}/" for problem, lab in labs()]

LOOKS = {
    f"{scheme}-{width}": {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for scheme in ("light", "dark")
    for width in (1440, 390)
}
PAGES = [
    "/",
    "/problems/",
    "/problems/?theme=platforms&state=done",
    *(f"/problems/{slug}/" for slug in [COMPLETE, *LABS_ONLY]),
    "/labs/",
    *LABS,
    "/account/login/",
    "/account/signup/",
    "/account/password/reset/",
    "/api/",
]
OWN_PAGES = ["/runs/", "/account/", "/account/tokens/", "/account/delete/"]  # of whoever has written something


@pytest.fixture(params=LOOKS.values(), ids=LOOKS.keys())
def browser_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {**request.param, "reduced_motion": "reduce"}  # colours are compared at rest


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, how often, the first place."""
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}, {len(item['nodes'])} times: {item['nodes'][0]['html'][:200]}" for item in found]


def assert_fits(page: Page) -> None:
    """Nothing sticks out sideways."""
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def wait_for_run(page: Page) -> None:
    """Pages of labs start a run by themselves; they are judged with its figures on them."""
    page.locator("[data-drawn]").first.wait_for(timeout=60_000)
    page.wait_for_function("!document.querySelector('[aria-busy=true], .is-stale')", timeout=60_000)


def become_guest(page: Page) -> None:
    page.goto(f"/problems/{COMPLETE}/clarify/")
    page.get_by_role("textbox", name="Your notes").fill("Which filters exist, and what share of the vectors passes each?")
    page.get_by_text(re.compile(r"^Saved \d")).wait_for()


@pytest.mark.parametrize("path", PAGES)
def test_page_for_visitors(page: Page, path: str) -> None:
    answer = page.goto(path)
    assert answer is not None and answer.status == 200
    if page.locator("[data-start-url]").count():
        wait_for_run(page)
    assert violations(page) == []
    assert_fits(page)


@pytest.mark.parametrize("phase", PHASES)
def test_phase_before_and_after_the_answer(page: Page, phase: str) -> None:
    page.goto(f"/problems/{COMPLETE}/{phase}/")
    assert violations(page) == []
    page.get_by_role("button", name="Reveal the worked answer").click()
    page.get_by_role("heading", name="Worked answer").wait_for()
    page.evaluate("for (const item of document.querySelectorAll('main details')) item.open = true")
    assert violations(page) == []
    assert_fits(page)


def test_pages_of_ones_own(page: Page) -> None:
    become_guest(page)
    found = {}
    for path in OWN_PAGES:
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path
        found[path] = violations(page)
        assert_fits(page)
    assert found == dict.fromkeys(OWN_PAGES, [])


def test_faults_are_pages_too(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 404")
    complaints.expect("status of 422")
    bad_input = f"/problems/{COMPLETE}/capacity/?calc={CALCULATOR.key}&{CALCULATOR.inputs[0].key}=much"
    for path, status in (("/no-such-page", 404), (bad_input, 422)):
        answer = page.goto(path)
        assert answer is not None and answer.status == status
        assert violations(page) == []
        assert_fits(page)


def test_dialog_and_menus(page: Page) -> None:
    become_guest(page)
    page.reload()
    page.locator("details.menu > summary").click()
    assert violations(page) == []
    page.locator("h1").click()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    assert violations(page) == []


def test_axe_is_awake(page: Page) -> None:
    """A page with a fault it must find: otherwise every test above could pass by finding nothing."""
    page.goto("/problems/")
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"/static/img/loop45.svg\">')")
    assert any(found.startswith("image-alt") for found in violations(page))
