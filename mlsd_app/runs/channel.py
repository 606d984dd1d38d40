"""The Redis side of a run: its event stream, its flags, its leases. Everything here may vanish; the database keeps the truth.

run:<id>          stream of events, oldest dropped beyond MAX_EVENTS
run:<id>:cancel   somebody asked the run to stop
run:<id>:alive    lease of the worker that runs it; gone = the worker is gone
run:<id>:watched  lease of whoever looks at it; gone = nobody does
slot:<user>:<s>   newest run of one browser tab
lab:<id>:...      what a lab itself keeps in Redis while it runs
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

import redis
import redis.asyncio
from django.conf import settings

from mlsd_app.core.presence import presence_key
from simulators.lab import KeySpace

MAX_EVENTS = 1000
KEEP_S = 900
ALIVE_S = 3
WATCHED_S = 3
TERMINAL = frozenset({"done", "failed", "cancelled", "lost", "expired"})


def connection() -> redis.Redis:
    """This process's client; one is made anew after a fork."""
    return _connection(os.getpid())


@cache
def _connection(pid: int) -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=2, decode_responses=True)


def async_connection() -> redis.asyncio.Redis:
    """A client of its own for one event stream; close it with `aclose`."""
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=5, decode_responses=True)


def stream_key(run_id: UUID | str) -> str:
    return f"run:{run_id}"


def cancel_key(run_id: UUID | str) -> str:
    return f"run:{run_id}:cancel"


def alive_key(run_id: UUID | str) -> str:
    return f"run:{run_id}:alive"


def watched_key(run_id: UUID | str) -> str:
    return f"run:{run_id}:watched"


def emit(client: redis.Redis, run_id: UUID | str, kind: str, data: dict[str, Any]) -> None:
    """Appends one event; raises redis.RedisError when it cannot."""
    pipe = client.pipeline(transaction=False)
    pipe.xadd(stream_key(run_id), {"kind": kind, "data": json.dumps(data, separators=(",", ":"))}, maxlen=MAX_EVENTS, approximate=True)
    pipe.expire(stream_key(run_id), KEEP_S)
    pipe.execute()


def request_cancel(client: redis.Redis, run_id: UUID | str) -> None:
    client.set(cancel_key(run_id), "1", ex=KEEP_S)


def take_slot(client: redis.Redis, user_id: int, slot: str, run_id: UUID) -> None:
    """Makes `run_id` the newest run of the tab and asks the one it replaces to stop."""
    previous = client.set(f"slot:{user_id}:{slot}", str(run_id), ex=KEEP_S, get=True)
    if previous and previous != str(run_id):
        request_cancel(client, str(previous))


class Admission(NamedTuple):
    """What decides whether a run may be queued."""

    worker: bool  # somebody consumes the queue
    waiting: int  # tasks in the queue at interactive priority
    starts: int  # runs the user has started in this minute, this one included


def admission(client: redis.Redis, *, queue: str, user_id: int, minute: int) -> Admission:
    """Asked in one round trip: it stands between a slider and its first frame."""
    pipe = client.pipeline(transaction=False)
    pipe.exists(presence_key(queue))
    pipe.llen(queue)
    pipe.incr(f"starts:{user_id}:{minute}")
    pipe.expire(f"starts:{user_id}:{minute}", 120)
    worker, waiting, starts, _ = pipe.execute()
    return Admission(bool(worker), int(waiting), int(starts))


@contextmanager
def key_space(run_id: UUID | str) -> Iterator[KeySpace | None]:
    """Keys of the run's own, gone when it ends; None when Redis does not answer."""
    with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=5) as client:
        if not _answers(client):
            yield None
            return
        space = KeySpace(client, f"lab:{run_id}:", errors=(redis.RedisError,))
        try:
            yield space
        finally:
            with suppress(redis.RedisError):  # what cannot be deleted now expires
                _delete_all(space)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _delete_all(space: KeySpace) -> None:
    pipe = space.client.pipeline(transaction=False)
    for key in space.client.scan_iter(match=f"{space.prefix}*", count=5000):
        pipe.unlink(key)
    pipe.execute()
