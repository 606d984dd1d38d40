"""What stands around the online store: a client without a server, a cache in front, the simulated network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import redis

from simulators.engines.features.fan_out import SLOW_FACTOR, Network, simulate, slow_share
from simulators.engines.features.in_process import InProcessClient
from simulators.engines.features.online import OnlineStore
from simulators.engines.features.read_cache import CachedReader
from simulators.errors import InvalidInput
from tests.redis_server import RedisServer

SCHEMA = {"user": ("clicks", "age"), "live": ("clicks_5m",)}
LAYOUTS = ["view_hash", "row_hash", "blob", "split_blob"]
FEATURES = ["live:clicks_5m", "user:clicks", "user:age"]
NOW_S = 1_000


def store(client: Any, layout: Any = "view_hash") -> OnlineStore:
    made = OnlineStore(client, SCHEMA, layout, "t:", streaming=("live",), expire_s=600, clock=lambda: NOW_S)
    made.write("user", [1, 2, 3], [[1, 10], [2, 20], [3, 30]], [(NOW_S - 50) * 10**6] * 3)
    made.write("live", [1, 2], [[7], [8]], [(NOW_S - 1) * 10**6] * 2)
    return made


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("access", ["serial", "per_view", "one_pipeline"])
def test_without_a_server_everything_but_time_is_the_same(layout: str, access: Any, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        real, made = (store(one, layout).read([1, 3, 9], FEATURES, access=access) for one in (client, InProcessClient()))
    np.testing.assert_array_equal(real.values, made.values)
    np.testing.assert_array_equal(real.age_s, made.age_s)
    assert (real.round_trips, real.commands, real.bytes) == (made.round_trips, made.commands, made.bytes)


def test_stored_bytes_are_names_and_values() -> None:
    client = InProcessClient()
    client.set("abc", b"12345678")
    client.hset("h", mapping={b"f": b"12"})
    client.hset("h", mapping={b"f": b"123"})
    assert (client.stored_bytes(), client.keys) == (3 + 8 + 1 + 1 + 3, 2)
    assert client.pipeline(transaction=False).get("abc").get("no").execute() == [b"12345678", None]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_keys_of_an_entity_are_those_it_has(layout: str) -> None:
    client = InProcessClient()
    made = store(client, layout)
    keys = [key for entity in (1, 2, 3) for key in made.keys_of(entity)]
    assert len(set(keys)) == len(keys) and all(key.startswith("t:") for key in keys)
    assert {key for key in keys if client.expire(key, 1)} >= set(made.keys_of(1)) | set(made.keys_of(2))


def test_a_string_of_another_schema_is_refused_not_misread() -> None:
    client = InProcessClient()
    store(client, "blob")
    wider = OnlineStore(client, {**SCHEMA, "more": ("x",)}, "blob", "t:")
    with pytest.raises(InvalidInput, match="does not fit the schema: 40 bytes in 1 values, expected 56"):
        wider.read([1], ["more:x"])


# --- the cache ---------------------------------------------------------------------------------------------------------


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def cached(views: Any = ("user",), ttl_s: float = 60, **more: Any) -> tuple[CachedReader, OnlineStore, Clock]:
    made, clock = store(InProcessClient(), **more), Clock()
    return CachedReader(made, FEATURES, views, ttl_s, clock), made, clock


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("views", [(), ("user",), ("live",), ("user", "live")])
def test_a_cache_serves_what_the_store_serves(layout: str, views: Any) -> None:
    reader, made, _ = cached(views, layout=layout)
    for keys in ([1, 2, 9], [3, 1, 1], []):
        np.testing.assert_array_equal(reader.read(keys).values, made.read(keys, FEATURES).values)
        np.testing.assert_array_equal(reader.read(keys).age_s, made.read(keys, FEATURES).age_s)


def test_what_is_held_is_not_asked_for_until_it_is_too_old() -> None:
    reader, made, clock = cached()
    assert reader.read([1, 2]).commands == 4 and reader.read([1, 2]).commands == 2
    made.write("user", [1], [[100, 10]], [NOW_S * 10**6])
    clock.now_s = 59.9
    held = reader.read([1, 3])
    assert held.values[0].tolist() == [7, 1, 10] and held.commands == 3
    np.testing.assert_allclose(held.age_s, [[50 + 59.9, 1], [50, np.nan]])
    clock.now_s = 60
    assert reader.read([1]).values[0].tolist() == [7, 100, 10]
    assert (reader.hits, reader.lookups) == (3, 7)


def test_without_time_to_live_nothing_is_held() -> None:
    reader, _, _ = cached(ttl_s=0)
    assert not reader.caches and reader.read([1, 2]).commands == reader.read([1, 2]).commands == 4


def test_preloaded_entries_are_as_old_as_told() -> None:
    reader, _, clock = cached()
    reader.preload([1, 2], {1: -59.0})
    assert reader.read([1, 2]).age_s[:, 0].tolist() == [50 + 59, 50]
    clock.now_s = 2
    assert reader.read([1]).age_s[0, 0] == 50, "older than its time to live, so read again"


# --- the network -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_slow_reply_in_a_hundred_slows_a_fifth_of_requests_of_twenty(seed: int) -> None:
    waits = simulate(Network(0.5, 20, 0.01), rounds=1, keys=400, requests=8_000, rng=np.random.default_rng(seed))
    assert slow_share(0.01, 20) == pytest.approx(0.182, abs=5e-4)
    assert waits.slow.mean() == pytest.approx(0.182, abs=4 * np.sqrt(0.182 * 0.818 / 8_000))
    assert np.median(waits.time_ms[waits.slow]) > 3 * np.median(waits.time_ms[~waits.slow])
    assert np.quantile(waits.hedged_ms, 0.99) < 0.5 * np.quantile(waits.time_ms, 0.99)
    assert (waits.hedged_ms <= waits.time_ms).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shards_asked_are_those_that_hold_a_key(seed: int) -> None:
    draws = np.random.default_rng(seed)
    thrown = [len(set(draws.integers(0, 20, 50).tolist())) for _ in range(4_000)]
    assert Network(1, 20, 0).shards_asked(50) == pytest.approx(np.mean(thrown), abs=0.1)
    assert Network(1, 20, 0).shards_asked(1) == pytest.approx(1)


def test_round_trips_add_up_and_shards_do_not() -> None:
    one, ten, wide = (
        np.median(simulate(Network(1, shards, 0), rounds=rounds, keys=100, requests=2_000, rng=np.random.default_rng(5)).time_ms)
        for shards, rounds in ((1, 1), (1, 10), (100, 1))
    )
    assert ten == pytest.approx(10 * one, rel=0.1)
    assert 1.3 * one < wide < 3 * one
    none = simulate(Network(1, 4, 0.5), rounds=0, keys=3, requests=10, rng=np.random.default_rng(5))
    assert not none.time_ms.any() and not none.slow.any()
    slow = simulate(Network(1, 1, 1.0), rounds=1, keys=1, requests=2_000, rng=np.random.default_rng(5))
    assert slow.slow.all() and np.median(slow.time_ms) == pytest.approx(SLOW_FACTOR, rel=0.05)


class FiveCommands(InProcessClient):
    """A client that has no more than the store promises to use, and no options."""

    get = expire = None  # type: ignore[assignment]

    def set(self, key: str, value: bytes) -> bool:  # type: ignore[override]
        return super().set(key, value)


@pytest.mark.parametrize("layout", ["view_hash", "row_hash", "blob", "split_blob"])
@pytest.mark.parametrize("access", ["serial", "per_view", "one_pipeline"])
def test_five_commands_are_enough(layout: Any, access: Any) -> None:
    made = OnlineStore(FiveCommands(), {"user": ["a", "b"], "item": ["c"]}, layout, clock=lambda: 10)
    made.write("user", [1, 2], [[1, 2], [3, 4]], 4_000_000)
    read = made.read([2, 1], ["b", "a"], access=access)
    np.testing.assert_array_equal(read.values, [[4, 3], [2, 1]])
    np.testing.assert_array_equal(read.age_s, [[6], [6]])
