"""The fixtures themselves: a page that misbehaves is noticed."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.e2e.conftest import Complaints
from tests.live import LiveSite


def test_script_errors_and_other_hosts_are_noticed(page: Page, complaints: Complaints) -> None:
    page.goto("/healthz")
    page.evaluate("console.error('first trouble')")
    page.evaluate("setTimeout(() => { throw new Error('second trouble') })")
    page.evaluate("fetch('http://other.invalid/x').catch(() => 0)")
    page.wait_for_timeout(200)
    found = "\n".join(complaints.unexpected())
    assert "first trouble" in found and "second trouble" in found and "http://other.invalid/x" in found
    complaints.expect("trouble|other.invalid|favicon.ico")


def test_inline_scripts_are_refused_and_noticed(page: Page, live_site: LiveSite, complaints: Complaints) -> None:
    complaints.expect("Content Security Policy|status of 404|favicon.ico")
    page.goto("/no-such-page")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in complaints.found)
