"""A raised hand: a candidate asks whoever watches the live board to look at the interview."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt
from mlsd_app.interviews.refusals import Refused, refuse_unless_open

MOST = 100


def hand_is_up(attempt: Attempt) -> bool:
    last = attempt.events.filter(kind="hand").order_by("-seq").values_list("data", flat=True).first()
    return bool(last and last.get("raised"))


@transaction.atomic
def hand_raise(*, attempt: Attempt, raised: bool, actor: User, now: datetime) -> bool:
    """Whether the hand is up now. As it was already: nothing happens. Refused 409 where nobody watches, 429 after too many times."""
    row = attempt_lock(attempt=attempt)
    refuse_unless_open(row)
    if not row.board:
        raise Refused("wrong_state", "Nobody watches this interview; it is your own.", 409)
    if hand_is_up(row) != raised:
        if row.events.filter(kind="hand").count() >= MOST:
            raise Refused("too_many", f"The hand went up and down {MOST} times, the most that is kept.", 429)
        event_add(attempt=row, kind="hand", now=now, actor=actor, data={"raised": raised})
    return raised
