"""What must hold for every clock, however often it was stopped, extended and moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mlsd_app.interviews.clock import Adjust, Clock, Move, PhaseBudget, Stop, phase_at

START = datetime(2026, 3, 2, 14, tzinfo=UTC)
ORDER = ["running", "overtime", "closing", "closed"]
TINY_S = 1e-5  # datetimes hold microseconds
EXAMPLES = settings(max_examples=200, deadline=None)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def seconds(low: int = 0, high: int = 9000) -> st.SearchStrategy[float]:
    return st.integers(low * 1000, high * 1000).map(lambda ms: ms / 1000)


@st.composite
def stops(draw: Callable[[Any], Any], open_ones: str = "any") -> Stop:
    """`open_ones`: any, capped (an open stop has a cap) or none."""
    begin, length = draw(seconds(0, 6000)), draw(seconds(0, 1500))
    cap_s = draw(st.none() | st.integers(1, 900))
    is_open = open_ones != "none" and draw(st.booleans()) and (open_ones == "any" or cap_s is not None)
    return Stop(at(begin), None if is_open else at(begin + length), cap_s, draw(st.sampled_from(["pause", "staff", "outage"])))


@st.composite
def clocks(
    draw: Callable[[Any], Any], open_ones: str = "any", modes: str = "soft strict", window: bool = True, adjusted: bool = True
) -> Clock:
    count = draw(st.integers(2, 6))
    budgets = draw(st.lists(st.integers(60, 900), min_size=count, max_size=count))
    moves = sorted(draw(st.lists(st.tuples(seconds(0, 6000), st.integers(0, count - 1)), max_size=6)))
    adjusts = draw(st.lists(st.builds(Adjust, st.integers(0, count - 1), st.integers(-600, 600)), max_size=3)) if adjusted else []
    return Clock(
        phases=tuple(PhaseBudget(f"p{number}", f"Phase {number}", budget) for number, budget in enumerate(budgets)),
        mode=draw(st.sampled_from(modes.split())),
        multiplier=draw(st.sampled_from([1.0, 1.25, 1.5, 2.0, 4.0])),
        extra_s=draw(st.sampled_from([0, 120, 600])),
        closes_at=draw(st.none() | seconds(600, 8000).map(at)) if window else None,
        started_at=START,
        moves=tuple(Move(at(when), phase) for when, phase in moves),
        stops=tuple(draw(st.lists(stops(open_ones), max_size=4))),
        adjusts=tuple(adjusts),
        overtime_s=draw(st.sampled_from([0, 120])),
    )


times = st.lists(seconds(0, 12_000), min_size=2, max_size=8).map(sorted)


@EXAMPLES
@given(clocks(), times)
def test_as_now_grows_nothing_goes_back(clock: Clock, moments: list[float]) -> None:
    states = [phase_at(at(moment), clock) for moment in moments]
    for earlier, later in zip(states, states[1:], strict=False):
        assert earlier.active_s <= later.active_s
        assert ORDER.index(earlier.state.replace("paused", "running")) <= ORDER.index(later.state.replace("paused", "running"))
        assert (later.remaining_s or 0) <= (earlier.remaining_s or 0) + TINY_S
        if clock.mode == "strict":
            assert (earlier.phase_index or 0) <= (later.phase_index or 0)


@EXAMPLES
@given(clocks(), seconds(0, 12_000))
def test_parts_add_up_at_every_moment(clock: Clock, moment: float) -> None:
    state = phase_at(at(moment), clock)
    assert state.remaining_s is not None and state.remaining_s >= 0
    assert sum(state.phase_spent_s) == pytest.approx(state.active_s)
    assert all(spent >= 0 for spent in state.phase_spent_s) and all(planned >= 0 for planned in state.phase_plan_s)
    assert sum(clock.budgets_s) == pytest.approx(clock.limit_s)
    assert state.writable <= {phase.key for phase in clock.phases}
    if state.state == "closed":
        assert not state.writable and state.remaining_s == 0 and state.next_change_at is None
    elif state.next_change_at is not None:
        assert state.next_change_at > at(moment) - timedelta(microseconds=10)


@EXAMPLES
@given(clocks(open_ones="capped"), times)
def test_the_deadline_does_not_wander_while_no_uncapped_stop_is_open(clock: Clock, moments: list[float]) -> None:
    """Only stops that have not begun yet may still move it, as nobody can know of them."""
    known = [moment for moment in moments if all(at(moment) >= stop.begin for stop in clock.stops)]
    deadlines = {phase_at(at(moment), clock).deadline for moment in known}
    assert len(deadlines) <= 1


@EXAMPLES
@given(clocks(window=False, adjusted=False), seconds(0, 5000), st.integers(1, 1800), st.integers(0, 5))
def test_an_extension_moves_the_deadline_by_exactly_its_length(clock: Clock, moment: float, more_s: int, phase: int) -> None:
    before = phase_at(at(moment), clock).deadline
    extended = replace(clock, adjusts=(*clock.adjusts, Adjust(min(phase, len(clock.phases) - 1), more_s)))
    after = phase_at(at(moment), extended).deadline
    assert before is not None and after is not None
    assume(not any(before <= stop.begin <= after for stop in clock.stops))  # the time that was added may be stopped too
    assert after - before == timedelta(seconds=more_s)


@EXAMPLES
@given(clocks(open_ones="none", window=False), seconds(0, 3000), seconds(1, 900))
@example(Clock((PhaseBudget("a", "A", 600), PhaseBudget("b", "B", 600)), "soft", started_at=START), 0.0, 60.0)
def test_an_outage_moves_the_deadline_by_exactly_what_it_newly_covers(clock: Clock, begin: float, length: float) -> None:
    """Credited when it is over, and every other stop with it."""
    now = at(20_000)
    before = phase_at(now, clock).deadline
    credited = replace(clock, stops=(*clock.stops, Stop(at(begin), at(begin + length), None, "outage")))
    assert before is not None
    assume(at(begin + length) < before and not any(stop.begin > before for stop in clock.stops))
    covered = uncovered_s(clock, begin, begin + length)
    after = phase_at(now, credited).deadline
    assert after is not None and (after - before).total_seconds() == pytest.approx(covered, abs=TINY_S)


def uncovered_s(clock: Clock, begin: float, end: float) -> float:
    """Seconds of [begin, end] in no stop, counted piece by piece between all the edges there are."""
    intervals = [((stop.begin - START).total_seconds(), ((stop.latest_end or START) - START).total_seconds()) for stop in clock.stops]
    edges = sorted({begin, end, *(edge for interval in intervals for edge in interval if begin < edge < end)})
    pieces = [(low, high) for low, high in zip(edges, edges[1:], strict=False)]
    return sum(high - low for low, high in pieces if not any(first <= low and high <= last for first, last in intervals))


@EXAMPLES
@given(clocks(window=False, adjusted=False, open_ones="none"), seconds(0, 5000), st.sampled_from([1.5, 2.0, 4.0]))
def test_with_m_times_the_time_one_is_in_the_same_phase_at_m_times_the_moment(clock: Clock, moment: float, factor: float) -> None:
    """Stops and moves at m times their moments too."""
    plain = replace(clock, multiplier=1.0, extra_s=0, overtime_s=0)

    def later(when: datetime | None) -> datetime:
        return START + (when - START) * factor if when else START

    scaled = replace(
        plain,
        multiplier=factor,
        moves=tuple(Move(later(move.at), move.to_phase) for move in plain.moves),
        stops=tuple(Stop(later(stop.begin), later(stop.latest_end), None, stop.kind) for stop in plain.stops),
    )
    budget_s = sum(phase.budget_s for phase in plain.phases)
    assume(budget_s * factor == round(budget_s * factor))
    one, many = phase_at(at(moment), plain), phase_at(at(moment * factor), scaled)
    edges = [*plain.phase_ends_s, *((move.at - START).total_seconds() for move in plain.moves)]
    assume(all(abs(one.active_s - edge) > 0.001 and abs(moment - edge) > 0.001 for edge in edges))
    assert many.phase_index == one.phase_index
    assert many.active_s == pytest.approx(one.active_s * factor, abs=0.001)


@EXAMPLES
@given(clocks(modes="soft strict free"), seconds(0, 12_000))
def test_the_window_always_caps(clock: Clock, moment: float) -> None:
    closes_at = at(2000)
    state = phase_at(at(moment), replace(clock, closes_at=closes_at))
    assert state.deadline is not None and state.deadline <= closes_at
    assert state.hard_close is not None and state.hard_close <= closes_at + timedelta(seconds=clock.overtime_s + clock.net_grace_s)
    if state.deadline == closes_at:
        assert state.hard_close == closes_at + timedelta(seconds=clock.net_grace_s), "no overtime after a window"
    if at(moment) >= closes_at + timedelta(seconds=clock.overtime_s + clock.net_grace_s):
        assert state.state == "closed"


@EXAMPLES
@given(clocks(), st.permutations(range(3)), seconds(0, 6000))
def test_the_order_in_which_time_was_given_does_not_matter(clock: Clock, order: list[int], moment: float) -> None:
    given_ = [Adjust(0, 60), Adjust(1, -30), Adjust(1, 300)]
    state = phase_at(at(moment), replace(clock, adjusts=tuple(given_)))
    assert phase_at(at(moment), replace(clock, adjusts=tuple(given_[place] for place in order))) == state


def two_phases(**values: Any) -> Clock:
    return Clock((PhaseBudget("a", "A", 600), PhaseBudget("b", "B", 1200)), **{"mode": "soft", "started_at": START, **values})


def test_datetimes_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        phase_at(datetime(2026, 3, 2, 14), two_phases())
    with pytest.raises(ValueError, match="time zone"):
        phase_at(START, two_phases(closes_at=datetime(2026, 3, 2, 15)))


@pytest.mark.parametrize(("year", "month", "day"), [(2026, 3, 29), (2026, 10, 25)])
def test_the_night_the_clocks_change_takes_nothing_and_gives_nothing(year: int, month: int, day: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(year, month, day, 0, 50, tzinfo=UTC)  # ten minutes before the change
    local = two_phases(started_at=start.astimezone(berlin), stops=(Stop(start.astimezone(berlin), None, 300),))
    now = start + timedelta(minutes=20)
    state = phase_at(now.astimezone(berlin), local)
    assert state.active_s == 15 * 60 and state.deadline == start + timedelta(minutes=35)
    assert state == phase_at(now, two_phases(started_at=start, stops=(Stop(start, None, 300),)))


def test_an_extension_reaches_the_phases_from_its_own_on() -> None:
    strict = two_phases(mode="strict")
    assert phase_at(at(599), strict).phase_index == 0 and phase_at(at(600), strict).phase_index == 1
    assert phase_at(at(659), replace(strict, adjusts=(Adjust(0, 60),))).phase_index == 0
    assert phase_at(at(600), replace(strict, adjusts=(Adjust(1, 60),))).phase_index == 1


def test_the_last_keystrokes_of_a_strict_phase_count() -> None:
    strict = two_phases(mode="strict")
    assert phase_at(at(630), strict).writable == {"a", "b"}
    assert phase_at(at(631), strict).writable == {"b"}
    assert phase_at(at(590), strict).writable == {"a"}


def test_overtime_and_grace_follow_the_deadline_to_the_microsecond() -> None:
    clock = two_phases(overtime_s=120)
    found = [phase_at(at(1800) + timedelta(microseconds=offset), clock).state for offset in (-1, 0, 119_999_999, 120_000_000)]
    assert found == ["running", "overtime", "overtime", "closing"]
    assert phase_at(at(1950) - timedelta(microseconds=1), clock).state == "closing"
    assert phase_at(at(1950), clock).state == "closed"
