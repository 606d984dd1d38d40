"""Problems and their calculators: reading, no sign-in needed."""

from __future__ import annotations

from django.http import Http404
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.api import present
from mlsd_app.api import serializers as shapes
from mlsd_app.api.operations import operation
from problems.calculators import evaluate
from problems.loader import all_problems
from problems.schema import Problem


@operation(tag="problems", summary="List problems", answers={200: shapes.ProblemSummary(many=True)}, operation_id="problems_list")
@api_view(["GET"])
@permission_classes([AllowAny])
def problems(request: Request) -> Response:
    """All problems, complete ones first."""
    return Response([present.problem_summary(problem) for problem in all_problems()])


@operation(tag="problems", summary="Read a problem", answers={200: shapes.Problem}, errors=[404], operation_id="problems_read")
@api_view(["GET"])
@permission_classes([AllowAny])
def problem(request: Request, problem: str) -> Response:
    """The five phases as Markdown, the calculators and the sources."""
    return Response(present.problem_detail(problem_or_404(problem)))


@operation(
    tag="problems",
    summary="Evaluate a capacity calculator",
    request=shapes.CalculatorRequest,
    answers={200: shapes.CalculatorResult},
    errors=[404],
    operation_id="calculators_evaluate",
)
@api_view(["POST"])
@permission_classes([AllowAny])
def calculator(request: Request, problem: str, key: str) -> Response:
    """All outputs for the inputs given, and the constraint that dominates."""
    found = problem_or_404(problem).calculator(key)
    if found is None:
        raise Http404(f"The problem {problem} has no calculator {key}.")
    asked = shapes.CalculatorRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    return Response(present.calculator_result(evaluate(found, asked.validated_data["inputs"])))


def problem_or_404(slug: str) -> Problem:
    for found in all_problems():
        if found.slug == slug:
            return found
    raise Http404(f"There is no problem {slug}. GET /api/v1/problems lists them.")
