"""Figures of cohorts and assignments, the map, files to take away, and reports on content."""

from __future__ import annotations

from typing import Any

from django.http import Http404, StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from rest_framework import status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api import analytics_present as present
from mlsd_app.api import analytics_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.serializers import Page
from mlsd_app.api.views.cohorts import by_of, cohort_for, found_or_404, given, require, user_of
from mlsd_app.cohorts.analytics.items import items_page
from mlsd_app.cohorts.analytics.overview import cohort_page
from mlsd_app.cohorts.analytics.population import population_of
from mlsd_app.cohorts.analytics.predictions import topic_rows
from mlsd_app.cohorts.audit import staff_access
from mlsd_app.cohorts.authoring.folder import checked_problem
from mlsd_app.cohorts.authoring.report import as_json
from mlsd_app.cohorts.authoring.sent import checked_files
from mlsd_app.cohorts.exports.shapes import SHAPES, schema_of
from mlsd_app.cohorts.models import Assignment, Export
from mlsd_app.cohorts.selectors import assignments_visible_to, exports_visible_to
from mlsd_app.cohorts.services import exports as services
from mlsd_app.cohorts.trade_map import Asked, trade_map
from mlsd_app.cohorts.views.authoring import count_check, require_author
from mlsd_app.cohorts.views.exports import file_response
from simulators.errors import InvalidInput

TAG = "cohorts"


def _assignment(request: Request, assignment_id: int, action: str) -> Assignment:
    """404 for an assignment the caller does not see, 403 for what the role does not include."""
    rows = assignments_visible_to(user_of(request)).select_related("cohort")
    row = found_or_404(rows, assignment_id, "There is no such assignment in your cohorts.")
    require(request, action, row if action == "see_map" else row.cohort)
    staff_access(by=by_of(request), cohort=row.cohort, now=timezone.now())
    return row


@operation(
    tag=TAG,
    summary="Read the figures of a cohort",
    parameters=[shapes.WhichFilter],
    answers={200: shapes.AnalyticsAnswer},
    errors=[403, 404, 422],
    operation_id="cohort_analytics_read",
)
@api_view(["GET"])
def cohort(request: Request, cohort_id: int) -> Response:
    """Completion, results, activity and predictions, without names."""
    asked = given(shapes.WhichFilter, request.query_params)
    row = cohort_for(request, cohort_id, "see_analytics")
    found = cohort_page(row, timezone.now())
    return Response(present.cohort_figures(found, topic_rows(row, asked["which"]), asked["which"]))


@operation(
    tag=TAG,
    summary="Read the figures of an assignment",
    parameters=[shapes.WhichFilter],
    answers={200: shapes.AnalyticsAnswer},
    errors=[403, 404, 422],
    operation_id="assignment_analytics_read",
)
@api_view(["GET"])
def assignment(request: Request, assignment_id: int) -> Response:
    """Over one closed try a person. Times are in percent of each person's own time."""
    asked = given(shapes.WhichFilter, request.query_params)
    row = _assignment(request, assignment_id, "see_analytics")
    return Response(present.assignment_figures(row, population_of(row, asked["which"])))


@operation(
    tag=TAG,
    summary="Read the item analysis",
    parameters=[shapes.WhichFilter],
    answers={200: shapes.ItemsAnswer},
    errors=[403, 404, 422],
    operation_id="assignment_items_read",
)
@api_view(["GET"])
def items(request: Request, assignment_id: int) -> Response:
    """Questions of a quiz, rubric items of a mock. A figure that the group cannot carry is null, and hidden_reason says why."""
    asked = given(shapes.WhichFilter, request.query_params)
    row = _assignment(request, assignment_id, "see_analytics")
    return Response(present.items_answer(items_page(row, population_of(row, asked["which"]), pooled=asked["pool"])))


@operation(
    tag=TAG,
    summary="Read the trade-off map",
    parameters=[shapes.MapFilter],
    answers={200: shapes.MapAnswer},
    errors=[403, 404, 422],
    operation_id="assignment_map_read",
)
@api_view(["GET"])
def tradeoff_map(request: Request, assignment_id: int) -> Response:
    """Runs in the same world with the same seed. Learners get it after handing in, once five people have."""
    asked = given(shapes.MapFilter, request.query_params)
    row = _assignment(request, assignment_id, "see_map")
    return Response(present.map_answer(trade_map(user=user_of(request), assignment=row, asked=Asked(**asked), now=timezone.now())))


# --- exports ---------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List your files",
    parameters=[Page],
    answers={200: shapes.ExportPage},
    errors=[422],
    operation_id="exports_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Ask for a file",
    request=shapes.ExportRequest,
    answers={202: shapes.ExportAnswer},
    errors=[403, 404],
    changes=True,
    operation_id="exports_create",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def exports(request: Request) -> Response:
    """A worker writes it; it is kept for seven days."""
    if request.method == "GET":
        asked = given(Page, request.query_params)
        return page(request, exports_visible_to(user_of(request)), asked["limit"], asked["offset"], present.export_answer)
    made = _export_made(request, given(shapes.ExportRequest, request.data))
    return Response(present.export_answer(made), status=status.HTTP_202_ACCEPTED)


def _export_made(request: Request, asked: dict[str, Any]) -> Export:
    by, now = by_of(request), timezone.now()
    if asked["kind"] == services.OWN:
        return services.export_own(by=by, now=now)
    if "cohort" not in asked:
        raise InvalidInput("Name the cohort whose rows you want.", field="cohort")
    row = cohort_for(request, asked["cohort"], "export_cohort")
    pk = asked.get("assignment")
    only = found_or_404(Assignment.objects.filter(cohort=row), pk, "There is no such assignment in this cohort.") if pk else None
    options = {name: asked[name] for name in ("kind", "format", "names", "bom")}
    return services.export_create(by=by, cohort=row, assignment=only, now=now, **options)


@operation(tag=TAG, summary="Read a file's state", answers={200: shapes.ExportAnswer}, errors=[404], operation_id="exports_read")
@api_view(["GET"])
def export(request: Request, export_id: int) -> Response:
    return Response(present.export_answer(_own_export(request, export_id)))


def _own_export(request: Request, export_id: int) -> Export:
    return found_or_404(exports_visible_to(user_of(request)), export_id, "There is no such file of yours; files are kept for seven days.")


@operation(
    tag=TAG,
    summary="Download a file",
    answers={(200, kind): OpenApiTypes.BINARY for kind in ("text/csv", "application/jsonl", "application/zip")},
    errors=[404],
    operation_id="exports_file",
)
@api_view(["GET"])
def export_file(request: Request, export_id: int) -> StreamingHttpResponse:
    found = _own_export(request, export_id)
    if not services.ready(found, timezone.now()):
        raise Http404("This file is not there yet, or no longer.")
    return file_response(found)


@operation(tag=TAG, summary="Read the schema of a row", answers={200: OpenApiTypes.OBJECT}, errors=[404], operation_id="exports_schema")
@api_view(["GET"])
def export_schema(request: Request, kind: str) -> Response:
    """JSON schema (2020-12) of one row of a kind of export."""
    if kind not in SHAPES:
        raise Http404(f"There is no such kind of export; kinds are {', '.join(SHAPES)}.")
    return Response(schema_of(kind))


# --- content ---------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Check a problem",
    request=shapes.ContentRequest,
    answers={200: shapes.ContentAnswer},
    errors=[403],
    changes=True,
    operation_id="content_check",
)
@api_view(["POST"])
def content_check(request: Request) -> Response:
    """For owners of a cohort. What is sent is read, checked and thrown away; nothing of it is run or published."""
    asked, user = given(shapes.ContentRequest, request.data), user_of(request)
    require_author(user)
    count_check(user, timezone.now())
    slug, files = asked["slug"], asked["files"]
    found = checked_files(slug=slug, files=files) if files else list(checked_problem(slug))
    return Response({"slug": slug, "errors": sum(one.level == "error" for one in found), "findings": as_json(found)})
