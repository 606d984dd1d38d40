"""The lab on click models: the order of the families, what each trap costs, and the user's own log."""

from __future__ import annotations

import gzip
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.ads_ctr._ctr_challenge import CALIBRATED_AND_SMALL
from simulators.ads_ctr._ctr_data import SPEC
from simulators.ads_ctr._ctr_params import DESIGNS, CtrParams
from simulators.ads_ctr.ctr_models import CtrModels
from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame, Progress, Result
from simulators.params import parse_params

SEEDS = (0, 1, 2)
DATA = Path(os.environ.get("LOOP45_DATA", Path(__file__).parents[3] / "shared" / "data"))
ASSETS = CachedAssets(None)


def context(seed: int = 0, data: Data | None = None) -> Context:
    return Context(seed=seed, assets=ASSETS, data=data)


def result(seed: int, **values: Any) -> Result:
    return cached(seed, tuple(sorted(values.items())))


@cache
def cached(seed: int, values: Any) -> Result:
    return run_lab(CtrModels, dict(values), context(seed))


def metrics(seed: int, **values: Any) -> dict[str, Any]:
    return {metric.key: metric.value for metric in result(seed, **values).metrics}


def effects(found: Result) -> dict[str, str]:
    return {insight.effect: insight.text for insight in found.insights}


# --- effects ----------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_each_family_catches_more_and_none_reaches_the_truth(seed: int) -> None:
    found = metrics(seed, models=("lr", "lightgbm"))
    closed = {design: found[f"closed@{design}"] for design in ("lr", "lightgbm", "dlrm_history")}
    assert 10 < closed["lr"] < closed["lightgbm"] < 48 and closed["lightgbm"] + 15 < closed["dlrm_history"] < 85
    limits = {metric.key: metric.limit for metric in result(seed, models=("lr", "lightgbm")).metrics}
    assert found["auc"] < limits["auc"] < 0.9 and found["closed"] == closed["dlrm_history"]
    assert 0.75 < found["ratio"] < 1.35


@pytest.mark.parametrize("seed", SEEDS)
def test_wide_vectors_and_four_passes_learn_by_heart(seed: int) -> None:
    many = result(seed, models=(), dim=32, epochs=4, rows=25_000)
    values = {metric.key: metric.value for metric in many.metrics}
    assert values["closed"] < 0 < metrics(seed, models=(), rows=25_000)["closed"]
    assert "one_pass" in effects(many)
    assert "one_pass" not in effects(result(seed, models=(), rows=25_000))


@pytest.mark.parametrize("seed", SEEDS)
def test_sampled_negatives_need_the_formula(seed: int) -> None:
    given: dict[str, Any] = {"model": "dlrm", "models": (), "rows": 100_000, "keep_negatives": 0.1}
    raw, corrected, whole = (
        metrics(seed, **given, correct_sampling=False),
        metrics(seed, **given),
        metrics(seed, **given | {"keep_negatives": 1.0}),
    )
    assert 3.5 < raw["ratio"] < 6.5 and raw["closed"] < 0
    assert 0.8 < corrected["ratio"] < 1.2
    assert corrected["auc"] == raw["auc"] < whole["auc"]
    assert corrected["rows_seen"] < 0.25 * whole["rows_seen"]


@pytest.mark.parametrize("seed", SEEDS)
def test_new_ads_live_from_their_content(seed: int) -> None:
    given: dict[str, Any] = {"model": "fm", "models": (), "rows": 100_000}
    with_content, alone = metrics(seed, **given), metrics(seed, **given, ad_content=False)
    assert with_content["new_ads"] > alone["new_ads"] + 10
    assert with_content["young_ads"] > alone["young_ads"]
    shared = metrics(seed, **given, share_id_below=100)
    assert abs(shared["closed"] - with_content["closed"]) < 6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tenth_of_the_table_costs_little(seed: int) -> None:
    whole, hashed = (metrics(seed, model="fm", models=(), rows=100_000, buckets=buckets) for buckets in (0, 100))
    assert hashed["table_params"] < 0.12 * whole["table_params"] and hashed["collisions"] > 10
    assert hashed["closed"] > whole["closed"] - 25 and "hashing" in effects(result(seed, model="fm", models=(), rows=100_000, buckets=100))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_wide_world_is_data_limited(seed: int) -> None:
    found = result(seed, model="dcnv2", models=("lr",), truth="wide", rows=50_000)
    values = {metric.key: metric.value for metric in found.metrics}
    limit = next(metric.limit for metric in found.metrics if metric.key == "auc")
    assert limit is not None and values["auc"] < limit - 0.06 and values["new_ads"] is None
    assert values["table_params"] > 8 * 50_000


def test_recalibration_leaves_the_order_and_holds_rows_out() -> None:
    given: dict[str, Any] = {"model": "fm", "models": (), "rows": 50_000}
    plain, recalibrated = metrics(0, **given), metrics(0, **given, recalibrate=True)
    assert recalibrated["rows_seen"] == 45_000 < plain["rows_seen"] and recalibrated["miscalibrated"] < 10


def test_what_differs_by_a_missing_history_is_trained_once() -> None:
    found = result(0, models=("dlrm",), rows=10_000, history="none")
    assert [metric.series for metric in found.metrics if metric.key.startswith("closed@")] == ["DLRM + history"]
    assert any("left out" in note for note in found.notes)
    without = result(0, models=("dlrm",), rows=10_000, ad_content=False)
    assert any("Without the category" in note for note in without.notes)


def test_every_design_runs() -> None:
    for design in DESIGNS:
        values = metrics(0, model=design, models=(), rows=10_000, cross_rank=0)
        assert values["closed"] is not None and values["macs"] > 0, design


def test_the_curve_is_streamed_and_does_not_depend_on_the_clock() -> None:
    seen: list[Frame | Progress] = []
    params = parse_params(CtrModels, {"models": (), "rows": 40_000})
    drive(CtrModels(), params, context(), emit=seen.append, cancelled=lambda: False)
    frames = [step for step in seen if isinstance(step, Frame)]
    assert len(frames) > 8 and frames[0].figures[0].key == "curve"
    lengths = [len(frame.figures[0].plot["data"][0]["x"]) for frame in frames]
    assert lengths == sorted(lengths) and 38 <= lengths[-1] <= 41


@pytest.mark.slow
@pytest.mark.parametrize("seed", (0, 2))
def test_the_challenge(seed: int) -> None:
    def passes(design: str) -> list[bool]:
        found = metrics(seed, **CALIBRATED_AND_SMALL.world, **getattr(CALIBRATED_AND_SMALL, design))
        return [found[a.metric] >= a.target if a.op == ">=" else found[a.metric] <= a.target for a in CALIBRATED_AND_SMALL.assertions]

    assert all(passes("reference")) and all(passes("alternative"))
    assert not passes("naive")[0] and not all(passes("naive"))


@pytest.mark.slow
def test_what_the_form_opens_with_is_no_answer_to_the_challenge() -> None:
    """A task is judged on the mean over seeds; the level that one pass leaves off is what the brief asks to repair."""
    target = next(a.target for a in CALIBRATED_AND_SMALL.assertions if a.metric == "miscalibrated")
    for design, passes in ((CALIBRATED_AND_SMALL.reference, True), ({}, False)):
        off = [metrics(seed, **CALIBRATED_AND_SMALL.world, **design)["miscalibrated"] for seed in (1, 2, 3)]
        assert (float(np.mean(off)) <= target) == passes


# --- bad input --------------------------------------------------------------------------------------------------------------


def test_a_run_that_takes_minutes_is_refused_in_a_sentence() -> None:
    with pytest.raises(InvalidInput, match="take about .* s of one core; expected"):
        parse_params(CtrModels, {"rows": 2_000_000, "epochs": 8})
    assert CtrParams(rows=2_000_000, models=(), model="lr").designs == ("lr",)


# --- the user's own log -----------------------------------------------------------------------------------------------------


def own(path: Path, text: str, options: dict[str, str] | None = None) -> Data:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return Data(path.name, {"log": DataFile(path.name, path)}, options or {"split": "time"})


def rows(seed: int, count: int = 4000) -> str:
    """Clicks by whether two ids agree."""
    draws = np.random.default_rng(seed)
    a, b, x = draws.integers(0, 5, count), draws.integers(0, 5, count), draws.normal(size=count)
    y = draws.random(count) < np.where(a == b, 0.7, 0.15)
    return "click,user_id,color,price\n" + "".join(f"{int(y[i])},{a[i]},c{b[i]},{x[i]:.3f}\n" for i in range(count))


@pytest.mark.parametrize("name", ("log.csv", "log.csv.gz"))
def test_an_own_log_is_judged_by_what_happened(tmp_path: Path, name: str) -> None:
    data = own(tmp_path / name, rows(1))
    assert SPEC.columns is not None and SPEC.columns(data.files["log"]) == ("click", "user_id", "color", "price")
    facts = dict(SPEC.check(data.files, data.options).facts)
    assert facts["Rows"] == "4,000" and facts["Fields of ids"].startswith("2")
    found = run_lab(CtrModels, {"model": "fm", "models": ("lr", "lightgbm"), "epochs": 4}, context(data=data))
    values = {metric.key: metric.value for metric in found.metrics}
    assert values["closed"] is None and values["auc@fm"] > 0.68 and values["auc@fm"] > values["auc@lr"] + 0.05
    assert values["entropy"] < 0.97 and "own" in effects(found)


def test_own_splits_by_time_or_at_random(tmp_path: Path) -> None:
    """Clicks come only for users who appear late: by time they are all unknown."""
    body = "".join(f"{i % 2},u{i // 20},{i}\n" for i in range(2000))
    for split in ("time", "random"):
        data = own(tmp_path / f"{split}.csv", "label,user_id,ts\n" + body, {"split": split, "time": "ts"})
        found = run_lab(CtrModels, {"model": "lr", "models": ()}, context(data=data))
        assert any("flattered" in note for note in found.notes) == (split == "random")


def test_bad_files_say_where(tmp_path: Path) -> None:
    def refused(text: str, **options: str) -> str:
        data = own(tmp_path / "bad.csv", text, options)
        with pytest.raises(InvalidInput) as caught:
            SPEC.check(data.files, data.options)
        return caught.value.message

    good = rows(1, 300).splitlines()
    assert "line 12: click is '2'; 0 or 1 expected" in refused("\n".join([*good[:11], "2,1,c1,0", *good[12:]]))
    assert "line 5: 5 columns found where the header names 4" in refused("\n".join([*good[:4], good[4] + ",9", *good[5:]]))
    assert "no column is called label" in refused("a,b\n1,2\n")
    assert "has no column 'target'" in refused("\n".join(good), label="target")
    assert "rows are positive; at least 20" in refused("label,a\n" + "0,1\n" * 200 + "1,1\n")
    assert "Only 30 positives: fewer than 100" in SPEC.check(*_few(tmp_path)).warnings[0]


def _few(tmp_path: Path) -> tuple[dict[str, DataFile], dict[str, str]]:
    data = own(tmp_path / "few.csv", "label,a\n" + "".join(f"{int(i % 20 == 0)},{i % 7}\n" for i in range(600)))
    return dict(data.files), dict(data.options)


@pytest.mark.validation
def test_the_criteo_sample_is_trained_and_judged(tmp_path: Path) -> None:
    path = DATA / "ranking" / "criteo_sample.txt"
    if not path.exists():
        pytest.skip(f"{path} is absent; set LOOP45_DATA to the folder that holds ranking/criteo_sample.txt")
    data = Data("criteo", {"log": DataFile(path.name, path)}, {"split": "random"})
    info = SPEC.check(data.files, data.options)
    assert dict(info.facts)["Positives"].startswith("49") and "fewer than 100" in info.warnings[0]
    found = run_lab(CtrModels, {"batch": 64, "epochs": 4, "rows": 10_000}, context(data=data))
    assert all(metric.value is not None for metric in found.metrics if metric.key.startswith("auc"))
