"""Mock interviews of a group: scores, where the time went, what was asked, and how claims and events came out.

Times are parts of each person's own time, so that nobody's extra time can be read off the longest bar.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Min

from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.small import Histogram, Share, Spread, histogram, share, spread
from mlsd_app.cohorts.models import Assignment
from mlsd_app.interviews.clock import phase_at
from mlsd_app.interviews.interviewer.facts import spoken_name
from mlsd_app.interviews.models import AnswerOp, Attempt, Claim, Curveball, Event, ScoreState, SelfAssessment, SignalLevel, Verdict
from mlsd_app.interviews.scoring.reading import facts_of
from mlsd_app.interviews.selectors import clock_in, with_clock
from problems.loader import load_problem

SCORE_EDGES = tuple(float(edge) for edge in range(0, 101, 10))
TIME_EDGES = tuple(float(edge) for edge in range(0, 201, 20))  # percent of a phase's own time
CLAIM_VERDICTS = ("supported", "contradicted", "wrong_conditions", "unclear", "untested")
SIGNAL = "signal:"


@dataclass(frozen=True)
class PhaseRow:
    """Active time in percent of what the person had for this phase; `over` took more than that."""

    key: str
    title: str
    time: Spread
    bars: Histogram
    over: Share


@dataclass(frozen=True)
class FactRow:
    fact: str
    needed: bool
    asked: Share


@dataclass(frozen=True)
class BallRow:
    """One event; `time` in percent of the time that earns full points, of those who recovered."""

    key: str
    recovered: Share
    time: Spread


@dataclass(frozen=True)
class SelfRow:
    """A signal: the candidate's own level before the scorecard less the one that holds."""

    signal: str
    gap: Spread


@dataclass(frozen=True)
class MockPage:
    n: int
    graded: int
    score: Spread
    scores: Histogram
    verdicts: tuple[tuple[str, str, int], ...]  # verdict, who graded, people
    phases: tuple[PhaseRow, ...]
    facts: tuple[FactRow, ...]
    first_number: Spread  # percent of the person's time until the first number stood there
    no_number: Share
    balls: tuple[BallRow, ...]
    claims: tuple[tuple[str, Share], ...]
    selves: tuple[SelfRow, ...]


def mock_page(assignment: Assignment, population: Population) -> MockPage:
    ids = [row.attempt_id for row in population.tries if row.attempt_id]
    attempts = list(with_clock(Attempt.objects.filter(pk__in=ids)))
    states = {attempt.pk: phase_at(attempt.closed_at or attempt.created_at, clock_in(attempt)) for attempt in attempts}
    verdicts = _verdicts(ids)
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    numbers = _first_numbers(ids)
    shares = [100 * ms / 1000 / states[pk].limit_s for pk, ms in numbers.items() if pk in states and states[pk].limit_s]
    return MockPage(
        n=len(ids),
        graded=len(scores),
        score=spread(scores),
        scores=histogram(scores, SCORE_EDGES),
        verdicts=tuple(_verdict_counts(verdicts)),
        phases=tuple(_phases(attempts, states)),
        facts=tuple(_facts(assignment, ids)),
        first_number=spread(shares),
        no_number=share(len(ids) - len(numbers), len(ids)),
        balls=tuple(_balls(ids)),
        claims=tuple(_claims(ids)),
        selves=tuple(_selves(ids)),
    )


def _verdicts(ids: Sequence[Any]) -> list[Verdict]:
    """The newest of each attempt, which is the one that counts."""
    found: dict[Any, Verdict] = {}
    for verdict in Verdict.objects.filter(attempt__in=ids).order_by("attempt", "-rubric_version", "-pk"):
        found.setdefault(verdict.attempt_id, verdict)
    return list(found.values())


def _verdict_counts(verdicts: Iterable[Verdict]) -> list[tuple[str, str, int]]:
    counts = Counter((verdict.verdict or "not enough graded", ScoreState(verdict.state).label) for verdict in verdicts)
    return [(*key, count) for key, count in sorted(counts.items())]


def _phases(attempts: Sequence[Attempt], states: Mapping[Any, Any]) -> list[PhaseRow]:
    titles: dict[str, str] = {}
    percent: dict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        for phase, budget, spent in zip(attempt.phases, clock_in(attempt).budgets_s, states[attempt.pk].phase_spent_s, strict=True):
            titles.setdefault(phase["key"], phase["title"])
            if budget > 0:
                percent[phase["key"]].append(100 * spent / budget)
    return [
        PhaseRow(key, title, spread(values), histogram(values, TIME_EDGES), share(sum(value > 100 for value in values), len(values)))
        for key, title in titles.items()
        if (values := percent[key]) is not None
    ]


def _facts(assignment: Assignment, ids: Sequence[Any]) -> list[FactRow]:
    """Needed facts first; asked for, or said as a constraint and read back."""
    interviewer = load_problem(assignment.problem).interviewer
    told: dict[str, set[Any]] = defaultdict(set)
    for attempt, data in Event.objects.filter(attempt__in=ids, kind__in=["question", "confirm"]).values_list("attempt", "data"):
        for names in facts_of(data).values():
            for name in names:
                told[name].add(attempt)
    facts = sorted(interviewer.facts if interviewer else (), key=lambda fact: not fact.needed)
    return [FactRow(spoken_name(fact), fact.needed, share(len(told[fact.id]), len(ids))) for fact in facts]


def _first_numbers(ids: Sequence[Any]) -> dict[Any, int]:
    rows = AnswerOp.objects.filter(attempt__in=ids, field__startswith="row/numbers/", rev__isnull=False).order_by()
    return dict(rows.values_list("attempt").annotate(first=Min("active_ms")))


def _balls(ids: Sequence[Any]) -> list[BallRow]:
    """Events that ran on a lab; argued ones have nothing to recover from."""
    by_key: dict[str, list[Curveball]] = defaultdict(list)
    for ball in Curveball.objects.filter(attempt__in=ids).exclude(lab="").order_by("key"):
        by_key[ball.key].append(ball)
    return [BallRow(key.replace("_", " "), _recovered(balls), spread(_recovery_times(balls))) for key, balls in by_key.items()]


def _recovered(balls: Sequence[Curveball]) -> Share:
    return share(sum(ball.recovered_ms is not None for ball in balls), len(balls))


def _recovery_times(balls: Sequence[Curveball]) -> list[float]:
    return [
        100 * (ball.recovered_ms - ball.active_ms) / (1000 * ball.within_s)
        for ball in balls
        if ball.recovered_ms is not None and ball.within_s
    ]


def _claims(ids: Sequence[Any]) -> list[tuple[str, Share]]:
    counts = Counter(Claim.objects.filter(attempt__in=ids, by="user").values_list("verdict", flat=True))
    return [(verdict.replace("_", " "), share(counts[verdict], sum(counts.values()))) for verdict in CLAIM_VERDICTS]


def _selves(ids: Sequence[Any]) -> list[SelfRow]:
    levels: dict[tuple[Any, str], int] = {}
    held = SignalLevel.objects.filter(attempt__in=ids, superseded_by=None, level__isnull=False).order_by("pk")
    for attempt, signal, level in held.values_list("attempt", "signal", "level"):
        levels[attempt, signal] = level or 0
    gaps: dict[str, list[float]] = defaultdict(list)
    own = SelfAssessment.objects.filter(attempt__in=ids, subject__startswith=SIGNAL, before_reveal=True)
    for attempt, subject, level in own.values_list("attempt", "subject", "level"):
        signal = subject.removeprefix(SIGNAL)
        if (attempt, signal) in levels:
            gaps[signal].append(level - levels[attempt, signal])
    return [SelfRow(signal.replace("_", " "), spread(values)) for signal, values in sorted(gaps.items())]
