"""The row of every kind of export. The published JSON schemas are made from these models."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class ExportRow(BaseModel):
    """`person` is a code name, or the name where it was asked for and the scores are out. `open_columns` begin with one of these."""

    model_config = ConfigDict(extra="forbid")
    open_columns: ClassVar[tuple[str, ...]] = ()
    person: str


class GradebookRow(ExportRow):
    """One learner. For each assignment: `<id>.score` (0 to 100, late credit not taken off), `<id>.graded_weight`, `<id>.state`,
    `<id>.verdict`, `<id>.late_credit`, `<id>.attempt`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | str | None] = Field(init=False)
    open_columns = ("score", "graded_weight", "state", "verdict", "late_credit", "attempt")
    labels: list[str]


class AttemptRow(ExportRow):
    """One mock interview. `fraction.<phase>`: active time over the person's own time for it. `claims.<verdict>` counts, and
    `score.<tag>` in percent of what was graded of that tag."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | int | None] = Field(init=False)
    open_columns = ("fraction.", "claims.", "score.")
    assignment: int | None
    attempt: str
    problem: str
    preset: str
    mode: str
    status: str
    reason: str
    started_at: datetime | None
    closed_at: datetime | None
    words: int
    facts: int
    runs: int
    curveballs: int
    recovered: int
    verdict: str | None
    score: float | None
    graded_weight: float | None


class ItemScoreRow(ExportRow):
    """One mark that holds. `grader` is a code, the same within an assignment; null for a rule."""

    assignment: int | None
    attempt: str
    item: str
    tag: str | None
    signal: str | None
    rubric_version: int
    state: str
    points: float | None
    max: float
    grader: str | None
    evidence: int


class ResponseRow(ExportRow):
    """One answer in a quiz. `mark` 0 to 1, of a free answer the grader's; null while nobody has marked it."""

    assignment: int | None
    sitting: str
    place: int
    problem: str
    item: str
    rev: int
    instance: int | None
    mark: float | None
    state: str
    ms: int
    confidence: str
    rating: int | None
    at: datetime


class PredictionRow(ExportRow):
    """A range said before a run. `score`: width plus ten times the distance by which the truth was missed, over the size of the truth
    (the interval score of an 80 % range); smaller is better. `attempt` and `run` (its number there) are those of an interview. Of a
    prediction assignment: `seen_before`, the person had run this preset, which leaves it out of rates; `scale_score`, the same score
    on `scale` (linear, or decades of the figure or of its odds), as pages show it."""

    assignment: int | None
    attempt: str | None
    run: int | None
    problem: str
    lab: str
    metric: str
    lower: float
    upper: float
    truth: float | None
    hit: bool | None
    score: float | None
    seen_before: bool | None
    scale: str | None
    scale_score: float | None


class RunRow(ExportRow):
    """One finished run. `metric.<key>` as the lab names it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | None] = Field(init=False)
    open_columns = ("metric.",)
    assignment: int | None
    attempt: str | None
    number: int | None
    run: str
    problem: str
    lab: str
    version: int
    seed: int
    params: dict[str, Any]
    at: datetime


class EventRow(ExportRow):
    """One line of an attempt's log; `active_ms` since the start, pauses left out."""

    assignment: int | None
    attempt: str
    seq: int
    at: datetime
    active_ms: int
    phase: str
    kind: str
    online: bool
    data: dict[str, Any]


class AuditRow(BaseModel):
    """One entry of the log; accommodations are left out."""

    model_config = ConfigDict(extra="forbid")
    open_columns: ClassVar[tuple[str, ...]] = ()
    id: int
    at: datetime
    actor: int | None
    role: str
    action: str
    object_type: str
    object_id: str
    before: dict[str, Any]
    after: dict[str, Any]
    reason: str
    request_id: str
    address: str


SHAPES: dict[str, type[BaseModel]] = {
    "gradebook": GradebookRow,
    "attempts": AttemptRow,
    "item_scores": ItemScoreRow,
    "responses": ResponseRow,
    "predictions": PredictionRow,
    "runs": RunRow,
    "events": EventRow,
    "audit": AuditRow,
}


def schema_of(kind: str) -> dict[str, Any]:
    """JSON schema (2020-12) of one row."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SHAPES[kind].model_json_schema()}
