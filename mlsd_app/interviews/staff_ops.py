"""What staff do with somebody's attempt. Who may is decided by the caller; each operation writes an event with actor and reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.closing import check_later, clock_changed, close, grade_after_commit
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.lifecycle import open_attempt
from mlsd_app.interviews.models import Attempt, Reason, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import clock_of, live_attempt, state_of
from simulators.errors import InvalidInput

MAX_ADJUST_S = 4 * 3600
MAX_REASON = 500


def _checked_reason(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > MAX_REASON:
        raise InvalidInput(f"Give a reason of 1 to {MAX_REASON} characters; this one has {len(reason)}.", field="reason")
    return reason


# --- time given and taken ------------------------------------------------------------------------------------------------


def adjust_add(
    *,
    attempt: Attempt,
    seconds: int,
    from_phase: int,
    actor: User,
    reason: str,
    now: datetime,
    asked: Mapping[str, Any] | None = None,
    seen_seq: int | None = None,
) -> Attempt:
    """Seconds more or less from phase `from_phase` on; never so few that the deadline would lie before `now`.

    asked     what was asked for, kept beside what took effect; {"seconds": ...} if not given
    seen_seq  the number of the clock the seconds were reckoned from: Refused `clock_changed` (409) when it has changed since
    """
    reason = _checked_reason(reason)
    if not 0 < abs(seconds) <= MAX_ADJUST_S:
        raise InvalidInput(f"{seconds} s were given; expected 1 to {MAX_ADJUST_S}, with a minus to take time away.", field="seconds")
    if not 0 <= from_phase < len(attempt.phases):
        raise InvalidInput(f"Phase {from_phase} was given; this interview has 0 to {len(attempt.phases) - 1}.", field="from_phase")
    with open_attempt(attempt=attempt, now=now) as (row, state):
        if row.mode == "free":
            raise Refused("no_limit", "This interview has no limit; there is nothing to add to.", 409)
        if seen_seq not in (None, row.clock_seq):
            raise Refused("clock_changed", "The clock was changed meanwhile; look at it again.", 409)
        effective = max(seconds, -max(0, math.floor(state.limit_s - state.active_s)))
        _adjust(row, effective, from_phase, actor, reason, now, asked or {"seconds": seconds}, state)
    return row


def adjust_percent(*, attempt: Attempt, percent: float, from_phase: int, actor: User, reason: str, now: datetime) -> Attempt:
    """So many percent of the person's own limit, accommodation included: whoever has 1.5 times the time gets 1.5 times the minutes."""
    if not 0 < abs(percent) <= 100:
        raise InvalidInput(f"{percent:g} percent were given; expected 1 to 100, with a minus to take time away.", field="percent")
    seconds = round(clock_of(attempt).granted_s * percent / 100)
    return adjust_add(
        attempt=attempt, seconds=seconds, from_phase=from_phase, actor=actor, reason=reason, now=now, asked={"percent": percent}
    )


def _adjust(
    row: Attempt, seconds: int, from_phase: int, actor: User, reason: str, now: datetime, asked: Mapping[str, Any], state: ClockState
) -> None:
    """`state`: the clock before; the event stands where the candidate was then."""
    row.adjusts.create(from_phase=from_phase, seconds=seconds, asked=dict(asked), actor=actor, reason=reason, at=now)
    clock_changed(attempt=row)
    data = {"seconds": seconds, "from_phase": from_phase, "asked": dict(asked), "reason": reason}
    event_add(attempt=row, kind="adjust", now=now, actor=actor, data=data, state=state)


def limit_remove(*, attempt: Attempt, actor: User, reason: str, now: datetime) -> Attempt:
    """The clock counts up from now on; only a window that closes still ends the attempt."""
    reason = _checked_reason(reason)
    with open_attempt(attempt=attempt, now=now) as (row, _):
        if row.mode != "free":
            asked = {"limit": None, "mode": row.mode}
            row.mode = "free"
            row.save(update_fields=["mode"])
            clock_changed(attempt=row)
            event_add(attempt=row, kind="adjust", now=now, actor=actor, data={"asked": asked, "reason": reason})
    return row


def outage_credit(*, attempt: Attempt, begin: datetime, end: datetime, actor: User, reason: str, now: datetime) -> Attempt:
    """The clock did not run from `begin` to `end`; what was stopped then anyway is not given twice.

    InvalidInput when the interval begins before the start, ends in the future or is empty.
    """
    reason = _checked_reason(reason)
    with open_attempt(attempt=attempt, now=now) as (row, before):
        if row.started_at is None or begin < row.started_at:
            raise InvalidInput(f"The outage begins at {begin:%H:%M:%S}, before this interview was started.", field="begin")
        if not begin < end <= now:
            raise InvalidInput(f"The outage ends at {end:%H:%M:%S}; expected a moment after its begin and not after now.", field="end")
        row.stops.create(kind="outage", begin=begin, end=end, actor=actor, reason=reason)
        clock_changed(attempt=row)
        credited_s = before.active_s - state_of(row, now).active_s
        data = {"begin": begin.isoformat(), "end": end.isoformat(), "credited_s": credited_s, "reason": reason}
        event_add(attempt=row, kind="outage", now=now, actor=actor, data=data)
    return row


# --- stopping the clock --------------------------------------------------------------------------------------------------


def staff_pause(*, attempt: Attempt, actor: User, reason: str, now: datetime) -> Attempt:
    """Stops the clock until `staff_resume`, also on top of the candidate's own pause. Stopped already: nothing happens."""
    reason = _checked_reason(reason)
    with open_attempt(attempt=attempt, now=now) as (row, _):
        if not row.stops.filter(kind="staff", end=None).exists():
            row.stops.create(kind="staff", begin=now, actor=actor, reason=reason)
            clock_changed(attempt=row)
            event_add(attempt=row, kind="pause", now=now, actor=actor, data={"kind": "staff", "reason": reason})
    return row


def staff_resume(*, attempt: Attempt, actor: User, now: datetime) -> Attempt:
    with open_attempt(attempt=attempt, now=now) as (row, _):
        if row.stops.filter(kind="staff", end=None).update(end=now):
            clock_changed(attempt=row)
            event_add(attempt=row, kind="resume", now=now, actor=actor, data={"by": "staff"})
    return row


# --- ending, and taking back an end --------------------------------------------------------------------------------------


def attempt_expire(*, attempt: Attempt, actor: User, reason: str, now: datetime) -> Attempt:
    """Ends a running attempt at `now`; what was written is graded."""
    reason = _checked_reason(reason)
    with open_attempt(attempt=attempt, now=now) as (row, _):
        event_add(attempt=row, kind="expire", now=now, actor=actor, data={"reason": reason})
        close(attempt=row, at=now, reason=Reason.STAFF, now=now, actor=actor)
    return row


@transaction.atomic
def attempt_reopen(*, attempt: Attempt, actor: User, reason: str, now: datetime, add_s: int = 0) -> Attempt:
    """Lets a closed attempt go on; the time between counts as stopped.

    add_s  seconds on top of what was left. Without any left they are exactly what there is; a window is opened for as long.
    Refused (409): `no_time_left`, `released`, `live_attempt_exists`, `wrong_state`.
    """
    reason = _checked_reason(reason)
    if not 0 <= add_s <= MAX_ADJUST_S:
        raise InvalidInput(f"{add_s} s were given; expected 0 to {MAX_ADJUST_S}.", field="add_s")
    User.objects.select_for_update().get(pk=attempt.user_id)
    row = attempt_lock(attempt=attempt)
    row.stops.create(kind="reopen", begin=_closed_at(row), end=now, actor=actor, reason=reason)
    row.status, row.reason, row.closed_at, row.processed_at = Status.OPEN, "", None, None
    row.grading_needed, row.grading_claimed_at = False, None
    row.clock_seq += 1
    state = state_of(row, now)
    if state.remaining_s is not None and state.remaining_s <= 0 and add_s == 0:
        raise Refused("no_time_left", "No time is left; say how many seconds to add.", 409)
    target_s = (state.remaining_s or 0.0) + add_s
    if row.closes_at is not None:
        row.closes_at = max(row.closes_at, now + timedelta(seconds=target_s))
    row.save()
    row.curveball_rows.filter(state="missed").update(state="active")
    event_add(attempt=row, kind="reopen", now=now, actor=actor, data={"reason": reason, "add_s": add_s}, state=state)
    if (missing_s := _missing_s(row, state, target_s)) > 0:
        _adjust(row, missing_s, state.phase_index or 0, actor, reason, now, {"reopen_add_s": add_s}, state)
    check_later(attempt=row, now=now)
    return row


def _missing_s(row: Attempt, state: ClockState, target_s: float) -> int:
    """Seconds by which the limit must rise for `target_s` to be left."""
    return 0 if row.mode == "free" else math.ceil(target_s - (state.limit_s - state.active_s))


def _closed_at(row: Attempt) -> datetime:
    """When the attempt closed, if it may be reopened."""
    if row.status == Status.RELEASED:
        raise Refused("released", "The result was released; a released interview stays as it is.", 409)
    if row.status not in (Status.CLOSED, Status.GRADED) or row.closed_at is None or row.started_at is None:
        raise Refused("wrong_state", f"Only a closed interview can be reopened; this one is: {row.get_status_display().lower()}.", 409)
    if existing := live_attempt(user=row.user, problem=row.problem):
        raise Refused("live_attempt_exists", "Another interview on this problem is running.", 409, {"attempt": str(existing.pk)})
    return row.closed_at


@transaction.atomic
def attempt_void(*, attempt: Attempt, actor: User, reason: str, now: datetime) -> Attempt:
    """Takes the attempt out of everything that counts; its text is kept. Void already: nothing happens."""
    reason = _checked_reason(reason)
    row = attempt_lock(attempt=attempt)
    if row.status == Status.VOID:
        return row
    was, row.status, row.closed_at = row.status, Status.VOID, row.closed_at or now
    row.next_check_at, row.grading_needed = None, False
    row.stops.filter(end=None).update(end=row.closed_at)
    row.clock_seq += 1
    row.save()
    event_add(attempt=row, kind="void", now=now, actor=actor, data={"reason": reason, "was": was})
    return row


@transaction.atomic
def late_accept(*, attempt: Attempt, actor: User, reason: str, now: datetime) -> Attempt:
    """Has an abandoned attempt, or text that came too late, graded after all. Refused `wrong_state` (409) unless closed or graded."""
    reason = _checked_reason(reason)
    row = attempt_lock(attempt=attempt)
    if row.status not in (Status.CLOSED, Status.GRADED):
        raise Refused("wrong_state", "Only a closed interview that is not released yet can be graded with its late text.", 409)
    row.status, row.accepted_late, row.grading_needed, row.grading_claimed_at = Status.CLOSED, True, True, None
    row.save()
    event_add(attempt=row, kind="note", now=now, actor=actor, data={"accepted_late": True, "reason": reason})
    grade_after_commit(row)
    return row
