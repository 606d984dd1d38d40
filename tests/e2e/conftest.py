"""A real Chromium on the running site. Whatever the page complains about fails the test.

The site's Content Security Policy holds here too. `page.wait_for_function` compiles a string, which the policy refuses; wait with
`expect(...)`, or poll `page.evaluate`, which goes around the page.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, sync_playwright

from tests.live import LiveSite

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LOCAL_SCHEMES = {"data", "blob", "about"}


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.fail("Browser tests need Chromium. Install it (Debian: apt-get install chromium) and run the tests again.", pytrace=False)
    launched = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
    yield launched
    launched.close()


@dataclass
class Complaints:
    """What pages of the test complained of: script errors, console errors (a CSP violation is one), requests to other hosts.

    A test that provokes a complaint says so beforehand: `complaints.expect("status of 422")`, a regular expression.
    """

    found: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        self.expected.append(pattern)

    def unexpected(self) -> list[str]:
        return [text for text in self.found if not any(re.search(pattern, text) for pattern in self.expected)]

    def watch(self, context: BrowserContext, host: str) -> None:
        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                self.found.append(f"console error: {message.text} ({message.location.get('url', '')})")

        def on_request(request: Request) -> None:
            address = urlsplit(request.url)
            if address.scheme not in LOCAL_SCHEMES and address.netloc != host:
                self.found.append(f"request to another host: {request.url}")

        context.on("console", on_console)
        context.on("weberror", lambda error: self.found.append(f"script error: {error.error}"))
        context.on("request", on_request)


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def browser_options() -> dict[str, Any]:
    """Options of the browser context; a test module overrides it for a phone, dark mode, reduced motion."""
    return {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def browser_context(
    browser: Browser, live_site: LiveSite, complaints: Complaints, browser_options: dict[str, Any]
) -> Iterator[BrowserContext]:
    """A browser of its own for the test: no cookies, relative addresses lead to the live site."""
    context = browser.new_context(base_url=live_site.url, **browser_options)
    context.set_default_timeout(15_000)
    complaints.watch(context, urlsplit(live_site.url).netloc)
    yield context
    context.close()
    assert complaints.unexpected() == []


@pytest.fixture
def page(browser_context: BrowserContext) -> Page:
    return browser_context.new_page()
