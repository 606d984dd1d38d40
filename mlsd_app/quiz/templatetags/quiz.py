"""Template tags of the quiz pages."""

from __future__ import annotations

import re
from datetime import datetime

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from mlsd_app.catalog import links
from mlsd_app.quiz.bank import NUMBERS_TO_COME
from mlsd_app.quiz.days import day_of
from mlsd_app.quiz.models import Plan
from mlsd_app.quiz.readiness import Score, Step
from problems.schema import Problem

register = template.Library()
_PARAGRAPH = re.compile(r"<p>((?:(?!</?p>).)*)</p>", re.DOTALL)
DASH = "\N{EN DASH}"


@register.simple_tag
def prose(text: str, problem: Problem) -> SafeString:
    return links.prose(text, problem)


@register.simple_tag
def line(text: str, problem: Problem) -> SafeString:
    """Markdown for a place that takes words and no paragraphs: an option, a row."""
    found = _PARAGRAPH.fullmatch(links.prose(text, problem).strip())
    return mark_safe(found[1]) if found else links.prose(text, problem)  # noqa: S308 - part of what was cleaned


@register.filter
def percent(share: float | None) -> str:
    return "not known" if share is None else f"{share * 100:.0f}\N{NO-BREAK SPACE}%"


@register.simple_tag
def score_words(score: Score) -> str:
    """ "72", or a range where parts are unknown: "35-65"."""
    low, high = f"{score.low:.0f}", f"{score.high:.0f}"
    return low if low == high else f"{low}{DASH}{high}"


@register.simple_tag
def score_bar(score: Score) -> SafeString:
    """What is sure, and the stretch in which the score lies."""
    return format_html(
        '<svg class="quiz-bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="quiz-bar-track" width="100" height="8"/>'
        '<rect class="quiz-bar-maybe" x="{}" width="{}" height="8"/>'
        '<rect class="quiz-bar-sure" width="{}" height="8"/></svg>',
        f"{score_words(score)} of 100",
        f"{score.low:.1f}",
        f"{score.width:.1f}",
        f"{score.low:.1f}",
    )


@register.simple_tag
def step_url(step: Step) -> str:
    """Where the next step is taken."""
    if step.kind == "mock":
        return f"{reverse('interviews:start')}?problem={step.problem.slug}"
    query = {"new": "?state=new", "review": "?state=due", "numbers": "?type=number"}[step.kind]
    return reverse("quiz:problem", args=[step.problem.slug]) + query


@register.simple_tag
def due_words(due: datetime | None, plan: Plan) -> str:
    """When a card comes back, as one says it: in 10 minutes, tomorrow, in 13 days."""
    if due is None:
        return ""
    now = timezone.now()
    days = (day_of(plan, due) - day_of(plan, now)).days
    if days <= 0:
        minutes = round((due - now).total_seconds() / 60)
        return "now" if minutes < 1 else f"in {minutes} minute{'s' if minutes != 1 else ''}" if minutes < 90 else "today"
    return "tomorrow" if days == 1 else f"in {days} days"


@register.filter
def unnumbered(stem: str) -> str:
    """A stem before its numbers are drawn: {n} -> an ellipsis."""
    return NUMBERS_TO_COME.sub("\N{HORIZONTAL ELLIPSIS}", stem)
