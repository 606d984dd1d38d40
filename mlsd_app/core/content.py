"""Words about problems that several apps need."""

from __future__ import annotations

from problems.loader import all_problems


def problem_title(slug: str) -> str:
    """The problem's title; a readable form of the slug for labs without a problem folder."""
    return next((problem.title for problem in all_problems() if problem.slug == slug), slug.replace("_", " ").capitalize())
