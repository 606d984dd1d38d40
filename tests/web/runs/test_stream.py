from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connections
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.runs import channel
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import run_start
from mlsd_app.runs.stream import Event, watch
from simulators.lab import Lab
from tests.web.runs.conftest import Queue, RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


def follow(run: Run, last_id: str = "0", limit: int = 10_000, within_s: float = 20) -> list[Event]:
    async def collect() -> list[Event]:
        events: list[Event] = []
        async for event in watch(run.pk, last_id):
            events.append(event)
            if len(events) >= limit:
                break
        return events

    async def bounded() -> list[Event]:
        return await asyncio.wait_for(collect(), within_s)

    return async_to_sync(bounded)()


def work_elsewhere(queue: Queue) -> None:
    """In a thread, as a worker would; what it opened it closes."""
    try:
        queue.work()
    finally:
        connections.close_all()


def start(user: User, lab: type[Lab], n: int = 5) -> Run:
    return run_start(user=user, lab=lab, values={"n": n})


def test_every_event_arrives_once_in_order_and_the_end_ends_it(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    queue.work()
    kinds = [event.kind for event in follow(run)]
    assert kinds[0] == "started" and kinds[-1] == "done" and kinds.count("done") == 1 and kinds.count("frame") == 5


def test_reconnecting_resumes_after_the_last_event_seen(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    queue.work()
    whole = follow(run)
    for cut in (1, 4, len(whole) - 1):
        assert follow(run, whole[cut - 1].id) == whole[cut:]


def test_after_the_stream_is_gone_the_database_tells_the_end(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    queue.work()
    channel.connection().delete(channel.stream_key(run.pk))
    assert [event.kind for event in follow(run)] == ["done"]


def test_who_waits_is_told_how_many_are_ahead(queue: Queue, user: User, counter: type[Lab]) -> None:
    start(user, counter, 7)
    event = follow(start(user, counter, 8), limit=1)[0]
    assert event.kind == "waiting" and event.data["ahead"] == 1 and "1 run ahead" in event.data["label"]


def test_a_worker_that_dies_is_told(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, started_at=timezone.now() - timedelta(seconds=30))
    last = follow(run)[-1]
    assert last.kind == "lost" and "run it again" in last.data["message"]
    run.refresh_from_db()
    assert run.state == RunState.LOST


def test_a_run_nobody_began_in_time_is_told(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    Run.objects.filter(pk=run.pk).update(expires_at=timezone.now() - timedelta(seconds=30))
    assert follow(run)[-1].kind == "expired"


def test_without_redis_the_watcher_is_told_and_still_gets_the_end(
    queue: Queue, user: User, counter: type[Lab], redis_server: RedisServer
) -> None:
    run = start(user, counter)
    redis_server.stop()
    threading.Timer(1.5, work_elsewhere, [queue]).start()
    events = follow(run)
    assert events[0].kind == "waiting" and "interrupted" in events[0].data["label"]
    assert events[-1].kind == "done"


def test_watching_holds_the_lease(queue: Queue, user: User, counter: type[Lab]) -> None:
    run = start(user, counter)
    follow(run, limit=1)
    assert channel.connection().ttl(channel.watched_key(run.pk)) > 0


def test_event_lines() -> None:
    assert Event("1-0", "frame", {"a": "é\n"}).encode() == 'id: 1-0\nevent: frame\ndata: {"a":"é\\n"}\n\n'
    assert Event("", "waiting", {}).encode().startswith("event: waiting\n")
