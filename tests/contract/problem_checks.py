"""What the contract suites over problems share: which problems there are, and whether a link or a preset exists."""

from __future__ import annotations

from problems.loader import all_problems, load_problem
from problems.markdown import Link
from problems.schema import Problem
from simulators.lab import Lab
from simulators.params import parse_params
from simulators.registry import get_lab, labs

PROBLEMS = all_problems()
COMPLETE = [problem for problem in PROBLEMS if problem.complete]


def slug_of(value: object) -> str:
    return str(getattr(value, "slug", getattr(value, "key", "")))


def has_labs(problem: Problem) -> bool:
    return any(slug == problem.slug for slug, _ in labs())


def check_preset(lab: type[Lab], preset: str) -> None:
    assert not preset or preset in {entry.key for entry in lab.presets}, f"{lab.slug} has no preset {preset!r}"


def check_target(problem: Problem, link: Link) -> None:
    match link.kind:
        case "lab":
            lab, values = get_lab(problem.slug, link.target), dict(link.query)
            check_preset(lab, values.pop("preset", ""))
            parse_params(lab, values)
        case "phase":
            phase = problem.phase(link.target)
            assert phase and (not link.fragment or link.fragment in phase.anchors), link
        case "calc":
            assert problem.calculator(link.target), link
        case _:
            load_problem(link.target)
