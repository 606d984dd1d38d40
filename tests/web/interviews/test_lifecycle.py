"""What a candidate may do with an attempt, what is refused and with which words for programs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from mlsd_app.accounts.export import export_document
from mlsd_app.accounts.merge import guest_merge
from mlsd_app.accounts.models import Accommodation, User
from mlsd_app.accounts.services import guest_create
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.models import Attempt, Reason, Status, Verdict
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import attempts_of, clock_in, clock_of, state_of, with_clock
from problems.schema import Problem
from simulators.errors import InvalidInput
from simulators.registry import labs_of
from tests.web.interviews.conftest import LIMIT_S, NOW, at


def refused(code: str, status: int) -> Any:
    return pytest.raises(Refused, check=lambda error: (error.code, error.status) == (code, status))


# --- making one ------------------------------------------------------------------------------------------------------


def test_a_person_has_one_live_attempt_a_problem(ready: Attempt, user: User, other: User, problem: Problem) -> None:
    with refused("live_attempt_exists", 409) as found:
        lifecycle.attempt_create(user=user, problem=problem, now=at(60))
    assert found.value.extra == {"attempt": str(ready.pk)}
    assert lifecycle.attempt_create(user=other, problem=problem, now=at(60)).user == other


def test_what_a_guest_brings_along_waits_until_the_one_that_runs_is_over(running: Attempt, user: User, problem: Problem) -> None:
    guest = guest_create()
    brought = lifecycle.attempt_create(user=guest, problem=problem, now=at(10))
    guest_merge(guest=guest, into=user)
    brought.refresh_from_db()
    with refused("live_attempt_exists", 409) as found:
        lifecycle.attempt_start(attempt=brought, actor=user, now=at(20))
    assert found.value.extra == {"attempt": str(running.pk)}
    assert lifecycle.attempt_start(attempt=running, actor=user, now=at(30)).started_at == NOW, "a second start changes nothing still"
    assert lifecycle.attempt_start(attempt=brought, actor=user, now=at(LIMIT_S + 60)).status == Status.OPEN


def test_an_overdue_attempt_does_not_stand_in_the_way_of_the_next(running: Attempt, user: User, problem: Problem) -> None:
    again = lifecycle.attempt_create(user=user, problem=problem, now=at(LIMIT_S + 60), reattempt_of=running)
    running.refresh_from_db()
    assert (running.status, running.closed_at) == (Status.CLOSED, at(LIMIT_S))
    assert again.status == Status.READY and again.reattempt_of == running


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"mode": "lax"}, "mode"),
        ({"level": "principal"}, "level"),
        ({"preset": "nine_step"}, "preset"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"overtime_s": -1}, "overtime_s"),
        ({"preset": "compact", "total_s": 60}, "total"),
        ({"opens_at": at(60), "closes_at": at(0)}, "closes_at"),
    ],
)
def test_values_that_do_not_fit_are_told_with_their_field(user: User, problem: Problem, values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as found:
        lifecycle.attempt_create(user=user, problem=problem, now=NOW, **values)
    assert found.value.field == field
    assert not attempts_of(user=user).exists()


def test_a_mock_takes_the_persons_own_accommodation_and_an_assigned_one_what_it_is_given(user: User, problem: Problem) -> None:
    Accommodation.objects.create(user=user, multiplier=1.5, extra_s=300, break_s=600, hide_timer=True)
    mock = lifecycle.attempt_create(user=user, problem=problem, now=NOW)
    assert state_of(mock, NOW).limit_s == LIMIT_S * 1.5 + 300
    assert mock.pause_policy == {"count": 1, "cap_s": 180, "hide_text": True, "break_s": 600}
    assert mock.accommodation["hide_timer"] and not mock.accommodation["keyboard_canvas"]
    staff_ops.attempt_void(attempt=mock, actor=user, reason="Made twice", now=NOW)
    assigned = lifecycle.attempt_create(user=user, problem=problem, now=NOW, kind="assigned", multiplier=2.0)
    assert state_of(assigned, NOW).limit_s == LIMIT_S * 2
    assert assigned.pause_policy["count"] == 0 and assigned.accommodation == {}


def test_late_text_comes_with_two_minutes_of_overtime(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, overdue_policy="grace")
    assert attempt.overtime_s == 120


# --- the plan and the start ------------------------------------------------------------------------------------------


def budgets(attempt: Attempt, **changed: int) -> list[dict[str, Any]]:
    return [{"key": phase["key"], "budget_s": changed.get(phase["key"], phase["budget_s"])} for phase in attempt.phases]


def test_the_plan_moves_minutes_between_phases_and_keeps_their_sum(ready: Attempt, user: User) -> None:
    planned = lifecycle.attempt_plan(attempt=ready, phases=budgets(ready, clarify=240, deep_dive=960), now=NOW)
    assert planned.plan_stated and planned.phases[0]["budget_s"] == 240 and planned.phases[0]["tags"] == ["clarify"]
    for wrong in (budgets(ready, clarify=600), budgets(ready)[1:], budgets(ready, clarify=30, deep_dive=1170)):
        with pytest.raises(InvalidInput):
            lifecycle.attempt_plan(attempt=ready, phases=wrong, now=NOW)
    lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
    with refused("wrong_state", 409):
        lifecycle.attempt_plan(attempt=ready, phases=budgets(planned), now=NOW)


def test_the_start_freezes_content_and_happens_once(ready: Attempt, user: User) -> None:
    first = lifecycle.attempt_start(attempt=ready, actor=user, now=NOW)
    again = lifecycle.attempt_start(attempt=ready, actor=user, now=at(5))
    assert again.started_at == first.started_at == NOW
    assert {"interviewer", "rubric", "values", "deep_dive"} == set(again.content)
    asked = again.content["interviewer"]
    assert again.content["deep_dive"] in [deep_dive["key"] for deep_dive in asked["deep_dives"]]
    assert set(again.content["values"]) == {fact["id"] for fact in asked["facts"] if fact["choices"]}
    assert again.rubric_version == again.content["rubric"]["version"] and len(again.content_hash) == 64
    assert set(again.lab_versions) == {lab.slug for lab in labs_of(again.problem)}
    assert [event.kind for event in again.events.all()] == ["created", "start"]


def test_outside_its_window_nothing_starts(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, opens_at=at(60), closes_at=at(600))
    with refused("window", 403):
        lifecycle.attempt_start(attempt=attempt, actor=user, now=at(59))
    with refused("window", 403):
        lifecycle.attempt_start(attempt=attempt, actor=user, now=at(600))
    attempt.refresh_from_db()
    assert (attempt.status, attempt.reason, attempt.closed_at, attempt.grading_needed) == (Status.CLOSED, Reason.WINDOW, at(600), False)


# --- moving ----------------------------------------------------------------------------------------------------------


def test_soft_moves_go_both_ways_and_are_logged(running: Attempt, user: User) -> None:
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(100))
    row = lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(250))
    assert state_of(row, at(300)).phase_spent_s == (100, 50, 0, 150, 0)
    assert [(move.from_phase, move.to_phase) for move in row.moves.all()] == [(0, 3), (3, 1)]
    with pytest.raises(InvalidInput):
        lifecycle.attempt_move(attempt=running, to_phase=5, actor=user, now=at(300))


def test_strict_goes_forward_only(user: User, problem: Problem) -> None:
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW, mode="strict")
    attempt = lifecycle.attempt_start(attempt=attempt, actor=user, now=NOW)
    lifecycle.attempt_move(attempt=attempt, to_phase=2, actor=user, now=at(100))
    with refused("phase_frozen", 423):
        lifecycle.attempt_move(attempt=attempt, to_phase=1, actor=user, now=at(110))


def test_a_move_to_where_one_is_changes_nothing(running: Attempt, user: User) -> None:
    row = lifecycle.attempt_move(attempt=running, to_phase=0, actor=user, now=at(10))
    assert not row.moves.exists() and row.clock_seq == running.clock_seq


# --- pausing ---------------------------------------------------------------------------------------------------------


def test_a_mock_has_one_pause_which_ends_by_itself(running: Attempt, user: User) -> None:
    row = lifecycle.attempt_pause(attempt=running, actor=user, now=at(100))
    assert lifecycle.attempt_pause(attempt=running, actor=user, now=at(101)).stops.count() == 1
    assert state_of(row, at(250)).state == "paused"
    with refused("paused", 423):
        lifecycle.attempt_move(attempt=row, to_phase=1, actor=user, now=at(250))
    assert state_of(row, at(300)).active_s == 120
    with refused("no_pause_left", 409):
        lifecycle.attempt_pause(attempt=row, actor=user, now=at(300))


def test_breaks_share_one_budget_however_often_they_are_taken(user: User, problem: Problem) -> None:
    Accommodation.objects.create(user=user, break_s=300)
    attempt = lifecycle.attempt_start(attempt=lifecycle.attempt_create(user=user, problem=problem, now=NOW), actor=user, now=NOW)
    lifecycle.attempt_pause(attempt=attempt, actor=user, now=at(100), kind="break")
    lifecycle.attempt_resume(attempt=attempt, actor=user, now=at(200))
    lifecycle.attempt_pause(attempt=attempt, actor=user, now=at(300), kind="break")
    assert attempt.stops.last().cap_s == 200  # type: ignore[union-attr]
    with refused("no_pause_left", 409):
        lifecycle.attempt_pause(attempt=attempt, actor=user, now=at(501), kind="break")
    assert state_of(attempt, at(501)).active_s == 201


def test_staff_stop_the_clock_and_only_staff_start_it(running: Attempt, user: User, other: User) -> None:
    staff_ops.staff_pause(attempt=running, actor=other, reason="Fire alarm", now=at(100))
    with refused("paused_by_staff", 423):
        lifecycle.attempt_resume(attempt=running, actor=user, now=at(150))
    row = staff_ops.staff_resume(attempt=running, actor=other, now=at(400))
    assert state_of(row, at(500)).active_s == 200


def test_every_change_of_the_clock_raises_its_number(running: Attempt, user: User, other: User) -> None:
    def seq(row: Attempt) -> int:
        row.refresh_from_db()
        return row.clock_seq

    seen = [seq(running)]
    for change in (
        lambda: lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(10)),
        lambda: lifecycle.attempt_pause(attempt=running, actor=user, now=at(20)),
        lambda: lifecycle.attempt_resume(attempt=running, actor=user, now=at(30)),
        lambda: staff_ops.adjust_add(attempt=running, seconds=60, from_phase=0, actor=other, reason="Late start", now=at(40)),
        lambda: staff_ops.outage_credit(attempt=running, begin=at(31), end=at(35), actor=other, reason="Network", now=at(50)),
        lambda: staff_ops.staff_pause(attempt=running, actor=other, reason="Alarm", now=at(60)),
        lambda: lifecycle.attempt_submit(attempt=running, actor=user, now=at(70)),
    ):
        change()
        seen.append(seq(running))
    assert seen == sorted(set(seen)), "a page would keep an older clock"


# --- over JSON -------------------------------------------------------------------------------------------------------


def post(client: Client, attempt: Attempt, name: str, **body: Any) -> Any:
    return client.post(reverse(f"interviews:{name}", args=[attempt.pk]), json.dumps(body), content_type="application/json")


def test_a_sitting_over_json(mine: Client, ready: Attempt) -> None:
    assert post(mine, ready, "attempt_start").json()["clock"]["state"] == "running"
    assert post(mine, ready, "move", to=2).json()["clock"]["phase"] == 2
    assert post(mine, ready, "pause").json()["clock"]["state"] == "paused"
    resumed = post(mine, ready, "resume").json()["clock"]
    assert resumed["state"] == "running" and 0 < resumed["remaining_ms"] <= LIMIT_S * 1000
    first, again = post(mine, ready, "submit").json(), post(mine, ready, "submit").json()
    assert first["status"] == "closed" and first["clock"]["writable"] == []
    assert (first["clock"].pop("server_time"), first)[1] == (again["clock"].pop("server_time"), again)[1]
    refusal = post(mine, ready, "move", to=1)
    assert refusal.status_code == 409 and refusal["Content-Type"] == "application/problem+json"
    assert refusal.json()["code"] == "wrong_state" and refusal.json()["detail"]


@pytest.mark.parametrize("body", [b"[1]", b"{", b'{"to": true}', b'{"to": "1"}', b"\xff"])
def test_a_body_that_makes_no_sense_is_told_so(mine: Client, ready: Attempt, body: bytes) -> None:
    post(mine, ready, "attempt_start")
    answer = mine.post(reverse("interviews:move", args=[ready.pk]), body, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["code"] == "invalid"


@pytest.mark.parametrize("name", ["clock", "attempt_start", "submit", "move", "pause", "resume", "stream"])
def test_somebody_elses_attempt_is_not_there(client: Client, other: User, ready: Attempt, name: str) -> None:
    for sign_in in (False, True):
        if sign_in:
            client.force_login(other)
        address = reverse(f"interviews:{name}", args=[ready.pk])
        answer = client.get(address) if name in ("clock", "stream") else post(client, ready, name, to=1)
        assert answer.status_code == 404 and answer.json()["code"] == "not_found"
    ready.refresh_from_db()
    assert ready.status == Status.READY


def test_the_clock_is_one_query_beyond_who_asks(
    mine: Client, running: Attempt, user: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Attempt.objects.filter(pk=running.pk).update(next_check_at=running.started_at + timedelta(days=9999))  # type: ignore[operator]
    running.moves.create(at=at(10), from_phase=0, to_phase=1)
    running.stops.create(kind="pause", begin=at(20), end=at(50))
    with django_assert_num_queries(3):  # session, user, attempt with its clock
        assert mine.get(reverse("interviews:clock", args=[running.pk])).status_code == 200


def test_the_clock_read_in_one_query_is_the_clock(running: Attempt, user: User, other: User) -> None:
    lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(10.123456))
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(20.5))
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(30.000001))
    staff_ops.adjust_add(attempt=running, seconds=-60, from_phase=2, actor=other, reason="Began early", now=at(40))
    staff_ops.staff_pause(attempt=running, actor=other, reason="Alarm", now=at(60))
    running.refresh_from_db()
    read = clock_in(with_clock(attempts_of(user=user)).get(pk=running.pk))
    assert read == clock_of(running)
    fresh = clock_in(with_clock(attempts_of(user=user)).get(pk=running.pk))
    assert fresh.stops and fresh.moves and fresh.adjusts


# --- a guest signs in to an account ----------------------------------------------------------------------------------


def test_a_guests_attempts_move_into_the_account_whole(user: User, problem: Problem) -> None:
    guest = guest_create()
    theirs = lifecycle.attempt_start(attempt=lifecycle.attempt_create(user=guest, problem=problem, now=NOW), actor=guest, now=NOW)
    lifecycle.attempt_move(attempt=theirs, to_phase=2, actor=guest, now=at(60))
    own = lifecycle.attempt_create(user=user, problem=problem, now=NOW)
    before = list(theirs.events.values_list("seq", "kind", "active_ms"))
    Accommodation.objects.create(user=guest, multiplier=2.0)
    guest_merge(guest=guest, into=user)
    theirs.refresh_from_db()
    assert theirs.user == user and {attempt.pk for attempt in attempts_of(user=user)} == {own.pk, theirs.pk}
    assert list(theirs.events.values_list("seq", "kind", "active_ms")) == before and theirs.moves.count() == 1
    assert {event.actor for event in theirs.events.all()} == {user}
    assert lifecycle.attempt_submit(attempt=theirs, actor=user, now=at(90)).status == Status.CLOSED
    assert Accommodation.objects.get(user=user).multiplier == 2.0


@pytest.mark.django_db(transaction=True)
def test_the_export_of_an_account_keeps_what_was_not_asked_for(running: Attempt, user: User) -> None:
    Verdict.objects.create(attempt=running, rule_version=1, level="senior", state="auto", score=61)

    async def exported() -> dict[str, Any]:
        found: dict[str, Any] = json.loads("".join([piece async for piece in export_document(user)]))["data"]
        return found

    data = async_to_sync(exported)()
    [row] = data["interviews.attempt"]
    assert row["id"] == str(running.pk) and "content" not in row and data["interviews.verdict"] == []
    assert [event["kind"] for event in data["interviews.event"]] == ["created", "start"]
    Attempt.objects.filter(pk=running.pk).update(status=Status.RELEASED)
    assert [verdict["score"] for verdict in async_to_sync(exported)()["interviews.verdict"]] == [61]
