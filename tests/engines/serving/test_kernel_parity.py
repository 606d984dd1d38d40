"""The simulator against two runs of Vidur, to the last bit."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.engines.serving import CostModel, SchedulerConfig, SimResult, load_trace, simulate
from simulators.engines.serving.reference import simulate_reference, vidur_step

DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "serving_cases"
CASES = {"sarathi512_conv3000": SchedulerConfig("sarathi", chunk_size=512), "vllm_conv3000": SchedulerConfig("vllm_v0")}
BLOCKS = 27_904
pytestmark = pytest.mark.validation


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    if not DATA.exists():
        pytest.skip(f"{DATA} is absent; set LOOP45_DATA to the folder that holds serving_cases")
    return str(request.param)


def columns(name: str, file: str) -> dict[str, Any]:
    with gzip.open(DATA / name / file, "rt") as lines:
        rows = list(csv.DictReader(lines))
    return {column: np.array([float(row[column]) for row in rows]) for column in rows[0]}


def replay(name: str) -> SimResult:
    cost = CostModel.from_vidur(DATA / name / "tables.npz", 48)
    return simulate(load_trace(DATA / name / "trace.csv"), cost, CASES[name], num_blocks=BLOCKS, log_iterations=True)


def test_every_time_of_every_request_is_vidurs(case: str) -> None:
    result, expected = replay(case), columns(case, "expected_requests.csv.gz")
    assert np.array_equal(result.scheduled_s, expected["scheduled_at"])
    assert np.array_equal(result.first_token_s, expected["prefill_completed_at"])
    assert np.array_equal(result.finished_s, expected["completed_at"])
    assert np.array_equal(result.restarts, expected["num_restarts"])


def test_every_iteration_is_vidurs(case: str) -> None:
    log, expected = replay(case).iteration_log, columns(case, "expected_iterations.csv.gz")
    assert len(log) == len(expected["scheduled_at"])
    for ours, theirs in (("replica", "replica"), ("batch_size", "batch_size"), ("total_tokens", "total_tokens")):
        assert np.array_equal(log[ours], expected[theirs])
    assert np.array_equal(log["prefill_tokens"], expected["prefill_tokens"])
    assert np.array_equal(log["start_s"], expected["scheduled_at"])
    assert np.array_equal(log["duration_s"], expected["execution_time_s"])


def test_the_plain_reference_is_vidurs_too(case: str) -> None:
    cost = CostModel.from_vidur(DATA / case / "tables.npz", 48)
    trace, expected = load_trace(DATA / case / "trace.csv"), columns(case, "expected_requests.csv.gz")
    requests, _ = simulate_reference(trace, vidur_step(cost.tables), CASES[case], num_blocks=BLOCKS)
    assert np.array_equal([request.finished_s for request in requests], expected["completed_at"])
