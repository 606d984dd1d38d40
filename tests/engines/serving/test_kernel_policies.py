"""What each policy, order and option is for: conservation everywhere, and the effect each is known by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, Trace, expected_tokens, simulate, synth_trace
from simulators.errors import InvalidInput
from tests.engines.serving.worlds import check_conservation, constant_cost, random_trace, token_cost

LLAMA = CostModel.roofline("Llama-3.1-8B", "H100")
COST = CostModel(token_cost().tables, "by tokens of a known model", (0.0, 0.0), LLAMA.memory)
POLICIES = ["static", "orca", "vllm_v0", "sarathi", "vllm_v1", "sglang"]
SEEDS = range(3)


@settings(max_examples=250, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([*POLICIES, "disaggregated"]),
    st.sampled_from(["fcfs", "priority", "sjf", "srpt", "slo", "vtc"]),
    st.sampled_from(["recompute", "swap"]),
    st.integers(0, 20),
    st.sampled_from([None, {"k": 1, "alpha": 0.5}, {"k": 4, "alpha": 0.9}]),
    st.integers(1, 12),
)
def test_nothing_is_lost(seed: int, policy: str, order: str, preempt: str, spare: int, spec: dict[str, Any] | None, max_seqs: int) -> None:
    """Any policy, order, preemption and speculation, with hardly more blocks than one request needs."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    columns: dict[str, Any] = {"tenant": rng.integers(0, 3, n), "priority": rng.integers(0, 3, n), "ttft_slo_s": rng.uniform(0.1, 3, n)}
    trace = Trace(np.sort(rng.uniform(0, 0.2, n)), rng.integers(1, 100, n), rng.integers(1, 40, n), **columns)
    flexible = policy in {"vllm_v1", "disaggregated"}
    scheduler = SchedulerConfig(
        policy,
        order=order if flexible else "fcfs",
        max_seqs=max_seqs,
        token_budget=int(rng.integers(12, 200)),
        chunk_size=int(rng.integers(8, 200)),
        max_len=140,
        preempt=preempt,
        aging_tokens_per_s=float(rng.choice([0, 100])),
    )
    pools = {"prefill": 2, "decode": 1, "long": 1, "long_threshold": 50, "link_gb_s": 1.0} if policy == "disaggregated" else None
    result = simulate(trace, COST, scheduler, num_blocks=12 + spare, replicas=2, pools=pools, spec=spec, seed=seed)
    check_conservation(result, prompts_cut=policy == "sarathi")


def pressed(policy: str, preempt: str, seed: int) -> SimResult:
    trace = random_trace(300, 200.0, seed, prompt=40, output=200)
    return simulate(trace, COST, SchedulerConfig(policy, preempt=preempt, max_seqs=64), num_blocks=120)


@pytest.mark.parametrize("policy", ["vllm_v0", "sarathi", "vllm_v1", "sglang"])
@pytest.mark.parametrize("preempt", ["recompute", "swap"])
def test_memory_pressure_evicts_and_its_time_is_accounted_for(policy: str, preempt: str) -> None:
    result = pressed(policy, preempt, seed=0)
    preempted = result.breakdown[:, result.breakdown_names.index("preempted")]
    assert result.restarts.sum() > 0
    assert (preempted[result.restarts > 0] > 0).all()
    assert (preempted[result.restarts == 0] == 0).all()


def test_a_replica_whose_blocks_are_in_transfer_waits_for_them() -> None:
    """Half-read prompts swap each other out while finished ones still hold their blocks on the way to the decode replica."""
    rng = np.random.default_rng(167)
    trace = Trace(np.sort(rng.uniform(0, 0.2, 30)), rng.integers(5, 100, 30), rng.integers(1, 40, 30))
    scheduler = SchedulerConfig("disaggregated", max_seqs=6, token_budget=67, preempt="swap")
    for link_gb_s in (0.01, 0.1, 1.0):
        pools = {"prefill": 2, "decode": 1, "long": 1, "long_threshold": 50, "link_gb_s": link_gb_s}
        result = simulate(trace, COST, scheduler, num_blocks=14, pools=pools)
        assert result.restarts.sum() > 0
        check_conservation(result)


def test_a_request_that_can_only_be_swapped_in_and_out_is_refused() -> None:
    """Sarathi wants a free block for every token; alone in a pool of its own size a request never has one."""
    with pytest.raises(InvalidInput, match="can never be admitted"):
        simulate(Trace([0.0], [16], [17]), COST, SchedulerConfig("sarathi", watermark=0.0, preempt="swap"), num_blocks=2)


def test_swapped_requests_compute_nothing_twice() -> None:
    """Recomputing reads tokens again that swapping brings back."""
    trace, scheduler = random_trace(300, 200.0, 0), {"policy": "vllm_v1", "max_seqs": 64}

    def prefill_tokens(preempt: str) -> int:
        result = simulate(trace, COST, SchedulerConfig(preempt=preempt, **scheduler), num_blocks=120, log_iterations=True)
        return int(result.iteration_log["prefill_tokens"].sum())

    assert prefill_tokens("swap") == trace.prompt_tokens.sum() < prefill_tokens("recompute")


@pytest.mark.parametrize("seed", SEEDS)
def test_continuous_batching_beats_waiting_for_the_slowest(seed: int) -> None:
    """Orca, OSDI 2022, and paging on top of it, SOSP 2023: a batch of requests that are all there, reserved for against paged."""
    trace = synth_trace("batch", 800, 1.0, seed)
    setting: dict[str, Any] = {"max_seqs": 256, "max_len": 8192}
    makespans = [simulate(trace, LLAMA, SchedulerConfig(policy, **setting)).makespan_s for policy in ("static", "orca", "vllm_v1")]
    assert makespans[0] > 1.3 * makespans[1]
    assert makespans[1] > 1.1 * makespans[2]


def test_a_static_batch_is_not_joined() -> None:
    """The second request waits for the slowest of the first batch; under Orca it joins at the next iteration."""
    trace = Trace([0.0, 0.0, 0.5], [4, 4, 4], [10, 100, 1])
    waits = {
        policy: simulate(trace, constant_cost(0.1), SchedulerConfig(policy, max_len=128), num_blocks=100).scheduled_s[2]
        for policy in ("static", "orca")
    }
    assert waits == pytest.approx({"static": 10.0, "orca": 0.5})


@pytest.mark.parametrize("seed", SEEDS)
def test_chunks_bound_the_gap_between_tokens(seed: int) -> None:
    """Sarathi-Serve, OSDI 2024: prompts first stalls the decodes for whole prompts, chunks of 256 do not."""
    trace = random_trace(400, 5.0, seed, prompt=2000)
    prefill_first, chunked = (
        simulate(trace, COST, SchedulerConfig(policy, chunk_size=256), num_blocks=9999) for policy in ("vllm_v0", "sarathi")
    )
    assert chunked.summary()["itl_s"]["p99"] < 0.5 * prefill_first.summary()["itl_s"]["p99"]
    assert chunked.itl_max_s <= 0.001 + 256 * 1e-4 + 0.01


@pytest.mark.parametrize(("policy", "limit"), [("vllm_v1", "token_budget"), ("sarathi", "chunk_size")])
def test_no_iteration_is_over_its_budget(policy: str, limit: str) -> None:
    result = simulate(random_trace(300, 900.0, 1), COST, SchedulerConfig(policy, **{limit: 100}), num_blocks=9999, log_iterations=True)
    tokens = result.iteration_log["total_tokens"]
    assert tokens.max() <= 100
    assert (tokens == 100).mean() > 0.3


def test_prefill_first_never_mixes_prompts_and_decodes() -> None:
    for policy in ("vllm_v0", "sglang"):
        log = simulate(random_trace(300, 50.0, 1), COST, SchedulerConfig(policy), num_blocks=9999, log_iterations=True).iteration_log
        assert np.isin(log["prefill_tokens"] / log["total_tokens"], [0.0, 1.0]).all()


def long_mix(seed: int, **scheduler: Any) -> tuple[SimResult, Any]:
    trace = synth_trace("long_mix", 6000, 24.0, seed)
    cost = CostModel.roofline("Llama-3.1-70B", "H100", tp=8)
    pools = scheduler.pop("pools", None)
    result = simulate(trace, cost, SchedulerConfig(max_seqs=256, **scheduler), replicas=4, pools=pools)
    return result, trace.prompt_tokens < 50_000


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_prompt_blocks_short_ones_unless_the_order_lets_them_pass(seed: int) -> None:
    fcfs, short = long_mix(seed, policy="vllm_v1")
    srpt, _ = long_mix(seed, policy="vllm_v1", order="srpt", token_budget=320)
    threshold, _ = long_mix(seed, policy="vllm_v1", long_prefill_threshold=512)
    pool, _ = long_mix(seed, policy="disaggregated", pools={"prefill": 3, "decode": 1, "long": 1})

    def ttft_p99(result: SimResult) -> float:
        return float(np.percentile(result.ttft_s[short], 99))

    assert ttft_p99(fcfs) > 10 * ttft_p99(srpt)
    assert ttft_p99(srpt) < ttft_p99(threshold) < 0.8 * ttft_p99(fcfs)
    assert ttft_p99(pool) < 1.0
    assert pool.summary()["itl_s"]["p99"] < 0.03 < 0.1 < fcfs.summary()["itl_s"]["p99"]
    assert np.median(srpt.ttft_s[~short]) > 1.3 * np.median(fcfs.ttft_s[~short])


@pytest.mark.parametrize("order", ["fcfs", "sjf", "priority", "slo"])
def test_the_queue_is_served_in_its_order(order: str) -> None:
    """Six requests wait behind one that runs; one at a time they start in the order asked for."""
    columns: dict[str, Any] = {"priority": [0, 1, 5, 3, 2, 4, 0], "ttft_slo_s": [9, 6, 5, 4, 3, 2, 1]}
    trace = Trace(np.arange(7) * 0.01, [9, 40, 10, 50, 20, 60, 30], [1] * 7, **columns)
    result = simulate(trace, constant_cost(1.0), SchedulerConfig("vllm_v1", order=order, max_seqs=1), num_blocks=50)
    expected = {"fcfs": [1, 2, 3, 4, 5, 6], "sjf": [2, 4, 6, 1, 3, 5], "priority": [2, 5, 3, 4, 1, 6], "slo": [6, 5, 4, 3, 2, 1]}
    assert np.argsort(result.scheduled_s)[1:].tolist() == expected[order]


def test_the_lowest_priority_is_evicted_first() -> None:
    trace = Trace([0.0] * 4, [32] * 4, [40] * 4, priority=[1, 0, 2, 3])
    result = simulate(trace, constant_cost(1.0), SchedulerConfig("vllm_v1", order="priority"), num_blocks=10)
    assert result.restarts[1] > 0
    assert result.restarts[3] == 0
    assert np.argmax(result.finished_s) == 1


def test_aging_lets_a_long_prompt_through() -> None:
    """A long prompt among a stream of short ones is never the shortest; waiting makes it so."""
    n = 400
    trace = Trace(np.concatenate([[0.0], np.arange(n) * 0.01]), [3000, *[100] * n], [1] * (n + 1))

    def long_ttft_s(aging: float) -> float:
        scheduler = SchedulerConfig("vllm_v1", order="srpt", token_budget=200, aging_tokens_per_s=aging)
        return float(simulate(trace, COST, scheduler, num_blocks=9999).ttft_s[0])

    assert long_ttft_s(20_000.0) < 0.5 * long_ttft_s(0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_noisy_tenant_harms_only_itself_under_vtc(seed: int) -> None:
    """Fairness in Serving Large Language Models, OSDI 2024."""
    rng = np.random.default_rng(seed)
    n = 600
    arrival_s = np.concatenate([np.sort(rng.uniform(0, 60, n)), np.full(2000, 10.0)])
    tenant = np.concatenate([rng.integers(0, 3, n), np.full(2000, 3)])
    lengths = rng.integers(50, 200, len(tenant)), rng.integers(10, 40, len(tenant))
    trace = Trace(arrival_s, *lengths, tenant=tenant)

    def run(order: str, weights: tuple[float, ...] = ()) -> tuple[float, float, float]:
        scheduler = SchedulerConfig("vllm_v1", order=order, max_seqs=32, tenant_weights=weights)
        result = simulate(trace, COST, scheduler, num_blocks=2000)
        others = trace.tenant < 3
        return float(np.percentile(result.ttft_s[others], 99)), float(result.ttft_s[~others].mean()), result.makespan_s

    fcfs, vtc, weighted = run("fcfs"), run("vtc"), run("vtc", (1.0, 1.0, 1.0, 8.0))
    assert vtc[0] < 0.2 * fcfs[0]
    assert vtc[2] == pytest.approx(fcfs[2], rel=0.03)
    assert weighted[1] < vtc[1]  # who is owed more waits less


def test_a_tenant_that_comes_back_has_no_credit() -> None:
    """Tenant 1 was idle while tenant 0 was served; then both queue the same, and are served in turns rather than tenant 1 alone."""
    arrival_s = np.concatenate([np.arange(50) * 0.1, np.full(20, 6.0), np.full(20, 6.0)])
    tenant = np.concatenate([np.zeros(70, int), np.ones(20, int)])
    trace = Trace(arrival_s, [10] * 90, [1] * 90, tenant=tenant)
    result = simulate(trace, constant_cost(0.1), SchedulerConfig("vllm_v1", order="vtc", max_seqs=1), num_blocks=9)
    late = trace.arrival_s >= 6.0
    turns = trace.tenant[late][np.argsort(result.scheduled_s[late])]
    assert abs(turns[:20].mean() - 0.5) < 0.11


@pytest.mark.parametrize("seed", SEEDS)
def test_speculation_yields_its_expected_tokens_a_step(seed: int) -> None:
    """Leviathan et al., ICML 2023: (1 - a^(k+1)) / (1 - a) tokens a step, and k drafts on top of its price."""
    k, alpha, draft_cost = 3, 0.8, 0.1
    trace = Trace(np.zeros(8), [10] * 8, [2000] * 8)
    spec = {"kind": "draft", "k": k, "alpha": alpha, "draft_cost": draft_cost}
    result = simulate(trace, constant_cost(0.1), SchedulerConfig("vllm_v1"), num_blocks=9999, spec=spec, seed=seed, log_iterations=True)
    steps = result.iteration_log["batch_size"][1:].sum()
    assert (trace.output_tokens - 1).sum() / steps == pytest.approx(expected_tokens(alpha, k), rel=0.03)
    assert result.iteration_log["duration_s"][5] == pytest.approx(0.1 * (1 + k * draft_cost))
    assert result.iteration_log["total_tokens"][5] == 8 * (k + 1)
    check_conservation(result)


def test_speculation_that_never_hits_only_costs() -> None:
    trace = random_trace(50, 10.0, 0)
    plain, spec = (simulate(trace, COST, SchedulerConfig("vllm_v1"), num_blocks=999, spec=spec) for spec in (None, {"k": 4, "alpha": 0.0}))
    assert spec.finished_s.mean() > plain.finished_s.mean()


class TestDisaggregation:
    def run(self, trace: Trace, scheduler: dict[str, Any] | None = None, **pools: Any) -> SimResult:
        config = SchedulerConfig("disaggregated", **(scheduler or {}))
        return simulate(trace, COST, config, num_blocks=2000, pools={"prefill": 1, "decode": 1, **pools})

    def test_the_transfer_takes_bytes_over_bandwidth_and_a_base(self) -> None:
        result = self.run(Trace([0.0], [1000], [2]), link_gb_s=10.0, base_s=0.25)
        expected_s = 1000 * COST.kv_bytes_per_token / 10e9 + 0.25
        assert result.breakdown[0, result.breakdown_names.index("transfer")] == pytest.approx(expected_s)
        assert result.tpot_s[0] > expected_s  # the gap counts between tokens
        assert result.ttft_s[0] == pytest.approx(0.101)  # and not before the first

    def test_the_link_is_first_come_first_served(self) -> None:
        trace = Trace([0.0, 0.0], [1000, 1000], [2, 2])
        result = self.run(trace, link_gb_s=1.0)
        transfer = result.breakdown[:, result.breakdown_names.index("transfer")]
        one_s = 1000 * COST.kv_bytes_per_token / 1e9
        np.testing.assert_allclose(transfer, [one_s, 2 * one_s])

    def test_blocks_stay_taken_until_the_transfer_is_over(self) -> None:
        """Room for one prompt at a time: the second is read when the first has left."""
        result = simulate(
            Trace([0.0, 0.0], [160, 160], [2, 2]),
            COST,
            SchedulerConfig("disaggregated"),
            num_blocks=12,
            pools={"prefill": 1, "decode": 1, "link_gb_s": 0.01},
        )
        transfer_s = 160 * COST.kv_bytes_per_token / 1e7
        assert result.scheduled_s[1] == pytest.approx(result.first_token_s[0] + transfer_s)
        check_conservation(result)

    def test_layers_sent_during_the_prefill_are_not_waited_for(self) -> None:
        cost = COST.with_tables(num_layers=32.0)
        trace = Trace([0.0], [1000], [2])
        transfers = {}
        for overlap in (False, True):
            pools = {"prefill": 1, "decode": 1, "link_gb_s": 10.0, "overlap": overlap}
            result = simulate(trace, cost, SchedulerConfig("disaggregated"), num_blocks=99, pools=pools)
            transfers[overlap] = result.breakdown[0, result.breakdown_names.index("transfer")]
        assert transfers[True] == pytest.approx(transfers[False] / 32)

    def test_long_prompts_have_a_replica_of_their_own(self) -> None:
        rng = np.random.default_rng(0)
        trace = Trace(np.sort(rng.uniform(0, 10, 200)), rng.choice([100, 900], 200), [3] * 200)
        result = self.run(trace, prefill=3, decode=2, long=1, long_threshold=500)
        assert (result.replica[trace.prompt_tokens == 900] == 2).all()
        assert set(result.replica[trace.prompt_tokens == 100]) == {0, 1}
        assert set(result.decode_replica) == {3, 4}

    def test_other_machines_may_decode(self) -> None:
        trace = random_trace(50, 10.0, 0)
        slow = CostModel(constant_cost(0.5).tables, "slow", (0.0, 0.0), LLAMA.memory)
        same, other = self.run(trace), self.run(trace, decode_cost=slow, decode_blocks=500)
        assert np.array_equal(same.first_token_s, other.first_token_s)
        assert other.summary()["itl_s"]["p50"] == pytest.approx(0.5, rel=0.02)
        assert other.blocks_total.tolist() == [2000, 500]

    def test_answers_of_one_token_stay(self) -> None:
        result = self.run(Trace([0.0], [1000], [1]))
        assert result.decode_replica[0] == result.replica[0] == 0
        assert result.breakdown[0, result.breakdown_names.index("transfer")] == 0


class TestRouters:
    def spread(self, router: str | dict[str, Any], seed: int = 0, **columns: Any) -> SimResult:
        trace = random_trace(2000, 200.0, seed, **columns)
        return simulate(trace, COST, SchedulerConfig("vllm_v1", max_seqs=16), num_blocks=9999, replicas=4, router=router, seed=seed)

    def test_round_robin_takes_turns(self) -> None:
        assert np.array_equal(self.spread("round_robin").replica, np.arange(2000) % 4)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_looking_at_the_load_waits_less_than_not_looking(self, seed: int) -> None:
        blind, loaded, cost = (self.spread(router, seed).ttft_s.mean() for router in ("random", "least_loaded", "cost"))
        assert loaded < 0.8 * blind
        assert cost < 0.9 * blind

    def test_random_uses_all_replicas_alike(self) -> None:
        assert np.bincount(self.spread("random").replica, minlength=4) == pytest.approx(500, abs=90)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_old_news_make_a_herd(self, seed: int) -> None:
        fresh, old = (self.spread({"kind": "least_loaded", "signal_delay_s": delay}, seed) for delay in (0.0, 2.0))
        assert old.ttft_s.mean() > 1.5 * fresh.ttft_s.mean()

    def test_a_session_stays_together_and_bounded_loads_split_a_big_one(self) -> None:
        rng = np.random.default_rng(0)
        sessions = np.where(rng.random(2000) < 0.6, 0, rng.integers(1, 50, 2000))
        together = self.spread("session", session=sessions)
        for session in range(50):
            assert len(set(together.replica[sessions == session])) <= 1
        bounded = self.spread("bounded_hash", session=sessions)
        assert len(set(bounded.replica[sessions == 0])) > 1
        assert bounded.busy_s.max() < together.busy_s.max()
        assert bounded.ttft_s.mean() < 0.7 * together.ttft_s.mean()
