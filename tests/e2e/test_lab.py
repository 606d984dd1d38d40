"""The lab page as its users have it: real engines, real workers, a browser."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.e2e.conftest import Complaints
from tests.live import LiveSite, wait_until

LAB = "/labs/vector_search/index_tradeoffs/"
SMALL = "n=2000&d=32&clusters=20"
QUICK = f"{LAB}?kind=ivf_flat&{SMALL}"
READOUT = "/labs/experimentation/readout/"
# A run of many seconds: the most vectors, long ones, every index slow to build.
SLOW = f"{LAB}?kind=hnsw&kind=hnsw_sq8&n=100000&d=256&M=48&ef_construction=400"


def status(page: Page) -> Locator:
    return page.locator("[data-status]")


def open_and_wait(page: Page, url: str) -> None:
    page.goto(url)
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)
    expect(page.locator("[data-place=figures] .main-svg").first).to_be_visible()


def settled(page: Page) -> None:
    """What was set last is what is shown: a run just begun is let show its picture before a newer one begins."""
    page.wait_for_function("() => !document.querySelector('[data-lab]').lab.runner.busy", timeout=20_000)
    expect(status(page)).to_have_attribute("data-state", "done")


def numbers(page: Page, key: str) -> list[float]:
    """y values of the first trace of a figure, as drawn."""
    found: list[float] = page.evaluate("key => document.querySelector(`[data-figure='${key}'] .js-plotly-plot`).data[0].y", key)
    return found


def first_figure(page: Page) -> str:
    return str(page.locator("[data-place=figures] [data-figure]").first.get_attribute("data-figure"))


def reading(page: Page, key: str) -> str:
    return page.locator(f"[data-metric='{key}'] .lab-cell-value").first.inner_text()


def slide(page: Page, field: str, key: str, times: int = 1) -> None:
    slider = page.locator(f"[data-field={field}] input[type=range]")
    slider.focus()
    for _ in range(times):
        page.keyboard.press(key)


def drawn(page: Page) -> int:
    return int(page.locator("[data-place=figures] [data-figure]").first.get_attribute("data-drawn") or 0)


# --- tweaking ------------------------------------------------------------------------------------------------------------


def test_moving_a_slider_moves_the_recall_the_picture_and_the_address(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&nlist=64&nprobe=1")
    before, figure = float(reading(page, "recall@ivf_flat")), first_figure(page)
    slider = page.locator("[data-field=nprobe] input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    slider.drag_to(slider, source_position={"x": 8, "y": 10}, target_position={"x": box["width"] * 0.45, "y": 10})
    expect(page.locator("#param-nprobe")).not_to_have_value("1")
    expect(page).to_have_url(re.compile(r"nprobe=(?!1\b)\d+"))
    settled(page)
    assert float(reading(page, "recall@ivf_flat")) > before + 0.02
    assert numbers(page, figure)


def test_only_the_newest_of_many_tweaks_is_shown(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&nlist=64&nprobe=4")
    slide(page, "query_shift", "ArrowRight", 12)
    wanted = page.locator("#param-query_shift").input_value()
    settled(page)
    expect(page).to_have_url(re.compile(rf"query_shift={re.escape(wanted)}"))
    page.wait_for_timeout(1500)  # an older answer that came late would show by now
    run = page.evaluate("document.querySelector('[data-lab]').dataset.run")
    kept = page.request.get(f"/runs/{run}/result.json").json()
    assert kept["params"]["query_shift"] == pytest.approx(float(wanted))


def test_a_shared_link_opens_the_same_picture(page: Page, browser_context: BrowserContext) -> None:
    open_and_wait(page, READOUT)
    slide(page, "n_users" if page.locator("[data-field=n_users]").count() else first_number_field(page), "ArrowLeft", 3)
    settled(page)
    page.wait_for_timeout(400)
    assert urlsplit(page.url).query
    tiles, figure = page.locator("[data-place=tiles]").inner_text(), first_figure(page)
    other = browser_context.new_page()
    open_and_wait(other, page.url)
    assert other.locator("[data-place=tiles]").inner_text() == tiles
    assert numbers(other, figure) == numbers(page, figure)


def first_number_field(page: Page) -> str:
    return str(page.locator("[data-field][data-kind=number]:visible").first.get_attribute("data-field"))


def test_a_preset_sets_the_form_tells_its_story_and_defaults_bring_it_back(page: Page) -> None:
    open_and_wait(page, READOUT)
    preset = page.locator("[data-action=preset]").nth(1)
    values = page.evaluate("button => JSON.parse(button.dataset.values)", preset.element_handle())
    preset.click()
    settled(page)
    expect(preset).to_have_attribute("aria-current", "true")
    expect(page.locator("p[data-story]")).to_have_text(str(preset.get_attribute("data-story")))
    page.wait_for_timeout(400)
    query = parse_qs(urlsplit(page.url).query)
    assert set(query) == set(values)
    page.locator("[data-action=reset]").click()
    expect(page).to_have_url(re.compile(rf"{re.escape(READOUT)}$"))
    expect(preset).not_to_have_attribute("aria-current", "true")


def test_fields_of_designs_not_chosen_are_hidden_and_keep_their_values(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&ef_search=99")
    expect(page.locator("[data-field=ef_search]")).to_be_hidden()
    page.locator("[data-field=kind] label", has_text=re.compile(r"^\s*HNSW\s*$")).click()
    expect(page.locator("#param-ef_search")).to_be_visible()
    expect(page.locator("#param-ef_search")).to_have_value("99")


# --- trouble ---------------------------------------------------------------------------------------------------------------


def test_a_bad_value_is_named_beside_its_field(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    open_and_wait(page, QUICK)
    page.locator("#param-n").fill("5")
    message = page.locator("[data-field=n] [data-error]")
    expect(message).to_contain_text("5 was given")
    expect(page.locator("#param-n")).to_have_attribute("aria-invalid", "true")
    described = page.locator("#param-n").get_attribute("aria-describedby")
    assert described == message.get_attribute("id")
    page.locator("#param-n").fill("2000")
    expect(message).to_be_hidden()
    settled(page)


def test_a_bad_link_still_opens_and_says_what_is_wrong(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    page.goto(f"{LAB}?n=5&colour=red")
    expect(page.locator("[data-field=n] [data-error]")).to_contain_text("5 was given")
    expect(page.get_by_text("colour")).to_be_visible()
    expect(page.locator("#param-n")).to_have_value("5")


def watch_it_run(page: Page) -> None:
    """A long run that a worker has begun; before, it may wait for what other tests have left."""
    page.goto(SLOW)
    expect(status(page).locator("progress[value]")).to_be_visible(timeout=60_000)


def test_a_long_run_shows_progress_and_can_be_cancelled(page: Page) -> None:
    watch_it_run(page)
    expect(status(page).locator("[data-part=text]")).not_to_have_text("Running", timeout=20_000)
    page.locator("[data-action=cancel]").click()
    expect(status(page)).to_have_attribute("data-state", "cancelled", timeout=15_000)
    expect(status(page).get_by_role("button", name="Run again")).to_be_visible()


def test_a_killed_worker_is_told_in_words_and_run_again_works(page: Page, live_site: LiveSite) -> None:
    watch_it_run(page)
    kill_worker_and_children(live_site, "worker-measure")
    again = status(page).get_by_role("button", name="Run again")
    expect(again).to_be_visible(timeout=30_000)
    expect(status(page).locator("[data-part=text]")).to_contain_text(re.compile("worker", re.IGNORECASE))
    live_site.wait_until_ready()
    page.goto(QUICK)
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)


def kill_worker_and_children(site: LiveSite, name: str) -> None:
    """The worker's process and the pool processes below it, which hold the run."""
    parent = site.pid(name)
    children = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    for pid in [parent, *children]:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: site.pid(name) not in (0, parent), 30, lambda: f"{name} has not come back")


def test_without_a_worker_the_page_reads_and_says_what_to_do(page: Page, live_site: LiveSite, complaints: Complaints) -> None:
    complaints.expect("status of 503")
    live_site.stop("worker-measure")
    try:
        live_site.wait_until(lambda health: health.get("queues", {}).get("measure") is False)
        page.goto(f"{QUICK}&seed=991")
        expect(status(page)).to_contain_text("No worker is running")
        expect(status(page).get_by_role("button", name="Run again")).to_be_visible()
        expect(page.locator("#param-nprobe")).to_be_enabled()
    finally:
        live_site.start("worker-measure")
        live_site.wait_until_ready()
    page.locator("[data-action=run]").click()
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)


def test_a_lost_connection_is_told_in_words(page: Page, browser_context: BrowserContext, complaints: Complaints) -> None:
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    open_and_wait(page, QUICK)
    browser_context.set_offline(True)
    slide(page, "query_shift", "ArrowRight", 2)
    expect(status(page)).to_contain_text("cannot be reached")
    page.wait_for_timeout(1000)  # the last tweak has failed as well
    expect(status(page)).to_have_attribute("data-state", "trouble")
    browser_context.set_offline(False)
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)


# --- comparing -------------------------------------------------------------------------------------------------------------


def test_a_pinned_baseline_shows_what_became_better_and_worse(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&nlist=64&nprobe=2&seed=7")
    page.keyboard.press("b")
    expect(page.locator("[data-action=unpin]")).to_be_visible()
    page.locator("#param-nprobe").fill("64")
    cell = page.locator("[data-metric='recall@ivf_flat'] .lab-delta")
    expect(cell).to_contain_text("better", timeout=20_000)
    assert cell.inner_text().startswith("+")
    page.locator("#param-nprobe").fill("1")
    expect(cell).to_contain_text("worse", timeout=20_000)
    assert "is-bad" in str(cell.get_attribute("class"))


def test_runs_leave_dots_on_the_map_that_lead_back_to_them(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&nlist=64&nprobe=2&seed=8")
    page.locator("#param-nprobe").fill("33")
    expect(page.locator("[data-map] figcaption")).to_contain_text("2 runs", timeout=20_000)
    page.locator("#map-table > summary").click()
    page.locator("#map-table tbody a").last.click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]{36}/"))
    expect(page.locator("[data-place=figures] .main-svg").first).to_be_visible()
    assert reading(page, "recall@ivf_flat")


def test_a_sweep_grows_point_by_point_and_shows_its_curve(page: Page) -> None:
    open_and_wait(page, f"{READOUT}?seed=11")
    page.locator("[data-action=sweep]").click()
    page.locator("#sweep-points").fill("4")
    page.get_by_role("button", name="Run the sweep").click()
    expect(page.locator("[data-place=sweep-state]")).to_contain_text("4 of 4 points", timeout=60_000)
    curve = page.locator("[data-place=sweep-figure] .js-plotly-plot")
    expect(curve).to_be_visible()
    assert page.evaluate("document.querySelector('[data-place=sweep-figure] .js-plotly-plot').data[0].x.length") == 4


def test_a_sweep_can_be_cancelled(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&seed=12")
    page.goto(f"{LAB}?kind=hnsw&n=50000&d=64&ef_construction=200&seed=12")
    page.locator("[data-action=sweep]").click()
    page.select_option("#sweep-field", "ef_construction")
    page.get_by_role("button", name="Run the sweep").click()
    page.locator("#sweep-cancel").click(timeout=20_000)
    expect(page.locator("[data-place=sweep-state]")).to_contain_text("cancelled", timeout=30_000)


def test_a_sweep_that_cannot_be_says_why(page: Page, complaints: Complaints) -> None:
    complaints.expect("status of 422")
    open_and_wait(page, f"{READOUT}?seed=13")
    page.locator("[data-action=sweep]").click()
    page.locator("#sweep-points").fill("1000")
    page.get_by_role("button", name="Run the sweep").click()
    expect(page.locator("[data-place=sweep-state] .field-error")).to_contain_text("1000")


# --- own data --------------------------------------------------------------------------------------------------------------


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def upload(page: Page) -> Callable[[str, bytes], None]:
    def send(name: str, content: bytes) -> None:
        panel = page.locator(".lab-upload")
        if panel.get_attribute("open") is None:
            panel.locator("> summary").click()
        panel.locator("input[type=file]").first.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
        page.get_by_role("button", name="Upload and check").click()

    return send


def test_own_vectors_are_checked_shown_used_and_deleted(page: Page, upload: Callable[[str, bytes], None]) -> None:
    open_and_wait(page, f"{QUICK}&nlist=32")
    vectors = np.random.default_rng(5).normal(size=(1500, 24)).astype(np.float32)
    upload("mine.npy", npy(vectors))
    own = page.locator("[data-own-data] .lab-dataset", has_text="mine.npy")
    expect(own.locator("input[type=radio]")).to_be_checked(timeout=20_000)
    expect(own).to_contain_text(re.compile(r"1\D?[0-9]{3}.*24", re.DOTALL))
    expect(page).to_have_url(re.compile("dataset="), timeout=20_000)
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)
    run = page.evaluate("document.querySelector('[data-lab]').dataset.run")
    assert page.request.get(f"/runs/{run}/result.json").json()["dataset"]
    own.get_by_role("button", name=re.compile("Delete")).click()
    expect(own).to_have_count(0)
    expect(page.locator("[data-own-data] input[name=dataset]").first).to_be_checked()


def test_bad_vectors_are_refused_with_the_row(page: Page, upload: Callable[[str, bytes], None], complaints: Complaints) -> None:
    complaints.expect("status of 422")
    open_and_wait(page, QUICK)
    vectors = np.ones((600, 8), dtype=np.float32)
    vectors[41, 3] = np.nan
    upload("broken.npy", npy(vectors))
    message = page.locator("[data-own-data] .field-error")
    expect(message).to_contain_text("broken.npy", timeout=20_000)
    expect(message).to_contain_text("41")
    expect(page.locator("[data-own-data] .lab-dataset", has_text="broken.npy")).to_have_count(0)


def test_a_refused_file_leaves_the_chosen_one(page: Page, upload: Callable[[str, bytes], None], complaints: Complaints) -> None:
    complaints.expect("status of 422")
    open_and_wait(page, QUICK)
    upload("mine.npy", npy(np.random.default_rng(6).normal(size=(1500, 8)).astype(np.float32)))
    own = page.locator("[data-own-data] .lab-dataset", has_text="mine.npy").locator("input[type=radio]")
    expect(own).to_be_checked(timeout=20_000)
    upload("broken.npy", b"no vectors")
    expect(page.locator("[data-own-data] .field-error")).to_contain_text("broken.npy", timeout=20_000)
    expect(own).to_be_checked()


def test_a_file_over_the_limit_is_refused_before_it_is_sent(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "base.fvecs"
    with large.open("wb") as file:
        file.truncate(2 * 2**30)
    open_and_wait(page, QUICK)
    page.locator(".lab-upload > summary").click()
    page.locator(".lab-upload input[type=file]").first.set_input_files(large)
    page.get_by_role("button", name="Upload and check").click()
    expect(page.locator("[data-own-data] [data-part=words]")).to_have_text(
        "base.fvecs has 2,048 MB; at most 512 MB are accepted. Nothing was sent."
    )


def test_the_columns_of_a_table_are_offered_and_those_of_the_same_name_chosen(page: Page) -> None:
    open_and_wait(page, READOUT)
    page.locator(".lab-upload > summary").click()
    table = b"unit,arm,basket_value\n" + b"".join(b"%d,%s,%d\n" % (i, [b"control", b"treatment"][i % 2], i % 7) for i in range(60))
    page.locator(".lab-upload input[type=file]").first.set_input_files({"name": "test.csv", "mimeType": "text/csv", "buffer": table})
    expect(page.locator("#option-metric")).to_contain_text("basket_value")
    expect(page.locator("#option-arm")).to_have_value("arm")
    page.select_option("#option-metric", "basket_value")
    page.get_by_role("button", name="Upload and check").click()
    own = page.locator("[data-own-data] .lab-dataset", has_text="test.csv")
    expect(own.locator("input[type=radio]")).to_be_checked(timeout=20_000)
    expect(status(page)).to_have_attribute("data-state", "done", timeout=30_000)


# --- manners ---------------------------------------------------------------------------------------------------------------


def test_the_keyboard_runs_cancels_and_lists_its_shortcuts(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&seed=21")
    before = drawn(page)
    page.locator("h1").click()
    page.keyboard.press("r")
    page.wait_for_function("before => Number(document.querySelector('[data-figure]').dataset.drawn) > before", arg=before)
    page.locator("#param-nprobe").focus()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_hidden()  # typed into a box, a key is a key
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_contain_text("Pin this result")


def test_figures_follow_the_theme(page: Page) -> None:
    open_and_wait(page, QUICK)
    ink = "getComputedStyle(document.querySelector('[data-figure] .xtick text')).fill"
    light = page.evaluate(ink)
    page.locator("h1").click()
    page.keyboard.press("t")
    page.wait_for_function(f"light => {ink} !== light", arg=light)


def test_a_figure_shows_its_numbers_and_hides_a_trace(page: Page) -> None:
    open_and_wait(page, QUICK)
    figure = page.locator("[data-place=figures] [data-figure]").first
    figure.locator("summary", has_text="Show the numbers").click()
    rows = figure.locator("tbody tr")
    expect(rows.first).to_be_visible()
    assert rows.count() >= len(numbers(page, first_figure(page)))
    entry = figure.locator(".lab-legend button").first
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    key = first_figure(page)
    page.wait_for_function(
        "key => document.querySelector(`[data-figure='${key}'] .js-plotly-plot`).data.some((t) => t.visible === false)", arg=key
    )


def test_charts_have_words_for_those_who_cannot_see_them(page: Page) -> None:
    open_and_wait(page, QUICK)
    for figure in page.locator("[data-place=figures] [data-figure]").all():
        assert figure.locator("figcaption").inner_text().strip()
        assert len(figure.locator("[data-part=summary]").inner_text().strip()) > 20


def test_the_history_lists_and_filters_runs(page: Page) -> None:
    open_and_wait(page, f"{QUICK}&seed=31")
    page.goto("/runs/")
    expect(page.locator("tbody tr")).not_to_have_count(0)
    page.select_option("#history-lab", "experimentation/readout")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No run matches")).to_be_visible()


@pytest.mark.parametrize("browser_options", [{"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_sliders_work(page: Page, browser_options: dict[str, Any]) -> None:
    open_and_wait(page, f"{QUICK}&kind=hnsw&kind=ivf_sq8&nlist=64&nprobe=1")
    assert page.evaluate("document.documentElement.scrollWidth") <= browser_options["viewport"]["width"]
    page.locator("[data-params] > summary").click()
    slider = page.locator("[data-field=nprobe] input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box and box["height"] >= 24
    page.touchscreen.tap(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2)
    expect(page.locator("#param-nprobe")).not_to_have_value("1")


def test_without_javascript_the_form_still_sends_its_values(browser: Any, live_site: LiveSite) -> None:
    context = browser.new_context(base_url=live_site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto(QUICK)
    assert page.locator("noscript .notice").is_visible()
    page.locator("#param-n").fill("3000")
    page.locator("form[data-lab-form] button[type=submit]").click()
    assert parse_qs(urlsplit(page.url).query)["n"] == ["3000"]
    assert page.locator("#param-n").input_value() == "3000"
    context.close()
