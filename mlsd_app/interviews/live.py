"""The Redis side of an attempt: a hint that something was written. The database is the truth, so losing a hint loses nothing.

attempt:<id>   one entry for each event of the attempt: its number and kind, nothing else
live:<board>   the same with the attempt's id, for a board that shows many
attempt:<id>:listening   a page of the candidate follows its stream; gone = none does
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction

from mlsd_app.interviews.models import Attempt, Event

MAX_ENTRIES = 1000
KEEP_S = 3 * 3600
SILENT_S = 5.0  # after a failure nothing is sent for so long: a dead Redis must not slow down every save
TIMEOUT_S = 0.2
LISTENING_S = 35  # a stream says something at least every 15 s


def attempt_key(attempt_id: UUID | str) -> str:
    return f"attempt:{attempt_id}"


def board_key(board: str) -> str:
    return f"live:{board}"


def listening_key(attempt_id: UUID | str) -> str:
    return f"attempt:{attempt_id}:listening"


def publish_after_commit(attempt: Attempt, event: Event) -> None:
    row = {"attempt": str(attempt.pk), "seq": str(event.seq), "kind": event.kind, "at": event.at.isoformat()}
    transaction.on_commit(partial(_publisher().publish, row, attempt.board), robust=True)


def redis_answers() -> bool:
    """Whether it is worth asking anything of Redis now; found out within TIMEOUT_S."""
    return _publisher().answers()


def listening_note(attempt_id: UUID) -> None:
    """The candidate's page follows the attempt; holds for LISTENING_S."""
    _publisher().listening_note(attempt_id)


def listening_among(attempt_ids: Iterable[UUID]) -> set[UUID]:
    """Those whose candidate's page follows its stream; none while Redis does not answer."""
    return _publisher().listening_among(list(attempt_ids))


class Publisher:
    """One client a process. A Redis that fails is left alone for SILENT_S."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, decode_responses=True)
        self._silent_until = 0.0

    def publish(self, row: dict[str, str], board: str) -> None:
        if self._silent:
            return
        pipe = self._client.pipeline(transaction=False)
        for key in [attempt_key(row["attempt"]), *([board_key(board)] if board else [])]:
            pipe.xadd(key, row, maxlen=MAX_ENTRIES, approximate=True)  # type: ignore[arg-type]
            pipe.expire(key, KEEP_S)
        self._ask(pipe.execute)

    def answers(self) -> bool:
        return not self._silent and self._ask(self._client.ping)

    def listening_note(self, attempt_id: UUID) -> None:
        if not self._silent:
            self._ask(lambda: self._client.set(listening_key(attempt_id), "1", ex=LISTENING_S))

    def listening_among(self, attempt_ids: list[UUID]) -> set[UUID]:
        found: list[bytes | str | None] = []
        if attempt_ids and not self._silent:
            self._ask(lambda: found.extend(self._client.mget([listening_key(pk) for pk in attempt_ids])))
        return {pk for pk, value in zip(attempt_ids, found, strict=False) if value}

    @property
    def _silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _ask(self, what: Callable[[], Any]) -> bool:
        try:
            what()
        except redis.RedisError:
            self._silent_until = time.monotonic() + SILENT_S
            return False
        return True


def _publisher() -> Publisher:
    return _publisher_of(os.getpid(), settings.REDIS_URL)


@cache
def _publisher_of(pid: int, url: str) -> Publisher:
    return Publisher(url)
