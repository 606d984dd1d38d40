"""What queueing theory says must come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulators.engines.serving import SchedulerConfig, SimResult, Trace, simulate
from tests.engines.serving.worlds import check_conservation, constant_cost, random_trace, token_cost

SERVICE_S = 0.1


def lindley_s(arrival_s: Any) -> Any:
    """Waits at a server of constant time, from the arrivals alone: W' = max(0, W + S - gap)."""
    walk = np.concatenate([[0.0], np.cumsum(SERVICE_S - np.diff(arrival_s))])
    return walk - np.minimum.accumulate(walk)


@pytest.mark.parametrize("load", [0.5, 0.7, 0.9])
def test_one_at_a_time_is_an_m_d_1_queue(load: float) -> None:
    """Mean wait of Poisson arrivals at a server of constant time: rho S / (2 (1 - rho)), Pollaczek and Khinchine.

    At a load of .9 the mean of 200,000 waits still strays by 3 %; six runs of exactly that load do not.
    """
    n, waits = 200_000, []
    for seed in range(6):
        gaps = np.random.default_rng(seed).exponential(size=n)
        trace = Trace(np.cumsum(gaps / gaps.mean()) * SERVICE_S / load, np.ones(n, int), np.ones(n, int))
        result = simulate(trace, constant_cost(SERVICE_S), SchedulerConfig("vllm_v1", max_seqs=1), num_blocks=10)
        wait_s = result.scheduled_s - trace.arrival_s
        np.testing.assert_allclose(wait_s, lindley_s(trace.arrival_s), atol=1e-6)
        np.testing.assert_allclose(result.busy_s, n * SERVICE_S)
        waits.append(wait_s.mean())
    assert np.mean(waits) == pytest.approx(load * SERVICE_S / (2 * (1 - load)), rel=0.03)


def logged(policy: str, seed: int) -> SimResult:
    trace = random_trace(3000, 30.0, seed)
    return simulate(trace, token_cost(), SchedulerConfig(policy, max_seqs=64), num_blocks=4000, log_iterations=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", ["vllm_v1", "orca"])
def test_littles_law(policy: str, seed: int) -> None:
    """Requests in the batch, averaged over time, are the rate times the time each spends there: every admitted one is in each batch."""
    trace = random_trace(3000, 30.0, seed, prompt=100)
    scheduler = SchedulerConfig(policy, max_seqs=64, max_len=160, token_budget=100_000)
    result = simulate(trace, token_cost(), scheduler, num_blocks=4000, log_iterations=True)
    log = result.iteration_log
    in_service = (log["batch_size"] * log["duration_s"]).sum() / result.makespan_s
    rate, stay_s = len(trace) / result.makespan_s, (result.finished_s - result.scheduled_s).mean()
    assert in_service == pytest.approx(rate * stay_s, rel=0.01)
    check_conservation(result)


@pytest.mark.parametrize("policy", ["vllm_v0", "sarathi", "vllm_v1", "sglang"])
def test_the_log_accounts_for_every_token(policy: str) -> None:
    result = logged(policy, seed=4)
    log, trace = result.iteration_log, result.trace
    assert log["prefill_tokens"].sum() == trace.prompt_tokens.sum()
    assert (log["total_tokens"] - log["prefill_tokens"]).sum() == (trace.output_tokens - 1).sum()
    assert log["duration_s"].sum() == pytest.approx(result.busy_s.sum())
    assert (np.diff(log["start_s"]) >= log["duration_s"][:-1] * (1 - 1e-9)).all()
    assert len(log) == result.iterations


def test_the_gaps_between_tokens_are_the_logs_iterations() -> None:
    """One long answer alone: each gap is one iteration, and the histogram knows its percentiles to one per cent."""
    trace = Trace([0.0], [100], [500])
    result = simulate(trace, token_cost(), SchedulerConfig("vllm_v1"), num_blocks=100, log_iterations=True)
    gaps = result.iteration_log["duration_s"][1:]
    assert result.itl_hist.sum() == 499
    figures = result.summary()["itl_s"]
    assert figures["mean"] == pytest.approx(gaps.mean())
    assert figures["max"] == pytest.approx(gaps.max())
    for q in (50, 90, 99):
        assert result.itl_percentile_s(q) == pytest.approx(np.percentile(gaps, q), rel=0.011)


def test_a_long_run_goes_on_when_its_log_is_full() -> None:
    """More iterations than the log has rows to begin with."""
    trace = Trace([0.0], [1], [40_000])
    result = simulate(trace, constant_cost(0.01), SchedulerConfig("vllm_v1"), num_blocks=4000, log_iterations=True)
    assert len(result.iteration_log) == 40_000
    np.testing.assert_allclose(result.iteration_log["start_s"], np.arange(40_000) * 0.01, rtol=1e-9)


@pytest.mark.parametrize("router", ["random", "least_loaded", "cost", "session"])
def test_two_runs_are_the_same(router: str) -> None:
    trace = random_trace(500, 50.0, 1)
    options = {"num_blocks": 60, "replicas": 3, "router": router, "spec": {"k": 3, "alpha": 0.7}, "seed": 5}
    first, again = (simulate(trace, token_cost(), SchedulerConfig("vllm_v1", max_seqs=16), **options) for _ in range(2))
    assert first.finished_s.tobytes() == again.finished_s.tobytes()
    assert first.breakdown.tobytes() == again.breakdown.tobytes()
