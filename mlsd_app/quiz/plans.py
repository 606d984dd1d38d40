"""The plan: when the interview is, how much a day, which problems."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Least

from mlsd_app.accounts.models import User
from mlsd_app.catalog.models import PhaseWork
from mlsd_app.quiz.bank import checked_scope, quiz_problems
from mlsd_app.quiz.days import day_of, zone_named
from mlsd_app.quiz.models import Card, CardState, Plan
from mlsd_app.quiz.scheduling import last_due
from simulators.errors import InvalidInput

MINUTES = (5, 240)
RETENTION = (0.80, 0.95)
NEW_LIMIT = (0, 100)
FARTHEST_DAYS = 3650


def plan_of(user: object) -> Plan:
    """The user's plan; an unsaved one at its defaults for a visitor, or before one was made."""
    found = Plan.objects.filter(user=user).first() if isinstance(user, User) else None
    return found or Plan(user=user if isinstance(user, User) else None)


@transaction.atomic
def plan_save(
    *,
    user: User,
    now: datetime,
    interview_date: date | None,
    minutes_a_day: int = 20,
    new_limit: int | None = None,
    desired_retention: float = 0.9,
    scope: Sequence[str] = (),
    timezone: str = "UTC",
) -> Plan:
    """Saves the plan and pulls every card forward, or lets it go back, to what the new date asks for. Raises InvalidInput."""
    zone_named(timezone)
    plan, _ = Plan.objects.select_for_update().get_or_create(user=user)
    moved = (plan.interview_date, plan.timezone) != (interview_date, timezone)
    plan.timezone, plan.interview_date = timezone, interview_date
    if moved:
        _check_date(plan, now)
    plan.minutes_a_day = _within(minutes_a_day, MINUTES, "minutes_a_day", "minutes a day")
    plan.new_limit = None if new_limit is None else _within(new_limit, NEW_LIMIT, "new_limit", "new cards a day")
    plan.desired_retention = _retention(desired_retention)
    plan.scope = checked_scope(scope)
    plan.save()
    if moved:
        _cards_move(plan, now)
    return plan


def _check_date(plan: Plan, now: datetime) -> None:
    if plan.interview_date is None:
        return
    today = day_of(plan, now)
    if plan.interview_date < today:
        raise InvalidInput(f"{plan.interview_date:%d %B %Y} has passed; choose today or a later day.", field="interview_date")
    if (plan.interview_date - today).days > FARTHEST_DAYS:
        raise InvalidInput(f"{plan.interview_date:%d %B %Y} is more than ten years away; choose an earlier day.", field="interview_date")


def _within(value: int, bounds: tuple[int, int], field: str, words: str) -> int:
    low, high = bounds
    if not low <= value <= high:
        raise InvalidInput(f"{value} {words} were given; expected {low} to {high}.", field=field)
    return value


def _retention(value: float) -> float:
    low, high = RETENTION
    if not low <= value <= high:
        raise InvalidInput(f"A recall of {value:g} was given; expected {low:.2f} to {high:.2f}.", field="desired_retention")
    return value


def _cards_move(plan: Plan, now: datetime) -> None:
    cards = Card.objects.filter(user=plan.user, state=CardState.ACTIVE)
    limit = last_due(plan, now)
    cards.update(due_effective=F("due") if limit is None else Least(F("due"), limit))


# --- what is in it ---------------------------------------------------------------------------------------------------


def scope_of(plan: Plan) -> list[str]:
    """Slugs: those chosen; without a choice the problems that were started; without one of these every problem."""
    if plan.scope:
        return [problem.slug for problem in quiz_problems() if problem.slug in plan.scope]
    started = started_problems(plan)
    return [problem.slug for problem in quiz_problems() if not started or problem.slug in started]


def started_problems(plan: Plan) -> set[str]:
    if plan.user_id is None:
        return set()
    return set(PhaseWork.objects.filter(user_id=plan.user_id).values_list("problem", flat=True).distinct())
