"""What the contract suites over problems share: which problems there are, and whether one has labs."""

from __future__ import annotations

from problems.loader import all_problems
from problems.schema import Problem
from simulators.registry import labs

PROBLEMS = all_problems()
COMPLETE = [problem for problem in PROBLEMS if problem.complete]


def slug_of(value: object) -> str:
    return str(getattr(value, "slug", getattr(value, "key", "")))


def has_labs(problem: Problem) -> bool:
    return any(slug == problem.slug for slug, _ in labs())
