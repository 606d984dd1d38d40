"""The compiled simulator against the same rules in plain Python, bit for bit, with so few blocks that requests restart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.engines.serving import SchedulerConfig, Trace, simulate
from simulators.engines.serving.reference import simulate_reference, vidur_step
from tests.engines.serving.worlds import check_conservation, jagged_cost

COST = jagged_cost()
STEP = vidur_step(COST.tables)


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Up to 40 requests, arrivals on a grid so that many coincide."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid_s = draw(st.sampled_from([0.001, 0.01, 0.1]))
    arrival_s = np.sort(rng.integers(0, 40, n) * grid_s)
    lengths = rng.integers(1, 120, n), rng.integers(1, 60, n)
    return Trace(arrival_s, *lengths, priority=rng.integers(0, 3, n), ttft_slo_s=rng.uniform(0.1, 3, n))


@st.composite
def schedulers(draw: st.DrawFn) -> SchedulerConfig:
    policy = draw(st.sampled_from(["vllm_v0", "sarathi", "vllm_v1"]))
    return SchedulerConfig(
        policy,
        order=draw(st.sampled_from(["fcfs", "priority", "sjf", "slo"])) if policy == "vllm_v1" else "fcfs",
        max_seqs=draw(st.integers(1, 12)),
        token_budget=draw(st.integers(8, 300)),
        long_prefill_threshold=draw(st.sampled_from([0, 16])),
        max_batch_tokens=draw(st.sampled_from([200, 1000])),
        chunk_size=draw(st.integers(8, 300)),
        block_size=draw(st.sampled_from([4, 16])),
        watermark=draw(st.sampled_from([0.0, 0.01, 0.1])),
    )


def blocks_for_one(trace: Trace, scheduler: SchedulerConfig) -> int:
    """Just enough for any one request alone, watermark included."""
    longest = int((trace.prompt_tokens + trace.output_tokens).max())
    return int((-(-longest // scheduler.block_size) + 2) / (1 - scheduler.watermark)) + 1


@settings(max_examples=250, deadline=None)
@given(traces(), schedulers(), st.integers(0, 12), st.integers(1, 3), st.sampled_from(["round_robin", "least_pending", "least_loaded"]))
def test_kernel_equals_the_reference(trace: Trace, scheduler: SchedulerConfig, spare: int, replicas: int, router: str) -> None:
    setting: dict[str, Any] = {"num_blocks": blocks_for_one(trace, scheduler) + spare, "replicas": replicas, "router": router}
    result = simulate(trace, COST, scheduler, **setting)
    requests, iterations = simulate_reference(trace, STEP, scheduler, **setting)
    assert result.iterations == iterations
    for name in ("scheduled_s", "first_token_s", "finished_s", "restarts", "replica"):
        assert np.array_equal(getattr(result, name), [getattr(request, name) for request in requests]), name
    check_conservation(result, prompts_cut=scheduler.policy == "sarathi")


@pytest.mark.parametrize("policy", ["vllm_v0", "sarathi", "vllm_v1"])
def test_requests_do_restart_in_such_worlds(policy: str) -> None:
    """Without this the test above could hold for want of preemptions."""
    rng = np.random.default_rng(1)
    trace = Trace(np.zeros(30), rng.integers(30, 60, 30), rng.integers(30, 60, 30))
    result = simulate(trace, COST, SchedulerConfig(policy, max_seqs=12), num_blocks=24)
    assert result.restarts.sum() > 10


@pytest.mark.parametrize("policy", ["vllm_v0", "sarathi"])
def test_a_request_that_outgrows_the_pool_goes_on_from_where_it_stopped(policy: str) -> None:
    """Alone, without a free block for its next token, it restarts with an empty batch, and no arrival would ever wake the replica."""
    trace, scheduler = Trace([0.0], [16], [17]), SchedulerConfig(policy, watermark=0.0)
    result = simulate(trace, COST, scheduler, num_blocks=2)
    requests, _ = simulate_reference(trace, STEP, scheduler, num_blocks=2)
    assert result.restarts[0] >= 1
    assert result.finished_s[0] == requests[0].finished_s
    check_conservation(result)
