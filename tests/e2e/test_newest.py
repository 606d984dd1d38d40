"""Answers that overtake each other: what was asked last is what is shown."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.test_interview import enter

DELAY = """([path, ms]) => {
  const plain = window.fetch;
  window.fetch = async (url, options) => {
    const response = await plain(url, options);
    if (String(url).includes(path)) await new Promise((done) => setTimeout(done, ms));
    options?.signal?.throwIfAborted();
    return response;
  };
}"""


@pytest.fixture
def newest(page: Page) -> Any:
    """Runs a function of the module's exports in the browser."""
    page.goto("/interviews/")

    def run(body: str) -> Any:
        return page.evaluate(f"async () => {{ const m = await import('/static/js/newest.js'); {body} }}")

    return run


def test_who_asks_during_a_look_gets_one_that_began_later(newest: Any) -> None:
    body = """
      const looks = [];
      const ask = m.oneAtATime(() => new Promise((done) => looks.push(done)));
      const first = ask(), second = ask(), third = ask();
      const atOnce = looks.length;
      looks[0]("before");
      const said = [await first];
      await new Promise((turn) => setTimeout(turn));
      looks[1]("after");
      said.push(await second, await third, looks.length);
      const fourth = ask();
      looks[2]("later");
      return [atOnce, ...said, await fourth];
    """
    assert newest(body) == [1, "before", "after", "after", 2, "later"]


def test_a_look_that_fails_does_not_keep_the_next_from_being_made(newest: Any) -> None:
    body = """
      let looks = 0;
      const ask = m.oneAtATime(async () => { looks += 1; if (looks === 1) throw new Error("lost"); return looks; });
      const first = ask().catch((error) => error.message), second = ask();
      return [await first, await second];
    """
    assert newest(body) == ["lost", 2]


def test_a_new_choice_calls_the_one_before_off(newest: Any) -> None:
    body = "const next = m.superseding(); const first = next(), second = next(); return [first.aborted, second.aborted];"
    assert newest(body) == [True, False]


def test_of_two_labs_picked_one_after_the_other_the_second_is_shown(page: Page) -> None:
    enter(page)
    page.get_by_role("tab", name="Labs").click()
    shown = page.locator("[data-place=lab] [data-lab]")
    pick = page.locator("[data-lab-pick]")
    slow, quick = [lab for lab in pick.locator("option").evaluate_all("all => all.map(one => one.value)") if lab][:2]
    page.evaluate(DELAY, [f"labs/{slow}", 1500])
    pick.select_option(quick)
    expect(shown).to_be_visible()
    pick.select_option(slow)
    pick.select_option(quick)
    expect(shown).to_have_attribute("data-lab", quick)
    page.wait_for_timeout(2000)
    expect(shown).to_have_attribute("data-lab", quick)
    expect(pick).to_have_value(quick)
