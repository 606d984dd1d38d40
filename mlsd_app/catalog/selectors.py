"""Reading problems and what a user did on them. Each permission stands here as a boolean and as a queryset filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from django.db.models import Count, QuerySet
from django.utils.text import slugify

from mlsd_app.accounts.models import User
from mlsd_app.catalog.clock import ClockEvent, ClockState, clock_at
from mlsd_app.catalog.models import PhaseWork, PracticeClock, SetAsideText
from mlsd_app.core.content import labs_taught
from problems.loader import all_problems
from problems.schema import Phase, Problem
from simulators.lab import Lab
from simulators.registry import labs_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

State = Literal["new", "started", "done"]


# --- whose work it is --------------------------------------------------------------------------------------------------


def work_of(*, user: User | AnonymousUser) -> QuerySet[PhaseWork]:
    return PhaseWork.objects.filter(user=user) if isinstance(user, User) else PhaseWork.objects.none()


def work_visible(*, user: User | AnonymousUser, work: PhaseWork) -> bool:
    return isinstance(user, User) and work.user_id == user.pk


def clock_of(*, user: User | AnonymousUser, problem: Problem) -> PracticeClock:
    """The user's clock; an unsaved, untouched one when there is none yet."""
    found = PracticeClock.objects.filter(user=user, problem=problem.slug).first() if isinstance(user, User) else None
    return found or PracticeClock(problem=problem.slug)


def work_by_phase(*, user: User | AnonymousUser, problem: Problem) -> dict[str, PhaseWork]:
    """The user's row for every phase of the problem; unsaved empty ones where there is none."""
    rows = {row.phase: row for row in work_of(user=user).filter(problem=problem.slug)}
    return {phase.key: rows.get(phase.key) or PhaseWork(problem=problem.slug, phase=phase.key) for phase in problem.phases}


def set_aside_texts(*, work: PhaseWork) -> list[SetAsideText]:
    """What lost to this version of the notes, newest first."""
    return list(work.set_aside.all()) if work.pk else []


# --- clock -------------------------------------------------------------------------------------------------------------


def budgets_s(problem: Problem) -> dict[str, float]:
    return {phase.key: phase.minutes * 60.0 for phase in problem.phases}


def clock_state(*, clock: PracticeClock, problem: Problem, now: datetime, phase: str = "") -> ClockState:
    """The clock now. One that was never pressed points at `phase`, where the user is and would start it."""
    events = clock.events or [ClockEvent(0, "move", phase)]
    return clock_at(now.timestamp(), budgets_s(problem), events)


# --- the list ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Card:
    """A problem in the list, with how far the user has come."""

    problem: Problem
    done: int  # phases
    started: bool
    labs: int

    @property
    def phases(self) -> int:
        return len(self.problem.phases)

    @property
    def theme(self) -> str:
        return slugify(self.problem.theme)

    @property
    def state(self) -> State:
        if self.phases and self.done == self.phases:
            return "done"
        return "started" if self.started else "new"


def cards(*, user: User | AnonymousUser, theme: str = "", state: str = "") -> Sequence[Card]:
    """Every problem that has something to show; those of a theme and a state when these are given."""
    work = work_of(user=user).values_list("problem").annotate(rows=Count("pk"), done=Count("done_at"))
    counts = {problem: (rows, done) for problem, rows, done in work.order_by("problem")}
    found = [_card(problem, *counts.get(problem.slug, (0, 0))) for problem in all_problems()]
    shown = [card for card in found if card.phases or card.labs]
    return [card for card in shown if theme in ("", card.theme) and state in ("", card.state)]


def _card(problem: Problem, rows: int, done: int) -> Card:
    return Card(problem, done=min(done, len(problem.phases)), started=rows > 0, labs=len(labs_of(problem.slug)))


def themes() -> list[tuple[str, str]]:
    """(key, name) of the themes that have problems."""
    names = sorted({problem.theme for problem in all_problems()}, key=str.lower)
    return [(slugify(name), name) for name in names]


# --- labs --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabCard:
    lab: type[Lab]
    why: str
    preset: str = ""
    preset_title: str = ""


def phase_labs(*, problem: Problem, phase: Phase) -> list[LabCard]:
    """The labs that the problem opens in this phase, as far as they exist."""
    existing = {lab.slug: lab for lab in labs_of(problem.slug)}
    return [
        LabCard(existing[link.lab], link.why, link.preset, _preset_title(existing[link.lab], link.preset))
        for link in problem.labs_in(phase.key)
        if link.lab in existing
    ]


def all_labs(*, problem: Problem) -> list[LabCard]:
    """Every lab of the problem, in the order of the round, with the reason the problem gives for it."""
    reasons = {link.lab: link.why for link in reversed(problem.labs)}
    return [LabCard(lab, reasons.get(lab.slug, lab.why)) for lab in labs_taught(problem.slug)]


def _preset_title(lab: type[Lab], key: str) -> str:
    return next((preset.title for preset in lab.presets if preset.key == key), "")
