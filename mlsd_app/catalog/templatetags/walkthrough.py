"""Template tags of the problem pages."""

from __future__ import annotations

from functools import cache

from django import template
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.safestring import SafeString

from mlsd_app.catalog import links
from mlsd_app.catalog.calculators import CalculatorSheet, default_sheet
from mlsd_app.runs.forms import query_of
from mlsd_app.runs.present import question as lab_question
from mlsd_app.runs.templatetags.quantities import MINUS
from problems.calculators import Calculator
from problems.interview_schema import Curveball
from problems.schema import Problem
from simulators.lab import Lab
from simulators.registry import get_lab

register = template.Library()


@register.simple_tag
def prose(text: str, problem: Problem) -> SafeString:
    return links.prose(text, problem)


@register.simple_tag
def diagram(problem: Problem) -> SafeString:
    return links.diagram(problem)


@register.filter
def clock(seconds: float) -> str:
    """Minutes and seconds, with a sign when overrun: 305 -> 5:05, -40 -> −0:40."""
    whole = round(abs(seconds))
    return f"{MINUS if seconds < 0 and whole else ''}{whole // 60}:{whole % 60:02d}"


@register.filter
def question(lab: type[Lab]) -> str:
    return lab_question(lab)


@register.simple_tag
def drill_url(problem: Problem, drill: Curveball) -> str:
    """The lab at the design that the drill breaks; its page when the drill changes no lab."""
    change = drill.change
    if change is None:
        return ""
    query = query_of(get_lab(problem.slug, change.lab), change.start)
    return f"{reverse('runs:lab', args=[problem.slug, change.lab])}{f'?{query}' if query else ''}"


@register.simple_tag
def calculator(sheet: CalculatorSheet, problem: Problem) -> SafeString:
    """One calculator. As most visits find it, untouched, it looks the same for everybody and is rendered once."""
    if sheet is default_sheet(sheet.calculator):
        return _untouched_calculator(sheet.calculator, problem.slug)
    return _rendered(sheet, problem.slug)


@cache
def _untouched_calculator(calculator: Calculator, slug: str) -> SafeString:
    return _rendered(default_sheet(calculator), slug)


def _rendered(sheet: CalculatorSheet, slug: str) -> SafeString:
    return render_to_string("catalog/_calculator.html", {"sheet": sheet, "slug": slug})
