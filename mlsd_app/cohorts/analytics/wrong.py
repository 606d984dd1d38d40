"""Wrong numbers by how far off they are: half a class that is eight times high has written bits for bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log
from statistics import median
from typing import Any

from mlsd_app.cohorts.analytics.population import Population
from mlsd_app.cohorts.analytics.small import too_few
from mlsd_app.cohorts.models import Assignment
from mlsd_app.quiz.bank import bank
from mlsd_app.quiz.models import Response, ResponseKind
from mlsd_app.quiz.questions.numbers import NumberQuestion, number_question
from problems.loader import load_problem
from problems.quiz_schema import Number
from simulators.errors import InvalidInput
from simulators.units import UnitError, parse_quantity

TOGETHER = 0.05  # answers within this share of each other made the same mistake
LEAST = 2  # of the same mistake
RATIOS: tuple[tuple[float, str], ...] = (
    (8, "bits for bytes"),
    (1.024, "1,024 for 1,000, once"),
    (1.048576, "1,024 for 1,000, twice"),
    (1.073741824, "1,024 for 1,000, three times"),
    (2, "a factor of two: one side of two, or a copy"),
    (3, "a factor of three: the copies"),
    (10, "a factor of ten"),
    (24, "hours for days"),
    (60, "minutes for seconds"),
    (100, "percent for a share"),
    (1_000, "one prefix off"),
    (1_000_000, "two prefixes off"),
    (3_600, "hours for seconds"),
    (86_400, "days for seconds"),
)


@dataclass(frozen=True)
class Cluster:
    """`count` of `n` answers to the item (wrong and right) lie near `ratio` times the truth."""

    ratio: float
    count: int
    n: int
    words: str

    @property
    def share(self) -> float:
        return self.count / self.n


@dataclass(frozen=True)
class Wrong:
    """given / true, and what the item says of the mistake, if it knows it."""

    ratio: float
    because: str


def clusters_of(assignment: Assignment, population: Population, *, pooled: bool = False) -> dict[str, tuple[Cluster, ...]]:
    """{column key: clusters, largest first} of number questions whose revision is the bank's; none below five answers."""
    sittings = [row.sitting_id for row in population.tries if row.sitting_id]
    numbers = [item_id for (slug, item_id), entry in bank().items() if slug == assignment.problem and isinstance(entry.item, Number)]
    rows = Response.objects.filter(sitting__in=sittings, kind=ResponseKind.ANSWER, item_id__in=numbers)
    given: dict[str, list[tuple[int, dict[str, Any], float]]] = {}
    for item_id, rev, seed, answer, mark in rows.exclude(amendments__kind=ResponseKind.UNDO).values_list(
        "item_id", "rev", "draw_seed", "given", "mark"
    ):
        if rev == bank()[assignment.problem, item_id].item.rev:
            given.setdefault(item_id if pooled else f"{item_id}@{rev}", []).append((seed, answer, mark or 0.0))
    return {key: _clusters(assignment.problem, key.partition("@")[0], found) for key, found in given.items() if not too_few(len(found))}


def _clusters(slug: str, item_id: str, answers: Sequence[tuple[int, dict[str, Any], float]]) -> tuple[Cluster, ...]:
    wrong = [found for seed, given, mark in answers if mark < 1 and (found := _wrong(slug, item_id, seed, given))]
    grouped = [group for group in near(wrong) if len(group) >= LEAST]
    made = [Cluster(median(one.ratio for one in group), len(group), len(answers), _words(group)) for group in grouped]
    return tuple(sorted(made, key=lambda cluster: (-cluster.count, cluster.ratio)))


def _wrong(slug: str, item_id: str, seed: int, given: dict[str, Any]) -> Wrong | None:
    question = _question(slug, item_id, seed)
    try:
        quantity = parse_quantity(str(given.get("text", "")), question.expect)
    except (UnitError, InvalidInput):
        return None
    truth = question.solution.truth.base
    ratio = quantity.base / truth if truth else 0.0
    return Wrong(ratio, question.mistake(quantity)) if ratio > 0 else None


@lru_cache(maxsize=4096)
def _question(slug: str, item_id: str, seed: int) -> NumberQuestion:
    item = bank()[slug, item_id].item
    assert isinstance(item, Number)
    return number_question(item, load_problem(slug), seed)


def near(wrong: Iterable[Wrong]) -> Iterator[list[Wrong]]:
    """Neighbours on the scale of ratios, each within 5 % of the group's first, so that a group is never wider than that."""
    group: list[Wrong] = []
    for one in sorted(wrong, key=lambda one: one.ratio):
        if group and one.ratio > group[0].ratio * (1 + TOGETHER):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _words(group: Sequence[Wrong]) -> str:
    """What the item says of most of them, else what a ratio of this size is usually."""
    known, count = Counter(one.because for one in group).most_common(1)[0]
    if known and 2 * count > len(group):
        return known
    ratio = median(one.ratio for one in group)
    factor, words = min(RATIOS, key=lambda pair: abs(abs(log(ratio)) - log(pair[0])))
    return words if abs(abs(log(ratio)) - log(factor)) <= log(1.01) else ""
