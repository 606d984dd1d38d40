"""Sittings: a list of items, fixed when it begins, with the words, revisions and seeds it began with."""

from __future__ import annotations

import hashlib
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.interviews import clock as clocks
from mlsd_app.quiz.bank import BankItem, Key, bank, bank_item, item_dump, readiness_items
from mlsd_app.quiz.days import day_of
from mlsd_app.quiz.errors import Refused, conflict, sitting_closed
from mlsd_app.quiz.instances import instance_take, stand_in
from mlsd_app.quiz.models import Instance, Response, ResponseKind, Sitting, SittingKind, SittingStatus
from mlsd_app.quiz.plans import plan_of
from mlsd_app.quiz.queue import Due, today
from problems.quiz_schema import LabQuestion
from simulators.errors import InvalidInput

MAX_ITEMS = 100
MAX_OPEN = 50  # sittings of one person that are open at once; more of them means a script
FEWEST_ITEMS = 5  # a day has at least so many, however few its minutes
ROUND_S = 300  # time limits are told in steps of five minutes
SEEDS = 2**31 - 1


def sittings_of(user: object) -> QuerySet[Sitting]:
    """The user's own; another person's sitting does not exist here."""
    return Sitting.objects.filter(user=user) if isinstance(user, User) else Sitting.objects.none()


# --- beginning -------------------------------------------------------------------------------------------------------


@transaction.atomic
def sitting_create(
    *,
    user: User,
    kind: SittingKind,
    keys: Sequence[Key],
    now: datetime,
    new: frozenset[Key] = frozenset(),
    seed: int | None = None,
    schedules: bool = True,
    feedback: bool = True,
    problem_slug: str = "",
    limit_s: int | None = None,
    multiplier: float = 1.0,
    extra_s: int = 0,
    closes_at: datetime | None = None,
) -> Sitting:
    """A sitting of these items. Raises InvalidInput for an unknown item, none or too many, Refused with too many open ones."""
    if not 1 <= len(keys) <= MAX_ITEMS:
        raise InvalidInput(f"A quiz has 1 to {MAX_ITEMS} questions; {len(keys)} were chosen.", field="items")
    if sittings_of(user).filter(status=SittingStatus.OPEN).count() >= MAX_OPEN:
        raise conflict("too_many_open", f"{MAX_OPEN} quizzes of yours are open; finish or close one first.")
    drawn = secrets.randbelow(SEEDS) if seed is None else seed
    asked = _askable([bank_item(*key) for key in keys], user)
    if not asked:
        raise Refused("no_numbers", "The numbers of these questions are still being made by lab runs. Try again in a minute.", 503)
    places = [place_of(entry, drawn, number, instance, new=entry.key in new) for number, (entry, instance) in enumerate(asked)]
    return Sitting.objects.create(
        user=user,
        kind=kind,
        problem_slug=problem_slug,
        items=places,
        content={content_key(entry.key): item_dump(entry.item) for entry, _ in asked},
        seed=drawn,
        schedules=schedules,
        feedback=feedback,
        started_at=now,
        limit_s=limit_s,
        multiplier=multiplier,
        extra_s=extra_s,
        closes_at=closes_at,
    )


def _askable(entries: Sequence[BankItem], user: User) -> list[tuple[BankItem, Instance | None]]:
    """Each item with the numbers of its lab, where it has one. While a lab has none, another item of the problem stands in, or none."""
    given = {row["instance"] for sitting in sittings_of(user).filter(status=SittingStatus.OPEN) for row in sitting.items}
    keys, found = {entry.key for entry in entries}, []
    for entry in entries:
        instance = lab_numbers(entry, user, given)
        if instance is None and isinstance(entry.item, LabQuestion):
            other = stand_in(entry=entry, exclude=keys)
            if other is None:
                continue
            entry = other
            keys.add(entry.key)
        found.append((entry, instance))
    return found


def lab_numbers(entry: BankItem, user: User, given: set[int | None]) -> Instance | None:
    """Numbers for a lab question this person has not met; adds them to `given`. None for other items, or while there are none."""
    if not isinstance(entry.item, LabQuestion):
        return None
    instance = instance_take(user=user, entry=entry, exclude={pk for pk in given if pk is not None})
    if instance is not None:
        given.add(instance.pk)
    return instance


def place_of(
    entry: BankItem, seed: int, number: int, instance: Instance | None, *, new: bool = False, again: int | None = None
) -> dict[str, Any]:
    """One place of a sitting; `again` is the place whose answer brought the item back."""
    return {
        "problem": entry.problem.slug,
        "item": entry.item.id,
        "rev": entry.item.rev,
        "seed": int.from_bytes(hashlib.sha256(f"{seed}:{number}:{entry.item.id}".encode()).digest()[:4], "big") % SEEDS,
        "instance": instance.pk if instance else None,
        "new": new,
        "again": again,
    }


def content_key(key: Key) -> str:
    return "/".join(key)


def daily_start(*, user: User, now: datetime) -> Sitting:
    """Today's sitting: the one that is open, or a new one of what is due and new. Raises Refused when nothing is due."""
    plan = plan_of(user)
    if (running := daily_open(user=user, now=now)) is not None:
        return running
    queue = _within_minutes(today(plan=plan, now=now).queue, plan.minutes_a_day)
    if not queue:
        raise conflict("nothing_due", "Nothing is due now. Practise a problem, or come back tomorrow.")
    sittings_of(user).filter(kind=SittingKind.DAILY, status=SittingStatus.OPEN).update(status=SittingStatus.CLOSED, closed_at=now)
    new = frozenset(card.key for card in queue if card.new)
    return sitting_create(user=user, kind=SittingKind.DAILY, keys=[card.key for card in queue], new=new, now=now)


def daily_open(*, user: object, now: datetime) -> Sitting | None:
    """The daily sitting begun today that is still open."""
    plan = plan_of(user)
    found = sittings_of(user).filter(kind=SittingKind.DAILY, status=SittingStatus.OPEN).first()
    return found if found and day_of(plan, found.started_at) == day_of(plan, now) else None


def _within_minutes(queue: Sequence[Due], minutes: int) -> list[Due]:
    chosen: list[Due] = []
    seconds = 0
    for card in queue[:MAX_ITEMS]:
        seconds += bank()[card.key].item.expect_s
        if seconds > minutes * 60 and len(chosen) >= FEWEST_ITEMS:
            break
        chosen.append(card)
    return chosen


def readiness_start(*, user: User, now: datetime, timed: bool) -> Sitting:
    """The 15 questions: of each the items marked by rule, then the free answer."""
    keys = [entry.key for entry in readiness_entries()]
    limit = readiness_limit_s() if timed else None
    return sitting_create(user=user, kind=SittingKind.READINESS, keys=keys, now=now, limit_s=limit)


def readiness_entries() -> list[BankItem]:
    return [entry for entries in readiness_items().values() for entry in entries]


def readiness_limit_s() -> int:
    """What the parts of the check are expected to take, one after the other."""
    return ROUND_S * math.ceil(sum(entry.item.expect_s for entry in readiness_entries()) / ROUND_S)


def problem_start(*, user: User, slug: str, items: Sequence[str], now: datetime, counts: bool) -> Sitting:
    """Practice of some items of one problem; answers move the cards only if they are to count."""
    keys = [(slug, item) for item in dict.fromkeys(items)]
    if not keys:
        raise InvalidInput("No question was chosen; tick at least one.", field="items")
    return sitting_create(user=user, kind=SittingKind.PROBLEM, keys=keys, now=now, schedules=counts, problem_slug=slug)


# --- the clock -------------------------------------------------------------------------------------------------------


def clock_of(sitting: Sitting) -> clocks.Clock:
    """One phase; without a limit it is a free clock that only a window can end."""
    return clocks.Clock(
        phases=(clocks.PhaseBudget("quiz", "Quiz", sitting.limit_s or 1),),
        mode="soft" if sitting.limit_s else "free",
        multiplier=sitting.multiplier,
        extra_s=sitting.extra_s,
        closes_at=sitting.closes_at,
        started_at=sitting.started_at,
        closed_at=sitting.closed_at,
    )


def state_of(sitting: Sitting, now: datetime) -> clocks.ClockState:
    return clocks.phase_at(now, clock_of(sitting))


def close_if_due(*, sitting: Sitting, now: datetime) -> bool:
    """Closes a sitting whose time is up, as of the moment it was up."""
    if sitting.status == SittingStatus.CLOSED:
        return False
    state = state_of(sitting, now)
    if state.state != "closed":
        return False
    _close(sitting, state.hard_close or now)
    return True


def sitting_close(*, sitting: Sitting, now: datetime) -> None:
    if sitting.status == SittingStatus.OPEN:
        _close(sitting, now)


def _close(sitting: Sitting, at: datetime) -> None:
    sitting.status, sitting.closed_at = SittingStatus.CLOSED, at
    sitting.save(update_fields=["status", "closed_at"])


def sittings_sweep(*, now: datetime) -> int:
    """Closes what nobody came back to; how many."""
    timed = Sitting.objects.filter(status=SittingStatus.OPEN).exclude(limit_s=None, closes_at=None)
    return sum(close_if_due(sitting=sitting, now=now) for sitting in timed.iterator())


def locked(*, sitting_id: UUID, user: User, now: datetime) -> Sitting:
    """The open sitting, locked until the transaction ends. Raises Refused once it is closed."""
    sitting = Sitting.objects.select_for_update().get(pk=sitting_id, user=user)
    close_if_due(sitting=sitting, now=now)
    if sitting.status == SittingStatus.CLOSED:
        raise sitting_closed()
    return sitting


# --- where it stands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """`answered` maps a place to its answer; `here` is the next place to answer, None when all are."""

    answered: dict[int, Response]
    here: int | None
    total: int
    new: int

    @property
    def number(self) -> int:
        """Of the question at hand, from 1."""
        return min(len(self.answered) + 1, self.total)

    @property
    def complete(self) -> bool:
        return self.here is None


def answers_of(sitting: Sitting) -> dict[int, Response]:
    """The answers that stand, by place: taken-back ones left out, with the rating that was said last."""
    found: dict[int, Response] = {}
    by_pk: dict[int, Response] = {}
    for row in sitting.responses.order_by("pk"):
        if row.kind == ResponseKind.ANSWER:
            found[row.place] = by_pk[row.pk] = row
        elif row.kind == ResponseKind.UNDO:
            found.pop(row.place, None)
        elif row.of_id in by_pk:
            by_pk[row.of_id].rating = row.rating
    return found


def progress_of(sitting: Sitting) -> Progress:
    answered = answers_of(sitting)
    places = [place for place, row in enumerate(sitting.items) if not row.get("dropped")]
    here = next((place for place in places if place not in answered), None)
    new = sum(bool(sitting.items[place]["new"]) for place in places if place not in answered)
    return Progress(answered, here, len(places), new)


def time_left_s(sitting: Sitting, now: datetime) -> float | None:
    return state_of(sitting, now).remaining_s


def repeat_within(sitting: Sitting, place: int) -> bool:
    """Whether an item may come once more: at most twice a sitting, and never straight after itself."""
    row = sitting.items[place]
    same = [number for number, other in enumerate(sitting.items) if (other["problem"], other["item"]) == (row["problem"], row["item"])]
    return len(same) <= MAX_REPEATS and len(sitting.items) < MAX_ITEMS + MAX_REPEATS * MAX_ITEMS and same[-1] != len(sitting.items) - 1


MAX_REPEATS = 2
SOON = timedelta(minutes=20)  # what is due by then is asked again in the same sitting
