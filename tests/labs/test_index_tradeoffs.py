"""The lab `index_tradeoffs`: what it shows, its own-data path, and the effects it exists to show, over three seeds."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.engines.ann.data import clustered_vectors
from simulators.engines.ann.index import build_index
from simulators.engines.ann.truth import exact_knn, recall_at_k
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame, Progress, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

LAB = get_lab("vector_search", "index_tradeoffs")
SEEDS = (1, 2, 3)
SMALL = {"n": 3000, "d": 32, "nlist": 32, "nprobe": 8}


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


# --- what it shows ---------------------------------------------------------------------------------------------------


def test_numbers_fit_together() -> None:
    result = run(**SMALL, kind=("flat", "ivf_sq8", "hnsw"))
    exact_qps = value(result, "qps@exact")
    for kind in ("flat", "ivf_sq8", "hnsw"):
        assert value(result, f"speedup@{kind}") == pytest.approx(value(result, f"qps@{kind}") / exact_qps)
        assert value(result, f"p50_ms@{kind}") <= value(result, f"p99_ms@{kind}")
        measured, modelled = value(result, f"bytes_per_vector@{kind}"), value(result, f"model_bytes_per_vector@{kind}")
        assert measured == pytest.approx(modelled, rel=0.02)
        assert value(result, f"memory_share@{kind}") == pytest.approx(measured / (4 * SMALL["d"]))
    assert value(result, "recall@flat") == 1
    assert 0.5 < value(result, "speedup@flat") < 2, "flat is timed as exact search is"
    assert value(result, "target_bytes@flat") == 4 * SMALL["d"] * 1e9


def test_every_design_gets_a_curve_a_dot_and_a_row() -> None:
    result = run(**SMALL, kind=("ivf_flat", "hnsw"))
    pareto = next(figure for figure in result.figures if figure.key == "pareto").plot["data"]
    assert {"IVF-Flat", "HNSW", "IVF-Flat, nprobe 8", "HNSW, ef 64", "Exact search", "Pareto front"} == {trace["name"] for trace in pareto}
    front = next(trace for trace in pareto if trace["name"] == "Pareto front")
    assert (np.diff(front["x"]) > 0).all() and (np.diff(front["y"]) < 0).all()
    numbers = next(table for table in result.tables if table.key == "numbers")
    assert [row[0] for row in numbers.rows] == ["IVF-Flat", "HNSW"]
    assert len(result.insights) >= 2


def test_finished_designs_show_while_the_next_is_built() -> None:
    steps: list[Any] = []
    ctx = Context(seed=9, assets=CachedAssets(None))
    params = parse_params(LAB, {**SMALL, "kind": ("ivf_flat", "hnsw")})
    drive(LAB(), params, ctx, emit=steps.append, cancelled=lambda: False)
    first = next(i for i, step in enumerate(steps) if isinstance(step, Frame))
    shown = next(i for i, step in enumerate(steps) if isinstance(step, Frame) and any(m.key == "recall@ivf_flat" for m in step.metrics))
    building = next(i for i, step in enumerate(steps) if isinstance(step, Progress) and step.label == "building HNSW")
    assert first < shown < building


def test_a_search_knob_builds_nothing_again() -> None:
    assets = CachedAssets(None)
    run_lab(LAB, SMALL, Context(seed=1, assets=assets))
    labels: list[str] = []
    ctx, params = Context(seed=1, assets=assets), parse_params(LAB, {**SMALL, "ef_search": 100, "nprobe": 4})
    drive(LAB(), params, ctx, emit=lambda step: labels.append(getattr(step, "label", "")), cancelled=lambda: False)
    assert not [label for label in labels if label.startswith(("building", "drawing", "finding"))]


def test_the_better_search_is_the_slower_one() -> None:
    narrow, wide = run(**SMALL, kind=("hnsw",), ef_search=10), run(**SMALL, kind=("hnsw",), ef_search=1000)
    assert value(wide, "recall@hnsw") > value(narrow, "recall@hnsw")
    assert value(wide, "speedup@hnsw") < 0.5 * value(narrow, "speedup@hnsw")


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"nlist": 64, "nprobe": 65}, "", "65 was given; expected at most the 64 cells"),
        ({"kind": ()}, "", "none was chosen"),
        ({"kind": ("hnsw", "hnsw")}, "", "names one twice"),
        ({"kind": ("flat", "sq8", "hnsw", "hnsw_sq8", "ivf_flat")}, "kind", "Indexes"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidParams) as caught:
        parse_params(LAB, values)
    assert sentence in caught.value.errors[field]


@pytest.mark.parametrize(
    ("values", "field", "sentence"),
    [
        ({"kind": ("ivf_pq",), "pq_m": 7}, "pq_m", "pq_m 7 does not divide 64"),
        ({"kind": ("ivf_flat",), "n": 1000, "nlist": 2000}, "nlist", "nlist 2,000 was given for 1,000 vectors"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_work(values: dict[str, Any], field: str, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        next(LAB().run(parse_params(LAB, values), Context(seed=1, assets=store())))
    assert sentence in caught.value.message and caught.value.field == field


def test_a_rule_about_cells_concerns_only_cells() -> None:
    parse_params(LAB, {"kind": ("hnsw",), "nlist": 8, "nprobe": 100})


# --- the user's own vectors --------------------------------------------------------------------------------------------


def fvecs(path: Path, vectors: np.ndarray, dtype: str = "<f4") -> DataFile:
    head = struct.pack("<i", vectors.shape[1])
    path.write_bytes(b"".join(head + row.astype(dtype).tobytes() for row in vectors))
    return DataFile(path.name, path)


@pytest.fixture
def own(tmp_path: Path) -> dict[str, DataFile]:
    world = clustered_vectors(2000, 24, 60, seed=5)
    scales = np.random.default_rng(0).uniform(0.2, 3, (2000, 1)).astype(np.float32)
    base = world.base * scales  # of different lengths, so that metrics disagree
    truth = exact_knn(base, world.queries, 10, metric="l2").ids
    return {
        "base": fvecs(tmp_path / "base.fvecs", base),
        "queries": fvecs(tmp_path / "queries.fvecs", world.queries),
        "ground_truth": fvecs(tmp_path / "truth.ivecs", truth, "<i4"),
    }


def given(files: dict[str, DataFile], *slots: str, metric: str = "l2") -> Data:
    return Data("digest" + metric + "".join(slots), {slot: files[slot] for slot in slots}, {"metric": metric})


def checked(data: Data) -> Any:
    assert LAB.data is not None
    return LAB.data.check(data.files, data.options)


def test_own_vectors_are_searched(own: dict[str, DataFile]) -> None:
    data = given(own, "base", "queries", "ground_truth")
    info = checked(data)
    assert ("Base", "2,000 vectors x 24 dimensions") in info.facts and info.warnings == ()
    result = run(data=data, nlist=16, nprobe=8, kind=("flat", "ivf_flat", "hnsw"), n=50_000, d=128)
    assert value(result, "recall@flat") == 1 and value(result, "recall@hnsw") > 0.9
    assert value(result, "model_bytes_per_vector@flat") == 4 * 24


def test_ground_truth_of_another_metric_is_noticed(own: dict[str, DataFile]) -> None:
    data = given(own, "base", "queries", "ground_truth", metric="ip")
    (warning,) = checked(data).warnings
    assert warning.startswith("truth.ivecs: ") and "another metric" in warning
    assert warning in run(data=data, nlist=16, nprobe=8, kind=("ivf_flat",)).notes


def test_ties_are_no_disagreement(own: dict[str, DataFile], tmp_path: Path) -> None:
    base = np.repeat(np.arange(50, dtype=np.float32)[:, None], 20, axis=0) * np.ones((1, 4), np.float32)  # 20 copies of each
    truth = exact_knn(base, base[::20], 20, metric="l2").ids[:, ::-1][:, :10]
    files = {
        "base": fvecs(tmp_path / "b.fvecs", base),
        "queries": fvecs(tmp_path / "q.fvecs", base[::20]),
        "ground_truth": fvecs(tmp_path / "t.ivecs", truth, "<i4"),
    }
    assert checked(given(files, "base", "queries", "ground_truth")).warnings == ()


def test_without_queries_rows_are_held_out_of_the_base(own: dict[str, DataFile]) -> None:
    data = given(own, "base", metric="cosine")
    assert checked(data).facts[:2] == (("Base", "1,600 vectors x 24 dimensions"), ("Queries, held out of 2,000 rows", "400"))
    result = run(data=data, nlist=16, nprobe=8, kind=("hnsw",))
    assert value(result, "recall@hnsw") > 0.95


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"queries": np.ones((5, 23))}, "queries.fvecs: has 23 dimensions, base.fvecs has 24"),
        ({"base": np.ones((99, 24))}, "base.fvecs: has 99 rows, expected at least 100"),
        ({"base": np.vstack([np.ones((150, 24)), np.zeros((1, 24))])}, "base.fvecs: row 150 has length zero"),
        ({"queries": np.zeros((5, 24))}, "queries.fvecs: row 0 has length zero"),
        ({"ground_truth": np.zeros((60, 9))}, "truth.ivecs: has 9 columns, expected at least 10"),
        ({"ground_truth": np.full((60, 10), 2000)}, "truth.ivecs: row 0 names id 2000, but the base has rows 0 to 1,999"),
        ({"ground_truth": np.zeros((59, 10))}, "truth.ivecs: has 59 rows, expected 60"),
    ],
)
def test_own_files_that_do_not_fit_are_refused(own: dict[str, DataFile], change: dict[str, np.ndarray], sentence: str) -> None:
    for slot, vectors in change.items():
        fvecs(own[slot].path, vectors, "<i4" if slot == "ground_truth" else "<f4")
    with pytest.raises(InvalidInput, match=sentence):
        checked(given(own, "base", "queries", "ground_truth", metric="cosine"))


def test_neighbours_without_queries_are_refused(own: dict[str, DataFile]) -> None:
    with pytest.raises(InvalidInput, match=r"truth.ivecs: neighbours were given without queries"):
        checked(given(own, "base", "ground_truth"))


# --- the effects, at 20,000 x 64 over three seeds ------------------------------------------------------------------------


@cache
def recalls(seed: int, kind: str, knob: str, shift: float = 0.0, d: int = 64) -> dict[int, float]:
    """Recall by search width."""
    world = clustered_vectors(20_000, d, 200, seed=seed, query_shift=shift)
    truth = exact_knn(world.base, world.queries, 10).ids
    index = build_index(world.base, kind, seed=seed)
    widths = (1, 4, 16, 64) if knob == "nprobe" else (16, 32, 64)
    return {width: float(recall_at_k(index.search(world.queries, 10, **{knob: width}).ids, truth, 10).mean()) for width in widths}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_probing_more_cells_buys_recall_with_falling_returns(seed: int) -> None:
    found = recalls(seed, "ivf_flat", "nprobe")
    assert 0.68 <= found[1] <= 0.84 and 0.92 <= found[4] <= 0.97 and found[16] >= 0.98 and found[64] >= 0.999
    assert found[4] - found[1] > 2 * (found[16] - found[4])


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_codes_plateau_and_refining_rescues(seed: int) -> None:
    plain, refined = recalls(seed, "ivf_pq", "nprobe"), recalls(seed, "ivf_pq_refine", "nprobe")
    assert 0.50 <= plain[16] <= 0.60 and abs(plain[64] - plain[16]) < 0.015, "more probes cannot repair the code"
    assert refined[16] >= 0.95
    bits, rescored = recalls(seed, "ivf_rabitq", "nprobe"), recalls(seed, "ivf_rabitq_refine", "nprobe")
    assert 0.55 <= bits[16] <= 0.66 and abs(bits[64] - bits[16]) < 0.015 and rescored[16] >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_graphs_fail_on_strange_queries(seed: int) -> None:
    usual, strange = recalls(seed, "hnsw", "ef_search"), recalls(seed, "hnsw", "ef_search", 0.75)
    assert usual[16] >= 0.95 and usual[32] >= 0.98 and usual[64] >= 0.99
    assert 0.74 <= strange[32] <= 0.84 and usual[32] - strange[32] > 0.14


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_one_bit_says_more_in_long_vectors(seed: int) -> None:
    assert recalls(seed, "ivf_rabitq", "nprobe", d=512)[16] > recalls(seed, "ivf_rabitq", "nprobe")[16] + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_insights_name_what_the_run_shows(seed: int) -> None:
    shown = effects(run(seed, kind=("ivf_pq", "ivf_pq_refine", "hnsw"), query_shift=0.75, ef_search=32))
    assert {"plateau", "refine", "query_shift", "search_width", "build_time"} <= shown
    assert {"memory", "fastest"} <= effects(run(seed))
    assert "brute_force" in effects(run(seed, **next(preset for preset in LAB.presets if preset.key == "brute_force").values))
    usual = run(seed, kind=("ivf_sq8", "hnsw"))
    assert value(usual, "memory_share@hnsw") > 1.3 and value(usual, "memory_share@ivf_sq8") < 0.35
    assert 1 < value(usual, "speedup@hnsw") < 15, "at this size a graph is only a few times faster than exact search"
    assert value(usual, "build_s@hnsw") > 4 * value(usual, "build_s@ivf_sq8")


# --- the challenge ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", (1, 2, 3))
def test_the_challenge_is_neither_given_away_nor_impossible(seed: int) -> None:
    (challenge,) = LAB.challenges
    world = Context(seed=seed, assets=CachedAssets(None))

    def missed(design: Mapping[str, Any]) -> set[str]:
        """Kinds of the assertions that the design misses."""
        assert set(design) <= set(challenge.design)
        (kind,) = design["kind"]
        result = run_lab(LAB, {**challenge.world, **design}, world)
        got = [(item, value(result, f"{item.metric}@{kind}")) for item in challenge.assertions]
        return {item.kind for item, found in got if (found < item.target if item.op == ">=" else found > item.target)}

    assert missed(challenge.reference) == set() and missed(challenge.alternative) == set()
    assert challenge.reference["kind"] != challenge.alternative["kind"]
    assert missed(challenge.naive) == {"target"}
    assert "ceiling" in missed({"kind": ("hnsw",)}), "the usual answer does not fit"
    if seed == 1:
        assert missed(challenge.maxed) == {"target", "ceiling"}, "everything at maximum is slow and large"
