"""The feature store problem: its arithmetic against the engines and brute force, its quoted figures against the labs."""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import pytest

from problems.calculators import CalculatorResult, evaluate
from problems.loader import load_problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.features import tiles
from simulators.engines.features.freshness import batch_age_s
from simulators.engines.features.parity import compare, psi
from simulators.engines.features.windows import bounds
from simulators.lab import Context
from simulators.registry import get_lab


def computed(key: str, **inputs: float) -> CalculatorResult:
    calculator = load_problem("feature_store").calculator(key)
    assert calculator, key
    return evaluate(calculator, inputs)


# --- calculators -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "output", "expected"),
    [
        ("read_rate", "requests", 231_481),
        ("read_rate", "scored", 1e12),
        ("read_rate", "entity_reads", 11.57e6),
        ("read_rate", "item_reads", 57.9e6),
        ("read_rate", "user_reads", 1.157e6),
        ("read_rate", "peak_reads", 118.1e6),
        ("read_rate", "payload", 1.417),
        ("online_memory", "values_tb", 1.6),
        ("online_memory", "keys_tb", 0.18),
        ("online_memory", "total_tb", 3.56),
        ("online_memory", "nodes", 75),
        ("offline_history", "copy_day", 3.2),
        ("offline_history", "copies", 1168),
        ("offline_history", "changes", 116.8),
        ("stream_load", "event_rate", 4.63e6),
        ("stream_load", "tile_writes", 13.89e6),
        ("tile_reads", "long_reads", 2017),
        ("tile_reads", "rolled_up", 42),
        ("tile_reads", "short_bias", 10),
        ("tile_reads", "middle_bias", 4.167),
        ("fan_out_tail", "total", 18.21),
        ("latency_budget", "client_ms", 1.0),
        ("latency_budget", "total_ms", 1.77),
        ("batch_age", "p50_h", 13),
        ("batch_age", "p99_h", 24.76),
        ("batch_age", "worst_h", 49),
        ("training_set", "join_h", 0.3335),
        ("training_set", "memory_s", 179.9),
        ("training_set", "duckdb_h", 1.864),
        ("training_set", "dask_h", 4.668),
        ("parity_sample", "rows", 2995),
        ("parity_sample", "recomputed", 86_400),
    ],
)
def test_defaults_reproduce_the_figures_the_walkthrough_quotes(key: str, output: str, expected: float) -> None:
    assert computed(key).value(output) == pytest.approx(expected, rel=0.003)


def test_other_inputs_reproduce_the_other_figures() -> None:
    assert computed("latency_budget", trips=250).value("total_ms") == pytest.approx(126, rel=0.003)
    assert computed("latency_budget", commands=50).value("total_ms") == pytest.approx(0.75, rel=0.01)
    assert computed("online_memory", keys=5, key_bytes=122).value("keys_tb") == pytest.approx(1.22)
    assert computed("tile_reads", long_hop=3600).value("long_reads") == 169
    assert computed("tile_reads", long_hop=3600).value("long_bias") == pytest.approx(0.3, abs=0.005)
    log = computed("offline_history", log_rate=20e6 / 86_400, log_bytes=200, logged=1, days=1)
    assert log.value("served") == pytest.approx(0.004), "4 GB a day"


@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_batch_age_is_that_of_the_engine(quantile: float) -> None:
    result = computed("batch_age", period_h=6, run_h=2)
    assert result.value("p50_h" if quantile == 0.5 else "p99_h") == pytest.approx(batch_age_s(6 * 3600, 2 * 3600, quantile) / 3600)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_slow_shards_are_as_frequent_as_simulated_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    slow = rng.random((50_000, 20)) < 0.05
    result = computed("fan_out_tail", shards=20, slow=5, hedged=5)
    assert 100 * slow.any(axis=1).mean() == pytest.approx(result.value("total"), abs=1)
    still = slow & (rng.random(slow.shape) < 0.05)
    assert 100 * still.any(axis=1).mean() == pytest.approx(result.value("after_hedge"), abs=0.5)


def fewest_tiles(start: int, end: int, levels: tuple[int, ...]) -> int:
    """Tiles of the given widths that cover [start, end), largest first wherever one fits; by walking, not by formula."""
    at, used = start, 0
    while at < end:
        width = next(level for level in levels if at % level == 0 and at + level <= end)
        at, used = at + width, used + 1
    return used


@pytest.mark.parametrize(("hop", "days"), [(300, 7), (60, 7), (600, 3), (3600, 7)])
def test_rolled_up_reads_are_the_worst_case_of_walking_the_tiles(hop: int, days: int) -> None:
    queries = np.arange(20 * 86_400 + 1, 21 * 86_400, 211, dtype=np.int64)
    starts, _ = bounds(queries * 1_000_000, days * 86_400, "sawtooth", hop)
    worst = max(
        fewest_tiles(int(s) // 1_000_000, -(-int(t) // hop) * hop, (86_400, 3600, hop)) for s, t in zip(starts, queries, strict=True)
    )
    promised = computed("tile_reads", long_hop=hop, long_d=days).value("rolled_up")
    assert worst <= promised <= worst + 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sample_of_the_size_given_sees_the_fault_as_often_as_it_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = int(computed("parity_sample", mismatch=1).value("rows"))
    assert rows == 299
    assert (rng.binomial(rows, 0.01, 20_000) > 0).mean() == pytest.approx(0.95, abs=0.01)


def test_tiles_of_averages_do_not_merge_and_partials_do() -> None:
    assert tiles.merge([tiles.partial([2.0, 4.0, 6.0], "avg"), tiles.partial([12.0], "avg")], "avg") == 6
    assert np.mean([np.mean([2.0, 4.0, 6.0]), 12.0]) == 8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_wrong_key_differs_everywhere_and_drifts_nowhere(seed: int) -> None:
    """What the walkthrough says of drift alarms."""
    rng = np.random.default_rng(seed)
    right = rng.lognormal(2, 1, 20_000)
    wrong = rng.permutation(right)
    assert psi(right, wrong) == pytest.approx(0, abs=1e-9)
    assert compare(wrong[:, np.newaxis], right[:, np.newaxis]).mismatch[0] > 0.99
    assert psi(right, 100 * right) > 1, "a change of unit is what such an alarm is good for"


# --- figures that labs measure -----------------------------------------------------------------------------------------


@cache
def assets() -> CachedAssets:
    """One for all runs: the designs of a table share their world."""
    return CachedAssets(None)


def ran(lab: str, **values: object) -> dict[str, float | None]:
    result = run_lab(get_lab("feature_store", lab), values, Context(seed=2, assets=assets()))
    return {metric.key: metric.value for metric in result.metrics}


def rows_of(phase: str, start: str) -> list[list[str]]:
    """Cells of the table rows of a phase that begin with `start`, links reduced to their words."""
    found = load_problem("feature_store").phase(phase)
    assert found
    text = re.sub(r"\[([^\]]*)\]\((?:lab|calc|phase):[^)]*\)", r"\1", found.text)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if re.match(rf"\| ({start})", line)]


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.?\d*(?= ?%)", cell)]


@pytest.mark.slow
def test_the_table_of_joins_is_what_the_lab_measures() -> None:
    rows = rows_of("deep_dive", "newest row|newest when|by event|as known at")
    joins = ("latest", "event_in_window", "event_time", "as_known_at")
    assert len(rows) == len(joins)
    for join, (_, offline, online, leaked) in zip(joins, rows, strict=True):
        found = ran("point_in_time", join=join)
        assert found["offline_auc"] == pytest.approx(float(offline), abs=0.012)
        assert found["online_auc"] == pytest.approx(float(online), abs=0.012)
        share = (found["leaked_rows"] or 0) / (found["rows_out"] or 1)
        assert share == pytest.approx({"all": 1, "none": 0}.get(leaked, sum(numbers(leaked)) / 100), abs=0.015)


@pytest.mark.slow
def test_a_backfill_opens_the_gap_the_text_says() -> None:
    event = ran("point_in_time", join="event_time", late_share=80.0)
    known = ran("point_in_time", join="as_known_at", late_share=80.0)
    assert event["offline_auc"] == pytest.approx(0.736, abs=0.01) and event["online_auc"] == pytest.approx(0.729, abs=0.01)
    assert 0.003 < (event["gap"] or 0) < 0.012 and known["gap"] == 0


def test_the_table_of_windows_is_what_the_lab_measures() -> None:
    rows = rows_of("deep_dive", "Sawtooth \\| tail|Hopping|Snapshot")
    modes = {"Sawtooth": "sawtooth", "Hopping": "hopping", "Snapshot": "snapshot"}
    assert len(rows) == len(modes)
    for name, _, errors, _ in rows:
        found = ran("windows", mode=modes[name], hops=[60, 300, 3600], late_share=0, duplicates=0)
        for seconds, error in zip((300, 3600, 604_800), numbers(errors), strict=True):
            assert found[f"error@{seconds}s"] == pytest.approx(error, rel=0.12, abs=0.06), f"{name} over {seconds} s"
        if name != "Snapshot":
            sign = 1 if name == "Sawtooth" else 0
            assert found["bias@300s"] == pytest.approx(sign * (found["error@300s"] or 0), abs=0.5)
    assert 40 < (ran("windows", hops=[60, 300, 3600], late_share=0, duplicates=0)["differ@604800s"] or 0) < 50


def test_the_table_of_layouts_counts_what_the_lab_counts() -> None:
    rows = rows_of("deep_dive", "Hash a view|The same|Hash an entity|Two strings, batch|One string")
    designs = [("view_hash", "serial"), *((layout, "one_pipeline") for layout in ("view_hash", "row_hash", "split_blob", "blob"))]
    assert len(rows) == len(designs)
    for (layout, access), (_, commands, _, written, memory) in zip(designs, rows, strict=True):
        found = ran("online", layout=layout, access=access, requests=50)
        assert found["commands"] == float(commands)
        assert found["write_amplification"] == float(written)
        assert found["entity_bytes"] == float(memory.removesuffix(" B"))


@pytest.mark.slow
def test_the_table_of_faults_is_what_the_lab_measures() -> None:
    rows = rows_of("evaluation", "Another|Clock|20 % missing|The same, served|Cents|Stream stalled")
    faults = ("wrong_key", "timezone", "missing_zero", "missing_null", "unit", "stalled")
    assert len(rows) == len(faults)
    index: list[float] = []
    for fault, (_, lost, drift, differ) in zip(faults, rows, strict=True):
        found = ran("parity", fault=fault)
        index.append(found["psi"] or 0)
        assert found["auc_loss"] == pytest.approx(float(lost), abs=0.012)
        assert found["psi"] == pytest.approx(float(drift), rel=0.1, abs=0.002)
        assert found["rows_differ"] == pytest.approx(0 if differ == "none" else numbers(differ)[0], abs=1.5)
    assert [drift > 0.2 for drift in index] == [False] * 4 + [True] * 2, "the alarm sleeps through the four that cost most"


def test_the_stalled_stream_shifts_predictions_as_the_text_says() -> None:
    found = ran("parity", fault="stalled")
    assert abs(found["prediction"] or 0) == pytest.approx(12, abs=4)
