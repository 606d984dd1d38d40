"""An assignment's own rubric: the problem's points, with other words, points, weights and guidance, some switched off, some added. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from mlsd_app.interviews.scoring.verdict import weights_of
from problems.base import Content
from problems.interview_schema import Rubric, RubricItem, SignalKey, Tag

MOST_ITEMS = 80
OWN = re.compile(r"^own\.[a-z0-9_]{1,40}$")
Words = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]
Guidance = Annotated[str, StringConstraints(max_length=2000, strip_whitespace=True)]


class ItemContent(Content):
    """A point of the rubric. Those an assignment adds ("own.<name>") are judged by a person."""

    id: str = Field(pattern=r"^[a-z_]+\.[a-z0-9_]+$", max_length=80)
    tag: Tag
    signal: SignalKey
    points: int = Field(ge=1, le=10)
    text: Words
    guidance: Guidance = ""  # for graders only
    on: bool = True


class RubricContent(Content):
    items: tuple[ItemContent, ...] = Field(min_length=1, max_length=MOST_ITEMS)
    weights: dict[Tag, Annotated[float, Field(ge=0, le=100)]] = {}

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        ids = [item.id for item in self.items]
        if len(set(ids)) != len(ids):
            raise ValueError("two points have the same id")
        if not any(item.on for item in self.items):
            raise ValueError("at least one point must be switched on")
        return self

    def item(self, key: str) -> ItemContent | None:
        return next((item for item in self.items if item.id == key), None)


def content_of(rubric: Rubric, texts: Mapping[str, str]) -> RubricContent:
    """The problem's rubric, all points on, as what an assignment may change."""
    items = [
        ItemContent(id=item.id, tag=item.tag, signal=item.signal, points=item.points, text=texts.get(item.id, item.id)[:300])
        for item in rubric.items
    ]
    return RubricContent(items=tuple(items), weights=dict(weights_of(rubric)))


def rubric_from(content: RubricContent, base: Rubric, version: int) -> Rubric:
    """What attempts are marked by. How a point is marked by rule stays as the problem has it."""
    known = {item.id: item for item in base.items}
    items = [_item(entry, known.get(entry.id)) for entry in content.items if entry.on]
    return Rubric(version=version, signals=base.signals, items=tuple(items), weights=content.weights)


def _item(entry: ItemContent, known: RubricItem | None) -> RubricItem:
    if known is not None:
        return known.model_copy(update={"points": entry.points})
    return RubricItem(id=entry.id, tag=entry.tag, signal=entry.signal, points=entry.points)


@dataclass(frozen=True)
class ItemChange:
    """What differs in one point. `what`: "added", "left out", or the fields; before and after as words."""

    id: str
    text: str
    fields: tuple[tuple[str, Any, Any], ...]


def changes(old: RubricContent, new: RubricContent) -> list[ItemChange]:
    """Point by point, then the weights as one entry with id ""."""
    before, after = ({item.id: item for item in content.items} for content in (old, new))
    found = []
    for key in dict.fromkeys([*before, *after]):
        one, two = before.get(key), after.get(key)
        fields = _differing(one, two)
        if fields:
            found.append(ItemChange(key, next(item.text for item in (two, one) if item), fields))
    groups = tuple((tag, old.weights.get(tag), new.weights.get(tag)) for tag in sorted({*old.weights, *new.weights}))
    if moved := tuple(entry for entry in groups if entry[1] != entry[2]):
        found.append(ItemChange("", "Weights of topics", moved))
    return found


def _differing(one: ItemContent | None, two: ItemContent | None) -> tuple[tuple[str, Any, Any], ...]:
    if one is None or two is None:
        return (("in the rubric", "yes" if one else "no", "yes" if two else "no"),)
    names = ("text", "points", "guidance", "on", "tag", "signal")
    return tuple((name, getattr(one, name), getattr(two, name)) for name in names if getattr(one, name) != getattr(two, name))


def to_judge_again(old: RubricContent, new: RubricContent) -> set[str]:
    """Points whose marks by people no longer say what they said: other words, points or guidance, or new ones."""
    before = {item.id: item for item in old.items if item.on}
    judged = ("text", "points", "guidance")
    return {
        item.id
        for item in new.items
        if item.on and (item.id not in before or any(getattr(item, name) != getattr(before[item.id], name) for name in judged))
    }
