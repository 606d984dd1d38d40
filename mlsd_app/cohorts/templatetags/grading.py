"""Tags of the grading pages."""

from __future__ import annotations

import json

from django import template

from mlsd_app.cohorts.grading.marks import MarkGiven

register = template.Library()


@register.filter
def share(value: float | None) -> str:
    """A moment as a fraction of the person's own limit: graders read no seconds, which would tell how much time was given."""
    return "" if value is None else f"{100 * value:.0f} %"


@register.filter
def evidence_json(mark: MarkGiven) -> str:
    return json.dumps([entry.model_dump() for entry in mark.evidence])


@register.filter
def level_is(mark: MarkGiven, level: int | str) -> bool:
    return mark.level == level


@register.filter
def points_words(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
