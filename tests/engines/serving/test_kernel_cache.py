"""The prefix cache against caches written with dictionaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, hit_curve, simulate, synth_trace
from tests.engines.serving.worlds import check_conservation, constant_cost, token_cost

BLOCK = 8
ONE_AT_A_TIME = SchedulerConfig("vllm_v1", max_seqs=1, token_budget=10**6)


class DictionaryCache:
    """Blocks with their uses and the time of their last use (lru, lfu) or insertion (fifo); the least of these goes."""

    def __init__(self, capacity: int, policy: str) -> None:
        self.capacity, self.policy = capacity, policy
        self.blocks: dict[int, tuple[int, int]] = {}
        self.clock = 0

    def keep(self, block: int) -> None:
        self.clock += 1
        if block in self.blocks:
            uses, stamp = self.blocks[block]
            self.blocks[block] = (uses + 1, stamp if self.policy == "fifo" else self.clock)
            return
        if len(self.blocks) >= self.capacity:
            del self.blocks[min(self.blocks, key=self.value)]
        self.blocks[block] = (1, self.clock)

    def value(self, block: int) -> tuple[int, int]:
        uses, stamp = self.blocks[block]
        return (uses if self.policy == "lfu" else 0, stamp)


def by_dictionary(trace: Trace, capacity: int, policy: str) -> list[int]:
    """Tokens each prompt finds: its leading blocks that are kept, all but its last token at most; then its full blocks are kept."""
    cache, found = DictionaryCache(capacity, policy), []
    for i, prompt in enumerate(trace.prompt_tokens):
        ids = trace.hash_ids[trace.hash_ptr[i] : trace.hash_ptr[i + 1]]
        leading = 0
        while leading < (prompt - 1) // BLOCK and int(ids[leading]) in cache.blocks:
            leading += 1
        found.append(leading * BLOCK)
        for block in ids[: prompt // BLOCK]:
            cache.keep(int(block))
    return found


@st.composite
def chats(draw: st.DrawFn) -> Trace:
    """Prompts that share beginnings: paths in a tree of blocks, so that an id names all that comes before it too."""
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    prompts, ids, ptr = rng.integers(1, 7 * BLOCK, n), [], [0]
    for prompt in prompts:
        path = 0
        for _ in range(-(-int(prompt) // BLOCK)):
            path = path * 3 + int(rng.integers(1, 4 if path == 0 else 3))
            ids.append(path)
        ptr.append(len(ids))
    return Trace(np.arange(n) * 10.0, prompts, rng.integers(1, 5, n), hash_ids=ids, hash_ptr=ptr, block_tokens=BLOCK)


@settings(max_examples=200, deadline=None)
@given(chats(), st.integers(1, 30), st.sampled_from(["lru", "fifo", "lfu"]))
def test_hits_are_those_of_a_dictionary(trace: Trace, capacity: int, policy: str) -> None:
    cache = {"blocks": capacity, "policy": policy}
    result = simulate(trace, constant_cost(0.1), ONE_AT_A_TIME, num_blocks=1000, prefix_cache=cache)
    assert result.cached_tokens.tolist() == by_dictionary(trace, capacity, policy)
    assert result.cache_hits.sum() * BLOCK == result.cached_tokens.sum()
    check_conservation(result)


@settings(max_examples=60, deadline=None)
@given(chats(), st.integers(1, 10), st.sampled_from(["vllm_v1", "vllm_v0", "sarathi", "orca", "sglang"]), st.integers(1, 8))
def test_pinned_blocks_survive_a_crowd(trace: Trace, capacity: int, policy: str, max_seqs: int) -> None:
    """Everything at once, in a cache of a few blocks and hardly any KV memory: nothing that was promised is evicted, nothing leaks."""
    crowd = Trace(np.zeros(len(trace)), trace.prompt_tokens, trace.output_tokens, hash_ids=trace.hash_ids, hash_ptr=trace.hash_ptr)
    scheduler = SchedulerConfig(policy, max_seqs=max_seqs, max_len=64, token_budget=40, chunk_size=40)
    tiers = [{"blocks": 5, "gb_s": 10.0}, {"blocks": 20, "gb_s": 1.0, "shared": True}]
    cost = with_memory(token_cost())
    small = {"blocks": capacity, "tiers": tiers}
    trace = Trace(crowd.arrival_s, crowd.prompt_tokens, crowd.output_tokens, None, None, None, trace.hash_ids, trace.hash_ptr, BLOCK)
    result = simulate(trace, cost, scheduler, num_blocks=9, replicas=2, prefix_cache=small)
    check_conservation(result, prompts_cut=policy == "sarathi")
    assert (result.cached_tokens < trace.prompt_tokens).all()


def with_memory(cost: CostModel) -> CostModel:
    """The same times, and a model whose KV bytes are known."""
    known = CostModel.roofline("Llama-3.1-8B", "H100")
    return CostModel(cost.tables, cost.name, cost.error_band, known.memory)


@pytest.mark.parametrize("seed", range(3))
def test_one_worker_hits_as_the_hit_curve_says(seed: int) -> None:
    """The exact curve of the trace, from another implementation; it also counts blocks after a gap, and the last block of a full hit."""
    trace = synth_trace("multi_turn", 600, 1.0, seed)
    capacities = [200, 1000, 100_000]
    curve = hit_curve(trace, capacities)
    cost = constant_cost(1e-6)
    for capacity, share in zip(capacities, curve, strict=True):
        result = simulate(trace, cost, ONE_AT_A_TIME, num_blocks=100_000, prefix_cache={"blocks": capacity})
        blocks = result.cached_tokens.sum() / trace.block_tokens / len(trace.hash_ids)
        assert blocks == pytest.approx(share, abs=0.02)


def test_a_hit_saves_the_prefill_and_a_slower_tier_costs_its_load() -> None:
    ids = np.tile(np.arange(8), 2)
    trace = Trace([0.0, 100.0], [8 * BLOCK] * 2, [1, 1], hash_ids=ids, hash_ptr=[0, 8, 16], block_tokens=BLOCK)
    cost = with_memory(token_cost(per_token_s=1e-3, host_s=0.0))

    def second_ttft_s(cache: dict[str, Any] | None) -> float:
        return float(simulate(trace, cost, ONE_AT_A_TIME, num_blocks=100, prefix_cache=cache).ttft_s[1])

    assert second_ttft_s(None) == pytest.approx(64e-3)
    assert second_ttft_s({"blocks": 100}) == pytest.approx(8e-3)  # the last block is computed: it yields the first token
    load_s = 7 * BLOCK * cost.kv_bytes_per_token / 1e9
    assert second_ttft_s({"blocks": 0, "tiers": [{"blocks": 100, "gb_s": 1.0}]}) == pytest.approx(8e-3 + load_s)
    assert second_ttft_s({"blocks": 100, "min_blocks": 9}) == pytest.approx(64e-3)


def test_a_shared_tier_holds_what_other_replicas_computed() -> None:
    ids = np.tile(np.arange(4), 2)
    trace = Trace([0.0, 100.0], [4 * BLOCK] * 2, [1, 1], hash_ids=ids, hash_ptr=[0, 4, 8], block_tokens=BLOCK)
    cost = with_memory(token_cost())

    def found(**tier: Any) -> int:
        cache = {"blocks": 10, "tiers": [{"blocks": 10, "gb_s": 10.0, **tier}]}
        result = simulate(trace, cost, ONE_AT_A_TIME, num_blocks=100, replicas=2, prefix_cache=cache)
        assert result.replica.tolist() == [0, 1]
        return int(result.cached_tokens[1])

    assert found(shared=True) == 3 * BLOCK
    assert found(shared=False) == 0


def test_answers_can_be_kept_too() -> None:
    """The second prompt repeats the first and its answer; the trace names the answer's blocks."""
    ids = np.concatenate([np.arange(4), np.arange(5)])
    trace = Trace([0.0, 100.0], [2 * BLOCK, 5 * BLOCK], [2 * BLOCK, 1], hash_ids=ids, hash_ptr=[0, 4, 9], block_tokens=BLOCK)

    def found(decode: bool) -> int:
        cache = {"blocks": 10, "decode": decode}
        return int(simulate(trace, constant_cost(0.1), ONE_AT_A_TIME, num_blocks=100, prefix_cache=cache).cached_tokens[1])

    assert (found(decode=False), found(decode=True)) == (2 * BLOCK, 4 * BLOCK)


def test_prefill_only_ends_with_the_prompt_and_keeps_the_answer() -> None:
    ids = np.concatenate([np.arange(4), np.arange(5)])
    trace = Trace([0.0, 100.0], [2 * BLOCK, 5 * BLOCK], [2 * BLOCK, 9], hash_ids=ids, hash_ptr=[0, 4, 9], block_tokens=BLOCK)

    def run(decode: bool) -> SimResult:
        cache = {"blocks": 10, "decode": decode}
        return simulate(trace, constant_cost(0.1), ONE_AT_A_TIME, num_blocks=100, prefix_cache=cache, prefill_only=True)

    assert (int(run(False).cached_tokens[1]), int(run(True).cached_tokens[1])) == (2 * BLOCK, 4 * BLOCK)
    assert np.array_equal(run(True).finished_s, run(True).first_token_s) and run(True).iterations == 2


def chat_fleet(router: dict[str, Any], seed: int) -> SimResult:
    """Eight prefill workers, one prompt at a time, on chats that all share their first block."""
    trace = synth_trace("multi_turn", 3000, 9.0, seed)
    one_token = Trace(trace.arrival_s, trace.prompt_tokens, np.ones(len(trace), int), hash_ids=trace.hash_ids, hash_ptr=trace.hash_ptr)
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=8)
    return simulate(one_token, cost, ONE_AT_A_TIME, num_blocks=20_000, replicas=8, router=router, prefix_cache={"blocks": 2000})


@pytest.mark.parametrize("seed", range(3))
def test_reuse_and_balance_pull_apart(seed: int) -> None:
    """The cost router waits less than session hashing although it hits less often; the longest prefix alone sends all to one worker."""
    session, cost, stale, prefix, blind = (
        chat_fleet(router, seed)
        for router in (
            {"kind": "session"},
            {"kind": "cost"},
            {"kind": "cost", "signal_delay_s": 5.0},
            {"kind": "max_prefix"},
            {"kind": "round_robin"},
        )
    )
    hits = [result.cached_tokens.sum() for result in (blind, cost, session)]
    assert hits[0] < hits[1] < hits[2]
    assert cost.ttft_s.mean() < 0.8 * session.ttft_s.mean()
    assert stale.ttft_s.mean() > 2 * cost.ttft_s.mean()
    assert prefix.busy_s.max() / prefix.busy_s.mean() > 7
