"""Tags of the instructor panel."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils import timezone

from mlsd_app.cohorts.forms import FLAG_WORDS
from mlsd_app.cohorts.models import Audit, Cohort, Label, Membership
from mlsd_app.cohorts.rules import may as rules_may
from mlsd_app.cohorts.services.codes import shown_code
from mlsd_app.cohorts.tabs import tabs_for

register = template.Library()
register.filter("code", shown_code)


@register.inclusion_tag("cohorts/_tabs.html", takes_context=True)
def cohort_tabs(context: RequestContext, cohort: Cohort, current: str) -> dict[str, Any]:
    return {"tabs": tabs_for(user=context["user"], cohort=cohort), "current": f"cohorts:{current}"}


@register.simple_tag(takes_context=True)
def may(context: RequestContext, action: str, thing: object) -> bool:
    """{% may "edit_cohort" cohort as editable %}"""
    return rules_may(context["user"], action, thing)


@register.inclusion_tag("cohorts/_moment.html")
def moment(value: datetime | None, nothing: str = "", clock: bool = True) -> dict[str, Any]:
    """A time in the cohort's zone; a module adds the reader's own when that differs."""
    return {"value": value, "nothing": nothing, "clock": clock, "zone": timezone.get_current_timezone_name()}


@register.filter
def label_names(member: Membership) -> list[str]:
    return [label.name for label in member.labels.all()]


@register.filter
def has_label(member: Membership | None, label: Label) -> bool:
    return member is not None and label in member.labels.all()


@register.filter
def label_key(pk: int) -> str:
    return f"label:{pk}"


@register.filter
def user_key(pk: int) -> str:
    return f"user:{pk}"


WORDS = {
    "multiplier": "time × {}",
    "extra_attempts": "{} extra tries",
    "extra_time_min": "{} extra minutes",
    "opens_at": "opens {}",
    "due_at": "due {}",
    "closes_at": "closes {}",
}


@register.filter
def accommodation_words(name: str, value: Any) -> str:
    """One field of an accommodation or an override as people say it."""
    if name in ("extra_s", "break_s"):
        return f"{value / 60:g} {'extra' if name == 'extra_s' else 'break'} minutes"
    if name in FLAG_WORDS:
        return FLAG_WORDS[name].lower() if value else f"not: {FLAG_WORDS[name].lower()}"
    if name.endswith("_at"):
        value = f"{timezone.localtime(datetime.fromisoformat(value)):%-d %b %Y, %H:%M}"
    return WORDS[name].format(f"{value:g}" if isinstance(value, float) else value)


@register.filter
def changes(entry: Audit) -> list[tuple[str, Any, Any]]:
    """(field, before, after) of an entry; None where there was nothing, and no line where there was nothing before and after."""
    names = dict.fromkeys([*entry.before, *entry.after])
    found = [(name, _something(entry.before.get(name)), _something(entry.after.get(name))) for name in names]
    return [(name, old, new) for name, old, new in found if old is not None or new is not None]


def _something(value: Any) -> Any:
    return None if value in ("", [], {}) else value
