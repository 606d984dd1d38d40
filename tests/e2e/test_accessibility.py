"""WCAG as axe sees it on every kind of page, light and dark, at a desk and on a phone.

A page is loaded once, on a phone, and then looked at four ways, as by a reader who turns the screen or whose system changes colours at
night: a run of a lab costs seconds, a look a fraction of one.

The `page` fixture adds the rest: a message about the Content-Security-Policy, a script error or a request to another host fails
the test. A page that is new gets a line in PAGES or OWN_PAGES. Of cohorts and challenges one page of every kind is found by its links;
rooms of interviews, the quiz at work, the live board and grading have their own tests, which look at them in all their states.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from mlsd_app.core.demo import PEOPLE
from problems.base import PHASES
from problems.loader import all_problems
from simulators.registry import labs
from tests.e2e.conftest import Complaints

WRITTEN = next(problem for problem in all_problems() if problem.complete)
COMPLETE, CALCULATOR = WRITTEN.slug, WRITTEN.calculators[0]
LABS_ONLY = [problem.slug for problem in all_problems() if not problem.complete][:1]
LABS = [f"/labs/{problem}/{lab}/" for problem, lab in labs()]

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LOOKS = [(width, scheme) for width in (390, 1440) for scheme in SCHEMES]
PAGES = [
    "/",
    "/problems/",
    "/problems/?theme=platforms&state=done",
    *(f"/problems/{slug}/" for slug in [COMPLETE, *LABS_ONLY]),
    "/method/",
    "/method/readiness/",
    "/labs/",
    "/challenges/",
    "/challenges/vector_search/index_tradeoffs/recall_on_a_diet/",
    *LABS,
    "/interviews/",
    f"/interviews/?problem={COMPLETE}",
    "/quiz/",
    f"/quiz/problems/{COMPLETE}/",
    "/quiz/plan/",
    "/quiz/readiness/",
    "/account/login/",
    "/account/signup/",
    "/account/password/reset/",
    "/api/",
]
WALKS = [("instructor", "/cohorts/", 15), ("candidate", "/cohorts/", 3), ("candidate", "/challenges/", 2)]  # at least so many kinds
OWN_PAGES = ["/runs/", "/account/", "/account/tokens/", "/account/delete/"]  # of whoever has written something


@pytest.fixture
def browser_options() -> dict[str, Any]:
    width, scheme = LOOKS[0]
    return {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "reduced_motion": "reduce"}  # colours at rest


def faults(page: Page) -> dict[str, list[str]]:
    """What axe finds in each look of the page, and what sticks out sideways; looks without a fault are left out."""
    found = {}
    for width, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        found[f"{scheme} at {width}"] = violations(page) + overhang(page)
    return {look: complaints for look, complaints in found.items() if complaints}


def violations(page: Page) -> list[str]:
    """What axe finds: the rule, how often, the first place."""
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}, {len(item['nodes'])} times: {item['nodes'][0]['html'][:200]}" for item in found]


def overhang(page: Page) -> list[str]:
    pixels = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return [f"{pixels} pixels stick out sideways"] if pixels > 0 else []


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
    assert faults(page) == {}


@pytest.mark.parametrize("phase", PHASES)
def test_phase_before_and_after_the_answer(page: Page, phase: str) -> None:
    page.goto(f"/problems/{COMPLETE}/{phase}/")
    assert faults(page) == {}
    page.get_by_role("button", name="Reveal the worked answer").click()
    page.get_by_role("heading", name="Worked answer").wait_for()
    page.evaluate("for (const item of document.querySelectorAll('main details')) item.open = true")
    assert faults(page) == {}


def test_pages_of_ones_own(page: Page) -> None:
    become_guest(page)
    found = {}
    for path in OWN_PAGES:
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path
        found[path] = faults(page)
    assert found == dict.fromkeys(OWN_PAGES, {})


@pytest.mark.slow
@pytest.mark.parametrize(("username", "start", "kinds"), WALKS)
def test_every_kind_of_page_that_links_lead_to(page: Page, username: str, start: str, kinds: int) -> None:
    sign_in(page, username)
    found: dict[str, dict[str, list[str]]] = {}
    to_see = [start]
    while to_see:
        path = to_see.pop()
        if kind(path) in found:
            continue
        answer = page.goto(path)
        assert answer is not None and answer.status == 200, path
        found[kind(path)] = faults(page)
        to_see += links(page, start)
    assert found == dict.fromkeys(found, {})
    assert len(found) >= kinds, sorted(found)


def sign_in(page: Page, username: str) -> None:
    page.goto("/account/login/")
    page.get_by_label("User name or e-mail").fill(username)
    page.get_by_label("Password").fill(next(person.password for person in PEOPLE if person.username == username))
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/login/" not in url)


def kind(path: str) -> str:
    """Pages that differ by a number, an id or a name are of one kind."""
    return re.sub(r"/([0-9a-f-]{36}|\d+)/", "/*/", re.sub(r"^/challenges/(?!submissions/).+", "/challenges/*/", path))


def links(page: Page, below: str) -> list[str]:
    """Where the page leads, without files and without what only repeats a page with other filters."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('main a[href]:not([download])')].map((link) => new URL(link.href).pathname)"
    )
    return [path for path in dict.fromkeys(found) if path.startswith(below) and path.endswith("/")]


def test_faults_are_pages_too(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 404")
    complaints.expect("status of 422")
    bad_input = f"/problems/{COMPLETE}/capacity/?calc={CALCULATOR.key}&{CALCULATOR.inputs[0].key}=much"
    for path, status in (("/no-such-page", 404), (bad_input, 422)):
        answer = page.goto(path)
        assert answer is not None and answer.status == status
        assert faults(page) == {}


def test_dialog_and_menus(page: Page) -> None:
    become_guest(page)
    page.reload()
    page.locator("details.menu > summary").click()
    assert faults(page) == {}
    page.locator("h1").click()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard shortcuts").wait_for()
    assert faults(page) == {}


def test_axe_is_awake(page: Page) -> None:
    """A page with a fault it must find: otherwise every test above could pass by finding nothing."""
    page.goto("/problems/")
    page.evaluate("document.querySelector('h1').insertAdjacentHTML('afterend', '<img src=\"/static/img/loop45.svg\">')")
    assert any(found.startswith("image-alt") for found in violations(page))
