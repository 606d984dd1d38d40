"""The practice clock holds its laws for any sequence of presses."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.catalog.clock import ClockEvent, ClockState, clock_at

BUDGETS = {"clarify": 300.0, "capacity": 300.0, "architecture": 600.0, "deep_dive": 900.0, "evaluation": 600.0}
KEYS = list(BUDGETS)
NEAR = 1e-6

gaps = st.floats(0, 1500, allow_nan=False)
presses = st.tuples(gaps, st.sampled_from(["start", "pause", "move"]), st.sampled_from([*KEYS, "unknown"]))
rounds = st.lists(presses, max_size=25).map(
    lambda drawn: [
        ClockEvent(at, kind, phase)  # type: ignore[arg-type]
        for at, (_, kind, phase) in zip(accumulate(gap for gap, _, _ in drawn), drawn, strict=True)
    ]
)


def end_of(events: list[ClockEvent]) -> float:
    return events[-1].at_s if events else 0.0


def run(phase: str, seconds: float) -> ClockState:
    return clock_at(seconds, BUDGETS, [ClockEvent(0, "start", phase)])


@given(rounds, gaps)
def test_spent_and_remaining_make_the_whole(events: list[ClockEvent], later: float) -> None:
    state = clock_at(end_of(events) + later, BUDGETS, events)
    assert sum(state.spent_s.values()) + state.remaining_s == pytest.approx(sum(BUDGETS.values()))
    assert 0 <= sum(state.spent_s.values()) <= end_of(events) + later + NEAR


@given(rounds, gaps, gaps)
def test_only_the_phase_it_points_at_ages_and_only_while_running(events: list[ClockEvent], first: float, second: float) -> None:
    before = clock_at(end_of(events) + first, BUDGETS, events)
    after = clock_at(end_of(events) + first + second, BUDGETS, events)
    for key in KEYS:
        grown = after.spent_s[key] - before.spent_s[key]
        assert grown == pytest.approx(second if before.running and key == before.phase else 0.0, abs=NEAR)


@given(rounds, gaps)
def test_a_pause_freezes_everything(events: list[ClockEvent], later: float) -> None:
    stopped = [*events, ClockEvent(end_of(events), "pause", "clarify")]
    assert clock_at(end_of(events), BUDGETS, stopped) == clock_at(end_of(events) + later, BUDGETS, stopped)


@given(rounds, gaps)
def test_pressing_start_or_pause_twice_is_pressing_it_once(events: list[ClockEvent], later: float) -> None:
    now = end_of(events) + later
    doubled = [copy for event in events for copy in (event, event)]
    assert clock_at(now, BUDGETS, doubled) == clock_at(now, BUDGETS, events)


@given(rounds, gaps)
def test_debt_is_paid_by_later_phases_nearest_first_and_never_more_than_they_have(events: list[ClockEvent], later: float) -> None:
    state = clock_at(end_of(events) + later, BUDGETS, events)
    following = KEYS[KEYS.index(state.phase) + 1 :]
    left = {key: max(0.0, BUDGETS[key] - state.spent_s[key]) for key in following}
    assert list(state.taken_s) == [key for key in following if key in state.taken_s]
    assert all(0 < seconds <= left[key] + NEAR for key, seconds in state.taken_s.items())
    assert state.uncovered_s >= -NEAR
    if state.uncovered_s > NEAR:  # then nothing is left anywhere
        assert sum(state.taken_s.values()) == pytest.approx(sum(left.values()))
    paying = list(state.taken_s)
    for key in paying[:-1]:  # all but the last that pays give all they have, and nobody before them is passed over
        assert state.taken_s[key] == pytest.approx(left[key])
    passed_over = following[: following.index(paying[-1])] if paying else []
    assert all(key in state.taken_s or left[key] == 0 for key in passed_over)


@given(rounds, gaps)
def test_what_is_debt_shows_as_overrun(events: list[ClockEvent], later: float) -> None:
    state = clock_at(end_of(events) + later, BUDGETS, events)
    assert state.phase_remaining_s <= BUDGETS[state.phase] - state.spent_s[state.phase] + NEAR
    assert state.debt_s <= max(0.0, -state.phase_remaining_s) + NEAR
    if state.remaining_s < -NEAR:
        assert state.debt_s >= -state.remaining_s - NEAR


@given(rounds, gaps, st.integers(1, 40))
def test_events_of_the_future_have_not_happened(events: list[ClockEvent], later: float, ahead: int) -> None:
    now = end_of(events) + later
    future = [*events, ClockEvent(now + ahead, "start", "evaluation")]
    assert clock_at(now, BUDGETS, future) == clock_at(now, BUDGETS, events)


def test_a_host_clock_that_steps_back_never_takes_time_away() -> None:
    events = [ClockEvent(100, "start", "clarify"), ClockEvent(90, "move", "capacity"), ClockEvent(95, "move", "capacity")]
    state = clock_at(160, BUDGETS, events)
    assert all(seconds >= 0 for seconds in state.spent_s.values())


def test_an_overrun_is_taken_from_the_next_phase() -> None:
    state = run("architecture", 300 + 300 + 600 + 100)  # nobody spent the ten minutes of the first two phases
    assert state.phase_remaining_s == -700 and state.debt_s == 100 and state.taken_s == {"deep_dive": 100}


def test_time_saved_earlier_pays_first() -> None:
    events = [ClockEvent(0, "start", "clarify"), ClockEvent(200, "move", "capacity")]
    state = clock_at(200 + 350, BUDGETS, events)
    assert state.phase_remaining_s == -50 and state.debt_s == 0 and not state.taken_s


def test_debt_follows_into_the_next_phase() -> None:
    events = [ClockEvent(0, "start", "clarify"), ClockEvent(400, "move", "capacity")]
    state = clock_at(400, BUDGETS, events)
    assert state.phase_remaining_s == 200 and state.debt_s == 0


def test_past_the_end_nothing_is_left_to_take() -> None:
    state = run("evaluation", 2700 + 30)
    assert state.uncovered_s == 30 and state.remaining_s == -30


def test_going_back_counts_against_the_plan_up_to_there() -> None:
    events = [ClockEvent(0, "start", "clarify"), ClockEvent(300, "move", "capacity"), ClockEvent(600, "move", "clarify")]
    state = clock_at(630, BUDGETS, events)
    assert state.phase_remaining_s == -30 and state.taken_s == {"architecture": 30}
