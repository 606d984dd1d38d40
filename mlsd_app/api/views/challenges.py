"""Challenges and the caller's own submissions. Reference designs and secret seeds are in no answer."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import challenge_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.present import param_summary
from mlsd_app.api.views.labs import lab_or_404
from mlsd_app.challenges.models import State, Submission
from mlsd_app.challenges.selectors import PRACTICE, all_challenges, best_verdicts, submissions_of
from mlsd_app.challenges.services import seeds_of, submission_cancel, submission_start
from mlsd_app.runs.forms import fields_of
from simulators.challenge import challenge_of, on_every_seed
from simulators.encoding import plain
from simulators.errors import InvalidInput
from simulators.lab import Assertion, Challenge, Lab

TAG = "challenges"
GRADED = ("stage", "pass_rate", "cost", "cost_unit", "slack")


def task_or_404(problem: str, lab: str, slug: str) -> tuple[type[Lab], Challenge]:
    found = lab_or_404(problem, lab)
    try:
        return found, challenge_of(found, slug)
    except InvalidInput as error:
        raise Http404(error.message) from error


@operation(tag=TAG, summary="List challenges", answers={200: shapes.ChallengeSummary(many=True)}, operation_id="challenges_list")
@api_view(["GET"])
@permission_classes([AllowAny])
def challenges(request: Request) -> Response:
    """Every challenge of every lab, with your best verdict."""
    best = best_verdicts(request.user)
    return Response([_summary(lab, task, best) for lab, task in all_challenges()])


@operation(tag=TAG, summary="Read a challenge", answers={200: shapes.ChallengeDetail}, errors=[404], operation_id="challenges_read")
@api_view(["GET"])
@permission_classes([AllowAny])
def challenge(request: Request, problem: str, lab: str, challenge: str) -> Response:
    """Brief, targets, what is fixed and what is left to you."""
    found, task = task_or_404(problem, lab, challenge)
    detail = {
        **_summary(found, task, best_verdicts(request.user)),
        "brief": task.brief,
        "lab_version": found.version,
        "fixed": plain(dict(task.world)),
        "design": [param_summary(field) for field in fields_of(found) if field.name in task.design],
    }
    return Response(detail)


@operation(
    tag=TAG,
    summary="Submit a design",
    request=shapes.SubmissionRequest,
    answers={200: shapes.Submission, 202: shapes.Submission},
    errors=[404],
    operation_id="challenges_submit",
)
@api_view(["POST"])
def submit(request: Request, problem: str, lab: str, challenge: str) -> Response:
    """Answers 202 with a submission that waits to be judged, or 200 with the one of the same design, which costs nothing.

    One at a time, a minute apart, ten a day to a challenge. Judged in practice; an assignment takes designs on its own page.
    """
    found, task = task_or_404(problem, lab, challenge)
    asked = shapes.SubmissionRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    now = timezone.now()
    row = submission_start(user=_user(request), lab=found, challenge=task, design=asked.validated_data["design"], now=now)
    code = status.HTTP_202_ACCEPTED if row.queued_at == now else status.HTTP_200_OK
    return Response(_submission(row), status=code)


@operation(
    tag=TAG,
    summary="List your submissions",
    parameters=[shapes.SubmissionFilter],
    answers={200: shapes.SubmissionPage},
    errors=[422],
    operation_id="submissions_list",
)
@api_view(["GET"])
def submissions(request: Request) -> Response:
    """Newest first."""
    asked = shapes.SubmissionFilter(data=request.query_params)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    wanted = {name: given[name] for name in ("problem", "challenge") if given[name]}
    return page(request, submissions_of(_user(request)).filter(**wanted), given["limit"], given["offset"], _submission)


@operation(tag=TAG, summary="Read a submission", answers={200: shapes.Submission}, errors=[404], operation_id="submissions_read")
@api_view(["GET"])
def submission(request: Request, submission_id: UUID) -> Response:
    """State, and once it is judged the verdict with every assertion."""
    return Response(_submission(_own(request, submission_id)))


@operation(
    tag=TAG,
    summary="Cancel a submission",
    request=None,
    answers={202: shapes.Submission},
    errors=[404],
    changes=True,
    operation_id="submissions_cancel",
)
@api_view(["POST"])
def cancel(request: Request, submission_id: UUID) -> Response:
    """It stops at its next step. Sending the design again goes on from there. Nothing happens to one that has ended."""
    found = _own(request, submission_id)
    submission_cancel(submission=found, now=timezone.now())
    return Response(_submission(found), status=status.HTTP_202_ACCEPTED)


# --- answers -----------------------------------------------------------------------------------------------------------


def _user(request: Request) -> User:
    return cast(User, request.user)


def _own(request: Request, submission_id: UUID) -> Submission:
    found = submissions_of(request.user).filter(pk=submission_id).first()
    if found is None:
        raise Http404("There is no such submission among yours.")
    return found


def _summary(lab: type[Lab], task: Challenge, best: dict[tuple[str, str, str], Submission]) -> dict[str, Any]:
    own = best.get((lab.problem, lab.slug, task.slug))
    return {
        "problem": lab.problem,
        "lab": lab.slug,
        "challenge": task.slug,
        "title": task.title,
        "targets": [_target(assertion) for assertion in task.assertions],
        "best": own.verdict if own else None,
    }


def _target(assertion: Assertion) -> dict[str, Any]:
    names = ("metric", "op", "target", "unit", "kind")
    return {
        **{name: getattr(assertion, name) for name in names},
        "label": assertion.label or assertion.metric,
        "on_every_seed": on_every_seed(assertion),
        "measured": assertion.reference_value is not None,
    }


def _submission(row: Submission) -> dict[str, Any]:
    names = ("id", "problem", "lab", "challenge", "lab_version", "design", "state", "error", "created_at", "finished_at")
    judged = row.state == State.DONE
    shown = shapes.SubmissionAssertion().fields
    return {
        **{name: getattr(row, name) for name in names},
        "practice": row.scope.startswith(PRACTICE),
        "verdict": row.verdict or None,
        "seeds": seeds_of(row, 1) if judged else [],
        "grade": {
            **{name: row.grade[name] for name in GRADED},
            "assertions": [{name: item[name] for name in shown} for item in row.grade["assertions"]],
        }
        if judged
        else None,
    }
