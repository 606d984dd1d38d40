"""The live board of a cohort, its stream, and operations on what is selected on it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.live.follow import events_left
from mlsd_app.cohorts.live.operations import OPERATIONS
from mlsd_app.cohorts.live.rows import FLAGS, MOST, Filter, board_rows, names_of
from mlsd_app.cohorts.live.stream import Board, event_number, watch_board
from mlsd_app.cohorts.live_forms import OperationForm
from mlsd_app.cohorts.models import Cohort, Kind
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import cohorts_visible_to
from mlsd_app.cohorts.services import operations
from mlsd_app.cohorts.views.access import cohort_page, user_of
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

MAX_ID = 2**63 - 1


# --- the board -------------------------------------------------------------------------------------------------------


@require_GET
@cohort_page("watch_live")
def board(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    user, asked, now = user_of(request), filter_of(request), timezone.now()
    manages = may(user, "manage_learners", cohort)
    context = {
        "cohort": cohort,
        "rows": board_rows(user=user, cohort=cohort, asked=asked, now=now),
        "now": now,
        "asked": asked,
        "manages": manages,
        "flags": FLAGS,
        "assignments": cohort.assignments.filter(kind=Kind.MOCK, published_at__isnull=False),
        "labels": cohort.labels.all(),
        "operations": {op: kind.title for op, kind in OPERATIONS.items() if kind.of_closed == asked.closed or op == "void"},
        "query": request.GET.urlencode(),
        "most": MOST,
    }
    return render(request, "cohorts/live.html", context)


@require_GET
@cohort_page("watch_live")
def rows(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """The board as JSON, for pages without a stream: what the stream's `rows` says of all of it."""
    news = Board(user_of(request).pk, cohort.pk, filter_of(request)).read()
    if news is None:
        raise PermissionDenied("You may not watch this cohort any more.")
    return JsonResponse(news)


@require_GET
async def stream(request: HttpRequest, cohort_id: int) -> HttpResponseBase:
    """Server-sent events: see `live.stream`."""
    status = await sync_to_async(stream_status)(request, cohort_id)
    if status != 200:
        return HttpResponse(status=status)
    user = cast(User, await request.auser())
    return event_stream(_encoded(user.pk, cohort_id, filter_of(request), event_number(request.headers.get("Last-Event-ID"))))


def stream_status(request: HttpRequest, cohort_id: int) -> int:
    """200, or why there is no stream: a program that reads one has no use for a page."""
    if not request.user.is_authenticated:
        return 401
    user = user_of(request)
    cohort = cohorts_visible_to(user).filter(pk=cohort_id).first() if cohort_id <= MAX_ID else None
    if cohort is None:
        return 404
    return 200 if may(user, "watch_live", cohort) else 403


async def _encoded(user_id: int, cohort_id: int, asked: Filter, after: int | None) -> AsyncIterator[str]:
    async for event in watch_board(user_id=user_id, cohort_id=cohort_id, asked=asked, after=after):
        yield event.encode()


def filter_of(request: HttpRequest) -> Filter:
    """What is asked for in the address; what makes no sense is left out."""
    given = request.GET
    flag = given.get("flag", "")
    return Filter(
        assignment=_number(given.get("assignment", "")),
        label=_number(given.get("label", "")),
        flag=flag if flag in FLAGS else "",
        closed=given.get("show") == "closed",
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


# --- operations ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """What a form of an operation is about."""

    op: str
    attempts: Sequence[Attempt]
    token: str  # the same form sent twice counts once

    @property
    def of_closed(self) -> bool:
        return OPERATIONS[self.op].of_closed


@require_POST
@cohort_page("watch_live")
def operate(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """One address, three steps: `form` asks for arguments and reason, `preview` shows from what to what, `apply` does it."""
    if not may(user_of(request), "manage_learners", cohort):
        raise PermissionDenied("Observers watch; they change nothing.")
    chosen = _chosen(request, cohort)
    step = request.POST.get("step", "form")
    form = OperationForm(chosen.op, None if step == "form" else request.POST, events=_events(chosen.attempts))
    if step == "form" or not form.is_valid():
        return _form_page(request, cohort, chosen, form, status=200 if step == "form" else 422)
    return _run(request, cohort, chosen, form, dry_run=step != "apply")


def _chosen(request: HttpRequest, cohort: Cohort) -> Chosen:
    op, token = request.POST.get("op", ""), request.POST.get("token", "")
    if op not in OPERATIONS:
        raise InvalidInput("Choose what to do with the interviews you selected.", field="op")
    try:
        ids = [UUID(text) for text in request.POST.getlist("attempt")[: operations.MOST + 1]]
        found = operations.attempts_chosen(user=user_of(request), cohort=cohort, chosen=ids, of_closed=OPERATIONS[op].of_closed)
    except (ValueError, operations.UnknownAttempt) as error:
        raise Http404("One of these interviews is not in this cohort.") from error
    return Chosen(op, found, token if len(token) == 32 and token.isalnum() else secrets.token_hex(16))


def _events(attempts: Sequence[Attempt]) -> list[Any]:
    """Events that can be sent to the first of them; the others are skipped where they do not fit."""
    return list(events_left(attempts[0])) if attempts else []


def _run(request: HttpRequest, cohort: Cohort, chosen: Chosen, form: OperationForm, *, dry_run: bool) -> HttpResponse:
    if not dry_run and operations.done_before(cohort=cohort, request_id=chosen.token):
        raise Refused("done_before", "This was done already; the log of the cohort has what came of it.", 409)
    try:
        outcomes = operations.operation_run(
            by=replace(By.of(request), request_id=chosen.token),
            cohort=cohort,
            op=chosen.op,
            args=form.args,
            attempts=chosen.attempts,
            reason=form.cleaned_data["reason"],
            now=timezone.now(),
            seen=_seen(request),
            dry_run=dry_run,
        )
    except InvalidInput as error:
        form.refuse(error.field, error.message)
        return _form_page(request, cohort, chosen, form, status=422)
    names = names_of(user=user_of(request), cohort=cohort, attempts=chosen.attempts)
    lines = sorted(((names[outcome.attempt.pk], outcome) for outcome in outcomes), key=lambda line: (not line[1].done, line[0].lower()))
    return _form_page(request, cohort, chosen, form, lines=lines, applied=not dry_run)


def _seen(request: HttpRequest) -> dict[str, int]:
    """The clocks of the preview, as its form carries them: "<id>:<number>"."""
    pairs = (text.partition(":") for text in request.POST.getlist("seen")[: operations.MOST])
    return {attempt: int(seq) for attempt, _, seq in pairs if seq.isascii() and seq.isdigit() and len(seq) < 10}


def _form_page(
    request: HttpRequest,
    cohort: Cohort,
    chosen: Chosen,
    form: OperationForm,
    *,
    lines: Sequence[tuple[str, operations.Outcome]] = (),
    applied: bool = False,
    status: int = 200,
) -> HttpResponse:
    context = {
        "cohort": cohort,
        "chosen": chosen,
        "title": OPERATIONS[chosen.op].title,
        "words": OPERATIONS[chosen.op].words,
        "form": form,
        "lines": lines,
        "applied": applied,
        "done": sum(outcome.done for _, outcome in lines),
        "now": timezone.now(),
        "zone": ZoneInfo(cohort.timezone).key,
    }
    return render(request, "cohorts/live_operation.html", context, status=status)
