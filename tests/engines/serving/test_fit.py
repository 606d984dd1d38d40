"""Fitting a cost model to a run whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.engines.serving.cost import CostModel
from simulators.engines.serving.fit import fit_cost
from simulators.engines.serving.scheduler import SchedulerConfig
from simulators.engines.serving.simulate import simulate
from simulators.engines.serving.synth import synth_trace
from simulators.engines.serving.trace import Trace
from simulators.errors import InvalidInput

SCHEDULER = SchedulerConfig("vllm_v1")


def measured_run(trace: Trace, truth: CostModel, seed: int) -> dict[str, np.ndarray]:
    """A run of the true model with 1 % of noise on each request's first token, 10 ms on its end."""
    run, rng, n = simulate(trace, truth, SCHEDULER), np.random.default_rng(seed), len(trace)
    first = trace.arrival_s + (run.first_token_s - trace.arrival_s) * rng.lognormal(0, 0.01, n)
    return {"first_token_s": first, "finished_s": np.maximum(run.finished_s + rng.normal(0, 0.01, n), first)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("model", "tp", "rate"), [("8B", 1, 8.0), ("70B", 8, 3.0)])
def test_constants_found_on_one_half_hold_on_the_other(model: str, tp: int, rate: float, seed: int) -> None:
    start = CostModel.roofline(model, "H100", tp=tp)
    truth = start.with_tables(kernel_scale=1.08, host_s=1.7e-3, allreduce_floor_s=20e-6)
    trace = synth_trace("conversation", 400, rate, seed)
    fitted, report = fit_cost(start, trace, measured_run(trace, truth, seed), SCHEDULER, seed=seed)
    assert abs(report.holdout_before.mean_pct["e2e"]) > 10
    assert abs(report.holdout_after.mean_pct["e2e"]) < 1.5
    assert report.holdout_after.mape_pct["e2e"] < 2 < report.holdout_before.mape_pct["e2e"]
    assert abs(report.holdout_after.mean_pct["ttft"]) < 6
    assert 1.0 < report.kernel_scale < 1.2 and report.host_s > 0
    assert (report.allreduce_floor_s > 0) == (tp > 1)
    assert not set(report.fit_rows) & set(report.holdout_rows) and len(report.fit_rows) + len(report.holdout_rows) == 400
    low, high = fitted.error_band
    assert low == -high and 100 * high >= abs(report.holdout_after.mean_pct["e2e"])
    # The constants are kept apart only by what they do to a step: that is where the fitted model has to agree.
    for step in (([1200] * 20, []), ([1200] * 4, [(900, 0)])):
        assert fitted.step_s(*step) == pytest.approx(truth.step_s(*step), rel=0.08)


def test_bad_measurements_are_refused() -> None:
    trace, cost = synth_trace("conversation", 20, 1.0, 0), CostModel.roofline("8B", "H100")
    good = measured_run(trace, cost, 0)
    late = good["first_token_s"].copy()
    late[3] = trace.arrival_s[3] - 1
    for measured, said in (
        ({"finished_s": good["finished_s"]}, "has no first_token_s; found finished_s"),
        ({**good, "finished_s": [1.0]}, r"finished_s has shape \(1,\); expected \(20,\)"),
        ({**good, "first_token_s": late}, "measured row 4"),
    ):
        with pytest.raises(InvalidInput, match=said):
            fit_cost(cost, trace, measured, SCHEDULER)
    with pytest.raises(InvalidInput, match="holdout is 1 of 20"):
        fit_cost(cost, trace, good, SCHEDULER, holdout=1.0)
