"""The lab `prefix_cache`: the effects it exists to show, exact hit rates of the public trace, its refusals and its challenge."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.serving import synth_trace
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Result
from simulators.llm_serving._prefix_params import PrefixParams
from simulators.llm_serving._prefix_world import Reading, make_world, measured, with_answers
from simulators.llm_serving.prefix_cache import PrefixCache
from simulators.registry import get_lab

SEEDS = (0, 1, 2)
DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
MOONCAKE = DATA / "serving_traces" / "mooncake_synthetic_trace.jsonl"
LAB = get_lab("llm_serving", "prefix_cache")
CHALLENGE = PrefixCache.challenges[0]
STORES = {seed: CachedAssets(None) for seed in range(5)}


@cache
def reading(seed: int, **values: Any) -> Reading:
    """One fleet, without the comparison of routers that a whole run makes."""
    ctx, params = Context(seed=seed, assets=STORES[seed]), PrefixParams(**values)
    return finish(measured(ctx, make_world(ctx, params), params, params.router))


@cache
def run(seed: int = 0, **values: Any) -> Result:
    return run_lab(LAB, values, Context(seed=seed, assets=STORES[seed]))


def preset(key: str) -> dict[str, Any]:
    return dict(next(preset for preset in PrefixCache.presets if preset.key == key).values)


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None
    return found


# --- effects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fewer_hits_than_session_hashing_and_a_faster_first_token(seed: int) -> None:
    session, cost = reading(seed, router="session"), reading(seed, router="cost")
    assert session.hit_tokens > cost.hit_tokens + 0.05
    assert session.ttft_mean_s > 1.7 * cost.ttft_mean_s
    assert session.ttft_p99_s > 1.5 * cost.ttft_p99_s


@pytest.mark.parametrize("seed", SEEDS)
def test_routers_that_do_not_look_into_the_caches_find_little(seed: int) -> None:
    cost = reading(seed, router="cost")
    for name in ("round_robin", "least_loaded"):
        blind = reading(seed, router=name)
        assert blind.hit_tokens < 0.1 < 0.15 < cost.hit_tokens
        assert blind.ttft_mean_s > 2.5 * cost.ttft_mean_s


@pytest.mark.parametrize("seed", SEEDS)
def test_the_longest_prefix_leads_all_chats_to_one_worker(seed: int) -> None:
    trap = reading(seed, router="max_prefix")
    assert trap.imbalance > 7.5 and trap.ttft_mean_s > 1_000


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_common_block_the_longest_prefix_does_not_collapse(seed: int) -> None:
    """What makes the trap is the system prompt that all share, and ties that go to the first worker."""
    shared, own = reading(seed, router="max_prefix"), reading(seed, router="bounded_hash")
    assert own.imbalance < 1.5 < shared.imbalance


@pytest.mark.parametrize("seed", SEEDS)
def test_an_old_view_costs_more_than_a_small_cache(seed: int) -> None:
    now, second, five = (reading(seed, signal_delay_s=delay) for delay in (0.0, 1.0, 5.0))
    assert second.ttft_mean_s > 2 * now.ttft_mean_s and five.ttft_mean_s > 5 * now.ttft_mean_s
    assert now.hit_tokens > second.hit_tokens + 0.02 > five.hit_tokens + 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pool_pays_above_the_break_even_link_only(seed: int) -> None:
    pool = {"router": "least_loaded", "hbm_blocks": 100, "pool_blocks": 32_000}
    fast, slow = reading(seed, pool_link_gb_s=25.0, **pool), reading(seed, pool_link_gb_s=5.0, **pool)
    none = reading(seed, router="least_loaded")
    assert fast.hit_tokens == pytest.approx(slow.hit_tokens, abs=0.02)
    assert fast.ttft_mean_s < 0.3 * none.ttft_mean_s < none.ttft_mean_s < slow.ttft_mean_s
    ctx = Context(seed=seed, assets=STORES[seed])
    assert 5 < make_world(ctx, PrefixParams()).break_even_gb_s < 25


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slow_pool_finds_more_and_answers_later(seed: int) -> None:
    """The story of the preset: more hits, several times the wait."""
    slow, without = reading(seed, **preset("slow_pool")), reading(seed)
    assert slow.hit_tokens > 1.5 * without.hit_tokens
    assert slow.ttft_mean_s > 2.5 * without.ttft_mean_s


@pytest.mark.parametrize("seed", SEEDS)
def test_one_cache_bounds_the_fleet_and_lru_beats_fifo(seed: int) -> None:
    result = run(seed)
    assert value(result, "hit_blocks") < value(result, "one_cache_hit") < 0.4
    rows = {row[0]: row for row in next(table for table in result.tables if table.key == "ideal_caches").rows}
    assert [rows[size][1] for size in ("1,000", "5,000", "10,000", "30,000")] == pytest.approx([0.043, 0.12, 0.22, 0.35], abs=0.02)
    assert 0.01 < float(rows["30,000"][1]) - float(rows["30,000"][2]) < 0.06  # type: ignore[arg-type]
    assert float(rows["unbounded"][1]) == pytest.approx(0.37, abs=0.02)  # type: ignore[arg-type]


def test_the_answers_are_named_as_the_next_turn_names_them() -> None:
    trace = synth_trace("multi_turn", 2_000, 3.0, 1, block_tokens=64)
    named = with_answers(trace)
    following = {}
    for row in reversed(range(len(trace))):
        session, size = int(trace.session[row]), 64
        own = named.hash_ids[named.hash_ptr[row] : named.hash_ptr[row + 1]]
        whole = (trace.prompt_tokens[row] + trace.output_tokens[row]) // size
        if session in following:
            later = trace.hash_ids[trace.hash_ptr[following[session]] : trace.hash_ptr[following[session] + 1]]
            same = min(whole, trace.prompt_tokens[following[session]] // size)
            assert np.array_equal(own[:same], later[:same])
        following[session] = row
    assert len(named.hash_ids) > len(trace.hash_ids)


def test_keeping_answers_finds_more_where_blocks_are_fine() -> None:
    kept = [reading(seed, block_tokens=128, router="session", cache_decode=True).hit_tokens for seed in SEEDS]
    plain = [reading(seed, block_tokens=128, router="session").hit_tokens for seed in SEEDS]
    assert all(more > less for more, less in zip(kept, plain, strict=True))


def test_insights_name_what_the_run_shows() -> None:
    assert {"bound", "reuse_or_balance", "hot_prefix", "fifo"} <= {insight.effect for insight in run().insights}
    stale = run(0, signal_delay_s=5.0)
    assert "stale_view" in {insight.effect for insight in stale.insights}
    slow = run(0, **preset("slow_pool"))
    assert "slow_pool" in {insight.effect for insight in slow.insights}


# --- the user's own trace ------------------------------------------------------------------------------------------------


def data_of(path: Path, name: str = "mine.jsonl") -> Data:
    return Data(str(path), {"trace": DataFile(name, path)}, {"format": "auto", "jitter": "no", "rows": ""})


def dictionary_lru(prompts: Iterable[list[int]], capacity: int) -> float:
    held: OrderedDict[int, None] = OrderedDict()
    hits = blocks = 0
    for prompt in prompts:
        hits += sum(block in held for block in prompt)
        blocks += len(prompt)
        for block in prompt:
            held[block] = None
            held.move_to_end(block)
            if len(held) > capacity:
                held.popitem(last=False)
    return hits / blocks


def test_an_uploaded_trace_gets_the_hit_rates_of_a_dictionary(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(3), tmp_path / "stored"
    prompts = [[0, *(int(k) for k in np.sort(rng.choice(900, rng.integers(1, 12), replace=False)) + 1)] for _ in range(600)]
    lines = [
        json.dumps({"timestamp": 50 * i, "input_length": 512 * len(ids), "output_length": 5, "hash_ids": ids})
        for i, ids in enumerate(prompts)
    ]
    path.write_text("\n".join(lines))
    assert PrefixCache.data is not None
    info = PrefixCache.data.check({"trace": DataFile("mine.jsonl", path)}, {"format": "auto"})
    assert any("Prefix blocks" in fact for fact in dict(info.facts))
    result = run_lab(LAB, {"block_tokens": 256}, Context(seed=0, assets=CachedAssets(None), data=data_of(path)))
    rows = {row[0]: row[1] for row in next(table for table in result.tables if table.key == "ideal_caches").rows}
    for size in (100, 300, 1_000):
        assert rows[f"{size:,}"] == pytest.approx(dictionary_lru(prompts, size), abs=1e-4)
    assert any("blocks of 512 tokens" in note for note in result.notes)


@pytest.mark.validation
def test_ideal_lru_on_the_public_trace() -> None:
    result = run_lab(LAB, {}, Context(seed=0, assets=CachedAssets(None), data=data_of(MOONCAKE)))
    rows = {row[0]: row[1] for row in next(table for table in result.tables if table.key == "ideal_caches").rows}
    published = {"1,000": 0.082, "5,000": 0.279, "10,000": 0.423, "30,000": 0.624, "50,000": 0.640}
    for size, share in published.items():
        assert rows[size] == pytest.approx(share, abs=0.01), size


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("arrival_s,prompt_tokens,output_tokens\n0,100,5\n", "no column hash_ids"),
        ('{"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [1, 2]}\n', "2 ids for 1100 prompt tokens"),
        ('{"timestamp": 0, "input_length": 100, "output_length": 5, "hash_ids": [1.5]}\n', "hash_ids"),
        ('{"timestamp": 0, "input_length": 0, "output_length": 5, "hash_ids": [1]}\n', "input_length"),
    ],
)
def test_bad_traces_are_refused_in_a_sentence(body: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text(body)
    assert PrefixCache.data is not None
    with pytest.raises(InvalidInput) as caught:
        PrefixCache.data.check({"trace": DataFile("mine.csv", path)}, {"format": "auto"})
    assert said in caught.value.message and caught.value.message.endswith(".")


# --- the challenge -----------------------------------------------------------------------------------------------------


def judged(design: dict[str, Any]) -> tuple[np.ndarray, float]:
    """Mean TTFT and p99 by seed, and the blocks of cache."""
    params = PrefixParams(**{**CHALLENGE.world, **design})
    found = [reading(seed, **{**CHALLENGE.world, **design}) for seed in range(5)]
    blocks = params.workers * (params.hbm_blocks + params.dram_blocks) + params.pool_blocks
    return np.array([(r.ttft_mean_s, r.ttft_p99_s) for r in found]), float(blocks)


TARGETS = np.array([wanted.target for wanted in CHALLENGE.assertions[:2]])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_two_designs_of_different_kind_pass_with_room(name: str) -> None:
    seconds, blocks = judged(dict(getattr(CHALLENGE, name)))
    assert np.all(seconds.mean(axis=0) < 0.9 * TARGETS) and blocks <= 0.9 * 32_000
    assert np.all(TARGETS - seconds.mean(axis=0) > 2 * seconds.std(axis=0, ddof=1))
    assert CHALLENGE.reference["router"] != CHALLENGE.alternative["router"]


@pytest.mark.slow
def test_the_tempting_designs_miss_something() -> None:
    for design in (CHALLENGE.naive, {"router": "least_loaded", "hbm_blocks": 4_000}, {"router": "bounded_hash", "hbm_blocks": 4_000}, {}):
        seconds, _ = judged(dict(design))
        assert np.any(seconds.mean(axis=0) > TARGETS), design
    maxed = dict(CHALLENGE.maxed)
    assert PrefixParams(**maxed).pool_blocks + 8 * (maxed["hbm_blocks"] + maxed["dram_blocks"]) > 32_000


def test_the_ceiling_counts_every_tier() -> None:
    result = run(0, hbm_blocks=1_000, dram_blocks=500, pool_blocks=7)
    assert value(result, "total_blocks") == 8 * 1_500 + 7
