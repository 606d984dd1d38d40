"""Timed interviews: making an attempt, its clock, and what it holds. What is written into it stands in `attempt_work.py`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
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
from mlsd_app.api import attempt_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.views.problems import problem_or_404
from mlsd_app.interviews import lifecycle, presets
from mlsd_app.interviews.answers import answers_of
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.selectors import attempts_of, state_of
from mlsd_app.interviews.upkeep import attempt_check
from problems.loader import load_problem

TAG = "interviews"


def own_attempt(request: Request, attempt_id: UUID, now: datetime) -> Attempt:
    """The caller's attempt, with everything done that is due at `now`."""
    found = attempts_of(user=request.user).filter(pk=attempt_id).first()
    if found is None:
        raise Http404("There is no such interview among yours. GET /api/v1/attempts lists them.")
    attempt_check(attempt=found, now=now, online=True)
    return found


def person(request: Request) -> User:
    return cast(User, request.user)


def clock_answer(attempt: Attempt, now: datetime, code: int = status.HTTP_200_OK) -> Response:
    attempt.refresh_from_db()
    block = lifecycle.clock_block(attempt, state_of(attempt, now))
    return Response({"attempt": attempt.pk, "status": attempt.status, "clock": block}, status=code)


# --- before an attempt -----------------------------------------------------------------------------------------------


@operation(tag=TAG, summary="List pacing presets", answers={200: shapes.PacingPreset(many=True)}, operation_id="interview_presets_list")
@api_view(["GET"])
@permission_classes([AllowAny])
def interview_presets(request: Request) -> Response:
    """How the minutes of a round can be split."""
    return Response([asdict(preset) for preset in presets.PRESETS.values()])


@operation(
    tag=TAG,
    summary="Read how an interview opens",
    answers={200: shapes.InterviewIntro},
    errors=[404],
    operation_id="problem_interview_read",
)
@api_view(["GET"])
@permission_classes([AllowAny])
def intro(request: Request, problem: str) -> Response:
    """The opening words only."""
    found = problem_or_404(problem)
    if found.interviewer is None:
        raise Http404(f"{found.title} has no interview yet.")
    return Response({"problem": found.slug, "title": found.title, "opener": found.interviewer.opener})


# --- attempts --------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="List your attempts",
    parameters=[shapes.AttemptFilter],
    answers={200: shapes.AttemptPage},
    errors=[422],
    operation_id="attempts_list",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Make an attempt",
    request=shapes.AttemptRequest,
    answers={201: shapes.AttemptDetail},
    errors=[409],
    operation_id="attempts_create",
    methods=["POST"],
)
@api_view(["GET", "POST"])
def attempts(request: Request) -> Response:
    """Newest first. A new one waits in its lobby; there is one that is not over for each problem."""
    return _create(request) if request.method == "POST" else _list(request)


def _list(request: Request) -> Response:
    asked = shapes.AttemptFilter(data=request.query_params)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    wanted = {name: given[name] for name in ("problem", "status") if given[name]}
    found = attempts_of(user=request.user).filter(**wanted).defer("content")
    return page(request, found, given["limit"], given["offset"], lambda attempt: dict(shapes.AttemptSummary(attempt).data))


def _create(request: Request) -> Response:
    now = timezone.now()
    asked = shapes.AttemptRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    given: dict[str, Any] = asked.validated_data
    problem = load_problem(given.pop("problem"))
    attempt = lifecycle.attempt_create(user=person(request), problem=problem, now=now, **given)
    return Response(_detail(attempt, now), status=status.HTTP_201_CREATED, headers={"Location": f"/api/v1/attempts/{attempt.pk}"})


@operation(tag=TAG, summary="Read an attempt", answers={200: shapes.AttemptDetail}, errors=[404], operation_id="attempts_read")
@api_view(["GET"])
def attempt(request: Request, attempt_id: UUID) -> Response:
    """Plan, clock, and every field with its revision."""
    now = timezone.now()
    return Response(_detail(own_attempt(request, attempt_id, now), now))


def _detail(attempt: Attempt, now: datetime) -> dict[str, Any]:
    attempt.refresh_from_db()
    fields = {name: {"rev": row.rev, "content": row.content, "saved_at": row.updated_at} for name, row in answers_of(attempt).items()}
    block = lifecycle.clock_block(attempt, state_of(attempt, now))
    return {**shapes.AttemptSummary(attempt).data, "clock": block, "answers": fields}


# --- its clock -------------------------------------------------------------------------------------------------------


@operation(tag=TAG, summary="Read the clock", answers={200: shapes.ClockAnswer}, errors=[404], operation_id="attempts_clock")
@api_view(["GET"])
def clock(request: Request, attempt_id: UUID) -> Response:
    """The server is the clock: count down from this and ask again."""
    now = timezone.now()
    return clock_answer(own_attempt(request, attempt_id, now), now)


@operation(
    tag=TAG,
    summary="Start the clock",
    request=None,
    answers={200: shapes.ClockAnswer},
    errors=[403, 404, 409],
    changes=True,
    operation_id="attempts_start",
)
@api_view(["POST"])
def start(request: Request, attempt_id: UUID) -> Response:
    """A second start changes nothing."""
    now = timezone.now()
    return clock_answer(lifecycle.attempt_start(attempt=own_attempt(request, attempt_id, now), actor=person(request), now=now), now)


@operation(
    tag=TAG,
    summary="Submit",
    request=None,
    answers={200: shapes.ClockAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="attempts_submit",
)
@api_view(["POST"])
def submit(request: Request, attempt_id: UUID) -> Response:
    """Ends the attempt; sent again, the same answer."""
    now = timezone.now()
    return clock_answer(lifecycle.attempt_submit(attempt=own_attempt(request, attempt_id, now), actor=person(request), now=now), now)


@operation(
    tag=TAG,
    summary="Go to a phase",
    request=shapes.MoveRequest,
    answers={200: shapes.ClockAnswer},
    errors=[404, 409, 423],
    operation_id="attempts_move",
)
@api_view(["POST"])
def moves(request: Request, attempt_id: UUID) -> Response:
    """423 backwards in strict mode, and in a pause."""
    now = timezone.now()
    asked = shapes.MoveRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    found = own_attempt(request, attempt_id, now)
    return clock_answer(lifecycle.attempt_move(attempt=found, to_phase=asked.validated_data["to"], actor=person(request), now=now), now)


@operation(
    tag=TAG,
    summary="Pause",
    request=shapes.PauseRequest,
    answers={200: shapes.ClockAnswer},
    errors=[404, 409],
    operation_id="attempts_pause",
)
@api_view(["POST"])
def pauses(request: Request, attempt_id: UUID) -> Response:
    """409 when none is left."""
    now = timezone.now()
    asked = shapes.PauseRequest(data=request.data)
    asked.is_valid(raise_exception=True)
    found = own_attempt(request, attempt_id, now)
    kind = asked.validated_data["kind"]
    return clock_answer(lifecycle.attempt_pause(attempt=found, actor=person(request), now=now, kind=kind), now)


@operation(
    tag=TAG,
    summary="Go on after a pause",
    answers={200: shapes.ClockAnswer},
    errors=[404, 409, 423],
    changes=True,
    operation_id="attempts_resume",
)
@api_view(["DELETE"])
def current_pause(request: Request, attempt_id: UUID) -> Response:
    """Ends your own pause; 423 where staff have stopped the clock."""
    now = timezone.now()
    return clock_answer(lifecycle.attempt_resume(attempt=own_attempt(request, attempt_id, now), actor=person(request), now=now), now)
