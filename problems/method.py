"""How a round runs, what is graded, and the readiness check: the Markdown files of `method/`, and questions of all problems."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from problems.errors import InvalidInput
from problems.loader import all_problems
from problems.quiz_schema import Free
from problems.schema import Problem

FOLDER = Path(__file__).parent / "method"
ORDER = ("round", "signals", "tactics", "other_schedule", "readiness")


@dataclass(frozen=True)
class MethodPage:
    """One page: `body` is Markdown without its first heading, the title."""

    key: str
    title: str
    body: str


@dataclass(frozen=True)
class ReadinessQuestion:
    """Question `number` of the check, and the problem whose item bank holds it."""

    number: int
    item: Free
    problem: Problem


@cache
def method_pages() -> tuple[MethodPage, ...]:
    return tuple(_page(key) for key in ORDER)


def method_page(key: str) -> MethodPage:
    """InvalidInput names the pages there are."""
    for page in method_pages():
        if page.key == key:
            return page
    raise InvalidInput(f"There is no page {key!r} on the method; the pages are {', '.join(ORDER)}.", field="key")


@cache
def readiness_questions() -> tuple[ReadinessQuestion, ...]:
    """The questions that are answered freely and carry a readiness number, in order."""
    found = [
        ReadinessQuestion(item.readiness, item, problem)
        for problem in all_problems()
        if problem.quiz
        for item in problem.quiz.items
        if isinstance(item, Free) and item.readiness
    ]
    return tuple(sorted(found, key=lambda question: question.number))


def _page(key: str) -> MethodPage:
    heading, _, body = (FOLDER / f"{key}.md").read_text(encoding="utf-8").partition("\n")
    return MethodPage(key, heading.removeprefix("# ").strip(), body.strip())
