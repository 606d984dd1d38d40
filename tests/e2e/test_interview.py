"""A mock interview in a real browser, from the start form to the submission, and the states a candidate can get into.

Time passes by moving the attempt's past: start, moves and pauses are set back in the site's database, which is what the clock reads.
"""

from __future__ import annotations

import gzip
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import Complaints
from tests.e2e.test_accessibility import faults
from tests.live import LiveSite

RUN_MS = 90_000  # a busy machine and a lab that waits its turn
FIRST_LOAD_BYTES = 150_000
STRANGE_CLIENTS = "3"  # a seed that draws this event: three quarters of each query are shifted
WAY_BACK = {"ef_search": "512", "nprobe": "64"}
PASS_TIME = (
    "UPDATE interviews_move SET at = strftime('%Y-%m-%d %H:%M:%f', at, :past) WHERE attempt_id = :attempt",
    """UPDATE interviews_stop SET "begin" = strftime('%Y-%m-%d %H:%M:%f', "begin", :past) WHERE attempt_id = :attempt""",
    """UPDATE interviews_attempt SET started_at = strftime('%Y-%m-%d %H:%M:%f', started_at, :past),
       next_check_at = strftime('%Y-%m-%d %H:%M:%f', 'now'), clock_seq = clock_seq + 1 WHERE id = :attempt""",
)
OVERTIME = "UPDATE interviews_attempt SET overdue_policy = 'grace', overtime_s = 120 WHERE id = :attempt"


@pytest.fixture
def browser_options() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce"}


@pytest.fixture
def pass_time(page: Page, live_site: LiveSite) -> Callable[[float], None]:
    """Lets seconds pass on the server; the page then asks for the clock, as it does when a connection comes back."""

    def passed(seconds: float) -> None:
        change(live_site, page, *PASS_TIME, past=f"-{seconds} seconds")
        page.evaluate("window.dispatchEvent(new Event('online'))")

    return passed


def change(site: LiveSite, page: Page, *statements: str, **values: str) -> None:
    """Changes the page's attempt in the site's database at once; a `manage.py` takes longer to start than the shortest states last."""
    attempt = page.url.rstrip("/").rsplit("/", 1)[-1].replace("-", "")
    with closing(sqlite3.connect(site.var / "loop45.sqlite3", timeout=10)) as database, database:
        for statement in statements:
            database.execute(statement, {"attempt": attempt, **values})


def enter(page: Page, *, mode: str = "soft", show: str = "real", seed: str = "") -> None:
    """A visitor's own round on vector search, from the form into the room."""
    page.goto("/interviews/?problem=vector_search")
    if seed:
        page.get_by_text("Repeat the numbers of an earlier round").click()
        page.get_by_label("Seed").fill(seed)
    page.locator(f"input[name=mode][value={mode}]").check()
    page.locator(f"input[name=show][value={show}]").check()
    page.get_by_role("button", name="Go to the lobby").click()
    page.get_by_role("button", name="Start the clock").click()
    expect(page.get_by_role("heading", name="Clarify")).to_be_visible()
    expect(answer_field(page)).to_be_editable()  # read-only until the page runs and the server has said that this tab writes
    expect(page.locator("[data-banner=lease]")).to_be_hidden()


def answer_field(page: Page) -> Locator:
    return page.get_by_label("Your answer").locator("visible=true")


def saved(page: Page) -> None:
    expect(page.locator("[data-part=save-mark]")).to_have_text(re.compile(r"saved \d\d:\d\d:\d\d"), timeout=20_000)


def ask(page: Page, question: str) -> None:
    page.get_by_label("Ask one thing at a time").fill(question)
    page.keyboard.press("Enter")


def seconds_of(place: Locator) -> int:
    minutes, _, seconds = place.inner_text().partition(":")
    return 60 * int(minutes) + int(seconds)


def run_lab(page: Page, after: str = "") -> None:
    """Runs the open lab until it has a result, another one than `after`; a busy machine may not begin a run in time, and says so."""
    status = page.locator(".lab-status-text")
    page.get_by_role("button", name="Run", exact=True).click()
    if after:
        expect(status).not_to_have_text(after)
    for _ in range(3):
        expect(status).to_have_text(re.compile(r"^Run \d+:|No worker"), timeout=RUN_MS)
        if status.inner_text().startswith("Run"):
            return
        page.get_by_role("button", name="Run again").click()
    raise AssertionError(status.inner_text())


# --- the whole way -----------------------------------------------------------------------------------------------------


def test_a_soft_mock_from_the_form_to_the_replay(page: Page, pass_time: Callable[[float], None]) -> None:
    enter(page, seed=STRANGE_CLIENTS)
    ask(page, "How many vectors do we store?")
    answer = page.locator(".feed-item.is-interviewer").filter(has_text="within two years")
    expect(answer).to_be_visible()
    answer.get_by_role("button", name="Add corpus size to the constraints").click()
    constraints = page.get_by_role("region", name="Constraints")
    expect(constraints.get_by_role("row").filter(has_text="corpus size")).to_contain_text("asked")
    ask(page, "what colour is the company logo")
    page.get_by_role("button", name="State an assumption").click()
    page.get_by_label("Value", exact=True).locator("visible=true").fill("blue")
    page.get_by_role("button", name="Add to the constraints", exact=True).click()
    expect(constraints.get_by_role("row")).to_have_count(3)

    page.get_by_label("Your answer").locator("visible=true").fill("One service for all teams; recall decides, then memory.")
    saved(page)
    page.keyboard.press("Alt+4")
    expect(page.get_by_role("heading", name="Deep dive")).to_be_visible()
    expect(page.locator("[data-step='3']")).to_have_attribute("aria-current", "step")

    page.get_by_role("tab", name="Labs").click()
    page.locator("#lab-pick").select_option("index_tradeoffs")
    expect(page.locator(".locked")).to_contain_text("The interviewer:")
    run_lab(page)
    expect(page.locator("#tool-labs [data-drawn]").first).to_be_visible(timeout=RUN_MS)
    assert page.locator("#tool-labs .lab-insights").count() == 0, "what a run means is not said in a real round"
    page.keyboard.press("Alt+P")
    expect(page.locator("[data-run-action=pin]").first).to_have_attribute("aria-pressed", "true")

    pass_time(9.5 * 60)
    event = page.locator("[data-banner=curveball]")
    expect(event).to_be_visible(timeout=60_000)
    expect(page.locator(".feed-item[data-kind=curveball]")).to_have_count(1)
    expect(page.locator(".feed-item[data-kind=focus]")).to_have_count(1)

    expect(page.locator(".locked")).to_contain_text("0.75")  # in the form that was open all the time
    expect(page.locator("#tool-labs input[name=query_shift]")).to_have_count(0)
    shown = event.get_by_role("row")
    expect(shown.nth(1)).to_be_visible(timeout=RUN_MS)
    for row in shown.all()[1:]:
        before, now = row.get_by_role("cell").all_inner_texts()
        assert float(now) < 0.95 < float(before), "recall of the design, before and under the event"
    event.get_by_role("button", name="Open the lab").click()
    expect(page.locator(".lab-status-text")).to_have_text(re.compile(r"^Run 2:"), timeout=RUN_MS)  # as the event has left it
    expect(page.locator(".locked")).to_contain_text("0.75")
    for name, value in WAY_BACK.items():
        page.locator(f"#tool-labs input[name={name}]").last.fill(value)
    run_lab(page, after=page.locator(".lab-status-text").inner_text())
    expect(event).to_be_hidden(timeout=RUN_MS)
    expect(page.locator(".feed-item[data-kind=recovered]")).to_have_count(1)

    page.reload()
    expect(event).to_be_hidden()
    page.locator("[data-step='0']").click()
    expect(page.get_by_label("Your answer").locator("visible=true")).to_have_value(re.compile("recall decides"))
    expect(constraints.get_by_role("row")).to_have_count(3)
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/debrief/")
    expect(page.get_by_role("heading", name="First: how do you think it went?")).to_be_visible(timeout=RUN_MS)
    page.get_by_role("link", name="Replay").click()
    expect(page.get_by_role("heading", name="Replay: Vector search infrastructure")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("recall decides")
    page.goto("/interviews/")
    expect(page.get_by_role("region", name="Rounds, newest first")).to_contain_text("Vector search")


def test_a_strict_phase_ends_by_itself_and_is_then_only_read(page: Page, pass_time: Callable[[float], None]) -> None:
    enter(page, mode="strict")
    page.get_by_label("Your answer").locator("visible=true").fill("Filters first.")
    saved(page)
    pass_time(5 * 60 + 40)  # the phase and the grace for what was on its way
    expect(page.get_by_role("heading", name="Capacity")).to_be_visible(timeout=20_000)
    page.locator("[data-step='0']").click()
    clarify = page.locator("#phase-clarify")
    expect(clarify).to_be_visible()
    expect(clarify.get_by_text("This phase is over")).to_be_visible()
    assert clarify.get_by_label("Your answer").get_attribute("readonly") is not None
    expect(clarify.get_by_role("button", name="Add a constraint")).to_be_disabled()
    expect(page.locator("[data-step='1']")).to_have_attribute("aria-current", "step")
    page.locator("[data-step='2']").click()
    page.get_by_role("dialog").get_by_role("button", name="Stay").click()
    expect(page.locator("[data-step='1']")).to_have_attribute("aria-current", "step")


def test_words_that_miss_a_strict_phase_do_not_hold_up_the_rest(
    page: Page, pass_time: Callable[[float], None], complaints: Complaints
) -> None:
    complaints.expect("ERR_FAILED|status of 423")
    enter(page, mode="strict")
    answer_field(page).fill("Filters first.")
    saved(page)
    page.route("**/answers/text/clarify", lambda route: route.abort())
    answer_field(page).fill("Filters first. Then recall.")
    expect(page.locator("[data-banner=unreached]")).to_be_visible(timeout=20_000)
    pass_time(5 * 60 + 40)
    expect(page.get_by_role("heading", name="Capacity")).to_be_visible(timeout=20_000)
    page.unroute("**/answers/text/clarify")
    page.locator("[data-step='0']").click()
    expect(page.locator("#phase-clarify").get_by_role("alert")).to_contain_text("is in the history", timeout=30_000)
    page.locator("[data-step='1']").click()
    answer_field(page).fill("3.07 TB of raw vectors.")
    saved(page)
    page.get_by_role("button", name="Submit").click()
    page.get_by_role("dialog").get_by_role("button", name="Submit").click()
    page.wait_for_url("**/debrief/")


def test_an_overrun_says_what_pays_for_it(page: Page, pass_time: Callable[[float], None]) -> None:
    enter(page)
    pass_time(7 * 60)
    expect(page.locator("[data-part=debt]")).to_contain_text("taken from the phases to come", timeout=20_000)
    expect(page.locator("[data-part=phase-remaining]")).to_have_text(re.compile("^\u22122:"))


# --- the end -----------------------------------------------------------------------------------------------------------


def test_in_overtime_one_writes_on_and_sees_how_long(page: Page, live_site: LiveSite, pass_time: Callable[[float], None]) -> None:
    enter(page)
    change(live_site, page, OVERTIME)
    pass_time(45 * 60 + 5)
    banner = page.locator("[data-banner=overtime]")
    expect(banner).to_contain_text("marked as late", timeout=20_000)
    expect(banner).to_contain_text(re.compile(r"[01]:\d\d of overtime left"))
    expect(page.locator("[data-part=remaining]")).to_have_text("0:00")
    answer_field(page).fill("One more thing.")
    saved(page)
    pass_time(120)
    expect(page.locator("[data-banner=closing]")).to_contain_text("Everything you wrote is saved", timeout=20_000)
    expect(banner).to_be_hidden()


def test_what_is_unsaved_at_the_end_can_be_dropped_and_is_kept_aside(
    page: Page, pass_time: Callable[[float], None], complaints: Complaints
) -> None:
    complaints.expect("ERR_FAILED")
    enter(page)
    answer_field(page).fill("Filters first.")
    saved(page)
    page.route("**/answers/text/clarify", lambda route: route.abort())
    answer_field(page).fill("Filters first. This is nonsense.")
    expect(page.locator("[data-banner=unreached]")).to_be_visible(timeout=20_000)
    pass_time(45 * 60 + 1)
    banner = page.locator("[data-banner=closing]")
    expect(banner).to_contain_text("1 field has unsaved text: keep or drop?", timeout=20_000)
    page.unroute("**/answers/text/clarify")
    banner.get_by_role("button", name="Drop").click()
    expect(answer_field(page)).to_have_value("Filters first.")
    expect(banner).to_contain_text("Everything you wrote is saved")
    expect(banner.get_by_role("button", name="Drop")).to_be_hidden()
    kept = page.context.request.get(f"{page.url}answers/text/clarify").json()
    assert kept["content"] == "Filters first."
    versions = page.context.request.get(f"{page.url}answers/text/clarify/history").json()["versions"]
    assert "dropped" in {version["kind"] for version in versions}


# --- the clock ---------------------------------------------------------------------------------------------------------


def test_the_timer_can_be_hidden_and_stays_so(page: Page) -> None:
    enter(page)
    button = page.get_by_role("button", name="Hide the timer")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("timer")).to_contain_text(":")
    assert 2640 <= seconds_of(page.locator("[data-part=remaining]")) <= 2700
    button.click()
    expect(page.get_by_role("timer")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("button", name="Hide the timer")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("timer")).to_be_hidden()


def test_only_the_low_marks_are_read_aloud(page: Page, pass_time: Callable[[float], None]) -> None:
    enter(page)
    said = page.locator(".room-head [data-part=announce]")
    expect(said).to_have_text("")
    pass_time(45 * 60 - 130)
    expect(said).to_have_text(re.compile(r"2:\d\d left of the interview\."), timeout=20_000)
    expect(page.get_by_role("timer")).to_have_attribute("aria-live", "off")


def test_a_pause_stops_the_clock_and_hides_the_text(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 409")  # the second pause
    enter(page)
    page.get_by_role("button", name="Pause").click()
    resume = page.get_by_role("button", name="Resume")
    expect(resume).to_be_focused()
    assert not page.get_by_label("Your answer").locator("visible=true").count()
    first = page.locator("[data-part=remaining]").inner_text()
    page.wait_for_timeout(2500)
    assert page.locator("[data-part=remaining]").inner_text() == first
    resume.click()
    expect(page.get_by_label("Your answer").locator("visible=true")).to_be_editable()
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-banner=said]")).to_contain_text("allows 1 pause")


# --- connection --------------------------------------------------------------------------------------------------------


def test_offline_text_stays_and_is_saved_when_the_connection_is_back(page: Page, complaints: Complaints) -> None:
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    enter(page)
    expect(page.get_by_label("Your answer").locator("visible=true")).to_be_editable()
    page.context.set_offline(True)
    page.get_by_label("Your answer").locator("visible=true").fill("Written without a connection.")
    expect(page.locator("[data-banner=unreached]")).to_be_visible(timeout=20_000)
    page.context.set_offline(False)
    saved(page)
    expect(page.locator("[data-banner=unreached]")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Your answer").locator("visible=true")).to_have_value("Written without a connection.")


def test_a_second_tab_reads_until_it_takes_over(page: Page) -> None:
    enter(page)
    second = page.context.new_page()
    second.goto(page.url)
    lease = second.locator("[data-banner=lease]")
    expect(lease).to_contain_text("Here you can read")
    assert second.get_by_label("Your answer").locator("visible=true").get_attribute("readonly") is not None
    second.get_by_role("button", name="Take over here").click()
    expect(lease).to_be_hidden()
    expect(second.get_by_label("Your answer").locator("visible=true")).to_be_editable()
    expect(page.locator("[data-banner=lease]")).to_be_visible(timeout=15_000)


# --- keyboard, access, weight ------------------------------------------------------------------------------------------


def tab_to(page: Page, wanted: Locator, most: int = 60) -> None:
    for _ in range(most):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError(f"{most} presses of Tab do not reach {wanted}")


def test_by_keyboard_alone(page: Page) -> None:
    page.goto("/interviews/?problem=vector_search")
    tab_to(page, page.get_by_role("button", name="Go to the lobby"))
    page.keyboard.press("Enter")
    longer = page.get_by_role("slider", name="Deep dive, slider")
    tab_to(page, longer)
    page.keyboard.press("ArrowRight")
    expect(longer).to_have_attribute("aria-valuetext", "15:30")
    tab_to(page, page.get_by_role("button", name="Start the clock"))
    page.keyboard.press("Enter")
    expect(page.get_by_label("Ask one thing at a time")).to_be_enabled()

    page.keyboard.press("Alt+q")
    page.keyboard.type("what is our latency budget")
    page.keyboard.press("Enter")
    expect(page.locator(".feed-item.is-interviewer")).to_have_count(1)
    page.keyboard.press("Alt+1")
    rows = page.locator("#phase-clarify [data-list=constraints]")
    for name in ("latency", "recall"):
        tab_to(page, rows.locator("[data-row-action=add]"))
        page.keyboard.press("Enter")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.keyboard.press("Alt+1")
    expect(rows.locator("tbody tr")).to_have_count(2)
    tab_to(page, rows.get_by_role("button", name="Move recall up"))
    page.keyboard.press("Enter")
    expect(rows.locator("tbody tr").first).to_contain_text("recall")
    expect(rows.get_by_role("status")).to_contain_text("Moved to place 1 of 2")
    tab_to(page, rows.get_by_role("button", name="Delete latency"))
    page.keyboard.press("Enter")
    expect(rows.locator("tbody tr")).to_have_count(1)
    page.locator("body").click(position={"x": 5, "y": 500})
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_contain_text("Ask the interviewer")


def test_axe_finds_nothing_before_and_during_an_interview(page: Page) -> None:
    found = {}
    page.goto("/interviews/")
    page.locator("input[name=preset][value=custom]").check()
    found["start"] = faults(page)
    page.locator("#start-problem").select_option("vector_search")
    page.locator("input[name=show][value=study]").check()
    page.locator("input[name=preset][value=five_phase]").check()
    page.get_by_role("button", name="Go to the lobby").click()
    expect(page.locator("[data-check=stream]")).to_have_attribute("data-state", "good")
    found["lobby"] = faults(page)
    page.get_by_role("button", name="Start the clock").click()
    expect(page.get_by_role("heading", name="Clarify")).to_be_visible()
    page.get_by_role("button", name="Add a constraint").click()
    found["room"] = faults(page)
    for name in ("Labs", "Calculators", "Diagram", "Claims", "Interviewer"):
        page.get_by_role("tab", name=name).click()
        if name == "Labs":
            page.locator("#lab-pick").select_option("index_tradeoffs")
            expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
        found[name] = faults(page)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    found["paused"] = faults(page)
    assert found == dict.fromkeys(found, {})


def test_the_first_load_is_light_and_without_the_chart_library(page: Page, browser: Browser) -> None:
    enter(page)
    cold = browser.new_context(storage_state=page.context.storage_state())
    room = cold.new_page()
    asked: set[str] = set()
    room.on("request", lambda request: asked.add(request.url) if request.method == "GET" and "/stream" not in request.url else None)
    room.goto(page.url)
    room.locator("[data-action=take-over]").click()
    expect(room.get_by_label("Your answer").locator("visible=true")).to_be_editable()
    sizes = {url: weight(room, url) for url in list(asked)}
    cold.close()
    assert not any("plotly" in url for url in sizes)
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES, sorted(sizes.items(), key=lambda item: -item[1])[:8]


def weight(page: Page, url: str) -> int:
    """Bytes on the wire behind a server that compresses; fonts are compressed already."""
    body = page.context.request.get(url).body()
    return len(body) if url.endswith(".woff2") else len(gzip.compress(body))
