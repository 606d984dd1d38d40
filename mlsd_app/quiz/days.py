"""Days as the user counts them: in the plan's time zone, from 04:00 to 04:00, so that an evening after midnight is still that evening."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from mlsd_app.quiz.models import Plan
from simulators.errors import InvalidInput

DAY_STARTS = time(4)


def zone_named(name: str) -> ZoneInfo:
    """InvalidInput for a name the time zone database does not hold."""
    if name not in available_timezones():
        raise InvalidInput(f"{name[:64]!r} is no time zone we know; write one like Europe/Berlin or UTC.", field="timezone")
    return ZoneInfo(name)


def zone_of(plan: Plan) -> ZoneInfo:
    return ZoneInfo(plan.timezone)


def day_of(plan: Plan, moment: datetime) -> date:
    """The day `moment` belongs to."""
    return (moment.astimezone(zone_of(plan)).replace(tzinfo=None) - timedelta(hours=DAY_STARTS.hour)).date()


def day_start(plan: Plan, day: date) -> datetime:
    """The moment `day` begins, in UTC."""
    return datetime.combine(day, DAY_STARTS, zone_of(plan)).astimezone(UTC)


def days_left(plan: Plan, now: datetime) -> int | None:
    """Days until the interview: 0 on the day itself, negative after it, None without a date."""
    return (plan.interview_date - day_of(plan, now)).days if plan.interview_date else None


def date_passed(plan: Plan, now: datetime) -> bool:
    left = days_left(plan, now)
    return left is not None and left < 0
