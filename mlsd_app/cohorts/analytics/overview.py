"""A cohort at a glance: who finished what, how results are spread, how many people work in which week."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils import timezone

from mlsd_app.cohorts.analytics.small import Histogram, Share, Spread, histogram, share, spread
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Kind, Result
from mlsd_app.cohorts.panel import assignment_rows
from mlsd_app.interviews.models import Answer
from mlsd_app.quiz.models import Response

WEEKS = 12
SCORE_EDGES = tuple(float(edge) for edge in range(0, 101, 10))


@dataclass(frozen=True)
class CompletionRow:
    assignment: Assignment
    begun: Share
    finished: Share


@dataclass(frozen=True)
class CohortPage:
    learners: int
    completion: tuple[CompletionRow, ...]
    score: Spread
    scores: Histogram
    verdicts: tuple[tuple[str, str, int], ...]  # verdict, state of grading, results
    weeks: tuple[tuple[date, int], ...]  # Monday, people who worked


def cohort_page(cohort: Cohort, now: datetime) -> CohortPage:
    rows = [row for row in assignment_rows(cohort=cohort, now=now) if row.state != "draft" and row.assigned]
    results = list(Result.objects.filter(assignment__cohort=cohort).select_related("assignment").order_by())
    scores = [score for row in results if (score := score_of(row)) is not None]
    return CohortPage(
        learners=cohort.memberships.filter(role="learner", removed_at=None).count(),
        completion=tuple(CompletionRow(row.assignment, _part(row.begun, row.assigned), _part(row.finished, row.assigned)) for row in rows),
        score=spread(scores),
        scores=histogram(scores, SCORE_EDGES),
        verdicts=_verdicts(results),
        weeks=_weeks(cohort, now),
    )


def score_of(result: Result) -> float | None:
    """What counts: the score set by hand before the computed one, less what being late costs."""
    score = result.score if result.override_score is None else result.override_score
    return None if score is None else score * result.late_credit


def _part(count: int, people: int) -> Share:
    """Somebody the assignment is no longer for may have begun it."""
    return share(min(count, people), people)


def _verdicts(results: list[Result]) -> tuple[tuple[str, str, int], ...]:
    """Of mock interviews: nothing else has a verdict."""
    mocks = [row for row in results if row.assignment.kind == Kind.MOCK and (row.verdict or row.score is not None)]
    counts = Counter((row.verdict or "not enough graded", row.get_state_display()) for row in mocks)
    return tuple((*key, count) for key, count in sorted(counts.items()))


def _weeks(cohort: Cohort, now: datetime) -> tuple[tuple[date, int], ...]:
    """Days are the cohort's."""
    monday = _monday(now)
    first = monday - timedelta(weeks=WEEKS - 1)
    people: dict[date, set[int]] = defaultdict(set)
    for user, at in _activity(cohort, now - timedelta(weeks=WEEKS)):
        if at is not None:
            people[_monday(at)].add(user)
    weeks = [first + timedelta(weeks=number) for number in range(WEEKS)]
    return tuple((week, len(people[week])) for week in weeks)


def _monday(at: datetime) -> date:
    day = timezone.localtime(at).date()
    return day - timedelta(days=day.weekday())


def _activity(cohort: Cohort, since: datetime) -> Iterable[tuple[int, datetime | None]]:
    """(person, when) of what was begun, handed in, written and answered."""
    tries = AssignedAttempt.objects.filter(assignment__cohort=cohort).order_by()
    answers = Answer.objects.filter(attempt__assigned__assignment__cohort=cohort, updated_at__gte=since).order_by()
    responses = Response.objects.filter(sitting__assigned__assignment__cohort=cohort, at__gte=since).order_by()
    yield from tries.filter(begun_at__gte=since).values_list("user", "begun_at")
    yield from tries.filter(finished_at__gte=since).values_list("user", "finished_at")
    yield from answers.values_list("attempt__user", "updated_at")
    yield from responses.values_list("user", "at")
