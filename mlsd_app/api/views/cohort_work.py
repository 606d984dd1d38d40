"""What is assigned to a cohort, what differs for whom, and the log."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import cohort_present as present
from mlsd_app.api import cohort_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.serializers import Page
from mlsd_app.api.views.cohorts import by_of, cohort_for, found_or_404, given, labels_named, require, user_of
from mlsd_app.cohorts.audit import staff_access
from mlsd_app.cohorts.models import Accommodation, Assignment, Cohort, Override
from mlsd_app.cohorts.policy import checked
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import accommodations_set_by, assignments_visible_to, audit_visible_to
from mlsd_app.cohorts.services import accommodations as exceptions
from mlsd_app.cohorts.services import assignments as services
from mlsd_app.cohorts.services.assignments import AssignmentFields, fields_of
from simulators.errors import InvalidInput

TAG = "cohorts"


def assignment_for(request: Request, assignment_id: int, action: str) -> Assignment:
    rows = assignments_visible_to(user_of(request)).select_related("cohort")
    found = found_or_404(rows, assignment_id, "There is no such assignment among those of your cohorts.")
    require(request, action, found)
    staff_access(by=by_of(request), cohort=found.cohort, now=timezone.now())
    return found


def _answer(request: Request, assignment: Assignment) -> dict[str, Any]:
    return present.assignment_answer(assignment, whole=may(user_of(request), "edit_assignment", assignment))


# --- assignments -----------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List a cohort's assignments",
    parameters=[Page],
    answers={200: shapes.AssignmentPage},
    errors=[404, 422],
    operation_id="assignments_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Make an assignment",
    request=shapes.AssignmentRequest,
    answers={201: shapes.AssignmentAnswer},
    errors=[404],
    changes=True,
    operation_id="assignments_create",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def assignments(request: Request, cohort_id: int) -> Response:
    """Learners get what is published to them. A new one is a draft."""
    if request.method == "GET":
        asked = given(Page, request.query_params)
        rows = assignments_visible_to(user_of(request)).filter(cohort=cohort_for(request, cohort_id, "see_cohort"))
        return page(request, rows, asked["limit"], asked["offset"], lambda row: _answer(request, row))
    cohort = cohort_for(request, cohort_id, "create_assignment")
    fields = checked(AssignmentFields, given(shapes.AssignmentRequest, request.data))
    made = services.assignment_create(by=by_of(request), cohort=cohort, fields=fields, now=timezone.now())
    return Response(_answer(request, made), status=status.HTTP_201_CREATED)


@operation(
    tag=TAG,
    summary="Read an assignment",
    answers={200: shapes.AssignmentAnswer},
    errors=[403, 404],
    operation_id="assignments_read",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Change or publish an assignment",
    request=shapes.AssignmentEdit,
    answers={200: shapes.AssignmentAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="assignments_edit",
    methods=["PATCH"],
)
@operation(
    tag=TAG,
    summary="Delete or archive an assignment",
    answers={204: None},
    errors=[404],
    changes=True,
    operation_id="assignments_delete",
    methods=["DELETE"],
)
@api_view(["GET", "PATCH", "DELETE"])
def assignment(request: Request, assignment_id: int) -> Response:
    """What runs keeps the rules it began with. One that somebody has begun is archived instead of deleted."""
    if request.method == "GET":
        return Response(_answer(request, assignment_for(request, assignment_id, "see_assignment")))
    row, by, now = assignment_for(request, assignment_id, "edit_assignment"), by_of(request), timezone.now()
    if request.method == "DELETE":
        services.assignment_delete(by=by, assignment=row, now=now)
        return Response(status=status.HTTP_204_NO_CONTENT)
    asked = given(shapes.AssignmentEdit, request.data)
    version, published = asked.pop("version"), asked.pop("published", None)
    fields = checked(AssignmentFields, {**fields_of(row), **asked})
    row = services.assignment_edit(by=by, assignment=row, fields=fields, base_version=version, now=now)
    if published is not None:
        row = services.assignment_publish(by=by, assignment=row, published=published, now=now)
    return Response(_answer(request, row))


@operation(
    tag=TAG,
    summary="Copy an assignment",
    request=shapes.CopyRequest,
    answers={201: shapes.AssignmentAnswer},
    errors=[404],
    changes=True,
    operation_id="assignments_copy",
)
@api_view(["POST"])
def copy(request: Request, assignment_id: int) -> Response:
    """A draft in a cohort of yours, with every date moved."""
    row = assignment_for(request, assignment_id, "edit_assignment")
    asked = given(shapes.CopyRequest, request.data)
    to = cohort_for(request, asked["to"], "create_assignment")
    made = services.assignment_copy(by=by_of(request), assignment=row, to=to, shift_days=asked["shift_days"], now=timezone.now())
    return Response(_answer(request, made), status=status.HTTP_201_CREATED)


# --- what differs for whom -------------------------------------------------------------------------------------------


def _target(cohort: Cohort, asked: dict[str, Any]) -> dict[str, Any]:
    """`user` and `label`, of which one is None. That it is exactly one, the service checks."""
    number, name = asked.get("user"), asked.get("label")
    user = User.objects.filter(pk=number, memberships__cohort=cohort, memberships__removed_at=None).first() if number else None
    if number and user is None:
        raise InvalidInput("The person is not in this cohort.", field="user")
    return {"user": user, "label": labels_named(cohort, [name])[0] if name else None}


@operation(
    tag=TAG,
    summary="List the exceptions of an assignment",
    answers={200: shapes.OverrideAnswer(many=True)},
    errors=[403, 404],
    operation_id="overrides_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Set an exception",
    request=shapes.OverrideRequest,
    answers={200: shapes.OverrideAnswer(many=True)},
    errors=[404],
    changes=True,
    operation_id="overrides_set",
    methods=["PUT"],
)
@api_view(["GET", "PUT"])
def overrides(request: Request, assignment_id: int) -> Response:
    """Replaces what differed for the person or label; answers with all that are set now."""
    row = assignment_for(request, assignment_id, "edit_assignment")
    if request.method == "PUT":
        asked = given(shapes.OverrideRequest, request.data)
        _override_put(request, row, _target(row.cohort, asked), asked["set"])
    return Response([present.override_answer(item) for item in row.overrides.select_related("label")])


def _override_put(request: Request, row: Assignment, target: dict[str, Any], fields: dict[str, Any]) -> None:
    by, now = by_of(request), timezone.now()
    if fields or not any(target.values()):
        exceptions.override_set(by=by, assignment=row, fields=fields, **target, now=now)
    elif found := Override.objects.filter(assignment=row, **target).first():
        exceptions.override_clear(by=by, override=found, now=now)


@operation(
    tag=TAG,
    summary="List the accommodations of a cohort",
    answers={200: shapes.AccommodationAnswer(many=True)},
    errors=[403, 404],
    operation_id="accommodations_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Set an accommodation",
    request=shapes.AccommodationRequest,
    answers={200: shapes.AccommodationAnswer(many=True)},
    errors=[404],
    changes=True,
    operation_id="accommodations_set",
    methods=["PUT"],
)
@api_view(["GET", "PUT"])
def accommodations(request: Request, cohort_id: int) -> Response:
    """For owner and instructors only; graders never see them."""
    cohort = cohort_for(request, cohort_id, "manage_accommodations")
    if request.method == "PUT":
        _accommodation_put(request, cohort, given(shapes.AccommodationRequest, request.data))
    rows = accommodations_set_by(user_of(request)).filter(cohort=cohort).select_related("label")
    return Response([present.accommodation_answer(row) for row in rows])


def _accommodation_put(request: Request, cohort: Cohort, asked: dict[str, Any]) -> None:
    by, now, target = by_of(request), timezone.now(), _target(cohort, asked)
    times = {name: asked.get(name) for name in ("valid_from", "valid_to")}
    if asked["set"] or not any(target.values()):
        exceptions.accommodation_set(by=by, cohort=cohort, fields=asked["set"], **target, **times, now=now)
    elif found := Accommodation.objects.filter(cohort=cohort, **target).first():
        exceptions.accommodation_clear(by=by, accommodation=found, now=now)


# --- the log ---------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Read a cohort's log",
    parameters=[shapes.AuditFilter],
    answers={200: shapes.AuditPage},
    errors=[403, 404, 422],
    operation_id="audit_list",
)
@api_view(["GET"])
def audit(request: Request, cohort_id: int) -> Response:
    """Newest first. Entries are only ever added."""
    asked = given(shapes.AuditFilter, request.query_params)
    rows = audit_visible_to(user_of(request)).filter(cohort=cohort_for(request, cohort_id, "see_cohort_audit"))
    shown = rows.filter(action=asked["action"]) if asked["action"] else rows
    return page(request, shown, asked["limit"], asked["offset"], present.audit_answer)
