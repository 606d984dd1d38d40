"""Which tries count: one closed try a person, void ones left out, running ones never."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Result
from mlsd_app.cohorts.rules import finished
from mlsd_app.cohorts.services.begin import counts_as_try

Which = Literal["first", "counted"]


@dataclass(frozen=True)
class Population:
    """`tries`: one a person. `began` people have begun at all, `running` of them have nothing closed that counts here."""

    tries: tuple[AssignedAttempt, ...]
    began: int
    which: Which

    @property
    def n(self) -> int:
        return len(self.tries)

    @property
    def running(self) -> int:
        return self.began - self.n


def which_of(text: str | None) -> Which:
    return "counted" if text == "counted" else "first"


def population_of(assignment: Assignment, which: Which = "first") -> Population:
    """`first`: each person's first try that is not void. `counted`: the one the result counts, else the newest that is closed."""
    rows = assignment.attempts.select_related("attempt", "sitting").defer("attempt__content", "sitting__content", "sitting__items")
    return _population(rows.order_by("number", "pk"), _counted(assignment) if which == "counted" else {}, which)


def _counted(assignment: Assignment) -> dict[int, int]:
    found = Result.objects.filter(assignment=assignment, counted__isnull=False).values_list("user", "counted")
    return {user: counted for user, counted in found if counted is not None}


def _population(rows: Iterable[AssignedAttempt], counted: dict[int, int], which: Which) -> Population:
    by_user: dict[int, list[AssignedAttempt]] = {}
    for row in rows:
        if counts_as_try(row):
            by_user.setdefault(row.user_id, []).append(row)
    chosen = [_chosen(tries, counted.get(user), which) for user, tries in by_user.items()]
    return Population(tuple(row for row in chosen if row is not None and finished(row)), len(by_user), which)


def _chosen(tries: list[AssignedAttempt], counted: int | None, which: Which) -> AssignedAttempt | None:
    if which == "first":
        return tries[0]
    closed = [row for row in tries if finished(row)]
    return next((row for row in closed if row.pk == counted), closed[-1] if closed else None)
