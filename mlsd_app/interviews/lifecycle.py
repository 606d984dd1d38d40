"""What a candidate does with an attempt: make, plan, start, move, pause, resume, submit. What staff do stands in `staff_ops`.

Each function takes the moment it happens at, `now`, and writes an event. What cannot be done is `Refused` with the reason.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.core.content import problem_title
from mlsd_app.interviews import presets
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.closing import check_later, clock_changed, close, close_if_due
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.frozen import frozen_fields
from mlsd_app.interviews.models import LIVE, Attempt, Reason, Status, Stop
from mlsd_app.interviews.policy import checked_policy, own_accommodation
from mlsd_app.interviews.refusals import LOCKED, Refused, refuse_unless_open
from mlsd_app.interviews.selectors import live_attempt, state_of
from problems.schema import Problem
from simulators.errors import InvalidInput

__all__ = [
    "LOCKED",
    "Refused",
    "attempt_create",
    "attempt_move",
    "attempt_pause",
    "attempt_plan",
    "attempt_resume",
    "attempt_start",
    "attempt_submit",
    "clock_block",
    "close_if_due",
    "open_attempt",
]

MAX_MOVES = 500
MAX_STOPS = 200
ATTEMPTS_A_DAY = 60


# --- before the start ----------------------------------------------------------------------------------------------------


def attempt_create(
    *,
    user: User,
    problem: Problem,
    now: datetime,
    preset: str = "five_phase",
    phases: Sequence[dict[str, Any]] | None = None,
    total_s: int | None = None,
    mode: str = "soft",
    show: str = "real",
    level: str = "senior",
    seed: int | None = None,
    kind: str = "mock",
    **policy: Any,
) -> Attempt:
    """A new attempt in its lobby.

    phases   a plan of one's own instead of a preset
    policy   fields of Attempt that whoever assigns it decides; a mock gets the person's own accommodation
    Raises InvalidInput for values that do not fit, Refused `live_attempt_exists` (409, with its id) and `too_many_attempts` (429).
    """
    if problem.interviewer is None or problem.rubric is None:
        raise InvalidInput(f"{problem.title} has no interview yet; choose a problem with a walkthrough.", field="problem")
    plan = presets.checked_phases(phases) if phases is not None else presets.preset_phases(preset, total_s)
    fields = {"mode": mode, "show": show, "level": level, "kind": kind, **(own_accommodation(user) if kind == "mock" else {}), **policy}
    attempt = Attempt(
        user=user,
        problem=problem.slug,
        preset="custom" if phases is not None else preset,
        phases=plan,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        **checked_policy(fields),
    )
    _close_what_is_due(user, problem.slug, now)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two tabs that ask at once get one attempt
        _refuse_another(user, problem, now)
        attempt.save(force_insert=True)
        check_later(attempt=attempt, now=now)
        event_add(attempt=attempt, kind="created", now=now, actor=user, data={"preset": attempt.preset, "mode": mode, "show": show})
    return attempt


def _refuse_another(user: User, problem: Problem, now: datetime) -> None:
    if existing := live_attempt(user=user, problem=problem.slug):
        raise _live_exists(existing)
    if Attempt.objects.filter(user=user, created_at__gt=now - timedelta(days=1)).count() >= ATTEMPTS_A_DAY:
        raise Refused("too_many_attempts", f"You have begun {ATTEMPTS_A_DAY} interviews within a day, the most that is allowed.", 429)


def _close_what_is_due(user: User, problem: str, now: datetime) -> None:
    for existing in Attempt.objects.filter(user=user, problem=problem, status__in=LIVE):
        close_if_due(attempt=existing, now=now, online=True)


def _live_exists(existing: Attempt) -> Refused:
    said = f"You have an interview on {problem_title(existing.problem)} that is not over; go on with it or end it first."
    return Refused("live_attempt_exists", said, 409, {"attempt": str(existing.pk)})


@transaction.atomic
def attempt_plan(*, attempt: Attempt, phases: Sequence[Mapping[str, Any]], now: datetime) -> Attempt:
    """The candidate's own minutes for the same phases, by their key; the sum stays. Counts as a stated time plan."""
    row = attempt_lock(attempt=attempt)
    if row.status != Status.READY:
        raise Refused("wrong_state", "The plan is fixed once the interview has begun.", 409)
    budgets = {str(phase.get("key")): phase.get("budget_s") for phase in phases}
    if set(budgets) != {phase["key"] for phase in row.phases}:
        raise InvalidInput("The plan must name each phase of this interview once.", field="phases")
    planned = presets.checked_phases([{**phase, "budget_s": budgets[phase["key"]]} for phase in row.phases])
    given, expected = sum(phase["budget_s"] for phase in planned), sum(phase["budget_s"] for phase in row.phases)
    if given != expected:
        raise InvalidInput(f"The phases add up to {given / 60:g} minutes; this interview has {expected / 60:g}.", field="phases")
    row.phases, row.plan_stated = planned, True
    row.save(update_fields=["phases", "plan_stated"])
    event_add(attempt=row, kind="plan", now=now, actor=row.user, data={"budgets_s": {phase["key"]: phase["budget_s"] for phase in planned}})
    return row


def attempt_start(*, attempt: Attempt, actor: User, now: datetime) -> Attempt:
    """Starts the clock and freezes what is asked and marked. A second start changes nothing.

    Refused `window` (403) outside of it, `live_attempt_exists` (409) while another interview on the problem runs: a guest who signs
    in may bring a lobby along.
    """
    _close_what_is_due(attempt.user, attempt.problem, now)
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        if row.status == Status.OPEN:
            return row
        _refuse_start(row, state_of(row, now))
        for field, value in frozen_fields(row).items():
            setattr(row, field, value)
        row.status, row.started_at = Status.OPEN, now
        row.clock_seq += 1
        row.save()
        state = check_later(attempt=row, now=now)
        event_add(attempt=row, kind="start", now=now, actor=actor, state=state)
    return row


def _refuse_start(row: Attempt, state: ClockState) -> None:
    if state.state == "scheduled" and row.opens_at:
        raise Refused("window", f"This interview opens on {row.opens_at:%-d %B at %H:%M} UTC.", 403)
    if row.reason == Reason.WINDOW or state.state == "expired":
        raise Refused("window", "The time in which this interview could be started is over.", 403)
    if row.status != Status.READY:
        raise Refused("wrong_state", "This interview is over; begin a new one to try again.", 409)
    if running := Attempt.objects.filter(user=row.user_id, problem=row.problem, status=Status.OPEN).first():
        raise _live_exists(running)


# --- while it runs -------------------------------------------------------------------------------------------------------


@contextmanager
def open_attempt(*, attempt: Attempt, now: datetime) -> Iterator[tuple[Attempt, ClockState]]:
    """The row of a running attempt, locked, and its clock, in a transaction of its own; closed first if it is due.

    Refused `wrong_state` (409) when it is not open. Afterwards the next check is set anew.
    """
    close_if_due(attempt=attempt, now=now, online=True)
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        refuse_unless_open(row)
        yield row, state_of(row, now)
        if row.status == Status.OPEN:
            check_later(attempt=row, now=now)


def attempt_submit(*, attempt: Attempt, actor: User, now: datetime) -> Attempt:
    """Ends the attempt at `now`. One that has ended already stays as it is. Refused `wrong_state` (409) before the start."""
    close_if_due(attempt=attempt, now=now, online=True)
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        if row.status == Status.READY:
            raise Refused("wrong_state", "This interview has not begun; there is nothing to submit.", 409)
        if row.status == Status.OPEN:
            event_add(attempt=row, kind="submit", now=now, actor=actor)
            close(attempt=row, at=now, reason=Reason.SUBMITTED, now=now, actor=actor)
    return row


def attempt_move(*, attempt: Attempt, to_phase: int, actor: User, now: datetime, by: str = "user") -> Attempt:
    """On to phase number `to_phase`. In strict mode forwards only: Refused `phase_frozen` (423). Refused `paused` (423) in a pause."""
    with open_attempt(attempt=attempt, now=now) as (row, state):
        here = state.phase_index or 0
        _refuse_move(row, state, to_phase)
        if to_phase != here:
            row.moves.create(at=now, from_phase=here, to_phase=to_phase, by=by)
            clock_changed(attempt=row)
            keys = {"from": row.phases[here]["key"], "to": row.phases[to_phase]["key"]}
            event_add(attempt=row, kind="move", now=now, actor=actor, data={**keys, "by": by})
    return row


def _refuse_move(row: Attempt, state: ClockState, to_phase: int) -> None:
    if not 0 <= to_phase < len(row.phases):
        raise InvalidInput(f"Phase {to_phase} was given; this interview has phases 0 to {len(row.phases) - 1}.", field="to")
    if state.state == "paused":
        raise Refused("paused", "The interview is paused; resume it first.", LOCKED)
    if row.mode == "strict" and to_phase < (state.phase_index or 0):
        raise Refused("phase_frozen", "In strict mode a phase that was left stays closed.", LOCKED)
    if row.moves.count() >= MAX_MOVES:
        raise Refused("too_many_moves", f"The phase was changed {MAX_MOVES} times, the most that is kept.", 429)


# --- pauses --------------------------------------------------------------------------------------------------------------


def attempt_pause(*, attempt: Attempt, actor: User, now: datetime, kind: str = "pause") -> Attempt:
    """Stops the clock: `pause` as often and long as the policy allows, `break` from the person's budget of stop-clock time.

    A pause within a pause changes nothing. Refused `no_pause_left` (409).
    """
    if kind not in ("pause", "break"):
        raise InvalidInput(f"{kind!r} was given; expected pause or break.", field="kind")
    with open_attempt(attempt=attempt, now=now) as (row, state):
        if state.state == "paused":
            return row
        if state.state != "running":
            raise Refused("wrong_state", "The time is up; there is nothing left to pause.", 409)
        cap_s = _pause_cap_s(row) if kind == "pause" else _break_left_s(row, now)
        row.stops.create(kind=kind, begin=now, cap_s=cap_s, actor=actor)
        clock_changed(attempt=row)
        event_add(attempt=row, kind="pause", now=now, actor=actor, data={"kind": kind, "cap_s": cap_s})
    return row


def _pause_cap_s(row: Attempt) -> int | None:
    allowed, used = row.pause_policy.get("count", 0), row.stops.filter(kind="pause").count()
    if used >= (MAX_STOPS if allowed is None else allowed):
        plural = "" if allowed == 1 else "s"
        sentence = f"This interview allows {allowed} pause{plural}, and you have used {'it' if allowed == 1 else 'them'}."
        raise Refused("no_pause_left", sentence if allowed else "This interview has no pauses.", 409)
    cap_s = row.pause_policy.get("cap_s")
    return None if cap_s is None else int(cap_s)


def _break_left_s(row: Attempt, now: datetime) -> int:
    budget_s = int(row.pause_policy.get("break_s", 0))
    left_s = int(budget_s - sum(_length_s(stop, now) for stop in row.stops.filter(kind="break")))
    if left_s <= 0 or row.stops.filter(kind="break").count() >= MAX_STOPS:
        raise Refused("no_pause_left", "Your time for breaks is used up." if budget_s else "No time for breaks was granted.", 409)
    return left_s


def _length_s(stop: Stop, now: datetime) -> float:
    return ((stop.end or now) - stop.begin).total_seconds()


def attempt_resume(*, attempt: Attempt, actor: User, now: datetime) -> Attempt:
    """Ends the candidate's own pause; nothing happens without one. Refused `paused_by_staff` (423) where staff stopped the clock."""
    with open_attempt(attempt=attempt, now=now) as (row, _):
        stops = row.stops.filter(end=None)
        own = stops.filter(kind__in=["pause", "break"])
        if not own.exists() and stops.exists():
            raise Refused("paused_by_staff", "Staff have stopped the clock; it goes on when they resume it.", LOCKED)
        if own.update(end=now):
            clock_changed(attempt=row)
            event_add(attempt=row, kind="resume", now=now, actor=actor, data={"by": "user"})
    return row


# --- what a page is told -------------------------------------------------------------------------------------------------


def clock_block(attempt: Attempt, state: ClockState) -> dict[str, Any]:
    """The clock as every reply carries it, in milliseconds; `change_ms`: until it changes by itself (None: it does not)."""
    return {
        "seq": attempt.clock_seq,
        "state": "closed" if attempt.status not in (Status.READY, Status.OPEN) else state.state,
        "phase": state.phase_index,
        "remaining_ms": _ms(state.remaining_s),
        "phase_remaining_ms": _ms(state.phase_remaining_s),
        "spent_ms": [_ms(spent) for spent in state.phase_spent_s],
        "plan_ms": [_ms(planned) for planned in state.phase_plan_s],
        "debt_ms": _ms(state.debt_s),
        "limit_ms": _ms(state.limit_s),
        "change_ms": _ms((state.next_change_at - state.at).total_seconds()) if state.next_change_at else None,
        "writable": sorted(state.writable),
        "server_time": state.at.isoformat(),
    }


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
