"""Figures of a cohort and of its assignments, and the trade-off map."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from mlsd_app.cohorts.analytics import figures
from mlsd_app.cohorts.analytics.challenges import challenge_page
from mlsd_app.cohorts.analytics.items import items_page
from mlsd_app.cohorts.analytics.mocks import mock_page
from mlsd_app.cohorts.analytics.overview import cohort_page as cohort_figures
from mlsd_app.cohorts.analytics.population import Population, population_of, which_of
from mlsd_app.cohorts.analytics.predictions import prediction_rows, topic_rows
from mlsd_app.cohorts.models import Assignment, Cohort, Kind
from mlsd_app.cohorts.trade_map import MOST_ROWS, Asked, map_figure, trade_map
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, user_of


@require_GET
@cohort_page("see_analytics")
def cohort(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    page = cohort_figures(cohort, timezone.now())
    drawn = [*figures.score_figure(page.scores), *figures.weeks_figure(page.weeks)]
    topics = topic_rows(cohort, which_of(request.GET.get("which")))
    context = {"cohort": cohort, "page": page, "topics": topics, "figures": drawn, "which": which_of(request.GET.get("which"))}
    return render(request, "cohorts/analytics.html", context)


@require_GET
@cohort_page("see_analytics")
def assignment(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """What the assignment's kind has to say of the group."""
    row = assignment_or_404(request, cohort, assignment_id)
    which = which_of(request.GET.get("which"))
    population = population_of(row, which)
    context = {"cohort": cohort, "assignment": row, "population": population, "which": which, "pooled": _pooled(request)}
    return render(request, "cohorts/assignment_analytics.html", {**context, **_kind_context(row, population, _pooled(request))})


def _pooled(request: HttpRequest) -> bool:
    return request.GET.get("pool") == "1"


def _kind_context(assignment: Assignment, population: Population, pooled: bool) -> dict[str, Any]:
    match assignment.kind:
        case Kind.MOCK:
            mock, items = mock_page(assignment, population), items_page(assignment, population)
            drawn = [
                *figures.score_figure(mock.scores, what="attempts"),
                *figures.phase_figures(mock.phases),
                *figures.curve_figure(items.rows),
            ]
            return {"mock": mock, "items": items, "figures": drawn}
        case Kind.QUIZ:
            items = items_page(assignment, population, pooled=pooled)
            return {"items": items, "figures": [*figures.score_figure(items.totals, what="quizzes"), *figures.curve_figure(items.rows)]}
        case Kind.CHALLENGE:
            return {"challenge": challenge_page(assignment, population)}
        case Kind.PREDICTION:
            return {"foretold": prediction_rows(assignment, population)}
        case _:
            return {}


@require_GET
@cohort_page("see_cohort")
def tradeoff_map(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """Learners come here after handing in; the map itself decides what each viewer may know of the dots."""
    row = assignment_or_404(request, cohort, assignment_id, "see_map")
    given = request.GET
    asked = Asked(given.get("lab", ""), given.get("x", ""), given.get("y", ""), given.get("colour", ""), given.get("names") == "1")
    found = trade_map(user=user_of(request), assignment=row, asked=asked, now=timezone.now())
    drawn = [map_figure(found)] if found.dots else []
    context = {"cohort": cohort, "assignment": row, "map": found, "figures": drawn, "rows": found.front[:MOST_ROWS], "most_rows": MOST_ROWS}
    return render(request, "cohorts/map.html", context)
