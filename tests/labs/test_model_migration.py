"""The lab `model_migration`: the effects it exists to show, its plans' costs, the user's own pair of models, its challenge."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.versions import rotate_model
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame, Progress, Result
from simulators.params import parse_params
from simulators.registry import get_lab
from simulators.vector_search._migration_plans import LABELS, costs_of, window_hours
from simulators.vector_search._migration_world import OWN_PAIR

LAB = get_lab("vector_search", "model_migration")
SEEDS = (1, 2, 3)


@cache
def store() -> CachedAssets:
    return CachedAssets(None)


def run(seed: int = 1, data: Data | None = None, **values: Any) -> Result:
    return run_lab(LAB, values, Context(seed=seed, assets=store(), data=data))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None
    return found


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def curve(result: Result) -> dict[int, float]:
    table = next(table for table in result.tables if table.key == "curve")
    return {row[0]: row[1] for row in table.rows}  # type: ignore[misc]


# --- effects -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_rolling_in_place_is_worse_in_the_middle_than_at_either_end(seed: int) -> None:
    result = run(seed)
    points = curve(result)
    assert points[0] == pytest.approx(0.56, abs=0.04) and points[100] == 1
    assert points[10] < points[0] - 0.08 and points[50] == pytest.approx(0.56, abs=0.05)
    assert value(result, "recall_worst") == pytest.approx(min(points.values()), abs=1e-4)
    assert value(result, "new_share_tenth") > 0.4
    assert {"mixing", "slots", "query_drift", "window"} <= effects(result)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("plan", ["blue_green", "per_tenant", "dual_read", "dual_read_calibrated"])
def test_plans_that_keep_versions_apart_lose_nothing(seed: int, plan: str) -> None:
    result = run(seed, plan=plan)
    assert value(result, "recall_worst") > 0.99
    assert effects(result) & {"blue_green", "per_tenant", "dual_read"}


@pytest.mark.parametrize("seed", SEEDS)
def test_raw_merging_fails_where_scores_do_not_compare(seed: int) -> None:
    raw, scaled = (run(seed, plan=plan, mean_cosine=0.5) for plan in ("dual_read", "dual_read_calibrated"))
    assert value(raw, "recall_worst") < 0.4 and value(raw, "recall_start") > 0.97
    assert value(scaled, "recall_worst") > 0.97
    assert "scores_do_not_compare" in effects(raw) and "scores_do_not_compare" not in effects(scaled)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pure_rotation_flatters_alignment(seed: int) -> None:
    exact, few, raised = run(seed, plan="align"), run(seed, plan="align", pairs=10), run(seed, plan="align", mean_cosine=0.5)
    assert value(exact, "recall_worst") > 0.99
    assert value(few, "recall_worst") < 0.4 and value(raised, "recall_worst") < 0.4
    assert "align_exact" in effects(exact) and "align_fails" in effects(few) & effects(raised)


@pytest.mark.parametrize("seed", SEEDS)
def test_drift_figure_falls_with_the_angle(seed: int) -> None:
    figure = next(figure for figure in run(seed, plan="blue_green").figures if figure.key == "drift")
    recalls = dict(zip(figure.plot["data"][0]["x"], figure.plot["data"][0]["y"], strict=True))
    assert recalls[0] == 1 and list(recalls.values()) == sorted(recalls.values(), reverse=True)
    assert [recalls[a] for a in (5, 10, 20, 30, 45, 60)] == pytest.approx([0.92, 0.85, 0.695, 0.56, 0.345, 0.13], abs=0.04)


def test_no_angle_is_no_migration() -> None:
    result = run(degrees=0.0)
    assert value(result, "recall_worst") > 0.999
    assert not effects(result) & {"mixing", "slots", "query_drift"}


# --- costs -------------------------------------------------------------------------------------------------------------


def test_what_plans_cost() -> None:
    memory = {plan: costs_of(plan, 1.0, 20).peak_memory for plan in LABELS}
    assert memory["blue_green"] == 2 and memory["in_place"] == memory["dual_read"] == 1
    assert memory["per_tenant"] == pytest.approx(1.278, abs=0.001), "the largest of 20 Zipf tenants has 27.8 %"
    assert costs_of("dual_read", 1.0, 20).query_embeddings == 2 and costs_of("blue_green", 1.0, 20).query_embeddings == 1
    assert costs_of("in_place", 2.0, 20).peak_memory == 2, "longer vectors take their room in any plan"
    assert costs_of("per_tenant", 1.0, 1).peak_memory == costs_of("blue_green", 1.0, 1).peak_memory


@pytest.mark.parametrize(("rate", "change"), [(200, 0.0), (200, 1.0), (30, 20.0)])
def test_the_window_agrees_with_stepping_through_it(rate: int, change: float) -> None:
    """Hour by hour: changed documents are embedded first, those not yet moved count as moved; the rest of the rate moves others."""
    corpus, step_s, moved, seconds = 10_000_000, 60.0, 0.0, 0.0
    changed = change / 100 * corpus / 86_400
    while moved < corpus and seconds < 1e9:
        moved += step_s * (rate - changed + changed * (1 - moved / corpus))
        seconds += step_s
    assert window_hours(corpus, rate, change) == pytest.approx(seconds / 3600, rel=0.01)


def test_a_migration_that_never_ends_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        run(rate=20, doc_change=50.0)
    assert caught.value.field == "rate" and "expected more than 57.9" in caught.value.message


def test_curves_are_kept_when_only_the_arithmetic_changes() -> None:
    assets, labels = CachedAssets(None), []
    run_lab(LAB, {}, Context(seed=1, assets=assets))
    ctx = Context(seed=1, assets=assets)
    drive(
        LAB(), parse_params(LAB, {"rate": 5_000}), ctx, emit=lambda step: labels.append(getattr(step, "label", "")), cancelled=lambda: False
    )
    assert not [label for label in labels if label.startswith("searching")]


def test_costs_show_before_the_curve() -> None:
    steps: list[Any] = []
    drive(LAB(), parse_params(LAB, {}), Context(seed=4, assets=CachedAssets(None)), emit=steps.append, cancelled=lambda: False)
    first = next(i for i, step in enumerate(steps) if isinstance(step, Frame))
    searching = next(i for i, step in enumerate(steps) if isinstance(step, Progress) and step.label.startswith("searching"))
    assert first < searching and any(metric.key == "hours" for metric in steps[first].metrics)


# --- the user's own two models -------------------------------------------------------------------------------------------


def saved(tmp_path: Path, **arrays: np.ndarray) -> dict[str, DataFile]:
    files = {}
    for slot, array in arrays.items():
        path = tmp_path / f"{slot}.npy"
        np.save(path, array)
        files[slot] = DataFile(f"{slot}.npy", path)
    return files


@pytest.fixture
def own(tmp_path: Path) -> dict[str, DataFile]:
    world = clustered_vectors(3_000, 32, 50, seed=5, clusters=50)
    turned = [rotate_model(x, 30, seed=5) for x in (world.base, world.queries)]
    return saved(tmp_path, old=world.base, new=turned[0], old_queries=world.queries, new_queries=turned[1])


def test_own_models_behave_like_the_world_they_were_made_from(own: dict[str, DataFile]) -> None:
    assert dict(OWN_PAIR.check(own, {"metric": "cosine"}).facts)["Documents"] == "3,000"
    data = Data("own", own, {"metric": "cosine"})
    mixed, apart = run(1, data), run(1, data, plan="dual_read")
    assert value(apart, "recall_worst") > 0.99
    assert value(mixed, "recall_worst") < value(mixed, "recall_start") - 0.05
    assert "drift" not in {figure.key for figure in mixed.figures}


def test_without_queries_documents_are_held_out(own: dict[str, DataFile]) -> None:
    files = {slot: own[slot] for slot in ("old", "new")}
    info = OWN_PAIR.check(files, {})
    assert ("Documents", "2,800") in info.facts and "200 documents are held out" in info.warnings[0]
    assert value(run(1, Data("held", files, {}), plan="dual_read"), "recall_worst") > 0.99


def test_models_of_other_dimensions_get_the_plans_that_work(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    files = saved(tmp_path, old=rng.standard_normal((500, 16)).astype(np.float32), new=rng.standard_normal((500, 24)).astype(np.float32))
    assert "cannot share an index: choose dual read" in OWN_PAIR.check(files, {}).warnings[0]
    data = Data("dims", files, {})
    with pytest.raises(InvalidInput, match="dual read") as caught:
        run(1, data)
    assert caught.value.field == "plan"
    result = run(1, data, plan="dual_read_calibrated")
    assert curve(result)[100] == 1 and value(result, "peak_memory") == 1.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"new": np.ones((2_999, 32), np.float32)}, "new.npy: has 2,999 rows, old.npy 3,000"),
        ({"new_queries": np.ones((49, 32), np.float32)}, "new_queries.npy: has 49 rows"),
        ({"old_queries": np.ones((50, 31), np.float32)}, "old_queries.npy: has 31 dimensions, old.npy has 32"),
        ({"old": np.zeros((3_000, 32), np.float32)}, "row 0 has length zero"),
        ({"old": np.full((3_000, 32), np.nan, np.float32)}, "row 0 holds NaN"),
    ],
)
def test_bad_files_are_refused_with_the_place(own: dict[str, DataFile], tmp_path: Path, change: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        OWN_PAIR.check({**own, **saved(tmp_path, **change)}, {"metric": "cosine"})
    assert said in caught.value.message


def test_queries_of_one_model_are_not_enough(own: dict[str, DataFile]) -> None:
    files = {slot: own[slot] for slot in ("old", "new", "new_queries")}
    with pytest.raises(InvalidInput, match="expected those of both"):
        OWN_PAIR.check(files, {})


# --- the challenge -----------------------------------------------------------------------------------------------------

CHALLENGE = LAB.challenges[0]


def missed(design: dict[str, Any]) -> set[str]:
    results = [run(seed, **{**CHALLENGE.world, **design}) for seed in SEEDS]
    found = set()
    for wanted in CHALLENGE.assertions:
        mean = float(np.mean([value(result, wanted.metric) for result in results]))
        if mean < wanted.target if wanted.op == ">=" else mean > wanted.target:
            found.add(wanted.metric)
    return found


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (dict(CHALLENGE.reference), set()),
        (dict(CHALLENGE.alternative), set()),
        (dict(CHALLENGE.naive), {"recall_worst"}),
        (dict(CHALLENGE.maxed), {"peak_memory", "gpus"}),
        ({}, {"recall_worst"}),
        ({"plan": "dual_read"}, {"recall_worst"}),
        ({"plan": "align"}, {"recall_worst"}),
        ({"plan": "dual_read_calibrated", "rate": 50}, {"hours"}),
    ],
    ids=["reference", "alternative", "naive", "maxed", "defaults", "raw scores", "aligned", "too slow"],
)
def test_designs_pass_or_miss_what_they_should(design: dict[str, Any], expected: set[str]) -> None:
    assert missed(design) == expected


def test_the_challenge_names_fields_that_exist() -> None:
    fields = set(LAB.Params.model_fields)
    assert set(CHALLENGE.world) | set(CHALLENGE.design) == fields and not set(CHALLENGE.world) & set(CHALLENGE.design)
    assert any(wanted.kind == "ceiling" for wanted in CHALLENGE.assertions)
    assert CHALLENGE.reference["plan"] != CHALLENGE.alternative["plan"]
