"""Following an attempt. Redis says that something happened, the database what: with Redis away the page learns it a little later.

Events of the stream: `clock` (anything that changed it, and once a while nothing else happens), `prompt`, `curveball`, `message`,
`lease`, `presence` (somebody of the staff follows, or does not any more), `hand`, and `closed`, the last. Their id is the number of
the event in the attempt's log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.db import OperationalError, close_old_connections
from django.db.models import Max
from django.utils import timezone

from mlsd_app.interviews.clock import phase_at
from mlsd_app.interviews.lifecycle import clock_block
from mlsd_app.interviews.live import attempt_key
from mlsd_app.interviews.models import LIVE, Attempt, Event
from mlsd_app.interviews.selectors import clock_in, with_clock
from mlsd_app.interviews.upkeep import attempt_check, is_due
from mlsd_app.runs.channel import async_connection
from mlsd_app.runs.stream import Event as Sent

LOOK_EVERY_MS = 3000  # also without a hint: what is due is done by whoever looks
WITHOUT_REDIS_S = 2.0
CLOCK_EVERY_S = 15.0  # keeps the connection and finds one whose reader has gone
AT_ONCE = 200
NAMES = {
    **dict.fromkeys(("plan", "start", "move", "pause", "resume", "adjust", "outage", "reopen"), "clock"),
    **dict.fromkeys(("probe", "nudge", "closing", "focus"), "prompt"),
    **dict.fromkeys(("curveball", "recovered"), "curveball"),
    **dict.fromkeys(("close", "void"), "closed"),
    "message": "message",
    "lease": "lease",
    "presence": "presence",
    "hand": "hand",
}


@dataclass(frozen=True)
class News:
    events: list[Sent]
    seq: int
    over: bool


async def watch(attempt_id: UUID, after: int | None = None) -> AsyncIterator[Sent]:
    """What happens to the attempt after event number `after` (None: from now on), beginning with its clock; ends with `closed`."""
    client, position, seq, told_at = async_connection(), "0", after, float("-inf")
    try:
        while True:
            silent = time.monotonic() - told_at >= CLOCK_EVERY_S
            news = await sync_to_async(_look)(attempt_id, seq, silent)
            for event in news.events:
                told_at = time.monotonic()
                yield event
            if news.over:
                return
            seq = news.seq
            position = await _wait(client, attempt_id, position)
    finally:
        await client.aclose()


async def _wait(client: redis.asyncio.Redis, attempt_id: UUID, position: str) -> str:
    """Until something happens, or a while; where the Redis stream has been read to."""
    try:
        found: Any = await client.xread({attempt_key(attempt_id): position}, count=1000, block=LOOK_EVERY_MS)
    except redis.RedisError:
        await asyncio.sleep(WITHOUT_REDIS_S)
        return position
    return str(found[0][1][-1][0]) if found else position


def _look(attempt_id: UUID, after: int | None, tell_clock: bool) -> News:
    try:
        return _news(attempt_id, after, tell_clock)
    finally:
        close_old_connections()  # a stream lasts for an hour and needs the database for a moment now and then


def _news(attempt_id: UUID, after: int | None, tell_clock: bool) -> News:
    now = timezone.now()
    attempt = with_clock(Attempt.objects.filter(pk=attempt_id)).first()
    if attempt is None:
        return News([Sent("", "closed", {"kind": "deleted"})], after or 0, over=True)
    if is_due(attempt, now):
        with suppress(OperationalError):  # too busy to be written to: the next look, a request or the sweep does what is due
            attempt_check(attempt=Attempt.objects.get(pk=attempt_id), now=now, online=True)
        attempt = with_clock(Attempt.objects.filter(pk=attempt_id)).get()
    block = clock_block(attempt, phase_at(now, clock_in(attempt)))
    rows = _rows(attempt_id, after)
    events = [_sent(row, block) for row in rows if row.kind in NAMES]
    over = attempt.status not in LIVE and len(rows) < AT_ONCE
    if over and not any(event.kind == "closed" for event in events):
        events.append(Sent("", "closed", {"kind": "close", "clock": block}))
    if tell_clock and not events:
        events = [Sent("", "clock", {"kind": "clock", "clock": block})]
    last = rows[-1].seq if rows else (_last_seq(attempt_id) if after is None else after)
    return News(events, last, over)


def _rows(attempt_id: UUID, after: int | None) -> list[Event]:
    return [] if after is None else list(Event.objects.filter(attempt=attempt_id, seq__gt=after).order_by("seq")[:AT_ONCE])


def _last_seq(attempt_id: UUID) -> int:
    return Event.objects.filter(attempt=attempt_id).aggregate(last=Max("seq"))["last"] or 0


def _sent(row: Event, block: dict[str, Any]) -> Sent:
    about = {"seq": row.seq, "kind": row.kind, "at": row.at.isoformat(), "active_ms": row.active_ms, "phase": row.phase, "data": row.data}
    return Sent(str(row.seq), NAMES[row.kind], {**about, "clock": block})
