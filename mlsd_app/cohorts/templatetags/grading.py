"""Tags of the grading pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from django import template
from django.template.context import RequestContext

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.marks import MarkGiven
from mlsd_app.cohorts.grading.results import final_score, news_for
from mlsd_app.cohorts.models import Cohort, Result

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


@register.simple_tag(takes_context=True)
def result_news(context: RequestContext, cohort: Cohort) -> Sequence[Result]:
    """Results of the reader that were let out and not opened yet."""
    return list(news_for(cast(User, context["user"])).filter(assignment__cohort=cohort, assignment__archived_at=None))


@register.filter
def counts_as(result: Result) -> float | None:
    """What counts, with late credit or as staff set it."""
    return final_score(result)
