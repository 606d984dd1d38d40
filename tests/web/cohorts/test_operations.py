"""What proctors do with running interviews: what it does to each clock, who is skipped and why, what the log says."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.live.operations import OPERATIONS
from mlsd_app.cohorts.models import Audit, Role
from mlsd_app.cohorts.services import operations
from mlsd_app.interviews import lifecycle, staff_ops
from mlsd_app.interviews.hands import hand_raise
from mlsd_app.interviews.models import Adjust, Attempt, Event, Status, Stop
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import House, client_of
from tests.web.cohorts.live_bench import REASON, at, begun, crowd, left_s, limit_s, run, save

LIMIT_S = 2700


@pytest.fixture
def attempt(house: House) -> Attempt:
    return begun(house, house.learner)


@pytest.fixture
def slow(house: House) -> Attempt:
    """Of somebody who has 1.5 times the time."""
    return begun(house, house.other_learner, multiplier=1.5)


def url(house: House, name: str, *args: Any) -> str:
    return reverse(name, args=[house.cohort.pk, *args])


# --- the clock -------------------------------------------------------------------------------------------------------


def test_minutes_are_added_and_taken(house: House, attempt: Attempt, slow: Attempt) -> None:
    run(house, "add", [attempt, slow], args={"minutes": 5}, now=at(60))
    run(house, "add", [attempt], args={"minutes": -2.5}, now=at(61))
    assert (limit_s(attempt), limit_s(slow)) == (LIMIT_S + 150, 1.5 * LIMIT_S + 300)


def test_a_share_keeps_the_ratio_of_a_concession(house: House, attempt: Attempt, slow: Attempt) -> None:
    for percent in (10, -25, 33.3):
        before = limit_s(attempt), limit_s(slow)
        run(house, "percent", [attempt, slow], args={"percent": percent}, now=at(60))
        gained = limit_s(attempt) - before[0], limit_s(slow) - before[1]
        assert gained[1] == pytest.approx(1.5 * gained[0], abs=1)
    assert limit_s(slow) / limit_s(attempt) == pytest.approx(1.5, rel=1e-3)


@pytest.mark.parametrize("op, minutes", [("set_total", 30), ("set_total", 60), ("set_remaining", 5), ("set_remaining", 50)])
def test_what_is_set_is_what_there_is(house: House, attempt: Attempt, slow: Attempt, op: str, minutes: float) -> None:
    now = at(600)
    seen = {
        outcome.attempt.pk: outcome.before.clock_seq
        for outcome in run(house, op, [attempt, slow], args={"minutes": minutes}, now=now, dry_run=True)
    }
    run(house, op, [attempt, slow], args={"minutes": minutes}, now=now, seen={str(pk): seq for pk, seq in seen.items()})
    for row in (attempt, slow):
        found = left_s(row, now) if op == "set_remaining" else limit_s(row)
        assert found == pytest.approx(60 * minutes, abs=1)


def test_time_taken_never_goes_below_now(house: House, attempt: Attempt) -> None:
    (outcome,) = run(house, "add", [attempt], args={"minutes": -200}, now=at(600.4))
    assert outcome.after is not None and outcome.after.remaining_s in (0, 1)
    assert limit_s(attempt) >= 600


def test_two_proctors_at_once_both_apply(house: House, attempt: Attempt) -> None:
    other = By(house.people["instructor"])
    run(house, "add", [attempt], args={"minutes": 3}, now=at(60))
    run(house, "add", [attempt], args={"minutes": 4}, now=at(60), by=other)
    assert limit_s(attempt) == LIMIT_S + 420
    entries = Audit.objects.filter(action="proctor.add")
    assert {row.actor_id for row in entries} == {house.owner.pk, other.user.pk} and entries.count() == 2


def test_what_is_left_is_set_from_the_clock_one_saw(house: House, attempt: Attempt, slow: Attempt) -> None:
    """Somebody adds five minutes to one of them in between: that one is skipped with 409, the other one is set."""
    seen = {str(row.pk): Attempt.objects.get(pk=row.pk).clock_seq for row in (attempt, slow)}
    run(house, "add", [attempt], args={"minutes": 5}, now=at(61))
    outcomes = run(house, "set_remaining", [attempt, slow], args={"minutes": 10}, now=at(62), seen=seen)
    assert [(outcome.status, outcome.code) for outcome in outcomes] == [(409, "clock_changed"), (200, "done")]
    assert limit_s(attempt) == LIMIT_S + 300 and left_s(slow, at(62)) == pytest.approx(600, abs=1)
    with pytest.raises(InvalidInput, match="clock"):
        run(house, "set_remaining", [attempt], args={"minutes": 10}, now=at(63))


def test_the_limit_is_removed(house: House, attempt: Attempt) -> None:
    (outcome,) = run(house, "remove_limit", [attempt], now=at(60))
    assert outcome.after is not None and outcome.after.limit_s is None and outcome.after.remaining_s is None
    (again,) = run(house, "remove_limit", [attempt], now=at(61))
    assert (again.status, again.code) == (409, "no_limit")


def test_a_stop_by_staff_holds_until_staff_end_it(house: House, attempt: Attempt) -> None:
    run(house, "pause", [attempt], now=at(100))
    assert left_s(attempt, at(400)) == LIMIT_S - 100
    assert run(house, "pause", [attempt], now=at(400))[0].code == "unchanged"
    run(house, "resume", [attempt], now=at(400))
    assert left_s(attempt, at(500)) == LIMIT_S - 200
    assert run(house, "resume", [attempt], now=at(501))[0].code == "unchanged"


# --- an outage -------------------------------------------------------------------------------------------------------


def outage(begin_s: float, end_s: float) -> dict[str, Any]:
    return {"begin": at(begin_s), "end": at(end_s)}


def test_an_outage_is_credited_from_each_start_and_never_twice(house: House, attempt: Attempt, slow: Attempt) -> None:
    """One ran all through, one was paused for half of it, one was started in it, one after it."""
    late, later = (begun(house, house.add(name, Role.LEARNER), start_s=start) for name, start in (("late", 700.0), ("later", 950.0)))
    staff_ops.staff_pause(attempt=slow, actor=house.owner, reason=REASON, now=at(750))
    staff_ops.staff_resume(attempt=slow, actor=house.owner, now=at(1000))
    rows = [attempt, slow, late, later]
    before = [left_s(row, at(1200)) for row in rows]
    outcomes = run(house, "outage", rows, args=outage(600, 900), now=at(1200))
    gained = [(left_s(row, at(1200)) or 0) - (was or 0) for row, was in zip(rows, before, strict=True)]
    assert gained == pytest.approx([300, 150, 200, 0])
    assert [outcome.code for outcome in outcomes] == ["done", "done", "done", "not_running_then"]
    run(house, "outage", [attempt], args=outage(600, 900), now=at(1201))
    assert (left_s(attempt, at(1200)) or 0) - (before[0] or 0) == pytest.approx(300), "the union counts"


@pytest.mark.parametrize("begin, end, field", [(-60, 100, "begin"), (100, 700, "end"), (300, 200, "")])
def test_an_outage_that_cannot_have_been_is_refused_for_all(house: House, attempt: Attempt, begin: float, end: float, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        run(house, "outage", [attempt], args=outage(begin, end), now=at(600))
    assert refused.value.field == (field or "args") and not Stop.objects.exists()


# --- ends ------------------------------------------------------------------------------------------------------------


def test_ended_reopened_and_made_void(house: House, attempt: Attempt) -> None:
    run(house, "expire", [attempt], now=at(600))
    assert Attempt.objects.get(pk=attempt.pk).status == Status.CLOSED
    (outcome,) = run(house, "reopen", [attempt], args={"minutes": 10}, now=at(900))
    assert outcome.after is not None and outcome.after.state == "running"
    assert left_s(attempt, at(900)) == pytest.approx(LIMIT_S - 600 + 600, abs=1)
    run(house, "void", [attempt], now=at(1000))
    assert Attempt.objects.get(pk=attempt.pk).status == Status.VOID


def test_one_that_closed_meanwhile_is_skipped_and_the_others_proceed(house: House, attempt: Attempt, slow: Attempt) -> None:
    lifecycle.attempt_submit(attempt=attempt, actor=house.learner, now=at(60))
    outcomes = run(house, "add", [attempt, slow], args={"minutes": 5}, now=at(61))
    assert [(outcome.status, outcome.before.state) for outcome in outcomes] == [(409, "closed"), (200, "running")]
    assert outcomes[0].words and limit_s(attempt) == LIMIT_S and limit_s(slow) == 1.5 * LIMIT_S + 300
    assert Audit.objects.filter(action="proctor.add").count() == 1


# --- events and messages ---------------------------------------------------------------------------------------------


def test_a_message_reaches_each_and_an_event_once(house: House, attempt: Attempt, slow: Attempt) -> None:
    run(house, "message", [attempt, slow], args={"text": "Ten minutes until lunch."}, now=at(60))
    assert {event.data["text"] for event in Event.objects.filter(kind="message")} == {"Ten minutes until lunch."}
    assert Event.objects.filter(kind="message").count() == 2
    key = attempt.content["interviewer"]["curveballs"][0]["key"]
    assert run(house, "curveball", [attempt], args={"key": key}, now=at(61))[0].done
    assert run(house, "curveball", [attempt], args={"key": key}, now=at(62))[0].code == "thrown_before"
    assert run(house, "curveball", [attempt], args={"key": "no-such"}, now=at(63))[0].status == 422


# --- preview, reason, log --------------------------------------------------------------------------------------------


ARGS: dict[str, dict[str, Any]] = {
    "add": {"minutes": 5},
    "percent": {"percent": 10},
    "set_remaining": {"minutes": 10},
    "set_total": {"minutes": 60},
    "outage": {"begin": at(100), "end": at(200)},
    "message": {"text": "Hello."},
    "curveball": {"key": "?"},
}


@pytest.mark.parametrize("op", sorted(OPERATIONS))
def test_a_preview_says_what_comes_and_changes_nothing(house: House, attempt: Attempt, op: str) -> None:
    if op == "resume":
        staff_ops.staff_pause(attempt=attempt, actor=house.owner, reason=REASON, now=at(200))
    if op == "hand_down":
        hand_raise(attempt=attempt, raised=True, actor=house.learner, now=at(200))
    if OPERATIONS[op].of_closed:
        staff_ops.attempt_expire(attempt=attempt, actor=house.owner, reason=REASON, now=at(200))
    args = {"key": attempt.content["interviewer"]["curveballs"][0]["key"]} if op == "curveball" else ARGS.get(op, {})
    before = _everything(attempt)
    (preview,) = run(house, op, [attempt], args=args, now=at(300), dry_run=True)
    assert preview.done and _everything(attempt) == before
    seen = {str(attempt.pk): preview.before.clock_seq}
    (outcome,) = run(house, op, [attempt], args=args, now=at(300), seen=seen)
    assert (outcome.before, outcome.after) == (preview.before, preview.after)
    entry = Audit.objects.get(action=f"proctor.{op}")
    assert (entry.reason, entry.object_id, entry.actor_id) == (REASON, str(attempt.pk), house.owner.pk)
    if outcome.before != outcome.after:
        assert entry.before and entry.after


def _everything(attempt: Attempt) -> Any:
    row = Attempt.objects.filter(pk=attempt.pk).values().get()
    return row, Event.objects.count(), Audit.objects.count(), Adjust.objects.count(), list(Stop.objects.values())


@pytest.mark.parametrize("reason", ["", "   ", "\0", "x" * 501])
def test_without_a_reason_nothing_is_done(house: House, attempt: Attempt, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        run(house, "add", [attempt], args={"minutes": 5}, reason=reason, now=at(60))
    assert refused.value.field == "reason" and limit_s(attempt) == LIMIT_S


@pytest.mark.parametrize(
    "op, args",
    [
        ("add", {}),
        ("add", {"minutes": "many"}),
        ("add", {"minutes": float("nan")}),
        ("add", {"minutes": 241}),
        ("add", {"minutes": 5, "hours": 1}),
        ("percent", {"percent": 101}),
        ("set_total", {"minutes": 0}),
        ("outage", {"begin": "yesterday", "end": "today"}),
        ("outage", {"begin": "2026-03-02T12:00:00", "end": "2026-03-02T12:01:00"}),
        ("message", {"text": ""}),
        ("no-such", {}),
    ],
)
def test_arguments_that_do_not_fit_are_refused(house: House, attempt: Attempt, op: str, args: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        run(house, op, [attempt], args=args, now=at(60))


# --- who and which ---------------------------------------------------------------------------------------------------


def test_nobody_gives_himself_time(house: House) -> None:
    instructor = house.people["instructor"]
    house.member(instructor)
    own = begun(house, house.learner)
    Attempt.objects.filter(pk=own.pk).update(user=instructor)
    own.assigned.user = instructor
    own.assigned.save()
    (outcome,) = run(house, "add", [own], args={"minutes": 5}, now=at(60), by=By(instructor))
    assert (outcome.status, outcome.code) == (403, "own") and limit_s(own) == LIMIT_S


def test_all_are_those_the_operation_is_for(house: House, attempt: Attempt, slow: Attempt) -> None:
    lifecycle.attempt_submit(attempt=attempt, actor=house.learner, now=at(60))
    chosen = {
        closed: operations.attempts_chosen(user=house.owner, cohort=house.cohort, chosen=None, of_closed=closed) for closed in (False, True)
    }
    assert [row.pk for row in chosen[False]] == [slow.pk] and [row.pk for row in chosen[True]] == [attempt.pk]
    with pytest.raises(operations.UnknownAttempt):
        operations.attempts_chosen(user=house.owner, cohort=house.cohort, chosen=[slow.pk, uuid4()], of_closed=False)
    with pytest.raises(operations.UnknownAttempt):
        operations.attempts_chosen(user=house.people["stranger"], cohort=house.elsewhere, chosen=[slow.pk], of_closed=False)
    with pytest.raises(InvalidInput):
        operations.attempts_chosen(user=house.people["stranger"], cohort=house.elsewhere, chosen=None, of_closed=False)


@pytest.mark.slow
def test_two_hundred_interviews_at_once(house: House) -> None:
    """Three seconds on a core of its own; a shared one takes up to twice as long. So many queries it is whatever the machine does."""
    attempts = crowd(house, 201)
    with CaptureQueriesContext(connection) as queries:
        run(house, "add", attempts[:1], args={"minutes": 5}, now=at(60))
    begin = time.process_time()
    outcomes = run(house, "add", attempts[1:], args={"minutes": 5}, now=at(60))
    spent_s = time.process_time() - begin
    assert all(outcome.done for outcome in outcomes) and {limit_s(row) for row in attempts[:3]} == {LIMIT_S + 300}
    assert Audit.objects.filter(action="proctor.add").count() == 201
    assert len(queries) <= 32 and spent_s <= 6.0, f"{spent_s:.2f} s"


# --- pages and API ---------------------------------------------------------------------------------------------------


def test_form_preview_and_doing_it_once(house: House) -> None:
    now = timezone.now()
    row = begun(house, house.learner)
    Attempt.objects.filter(pk=row.pk).update(started_at=now - timedelta(seconds=60), next_check_at=now + timedelta(seconds=60))
    client, address = client_of(house.people["instructor"]), url(house, "cohorts:live_operate")
    chosen = {"op": "add", "attempt": [str(row.pk)]}
    page = client.post(address, chosen)
    assert page.status_code == 200 and "Reason" in page.content.decode()
    empty = client.post(address, {**chosen, "step": "apply", "minutes": "5", "reason": ""})
    assert empty.status_code == 422 and limit_s(row) == LIMIT_S
    preview = client.post(address, {**chosen, "step": "preview", "minutes": "5", "reason": REASON})
    token = preview.context["chosen"].token
    assert (
        preview.status_code == 200
        and limit_s(row) == LIMIT_S
        and "45:00" in preview.content.decode()
        and "50:00" in preview.content.decode()
    )
    done = client.post(address, {**chosen, "step": "apply", "minutes": "5", "reason": REASON, "token": token})
    assert done.status_code == 200 and "Done for 1 of 1" in done.content.decode() and limit_s(row) == LIMIT_S + 300
    again = client.post(address, {**chosen, "step": "apply", "minutes": "5", "reason": REASON, "token": token})
    assert again.status_code == 409 and limit_s(row) == LIMIT_S + 300


def test_the_api_previews_does_and_skips(house: House) -> None:
    now = timezone.now()
    row = begun(house, house.learner)
    Attempt.objects.filter(pk=row.pk).update(started_at=now - timedelta(seconds=60), next_check_at=now + timedelta(seconds=60))
    client, address = client_of(house.people["instructor"]), url(house, "api:cohort_operations")
    body = {"op": "set_remaining", "attempts": "all", "args": {"minutes": 10}, "reason": REASON}

    def post(**changes: Any) -> Any:
        return client.post(address, {**body, **changes}, content_type="application/json")

    preview = post(dry_run=True).json()
    assert preview["dry_run"] and preview["results"][0]["after"]["remaining_s"] == pytest.approx(600, abs=2) and limit_s(row) == LIMIT_S
    assert post().status_code == 422, "which clock?"
    seen = {result["attempt"]: result["before"]["clock_seq"] for result in preview["results"]}
    (done,) = post(clock_seq=seen).json()["results"]
    assert done["status"] == 200 and left_s(row, timezone.now()) == pytest.approx(600, abs=5)
    (late,) = post(clock_seq=seen).json()["results"]
    assert (late["status"], late["code"]) == (409, "clock_changed")
    assert post(attempts=[str(uuid4())]).status_code == 404
    assert post(attempts="some").status_code == 422 and post(reason="").status_code == 422
    assert client_of(house.people["observer"]).post(address, body, content_type="application/json").status_code == 403


def test_what_was_written_stays_whatever_is_done_to_the_clock(house: House, attempt: Attempt) -> None:
    save(attempt, "text/clarify", "Recall first.", at(30))
    for op, args in (("add", {"minutes": -60}), ("pause", {}), ("resume", {}), ("expire", {}), ("reopen", {"minutes": 5}), ("void", {})):
        run(house, op, [attempt], args=args, now=at(60))
    assert attempt.answers.get(field="text/clarify").content == "Recall first."
