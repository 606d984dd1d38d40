"""The lab `filters`: what it shows, its own-data path, its challenge, and the effects it exists to show, over three seeds."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.errors import InvalidInput
from simulators.lab import Assertion, Context, Data, DataFile, Frame, Progress, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

LAB = get_lab("vector_search", "filters")
SEEDS = (1, 2, 3)
SMALL = {"n": 3000}


@cache
def store() -> CachedAssets:
    return CachedAssets(None)


def run(seed: int = 1, data: Data | None = None, **values: Any) -> Result:
    return run_lab(LAB, values, Context(seed=seed, assets=store(), data=data))


def preset(key: str, seed: int, **more: Any) -> Result:
    return run(seed, **next(found for found in LAB.presets if found.key == key).values, **more)


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None, key
    return found


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


def figure(result: Result, key: str) -> dict[str, Any]:
    return next(found for found in result.figures if found.key == key).plot


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_numbers_fit_together() -> None:
    result = run(**SMALL, s=0.1)
    assert value(result, "recall@pre") == 1 and value(result, "evaluations@pre") == 300 and value(result, "cost_share@pre") == 1
    for name in ("post", "inline", "auto"):
        assert value(result, f"cost_share@{name}") == pytest.approx(value(result, f"evaluations@{name}") / 300)
        assert value(result, f"worst_recall@{name}") == pytest.approx(value(result, f"recall@{name}")), "one class of filters"
        assert value(result, f"empty@{name}") <= value(result, f"short@{name}")
        assert value(result, f"recall@{name}") <= value(result, f"returned@{name}") / 10 + 1e-9


def test_every_strategy_has_a_curve_and_a_dot_at_the_share() -> None:
    result = run(**SMALL, s=0.05)
    for key in ("recall", "cost", "returned"):
        plot = figure(result, key)
        dots = [trace for trace in plot["data"] if trace["name"] == "This run"]
        assert {"Post-filter", "Inline", "Planner"} <= {trace["name"] for trace in plot["data"]} and len(dots) == 4
        assert all(trace["x"] == [pytest.approx(0.05)] for trace in dots) and plot["layout"]["shapes"][0]["x0"] == pytest.approx(0.05)
    numbers = next(table for table in result.tables if table.key == "classes")
    assert [row[2] for row in numbers.rows] == ["Pre-filter", "Post-filter", "Inline", "Planner"]


def test_a_workload_has_classes_and_a_histogram_of_what_the_planner_chooses() -> None:
    result = run(n=20_000, workload="classes", strategy=("auto",))
    bars = figure(result, "histogram")["data"]
    assert sum(sum(trace["y"]) for trace in bars) == 200
    counts = {trace["name"]: sum(trace["y"]) for trace in bars}
    assert counts["Pre-filter"] == 100 and counts["Inline"] >= 50, "1 and 0.1 % are listed, 10 % is walked, 50 % lies on the threshold"
    table = next(found for found in result.tables if found.key == "classes")
    assert [row[1] for row in table.rows] == [50, 10, 1, 0.1] and {row[3] for row in table.rows} == {50}
    assert value(result, "worst_recall@auto") == pytest.approx(min(float(row[4] or 0) for row in table.rows), abs=1e-3)
    mixed = run(n=20_000, workload="product", strategy=("auto",))
    assert {row[0] for row in next(found for found in mixed.tables if found.key == "classes").rows} == {"tenant", "time range", "category"}


def test_the_first_picture_needs_no_index() -> None:
    steps: list[Any] = []
    drive(LAB(), parse_params(LAB, SMALL), Context(seed=9, assets=CachedAssets(None)), emit=steps.append, cancelled=lambda: False)
    first = next(i for i, step in enumerate(steps) if isinstance(step, Frame))
    building = next(i for i, step in enumerate(steps) if isinstance(step, Progress) and step.label == "building HNSW")
    assert first < building


def test_a_knob_asks_again_only_those_it_concerns() -> None:
    labels: list[str] = []
    run(**SMALL)
    ctx, params = Context(seed=1, assets=store()), parse_params(LAB, {**SMALL, "plan_pre": 0.1})
    drive(LAB(), params, ctx, emit=lambda step: labels.append(getattr(step, "label", "")), cancelled=lambda: False)
    assert not [label for label in labels if label.startswith(("building", "drawing", "finding"))]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"strategy": ()}, "none was chosen"),
        ({"strategy": ("pre", "pre")}, "names one twice"),
        ({"plan_pre": 0.6, "plan_post": 0.5}, "expected the first to be no larger"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidParams, match=sentence):
        parse_params(LAB, values)


# --- the user's own vectors and filter ---------------------------------------------------------------------------------


def own(folder: Path, column: np.ndarray, *, queries: bool = True, n: int = 1500, **options: str) -> Data:
    rng = np.random.default_rng(4)
    arrays = {"base": rng.standard_normal((n, 16)).astype(np.float32), "filter": column}
    if queries:
        arrays["queries"] = rng.standard_normal((30, 16)).astype(np.float32)
    files = {}
    for slot, array in arrays.items():
        np.save(folder / f"{slot}.npy", array)
        files[slot] = DataFile(f"{slot}.npy", folder / f"{slot}.npy")
    digest = f"{folder}{column.sum()}{column.dtype}{len(column)}{queries}{options}"
    return Data(digest, files, {"metric": "cosine", **options})


def checked(data: Data) -> Any:
    assert LAB.data is not None
    return LAB.data.check(data.files, data.options)


def test_an_own_filter_is_asked_by_every_query(tmp_path: Path) -> None:
    column = np.arange(1500) % 5 == 0
    data = own(tmp_path, column)
    assert ("filter.npy: passes", "300 of 1,500 vectors") in checked(data).facts
    result = run(data=data, strategy=("pre", "inline"))
    assert value(result, "recall@pre") == 1 and value(result, "evaluations@pre") == 300 and value(result, "recall@inline") > 0.8
    assert any("your filter" in note for note in result.notes)


def test_a_column_of_categories_passes_one_value(tmp_path: Path) -> None:
    column = np.repeat(np.arange(3), 500)
    assert value(run(data=own(tmp_path, column, filter_value="2"), strategy=("pre",)), "evaluations@pre") == 500
    assert value(run(data=own(tmp_path, column), strategy=("pre",)), "evaluations@pre") == 1000, "every row that is not 0"
    with pytest.raises(InvalidInput, match="filter value 'two' was given; expected a whole number"):
        checked(own(tmp_path, column, filter_value="two"))


def test_rows_held_out_as_queries_leave_the_filter_too(tmp_path: Path) -> None:
    column = np.ones(1500, dtype=np.bool_)
    column[::2] = False
    result = run(data=own(tmp_path, column, queries=False), strategy=("pre",))
    assert 500 < value(result, "evaluations@pre") < 700, "half of the 1,200 rows that stay"
    assert value(result, "recall@pre") == 1


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (np.ones(1498, dtype=np.bool_), "mask has 1,498 rows, base 1,500"),
        (np.ones((1500, 2), dtype=np.bool_), "filter.npy: has the shape .1500, 2., expected one column"),
        (np.ones(1500), "filter.npy: has dtype float64, expected bool"),
    ],
)
def test_filters_that_do_not_fit_are_refused(tmp_path: Path, column: np.ndarray, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        checked(own(tmp_path, column))


def test_where_nothing_passes_recall_is_undefined_and_not_one(tmp_path: Path) -> None:
    data = own(tmp_path, np.zeros(1500, dtype=np.bool_))
    assert "no vector passes" in checked(data).warnings[0]
    result = run(data=data)
    for metric in result.metrics:
        if metric.key.startswith(("recall@", "worst_recall@")):
            assert metric.value is None and "No vector passes" in metric.note
    assert value(result, "returned@inline") == 0 and value(result, "short@inline") == 0, "an empty answer is complete here"
    assert "No vector passes" in result.insights[0].text


# --- the challenge ---------------------------------------------------------------------------------------------------


def missed(assertions: tuple[Assertion, ...], result: Result, strategy: str) -> set[str]:
    """Kinds of the assertions that a run misses."""
    values = [(assertion, value(result, f"{assertion.metric}@{strategy}")) for assertion in assertions]
    return {item.kind for item, got in values if (got < item.target if item.op == ">=" else got > item.target)}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_challenge_is_neither_given_away_nor_impossible(seed: int) -> None:
    (challenge,) = LAB.challenges
    assert not set(challenge.world) & set(challenge.design) and any(item.kind == "ceiling" for item in challenge.assertions)

    def outcome(design: Any) -> set[str]:
        assert set(design) <= set(challenge.design)
        return missed(challenge.assertions, run(seed, **challenge.world, **design), design["strategy"][0])

    assert outcome(challenge.reference) == set() and outcome(challenge.alternative) == set()
    assert challenge.reference["index"] != challenge.alternative["index"]
    assert "target" in outcome(challenge.naive) and "ceiling" in outcome(challenge.maxed)
    everything_listed = outcome({"strategy": ("auto",), "plan_pre": 1.0, "plan_post": 1.0})
    assert everything_listed == {"ceiling"}, "one strategy for all is right and too dear"


# --- the effects, at 20,000 x 64 over three seeds ------------------------------------------------------------------------


def recalls(seed: int, strategy: str, **values: Any) -> float:
    return value(run(seed, strategy=(strategy,), **values), f"recall@{strategy}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_a_walk_of_constant_cost_loses_recall_as_the_share_falls(seed: int) -> None:
    assert recalls(seed, "inline", s=0.5) >= 0.98 and 0.88 <= recalls(seed, "inline", s=0.1) <= 0.98
    assert 0.30 <= recalls(seed, "inline", s=0.01) <= 0.46
    assert 0.62 <= recalls(seed, "inline", s=0.01, ef_search=256) <= 0.82, "a wider walk does not repair it"
    assert recalls(seed, "inline", s=0.01, index="ivf_flat", nprobe=64) >= 0.97
    tenant = preset("tenant", seed)
    assert value(tenant, "recall@pre") == 1 and value(tenant, "recall@auto") >= 0.99 and 3.5 <= value(tenant, "returned@inline") <= 6.5
    assert {"starved", "short_answers", "recommended", "post_cost"} <= effects(tenant)
    assert value(tenant, "cost_share@post") > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_post_filtering_with_a_fixed_fetch_falls_off(seed: int) -> None:
    fixed = {"oversample": 10, "post_cap": 100}
    assert 0.80 <= recalls(seed, "post", s=0.1, **fixed) <= 0.93 and recalls(seed, "post", s=0.01, **fixed) <= 0.15
    assert recalls(seed, "pre", s=0.001) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_accepted_keeps_recall_and_pays_by_the_share(seed: int) -> None:
    wide, narrow = (run(seed, strategy=("inline",), stop="accepted", s=share) for share in (0.5, 0.01))
    assert value(wide, "recall@inline") >= 0.995 and value(narrow, "recall@inline") >= 0.995
    assert value(narrow, "evaluations@inline") > 10 * value(wide, "evaluations@inline")
    assert value(narrow, "qps@inline") < 0.2 * value(wide, "qps@inline")
    assert "accepted" in effects(narrow)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_correlation_moves_recall_at_the_same_share(seed: int) -> None:
    other = preset("other_language", seed)
    assert 0.45 <= value(other, "recall@inline") <= 0.72 and value(other, "recall@post") <= 0.5
    assert {"correlation", "stops_early", "post_fails"} <= effects(other)
    away = {"s": 0.1, "correlation": "negative"}
    assert 0.28 <= recalls(seed, "inline", **away) <= 0.50 and recalls(seed, "post", **away, oversample=10, post_cap=100) <= 0.25
    assert recalls(seed, "inline", s=0.5, correlation="negative", index="ivf_flat", nprobe=64) >= 0.97
    popular = preset("popular_category", seed)
    assert all(value(popular, f"recall@{name}") >= 0.97 for name in ("pre", "post", "inline", "auto"))
    assert "correlation" not in effects(popular)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_no_width_saves_a_walk_at_one_in_a_thousand(seed: int) -> None:
    widest = preset("ef_cannot_save", seed)
    assert value(widest, "recall@inline") <= 0.6 and value(widest, "cost_share@inline") > 100 and value(widest, "recall@pre") == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_two_hops_beat_the_plain_walk_where_little_passes(seed: int) -> None:
    hops, plain = (run(seed, strategy=("inline",), s=0.01, stop=stop) for stop in ("two_hop", "visited"))
    assert value(hops, "recall@inline") > value(plain, "recall@inline") + 0.2
    assert value(hops, "evaluations@inline") < value(plain, "evaluations@inline")
    assert "two_hop" in effects(hops)
