"""Following a board or one interview. Redis only says that something happened, the log of the interviews what.

A board's events: `rows` {"now", "rows": [{"id", "html"}], "gone": [ids]}, with `all`, the ids in order, where it tells the whole board;
`beat` every 15 s when there is nothing to tell; `over` when the reader may not watch any more. Their id is that of the newest event of
the log that was looked at: a page that comes back with it is told of what happened since.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import redis
import redis.asyncio
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import Max
from django.template.loader import render_to_string
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.live import presence
from mlsd_app.cohorts.live.rows import Filter, Row, board_rows
from mlsd_app.cohorts.models import Cohort
from mlsd_app.cohorts.rules import may
from mlsd_app.core.numbers import number_in
from mlsd_app.interviews.live import attempt_key, board_key
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.runs.channel import async_connection
from mlsd_app.runs.stream import Event as Sent

BEAT_S = 15.0
FRESH_S = 30.0  # the whole board from the database, whatever Redis said
LOOK_EVERY_MS = 1000  # also without a hint
GATHER_S = 0.25  # what comes together is looked at together
AT_ONCE = 2000


def render_row(row: Row, cohort: Cohort, *, manages: bool) -> str:
    with timezone.override(ZoneInfo(cohort.timezone)):
        return render_to_string("cohorts/_live_row.html", {"row": row, "cohort": cohort, "manages": manages}).strip()


def from_now() -> str:
    """Where a Redis stream is read on from: its entries are numbered by the time."""
    return f"{round(time.time() * 1000)}-0"


async def wake(client: redis.asyncio.Redis, key: str, position: str) -> str:
    """Until something is written to the Redis stream, or LOOK_EVERY_MS; where it has been read to.

    Without a hint the log is looked at all the same: a write that found Redis slow tells nobody for some seconds.
    """
    try:
        found: Any = await client.xread({key: position}, count=AT_ONCE, block=LOOK_EVERY_MS)
    except redis.RedisError:
        await asyncio.sleep(LOOK_EVERY_MS / 1000)
        return position
    if found:
        await asyncio.sleep(GATHER_S)
    return str(found[0][1][-1][0]) if found else position


# --- a board ---------------------------------------------------------------------------------------------------------


@dataclass
class Board:
    """What one page shows of a cohort, as far as it was told. `seen`: the newest event of the log that was looked at, None: none yet."""

    user_id: int
    cohort_id: int
    asked: Filter
    seen: int | None = None
    told: dict[str, int] = field(default_factory=dict)  # {attempt id: hash of its row}

    def news(self, whole: bool) -> dict[str, Any] | None:
        """`read` for a stream: a board stays open for hours and needs the database for a moment now and then."""
        try:
            return self.read(whole)
        finally:
            close_old_connections()

    def read(self, whole: bool = True) -> dict[str, Any] | None:
        """Rows that look different from what was told, of what had events since the last look or of the whole board.

        None for somebody who may not watch.
        """
        user, cohort = User.objects.filter(pk=self.user_id).first(), Cohort.objects.filter(pk=self.cohort_id).first()
        if user is None or cohort is None or not may(user, "watch_live", cohort):
            return None
        only = self._touched(whole)
        now = timezone.now()
        if only is not None and not only:
            return {"now": now.isoformat(), "rows": [], "gone": []}
        rows = board_rows(user=user, cohort=cohort, asked=self.asked, now=now, only=only)
        return self._told(rows, cohort, may(user, "manage_learners", cohort), only, now)

    def _touched(self, whole: bool) -> set[UUID] | None:
        """Interviews with events since the last look; None for all, where that is asked for, unknown or too much to tell one by one."""
        if whole or self.seen is None:
            self.seen = Event.objects.aggregate(last=Max("pk"))["last"] or 0
            return None
        events = Event.objects.filter(pk__gt=self.seen, attempt__board=f"cohort:{self.cohort_id}").order_by("pk")
        found = list(events.values_list("pk", "attempt")[:AT_ONCE])
        self.seen = found[-1][0] if found else self.seen
        return {attempt for _, attempt in found} if len(found) < AT_ONCE else None

    def _told(self, rows: list[Row], cohort: Cohort, manages: bool, only: set[UUID] | None, now: datetime) -> dict[str, Any]:
        html = {str(row.attempt.pk): render_row(row, cohort, manages=manages) for row in rows}
        changed = [{"id": pk, "html": text} for pk, text in html.items() if self.told.get(pk) != hash(text)]
        away = self.told.keys() - html.keys() if only is None else {str(pk) for pk in only} - html.keys()
        self.told = {pk: mark for pk, mark in self.told.items() if pk not in away} | {pk: hash(text) for pk, text in html.items()}
        answer: dict[str, Any] = {"now": now.isoformat(), "rows": changed, "gone": sorted(away)}
        return answer | ({"all": list(html)} if only is None else {})


async def watch_board(*, user_id: int, cohort_id: int, asked: Filter, after: int | None = None) -> AsyncIterator[Sent]:
    """The board as it changes, for as long as the reader may watch; with `after`, an event's id, only what happened since."""
    client, board = async_connection(), Board(user_id, cohort_id, asked, after)
    look, position = sync_to_async(board.news), from_now()
    said_at = time.monotonic()
    fresh_at = float("-inf") if after is None else said_at
    try:
        while True:
            whole = time.monotonic() - fresh_at >= FRESH_S
            news = await look(whole)
            if news is None:
                yield Sent("", "over", {})
                return
            fresh_at = time.monotonic() if "all" in news else fresh_at
            if "all" in news or news["rows"] or news["gone"]:
                said_at = time.monotonic()
                yield Sent(str(board.seen), "rows", news)
            elif time.monotonic() - said_at >= BEAT_S:
                said_at = time.monotonic()
                yield Sent("", "beat", {"now": news["now"]})
            position = await wake(client, board_key(f"cohort:{cohort_id}"), position)
    finally:
        await client.aclose()


def event_number(header: str | None) -> int | None:
    """The id of an event that a page sends as Last-Event-ID; None for anything else."""
    return number_in(header, digits=18)


# --- one interview ---------------------------------------------------------------------------------------------------


async def watch_attempt(*, user_id: int, attempt_id: UUID, allowed: Callable[[], bool], tell: bool) -> AsyncIterator[Sent]:
    """`news` {"seq"} whenever something happened in the attempt, `beat` when nothing did, `over` for who may not follow it any more.

    tell  the candidate is told that somebody follows, and when nobody does any more
    """
    client, position = async_connection(), from_now()
    look, seq, said_at = sync_to_async(_look), -1, float("-inf")
    here = presence.Here(attempt_id, user_id) if tell else None
    try:
        while True:
            if here:
                await sync_to_async(here.stay)()
            last = await look(attempt_id, allowed)
            if last is None:
                yield Sent("", "over", {})
                return
            if last != seq or time.monotonic() - said_at >= BEAT_S:
                said_at = time.monotonic()
                yield Sent("", "news" if last != seq else "beat", {"seq": last})
            seq = last
            position = await wake(client, attempt_key(attempt_id), position)
    finally:
        if here:
            await asyncio.shield(sync_to_async(here.leave)())
        await client.aclose()


def _look(attempt_id: UUID, allowed: Callable[[], bool]) -> int | None:
    try:
        if not allowed() or not Attempt.objects.filter(pk=attempt_id).exists():
            return None
        return Event.objects.filter(attempt=attempt_id).aggregate(last=Max("seq"))["last"] or 0
    finally:
        close_old_connections()
