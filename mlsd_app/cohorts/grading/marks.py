"""What a grader types and hands in. Typed marks are kept first, whatever becomes of them then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import transaction
from django.db.models import F
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.grading.anonymous import Mask
from mlsd_app.cohorts.grading.queue import lease_lost, task_renew
from mlsd_app.cohorts.grading.sections import is_answer, subjects_in
from mlsd_app.cohorts.models import Assignment, Comment, Task, TaskDraft
from mlsd_app.interviews.answers import counted
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring import human_level, human_mark
from mlsd_app.interviews.scoring.people import MAX_COMMENT, MAX_EVIDENCE, MAX_LEVEL, MAX_QUOTE
from mlsd_app.interviews.scoring.reading import rubric_of
from simulators.errors import InvalidInput

NOT_JUDGED = "none"  # the level that says: this cannot be judged
MOST_SUBJECTS = 120
MOST_BYTES = 100_000
MOST_COMMENTS = 50  # kept for use again, of one point
LONGEST_COMMENT = 500
NUL = "\\u0000"  # as JSON writes it; PostgreSQL stores none
ANSWER_SUBJECT = "answer"  # the one subject of a quiz's free answer


class EvidenceGiven(BaseModel):
    model_config = ConfigDict(extra="ignore")

    kind: Literal["quote", "run", "row", "event"]
    ref: str = Field(max_length=160)
    text: str = Field("", max_length=MAX_QUOTE)


class MarkGiven(BaseModel):
    """`level` 0 to 4, each a quarter of the points; "none" cannot be judged; None not said yet. `keep` offers the comment again."""

    model_config = ConfigDict(extra="ignore")

    level: Literal[0, 1, 2, 3, 4, "none"] | None = None
    evidence: list[EvidenceGiven] = Field(default=[], max_length=MAX_EVIDENCE)
    comment: str = Field("", max_length=MAX_COMMENT)
    keep: bool = False


Marks = Mapping[str, MarkGiven]  # by subject
_ADAPTER = TypeAdapter(dict[str, MarkGiven])


def marks_checked(given: object) -> dict[str, MarkGiven]:
    """Raises InvalidInput, with the subject as field, for what is no mark."""
    if not isinstance(given, Mapping) or len(given) > MOST_SUBJECTS or len(json.dumps(given)) > MOST_BYTES:
        raise InvalidInput(f"Marks are at most {MOST_SUBJECTS} points by their name, and {MOST_BYTES:,} characters in all.", field="marks")
    if NUL in json.dumps(given):
        raise InvalidInput("The marks have a NUL character, which cannot be kept.", field="marks")
    try:
        return _ADAPTER.validate_python({str(key): value for key, value in given.items()})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = [str(part) for part in first["loc"]]
        raise InvalidInput(f"{where[0]}: {'.'.join(where[1:])} {first['msg'].lower()}.", field=where[0]) from error


# --- drafts ----------------------------------------------------------------------------------------------------------


def draft_save(*, user: User, task: Task, marks: Marks, now: datetime) -> TaskDraft:
    """Keeps what was typed, whoever has the piece by now, then renews the lease; Refused `lease_lost` (409) if that is gone."""
    dump = {key: mark.model_dump(mode="json") for key, mark in marks.items()}
    draft, _ = TaskDraft.objects.update_or_create(task=task, grader=user, defaults={"marks": dump})
    task_renew(user=user, task=task, now=now)
    return draft


def draft_of(*, user: User, task: Task) -> dict[str, MarkGiven]:
    found = TaskDraft.objects.filter(task=task, grader=user).first()
    return _ADAPTER.validate_python(found.marks) if found else {}


# --- handing in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submission:
    """`rubric_version` is the one the page showed; None for a quiz's answer."""

    marks: Marks
    rubric_version: int | None = None


def task_submit(*, by: By, task: Task, given: Submission, now: datetime) -> Task:
    """The marks become those of the interview and the piece is graded. All or nothing; either way they are kept as a draft before.

    Refused `lease_lost` or `rubric_changed` (409). InvalidInput, with the subject as field, where a point that only a person can judge
    has no level, or a level above 0 no evidence.
    """
    draft_save(user=by.user, task=task, marks=given.marks, now=now)
    with transaction.atomic():
        row = Task.objects.select_for_update(of=("self",)).select_related("assigned__assignment__cohort").get(pk=task.pk)
        if row.state != "in_progress" or row.lease_user_id != by.user.pk:
            raise lease_lost(row)
        _marks_write(row, given, by.user, now)
        _comments_keep(row, given.marks, by.user)
        row.state, row.graded_by, row.graded_at = "graded", by.user, now
        row.lease_user = row.lease_until = row.tagged_to = None
        row.save()
        TaskDraft.objects.filter(task=row, grader=by.user).delete()
        levels = {key: mark.level for key, mark in given.marks.items() if mark.level is not None}
        audited(by=by, action="task.grade", thing=row, cohort=row.assigned.assignment.cohort, now=now, after={"levels": levels})
    return row


def _marks_write(task: Task, given: Submission, grader: User, now: datetime) -> None:
    if is_answer(task):
        return _answer_mark(task, given.marks)
    attempt = task.assigned.attempt
    assert attempt is not None
    if given.rubric_version != attempt.rubric_version:
        words = "The rubric was changed while you were grading. Your marks are kept; look at what is new and hand in again."
        raise Refused("rubric_changed", words, 409, {"rubric_version": attempt.rubric_version})
    marks = _complete(attempt, task.section, given.marks)
    mask = Mask.of(task.assigned.assignment.cohort, attempt.problem)
    for subject, mark in marks.items():
        _mark_write(attempt, subject, mark, grader, mask, now)


def _complete(attempt: Attempt, section: str, marks: Marks) -> dict[str, MarkGiven]:
    """The marks that say something, after a look at what is missing or does not belong."""
    subjects = subjects_in(attempt, section)
    if strange := [key for key in marks if key not in subjects.all]:
        raise InvalidInput(f"{strange[0][:80]!r} is not judged in this piece.", field=strange[0])
    said = {key: mark for key, mark in marks.items() if mark.level is not None}
    if missing := [key for key in subjects.required if key not in said]:
        how_many = "1 point has" if len(missing) == 1 else f"{len(missing)} points have"
        raise InvalidInput(f"{how_many} no level yet; choose one, or say that it cannot be judged.", field=missing[0])
    for key, mark in said.items():
        if isinstance(mark.level, int) and mark.level > 0 and not mark.evidence:
            raise InvalidInput("A level above 0 needs evidence: mark a passage, a row or a run, and press E.", field=key)
    return said


def _mark_write(attempt: Attempt, subject: str, mark: MarkGiven, grader: User, mask: Mask, now: datetime) -> None:
    kind, _, key = subject.partition(":")
    level = mark.level if isinstance(mark.level, int) else None
    common: dict[str, Any] = {
        "attempt": attempt,
        "evidence": [_unmasked(attempt, entry, mask) for entry in mark.evidence],
        "grader": grader,
        "comment": mark.comment,
        "now": now,
    }
    try:
        if kind == "signal":
            human_level(signal=key, level=level, **common)
        else:
            human_mark(item_id=key, points=points_of(attempt, key, level), **common)
    except InvalidInput as error:
        raise InvalidInput(error.message, field=subject) from error


def points_of(attempt: Attempt, item_id: str, level: int | None) -> float | None:
    item = next(item for item in rubric_of(attempt).items if item.id == item_id)
    return None if level is None else item.points * level / MAX_LEVEL


def level_of(points: float | None, most: float) -> int | None:
    """The nearest level; marks by rule may lie between two."""
    return None if points is None else round(MAX_LEVEL * points / most)


def _unmasked(attempt: Attempt, entry: EvidenceGiven, mask: Mask) -> dict[str, Any]:
    """A quote as the answer has it: the grader saw names taken out."""
    text = entry.text
    if entry.kind == "quote":
        source = counted(attempt, entry.ref).get(entry.ref) or ""
        text = mask.original(entry.text, source)
    return {"kind": entry.kind, "ref": entry.ref, "text": text}


def _answer_mark(task: Task, marks: Marks) -> None:
    mark = marks.get(ANSWER_SUBJECT)
    if mark is None or mark.level is None or set(marks) != {ANSWER_SUBJECT}:
        raise InvalidInput("The answer has no level yet; choose one, or say that it cannot be judged.", field=ANSWER_SUBJECT)
    task.mark = mark.level / MAX_LEVEL if isinstance(mark.level, int) else None
    task.comment = mark.comment.strip()


# --- comments for use again --------------------------------------------------------------------------------------------


def comment_subject(task: Task, subject: str) -> str:
    return task.section if is_answer(task) else subject


def comments_for(assignment: Assignment) -> dict[str, list[str]]:
    """{subject: comments}, those used most first."""
    found: dict[str, list[str]] = {}
    for row in Comment.objects.filter(assignment=assignment):
        found.setdefault(row.item_id, []).append(row.text)
    return found


def _comments_keep(task: Task, marks: Marks, author: User) -> None:
    assignment = task.assigned.assignment
    for subject, mark in marks.items():
        text, item = mark.comment.strip(), comment_subject(task, subject)
        if not text or len(text) > LONGEST_COMMENT:
            continue
        rows = Comment.objects.filter(assignment=assignment, item_id=item)
        if rows.filter(text=text).update(uses=F("uses") + 1) == 0 and mark.keep and rows.count() < MOST_COMMENTS:
            Comment.objects.create(assignment=assignment, item_id=item, author=author, text=text, uses=1)
