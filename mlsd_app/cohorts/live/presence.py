"""Telling a candidate that somebody follows the interview: an event when the first one comes and one when the last one leaves.

Followers are counted in Redis, each with the time until which it holds. While Redis is away everybody who leaves counts as the last.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import redis
from django.db import close_old_connections, transaction
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt, Event, Status
from mlsd_app.runs.channel import connection

HOLDS_S = 40


def followers_key(attempt_id: UUID) -> str:
    return f"attempt:{attempt_id}:followers"


@dataclass
class Here:
    """One page that follows. `stay` is called every few seconds, `leave` once."""

    attempt_id: UUID
    user_id: int
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    told: bool = False

    def stay(self) -> None:
        self._count(join=True)
        if not self.told:
            self._tell(present=True)
            self.told = True

    def leave(self) -> None:
        if self._count(join=False) == 0 and self.told:
            self._tell(present=False)

    def _count(self, *, join: bool) -> int:
        """How many follow now, this one included when it joins."""
        key, at = followers_key(self.attempt_id), timezone.now().timestamp()
        try:
            pipe = connection().pipeline(transaction=False)
            pipe.zremrangebyscore(key, 0, at)
            if join:
                pipe.zadd(key, {self.name: at + HOLDS_S})
            else:
                pipe.zrem(key, self.name)
            pipe.expire(key, HOLDS_S)
            pipe.zcard(key)
            _, added, *_, followers = pipe.execute()
            if join and added:  # Redis had not heard of it or has forgotten it: the candidate may have been told that nobody is here
                self.told = False
            return int(followers)
        except redis.RedisError:
            return int(join)

    def _tell(self, *, present: bool) -> None:
        try:
            presence_tell(
                attempt_id=self.attempt_id, actor=User.objects.filter(pk=self.user_id).first(), present=present, now=timezone.now()
            )
        finally:
            close_old_connections()


def presence_tell(*, attempt_id: UUID, actor: User | None, present: bool, now: datetime) -> None:
    """Writes the event, unless the candidate has been told so already or the interview does not run."""
    with transaction.atomic():
        row = attempt_lock(attempt=Attempt(pk=attempt_id))
        if row.status == Status.OPEN and is_present(attempt_id) != present:
            event_add(attempt=row, kind="presence", now=now, actor=actor, data={"present": present})


def presence_settle(*, now: datetime) -> None:
    """Tells the candidates whose last follower is gone without a word: a page whose connection broke, a server that was killed."""
    told = Event.objects.filter(kind="presence", attempt__status=Status.OPEN).values_list("attempt", flat=True).distinct()
    for attempt_id in told:
        if is_present(attempt_id) and followers(attempt_id, now) == 0:
            presence_tell(attempt_id=attempt_id, actor=None, present=False, now=now)


def followers(attempt_id: UUID, now: datetime) -> int | None:
    """How many follow at `now`; None while Redis is away."""
    try:
        return int(connection().zcount(followers_key(attempt_id), now.timestamp(), "+inf"))
    except redis.RedisError:
        return None


def is_present(attempt_id: UUID) -> bool:
    last = Event.objects.filter(attempt=attempt_id, kind="presence").order_by("-seq").values_list("data", flat=True).first()
    return bool(last and last.get("present"))
