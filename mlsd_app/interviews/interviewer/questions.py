"""The ask box: a question is answered from the facts, and only from those it asks for. Reading the constraints back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import transaction

from mlsd_app.interviews.answers import rows_of
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.interviewer import facts
from mlsd_app.interviews.interviewer.constraints import ReadBack, read_back
from mlsd_app.interviews.interviewer.matcher import MAX_QUESTION, match
from mlsd_app.interviews.interviewer.record import interviewer_of, values_of
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.interviews.refusals import LOCKED, Refused, refuse_unless_open
from mlsd_app.interviews.selectors import state_of
from problems.interview_schema import HiddenFact
from simulators.errors import InvalidInput

QUESTIONS_A_MINUTE = 20
MISS = "That is yours to decide. State an assumption and go on."
TOO_MANY = "One at a time, please. Which do you want to know first?"
NOTHING_TO_READ = "There is nothing in your constraints yet. Add a row with a name, a value and a unit."


@dataclass(frozen=True)
class Said:
    """What was told of one fact, and the row of the constraints that would hold it."""

    fact: str
    text: str
    row: dict[str, str]


@dataclass(frozen=True)
class Answered:
    kind: Literal["answered", "miss", "too_many"]
    text: str
    said: tuple[Said, ...]
    event: Event


@dataclass(frozen=True)
class Confirmed:
    text: str
    rows: tuple[ReadBack, ...]
    event: Event


def question_ask(*, attempt: Attempt, text: str, now: datetime) -> Answered:
    """Answers one question and keeps it.

    InvalidInput for an empty or overlong one; Refused in a pause and after the end (423), and above 20 a minute (429).
    """
    text = text.replace("\0", "").strip()
    if not 1 <= len(text) <= MAX_QUESTION:
        raise InvalidInput(f"A question has 1 to {MAX_QUESTION} characters; this one has {len(text)}.", field="text")
    with transaction.atomic():
        row = _listening(attempt, now)
        known = interviewer_of(row).facts
        heard = match(text, known)
        said = tuple(_said(fact, values_of(row)) for fact in known if fact.id in heard.facts)
        reply = {"miss": MISS, "too_many": TOO_MANY}.get(heard.kind) or " ".join(part.text for part in said)
        data = {
            "text": text,
            "facts": [part.fact for part in said],
            "kind": heard.kind,
            "answer": reply,
            "rows": [part.row for part in said],
        }
        event = event_add(attempt=row, kind="question", now=now, actor=row.user, data=data)
    return Answered(heard.kind, reply, said, event)


def _said(fact: HiddenFact, values: dict[str, float]) -> Said:
    value = values.get(fact.id)
    told = facts.answer_text(fact, value)
    row = {"name": facts.spoken_name(fact), "value": told[:200] if value is None else facts.value_text(value, fact.unit)}
    return Said(fact.id, told, {**row, "unit": "" if row["value"].endswith("%") else fact.unit, "source": "asked", "fact": fact.id})


def _listening(attempt: Attempt, now: datetime) -> Attempt:
    """The locked row of an attempt whose interviewer answers now."""
    row = attempt_lock(attempt=attempt)
    refuse_unless_open(row)
    state = state_of(row, now).state
    if state == "paused":
        raise Refused("paused", "The interview is paused; resume it to go on.", LOCKED)
    if state not in ("running", "overtime"):
        raise Refused("closed", "The time is up; the interviewer answers no more.", LOCKED)
    recent = row.events.filter(kind__in=["question", "confirm", "assumption"], at__gt=now - timedelta(minutes=1)).count()
    if recent >= QUESTIONS_A_MINUTE:
        raise Refused("too_many_questions", f"You have asked {QUESTIONS_A_MINUTE} times within a minute. Wait a moment.", 429)
    return row


def constraints_confirm(*, attempt: Attempt, now: datetime) -> Confirmed:
    """The interviewer reads the constraints back: right rows are confirmed, wrong ones corrected, the rest left open. Refused as above."""
    with transaction.atomic():
        row = _listening(attempt, now)
        found = read_back(rows_of(row, "constraints"), interviewer_of(row), values_of(row))
        text = _read_aloud(found)
        told = {how: [{"row": back.row, "fact": back.fact} for back in found if back.how == how] for how in ("confirmed", "corrected")}
        left = [back.row for back in found if back.how == "open"]
        event = event_add(attempt=row, kind="confirm", now=now, actor=row.user, data={**told, "open": left, "answer": text})
    return Confirmed(text, tuple(found), event)


def _read_aloud(found: list[ReadBack]) -> str:
    if not found:
        return NOTHING_TO_READ
    left = sum(back.how == "open" for back in found)
    last = {0: [], 1: ["The other one is yours to decide." if len(found) > 1 else "That is yours to decide."]}
    return " ".join([*(back.text for back in found if back.text), *last.get(left, [f"The other {left} are yours to decide."])])


def assumption_note(*, attempt: Attempt, row: dict[str, Any], now: datetime) -> Event:
    """That the candidate decided something that the interviewer had left open. Refused as a question is."""
    with transaction.atomic():
        locked = _listening(attempt, now)
        return event_add(attempt=locked, kind="assumption", now=now, actor=locked.user, data=row)
