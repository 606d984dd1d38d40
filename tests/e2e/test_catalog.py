"""Practising a problem as its users do: notes that are never lost, the clock, the answer, the calculators."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from problems.loader import all_problems
from tests.e2e.conftest import Complaints

PROBLEM = "/problems/vector_search/"
CLARIFY = f"{PROBLEM}clarify/"
CAPACITY = f"{PROBLEM}capacity/"
SAVED = re.compile(r"^Saved \d\d:\d\d:\d\d$")
UNREACHABLE = "ERR_INTERNET_DISCONNECTED|ERR_FAILED"


def area(page: Page) -> Locator:
    return page.locator("#notes-text")


def mark(page: Page) -> Locator:
    return page.locator("[data-notes] [data-part=mark]")


def write(page: Page, text: str) -> None:
    area(page).click()
    page.keyboard.press("Control+End")
    page.keyboard.type(text)


def write_and_wait(page: Page, text: str) -> None:
    write(page, text)
    expect(mark(page)).to_have_text(SAVED)


def seconds(clock: str) -> int:
    """5:00 -> 300, −0:40 -> -40."""
    minutes, rest = clock.strip("\N{MINUS SIGN}").split(":")
    return (-1 if clock.startswith("\N{MINUS SIGN}") else 1) * (60 * int(minutes) + int(rest))


# --- notes -------------------------------------------------------------------------------------------------------------


def test_what_is_typed_is_still_there_after_a_reload(page: Page) -> None:
    page.goto(CLARIFY)
    write_and_wait(page, "Recall target? Filters? Deletes?")
    page.reload()
    expect(area(page)).to_have_value("Recall target? Filters? Deletes?")


def test_leaving_in_the_middle_of_a_word_loses_nothing(page: Page) -> None:
    page.goto(CLARIFY)
    write_and_wait(page, "first ")
    write(page, "and the rest of it")
    page.goto(PROBLEM)
    page.goto(CLARIFY)
    expect(area(page)).to_have_value("first and the rest of it")


def test_what_is_typed_offline_is_kept_and_saved_once_online(page: Page, browser_context: BrowserContext, complaints: Complaints) -> None:
    complaints.expect(UNREACHABLE)
    page.goto(CLARIFY)
    write_and_wait(page, "online, ")
    browser_context.set_offline(True)
    write(page, "offline, ")
    expect(mark(page)).to_have_text("Not saved: offline, kept on this device")
    expect(page.locator("[data-offline]")).to_be_visible()
    browser_context.set_offline(False)
    expect(mark(page)).to_have_text(SAVED)
    page.reload()
    expect(area(page)).to_have_value("online, offline, ")


def test_what_never_reached_the_server_comes_back_after_a_reload(page: Page, complaints: Complaints) -> None:
    complaints.expect(UNREACHABLE)
    page.goto(CLARIFY)
    page.route("**/clarify/note", lambda route: route.abort())
    write(page, "only on this device")
    expect(mark(page)).to_contain_text("kept on this device")
    page.unroute("**/clarify/note")
    # The page goes without its last save, as when the battery dies.
    page.evaluate("window.addEventListener('pagehide', (event) => event.stopImmediatePropagation(), true)")
    page.reload()
    expect(area(page)).to_have_value("only on this device")
    expect(mark(page)).to_have_text(SAVED)


def test_a_save_whose_answer_was_lost_is_no_conflict(page: Page, complaints: Complaints) -> None:
    complaints.expect(UNREACHABLE)
    page.goto(CLARIFY)
    answers = 0

    def lose_the_first_answer(route: Route) -> None:
        nonlocal answers
        answers += 1
        response = route.fetch()
        if answers == 1:
            route.abort()
        else:
            route.fulfill(response=response)

    page.route("**/clarify/note", lose_the_first_answer)
    write(page, "stored once")
    expect(mark(page)).to_have_text(SAVED)
    assert answers >= 2
    expect(page.locator("[data-part=conflict]")).to_be_hidden()


@pytest.mark.parametrize(("choice", "kept"), [("mine", "of tab two"), ("theirs", "of tab one"), ("both", "of tab one\n\nof tab two")])
def test_two_tabs_never_overwrite_each_other(
    page: Page, browser_context: BrowserContext, complaints: Complaints, choice: str, kept: str
) -> None:
    complaints.expect("status of 409")
    page.goto(CLARIFY)
    write_and_wait(page, "x")  # the visitor is a guest now, in both tabs
    area(page).fill("")
    expect(mark(page)).to_have_text(SAVED)
    second = browser_context.new_page()
    second.goto(CLARIFY)
    write_and_wait(page, "of tab one")
    write(second, "of tab two")
    conflict = second.locator("[data-part=conflict]")
    expect(conflict).to_be_visible()
    expect(conflict).to_contain_text("of tab one")
    expect(conflict).to_contain_text("of tab two")
    second.locator(f"[data-choice={choice}]").click()
    expect(mark(second)).to_have_text(SAVED)
    second.reload()
    expect(area(second)).to_have_value(kept)
    shown = second.content()
    assert "of tab one" in shown and "of tab two" in shown, "the loser is set aside, not lost"


def test_too_much_is_said_so_before_it_is_sent(page: Page) -> None:
    page.goto(CLARIFY)
    area(page).fill("x" * 20_001)
    expect(page.locator("#notes-error")).to_contain_text("20,001 characters")
    area(page).fill("short enough")
    expect(mark(page)).to_have_text(SAVED)
    expect(page.locator("#notes-error")).to_be_hidden()


# --- guests ------------------------------------------------------------------------------------------------------------


def test_a_visitor_who_types_and_reveals_in_one_go_stays_one_guest(page: Page) -> None:
    page.goto(CLARIFY)
    write(page, "typed just before")
    page.get_by_role("button", name="Reveal the worked answer").click()
    expect(page.locator("#answer-title")).to_be_focused()
    page.reload()
    expect(area(page)).to_have_value("typed just before")
    expect(page.locator("#answer-title")).to_be_visible()


def test_a_guest_who_signs_up_keeps_the_notes(page: Page) -> None:
    page.goto(CLARIFY)
    write_and_wait(page, "kept through signing up")
    page.goto("/account/signup/")
    page.locator("input[name=username]").fill("catalog_guest")
    page.locator("input[name=password1]").fill("correct horse battery staple")
    page.locator("main form button").last.click()
    page.wait_for_url("**/")
    page.goto(CLARIFY)
    expect(page.locator(".site-tools")).to_contain_text("catalog_guest")
    expect(area(page)).to_have_value("kept through signing up")


# --- answer, checklist, phases -------------------------------------------------------------------------------------------


def test_the_checklist_is_saved_at_once(page: Page) -> None:
    page.goto(CLARIFY)
    page.get_by_role("button", name="Reveal the worked answer").click()
    page.locator(".checklist input").nth(0).check()
    page.locator(".checklist input").nth(2).check()
    expect(page.locator("#check-count")).to_contain_text("2 of ")
    page.reload()
    assert [box.is_checked() for box in page.locator(".checklist input").all()[:3]] == [True, False, True]


def test_done_marks_the_rail_and_goes_on(page: Page) -> None:
    page.goto(CLARIFY)
    page.get_by_role("button", name="Done: on to Capacity").click()
    page.wait_for_url(f"**{CAPACITY}")
    expect(page.locator(".rail-phase.is-done")).to_have_count(1)
    page.goto("/problems/")
    expect(page.locator(".problem-card", has_text="Vector search")).to_contain_text("1/5")


def test_keys_lead_everywhere(page: Page) -> None:
    page.goto(CLARIFY)
    page.keyboard.press("4")
    page.wait_for_url("**/deep_dive/")
    page.keyboard.press("[")
    page.wait_for_url("**/architecture/")
    page.keyboard.press("n")
    expect(area(page)).to_be_focused()
    page.keyboard.type("1 shard r s ?")
    expect(area(page)).to_have_value("1 shard r s ?")
    area(page).blur()
    page.keyboard.press("r")
    expect(page.locator("#answer-title")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator("[data-clock]")).to_have_class(re.compile("is-running"))


def test_a_box_of_the_diagram_leads_to_its_phase(page: Page) -> None:
    page.goto(f"{PROBLEM}architecture/")
    page.get_by_role("button", name="Reveal the worked answer").click()
    page.locator(".diagram a", has_text="Sealed segments").click()
    page.wait_for_url("**/labs/vector_search/index_tradeoffs/**")


# --- clock -------------------------------------------------------------------------------------------------------------


def test_the_clock_survives_a_reload_and_agrees_in_a_second_tab(page: Page, browser_context: BrowserContext) -> None:
    page.goto(CLARIFY)
    page.get_by_role("button", name="Start the clock").click()
    face = page.locator("[data-part=phase-remaining]")
    expect(face).not_to_have_text("5:00")
    page.reload()
    expect(page.get_by_role("button", name="Pause the clock")).to_be_visible()
    second = browser_context.new_page()
    second.goto(CAPACITY)
    other = second.locator("[data-part=phase-remaining]")
    assert abs(seconds(face.inner_text()) - seconds(other.inner_text())) <= 1
    second.get_by_role("button", name="Move it here").click()
    expect(second.locator("[data-part=phase-title]")).to_have_text("Capacity")
    second.get_by_role("button", name="Pause the clock").click()
    expect(second.get_by_role("button", name="Start the clock")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Start the clock")).to_be_visible()
    expect(page.locator("[data-part=phase-title]")).to_have_text("Capacity")


def test_the_clock_speaks_at_its_marks_only_and_shows_debt(page: Page, complaints: Complaints) -> None:
    complaints.expect(UNREACHABLE)
    page.clock.install()
    page.goto(CLARIFY)
    page.get_by_role("button", name="Start the clock").click()
    expect(page.locator("[data-clock]")).to_have_class(re.compile("is-running"))
    page.route(re.compile(r"/clock\?"), lambda route: route.abort())  # the server's time goes on as usual; only the page's is wound forward
    spoken = page.locator("[data-clock] [data-part=announce]")
    expect(spoken).to_have_text("")
    page.clock.run_for(230_000)
    expect(spoken).to_have_text("")
    page.clock.run_for(15_000)
    expect(spoken).to_have_text("One minute left for Clarify.")
    page.clock.run_for(60_000)
    expect(spoken).to_have_text("The time for Clarify is over.")
    assert seconds(page.locator("[data-part=phase-remaining]").inner_text()) < 0
    expect(page.locator("[data-part=debt]")).to_be_visible()


def test_the_clock_can_be_hidden_and_reset(page: Page) -> None:
    page.goto(CLARIFY)
    page.get_by_role("button", name="Start the clock").click()
    hide = page.get_by_role("button", name="Hide the clock")
    hide.click()
    expect(page.locator("[data-part=face]")).to_be_hidden()
    page.reload()
    expect(page.locator("[data-part=face]")).to_be_hidden()
    expect(hide).to_have_attribute("aria-pressed", "true")
    hide.click()
    page.get_by_role("button", name="Reset the clock").click()
    expect(page.locator("[data-part=phase-remaining]")).to_have_text("5:00")
    expect(page.get_by_role("button", name="Start the clock")).to_be_visible()


# --- calculators -------------------------------------------------------------------------------------------------------


def first_value(page: Page, key: str) -> str:
    return page.locator(f"#lines-{key} .calc-value").first.inner_text()


def test_dragging_an_input_moves_every_line_and_the_address(page: Page) -> None:
    page.goto(CAPACITY)
    before = first_value(page, "raw_vectors")
    slider = page.locator("#calc-raw_vectors [data-slider]").first
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2, steps=12)
    page.mouse.up()
    expect(page.locator("#lines-raw_vectors .calc-value").first).not_to_have_text(before)
    page.wait_for_load_state("networkidle")
    typed = page.locator("#raw_vectors-n").input_value()
    assert parse_qs(urlsplit(page.url).query)["n"] == [typed] and float(typed) > 1e9
    settled = first_value(page, "raw_vectors")
    page.reload()
    expect(page.locator("#raw_vectors-n")).to_have_value(typed)
    expect(page.locator("#lines-raw_vectors .calc-value").first).to_have_text(settled)


def test_lines_move_while_the_slider_is_still_held(page: Page) -> None:
    page.goto(CAPACITY)
    slider = page.locator("#calc-raw_vectors [data-slider]").first
    box = slider.bounding_box()
    assert box
    seen = set()
    page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(box["x"] + 4 + step * (box["width"] - 8) / 40, box["y"] + box["height"] / 2)
        page.wait_for_timeout(25)
        seen.add(first_value(page, "raw_vectors"))
    assert len(seen) >= 4
    page.mouse.up()


def test_a_link_to_a_calculator_opens_it(page: Page) -> None:
    page.goto(f"{CAPACITY}#calc-shard_count")
    expect(page.locator("#shard_count-n")).to_be_visible()
    expect(page.locator("#tail_fanout-shards, #lines-tail_fanout").first).to_be_hidden()
    page.evaluate("location.hash = 'calc-tail_fanout'")
    expect(page.locator("#lines-tail_fanout")).to_be_in_viewport()


def test_a_bad_input_is_named_beside_its_field_and_mends(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page.goto(CAPACITY)
    field = page.locator("#raw_vectors-n")
    field.fill("many")
    expect(page.locator("#raw_vectors-n-error")).to_contain_text("'many' was given")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    field.fill("2e9")
    expect(page.locator("#raw_vectors-n-error")).to_have_text("")
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(page.locator("#lines-raw_vectors .calc-value").first).to_contain_text("6.14")


# --- the list, and failures ----------------------------------------------------------------------------------------------


def test_the_filter_keeps_its_state_in_the_address(page: Page) -> None:
    page.goto("/problems/")
    platforms = sum(problem.theme == "platforms" for problem in all_problems())
    page.get_by_role("radio", name="Platforms").check()
    expect(page.locator(".problem-card")).to_have_count(platforms)
    assert parse_qs(urlsplit(page.url).query)["theme"] == ["platforms"]
    page.reload()
    expect(page.locator(".problem-card")).to_have_count(platforms)


def test_an_error_of_the_server_is_a_sentence_and_leaves_the_page(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 500")
    page.goto(CLARIFY)
    page.route("**/reveal", lambda route: route.fulfill(status=500, body="<h1>broken</h1>", content_type="text/html"))
    page.get_by_role("button", name="Reveal the worked answer").click()
    sentence = page.locator("[data-sentence]")
    expect(sentence).to_contain_text("The site answered with an error")
    expect(page.locator("h1")).to_have_text("Clarify")
    sentence.get_by_role("button", name="Close").click()
    expect(sentence).to_be_hidden()


class TestWithoutJavaScript:
    """Everything but autosave works with plain forms."""

    @pytest.fixture
    def browser_options(self) -> dict[str, object]:
        return {"viewport": {"width": 1280, "height": 900}, "java_script_enabled": False}

    def test_notes_clock_answer_checklist_and_calculators_are_plain_forms(self, page: Page) -> None:
        page.goto(CLARIFY)
        area(page).fill("without a script")
        page.get_by_role("button", name="Save notes").click()
        expect(area(page)).to_have_value("without a script")
        page.get_by_role("button", name="Start the clock").click()
        expect(page.get_by_role("button", name="Pause the clock")).to_be_visible()
        page.get_by_role("button", name="Reveal the worked answer").click()
        page.locator(".checklist input").first.check()
        page.get_by_role("button", name="Save marks").click()
        expect(page.locator(".checklist input").first).to_be_checked()
        page.goto(CAPACITY)
        page.locator("#raw_vectors-n").fill("2e9")
        page.locator("#calc-raw_vectors").get_by_role("button", name="Compute").click()
        expect(page.locator("#lines-raw_vectors .calc-value").first).to_contain_text("6.14")
