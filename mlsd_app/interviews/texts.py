"""Every version of a field: kept as one splice a save and a whole text now and then; any of them can be had again."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from mlsd_app.interviews.clock import phase_at
from mlsd_app.interviews.models import AnswerOp, Attempt
from mlsd_app.interviews.selectors import clock_of

KEYFRAME_EVERY = 25

Splice = list[Any]  # [position, characters deleted, text inserted]; inserted is None where the whole was deleted


# --- one change ------------------------------------------------------------------------------------------------------


def splice(before: str | None, after: str | None) -> Splice:
    """The one replacement that turns `before` into `after`: what they share at both ends is left out."""
    old = before or ""
    if after is None:
        return [0, len(old), None]
    start = _shared(old, after)
    end = _shared(old[start:][::-1], after[start:][::-1])
    return [start, len(old) - start - end, after[start : len(after) - end]]


def _shared(first: str, second: str) -> int:
    """Characters at the start that are the same, found by halving: comparing slices is far quicker than a loop."""
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[low:middle] == second[low:middle] else (low, middle - 1)
    return low


def spliced(before: str | None, change: Splice) -> str | None:
    """The text after `change`."""
    start, deleted, inserted = change
    old = before or ""
    return None if inserted is None else old[:start] + inserted + old[start + deleted :]


def stored_change(*, before: str | None, after: str | None, rev: int, new_phase: bool) -> dict[str, Any]:
    """The columns of an AnswerOp that hold revision `rev`: a keyframe every KEYFRAME_EVERY and in a new phase, otherwise a splice."""
    if after is not None and (rev % KEYFRAME_EVERY == 1 or new_phase):
        return {"keyframe": after}
    return {"splice": splice(before, after)}


def _after(before: str | None, op: AnswerOp) -> str | None:
    return op.keyframe if op.splice is None else spliced(before, op.splice)


# --- versions of a field ---------------------------------------------------------------------------------------------


def ops_of(attempt: Attempt, field: str) -> QuerySet[AnswerOp]:
    return AnswerOp.objects.filter(attempt=attempt, field=field)


def text_at_rev(attempt: Attempt, field: str, rev: int) -> str | None:
    """What the field held at revision `rev`; None where it did not exist or was deleted."""
    upto = ops_of(attempt, field).filter(rev__lte=rev)
    start = upto.filter(keyframe__isnull=False).order_by("-rev").values_list("rev", flat=True).first()
    text: str | None = None
    for op in upto.filter(rev__gte=start or 0).order_by("rev"):
        text = _after(text, op)
    return text


def version_text(op: AnswerOp) -> str | None:
    """What one write said, whether it became the text or lost."""
    return text_at_rev(op.attempt, op.field, op.rev) if op.rev else op.keyframe


@dataclass(frozen=True)
class Version:
    """A line of a field's history. `rev` is None for one that lost. `characters` is None where the field was deleted."""

    id: int
    rev: int | None
    kind: str
    at: datetime
    active_ms: int
    characters: int | None
    client_label: str


def history(attempt: Attempt, field: str) -> list[Version]:
    """Every version there ever was, newest first, without the texts. Writes that changed nothing are no versions."""
    versions: list[Version] = []
    length: int | None = None
    for op in ops_of(attempt, field).order_by("pk"):
        if op.rev is not None:
            length = _length_after(length, op)
            versions.append(_version(op, length))
        elif op.kind != "save":
            versions.append(_version(op, None if op.keyframe is None else len(op.keyframe)))
    return versions[::-1]


def _length_after(before: int | None, op: AnswerOp) -> int | None:
    if op.splice is None:
        return None if op.keyframe is None else len(op.keyframe)
    _, deleted, inserted = op.splice
    return None if inserted is None else (before or 0) - deleted + len(inserted)


def _version(op: AnswerOp, characters: int | None) -> Version:
    return Version(op.pk, op.rev, op.kind, op.at, op.active_ms, characters, op.client_label)


# --- an attempt at a moment ------------------------------------------------------------------------------------------


def fields_at(attempt: Attempt, active_ms: int) -> dict[str, str | None]:
    """Every field as it stood at that active time; at the end of the attempt that is what stands in it.

    A credited outage can lie before writes that are already stored, so their time is read off the clock as it is now.
    """
    ops = list(AnswerOp.objects.filter(attempt=attempt, rev__isnull=False).order_by("at", "pk"))
    clock = clock_of(attempt)
    seen = bisect_right(ops, active_ms, key=lambda op: round(phase_at(op.at, clock).active_s * 1000))
    return _folded(ops[:seen])


def _folded(ops: Sequence[AnswerOp]) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for op in _by_revision(ops):
        texts[op.field] = _after(texts.get(op.field), op)
    return texts


def _by_revision(ops: Iterable[AnswerOp]) -> list[AnswerOp]:
    return sorted(ops, key=lambda op: op.rev or 0)
