"""The parity lab: what faults cost, which monitor sees them, and a live stream that is really written and read."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import pytest
import redis

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.encoding import dumps
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.feature_store import _parity_monitors as monitors
from simulators.feature_store._parity_live import BEFORE, ROWS
from simulators.feature_store._parity_live import live as replay
from simulators.feature_store._parity_monitors import DAY_MIN, Watch, samples_needed
from simulators.feature_store._parity_params import FAULTS, ParityParams
from simulators.feature_store._parity_world import CLICKS, World, world
from simulators.feature_store.parity import ParityLab
from simulators.lab import Context, KeySpace, Result
from simulators.params import parse_params
from tests.redis_server import RedisServer

SEEDS = (1, 2, 3)
ALL = ("psi", "parity", "golden", "freshness")


@cache
def assets() -> CachedAssets:
    return CachedAssets(None)


def context(seed: int = 1, **more: Any) -> Context:
    return Context(seed=seed, assets=assets(), **more)


def run(values: dict[str, Any], seed: int = 1, **more: Any) -> Result:
    return run_lab(ParityLab, values, context(seed, **more))


def numbers(result: Result) -> dict[str, Any]:
    return {metric.key: metric.value for metric in result.metrics}


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def seen(result: Result) -> dict[str, dict[str, float | None]]:
    """Minutes to the alarm, {monitor: {fault: minutes or None}}."""
    table = next(table for table in result.tables if table.key == "monitors")
    return {str(row[0]): dict(zip(FAULTS, row[4:], strict=True)) for row in table.rows}  # type: ignore[arg-type]


def faults(result: Result) -> dict[str, tuple[float, ...]]:
    """{fault: (AUC lost, prediction %, calibration, rows %, SMAPE %, PSI)}."""
    table = next(table for table in result.tables if table.key == "faults")
    return {fault: tuple(float(cell or 0) for cell in row[1:7]) for fault, row in zip(FAULTS, table.rows, strict=True)}


# --- effects ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_distributions_rank_faults_in_another_order_than_harm(seed: int) -> None:
    result = run({}, seed)
    found = faults(result)
    loss = {fault: row[0] for fault, row in found.items()}
    index = {fault: row[5] for fault, row in found.items()}
    assert loss["wrong_key"] > 0.12 and index["wrong_key"] < 0.005
    assert 0.03 < loss["timezone"] < 0.1 and index["timezone"] < 0.005
    assert loss["unit"] < 0.02 and index["unit"] > 5
    assert 0.03 < loss["missing_zero"] < 0.07 and 0.1 < index["missing_zero"] < 0.2
    assert 0.005 < loss["missing_null"] < 0.6 * loss["missing_zero"] and index["missing_null"] < 0.005
    assert 0 < loss["window"] < 0.012 and 0.005 < index["window"] < 0.05
    assert 0 < loss["stalled"] < 0.012 and index["stalled"] > 1.5
    by_loss, by_index = (sorted(FAULTS, key=lambda fault: order[fault]) for order in (loss, index))
    assert by_loss[-1] == "wrong_key" and by_index[-1] == "unit"
    assert loss["unit"] < 0.2 * loss["wrong_key"]
    assert "orders" in effects(result) and "quiet_harm" in effects(result)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_rows_and_calibration_say(seed: int) -> None:
    found = faults(run({}, seed))
    assert found["timezone"][3] == 100 and found["unit"][3] == 100
    assert 24 < found["window"][3] < 32 and 5 < found["window"][1] < 12  # more clicks, higher predictions
    assert 14 < found["missing_zero"][3] < 19 and 18 < found["missing_null"][3] < 21
    assert found["wrong_key"][3] > 80
    assert -16 < found["stalled"][1] < -7
    assert found["stalled"][3] < 0.1  # as known at the request, nobody knew better


@pytest.mark.parametrize("seed", SEEDS)
def test_each_monitor_is_blind_to_something(seed: int) -> None:
    minutes = seen(run({"sample": 0.2, "monitor": ALL}, seed))
    quick = {name: {fault for fault, at in row.items() if at is not None and at <= 30} for name, row in minutes.items()}
    assert quick["Parity by recomputation"] == quick["Golden entities"] == set(FAULTS) - {"stalled"}
    assert quick["Freshness"] == {"stalled"}
    assert {"unit", "stalled"} <= quick["Distribution (PSI)"]
    assert not quick["Distribution (PSI)"] & {"timezone", "missing_null", "wrong_key", "window"}


@pytest.mark.parametrize("seed", SEEDS)
def test_recomputing_by_event_time_reports_late_data_as_skew(seed: int) -> None:
    known, late = (
        run({"fault": "none", "monitor": ("parity",), "recompute": recompute}, seed) for recompute in ("as_known_at", "event_time")
    )
    assert numbers(known)["rows_differ"] < 0.1 and numbers(known)["false_alarms"] < 0.1
    assert 3.5 < numbers(late)["rows_differ"] < 6.5 and numbers(late)["false_alarms"] > 200
    assert "late_as_skew" in effects(late) and "late_as_skew" not in effects(known)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stalled_stream_ages_and_only_freshness_rings_in_time(seed: int) -> None:
    values = {"fault": "stalled", "monitor": ("parity", "freshness")}
    stalled, well = run(values, seed), run({**values, "fault": "none"}, seed)
    assert numbers(stalled)["age_p99_s"] > 3_600 > 60 > numbers(well)["age_p99_s"] > 3
    assert numbers(stalled)["live_differ"] == numbers(well)["live_differ"] < 0.5
    patient = run({**values, "sla": 3_600.0}, seed)
    assert numbers(stalled)["detect_min"] < 5 and 55 < numbers(patient)["detect_min"] < 70
    assert numbers(run({**values, "sla": 1.0}, seed))["false_alarms"] > 200  # healthy values are two seconds old
    assert numbers(run({**values, "affected": 0.5}, seed))["detect_min"] == DAY_MIN  # the 99th percentile forgives it


def test_tolerance_decides_what_rounding_is() -> None:
    """Carts are served as float32: a tolerance below its digits rings at every row, one of 10 % hides an eighth day of busy users."""
    strict, usual, loose = (run({"fault": "window", "monitor": ("parity",), "rtol": rtol}) for rtol in (1e-9, 1e-6, 0.1))
    assert numbers(strict)["rows_differ"] > 95 and numbers(strict)["false_alarms"] > 200
    assert numbers(loose)["rows_differ"] < numbers(usual)["rows_differ"]


def test_rows_to_see_a_share() -> None:
    for share in (0.01, 0.001, 0.2):
        n = int(np.ceil(samples_needed(share)))
        assert 1 - (1 - share) ** n >= 0.95 > 1 - (1 - share) ** (n - 1)
    assert [int(np.ceil(samples_needed(share))) for share in (0.01, 0.001)] == [299, 2_995]


def test_a_rarer_fault_takes_longer_and_a_larger_sample_finds_it_sooner() -> None:
    values = {"fault": "window", "monitor": ("parity",)}
    whole, rare = numbers(run(values)), numbers(run({**values, "affected": 1.0}))
    more = numbers(run({**values, "affected": 1.0, "sample": 5.0}))
    assert whole["detect_min"] < more["detect_min"] < rare["detect_min"]
    assert more["recomputed"] == 5 and whole["recomputed"] == pytest.approx(0.1)


def test_minutes_are_those_of_a_simulated_fault() -> None:
    """Checks every 5 min, each rings by chance; the fault begins anywhere between two."""
    draws = np.random.default_rng(3)
    for chance in (1.0, 0.4, 0.1):
        waits = 5 * (draws.geometric(chance, 40_000) - draws.random(40_000))
        made = Watch("parity", 0.0, dict.fromkeys(FAULTS, chance)).minutes("unit", 5)
        assert made == pytest.approx(waits.mean(), rel=0.02)
    assert Watch("parity", 0.3, dict.fromkeys(FAULTS, 0.31)).minutes("unit", 5) == DAY_MIN  # rings as often when nothing is wrong


def test_alarms_of_parity_are_binomial() -> None:
    draws = np.random.default_rng(4)
    for share in (0.003, 0.01, 0.03):
        rings = draws.binomial(300, share, 200_000) > monitors.binom.isf(monitors.FALSE_ALARM, 300, monitors.BASE_SHARE)
        assert monitors._alarm_chance(300, share) == pytest.approx(rings.mean(), abs=0.004)


# --- the live stream --------------------------------------------------------------------------------------------------------------


def drawn(seed: int) -> World:
    return finish(world(context(seed)))  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_read_back_is_what_the_fault_serves(fault: Any) -> None:
    """Row by row for faults of writers; for a wrong key, somebody's clicks."""
    for seed in SEEDS:
        params, ctx = parse_params(ParityLab, {"fault": fault, "affected": 50.0}), context(seed)
        assert isinstance(params, ParityParams)
        data, found = drawn(seed), finish(replay(ctx, drawn(seed), params))
        rows = ctx.rng("parity/replay").choice(len(data.clicked), len(found.served), replace=False)
        hit = monitors.hit(ctx, params)[rows] & (np.arange(len(rows)) >= BEFORE * ROWS)
        wanted = np.where(hit[:, None], data.values(fault)[rows], data.served[rows])
        same = (found.served == wanted) | (np.isnan(found.served) & np.isnan(wanted))
        if fault == "wrong_key":
            assert same[:, 1:].all() and same[~hit].all() and same[hit, CLICKS].mean() < 0.3
        elif fault == "missing_zero":
            assert same[~np.isnan(data.served[rows, CLICKS])].all()
        else:
            assert same.all()


def test_live_rows_differ_as_all_requests_do() -> None:
    for fault in ("timezone", "window", "missing_null", "wrong_key", "unit"):
        got = numbers(run({"fault": fault}))
        assert got["live_differ"] == pytest.approx(got["rows_differ"], abs=4)
    result = finish(replay(context(), drawn(1), ParityParams(fault="stalled")))
    assert (result.mismatch < 0.03).all()
    ages = result.age_s.reshape(-1, ROWS).max(axis=1)
    assert (np.diff(ages[BEFORE:]) > 0).all() and ages[:BEFORE].max() < 60


@contextmanager
def own_space(client: redis.Redis) -> Any:
    yield KeySpace(client, "lab:test:", 60)


def test_the_stream_goes_through_redis_and_reads_back_the_same(redis_server: RedisServer) -> None:
    values = {"fault": "stalled", "monitor": ("parity", "freshness")}
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
        real = run(values, key_space=lambda: own_space(client))
        keys = client.keys("*")
        assert len(keys) > 9_000 and all(key.startswith(b"lab:test:") for key in keys)
        assert all(0 < client.ttl(key) <= 60 for key in keys[:50])
    inside = run(values)
    assert any("No Redis" in note for note in inside.notes) and not real.notes
    assert dumps(real.metrics) == dumps(inside.metrics) and dumps(real.figures) == dumps(inside.figures)


# --- the design task ----------------------------------------------------------------------------------------------------------------

TASK = ParityLab.challenges[0]


def failed(design: Any, seed: int) -> set[str]:
    got = numbers(run({**TASK.world, **design}, seed))
    return {a.metric for a in TASK.assertions if not got[a.metric] <= a.target}


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_and_alternative_pass_the_others_fail(seed: int) -> None:
    assert failed(TASK.reference, seed) == set() == failed(TASK.alternative, seed)
    assert failed(TASK.naive, seed) == {"slowest_min"}
    assert failed(TASK.maxed, seed) >= {"recomputed"}
    assert failed({}, seed) >= {"slowest_min"}
    assert failed({**TASK.reference, "sla": 1.0}, seed) >= {"false_alarms"}
    assert failed({**TASK.reference, "monitor": ("parity",)}, seed) == {"slowest_min"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sample": 0.001}, "Sample 0.001 % gives 3 rows an interval; at least 30 needed."),
        ({"monitor": ()}, "Monitors: nothing was given"),
    ],
)
def test_bad_settings_are_sentences(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_params(ParityLab, values)
    assert words in refused.value.message
    parse_params(ParityLab, {"sample": 0.001, "monitor": ("freshness",)})  # nothing is sampled


def test_presets_show_what_they_tell() -> None:
    found = {preset.key: run(dict(preset.values)) for preset in ParityLab.presets}
    assert {"quiet_harm", "unseen"} <= effects(found["distribution_looks_fine"])
    assert "loud" in effects(found["cents"])
    assert numbers(found["midnight_in_singapore"])["detect_min"] < 5
    assert numbers(found["defaults_everywhere"])["detect_min"] < 5
    assert {"stalled", "seen"} <= effects(found["nobody_noticed"])
    assert "late_as_skew" in effects(found["late_as_skew"])
