"""The lab `registry`: copies found and missed, what a change breaks, what cleaning up saves, and what is refused."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import pytest

from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.engines.steps import finish
from simulators.feature_store._registry_params import AGAIN, EXAMPLE
from simulators.feature_store._registry_world import world_steps
from simulators.lab import Challenge, Context, Result
from simulators.params import InvalidParams, parse_params
from simulators.registry import get_lab

LAB = get_lab("feature_store", "registry")
SEEDS = (1, 2, 3)
JUDGED = (11, 12, 13, 14, 15)


@cache
def store() -> CachedAssets:
    return CachedAssets(None)


def context(seed: int = 1) -> Context:
    return Context(seed=seed, assets=store())


def run(seed: int = 1, **values: Any) -> Result:
    return run_lab(LAB, values, context(seed))


def value(result: Result, key: str) -> float:
    found = next(metric.value for metric in result.metrics if metric.key == key)
    assert found is not None, key
    return found


def rows(result: Result, key: str) -> list[tuple[Any, ...]]:
    return list(next(table.rows for table in result.tables if table.key == key))


def effects(result: Result) -> dict[str, str]:
    return {insight.effect: insight.text for insight in result.insights}


# --- duplicates --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_the_world_is_the_stated_one(seed: int) -> None:
    world = finish(world_steps(context(seed)))
    assert len(world.names) == 200 == len(set(world.names)) and len(world.moves_after_days) == 30
    kinds = [entry.kind for entry in world.planted]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == dict.fromkeys(("renamed", "unit", "rescaled", "lagged"), 10)
    assert len(set(world.root.tolist())) == 160
    assert sum("growth.clicks_7d v3" in entry.original for entry in world.planted) == 7
    assert len(world.registry.orphans()) == 20 and len(world.registry.unread()) == 22


@pytest.mark.parametrize("seed", SEEDS)
def test_fingerprints_find_half_and_values_more_until_the_threshold_falls(seed: int) -> None:
    prints, values, loose = run(seed, detector="fingerprint"), run(seed, detector="values"), run(seed, detector="values", threshold=0.95)
    assert (value(prints, "recall"), value(prints, "precision")) == (0.5, 1)
    assert 0.85 <= value(values, "recall") <= 0.95 and value(values, "precision") == 1
    assert value(loose, "recall") == 1 and value(loose, "precision") <= 0.65
    both = run(seed, detector="both")
    assert value(both, "recall") >= max(value(prints, "recall"), value(values, "recall"))


@pytest.mark.parametrize("seed", SEEDS)
def test_names_find_little_and_flag_much(seed: int) -> None:
    result = run(seed)
    assert value(result, "recall") <= 0.3 and value(result, "precision") <= 0.1
    assert value(result, "wrong_merges") > 50 and "wrong_merges" in effects(result)


def test_a_higher_threshold_flags_no_more() -> None:
    flagged = [value(run(detector="values", threshold=at), "flagged") for at in (0.8, 0.9, 0.95, 0.99, 0.995, 1.0)]
    assert flagged == sorted(flagged, reverse=True) and flagged[0] > 3 * flagged[-2]


@pytest.mark.parametrize("seed", SEEDS)
def test_reviews_turn_wrong_pairs_down(seed: int) -> None:
    loose = {"detector": "both", "threshold": 0.95}
    unseen, all_seen = run(seed, reviews=0, **loose), run(seed, reviews=100, **loose)
    assert value(unseen, "wrong_merges") > 0 == value(all_seen, "wrong_merges")
    assert value(unseen, "reviews_used") == 0 and value(all_seen, "reviews_used") > 50
    assert value(all_seen, "models_changed") == 0 < value(unseen, "models_changed")
    assert value(run(seed, detector="fingerprint", reviews=100), "reviews_used") == 0, "what is certain needs no look"


# --- cleaning up -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_removed_is_what_is_saved(seed: int) -> None:
    nothing = run(seed, detector="values", threshold=1.0, reviews=0)
    merged = run(seed, detector="both")
    tidy = run(seed, detector="both", orphans="lineage")
    assert value(merged, "removed") == 36 and value(tidy, "removed") > 50
    assert 0.15 < value(merged, "saved_share") < 0.22 and value(tidy, "saved_share") > value(merged, "saved_share") + 0.05
    assert value(nothing, "saved_share") < value(merged, "saved_share")
    unread = {name: (before, after) for name, before, after in rows(tidy, "payers")}["unread"]
    assert unread[0] > value(tidy, "orphan_usd") > 5 * unread[1], "what feeds a derived feature stays, with no reader of its own to pay"


@pytest.mark.parametrize("seed", SEEDS)
def test_removing_what_has_no_reader_breaks_who_reads_what_is_made_of_it(seed: int) -> None:
    unread, lineage = run(seed, detector="fingerprint", orphans="unread"), run(seed, detector="fingerprint", orphans="lineage")
    assert value(unread, "models_broken") > 0 == value(lineage, "models_broken")
    assert "unread" in effects(unread) and "orphans" in effects(lineage)


# --- changes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_redefinition_in_place_changes_every_reader_and_is_refused(seed: int) -> None:
    result = run(seed, detector="fingerprint", change="redefine_in_place")
    assert value(result, "models_changed") == value(result, "blast_radius") > 0 == value(result, "models_broken")
    assert "is published and cannot change: register it as version" in effects(result)["redefinition"]
    assert value(run(seed, detector="fingerprint"), "models_changed") == 0


@pytest.mark.parametrize("change", ["drop_column", "rename_source"])
@pytest.mark.parametrize("seed", SEEDS)
def test_notice_spares_models_and_none_breaks_all(seed: int, change: str) -> None:
    at_once, month, half_year = (run(seed, detector="fingerprint", change=change, grace_days=days) for days in (0, 30, 180))
    broken = [value(result, "models_broken") for result in (at_once, month, half_year)]
    assert broken[0] == value(at_once, "blast_radius") > broken[1] >= broken[2]
    fates = [row[3] for row in rows(month, "reach")]
    assert fates.count("breaks") == broken[1] and fates.count("has moved away in time") == len(fates) - broken[1]
    assert "blast_radius" in effects(month)


def test_a_column_reaches_less_than_its_source() -> None:
    column, source = (run(detector="fingerprint", change=change, source="purchases") for change in ("drop_column", "rename_source"))
    assert 0 < value(column, "blast_radius") <= value(source, "blast_radius")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_deprecated_feature_stays_until_nobody_has_read_it_for_30_days(seed: int) -> None:
    for days in (0, 30, 180):
        result = run(seed, detector="fingerprint", change="deprecate", grace_days=days)
        assert value(result, "removable_day") >= max(days, 30)
    assert "deprecation" in effects(result)
    assert next(m for m in run(seed).metrics if m.key == "removable_day").value is None


def test_the_lineage_holds_every_node_it_counts() -> None:
    result = run(detector="fingerprint", change="rename_source", source="logins")
    figure = next(figure for figure in result.figures if figure.key == "lineage")
    nodes = {name for trace in figure.plot["data"] if trace["mode"] == "markers+text" for name in trace["text"]}
    assert "events.logins" in nodes and len({row[0] for row in rows(result, "reach")}) == value(result, "blast_radius")
    counts = [label.split(": ")[1].split(" ") for label in nodes if ": " in label]
    assert sum(int(words[0]) for words in counts if "of" in words) == value(result, "models_broken")
    assert sum(int(words[2] if "of" in words else words[0]) for words in counts) == value(result, "blast_radius")
    views = {view for row in rows(result, "reach") for view in row[1].split(" and ")[0].split(", ")}
    assert views and {view.removesuffix(" v1") for view in views} <= nodes


# --- a definition ------------------------------------------------------------------------------------------------------


def test_a_definition_that_is_there_already_is_refused_until_a_reason_is_stated() -> None:
    refused, reasoned = run(definition=AGAIN), run(definition=AGAIN, reason="Served in another region.")
    assert rows(refused, "verdict")[0][2] == "Same fingerprint as growth.clicks_7d v3: reuse it or state why not."
    assert (value(refused, "accepted"), value(reasoned, "accepted"), value(run(), "accepted")) == (0, 1, 1)
    assert "growth.clicks_7d v3:clicks_7d" in rows(reasoned, "verdict")[2][2]
    assert value(run(definition=AGAIN.replace("168 h", "169 h")), "accepted") == 1


def test_a_run_leaves_the_registry_as_it_was() -> None:
    before = run(definition=EXAMPLE)
    run(definition=AGAIN, reason="x", detector="both", orphans="unread", change="deprecate")
    assert run(definition=EXAMPLE) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("owner: ads\n", "", "owner is required."),
        ("window: 3 d", "window: 7 dyas", "window '7 dyas': use s, min, h or d."),
        ("mode: batch", "mode: [", "is not YAML"),
        ("name: ads", "name: 7ads", "expected a letter"),
        (EXAMPLE, "", "is not a mapping"),
    ],
)
def test_a_bad_definition_is_refused_beside_its_box(old: str, new: str, words: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(InvalidParams) as refused:
        parse_params(LAB, {"definition": EXAMPLE.replace(old, new)})
    assert set(refused.value.errors) == {"definition"} and words in refused.value.message


# --- the challenge, and speed ------------------------------------------------------------------------------------------


def failed(challenge: Challenge, design: Any, seed: int) -> dict[str, str]:
    result = run(seed, **challenge.world | dict(design))
    missed = {}
    for assertion in challenge.assertions:
        got = value(result, assertion.metric)
        if not (got <= assertion.target if assertion.op == "<=" else got >= assertion.target):
            missed[assertion.metric] = assertion.kind
    return missed


def test_the_challenge_separates_designs() -> None:
    challenge = LAB.challenges[0]
    for seed in JUDGED:
        assert failed(challenge, challenge.reference, seed) == failed(challenge, challenge.alternative, seed) == {}
        assert failed(challenge, challenge.naive, seed) == {"saved_share": "target"}
        assert failed(challenge, challenge.maxed, seed) == {"reviews_used": "ceiling"}
        assert "wrong_merges" in failed(challenge, {"detector": "name"}, seed)
        assert "wrong_merges" in failed(challenge, {"detector": "values", "threshold": 0.95}, seed)
        assert "models_broken" in failed(challenge, {"detector": "fingerprint", "orphans": "unread"}, seed)


def test_a_new_threshold_is_quick() -> None:
    run(detector="values")
    started = time.process_time()
    for at in (0.9, 0.95, 0.98, 0.99, 0.999):
        run(detector="values", threshold=at)
    assert (time.process_time() - started) / 5 < 0.15, "0.05 s on a quiet machine"
