"""Before the clock runs: the list of attempts with the start form, and the lobby."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID

from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.services import ensure_user
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews import lifecycle, present, selectors
from mlsd_app.interviews.forms import StartForm, attempt_inputs, interview_problems, plan_budgets, posted_form, start_form
from mlsd_app.interviews.models import LIVE, Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.views.common import own_attempt, place_of
from problems.schema import Problem
from simulators.errors import InvalidInput

HISTORY_PAGE = 20


# --- the start page --------------------------------------------------------------------------------------------------


@require_GET
@never_cache
@ensure_csrf_cookie
def start(request: HttpRequest) -> HttpResponse:
    """Own attempts and the form; `?problem=<slug>` chooses one."""
    return _start_page(request, start_form(problem=request.GET.get("problem", "")))


def _start_page(request: HttpRequest, form: StartForm, status: int = 200) -> HttpResponse:
    now = timezone.now()
    attempts = selectors.attempts_of(user=request.user).prefetch_related("verdicts", "stops", "adjusts", "moves")
    for attempt in attempts.filter(status=Status.OPEN):
        lifecycle.close_if_due(attempt=attempt, now=now, online=True)
    page = Paginator(attempts.order_by("-created_at"), HISTORY_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form,
        "live": [present.attempt_row(attempt, now) for attempt in attempts.filter(status__in=LIVE)],
        "page": page,
        "rows": [present.attempt_row(attempt, now) for attempt in page],
    }
    return render(request, "interviews/start.html", context, status=status)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """A new attempt and on to its lobby; the form again, with what is wrong, when it cannot be made."""
    now, form = timezone.now(), posted_form(request.POST.dict())
    try:
        attempt = _create(request, form, now)
    except InvalidInput as error:
        return _start_page(request, posted_form(request.POST.dict(), {error.field or "": error.message}), status=422)
    except Refused as error:
        return _start_page(request, posted_form(request.POST.dict(), {"": error.message}), status=error.status)
    return redirect("interviews:lobby", attempt.pk)


def _create(request: HttpRequest, form: StartForm, now: datetime) -> Attempt:
    problem, inputs = _problem(form.problem), attempt_inputs(form)  # before a guest is made
    return lifecycle.attempt_create(user=ensure_user(request=request), problem=problem, now=now, **inputs)


def _problem(slug: str) -> Problem:
    found = next((problem for problem in interview_problems() if problem.slug == slug), None)
    if found is None:
        raise InvalidInput("Choose a problem from the list." if not slug else f"There is no interview on {slug[:60]!r}.", field="problem")
    return found


# --- the lobby -------------------------------------------------------------------------------------------------------


@require_GET
@never_cache
@ensure_csrf_cookie
def lobby(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.status != Status.READY:
        return redirect(place_of(attempt))
    return render(request, "interviews/lobby.html", present.lobby_context(attempt, now))


@require_POST
def plan(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The minutes of each phase as edited in the lobby; their sum stays."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    try:
        lifecycle.attempt_plan(attempt=attempt, phases=plan_budgets(attempt, request.POST.dict()), now=now)
    except (InvalidInput, Refused) as error:
        return _lobby_page(request, attempt, now, error)
    return redirect("interviews:lobby", attempt_id)


@require_POST
def begin(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Starts the clock, with the plan as it stands on the page. Pressed twice it starts once."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.status == Status.READY and present.window_cut_s(attempt, now) and request.POST.get("confirm_window") != "1":
        return render(request, "interviews/lobby.html", {**present.lobby_context(attempt, now), "unconfirmed": True}, status=422)
    try:
        if attempt.status == Status.READY and any(key.startswith("budget-") for key in request.POST):
            lifecycle.attempt_plan(attempt=attempt, phases=plan_budgets(attempt, request.POST.dict()), now=now)
        started = lifecycle.attempt_start(attempt=attempt, actor=attempt.user, now=now)
    except (InvalidInput, Refused) as error:
        return _lobby_page(request, attempt, now, error)
    return redirect(place_of(started))


def _lobby_page(request: HttpRequest, attempt: Attempt, now: datetime, error: InvalidInput | Refused) -> HttpResponse:
    """The lobby again, with what is wrong."""
    context = {**present.lobby_context(attempt, now), "error": error.message}
    return render(request, "interviews/lobby.html", context, status=error.status if isinstance(error, Refused) else 422)


@require_POST
def cancel(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Takes back an attempt that has not begun."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    if attempt.kind == "mock":
        selectors.attempts_of(user=request.user).filter(pk=attempt.pk, status=Status.READY).delete()
    return redirect("interviews:start")


# --- the connection check --------------------------------------------------------------------------------------------


@require_POST
def check(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Writes to the attempt's row, as a save does, and answers; the page times it."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    Attempt.objects.filter(pk=attempt.pk).update(clock_seq=F("clock_seq"))
    return JsonResponse({"written": True})


@require_GET
async def check_stream(request: HttpRequest) -> HttpResponseBase:
    """Two events half a second apart: where they arrive together, something on the way holds streams back."""

    async def events() -> AsyncIterator[str]:
        yield "event: first\ndata: {}\n\n"
        await asyncio.sleep(0.5)
        yield "event: second\ndata: {}\n\n"

    return event_stream(events())
