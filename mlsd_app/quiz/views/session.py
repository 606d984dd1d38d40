"""The pages of a sitting. What writes stands in `writing.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from mlsd_app.quiz import plans, sittings, statistics
from mlsd_app.quiz.bank import Key
from mlsd_app.quiz.models import Flag, Response, Sitting, SittingKind, SittingStatus, Source
from mlsd_app.quiz.present import Result, result_of, summary_of
from mlsd_app.quiz.queue import cards_of
from mlsd_app.quiz.readiness import check_of
from mlsd_app.quiz.responses import UNDO_FOR
from mlsd_app.quiz.served import served
from simulators.units import UnitError, parse_quantity


def own_sitting(request: HttpRequest, sitting_id: UUID, now: datetime) -> Sitting:
    """The visitor's own sitting, closed if its time is up; 404 for anybody else's."""
    found = sittings.sittings_of(request.user).filter(pk=sitting_id).first()
    if found is None:
        raise Http404("There is no such quiz among yours.")
    sittings.close_if_due(sitting=found, now=now)
    return found


@require_GET
@never_cache
@ensure_csrf_cookie
def session(request: HttpRequest, sitting_id: UUID) -> HttpResponse:
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    if sitting.status == SittingStatus.CLOSED or sittings.progress_of(sitting).complete:
        return redirect("quiz:done", sitting_id)
    return render(request, "quiz/session.html", question_context(sitting, now))


@require_GET
@never_cache
def question(request: HttpRequest, sitting_id: UUID) -> HttpResponse:
    """The next question as a fragment; without htmx the page it stands on."""
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    if not request.headers.get("HX-Request"):
        return redirect("quiz:session", sitting_id)
    if sitting.status == SittingStatus.CLOSED or sittings.progress_of(sitting).complete:
        return done_redirect(request, sitting)
    return render(request, "quiz/_question.html", question_context(sitting, now))


def done_redirect(request: HttpRequest, sitting: Sitting) -> HttpResponse:
    """To the last page, whether a script or a form asks."""
    if not request.headers.get("HX-Request"):
        return redirect("quiz:done", sitting.pk)
    answer = HttpResponse(status=204)
    answer["HX-Redirect"] = redirect("quiz:done", sitting.pk)["Location"]
    return answer


def frame(sitting: Sitting, now: datetime) -> dict[str, Any]:
    progress = sittings.progress_of(sitting)
    return {
        "sitting": sitting,
        "progress": progress,
        "time_left_s": sittings.time_left_s(sitting, now),
        "undo": last_undoable(sitting, progress, now),
        "flag_kinds": Flag.Kind.choices,
        "plan": plans.plan_of(sitting.user),
    }


def question_context(sitting: Sitting, now: datetime, *, error: str = "", typed: dict[str, Any] | None = None) -> dict[str, Any]:
    context = frame(sitting, now)
    here = context["progress"].here
    asked = served(sitting, here)
    revealed = sitting.revealed.get(str(here))
    return {
        **context,
        "place": here,
        "asked": asked,
        "question": asked.view(),
        "why": reason_of(sitting, asked.key),
        "revealed": revealed,
        "solution": asked.solution if revealed is not None else None,
        "hint": asked.question.hint if here in sitting.hints else "",
        "error": error,
        "typed": typed or {},
    }


def reason_of(sitting: Sitting, key: Key) -> str:
    """Where the card came from, if not from the bank alone."""
    card = cards_of(sitting.user).filter(problem_slug=key[0], item_id=key[1]).exclude(source=Source.BANK).first()
    return card.get_source_display() if card else ""


def last_undoable(sitting: Sitting, progress: sittings.Progress, now: datetime) -> Response | None:
    if sitting.limit_s is not None or sitting.closes_at is not None or not sitting.feedback or not progress.answered:
        return None
    last = max(progress.answered.values(), key=lambda answer: (answer.at, answer.pk))
    return last if now - last.at <= UNDO_FOR else None


@require_GET
def read(request: HttpRequest, sitting_id: UUID, place: int) -> JsonResponse:
    """How a typed number is read; no attempt is used."""
    sitting = own_sitting(request, sitting_id, timezone.now())
    if not 0 <= place < len(sitting.items):
        raise Http404("There is no such question.")
    try:
        quantity = parse_quantity(request.GET.get("text", ""), served(sitting, place).expect)
    except UnitError as error:
        return JsonResponse({"error": error.message, "position": error.position})
    return JsonResponse({"read": quantity.text, "note": quantity.note})


@require_GET
@never_cache
@ensure_csrf_cookie
def done(request: HttpRequest, sitting_id: UUID) -> HttpResponse:
    now = timezone.now()
    sitting = own_sitting(request, sitting_id, now)
    progress = sittings.progress_of(sitting)
    if sitting.status == SittingStatus.OPEN and not progress.complete:
        return redirect("quiz:session", sitting_id)
    plan = plans.plan_of(request.user)
    results: list[Result] = [result_of(sitting, answer) for answer in progress.answered.values()]
    context = {
        **frame(sitting, now),
        "summary": summary_of(results),
        "results": results,
        "tomorrow": statistics.statistics_of(plan=plan, now=now).forecast[1][1],
        "is_readiness": sitting.kind == SittingKind.READINESS,
        "check": check_of(sitting) if sitting.kind == SittingKind.READINESS else None,
        "timed_out": sitting.limit_s is not None and not progress.complete,
    }
    return render(request, "quiz/done.html", context)
