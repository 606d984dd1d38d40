"""What is graded at one time: a few topics of one interview, or one free answer of a quiz. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlsd_app.cohorts.models import Task
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.signals import Anchors, anchors
from problems.interview_schema import Rubric, RubricItem

ANSWER = "answer:"  # of a quiz: "answer:<problem>/<item>"


@dataclass(frozen=True)
class Section:
    """`tags` and `signals` of the rubric that are judged in it."""

    key: str
    title: str
    tags: tuple[str, ...]
    signals: tuple[str, ...]


SECTIONS: tuple[Section, ...] = (
    Section("design", "Clarify, capacity, architecture", ("clarify", "capacity", "architecture"), ("clarified_first", "quantitative")),
    Section(
        "deep_dive",
        "Deep dive, training and serving",
        ("deep_dive", "infra"),
        ("trade_offs", "practical_knowledge", "verified_design", "adaptation"),
    ),
    Section("quality", "Evaluation, monitoring, gotchas", ("eval", "monitoring", "gotchas", "more_time"), ("coverage", "second_order")),
    Section("craft", "Communication and structure", (), ("scope", "structure", "communication")),
)
BY_KEY = {section.key: section for section in SECTIONS}


def section_title(key: str) -> str:
    if key in BY_KEY:
        return BY_KEY[key].title
    return f"Free answer {key.removeprefix(ANSWER).partition('/')[2].replace('_', ' ')}"


def is_answer(task: Task) -> bool:
    return task.section.startswith(ANSWER)


@dataclass(frozen=True)
class Subjects:
    """What one section asks to be judged. A subject is "item:<id>" or "signal:<key>"."""

    items: tuple[RubricItem, ...]
    signals: tuple[Anchors, ...]

    @property
    def required(self) -> tuple[str, ...]:
        """Those that only a person can judge; a rule has marked the others, and a person may."""
        items = [f"item:{item.id}" for item in self.items if item.grade == "text"]
        return (*items, *(f"signal:{entry.key}" for entry in self.signals if entry.group != "measured"))

    @property
    def all(self) -> tuple[str, ...]:
        return (*(f"item:{item.id}" for item in self.items), *(f"signal:{entry.key}" for entry in self.signals))


def subjects_of(section: Section, rubric: Rubric) -> Subjects:
    items = tuple(item for item in rubric.items if item.tag in section.tags)
    return Subjects(items, tuple(entry for entry in anchors(rubric) if entry.key in section.signals))


def subjects_in(attempt: Attempt, section: str) -> Subjects:
    """By the rubric the attempt stands under."""
    return subjects_of(BY_KEY[section], rubric_of(attempt))
