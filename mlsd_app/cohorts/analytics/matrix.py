"""Marks of a group as a matrix people x items, NaN where an item was not reached or nobody has marked it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.grading.sections import ANSWER
from mlsd_app.cohorts.item_analysis import Matrix as Floats
from mlsd_app.cohorts.models import Assignment, Kind, Task
from mlsd_app.interviews.models import ItemScore
from mlsd_app.quiz.bank import TYPE_NAMES, bank
from mlsd_app.quiz.models import Instance, Response, ResponseKind, ResponseState, Sitting
from problems.loader import load_problem
from problems.quiz_schema import Choice, LabQuestion, Order, QuizItem, Slip

NAN = float("nan")


@dataclass(frozen=True)
class Column:
    """One item in one revision, and of lab questions one lab version. `unmarked`: answers nobody has marked yet."""

    item: str
    title: str
    kind: str
    revision: str
    highest: float
    weight: float
    guess: float
    unmarked: int

    @property
    def key(self) -> str:
        return f"{self.item}@{self.revision}" if self.revision else self.item


@dataclass(frozen=True)
class Marks:
    """`values` (people, columns)."""

    columns: tuple[Column, ...]
    values: Floats

    def of(self, attribute: str) -> Floats:
        return np.array([getattr(column, attribute) for column in self.columns], dtype=float)


def marks_of(assignment: Assignment, population: Population, *, pooled: bool = False) -> Marks:
    """Of a quiz its questions, of a mock the items of its rubric; other kinds have no items."""
    if assignment.kind == Kind.QUIZ:
        return _quiz_marks(assignment, population, pooled)
    if assignment.kind == Kind.MOCK:
        return _rubric_marks(population)
    return Marks((), np.empty((population.n, 0)))


# --- quizzes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    person: int
    item: str
    rev: str
    mark: float | None  # None: answered and not marked
    reached: bool = True


def _quiz_marks(assignment: Assignment, population: Population, pooled: bool) -> Marks:
    places = {row.sitting_id: number for number, row in enumerate(population.tries) if row.sitting_id}
    cells = list(_quiz_cells(places))
    keys = dict.fromkeys((cell.item, "" if pooled else cell.rev) for cell in cells)
    index = {key: number for number, key in enumerate(sorted(keys))}
    values, unmarked = np.full((population.n, len(index)), NAN), np.zeros(len(index), dtype=int)
    for cell in cells:
        column = index[cell.item, "" if pooled else cell.rev]
        if cell.mark is not None:
            values[cell.person, column] = cell.mark
        unmarked[column] += cell.reached and cell.mark is None
    return Marks(tuple(_question(assignment.problem, *key, int(unmarked[number])) for key, number in index.items()), values)


def _quiz_cells(places: dict[Any, int]) -> Iterator[Cell]:
    """What stands before the last answer and was left out counts as 0; what comes after it was not reached."""
    marks, sittings = _quiz_answers(places), dict(Sitting.objects.filter(pk__in=places).values_list("pk", "items"))
    versions = _lab_versions(sittings.values())
    for pk, items in sittings.items():
        answers = marks.get(pk, {})
        last = max(answers, default=-1)
        for place, row in enumerate(items):
            if row.get("again") is None and not row.get("dropped"):
                mark = answers.get(place, 0.0 if place < last else None)
                revision = f"{row['rev']}" + (f" lab {versions[row['instance']]}" if row["instance"] in versions else "")
                yield Cell(places[pk], row["item"], revision, mark, place <= last)


def _lab_versions(sittings: Iterable[Sequence[dict[str, Any]]]) -> dict[int, int]:
    wanted = {row["instance"] for items in sittings for row in items if row["instance"] is not None}
    return dict(Instance.objects.filter(pk__in=wanted).values_list("pk", "lab_version"))


def _quiz_answers(places: dict[Any, int]) -> dict[Any, dict[int, float | None]]:
    """{sitting: {place: mark}}: a person's mark of a free answer holds before the learner's own."""
    found: dict[Any, dict[int, float | None]] = {}
    graded = _graded_answers(places)
    rows = Response.objects.filter(sitting__in=places, kind=ResponseKind.ANSWER).exclude(amendments__kind=ResponseKind.UNDO)
    for sitting, place, problem, item, mark, state in rows.order_by().values_list(
        "sitting", "place", "problem_slug", "item_id", "mark", "state"
    ):
        held = mark if state == ResponseState.AUTO else graded.get((sitting, f"{problem}/{item}"))
        found.setdefault(sitting, {})[place] = held
    return found


def _graded_answers(places: dict[Any, int]) -> dict[tuple[Any, str], float | None]:
    tasks = Task.objects.filter(assigned__sitting__in=places, section__startswith=ANSWER, state="graded")
    return {(sitting, name.removeprefix(ANSWER)): mark for sitting, name, mark in tasks.values_list("assigned__sitting", "section", "mark")}


def _question(problem: str, item_id: str, revision: str, unmarked: int) -> Column:
    entry = bank().get((problem, item_id))
    if entry is None:
        return Column(item_id, "No longer in the bank", "", revision, 1.0, 1.0, NAN, unmarked)
    title = str(getattr(entry.item, "stem", "") or getattr(entry.item, "front", ""))
    return Column(item_id, title, TYPE_NAMES[entry.item.type], revision, 1.0, 1.0, guess_of(entry.item), unmarked)


# --- mocks -----------------------------------------------------------------------------------------------------------


def _rubric_marks(population: Population) -> Marks:
    """Marks that hold, by the version of the rubric each attempt was graded under."""
    people = {row.attempt_id: number for number, row in enumerate(population.tries) if row.attempt_id}
    rows = ItemScore.objects.filter(attempt__in=people, superseded_by=None).order_by("pk")
    found = list(rows.values_list("attempt", "item_id", "rubric_version", "points", "max"))
    index = {
        key: number for number, key in enumerate(dict.fromkeys((item, f"{version}", highest) for _, item, version, _, highest in found))
    }
    values = np.full((population.n, len(index)), NAN)
    for attempt, item, version, points, highest in found:
        values[people[attempt], index[item, f"{version}", highest]] = NAN if points is None else points
    titles = _rubric_titles(population)
    unmarked = np.isnan(values).sum(axis=0)
    return Marks(
        tuple(
            Column(item, titles.get(item, item), "Rubric item", version, highest, highest, NAN, int(unmarked[number]))
            for (item, version, highest), number in index.items()
        ),
        values,
    )


def _rubric_titles(population: Population) -> dict[str, str]:
    """{item id: text}, from the checklists of the walkthrough."""
    slugs = {row.attempt.problem for row in population.tries if row.attempt}
    return {item.id: item.text for slug in slugs for phase in load_problem(slug).phases for item in phase.checklist}


# --- guessing --------------------------------------------------------------------------------------------------------


def guess_of(item: QuizItem) -> float:
    """Expected mark of an answer drawn at random; NaN where nothing can be drawn."""
    match item:
        case Choice(multiple=False):
            return 1 / len(item.options)
        case Choice():
            return _subsets([option.correct for option in item.options])
        case Order():
            return random_tau(len(item.items))
        case Slip():
            return 1 / len(item.steps)
        case LabQuestion(ask="direction"):
            return 1 / 3
        case _:
            return NAN


def _subsets(correct: Sequence[bool]) -> float:
    """Over every non-empty choice of options: right ones less wrong ones, over all right ones, not below 0."""
    marks = []
    for size in range(1, len(correct) + 1):
        for picked in combinations(correct, size):
            marks.append(max(0, 2 * sum(picked) - size) / sum(correct))
    return sum(marks) / len(marks)


def random_tau(lines: int) -> float:
    """Mean of max(0, tau) over all orders, by the number of orders with each count of inversions."""
    counts = [1]
    for placed in range(2, lines + 1):
        wider = np.convolve(counts, np.ones(placed))
        counts = [int(value) for value in wider]
    pairs = lines * (lines - 1) / 2
    return float(sum(count * max(0.0, 1 - 2 * k / pairs) for k, count in enumerate(counts)) / sum(counts))
