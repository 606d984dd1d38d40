"""The Redis side of an attempt: a hint that something was written. The database is the truth, so losing a hint loses nothing.

attempt:<id>   one entry for each event of the attempt: its number and kind, nothing else
live:<board>   the same with the attempt's id, for a board that shows many
"""

from __future__ import annotations

import os
import time
from functools import cache, partial
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction

from mlsd_app.interviews.models import Attempt, Event

MAX_ENTRIES = 1000
KEEP_S = 3 * 3600
SILENT_S = 5.0  # after a failure nothing is sent for so long: a dead Redis must not slow down every save
TIMEOUT_S = 0.2


def attempt_key(attempt_id: UUID | str) -> str:
    return f"attempt:{attempt_id}"


def board_key(board: str) -> str:
    return f"live:{board}"


def publish_after_commit(attempt: Attempt, event: Event) -> None:
    row = {"attempt": str(attempt.pk), "seq": str(event.seq), "kind": event.kind, "at": event.at.isoformat()}
    transaction.on_commit(partial(_publisher(os.getpid(), settings.REDIS_URL).publish, row, attempt.board), robust=True)


class Publisher:
    """One client a process. A Redis that fails is left alone for SILENT_S."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, decode_responses=True)
        self._silent_until = 0.0

    def publish(self, row: dict[str, str], board: str) -> None:
        if time.monotonic() < self._silent_until:
            return
        pipe = self._client.pipeline(transaction=False)
        for key in [attempt_key(row["attempt"]), *([board_key(board)] if board else [])]:
            pipe.xadd(key, row, maxlen=MAX_ENTRIES, approximate=True)  # type: ignore[arg-type]
            pipe.expire(key, KEEP_S)
        try:
            pipe.execute()
        except redis.RedisError:
            self._silent_until = time.monotonic() + SILENT_S


@cache
def _publisher(pid: int, url: str) -> Publisher:
    return Publisher(url)
