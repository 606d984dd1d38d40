"""The ends that nobody has to ask for: a pause past its cap, a deadline, a window. Close first, grade after.

Whoever comes first does it, a request that meets the attempt or the sweep; the time written is the true one either way.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from kombu.exceptions import OperationalError
from redis import RedisError

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.live import redis_answers
from mlsd_app.interviews.models import Attempt, Reason, Status
from mlsd_app.interviews.selectors import state_of

logger = logging.getLogger(__name__)
GRADE_TASK = "interviews.grade"
LOOK_EVERY = timedelta(seconds=15)  # while a clock runs somebody looks for prompts that are due


def close_if_due(*, attempt: Attempt, now: datetime, online: bool) -> bool:
    """Ends pauses past their cap, and the attempt itself if its time is over; whether it is that which closed it, just now.

    `attempt` is read anew when anything was changed. Costs no query while nothing can be due.
    """
    if attempt.status not in (Status.READY, Status.OPEN) or (attempt.next_check_at and now < attempt.next_check_at):
        return False
    if not _is_due(attempt, now):
        return False
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        closed = row.status in (Status.READY, Status.OPEN) and _settle(row, now, online)
        check_later(attempt=row, now=now)
    attempt.refresh_from_db()
    return closed


def _is_due(attempt: Attempt, now: datetime) -> bool:
    return state_of(attempt, now).state in ("closed", "expired") or bool(_stops_over(attempt, now))


def _settle(row: Attempt, now: datetime, online: bool) -> bool:
    state = state_of(row, now)
    for stop, end in _stops_over(row, now):
        row.stops.filter(pk=stop, end=None).update(end=end)
        clock_changed(attempt=row)
        event_add(attempt=row, kind="resume", now=end, data={"by": "cap"}, online=online)
    if row.status == Status.READY and state.state == "expired" and row.closes_at:
        return close(attempt=row, at=row.closes_at, reason=Reason.WINDOW, now=now, online=online, grade=False)
    if row.status == Status.OPEN and state.state == "closed":
        return close(attempt=row, at=_end_of_work(row, state), reason=_reason(row, state), now=now, online=online)
    return False


def _stops_over(attempt: Attempt, now: datetime) -> list[tuple[int, datetime]]:
    """Open stops that their cap has ended by now, and when it did."""
    open_stops = [stop for stop in attempt.stops.all() if stop.end is None and stop.cap_s is not None]
    ends = [(stop.pk, stop.begin + timedelta(seconds=stop.cap_s or 0)) for stop in open_stops]
    return [(pk, end) for pk, end in ends if end <= now]


def _end_of_work(attempt: Attempt, state: ClockState) -> datetime:
    """The deadline and any overtime after it. The net grace that follows is for what is on its way, not for the candidate."""
    if state.hard_close is None:
        raise ValueError(f"attempt {attempt.pk} has no end")
    return state.hard_close - timedelta(seconds=attempt.net_grace_s)


def _reason(attempt: Attempt, state: ClockState) -> Reason:
    if state.deadline is not None and state.deadline == attempt.closes_at:
        return Reason.WINDOW
    return Reason.ABANDONED if attempt.overdue_policy == "abandon" else Reason.TIMED_OUT


# --- the one way to close ----------------------------------------------------------------------------------------------


def close(
    *,
    attempt: Attempt,
    at: datetime,
    reason: Reason,
    now: datetime,
    online: bool = True,
    actor: User | None = None,
    grade: bool = True,
    data: dict[str, Any] | None = None,
) -> bool:
    """Closes at `at`, inside the caller's transaction, and has it graded after the commit; False when it was not live any more.

    The condition in the UPDATE makes this happen once, whoever else closes at the same moment.
    """
    grade = grade and reason != Reason.ABANDONED
    live = Attempt.objects.filter(pk=attempt.pk, status__in=[Status.READY, Status.OPEN])
    done = live.update(
        status=Status.CLOSED,
        reason=reason,
        closed_at=at,
        processed_at=now,
        next_check_at=None,
        grading_needed=grade,
        grading_claimed_at=None,
        clock_seq=F("clock_seq") + 1,
    )
    if not done:
        return False
    attempt.stops.filter(end=None).update(end=at)
    attempt.curveball_rows.filter(state="active").exclude(lab="").update(state="missed")
    attempt.refresh_from_db()
    what = {"reason": str(reason), "closed_at": at.isoformat(), **(data or {})}
    event_add(attempt=attempt, kind="close", now=now, data=what, actor=actor, online=online)
    if grade:
        grade_after_commit(attempt)
    return True


def grade_after_commit(attempt: Attempt) -> None:
    transaction.on_commit(partial(grade_enqueue, str(attempt.pk)))


def grade_enqueue(attempt_id: str) -> None:
    """Asks a worker to grade. Without a broker nothing is lost: the sweep asks again for every row with grading_needed.

    The broker is asked only where Redis answers: Celery takes seconds to find out that it does not, and somebody waits for the close.
    """
    if not redis_answers():
        return
    try:
        app.send_task(GRADE_TASK, [attempt_id], retry=False)
    except (OperationalError, RedisError) as error:
        logger.warning("attempt %s: grading not queued yet: %s", attempt_id, error)


# --- when to look again --------------------------------------------------------------------------------------------------


def clock_changed(*, attempt: Attempt) -> None:
    """After a stop, an adjust or a move: pages drop clocks with a lower number."""
    Attempt.objects.filter(pk=attempt.pk).update(clock_seq=F("clock_seq") + 1)
    attempt.clock_seq += 1


def check_later(*, attempt: Attempt, now: datetime) -> ClockState:
    """Writes when the attempt must be looked at next; the clock at `now`."""
    state = state_of(attempt, now)
    attempt.next_check_at = _next_check(attempt, state, now)
    Attempt.objects.filter(pk=attempt.pk).update(next_check_at=attempt.next_check_at)
    return state


def _next_check(attempt: Attempt, state: ClockState, now: datetime) -> datetime | None:
    if attempt.status == Status.READY:
        return attempt.closes_at
    if attempt.status != Status.OPEN:
        return None
    moments = [state.next_change_at, now + LOOK_EVERY if state.state == "running" else None]
    return min((moment for moment in moments if moment is not None), default=None)
