"""Talking to the interviewer, and to staff. Modules send JSON; what was said comes back as a fragment of the conversation."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_POST

from mlsd_app.interviews import room
from mlsd_app.interviews.hands import hand_raise
from mlsd_app.interviews.interviewer.questions import assumption_note, constraints_confirm, question_ask
from mlsd_app.interviews.lists import row_parse
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.problems_json import answers_problems, json_body, whole_number
from mlsd_app.interviews.refusals import refuse_unless_open
from mlsd_app.interviews.views.common import own_attempt


def _since(request: HttpRequest, attempt: Attempt, after: int) -> HttpResponse:
    """The conversation after event number `after`: what was just said, and what came in between."""
    return render(request, "interviews/_feed.html", {"entries": room.entries(list(attempt.events.filter(seq__gt=after)))})


@require_POST
@answers_problems
def ask(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"text", "after"}"""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    question_ask(attempt=attempt, text=str(body.get("text", "")), now=now)
    return _since(request, attempt, whole_number(body, "after"))


@require_POST
@answers_problems
def confirm(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"after"}: reads the constraints back."""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    constraints_confirm(attempt=attempt, now=now)
    return _since(request, attempt, whole_number(body, "after"))


@require_POST
@answers_problems
def assume(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"name", "value", "unit", "after"}: noted in the conversation; the row itself is saved as every row is."""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    refuse_unless_open(attempt)
    _note(attempt, body, now)
    return _since(request, attempt, whole_number(body, "after"))


@require_POST
@answers_problems
def hand(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"raised": true or false}: asks whoever watches the board to look here."""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    raised = hand_raise(attempt=attempt, raised=body.get("raised") is True, actor=attempt.user, now=now)
    return JsonResponse({"raised": raised})


def _note(attempt: Attempt, body: dict[str, object], now: datetime) -> Event:
    row = row_parse("constraints", {cell: str(body.get(cell, "")) for cell in ("name", "value", "unit")})
    return assumption_note(attempt=attempt, row=row.model_dump(include={"name", "value", "unit"}), now=now)
