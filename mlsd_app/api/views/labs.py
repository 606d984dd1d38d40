"""Labs and the starting of runs."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import Http404
from rest_framework import status
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import present
from mlsd_app.api import serializers as shapes
from mlsd_app.api.operations import operation
from mlsd_app.runs.models import Dataset, RunState
from mlsd_app.runs.selectors import datasets_of
from mlsd_app.runs.services import run_start
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.registry import get_lab
from simulators.registry import labs as all_labs


@operation(tag="labs", summary="List labs", answers={200: shapes.LabSummary(many=True)}, operation_id="labs_list")
@api_view(["GET"])
@permission_classes([AllowAny])
def labs(request: Request) -> Response:
    """Every lab of every problem."""
    return Response([present.lab_summary(lab) for lab in all_labs().values()])


@operation(tag="labs", summary="Read a lab", answers={200: shapes.Lab}, errors=[404], operation_id="labs_read")
@api_view(["GET"])
@permission_classes([AllowAny])
def lab(request: Request, problem: str, lab: str) -> Response:
    """Parameters with units, bounds and scales, presets, and the data it takes. `params_schema` is the JSON schema of a run's params."""
    return Response(present.lab_detail(lab_or_404(problem, lab)))


@operation(
    tag="runs",
    summary="Start a run",
    request=shapes.RunRequest,
    answers={200: shapes.RunAnswer, 201: shapes.RunAnswer},
    errors=[404],
    operation_id="runs_start",
)
@api_view(["POST"])
def start(request: Request, problem: str, lab: str) -> Response:
    """Answers 201 with a run that waits for a worker, or 200 with a finished one when the result for these inputs is known."""
    found = lab_or_404(problem, lab)
    asked = shapes.RunRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    user = cast(User, request.user)
    dataset = _dataset(user, found, given["dataset"])
    run = run_start(user=user, lab=found, values=given["params"], dataset=dataset, seed=given["seed"], fresh=given["fresh"])
    code = status.HTTP_200_OK if run.state == RunState.DONE else status.HTTP_201_CREATED
    return Response(present.run_answer(run), status=code, headers={"Location": present.run_answer(run)["links"]["self"]})


def _dataset(user: User, lab: type[Lab], pk: UUID | None) -> Dataset | None:
    if pk is None:
        return None
    found = datasets_of(user=user, lab=lab).filter(pk=pk).first()
    if found is None:
        raise InvalidInput("That data set is not among yours for this lab. GET /api/v1/datasets lists them.", field="dataset")
    return found


def lab_or_404(problem: str, slug: str) -> type[Lab]:
    try:
        return get_lab(problem, slug)
    except InvalidInput as error:
        raise Http404(f"There is no lab {problem}/{slug}. GET /api/v1/labs lists them.") from error
