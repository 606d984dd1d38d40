"""Cohorts and the people in them. Each view fetches through the selectors of the panel: what one may not see is 404, not 403."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from django.db.models import Model, QuerySet
from django.http import Http404
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import api_view
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import cohort_present as present
from mlsd_app.api import cohort_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.serializers import Page
from mlsd_app.cohorts.audit import By, staff_access
from mlsd_app.cohorts.models import Cohort, Label, Membership, Role
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import cohorts_visible_to, memberships_visible_to
from mlsd_app.cohorts.services import codes, csv_import, members
from mlsd_app.cohorts.services import cohorts as services
from simulators.errors import InvalidInput

TAG = "cohorts"
LAST_ID = 2**63 - 1
M = TypeVar("M", bound=Model)


def user_of(request: Request) -> User:
    return cast(User, request.user)


def by_of(request: Request) -> By:
    request._request.user = request.user  # a token's user is known to the API's request only
    return By.of(request._request)


def found_or_404(rows: QuerySet[M], pk: int, words: str) -> M:
    found = rows.filter(pk=pk).first() if pk <= LAST_ID else None
    if found is None:
        raise Http404(words)
    return found


def require(request: Request, action: str, thing: object) -> None:
    if not may(user_of(request), action, thing):
        raise PermissionDenied("Your role in this cohort does not include this.")


def cohort_for(request: Request, cohort_id: int, action: str) -> Cohort:
    """404 for a cohort the caller is not in, 403 for what the role does not include. A look by site staff is logged."""
    cohort = found_or_404(cohorts_visible_to(user_of(request)), cohort_id, "There is no such cohort among yours.")
    require(request, action, cohort)
    staff_access(by=by_of(request), cohort=cohort, now=timezone.now())
    return cohort


def given(shape: Any, data: Any) -> dict[str, Any]:
    asked = shape(data=data)
    asked.is_valid(raise_exception=True)
    return cast(dict[str, Any], asked.validated_data)


def labels_named(cohort: Cohort, names: list[str]) -> list[Label]:
    found = {label.name: label for label in cohort.labels.filter(name__in=names)}
    if missing := [name for name in names if name not in found]:
        raise InvalidInput(f"This cohort has no label {missing[0]!r}.", field="labels")
    return list(found.values())


# --- cohorts ---------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List your cohorts",
    parameters=[Page],
    answers={200: shapes.CohortPage},
    errors=[422],
    operation_id="cohorts_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Make a cohort",
    request=shapes.CohortRequest,
    answers={201: shapes.CohortAnswer},
    changes=True,
    operation_id="cohorts_create",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def cohorts(request: Request) -> Response:
    """By name. Site staff get every cohort."""
    user = user_of(request)
    if request.method == "GET":
        asked = given(Page, request.query_params)
        return page(request, cohorts_visible_to(user), asked["limit"], asked["offset"], lambda row: present.cohort_answer(row, user))
    made = services.cohort_create(by=by_of(request), **given(shapes.CohortRequest, request.data), now=timezone.now())
    return Response(present.cohort_answer(made, user), status=status.HTTP_201_CREATED)


@operation(
    tag=TAG,
    summary="Read a cohort",
    answers={200: shapes.CohortAnswer},
    errors=[403, 404],
    operation_id="cohorts_read",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Change a cohort",
    request=shapes.CohortPatch,
    answers={200: shapes.CohortAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="cohorts_edit",
    methods=["PATCH"],
)
@api_view(["GET", "PATCH"])
def cohort(request: Request, cohort_id: int) -> Response:
    """The owner changes name, time zone and whether it is archived."""
    if request.method == "GET":
        return Response(present.cohort_answer(cohort_for(request, cohort_id, "see_cohort"), user_of(request)))
    row = cohort_for(request, cohort_id, "edit_cohort")
    asked, by, now = given(shapes.CohortPatch, request.data), by_of(request), timezone.now()
    name, zone = asked.get("name", row.name), asked.get("timezone", row.timezone)
    row = services.cohort_edit(by=by, cohort=row, name=name, timezone=zone, base_version=asked["version"], now=now)
    if "archived" in asked:
        row = services.cohort_archive(by=by, cohort=row, archived=asked["archived"], now=now)
    return Response(present.cohort_answer(row, user_of(request)))


@operation(
    tag=TAG,
    summary="Join a cohort",
    request=shapes.JoinRequest,
    answers={200: shapes.CohortAnswer},
    errors=[409, 410],
    changes=True,
    operation_id="cohorts_join",
)
@api_view(["POST"])
def join(request: Request) -> Response:
    """By its code. Joining twice changes nothing; a wrong, an expired and a switched-off code are told apart for nobody."""
    member = codes.cohort_join(by=by_of(request), code=given(shapes.JoinRequest, request.data)["code"], now=timezone.now())
    return Response(present.cohort_answer(member.cohort, user_of(request)))


@operation(
    tag=TAG,
    summary="Change the join code",
    answers={200: shapes.CohortAnswer},
    errors=[404],
    changes=True,
    request=None,
    operation_id="cohorts_rotate",
)
@api_view(["POST"])
def rotate(request: Request, cohort_id: int) -> Response:
    """The old code stops working at once."""
    row = codes.code_rotate(by=by_of(request), cohort=cohort_for(request, cohort_id, "manage_learners"), now=timezone.now())
    return Response(present.cohort_answer(row, user_of(request)))


# --- people ----------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List the people of a cohort",
    parameters=[Page],
    answers={200: shapes.MemberPage},
    errors=[404, 422],
    operation_id="members_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Add somebody to a cohort",
    request=shapes.MemberRequest,
    answers={201: shapes.MemberAnswer},
    errors=[404],
    changes=True,
    operation_id="members_add",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def people(request: Request, cohort_id: int) -> Response:
    """Learners get their own entry only. Who was removed is listed with the time."""
    if request.method == "GET":
        asked = given(Page, request.query_params)
        row = cohort_for(request, cohort_id, "see_cohort")
        found = memberships_visible_to(user_of(request)).filter(cohort=row).select_related("user").prefetch_related("labels")
        return page(request, found, asked["limit"], asked["offset"], present.member_answer)
    row = cohort_for(request, cohort_id, "manage_learners")
    asked = given(shapes.MemberRequest, request.data)
    if asked["role"] != Role.LEARNER:
        require(request, "edit_cohort", row)
    user, labels = members.person_named(asked["person"]), labels_named(row, asked["labels"])
    made = members.member_add(by=by_of(request), cohort=row, user=user, role=Role(asked["role"]), labels=labels, now=timezone.now())
    return Response(present.member_answer(made), status=status.HTTP_201_CREATED)


def _member(request: Request, cohort: Cohort, member_id: int) -> Membership:
    rows = memberships_visible_to(user_of(request)).filter(cohort=cohort).select_related("user", "cohort")
    return found_or_404(rows, member_id, "There is no such person in this cohort.")


@operation(
    tag=TAG,
    summary="Change role or labels",
    request=shapes.MemberPatch,
    answers={200: shapes.MemberAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="members_edit",
    methods=["PATCH"],
)
@operation(
    tag=TAG,
    summary="Remove somebody",
    answers={204: None},
    errors=[404, 409],
    changes=True,
    operation_id="members_remove",
    methods=["DELETE"],
)
@api_view(["PATCH", "DELETE"])
def member(request: Request, cohort_id: int, member_id: int) -> Response:
    """What a removed learner began stays with owner and instructors."""
    row = cohort_for(request, cohort_id, "manage_learners")
    found, by, now = _member(request, row, member_id), by_of(request), timezone.now()
    if request.method == "DELETE":
        require(request, "remove_member", found)
        members.member_remove(by=by, member=found, now=now)
        return Response(status=status.HTTP_204_NO_CONTENT)
    asked = given(shapes.MemberPatch, request.data)
    if "labels" in asked:
        found = members.member_labels(by=by, member=found, labels=labels_named(row, asked["labels"]), now=now)
    if "role" in asked:
        require(request, "change_role", found)
        found = members.member_role(by=by, member=found, role=Role(asked["role"]), now=now)
    return Response(present.member_answer(found))


@operation(
    tag=TAG,
    summary="Import people",
    request=shapes.ImportRequest,
    answers={200: shapes.ImportAnswer},
    errors=[404],
    changes=True,
    operation_id="members_import",
)
@api_view(["POST"])
def members_import(request: Request, cohort_id: int) -> Response:
    """All or nothing. What is wrong comes as 422 with line and column; `dry_run` is on unless you switch it off."""
    row = cohort_for(request, cohort_id, "manage_learners")
    asked = given(shapes.ImportRequest, request.data)
    data = asked["csv"].encode()
    plan = csv_import.import_plan(cohort=row, data=data)
    if plan.faults:
        raise ValidationError({fault.place: fault.message for fault in plan.faults[:100]})
    if not asked["dry_run"]:
        plan = csv_import.people_import(by=by_of(request), cohort=row, data=data, now=timezone.now())
    return Response(present.import_answer(plan, written=not asked["dry_run"]))
