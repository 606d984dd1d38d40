"""The caller's own runs: list, state, events, result, cancellation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse
from rest_framework import status
from rest_framework.decorators import api_view, renderer_classes
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import present
from mlsd_app.api import serializers as shapes
from mlsd_app.api.errors import Conflict
from mlsd_app.api.operations import LAST_EVENT_ID, operation
from mlsd_app.api.pages import page
from mlsd_app.core.sse import event_stream
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.present import result_document
from mlsd_app.runs.selectors import run_visible, runs_of
from mlsd_app.runs.services import run_cancel
from mlsd_app.runs.stream import final_event, resume_after, watch


@operation(
    tag="runs",
    summary="List your runs",
    parameters=[shapes.RunFilter],
    answers={200: shapes.RunPage},
    errors=[422],
    operation_id="runs_list",
)
@api_view(["GET"])
def runs(request: Request) -> Response:
    """Newest first."""
    asked = shapes.RunFilter(data=request.query_params)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    wanted = {name: given[name] for name in ("problem", "lab", "state") if given[name]}
    return page(request, runs_of(user=cast(User, request.user)).filter(**wanted), given["limit"], given["offset"], present.run_answer)


@operation(tag="runs", summary="Read a run's state", answers={200: shapes.RunAnswer}, errors=[404], operation_id="runs_read")
@api_view(["GET"])
def run(request: Request, run_id: UUID) -> Response:
    """Inputs, state, and why it ended if it ended without a result."""
    return Response(present.run_answer(own_run(request, run_id)))


@operation(tag="runs", summary="Read a run's result", answers={200: shapes.Result}, errors=[404, 409], operation_id="runs_result")
@api_view(["GET"])
def result(request: Request, run_id: UUID) -> Response:
    """Metrics, figures, tables, insights and notes. 409 until the state is `done`, and for a run that ended otherwise."""
    found = own_run(request, run_id)
    if found.state != RunState.DONE:
        raise Conflict(f"This run is {found.get_state_display().lower()}; only a run that is done has a result. {found.error}".strip())
    if found.result is None:
        raise Conflict("The result of this run is no longer kept. Run it again.")
    return Response(result_document(found)["result"])


@operation(
    tag="runs",
    summary="Cancel a run",
    answers={202: shapes.RunAnswer},
    errors=[404],
    changes=True,
    request=None,
    operation_id="runs_cancel",
)
@api_view(["POST"])
def cancel(request: Request, run_id: UUID) -> Response:
    """The run stops at its next step; its state tells when it has. Nothing happens to a run that has ended."""
    found = own_run(request, run_id)
    run_cancel(run=found)
    return Response(present.run_answer(found), status=status.HTTP_202_ACCEPTED)


class EventStreamRenderer(JSONRenderer):
    """Lets a client ask for text/event-stream. The stream itself is no `Response`; errors are JSON as everywhere."""

    media_type = "text/event-stream"
    format = "events"


@operation(
    tag="runs",
    summary="Follow a run",
    parameters=[LAST_EVENT_ID],
    answers={(200, "text/event-stream"): OpenApiResponse(OpenApiTypes.STR, description="Events until the run has ended.")},
    errors=[404],
    operation_id="runs_events",
)
@api_view(["GET"])
@renderer_classes([EventStreamRenderer, JSONRenderer])
def events(request: Request, run_id: UUID) -> StreamingHttpResponse:
    """Server-sent events until the run has ended.

    `queued`, `started`, `progress` {done, total, label}, `frame` {metrics, figures}, `waiting` {label}; the last one is `done` {run},
    or `failed`, `cancelled`, `lost` or `expired` {message}. A run that has ended sends its last event only.
    """
    found = own_run(request, run_id)
    resumed = resume_after(request.headers.get("Last-Event-ID"))
    return event_stream(_encoded(found, resumed))


async def _encoded(run: Run, last_id: str) -> AsyncIterator[str]:
    if not run.active:
        yield final_event(run).encode()
        return
    async for event in watch(run.pk, last_id):
        yield event.encode()


def own_run(request: Request, run_id: UUID) -> Run:
    found = Run.objects.select_related("result").filter(pk=run_id).first()
    if found is None or not run_visible(user=request.user, run=found):
        raise Http404("There is no such run among yours. GET /api/v1/runs lists them.")
    return found
