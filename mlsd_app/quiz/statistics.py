"""What somebody's answers add up to. Days are the plan's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import fmean

from mlsd_app.core.shares import share_interval
from mlsd_app.quiz.bank import TYPE_NAMES, BankItem, bank, tag_name
from mlsd_app.quiz.days import day_of, day_start
from mlsd_app.quiz.models import Card, CardState, Plan, Response, ResponseKind
from mlsd_app.quiz.responses import AGAIN
from mlsd_app.quiz.scheduling import seen_in_time

DAYS_BACK, DAYS_AHEAD, HARDEST = 90, 14, 10
HARD_FROM = 2  # answers before an item is called hard


@dataclass(frozen=True)
class Day:
    day: date
    reviews: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Share:
    """`hits` of `n` with Wilson's 95 % interval; without answers there is no share."""

    hits: float
    n: int

    @property
    def value(self) -> float | None:
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        return share_interval(self.hits, self.n)


@dataclass(frozen=True)
class Accuracy:
    name: str
    mark: float  # mean, 0 to 1
    n: int


@dataclass(frozen=True)
class Hard:
    entry: BankItem
    again: int
    n: int


@dataclass(frozen=True)
class Statistics:
    days: tuple[Day, ...]  # oldest first, DAYS_BACK of them
    retention: Share  # reviews of cards due in days that were remembered
    by_type: tuple[Accuracy, ...]
    by_tag: tuple[Accuracy, ...]
    forecast: tuple[tuple[date, int], ...]  # cards due a day, what is overdue today
    hardest: tuple[Hard, ...]
    answers: int

    @property
    def weak_tags(self) -> tuple[Accuracy, ...]:
        return tuple(tag for tag in self.by_tag if tag.n >= 3 and tag.mark < 0.8)[:5]


def statistics_of(*, plan: Plan, now: datetime) -> Statistics:
    rows = standing_answers(plan.user_id)
    return Statistics(
        days=_days(rows, plan, now),
        retention=_retention(rows),
        by_type=_by_type(rows),
        by_tag=_by_tag(rows),
        forecast=_forecast(plan, now),
        hardest=_hardest(rows),
        answers=len(rows),
    )


def standing_answers(user_id: int | None) -> list[Response]:
    """Answers that were not taken back, oldest first, with the rating said last. What a closed-book quiz still hides is left out."""
    if user_id is None:
        return []
    rows = Response.objects.filter(user_id=user_id).exclude(sitting__feedback=False, sitting__status="open")
    found: dict[int, Response] = {}
    for row in rows.defer("given").order_by("pk"):
        if row.kind == ResponseKind.ANSWER:
            found[row.pk] = row
        elif row.kind == ResponseKind.UNDO:
            found.pop(row.of_id or 0, None)
        elif row.of_id in found:
            found[row.of_id].rating = row.rating
    return list(found.values())


def streak_of(plan: Plan, now: datetime) -> int:
    """Days in a row with an answer, up to today or yesterday."""
    if plan.user_id is None:
        return 0
    times = Response.objects.filter(user_id=plan.user_id, kind=ResponseKind.ANSWER).values_list("at", flat=True)
    worked = {day_of(plan, at) for at in times}
    day = day_of(plan, now)
    if day not in worked:
        day -= timedelta(days=1)
    count = 0
    while day in worked:
        count, day = count + 1, day - timedelta(days=1)
    return count


def _days(rows: Sequence[Response], plan: Plan, now: datetime) -> tuple[Day, ...]:
    reviews: Counter[date] = Counter()
    spent: defaultdict[date, float] = defaultdict(float)
    for row in rows:
        day = day_of(plan, row.at)
        reviews[day] += 1
        spent[day] += row.ms / 60_000
    last = day_of(plan, now)
    days = [last - timedelta(days=back) for back in reversed(range(DAYS_BACK))]
    return tuple(Day(day, reviews[day], spent[day]) for day in days)


def _retention(rows: Iterable[Response]) -> Share:
    """Of reviews of cards that had reached intervals of days: how many were remembered."""
    reviews = [row for row in rows if row.rating and row.due_before and row.card_before and not row.card_before.get("learning")]
    return Share(sum((row.rating or 0) > AGAIN for row in reviews), len(reviews))


def _by_type(rows: Iterable[Response]) -> tuple[Accuracy, ...]:
    marks: defaultdict[str, list[float]] = defaultdict(list)
    for row, entry in _marked(rows):
        marks[TYPE_NAMES[entry.item.type]].append(row.mark or 0.0)
    return _accuracies(marks)


def _by_tag(rows: Iterable[Response]) -> tuple[Accuracy, ...]:
    marks: defaultdict[str, list[float]] = defaultdict(list)
    for row, entry in _marked(rows):
        for tag in entry.item.tags:
            marks[tag_name(tag)].append(row.mark or 0.0)
    return _accuracies(marks)


def _marked(rows: Iterable[Response]) -> list[tuple[Response, BankItem]]:
    known = bank()
    keyed = [(row, known.get((row.problem_slug, row.item_id))) for row in rows if row.mark is not None]
    return [(row, entry) for row, entry in keyed if entry is not None]


def _accuracies(marks: dict[str, list[float]]) -> tuple[Accuracy, ...]:
    """Weakest first."""
    found = [Accuracy(name, fmean(values), len(values)) for name, values in marks.items()]
    return tuple(sorted(found, key=lambda row: (row.mark, -row.n, row.name)))


def _forecast(plan: Plan, now: datetime) -> tuple[tuple[date, int], ...]:
    """By a card's own date, or the interview's where that comes first; new cards are not in it."""
    first, needed_by = day_of(plan, now), seen_in_time(plan, now)
    until = day_start(plan, first + timedelta(days=DAYS_AHEAD))
    cards = Card.objects.filter(user_id=plan.user_id, state=CardState.ACTIVE, due_effective__lt=until)
    rows = cards.values_list("due", "due_effective", "last_review")
    pulled = [due if needed_by is None or (seen and seen >= needed_by) else earlier for due, earlier, seen in rows]
    counts = Counter(max(first, day_of(plan, due)) for due in pulled)
    days = [first + timedelta(days=ahead) for ahead in range(DAYS_AHEAD)]
    return tuple((day, counts[day]) for day in days)


def _hardest(rows: Iterable[Response]) -> tuple[Hard, ...]:
    known = bank()
    ratings: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        if row.rating and (row.problem_slug, row.item_id) in known:
            ratings[row.problem_slug, row.item_id].append(row.rating)
    hard = [Hard(known[key], found.count(AGAIN), len(found)) for key, found in ratings.items() if len(found) >= HARD_FROM]
    missed = [item for item in hard if item.again]
    return tuple(sorted(missed, key=lambda item: (-item.again / item.n, -item.n, item.entry.key))[:HARDEST])
