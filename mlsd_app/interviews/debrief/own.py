"""The candidate's own judgement: given before the scorecard is opened, and how far it lay from the graders' over the interviews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

from django.db import transaction

from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt, SelfAssessment, Status
from mlsd_app.interviews.scoring import self_assess
from mlsd_app.interviews.scoring.rows import levels_holding
from mlsd_app.interviews.selectors import events_of, forget_fetched, score_visible

LEVEL_WORDS = ("Not shown", "Weak", "Mixed", "Solid", "Strong")
REVEALED = "revealed"
GAPS_SHOWN = 12  # interviews


@dataclass(frozen=True)
class GapRow:
    """One interview: own level minus grader's, by signal; only signals that both judged."""

    attempt: Attempt
    gaps: Mapping[str, int]

    @property
    def named(self) -> list[tuple[str, int]]:
        return [(key.replace("_", " ").capitalize(), gap) for key, gap in self.gaps.items()]

    @property
    def mean(self) -> float:
        return fmean(self.gaps.values())


def result_revealed(attempt: Attempt) -> bool:
    """Whether the owner has opened the scorecard; a self-assessment made afterwards is marked as such."""
    return bool(events_of(attempt, REVEALED))


@transaction.atomic
def result_reveal(*, attempt: Attempt, now: datetime) -> None:
    """Notes that the owner opens the scorecard, the first time only. Nothing happens while there is none to see."""
    row = attempt_lock(attempt=attempt)
    if score_visible(row) and not result_revealed(row):
        event_add(attempt=row, kind=REVEALED, now=now, actor=row.user)
        forget_fetched(attempt, "events")


def own_levels_set(*, attempt: Attempt, levels: Mapping[str, int], now: datetime) -> list[SelfAssessment]:
    """The candidate's levels, {"signal:<key>" or "item:<id>": 0 to 4}. Raises InvalidInput, and Refused (409) while it runs."""
    made = self_assess(attempt=attempt, levels=levels, before_reveal=not result_revealed(attempt), now=now)
    forget_fetched(attempt, "self_assessments")
    return made


def own_levels(attempt: Attempt) -> dict[str, int]:
    """{subject: level} as it stands."""
    return {row.subject: row.level for row in attempt.self_assessments.all()}


def gaps_until(attempt: Attempt) -> list[GapRow]:
    """This interview and the ones of the same person before it, oldest first; only those judged before the scorecard was opened."""
    visible = Attempt.objects.filter(user_id=attempt.user_id, status=Status.RELEASED, show_score=True, closed_at__lte=attempt.closed_at)
    judged = visible.filter(self_assessments__before_reveal=True, self_assessments__subject__startswith="signal:")
    opened = judged.filter(events__kind=REVEALED).distinct().order_by("-closed_at").defer("content")
    newest = opened.prefetch_related("self_assessments", "signal_levels")[:GAPS_SHOWN]
    rows = [GapRow(found, _gaps(found)) for found in reversed(newest)]
    return [row for row in rows if row.gaps]


def _gaps(attempt: Attempt) -> dict[str, int]:
    own = [row for row in attempt.self_assessments.all() if row.before_reveal and row.subject.startswith("signal:")]
    graded = {key: row.level for key, row in levels_holding(attempt).items() if row.level is not None}
    said = {row.subject.removeprefix("signal:"): row.level for row in own}
    return {key: level - graded[key] for key, level in said.items() if key in graded}
