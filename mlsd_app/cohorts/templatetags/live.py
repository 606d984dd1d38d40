"""Words of the live board."""

from __future__ import annotations

from django import template

from mlsd_app.cohorts.live.rows import FLAGS, STATES
from mlsd_app.interviews.models import Status

register = template.Library()


@register.filter
def left(seconds: float | None) -> str:
    """Seconds as "31:05", cut; hours stay in minutes as on the candidate's clock. "no limit" for None."""
    return "no limit" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@register.filter
def flag_words(flag: str) -> str:
    return FLAGS[flag]


@register.filter
def state_words(key: str) -> str:
    return STATES.get(key) or str(Status(key).label if key in Status.values else key)


@register.filter
def lowfirst(text: str) -> str:
    """A sentence as the rest of another one: first letter small, no full stop."""
    return f"{text[:1].lower()}{text[1:].rstrip('.')}"
