"""After the interview in a real browser: one's own judgement first, the debrief, the replay by keyboard, and paper."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from mlsd_app.core.demo import PEOPLE
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

CANDIDATE = next(person for person in PEOPLE if person.role == "Candidate")
# A round of the demo candidate that nobody has looked at yet; in words, since it runs in the site's process.
FRESH = """
from datetime import timedelta
from django.utils import timezone
from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.interviewer.questions import question_ask
from problems.loader import load_problem
user, now = User.objects.get(username="{username}"), timezone.now()
begun = now - timedelta(minutes=20)
attempt = lifecycle.attempt_create(user=user, problem=load_problem("{problem}"), now=begun)
lifecycle.attempt_start(attempt=attempt, actor=user, now=begun)
question_ask(attempt=attempt, text="What is our latency budget?", now=begun + timedelta(seconds=60))
answer_save(attempt=attempt, field="text/clarify", content="Latency decides, then cost.", base_rev=0, op_id="a", client_id="t",
            client_label="t", lease_epoch=None, now=begun + timedelta(seconds=120))
lifecycle.attempt_move(attempt=attempt, to_phase=1, actor=user, now=begun + timedelta(seconds=400))
lifecycle.attempt_submit(attempt=attempt, actor=user, now=now)
attempt_grade(attempt_id=str(attempt.pk), now=now)
"""


@pytest.fixture
def browser_options() -> dict[str, Any]:
    return {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def candidate(page: Page) -> Page:
    page.goto("/account/login/")
    page.locator("[name=login]").fill(CANDIDATE.username)
    page.locator("[name=password]").fill(CANDIDATE.password)
    page.locator("[name=password]").press("Enter")
    expect(page.get_by_role("link", name="Cohorts")).to_be_visible()
    return page


def open_round(page: Page, title: str) -> None:
    """The debrief of the newest finished round on that problem."""
    page.goto("/interviews/")
    page.get_by_role("row").filter(has_text=title).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def test_ones_own_judgement_then_the_scorecard(candidate: Page, live_site: LiveSite) -> None:
    live_site.manage("shell", "-v", "0", "-c", FRESH.format(username=CANDIDATE.username, problem="ads_ctr"))
    page = candidate
    open_round(page, "Ad click prediction")
    expect(page.get_by_role("heading", name="First: how do you think it went?")).to_be_visible()
    assert page.get_by_text("Score, of what was graded").count() == 0
    assert faults(page) == {}
    scope = page.get_by_role("group", name="Scope discipline")
    scope.get_by_role("radio", name="Not shown").focus()
    page.keyboard.press("ArrowRight")  # a group of radio buttons is walked with the arrows
    page.keyboard.press("ArrowRight")
    expect(scope.get_by_role("radio", name="Mixed")).to_be_checked()
    page.get_by_role("group", name="Verified design").get_by_role("radio", name="Weak").check()
    page.get_by_role("button", name="Keep it and open the scorecard").click()
    expect(page.get_by_text("Score, of what was graded")).to_be_visible()
    expect(page.get_by_text("you said: weak")).to_be_visible()
    expect(page.get_by_role("heading", name="No verdict")).to_be_visible()
    page.get_by_role("link", name="Judge the rest yourself").click()
    page.get_by_role("radiogroup").first.get_by_role("radio", name="3").check()
    page.get_by_role("button", name="Work it out").click()
    expect(page.get_by_text("self-assessed")).to_be_visible()
    page.get_by_role("button", name="Go to the lobby").click()
    expect(page.get_by_role("button", name="Start the clock")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_debrief_of_the_demo_reads_on_every_width(candidate: Page, width: int) -> None:
    page = candidate
    page.set_viewport_size({"width": width, "height": 900})
    open_round(page, "Vector search infrastructure")
    for part in ("Scorecard", "Time and words", "Facts and numbers", "Evidence", "Design", "Beside the walkthrough", "What next"):
        expect(page.get_by_role("heading", level=2, name=part, exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for summary in page.locator(".topic > summary, .beside, details > summary").all()[:30]:
        if summary.is_visible():
            summary.click()
    assert faults(page) == {}
    page.get_by_role("link", name="run 3").first.click()
    expect(page.locator("#run-3")).to_be_in_viewport()
    page.locator("#run-3").get_by_role("link", name="Open the lab there").click()
    expect(page).to_have_url(re.compile(r"/labs/vector_search/index_tradeoffs/\?kind=ivf_sq8.*seed=0"))


def test_the_replay_by_keyboard(candidate: Page) -> None:
    page = candidate
    open_round(page, "Vector search infrastructure")
    page.get_by_role("link", name="Replay", exact=True).first.click()
    expect(page.get_by_role("heading", name=re.compile("Replay: Vector search"))).to_be_visible()
    slider = page.get_by_label("Second of the interview")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.get_by_role("heading", name=re.compile("^At 0:00"))).to_be_visible()
    expect(page.get_by_text("How many vectors do we store?")).to_have_count(0)
    page.locator("body").press("j")
    expect(page.get_by_role("heading", name=re.compile("^At 0:25"))).to_be_visible()
    expect(page.locator(".moment-talk").get_by_text("How many vectors do we store?")).to_be_visible()
    page.locator("body").press("k")
    expect(page.get_by_role("heading", name=re.compile("^At 0:00"))).to_be_visible()
    assert faults(page) == {}
    page.goto(f"{page.url.partition('#')[0]}#t=2000")
    page.reload()
    expect(page.get_by_role("heading", name=re.compile("^At 33:20"))).to_be_visible()
    expect(page.locator(".moment-phase").filter(has_text="inverted lists with one byte")).to_be_visible()


def test_on_paper_it_is_light_and_without_the_frame(candidate: Page) -> None:
    page = candidate
    page.emulate_media(color_scheme="dark")
    open_round(page, "Vector search infrastructure")
    page.get_by_role("link", name="Print").click()
    expect(page.get_by_role("heading", level=2, name="Clarify")).to_be_visible()
    assert faults(page) == {}
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark
    expect(page.locator(".site-header")).to_be_hidden()
    expect(page.get_by_role("button", name="Print or save as PDF")).to_be_hidden()
    assert page.locator(".print-phase").first.evaluate("node => getComputedStyle(node).breakBefore") == "page"
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF") and paper.count(b"/Type /Page") >= 5
    with page.expect_download() as download:
        page.emulate_media(media="screen")
        page.get_by_role("link", name="Debrief").click()
        page.get_by_role("link", name="Markdown").click()
    assert re.fullmatch(r"loop45-vector_search-\d{4}-\d\d-\d\d\.md", download.value.suggested_filename)
