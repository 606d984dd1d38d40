"""What each kind of assignment lets its author choose. One pydantic model a kind; `settings_checked` is the only way in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlsd_app.cohorts.known_figures import check_figures
from mlsd_app.cohorts.models import Kind
from mlsd_app.cohorts.policy import checked
from mlsd_app.interviews import presets
from mlsd_app.quiz.bank import items_of
from problems.errors import InvalidInput as InvalidContent
from problems.loader import load_problem
from problems.schema import Problem
from simulators.errors import InvalidInput
from simulators.lab import Lab
from simulators.registry import labs_of

MOST_QUESTIONS = 100


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    def check(self, problem: Problem) -> None:
        """Raises InvalidInput where the problem does not have what is named."""


class MockSettings(Settings):
    preset: Literal["five_phase", "tactic_sheet", "compact", "custom"] = "five_phase"
    total_min: int | None = Field(None, ge=10, le=120)  # of a preset that can be stretched
    phases: list[dict[str, Any]] = Field(default=[], max_length=presets.MAX_PHASES)  # of "custom" only
    mode: Literal["soft", "strict", "free"] = "soft"
    show: Literal["real", "study"] = "real"
    level: Literal["mid", "senior", "staff"] = "senior"
    pauses: int = Field(0, ge=0, le=5)  # the candidate's own, of at most three minutes
    overdue: Literal["autosubmit", "grace", "abandon"] = "autosubmit"
    facts_seed: Literal["same", "person"] = "same"
    curveballs: Literal["auto", "staff", "both"] = "both"

    @model_validator(mode="after")
    def _phases_of_custom(self) -> MockSettings:
        if (self.preset == "custom") != bool(self.phases):
            raise ValueError("phases belong to a custom plan, and a custom plan needs them")
        return self

    def check(self, problem: Problem) -> None:
        if problem.interviewer is None or problem.rubric is None:
            raise InvalidInput(f"{problem.title} has no interview yet; choose a problem with a walkthrough.", field="problem")
        self.plan()

    def plan(self) -> list[dict[str, Any]]:
        """The phases with their seconds. Raises InvalidInput for a plan that does not add up."""
        if self.preset == "custom":
            return presets.checked_phases(self.phases)
        return presets.preset_phases(self.preset, self.total_min * 60 if self.total_min else None)


class QuizSettings(Settings):
    items: list[str] = Field(default=[], max_length=MOST_QUESTIONS)  # ids; none: `count` are drawn
    count: int = Field(10, ge=1, le=MOST_QUESTIONS)
    draw: Literal["same", "person"] = "same"
    limit_min: int | None = Field(None, ge=1, le=240)
    feedback: bool = False  # after each answer, or only at the end

    def check(self, problem: Problem) -> None:
        known = {entry.item.id for entry in items_of(problem.slug)}
        if not known:
            raise InvalidInput(f"{problem.title} has no questions yet.", field="problem")
        if unknown := [item for item in self.items if item not in known]:
            raise InvalidInput(f"{problem.title} has no question {unknown[0][:60]!r}.", field="items")
        if len(set(self.items)) != len(self.items):
            raise InvalidInput("A question is listed twice.", field="items")
        if not self.items and self.count > len(known):
            raise InvalidInput(f"{problem.title} has {len(known)} questions; {self.count} were asked for.", field="count")


class ChallengeSettings(Settings):
    lab: str = Field(min_length=1, max_length=64)
    challenge: str = Field(min_length=1, max_length=64)
    submissions: int = Field(10, ge=1, le=50)  # designs a learner may submit, over all tries

    def check(self, problem: Problem) -> None:
        lab = lab_of(problem, self.lab)
        known = [challenge.slug for challenge in lab.challenges]
        if self.challenge not in known:
            raise InvalidInput(f"{lab.title} has no challenge {self.challenge!r}; it has {', '.join(known) or 'none'}.", field="challenge")


class PredictionSettings(Settings):
    lab: str = Field(min_length=1, max_length=64)
    preset: str = Field("", max_length=64)  # "": the lab as it opens
    metrics: list[str] = Field(min_length=1, max_length=10)  # keys of the figures to be foretold

    def check(self, problem: Problem) -> None:
        lab = lab_of(problem, self.lab)
        if self.preset and self.preset not in {preset.key for preset in lab.presets}:
            raise InvalidInput(f"{lab.title} has no preset {self.preset!r}.", field="preset")
        if len(set(self.metrics)) != len(self.metrics):
            raise InvalidInput("A figure is named twice.", field="metrics")
        check_figures(lab, self.preset, self.metrics)


class ReadingSettings(Settings):
    phases: list[str] = Field(default=[], max_length=5)  # keys; none: all five

    def check(self, problem: Problem) -> None:
        known = [phase.key for phase in problem.phases]
        if not known:
            raise InvalidInput(f"The walkthrough of {problem.title} is not written yet.", field="problem")
        if unknown := [key for key in self.phases if key not in known]:
            raise InvalidInput(f"{problem.title} has no phase {unknown[0]!r}; it has {', '.join(known)}.", field="phases")


MODELS: Mapping[str, type[Settings]] = {
    Kind.MOCK: MockSettings,
    Kind.QUIZ: QuizSettings,
    Kind.CHALLENGE: ChallengeSettings,
    Kind.PREDICTION: PredictionSettings,
    Kind.READING: ReadingSettings,
}


def settings_checked(*, kind: str, problem: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with defaults filled in, as they are stored. Raises InvalidInput."""
    if kind not in MODELS:
        raise InvalidInput(f"{kind[:40]!r} is no kind of assignment; kinds are {', '.join(MODELS)}.", field="kind")
    settings = checked(MODELS[kind], given, field="settings")
    settings.check(problem_named(problem))
    return settings.model_dump(mode="json")


def problem_named(slug: str) -> Problem:
    try:
        return load_problem(slug)
    except InvalidContent as error:
        raise InvalidInput(error.message, field="problem") from error


def lab_of(problem: Problem, slug: str) -> type[Lab]:
    labs = {lab.slug: lab for lab in labs_of(problem.slug)}
    if slug not in labs:
        raise InvalidInput(f"{problem.title} has no lab {slug[:60]!r}; it has {', '.join(labs)}.", field="lab")
    return labs[slug]
