"""Following a run: an async generator over its Redis stream that ends with the truth from the database."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
import redis.asyncio
from asgiref.sync import sync_to_async

from mlsd_app.runs import channel
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import queue_of
from mlsd_app.runs.upkeep import run_settle
from simulators.registry import get_lab

logger = logging.getLogger(__name__)
BLOCK_MS = 1000
OUTAGE_POLL_S = 0.5
_EVENT_ID = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?")


def resume_after(header: str | None) -> str:
    """Where a stream goes on: the id a client sends as Last-Event-ID if it is one that Redis makes, else the beginning."""
    return header if header and _EVENT_ID.fullmatch(header) else "0"


@dataclass(frozen=True)
class Event:
    id: str  # of the Redis stream; "" for one that was not in it
    kind: str
    data: dict[str, Any]

    @property
    def terminal(self) -> bool:
        return self.kind in channel.TERMINAL

    def encode(self) -> str:
        """The event as server-sent lines."""
        head = f"id: {self.id}\n" if self.id else ""
        return f"{head}event: {self.kind}\ndata: {json.dumps(self.data, separators=(',', ':'), ensure_ascii=False)}\n\n"


async def watch(run_id: UUID, last_id: str = "0") -> AsyncIterator[Event]:
    """Events of the run after `last_id`, ending with one of done, failed, cancelled, lost, expired.

    While Redis is away the database is asked instead; the generator says `waiting` about once a second when there is nothing to
    tell. Closing it gives the connection back.
    """
    client = channel.async_connection()
    position = last_id or "0"
    try:
        while True:
            events = await _next_events(client, run_id, position)
            for event in events:
                position = event.id or position
                yield event
                if event.terminal:
                    return
    finally:
        await client.aclose()


async def _next_events(client: redis.asyncio.Redis, run_id: UUID, position: str) -> list[Event]:
    try:
        await client.set(channel.watched_key(run_id), "1", ex=channel.WATCHED_S)
        found: Any = await client.xread({channel.stream_key(run_id): position}, count=50, block=BLOCK_MS)
    except redis.RedisError as error:
        logger.warning("run %s: stream not readable: %s", run_id, error)
        await asyncio.sleep(OUTAGE_POLL_S)
        return [await sync_to_async(_look)(run_id, True)]
    if found:
        return [Event(id=entry, kind=fields["kind"], data=json.loads(fields["data"])) for entry, fields in found[0][1]]
    return [await sync_to_async(_look)(run_id, False)]


def _look(run_id: UUID, outage: bool) -> Event:
    """What the database says of a run whose stream is silent."""
    run = Run.objects.get(pk=run_id)
    if run_settle(run=run):
        return final_event(run)
    if outage:
        return Event(
            "",
            "waiting",
            {"ahead": 0, "label": "The connection to the engines is interrupted. The run goes on; its result will appear here."},
        )
    if run.state == RunState.QUEUED:
        return _queued(run)
    return Event("", "waiting", {"ahead": 0, "label": ""})


def _queued(run: Run) -> Event:
    ahead = Run.objects.filter(state__in=[RunState.QUEUED, RunState.RUNNING], created_at__lt=run.created_at, sweep=None)
    queue = queue_of(get_lab(run.problem, run.lab))
    before = sum(queue_of(get_lab(problem, lab)) == queue for problem, lab in ahead.values_list("problem", "lab"))
    return Event(
        "", "waiting", {"ahead": before, "label": f"Waiting for a worker; {before} run{'s' if before != 1 else ''} ahead of yours."}
    )


def final_event(run: Run) -> Event:
    """The last event of an ended run, told from the database."""
    if run.state == RunState.DONE:
        return Event("", "done", {"run": str(run.pk)})
    return Event("", run.state, {"message": run.error})
