"""Looking back at a finished attempt, second by second."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from mlsd_app.core.content import problem_title
from mlsd_app.core.numbers import number_in
from mlsd_app.interviews import replay as replays
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.scoring.diagram import diagram_svg
from mlsd_app.interviews.selectors import questions_visible
from mlsd_app.interviews.tracks import drawing
from mlsd_app.interviews.views.common import own_attempt, place_of
from mlsd_app.runs.views import lab_url
from simulators.errors import InvalidInput
from simulators.registry import get_lab


def _refuse_hidden(attempt: Attempt) -> None:
    if not questions_visible(attempt):
        raise Http404("This interview can be looked at again once it is over and whoever set it has opened it.")


@require_GET
@never_cache
def replay(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The page at `?ms=`, its end without one; the scrubber then asks for other moments."""
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.live:
        return redirect(place_of(attempt))
    _refuse_hidden(attempt)
    found = replays.timeline(attempt)
    context = {
        "title": problem_title(attempt.problem),
        "timeline": found,
        "drawing": drawing(found),
        **moment_context(attempt, _ms(request, found.end_ms)),
    }
    return render(request, "interviews/replay.html", context)


@require_GET
@never_cache
def moment(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    """The part of the page that changes, at `?ms=`."""
    attempt = own_attempt(request, attempt_id, timezone.now())
    _refuse_hidden(attempt)
    return render(request, "interviews/_moment.html", moment_context(attempt, _ms(request, 0)))


def moment_context(attempt: Attempt, ms: int) -> dict[str, Any]:
    """What `_moment.html` shows; also for staff who look at somebody else's attempt."""
    found = replays.moment_at(attempt, ms)
    components = found.rows("components")
    return {
        "attempt": attempt,
        "moment": found,
        "phases": [{**phase, "text": found.texts[phase["key"]]} for phase in attempt.phases],
        "diagram": diagram_svg(components, found.rows("edges")) if components else "",
        "runs": [_run_context(run) for run in found.runs],
    }


def _run_context(run: replays.RunThen) -> dict[str, Any]:
    """A run with the address at which it can be done again, and what has changed since."""
    kept = run.link.run
    try:
        lab = get_lab(kept.problem, kept.lab)
    except InvalidInput:
        return {"then": run, "url": "", "title": kept.lab, "version": None}
    known = {name: value for name, value in kept.params.items() if name in lab.Params.model_fields}
    changed = lab.version if lab.version != kept.lab_version else None
    return {"then": run, "url": f"{lab_url(lab, known)}&seed={kept.seed}", "title": lab.title, "version": changed}


def _ms(request: HttpRequest, default: int) -> int:
    found = number_in(request.GET.get("ms"))
    return default if found is None else found
