"""Writing on the pages of a problem. Reading stands in `selectors.py`. Nothing here needs Redis or a worker."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.catalog.clock import ClockEvent
from mlsd_app.catalog.models import PhaseWork, PracticeClock, SetAsideText
from mlsd_app.catalog.selectors import budgets_s, clock_state
from problems.schema import Phase, Problem
from simulators.errors import InvalidInput

NOTE_CHARACTERS = 20_000
SET_ASIDE_TEXTS = 50  # newest that are kept a phase
CLOCK_PRESSES = 2_000


class NoteConflict(Exception):
    """Another tab or device saved in between. `work` holds its version; what was sent is set aside with it."""

    def __init__(self, work: PhaseWork) -> None:
        super().__init__(f"{work} is at revision {work.revision}")
        self.work = work


def _own_work(user: User, problem: Problem, phase: Phase) -> PhaseWork:
    """The row, locked until the transaction ends."""
    return PhaseWork.objects.select_for_update().get_or_create(user=user, problem=problem.slug, phase=phase.key)[0]


# --- notes -----------------------------------------------------------------------------------------------------------


def note_save(
    *, user: User, problem: Problem, phase: Phase, text: str, base_revision: int, writer: str, now: datetime, over: bool = False
) -> PhaseWork:
    """Saves the text that was written on top of `base_revision`. Raises NoteConflict and InvalidInput.

    over    the user saw the version of `base_revision` and chose this text instead: the other is set aside
    writer  names the tab. One whose last save arrived but whose answer was lost is a revision behind itself, which is no conflict.
    """
    text = text.replace("\r\n", "\n").replace("\0", "")
    if len(text) > NOTE_CHARACTERS:
        raise InvalidInput(
            f"The notes have {len(text):,} characters; a phase holds {NOTE_CHARACTERS:,}. Shorten them to have them saved.", field="text"
        )
    with transaction.atomic():
        work = _own_work(user, problem, phase)
        if text == work.text:
            return work
        answer_was_lost = bool(writer) and writer == work.writer and base_revision == work.revision - 1
        fits = base_revision == work.revision or answer_was_lost
        if over or not fits:
            _set_aside(work, work.text if fits else text)
        if fits:
            _write(work, text, writer, now)
    if not fits:
        raise NoteConflict(work)
    return work


def _write(work: PhaseWork, text: str, writer: str, now: datetime) -> None:
    work.text, work.writer, work.saved_at = text, writer, now
    work.revision += 1
    work.save(update_fields=["text", "writer", "saved_at", "revision", "updated_at"])
    work.set_aside.filter(text=text).delete()  # it has won after all


def _set_aside(work: PhaseWork, text: str) -> None:
    if not text.strip() or work.set_aside.filter(text=text).exists():
        return
    work.set_aside.create(text=text)
    old = list(work.set_aside.values_list("pk", flat=True)[SET_ASIDE_TEXTS:])
    work.set_aside.filter(pk__in=old).delete()


def set_aside_delete(*, set_aside: SetAsideText) -> None:
    set_aside.delete()


# --- marks -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def answer_reveal(*, user: User, problem: Problem, phase: Phase, now: datetime) -> PhaseWork:
    work = _own_work(user, problem, phase)
    if work.revealed_at is None:
        work.revealed_at = now
        work.save(update_fields=["revealed_at", "updated_at"])
    return work


@transaction.atomic
def checklist_mark(*, user: User, problem: Problem, phase: Phase, items: Iterable[str]) -> PhaseWork:
    """Marks exactly `items`. Raises InvalidInput for an id that is not on the phase's checklist."""
    given, known = set(items), [item.id for item in phase.checklist]
    if unknown := sorted(given.difference(known)):
        raise InvalidInput(f"{unknown[0]!r} is not on the checklist of {phase.title}; it has {', '.join(known)}.", field="item")
    work = _own_work(user, problem, phase)
    work.checked = [item for item in known if item in given]
    work.save(update_fields=["checked", "updated_at"])
    return work


@transaction.atomic
def phase_mark(*, user: User, problem: Problem, phase: Phase, done: bool, now: datetime) -> PhaseWork:
    """Marks the phase done, or not done. A clock that runs in it moves on to the next phase."""
    work = _own_work(user, problem, phase)
    work.done_at = now if done else None
    work.save(update_fields=["done_at", "updated_at"])
    if done:
        _move_on(user, problem, phase, now)
    return work


def _move_on(user: User, problem: Problem, phase: Phase, now: datetime) -> None:
    following = next_phase(problem, phase)
    clock = PracticeClock.objects.filter(user=user, problem=problem.slug).first()
    if clock is None or following is None:
        return
    state = clock_state(clock=clock, problem=problem, now=now)
    if state.running and state.phase == phase.key:
        clock_press(user=user, problem=problem, action="move", phase=following.key, now=now)


def next_phase(problem: Problem, phase: Phase) -> Phase | None:
    place = problem.phases.index(phase) + 1
    return problem.phases[place] if place < len(problem.phases) else None


# --- clock -----------------------------------------------------------------------------------------------------------


@transaction.atomic
def clock_press(*, user: User, problem: Problem, action: str, phase: str, now: datetime) -> PracticeClock:
    """`start`, `pause`, `move` (to `phase`), `reset`, `hide` or `show`. Raises InvalidInput for anything else."""
    if phase not in budgets_s(problem):
        raise InvalidInput(f"{phase!r} is not a phase of {problem.title}; it has {', '.join(budgets_s(problem))}.", field="phase")
    clock = PracticeClock.objects.select_for_update().get_or_create(user=user, problem=problem.slug)[0]
    match action:
        case "start" | "pause" | "move":
            _add_press(clock, ClockEvent(now.timestamp(), action, phase))
        case "reset":
            clock.presses = []
        case "hide" | "show":
            clock.hidden = action == "hide"
        case _:
            raise InvalidInput(f"{action!r} is nothing the clock does; it can start, pause, move, reset, hide and show.", field="action")
    clock.save()
    return clock


def _add_press(clock: PracticeClock, event: ClockEvent) -> None:
    if len(clock.presses) >= CLOCK_PRESSES:
        raise InvalidInput(f"This clock was pressed {CLOCK_PRESSES:,} times. Reset it to go on.")
    clock.presses = [*clock.presses, list(event)]
