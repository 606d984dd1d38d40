"""Home, the list of problems and the pages of a problem. Writing views stand in `work_views.py`."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET

from mlsd_app.catalog import selectors
from mlsd_app.catalog.calculators import CalculatorSheet, default_sheet, sheet
from mlsd_app.catalog.services import NOTE_CHARACTERS, next_phase
from problems.errors import InvalidInput
from problems.interview_schema import Curveball
from problems.loader import load_problem
from problems.method import method_page, method_pages, readiness_questions
from problems.schema import Phase, Problem

ROUND = [
    (5, "Clarify", "Ask for what decides the design"),
    (5, "Capacity", "Size it live, find what dominates"),
    (10, "API and architecture", "Draw it, then defend each box"),
    (15, "Deep dive", "Run the engines behind your claims"),
    (10, "Evaluation", "Metrics, monitoring, what breaks"),
]
STATES = [("new", "Not started"), ("started", "Started"), ("done", "Done")]


def problem_or_404(slug: str) -> Problem:
    try:
        return load_problem(slug)
    except InvalidInput as error:
        raise Http404(error.message) from error


def walkthrough_or_404(slug: str) -> Problem:
    problem = problem_or_404(slug)
    if not problem.phases:
        raise Http404(f"The walkthrough of {problem.title} is not written yet.")
    return problem


def phase_or_404(slug: str, key: str) -> tuple[Problem, Phase]:
    problem = walkthrough_or_404(slug)
    phase = problem.phase(key)
    if phase is None:
        raise Http404(f"{problem.title} has no phase {key!r}.")
    return problem, phase


# --- the list ----------------------------------------------------------------------------------------------------------


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    written = [card.problem for card in selectors.cards(user=request.user) if card.phases]
    start_url = reverse("catalog:phase", args=[written[0].slug, written[0].phases[0].key]) if written else reverse("catalog:problems")
    return _list_page(request, "catalog/home.html", {"start_url": start_url, "round": ROUND})


@require_GET
def problems(request: HttpRequest) -> HttpResponse:
    return _list_page(request, "catalog/problems.html", {})


def _list_page(request: HttpRequest, template: str, extra: dict[str, Any]) -> HttpResponse:
    """A page with the list; the grid alone when one of its filters asks."""
    shown = "catalog/_grid.html" if request.headers.get("HX-Request") else template
    response = render(request, shown, {**_list_context(request), **extra})
    patch_vary_headers(response, ["HX-Request"])
    return response


def _list_context(request: HttpRequest) -> dict[str, Any]:
    themes = selectors.themes()
    theme = _known(request.GET.get("theme", ""), [key for key, _ in themes])
    state = _known(request.GET.get("state", ""), [key for key, _ in STATES])
    cards = selectors.cards(user=request.user, theme=theme, state=state)
    return {"cards": cards, "themes": themes, "states": STATES, "theme": theme, "state": state}


def _known(value: str, known: list[str]) -> str:
    """A filter that is not on offer (an old link) filters nothing."""
    return value if value in known else ""


# --- the method --------------------------------------------------------------------------------------------------------


@require_GET
def method(request: HttpRequest, key: str = "round") -> HttpResponse:
    """How a round runs and what is graded; the readiness check comes with its questions."""
    try:
        page = method_page(key)
    except InvalidInput as error:
        raise Http404(error.message) from error
    questions = readiness_questions() if key == "readiness" else ()
    return render(request, "catalog/method.html", {"page": page, "pages": method_pages(), "questions": questions})


# --- a problem ---------------------------------------------------------------------------------------------------------


@require_GET
@ensure_csrf_cookie
def problem(request: HttpRequest, slug: str) -> HttpResponse:
    found = problem_or_404(slug)
    related = [card.problem for card in selectors.cards(user=request.user) if card.problem.slug in found.related]
    frame = frame_context(request, found)
    next_up = next((phase for phase in found.phases if frame["works"][phase.key].done_at is None), None)
    context = {"labs": selectors.all_labs(problem=found), "related": related, "next_up": next_up}
    return render(request, "catalog/problem.html", {**frame, **context})


@require_GET
@ensure_csrf_cookie
def phase(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One phase. `?calc=<key>&<input>=<value>` sets a calculator; a bad value is shown beside its field."""
    problem, found = phase_or_404(slug, key)
    frame = frame_context(request, problem, key)
    sheets = _sheets(request, problem) if key == "capacity" else []
    context = {
        "phase": found,
        "work": frame["works"][key],
        "set_aside": selectors.set_aside_texts(work=frame["works"][key]),
        "next_phase": next_phase(problem, found),
        "note_limit": NOTE_CHARACTERS,
        "sheets": sheets,
        "open_calculator": request.GET.get("calc") or next((item.calculator.key for item in sheets), ""),
        "labs": selectors.phase_labs(problem=problem, phase=found),
        "drills": drills(problem, found),
    }
    status = 200 if all(item.valid for item in sheets) else 422
    return render(request, "catalog/phase.html", {**frame, **context}, status=status)


def drills(problem: Problem, phase: Phase) -> tuple[Curveball, ...]:
    """What goes wrong with a running design; it belongs to the last phase."""
    return problem.interviewer.curveballs if phase.key == "evaluation" and problem.interviewer else ()


def frame_context(request: HttpRequest, problem: Problem, phase: str = "") -> dict[str, Any]:
    """What the rail of a problem needs: the user's work by phase and the clock."""
    clock = selectors.clock_of(user=request.user, problem=problem)
    state = selectors.clock_state(clock=clock, problem=problem, now=timezone.now(), phase=phase) if problem.phases else None
    return {
        "problem": problem,
        "works": selectors.work_by_phase(user=request.user, problem=problem),
        "clock": clock,
        "clock_state": state,
    }


def _sheets(request: HttpRequest, problem: Problem) -> list[CalculatorSheet]:
    chosen = request.GET.get("calc")
    typed = request.GET.dict()
    return [sheet(calculator, typed) if calculator.key == chosen else default_sheet(calculator) for calculator in problem.calculators]


@require_GET
def calculator(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """The computed lines of one calculator, and the messages beside its fields; 422 while an input cannot be used."""
    problem = problem_or_404(slug)
    found = problem.calculator(key)
    if found is None:
        raise Http404(f"{problem.title} has no calculator {key!r}.")
    answer = sheet(found, request.GET.dict())
    return render(request, "catalog/_calculator_answer.html", {"sheet": answer, "problem": problem}, status=200 if answer.valid else 422)
