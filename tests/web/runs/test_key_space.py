"""What a lab keeps in Redis while it runs: its own, and gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as site_settings

from mlsd_app.runs import channel
from simulators.assets import CachedAssets
from simulators.lab import Context
from tests.redis_server import RedisServer


@pytest.fixture
def server(redis_server: RedisServer, settings: Any) -> Iterator[redis.Redis]:
    settings.REDIS_URL = redis_server.url
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client


def test_keys_of_a_run_are_gone_when_it_ends_and_no_others(server: redis.Redis) -> None:
    server.set("lab:other:1", "stays")
    with channel.key_space("mine") as space:
        assert space is not None
        for number in range(2500):
            space.client.set(f"{space.prefix}{number}", b"\xff")
        assert space.client.get(f"{space.prefix}7") == b"\xff"
        assert server.dbsize() == 2501
    assert server.keys("*") == [b"lab:other:1"]


def test_keys_are_gone_too_when_the_run_is_cancelled(server: redis.Redis) -> None:
    def lab() -> Iterator[None]:
        with channel.key_space("mine") as space:
            assert space is not None
            space.client.set(f"{space.prefix}k", 1)
            yield

    steps = lab()
    next(steps)
    assert server.dbsize() == 1
    steps.close()
    assert server.dbsize() == 0


def test_no_key_space_without_a_server() -> None:
    assert "no-redis" in site_settings.REDIS_URL
    with channel.key_space("mine") as space:
        assert space is None
    with Context(seed=1, assets=CachedAssets(None)).key_space() as none:
        assert none is None


def test_a_server_that_dies_half_way_is_not_an_error_of_the_clean_up(server: redis.Redis, redis_server: RedisServer) -> None:
    with channel.key_space("mine") as space:
        assert space is not None
        space.client.set(f"{space.prefix}k", 1)
        redis_server.stop()
