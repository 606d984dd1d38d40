"""Following a board or one interview. Redis says whose row to look at again, the database what stands in it.

A board's events: `rows` {"now", "rows": [{"id", "html"}], "gone": [ids]}, with `all`, the ids in order, where it tells the whole board;
`beat` every 15 s when there is nothing to tell; `over` when the reader may not watch any more. Ids are those of the Redis stream: a page
that comes back with the last one is told what happened since; where Redis has forgotten, the whole board.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
from mlsd_app.interviews.live import attempt_key, board_key
from mlsd_app.interviews.models import Attempt, Event
from mlsd_app.runs.channel import async_connection
from mlsd_app.runs.stream import Event as Sent

BEAT_S = 15.0
FRESH_S = 30.0  # the whole board from the database, whatever Redis said
BLOCK_MS = 3000
WITHOUT_REDIS_S = 5.0
GATHER_S = 0.25  # hints that come together are looked at together
AT_ONCE = 2000
START = "0-0"


def render_row(row: Row, cohort: Cohort, *, manages: bool) -> str:
    with timezone.override(ZoneInfo(cohort.timezone)):
        return render_to_string("cohorts/_live_row.html", {"row": row, "cohort": cohort, "manages": manages}).strip()


# --- hints of a Redis stream -----------------------------------------------------------------------------------------


@dataclass
class Hints:
    """Reads on in a Redis stream. `position` is the last entry read."""

    client: redis.asyncio.Redis
    key: str
    position: str = START

    async def begin(self, after: str) -> bool:
        """Goes on after entry `after` if Redis still has what came next; False: it starts at the end, and what came before is unknown."""
        oldest: Any
        newest: Any
        try:
            oldest, newest = await self.client.xrange(self.key, count=1), await self.client.xrevrange(self.key, count=1)
        except redis.RedisError:
            return False
        known = bool(oldest and _number(oldest[0][0]) <= _number(after) <= _number(newest[0][0]))
        self.position = after if known else newest[0][0] if newest else START
        return known

    async def wait(self) -> list[Mapping[str, str]] | None:
        """What is new, after a while also nothing; None where Redis does not say."""
        try:
            if not (found := await self._read(BLOCK_MS)):
                return []
            await asyncio.sleep(GATHER_S)
            return found + await self._read(None)
        except redis.RedisError:
            await asyncio.sleep(WITHOUT_REDIS_S)
            return None

    async def _read(self, block_ms: int | None) -> list[Mapping[str, str]]:
        found: Any = await self.client.xread({self.key: self.position}, count=AT_ONCE, block=block_ms)
        entries = found[0][1] if found else []
        if entries:
            self.position = entries[-1][0]
        return [values for _, values in entries]


def _number(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


# --- a board ---------------------------------------------------------------------------------------------------------


@dataclass
class Board:
    """What one page shows of a cohort, as far as it was told."""

    user_id: int
    cohort_id: int
    asked: Filter
    told: dict[str, int] = field(default_factory=dict)  # {attempt id: hash of its row}

    def news(self, only: Iterable[UUID] | None) -> dict[str, Any] | None:
        """`read` for a stream: a board stays open for hours and needs the database for a moment now and then."""
        try:
            return self.read(only)
        finally:
            close_old_connections()

    def read(self, only: Iterable[UUID] | None = None) -> dict[str, Any] | None:
        """Rows that look different from what was told, of `only` these attempts or of all; None for somebody who may not watch."""
        user, cohort = User.objects.filter(pk=self.user_id).first(), Cohort.objects.filter(pk=self.cohort_id).first()
        if user is None or cohort is None or not may(user, "watch_live", cohort):
            return None
        now, manages = timezone.now(), may(user, "manage_learners", cohort)
        wanted = None if only is None else set(only)
        rows = board_rows(user=user, cohort=cohort, asked=self.asked, now=now, only=wanted)
        html = {str(row.attempt.pk): render_row(row, cohort, manages=manages) for row in rows}
        changed = [{"id": pk, "html": text} for pk, text in html.items() if self.told.get(pk) != hash(text)]
        away = self.told.keys() - html.keys() if wanted is None else {str(pk) for pk in wanted} - html.keys()
        self.told = {pk: mark for pk, mark in self.told.items() if pk not in away} | {pk: hash(text) for pk, text in html.items()}
        answer: dict[str, Any] = {"now": now.isoformat(), "rows": changed, "gone": sorted(away)}
        return answer | ({"all": list(html)} if wanted is None else {})


async def watch_board(*, user_id: int, cohort_id: int, asked: Filter, after: str = START) -> AsyncIterator[Sent]:
    """The board as it changes, for as long as the reader may watch."""
    client, board = async_connection(), Board(user_id, cohort_id, asked)
    hints = Hints(client, board_key(f"cohort:{cohort_id}"))
    look = sync_to_async(board.news)
    try:
        whole, only, said_at, fresh_at = not await hints.begin(after), set[UUID](), time.monotonic(), float("-inf")
        if not whole:
            fresh_at = time.monotonic()
        while True:
            whole = whole or time.monotonic() - fresh_at >= FRESH_S
            if whole or only:
                news = await look(None if whole else only)
                if news is None:
                    yield Sent("", "over", {})
                    return
                fresh_at = time.monotonic() if whole else fresh_at
                if whole or news["rows"] or news["gone"]:
                    said_at = time.monotonic()
                    yield Sent(hints.position, "rows", news)
            if time.monotonic() - said_at >= BEAT_S:
                said_at = time.monotonic()
                yield Sent("", "beat", {"now": timezone.now().isoformat()})
            found = await hints.wait()
            whole, only = found is None, _attempts(found or ())
    finally:
        await client.aclose()


def _attempts(entries: Iterable[Mapping[str, str]]) -> set[UUID]:
    return {UUID(entry["attempt"]) for entry in entries}


# --- one interview ---------------------------------------------------------------------------------------------------


async def watch_attempt(*, user_id: int, attempt_id: UUID, allowed: Callable[[], bool], tell: bool) -> AsyncIterator[Sent]:
    """`news` {"seq"} whenever something happened in the attempt, `beat` when nothing did, `over` for who may not follow it any more.

    tell  the candidate is told that somebody follows, and when nobody does any more
    """
    client = async_connection()
    hints = Hints(client, attempt_key(attempt_id))
    look, seq, said_at = sync_to_async(_look), -1, float("-inf")
    here = presence.Here(attempt_id, user_id) if tell else None
    try:
        await hints.begin(START)
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
            await hints.wait()
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
