"""Accounts in a real browser: a visitor becomes a guest by working, keeps the work, makes a token, and leaves with the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Complaints
from tests.live import LiveSite

PASSWORD = "correct horse battery"
LAB = "/labs/vector_search/index_tradeoffs/"


@pytest.fixture
def name() -> str:
    return f"ada-{uuid4().hex[:8]}"


def sign_up(page: Page, name: str) -> None:
    page.goto("/account/signup/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("banner")).to_contain_text(name)


def make_token(page: Page) -> str:
    page.goto("/account/tokens/")
    page.get_by_label("Name").fill("notebook")
    page.get_by_role("button", name="Make a token").click()
    return page.locator(".account-secret").inner_text()


def work_as_guest(page: Page) -> str:
    """Starts a run as the lab page does; the answer's address of its events tells which run it is."""
    page.goto(LAB)
    token = page.evaluate("document.cookie.match(/csrftoken=([^;]+)/)[1]")
    answer = page.request.post(f"{LAB}runs", form={"n": "1000", "fresh": "1"}, headers={"X-CSRFToken": token, "Referer": page.url})
    first = answer.text().partition("data: ")[2].partition("\n")[0]
    return str(json.loads(first)["run"])


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in violations] == []


def test_a_guest_keeps_the_run_by_signing_up(page: Page, name: str) -> None:
    run = work_as_guest(page)
    page.goto("/account/")
    expect(page.get_by_role("banner")).to_contain_text("Guest")
    page.get_by_role("main").get_by_role("link", name="Sign up").click()
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("banner")).to_contain_text(name)
    answer = page.goto(f"/runs/{run}/")
    assert answer is not None
    assert answer.status == 200


def test_a_guest_brings_the_run_into_an_account(page: Page, name: str) -> None:
    sign_up(page, name)
    page.goto("/account/logout/")
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    run = work_as_guest(page)
    page.goto("/account/login/")
    page.get_by_label("User name or e-mail").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("banner")).to_contain_text(name)
    answer = page.goto(f"/runs/{run}/")
    assert answer is not None
    assert answer.status == 200


def test_a_token_made_on_the_page_works(page: Page, name: str, live_site: LiveSite) -> None:
    sign_up(page, name)
    secret = make_token(page)
    headers = {"Authorization": f"Bearer {secret}"}
    assert page.request.get("/api/v1/runs", headers=headers).status == 200
    page.get_by_role("button", name="Revoke notebook").click()
    expect(page.get_by_role("main")).to_contain_text("No token yet")
    assert page.request.get("/api/v1/runs", headers=headers).status == 401


def test_leaving_with_the_data(page: Page, name: str, tmp_path: Path, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    sign_up(page, name)
    page.goto("/account/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download everything").click()
    download.value.save_as(tmp_path / "export.json")
    exported: dict[str, Any] = json.loads((tmp_path / "export.json").read_text())
    assert exported["account"]["username"] == name
    page.get_by_role("link", name="Delete the account").click()
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("main")).to_contain_text("This is not your password")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("banner")).to_contain_text("Sign in")
    expect(page.locator("body")).to_contain_text("was deleted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_pages_are_accessible_and_fit(page: Page, name: str, scheme: Any, width: int) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.set_viewport_size({"width": width, "height": 900})
    look_at(page, ["/account/login/", "/account/signup/", "/account/password/reset/", "/api/"])
    sign_up(page, name)
    make_token(page)
    own = ["/account/", "/account/tokens/", "/account/email/", "/account/password/change/", "/account/delete/", "/account/logout/"]
    look_at(page, own)


def look_at(page: Page, paths: list[str]) -> None:
    for path in paths:
        page.goto(path)
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
