"""The lab `online`: the ratios of measured times on a real Redis, what is counted, the simulated network, and no Redis at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import pytest
import redis

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.steps import finish
from simulators.feature_store._online_measure import LADDER, Times, measure
from simulators.feature_store._online_views import name_of
from simulators.feature_store._online_world import Design, Shelf, make_world
from simulators.feature_store.online import NOT_ANSWERING
from simulators.lab import Challenge, Context, Frame, KeySpace, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab
from tests.redis_server import RedisServer

LAB = get_lab("feature_store", "online")
SEEDS = (1, 2, 3)
QUICK = {"requests": 50}
PIPELINED = {"access": "one_pipeline", **QUICK}
_RUNS = count()


@pytest.fixture
def server(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        yield client


def run(client: Any = None, seed: int = 1, **values: Any) -> Result:
    """On the client's server, or on none."""

    @contextmanager
    def key_space() -> Iterator[KeySpace | None]:
        yield None if client is None else KeySpace(client, f"run{next(_RUNS)}:", errors=(redis.RedisError,))

    return run_lab(LAB, values, Context(seed=seed, assets=CachedAssets(None), key_space=key_space))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None, key
    return found


def effects(result: Result) -> dict[str, str]:
    return {insight.effect: insight.text for insight in result.insights}


def ladder(client: Any, seed: int) -> dict[Design, Times]:
    world = make_world(parse_params(LAB, PIPELINED), Context(seed=seed, assets=CachedAssets(None)))  # type: ignore[arg-type]
    steps = measure(world, Shelf(world, KeySpace(client, f"run{next(_RUNS)}:")), real=True, picture=lambda _: Frame())
    return finish(steps).ladder


def medians(result: Result) -> dict[str, float]:
    rows = next(table.rows for table in result.tables if table.key == "designs")
    return {str(row[0]): float(row[1] or 0) for row in rows}


# --- measured ----------------------------------------------------------------------------------------------------------


def test_layouts_are_the_stated_ratios_apart(server: redis.Redis) -> None:
    """The quickest tenth of reads taken turn by turn, the best of three worlds: what else a busy machine does only adds to them."""
    best = [np.inf] * len(LADDER)
    for seed in SEEDS:
        quick = [float(np.quantile(times.read_s, 0.1)) for times in ladder(server, seed).values()]
        best = [min(pair) for pair in zip(best, quick, strict=True)]
    serial, _, pipeline, row, _, blob = best
    assert serial >= 2.5 * pipeline and pipeline >= 1.8 * row and row >= 3 * blob, best


def test_a_run_tells_the_ratios_it_measured(server: redis.Redis) -> None:
    result = run(server, layout="blob", **PIPELINED)
    assert {"layouts", "pipelining", "feast", "write_amplification"} <= set(effects(result))
    slow, fast = medians(result)[name_of(LADDER[0])], medians(result)[name_of(LADDER[-1])]
    assert f"{slow / fast:.0f} times less for the same numbers" in effects(result)["layouts"]


def test_a_measured_read_is_slower_than_one_without_a_server_and_mostly_the_clients(server: redis.Redis) -> None:
    result = run(server, **QUICK)
    whole = value(result, "p50_ms")
    assert whole > 3 * value(result, "floor_ms")
    parts = next(figure for figure in result.figures if figure.key == "parts").plot["data"][1]
    ms = {name: height or 0.0 for name, height in zip(parts["y"], parts["x"], strict=True)}
    assert sum(ms.values()) == pytest.approx(whole, rel=0.02)
    assert 0 < ms["Server"] < 0.2 * whole, "the server works for a small part of the time"


@pytest.mark.parametrize("layout", ["view_hash", "row_hash", "blob", "split_blob"])
def test_the_stated_memory_is_what_redis_says(layout: str, server: redis.Redis) -> None:
    result = run(server, layout=layout, **PIPELINED)
    assert value(result, "entity_bytes") == pytest.approx(value(result, "redis_entity_bytes"), rel=0.12)
    assert value(result, "million_gb") == pytest.approx(value(result, "entity_bytes") / 1e3)


def test_every_key_is_the_runs_own_and_expires(server: redis.Redis) -> None:
    run(server, **PIPELINED)
    keys = server.keys("*")
    assert keys and all(key.startswith(b"run") for key in keys)
    assert all(0 < server.ttl(key) <= 600 for key in keys)


# --- counted -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("design", "trips", "commands", "amplification"),
    [
        ({}, 250, 250, 1),
        ({"access": "per_view"}, 5, 250, 1),
        ({"access": "one_pipeline"}, 1, 250, 1),
        ({"layout": "row_hash"}, 50, 50, 1),
        ({"layout": "blob", "access": "one_pipeline"}, 1, 1, 5),
        ({"layout": "split_blob", "access": "one_pipeline"}, 1, 1, 1),
        ({"layout": "split_blob", "access": "one_pipeline", "views": 20}, 1, 1, 4),
        ({"layout": "blob", "access": "one_pipeline", "views": 20}, 1, 1, 20),
    ],
)
def test_what_is_sent_and_written(design: dict[str, Any], trips: float, commands: float, amplification: float) -> None:
    result = run(**{**QUICK, **design})
    assert [value(result, key) for key in ("round_trips", "commands", "write_amplification")] == [trips, commands, amplification]
    assert ("write_amplification" in effects(result)) == (amplification > 1)


def test_only_what_is_asked_for_is_read() -> None:
    some = run(features="user_stats:count_7d, user_live:count_5m", **PIPELINED)
    assert value(some, "commands") == 100 and value(some, "payload_bytes") < 0.25 * value(run(**PIPELINED), "payload_bytes")
    assert [row[0] for row in some.tables[1].rows] == ["user_stats", "user_live"]


@pytest.mark.parametrize("seed", SEEDS)
def test_unknown_entities_are_served_a_default(seed: int) -> None:
    nulls, zeros = (run(seed=seed, missing=20, default=default, **PIPELINED) for default in ("null", "zero"))
    assert value(nulls, "null_share") == value(zeros, "default_share") == pytest.approx(0.2, abs=0.04)
    assert value(nulls, "default_share") == value(zeros, "null_share") == 0
    assert "null" in effects(nulls)["missing"] and "zeros nobody computed" in effects(zeros)["missing"]
    assert "missing" not in effects(run(seed=seed, missing=0, **PIPELINED))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cache_saves_the_commands_of_what_it_holds(seed: int) -> None:
    none, batch, everything = (
        run(seed=seed, layout="row_hash", **PIPELINED, **cache)
        for cache in ({}, {"cache_ttl": 600.0}, {"cache_ttl": 600.0, "cached": "all"})
    )
    assert value(none, "commands") == 50 and value(batch, "payload_bytes") < 0.25 * value(none, "payload_bytes")
    assert value(everything, "commands") < 1 and value(batch, "cache_hits") > 0.98
    assert value(batch, "stream_age_p99_s") == value(none, "stream_age_p99_s") < 10
    assert value(everything, "stream_age_p99_s") > 300 and "are promised" in effects(everything)["cache"]
    little = value(run(seed=seed, layout="row_hash", cache_ttl=1.0, **PIPELINED), "cache_hits")
    assert little == pytest.approx(0.5, abs=0.06), "each entity is asked for once a second, on average"


@pytest.mark.parametrize("seed", SEEDS)
def test_batch_age_is_uniform_over_a_run_and_a_period(seed: int) -> None:
    for hours in (24.0, 6.0):
        result = run(seed=seed, batch_hours=hours, **PIPELINED)
        assert value(result, "batch_age_p50_h") == pytest.approx(1 + hours / 2, abs=0.05 * hours)
        assert value(result, "batch_age_p99_h") == pytest.approx(1 + 0.99 * hours, abs=0.02 * hours)
    assert "batch_age" in effects(result)


def test_a_stopped_stream_is_seen_by_age_alone() -> None:
    design = {"layout": "split_blob", **PIPELINED}
    runs, stopped = run(**design), run(stall=21_600, **design)
    same = ("round_trips", "commands", "payload_bytes", "null_share", "batch_age_p50_h")
    assert [value(runs, key) for key in same] == [value(stopped, key) for key in same]
    assert value(stopped, "stream_age_p50_s") > 21_600 > 1_000 * value(runs, "stream_age_p50_s")
    statuses = [{row[0]: row[-1] for row in result.tables[1].rows} for result in (runs, stopped)]
    assert [status["user_live"] for status in statuses] == ["ok", "breached"]
    assert "stall" in effects(stopped) and "stall" not in effects(runs)


def test_more_writes_than_one_writer_can_do_are_told() -> None:
    few, many = run(update_rate=1, **PIPELINED), run(update_rate=100_000, entities=5, layout="blob", views=20, **PIPELINED)
    assert value(few, "writer_load") < 0.05 and "writer_load" not in effects(few)
    assert value(many, "writer_load") == pytest.approx(value(many, "write_us") / 10, rel=1e-9)
    assert ("writer_load" in effects(many)) == (value(many, "writer_load") > 1)


# --- simulated ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_twenty_shards_make_a_fifth_of_the_requests_slow(seed: int) -> None:
    wide = run(seed=seed, layout="blob", shards=20, entities=200, rtt=0.5, **PIPELINED)
    narrow = run(seed=seed, layout="blob", shards=1, **PIPELINED)
    assert value(wide, "slow_share") == pytest.approx(0.182, abs=0.025)
    assert value(narrow, "slow_share") == pytest.approx(0.01, abs=0.006)
    assert value(wide, "hedged_p99_ms") < 0.5 * value(wide, "network_p99_ms")
    assert "make 18% of requests slow" in effects(wide)["fan_out"]


def test_the_network_counts_round_trips() -> None:
    serial, piped = (run(access=access, slow=0, **QUICK) for access in ("serial", "one_pipeline"))
    assert value(serial, "network_p50_ms") == pytest.approx(250 * 0.5, rel=0.1)
    assert value(serial, "network_p50_ms") > 100 * value(piped, "network_p50_ms")
    assert "fan_out" not in effects(serial) and value(serial, "slow_share") == 0
    assert value(run(rtt=0, **PIPELINED), "network_p99_ms") == 0


# --- without Redis, and bad input --------------------------------------------------------------------------------------


def test_without_redis_the_store_is_in_the_process() -> None:
    result = run(**QUICK)
    assert result.notes[0] == NOT_ANSWERING == "Redis is not answering; showing the in-process store."
    missing = next(metric for metric in result.metrics if metric.key == "redis_entity_bytes")
    assert missing.value is None and missing.note
    assert not {"layouts", "pipelining", "feast"} & set(effects(result)), "nothing is said about a server that was not there"


def test_a_redis_that_dies_half_way_is_no_error(server: redis.Redis, redis_server: RedisServer) -> None:
    @contextmanager
    def key_space() -> Iterator[KeySpace | None]:
        yield KeySpace(server, "dying:", errors=(redis.RedisError,))

    def emit(step: Any) -> None:
        if isinstance(step, Frame) and any(metric.key == "p50_ms" for metric in step.metrics):
            redis_server.stop()

    context = Context(seed=1, assets=CachedAssets(None), key_space=key_space)
    result = drive(LAB(), parse_params(LAB, QUICK), context, emit=emit, cancelled=lambda: False)
    assert result.notes[0] == NOT_ANSWERING and value(result, "p50_ms") > 0


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ("user_stats:clicks_7d", "Feature clicks_7d is not in view user_stats; it has count_7d, sum_28d, mean_90d."),
        ("item_live:count_5m", "There is no view item_live"),
        ("count_7d", "is in the views"),
    ],
)
def test_features_that_are_not_there_are_refused(features: str, words: str) -> None:
    with pytest.raises(InvalidParams) as refused:
        parse_params(LAB, {"features": features})
    assert words in refused.value.message


# --- the challenge -----------------------------------------------------------------------------------------------------


def failed(challenge: Challenge, design: Any, seed: int) -> dict[str, str]:
    """{metric: kind} of the assertions missed, the measured one aside."""
    result = run(seed=seed, **{**challenge.world, **design, **QUICK})
    counted = [assertion for assertion in challenge.assertions if assertion.reference_value is None]
    return {a.metric: str(a.kind) for a in counted if (value(result, a.metric) > a.target) == (a.op == "<=")}


def test_the_challenge_separates_designs_by_what_is_counted() -> None:
    challenge = LAB.challenges[0]
    for seed in SEEDS:
        assert failed(challenge, challenge.reference, seed) == failed(challenge, challenge.alternative, seed) == {}
        assert failed(challenge, challenge.naive, seed) == {}, "it misses the time alone"
        assert failed(challenge, challenge.maxed, seed) == {"write_amplification": "ceiling", "stream_age_p99_s": "target"}
    assert "stream_age_p99_s" in failed(challenge, {**challenge.alternative, "cached": "all"}, 1)


def test_the_challenge_separates_designs_by_their_time_over_the_references(server: redis.Redis) -> None:
    challenge = LAB.challenges[0]
    timed = next(assertion for assertion in challenge.assertions if assertion.reference_value)
    allowed = timed.target / (timed.reference_value or 1)

    def best(design: Any, seeds: tuple[int, ...] = SEEDS) -> float:
        return min(value(run(server, seed, **{**challenge.world, **design, **QUICK}), "p50_ms") for seed in seeds)

    reference = best(challenge.reference)
    assert best(challenge.alternative) < 0.9 * allowed * reference
    assert best(challenge.naive, (1,)) > 3 * allowed * reference
    assert best({"layout": "view_hash", "access": "one_pipeline"}) > 1.1 * allowed * reference


def test_the_challenge_is_about_what_the_learner_sets() -> None:
    challenge = LAB.challenges[0]
    designs = (challenge.reference, challenge.alternative, challenge.naive, challenge.maxed)
    assert {name for design in designs for name in design} <= set(challenge.design)
    assert set(challenge.world) | set(challenge.design) == set(LAB.Params.model_fields)
