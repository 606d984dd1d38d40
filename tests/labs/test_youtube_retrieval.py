"""The retrieval lab: what sources and negatives do to the lists, on a world whose next choices are known, and on files of ratings."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulators.assets import CachedAssets
from simulators.driver import drive, run_lab
from simulators.encoding import dumps
from simulators.engines.ranking import metrics as measures
from simulators.engines.ranking.worlds import retrieval_world
from simulators.engines.steps import finish
from simulators.errors import InvalidInput
from simulators.lab import Context, Data, DataFile, Frame, Result
from simulators.params import parse_params
from simulators.youtube_recs._retrieval_challenge import HUNDRED_SLOTS
from simulators.youtube_recs._retrieval_params import RetrievalParams
from simulators.youtube_recs._retrieval_study import Study, lost_steps, study_steps
from simulators.youtube_recs.retrieval import RetrievalLab

SEEDS = (1, 2, 3)
LOG = {"rows": 50_000, "viewers": 500}  # a quarter of the default: the effects are as clear
SHARED = {"quota_two_tower": 70, "quota_fresh": 15, "quota_trending": 15}

EVEN = dict.fromkeys(("quota_two_tower", "quota_co_watch", "quota_fresh", "quota_trending"), 25)


@cache
def context(seed: int) -> Context:
    return Context(seed=seed, assets=CachedAssets(None))


@cache
def _result(seed: int, values: str) -> Result:
    return run_lab(RetrievalLab, json.loads(values), context(seed))


def result(seed: int, **values: Any) -> Result:
    return _result(seed, json.dumps({**LOG, **values}))


def values(seed: int, **params: Any) -> dict[str, float]:
    return {metric.key: metric.value for metric in result(seed, **params).metrics}  # type: ignore[misc]


def effects(seed: int, **params: Any) -> dict[str, str]:
    return {insight.effect: insight.text for insight in result(seed, **params).insights}


def caught(seed: int, **params: Any) -> dict[str, float]:
    """Lists and the share of the best lists' choices they catch, as drawn."""
    figure = next(figure for figure in result(seed, **params).figures if figure.key == "caught")
    bars = figure.plot["data"][0]
    return dict(zip(bars["y"], bars["x"], strict=True))


# --- effects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_correction_and_its_sign(seed: int) -> None:
    right, none, wrong = (values(seed, logq=logq) for logq in (1, 0, -1))
    popular = 100 * caught(seed)["popular items"]
    assert right["of_oracle"] > popular + 10 and none["of_oracle"] < popular - 10 and wrong["of_oracle"] < 0.5 * none["of_oracle"]
    assert right["head_share"] > 20 > 5 > none["head_share"] > wrong["head_share"]
    assert "logq" in effects(seed) and "no_logq" in effects(seed, logq=0) and "wrong_sign" in effects(seed, logq=-1)
    assert f"{right['of_oracle']:.1f} %" in effects(seed)["logq"]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_the_log_does_not_hold_needs_sources_of_its_own(seed: int) -> None:
    alone, shared = values(seed), values(seed, **SHARED)
    even = values(seed, **EVEN)
    assert alone["fresh_mass"] < shared["fresh_mass"] - 25 and alone["trend_mass"] < shared["trend_mass"] - 40
    assert shared["fresh_mass"] > 45 and shared["trend_mass"] > 65
    assert shared["of_oracle"] > alone["of_oracle"] + 10 and shared["of_oracle"] > even["of_oracle"] + 1
    assert even["overlap"] > shared["overlap"] + 20
    assert "dear_co_watch" in effects(seed, **EVEN), "co-watch repeats what the towers know"
    said = effects(seed, **SHARED)
    assert "worth_fresh" in said and "worth_trending" in said


@pytest.mark.parametrize("seed", SEEDS)
def test_without_user_features_all_lists_are_one(seed: int) -> None:
    found = values(seed, user_tower="none", item_content=False)
    assert found["overlap"] > 99.9 and found["user_cosine"] > 0.999 and found["user_rank"] < 1.01
    assert found["of_oracle"] == pytest.approx(100 * caught(seed)["popular items"], abs=2)
    assert "same_for_all" in effects(seed, user_tower="none", item_content=False) and "same_for_all" not in effects(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_hard_negatives_cost_pairs_and_gain_nothing(seed: int) -> None:
    plain, hard = values(seed), values(seed, negatives="hard")
    assert hard["of_oracle"] < plain["of_oracle"] + 1 and hard["scored_pairs"] > plain["scored_pairs"]
    assert "hard_negatives" in effects(seed, negatives="hard")


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_newcomers(seed: int) -> None:
    """Dropout and demographics decide what the towers are worth on the first day."""
    curves = {}
    for dropout in (True, False):
        found = result(seed, user_tower="history", history_dropout=dropout, rows=20_000, history_len=5)
        figure = next(figure for figure in found.figures if figure.key == "history")
        curves[dropout] = figure.plot["data"][0]["y"]
        popularity = figure.plot["data"][1]["y"][0]
        if dropout:
            assert curves[True][0] > popularity and curves[True][-1] > curves[True][0]
        shown = next(metric.value for metric in found.metrics if metric.key == "of_oracle")
        assert shown == pytest.approx(100 * figure.plot["data"][0]["y"][figure.plot["data"][0]["x"].index(5)], abs=0.1)
    assert curves[True][0] > curves[False][0]
    assert "cold_start" in effects(seed, user_tower="history", rows=20_000, history_len=5, history_dropout=True)


def test_an_index_returns_nearly_what_exact_search_does() -> None:
    exact, hnsw, ivf = (values(1, index=index) for index in ("exact", "hnsw", "ivf"))
    assert exact["index_recall"] == 100 and 85 < hnsw["index_recall"] < 100 and 40 < ivf["index_recall"] < hnsw["index_recall"]
    assert exact["of_oracle"] > hnsw["of_oracle"] > ivf["of_oracle"] and "index" in effects(1, index="ivf")


# --- what is reported is what the lists hold --------------------------------------------------------------------------


@cache
def study(seed: int) -> Study:
    found = finish(study_steps(context(seed), RetrievalParams(**LOG, **SHARED, quota_co_watch=0)))
    assert list(lost_steps(found))[-1].done == 3
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_metrics_agree_with_the_engines_own_and_with_counting(seed: int) -> None:
    found, shown = study(seed), values(seed, **SHARED)
    judged = measures.mass_at_k(found.world.p, found.merged.ids)
    assert shown["mass"] == pytest.approx(100 * judged.mass) and shown["of_oracle"] == pytest.approx(100 * judged.of_oracle)
    fresh = found.world.age_days < 1
    p = found.world.p * fresh
    assert shown["fresh_mass"] == pytest.approx(100 * measures.mass_at_k(p, found.merged.ids).mass / p.sum(axis=1).mean())
    assert shown["coverage"] == pytest.approx(100 * len(np.unique(found.merged.ids)) / found.world.n_items)
    some = found.merged.ids[:60]
    pairs = [len(np.intersect1d(a, b)) / 100 for i, a in enumerate(some) for b in some[:i]]
    assert shown["overlap"] == pytest.approx(100 * np.mean(pairs), abs=4)


def test_lists_hold_no_item_twice_and_sources_their_quotas() -> None:
    found = study(1)
    assert found.merged.ids.shape == (500, 100) and found.merged.ids.min() >= 0
    assert all(len(np.unique(row)) == 100 for row in found.merged.ids)
    for name, slots in (("two_tower", 70), ("fresh", 15), ("trending", 15)):
        assert (found.slots_of(name).sum(axis=1) == slots).all()
    young = found.world.age_days < 1
    assert young[found.merged.ids[found.slots_of("fresh")]].all() and not young[found.merged.ids[found.slots_of("trending")]].any()
    best = np.sort(found.world.p, axis=1)[:, -100:].sum(axis=1)
    np.testing.assert_allclose(found.best.mass, best)


def test_moving_a_quota_trains_nothing_anew() -> None:
    steps: list[Any] = []
    first = values(1, **SHARED)
    moved = parse_params(RetrievalLab, {**LOG, **SHARED, "quota_trending": 20, "quota_two_tower": 65, "viewer": 3})
    drive(RetrievalLab(), moved, context(1), emit=steps.append, cancelled=lambda: False)
    assert not [step for step in steps if "training" in getattr(step, "label", "")] and len(steps) < 15
    assert values(1, **SHARED) == first


def test_quotas_are_slots_of_every_hundred() -> None:
    assert RetrievalParams(k=20, **SHARED).quotas == {"two_tower": 14, "co_watch": 0, "fresh": 3, "trending": 3}
    assert RetrievalParams(k=1000, quota_co_watch=0).quotas["two_tower"] == 1000


def test_the_curve_is_streamed_while_it_grows() -> None:
    steps: list[Any] = []
    params = parse_params(RetrievalLab, {"rows": 20_000})
    drive(RetrievalLab(), params, Context(seed=9, assets=CachedAssets(None)), emit=steps.append, cancelled=lambda: False)
    drawn = [len(step.figures[0].plot["data"][0]["x"]) for step in steps if isinstance(step, Frame) and step.figures[0].key == "training"]
    assert drawn and drawn == sorted(drawn)


# --- bad parameters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"quota_co_watch": 30}, "quotas sum to 130, k is 100"),
        ({"quota_two_tower": 0}, "quotas sum to 0"),
        ({"quota_two_tower": 1, "k": 20}, "none of 20"),
        ({"negatives": "uniform", "n_uniform": 0}, "Uniform negatives: 0"),
        ({"batch": 4096, "dim": 128, "epochs": 8, "rows": 500_000}, "scored pairs"),
        ({"batch": 64, "epochs": 8}, "25,000 steps of 64 rows"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_params(RetrievalLab, wrong)


# --- own ratings ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A generated file of ratings in two layouts."""
    folder = tmp_path_factory.mktemp("ratings")
    rows = ratings_rows(0)
    made = {"u.data": "\t", "ratings.dat": "::"}
    for name, separator in made.items():
        (folder / name).write_text("".join(separator.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    (folder / "no_times.csv").write_text("user,item,rating\n" + "".join(",".join(map(str, row[:3])) + "\n" for row in rows))
    return {path.name: path for path in folder.iterdir()}


def ratings_rows(seed: int) -> list[tuple[int, int, int, int]]:
    """MovieLens-like rows: 400 users of the synthetic world with tastes, seven ratings of ten above 3, in order of time."""
    world = retrieval_world(seed, zipf=0.7, fresh_share=0, trend_share=0, n_users=400, n_items=1_000, rows=30_000)
    rng = np.random.default_rng(seed)
    rating = np.where(rng.random(30_000) < 0.7, rng.integers(4, 6, 30_000), rng.integers(1, 4, 30_000))
    return [(u + 1, i + 1, int(r), 880_000_000 + 100 * t) for t, (u, i, r) in enumerate(zip(world.users, world.items, rating, strict=True))]


def own(path: Path, seed: int = 0, **params: Any) -> Result:
    given = {"ratings": DataFile(path.name, path)}
    assert RetrievalLab.data is not None
    RetrievalLab.data.check(given, {})
    return run_lab(RetrievalLab, params, Context(seed=seed, assets=CachedAssets(None), data=Data(path.name, given)))


def table(found: Result) -> dict[str, dict[str, Any]]:
    return {row[0]: dict(zip(found.tables[0].columns, row, strict=True)) for row in found.tables[0].rows}


RATE = "Hit rate at {} (%)"


def test_both_layouts_give_the_same_lists_and_the_towers_beat_popularity(files: dict[str, Path]) -> None:
    tabs, colons = own(files["u.data"]), own(files["ratings.dat"])
    assert dumps(tabs.tables) == dumps(colons.tables) and dumps(tabs.figures) == dumps(colons.figures)
    lists = table(tabs)
    popular, co_watch, towers = (lists[name] for name in ("popular items", "co-watch alone", "two towers alone"))
    for k in (10, 50, 100):
        assert min(co_watch[RATE.format(k)], towers[RATE.format(k)]) > popular[RATE.format(k)] + 3
    assert popular[RATE.format(10)] < popular[RATE.format(50)] < popular[RATE.format(100)]
    said = {insight.effect: insight.text for insight in tabs.insights}
    assert {"own_popularity", "own_co_watch"} <= set(said)
    plain = table(own(files["u.data"], logq=0))["two towers alone"]
    assert plain[RATE.format(10)] < 0.7 * towers[RATE.format(10)], "uncorrected"


def test_hit_rates_are_those_of_a_count_by_hand(files: dict[str, Path]) -> None:
    """Popular items, judged with sets and dictionaries."""
    rows = [row for row in ratings_rows(0) if row[2] >= 4]
    first: dict[tuple[int, int], int] = {}
    for user, item, _, at in rows:
        first.setdefault((user, item), at)
    border = sorted(first.values())[int(np.floor(0.8 * (len(first) - 1)))]
    train = {pair for pair, at in first.items() if at <= border}
    held: dict[int, set[int]] = {}
    for user, item in first.keys() - train:
        held.setdefault(user, set()).add(item)
    counts: dict[int, int] = {}
    for _, item in train:
        counts[item] = counts.get(item, 0) + 1
    order = sorted(counts, key=lambda item: (-counts[item], item))
    hits, recalls = 0, []
    for user, wanted in held.items():
        shown = set([item for item in order if (user, item) not in train][:100])
        hits += bool(shown & wanted)
        recalls.append(len(shown & wanted) / len(wanted))
    popular = table(own(files["u.data"], epochs=1))["popular items"]
    assert popular[RATE.format(100)] == pytest.approx(100 * hits / len(held), abs=0.6), "but for ties in popularity"
    assert popular["Recall at 100 (%)"] == pytest.approx(100 * np.mean(recalls), abs=0.6)


def test_splits_hold_out_what_they_say(files: dict[str, Path]) -> None:
    random = {metric.key: metric.value for metric in own(files["no_times.csv"], split="random", epochs=1).metrics}
    last = own(files["u.data"], split="leave_last", epochs=1)
    assert random["hit_rate_100"] is not None and random["cold_users"] == 0
    assert "400 are held out" in last.notes[0]
    with pytest.raises(InvalidInput, match="no timestamps; choose the random split") as refused:
        own(files["no_times.csv"])
    assert refused.value.field == "split"


def test_a_history_tower_and_strangers_on_own_ratings(tmp_path: Path) -> None:
    """A quarter of the users come only at the end: a split by time has never seen them, a random one has."""
    rows = [row for row in ratings_rows(1) if row[0] > 100 or row[3] >= 880_000_000 + 100 * 26_000]
    path = tmp_path / "u.data"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    by_time, random = own(path), own(path, split="random")
    cold = {name: next(m.value for m in found.metrics if m.key == "cold_users") for name, found in (("t", by_time), ("r", random))}
    assert cold["t"] > 10 > 5 > cold["r"]
    assert "own_cold" in {insight.effect for insight in by_time.insights}
    told = table(by_time)
    key = "Hit rate at 100 of viewers never seen (%)"
    assert told["two towers alone"][key] == told["popular items"][key], "strangers get popular items"
    history = table(own(path, user_tower="history"))
    assert history["two towers alone"][RATE.format(100)] > history["popular items"][RATE.format(100)]


@pytest.mark.parametrize(
    ("change", "params", "said"),
    [
        (lambda rows: [*rows[:39], (1, 2, "five", 880_000_000), *rows[40:]], {}, r"line 40: rating 'five' is not a number \(column 3\)"),
        (lambda rows: rows[:900], {}, "900 rows; expected at least 1,000 positive"),
        (lambda rows: [(user, item % 15, rating, at) for user, item, rating, at in rows], {}, "15 items"),
        (lambda rows: rows, {"positive_at": 6.0}, "0 ratings of 6 or more"),
        (lambda rows: rows, {"quota_two_tower": 0, "quota_fresh": 50}, "only two towers and co-watch can fill slots"),
    ],
)
def test_bad_ratings_are_refused_in_a_sentence(change: Any, params: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in change(ratings_rows(0))))
    with pytest.raises(InvalidInput, match=said):
        own(path, **params)


def test_the_check_tells_what_is_in_the_file(files: dict[str, Path]) -> None:
    assert RetrievalLab.data is not None
    facts = dict(RetrievalLab.data.check({"ratings": DataFile("u.data", files["u.data"])}, {}).facts)
    assert facts["Ratings"] == "30,000" and facts["Users"] == "400" and facts["Times"].startswith("1997-11-20")
    info = RetrievalLab.data.check({"ratings": DataFile("no_times.csv", files["no_times.csv"])}, {})
    assert dict(info.facts)["Times"] == "none" and any("random split" in warning for warning in info.warnings)


# --- the challenge ----------------------------------------------------------------------------------------------------


def judged(seed: int, design: dict[str, Any]) -> dict[str, bool]:
    found = {m.key: m.value for m in run_lab(RetrievalLab, {**HUNDRED_SLOTS.world, **design}, context(seed)).metrics}
    return {
        rule.metric: found[rule.metric] >= rule.target if rule.op == ">=" else found[rule.metric] <= rule.target
        for rule in HUNDRED_SLOTS.assertions
    }


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_the_challenge_is_passed_by_its_reference(seed: int) -> None:
    assert all(judged(seed, dict(HUNDRED_SLOTS.reference)).values())


@pytest.mark.slow
def test_the_alternative_passes_too_and_neither_the_naive_design_nor_an_even_split_does() -> None:
    assert all(judged(1, dict(HUNDRED_SLOTS.alternative)).values())
    naive = judged(1, dict(HUNDRED_SLOTS.naive))
    assert not naive["of_oracle"] and not naive["trend_mass"]
    assert not judged(1, EVEN)["coverage"]


def test_the_largest_design_breaks_the_ceilings() -> None:
    design = RetrievalParams(**{**HUNDRED_SLOTS.world, **HUNDRED_SLOTS.maxed})
    ceilings = {rule.metric: rule.target for rule in HUNDRED_SLOTS.assertions if rule.kind == "ceiling"}
    assert 2 * design.dim > ceilings["vector_bytes"]
    assert design.rows * design.epochs * design.batch > ceilings["scored_pairs"]
