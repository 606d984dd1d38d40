"""Looking after attempts at the moments they ask for: closing what is over, prompts that are due."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from mlsd_app.interviews.closing import check_later, close_if_due
from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.interviewer.speaking import prompts_due
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.selectors import state_of

logger = logging.getLogger(__name__)
BATCH = 50
AFTER_A_FAULT = timedelta(seconds=60)


def attempt_check(*, attempt: Attempt, now: datetime, online: bool, typing_idle_s: float | None = None) -> bool:
    """All that is due by now; sets the next check. Whether the attempt closed. `attempt` is read anew."""
    if close_if_due(attempt=attempt, now=now, online=online):
        return True
    if attempt.status == Status.OPEN:
        prompts_due(attempt=attempt, now=now, state=state_of(attempt, now), typing_idle_s=typing_idle_s, online=online)
    with transaction.atomic():
        check_later(attempt=attempt_lock(attempt=attempt), now=now)
    attempt.refresh_from_db()
    return False


def is_due(attempt: Attempt, now: datetime) -> bool:
    return attempt.next_check_at is not None and attempt.next_check_at <= now


def sweep(*, now: datetime) -> int:
    """Checks every attempt that is due, batch by batch; how many were closed. Two sweeps at once do no harm."""
    due = list(Attempt.objects.filter(next_check_at__lte=now).order_by("next_check_at").values_list("pk", flat=True))
    return sum(_check(attempt, now) for place in range(0, len(due), BATCH) for attempt in _batch(due[place : place + BATCH]))


def _batch(pks: list[UUID]) -> QuerySet[Attempt]:
    return Attempt.objects.filter(pk__in=pks).prefetch_related("stops", "adjusts", "moves")


def _check(attempt: Attempt, now: datetime) -> bool:
    """One attempt that cannot be checked must not keep the others waiting."""
    try:
        return attempt_check(attempt=attempt, now=now, online=False)
    except Exception:
        logger.exception("attempt %s could not be checked", attempt.pk)
        Attempt.objects.filter(pk=attempt.pk).update(next_check_at=now + AFTER_A_FAULT)
        return False
