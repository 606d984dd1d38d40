"""Reading attempts. Another person's attempt does not exist here; what staff of a cohort may see stands in `cohorts`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.interviews import clock as clocks
from mlsd_app.interviews.models import LIVE, Attempt, Status


def attempts_of(*, user: User | AnonymousUser) -> QuerySet[Attempt]:
    """The user's own attempts; void ones too, their text is kept."""
    return Attempt.objects.filter(user_id=user.pk) if user.is_authenticated else Attempt.objects.none()


def attempt_visible(*, user: User | AnonymousUser, attempt: Attempt) -> bool:
    return user.is_authenticated and attempt.user_id == user.pk


def live_attempt(*, user: User, problem: str) -> Attempt | None:
    return attempts_of(user=user).filter(problem=problem, status__in=LIVE).first()


def clock_of(attempt: Attempt) -> clocks.Clock:
    """Everything stored about the attempt that decides its clock. Uses prefetched stops, adjusts and moves where there are any."""
    return clocks.Clock(
        phases=tuple(clocks.PhaseBudget(phase["key"], phase["title"], phase["budget_s"]) for phase in attempt.phases),
        mode=cast(clocks.Mode, attempt.mode),
        multiplier=attempt.multiplier,
        extra_s=attempt.extra_s,
        opens_at=attempt.opens_at,
        closes_at=attempt.closes_at,
        started_at=attempt.started_at,
        closed_at=attempt.closed_at,
        moves=tuple(clocks.Move(row.at, row.to_phase) for row in attempt.moves.all()),
        stops=tuple(clocks.Stop(row.begin, row.end, row.cap_s, cast(clocks.StopKind, row.kind)) for row in attempt.stops.all()),
        adjusts=tuple(clocks.Adjust(row.from_phase, row.seconds) for row in attempt.adjusts.all()),
        overtime_s=attempt.overtime_s,
        net_grace_s=attempt.net_grace_s,
    )


def state_of(attempt: Attempt, now: datetime) -> clocks.ClockState:
    return clocks.phase_at(now, clock_of(attempt))


def phase_key(attempt: Attempt, state: clocks.ClockState) -> str:
    """The key of the phase the clock is in; "" before the start."""
    return "" if state.phase_index is None else str(attempt.phases[state.phase_index]["key"])


def phase_of_tag(attempt: Attempt, tag: str) -> Mapping[str, Any] | None:
    """The phase that holds `tag` in this attempt's plan."""
    return next((phase for phase in attempt.phases if tag in phase["tags"]), None)


def score_visible(attempt: Attempt) -> bool:
    """Whether the candidate may see marks: released, and not switched off by whoever assigned it."""
    return attempt.status == Status.RELEASED and attempt.show_score
