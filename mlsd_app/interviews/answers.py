"""The autosave protocol: one write of one field, answered so that nothing typed is ever lost.

A write says on which revision it was made (`base_rev`) and has a name of its own (`op_id`): sent twice it counts once and is answered
the same. One that cannot become the text, because another came first, the phase is over or the tab has lost its lease, is kept in the
field's history before it is refused.

    200 {rev, current_rev, saved_at, lease_epoch}        stored; current_rev > rev: the field has changed since. A row: `content` too
    409 conflict {rev, content, saved_at, client_label}  another version stands there; the one sent is in the history
    410 closed {stored}                                  the attempt is over; stored: kept as late text, for up to 7 days
    413 too_large, 422 invalid | op_id_reused {fields}   nothing is kept here; the page keeps it
    423 phase_frozen | paused | lease_lost | not_started {stored}
    429 too_many                                         more writes than an attempt holds
Every body carries `clock`; all but 200 also `code` and `detail`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Length

from mlsd_app.interviews.clock import ClockState
from mlsd_app.interviews.events import event_add
from mlsd_app.interviews.leases import Sender, lease_use
from mlsd_app.interviews.lists import MAX_ATTEMPT_CHARACTERS, MAX_ROWS, TooLarge, row_values
from mlsd_app.interviews.models import Answer, AnswerOp, Attempt, Status
from mlsd_app.interviews.selectors import is_fetched
from mlsd_app.interviews.texts import ops_of, stored_change, text_at_rev, version_text
from mlsd_app.interviews.writes import SENTENCES, Reply, Write, write_begin
from simulators.errors import InvalidInput

LATE_FOR = timedelta(days=7)
MAX_OPS = 10_000  # writes an attempt holds; 45 minutes of typing without rest in five fields make some 1,500


# --- saving ----------------------------------------------------------------------------------------------------------


def answer_save(
    *,
    attempt: Attempt,
    field: str,
    content: str | None,
    base_rev: int,
    op_id: str,
    client_id: str,
    client_label: str,
    lease_epoch: int | None,
    now: datetime,
    after: str = "",
) -> Reply:
    """Saves a field; the module's docstring has the replies. Raises UnknownField.

    content      None deletes a row
    lease_epoch  None for a program that never opened a page
    after        op_id of a write of the same tab whose answer had not come when this one was made, with the same base_rev: a page that
                 goes away sends what it shows without waiting. If that write is what stands there, this one follows it; if it comes
                 later than this one, it is only kept.
    """
    sender = Sender(client_id, client_label)
    with transaction.atomic():
        write = write_begin(
            attempt=attempt, field=field, content=content, base_rev=base_rev, op_id=op_id, sender=sender, now=now, kind="save", after=after
        )
        return _saved(write, lease_epoch)


def _saved(write: Write, lease_epoch: int | None) -> Reply:
    if again := _answered_before(write):
        return again
    try:
        write.content = write.field.stored(write.content)
    except InvalidInput as error:
        return write.refuse(error)
    if refusal := _closed(write) or _locked(write, lease_epoch):
        return refusal
    answer = write.answer()
    if write.content != answer.content and (_replaced(write) or not _fits(write, answer)):
        return _conflict(write, answer)
    return _over_limits(write, answer) or _stored(write, answer)


def _answered_before(write: Write) -> Reply | None:
    """The same reply for the same write; the clock in it is that of now."""
    op = AnswerOp.objects.filter(attempt=write.row, op_id=write.op_id).first()
    if op is None:
        return None
    if op.digest != write.digest:
        return write.reply(422, "op_id_reused", fields={"op_id": SENTENCES["op_id_reused"]})
    body = dict(op.reply)
    code = body.pop("code", "")
    if op.code == 409:
        body["content"] = text_at_rev(write.row, op.field, body["rev"])
    if op.code == 200 and "rev" in body:
        body |= {**_row_content(write, text_at_rev(write.row, op.field, body["rev"])), **_now(write, write.answer())}
    return write.reply(op.code, code, **body)


# --- when it may be written --------------------------------------------------------------------------------------------


def _closed(write: Write) -> Reply | None:
    """410 once the attempt is over: kept as late text for a week, unless it is void."""
    row, now = write.row, write.now
    if row.status in (Status.READY, Status.OPEN) and write.state.state != "closed":
        return None
    closed_at = row.closed_at or write.state.hard_close
    if row.status == Status.VOID or row.started_at is None or closed_at is None or now > closed_at + LATE_FOR:
        return write.reply(410, "closed", stored=False)
    reply = write.set_aside("late", 410, "closed", stored=True)
    if reply.status == 410:
        _put_late(write)
    return reply


def _put_late(write: Write) -> None:
    """Beside the text, which stays as it was at the close."""
    answer = write.answer()
    answer.late_content = write.content or ""
    if answer.pk is None:
        answer.late = "late"
    answer.save()


def _locked(write: Write, lease_epoch: int | None) -> Reply | None:
    """423 with the content kept: in a tab without the lease, in a pause, in a phase that is over. Before the start nothing is kept."""
    row, state = write.row, write.state
    if row.status == Status.READY:
        return write.reply(423, "not_started", stored=False)
    lease = lease_use(row=row, sender=write.sender, epoch=lease_epoch, now=write.now)
    if not lease.held:
        return write.set_aside("conflict", 423, "lease_lost", stored=True, client_label=lease.label)
    if not write.field.phases & state.writable:
        return write.set_aside("conflict", 423, "paused" if state.state == "paused" else "phase_frozen", stored=True)
    return None


# --- what becomes of it --------------------------------------------------------------------------------------------------


def _fits(write: Write, answer: Answer) -> bool:
    """Whether it was made on what stands there, or after the write of the same tab, on the same base, that stands there."""
    if write.base_rev == answer.rev:
        return True
    made = ops_of(write.row, answer.field).filter(rev=answer.rev, client_id=write.sender.client_id, base_rev=write.base_rev)
    return bool(write.after) and made.filter(op_id=write.after).exists()


def _replaced(write: Write) -> bool:
    """Whether its tab has sent another in its place, which was quicker."""
    return ops_of(write.row, write.field.name).filter(after=write.op_id, client_id=write.sender.client_id).exists()


def _conflict(write: Write, answer: Answer) -> Reply:
    """The loser is stored first, then the winner is shown."""
    label = ops_of(write.row, answer.field).filter(rev=answer.rev).values_list("client_label", flat=True).first() or ""
    saved_at = answer.updated_at.isoformat() if answer.rev else None
    reply = write.set_aside("conflict", 409, "conflict", rev=answer.rev, saved_at=saved_at, client_label=label)
    if reply.status != 409:
        return reply
    event_add(attempt=write.row, kind="conflict", now=write.now, state=write.state, data={"field": answer.field})
    return Reply(409, {**reply.body, "content": answer.content})


def _over_limits(write: Write, answer: Answer) -> Reply | None:
    if AnswerOp.objects.filter(attempt=write.row).count() >= MAX_OPS:
        return write.reply(429, "too_many")
    grows = len(write.content or "") - len(answer.content or "")
    if grows <= 0:
        return None
    standing = Answer.objects.filter(attempt=write.row, content__isnull=False)
    if write.field.list_name and answer.content is None:
        rows = standing.filter(field__startswith=f"row/{write.field.list_name}/").count()
        if rows >= MAX_ROWS:
            return write.refuse(TooLarge(f"The list has {MAX_ROWS} rows, the most it holds. Delete one first."))
    used = standing.aggregate(total=Sum(Length("content")))["total"] or 0
    if used + grows > MAX_ATTEMPT_CHARACTERS:
        sentence = f"All texts and rows together would have {used + grows:,} characters; an interview holds {MAX_ATTEMPT_CHARACTERS:,}."
        return write.refuse(TooLarge(sentence))
    return None


def _stored(write: Write, answer: Answer) -> Reply:
    """The write becomes the text. One that says what stands there already makes no revision."""
    if write.content != answer.content or answer.rev == 0:
        _advance(write, answer)
    else:
        write.keep(kind="save", code=200, reply=_ack(answer))
    return write.reply(200, **_ack(answer), **_row_content(write, answer.content), **_now(write, answer))


def _advance(write: Write, answer: Answer) -> None:
    before, at = answer.content, max(write.now, answer.updated_at)  # times of a field never go back, whichever process was quicker
    new_phase = write.phase_index_at(answer.updated_at) != write.state.phase_index
    answer.rev, answer.content, answer.updated_at = answer.rev + 1, write.content, at
    answer.late = _lateness(write.row, write.state)
    answer.save()
    change = stored_change(before=before, after=write.content, rev=answer.rev, new_phase=new_phase)
    write.keep(kind=write.kind, code=200, reply=_ack(answer), at=at, rev=answer.rev, **change)
    data = {"field": answer.field, "rev": answer.rev, "words": write.field.words(answer.content)}
    event_add(attempt=write.row, kind="save", now=write.now, state=write.state, data=data)


def _ack(answer: Answer) -> dict[str, Any]:
    return {"rev": answer.rev, "saved_at": answer.updated_at.isoformat()}


def _now(write: Write, answer: Answer) -> dict[str, Any]:
    return {"current_rev": answer.rev, "lease_epoch": write.row.lease_epoch}


def _row_content(write: Write, content: str | None) -> dict[str, Any]:
    """A row comes back as it is kept, with its numbers read: 2.5M is 2500000."""
    return {"content": content} if write.field.list_name else {}


def _lateness(attempt: Attempt, state: ClockState) -> str:
    """`net` for what was on its way at the end, `late` for what was written in overtime."""
    if state.deadline is None or state.hard_close is None or state.at <= state.deadline:
        return "no"
    had_overtime = state.hard_close - timedelta(seconds=attempt.net_grace_s) > state.deadline
    return "late" if had_overtime else "net"


# --- versions ------------------------------------------------------------------------------------------------------------


def answer_restore(*, version: AnswerOp, client_id: str, client_label: str, lease_epoch: int | None, op_id: str, now: datetime) -> Reply:
    """Makes an earlier version, or one that lost, the text again: a new revision, under the same rules as a save. 200 has `content`."""
    content = version_text(version)
    with transaction.atomic():
        write = write_begin(
            attempt=version.attempt,
            field=version.field,
            content=content,
            base_rev=version.pk,  # tells one restore from another; which revision it follows is known under the lock only
            op_id=op_id,
            sender=Sender(client_id, client_label),
            now=now,
            kind="restore",
        )
        write.base_rev = write.answer().rev
        reply = _saved(write, lease_epoch)
    return Reply(reply.status, {**reply.body, "content": content}) if reply.status == 200 else reply


def answer_drop(
    *, attempt: Attempt, field: str, content: str | None, base_rev: int, op_id: str, client_id: str, client_label: str, now: datetime
) -> Reply:
    """Keeps text that a person decided against, so that it can be restored; also after the close. 200 {stored: true}."""
    sender = Sender(client_id, client_label)
    with transaction.atomic():
        write = write_begin(
            attempt=attempt, field=field, content=content, base_rev=base_rev, op_id=op_id, sender=sender, now=now, kind="dropped"
        )
        if again := _answered_before(write):
            return again
        try:
            write.content = write.field.stored(content)
        except InvalidInput as error:
            return write.refuse(error)
        return write.set_aside("dropped", 200, "", stored=True)


# --- reading -------------------------------------------------------------------------------------------------------------


def answers_of(attempt: Attempt) -> dict[str, Answer]:
    """Every field ever written, deleted rows too (their content is None)."""
    return {answer.field: answer for answer in Answer.objects.filter(attempt=attempt)}


def counted(attempt: Attempt, prefix: str = "") -> dict[str, str | None]:
    """What counts in the fields of that prefix: the text at the close, or what came later where staff have accepted it."""
    fetched = is_fetched(attempt, "answers")
    found = attempt.answers.all() if fetched else Answer.objects.filter(attempt=attempt, field__startswith=prefix)
    return {answer.field: _counted(attempt, answer) for answer in found if answer.field.startswith(prefix)}


def _counted(attempt: Attempt, answer: Answer) -> str | None:
    return answer.late_content if attempt.accepted_late and answer.late_content else answer.content


def texts_of(attempt: Attempt) -> dict[str, str]:
    """The text of each phase of the plan by its key; "" where nothing was written."""
    kept = counted(attempt, "text/")
    return {phase["key"]: kept.get(f"text/{phase['key']}") or "" for phase in attempt.phases}


def text_of(attempt: Attempt, phase_key: str) -> str:
    return texts_of(attempt).get(phase_key, "")


def rows_of(attempt: Attempt, list_name: str) -> list[dict[str, Any]]:
    """The rows of a list in their order, each with all fields and its `key`."""
    return rows_from(counted(attempt, f"row/{list_name}/"), list_name)


def rows_from(contents: dict[str, str | None], list_name: str) -> list[dict[str, Any]]:
    """The same from contents by field, such as those of `texts.fields_at`."""
    prefix = f"row/{list_name}/"
    rows = [
        {"key": name.removeprefix(prefix), **row_values(list_name, content)}
        for name, content in contents.items()
        if name.startswith(prefix) and content
    ]
    return sorted(rows, key=lambda row: (row["order"], row["key"]))
