"""Template tags of challenges."""

from __future__ import annotations

from django import template

from mlsd_app.challenges.selectors import all_challenges
from simulators.lab import Challenge, Lab

register = template.Library()


@register.filter
def percent_of(share: float) -> str:
    return f"{100 * share:.0f} %"


@register.simple_tag
def challenges_of(problem: str) -> list[tuple[type[Lab], Challenge]]:
    """Those of one problem's labs."""
    return [(lab, challenge) for lab, challenge in all_challenges() if lab.problem == problem]
