"""The live board of a cohort for programs, and what proctors can do on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
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

from mlsd_app.api import live_shapes as shapes
from mlsd_app.api.operations import LAST_EVENT_ID, operation
from mlsd_app.api.views.cohorts import by_of, cohort_for, given, user_of
from mlsd_app.api.views.runs import EventStreamRenderer
from mlsd_app.cohorts.live.rows import Filter, Row, board_rows
from mlsd_app.cohorts.live.stream import event_number, watch_board
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.services import operations as services
from mlsd_app.core.sse import event_stream
from mlsd_app.interviews.lifecycle import clock_block

TAG = "cohorts"


def _filter(data: Mapping[str, Any]) -> Filter:
    asked = given(shapes.LiveFilter, data)
    return Filter(asked["assignment"], asked["label"], asked["flag"], asked["show"] == "closed")


@operation(
    tag=TAG,
    summary="Read the live board",
    parameters=[shapes.LiveFilter],
    answers={200: shapes.LiveAnswer},
    errors=[403, 404, 422],
    operation_id="cohorts_live",
)
@api_view(["GET"])
def board(request: Request, cohort_id: int) -> Response:
    """One row for each interview that runs; at most 500. Observers get code names."""
    asked, now = _filter(request.query_params), timezone.now()
    cohort = cohort_for(request, cohort_id, "watch_live")
    rows = board_rows(user=user_of(request), cohort=cohort, asked=asked, now=now)
    return Response({"now": now, "rows": [_row(row) for row in rows]})


def _row(row: Row) -> dict[str, Any]:
    return {
        "attempt": row.attempt.pk,
        "assignment": row.assignment.pk,
        "person": row.name,
        "labels": row.labels,
        "status": row.attempt.status,
        "state": row.key,
        "clock": clock_block(row.attempt, row.state),
        "saved_at": row.saved_at,
        "heard_at": row.heard_at,
        "connection": row.connection,
        "work": asdict(row.work),
        "flags": row.flags,
    }


@operation(
    tag=TAG,
    summary="Follow the live board",
    parameters=[shapes.LiveFilter, LAST_EVENT_ID],
    answers={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Events for as long as you may watch.")},
    errors=[403, 404, 422],
    operation_id="cohorts_live_stream",
)
@api_view(["GET"])
@renderer_classes([EventStreamRenderer, JSONRenderer])
def stream(request: Request, cohort_id: int) -> StreamingHttpResponse:
    """Server-sent events: `rows` with ids and HTML of rows that changed, `gone`, and now and then `all` ids; `beat`; `over`, the last."""
    asked = _filter(request.query_params)
    cohort = cohort_for(request, cohort_id, "watch_live")
    return event_stream(_encoded(user_of(request).pk, cohort.pk, asked, event_number(request.headers.get("Last-Event-ID"))))


async def _encoded(user_id: int, cohort_id: int, asked: Filter, after: int | None) -> AsyncIterator[str]:
    async for event in watch_board(user_id=user_id, cohort_id=cohort_id, asked=asked, after=after):
        yield event.encode()


@operation(
    tag=TAG,
    summary="Change the time of interviews, end them, or say something in them",
    request=shapes.OperationRequest,
    answers={200: shapes.OperationAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="cohorts_operations",
)
@api_view(["POST"])
def operate(request: Request, cohort_id: int) -> Response:
    """Each interview has a status of its own in the answer; those that cannot be changed are skipped and the others proceed.

    With `dry_run` nothing is changed and the answer says what would be. `set_remaining` needs the `clock_seq` of such an answer.
    """
    asked = given(shapes.OperationRequest, request.data)
    cohort = cohort_for(request, cohort_id, "watch_live")
    if not may(user_of(request), "manage_learners", cohort):
        raise PermissionDenied("Observers watch; they change nothing.")
    operation_of = services.operation_checked(asked["op"], asked["args"])
    try:
        chosen = services.attempts_chosen(
            user=user_of(request),
            cohort=cohort,
            chosen=_ids(asked["attempts"]),
            of_closed=operation_of.of_closed,
            assignment=asked["assignment"],
        )
    except services.UnknownAttempt as error:
        raise Http404(str(error)) from error
    outcomes = services.operation_run(
        by=by_of(request),
        cohort=cohort,
        op=asked["op"],
        args=asked["args"],
        attempts=chosen,
        reason=asked["reason"],
        now=timezone.now(),
        seen=asked["clock_seq"],
        dry_run=asked["dry_run"],
    )
    return Response({"dry_run": asked["dry_run"], "results": [_result(outcome) for outcome in outcomes]})


def _ids(attempts: str | Sequence[UUID]) -> Sequence[UUID] | None:
    return None if isinstance(attempts, str) else attempts


def _result(outcome: services.Outcome) -> dict[str, Any]:
    after = asdict(outcome.after) if outcome.after else None
    return {
        "attempt": outcome.attempt.pk,
        "status": outcome.status,
        "code": outcome.code,
        "detail": outcome.words,
        "before": asdict(outcome.before),
        "after": after,
    }
