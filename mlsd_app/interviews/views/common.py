"""What the views of a mock interview share."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.urls import reverse

from mlsd_app.interviews import selectors
from mlsd_app.interviews.closing import close_if_due
from mlsd_app.interviews.models import Attempt, Status


def own_attempt(request: HttpRequest, attempt_id: UUID, now: datetime) -> Attempt:
    """The caller's attempt, closed first if its time is up; anybody else's is 404."""
    attempt = get_object_or_404(selectors.attempts_of(user=request.user), pk=attempt_id)
    close_if_due(attempt=attempt, now=now, online=True)
    return attempt


def place_of(attempt: Attempt) -> str:
    """Where an attempt is to be seen as it stands: lobby, room or debrief."""
    name = {Status.READY: "lobby", Status.OPEN: "room"}.get(Status(attempt.status), "debrief")
    return reverse(f"interviews:{name}", args=[attempt.pk])
