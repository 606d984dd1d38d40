"""Notes of staff beside an interview, pinned to its active time."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.models import Note
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.selectors import state_of
from simulators.errors import InvalidInput

MAX_NOTE = 4000
MOST = 500


@transaction.atomic
def note_add(*, by: By, attempt: Attempt, text: str, now: datetime, visible_to_learner: bool = False) -> Note:
    """A note at the active time the interview has now. Raises InvalidInput for an empty or overlong text."""
    text = text.replace("\0", "").strip()
    if not 1 <= len(text) <= MAX_NOTE:
        raise InvalidInput(f"A note has 1 to {MAX_NOTE} characters; this one has {len(text)}.", field="text")
    if attempt.staff_notes.count() >= MOST:
        raise Refused("too_many", f"This interview has {MOST} notes, the most there can be.", 429)
    made = Note.objects.create(
        attempt=attempt,
        author=by.user,
        active_ms=round(state_of(attempt, now).active_s * 1000),
        text=text,
        visible_to_learner=visible_to_learner,
    )
    cohort = attempt.assigned.assignment.cohort
    after = {"attempt": str(attempt.pk), "active_ms": made.active_ms, "visible_to_learner": visible_to_learner}
    audited(by=by, action="note.add", thing=made, cohort=cohort, now=now, after=after)
    return made
