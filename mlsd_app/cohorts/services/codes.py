"""Join codes: eight characters of Crockford's base 32, 40 bits, read without case, hyphens and look-alikes."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.core.cache import cache
from django.db import transaction

from mlsd_app.cohorts.audit import By, audited
from mlsd_app.cohorts.models import Cohort, Membership, Role
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 8
MEMBERS_PER_COHORT = 2_000
LOOK_ALIKES = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
WRONG_A_MINUTE, WRONG_AN_HOUR = 5, 20  # of a person, of an address
UNKNOWN = "This code opens no cohort. Check it, or ask your instructor for a new one."


def new_code() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def normal_code(text: str) -> str:
    return text.strip().upper().translate(LOOK_ALIKES)


def shown_code(code: str) -> str:
    """With a hyphen in the middle, as people read it out."""
    return f"{code[:4]}-{code[4:]}"


# --- by staff of the cohort ------------------------------------------------------------------------------------------


@transaction.atomic
def code_rotate(*, by: By, cohort: Cohort, now: datetime) -> Cohort:
    """A new code; the old one stops working at once. The log says that it changed, not what it is."""
    row = Cohort.objects.select_for_update().get(pk=cohort.pk)
    row.join_code = new_code()
    row.save(update_fields=["join_code"])
    audited(by=by, action="code.rotate", thing=row, cohort=row, now=now)
    return row


@transaction.atomic
def code_edit(*, by: By, cohort: Cohort, enabled: bool, uses_left: int | None, expires_at: datetime | None, now: datetime) -> Cohort:
    """Whether, how often and how long the code works."""
    if uses_left is not None and not 0 <= uses_left <= MEMBERS_PER_COHORT:
        raise InvalidInput(f"{uses_left} uses were given; expected 0 to {MEMBERS_PER_COHORT}, or none for no limit.", field="uses_left")
    row = Cohort.objects.select_for_update().get(pk=cohort.pk)
    before = _code_fields(row)
    row.join_enabled, row.join_uses_left, row.join_expires_at = enabled, uses_left, expires_at
    row.save(update_fields=["join_enabled", "join_uses_left", "join_expires_at"])
    audited(by=by, action="code.edit", thing=row, cohort=row, now=now, before=before, after=_code_fields(row))
    return row


def _code_fields(cohort: Cohort) -> dict[str, object]:
    return {"enabled": cohort.join_enabled, "uses_left": cohort.join_uses_left, "expires_at": cohort.join_expires_at}


# --- by whoever has a code -------------------------------------------------------------------------------------------


def cohort_of_code(*, by: By, code: str, now: datetime) -> Cohort:
    """The cohort a code opens now. Refused `unknown_code` (422) for a wrong, expired or switched-off one alike, `code_used_up` (410),
    and `too_many` (429) after too many wrong ones."""
    _refuse_guessers(by, now)
    code = normal_code(code)
    found = Cohort.objects.filter(join_code=code, join_enabled=True, archived_at=None).first() if len(code) == LENGTH else None
    if found is None or (found.join_expires_at is not None and found.join_expires_at <= now):
        _count_wrong(by, now)
        raise Refused("unknown_code", UNKNOWN, 422)
    if found.join_uses_left == 0:
        _count_wrong(by, now)
        raise Refused("code_used_up", "This code has been used as often as it may be. Ask your instructor for a new one.", 410)
    return found


def cohort_join(*, by: By, code: str, now: datetime) -> Membership:
    """Makes the person a learner. Joining twice changes nothing; who was removed needs an instructor."""
    if by.user.is_guest:
        raise Refused("guest", "You are a guest here. Sign up first: a cohort needs to know who is in it.", 403)
    found = cohort_of_code(by=by, code=code, now=now)
    with transaction.atomic():
        cohort = Cohort.objects.select_for_update().get(pk=found.pk)
        existing = Membership.objects.filter(cohort=cohort, user=by.user).first()
        if existing is not None:
            return _already_in(existing)
        if cohort.join_uses_left == 0:
            raise Refused("code_used_up", "This code was used up a moment ago. Ask your instructor for a new one.", 410)
        if cohort.memberships.filter(removed_at=None).count() >= MEMBERS_PER_COHORT:
            raise Refused("cohort_full", f"This cohort has {MEMBERS_PER_COHORT} members, the most there can be.", 409)
        if cohort.join_uses_left is not None:
            cohort.join_uses_left -= 1
            cohort.save(update_fields=["join_uses_left"])
        made = Membership.objects.create(cohort=cohort, user=by.user, role=Role.LEARNER, joined_via="code")
        audited(by=by, action="member.join", thing=made, cohort=cohort, now=now, after={"user": by.user.pk, "role": made.role})
    return made


def _already_in(membership: Membership) -> Membership:
    if membership.removed_at is not None:
        raise Refused("removed", "You were taken out of this cohort. Only its instructor can put you back.", 403)
    return membership


# Wrong codes are counted in the cache, which all processes share. Right ones count nothing, so that a class can join at once.


def _keys(by: By, now: datetime) -> list[tuple[str, int, int]]:
    """(key, most, seconds) of the windows a wrong code is counted in."""
    minute, hour = int(now.timestamp()) // 60, int(now.timestamp()) // 3600
    keys = [(f"join:user:{by.user.pk}:{minute}", WRONG_A_MINUTE, 60)]
    return [*keys, (f"join:net:{by.address}:{hour}", WRONG_AN_HOUR, 3600)] if by.address else keys


def _refuse_guessers(by: By, now: datetime) -> None:
    if any(cache.get(key, 0) >= most for key, most, _ in _keys(by, now)):
        raise Refused("too_many", "Too many wrong codes. Wait a while, and check the code with your instructor.", 429)


def _count_wrong(by: By, now: datetime) -> None:
    for key, _, seconds in _keys(by, now):
        cache.add(key, 0, timeout=2 * seconds)
        cache.incr(key)
