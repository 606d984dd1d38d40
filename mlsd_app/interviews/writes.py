"""One write on its way into an attempt: what was sent, what it met, and how it is kept and answered."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlsd_app.interviews.clock import Clock, ClockState, phase_at
from mlsd_app.interviews.events import attempt_lock
from mlsd_app.interviews.fields import Field, field_of
from mlsd_app.interviews.leases import Sender
from mlsd_app.interviews.lifecycle import clock_block
from mlsd_app.interviews.lists import InvalidRow, TooLarge
from mlsd_app.interviews.models import Answer, AnswerOp, Attempt
from mlsd_app.interviews.selectors import clock_of
from simulators.errors import InvalidInput

MAX_SET_ASIDE = 1_000  # writes of an attempt that did not become the text, which are kept whole

SENTENCES = {
    "conflict": "Another version of this text was saved in between. Yours is kept in its history.",
    "closed": "The interview is over.",
    "op_id_reused": "This op_id was used for another write; each write needs its own.",
    "phase_frozen": "This phase is over, and in strict mode its text stays as it was.",
    "paused": "The interview is paused; nothing can be changed until it goes on.",
    "lease_lost": "The interview is being written in another tab or on another device.",
    "not_started": "The interview has not begun.",
    "too_many": "This interview holds no more writes.",
}


@dataclass(frozen=True)
class Reply:
    """`status` is an HTTP status; the body is plain JSON."""

    status: int
    body: dict[str, Any]


@dataclass
class Write:
    """What was sent, and the attempt, locked, and the clock it met."""

    row: Attempt
    clock: Clock
    state: ClockState
    field: Field
    content: str | None
    base_rev: int
    op_id: str
    sender: Sender
    now: datetime
    digest: str
    kind: str
    after: str = ""

    def answer(self) -> Answer:
        found = Answer.objects.filter(attempt=self.row, field=self.field.name).first()
        return found or Answer(attempt=self.row, field=self.field.name, updated_at=self.now)

    def phase_index_at(self, at: datetime) -> int | None:
        return phase_at(at, self.clock).phase_index

    def reply(self, status: int, code: str = "", **body: Any) -> Reply:
        words = {"type": "about:blank", "code": code, "detail": SENTENCES[code]} if code else {}
        return Reply(status, {**words, **body, "clock": clock_block(self.row, self.state)})

    def refuse(self, error: InvalidInput) -> Reply:
        """Nothing of it is kept: the page that sent it keeps it, with the sentence beside it."""
        fields = error.errors if isinstance(error, InvalidRow) else {error.field or "": error.message}
        too_large = isinstance(error, TooLarge)
        words = {"type": "about:blank", "code": "too_large" if too_large else "invalid", "detail": error.message, "fields": fields}
        return Reply(413 if too_large else 422, {**words, "clock": clock_block(self.row, self.state)})

    def keep(
        self, *, kind: str, code: int, reply: dict[str, Any], at: datetime | None = None, rev: int | None = None, **stored: Any
    ) -> None:
        AnswerOp.objects.create(
            attempt=self.row,
            field=self.field.name,
            op_id=self.op_id,
            client_id=self.sender.client_id,
            client_label=self.sender.label,
            after=self.after,
            base_rev=self.base_rev,
            rev=rev,
            code=code,
            reply=reply,
            digest=self.digest,
            kind=kind,
            at=at or self.now,
            active_ms=round(self.state.active_s * 1000),
            **stored,
        )

    def set_aside(self, kind: str, status: int, code: str, **body: Any) -> Reply:
        """Keeps the whole of what was sent, then says why it did not become the text."""
        if AnswerOp.objects.filter(attempt=self.row, rev=None, keyframe__isnull=False).count() >= MAX_SET_ASIDE:
            return self.reply(429, "too_many")
        self.keep(kind=kind, code=status, reply={"code": code, **body}, keyframe=self.content)
        return self.reply(status, code, **body)


def write_begin(
    *,
    attempt: Attempt,
    field: str,
    content: str | None,
    base_rev: int,
    op_id: str,
    sender: Sender,
    now: datetime,
    kind: str,
    after: str = "",
) -> Write:
    """Locks the attempt, inside the caller's transaction. Raises UnknownField."""
    found = field_of(attempt, field)
    row = attempt_lock(attempt=attempt)
    clock = clock_of(row)
    digest = hashlib.sha256(json.dumps([kind, field, base_rev, content]).encode()).hexdigest()
    return Write(row, clock, phase_at(now, clock), found, content, base_rev, op_id, sender, now, digest, kind, after)
