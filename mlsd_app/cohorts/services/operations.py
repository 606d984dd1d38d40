"""Runs an operation of a proctor on one or many interviews: each in a transaction of its own, with its entry in the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import prefetch_related_objects

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.live.operations import OPERATIONS, Act, Operation
from mlsd_app.cohorts.models import Audit, Cohort
from mlsd_app.cohorts.policy import checked
from mlsd_app.cohorts.selectors import attempts_followed_by, attempts_proctored_by
from mlsd_app.interviews.clock import ClockState, phase_at
from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import clock_in, state_of, with_clock
from mlsd_app.interviews.staff_ops import MAX_REASON
from simulators.errors import InvalidInput

MOST = 500
CLOCK = ("stops", "adjusts", "moves")
STATUSES_OF = {False: (Status.OPEN,), True: (Status.CLOSED, Status.GRADED)}


@dataclass(frozen=True)
class Look:
    """An interview as a preview shows it; None for a limit or time left that there is not."""

    state: str
    limit_s: int | None
    remaining_s: int | None
    clock_seq: int


@dataclass(frozen=True)
class Outcome:
    """`status` 200: done, or in a preview to be done. Otherwise the HTTP status of why this one is skipped, in `words`."""

    attempt: Attempt
    status: int
    code: str
    words: str
    before: Look
    after: Look | None

    @property
    def done(self) -> bool:
        return self.status == 200


class UnknownAttempt(LookupError):
    """An id that names no interview of the cohort; the same whether it exists elsewhere or not."""


def _looks(pks: Iterable[UUID], now: datetime) -> dict[UUID, Look]:
    """The interviews as the database has them now."""
    rows = with_clock(Attempt.objects.filter(pk__in=list(pks)))
    return {row.pk: _look(row, phase_at(now, clock_in(row))) for row in rows}


def _look(attempt: Attempt, state: ClockState) -> Look:
    live = attempt.status in (Status.READY, Status.OPEN)
    free = attempt.mode == "free"
    return Look(
        state=state.state if live else str(attempt.status),
        limit_s=None if free else round(state.limit_s),
        remaining_s=round(state.remaining_s) if live and state.remaining_s is not None else None,
        clock_seq=attempt.clock_seq,
    )


# --- which operation, on what ----------------------------------------------------------------------------------------


def operation_checked(op: str, args: Mapping[str, Any]) -> Operation:
    """Raises InvalidInput for an unknown operation and for arguments that do not fit it."""
    if op not in OPERATIONS:
        raise InvalidInput(f"{op[:40]!r} is no operation; there are {', '.join(OPERATIONS)}.", field="op")
    return checked(OPERATIONS[op], args, field="args")


def reason_checked(reason: str) -> str:
    reason = reason.replace("\0", "").strip()
    if not 1 <= len(reason) <= MAX_REASON:
        raise InvalidInput(f"Give a reason of 1 to {MAX_REASON} characters; this one has {len(reason)}.", field="reason")
    return reason


def attempts_chosen(
    *, user: User, cohort: Cohort, chosen: Sequence[UUID] | None, of_closed: bool, assignment: int | None = None
) -> list[Attempt]:
    """The interviews of the cohort by these ids, or None: all that the operation is for. Raises UnknownAttempt, InvalidInput."""
    rows = attempts_followed_by(user).filter(assigned__assignment__cohort=cohort).select_related("user").defer("content")
    if assignment is not None:
        rows = rows.filter(assigned__assignment=assignment)
    if chosen is None:
        found = list(rows.filter(status__in=STATUSES_OF[of_closed]).order_by("pk")[: MOST + 1])
    else:
        wanted = set(chosen[: MOST + 1])
        found = list(rows.filter(pk__in=wanted).order_by("pk"))
        if len(found) != len(wanted):
            raise UnknownAttempt("One of these interviews is not in this cohort.")
    if not 1 <= len(found) <= MOST:
        raise InvalidInput(
            f"{'More than ' if found else ''}{min(len(found), MOST)} interviews were chosen; choose 1 to {MOST}.", field="attempts"
        )
    return found


# --- doing it --------------------------------------------------------------------------------------------------------


def operation_run(
    *,
    by: By,
    cohort: Cohort,
    op: str,
    args: Mapping[str, Any],
    attempts: Sequence[Attempt],
    reason: str,
    now: datetime,
    seen: Mapping[str, int] | None = None,
    dry_run: bool = False,
) -> list[Outcome]:
    """Does it to each of `attempts`, which come from `attempts_chosen`; one that cannot be is skipped and the others proceed.

    seen     {attempt id: clock_seq} of a preview; what reckons from a clock needs it and skips one that was changed since
    dry_run  takes everything back: the outcomes are those there would be
    Raises InvalidInput where nothing can be done at all.
    """
    operation, reason = operation_checked(op, args), reason_checked(reason)
    operation.check(list(attempts), now)
    if operation.sees_clock and not dry_run and any(str(attempt.pk) not in (seen or {}) for attempt in attempts):
        raise InvalidInput("Say for each interview which clock you looked at, as clock_seq of a preview.", field="clock_seq")
    act = Act(by.user, reason, now, seen or {})
    mine = set(attempts_proctored_by(by.user).filter(pk__in=[attempt.pk for attempt in attempts]).values_list("pk", flat=True))
    note, looks = _noting(by, cohort, op, act), _looks((attempt.pk for attempt in attempts), now)
    return [
        _outcome(attempt, looks[attempt.pk], operation, act, note, allowed=attempt.pk in mine, dry_run=dry_run)
        for attempt in attempts
        if attempt.pk in looks
    ]


Note = Callable[[Attempt, Look, Look], Audit]


def _noting(by: By, cohort: Cohort, op: str, act: Act) -> Note:
    def note(attempt: Attempt, before: Look, after: Look) -> Audit:
        return audited(
            by=by,
            action=f"proctor.{op}",
            thing=attempt,
            cohort=cohort,
            now=act.now,
            before=asdict(before),
            after=asdict(after),
            reason=act.reason,
        )

    return note


def _outcome(attempt: Attempt, before: Look, operation: Operation, act: Act, note: Note, *, allowed: bool, dry_run: bool) -> Outcome:
    if not allowed:
        return Outcome(attempt, 403, "own", "This interview is your own.", before, None)
    try:
        with transaction.atomic():
            row = attempt_lock(attempt=attempt)
            prefetch_related_objects([row], *CLOCK)  # the clock is read several times before it changes
            before = _look(row, state_of(row, act.now))
            operation.run(row, act)
            changed = Attempt.objects.defer("content").prefetch_related(*CLOCK).get(pk=row.pk)
            after = _look(changed, state_of(changed, act.now))
            note(row, before, after)
            if dry_run:
                transaction.set_rollback(True)
    except Refused as refused:
        return Outcome(attempt, refused.status, refused.code, refused.message, before, None)
    except InvalidInput as error:
        return Outcome(attempt, 422, "invalid", error.message, before, None)
    return Outcome(attempt, 200, "done", "", before, after)


def done_before(*, cohort: Cohort, request_id: str) -> bool:
    """Whether an operation was done under this id: a form that is sent twice counts once."""
    return Audit.objects.filter(cohort=cohort, request_id=request_id, action__startswith="proctor.").exists()
