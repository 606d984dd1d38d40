"""The page's count of the interview clock, without a page: its modules are imported by a browser and given their time."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

MODULE = "/static/js/interview/clock.js"
BLOCK = {
    "seq": 3,
    "state": "running",
    "phase": 1,
    "remaining_ms": 60_000,
    "phase_remaining_ms": 10_000,
    "spent_ms": [1000, 2000, 0],
    "plan_ms": [5000, 12_000, 30_000],
    "debt_ms": 0,
    "limit_ms": 63_000,
    "writable": [],
}


@pytest.fixture
def clock(page: Page) -> Any:
    """Runs a function of the module's exports in the browser."""
    page.goto("/interviews/")

    def run(body: str, **values: Any) -> Any:
        return page.evaluate(f"async (given) => {{ const m = await import('{MODULE}'); {body} }}", {"block": BLOCK, **values})

    return run


def test_counting_begins_when_the_request_was_sent(clock: Any) -> None:
    """A reply that was 400 ms on its way is 400 ms old: the display is never ahead of the truth."""
    shown = clock("const c = new m.Countdown(); c.take(given.block, 1000); return c.at(1400)")
    assert shown["remainingMs"] == 59_600
    assert shown["phaseRemainingMs"] == 9_600
    assert shown["spentMs"] == [1000, 2400, 0]


def test_older_replies_are_dropped_whatever_their_order(clock: Any) -> None:
    body = """
      const c = new m.Countdown();
      const older = { ...given.block, seq: 2, remaining_ms: 99000 };
      const late = { ...given.block, remaining_ms: 98000 };
      const newer = { ...given.block, seq: 4, remaining_ms: 5000 };
      const taken = [c.take(given.block, 1000), c.take(older, 1200), c.take(late, 900), c.take(newer, 800)];
      return [taken, c.at(1000).remainingMs];
    """
    assert clock(body) == [[True, False, False, True], 4800]


@pytest.mark.parametrize(("state", "expected"), [("running", 50_000), ("paused", 60_000), ("closed", 60_000)])
def test_only_a_running_clock_counts(clock: Any, state: str, expected: int) -> None:
    assert clock(
        "const c = new m.Countdown(); c.take({ ...given.block, state: given.state }, 0); return c.at(10000).remainingMs", state=state
    ) == (expected)


@pytest.mark.parametrize(("phase_remaining_ms", "expected"), [(-12_000, 0), (0, 0), (-50_000, -38_000)])
def test_the_last_packets_seconds_are_no_phases(clock: Any, phase_remaining_ms: int, expected: int) -> None:
    """12 s after the end no phase is seen to have used them; an overrun from before stands."""
    block = {**BLOCK, "state": "closing", "remaining_ms": 0, "phase_remaining_ms": phase_remaining_ms, "spent_ms": [1000, 74_000, 0]}
    shown = clock("const c = new m.Countdown(); c.take(given.block, 0); return c.at(5000)", block=block)
    assert (shown["phaseRemainingMs"], shown["spentMs"], shown["remainingMs"]) == (expected, [1000, 62_000, 0], 0)


def test_the_total_never_falls_below_zero_and_the_phase_does(clock: Any) -> None:
    body = """
      const c = new m.Countdown();
      c.take(given.block, 0);
      return [c.at(70000), c.due(70000, false), c.due(20000, true), c.due(20000, false)];
    """
    shown = clock(body)
    assert shown[0]["remainingMs"] == 0
    assert shown[0]["phaseRemainingMs"] == -60_000
    assert shown[1:] == [True, True, False]


def test_texts_never_say_more_than_there_is(clock: Any) -> None:
    texts = clock("return [59999, 60000, 0, 999, -1, -100000].map(m.clockText)")
    assert texts == ["0:59", "1:00", "0:00", "0:00", "\u22120:01", "\u22121:40"]


def test_marks_are_passed_once_each(clock: Any) -> None:
    limit = 2_700_000  # 45 minutes: 9:00 and 2:15
    steps = [540_001, 540_000, 539_000, 135_001, 134_900, 0]
    body = "return given.steps.slice(1).map((after, i) => m.marksPassed(given.steps[i], after, given.limit))"
    assert clock(body, steps=steps, limit=limit) == [[0.2], [], [], [0.05], []]
    assert clock(body, steps=[600_000, 100_000], limit=limit) == [[0.2, 0.05]]


def test_an_overrun_names_the_phases_whose_plan_has_shrunk(clock: Any) -> None:
    body = "const c = new m.Countdown(); c.take(given.block, 0); return m.takenFrom(c.at(0), [5000, 15000, 60000])"
    assert clock(body) == [2]


def test_failures_wait_longer_and_apart(clock: Any) -> None:
    body = """
      const b = new m.Backoff(() => given.chance);
      const waits = [1, 2, 3, 4, 5, 6].map(() => b.next());
      b.reset();
      return [...waits, b.next()];
    """
    middle = clock(body, chance=0.5)
    assert middle == [1000, 2000, 4000, 8000, 15_000, 15_000, 1000]
    assert clock(body, chance=0)[0] == 700
    assert 1299 <= clock(body, chance=0.9999)[0] <= 1300


def test_sleep_and_a_clock_that_was_set_are_noticed_once(clock: Any) -> None:
    body = """
      const d = new m.DriftWatch(1e6, 0);
      return [d.drifted(1e6 + 1000, 1000), d.drifted(1e6 + 3.6e6, 2000), d.drifted(1e6 + 3.6e6, 2000)];
    """
    assert clock(body) == [False, True, False]


def test_what_a_phase_gains_the_others_give(clock: Any) -> None:
    """The lobby's plan: whatever is asked for, the sum stands and no phase leaves its bounds."""
    body = """
      const { moved } = await import('/static/js/interview/plan.js');
      const plans = [];
      for (const at of [0, 2, 4]) for (const wanted of [0, 30, 330, 1500, 9999]) plans.push(moved(given.plan, at, wanted));
      return plans;
    """
    plan = [300, 300, 600, 900, 600]
    plans = clock(body, plan=plan)
    assert all(sum(found) == sum(plan) for found in plans)
    assert all(60 <= seconds <= 3600 for found in plans for seconds in found)
    assert plans[2] == [330, 270, 600, 900, 600]
