"""Writing down who did what. Every service of this app calls `audited` in the transaction of its change."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from django.http import HttpRequest

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Audit, Cohort
from mlsd_app.cohorts.rules import role_in

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
ACCESS_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class By:
    """Who acts, and from where as far as it is kept."""

    user: User
    request_id: str = ""
    address: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> By:
        """Whoever makes the request, who must be signed in. The address is cut to its network."""
        assert isinstance(request.user, User)
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        return cls(request.user, request_id, network_of(request.META.get("REMOTE_ADDR", "")))


def network_of(address: str) -> str:
    """The /24 or /48 an address lies in; "" for none (a unix socket)."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def audited(
    *,
    by: By | None,
    action: str,
    thing: Model,
    cohort: Cohort | None,
    now: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> Audit:
    """Adds an entry; `by` None: the site itself, as an assignment says. `before` and `after` hold ids and values, no names and no
    reasons of health; what did not change is left out."""
    old, new = changed(before or {}, after or {})
    return Audit.objects.create(
        at=now,
        actor=by.user if by else None,
        role=_role(by.user, cohort) if by else "site",
        action=action,
        object_type=thing._meta.model_name or "",
        object_id=str(thing.pk),
        cohort=cohort,
        before=old,
        after=new,
        reason=reason,
        request_id=by.request_id if by else "",
        address=by.address if by else "",
    )


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both without the fields that are equal in both, in values that JSON can hold."""
    encode = DjangoJSONEncoder().default
    plain = [{name: encode(value) if isinstance(value, datetime) else value for name, value in side.items()} for side in (before, after)]
    same = {name for name in plain[0].keys() & plain[1].keys() if plain[0][name] == plain[1][name]}
    old, new = ({name: value for name, value in side.items() if name not in same} for side in plain)
    return old, new


def staff_access(*, by: By, cohort: Cohort, now: datetime) -> None:
    """Site staff who look into a cohort that is not theirs leave an entry, at most one an hour."""
    if not by.user.is_staff or role_in(user=by.user, cohort_id=cohort.pk) is not None:
        return
    recent = Audit.objects.filter(actor=by.user, cohort=cohort, action="staff.access", at__gt=now - ACCESS_EVERY)
    if not recent.exists():
        audited(by=by, action="staff.access", thing=cohort, cohort=cohort, now=now)


def _role(user: User, cohort: Cohort | None) -> str:
    role = role_in(user=user, cohort_id=cohort.pk) if cohort and cohort.pk else None
    return role or ("staff" if user.is_staff else "")
