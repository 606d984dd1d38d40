"""The log of an attempt: what happened, in order, never changed afterwards. Also the lock under which it is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models import Max, QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.live import publish_after_commit
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.selectors import phase_key, state_of


def attempt_lock(*, attempt: Attempt) -> Attempt:
    """The row as it is now, locked until the caller's transaction ends. Raises TransactionManagementError outside of one."""
    return _locked().get(pk=attempt.pk)


def _locked() -> QuerySet[Attempt]:
    """SQLite knows no row locks; there the transaction itself, begun IMMEDIATE, keeps every other writer out."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError("an attempt is locked inside transaction.atomic() only")
    return Attempt.objects.select_for_update()


def event_add(
    *,
    attempt: Attempt,
    kind: str,
    now: datetime,
    data: Mapping[str, Any] | None = None,
    actor: User | AnonymousUser | None = None,
    online: bool = True,
    state: ClockState | None = None,
) -> Event:
    """The next event of the attempt, inside the caller's transaction; whoever watches is told after the commit.

    online  False where the sweep found it, with nobody there
    state   the clock at `now`, where the caller has it already
    """
    _locked().values_list("pk").get(pk=attempt.pk)  # numbers without a gap or a double need one writer at a time
    state = state or state_of(attempt, now)
    last = Event.objects.filter(attempt=attempt).aggregate(last=Max("seq"))["last"]
    event = Event.objects.create(
        attempt=attempt,
        seq=(last or 0) + 1,
        at=now,
        active_ms=round(state.active_s * 1000),
        phase=phase_key(attempt, state),
        kind=kind,
        actor=actor if isinstance(actor, User) else None,
        online=online,
        data=dict(data or {}),
    )
    publish_after_commit(attempt, event)
    return event
