"""The delayed feedback lab: its stories, the challenge, and the user's own clicks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulators.ads_ctr._delayed_challenge import LEARN_TODAY
from simulators.ads_ctr._delayed_data import SPEC, read_steps
from simulators.ads_ctr._delayed_params import DelayedParams
from simulators.ads_ctr._delayed_study import Study, fitted, judged
from simulators.ads_ctr._delayed_views import metrics as tiles
from simulators.ads_ctr.delayed_feedback import DelayedFeedback
from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ranking.worlds.delay import delay_world
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, DataInfo, Frame, Progress, Result
from simulators.params import parse_params

SEEDS = (0, 1, 2)


@cache
def context(seed: int) -> Context:
    return Context(seed=seed, assets=CachedAssets(None))


@cache
def result(seed: int, **values: Any) -> Result:
    return run_lab(DelayedFeedback, values, context(seed))


def metrics(found: Result) -> dict[str, Any]:
    return {metric.key: metric.value for metric in found.metrics}


def effects(found: Result) -> dict[str, str]:
    return {insight.effect: insight.text for insight in found.insights}


def preset(key: str) -> dict[str, Any]:
    (found,) = [item for item in DelayedFeedback.presets if item.key == key]
    return dict(found.values)


# --- stories --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_naive_model_starves_a_new_campaign_and_the_wait_does_not_know_it(seed: int) -> None:
    found, said = metrics(result(seed)), effects(result(seed))
    assert found["bid_ratio"] == found["ratio@naive"] < 0.25 and found["spend_error"] < -75
    assert found["ratio@wait"] < 0.55 and found["xll@wait"] > 50
    assert abs(found["ratio@dfm"] - 1) < 0.25 and found["xll@dfm"] < 6 < found["xll@wait"] < found["xll@naive"]
    assert {"naive", "wait", "dfm", "ipw", "overall", "launch"} <= set(said) and "delay_law" not in said
    assert f"{found['ratio@naive']:.2f} of its true rate" in said["naive"]
    assert 15 < found["to_come"] < 35 and found["seen_new"] > 50


@pytest.mark.parametrize("seed", SEEDS)
def test_a_week_of_waiting_after_friday(seed: int) -> None:
    found = metrics(result(seed, **preset("launched_on_friday")))
    assert found["label_age"] >= 7 and found["clicks_used"] < 60_000 * 24 / 30
    assert found["bid_ratio"] == found["ratio@wait"] < 0.55
    assert "drops every click" in effects(result(seed, **preset("launched_on_friday")))["wait"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_heavy_tail_pulls_the_delay_models_apart(seed: int) -> None:
    found, said = metrics(result(seed, **preset("heavy_tail"))), effects(result(seed, **preset("heavy_tail")))
    assert found["ratio@dfm"] < 0.85 and found["ratio@ipw"] > 1.2
    assert "opposite directions" in said["delay_law"]
    (figure,) = [item for item in result(seed, **preset("heavy_tail")).figures if item.key == "delay"]
    truth, dfm = (np.array(trace["y"]) for trace in figure.plot["data"][:2])
    assert np.abs(truth - dfm).max() > 0.1 and truth[-1] == pytest.approx(1)


def test_the_nearest_to_the_papers_clicks() -> None:
    found = metrics(result(0, **preset("chapelles_clicks")))
    assert found["within_hour"] == pytest.approx(35, abs=6) and found["within_day"] == pytest.approx(50, abs=16)


def test_a_launch_longer_ago_is_easier_for_all() -> None:
    (figure,) = [item for item in result(0).figures if item.key == "launch"]
    curves = {trace["name"]: trace["y"] for trace in figure.plot["data"]}
    assert set(curves) == {"naive", "wait", "DFM", "IPW"}
    assert curves["naive"] == sorted(curves["naive"]) and curves["naive"][-1] < 0.7
    assert abs(curves["DFM"][-1] - 1) < 0.15
    shown = {item.key for item in result(0, clicks=120_000, methods=("naive",)).figures}
    assert "launch" not in shown and "120" not in str(result(0).notes)


@pytest.mark.parametrize("seed", SEEDS)
def test_young_clicks_look_like_none(seed: int) -> None:
    (figure,) = [item for item in result(seed).figures if item.key == "age"]
    final, seen = (np.array(trace["y"]) for trace in figure.plot["data"][:2])
    assert (seen <= final + 1e-9).all() and seen[0] < 0.2 * final[0] and seen[-1] > 0.9 * final[-1]
    log = delay_world(seed)
    first = log.elapsed < 1
    assert seen[0] == pytest.approx(log.converted[first].mean(), abs=1e-4)
    assert final[0] == pytest.approx((log.converted + log.to_come)[first].mean(), abs=1e-4)


def test_only_what_is_asked_for_is_fitted() -> None:
    found = metrics(result(0, method="ipw", methods=("naive",), clicks=20_000))
    assert {key for key in found if key.startswith("ratio@")} == {"ratio@naive", "ratio@ipw"}
    assert found["bid_ratio"] == found["ratio@ipw"]


def test_a_picture_after_each_method_and_the_production_first() -> None:
    said = list[Progress | Frame]()
    drive(DelayedFeedback(), parse_params(DelayedFeedback, {"method": "ipw"}), context(0), emit=said.append, cancelled=lambda: False)
    frames = [step for step in said if isinstance(step, Frame)]
    shown = [{metric.series for metric in frame.metrics if metric.series} for frame in frames]
    assert shown == [{"IPW"}, {"IPW", "naive"}, {"IPW", "naive", "wait"}, {"IPW", "naive", "wait", "DFM"}]


def test_a_wait_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Waiting 30 d leaves 0 conversions in 0 clicks") as refused:
        result(0, wait_days=30.0)
    assert refused.value.field == "wait_days"
    assert metrics(result(0, wait_days=30.0, methods=("naive", "dfm"), clicks=20_000))["ratio@dfm"] > 0.5


# --- the challenge --------------------------------------------------------------------------------------------------------------


@cache
def design_means(launch: float, **design: Any) -> dict[str, float]:
    """Means over the seeds of the tiles, without the rest of a run."""
    params = DelayedParams(**{**LEARN_TODAY.world, "new_days": launch, **design})
    runs = []
    for seed in SEEDS:
        world = delay_world(seed, new_days=launch, clicks=params.clicks)
        study = Study(params, world, {params.method: judged(world, *finish(fitted(world, params, params.method)))})
        runs.append({metric.key: metric.value for metric in tiles(study) if not metric.series})
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


@pytest.mark.parametrize("launch", [variation["new_days"] for variation in LEARN_TODAY.variations])
@pytest.mark.parametrize(
    ("design", "fails"),
    [
        (LEARN_TODAY.reference, set()),
        (LEARN_TODAY.alternative, set()),
        (LEARN_TODAY.naive, {"bid_xll", "spend_off"}),
        ({"method": "wait"}, {"bid_xll", "spend_off", "label_age"}),
        ({"method": "wait", "wait_days": 14.0}, {"bid_xll", "spend_off", "label_age"}),
        (LEARN_TODAY.maxed, {"bid_xll", "spend_off", "label_age", "clicks_used"}),
        ({"method": "dfm", "clicks": 200_000}, {"clicks_used"}),
        ({"method": "naive", "clicks": 5_000}, {"bid_xll", "spend_off"}),
    ],
    ids=["reference", "alternative", "naive", "wait", "wait_14", "maxed", "all_clicks", "few"],
)
def test_the_challenge(launch: float, design: dict[str, Any], fails: set[str]) -> None:
    means = design_means(launch, **design)
    assert {item.metric for item in LEARN_TODAY.assertions if means[item.metric] > item.target} == fails
    assert all(item.op == "<=" for item in LEARN_TODAY.assertions) and set(design) <= set(LEARN_TODAY.design)


def test_the_model_of_the_challenge_costs_little() -> None:
    found = {metric.key: metric for metric in result(0, method="dfm").metrics}
    assert found["fit_cpu_s"].measured and (found["fit_cpu_s"].value or 9) < 2
    assert {item.metric: item.unit for item in LEARN_TODAY.assertions} == {
        item.metric: found[item.metric].unit for item in LEARN_TODAY.assertions
    }


# --- own data -------------------------------------------------------------------------------------------------------------------

HEADER = "click_time,conversion_time,new_campaign,price"
CLICK = "2026-03-01T00:00:00Z"


def file_of(tmp_path: Path, lines: list[str], header: str = HEADER, name: str = "clicks.csv") -> DataFile:
    path = tmp_path / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return DataFile(name, path)


def checked(file: DataFile) -> DataInfo:
    return SPEC.check({"clicks": file}, {})


def own(file: DataFile, **values: Any) -> Result:
    ctx = Context(seed=1, assets=CachedAssets(None), data=Data("digest", {"clicks": file}))
    return run_lab(DelayedFeedback, values, ctx)


@cache
def history(seed: int) -> tuple[Any, Any, Any]:
    """Sixty days of clicks in days, their delays (infinite: none) and features; exponential delays of 4 days."""
    draws = np.random.default_rng(seed)
    day, x = np.sort(draws.random(24_000) * 60), draws.normal(size=(24_000, 2))
    p = 1 / (1 + np.exp(1.5 - 0.6 * x[:, 0]))
    return day, np.where(draws.random(24_000) < p, draws.exponential(4.0, 24_000), np.inf), x


def history_file(tmp_path: Path, seed: int) -> DataFile:
    day, delay, x = history(seed)
    start = 1_772_323_200_000
    ms = [start + round(86_400_000 * value) for value in day]
    done = [str(start + round(86_400_000 * (a + b))) if np.isfinite(b) else "" for a, b in zip(day, delay, strict=True)]
    return file_of(tmp_path, [f"{a},{b},{c:.5f},{d:.5f}" for a, b, (c, d) in zip(ms, done, x, strict=True)])


@pytest.mark.parametrize("seed", SEEDS)
def test_own_clicks_are_judged_by_what_came_later(tmp_path: Path, seed: int) -> None:
    found = own(history_file(tmp_path, seed), method="dfm", window=15.0, new_days=3.0)
    values = metrics(found)
    assert values["cuts"] == 4 and 20 < values["arrived"] < 45
    assert abs(values["ratio@dfm"] - 1) < 0.08 and abs(values["ratio@ipw"] - 1) < 0.08
    assert values["ratio@naive"] < min(values["ratio@dfm"], values["ratio@wait"]) - 0.03, "some weeks of old clicks dilute the young ones"
    assert values["bid_ratio"] == values["ratio@dfm"]
    assert {"own_young", "own_best"} <= set(effects(found))


def test_the_truth_of_a_cut_counted_by_hand(tmp_path: Path) -> None:
    day, delay, _ = history(0)
    (table,) = own(history_file(tmp_path, 0), window=15.0, new_days=3.0, methods=("naive",)).tables
    last = min((day + np.where(np.isfinite(delay), delay, 0)).max() - 15, day.max()) - day.min()
    for number, row in enumerate(reversed(table.rows)):
        cut = last - 7 * number
        young = (day - day.min() <= cut) & (day - day.min() > cut - 3)
        came = young & (delay <= 15)
        seen = came & (day - day.min() + delay <= cut)
        assert row[:4] == pytest.approx((cut, young.sum(), came.sum(), 100 * seen.sum() / came.sum()), abs=1e-4)


def test_a_file_too_short_for_the_window_is_refused(tmp_path: Path) -> None:
    short = file_of(
        tmp_path, [f"2026-03-{1 + i % 9:02d}T00:00:00Z,2026-03-{1 + i % 9:02d}T08:00:00Z,0,{i}" for i in range(60)], name="s.csv"
    )
    assert "younger than 30 days" in checked(short).warnings[0]
    with pytest.raises(InvalidInput, match="All clicks of s.csv are younger than the window of 30 d") as refused:
        own(short)
    assert refused.value.field == "window"
    with pytest.raises(InvalidInput, match="no date leaves 20 conversions"):
        own(short, window=2.0)


def test_times_in_any_form_mean_the_same(tmp_path: Path) -> None:
    iso = ["2026-03-01T00:00:00Z,2026-03-02T12:00:00+02:00,0,1", "2026-03-03T06:00:00Z,,1,2"]
    seconds = ["1772323200,1772445600,0,1", "1772517600,,1,2"]
    mixed = ["2026-03-01 00:00:00,1772445600000000,0,1".replace("1772445600000000", "2026-03-02T10:00"), iso[1]]
    table = pa.table(
        {
            "click_time": pa.array([1_772_323_200_000, 1_772_517_600_000], pa.timestamp("ms", "UTC")),
            "conversion_time": pa.array([1_772_445_600_000, None], pa.timestamp("ms", "UTC")),
            "new_campaign": [0.0, 1.0],
            "price": [1.0, 2.0],
        }
    )
    pq.write_table(table, tmp_path / "p.parquet")
    files = [file_of(tmp_path, lines, name=f"{i}.csv") for i, lines in enumerate((iso, seconds, mixed))]
    for file in [*files, DataFile("p.parquet", tmp_path / "p.parquet")]:
        read = finish(read_steps(file))
        assert read.click_day == pytest.approx([0, 2.25]) and read.delay == pytest.approx([1 + 10 / 24, np.inf])
        assert read.X.tolist() == [[0, 1], [1, 2]] and read.features == ("new_campaign", "price")


@pytest.mark.parametrize(
    ("lines", "header", "words"),
    [
        (
            [f"{CLICK},,0,1"] * 3 + [f"{CLICK},2026-02-28T00:00:00Z,0,1"],
            HEADER,
            "Line 5: conversion at 2026-02-28T00:00:00Z before the click",
        ),
        ([f"{CLICK},,0,1", ",,0,1"], HEADER, "Line 3: click_time is empty"),
        ([f"{CLICK},yesterday,0,1"], HEADER, "Line 2: conversion_time 'yesterday' is not a time"),
        ([f"{CLICK},,0,1", "1.3.26,,0,1"], HEADER, "Line 3: click_time '1.3.26' is not a time"),
        ([f"{CLICK},,0,"], HEADER, "Line 2: price is empty; expected a number"),
        ([f"{CLICK},,0,cheap"], HEADER, "Line 2, column price"),
        ([f"{CLICK},,0,1"], HEADER, "clicks.csv: 0 of 1 rows have a conversion_time; at least 50 are needed"),
        ([f"{CLICK},0,1"], "click_time,new_campaign,price", "clicks.csv has no column 'conversion_time'"),
        ([f"{CLICK},"], "click_time,conversion_time", "clicks.csv has 0 columns of features"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(tmp_path: Path, lines: list[str], header: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked(file_of(tmp_path, lines, header))
    assert words in refused.value.message, refused.value.message


def test_the_example_of_the_page_is_readable(tmp_path: Path) -> None:
    header, *lines = SPEC.example.strip().split("\n")
    read = finish(read_steps(file_of(tmp_path, lines, header)))
    assert len(read.delay) == 3 and np.isfinite(read.delay).sum() == 1


def test_what_a_file_holds_is_said(tmp_path: Path) -> None:
    info = checked(history_file(tmp_path, 2))
    assert dict(info.facts)["Clicks"] == "24,000" and dict(info.facts)["Features"] == "new_campaign, price" and not info.warnings
