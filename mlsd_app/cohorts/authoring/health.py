"""How each question of a bank has done so far, over everybody who answered it once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

import numpy as np
from django.db.models import Count, Max

from mlsd_app.cohorts.item_analysis import CORRELATIONS_FROM, item_statistics, presented
from mlsd_app.quiz.bank import TYPE_NAMES, BankItem, items_of
from mlsd_app.quiz.models import Flag, Response, ResponseKind, ResponseState

HARD, EASY = 0.2, 0.95
SLOW = 3  # times what the item expects
FLAGGED = 3
MOST_ANSWERS = 100_000  # read for one bank, newest first


@dataclass(frozen=True)
class Health:
    """`facility` and its interval went through `presented`; `discrimination` is None below thirty people. Times in seconds."""

    item: str
    title: str
    kind: str
    rev: int
    answers: int
    facility: float | None
    facility_ci: tuple[float, float] | None
    discrimination: float | None
    hidden_reason: str
    median_s: float | None
    expect_s: int
    flags: int
    last: datetime | None
    warnings: tuple[str, ...]


def bank_health(slug: str) -> list[Health]:
    """First answers of each person in the revision of today; later ones are remembered, not known."""
    marks, times = _first_answers(slug)
    flags = dict(Flag.objects.filter(problem_slug=slug, status="open").order_by().values_list("item_id").annotate(n=Count("pk")))
    last = dict(Response.objects.filter(problem_slug=slug).order_by().values_list("item_id").annotate(at=Max("at")))
    return [_health(entry, marks, times, flags.get(entry.item.id, 0), last.get(entry.item.id)) for entry in items_of(slug)]


Marks = dict[str, dict[int, float]]  # item -> person -> mark


def _first_answers(slug: str) -> tuple[Marks, dict[str, list[int]]]:
    revisions = {entry.item.id: entry.item.rev for entry in items_of(slug)}
    marks: Marks = defaultdict(dict)
    times: dict[str, list[int]] = defaultdict(list)
    rows = Response.objects.filter(problem_slug=slug, kind=ResponseKind.ANSWER, state=ResponseState.AUTO, mark__isnull=False)
    newest = rows.exclude(amendments__kind=ResponseKind.UNDO).order_by("-pk")[:MOST_ANSWERS]
    found = list(newest.values_list("item_id", "user", "rev", "mark", "ms"))
    for item, user, rev, mark, ms in reversed(found):
        if rev == revisions.get(item) and user not in marks[item]:
            marks[item][user] = mark or 0.0
            times[item].append(ms)
    return marks, times


def _health(entry: BankItem, marks: Marks, times: dict[str, list[int]], flags: int, last: datetime | None) -> Health:
    item = entry.item
    own, waited = marks.get(item.id, {}), times.get(item.id, [])
    figures = _figures(item.id, marks)
    n, facility = len(own), figures["facility"]
    median_s = median(waited) / 1000 if n >= CORRELATIONS_FROM else None
    return Health(
        item=item.id,
        title=str(getattr(item, "stem", "") or getattr(item, "front", "")),
        kind=TYPE_NAMES[item.type],
        rev=item.rev,
        answers=n,
        facility=facility,
        facility_ci=figures["facility_ci"],
        discrimination=figures["discrimination"],
        hidden_reason=figures["hidden_reason"],
        median_s=median_s,
        expect_s=item.expect_s,
        flags=flags,
        last=last,
        warnings=tuple(_warnings(n, facility, median_s, item.expect_s, flags)),
    )


def _figures(item: str, marks: Marks) -> dict[str, Any]:
    """The item against the mean of what the same people earned elsewhere in the bank."""
    people = list(marks.get(item, {}))
    rest = [[found[person] for name, found in marks.items() if name != item and person in found] for person in people]
    matrix = np.array([[marks[item][person], np.mean(others) if others else np.nan] for person, others in zip(people, rest, strict=True)])
    matrix = matrix.reshape(len(people), 2)
    return presented(item_statistics(matrix, np.ones(2))[0])


def _warnings(n: int, facility: float | None, median_s: float | None, expect_s: int, flags: int) -> list[str]:
    found = []
    if n >= CORRELATIONS_FROM and facility is not None and not HARD <= facility <= EASY:
        found.append("nearly nobody gets it" if facility < HARD else "nearly everybody gets it")
    if median_s is not None and median_s > SLOW * expect_s:
        found.append(f"takes {median_s:.0f} s where {expect_s} s are expected")
    if flags >= FLAGGED:
        found.append(f"{flags} open reports")
    return found
