"""What somebody who follows an interview sees of it. Reads, never writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.utils.safestring import mark_safe

from mlsd_app.cohorts.models import Note
from mlsd_app.interviews.answers import answers_of, rows_of
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.replay import LABELS, lists_in
from mlsd_app.interviews.room import entries
from mlsd_app.interviews.runs import links_of
from mlsd_app.interviews.scoring.diagram import diagram_svg
from problems.interview_schema import Curveball
from problems.loader import load_problem

TAIL = 40
MORE_LABELS = {
    "created": "Made",
    "start": "Started",
    "plan": "Minutes planned",
    "move": "Phase",
    "lease": "Moved to another tab",
    "presence": "Followed",
    "submit": "Submitted",
    "expire": "Ended by staff",
    "close": "Closed",
    "void": "Made void",
}


@dataclass(frozen=True)
class Line:
    """One line of the log: `count` events of a kind one after the other, the last of them at `seconds` of active time."""

    label: str
    words: str
    seconds: float
    count: int


def work_context(attempt: Attempt) -> dict[str, Any]:
    """Text as last saved, lists, diagram, runs, conversation and the end of the log."""
    answers = answers_of(attempt)
    events = list(attempt.events.order_by("seq"))
    components = rows_of(attempt, "components")
    return {
        "phases": [{**phase, "answer": answers.get(f"text/{phase['key']}")} for phase in attempt.phases],
        "lists": lists_in({name: answer.content for name, answer in answers.items()}),
        "diagram": mark_safe(diagram_svg(components, rows_of(attempt, "edges"))) if components else "",  # noqa: S308 - drawn and escaped by us
        "runs": links_of(attempt).order_by("-number"),
        "entries": entries(events),
        "tail": list(tail(events)),
    }


def tail(events: Sequence[Event]) -> Iterator[Line]:
    """The newest first; saves of one field in a row are one line."""
    last: Line | None = None
    shown = 0
    for event in reversed(events):
        label, words = LABELS.get(event.kind) or MORE_LABELS.get(event.kind, event.kind), event_words(event)
        if last and (last.label, last.words) == (label, words):
            last = Line(label, words, last.seconds, last.count + 1)
            continue
        if last:
            yield last
            shown += 1
            if shown == TAIL:
                return
        last = Line(label, words, event.active_ms / 1000, 1)
    if last:
        yield last


def event_words(event: Event) -> str:
    """What tells this event from others of its kind; no text of the candidate."""
    data = event.data
    match event.kind:
        case "save" | "conflict":
            return str(data.get("field", "")).replace("text/", "").replace("row/", "")
        case "move":
            return f"{data.get('from', '')} to {data.get('to', '')}"
        case "run" | "pin":
            return f"run {data.get('number', '')}"
        case "adjust" if "seconds" in data:
            return f"{data['seconds']:+d} s"
        case "outage":
            return f"{data.get('credited_s', 0):.0f} s"
        case "curveball" | "recovered":
            return str(data.get("key", ""))
        case "presence":
            return "" if data.get("present") else "until here"
        case "hand":
            return "" if data.get("raised") else "taken down"
    return ""


def events_left(attempt: Attempt) -> list[Curveball]:
    """Events of the problem that were not thrown yet."""
    interviewer = load_problem(attempt.problem).interviewer
    thrown = set(attempt.curveball_rows.values_list("key", flat=True))
    return [ball for ball in interviewer.curveballs if ball.key not in thrown] if interviewer else []


def notes_of(attempt: Attempt, visible: QuerySet[Note]) -> list[Note]:
    """Newest first; `visible` is the selector of the reader."""
    return list(visible.filter(attempt=attempt).select_related("author").order_by("-active_ms", "-pk"))
