"""quiz.yaml: the item bank. Item types differ in what the user does; all share stem, explanation and where to read on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from problems.base import Content, Slug, Text
from problems.interview_schema import Scalar, Tag


class See(Content):
    """Where the answer is shown: `section` is `phase` or `phase#anchor`; a lab may carry one of its presets."""

    section: str = Field("", pattern=r"^([a-z_]+(#[a-z0-9-]+)?)?$")
    lab: str = ""
    preset: str = ""
    calculator: str = ""

    @model_validator(mode="after")
    def _somewhere(self) -> See:
        if not (self.section or self.lab or self.calculator):
            raise ValueError("see names no section, lab or calculator")
        return self


class ItemBase(Content):
    id: str = Field(pattern=r"^[a-z0-9]+(\.[a-z0-9_]+)+$")  # stable for ever; content changes raise `rev`
    rev: int = Field(1, ge=1)
    tags: tuple[Slug, ...] = Field(min_length=1)
    phase: Tag
    rubric: tuple[str, ...] = ()  # rubric items this repairs
    facts: tuple[str, ...] = ()  # facts of coverage.yaml this covers
    readiness: int | None = Field(None, ge=1, le=15)
    level: Literal[1, 2, 3]  # recall, apply, diagnose
    expect_s: int = Field(40, ge=5, le=600)
    explain: Text
    see: See


class Flashcard(ItemBase):
    type: Literal["flashcard"]
    front: Text
    back: Text


class Option(Content):
    text: Text
    correct: bool = False
    why: str = ""  # compulsory for a wrong option


class Choice(ItemBase):
    type: Literal["choice"]
    stem: Text
    options: tuple[Option, ...] = Field(min_length=3, max_length=6)
    multiple: bool = False
    pin: Literal["", "last"] = ""

    @model_validator(mode="after")
    def _answerable(self) -> Choice:
        correct = sum(option.correct for option in self.options)
        if correct < 1 or (correct > 1 and not self.multiple):
            raise ValueError(
                f"item {self.id!r} has {correct} correct options; expected {'at least one' if self.multiple else 'exactly one'}"
            )
        silent = [option.text for option in self.options if not option.correct and not option.why]
        if silent:
            raise ValueError(f"item {self.id!r}: the wrong option {silent[0]!r} has no reason")
        return self


class FixedAnswer(Content):
    value: float
    unit: Text


class CalculatedAnswer(Content):
    """An output of a calculator of this problem at these inputs; the rest stay at their defaults."""

    calculator: Slug
    output: Slug
    inputs: dict[str, float] = {}


class Draw(Content):
    choices: tuple[float, ...] = Field(min_length=2)


class FormulaAnswer(Content):
    """`formula` over inputs drawn by seed; the stem names them as {n}."""

    formula: Text
    unit: Text
    given: dict[str, Draw] = Field(min_length=1)


class WrongPath(Content):
    """A value people reach by a known mistake: a formula over the same inputs."""

    when: Text
    because: Text


class Number(ItemBase):
    type: Literal["number"]
    stem: Text
    answer: FixedAnswer | CalculatedAnswer | FormulaAnswer
    rule: Literal["estimate", "derived", "exact"] = "estimate"
    binary_strict: bool = False
    fleet: Literal["", "floor", "sized"] = ""  # machines at mean traffic, all busy, or at twice that, 60 % busy: then either counts
    hint: str = ""
    wrong: tuple[WrongPath, ...] = ()


class Order(ItemBase):
    type: Literal["order"]
    stem: Text
    axis: Text
    items: tuple[Text, ...] = Field(min_length=3, max_length=8)  # in the right order


class Free(ItemBase):
    type: Literal["free"]
    stem: Text
    points: tuple[Text, ...] = Field(min_length=3, max_length=8)
    model: Text


class Slip(ItemBase):
    """A chain of steps with one wrong: `wrong` counts from 1, `right` is the step as it should be."""

    type: Literal["slip"]
    stem: Text
    steps: tuple[Text, ...] = Field(min_length=3, max_length=8)
    wrong: int = Field(ge=1)
    right: Text

    @model_validator(mode="after")
    def _wrong_is_a_step(self) -> Slip:
        if self.wrong > len(self.steps):
            raise ValueError(f"item {self.id!r}: step {self.wrong} is called wrong, but there are {len(self.steps)} steps")
        return self


class Change(Content):
    param: Slug
    frm: Any = Field(alias="from")
    to: Any


class LabQuestion(ItemBase):
    """A question whose truth a lab computes, on top of `base`.

    value: the metric at these parameters. direction: does the metric rise, fall or hardly move under `change`?
    Both are asked anew for each combination of `vary`.
    order: the settings of `vary` by the metric. pick: the one setting of `vary` that meets `target`, a condition
    (`problems.conditions`). Both are asked anew for each combination of `world`, which the stem leaves open.
    """

    type: Literal["lab"]
    stem: Text
    lab: Slug
    preset: str = ""
    base: dict[str, Scalar | tuple[Scalar, ...]] = {}
    vary: dict[str, tuple[Scalar | tuple[Scalar, ...], ...]] = {}
    world: dict[str, tuple[Scalar | tuple[Scalar, ...], ...]] = {}
    ask: Literal["value", "direction", "order", "pick"]
    metric: str = ""
    target: str = ""
    change: Change | None = None
    seeds: int = Field(3, ge=1, le=10)

    @model_validator(mode="after")
    def _asks_about_something(self) -> LabQuestion:
        if (self.ask == "pick") != bool(self.target) or (self.ask == "pick") == bool(self.metric):
            raise ValueError(f"item {self.id!r}: a pick needs `target`, every other question `metric`")
        if (self.ask == "direction") != (self.change is not None):
            raise ValueError(f"item {self.id!r}: a direction question, and only that, needs `change`")
        if self.ask in ("value", "direction") and self.world:
            raise ValueError(f"item {self.id!r}: `world` belongs to order and pick; a {self.ask} question lists its settings in `vary`")
        return self


QuizItem = Annotated[Flashcard | Choice | Number | Order | Free | Slip | LabQuestion, Field(discriminator="type")]


class Quiz(Content):
    version: int = Field(ge=1)
    items: tuple[QuizItem, ...] = Field(min_length=1)
    retired: tuple[str, ...] = ()
