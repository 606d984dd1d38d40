"""The lab `fleet_day`: the effects it exists to show, the books of a day, own curves, and the challenge."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.serving.cascade import TIERS
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Result
from simulators.llm_serving._fleet_load import DATA, clean_day, make_loads, read_curve
from simulators.llm_serving._fleet_params import FleetDayParams
from simulators.llm_serving._fleet_pools import FREE_SHARE, FleetDay, fleet_day
from simulators.llm_serving._fleet_router import chosen, cost_within, frontier, queries, single
from simulators.llm_serving.fleet_day import FleetDayLab
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

SEEDS = (0, 1, 2)
LAB = get_lab("llm_serving", "fleet_day")
CHALLENGE = FleetDayLab.challenges[0]
STORE = CachedAssets(None)


def context(seed: int) -> Context:
    return Context(seed=seed, assets=STORE)


@cache
def day(seed: int, **values: Any) -> FleetDay:
    """The pools' day alone."""
    params, ctx = FleetDayParams(**values), context(seed)
    asked = ctx.asset(f"test/queries/{seed}", lambda: queries(ctx), disk=False)
    return finish(fleet_day(make_loads(ctx, params), chosen(asked, params), params))  # type: ignore[no-any-return]


@cache
def run(seed: int = 0, **values: Any) -> Result:
    return run_lab(LAB, values, context(seed))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None
    return found


# --- load ----------------------------------------------------------------------------------------------------------------


def test_the_day_has_its_peak_trough_and_step() -> None:
    load = clean_day()
    assert load.shape == (86_400,) and load.max() == pytest.approx(200)
    assert load[9 * 3600 + 600] / load[9 * 3600 - 600] == pytest.approx(1.8, abs=0.1)
    assert load.min() < 0.25 * load.max()


@pytest.mark.parametrize("seed", SEEDS)
def test_regions_flatten_the_load_only_together(seed: int) -> None:
    one, apart, together = (
        make_loads(context(seed), FleetDayParams(regions=n, spill=spill)) for n, spill in ((1, False), (3, False), (3, True))
    )
    assert apart.rps.shape == (3, 86_400) and together.rps.shape == (1, 86_400)
    assert together.peak_to_mean < 0.85 * one.peak_to_mean and apart.peak_to_mean > 0.95 * one.peak_to_mean
    assert 0.05 < together.remote < 0.5 and apart.remote == 0
    assert day(seed, regions=3, spill=True).gpu_hours < day(seed, regions=3).gpu_hours


# --- models --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_router_saves_what_it_sees(seed: int) -> None:
    ctx = context(seed)
    asked = queries(ctx)
    best = single(asked, "reasoning")
    shares = [cost_within(finish(frontier(ctx, asked, noise))["router"], best, 1.0) or 1.0 for noise in (0.5, 1.1, 2.2)]
    curves = finish(frontier(ctx, asked, 0.5))
    oracle, blind = (cost_within(curves[name], best, 1.0) or 1.0 for name in ("oracle", "blind"))
    assert shares == pytest.approx([0.35, 0.44, 0.63], abs=0.05)
    assert oracle < shares[0] < shares[1] < shares[2] < blind
    assert oracle == pytest.approx(0.31, abs=0.04) and blind > 0.8
    assert [single(asked, tier.name).quality for tier in TIERS] == pytest.approx([0.729, 0.890, 0.976], abs=0.01)


@pytest.mark.parametrize("seed", SEEDS)
def test_retries_add_load_when_quality_drops(seed: int) -> None:
    good, bad = day(seed, routing="reasoning", retry=0.5), day(seed, routing="mini", retry=0.5)
    assert 1 < good.retries < 1.03 < 1.1 < bad.retries


# --- autoscaler ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_reactive_scaling_misses_the_step_when_replicas_are_late(seed: int) -> None:
    shares = [day(seed, lag_s=lag).violation_share for lag in (30.0, 120.0, 300.0, 600.0)]
    assert shares[0] < 0.0005 and shares[1] < 0.001
    assert 0.002 < shares[2] < shares[3] < 0.03
    assert day(seed, target=0.4).violation_share < 0.0005


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forecast_or_standbys_prevent_it_at_a_price(seed: int) -> None:
    reactive, predictive, warm, idle = day(seed), day(seed, policy="predictive"), day(seed, warm=3), day(seed, target=0.4)
    assert predictive.violation_share == 0 and warm.violation_share < 0.0005
    assert predictive.gpu_hours < 1.1 * reactive.gpu_hours < warm.gpu_hours < idle.gpu_hours
    assert idle.gpu_hours > 1.4 * reactive.gpu_hours


def test_the_larger_of_both_survives_what_nobody_foresaw() -> None:
    missed = {
        policy: [day(seed, policy=policy, spike=1.5).violation_share for seed in SEEDS] for policy in ("reactive", "predictive", "hybrid")
    }
    assert max(missed["hybrid"]) < min(missed["reactive"])
    assert np.mean(missed["hybrid"]) <= np.mean(missed["predictive"])


@pytest.mark.parametrize("seed", SEEDS)
def test_slow_growth_alone_never_breaks_reactive_scaling(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    slow = 100 * (1.5 - np.cos(2 * np.pi * np.arange(0, 86_400, 60) / 86_400))
    path.write_text("second,rps\n" + "\n".join(f"{60 * k},{rps:.3f}" for k, rps in enumerate(slow)))
    ctx = Context(seed=seed, assets=STORE, data=Data("slow", {"load": DataFile("slow.csv", path)}))
    result = run_lab(LAB, {"lag_s": 600.0}, ctx)
    assert value(result, "violation_share") == 0


def test_books_of_a_day() -> None:
    fleet = day(0, lag_s=600.0)
    for part in fleet.pools:
        served = np.cumsum(part.load_rps - part.capacity_rps)
        assert part.day.queue[-1] == pytest.approx(max(served[-1] - min(served.min(), 0), 0), abs=1e-6)
    assert fleet.gpu_hours == pytest.approx(sum(p.day.paid.sum() * p.pool.gpus for p in fleet.pools) / 3600)
    needed = sum(float(part.load_rps.sum()) * part.pool.gpu_s for part in fleet.pools) / 3600
    assert needed < fleet.gpu_hours < needed / 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_turning_away_the_free_tier_shortens_the_wait_of_the_others(seed: int) -> None:
    slow = {"lag_s": 1_200.0}
    nobody, free, everyone = (day(seed, admission=who, **slow) for who in ("none", "free", "all"))
    assert nobody.shed_share == 0 < free.shed_share <= everyone.shed_share * 1.001
    assert everyone.violation_share < 1e-9 and free.violation_share < nobody.violation_share
    assert everyone.worst_wait_s <= 2.001 < nobody.worst_wait_s
    for part in free.pools:
        assert np.all(part.shed_rps <= FREE_SHARE * part.load_rps + 1e-9)


# --- safety ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_where_the_check_stands_decides_the_first_visible_token(seed: int) -> None:
    serial, streaming, optimistic = (run(seed, safety=path) for path in ("serial", "streaming", "optimistic"))
    assert value(serial, "added_p50_s") > 4 and 0.3 < value(streaming, "added_p95_s") < 1.0
    assert value(optimistic, "added_p95_s") == 0
    assert 34 < value(optimistic, "unsafe_tokens") < 42 and value(streaming, "unsafe_tokens") == 0


def test_reading_all_again_grows_with_the_square() -> None:
    short, long = run(0, answer_tokens=350), run(0, answer_tokens=700)
    assert value(long, "checked_tokens") / value(short, "checked_tokens") == pytest.approx(4, abs=0.5)
    assert value(run(0, answer_tokens=700, recheck=False), "checked_tokens") == 700


def test_insights_name_what_the_day_shows() -> None:
    assert {"router", "reactive_lag", "safety_path", "quadratic_checks", "retries"} <= {i.effect for i in run().insights}
    far = run(0, regions=3, spill=True, spike=1.5, policy="hybrid", admission="free")
    assert {"regions", "spike", "forecast"} <= {i.effect for i in far.insights}


# --- own curves and bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(60 * k, 5) for k in range(60)], "covers 3,600 s"),
        ([(60 * k, 5) for k in range(200) if k != 100], "line 102, column second: 6060 follows 5940, a gap"),
        ([(60 * k, 5 if k != 7 else -1) for k in range(200)], "line 9, column rps: '-1'"),
        ([(60 * k, "many") for k in range(200)], "line 2, column rps: 'many'"),
        ([(0.5 * k, 5) for k in range(20_000)], "0.5 s apart"),
        ([(60 * k, 0) for k in range(200)], "all rows are 0"),
        ([], "0 rows"),
    ],
)
def test_bad_curves_are_refused_in_a_sentence(rows: list[tuple[Any, Any]], said: str, tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text("second,rps\n" + "\n".join(f"{a},{b}" for a, b in rows))
    with pytest.raises(InvalidInput) as caught:
        DATA.check({"load": DataFile("mine.csv", path)}, {})
    assert said in caught.value.message and "mine.csv" in caught.value.message and caught.value.message.endswith(".")


def test_a_curve_holds_each_row_until_the_next(tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_text("rps,second\n" + "\n".join(f"{k},{100 * k}" for k in range(100)))
    assert np.array_equal(read_curve(DataFile("mine.csv", path)), np.repeat(np.arange(100.0), 100))


@pytest.mark.parametrize(("name", "wrong"), [("target", 1.0), ("headroom", 0.9)])
def test_impossible_autoscalers_are_refused(name: str, wrong: float) -> None:
    with pytest.raises(InvalidParams, match="expected"):
        parse_params(LAB, {name: wrong})


# --- the challenge -----------------------------------------------------------------------------------------------------------


def judged(design: dict[str, Any]) -> dict[str, np.ndarray]:
    results = [run(seed, **{**CHALLENGE.world, **design}) for seed in range(3)]
    return {wanted.metric: np.array([value(result, wanted.metric) for result in results]) for wanted in CHALLENGE.assertions}


@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_two_designs_of_different_kind_pass_with_room(name: str) -> None:
    found = judged(dict(getattr(CHALLENGE, name)))
    for wanted in CHALLENGE.assertions:
        assert found[wanted.metric].mean() <= 0.9 * wanted.target, wanted.metric
    assert CHALLENGE.reference["policy"] != CHALLENGE.alternative["policy"]


@pytest.mark.parametrize(
    ("design", "missed"),
    [
        (dict(CHALLENGE.naive), "quality_gap"),
        (dict(CHALLENGE.maxed), "cost_share"),
        ({"routing": "reasoning", "policy": "hybrid", "window": 24}, "cost_share"),
        ({"policy": "reactive", "window": 24}, "violation_share"),
        ({"policy": "hybrid", "safety": "serial"}, "added_p95_s"),
        ({"policy": "hybrid", "safety": "optimistic", "window": 128}, "unsafe_tokens"),
    ],
)
def test_the_tempting_designs_miss_something(design: dict[str, Any], missed: str) -> None:
    target = next(wanted.target for wanted in CHALLENGE.assertions if wanted.metric == missed)
    assert judged(design)[missed].mean() > target
