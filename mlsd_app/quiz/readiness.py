"""How ready somebody is: the 15 questions taken as a check, and a score a problem from recall, mocks and numbers.

A part that is not known is shown as such: the score is then a range, with the unknown part at 0 and at 100.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from typing import Any

from django.db.models import Prefetch

from mlsd_app.core.shares import share_interval
from mlsd_app.interviews.models import Attempt, RunLink, Status, Verdict
from mlsd_app.quiz.bank import BankItem, Key, items_of, quiz_problems, readiness_items
from mlsd_app.quiz.cards import predicted_value
from mlsd_app.quiz.days import date_passed, day_start
from mlsd_app.quiz.models import Card, CardState, Plan, Response, ResponseKind, Sitting, SittingKind
from mlsd_app.quiz.plans import scope_of
from mlsd_app.quiz.queue import due_filter
from mlsd_app.quiz.scheduling import HALF, recall_at
from mlsd_app.quiz.sittings import answers_of, content_key
from problems.schema import Problem

WEIGHTS = {"recall": 50, "mock": 30, "numbers": 20}
NAMES = {"recall": "Recall", "mock": "Mock interviews", "numbers": "Numbers"}
MISSING = {
    "recall": "answer {n} more question{s}",
    "mock": "finish a mock interview",
    "numbers": "answer {n} more number or lab question{s}",
}
SEEN_NEEDED, ANSWERS_NEEDED, ANSWERS_COUNTED = 12, 5, 20
NEWEST_MOCK = 2 / 3
PREDICTED_LEVEL, PREDICTED_LOSS = 0.80, 10.0
REPEATED_WITHIN = timedelta(days=7)
STEP_CARDS = 12  # as many as one sits down to
MOCK_EXPECTED, NUMBERS_EXPECTED = 50.0, 60.0  # of a first mock, of first answers: for choosing what to do next, shown nowhere


@dataclass(frozen=True)
class Part:
    """`value` 0 to 100; None is not known yet, and `missing` says what would make it known."""

    key: str
    value: float | None
    missing: str = ""

    @property
    def name(self) -> str:
        return NAMES[self.key]

    @property
    def weight(self) -> int:
        return WEIGHTS[self.key]


@dataclass(frozen=True)
class Score:
    """0 to 100: `low` and `high` are the same where every part is known."""

    low: float
    high: float

    @property
    def known(self) -> bool:
        return self.low == self.high

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True)
class ProblemScore:
    problem: Problem
    parts: tuple[Part, ...]
    score: Score
    items: int
    seen: int
    due: int


@dataclass(frozen=True)
class Step:
    """What to do next: the action that is expected to raise the overall score most, by `gain` points."""

    kind: str  # new, review, mock, numbers
    problem: Problem
    count: int
    gain: float

    @property
    def words(self) -> str:
        cards = f"{self.count} card{'s' if self.count != 1 else ''}"
        return {
            "new": f"{self.count} new {cards.partition(' ')[2]} in {self.problem.title}",
            "review": f"Review {cards} of {self.problem.title}",
            "mock": f"A mock interview of {self.problem.title}",
            "numbers": f"{self.count} number and lab questions of {self.problem.title}",
        }[self.kind]


@dataclass(frozen=True)
class Readiness:
    problems: tuple[ProblemScore, ...]
    overall: Score
    step: Step | None


# --- the formula -----------------------------------------------------------------------------------------------------


def combined(parts: Iterable[Part]) -> Score:
    """The weighted parts, unknown ones at 0 for `low` and at 100 for `high`."""
    parts = list(parts)
    low = sum(part.weight * (part.value if part.value is not None else 0.0) for part in parts) / 100
    high = sum(part.weight * (part.value if part.value is not None else 100.0) for part in parts) / 100
    return Score(low, high)


def missing(part: str, count: int) -> str:
    return MISSING[part].format(n=count, s="" if count == 1 else "s")


def recall_part(recalls: Sequence[float], items: int) -> Part:
    """Mean predicted recall over all items of the problem: `recalls` of those seen, 0 for the rest. Unknown below 12 seen."""
    if len(recalls) < SEEN_NEEDED:
        return Part("recall", None, missing("recall", SEEN_NEEDED - len(recalls)))
    return Part("recall", 100 * sum(recalls) / max(items, len(recalls)))


def mock_part(scores: Sequence[float]) -> Part:
    """`scores` of finished mocks, 0 to 100, newest first: the last two, the newest counting two thirds."""
    if not scores:
        return Part("mock", None, MISSING["mock"])
    if len(scores) == 1:
        return Part("mock", scores[0])
    return Part("mock", NEWEST_MOCK * scores[0] + (1 - NEWEST_MOCK) * scores[1])


def numbers_part(marks: Sequence[float], hits: Sequence[bool]) -> Part:
    """Mean of the last 20 marks, newest first; 10 less if predictions said to hold in 80 % of cases clearly do not. Unknown below 5."""
    if len(marks) < ANSWERS_NEEDED:
        return Part("numbers", None, missing("numbers", ANSWERS_NEEDED - len(marks)))
    value = 100 * fmean(marks[:ANSWERS_COUNTED])
    if held := share_interval(sum(hits), len(hits)):
        value -= PREDICTED_LOSS * (not held[0] <= PREDICTED_LEVEL <= held[1])
    return Part("numbers", max(0.0, value))


# --- of a person -----------------------------------------------------------------------------------------------------


def readiness_of(*, plan: Plan, now: datetime) -> Readiness:
    """The scores of the problems in the plan's scope, and the next step. A fixed number of queries."""
    at = now
    if plan.interview_date is not None and not date_passed(plan, now):
        at = max(now, day_start(plan, plan.interview_date))
    facts = _Facts(plan, now, at)
    scores = tuple(facts.score(problem) for problem in quiz_problems() if problem.slug in facts.scope)
    overall = Score(fmean(one.score.low for one in scores), fmean(one.score.high for one in scores)) if scores else Score(0, 100)
    return Readiness(scores, overall, _next_step(scores))


class _Facts:
    """Everything the scores need, read once."""

    def __init__(self, plan: Plan, now: datetime, at: datetime) -> None:
        self.scope = set(scope_of(plan))
        self.user_id = plan.user_id
        cards = Card.objects.filter(user_id=plan.user_id).exclude(state=CardState.NEW)
        rows = cards.values_list("problem_slug", "item_id", "stability", "last_review")
        self.recalls: dict[Key, float] = {(slug, item): recall_at(stability, seen, at) for slug, item, stability, seen in rows if seen}
        self.due = set(Card.objects.filter(due_filter(plan, now), user_id=plan.user_id).values_list("problem_slug", "item_id"))
        self.mocks = self._mocks()
        self.marks = self._marks()
        self.hits = self._hits()

    def score(self, problem: Problem) -> ProblemScore:
        entries = items_of(problem.slug)
        seen = [self.recalls[entry.key] for entry in entries if entry.key in self.recalls]
        parts = (
            recall_part(seen, len(entries)),
            mock_part(self.mocks.get(problem.slug, ())),
            numbers_part(self.marks.get(problem.slug, ()), self.hits.get(problem.slug, ())),
        )
        due = sum(entry.key in self.due for entry in entries)
        return ProblemScore(problem, parts, combined(parts), len(entries), len(seen), due)

    def _mocks(self) -> dict[str, list[float]]:
        """Scores of own mocks and released assigned ones, newest first; what was not graded counts nowhere."""
        verdicts = Prefetch("verdicts", Verdict.objects.order_by("-rubric_version", "-pk"))
        attempts = Attempt.objects.filter(user_id=self.user_id, problem__in=self.scope, status=Status.RELEASED, show_score=True)
        found: dict[str, list[float]] = {}
        for attempt in attempts.order_by("-closed_at").prefetch_related(verdicts):
            newest = next(iter(attempt.verdicts.all()), None)
            if newest is not None and newest.score is not None:
                found.setdefault(attempt.problem, []).append(newest.score)
        return found

    def _marks(self) -> dict[str, list[float]]:
        """Marks of number and lab answers that stand, newest first."""
        rows = Response.objects.filter(user_id=self.user_id, kind=ResponseKind.ANSWER).exclude(mark=None)
        standing = rows.exclude(amendments__kind=ResponseKind.UNDO).exclude(sitting__feedback=False, sitting__status="open")
        found: dict[str, list[float]] = {}
        for slug, item, mark in standing.order_by("-at").values_list("problem_slug", "item_id", "mark"):
            if (slug, item) in _number_keys():
                found.setdefault(slug, []).append(float(mark or 0))
        return found

    def _hits(self) -> dict[str, list[bool]]:
        links = RunLink.objects.filter(attempt__user_id=self.user_id).exclude(prediction=None).select_related("run__result")
        found: dict[str, list[bool]] = {}
        for link in links:
            if link.prediction is not None and (value := predicted_value(link)) is not None:
                inside = float(link.prediction["lower"]) <= value <= float(link.prediction["upper"])
                found.setdefault(link.run.problem, []).append(inside)
        return found


def _number_keys() -> set[Key]:
    return {entry.key for problem in quiz_problems() for entry in items_of(problem.slug) if entry.item.type in ("number", "lab")}


# --- what next -------------------------------------------------------------------------------------------------------


def _next_step(scores: Sequence[ProblemScore]) -> Step | None:
    """Gains are in points of the overall score, at what a sitting usually brings."""
    steps = [step for score in scores for step in _steps(score, len(scores)) if step.count and step.gain > 0]
    return max(steps, key=lambda step: step.gain, default=None)


def _steps(score: ProblemScore, problems: int) -> Iterable[Step]:
    parts = {part.key: part for part in score.parts}
    new, due = min(STEP_CARDS, score.items - score.seen), min(STEP_CARDS, score.due)
    per_card = WEIGHTS["recall"] / max(1, score.items)
    yield Step("new", score.problem, new, 0.9 * new * per_card / problems)
    yield Step("review", score.problem, due, 0.2 * due * per_card / problems)
    mock, numbers = parts["mock"].value, parts["numbers"].value
    mock_gain = MOCK_EXPECTED if mock is None else (100 - mock) / 4
    yield Step("mock", score.problem, 1, WEIGHTS["mock"] * mock_gain / 100 / problems)
    numbers_gain = NUMBERS_EXPECTED if numbers is None else (100 - numbers) / 4
    yield Step("numbers", score.problem, ANSWERS_NEEDED, WEIGHTS["numbers"] * numbers_gain / 100 / problems)


def least_begun(scores: Sequence[ProblemScore], unseen: int) -> list[ProblemScore]:
    """The problems to leave out so that `unseen` questions fewer are to be begun: those of which least was seen."""
    found: list[ProblemScore] = []
    for score in sorted(scores, key=lambda score: (score.seen, score.items)):
        if unseen <= 0 or len(found) + 1 >= len(scores):
            break
        found.append(score)
        unseen -= score.items - score.seen
    return found


# --- the check -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CheckRow:
    number: int
    entry: BankItem
    results: tuple[bool | None, ...]  # one a sitting; None: not answered


@dataclass(frozen=True)
class Check:
    """One taken check: `held` of `of` questions."""

    sitting: Sitting
    held: int
    of: int
    repeated: bool  # within seven days of the one before


def checks_of(user_id: int | None, limit: int = 6) -> list[Check]:
    """Those in which something was answered, newest first."""
    if user_id is None:
        return []
    answered = Response.objects.filter(user_id=user_id, kind=ResponseKind.ANSWER).values("sitting")
    taken = Sitting.objects.filter(user_id=user_id, kind=SittingKind.READINESS, pk__in=answered)
    sittings = list(taken[: limit + 1])
    earlier = [*sittings[1:], None]
    checks = [check_of(sitting, before) for sitting, before in zip(sittings, earlier, strict=False)]
    return checks[:limit]


def check_of(sitting: Sitting, before: Sitting | None = None) -> Check:
    results = question_results(sitting)
    repeated = before is not None and sitting.started_at - before.started_at < REPEATED_WITHIN
    return Check(sitting, sum(result is True for result in results.values()), len(results), repeated)


def question_results(sitting: Sitting) -> dict[int, bool | None]:
    """Question number -> whether every part of it earned at least half; None while none of it was answered."""
    numbers = [_question_number(sitting, row) for row in sitting.items]
    marks: dict[int, list[float]] = {number: [] for number in sorted(filter(None, numbers))}
    for place, answer in answers_of(sitting).items():
        number = numbers[place]
        if number and answer.mark is not None:
            marks[number].append(answer.mark)
    return {number: min(found) >= HALF if found else None for number, found in marks.items()}


def _question_number(sitting: Sitting, row: Mapping[str, Any]) -> int | None:
    number: int | None = sitting.content[content_key((row["problem"], row["item"]))].get("readiness")
    return number


def check_table(checks: Sequence[Check]) -> list[CheckRow]:
    """A row a question, a column a check, newest first."""
    results = [question_results(check.sitting) for check in checks]
    return [CheckRow(number, entries[-1], tuple(result.get(number) for result in results)) for number, entries in readiness_items().items()]
