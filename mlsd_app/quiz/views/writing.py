"""What writes. A module that asks gets a fragment, a form a page; both with a sentence when something is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import ensure_user
from mlsd_app.interviews.selectors import attempts_of
from mlsd_app.quiz import cards, flags, responses, sittings
from mlsd_app.quiz.errors import Refused
from mlsd_app.quiz.models import Response, ResponseKind, Sitting
from mlsd_app.quiz.present import next_due_of, result_of
from mlsd_app.quiz.views.practice import quiz_problem_or_404
from mlsd_app.quiz.views.session import done_redirect, frame, own_sitting, question_context
from simulators.errors import InvalidInput

LONGEST_GIVEN = 20_000  # characters of an answer's JSON


def refused(request: HttpRequest, error: Refused | InvalidInput) -> HttpResponse:
    status = error.status if isinstance(error, Refused) else 422
    if request.headers.get("HX-Request"):
        return render(request, "quiz/_refused.html", {"message": error.message}, status=409 if status in (410, 429) else status)
    return render(request, "422.html", {"message": error.message}, status=status)


# --- beginning and ending --------------------------------------------------------------------------------------------


@require_POST
def daily(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    user = ensure_user(request=request)
    cards.cards_retire(user=user)
    try:
        sitting = sittings.daily_start(user=user, now=now)
    except Refused as error:
        messages.info(request, error.message)
        return redirect("quiz:today")
    return redirect("quiz:session", sitting.pk)


@require_POST
def readiness(request: HttpRequest) -> HttpResponse:
    timed = request.POST.get("timed") == "1"
    try:
        sitting = sittings.readiness_start(user=ensure_user(request=request), now=timezone.now(), timed=timed)
    except Refused as error:
        return refused(request, error)
    return redirect("quiz:session", sitting.pk)


@require_POST
def practise(request: HttpRequest, slug: str) -> HttpResponse:
    quiz_problem_or_404(slug)
    counts = request.POST.get("counts") == "1"
    items = request.POST.getlist("item")
    try:
        sitting = sittings.problem_start(user=ensure_user(request=request), slug=slug, items=items, now=timezone.now(), counts=counts)
    except InvalidInput as error:
        messages.warning(request, error.message)
        return redirect("quiz:problem", slug)
    except Refused as error:
        return refused(request, error)
    return redirect("quiz:session", sitting.pk)


@require_POST
def close(request: HttpRequest, sitting_id: UUID) -> HttpResponse:
    now = timezone.now()
    sittings.sitting_close(sitting=own_sitting(request, sitting_id, now), now=now)
    return redirect("quiz:done", sitting_id)


# --- answering -------------------------------------------------------------------------------------------------------


@require_POST
def answer(request: HttpRequest, sitting_id: UUID, place: int) -> HttpResponse:
    """The result; 422 with the question and what was typed when it cannot be read, which is no attempt."""
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    user = ensure_user(request=request)
    try:
        given = _given(request)
        row = responses.response_give(user=user, sitting=sitting, place=place, given=given, now=now)
    except InvalidInput as error:
        return _question_again(request, sitting, now, error.message)
    except Refused as error:
        return refused(request, error)
    sitting.refresh_from_db()
    if not sitting.feedback:
        return _next_or_done(request, sitting, now)
    return _result(request, sitting, row, now)


def _given(request: HttpRequest) -> responses.Given:
    rating, ms = request.POST.get("rating", ""), request.POST.get("ms", "0")
    return responses.Given(
        answer=_answer_of(request),
        op_id=request.POST.get("op_id", ""),
        confidence=request.POST.get("confidence", ""),
        ms=int(ms) if ms.isascii() and ms.isdigit() and len(ms) < 9 else 0,
        rating=int(rating) if rating.isascii() and rating.isdigit() and len(rating) < 3 else None,
    )


def _answer_of(request: HttpRequest) -> dict[str, Any]:
    """The fields as questions take them: picked options and ticked points as numbers, an order as a list of keys."""
    found: dict[str, Any] = {}
    for name in ("picked", "order", "points"):
        if name in request.POST:
            found[name] = [_whole(text) for text in request.POST.getlist(name)[:50]]
    if "text" in request.POST:
        found["text"] = request.POST["text"][:LONGEST_GIVEN]
    return found


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidInput(f"{text[:20]!r} is none of the choices.", field="picked")
    return int(text)


def _question_again(request: HttpRequest, sitting: Sitting, now: datetime, message: str) -> HttpResponse:
    if sittings.progress_of(sitting).complete:
        return done_redirect(request, sitting)
    context = question_context(sitting, now, error=message, typed={name: request.POST.getlist(name) for name in request.POST})
    template = "quiz/_question.html" if request.headers.get("HX-Request") else "quiz/session.html"
    return render(request, template, context, status=422)


def _result(request: HttpRequest, sitting: Sitting, row: Response, now: datetime) -> HttpResponse:
    context = {**frame(sitting, now), "result": result_of(sitting, row, next_due_of(sitting, row)), "place": row.place}
    template = "quiz/_result.html" if request.headers.get("HX-Request") else "quiz/session.html"
    return render(request, template, context)


def _next_or_done(request: HttpRequest, sitting: Sitting, now: datetime) -> HttpResponse:
    if sittings.progress_of(sitting).complete or not request.headers.get("HX-Request"):
        return done_redirect(request, sitting) if sittings.progress_of(sitting).complete else redirect("quiz:session", sitting.pk)
    return render(request, "quiz/_question.html", question_context(sitting, now))


@require_POST
def reveal(request: HttpRequest, sitting_id: UUID, place: int) -> HttpResponse:
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    text = request.POST.get("text", "")
    try:
        held = responses.answer_reveal(user=ensure_user(request=request), sitting=sitting, place=place, text=text, now=now)
    except InvalidInput as error:
        return _question_again(request, sitting, now, error.message)
    except Refused as error:
        return refused(request, error)
    return _next_or_done(request, held, now)


@require_POST
def hint(request: HttpRequest, sitting_id: UUID, place: int) -> HttpResponse:
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    try:
        held = responses.hint_take(user=ensure_user(request=request), sitting=sitting, place=place, now=now)
    except (InvalidInput, Refused) as error:
        return refused(request, error)
    context = question_context(held, now, typed={name: request.POST.getlist(name) for name in request.POST})
    if request.headers.get("HX-Request"):
        return render(request, "quiz/_hint.html", context)
    return render(request, "quiz/session.html", context)


# --- afterwards ------------------------------------------------------------------------------------------------------


def _own_answer(user: User, response_id: int) -> Response:
    return get_object_or_404(Response.objects.select_related("sitting"), pk=response_id, user=user, kind=ResponseKind.ANSWER)


@require_POST
def undo(request: HttpRequest, response_id: int) -> HttpResponse:
    now = timezone.now()
    user = ensure_user(request=request)
    row = _own_answer(user, response_id)
    try:
        responses.response_undo(user=user, response=row, op_id=request.POST.get("op_id", "") or f"undo-{row.op_id}"[:40], now=now)
    except Refused as error:
        return refused(request, error)
    sitting = own_sitting(request, row.sitting_id, now)
    if request.headers.get("HX-Request") and request.POST.get("from") == "session":
        return render(request, "quiz/_question.html", question_context(sitting, now))
    return redirect("quiz:session", row.sitting_id)


@require_POST
def easy(request: HttpRequest, response_id: int) -> HttpResponse:
    """Calls a right answer easy: the result again, with the new date."""
    now = timezone.now()
    user = ensure_user(request=request)
    row = _own_answer(user, response_id)
    try:
        responses.response_rate(user=user, response=row, rating=responses.EASY, op_id=f"easy-{row.op_id}"[:40], now=now)
    except (InvalidInput, Refused) as error:
        return refused(request, error)
    sitting = own_sitting(request, row.sitting_id, now)
    row = sittings.answers_of(sitting)[row.place]
    return _result(request, sitting, row, now)


# --- cards, flags, sources -------------------------------------------------------------------------------------------


@require_POST
def card(request: HttpRequest, slug: str) -> HttpResponse:
    quiz_problem_or_404(slug)
    key = (slug, request.POST.get("item", ""))
    try:
        cards.card_change(user=ensure_user(request=request), key=key, action=request.POST.get("action", ""), now=timezone.now())
    except InvalidInput as error:
        return refused(request, error)
    here = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(here, allowed_hosts={request.get_host()})
    return redirect(here) if safe else redirect("quiz:problem", slug)


@require_POST
def flag(request: HttpRequest) -> HttpResponse:
    slug, item_id, kind, text = (request.POST.get(name, "") for name in ("slug", "item_id", "kind", "text"))
    try:
        flags.flag_create(user=ensure_user(request=request), slug=slug, item_id=item_id, kind=kind, text=text, now=timezone.now())
    except (InvalidInput, Refused) as error:
        return refused(request, error)
    if request.headers.get("HX-Request"):
        return render(request, "quiz/_flagged.html")
    messages.success(request, "Thank you. The report is with the authors; their answer appears on the page Today.")
    return redirect("quiz:today")


@require_POST
def from_attempt(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Makes cards of what one's own mock interview missed."""
    attempt = attempts_of(user=request.user).filter(pk=attempt_id).first()
    if attempt is None or not isinstance(request.user, User):
        raise Http404("There is no such interview among yours.")
    try:
        made = cards.cards_from_attempt(user=request.user, attempt=attempt, now=timezone.now())
    except Refused as error:
        return refused(request, error)
    words = f"{len(made)} card{'' if len(made) == 1 else 's'} of what this interview missed will be asked next."
    messages.success(request, words if made else "Nothing to repeat: this interview missed no point that a question covers.")
    return redirect("quiz:today")
