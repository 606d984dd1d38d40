"""Judgements as a viewer of the scorecard may see them: owners and staff with times, graders with shares, names and errors for staff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlsd_app.interviews.models import Attempt, ItemScore, ScoreState, SignalLevel
from mlsd_app.interviews.scoring.reading import end_ms
from mlsd_app.interviews.selectors import state_of

STATE_WORDS = {
    ScoreState.AUTO: "by rule",
    ScoreState.HUMAN: "by a person",
    ScoreState.AI: "by a model",
    ScoreState.UNGRADED: "not graded",
}


@dataclass(frozen=True)
class Evidence:
    """`ref`: `text/<phase>`, `row/<list>/<key>`, `run/<number>`, `event/<seq>`. `share`: when, of the person's own limit.

    `active_ms` is None for graders: a time in seconds would tell how much time somebody was given.
    """

    kind: str
    ref: str
    text: str
    share: float
    active_ms: int | None


MAX_LEVEL = 4  # of a signal


@dataclass(frozen=True)
class Judgement:
    """One row: what a rule, a person or a model said, out of `max`. `error` is for staff only."""

    state: str
    state_words: str
    points: float | None
    comment: str
    evidence: tuple[Evidence, ...]
    grader: str
    version: int
    holds: bool
    max: float
    error: str = ""


class Judgements:
    """All judgements of the attempt, two queries in all."""

    def __init__(self, attempt: Attempt, viewer: str) -> None:
        self.viewer = viewer
        self.limit_ms = limit_ms(attempt)
        self.items = list(ItemScore.objects.filter(attempt=attempt).select_related("grader").order_by("-pk"))
        self.levels = list(SignalLevel.objects.filter(attempt=attempt).select_related("grader").order_by("-pk"))

    def of_item(self, item: str, holding: ItemScore | None) -> tuple[Judgement, ...]:
        return self._sorted([self._judgement(row, row.points, row.error, holding) for row in self.items if row.item_id == item])

    def of_signal(self, signal: str, holding: SignalLevel | None) -> tuple[Judgement, ...]:
        return self._sorted([self._judgement(row, row.level, "", holding) for row in self.levels if row.signal == signal])

    def _sorted(self, found: Sequence[Judgement]) -> tuple[Judgement, ...]:
        return tuple(sorted(found, key=lambda entry: not entry.holds))

    def _judgement(self, row: ItemScore | SignalLevel, points: float | None, error: str, holding: object) -> Judgement:
        return Judgement(
            state=row.state,
            state_words=STATE_WORDS[ScoreState(row.state)],
            points=points,
            comment=row.comment,
            evidence=tuple(self._evidence(entry) for entry in row.evidence),
            grader=str(row.grader) if row.grader and self.viewer == "staff" else "",
            version=row.rubric_version,
            holds=row == holding,
            max=row.max if isinstance(row, ItemScore) else MAX_LEVEL,
            error=error if self.viewer == "staff" else "",
        )

    def _evidence(self, entry: Mapping[str, Any]) -> Evidence:
        at = int(entry.get("active_ms") or 0)
        shown = None if self.viewer == "grader" else at
        return Evidence(str(entry["kind"]), str(entry["ref"]), str(entry["text"]), round(at / self.limit_ms, 4), shown)


def limit_ms(attempt: Attempt) -> float:
    """The person's own limit; of a free interview, which has none, the time it took."""
    at = attempt.closed_at or attempt.started_at
    limit_s = state_of(attempt, at).limit_s if at and attempt.mode != "free" else 0.0
    return max(limit_s * 1000 or end_ms(attempt), 1.0)
