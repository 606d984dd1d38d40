"""The clock of the caller's own attempt: reading it, and what a candidate does with it. Bodies and answers are JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.core.numbers import number_in
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews import lifecycle, selectors
from mlsd_app.interviews.clock import ClockState, phase_at
from mlsd_app.interviews.live import listening_note
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.problems_json import answers_problems, json_body, problem_json, whole_number
from mlsd_app.interviews.stream import watch
from mlsd_app.interviews.upkeep import attempt_check, is_due


def _own(request: HttpRequest, attempt_id: UUID) -> Attempt:
    return get_object_or_404(selectors.attempts_of(user=request.user), pk=attempt_id)


def _person(request: HttpRequest) -> User:
    """Whoever has an attempt is signed in, if only as a guest."""
    return cast(User, request.user)


def clock_reply(attempt: Attempt, state: ClockState) -> JsonResponse:
    return JsonResponse({"attempt": str(attempt.pk), "status": attempt.status, "clock": lifecycle.clock_block(attempt, state)})


def _reply(attempt: Attempt, now: datetime) -> JsonResponse:
    return clock_reply(attempt, selectors.state_of(attempt, now))


def _idle_s(request: HttpRequest) -> float | None:
    idle_ms = number_in(request.GET.get("idle_ms"))
    return None if idle_ms is None else idle_ms / 1000


@require_GET
@never_cache
@answers_problems
def clock(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The clock in one query. Where something is due and nobody has done it yet, that is done first.

    `?idle_ms=`: how long nothing was typed, for an interviewer who does not interrupt.
    """
    now = timezone.now()
    own = selectors.with_clock(selectors.attempts_of(user=request.user))
    attempt = get_object_or_404(own, pk=attempt_id)
    if is_due(attempt, now):
        attempt_check(attempt=_own(request, attempt_id), now=now, online=True, typing_idle_s=_idle_s(request))
        attempt = get_object_or_404(own, pk=attempt_id)
    return clock_reply(attempt, phase_at(now, selectors.clock_in(attempt)))


@require_POST
@never_cache
@answers_problems
def start(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    now = timezone.now()
    return _reply(lifecycle.attempt_start(attempt=_own(request, attempt_id), actor=_person(request), now=now), now)


@require_POST
@never_cache
@answers_problems
def submit(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Ends the attempt; sent again, the same answer."""
    now = timezone.now()
    return _reply(lifecycle.attempt_submit(attempt=_own(request, attempt_id), actor=_person(request), now=now), now)


@require_POST
@never_cache
@answers_problems
def move(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"to": number of the phase}"""
    now = timezone.now()
    to_phase = whole_number(json_body(request), "to")
    return _reply(lifecycle.attempt_move(attempt=_own(request, attempt_id), to_phase=to_phase, actor=_person(request), now=now), now)


@require_POST
@never_cache
@answers_problems
def pause(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """{"kind": "pause" or "break"}; pause if nothing is said."""
    now = timezone.now()
    kind = str(json_body(request).get("kind", "pause"))[:16]
    return _reply(lifecycle.attempt_pause(attempt=_own(request, attempt_id), actor=_person(request), now=now, kind=kind), now)


@require_POST
@never_cache
@answers_problems
def resume(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    now = timezone.now()
    return _reply(lifecycle.attempt_resume(attempt=_own(request, attempt_id), actor=_person(request), now=now), now)


# --- the stream ----------------------------------------------------------------------------------------------------------


@require_GET
async def stream(request: HttpRequest, attempt_id: UUID) -> HttpResponseBase:
    """Server-sent events after the one named by Last-Event-ID, or by `?after=`, the last the page was rendered with."""
    try:
        attempt = await sync_to_async(_own)(request, attempt_id)
    except Http404:
        return problem_json(404, "not_found", "There is no such interview among yours.")
    return event_stream(_encoded(attempt.pk, _after(request)))


def _after(request: HttpRequest) -> int | None:
    return number_in(request.headers.get("Last-Event-ID") or request.GET.get("after"))


async def _encoded(attempt_id: UUID, after: int | None) -> AsyncIterator[str]:
    async for event in watch(attempt_id, after):
        await sync_to_async(listening_note)(attempt_id)
        yield event.encode()
