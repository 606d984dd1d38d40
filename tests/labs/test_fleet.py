"""The lab `fleet`: node counts against the walkthrough's calculators, the effects it exists to show, its refusals and its challenge."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from problems.calculators import evaluate
from problems.loader import load_problem
from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.index import build_index
from simulators.engines.ann.memory import index_bytes
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.errors import InvalidInput
from simulators.lab import Challenge, Context, Frame, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab
from simulators.vector_search._fleet_plan import COARSE, DESIGNS, sub_quantisers

LAB = get_lab("vector_search", "fleet")
SEEDS = (1, 2, 3)
JUDGED = (11, 12, 13, 14, 15)
SIXTEEN = {"shard_rule": "id_range", "shards": 16, "workers": 1, "qps": 60}  # about 20 % load


@cache
def store() -> CachedAssets:
    return CachedAssets(None)


def run(seed: int = 1, **values: Any) -> Result:
    return run_lab(LAB, values, Context(seed=seed, assets=store()))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None
    return found


def effects(result: Result) -> set[str]:
    return {insight.effect for insight in result.insights}


# --- nodes and dollars -------------------------------------------------------------------------------------------------


def test_nodes_are_those_of_the_calculators() -> None:
    problem = load_problem("vector_search")
    shard_count, disk_graph = problem.calculator("shard_count"), problem.calculator("disk_graph")
    assert shard_count and disk_graph
    for width, design in ((4, "hnsw"), (1, "hnsw_sq8")):
        shown = evaluate(shard_count, {"bytes_per_dim": width})
        assert value(run(design=design, shard_rule="id_range"), "nodes") == shown.value("total_memory_nodes")
    nodes = evaluate(disk_graph, {})
    copy = max(nodes.value("ssd_nodes"), nodes.value("ram_nodes"))
    assert value(run(), "nodes") == 2 * copy == 6


@pytest.mark.parametrize(
    ("design", "nodes", "usd"), [("hnsw", 136, 50_320), ("hnsw_sq8", 40, 14_800), ("disk_graph", 6, 3_000), ("ivf_pq", 10, 3_700)]
)
def test_a_billion_vectors_cost_what_the_walkthrough_says(design: str, nodes: int, usd: float) -> None:
    result = run(design=design, shard_rule="id_range")
    assert (value(result, "nodes"), value(result, "cost_usd")) == (nodes, usd)
    assert ("ssd" if design == "disk_graph" else "memory") in effects(result)


def test_32_gigabytes_are_codes_alone() -> None:
    parts = index_bytes(10**9, 768, "ivf_pq", pq_m=sub_quantisers(768, "coarse"), nlist=2**17).parts
    assert parts["codes"] == pytest.approx(32e9, rel=0.01)
    result = run(design="ivf_pq", codes="coarse", shard_rule="id_range")
    assert value(result, "copy_gb") == pytest.approx(40.4, rel=0.01)
    assert value(result, "recall") < 0.5


@pytest.mark.parametrize("d", [64, 97, 100, 768, 4096])
@pytest.mark.parametrize("codes", ["fine", "coarse"])
def test_codes_cut_any_dimension_evenly(d: int, codes: str) -> None:
    assert d % sub_quantisers(d, codes) == 0


def test_prices_copies_and_nodes_are_yours() -> None:
    base = run(design="hnsw_sq8", shard_rule="id_range")
    assert value(run(design="hnsw_sq8", shard_rule="id_range", ram_node_usd=740.0), "cost_usd") == 2 * value(base, "cost_usd")
    assert value(run(design="hnsw_sq8", shard_rule="id_range", replicas=3), "nodes") == 1.5 * value(base, "nodes")
    assert value(run(design="hnsw_sq8", shard_rule="id_range", node_ram_gb=256.0), "nodes") == 10
    assert value(run(design="hnsw_sq8", shard_rule="id_range", usable=1.0), "nodes") == 30


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(COARSE))
def test_recall_on_the_page_is_what_the_index_has(kind: str) -> None:
    """The cheap half of the table; `benchmarks.fleet` measures all of it."""
    vectors = clustered_vectors(100_000, 768, 200, seed=1)
    index = build_index(vectors.base, kind, nlist=256, pq_m=64, refine="sq8")
    found = index.search(vectors.queries, 10, nprobe=32, k_factor=8)
    true = exact_knn(vectors.base, vectors.queries, 10).ids
    assert recall_at_k(found.ids, true, 10).mean() == pytest.approx(COARSE[kind].recall, abs=0.03)


def test_recall_says_where_it_comes_from() -> None:
    for design, facts in DESIGNS.items():
        recall = next(metric for metric in run(design=design, shard_rule="id_range").metrics if metric.key == "recall")
        assert facts.source in recall.note and "Not of this run" in recall.note


# --- the tail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_fan_out_lifts_the_median_more_than_a_search_does(seed: int) -> None:
    narrow, wide = run(seed, shard_rule="tenant"), run(seed, design="hnsw", shard_rule="id_range")
    assert value(wide, "fan_out") == 68 and value(narrow, "fan_out") == 1
    assert value(wide, "p50_ms") > 4 * value(narrow, "p50_ms")
    assert value(wide, "p99_ms") > 2 * value(narrow, "p99_ms")
    assert "fan_out" in effects(wide) and "no_fan_out" in effects(narrow)


@pytest.mark.parametrize("seed", SEEDS)
def test_hedging_pays_at_low_load(seed: int) -> None:
    result = run(seed, **SIXTEEN, hedge_ms=10.0, hedge_budget=1.0)
    assert value(result, "p99_ms") < 0.75 * value(result, "unhedged_p99_ms")
    assert "hedge_helps" in effects(result)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_storm_preset_is_a_storm(seed: int) -> None:
    storm = next(preset for preset in LAB.presets if preset.key == "hedging_storm")
    result = run(seed, **storm.values)
    assert value(result, "offered_load") > 1.1 and value(result, "p99_ms") > 10 * value(result, "unhedged_p99_ms")
    assert "hedge_storm" in effects(result)
    calm = run(seed, **{**storm.values, "cancel": True, "hedge_budget": 0.05})
    assert value(calm, "offered_load") < 0.75 and "hedge_storm" not in effects(calm)
    assert value(calm, "hedge_share") <= 0.05


def test_hedging_without_another_copy_says_so() -> None:
    result = run(**SIXTEEN | {"replicas": 1, "qps": 30}, hedge_ms=10.0)
    assert "hedge_idle" in effects(result) and value(result, "hedge_share") == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_one_whale_fills_a_shard_and_takes_more_nodes(seed: int) -> None:
    whale = run(seed, design="hnsw_sq8", zipf=1.6)
    even = run(seed, design="hnsw_sq8", zipf=0.0)
    assert value(whale, "largest_to_mean") > 5 and value(even, "largest_to_mean") < 1.05
    assert value(whale, "nodes") > 1.2 * value(even, "nodes")
    assert "whale" in effects(whale) and "whale" not in effects(even)


@pytest.mark.parametrize("seed", SEEDS)
def test_routing_to_few_clusters_trades_recall_for_the_tail(seed: int) -> None:
    few, every = (run(seed, design="hnsw_sq8", shard_rule="cluster", shards=16, visited=v) for v in (2, 0))
    assert value(few, "routing_recall") < 0.92 and value(every, "routing_recall") == 1
    assert value(few, "recall") == pytest.approx(value(few, "routing_recall") * DESIGNS["hnsw_sq8"].recall)
    assert value(few, "p50_ms") < 0.75 * value(every, "p50_ms")
    assert "routing" in effects(few)


def test_few_results_of_each_shard_are_told_with_their_figures() -> None:
    result = run(**SIXTEEN)
    table = next(table for table in result.tables if table.key == "k_per_shard")
    assert dict(table.rows)[2] == pytest.approx(0.962, abs=0.001)
    assert "k_per_shard" in effects(result)


def test_losing_a_node_is_survived_only_with_room() -> None:
    assert value(run(), "answered_after_loss") == 1
    single = run(replicas=1)
    assert value(single, "answered_after_loss") == pytest.approx(2 / 3, abs=0.03), "one of three shards is gone"
    tight = run(shard_rule="id_range", workers=8)
    assert value(tight, "answered_after_loss") == pytest.approx(8 / (2_000 * 6.352e-3), rel=0.01)
    assert "loss" in effects(single) and "loss" in effects(tight)


def test_p99_stands_inside_its_interval_and_repeats_are_covered() -> None:
    """The interval of one run covers what other seeds find, most of the time."""
    results = [run(seed, **SIXTEEN) for seed in range(1, 13)]
    middle = float(np.mean([value(result, "p99_ms") for result in results]))
    intervals = [next(metric.ci for metric in result.metrics if metric.key == "p99_ms") for result in results]
    assert sum(low <= middle <= high for low, high in filter(None, intervals)) >= 9


# --- watching and refusing ---------------------------------------------------------------------------------------------


def test_price_comes_first_and_the_tail_every_500_queries() -> None:
    steps: list[Any] = []
    drive(LAB(), parse_params(LAB, SIXTEEN), Context(seed=1, assets=store()), emit=steps.append, cancelled=lambda: False)
    frames = [step for step in steps if isinstance(step, Frame)]
    assert {figure.key for figure in frames[0].figures} == {"cost", "shards"}
    assert sum(any(figure.key == "tail" for figure in frame.figures) for frame in frames) == 8


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"qps": 20_000}, "qps", "arrival 20,000 QPS exceeds capacity"),
        ({"design": "hnsw", "n": 10**11}, "n", "this lab simulates at most 1,024"),
        ({"workers": 256, "qps": 40_000}, "qps", "its drives serve 5,263"),
    ],
)
def test_what_the_fleet_cannot_carry_is_refused(values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(**values)
    assert sentence in caught.value.message and caught.value.field == field


def test_a_p99_below_the_median_is_refused() -> None:
    with pytest.raises(InvalidParams, match="expected more than the median of 5 ms"):
        parse_params(LAB, {"p50_ms": 5.0, "p99_ms": 5.0})


def test_a_median_below_the_drives_is_remarked_on() -> None:
    assert any("disk model needs 2.8 ms" in note for note in run(p50_ms=1.0, p99_ms=10.0).notes)


# --- the challenge -----------------------------------------------------------------------------------------------------

CHALLENGE = LAB.challenges[0]


def failures(challenge: Challenge, design: dict[str, Any]) -> set[str]:
    """Metrics of the assertions that a design misses: by the mean over seeds, or on any seed where every seed must hold."""
    results = [run(seed, **{**challenge.world, **design}) for seed in JUDGED]
    missed = set()
    for wanted in challenge.assertions:
        values = np.array([value(result, wanted.metric) for result in results])
        slack = (values - wanted.target) * (1 if wanted.op == ">=" else -1)
        if (slack.min() if wanted.over == "all" else slack.mean()) < 0:
            missed.add(wanted.metric)
    return missed


@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_two_designs_of_different_kind_pass(name: str) -> None:
    assert failures(CHALLENGE, dict(getattr(CHALLENGE, name))) == set()
    assert CHALLENGE.reference["design"] != CHALLENGE.alternative["design"]


@pytest.mark.parametrize("name", ["reference", "alternative"])
def test_their_tails_pass_with_room(name: str) -> None:
    p99 = [value(run(seed, **{**CHALLENGE.world, **getattr(CHALLENGE, name)}), "p99_ms") for seed in range(20, 30)]
    assert 100 - np.mean(p99) > 2 * np.std(p99, ddof=1)


@pytest.mark.parametrize(
    ("design", "missed"),
    [
        (dict(CHALLENGE.naive), "cost_usd"),
        (dict(CHALLENGE.maxed), "cost_usd"),
        ({}, "p99_ms"),
        ({"design": "ivf_pq", "hedge_ms": 40.0}, "recall"),
        ({"replicas": 1}, "answered_after_loss"),
        (
            {"shard_rule": "id_range", "design": "hnsw_sq8", "hedge_ms": 5.0, "hedge_budget": 1.0, "cancel": False, "replicas": 3},
            "cost_usd",
        ),
    ],
    ids=["naive", "maxed", "defaults", "codes alone", "one copy", "everything tripled"],
)
def test_the_tempting_designs_miss_something(design: dict[str, Any], missed: str) -> None:
    assert missed in failures(CHALLENGE, design)


def test_the_challenge_names_fields_and_metrics_that_exist() -> None:
    fields = set(LAB.Params.model_fields)
    assert set(CHALLENGE.world) | set(CHALLENGE.design) <= fields and not set(CHALLENGE.world) & set(CHALLENGE.design)
    for design in (CHALLENGE.reference, CHALLENGE.alternative, CHALLENGE.naive, CHALLENGE.maxed):
        assert set(design) <= set(CHALLENGE.design)
    assert any(wanted.kind == "ceiling" for wanted in CHALLENGE.assertions)
