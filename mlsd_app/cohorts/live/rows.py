"""The live board: one row for each interview of a cohort that runs, in a fixed number of queries however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.anonymous import code_names
from mlsd_app.cohorts.live.parts import Parts, Work
from mlsd_app.cohorts.models import Assignment, Cohort, Membership
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import attempts_followed_by
from mlsd_app.interviews.clock import ClockState, phase_at
from mlsd_app.interviews.leases import LEASE
from mlsd_app.interviews.models import LIVE, Attempt, Status
from mlsd_app.interviews.selectors import clock_in, with_clock

MOST = 500
AMBER_S, RED_S = 30, 120  # age of the last save while the clock runs
GONE_S = 90  # without a word from the candidate's page
CLOSED_FOR = timedelta(days=1)

Connection = Literal["stream", "resync", "none"]
FLAGS: Mapping[str, str] = {
    "hand": "Hand raised",
    "conflict": "Conflict",
    "lease": "Moved to another tab",
    "active": "Event active",
    "recovered": "Recovered",
    "gone": "No connection",
}
STATES: Mapping[str, str] = {
    "scheduled": "Scheduled",
    "ready": "Not started",
    "running": "Running",
    "paused": "Paused",
    "overtime": "Overtime",
    "closing": "Closing",
    "expired": "Expired, not closed",
}


@dataclass(frozen=True)
class Filter:
    """What of the board is asked for. `closed`: what has closed within a day, for reopening, instead of what runs."""

    assignment: int | None = None
    label: int | None = None
    flag: str = ""
    closed: bool = False


class Step(NamedTuple):
    title: str
    mark: str  # done, current, over, ahead


@dataclass(frozen=True)
class Row:
    """One interview on the board. `heard_at`: the last word from the candidate's page."""

    attempt: Attempt
    assignment: Assignment
    name: str
    labels: tuple[str, ...]
    state: ClockState
    saved_at: datetime | None
    heard_at: datetime | None
    connection: Connection
    work: Work
    flags: tuple[str, ...]

    @property
    def key(self) -> str:
        """What the row is called where it stands: state of the clock, or of the attempt when that is over."""
        if self.attempt.status not in LIVE:
            return str(self.attempt.status)
        return "expired" if self.state.state == "closed" else self.state.state

    @property
    def state_words(self) -> str:
        if self.attempt.status not in LIVE:
            return str(self.attempt.get_reason_display() or self.attempt.get_status_display())
        return STATES[self.key]

    @property
    def no_limit(self) -> bool:
        return self.state.started and self.state.deadline is None

    @property
    def ticks(self) -> bool:
        return self.key in ("running", "overtime", "closing")

    @property
    def ends_at(self) -> datetime | None:
        """When what is counted down comes to its end; None while it does not run."""
        return self.state.next_change_at if self.key in ("overtime", "closing") else self.state.deadline if self.ticks else None

    @property
    def phase(self) -> str:
        return "" if self.state.phase_index is None else str(self.attempt.phases[self.state.phase_index]["title"])

    @property
    def phase_ends_at(self) -> datetime | None:
        left_s = self.state.phase_remaining_s
        return self.state.at + timedelta(seconds=round(left_s)) if self.key == "running" and left_s is not None else None

    @property
    def debt_min(self) -> int:
        return round(self.state.debt_s / 60)

    @property
    def steps(self) -> list[Step]:
        return [Step(str(phase["title"]), self._mark(number)) for number, phase in enumerate(self.attempt.phases)]

    def _mark(self, number: int) -> str:
        spent, planned, here = self.state.phase_spent_s[number], self.state.phase_plan_s[number], self.state.phase_index
        if number == here:
            return "current"
        if spent > planned + 1:
            return "over"
        return "done" if spent > 0 or (here is not None and number < here) else "ahead"

    @property
    def needs_eye(self) -> bool:
        return bool({"hand", "gone", "conflict"} & set(self.flags))


# --- the board -------------------------------------------------------------------------------------------------------


def board_attempts(*, user: User, cohort: Cohort, asked: Filter, now: datetime) -> QuerySet[Attempt]:
    """Interviews of the cohort that the user may follow: live ones, or with `closed` those that ended within a day."""
    rows = attempts_followed_by(user).filter(assigned__assignment__cohort=cohort)
    rows = rows.filter(closed_at__gt=now - CLOSED_FOR) if asked.closed else rows.filter(status__in=LIVE)
    if asked.assignment is not None:
        rows = rows.filter(assigned__assignment=asked.assignment)
    if asked.label is not None:
        rows = rows.filter(user__in=Membership.objects.filter(cohort=cohort, labels=asked.label).values("user"))
    return rows


def board_rows(*, user: User, cohort: Cohort, asked: Filter, now: datetime, only: Iterable[UUID] | None = None) -> list[Row]:
    """The rows the user may see, by name; of `only` these attempts where they are given. At most MOST."""
    found = board_attempts(user=user, cohort=cohort, asked=asked, now=now)
    if only is not None:
        found = found.filter(pk__in=list(only))
    attempts = list(with_clock(found).select_related("user", "assigned__assignment").order_by("pk")[:MOST])
    people = _People.of(user, cohort, attempts)
    parts = Parts.of(attempts, now)
    rows = [_row(attempt, people, parts, now) for attempt in attempts]
    return sorted(
        (row for row in rows if not asked.flag or asked.flag in row.flags), key=lambda row: (row.name.lower(), str(row.attempt.pk))
    )


def names_of(*, user: User, cohort: Cohort, attempts: Sequence[Attempt]) -> dict[UUID, str]:
    """{attempt id: name}: names for those who manage the cohort, code names for observers."""
    rows = Attempt.objects.filter(pk__in=[attempt.pk for attempt in attempts]).select_related("user", "assigned__assignment")
    found = list(rows.defer("content"))
    people = _People.of(user, cohort, found)
    return {attempt.pk: people.name(attempt) for attempt in found}


@dataclass(frozen=True)
class _People:
    codes: Mapping[int, Mapping[int, str]] | None  # {assignment: {user: code name}}; None: names are shown
    labels: Mapping[int, tuple[str, ...]]

    @classmethod
    def of(cls, user: User, cohort: Cohort, attempts: Sequence[Attempt]) -> _People:
        named = may(user, "manage_learners", cohort)
        assignments = {assignment.pk: assignment for assignment in map(_assignment, attempts)}
        members = Membership.objects.filter(cohort=cohort, user__in=[attempt.user_id for attempt in attempts])
        labels = {member.user_id: tuple(label.name for label in member.labels.all()) for member in members.prefetch_related("labels")}
        return cls(None if named else {pk: code_names(assignment) for pk, assignment in assignments.items()}, labels)

    def name(self, attempt: Attempt) -> str:
        if self.codes is None:
            return attempt.user.shown_name
        return self.codes[_assignment(attempt).pk].get(attempt.user_id, "Somebody")


def _assignment(attempt: Attempt) -> Assignment:
    found: Any = attempt
    return found.assigned.assignment  # type: ignore[no-any-return]


def _row(attempt: Attempt, people: _People, parts: Parts, now: datetime) -> Row:
    state = phase_at(now, clock_in(attempt))
    saved_at = parts.saved.get(attempt.pk)
    heard = [moment for moment in (attempt.started_at, saved_at, attempt.lease_until and attempt.lease_until - LEASE) if moment]
    heard_at = max(heard, default=None)
    connection = _connection(attempt, heard_at, attempt.pk in parts.listening, now)
    gone = {"gone"} if connection == "none" and attempt.status == Status.OPEN else set()
    flags = parts.flags.get(attempt.pk, set()) | gone
    return Row(
        attempt=attempt,
        assignment=_assignment(attempt),
        name=people.name(attempt),
        labels=people.labels.get(attempt.user_id, ()),
        state=state,
        saved_at=saved_at,
        heard_at=heard_at,
        connection=connection,
        work=parts.work(attempt),
        flags=tuple(flag for flag in FLAGS if flag in flags),
    )


def _connection(attempt: Attempt, heard_at: datetime | None, listening: bool, now: datetime) -> Connection:
    if listening:
        return "stream"
    return "resync" if heard_at is not None and now - heard_at <= timedelta(seconds=GONE_S) else "none"
