"""Marks by people: of an item, of a signal, and the candidate's own. Above 0 there must be evidence that stands in the attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.models import Attempt, Event, ItemScore, RunLink, ScoreState, SelfAssessment, SignalLevel
from mlsd_app.interviews.scoring.marks import Evidence
from mlsd_app.interviews.scoring.reading import rubric_of, sheet_of
from mlsd_app.interviews.scoring.rows import refuse_unless_over, verdict_write
from mlsd_app.interviews.scoring.sheet import Sheet
from mlsd_app.interviews.scoring.signals import signal_keys
from mlsd_app.interviews.scoring.words import tokens
from simulators.errors import InvalidInput

MAX_EVIDENCE, MAX_QUOTE, MAX_COMMENT, MAX_LEVEL = 12, 1_000, 4_000, 4


@transaction.atomic
def human_mark(
    *, attempt: Attempt, item_id: str, points: float | None, evidence: Sequence[Evidence], grader: User, comment: str = "", now: datetime
) -> ItemScore:
    """A person's mark of one item; `points` None takes the item back to "not graded" by this person.

    evidence  [{"kind", "ref", "text", "active_ms"?}]: a quote of the answer (ref `text/<phase>` or `row/<list>/<key>`), a run
              (`run/<number>`), an event (`event/<seq>`) or a row (`row/<list>/<key>`); above 0 points there must be one
    Raises InvalidInput for an unknown item, points out of range or evidence that is not in the attempt; Refused while it runs.
    """
    row = attempt_lock(attempt=attempt)
    refuse_unless_over(row)
    item = next((item for item in rubric_of(row).items if item.id == item_id), None)
    if item is None:
        raise InvalidInput(f"The rubric has no item {item_id[:80]!r}.", field="item")
    if points is not None and not 0 <= points <= item.points:
        raise InvalidInput(f"{points:g} points were given; {item_id} has 0 to {item.points}.", field="points")
    made = ItemScore.objects.create(
        attempt=row,
        item_id=item_id,
        rubric_version=row.rubric_version,
        state=ScoreState.HUMAN if points is not None else ScoreState.UNGRADED,
        points=points,
        max=item.points,
        grader=grader,
        evidence=_checked_evidence(row, evidence, needed=bool(points)),
        comment=_checked_comment(comment),
    )
    ItemScore.objects.filter(pk=made.pk).update(at=now)
    verdict_write(attempt=row, now=now)
    made.refresh_from_db()
    return made


@transaction.atomic
def human_level(
    *, attempt: Attempt, signal: str, level: int | None, evidence: Sequence[Evidence], grader: User, comment: str = "", now: datetime
) -> SignalLevel:
    """A person's level of a signal, 0 "not shown" to 4 strong; None is not judged. Evidence and errors as for `human_mark`."""
    row = attempt_lock(attempt=attempt)
    refuse_unless_over(row)
    if signal not in signal_keys(rubric_of(row)):
        raise InvalidInput(f"There is no signal {signal[:40]!r}.", field="signal")
    if level is not None and level not in range(MAX_LEVEL + 1):
        raise InvalidInput(f"Level {level} was given; levels go from 0 to {MAX_LEVEL}.", field="level")
    made = SignalLevel.objects.create(
        attempt=row,
        signal=signal,
        rubric_version=row.rubric_version,
        level=level,
        state=ScoreState.HUMAN if level is not None else ScoreState.UNGRADED,
        grader=grader,
        evidence=_checked_evidence(row, evidence, needed=bool(level)),
        comment=_checked_comment(comment),
    )
    SignalLevel.objects.filter(pk=made.pk).update(at=now)
    verdict_write(attempt=row, now=now)
    made.refresh_from_db()
    return made


@transaction.atomic
def self_assess(*, attempt: Attempt, levels: Mapping[str, int], before_reveal: bool, now: datetime) -> list[SelfAssessment]:
    """The candidate's own levels, {"signal:<key>" or "item:<id>": 0 to 4}; never part of a verdict that is stored.

    One made before the scorecard was opened stays as it was. Raises InvalidInput for a subject that does not exist.
    """
    row = attempt_lock(attempt=attempt)
    refuse_unless_over(row)
    rubric = rubric_of(row)
    known = {f"signal:{key}" for key in signal_keys(rubric)} | {f"item:{item.id}" for item in rubric.items if item.grade == "text"}
    for subject, level in levels.items():
        if subject not in known:
            raise InvalidInput(f"There is nothing to judge called {subject[:80]!r}.", field="subject")
        if level not in range(MAX_LEVEL + 1):
            raise InvalidInput(f"Level {level} was given for {subject}; levels go from 0 to {MAX_LEVEL}.", field=subject)
    fixed = (
        set(SelfAssessment.objects.filter(attempt=row, before_reveal=True).values_list("subject", flat=True))
        if not before_reveal
        else set()
    )
    for subject in levels.keys() - fixed:
        SelfAssessment.objects.update_or_create(
            attempt=row, subject=subject, defaults={"level": levels[subject], "before_reveal": before_reveal, "at": now}
        )
    return list(SelfAssessment.objects.filter(attempt=row))


def _checked_comment(comment: str) -> str:
    if len(comment) > MAX_COMMENT:
        raise InvalidInput(f"The comment has {len(comment):,} characters; at most {MAX_COMMENT:,} are kept.", field="comment")
    return comment.strip()


def _checked_evidence(attempt: Attempt, evidence: Sequence[Evidence], *, needed: bool) -> list[Evidence]:
    if needed and not evidence:
        raise InvalidInput("Above 0 there has to be evidence: a quote of the answer, a run, an event or a row.", field="evidence")
    if len(evidence) > MAX_EVIDENCE:
        raise InvalidInput(f"{len(evidence)} pieces of evidence were given; at most {MAX_EVIDENCE} are kept.", field="evidence")
    if not evidence:
        return []
    sheet = sheet_of(attempt)
    return [_found(attempt, sheet, entry) for entry in evidence]


def _found(attempt: Attempt, sheet: Sheet, entry: Evidence) -> Evidence:
    """The evidence with the time at which it came about; InvalidInput if the attempt holds no such thing."""
    kind, ref, text = (str(entry.get(name) or "") for name in ("kind", "ref", "text"))
    active_ms = _FINDERS[kind](attempt, sheet, ref, text) if kind in _FINDERS else None
    if active_ms is None:
        shown = text[:60] or ref[:60]
        raise InvalidInput(
            f"The {kind[:10] or 'evidence'} {shown!r} is not in this attempt; mark a span of the answer, or a run.", field="evidence"
        )
    return {"kind": kind, "ref": ref, "text": text[:MAX_QUOTE], "active_ms": active_ms}


def _quote_ms(attempt: Attempt, sheet: Sheet, ref: str, text: str) -> int | None:
    said = tokens(_field_text(sheet, ref))
    quoted = tokens(text)
    stands = bool(quoted) and any(said[start : start + len(quoted)] == quoted for start in range(len(said) - len(quoted) + 1))
    return sheet.saved_ms.get(ref, (0, 0))[1] if stands else None


def _field_text(sheet: Sheet, ref: str) -> str:
    if ref.startswith("text/"):
        return sheet.texts.get(ref.removeprefix("text/"), "")
    row = _row(sheet, ref)
    return " ".join(str(value) for value in row.values()) if row else ""


def _row(sheet: Sheet, ref: str) -> Mapping[str, object] | None:
    name, _, key = ref.removeprefix("row/").partition("/")
    return next((row for row in sheet.list_rows(name) if row["key"] == key), None) if ref.startswith("row/") else None


def _row_ms(attempt: Attempt, sheet: Sheet, ref: str, text: str) -> int | None:
    return sheet.saved_ms.get(ref, (0, 0))[0] if _row(sheet, ref) else None


def _run_ms(attempt: Attempt, sheet: Sheet, ref: str, text: str) -> int | None:
    number = ref.removeprefix("run/")
    found = RunLink.objects.filter(attempt=attempt, number=int(number)).first() if number.isdecimal() and len(number) < 7 else None
    return found.active_ms if found else None


def _event_ms(attempt: Attempt, sheet: Sheet, ref: str, text: str) -> int | None:
    seq = ref.removeprefix("event/")
    found = Event.objects.filter(attempt=attempt, seq=int(seq)).first() if seq.isdecimal() and len(seq) < 7 else None
    return found.active_ms if found else None


Finder = Callable[[Attempt, Sheet, str, str], int | None]
_FINDERS: Mapping[str, Finder] = {"quote": _quote_ms, "row": _row_ms, "run": _run_ms, "event": _event_ms}
