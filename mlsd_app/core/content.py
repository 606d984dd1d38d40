"""Words about problems that several apps need, and their labs in the order of the round."""

from __future__ import annotations

from problems.base import PHASES
from problems.loader import all_problems
from simulators.lab import Lab
from simulators.registry import labs_of


def problem_title(slug: str) -> str:
    """The problem's title; a readable form of the slug for labs without a problem folder."""
    return next((problem.title for problem in all_problems() if problem.slug == slug), slug.replace("_", " ").capitalize())


def labs_taught(slug: str) -> list[type[Lab]]:
    """The problem's labs in the order in which its phases open them; those it does not name come last, by slug."""
    opened = [link.lab for problem in all_problems() if problem.slug == slug for phase in PHASES for link in problem.labs_in(phase)]
    return sorted(labs_of(slug), key=lambda lab: opened.index(lab.slug) if lab.slug in opened else len(opened))
