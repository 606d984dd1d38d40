"""Ends that nobody asks for, and what staff do to them: the true time is written, once, whoever comes first and however late."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from mlsd_app.accounts.models import User
from mlsd_app.interviews import grading, lifecycle, staff_ops, upkeep
from mlsd_app.interviews.models import Attempt, Event, Reason, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import state_of
from problems.schema import Problem
from simulators.errors import InvalidInput
from tests.web.interviews.conftest import LIMIT_S, NOW, at

HARD_CLOSE_S = LIMIT_S + 30
MICROSECOND = timedelta(microseconds=1)


def fresh(attempt: Attempt) -> Attempt:
    return Attempt.objects.get(pk=attempt.pk)


def kinds(attempt: Attempt) -> list[str]:
    return list(attempt.events.values_list("kind", flat=True))


# --- the moment ------------------------------------------------------------------------------------------------------


def test_it_closes_at_the_hard_close_and_not_a_microsecond_before(running: Attempt) -> None:
    assert not lifecycle.close_if_due(attempt=running, now=at(HARD_CLOSE_S) - MICROSECOND, online=True)
    assert running.status == Status.OPEN
    assert lifecycle.close_if_due(attempt=running, now=at(HARD_CLOSE_S), online=True)
    assert (running.status, running.reason, running.closed_at) == (Status.CLOSED, Reason.TIMED_OUT, at(LIMIT_S))


@pytest.mark.parametrize("late_s", [HARD_CLOSE_S, 86_400, 8 * 86_400])
def test_however_late_it_is_found_the_true_time_is_written(running: Attempt, late_s: float) -> None:
    assert upkeep.sweep(now=at(late_s)) == 1
    row = fresh(running)
    assert (row.closed_at, row.processed_at) == (at(LIMIT_S), at(late_s))
    close = row.events.get(kind="close")
    assert close.data["closed_at"] == at(LIMIT_S).isoformat() and not close.online
    assert state_of(row, at(late_s)).active_s == LIMIT_S


def test_a_submit_counts_when_it_was_made(running: Attempt, user: User) -> None:
    row = lifecycle.attempt_submit(attempt=running, actor=user, now=at(1234.567891))
    again = lifecycle.attempt_submit(attempt=running, actor=user, now=at(1300))
    assert row.closed_at == again.closed_at == at(1234.567891) and again.reason == Reason.SUBMITTED
    assert kinds(row)[-2:] == ["submit", "close"]


def test_overtime_counts_until_its_end(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, overdue_policy="grace")
    lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    assert upkeep.sweep(now=at(HARD_CLOSE_S + 119)) == 0
    assert upkeep.sweep(now=at(HARD_CLOSE_S + 120)) == 1
    assert fresh(attempt).closed_at == at(LIMIT_S + 120)


def test_the_window_closes_what_it_cuts(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, closes_at=at(600), overdue_policy="grace")
    lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    upkeep.sweep(now=at(630))
    assert (fresh(attempt).reason, fresh(attempt).closed_at) == (Reason.WINDOW, at(600))


def test_an_abandoned_attempt_is_graded_only_if_staff_accept_it(user: User, other: User, problem: Problem, asked: list[str]) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, overdue_policy="abandon")
    lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    upkeep.sweep(now=at(HARD_CLOSE_S))
    row = fresh(attempt)
    assert (row.reason, row.grading_needed) == (Reason.ABANDONED, False)
    row = staff_ops.late_accept(attempt=row, actor=other, reason="Power cut", now=at(9000))
    assert row.grading_needed and row.accepted_late


def test_an_attempt_nobody_began_closes_with_its_window_and_is_not_graded(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, closes_at=at(600))
    assert upkeep.sweep(now=at(599)) == 0
    assert upkeep.sweep(now=at(700)) == 1
    row = fresh(attempt)
    assert (row.closed_at, row.started_at, row.grading_needed) == (at(600), None, False)


def test_without_a_limit_nothing_closes_it(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, mode="free")
    lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    assert upkeep.sweep(now=at(10 * 86_400)) == 0
    assert fresh(attempt).status == Status.OPEN


# --- asleep ----------------------------------------------------------------------------------------------------------


def test_a_pause_reaches_its_cap_while_the_laptop_sleeps(running: Attempt, user: User) -> None:
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(100))
    upkeep.sweep(now=at(2000))
    stop = running.stops.get()
    assert stop.end == at(280)
    resumed = running.events.get(kind="resume")
    assert (resumed.at, resumed.active_ms, resumed.online) == (at(280), 100_000, False)
    upkeep.sweep(now=at(HARD_CLOSE_S + 180))
    assert fresh(running).closed_at == at(LIMIT_S + 180)


def test_asleep_over_cap_and_deadline_both_ends_are_true(running: Attempt, user: User) -> None:
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(100))
    upkeep.sweep(now=at(20_000))
    row = fresh(running)
    assert row.stops.get().end == at(280) and row.closed_at == at(LIMIT_S + 180)
    assert kinds(row) == ["created", "start", "pause", "resume", "close"]


def test_a_clock_that_staff_stopped_waits_as_long_as_they_do(running: Attempt, other: User) -> None:
    staff_ops.staff_pause(attempt=running, actor=other, reason="Fire alarm", now=at(100))
    assert upkeep.sweep(now=at(50_000)) == 0
    row = staff_ops.staff_resume(attempt=running, actor=other, now=at(50_000))
    assert state_of(row, at(50_000)).remaining_s == LIMIT_S - 100


# --- extensions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [LIMIT_S - 1, LIMIT_S + 29])
def test_an_extension_in_the_last_second_counts_from_the_old_deadline(running: Attempt, other: User, moment: float) -> None:
    row = staff_ops.adjust_add(attempt=running, seconds=300, from_phase=4, actor=other, reason="Room change", now=at(moment))
    state = state_of(row, at(moment))
    assert state.deadline == at(LIMIT_S + 300) and state.state == "running"
    assert upkeep.sweep(now=at(HARD_CLOSE_S + 299)) == 0, "an old sweep or tab has no say"
    assert upkeep.sweep(now=at(HARD_CLOSE_S + 300)) == 1
    assert fresh(running).closed_at == at(LIMIT_S + 300)


def test_an_extension_after_the_close_is_refused(running: Attempt, other: User) -> None:
    with pytest.raises(Refused) as found:
        staff_ops.adjust_add(attempt=running, seconds=300, from_phase=0, actor=other, reason="Too late", now=at(HARD_CLOSE_S))
    assert found.value.code == "wrong_state" and fresh(running).closed_at == at(LIMIT_S)


def test_time_taken_never_puts_the_deadline_before_now(running: Attempt, other: User) -> None:
    row = staff_ops.adjust_add(attempt=running, seconds=-3000, from_phase=0, actor=other, reason="Began early", now=at(1000.25))
    adjust = row.adjusts.get()
    assert adjust.asked == {"seconds": -3000} and adjust.seconds == -1699
    deadline = state_of(row, at(1000.25)).deadline
    assert deadline is not None and at(1000.25) <= deadline < at(1001.25)
    assert upkeep.sweep(now=at(1032)) == 1


def test_time_reckoned_from_an_old_clock_is_not_given(running: Attempt, user: User, other: User) -> None:
    seen = running.clock_seq
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(90))
    with pytest.raises(Refused) as found:
        staff_ops.adjust_add(attempt=running, seconds=60, from_phase=0, actor=other, reason="Late", now=at(99), seen_seq=seen)
    assert found.value.code == "clock_changed" and not running.adjusts.exists()


def test_percent_keep_the_ratio_of_an_accommodation(user: User, other: User, problem: Problem) -> None:
    limits = []
    for person, factor in ((user, 1.0), (other, 1.5)):
        attempt = lifecycle.attempt_create(user=person, problem=problem, now=NOW, multiplier=factor)
        attempt = lifecycle.attempt_start(attempt=attempt, actor=person, now=NOW)
        row = staff_ops.adjust_percent(attempt=attempt, percent=10, from_phase=0, actor=other, reason="Slow network", now=at(60))
        assert row.adjusts.get().asked == {"percent": 10}
        limits.append(state_of(row, at(60)).limit_s)
    assert limits == pytest.approx([LIMIT_S * 1.1, LIMIT_S * 1.1 * 1.5])


def test_an_outage_is_given_once_and_only_where_it_can_have_been(running: Attempt, user: User, other: User) -> None:
    def credit(begin: float, end: float) -> Attempt:
        return staff_ops.outage_credit(attempt=running, begin=at(begin), end=at(end), actor=other, reason="Network down", now=at(1000))

    for begin, end, field in ((-1, 100, "begin"), (100, 1001, "end"), (200, 200, "end")):
        with pytest.raises(InvalidInput) as found:
            credit(begin, end)
        assert found.value.field == field
    credit(100, 400)
    row = credit(300, 500)
    assert state_of(row, at(1000)).deadline == at(LIMIT_S + 400)
    assert [event.data["credited_s"] for event in row.events.filter(kind="outage")] == pytest.approx([300, 100])


def test_a_limit_that_was_removed_closes_nothing(running: Attempt, other: User) -> None:
    staff_ops.limit_remove(attempt=running, actor=other, reason="Must not be timed", now=at(100))
    assert upkeep.sweep(now=at(50_000)) == 0
    with pytest.raises(Refused):
        staff_ops.adjust_add(attempt=running, seconds=60, from_phase=0, actor=other, reason="More", now=at(50_000))


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_what_staff_do_needs_a_reason(running: Attempt, other: User, reason: str) -> None:
    with pytest.raises(InvalidInput) as found:
        staff_ops.attempt_expire(attempt=running, actor=other, reason=reason, now=at(100))
    assert found.value.field == "reason" and fresh(running).status == Status.OPEN


# --- ending, reopening, voiding --------------------------------------------------------------------------------------


def test_reopened_it_goes_on_where_it_stood(running: Attempt, user: User, other: User) -> None:
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(1000))
    row = staff_ops.attempt_reopen(attempt=running, actor=other, reason="Pressed by mistake", now=at(5000))
    state = state_of(row, at(5000))
    assert (row.status, row.closed_at, row.grading_needed) == (Status.OPEN, None, False)
    assert (state.active_s, state.remaining_s, state.deadline) == (1000, LIMIT_S - 1000, at(5000 + LIMIT_S - 1000))


@pytest.mark.parametrize("policy", [{}, {"overdue_policy": "grace"}, {"closes_at": at(1500)}])
def test_reopened_without_time_left_it_gets_exactly_what_is_added(
    user: User, other: User, problem: Problem, policy: dict[str, Any]
) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, **policy)
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    upkeep.sweep(now=at(5000))
    with pytest.raises(Refused) as found:
        staff_ops.attempt_reopen(attempt=attempt, actor=other, reason="Power cut", now=at(6000))
    assert found.value.code == "no_time_left" and fresh(attempt).status == Status.CLOSED, "a refusal changes nothing"
    assert not attempt.stops.exists()
    row = staff_ops.attempt_reopen(attempt=attempt, actor=other, reason="Power cut", now=at(6000), add_s=240)
    assert state_of(row, at(6000)).remaining_s == 240
    assert fresh(attempt).next_check_at is not None


def test_reopening_is_refused_where_another_attempt_runs_and_once_released(
    running: Attempt, user: User, other: User, problem: Problem
) -> None:
    lifecycle.attempt_submit(attempt=running, actor=user, now=at(1000))
    second = lifecycle.attempt_create(user=user, problem=problem, now=at(1100))
    with pytest.raises(Refused) as found:
        staff_ops.attempt_reopen(attempt=running, actor=other, reason="Mistake", now=at(1200))
    assert found.value.code == "live_attempt_exists" and found.value.extra == {"attempt": str(second.pk)}
    staff_ops.attempt_void(attempt=second, actor=other, reason="Not needed", now=at(1300))
    Attempt.objects.filter(pk=running.pk).update(status=Status.RELEASED)
    with pytest.raises(Refused) as found:
        staff_ops.attempt_reopen(attempt=running, actor=other, reason="Mistake", now=at(1400))
    assert found.value.code == "released"


def test_void_ends_everything_and_keeps_the_log(running: Attempt, other: User) -> None:
    row = staff_ops.attempt_void(attempt=running, actor=other, reason="Wrong person", now=at(100))
    assert (row.status, row.closed_at, row.next_check_at) == (Status.VOID, at(100), None)
    assert lifecycle.clock_block(row, state_of(row, at(100)))["state"] == "closed"
    assert upkeep.sweep(now=at(50_000)) == 0 and kinds(row)[-1] == "void"


def test_expired_by_staff_it_is_graded(running: Attempt, other: User) -> None:
    row = staff_ops.attempt_expire(attempt=running, actor=other, reason="End of the session", now=at(100))
    row = fresh(row)
    assert (row.reason, row.closed_at, row.grading_needed, row.next_check_at) == (Reason.STAFF, at(100), True, None)


# --- many at once ----------------------------------------------------------------------------------------------------


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Runs the jobs in threads of their own that begin together; what they returned."""
    gate, results = threading.Barrier(len(jobs)), []

    def run(job: Callable[[], Any]) -> None:
        try:
            gate.wait()
            results.append(job())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def made(count: int, started_at: datetime = NOW) -> list[Attempt]:
    """Running attempts of as many people, written straight into the table."""
    people = User.objects.bulk_create(User(username=f"u{number}-{uuid.uuid4().hex[:6]}") for number in range(count))
    phases = [{"key": "a", "title": "A", "budget_s": 900, "tags": []}, {"key": "b", "title": "B", "budget_s": 1800, "tags": []}]
    rows = [
        Attempt(user=person, problem="vector_search", phases=phases, status=Status.OPEN, started_at=started_at, next_check_at=started_at)
        for person in people
    ]
    return Attempt.objects.bulk_create(rows)


def test_two_sweeps_at_once_close_each_attempt_once(threads_database: None, asked: list[str]) -> None:
    attempts = made(60)
    closed = at_once(*[lambda: upkeep.sweep(now=at(HARD_CLOSE_S))] * 3)
    assert sum(closed) == len(attempts)
    assert Counter(asked) == Counter(str(attempt.pk) for attempt in attempts)
    assert Event.objects.filter(kind="close").count() == len(attempts)


def test_submit_and_sweep_at_the_same_moment_close_it_once(threads_database: None, asked: list[str]) -> None:
    for attempt in made(10):
        at_once(
            lambda attempt=attempt: lifecycle.attempt_submit(attempt=attempt, actor=attempt.user, now=at(HARD_CLOSE_S) - MICROSECOND),
            lambda: upkeep.sweep(now=at(HARD_CLOSE_S)),
        )
        assert kinds(attempt).count("close") == 1
        row = fresh(attempt)
        expected = at(HARD_CLOSE_S) - MICROSECOND if row.reason == Reason.SUBMITTED else at(LIMIT_S)
        assert row.closed_at == expected


def test_two_tabs_that_begin_at_once_get_one_attempt(threads_database: None, problem: Problem) -> None:
    user = User.objects.create_user("ada")

    def create() -> str:
        try:
            return str(lifecycle.attempt_create(user=user, problem=problem, now=NOW).pk)
        except Refused as refused:
            return str(refused.extra["attempt"])

    assert len(set(at_once(create, create, create))) == 1
    assert Attempt.objects.filter(user=user).count() == 1


@pytest.mark.django_db
def test_two_hundred_that_end_together_are_all_closed_with_their_own_time(asked: list[str]) -> None:
    attempts = [attempt for offset in range(4) for attempt in made(50, NOW + timedelta(microseconds=offset))]
    assert upkeep.sweep(now=at(HARD_CLOSE_S + 1)) == 200
    for attempt in Attempt.objects.all():
        assert attempt.started_at is not None and attempt.closed_at == attempt.started_at + timedelta(seconds=LIMIT_S)
    assert len(attempts) == 200 and upkeep.sweep(now=at(HARD_CLOSE_S + 2)) == 0


def test_one_that_cannot_be_checked_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = made(2)
    Attempt.objects.filter(pk=bad.pk).update(phases=[])
    assert upkeep.sweep(now=at(HARD_CLOSE_S)) == 1
    assert fresh(good).status == Status.CLOSED and fresh(bad).status == Status.OPEN
    assert str(bad.pk) in caplog.text and (fresh(bad).next_check_at or NOW) > at(HARD_CLOSE_S)


# --- grading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def graded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Attempts the grader was called for."""
    calls: list[str] = []
    monkeypatch.setattr(grading, "grade", lambda *, attempt, now: calls.append(str(attempt.pk)))
    return calls


@pytest.fixture
def closed(running: Attempt, user: User) -> Attempt:
    return lifecycle.attempt_submit(attempt=running, actor=user, now=at(1000))


def test_a_mock_is_graded_once_and_released_at_once(closed: Attempt, graded: list[str]) -> None:
    assert grading.attempt_grade(attempt_id=str(closed.pk), now=at(1001))
    assert not grading.attempt_grade(attempt_id=str(closed.pk), now=at(1500))
    row = fresh(closed)
    assert graded == [str(closed.pk)] and (row.status, row.released_at, row.grading_needed) == (Status.RELEASED, at(1001), False)
    assert kinds(row)[-2:] == ["graded", "released"]


def test_an_assigned_one_waits_for_its_release(closed: Attempt, graded: list[str], other: User) -> None:
    Attempt.objects.filter(pk=closed.pk).update(kind="assigned")
    grading.attempt_grade(attempt_id=str(closed.pk), now=at(1001))
    assert fresh(closed).status == Status.GRADED
    assert grading.attempt_release(attempt=closed, actor=other, now=at(2000)).released_at == at(2000)


def test_a_claim_holds_two_minutes_and_then_somebody_else_may(closed: Attempt, graded: list[str], asked: list[str]) -> None:
    Attempt.objects.filter(pk=closed.pk).update(status=Status.GRADING, grading_claimed_at=at(1010))
    for moment, expected in ((1129, []), (1130, [str(closed.pk)])):
        grading.grading_requeue(now=at(moment))
        assert asked == expected
    assert not grading.attempt_grade(attempt_id=str(closed.pk), now=at(1129))
    assert grading.attempt_grade(attempt_id=str(closed.pk), now=at(1130))


def test_a_request_that_was_lost_is_made_again(closed: Attempt, asked: list[str]) -> None:
    assert grading.grading_requeue(now=at(1029)) == 0
    assert grading.grading_requeue(now=at(1030)) == 1 and asked == [str(closed.pk)]


def test_a_grader_that_fails_leaves_the_attempt_to_be_tried_again(closed: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(grading, "grade", fail)
    with pytest.raises(ZeroDivisionError):
        grading.attempt_grade(attempt_id=str(closed.pk), now=at(1001))
    assert fresh(closed).grading_needed and fresh(closed).status == Status.GRADING


def test_what_is_void_by_then_stays_void(closed: Attempt, monkeypatch: pytest.MonkeyPatch, other: User) -> None:
    def void_meanwhile(*, attempt: Attempt, now: datetime) -> None:
        staff_ops.attempt_void(attempt=attempt, actor=other, reason="Wrong person", now=now)

    monkeypatch.setattr(grading, "grade", void_meanwhile)
    assert not grading.attempt_grade(attempt_id=str(closed.pk), now=at(1001))
    assert fresh(closed).status == Status.VOID


def test_a_regraded_reopened_attempt_is_not_graded_half_way(closed: Attempt, graded: list[str], other: User) -> None:
    staff_ops.attempt_reopen(attempt=closed, actor=other, reason="Mistake", now=at(1100))
    assert not grading.attempt_grade(attempt_id=str(closed.pk), now=at(1101))
    assert graded == []
