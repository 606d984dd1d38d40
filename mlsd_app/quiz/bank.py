"""The item bank of all problems, by (problem slug, item id), and items as rows keep them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from problems.loader import all_problems
from problems.quiz_schema import QuizItem
from problems.schema import Problem
from simulators.errors import InvalidInput

Key = tuple[str, str]
MACHINE_TYPES = ("choice", "number", "order", "lab", "slip")
SELF_TYPES = ("flashcard", "free")
TYPE_NAMES = {
    "flashcard": "Flashcard",
    "choice": "Choice",
    "number": "Number",
    "order": "Order",
    "free": "Free answer",
    "lab": "Lab question",
    "slip": "Find the slip",
}
PHASE_NAMES = {
    "clarify": "Clarify",
    "capacity": "Capacity",
    "architecture": "Architecture",
    "deep_dive": "Deep dive",
    "infra": "Infrastructure",
    "eval": "Evaluation",
    "monitoring": "Monitoring",
    "gotchas": "Gotchas",
    "more_time": "With more time",
}
NUMBERS_TO_COME = re.compile(r"\{[a-z_0-9]+\}")  # in a stem: drawn when the question is asked
_ITEMS: TypeAdapter[QuizItem] = TypeAdapter(QuizItem)


@dataclass(frozen=True)
class BankItem:
    problem: Problem
    item: QuizItem

    @property
    def key(self) -> Key:
        return self.problem.slug, self.item.id


@cache
def bank() -> dict[Key, BankItem]:
    """Every item that is asked today, by problem and in the bank's order."""
    found = [BankItem(problem, item) for problem in all_problems() if problem.quiz for item in problem.quiz.items]
    return {entry.key: entry for entry in found}


@cache
def quiz_problems() -> tuple[Problem, ...]:
    """The problems that have questions, by title."""
    return tuple(sorted((problem for problem in all_problems() if problem.quiz), key=lambda problem: problem.title))


def tag_name(tag: str) -> str:
    """In words; the tag of a problem by the problem's title."""
    return next((problem.title for problem in quiz_problems() if problem.slug == tag), tag.replace("_", " ").capitalize())


@cache
def items_of(slug: str) -> tuple[BankItem, ...]:
    return tuple(entry for entry in bank().values() if entry.problem.slug == slug)


def bank_item(slug: str, item_id: str) -> BankItem:
    """InvalidInput for an item that is not in the bank."""
    found = bank().get((slug, item_id))
    if found is None:
        raise InvalidInput(f"There is no question {item_id[:80]!r} in {slug[:64]!r}; it may have been retired.", field="item")
    return found


@cache
def readiness_items() -> dict[int, tuple[BankItem, ...]]:
    """Question number -> its items: those marked by rule first, then the free answer."""
    numbered: dict[int, list[BankItem]] = {}
    for entry in bank().values():
        if entry.item.readiness:
            numbered.setdefault(entry.item.readiness, []).append(entry)
    return {number: tuple(sorted(numbered[number], key=_machine_first)) for number in sorted(numbered)}


def _machine_first(entry: BankItem) -> int:
    return entry.item.type in SELF_TYPES


def checked_scope(slugs: Iterable[str]) -> list[str]:
    """The slugs, once each, in the order of the titles; InvalidInput for one that has no questions."""
    wanted, known = set(slugs), [problem.slug for problem in quiz_problems()]
    if unknown := sorted(wanted.difference(known)):
        raise InvalidInput(f"{unknown[0][:64]!r} is no problem with questions; choose among {', '.join(known)}.", field="scope")
    return [slug for slug in known if slug in wanted]


def interleaved(entries: Sequence[BankItem]) -> list[BankItem]:
    """One of each problem in turn; within a problem one of each type in turn, each problem beginning with another type."""
    rows: dict[str, list[BankItem]] = {}
    for entry in entries:
        rows.setdefault(entry.problem.slug, []).append(entry)
    return _in_turn([_mixed(row, first) for first, row in enumerate(rows.values())])


def _mixed(row: Sequence[BankItem], first: int) -> list[BankItem]:
    types = list(TYPE_NAMES)
    turn = [*types[first % len(types) :], *types[: first % len(types)]]
    return _in_turn([[entry for entry in row if entry.item.type == type_] for type_ in turn])


def _in_turn(rows: Sequence[Sequence[BankItem]]) -> list[BankItem]:
    longest = max(map(len, rows), default=0)
    return [row[place] for place in range(longest) for row in rows if place < len(row)]


# --- as rows keep them -----------------------------------------------------------------------------------------------


def item_dump(item: QuizItem) -> dict[str, Any]:
    return item.model_dump(mode="json", by_alias=True)


def item_load(dump: dict[str, Any]) -> QuizItem:
    return _ITEMS.validate_python(dump)
