"""Where the time and the words went: planned against actual, what came first when, and sentences that know no exception."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from mlsd_app.interviews.answers import counted, rows_from
from mlsd_app.interviews.clock import Clock, ClockState, active_seconds
from mlsd_app.interviews.lists import LISTS, row_values
from mlsd_app.interviews.models import AnswerOp, Attempt
from mlsd_app.interviews.scoring.scorecard import TAG_TITLES
from mlsd_app.interviews.scoring.sentences import split
from mlsd_app.interviews.scoring.sheet import PROSE
from mlsd_app.interviews.selectors import clock_of, events_of, phase_of_tag, state_of

MAX_ABSOLUTES = 12
_ABSOLUTE = re.compile(r"\b(always|never|solves?|guarante(?:es?|ed)|impossible|perfect(?:ly)?|no downside|in all cases|every case)\b", re.I)
_COST = re.compile(
    r"\b(but|unless|except|although|though|however|at the (?:price|cost|expense)|costs?|price|pays?|trades?|instead|slower|downside"
    r"|until|if|only when|more (?:memory|time|latency|money|bytes))\b",
    re.I,
)

# What came first: title, then the fields or events that show it.
FIRSTS = (
    ("Clarifying question", "event/question"),
    ("Number", "row/numbers/"),
    ("Component", "row/components/"),
    ("Metric named", "row/alarms/"),
    ("Failure mode", "row/gotchas/"),
    ("Run of a lab", "event/run"),
    ("Run pinned", "event/pin"),
    ("Closing answer", "row/more_time/"),
)


@dataclass(frozen=True)
class Bar:
    """One phase; seconds are of active time, `planned_s` with everything that was granted. `word_share` is of all words written."""

    key: str
    title: str
    planned_s: float
    actual_s: float
    words: int
    word_share: float

    @property
    def over_s(self) -> float:
        """Above the plan; negative below."""
        return self.actual_s - self.planned_s


@dataclass(frozen=True)
class First:
    """When something was first there; `ms` None: never."""

    title: str
    ms: int | None
    phase: str = ""

    @property
    def seconds(self) -> float:
        return (self.ms or 0) / 1000


@dataclass(frozen=True)
class Advice:
    """A rule of thumb about words, and whether this interview kept it."""

    text: str
    kept: bool


@dataclass(frozen=True)
class Absolute:
    """A sentence without exception or cost, `word` is what makes it one."""

    text: str
    word: str
    phase: str


@dataclass(frozen=True)
class Pacing:
    """`limit_s` 0: no limit. `debt_s`: what phases had taken from later ones when the clock stopped."""

    bars: tuple[Bar, ...]
    firsts: tuple[First, ...]
    advice: tuple[Advice, ...]
    absolutes: tuple[Absolute, ...]
    active_s: float
    limit_s: float
    debt_s: float

    @property
    def words(self) -> int:
        return sum(bar.words for bar in self.bars)


def pacing_of(attempt: Attempt) -> Pacing:
    clock, kept = clock_of(attempt), counted(attempt)
    state = state_of(attempt, attempt.closed_at or attempt.created_at)
    bars = tuple(_bars(attempt, clock, state, kept))
    return Pacing(
        bars=bars,
        firsts=tuple(_firsts(attempt, clock, state)),
        advice=tuple(_advice(attempt, bars)),
        absolutes=tuple(absolutes(attempt, kept))[:MAX_ABSOLUTES],
        active_s=state.active_s,
        limit_s=0.0 if attempt.mode == "free" else state.limit_s,
        debt_s=state.debt_s,
    )


# --- time and words --------------------------------------------------------------------------------------------------


def _bars(attempt: Attempt, clock: Clock, state: ClockState, kept: Mapping[str, str | None]) -> Iterator[Bar]:
    words = words_by_phase(attempt, kept)
    total = max(1, sum(words.values()))
    for phase, planned, spent in zip(attempt.phases, clock.budgets_s, state.phase_spent_s, strict=True):
        count = words[phase["key"]]
        yield Bar(phase["key"], phase["title"], planned, spent, count, count / total)


def words_by_phase(attempt: Attempt, kept: Mapping[str, str | None]) -> dict[str, int]:
    """{phase: words of its text and of the rows of its lists}; a list that stands in two phases counts in the first."""
    found = {phase["key"]: 0 for phase in attempt.phases}
    for name, content in kept.items():
        phase = phase_of_field(attempt, name)
        if phase in found:
            found[phase] += _words(name, content)
    return found


def _words(name: str, content: str | None) -> int:
    """Words a person wrote: of a row, those in its cells for words; what was picked from a list is no writing."""
    if not content or name.startswith("text/"):
        return len((content or "").split())
    found = LISTS[name.split("/")[1]]
    row = row_values(found.key, content)
    return sum(len(str(row[column.name]).split()) for column in found.columns if column.kind in ("text", "words") and not column.hidden)


def phase_of_field(attempt: Attempt, name: str) -> str:
    """The key of the phase in which a field stands; "" where the plan has none for it."""
    kind, _, rest = name.partition("/")
    if kind == "text":
        return rest
    phase = phase_of_tag(attempt, LISTS[rest.partition("/")[0]].tags[0])
    return str(phase["key"]) if phase else ""


def _advice(attempt: Attempt, bars: tuple[Bar, ...]) -> Iterator[Advice]:
    """Little in clarify, most in the deep dive; nothing to say of an empty page."""
    by_key = {bar.key: bar for bar in bars}
    clarify, dive = (phase_of_tag(attempt, tag) for tag in ("clarify", "deep_dive"))
    if not any(bar.words for bar in bars):
        return
    if clarify:
        share = by_key[clarify["key"]].word_share
        yield Advice(f"Few words in {clarify['title']}: {share * 100:.0f} % of yours.", share <= 1 / len(bars))
    if dive:
        most = max(bars, key=lambda bar: bar.words)
        share = by_key[dive["key"]].word_share
        there = "" if most.key == dive["key"] else f"; {most.title} has {most.word_share * 100:.0f} %"
        yield Advice(f"Most words in {dive['title']}: {share * 100:.0f} % of yours{there}.", most.key == dive["key"])


# --- what came first -------------------------------------------------------------------------------------------------


def _firsts(attempt: Attempt, clock: Clock, state: ClockState) -> Iterator[First]:
    begun = {**_first_saves(attempt), **_first_events(attempt)}
    at = {ref: begun[ref] for _, ref in FIRSTS if ref in begun}
    seconds = dict(zip(at, active_seconds(list(at.values()), clock), strict=True))
    for title, ref in FIRSTS:
        if ref in seconds:
            yield First(title, round(seconds[ref] * 1000), _phase_at(attempt, state, seconds[ref]))
        else:
            yield First(title, None)


def _first_saves(attempt: Attempt) -> dict[str, datetime]:
    """{beginning of a row's name: when the first such row was saved}."""
    saved = AnswerOp.objects.filter(attempt=attempt, field__startswith="row/", rev__isnull=False).order_by("-pk")
    return {f"row/{field.split('/')[1]}/": at for field, at in saved.values_list("field", "at")}


def _first_events(attempt: Attempt) -> dict[str, datetime]:
    own = [event for event in events_of(attempt, "question", "run", "pin") if event.data.get("by") != "interviewer"]
    return {f"event/{event.kind}": event.at for event in reversed(own)}


def _phase_at(attempt: Attempt, state: ClockState, seconds: float) -> str:
    here = next((visit.phase for visit in state.visits if visit.begin_s <= seconds < visit.end_s), None)
    return "" if here is None else str(attempt.phases[here]["title"])


# --- words -----------------------------------------------------------------------------------------------------------


def absolutes(attempt: Attempt, kept: Mapping[str, str | None]) -> Iterator[Absolute]:
    """Sentences that say always, never, solves, and name neither a cost nor an exception."""
    titles = {phase["key"]: str(phase["title"]) for phase in attempt.phases}
    for phase, text in _prose(attempt, kept):
        for sentence in split(text):
            found = _ABSOLUTE.search(sentence)
            if found and not _COST.search(sentence):
                yield Absolute(sentence[:300], found[0].lower(), titles.get(phase, TAG_TITLES.get(phase, "")))


def _prose(attempt: Attempt, kept: Mapping[str, str | None]) -> Iterable[tuple[str, str]]:
    for phase in attempt.phases:
        yield phase["key"], kept.get(f"text/{phase['key']}") or ""
    for name, cells in PROSE.items():
        for row in rows_from(dict(kept), name):
            yield phase_of_field(attempt, f"row/{name}/{row['key']}"), ". ".join(str(row.get(cell) or "") for cell in cells)
