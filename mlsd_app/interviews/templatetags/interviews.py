"""Template tags of the interview pages."""

from __future__ import annotations

from django import template

from mlsd_app.interviews.debrief.own import LEVEL_WORDS
from simulators.registry import labs

register = template.Library()


@register.filter
def lab_title(slug: str, problem: str) -> str:
    lab = labs().get((problem, slug))
    return lab.title if lab else slug.replace("_", " ")


@register.filter
def level_words(level: int | None) -> str:
    """A level of a signal, 0 to 4, as a person says it."""
    return "Not graded" if level is None else LEVEL_WORDS[level]


@register.filter
def evidence_url(ref: str) -> str:
    """Where on the debrief the thing stands that a mark rests on; "" for what has no place there."""
    return f"#run-{ref.removeprefix('run/')}" if ref.startswith("run/") else ""


@register.filter
def seconds(milliseconds: int) -> float:
    return milliseconds / 1000
