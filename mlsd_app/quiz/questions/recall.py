"""Flashcards and free answers: looked up by the person, rated or ticked by the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlsd_app.quiz.questions.base import Marked, Question, Reason, places, verdict
from problems.quiz_schema import Flashcard, Free


@dataclass(frozen=True)
class FlashcardQuestion(Question):
    """A front and a back; nothing is marked, the rating goes to the schedule alone."""

    item: Flashcard
    form = "reveal"

    @property
    def stem(self) -> str:
        return self.item.front

    def mark(self, given: Mapping[str, Any]) -> Marked:
        return Marked(mark=None, state="self", verdict="", given={}, correct=self.item.back, explanation=self.item.explain)

    def right(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class FreeQuestion(Question):
    """A written answer; after the model answer its writer ticks the points it covered. `given` {"text", "points": [places]}."""

    item: Free
    form = "free"

    def mark(self, given: Mapping[str, Any]) -> Marked:
        """Without "points" the answer is kept and not marked."""
        points, text = self.item.points, str(given.get("text", ""))
        if given.get("points") is None:
            return Marked(None, "ungraded", "", {"text": text}, correct=self.item.model, explanation=self.item.explain)
        ticked = places(given, "points", len(points))
        mark = len(ticked) / len(points)
        return Marked(
            mark=mark,
            state="self",
            verdict=verdict(mark),
            given={"text": text, "points": sorted(ticked)},
            correct=self.item.model,
            explanation=self.item.explain,
            echo=f"{len(ticked)} of {len(points)} points",
            reasons=tuple(Reason(point, True, place in ticked) for place, point in enumerate(points)),
        )

    def right(self) -> dict[str, Any]:
        return {"text": "", "points": list(range(len(self.item.points)))}
