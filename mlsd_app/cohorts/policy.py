"""What holds for one person in one assignment: window, time and attempts, each field with where it came from. Pure functions.

Person beats label beats assignment, field by field: a field that says nothing is inherited. Of several labels the one lowest in the
cohort's list wins. On the same level what was set for this assignment beats what was set for the whole cohort.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulators.errors import InvalidInput

MOST_EXTRA_S = 7200  # what an attempt takes
MOST_STEPS = 10

Multiplier = Annotated[float, Field(ge=1, le=4)]
Seconds = Annotated[int, Field(ge=0, le=MOST_EXTRA_S)]
F = TypeVar("F", bound=BaseModel)
Attempts = Annotated[int, Field(ge=0, le=20)]


class Fields(BaseModel):
    """Fields that are absent, or None, say nothing."""

    model_config = ConfigDict(extra="forbid")

    def said(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude_none=True)


class Accommodations(Fields):
    """For every assignment of a cohort. Flags say how the room behaves, `break_s` how long the clock may stand by the person's wish."""

    multiplier: Multiplier | None = None
    extra_s: Seconds | None = None
    break_s: Seconds | None = None
    extra_attempts: Attempts | None = None
    hide_timer: bool | None = None
    no_low_time_alerts: bool | None = None
    reduced_motion: bool | None = None
    keyboard_canvas: bool | None = None


FLAGS = ("hide_timer", "no_low_time_alerts", "reduced_motion", "keyboard_canvas")


class OverrideFields(Fields):
    """For one assignment."""

    extra_time_min: Annotated[int, Field(ge=0, le=MOST_EXTRA_S // 60)] | None = None
    multiplier: Multiplier | None = None
    extra_attempts: Attempts | None = None
    opens_at: AwareDatetime | None = None
    due_at: AwareDatetime | None = None
    closes_at: AwareDatetime | None = None


class LateStep(BaseModel):
    """Work handed in up to `until_h` hours after it was due counts `credit` times."""

    model_config = ConfigDict(extra="forbid")

    until_h: float = Field(gt=0, le=24 * 60)
    credit: float = Field(ge=0, le=1)


class LateSteps(BaseModel):
    steps: list[LateStep] = Field(max_length=MOST_STEPS)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        hours = [step.until_h for step in self.steps]
        if hours != sorted(set(hours)):
            raise ValueError("hours must rise from step to step")
        return self


def checked(model: type[F], given: Mapping[str, Any], *, field: str = "") -> F:
    """`given` as a `model`; the first thing that is wrong as InvalidInput."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or field
        wanted = first["msg"][:1].lower() + first["msg"][1:]
        raise InvalidInput(f"{where or 'input'}: {_shown(first['input'])} was given; {wanted}.", field=where) from error


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# --- resolution ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """What one source says. `source` is words for people: "the assignment", "label Evening", "this person"."""

    source: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Resolved:
    opens_at: datetime | None = None
    due_at: datetime | None = None
    closes_at: datetime | None = None
    attempts: int = 1
    multiplier: float = 1.0
    extra_s: int = 0
    break_s: int = 0
    hide_timer: bool = False
    no_low_time_alerts: bool = False
    reduced_motion: bool = False
    keyboard_canvas: bool = False
    sources: Mapping[str, str] | None = None  # field: where its value came from

    def flags(self) -> dict[str, bool]:
        return {name: getattr(self, name) for name in FLAGS}


def resolve(*, base: Mapping[str, Any], layers: Sequence[Layer]) -> Resolved:
    """`base` is the assignment's opens_at, due_at, closes_at and attempts; `layers` go from weak to strong.

    Extra attempts are added to the assignment's. A due date moved beyond the close moves the close with it: work that is in time is
    never shut out.
    """
    values: dict[str, Any] = dict(base)
    sources = dict.fromkeys(base, "the assignment")
    for layer in layers:
        for name, value in _normal(layer.fields).items():
            values[name], sources[name] = value, layer.source
    if "extra_attempts" in values:
        values["attempts"] += values.pop("extra_attempts")
        sources["attempts"] = sources.pop("extra_attempts")
    if values.get("due_at") and values.get("closes_at") and values["closes_at"] < values["due_at"]:
        values["closes_at"], sources["closes_at"] = values["due_at"], sources["due_at"]
    return Resolved(**values, sources=sources)


def _normal(fields: Mapping[str, Any]) -> dict[str, Any]:
    """One name a thing: minutes as seconds, times as datetimes, None left out."""
    said = {name: value for name, value in fields.items() if value is not None}
    if "extra_time_min" in said:
        said["extra_s"] = said.pop("extra_time_min") * 60
    for name in ("opens_at", "due_at", "closes_at"):
        if isinstance(said.get(name), str):
            said[name] = datetime.fromisoformat(said[name])
    return said


# --- time ------------------------------------------------------------------------------------------------------------


def window_refusal(*, now: datetime, opens_at: datetime | None, closes_at: datetime | None) -> str:
    """Why nothing can be begun now, in words for the learner; "" when it can."""
    if opens_at and now < opens_at:
        return f"It opens on {opens_at:%-d %B %Y at %H:%M} UTC."
    if closes_at and now >= closes_at:
        return f"It closed on {closes_at:%-d %B %Y at %H:%M} UTC."
    return ""


def late_credit(*, at: datetime, due_at: datetime | None, steps: Sequence[Mapping[str, Any]]) -> float:
    """The factor for work handed in at `at`: 1 in time or without steps, then the step it falls into, 0 after the last."""
    if due_at is None or at <= due_at or not steps:
        return 1.0
    return next((float(step["credit"]) for step in steps if at <= due_at + timedelta(hours=step["until_h"])), 0.0)
