"""The room of a running attempt and the fragments it fetches: conversation, preview, calculators, diagram."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.catalog.calculators import sheet
from mlsd_app.core.markdown import render as render_markdown
from mlsd_app.interviews import room
from mlsd_app.interviews.lists import MAX_FIELD_CHARACTERS
from mlsd_app.interviews.models import Status
from mlsd_app.interviews.views.answers import fields_json
from mlsd_app.interviews.views.common import own_attempt, place_of
from problems.loader import load_problem


@require_GET
@never_cache
@ensure_csrf_cookie
def show(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The room while the attempt runs; otherwise on to the lobby or the debrief."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.status != Status.OPEN:
        return redirect(place_of(attempt))
    return render(request, "interviews/room.html", room.room_context(attempt, now, fields_json(attempt)))


@require_GET
@never_cache
def feed(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The conversation after event number `?after=`."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    events = attempt.events.filter(seq__gt=_number(request.GET.get("after", "")))
    return render(request, "interviews/_feed.html", {"entries": room.entries(list(events))})


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@require_POST
def preview(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Markdown of a field as it will be read, runs it names as chips with their metrics."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    html = render_markdown(request.POST.get("text", "")[:MAX_FIELD_CHARACTERS])
    return HttpResponse(room.with_run_chips(html, attempt))


@require_GET
@never_cache
def calculator(request: HttpRequest, attempt_id: UUID, key: str) -> HttpResponse:
    """A calculator of the problem, its lines alone for `?lines=1`. What the interviewer told is fixed, whatever was sent."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    found = load_problem(attempt.problem).calculator(key)
    if found is None:
        raise Http404(f"There is no calculator {key!r}.")
    locked = room.locked_inputs(attempt, key)
    answer = sheet(found, {**request.GET.dict(), **locked})
    name = "_calculator_lines" if request.GET.get("lines") == "1" else "_calculator"
    context: dict[str, Any] = {"attempt": attempt, "sheet": answer, "locked": locked}
    return render(request, f"interviews/{name}.html", context, status=200 if answer.valid else 422)


@require_GET
@never_cache
def diagram(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The picture of the listed components, and in Study what stands out in it."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    return render(request, "interviews/_diagram.html", room.diagram_context(attempt))
