"""A question at its place in a sitting: drawn from the item, seed and instance the sitting began with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from mlsd_app.quiz.bank import PHASE_NAMES, TYPE_NAMES, Key, item_load
from mlsd_app.quiz.models import Instance, Sitting
from mlsd_app.quiz.questions import Question, draw
from problems.loader import load_problem
from problems.quiz_schema import Flashcard, Free, LabQuestion
from problems.schema import Problem
from simulators.errors import InvalidInput

EXAMPLES = {
    "information": "80 GB",
    "time": "250 ms",
    "money": "$1,200",
    "ratio": "12 %, 3x or a plain number",
    "%": "12 %",
    "information/time": "2 GB/s",
    "request/time": "1,200 requests/s",
}


@dataclass(frozen=True)
class Served:
    question: Question
    problem: Problem
    place: int
    new: bool
    again: bool
    instance: Instance | None

    @property
    def item(self) -> Any:
        return self.question.item

    @property
    def key(self) -> Key:
        return self.problem.slug, self.question.item.id

    @property
    def seed(self) -> int:
        return self.question.seed

    @property
    def op_id(self) -> str:
        """A new one each time the question is shown."""
        return uuid.uuid4().hex

    @property
    def expect(self) -> str | None:
        """What a typed number is read as; None for a question that takes none."""
        return self.question.public().get("expect")

    @property
    def solution(self) -> dict[str, Any]:
        """What is looked at before rating oneself; only for flashcards and free answers."""
        match self.question.item:
            case Flashcard(back=back):
                return {"back": back}
            case Free(points=points, model=model):
                return {"points": list(points), "model": model}
        raise InvalidInput("This question is marked by rule.")

    def view(self) -> dict[str, Any]:
        """The public face of the question in the words of the page."""
        public = self.question.public()
        return {
            **public,
            "type_name": TYPE_NAMES[public["type"]],
            "phase_name": PHASE_NAMES[public["phase"]],
            "unit_words": _unit_words(public.get("expect")),
        }


def _unit_words(expect: str | None) -> str:
    if expect is None:
        return ""
    example = EXAMPLES.get(expect)
    return f"A number with its unit, such as {example}." if example else "A number with its unit."


def served(sitting: Sitting, place: int) -> Served:
    """Raises InvalidInput for a place the sitting does not have."""
    if not 0 <= place < len(sitting.items):
        raise InvalidInput(f"There is no question {place + 1} in this quiz; it has {len(sitting.items)}.", field="place")
    row = sitting.items[place]
    item = item_load(sitting.content[f"{row['problem']}/{row['item']}"])
    problem = load_problem(row["problem"])
    instance = Instance.objects.get(pk=row["instance"]) if isinstance(item, LabQuestion) else None
    question = draw(item, problem, row["seed"], instance)
    return Served(question, problem, place, bool(row["new"]), row.get("again") is not None, instance)
