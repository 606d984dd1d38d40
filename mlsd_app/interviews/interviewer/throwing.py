"""Throws an event into an attempt: writes it down, then runs the candidate's design under it."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.interviewer import curveballs
from mlsd_app.interviews.interviewer.adaptation import change_of, recovery_check
from mlsd_app.interviews.interviewer.record import interviewer_of
from mlsd_app.interviews.models import Attempt, Curveball, Event, RunLink, Status
from mlsd_app.interviews.refusals import LOCKED, Refused, refuse_unless_open
from mlsd_app.interviews.runs import checked_values, link_add, link_again
from mlsd_app.interviews.selectors import clock_of, phase_key, state_of
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import RunRefused, run_cancel, run_start
from problems.interview_schema import Curveball as Ball
from problems.interview_schema import LabChange
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.registry import get_lab

logger = logging.getLogger(__name__)
MAX_MESSAGE = 1000
MAX_TRIES = 5  # of a run of an event that no worker takes up or that a worker dies of
CAME_TO_NOTHING = (RunState.EXPIRED, RunState.LOST)


def curveball_send(*, attempt: Attempt, key: str | None = None, text: str | None = None, actor: User | None = None, now: datetime) -> Event:
    """Staff throw a curveball of the problem by its key, or say something in their own words.

    InvalidInput for an unknown key or an empty or overlong text; Refused 409 when it was thrown before, when the attempt is not open
    or its events come by themselves only, 423 in a pause and after the end.
    """
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        refuse_unless_open(row)
        state = state_of(row, now)
        if state.state not in ("running", "overtime"):
            raise Refused("paused" if state.state == "paused" else "closed", "The clock of this interview does not run.", LOCKED)
        if key is None:
            return event_add(attempt=row, kind="message", now=now, actor=actor, data={"text": _checked_text(text)}, state=state)
        if row.curveballs == "auto":
            raise Refused("curveballs_auto", "In this interview events come by themselves; you can still send a message.", 409)
        return throw(row=row, ball=_ball(row, key), now=now, state=state, actor=actor)


def _checked_text(text: str | None) -> str:
    said = (text or "").replace("\0", "").strip()
    if not 1 <= len(said) <= MAX_MESSAGE:
        raise InvalidInput(f"A message has 1 to {MAX_MESSAGE} characters; this one has {len(said)}.", field="text")
    return said


def _ball(row: Attempt, key: str) -> Ball:
    balls = {ball.key: ball for ball in interviewer_of(row).curveballs}
    if key not in balls:
        raise InvalidInput(f"There is no event {key[:60]!r}; this problem has {', '.join(balls)}.", field="key")
    if row.curveball_rows.filter(key=key).exists():
        raise Refused("thrown_before", "That event was thrown in this interview already.", 409)
    return balls[key]


def throw(*, row: Attempt, ball: Ball, now: datetime, state: ClockState, actor: User | None = None, online: bool = True) -> Event:
    """Writes the event down in the caller's transaction, on a locked row; its runs start after the commit."""
    base, params, locked = _aim(row, ball.change) if ball.change else (None, {}, {})
    kept = Curveball.objects.create(
        attempt=row,
        key=ball.key,
        phase=phase_key(row, state),
        text=ball.text,
        shown_at=now,
        active_ms=round(state.active_s * 1000),
        lab=ball.change.lab if ball.change else "",
        base=base,
        params=params,
        locked=locked,
        within_s=curveballs.within_s(ball, clock_of(row), state.phase_index or 0),
        sent_by=actor,
    )
    data: dict[str, Any] = {
        "key": ball.key,
        "text": ball.text,
        "scenario": ball.scenario,
        "lab": kept.lab,
        "locked": locked,
        "params": params,
    }
    data |= {"base": base.number if base else None, "within_s": kept.within_s, "by": "staff" if actor else "plan"}
    event = event_add(attempt=row, kind="curveball", now=now, actor=actor, data=data, state=state, online=online)
    if kept.lab:
        transaction.on_commit(partial(runs_begin, ball=kept, now=now))
    return event


def _aim(row: Attempt, change: LabChange) -> tuple[RunLink | None, dict[str, Any], dict[str, Any]]:
    """The design that is hit: the newest pinned run of the lab that takes the patch, else the declared start."""
    lab = get_lab(row.problem, change.lab)
    pinned = row.runlinks.filter(pinned=True, run__lab=change.lab, run__state=RunState.DONE).select_related("run").order_by("-number")
    for link in pinned:
        if params := _under(change, lab, link.run.params):
            return link, params, curveballs.locked_by(change, params)
    params = checked_values(lab, curveballs.patched(change, dict(change.start), lab.Params()))
    return None, params, curveballs.locked_by(change, params)


def _under(change: LabChange, lab: type[Lab], values: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return checked_values(lab, curveballs.patched(change, values, lab.Params()))
    except InvalidInput:
        return None


# --- its runs --------------------------------------------------------------------------------------------------------


def runs_begin(*, ball: Curveball, now: datetime) -> None:
    """Starts the run that shows the event, and the one before it where the candidate has none. What cannot start now is left for later."""
    change = change_of(ball.attempt, ball.key)
    if change is None or ball.attempt.status != Status.OPEN:
        return
    try:
        _begin(ball, "broken", ball.params, now)
        _begin(ball, "base", dict(change.start), now)
    except (RunRefused, InvalidInput) as refused:
        logger.info("attempt %s, event %s: its run waits: %s", ball.attempt_id, ball.key, refused)


def _begin(ball: Curveball, part: str, values: dict[str, Any], now: datetime) -> None:
    """Whoever comes second finds the place taken and stops its run. A run that came to nothing is made again under its number."""
    if not _lacks(ball, part):
        return
    attempt = ball.attempt
    run = run_start(user=attempt.user, lab=get_lab(attempt.problem, ball.lab), values=values)
    with transaction.atomic():
        attempt_lock(attempt=attempt)
        ball.refresh_from_db()
        if not _lacks(ball, part):
            transaction.on_commit(partial(run_cancel, run=run), robust=True)
            return
        link: RunLink | None = getattr(ball, part)
        if link:
            link_again(link=link, run=run, now=now)
        else:
            setattr(ball, part, link_add(attempt=attempt, run=run, now=now, thrown=ball))
            ball.save(update_fields=[part])


def _lacks(ball: Curveball, part: str) -> bool:
    """No run yet, or one that came to nothing and may be tried again."""
    link: RunLink | None = getattr(ball, part)
    if link is None:
        return True
    return link.run.state in CAME_TO_NOTHING and _tries(link) < MAX_TRIES


def _tries(link: RunLink) -> int:
    """Runs of the same design since the event that came to nothing: more of them would only keep the workers from others."""
    run = link.run
    alike = Run.objects.filter(user_id=run.user_id, problem=run.problem, lab=run.lab, cache_key=run.cache_key, created_at__gte=link.at)
    return alike.filter(state__in=CAME_TO_NOTHING).count()


def runs_awaited(ball: Curveball) -> bool:
    """Whether what the event does to the design is still to be shown: a run is under way or will be tried."""
    links = [link for link in (ball.broken, ball.base) if link]
    return any(_lacks(ball, part) for part in ("broken", "base")) or any(link.run.active for link in links)


def catch_up(*, attempt: Attempt, now: datetime) -> None:
    """For the sweep: runs of events that could not start before, and finished runs that no page has told of."""
    for ball in (
        attempt.curveball_rows.exclude(lab="").filter(recovered_at=None).select_related("attempt__user", "broken__run", "base__run")
    ):
        if _lacks(ball, "broken") or _lacks(ball, "base"):
            runs_begin(ball=ball, now=now)
        recovery_check(ball=ball)
