"""Text of an interview in a real browser: offline, in two tabs, on two devices, and after a page that died."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Locator, Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_interview import enter, saved
from tests.live import LiveSite

LOST = "ERR_INTERNET_DISCONNECTED|ERR_FAILED|status of 423|status of 409"
OFFLINE_MS = 30_000
SETTLE_MS = 20_000


@pytest.fixture
def other_device(browser: Browser, browser_context: BrowserContext, live_site: LiveSite) -> Iterator[BrowserContext]:
    """A second browser of the same person, signed in once the first one is: nothing of the first one's storage."""
    context = browser.new_context(base_url=live_site.url)
    context.set_default_timeout(15_000)
    yield context
    context.close()


def text(page: Page) -> Locator:
    return page.locator("[data-field='text/clarify'] textarea")


def write(page: Page, words: str) -> None:
    text(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(words)


def open_room(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    expect(page.get_by_role("heading", name="Clarify")).to_be_visible()
    return page


def crash(page: Page) -> None:
    """The page is gone in the middle of its work: it cannot send anything any more, nor say goodbye."""
    with page.expect_event("crash"), contextlib.suppress(Error):
        page.goto("chrome://crash")


def banner(page: Page, name: str) -> Locator:
    return page.locator(f"[data-banner={name}]")


@pytest.mark.slow
def test_writing_goes_on_offline_and_is_saved_when_the_connection_is_back(page: Page, complaints: Complaints) -> None:
    complaints.expect(LOST)
    enter(page)
    write(page, "before ")
    saved(page)
    page.context.set_offline(True)
    write(page, "without a connection ")
    expect(banner(page, "unreached")).to_be_visible(timeout=SETTLE_MS)
    page.wait_for_timeout(OFFLINE_MS)
    write(page, "and on")
    page.context.set_offline(False)
    saved(page)
    expect(banner(page, "unreached")).to_be_hidden()
    page.reload()
    expect(text(page)).to_have_value("before without a connection and on")


def test_what_a_dead_page_could_not_save_is_offered_by_the_next(page: Page, complaints: Complaints) -> None:
    complaints.expect(LOST)
    enter(page)
    context, url = page.context, page.url
    page.route("**/answers/**", lambda route: route.abort())
    write(page, "never arrived")
    expect(banner(page, "unreached")).to_be_visible(timeout=SETTLE_MS)
    crash(page)
    again = open_room(context, url)
    again.get_by_role("button", name="Take over here").click()  # the dead tab still holds the lease for a moment
    offered = again.get_by_text(re.compile(r"Unsaved text from \d\d:\d\d:\d\d is on this device"))
    expect(offered).to_be_visible(timeout=SETTLE_MS)
    expect(text(again)).to_have_value("")
    again.get_by_role("button", name="Restore").click()
    expect(text(again)).to_have_value("never arrived")
    saved(again)
    again.reload()
    expect(text(again)).to_have_value("never arrived")
    expect(offered).to_be_hidden()


def test_two_devices_take_turns_and_choose_between_their_texts(page: Page, other_device: BrowserContext, complaints: Complaints) -> None:
    complaints.expect(LOST)
    enter(page)
    write(page, "shared ")
    saved(page)
    other_device.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    other = open_room(other_device, page.url)
    expect(banner(other, "lease")).to_be_visible()
    expect(text(other)).to_have_attribute("readonly", "")

    page.context.set_offline(True)
    write(page, "from the first")
    other.get_by_role("button", name="Take over here").click()
    expect(banner(other, "lease")).to_be_hidden()
    write(other, "from the second")
    saved(other)

    page.context.set_offline(False)
    expect(banner(page, "lease")).to_be_visible(timeout=SETTLE_MS)
    page.get_by_role("button", name="Take over here").click()
    panel = page.get_by_role("region", name="Two versions of this text")
    expect(panel).to_be_visible(timeout=SETTLE_MS)
    expect(panel.locator("mark")).to_have_text(["first", "second"])
    expect(text(page)).to_have_attribute("readonly", "")
    panel.get_by_role("button", name="Keep both").click()
    expect(panel).to_be_hidden()
    saved(page)
    expect(text(page)).to_have_value("shared from the second\n\n---\n\nshared from the first")


HOLD_ANSWERS = """path => {
  const plain = window.fetch;
  const gate = new Promise((open) => (window.letAnswersIn = open));
  window.fetch = async (url, options) => {
    const response = await plain(url, options);
    if (String(url).endsWith(path)) await gate;
    return response;
  };
}"""


@pytest.mark.parametrize("late", ["lease/heartbeat", "answers/text/clarify"])
def test_an_answer_about_the_lease_of_before_does_not_take_it_away(
    page: Page, other_device: BrowserContext, complaints: Complaints, late: str
) -> None:
    complaints.expect(LOST)
    enter(page)
    other_device.add_cookies(page.context.cookies())  # type: ignore[arg-type]
    other = open_room(other_device, page.url)
    other.get_by_role("button", name="Take over here").click()
    expect(banner(other, "lease")).to_be_hidden()

    page.evaluate(HOLD_ANSWERS, late)
    with page.expect_response(lambda response: response.url.endswith(late)):
        write(page, "still mine")
        page.evaluate("window.dispatchEvent(new Event('online'))")  # asks for the lease and saves; one of the answers will be late
    expect(banner(page, "lease")).to_be_visible(timeout=SETTLE_MS)
    page.get_by_role("button", name="Take over here").click()
    expect(banner(page, "lease")).to_be_hidden()

    page.evaluate("window.letAnswersIn()")
    saved(page)
    write(page, ", and on")
    saved(page)
    expect(banner(page, "lease")).to_be_hidden()
    expect(text(page)).to_have_value("still mine, and on")
