"""Labs inside an interview: the form of a lab, runs with their events, pins. A run is an ordinary run with a number of the attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.core.sse import event_stream
from mlsd_app.interviews import labs, room
from mlsd_app.interviews.models import Attempt, RunLink
from mlsd_app.interviews.problems_json import answers_problems, json_body
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.runs import attempt_run_start, run_finished, run_pin
from mlsd_app.interviews.views.common import own_attempt
from mlsd_app.runs import present
from mlsd_app.runs.forms import params_from_query
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import RunRefused
from mlsd_app.runs.stream import Event, watch
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.params import InvalidParams
from simulators.registry import get_lab

MAX_SLOT = 64


def _lab_or_404(attempt: Attempt, slug: str) -> type[Lab]:
    try:
        return get_lab(attempt.problem, slug)
    except InvalidInput as error:
        raise Http404(error.message) from error


@require_GET
@never_cache
def form(request: HttpRequest, attempt_id: UUID, lab: str) -> HttpResponse:
    """The parameters of a lab as they stand: what is fixed, what the last run had, and the event under way; `?run=7` those of run 7,
    `?as_set=1` those of the query."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    found = _lab_or_404(attempt, lab)
    as_set = params_from_query(found, request.GET) if "as_set" in request.GET else {}
    return render(request, "interviews/_lab.html", labs.form_context(attempt, found, run=request.GET.get("run", ""), as_set=as_set))


@require_GET
@never_cache
def runs(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The attempt's runs, newest first."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    return render(request, "interviews/_runs.html", {"attempt": attempt, "runs": room.runs_of(attempt)})


@require_POST
@answers_problems
def pin(request: HttpRequest, attempt_id: UUID, number: int) -> HttpResponse:
    """{"pinned", "label"} of run `number`."""
    now, body = timezone.now(), json_body(request)
    attempt = own_attempt(request, attempt_id, now)
    link = get_object_or_404(attempt.runlinks, number=number)
    label = str(body["label"]) if "label" in body else None
    run_pin(link=link, pinned=bool(body.get("pinned", link.pinned)), label=label, now=now)
    return HttpResponse(status=204)


@require_GET
@never_cache
def curveball(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The event under way with what it does to the design; 204 without one."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    ball = labs.active_curveball(attempt)
    if ball is None:
        return HttpResponse(status=204)
    return render(request, "interviews/_curveball.html", labs.curveball_context(attempt, ball))


# --- a run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """A run that was started, or one asked for again, with what its events say of it."""

    attempt: Attempt
    link: RunLink
    run: Run


@require_POST
async def start(request: HttpRequest, attempt_id: UUID, lab: str) -> HttpResponseBase:
    """Starts a run and answers with its events; 422, 423, 429 or 503 with sentences when it cannot."""
    begun = await sync_to_async(_begin)(request, attempt_id, lab, timezone.now())
    return begun if isinstance(begun, HttpResponse) else event_stream(_events(begun, "0"))


def _begin(request: HttpRequest, attempt_id: UUID, lab: str, now: datetime) -> Begun | HttpResponse:
    attempt = own_attempt(request, attempt_id, now)
    found = _lab_or_404(attempt, lab)
    try:
        values, said = params_from_query(found, request.POST), labs.prediction_from(request.POST)
        slot, fresh = request.POST.get("slot", "")[:MAX_SLOT], request.POST.get("fresh") == "1"
        link = attempt_run_start(attempt=attempt, lab=found, values=values, now=now, prediction=said, slot=slot, fresh=fresh, attended=True)
    except InvalidParams as error:
        return JsonResponse({"errors": error.errors}, status=422)
    except InvalidInput as error:
        return JsonResponse({"errors": {error.field or "": error.message}}, status=422)
    except RunRefused as error:
        return JsonResponse({"detail": error.message, "kind": error.kind}, status=error.status)
    except Refused as error:
        return JsonResponse({"detail": error.message, "kind": error.code}, status=error.status)
    return Begun(attempt, link, link.run)


@require_GET
async def events(request: HttpRequest, attempt_id: UUID, number: int) -> HttpResponseBase:
    """The events of run `number` from the beginning; of a finished one its result."""
    begun = await sync_to_async(_again)(request, attempt_id, number)
    return event_stream(_events(begun, "0"))


def _again(request: HttpRequest, attempt_id: UUID, number: int) -> Begun:
    attempt = own_attempt(request, attempt_id, timezone.now())
    link = get_object_or_404(attempt.runlinks.select_related("run__result"), number=number)
    return Begun(attempt, link, link.run)


async def _events(begun: Begun, last_id: str) -> AsyncIterator[str]:
    run, link = begun.run, begun.link
    if run.state == RunState.DONE:
        yield (await sync_to_async(_done)(begun, Event("", "done", {}), True)).encode()
        return
    own = reverse("interviews:run_events", args=[begun.attempt.pk, link.number])
    urls = {"events_url": own, "cancel_url": reverse("runs:cancel", args=[run.pk])}
    yield Event("", "queued", {"run": str(run.pk), "number": link.number, **urls}).encode()
    tiles = present.TilesSoFar(None)
    async for event in watch(run.pk, last_id):
        if event.kind == "done":
            event = await sync_to_async(_done)(begun, event, False)
        elif event.kind == "frame":
            event = Event(event.id, "frame", {"figures": event.data["figures"], "html": tiles.render(event.data["metrics"])})
        yield event.encode()


def _done(begun: Begun, event: Event, cached: bool) -> Event:
    """The result as the room shows it: without what it means, unless in Study."""
    run_finished(link=begun.link)
    run = Run.objects.select_related("result").get(pk=begun.run.pk)
    context = labs.result_context(begun.attempt, run)
    data: dict[str, Any] = {
        "run": str(run.pk),
        "number": begun.link.number,
        "figures": context["figures"],
        "cached": cached,
        "html": render_to_string("interviews/_run_result.html", context),
    }
    return Event(event.id, "done", data)
