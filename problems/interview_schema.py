"""rubric.yaml and interviewer.yaml: what a mock interview asks, hides, throws in and marks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from problems.base import Content, Slug, Text

Tag = Literal["clarify", "capacity", "architecture", "deep_dive", "infra", "eval", "monitoring", "gotchas", "more_time"]
SignalKey = Literal["clarified_first", "trade_offs", "coverage", "second_order", "scope", "quantitative"]
Grade = Literal["fact", "number", "component", "tradeoff", "run", "curveball", "close", "mention", "text"]
Scalar = bool | int | float | str

# --- rubric.yaml -----------------------------------------------------------------------------------------------------


class Levels(Content):
    """The anchored sentence of each level, for this problem."""

    weak: Text  # 1
    mixed: Text  # 2
    solid: Text  # 3
    strong: Text  # 4


class Signal(Content):
    key: SignalKey
    title: Text
    levels: Levels
    evidence: tuple[Text, ...] = Field(min_length=1)  # what counts; a level without evidence is "not shown"


class RubricItem(Content):
    """One point of the checklists. `needs` says what the machine looks for; a `text` item is judged by a person.

    fact: interviewer facts of which one was asked. number: `calculator.output`. component: component kinds.
    tradeoff: two alternatives. run: a condition over metrics (`problems.conditions`). curveball: keys, any of which may come up.
    mention: concepts. `a | b` are two ways to say one alternative or concept.
    """

    id: str = Field(pattern=r"^[a-z_]+\.[a-z0-9_]+$")
    tag: Tag
    signal: SignalKey
    points: int = Field(ge=1, le=10)
    grade: Grade = "text"
    needs: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _needs_something(self) -> RubricItem:
        if (self.grade in ("text", "close")) == bool(self.needs):
            raise ValueError(f"rubric item {self.id!r} is graded by {self.grade}, which {'takes no' if self.needs else 'asks for'} needs")
        return self


class Rubric(Content):
    """`weights` are of groups of tags, by the first tag of the group; what it does not name weighs what `scoring.verdict` says."""

    version: int = Field(ge=1)
    signals: tuple[Signal, ...] = Field(min_length=6, max_length=6)
    items: tuple[RubricItem, ...] = Field(min_length=1)
    weights: dict[Tag, Annotated[float, Field(ge=0, le=100)]] = {}


# --- interviewer.yaml ------------------------------------------------------------------------------------------------


class Feeds(Content):
    """Where a number told to the candidate becomes a locked input: `calculator.input`, and `lab.param`."""

    calculator: str = Field("", pattern=r"^([a-z0-9_]+\.[a-z0-9_]+)?$")
    lab: str = Field("", pattern=r"^([a-z0-9_]+\.[a-z0-9_]+)?$")


class HiddenFact(Content):
    """Told only when asked for: `ask` holds groups of words, any group with all of its words matches."""

    id: Slug
    needed: bool = False
    tag: Tag = "clarify"
    ask: tuple[tuple[Text, ...], ...] = Field(min_length=1)
    choices: tuple[float, ...] = ()  # drawn by the attempt's seed; {value} in the answer
    unit: str = ""
    answer: Text
    feeds: Feeds = Feeds()
    phrasings: tuple[Text, ...] = Field(min_length=3)

    @model_validator(mode="after")
    def _value_is_said(self) -> HiddenFact:
        if bool(self.choices) != ("{value}" in self.answer):
            raise ValueError(f"fact {self.id!r}: an answer says {{value}} exactly when there are choices to draw it from")
        return self


class DeepDive(Content):
    """A focus for the deep dive, drawn by seed: concepts inside it and concepts that are off the point."""

    key: Slug
    prompt: Text
    focus: tuple[Text, ...] = Field(min_length=3)
    outside: tuple[Text, ...] = Field(min_length=1)


class InterviewProbe(Content):
    """A question put at `elapsed` (share of the phase) unless the rubric item `missing` is already earned."""

    id: Slug
    tag: Tag
    elapsed: float = Field(0.5, ge=0, le=1)
    missing: str = ""
    text: Text


class Patch(Content):
    """One changed lab parameter; exactly one of the three."""

    param: Slug
    set: Scalar | tuple[Scalar, ...] | None = None
    mul: float | None = None
    add: float | None = None
    lock: bool = True

    @model_validator(mode="after")
    def _one_change(self) -> Patch:
        if sum(value is not None for value in (self.set, self.mul, self.add)) != 1:
            raise ValueError(f"patch of {self.param!r} needs exactly one of set, mul, add")
        return self


class LabChange(Content):
    """What a curveball does to the candidate's running lab, and the condition (`problems.conditions`) that says it recovered.

    `start` is the run that is patched when the candidate has pinned none: it meets `recover` before the patch and fails it after.
    `way_back` is one change of parameters, on top of start and patch, that meets it again.
    """

    lab: Slug
    start: dict[str, Scalar | tuple[Scalar, ...]] = {}
    patch: tuple[Patch, ...] = Field(min_length=1)
    recover: Text
    way_back: dict[str, Scalar | tuple[Scalar, ...]] = Field(min_length=1)


class Curveball(Content):
    key: Slug
    tag: Tag
    at: tuple[float, float] = (0.4, 0.6)  # share of the phase, drawn by seed
    within: float = Field(0.35, gt=0, le=1)  # share of the phase in which recovery earns full points
    text: Text
    scenario: Text  # what has changed in the world
    change: LabChange | None = None  # None: argued, not run
    strong: Text  # what a strong answer does


class Interviewer(Content):
    version: int = Field(ge=1)
    opener: Text
    facts: tuple[HiddenFact, ...] = Field(min_length=8)
    off_topic: tuple[Text, ...] = Field(min_length=10)
    deep_dives: tuple[DeepDive, ...] = Field(min_length=2)
    probes: tuple[InterviewProbe, ...] = Field(min_length=10)
    curveballs: tuple[Curveball, ...] = Field(min_length=3)
    closing: Text
