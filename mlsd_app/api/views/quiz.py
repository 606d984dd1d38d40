"""The quiz: plan, what is due, sittings, answers, readiness. No answer is told before a response, or a look at it, is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import api_view, permission_classes, throttle_classes
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import quiz_present as present
from mlsd_app.api import quiz_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.throttling import PerMinute, ReadingsPerMinute
from mlsd_app.api.views.problems import problem_or_404
from mlsd_app.quiz import flags, plans, queue, readiness, responses, sittings, statistics
from mlsd_app.quiz.bank import bank, items_of
from mlsd_app.quiz.models import ResponseKind, Sitting, SittingKind
from mlsd_app.quiz.served import served
from simulators.errors import InvalidInput
from simulators.units import parse_quantity

TAG = "quiz"


def person(request: Request) -> User:
    return cast(User, request.user)


def checked(shape: type[Any], data: Any) -> dict[str, Any]:
    asked = shape(data=data)
    asked.is_valid(raise_exception=True)
    values: dict[str, Any] = asked.validated_data
    return values


def own_sitting(request: Request, sitting_id: UUID, now: datetime) -> Sitting:
    found = sittings.sittings_of(request.user).filter(pk=sitting_id).first()
    if found is None:
        raise Http404("There is no such quiz among yours.")
    sittings.close_if_due(sitting=found, now=now)
    return found


# --- plan and what is due --------------------------------------------------------------------------------------------


@operation(tag=TAG, summary="Read your plan", answers={200: shapes.QuizPlan}, methods=["GET"], operation_id="quiz_plan_read")
@operation(
    tag=TAG,
    summary="Set your plan",
    request=shapes.QuizPlan,
    answers={200: shapes.QuizPlan},
    methods=["PUT"],
    operation_id="quiz_plan_set",
)
@api_view(["GET", "PUT"])
def plan(request: Request) -> Response:
    """Interview date, minutes a day, recall to aim at, problems. Setting it pulls cards forward to the date."""
    if request.method == "PUT":
        plans.plan_save(user=person(request), now=timezone.now(), **checked(shapes.QuizPlan, request.data))
    return Response(present.plan(plans.plan_of(request.user)))


@operation(
    tag=TAG,
    summary="Read what is due",
    parameters=[shapes.QuizDueQuery],
    answers={200: shapes.QuizDue},
    errors=[422],
    operation_id="quiz_due",
)
@api_view(["GET"])
def due(request: Request) -> Response:
    """In the order it is asked: steps of minutes, sure and wrong, what is most likely forgotten, new ones."""
    limit = checked(shapes.QuizDueQuery, request.query_params)["limit"]
    day = queue.today(plan=plans.plan_of(request.user), now=timezone.now())
    items = [{**present.summary(bank()[card.key]), "new": card.new} for card in day.queue[:limit]]
    return Response({"due": len(day.due), "new": len(day.new), "minutes": day.minutes, "items": items})


@operation(
    tag=TAG,
    summary="List the questions of a problem",
    answers={200: shapes.QuizItemSummary(many=True)},
    errors=[404],
    operation_id="problem_quiz_list",
)
@api_view(["GET"])
@permission_classes([AllowAny])
def problem_quiz(request: Request, problem: str) -> Response:
    """What may be known before answering: no options, no answers."""
    return Response([present.summary(entry) for entry in items_of(problem_or_404(problem).slug)])


# --- sittings --------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Start a sitting",
    request=shapes.QuizSittingRequest,
    answers={201: shapes.QuizSitting},
    errors=[409],
    operation_id="quiz_sittings_start",
)
@api_view(["POST"])
def sittings_start(request: Request) -> Response:
    """Today's cards, some questions of a problem, or the readiness check. Of today's there is one at a time: starting again resumes it."""
    now = timezone.now()
    sitting = _start(person(request), checked(shapes.QuizSittingRequest, request.data), now)
    return Response(present.sitting(sitting, now), status=status.HTTP_201_CREATED)


def _start(user: User, wanted: dict[str, Any], now: datetime) -> Sitting:
    match wanted["kind"]:
        case SittingKind.READINESS:
            return sittings.readiness_start(user=user, now=now, timed=wanted["timed"])
        case SittingKind.PROBLEM:
            slug = wanted["problem"]
            items = wanted["items"] or [entry.item.id for entry in items_of(slug)]
            if not items:
                raise InvalidInput(f"{slug!r} is no problem with questions. GET /api/v1/problems lists the problems.", field="problem")
            return sittings.problem_start(user=user, slug=slug, items=items, now=now, counts=wanted["counts"])
    return sittings.daily_start(user=user, now=now)


@operation(tag=TAG, summary="Read a sitting", answers={200: shapes.QuizSitting}, errors=[404], operation_id="quiz_sittings_read")
@api_view(["GET"])
def sitting(request: Request, sitting_id: UUID) -> Response:
    """Where it stands, with the next question."""
    now = timezone.now()
    return Response(present.sitting(own_sitting(request, sitting_id, now), now))


@operation(
    tag=TAG,
    summary="Look at an answer before rating yourself",
    request=shapes.QuizRevealRequest,
    answers={200: shapes.QuizRevealed},
    errors=[404, 409, 410],
    operation_id="quiz_sittings_reveal",
)
@api_view(["POST"])
def reveal(request: Request, sitting_id: UUID) -> Response:
    """Of flashcards and free answers. What you wrote is kept as it was before you looked."""
    now, asked = timezone.now(), checked(shapes.QuizRevealRequest, request.data)
    found = own_sitting(request, sitting_id, now)
    held = responses.answer_reveal(user=person(request), sitting=found, place=asked["place"], text=asked["text"], now=now)
    return Response(served(held, asked["place"]).solution)


@operation(
    tag=TAG,
    summary="Take a hint",
    request=shapes.QuizHintRequest,
    answers={200: shapes.QuizHint},
    errors=[404, 410],
    operation_id="quiz_sittings_hint",
)
@api_view(["POST"])
def hint(request: Request, sitting_id: UUID) -> Response:
    """The rating is then hard at best."""
    now, asked = timezone.now(), checked(shapes.QuizHintRequest, request.data)
    found = own_sitting(request, sitting_id, now)
    held = responses.hint_take(user=person(request), sitting=found, place=asked["place"], now=now)
    return Response({"hint": served(held, asked["place"]).question.hint})


# --- answers ---------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Answer a question",
    request=shapes.QuizResponseRequest,
    answers={200: shapes.QuizAnswer},
    errors=[409, 410],
    operation_id="quiz_responses_give",
)
@api_view(["POST"])
def responses_give(request: Request) -> Response:
    """Mark, explanation, next date. 409 `already_answered`; 410 when the sitting is closed.

    422 for what cannot be read, with `code` and `position` for a number: that is no attempt.
    """
    now, asked = timezone.now(), checked(shapes.QuizResponseRequest, request.data)
    found = sittings.sittings_of(request.user).filter(pk=asked["sitting"]).first()
    if found is None:
        raise InvalidInput("There is no such quiz among yours. POST /api/v1/quiz/sittings starts one.", field="sitting")
    sent = responses.Given(asked["given"], asked["op_id"], asked["confidence"], asked["ms"], asked["rating"])
    row = responses.response_give(user=person(request), sitting=found, place=asked["place"], given=sent, now=now)
    return Response(present.answer(row))


@operation(
    tag=TAG,
    summary="Take an answer back",
    request=shapes.QuizUndoRequest,
    answers={200: shapes.QuizSitting},
    errors=[404, 409],
    operation_id="quiz_responses_undo",
)
@api_view(["POST"])
def response_undo(request: Request, response_id: int) -> Response:
    """The question is open again and the card stands as before. 409 after ten minutes, or once the card was reviewed again."""
    now, user = timezone.now(), person(request)
    row = user.quiz_responses.filter(pk=response_id, kind=ResponseKind.ANSWER).first()
    if row is None:
        raise Http404("There is no such answer among yours.")
    responses.response_undo(user=user, response=row, op_id=checked(shapes.QuizUndoRequest, request.data)["op_id"], now=now)
    return Response(present.sitting(own_sitting(request, row.sitting_id, now), now))


@operation(
    tag=TAG, summary="Read a typed number", request=shapes.QuizParseRequest, answers={200: shapes.QuizParsed}, operation_id="quiz_parse"
)
@api_view(["POST"])
@throttle_classes([PerMinute, ReadingsPerMinute])
def parse(request: Request) -> Response:
    """How an answer would be read; no attempt is used. Sixty a minute."""
    asked = checked(shapes.QuizParseRequest, request.data)
    quantity = parse_quantity(asked["text"], asked["expect"] or None)
    return Response({"read": quantity.text, **{name: getattr(quantity, name) for name in ("value", "unit", "dimension", "note")}})


# --- where you stand -------------------------------------------------------------------------------------------------


@operation(tag=TAG, summary="Read your readiness", answers={200: shapes.QuizReadiness}, operation_id="quiz_readiness")
@api_view(["GET"])
def readiness_read(request: Request) -> Response:
    """A score a problem with its parts; what is not known yet makes it a range."""
    return Response(present.readiness(readiness.readiness_of(plan=plans.plan_of(request.user), now=timezone.now())))


@operation(tag=TAG, summary="Read your statistics", answers={200: shapes.QuizStats}, operation_id="quiz_stats")
@api_view(["GET"])
def stats(request: Request) -> Response:
    """Ninety days back, fourteen ahead."""
    found = plans.plan_of(request.user)
    return Response(present.stats(statistics.statistics_of(plan=found, now=timezone.now()), found))


@operation(
    tag=TAG,
    summary="Report a question",
    request=shapes.QuizFlagRequest,
    answers={201: shapes.QuizFlag},
    operation_id="quiz_flags_create",
)
@api_view(["POST"])
def flags_create(request: Request) -> Response:
    """As wrong, unclear, ambiguous. Twenty a day."""
    asked = checked(shapes.QuizFlagRequest, request.data)
    fields = {"slug": asked["problem"], "item_id": asked["item"], "kind": asked["kind"], "text": asked["text"]}
    made = flags.flag_create(user=person(request), now=timezone.now(), **fields)
    return Response(shapes.QuizFlag(made).data, status=status.HTTP_201_CREATED)
