"""An attempt as it was at any second of its active time: texts, rows, talk, runs, clock; and the tracks a scrubber shows.

Times are read off the clock as it is now, as `texts.fields_at` does: an outage that was credited later moves what lies behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, Literal

from mlsd_app.interviews.answers import rows_from
from mlsd_app.interviews.clock import ClockState, active_seconds, moment_of_active, phase_at
from mlsd_app.interviews.kinds import COMPONENT_KINDS
from mlsd_app.interviews.lists import LISTS, Column, RowList
from mlsd_app.interviews.models import Attempt, Event, RunLink
from mlsd_app.interviews.selectors import clock_of, events_of
from mlsd_app.interviews.texts import fields_at

Kind = Literal["phase", "write", "talk", "run", "curveball", "stop", "note"]

# Event kind -> the track it stands on. What is not named here (leases, plans) is no part of the story.
TRACK_OF: dict[str, Kind] = {
    **dict.fromkeys(("save", "conflict"), "write"),
    **dict.fromkeys(("question", "assumption", "confirm", "probe", "nudge", "closing", "focus", "message"), "talk"),
    **dict.fromkeys(("run", "pin", "claim", "prediction"), "run"),
    **dict.fromkeys(("curveball", "recovered"), "curveball"),
    **dict.fromkeys(("pause", "resume", "adjust", "outage", "reopen"), "stop"),
    **dict.fromkeys(("note", "hand"), "note"),
}
TITLES: dict[Kind, str] = {
    "phase": "Phase",
    "write": "Writing",
    "talk": "Interviewer",
    "run": "Runs",
    "curveball": "Events",
    "stop": "Stops",
    "note": "Notes",
}
LABELS = {
    "save": "Saved",
    "conflict": "Two versions met",
    "question": "Question",
    "assumption": "Assumption stated",
    "confirm": "Constraints read back",
    "probe": "Interviewer probes",
    "nudge": "Interviewer watches the time",
    "closing": "Closing question",
    "focus": "Focus of the deep dive",
    "message": "Message from staff",
    "run": "Run",
    "pin": "Run pinned",
    "claim": "Claim",
    "prediction": "Prediction",
    "curveball": "Something changes",
    "recovered": "Design recovered",
    "pause": "Clock stopped",
    "resume": "Clock goes on",
    "adjust": "Time changed",
    "outage": "Outage credited",
    "reopen": "Reopened",
    "note": "Note",
    "hand": "Hand raised",
}


@dataclass(frozen=True)
class Mark:
    """One event on a track; `ms` of active time."""

    ms: int
    kind: str
    label: str

    @property
    def seconds(self) -> float:
        return self.ms / 1000


@dataclass(frozen=True)
class Span:
    """A stretch of active time in one phase."""

    key: str
    title: str
    begin_ms: int
    end_ms: int


@dataclass(frozen=True)
class Track:
    kind: Kind
    title: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Timeline:
    """`end_ms`: active time at the close; `stops_ms`: where a key press may jump to (writing left out: there is too much of it)."""

    end_ms: int
    phases: tuple[Span, ...]
    tracks: tuple[Track, ...]

    @property
    def seconds(self) -> float:
        return self.end_ms / 1000

    @property
    def marks(self) -> list[Mark]:
        """Everything but the writing, in order."""
        return sorted((mark for track in self.tracks if track.kind != "write" for mark in track.marks), key=lambda mark: mark.ms)

    @property
    def stops_ms(self) -> list[int]:
        marks = [mark.ms for track in self.tracks if track.kind != "write" for mark in track.marks]
        return sorted({0, self.end_ms, *marks, *(span.begin_ms for span in self.phases)})


@dataclass(frozen=True)
class Said:
    ms: int
    who: Literal["you", "interviewer", "staff"]
    text: str

    @property
    def seconds(self) -> float:
        return self.ms / 1000


@dataclass(frozen=True)
class Rows:
    """A list as it was, with the rows it had. `names`: what rows of other lists are called that it points to by key."""

    of: RowList
    rows: tuple[dict[str, Any], ...]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[Column]:
        """Those in which something stands."""
        return [
            column
            for column in self.of.columns
            if not column.hidden and any(row[column.name] not in (None, "", False) for row in self.rows)
        ]

    @property
    def cells(self) -> list[list[str]]:
        return [[_cell(row[column.name], column, self.names) for column in self.columns] for row in self.rows]


@dataclass(frozen=True)
class RunThen:
    """A run that had been made; `pinned` as it was then."""

    link: RunLink
    ms: int
    pinned: bool

    @property
    def seconds(self) -> float:
        return self.ms / 1000


@dataclass(frozen=True)
class Moment:
    """The attempt at `ms` of active time. `texts` holds every phase of the plan by key, "" where nothing stood yet."""

    ms: int
    clock: ClockState
    phase_titles: tuple[str, ...]
    fields: dict[str, str | None]
    texts: dict[str, str]
    lists: tuple[Rows, ...]
    talk: tuple[Said, ...]
    runs: tuple[RunThen, ...]

    @property
    def seconds(self) -> float:
        return self.ms / 1000

    @property
    def phase_title(self) -> str:
        return self.phase_titles[self.clock.phase_index] if self.clock.phase_index is not None else ""

    def rows(self, list_name: str) -> list[dict[str, Any]]:
        return [row for found in self.lists if found.of.key == list_name for row in found.rows]


def lists_in(fields: dict[str, str | None]) -> tuple[Rows, ...]:
    """The lists that have rows, from contents by field."""
    found = {name: tuple(rows_from(fields, name)) for name in LISTS}
    names = {row["key"]: str(row.get("name") or row["key"]) for rows in found.values() for row in rows}
    return tuple(Rows(LISTS[name], rows, names) for name, rows in found.items() if rows)


def _cell(value: Any, column: Column, names: Mapping[str, str]) -> str:
    if value is None or value == "" or value is False:
        return ""
    if column.kind == "kind":
        return COMPONENT_KINDS.get(value, str(value))
    if column.rows:
        return names.get(value, str(value))
    if value is True:
        return "yes"
    return f"{value:g} {column.unit}".strip() if isinstance(value, float) else str(value)


# --- the tracks ------------------------------------------------------------------------------------------------------


def timeline(attempt: Attempt) -> Timeline:
    """Everything that happened, by track. Two queries beside those of the clock."""
    events = events_of(attempt, *TRACK_OF)
    at_ms = _active_ms(attempt, [event.at for event in events])
    marks: dict[Kind, list[Mark]] = {kind: [] for kind in TITLES if kind != "phase"}
    for event, ms in zip(events, at_ms, strict=True):
        marks[TRACK_OF[event.kind]].append(Mark(ms, event.kind, LABELS[event.kind]))
    end_ms = _end_ms(attempt)
    tracks = tuple(Track(kind, TITLES[kind], tuple(found)) for kind, found in marks.items() if found)
    return Timeline(end_ms, _phases(attempt), tracks)


def _end_ms(attempt: Attempt) -> int:
    return _active_ms(attempt, [attempt.closed_at])[0] if attempt.closed_at else 0


def _active_ms(attempt: Attempt, moments: Sequence[datetime]) -> list[int]:
    return [round(seconds * 1000) for seconds in active_seconds(moments, clock_of(attempt))]


def _phases(attempt: Attempt) -> tuple[Span, ...]:
    """The stretches of each phase as the clock counts them; what took no time is left out."""
    clock = clock_of(attempt)
    visits = phase_at(clock.closed_at, clock).visits if clock.closed_at else ()
    spans = []
    for phase, group in groupby(visits, key=lambda visit: visit.phase):
        stretch = list(group)
        begin, end = round(stretch[0].begin_s * 1000), round(stretch[-1].end_s * 1000)
        if end > begin:
            spans.append(Span(attempt.phases[phase]["key"], attempt.phases[phase]["title"], begin, end))
    return tuple(spans)


# --- one moment ------------------------------------------------------------------------------------------------------


def moment_at(attempt: Attempt, ms: int) -> Moment:
    """The attempt at `ms` of active time, cut to what it lasted; at the end of it, byte for byte what stands in it."""
    end_ms = _end_ms(attempt)
    ms = min(max(0, ms), end_ms)
    fields = fields_at(attempt, ms)
    return Moment(
        ms=ms,
        clock=_clock_at(attempt, ms),
        phase_titles=tuple(phase["title"] for phase in attempt.phases),
        fields=fields,
        texts={phase["key"]: fields.get(f"text/{phase['key']}") or "" for phase in attempt.phases},
        lists=lists_in(fields),
        talk=_talk(attempt, ms),
        runs=_runs(attempt, ms),
    )


def _clock_at(attempt: Attempt, ms: int) -> ClockState:
    clock = clock_of(attempt)
    at = moment_of_active(ms / 1000, clock)
    return phase_at(at, clock)


def _talk(attempt: Attempt, ms: int) -> tuple[Said, ...]:
    kinds = [kind for kind, track in TRACK_OF.items() if track == "talk"] + ["curveball"]
    events = events_of(attempt, *kinds)
    at_ms = _active_ms(attempt, [event.at for event in events])
    return tuple(said for event, at in zip(events, at_ms, strict=True) if at <= ms for said in _said(event, at))


def _said(event: Event, ms: int) -> Iterator[Said]:
    data: Mapping[str, Any] = event.data
    if event.kind == "question":
        yield Said(ms, "you", data["text"])
        yield Said(ms, "interviewer", data["answer"])
    elif event.kind == "confirm":
        yield Said(ms, "interviewer", data["answer"])
    elif event.kind == "assumption":
        yield Said(ms, "you", " ".join(str(data[name]) for name in ("name", "value", "unit") if data.get(name)))
    elif data.get("text"):
        yield Said(ms, "staff" if event.kind == "message" else "interviewer", data["text"])


def _runs(attempt: Attempt, ms: int) -> tuple[RunThen, ...]:
    links = list(attempt.runlinks.select_related("run__result").order_by("number"))
    at_ms = _active_ms(attempt, [link.at for link in links])
    pinned = _pinned(attempt, ms)
    return tuple(RunThen(link, at, pinned.get(link.number, False)) for link, at in zip(links, at_ms, strict=True) if at <= ms)


def _pinned(attempt: Attempt, ms: int) -> dict[int, bool]:
    """{number of a run: pinned} by the last pin or unpin before `ms`."""
    events = events_of(attempt, "pin")
    at_ms = _active_ms(attempt, [event.at for event in events])
    return {event.data["number"]: bool(event.data["pinned"]) for event, at in zip(events, at_ms, strict=True) if at <= ms}
