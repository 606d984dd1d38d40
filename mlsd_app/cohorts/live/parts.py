"""What stands in the interviews of a board, read for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Q

from mlsd_app.interviews.debrief.evidence import predicted
from mlsd_app.interviews.live import listening_among
from mlsd_app.interviews.models import Answer, Attempt, Curveball, Event, RunLink
from problems.errors import InvalidInput
from problems.loader import load_problem

FLAG_FOR = timedelta(minutes=10)  # how long something that happened once stands on the board


@dataclass(frozen=True)
class Work:
    """What the candidate has done so far. `prediction` is None before one has come out."""

    words: int = 0
    components: int = 0
    asked: int = 0  # of the facts that are needed
    needed: int = 0
    runs: int = 0
    pins: int = 0
    prediction: str | None = None
    hit: bool | None = None


@dataclass
class Parts:
    """Everything about the attempts of a board that is not in their own rows, by attempt."""

    saved: dict[UUID, datetime] = field(default_factory=dict)
    words: dict[UUID, int] = field(default_factory=dict)
    components: dict[UUID, int] = field(default_factory=dict)
    runs: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    told: dict[UUID, set[str]] = field(default_factory=dict)
    predictions: dict[UUID, tuple[str, bool | None]] = field(default_factory=dict)
    flags: dict[UUID, set[str]] = field(default_factory=dict)
    listening: set[UUID] = field(default_factory=set)

    @classmethod
    def of(cls, attempts: Sequence[Attempt], now: datetime) -> Parts:
        parts, ids = cls(), [attempt.pk for attempt in attempts]
        if ids:
            parts._answers(ids)
            parts._events(ids, now)
            parts._runs(ids)
            parts._curveballs(ids, now)
            parts.listening = listening_among(ids)
        return parts

    def work(self, attempt: Attempt) -> Work:
        needed = needed_facts(attempt.problem)
        runs, pins = self.runs.get(attempt.pk, (0, 0))
        words, hit = self.predictions.get(attempt.pk, (None, None))
        return Work(
            words=self.words.get(attempt.pk, 0),
            components=self.components.get(attempt.pk, 0),
            asked=len(needed & self.told.get(attempt.pk, set())),
            needed=len(needed),
            runs=runs,
            pins=pins,
            prediction=words,
            hit=hit,
        )

    def _answers(self, ids: list[UUID]) -> None:
        rows = Answer.objects.filter(attempt__in=ids).order_by()
        components = Count("pk", filter=Q(field__startswith="row/components/", content__isnull=False))
        for attempt, saved_at, count in rows.values_list("attempt").annotate(at=Max("updated_at"), n=components):
            self.saved[attempt], self.components[attempt] = saved_at, count
        for attempt, content in rows.filter(field__startswith="text/").values_list("attempt", "content"):
            self.words[attempt] = self.words.get(attempt, 0) + len((content or "").split())

    def _events(self, ids: list[UUID], now: datetime) -> None:
        rows = Event.objects.filter(attempt__in=ids, kind__in=_NOTED).order_by("attempt", "seq")
        for attempt, kind, at, data in rows.values_list("attempt", "kind", "at", "data"):
            _NOTED[kind](self, attempt, data, now - at <= FLAG_FOR)

    def _question(self, attempt: UUID, data: Mapping[str, Any], recent: bool) -> None:
        self.told.setdefault(attempt, set()).update(data.get("facts", ()))

    def _confirm(self, attempt: UUID, data: Mapping[str, Any], recent: bool) -> None:
        entries = [*data.get("confirmed", ()), *data.get("corrected", ())]
        self.told.setdefault(attempt, set()).update(entry["fact"] for entry in entries)

    def _conflict(self, attempt: UUID, data: Mapping[str, Any], recent: bool) -> None:
        if recent:
            self.flags.setdefault(attempt, set()).add("conflict")

    def _lease(self, attempt: UUID, data: Mapping[str, Any], recent: bool) -> None:
        if recent and data.get("epoch", 0) > 1:
            self.flags.setdefault(attempt, set()).add("lease")

    def _hand(self, attempt: UUID, data: Mapping[str, Any], recent: bool) -> None:
        flags = self.flags.setdefault(attempt, set())
        if data.get("raised"):
            flags.add("hand")
        else:
            flags.discard("hand")

    def _runs(self, ids: list[UUID]) -> None:
        links = RunLink.objects.filter(attempt__in=ids).order_by()
        counts = links.values_list("attempt").annotate(runs=Count("pk"), pins=Count("pk", filter=Q(pinned=True)))
        self.runs = {attempt: (runs, pins) for attempt, runs, pins in counts}
        foretold = links.filter(prediction__isnull=False, run__result__isnull=False).order_by("number")
        for attempt, prediction, metrics in foretold.values_list("attempt", "prediction", "run__result__metrics"):
            if found := predicted(prediction, metrics):
                self.predictions[attempt] = (found.words, found.hit)

    def _curveballs(self, ids: list[UUID], now: datetime) -> None:
        rows = Curveball.objects.filter(attempt__in=ids).values_list("attempt", "state", "lab", "shown_at", "recovered_at")
        for attempt, state, lab, shown_at, recovered_at in rows:
            flags = self.flags.setdefault(attempt, set())
            if state == "active" and (lab or now - shown_at <= FLAG_FOR):  # one that is argued has no end of its own
                flags.add("active")
            if recovered_at is not None and now - recovered_at <= FLAG_FOR:
                flags.add("recovered")


_NOTED: Mapping[str, Callable[[Parts, UUID, Mapping[str, Any], bool], None]] = {
    "question": Parts._question,
    "confirm": Parts._confirm,
    "conflict": Parts._conflict,
    "lease": Parts._lease,
    "hand": Parts._hand,
}


def needed_facts(problem: str) -> set[str]:
    """Ids of the facts a candidate should ask for, as the problem has them now; none of a problem that is gone."""
    try:
        interviewer = load_problem(problem).interviewer
    except InvalidInput:
        return set()
    return {fact.id for fact in interviewer.facts if fact.needed} if interviewer else set()
