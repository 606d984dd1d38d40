"""Refusals that say what was given, what is expected and where; capacity; the figures made of a result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.engines import serving
from simulators.engines.serving import CostModel, SchedulerConfig, Trace, capacity, simulate, simulate_steps, synth_trace
from simulators.engines.serving.cost_table import VIDUR, step_load, step_seconds
from simulators.engines.steps import finish, relay
from simulators.errors import InvalidInput
from tests.engines.serving.worlds import constant_cost, jagged_cost, random_trace, token_cost

ONE = Trace([0.0], [100], [10])
COST = constant_cost(0.1)


def refusal(trace: Trace = ONE, scheduler: dict[str, Any] | None = None, cost: CostModel = COST, **options: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        simulate(trace, cost, SchedulerConfig(**(scheduler or {"policy": "vllm_v1"})), **{"num_blocks": 100, **options})
    return caught.value.message


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ({"policy": "fastest"}, "policy is 'fastest'; expected one of vllm_v0"),
        ({"policy": "vllm_v1", "order": "lifo"}, "order is 'lifo'; expected one of fcfs"),
        ({"policy": "sarathi", "order": "sjf"}, "order=sjf needs vllm_v1 or disaggregated"),
        ({"policy": "vllm_v1", "max_seqs": 0}, "max_seqs is 0; expected at least 1"),
        ({"policy": "vllm_v1", "watermark": 1.0}, "watermark is 1; expected a share of the blocks below 1"),
        ({"policy": "vllm_v1", "preempt": "kill"}, "preempt is 'kill'"),
        ({"policy": "vllm_v1", "order": "vtc", "tenant_weights": (1.0, 0.0)}, "expected numbers above 0"),
    ],
)
def test_a_bad_scheduler_is_refused(scheduler: dict[str, Any], said: str) -> None:
    assert said in refusal(scheduler=scheduler)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"replicas": 0}, "replicas is 0; expected at least 1"),
        ({"num_blocks": 0}, "num_blocks is 0; expected at least 1"),
        ({"router": "nearest"}, "router is 'nearest'; expected one of round_robin"),
        ({"router": {"kind": "cost", "delay": 1}}, "router knows no delay; expected kind, signal_delay_s, load_factor"),
        ({"router": {"kind": "cost", "signal_delay_s": -1}}, "signal_delay_s is -1"),
        ({"prefix_cache": {"size": 5}}, "prefix_cache knows no size"),
        ({"prefix_cache": {}}, "prefix_cache is incomplete"),
        ({"prefix_cache": {"blocks": 5, "policy": "mru"}}, "prefix_cache policy is 'mru'"),
        ({"spec": {"k": 2, "alpha": 1.5}}, "alpha is 1.5"),
        ({"spec": {"kind": "oracle"}}, "spec kind is 'oracle'"),
        ({"pools": {"prefill": 1, "decode": 1}}, "pools and policy disaggregated belong together"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], said: str) -> None:
    assert said in refusal(**options)


@pytest.mark.parametrize(
    ("pools", "said"),
    [
        (None, "belong together"),
        ({"prefill": 0, "decode": 1}, "prefill replicas is 0"),
        ({"prefill": 2, "decode": 1, "long": 2}, "expected at least one for the others"),
        ({"prefill": 1, "decode": 1, "link_gb_s": 0}, "expected GB/s above 0"),
    ],
)
def test_bad_pools_are_refused(pools: dict[str, Any] | None, said: str) -> None:
    assert said in refusal(scheduler={"policy": "disaggregated"}, pools=pools)


@pytest.mark.parametrize(
    ("scheduler", "tokens", "said"),
    [
        ({"policy": "vllm_v0"}, (4097, 1), "max_batch_tokens is 4,096"),
        ({"policy": "vllm_v0"}, (1600, 1), "hold 1,584 tokens above the watermark"),
        ({"policy": "sarathi"}, (1600, 1), "hold 1,584 tokens above the watermark"),
        ({"policy": "vllm_v1"}, (1500, 102), "100 blocks of 16 tokens hold 1,600 tokens"),
        ({"policy": "orca", "max_len": 1000}, (900, 101), "max_len is 1,000"),
        ({"policy": "static", "max_len": 8192}, (10, 10), "max_len is reserved for each request"),
    ],
)
def test_a_request_that_can_never_fit_is_named(scheduler: dict[str, Any], tokens: tuple[int, int], said: str) -> None:
    trace = Trace([0.0, 1.0, 2.0], [10, 10, tokens[0]], [1, 1, tokens[1]])
    message = refusal(trace, scheduler)
    assert said in message
    assert "static" in scheduler["policy"] or message.startswith(f"row 3: a request of {tokens[0]:,} prompt and {tokens[1]:,} output")


@pytest.mark.parametrize(("policy", "tokens"), [("vllm_v1", (1500, 101)), ("sarathi", (1584, 1)), ("vllm_v0", (1584, 1))])
def test_the_largest_request_that_fits_is_served(policy: str, tokens: tuple[int, int]) -> None:
    result = simulate(Trace([0.0], [tokens[0]], [tokens[1]]), COST, SchedulerConfig(policy), num_blocks=100)
    assert np.isfinite(result.finished_s).all()


def test_a_request_that_outgrows_every_admission_is_named() -> None:
    """It fits as it comes; restarted with what it had written, it does not fit above the watermark any more."""
    message = refusal(Trace([0.0, 0.1], [10, 150], [1, 40]), {"policy": "sarathi", "watermark": 0.2}, num_blocks=12)
    assert message.startswith("row 2: restarted with ")
    assert "can never be admitted" in message


def test_row_numbers_are_those_of_the_file() -> None:
    """The trace was sorted; the row named is the one that was given."""
    assert refusal(Trace([5.0, 1.0], [9999, 10], [1, 1])).startswith("row 1:")


def test_an_iteration_outside_the_tables_names_axis_limit_and_iteration() -> None:
    cost, trace = jagged_cost(tokens=512), Trace([0.0], [100], [10])
    assert "end at 512 on the axis" in refusal(Trace([0.0], [600], [1]), cost=cost)
    message = refusal(Trace([0.0, 50.0], [100, 600], [10, 1]), cost=cost)
    assert "iteration 11 (replica 0, 1 requests, 600 tokens)" in message
    assert "tokens in the iteration" in message
    beyond = simulate(Trace([0.0], [600], [1]), cost.with_tables(extrapolate=True), SchedulerConfig("vllm_v1"), num_blocks=100)
    assert beyond.extrapolated == 1
    assert simulate(trace, cost, SchedulerConfig("vllm_v1"), num_blocks=100).extrapolated == 0


def test_model_and_simulator_price_an_iteration_with_the_same_bits() -> None:
    for cost in (jagged_cost(), CostModel.roofline("Llama-3.1-8B", "H100"), token_cost()):
        trace = Trace([0.0] * 3, [100, 200, 300], [3, 3, 3])
        log = simulate(trace, cost, SchedulerConfig("vllm_v1"), num_blocks=999, log_iterations=True).iteration_log
        assert log["duration_s"][0] == cost.step_s([], [(100, 0), (200, 0), (300, 0)])
        assert log["duration_s"][1] == cost.step_s([101, 201, 301], [])


def test_extrapolation_goes_on_in_a_straight_line() -> None:
    tables = jagged_cost(tokens=512).tables._replace(extrapolate=True)
    assert tables.kind == VIDUR
    at = [step_seconds(tables, step_load([], [(chunk, 0)])) for chunk in (511, 512, 513, 522)]
    assert at[2] - at[1] == pytest.approx(at[1] - at[0])
    assert at[3] - at[1] == pytest.approx(10 * (at[1] - at[0]))


class TestCapacity:
    def test_it_is_the_rate_at_which_the_slo_breaks(self) -> None:
        trace, scheduler = synth_trace("conversation", 1500, 5.0, 0), SchedulerConfig("vllm_v1")
        cost, slo = CostModel.roofline("Llama-3.1-8B", "H100"), {"ttft_s": 0.5, "itl_s": 0.05}
        rate = capacity(trace, cost, scheduler, slo=slo, rates=(0.5, 100), steps=10)
        assert 0.5 < rate < 100
        assert simulate(trace.at_rate(rate), cost, scheduler).meets(slo)
        assert not simulate(trace.at_rate(rate * 1.02), cost, scheduler).meets(slo)

    def test_a_looser_slo_carries_no_less_and_more_replicas_more(self) -> None:
        trace, scheduler, cost = random_trace(1000, 5.0, 0), SchedulerConfig("vllm_v1"), token_cost()
        found = [
            capacity(trace, cost, scheduler, slo={"ttft_s": ttft_s}, num_blocks=500, replicas=replicas)
            for ttft_s, replicas in ((0.05, 1), (0.2, 1), (1.0, 1), (1.0, 2))
        ]
        assert found == sorted(found)
        assert found[3] == pytest.approx(2 * found[2], rel=0.2)

    def test_the_ends_of_the_range(self) -> None:
        trace, scheduler = random_trace(200, 5.0, 0), SchedulerConfig("vllm_v1")
        assert capacity(trace, COST, scheduler, slo={"itl_s": 0.05}, num_blocks=500) == 0.0
        assert capacity(trace, COST, scheduler, slo={"itl_s": 9.0}, rates=(0.1, 0.5), num_blocks=500) == 0.5

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"slo": {}}, "expected ttft_s or itl_s"),
            ({"slo": {"ttft_ms": 5}}, "slo has ttft_ms"),
            ({"slo": {"ttft_s": 1, "percentile": 0}}, "percentile is 0"),
            ({"rates": (5, 1)}, "expected two rising numbers"),
            ({"steps": 0}, "steps is 0"),
        ],
    )
    def test_bad_questions(self, change: dict[str, Any], said: str) -> None:
        with pytest.raises(InvalidInput, match=said.replace("(", r"\(")):
            capacity(ONE, COST, SchedulerConfig("vllm_v1"), **{"slo": {"ttft_s": 1}, "num_blocks": 99, **change})


def test_goodput_counts_requests_that_meet_all_limits() -> None:
    """Three requests one at a time: TTFT .1, .3, .5 s of three iterations each, and 0.1 s a token."""
    trace = Trace([0.0] * 3, [10] * 3, [2, 2, 2])
    result = simulate(trace, COST, SchedulerConfig("vllm_v1", max_seqs=1), num_blocks=9)
    np.testing.assert_allclose(result.ttft_s, [0.1, 0.3, 0.5])
    assert result.goodput_rps({"ttft_s": 0.35, "itl_s": 0.11}) == pytest.approx(2 / 0.6)
    assert result.goodput_rps({"itl_s": 0.05}) == 0
    assert result.goodput_rps({"ttft_s": 9}) == pytest.approx(result.summary()["throughput_rps"])


@pytest.mark.parametrize("bin_", [1, 2, 437, 438, 991, 1500, 2298, 2299])
@pytest.mark.parametrize("toward", [-np.inf, 0.0, np.inf])
def test_a_gap_is_counted_between_the_edges_it_lies_between(bin_: int, toward: float) -> None:
    """At an edge and one float to either side of it; the last bin is open."""
    edge = simulate(ONE, COST, SchedulerConfig("vllm_v1"), num_blocks=99).itl_edges_s[bin_]
    gap_s = np.nextafter(edge, toward) if toward else edge
    result = simulate(Trace([0.0], [10], [2]), constant_cost(gap_s), SchedulerConfig("vllm_v1"), num_blocks=9)
    assert np.flatnonzero(result.itl_hist).tolist() == [bin_ - (gap_s < edge)]


def test_the_histogram_of_gaps_is_that_of_numpy() -> None:
    result = simulate(random_trace(500, 20.0, 1), token_cost(), SchedulerConfig("vllm_v1", max_seqs=1), num_blocks=99, log_iterations=True)
    log = result.iteration_log
    gaps = np.diff(log["start_s"] + log["duration_s"])[log["prefill_tokens"][1:] == 0]  # one at a time: each decode is a gap
    assert np.array_equal(result.itl_hist, np.histogram(gaps, [*result.itl_edges_s[:-1], np.inf])[0])
    assert simulate(Trace([0.0], [10], [3]), constant_cost(1e9), SchedulerConfig("vllm_v1"), num_blocks=9).itl_hist[-1] == 2


def test_what_does_not_exist_is_none() -> None:
    """Answers of one token have no gaps."""
    summary = simulate(Trace([0.0], [10], [1]), COST, SchedulerConfig("vllm_v1"), num_blocks=9).summary()
    assert set(summary) == {"ttft_s", "tpot_s", "itl_s", "e2e_s", "throughput_rps", "output_tok_s"}
    assert summary["itl_s"] == summary["tpot_s"] == dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "max"))
    assert summary["ttft_s"]["max"] == pytest.approx(0.1)


def test_steps_yield_the_share_done_and_return_the_same_result() -> None:
    trace, scheduler = random_trace(2000, 100.0, 0, output=400), SchedulerConfig("vllm_v1", max_seqs=4)
    shares: list[float] = []
    result = finish(relay(simulate_steps(trace, token_cost(), scheduler, num_blocks=200), shares.append))
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert np.array_equal(result.finished_s, simulate(trace, token_cost(), scheduler, num_blocks=200).finished_s)


def test_showing_pages_does_not_load_the_compiler() -> None:
    """A process that only imports the engine is spared numba."""
    code = "import sys; import simulators.engines.serving; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(serving.__file__).parents[3]).returncode == 0


def test_machine_code_on_disk_is_dropped_when_any_of_its_files_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from simulators.engines.serving import jit
    from simulators.engines.serving.kernel_loop import run

    assert run._cache._cache_file._source_stamp == jit._stamp()  # type: ignore[attr-defined]
    (tmp_path / "kernel_new.py").write_text("x = 1")
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    for name in ("jit", "state", "cost_table"):
        (tmp_path / f"{name}.py").write_text("")
    before = jit._stamp.__wrapped__()
    (tmp_path / "kernel_new.py").write_text("x = 22")
    assert jit._stamp.__wrapped__() != before
