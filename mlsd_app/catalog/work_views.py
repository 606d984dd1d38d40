"""What a user writes on a problem: notes, marks, the clock. A visitor becomes a guest with the first thing written."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.services import ensure_user
from mlsd_app.catalog import selectors, services
from mlsd_app.catalog.models import PhaseWork, PracticeClock, SetAsideText
from mlsd_app.catalog.views import drills, phase_or_404, walkthrough_or_404
from problems.schema import Phase, Problem
from simulators.errors import InvalidInput


def _from_script(request: HttpRequest) -> bool:
    """Whether a module asks, which wants data, and not a form, which wants a page."""
    return request.headers.get("Accept", "").startswith("application/json")


# --- notes -------------------------------------------------------------------------------------------------------------


@require_POST
def note_save(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """200 with the revision and time of the save; 409 with the other version; 422 with a sentence."""
    problem, phase = phase_or_404(slug, key)
    now = timezone.now()
    try:
        base_revision = _revision(request.POST.get("revision", ""))
        work = services.note_save(
            user=ensure_user(request=request),
            problem=problem,
            phase=phase,
            text=request.POST.get("text", ""),
            base_revision=base_revision,
            writer=request.POST.get("writer", "")[:40],
            now=now,
            over=request.POST.get("over") == "1",
        )
    except services.NoteConflict as conflict:
        return _conflict(request, problem, phase, conflict.work)
    except InvalidInput as error:
        return _refused(request, error)
    return JsonResponse(_note(work)) if _from_script(request) else redirect("catalog:phase", slug, key)


def _revision(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidInput(
            f"{text[:40]!r} was given as the revision; expected the whole number the page was loaded with.", field="revision"
        )
    return int(text)


def _note(work: PhaseWork) -> dict[str, Any]:
    return {"revision": work.revision, "saved_at": work.saved_at}


def _conflict(request: HttpRequest, problem: Problem, phase: Phase, theirs: PhaseWork) -> HttpResponse:
    if _from_script(request):
        return JsonResponse({**_note(theirs), "text": theirs.text}, status=409)
    context = {"problem": problem, "phase": phase, "theirs": theirs, "mine": request.POST.get("text", "")}
    return render(request, "catalog/conflict.html", context, status=409)


def _refused(request: HttpRequest, error: InvalidInput) -> HttpResponse:
    if _from_script(request):
        return JsonResponse({"errors": {error.field or "": error.message}}, status=422)
    return render(request, "422.html", {"message": error.message}, status=422)


@require_POST
def set_aside_delete(request: HttpRequest, slug: str, key: str, set_aside_id: int) -> HttpResponse:
    found = get_object_or_404(SetAsideText.objects.select_related("work"), pk=set_aside_id, work__problem=slug, work__phase=key)
    if not selectors.work_visible(user=request.user, work=found.work):
        raise Http404
    services.set_aside_delete(set_aside=found)
    return redirect("catalog:phase", slug, key)


# --- marks -------------------------------------------------------------------------------------------------------------


@require_POST
def reveal(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    problem, phase = phase_or_404(slug, key)
    work = services.answer_reveal(user=ensure_user(request=request), problem=problem, phase=phase, now=timezone.now())
    if request.headers.get("HX-Request"):
        context = {"problem": problem, "phase": phase, "work": work, "drills": drills(problem, phase)}
        return render(request, "catalog/_answer.html", context)
    return redirect(f"{_phase_url(problem, phase)}#answer")


@require_POST
def check(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    problem, phase = phase_or_404(slug, key)
    try:
        work = services.checklist_mark(user=ensure_user(request=request), problem=problem, phase=phase, items=request.POST.getlist("item"))
    except InvalidInput as error:
        return _refused(request, error)
    if request.headers.get("HX-Request"):
        return render(request, "catalog/_check_count.html", {"phase": phase, "work": work})
    return redirect(f"{_phase_url(problem, phase)}#checklist")


@require_POST
def done(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Marks the phase and goes on to the next one, or takes the mark back and stays."""
    problem, phase = phase_or_404(slug, key)
    is_done = request.POST.get("done") == "1"
    services.phase_mark(user=ensure_user(request=request), problem=problem, phase=phase, done=is_done, now=timezone.now())
    following = services.next_phase(problem, phase) if is_done else phase
    return redirect(_phase_url(problem, following)) if following else redirect("catalog:problem", slug)


def _phase_url(problem: Problem, phase: Phase) -> str:
    return reverse("catalog:phase", args=[problem.slug, phase.key])


# --- clock -------------------------------------------------------------------------------------------------------------


@require_POST
def clock_press(request: HttpRequest, slug: str) -> HttpResponse:
    problem = walkthrough_or_404(slug)
    key = request.POST.get("phase", "")
    now = timezone.now()
    try:
        clock = services.clock_press(
            user=ensure_user(request=request), problem=problem, action=request.POST.get("action", ""), phase=key, now=now
        )
    except InvalidInput as error:
        return _refused(request, error)
    return JsonResponse(_clock(clock, problem, key)) if _from_script(request) else redirect("catalog:phase", slug, key)


@require_GET
@never_cache
def clock(request: HttpRequest, slug: str) -> JsonResponse:
    problem = walkthrough_or_404(slug)
    return JsonResponse(_clock(selectors.clock_of(user=request.user, problem=problem), problem, request.GET.get("phase", "")))


def _clock(clock: PracticeClock, problem: Problem, phase: str) -> dict[str, Any]:
    state = selectors.clock_state(clock=clock, problem=problem, now=timezone.now(), phase=phase)
    return {
        "running": state.running,
        "phase": state.phase,
        "untouched": state.untouched,
        "phase_remaining_s": state.phase_remaining_s,
        "remaining_s": state.remaining_s,
        "plan_left_s": state.plan_left_s,
        "taken_from": list(state.taken_s),
        "hidden": clock.hidden,
    }
