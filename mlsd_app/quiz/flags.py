"""Reports that a question is wrong or unclear."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from mlsd_app.accounts.models import User
from mlsd_app.quiz.bank import bank_item
from mlsd_app.quiz.days import day_of, day_start
from mlsd_app.quiz.errors import Refused
from mlsd_app.quiz.models import Flag
from mlsd_app.quiz.plans import plan_of
from simulators.errors import InvalidInput

A_DAY = 20
CHARACTERS = 2_000


def flags_of(user: object) -> QuerySet[Flag]:
    return Flag.objects.filter(user=user) if isinstance(user, User) else Flag.objects.none()


def flag_create(*, user: User, slug: str, item_id: str, kind: str, text: str, now: datetime, rev: int | None = None) -> Flag:
    """Raises InvalidInput, and Refused (429) after twenty a day."""
    item = bank_item(slug, item_id).item
    text = text.strip().replace("\0", "")
    if kind not in Flag.Kind.values:
        raise InvalidInput(f"{kind[:20]!r} is no kind of report; choose {', '.join(Flag.Kind.values)}.", field="kind")
    if len(text) > CHARACTERS:
        raise InvalidInput(f"The report has {len(text):,} characters; it may have {CHARACTERS:,}.", field="text")
    if kind == Flag.Kind.OTHER and not text:
        raise InvalidInput("Say in a sentence what is wrong.", field="text")
    plan = plan_of(user)
    if flags_of(user).filter(created_at__gte=day_start(plan, day_of(plan, now))).count() >= A_DAY:
        raise Refused("too_many_flags", f"You have reported {A_DAY} questions today, the most a day. Thank you; go on tomorrow.", 429)
    return Flag.objects.create(
        user=user, problem_slug=slug, item_id=item_id, rev=item.rev if rev is None else rev, kind=kind, text=text, created_at=now
    )
