"""Template tags of the interview pages."""

from __future__ import annotations

from django import template

from simulators.registry import labs

register = template.Library()


@register.filter
def lab_title(slug: str, problem: str) -> str:
    lab = labs().get((problem, slug))
    return lab.title if lab else slug.replace("_", " ")
