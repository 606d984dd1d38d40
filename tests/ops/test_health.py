"""/healthz and the presence of workers, against a Redis that comes and goes."""

from __future__ import annotations

import json
import mmap
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from redis import Redis

from mlsd_app.core import presence
from tests.redis_server import RedisServer


@pytest.fixture
def client_of_redis(redis_server: RedisServer, settings: Any) -> Any:
    settings.REDIS_URL = redis_server.url
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client


def test_a_queue_is_alive_for_as_long_as_its_worker_says_so(client_of_redis: Redis) -> None:
    assert presence.alive_queues(client_of_redis) == set()
    presence.announce(client_of_redis, ["interactive", "batch"], "host-1")
    assert presence.alive_queues(client_of_redis) == {"interactive", "batch"}
    assert presence.queue_alive(client_of_redis, "batch") and not presence.queue_alive(client_of_redis, "measure")
    left_s = int(client_of_redis.ttl(presence.presence_key("batch")))
    assert presence.REFRESH_S * 2 < left_s <= presence.TTL_S, "one missed refresh must not count as a death"


def test_a_worker_counts_from_when_its_pool_can_take_a_run(client_of_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_POOL_IS_UP", mmap.mmap(-1, 1))
    step = presence.Presence(SimpleNamespace())
    worker = SimpleNamespace(
        app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=["interactive"]))),
        timer=SimpleNamespace(call_repeatedly=lambda every_s, refresh, args: lambda: refresh(*args)),
    )
    step.start(worker)
    assert presence.alive_queues(client_of_redis) == set(), "its pool still compiles"
    presence.pool_process_up()
    step._timer()
    assert presence.alive_queues(client_of_redis) == {"interactive"}


@pytest.mark.django_db
def test_the_site_is_well_when_everything_answers(client: Client, client_of_redis: Redis) -> None:
    presence.announce(client_of_redis, list(presence.QUEUES), "host-1")
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert json.loads(answer.content) == {
        "status": "ok",
        "database": True,
        "redis": True,
        "queues": {"interactive": True, "measure": True, "batch": True},
    }


@pytest.mark.django_db
def test_without_redis_it_still_serves_and_says_so(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    said = json.loads(answer.content)
    assert said["status"] == "degraded" and not said["redis"] and not any(said["queues"].values())


def test_without_a_database_it_is_down(client: Client, client_of_redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OperationalError("no database")

    monkeypatch.setattr(connection, "cursor", refuse)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert json.loads(answer.content)["status"] == "down"
