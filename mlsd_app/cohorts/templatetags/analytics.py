"""Figures of a group as the pages write them: what is withheld says why."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mlsd_app.cohorts.analytics.small import Share
from mlsd_app.cohorts.item_analysis import CORRELATIONS_FROM, COUNTS_ONLY_BELOW

register = template.Library()
NOTHING = "–"


@register.filter
def figure(value: float | None, digits: int = 0) -> str:
    """A number, or a dash where there is none."""
    return NOTHING if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def times(ratio: float) -> str:
    """A factor with three significant digits, none of them idle."""
    return f"{ratio:.3g}" if ratio < 1000 else f"{ratio:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def percent_of(value: float | None) -> str:
    """A share as percent, or a dash."""
    return NOTHING if value is None else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


@register.filter
def interval(value: tuple[float, float] | None, scale: float = 1) -> str:
    return "" if value is None else f"{scale * value[0]:.0f} to {scale * value[1]:.0f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def of_people(found: Share) -> SafeString:
    """63 % (12 of 19), or the counts alone where they are too few."""
    if found.value is None:
        return format_html("{} of {}", found.hits, found.n)
    return format_html('{}&nbsp;% <span class="muted small nowrap">{} of {}</span>', f"{100 * found.value:.0f}", found.hits, found.n)


@register.filter
def needs(figures: dict[str, Any]) -> str:
    """What a row of item figures lacks, in words; "" when nothing is withheld."""
    n = figures["n"]
    return "" if n >= CORRELATIONS_FROM else f"needs {CORRELATIONS_FROM}, has {n}"


@register.filter
def few(reason: str) -> str:
    return f"Too few people for figures; they show from {COUNTS_ONLY_BELOW} on." if reason else ""
