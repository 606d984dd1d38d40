"""When the clock has stopped: the debrief, one's own judgement, another round, and what can be taken away."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.interviews import export, present
from mlsd_app.interviews.debrief import Debrief, debrief_of, drawings
from mlsd_app.interviews.debrief.own import LEVEL_WORDS, own_levels, own_levels_set, result_reveal, result_revealed
from mlsd_app.interviews.lifecycle import attempt_create
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.replay import timeline
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.signals import anchors
from mlsd_app.interviews.selectors import live_attempt
from mlsd_app.interviews.views.common import own_attempt, place_of
from problems.loader import load_problem
from simulators.errors import InvalidInput

SUBJECTS = ("signal:", "item:")
LAST_SEED = 2**31 - 1


# --- the page --------------------------------------------------------------------------------------------------------


@require_GET
@never_cache
@ensure_csrf_cookie
def debrief(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """One's own judgement first; then the scorecard and what it rests on. `?look=1` goes past the first."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.live:
        return redirect(place_of(attempt))
    found, own = debrief_of(attempt), own_levels(attempt)
    revealed = result_revealed(attempt)
    if own and found.score_shown and not revealed:
        result_reveal(attempt=attempt, now=now)
        revealed = True
    asks_first = found.answers_shown and attempt.status != Status.VOID and not (revealed or own or "look" in request.GET)
    context = {"debrief": found, "attempt": attempt, "row": present.attempt_row(attempt, now), "revealed": revealed, "own": own}
    context |= _asked_first(attempt) if asks_first else _looked_at(found)
    return render(request, "interviews/debrief.html", context)


def _asked_first(attempt: Attempt) -> dict[str, Any]:
    signals = [(entry, list(zip(LEVEL_WORDS[1:], entry.sentences[1:], strict=True))) for entry in anchors(rubric_of(attempt))]
    return {"asks_first": True, "signals": signals, "level_words": list(enumerate(LEVEL_WORDS))}


def _looked_at(found: Debrief) -> dict[str, Any]:
    if not found.answers_shown:
        return {}
    return {
        "bars": list(zip(found.pacing.bars, drawings.phase_bars(found.pacing), strict=True)),
        "firsts": drawings.firsts_line(found.pacing, timeline(found.attempt).phases),
        "gap_chart": drawings.gap_chart(found.gaps) if found.score_shown and found.gaps else None,
        "level_words": list(enumerate(LEVEL_WORDS)),
        "quiz_url": _quiz_url(found.attempt),
    }


def _quiz_url(attempt: Attempt) -> str:
    """Where cards are made of what was missed; "" where there is no quiz."""
    try:
        return reverse("quiz:from_attempt", args=[attempt.pk])
    except NoReverseMatch:
        return ""


@require_GET
@never_cache
def graded(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """For a page that waits: nothing while a worker marks, then the page anew."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    answer = HttpResponse(status=204)
    if not debrief_of(attempt).waits_for_grade:
        answer["HX-Refresh"] = "true"
    return answer


# --- one's own judgement ---------------------------------------------------------------------------------------------


@require_POST
def assess(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Levels by subject, `signal:<key>` or `item:<id>`; what was left open is left out, and who leaves all of it open goes on."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    try:
        levels = _levels(request)
        if not levels:
            return reveal(request, attempt_id)
        own_levels_set(attempt=attempt, levels=levels, now=now)
    except (InvalidInput, Refused) as error:
        messages.error(request, error.message)
    return redirect("interviews:debrief", attempt.pk)


def _levels(request: HttpRequest) -> dict[str, int]:
    given = {name: str(value) for name, value in request.POST.items() if name.startswith(SUBJECTS) and value}
    if wrong := [value for value in given.values() if not (value.isascii() and value.isdigit() and len(value) == 1)]:
        raise InvalidInput(f"{wrong[0][:20]!r} was given; a level is a whole number from 0 to 4.", field="level")
    return {name: int(value) for name, value in given.items()}


@require_POST
def reveal(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """On to the scorecard without judging oneself."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    result_reveal(attempt=attempt, now=now)
    return redirect(f"{reverse('interviews:debrief', args=[attempt.pk])}?look=1")


# --- another round ---------------------------------------------------------------------------------------------------


@require_POST
def again(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The same problem and plan with other facts, in its lobby; the one that is not over, if there is one."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    try:
        made = attempt_create(
            user=attempt.user, problem=load_problem(attempt.problem), now=now, seed=_other_seed(attempt), **_plan(attempt)
        )
    except Refused as error:
        messages.error(request, error.message)
        other = live_attempt(user=attempt.user, problem=attempt.problem)
        return redirect(place_of(other or attempt))
    except InvalidInput as error:
        messages.error(request, error.message)
        return redirect("interviews:debrief", attempt.pk)
    return redirect("interviews:lobby", made.pk)


def _plan(attempt: Attempt) -> dict[str, Any]:
    total_s = sum(phase["budget_s"] for phase in attempt.phases)
    pacing = {"phases": attempt.phases} if attempt.preset == "custom" else {"preset": attempt.preset, "total_s": total_s}
    return {**pacing, "mode": attempt.mode, "show": attempt.show, "level": attempt.level, "reattempt_of": attempt}


def _other_seed(attempt: Attempt) -> int:
    return (attempt.seed + random.SystemRandom().randint(1, LAST_SEED)) % (LAST_SEED + 1)


# --- what can be taken away ------------------------------------------------------------------------------------------


def _over(request: HttpRequest, attempt_id: UUID) -> Attempt:
    """One's own attempt that may be looked back at."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    if not debrief_of(attempt).answers_shown:
        raise Http404("This can be taken away once the interview is over and whoever set it has opened it.")
    return attempt


@require_GET
@never_cache
def print_page(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """Everything on one page, to be printed or kept as PDF by the browser."""
    attempt = _over(request, attempt_id)
    context = {
        "attempt": attempt,
        "debrief": debrief_of(attempt),
        "row": present.attempt_row(attempt, timezone.now()),
        "revealed": result_revealed(attempt),
        "phases": export.phases_with_lists(attempt),
    }
    return render(request, "interviews/print.html", context)


@require_GET
@never_cache
def export_md(request: HttpRequest, attempt_id: UUID) -> HttpResponseBase:
    attempt = _over(request, attempt_id)
    return _file(HttpResponse(export.markdown_of(attempt, own=True), content_type="text/markdown; charset=utf-8"), attempt, "md")


@require_GET
@never_cache
def export_jsonl(request: HttpRequest, attempt_id: UUID) -> HttpResponseBase:
    attempt = _over(request, attempt_id)
    lines = StreamingHttpResponse(export.jsonl_of(attempt, own=True), content_type="application/jsonl; charset=utf-8")
    return _file(lines, attempt, "jsonl")


def _file(answer: HttpResponseBase, attempt: Attempt, ending: str) -> HttpResponseBase:
    name = f"loop45-{attempt.problem}-{attempt.closed_at or attempt.started_at:%Y-%m-%d}.{ending}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
