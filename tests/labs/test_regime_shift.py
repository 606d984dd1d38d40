"""The regime-shift lab: what each schedule does in a world whose probabilities are known, and on logs written to a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.ads_ctr._shift_challenge import OVERNIGHT
from simulators.ads_ctr._shift_own import SPEC
from simulators.ads_ctr._shift_params import WAYS
from simulators.ads_ctr.regime_shift import RegimeShift
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.ranking.worlds import drift_world
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Result
from simulators.params import parse_params

SEEDS = (0, 1, 2)
DEFAULT = RegimeShift.Params().schedules


@cache
def context(seed: int) -> Context:
    return Context(seed=seed, assets=CachedAssets(None))


@cache
def result(seed: int, **values: Any) -> Result:
    return run_lab(RegimeShift, values, context(seed))


def values_of(seed: int, **values: Any) -> dict[str, Any]:
    return {metric.key: metric.value for metric in result(seed, **values).metrics}


def effects(found: Result) -> dict[str, str]:
    return {insight.effect: insight.text for insight in found.insights}


def by_way(found: Result) -> dict[str, dict[str, Any]]:
    (table,) = found.tables
    return {str(row[0]): dict(zip(table.columns, row, strict=True)) for row in table.rows}


# --- effects --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_calibration_monitor_is_blind_to_another_taste(seed: int) -> None:
    found, said = values_of(seed), effects(result(seed))
    assert found["late_ne@static"] > 1 and abs(found["ratio_after@static"] - 1) < 0.08
    assert "blind_monitor" in said and f"{found['ratio_after@static']:.2f}" in said["blind_monitor"]
    (parts,) = [figure for figure in result(seed).figures if figure.key == "parts"]
    static = next(trace["y"] for trace in parts.plot["data"] if trace["name"] == "never again")
    assert static[0] < 0.4 and static[-1] > 1.4, "by fifths it is plain"
    assert found["recovery_days@static"] is None and found["recovery_days@daily"] is None


@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_back_first_and_what_it_costs(seed: int) -> None:
    found, rows = values_of(seed), by_way(result(seed))
    after = {name: row["Day after (NE)"] for name, row in rows.items()}
    assert after["never again"] > after["all history"] > after["Platt scaling"] > after["window"] > after["on alarm"]
    assert found["late_ne@daily"] > 0.8
    assert found["recovery_days@online"] <= 2 and found["recovery_days@triggered"] <= 2 < found["recovery_days@window"] <= 5
    assert found["mean_ne@online"] < found["mean_ne@window"] < found["mean_ne@daily"] < found["mean_ne@static"]
    assert found["rows_trained@triggered"] <= 15_000 and found["rows_trained@window"] == 225_000
    assert found["mean_ne@triggered"] < found["mean_ne@window"] + 0.003
    assert found["oracle_ne"] < min(found[f"mean_ne@{way}"] for way in DEFAULT)
    assert found["missed_alarms"] == 0
    assert {"memory", "platt", "online", "alarm", "best"} <= set(effects(result(seed)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_base_rate_that_moves_is_mended_by_one_number(seed: int) -> None:
    values = {"shift": "base_rate", "schedules": ("static", "recalibrate", "online")}
    found, said = values_of(seed, **values), effects(result(seed, **values))
    assert 0.55 < found["ratio_after@static"] < 0.7 and "under-bids" in said["wrong_level"]
    assert 0.95 < found["ratio_after@recalibrate"] < 1.05 and found["recovery_days@recalibrate"] == 1
    assert "all that was wrong" in said["platt"]
    fewer = {"shift": "base_rate", "lift": -1.0, "schedules": ("static",)}
    assert values_of(seed, **fewer)["ratio_after@static"] > 1.3 and "over-bids" in effects(result(seed, **fewer))["wrong_level"]


@pytest.mark.parametrize("seed", SEEDS)
def test_readiness_costs_in_a_quiet_month(seed: int) -> None:
    values = {"flipped": 0, "schedules": ("static", "daily", "yesterday", "online")}
    found = values_of(seed, **values)
    assert found["mean_ne@yesterday"] > found["mean_ne@daily"] + 0.006 and found["mean_ne@online"] > found["mean_ne@daily"] + 0.003
    assert found["ratio_after@static"] is None and set(effects(result(seed, **values))) == {"quiet", "best"}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_comes_back_was_never_forgotten_by_the_old_model(seed: int) -> None:
    values = {"return_day": 18, "schedules": ("static", "yesterday", "triggered")}
    rows, said = by_way(result(seed, **values)), effects(result(seed, **values))
    assert rows["never again"]["Last 5 days (NE)"] < rows["yesterday alone"]["Last 5 days (NE)"]
    assert "never again" in said["return"] and "On day 18" in said["return"]
    assert values_of(seed, **values)["missed_alarms"] <= 1


def test_late_labels_delay_everybody() -> None:
    prompt, late = values_of(0), values_of(0, label_lag=3)
    for way in ("window", "online", "triggered"):
        assert late[f"mean_ne@{way}"] > prompt[f"mean_ne@{way}"] + 0.03
        assert late[f"recovery_days@{way}"] >= 4
    assert "late_labels" in effects(result(0, label_lag=3))


def test_every_schedule_can_be_chosen() -> None:
    for way in WAYS:
        found = values_of(0, schedules=(way,), rows=500)
        assert found[f"mean_ne@{way}"] is not None
    with pytest.raises(InvalidInput, match="day after the shift on day 15"):
        parse_params(RegimeShift, {"return_day": 15})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("design", "fails"),
    [
        (OVERNIGHT.reference, set()),
        (OVERNIGHT.alternative, set()),
        (OVERNIGHT.naive, {"mean_ne"}),
        (OVERNIGHT.maxed, {"mean_ne", "rows_trained"}),
        ({"schedules": ("online",), "lr": 2.5}, {"before_excess"}),
    ],
    ids=["reference", "alternative", "naive", "maxed", "large_steps"],
)
def test_the_challenge(seed: int, design: dict[str, Any], fails: set[str]) -> None:
    assert fails <= missed([seed], design) <= fails | ({"mean_ne"} if "lr" in design and fails else set())
    assert set(design) <= set(OVERNIGHT.design)


def test_short_windows_fail_the_challenge_on_the_mean_of_seeds() -> None:
    assert "before_excess" in missed(SEEDS, {"schedules": ("yesterday",)})
    assert "rows_trained" in missed(SEEDS, {"schedules": ("window",)})


def missed(seeds: Any, design: dict[str, Any]) -> set[str]:
    fixed = OVERNIGHT.world | dict(design)
    given = {name: value for name, value in fixed.items() if RegimeShift.Params.model_fields[name].default != value}
    found = [{key.partition("@")[0]: value for key, value in values_of(seed, **given).items()} for seed in seeds]
    mean = {item.metric: np.mean([row[item.metric] for row in found]) for item in OVERNIGHT.assertions}
    return {a.metric for a in OVERNIGHT.assertions if (mean[a.metric] > a.target if a.op == "<=" else mean[a.metric] < a.target)}


# --- own data -------------------------------------------------------------------------------------------------------------------


def file_of(tmp_path: Path, text: str, name: str = "mine.csv") -> DataFile:
    path = tmp_path / name
    path.write_text(text)
    return DataFile(name, path)


def log_of(tmp_path: Path, seed: int, days: int = 20, rows: int = 600) -> DataFile:
    """The synthetic world with a shift on day 15, written as a user's file in seconds; a column of ids that says nothing."""
    found = drift_world(seed, days=days, rows=rows, features=12, flipped=4)
    lines = ["stamp,click," + ",".join(f"f{i}" for i in range(12)) + ",device"]
    for day, part in enumerate(found.days):
        for row, (x, y) in enumerate(zip(part.X, part.y, strict=True)):
            device = ("phone", "desktop", "tv")[row % 3]
            lines.append(f"{1_700_006_400 + 86_400 * day + row},{int(y)}," + ",".join(f"{value:.3f}" for value in x) + f",{device}")
    return file_of(tmp_path, "\n".join(lines) + "\n")


def own(file: DataFile, options: dict[str, str], **values: Any) -> Result:
    ctx = Context(seed=1, assets=CachedAssets(None), data=Data("digest", {"log": file}, options))
    return run_lab(RegimeShift, values, ctx)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_own_log_is_played_day_by_day(tmp_path: Path, seed: int) -> None:
    file, options = log_of(tmp_path, seed), {"time": "stamp"}
    facts = dict(SPEC.check({"log": file}, options).facts)
    assert facts["Days"] == "20" and facts["Rows"].startswith("12,000, 600 to 600")
    found = own(file, options)
    values = {metric.key: metric.value for metric in found.metrics}
    assert values["late_ne@static"] > values["late_ne@online"] + 0.03, "the shift of the file is found"
    assert values["rows_trained@window"] == 15 * 1_800 and "oracle_ne" not in values
    assert {"own_best", "own_staleness", "own_alarm"} == set(effects(found))


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("day,click,x\n" + "".join(f"{d},{k},{k}\n" for d in range(12) for k in (0, 1) * 3), {}, "Choose the column of mine.csv"),
        ("day,click,x\n" + "".join(f"{d},{k},{d}\n" for d in range(8) for k in (0, 1) * 3), {"time": "day"}, "mine.csv holds 8 days"),
        (
            "day,click,x\n" + "".join(f"{d},{k * (d != 6)},{k}.5\n" for d in range(12) for k in (0, 1) * 3),
            {"time": "day"},
            "mine.csv: day 7 of 12 has no positive in 6 rows",
        ),
        ("day,click,x\n" + "".join(f"{d},{k + 1},{d}.5\n" for d in range(12) for k in (0, 1) * 3), {"time": "day"}, "mine.csv, line"),
    ],
)
def test_a_bad_log_is_refused(tmp_path: Path, text: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        SPEC.check({"log": file_of(tmp_path, text)}, options)
    assert refused.value.message.startswith(words), refused.value.message


def test_days_may_be_told_in_other_units_and_may_be_missing(tmp_path: Path) -> None:
    lines = [f"{24 * d + k},{k % 2},{k}.5" for d in [*range(6), *range(8, 14)] for k in range(6)]
    file = file_of(tmp_path, "hour,click,x\n" + "\n".join(lines) + "\n")
    info = SPEC.check({"log": file}, {"time": "hour", "unit": "hours"})
    assert dict(info.facts)["Days"] == "12" and any("2 days" in text for text in info.warnings)
    with pytest.raises(InvalidInput, match="Is the unit of the time right"):
        SPEC.check({"log": file}, {"time": "hour", "unit": "seconds"})
