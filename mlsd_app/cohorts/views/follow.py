"""Following one interview: its page, what changes on it, notes beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.live.follow import events_left, notes_of, work_context
from mlsd_app.cohorts.live.operations import OPERATIONS
from mlsd_app.cohorts.live.rows import Filter, board_rows
from mlsd_app.cohorts.live.stream import watch_attempt
from mlsd_app.cohorts.live_forms import NoteForm
from mlsd_app.cohorts.models import Cohort
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import attempts_followed_by, notes_visible_to
from mlsd_app.cohorts.services.notes import note_add
from mlsd_app.cohorts.views.access import cohort_page, require, user_of
from mlsd_app.cohorts.views.live import stream_status
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews.models import LIVE, Attempt
from simulators.errors import InvalidInput


def _attempt(request: HttpRequest, cohort: Cohort, attempt_id: UUID) -> Attempt:
    rows = attempts_followed_by(user_of(request)).filter(assigned__assignment__cohort=cohort)
    found = rows.select_related("user", "assigned__assignment__cohort").filter(pk=attempt_id).first()
    if found is None:
        raise Http404("There is no such interview in this cohort.")
    return found


@require_GET
@cohort_page("watch_live")
def follow(request: HttpRequest, cohort: Cohort, attempt_id: UUID) -> HttpResponse:
    return _page(request, cohort, _attempt(request, cohort, attempt_id), NoteForm())


def _page(request: HttpRequest, cohort: Cohort, attempt: Attempt, form: NoteForm, status: int = 200) -> HttpResponse:
    user = user_of(request)
    proctors, closed = may(user, "proctor_attempt", attempt), attempt.status not in LIVE
    context = {
        **_work(request, cohort, attempt),
        "note_form": form if may(user, "add_note", attempt) else None,
        "proctors": proctors,
        "operations": {op: kind.title for op, kind in OPERATIONS.items() if kind.of_closed == closed or op == "void"},
        "events_left": events_left(attempt) if proctors and not closed else [],
    }
    return render(request, "cohorts/follow.html", context, status=status)


def _work(request: HttpRequest, cohort: Cohort, attempt: Attempt) -> dict[str, Any]:
    user, now = user_of(request), timezone.now()
    asked = Filter(closed=attempt.status not in LIVE)
    row = next(iter(board_rows(user=user, cohort=cohort, asked=asked, now=now, only=[attempt.pk])), None)
    notes = notes_of(attempt, notes_visible_to(user))
    return {**work_context(attempt), "cohort": cohort, "attempt": attempt, "row": row, "notes": notes, "now": now}


@require_GET
@cohort_page("watch_live")
def work(request: HttpRequest, cohort: Cohort, attempt_id: UUID) -> HttpResponse:
    """What changes on the page, as it is now."""
    return render(request, "cohorts/_follow_work.html", _work(request, cohort, _attempt(request, cohort, attempt_id)))


@require_POST
@cohort_page("watch_live")
def note(request: HttpRequest, cohort: Cohort, attempt_id: UUID) -> HttpResponse:
    attempt, form = _attempt(request, cohort, attempt_id), NoteForm(request.POST)
    require(request, "add_note", attempt)
    if form.is_valid():
        try:
            note_add(by=By.of(request), attempt=attempt, now=timezone.now(), **form.cleaned_data)
        except InvalidInput as error:
            form.refuse(error.field, error.message)
    if form.errors:
        return _page(request, cohort, attempt, form, status=422)
    messages.success(request, "The note was kept.")
    return redirect("cohorts:follow", cohort.pk, attempt.pk)


# --- the stream ------------------------------------------------------------------------------------------------------


@require_GET
async def stream(request: HttpRequest, cohort_id: int, attempt_id: UUID) -> HttpResponseBase:
    """Server-sent events: `news` when something happened. The candidate is told of a follower where the assignment says so."""
    if (status := await sync_to_async(stream_status)(request, cohort_id)) != 200:
        return HttpResponse(status=status)
    user = cast(User, await request.auser())
    found = await sync_to_async(_followed)(user, cohort_id, attempt_id)
    if found is None:
        return HttpResponse(status=404)
    return event_stream(_encoded(user, found))


def _followed(user: User, cohort_id: int, attempt_id: UUID) -> Attempt | None:
    rows = attempts_followed_by(user).filter(pk=attempt_id, assigned__assignment__cohort=cohort_id)
    return rows.select_related("assigned__assignment").first()


async def _encoded(user: User, attempt: Attempt) -> AsyncIterator[str]:
    found: Any = attempt
    tell = found.assigned.assignment.say_present and attempt.user_id != user.pk

    def allowed() -> bool:
        return attempts_followed_by(user).filter(pk=attempt.pk).exists()

    async for event in watch_attempt(user_id=user.pk, attempt_id=attempt.pk, allowed=allowed, tell=tell):
        yield event.encode()
