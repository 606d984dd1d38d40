"""Which tab may write. One holds the lease for 20 s at a time, renewed by its saves and its heartbeat; others read, or take over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt

LEASE = timedelta(seconds=20)


@dataclass(frozen=True)
class Sender:
    """The tab that asks; `label` is what a person knows its device by."""

    client_id: str
    label: str


@dataclass(frozen=True)
class Lease:
    """`held`: whether the tab that asked may write, as `epoch` says in its saves. `label`: who holds it."""

    held: bool
    epoch: int
    label: str
    until: datetime | None

    def as_json(self) -> dict[str, Any]:
        return {"held": self.held, "lease_epoch": self.epoch, "label": self.label, "until": self.until}


def lease_take(*, attempt: Attempt, sender: Sender, take_over: bool, now: datetime) -> Lease:
    """For a page that has just been opened: the lease if nobody holds it, if this tab held it before, or by taking it over.

    A tab that takes its own lease again gets a new epoch, so that a copy of the tab which goes by the same name loses it.
    """
    with transaction.atomic():
        row = attempt_lock(attempt=attempt)
        if _running(row, now) and row.lease_client != sender.client_id and not take_over:
            return Lease(False, row.lease_epoch, row.lease_label, row.lease_until)
        return _give(row, sender, now)


def lease_renew(*, attempt: Attempt, sender: Sender, epoch: int, now: datetime) -> Lease:
    """The heartbeat. A tab whose lease ran out gets it again unless another took it in between."""
    with transaction.atomic():
        return lease_use(row=attempt_lock(attempt=attempt), sender=sender, epoch=epoch, now=now)


def lease_use(*, row: Attempt, sender: Sender, epoch: int | None, now: datetime) -> Lease:
    """The same inside the caller's transaction, on a locked row. `epoch` None is a program that never opened a page."""
    own = row.lease_client == sender.client_id and epoch in (None, row.lease_epoch)
    if own:
        _extend(row, now)
        return Lease(True, row.lease_epoch, row.lease_label, row.lease_until)
    if _running(row, now):
        return Lease(False, row.lease_epoch, row.lease_label, row.lease_until)
    return _give(row, sender, now)


def _running(row: Attempt, now: datetime) -> bool:
    return row.lease_until is not None and row.lease_until > now


def _extend(row: Attempt, now: datetime) -> None:
    row.lease_until = now + LEASE
    Attempt.objects.filter(pk=row.pk).update(lease_until=row.lease_until)


def _give(row: Attempt, sender: Sender, now: datetime) -> Lease:
    before = row.lease_client
    row.lease_client, row.lease_label, row.lease_until = sender.client_id, sender.label, now + LEASE
    row.lease_epoch += 1
    row.save(update_fields=["lease_client", "lease_label", "lease_until", "lease_epoch"])
    if before != sender.client_id:
        event_add(attempt=row, kind="lease", now=now, actor=row.user, data={"epoch": row.lease_epoch, "label": sender.label})
    return Lease(True, row.lease_epoch, sender.label, row.lease_until)
