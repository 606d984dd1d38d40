"""The kinds of export by name: where their rows come from, which columns they have, in which forms they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlsd_app.cohorts.exports import grade_rows, work_rows
from mlsd_app.cohorts.exports.scope import Scope
from mlsd_app.cohorts.exports.shapes import SHAPES
from mlsd_app.cohorts.exports.writing import csv_pieces, jsonl_pieces
from simulators.errors import InvalidInput

Rows = Callable[[Scope], Iterator[dict[str, Any]]]
CSV, JSONL, ZIP = "csv", "jsonl", "zip"


def _no_columns(scope: Scope) -> list[str]:
    return []


@dataclass(frozen=True)
class ExportKind:
    """`more_columns` are those that depend on what there is, beyond the fields of the row's model."""

    key: str
    title: str
    words: str
    rows: Rows
    more_columns: Callable[[Scope], list[str]] = _no_columns
    formats: tuple[str, ...] = (CSV, JSONL)
    by_assignment: bool = True

    def columns(self, scope: Scope) -> list[str]:
        return [*SHAPES[self.key].model_fields, *self.more_columns(scope)]

    def pieces(self, scope: Scope, format: str, *, bom: bool = False) -> Iterator[bytes]:
        """The file, a line at a time; of no rows the header alone."""
        if format == JSONL:
            return jsonl_pieces(self.rows(scope))
        return csv_pieces(self.columns(scope), self.rows(scope), bom=bom)


_KINDS = (
    ExportKind(
        "gradebook",
        "Gradebook",
        "a line a learner: score, state and verdict of every assignment",
        grade_rows.gradebook_rows,
        grade_rows.gradebook_columns,
    ),
    ExportKind(
        "attempts",
        "Attempts",
        "a line a mock: times, words, facts, runs, claims, scores",
        work_rows.attempt_rows,
        work_rows.attempt_columns,
    ),
    ExportKind("item_scores", "Marks", "a line a rubric item and attempt, with a code for the grader", grade_rows.item_score_rows),
    ExportKind("responses", "Quiz answers", "a line an answer: mark, time, confidence", work_rows.response_rows),
    ExportKind("predictions", "Predictions", "a line a range said before a run, with what came", work_rows.prediction_rows),
    ExportKind("runs", "Runs", "a line a run of a lab: parameters, seed and every metric", work_rows.run_rows, work_rows.run_columns),
    ExportKind("events", "Events", "a line an entry of an interview's log", work_rows.event_rows, formats=(JSONL,)),
    ExportKind("audit", "Log", "a line an entry of the cohort's log", grade_rows.audit_rows, by_assignment=False),
)
KINDS: Mapping[str, ExportKind] = {kind.key: kind for kind in _KINDS}
OWN_KINDS = ("attempts", "item_scores", "responses", "predictions", "runs", "events")


def kind_named(key: str, format: str) -> ExportKind:
    """Raises InvalidInput for a kind or a form that does not exist."""
    if key not in KINDS:
        raise InvalidInput(f"{key[:40]!r} is no kind of export; kinds are {', '.join(KINDS)}.", field="kind")
    if format not in KINDS[key].formats:
        raise InvalidInput(f"{KINDS[key].title} comes as {' or '.join(KINDS[key].formats)}; {format[:20]!r} was asked for.", field="format")
    return KINDS[key]
