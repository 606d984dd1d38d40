"""The report of one problem folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from math import prod
from pathlib import Path

from mlsd_app.cohorts.authoring import practice, walkthrough
from mlsd_app.cohorts.authoring.report import Finding, from_loader, line_with, sorted_findings
from mlsd_app.quiz.checks import quiz_faults
from problems.errors import InvalidInput
from problems.loader import ROOT, folder_faults, load_problem, read_problem
from problems.quiz_schema import LabQuestion
from problems.schema import Problem
from simulators.errors import InvalidInput as InvalidLabInput

MOST_DRAWS = 5_000  # combinations of settings of one lab question


def checked_folder(folder: Path) -> list[Finding]:
    """Everything wrong with the folder, errors first. What cannot be read is said file by file; the rest needs the whole."""
    unread = [from_loader(message, folder) for message in folder_faults(folder)]
    if unread:
        return sorted_findings(unread)
    problem = read_problem(folder)
    if not problem.complete:
        words = "The walkthrough is to come: only problem.yaml was checked."
        return sorted_findings([*_guarded(walkthrough.head_findings, problem, folder), Finding("note", "problem.yaml", None, words, "")])
    checks = (walkthrough.findings, practice.findings, _quiz_findings)
    return sorted_findings(finding for check in checks for finding in _guarded(check, problem, folder))


@cache
def checked_problem(slug: str) -> tuple[Finding, ...]:
    """The report of a problem of the site, which does not change while the process runs. InvalidInput for an unknown one."""
    if not (ROOT / slug / "problem.yaml").is_file():
        load_problem(slug)
    return tuple(checked_folder(ROOT / slug))


def _guarded(check: Callable[[Problem, Path], Iterator[Finding]], problem: Problem, folder: Path) -> list[Finding]:
    """A check that meets what it cannot work with says so instead of hiding what the others found."""
    found: list[Finding] = []
    try:
        found.extend(check(problem, folder))
    except (InvalidInput, InvalidLabInput, ValueError, ArithmeticError, RecursionError) as error:
        found.append(Finding("error", "problem.yaml", None, f"A check could not go on: {error}", "Mend what stands above first."))
    return found


def _quiz_findings(problem: Problem, folder: Path) -> Iterator[Finding]:
    path = folder / "quiz.yaml"
    large = list(_too_many_draws(problem))
    yield from (Finding("error", path.name, line_with(path, item), words, "Vary fewer settings.") for item, words in large)
    if large:
        return
    for fault in quiz_faults(problem):
        item, _, _ = fault.partition(": ")
        line = line_with(path, f"id: {item}") if "." in item and " " not in item else None
        yield Finding("error", path.name, line, fault, "docs/quiz.md says what each type of question needs.")


def _too_many_draws(problem: Problem) -> Iterator[tuple[str, str]]:
    for item in problem.quiz.items if problem.quiz else ():
        if isinstance(item, LabQuestion):
            count = prod(len(values) for values in (*item.vary.values(), *item.world.values()))
            if count > MOST_DRAWS:
                yield item.id, f"{item.id}: {count:,} combinations of settings; at most {MOST_DRAWS:,} are drawn from"
