"""What is done inside a timed interview: texts and rows, questions, runs, and looking back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, cast
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.exceptions import PermissionDenied
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api import attempt_shapes as shapes
from mlsd_app.api import present
from mlsd_app.api.operations import LAST_EVENT_ID, operation
from mlsd_app.api.views.attempts import TAG, own_attempt
from mlsd_app.api.views.runs import EventStreamRenderer
from mlsd_app.core.numbers import number_in
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews import runs as attempt_runs
from mlsd_app.interviews.answers import answer_save
from mlsd_app.interviews.fields import UnknownField, field_of
from mlsd_app.interviews.interviewer.questions import question_ask
from mlsd_app.interviews.leases import Sender, lease_take
from mlsd_app.interviews.models import Attempt, RunLink
from mlsd_app.interviews.replay import moment_at
from mlsd_app.interviews.selectors import questions_visible
from mlsd_app.interviews.stream import watch
from mlsd_app.interviews.texts import history
from mlsd_app.interviews.writes import Reply
from simulators.registry import get_lab

EVENTS_AT_ONCE = 500
DEVICE = "API"


# --- texts and rows --------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Save a field",
    request=shapes.SaveRequest,
    answers={200: shapes.Saved},
    errors=[404, 409, 410, 413, 423],
    operation_id="answers_save",
)
@api_view(["PUT"])
def answer(request: Request, attempt_id: UUID, field: str) -> Response:
    """`text/<phase>` holds Markdown, `row/<list>/<key>` the JSON of a row.

    A write that cannot become the text is kept in the field's history before it is refused: 409 another came first (its `rev` and
    `content` are in the answer), 410 the interview is over, 423 a pause, a phase that is closed, or another page that writes.
    """
    now = timezone.now()
    found = own_attempt(request, attempt_id, now)
    asked = shapes.SaveRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    try:
        return _answered(answer_save(attempt=found, field=field, client_label=DEVICE, now=now, **asked.validated_data))
    except UnknownField as error:
        raise _no_field(field) from error


def _answered(reply: Reply) -> Response:
    """In the API's one shape of an error, with what the reply tells besides."""
    if reply.status == 200:
        return Response(reply.body)
    told = {name: value for name, value in reply.body.items() if name not in ("type", "fields")}
    return Response({**told, "errors": reply.body.get("fields", {})}, status=reply.status)


def _no_field(field: str) -> Http404:
    return Http404(f"This interview has no field {field[:80]!r}; fields are text/<phase key> and row/<list>/<key>.")


@operation(
    tag=TAG, summary="Read a field's history", answers={200: shapes.AnswerVersion(many=True)}, errors=[404], operation_id="answers_history"
)
@api_view(["GET"])
def answer_history(request: Request, attempt_id: UUID, field: str) -> Response:
    """Every version there was, newest first, also those that did not become the text."""
    found = own_attempt(request, attempt_id, timezone.now())
    try:
        field_of(found, field)
    except UnknownField as error:
        raise _no_field(field) from error
    return Response([asdict(version) for version in history(found, field)])


@operation(
    tag=TAG, summary="Take the lease", request=shapes.LeaseRequest, answers={200: shapes.Lease}, errors=[404], operation_id="attempts_lease"
)
@api_view(["POST"])
def lease(request: Request, attempt_id: UUID) -> Response:
    """One page or program writes at a time. A program that only saves now and then needs no lease."""
    now = timezone.now()
    asked = shapes.LeaseRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    given = asked.validated_data
    found = own_attempt(request, attempt_id, now)
    taken = lease_take(attempt=found, sender=Sender(given["client_id"], DEVICE), take_over=given["take_over"], now=now)
    return Response(taken.as_json())


# --- the interviewer -------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Ask the interviewer",
    request=shapes.QuestionRequest,
    answers={200: shapes.QuestionAnswer},
    errors=[404, 409, 423],
    operation_id="questions_ask",
)
@api_view(["POST"])
def questions(request: Request, attempt_id: UUID) -> Response:
    """The interviewer tells what is asked for and nothing else; at most 20 questions a minute."""
    now = timezone.now()
    asked = shapes.QuestionRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    said = question_ask(attempt=own_attempt(request, attempt_id, now), text=asked.validated_data["text"], now=now)
    return Response({"kind": said.kind, "text": said.text, "facts": [{"fact": part.fact, "text": part.text} for part in said.said]})


# --- runs ------------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List the runs of an attempt",
    answers={200: shapes.AttemptRun(many=True)},
    errors=[404],
    operation_id="attempt_runs_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Run a lab inside an attempt",
    request=shapes.AttemptRunRequest,
    answers={201: shapes.AttemptRun},
    errors=[404, 409, 423],
    operation_id="attempt_runs_start",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def runs(request: Request, attempt_id: UUID) -> Response:
    """An ordinary run that has a number in the interview; follow it as every run."""
    now = timezone.now()
    found = own_attempt(request, attempt_id, now)
    if request.method == "GET":
        return Response([_run_answer(link) for link in attempt_runs.links_of(found)])
    asked = shapes.AttemptRunRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    lab = get_lab(found.problem, given["lab"])
    link = attempt_runs.attempt_run_start(attempt=found, lab=lab, values=given["params"], prediction=given["prediction"], now=now)
    return Response(_run_answer(link), status=201)


@operation(
    tag=TAG,
    summary="Pin a run",
    request=shapes.PinRequest,
    answers={200: shapes.AttemptRun},
    errors=[404, 409, 423],
    operation_id="attempt_runs_pin",
)
@api_view(["PATCH"])
def run(request: Request, attempt_id: UUID, number: int) -> Response:
    """At most twelve; 409 above that."""
    now = timezone.now()
    asked = shapes.PinRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    link = _link(own_attempt(request, attempt_id, now), number)
    return Response(_run_answer(attempt_runs.run_pin(link=link, now=now, **asked.validated_data)))


def _link(attempt: Attempt, number: int) -> RunLink:
    found = attempt_runs.links_of(attempt).filter(number=number).first() if number < 2**31 else None
    if found is None:
        raise Http404(f"This interview has no run {number}.")
    return found


def _run_answer(link: RunLink) -> dict[str, Any]:
    told = {name: getattr(link, name) for name in ("number", "phase", "active_ms", "pinned", "label")}
    return {**told, "curveball": link.curveball.key if link.curveball else "", "run": present.run_answer(link.run)}


# --- the log, and looking back ---------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Read what happened",
    parameters=[shapes.EventFilter],
    answers={200: shapes.EventPage},
    errors=[404, 422],
    operation_id="attempt_events",
)
@api_view(["GET"])
def events(request: Request, attempt_id: UUID) -> Response:
    """The log after event number `after`, 500 at a time."""
    asked = shapes.EventFilter(data=request.query_params)
    asked.is_valid(raise_exception=True)
    found = own_attempt(request, attempt_id, timezone.now())
    rows = list(found.events.filter(seq__gt=asked.validated_data["after"]).order_by("seq")[: EVENTS_AT_ONCE + 1])
    shown = [shapes.EventAnswer(row).data for row in rows[:EVENTS_AT_ONCE]]
    return Response({"events": shown, "more": len(rows) > EVENTS_AT_ONCE})


@operation(
    tag=TAG,
    summary="Follow an attempt",
    parameters=[LAST_EVENT_ID],
    answers={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Events until the attempt is over.")},
    errors=[404],
    operation_id="attempts_stream",
)
@api_view(["GET"])
@renderer_classes([EventStreamRenderer, JSONRenderer])
def stream(request: Request, attempt_id: UUID) -> StreamingHttpResponse:
    """Server-sent events: `clock`, `prompt`, `curveball`, `message`, `lease`, and `closed`, the last."""
    found = own_attempt(request, attempt_id, timezone.now())
    return event_stream(_encoded(found.pk, number_in(request.headers.get("Last-Event-ID"))))


async def _encoded(attempt_id: UUID, after: int | None) -> AsyncIterator[str]:
    async for event in watch(attempt_id, after):
        yield event.encode()


@operation(
    tag=TAG,
    summary="Read an attempt as it was",
    parameters=[shapes.MomentFilter],
    answers={200: shapes.Moment},
    errors=[403, 404, 422],
    operation_id="attempts_replay",
)
@api_view(["GET"])
def replay(request: Request, attempt_id: UUID) -> Response:
    """Every field at that moment of active time; 403 while the interview runs."""
    asked = shapes.MomentFilter(data=request.query_params)
    asked.is_valid(raise_exception=True)
    found = own_attempt(request, attempt_id, timezone.now())
    refuse_unless_visible(found)
    moment = moment_at(found, cast(int, asked.validated_data["at_ms"]))
    numbers = [run.link.number for run in moment.runs]
    pinned = [run.link.number for run in moment.runs if run.pinned]
    return Response({"at_ms": moment.ms, "phase": moment.phase_title, "answers": moment.fields, "runs": numbers, "pinned": pinned})


def refuse_unless_visible(attempt: Attempt) -> None:
    if not questions_visible(attempt):
        raise PermissionDenied("This can be read once the interview is over and whoever set it has opened it.")
