"""The log of an attempt, and what those who watch are told of it: with Redis, without it, and after a broken connection."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.interviews import lifecycle, live, staff_ops, stream
from mlsd_app.interviews.events import attempt_lock, event_add
from mlsd_app.interviews.models import Attempt, Event, Status
from mlsd_app.runs.stream import Event as Sent
from problems.schema import Problem
from tests.redis_server import RedisServer
from tests.web.interviews.conftest import NOW, at


@pytest.fixture
def redis_client(redis_server: RedisServer, settings: Any, asked: list[str]) -> Iterator[redis.Redis]:
    """A living Redis for the site, and a look into it."""
    settings.REDIS_URL = redis_server.url
    live._publisher_of.cache_clear()  # another test may have left it silent
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushall()
        yield client


# --- the log ---------------------------------------------------------------------------------------------------------


def test_events_say_when_on_the_clock_and_in_which_phase(running: Attempt, user: User) -> None:
    lifecycle.attempt_move(attempt=running, to_phase=2, actor=user, now=at(100))
    lifecycle.attempt_pause(attempt=running, actor=user, now=at(200))
    lifecycle.attempt_resume(attempt=running, actor=user, now=at(250))
    with transaction.atomic():
        event = event_add(attempt=running, kind="note", now=at(300), data={"text": "here"}, actor=user)
    assert (event.active_ms, event.phase, event.at) == (250_000, "architecture", at(300))
    assert list(running.events.values_list("seq", flat=True)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.django_db(transaction=True)
def test_an_event_outside_a_transaction_is_refused(running: Attempt) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        event_add(attempt=running, kind="note", now=at(1))
    with pytest.raises(transaction.TransactionManagementError):
        attempt_lock(attempt=running)


def test_writers_at_once_get_numbers_without_gap_or_double(threads_database: None, problem: Problem) -> None:
    user = User.objects.create_user("ada")
    attempt = lifecycle.attempt_create(user=user, problem=problem, now=NOW)

    def write() -> None:
        try:
            for number in range(10):
                with transaction.atomic():
                    event_add(attempt=attempt, kind="note", now=at(number))
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(attempt.events.values_list("seq", flat=True)) == list(range(1, 32))


# --- publishing ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_is_published_to_the_attempt_and_its_board(running: Attempt, redis_client: redis.Redis) -> None:
    Attempt.objects.filter(pk=running.pk).update(board="cohort:7")
    running.refresh_from_db()
    with transaction.atomic():
        event_add(attempt=running, kind="note", now=at(1), data={"text": "not for the board"})
        assert not redis_client.exists(live.attempt_key(running.pk))
    for key in (live.attempt_key(running.pk), "live:cohort:7"):
        [(_, row)] = redis_client.xrange(key)
        assert row == {"attempt": str(running.pk), "seq": "3", "kind": "note", "at": at(1).isoformat()}
        assert redis_client.ttl(key) > 3600


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_never_published(running: Attempt, redis_client: redis.Redis) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        event_add(attempt=running, kind="note", now=at(1))
        raise ZeroDivisionError
    assert redis_client.keys("*") == []


@pytest.mark.django_db(transaction=True)
def test_a_dead_redis_stops_nothing_and_is_left_alone_for_a_while(
    running: Attempt, user: User, redis_server: RedisServer, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.stop()
    lifecycle.attempt_move(attempt=running, to_phase=1, actor=user, now=at(10))
    redis_server.start()
    lifecycle.attempt_move(attempt=running, to_phase=2, actor=user, now=at(20))
    assert not redis_client.exists(live.attempt_key(running.pk)), "silent for SILENT_S"
    monkeypatch.setattr(live.time, "monotonic", lambda: 1e9)
    lifecycle.attempt_move(attempt=running, to_phase=3, actor=user, now=at(30))
    assert redis_client.xlen(live.attempt_key(running.pk)) == 1
    assert list(running.events.values_list("kind", flat=True)) == ["created", "start", "move", "move", "move"]


# --- watching --------------------------------------------------------------------------------------------------------


@pytest.fixture
def started_now(user: User, problem: Problem) -> Attempt:
    """Running by the real clock, which streams use."""
    now = timezone.now()
    return lifecycle.attempt_start(attempt=lifecycle.attempt_create(user=user, problem=problem, now=now), actor=user, now=now)


async def watched(attempt: Attempt, after: int | None, enough: Callable[[list[Sent]], bool], *doings: Callable[[], Any]) -> list[Sent]:
    """Events until there are enough; after the first of them the `doings` happen, each in a thread."""
    seen: list[Sent] = []
    todo = list(doings)

    async def follow() -> None:
        async for event in stream.watch(attempt.pk, after):
            seen.append(event)
            if enough(seen):
                return
            while todo:
                await sync_to_async(todo.pop(0))()

    await asyncio.wait_for(follow(), timeout=20)
    return seen


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("alive", [True, False])
async def test_a_watcher_is_told_of_changes_with_and_without_redis(
    started_now: Attempt, user: User, other: User, redis_client: redis.Redis, redis_server: RedisServer, alive: bool, monkeypatch: Any
) -> None:
    if not alive:
        redis_server.stop()
        monkeypatch.setattr(stream, "WITHOUT_REDIS_S", 0.1)

    def extend() -> None:
        staff_ops.adjust_add(attempt=started_now, seconds=300, from_phase=0, actor=other, reason="Late", now=timezone.now())

    def submit() -> None:
        lifecycle.attempt_submit(attempt=started_now, actor=user, now=timezone.now())

    seen = await watched(started_now, None, lambda events: events[-1].kind == "closed", extend, submit)
    redis_server.start()
    assert [event.kind for event in seen] == ["clock", "clock", "closed"]
    assert seen[1].data["clock"]["limit_ms"] - seen[0].data["clock"]["limit_ms"] == 300_000
    assert seen[2].data["clock"]["state"] == "closed" and seen[2].data["data"]["reason"] == "submitted"


@pytest.mark.django_db(transaction=True)
async def test_a_stream_goes_on_after_the_last_event_that_arrived(started_now: Attempt, user: User, redis_client: redis.Redis) -> None:
    def happen() -> None:
        now = timezone.now()
        for phase in (1, 2):
            lifecycle.attempt_move(attempt=started_now, to_phase=phase, actor=user, now=now)
        with transaction.atomic():
            event_add(attempt=started_now, kind="save", now=now, data={"field": "text/clarify"})
            event_add(attempt=started_now, kind="probe", now=now, data={"text": "Why?"})

    await sync_to_async(happen)()
    seen = await watched(started_now, 3, lambda events: len(events) >= 2)
    assert [(event.id, event.kind) for event in seen] == [("4", "clock"), ("6", "prompt")], "saves are not for watchers"
    assert seen[1].data["data"] == {"text": "Why?"}


@pytest.mark.django_db(transaction=True)
async def test_a_watcher_closes_what_no_sweep_has_closed(started_now: Attempt, redis_client: redis.Redis) -> None:
    def age() -> None:
        begun = timezone.now() - timedelta(seconds=2800)
        Attempt.objects.filter(pk=started_now.pk).update(started_at=begun, next_check_at=begun)

    await sync_to_async(age)()
    seen = await watched(started_now, None, lambda events: events[-1].kind == "closed")
    row = await Attempt.objects.aget(pk=started_now.pk)
    assert row.status == Status.CLOSED and row.started_at and row.closed_at == row.started_at + timedelta(seconds=2700)
    assert seen[-1].data["clock"]["writable"] == []
    assert [event.online async for event in Event.objects.filter(attempt=row, kind="close")] == [True]


@pytest.mark.django_db(transaction=True)
async def test_a_database_too_busy_to_be_written_to_ends_no_stream(
    started_now: Attempt, user: User, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**_: Any) -> None:
        raise OperationalError("database is locked")

    def move() -> None:
        lifecycle.attempt_move(attempt=started_now, to_phase=1, actor=user, now=timezone.now())
        Attempt.objects.filter(pk=started_now.pk).update(next_check_at=timezone.now())

    monkeypatch.setattr(stream, "attempt_check", busy)
    await Attempt.objects.filter(pk=started_now.pk).aupdate(next_check_at=timezone.now())
    seen = await watched(started_now, None, lambda seen: len(seen) >= 2, move)
    assert [event.data["kind"] for event in seen] == ["clock", "move"]


@pytest.mark.django_db(transaction=True)
async def test_an_attempt_that_is_deleted_ends_its_streams(started_now: Attempt, redis_client: redis.Redis) -> None:
    seen = await watched(started_now, None, lambda events: events[-1].kind == "closed", lambda: Attempt.objects.all().delete())
    assert seen[-1].data["kind"] == "deleted"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("header", "expected"), [("2", ["4"]), ("1", ["2", "4"]), ("x", []), ("99999999999", [])])
def test_the_header_says_where_to_go_on(
    mine: Client, started_now: Attempt, user: User, redis_client: redis.Redis, header: str, expected: list[str]
) -> None:
    lifecycle.attempt_submit(attempt=started_now, actor=user, now=timezone.now())
    answer = mine.get(reverse("interviews:stream", args=[started_now.pk]), headers={"Last-Event-ID": header})
    assert answer["Content-Type"] == "text/event-stream"

    async def read() -> bytes:
        return b"".join([part async for part in answer.streaming_content])  # type: ignore[union-attr]

    lines = asyncio.run(read()).decode().splitlines()
    assert [line[4:] for line in lines if line.startswith("id: ")] == expected
    assert "event: closed" in lines
    assert all(json.loads(line[6:])["clock"]["state"] == "closed" for line in lines if line.startswith("data: "))
