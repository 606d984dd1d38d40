"""Every layout stores and serves the same; what differs is what a read costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import redis

from simulators.engines.features.online import OnlineStore
from simulators.errors import InvalidInput
from tests.redis_server import RedisServer

SCHEMA = {"user": ["clicks", "age"], "item": ["price"], "live": ["clicks_5m", "price"]}
LAYOUTS = ["view_hash", "row_hash", "blob", "split_blob"]
ACCESS = ["serial", "per_view", "one_pipeline"]
NOW_S = 1_000_000


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as connection:
        connection.flushdb()
        yield connection


def store(client: Any, layout: Any, **more: Any) -> OnlineStore:
    return OnlineStore(client, SCHEMA, layout, "run7:", streaming=("live",), clock=lambda: NOW_S, **more)


def filled(client: Any, layout: Any, **more: Any) -> OnlineStore:
    made = store(client, layout, **more)
    made.write("user", [1, 2, 3], [[1, 10], [2, 20], [3, np.nan]], (NOW_S - np.array([60, 120, 180])) * 1_000_000)
    made.write("item", [1, 2], [[0.5], [1.5]], [0, -1])
    made.write("live", [1], [[7, 8]], [(NOW_S - 1) * 1_000_000])
    made.write("user", [2], [[22, 20]], [(NOW_S - 5) * 1_000_000])
    return made


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_serve_the_same(layout: str, access: Any, client: redis.Redis) -> None:
    read = filled(client, layout).read([1, 2, 3, 9], ["live:price", "clicks", "item:price", "age"], access=access)
    nan = np.nan
    np.testing.assert_array_equal(read.values, [[8, 1, 0.5, 10], [nan, 22, 1.5, 20], [nan, 3, nan, nan], [nan] * 4])
    np.testing.assert_array_equal(read.age_s, [[60, NOW_S, 1], [5, NOW_S + 1e-6, nan], [180, nan, nan], [nan] * 3])


@pytest.mark.parametrize(
    ("layout", "access", "trips", "commands"),
    [
        ("view_hash", "serial", 8, 8),
        ("view_hash", "per_view", 2, 8),
        ("view_hash", "one_pipeline", 1, 8),
        ("row_hash", "serial", 4, 4),
        ("row_hash", "one_pipeline", 1, 4),
        ("blob", "serial", 4, 4),
        ("blob", "one_pipeline", 1, 1),
        ("split_blob", "per_view", 2, 2),
        ("split_blob", "one_pipeline", 1, 1),
    ],
)
def test_round_trips_and_commands_are_counted(layout: str, access: Any, trips: int, commands: int, client: redis.Redis) -> None:
    made = filled(client, layout)
    before = client.info("commandstats")
    read = made.read([1, 2, 3, 9], ["user:age", "live:clicks_5m"], access=access)
    after = client.info("commandstats")
    calls = sum(
        after[f"cmdstat_{c}"]["calls"] - before.get(f"cmdstat_{c}", {"calls": 0})["calls"]
        for c in ("hmget", "get", "mget")
        if f"cmdstat_{c}" in after
    )
    assert (read.round_trips, read.commands, calls) == (trips, commands, commands)
    assert read.bytes > 0


def test_a_streaming_write_rewrites_only_its_own_part(client: redis.Redis) -> None:
    written = {layout: filled(client, layout).write("live", [1], [[1, 2]], [0]) for layout in LAYOUTS}
    assert written == {"view_hash": 24, "row_hash": 24, "blob": 8 * 8, "split_blob": 24}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys_carry_the_prefix_and_expire(layout: str, client: redis.Redis) -> None:
    filled(client, layout, expire_s=600)
    keys = client.keys("*")
    assert keys and all(key.startswith(b"run7:") for key in keys)
    assert all(0 < client.ttl(key) <= 600 for key in keys)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_asked_costs_nothing(layout: str, client: redis.Redis) -> None:
    made = filled(client, layout)
    assert made.read([], ["age"]).values.shape == (0, 1)
    nothing = made.read([1, 2], [])
    assert nothing.values.shape == (2, 0) and nothing.commands == 0
    assert made.write("item", [], np.zeros((0, 1)), []) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: s.read([1], ["user:clicks_7d"]), "Feature clicks_7d is not in view user; it has clicks, age."),
        (lambda s: s.read([1], ["price"]), "Feature price is in the views item, live; name one, as in item:price."),
        (lambda s: s.read([1], ["nowhere"]), "Feature nowhere is in no view."),
        (lambda s: s.read([1], ["shop:x"]), "There is no view shop; the views are user, item, live."),
        (lambda s: s.read([1], ["age"], access="magic"), "access is 'magic'"),
        (lambda s: s.write("item", [1], [[1, 2]], [0]), "expected (1, 1) values and 1 times"),
        (lambda s: OnlineStore(None, SCHEMA, "columns"), "layout is 'columns'"),
        (lambda s: OnlineStore(None, {"user": []}), "at least one feature a view"),
        (lambda s: OnlineStore(None, SCHEMA, streaming=("shop",)), "There is no view shop"),
    ],
)
def test_bad_input_is_a_sentence(call: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        call(store(None, "view_hash"))
    assert words in refused.value.message
