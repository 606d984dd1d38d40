"""Definitions and the registry: what is the same thing twice, what breaks, who pays, what may go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from simulators.engines.features.definitions import Feature, FeatureView, seconds
from simulators.engines.features.registry import DAY_S, Registry
from simulators.engines.features.times import US_PER_S
from simulators.errors import InvalidInput

DAY_US = DAY_S * US_PER_S
CLICKS = """
name: growth.user_clicks
entity: user_id
source: events.ad_clicks
timestamp: event_timestamp
created: ingested_at
ttl: 14 d
mode: streaming
owner: growth
sla: 90 s
features:
  clicks_7d: {op: count, window: 7 d, where: "is_bot = 0 and country = 'SG'"}
  device: {}
"""


def renamed(text: str = CLICKS, **changes: str) -> FeatureView:
    for old, new in changes.items():
        text = text.replace(old, new)
    return FeatureView.from_yaml(text)


def test_a_definition_is_read() -> None:
    view = FeatureView.from_yaml(CLICKS)
    assert (view.name, view.entity, view.ttl_s, view.sla_s, view.mode, view.created) == (
        "growth.user_clicks",
        ("user_id",),
        14 * 86_400,
        90,
        "streaming",
        "ingested_at",
    )
    assert [feature.name for feature in view.features] == ["clicks_7d", "device"] and view.features[0].window_s == 604_800


def test_names_units_and_order_do_not_change_the_fingerprint() -> None:
    same = CLICKS.replace("growth.user_clicks", "ads.clicks").replace("clicks_7d", "n").replace("7 d", "168 h")
    same = same.replace("is_bot = 0 and country = 'SG'", "country='sg'  AND is_bot=0").replace("owner: growth", "owner: ads")
    assert FeatureView.from_yaml(same).fingerprint == FeatureView.from_yaml(CLICKS).fingerprint


@pytest.mark.parametrize(
    ("old", "new"), [("7 d,", "8 d,"), ("op: count", "op: sum"), ("user_id", "item_id"), ("ad_clicks", "views"), ("SG", "US")]
)
def test_another_meaning_has_another_fingerprint(old: str, new: str) -> None:
    assert FeatureView.from_yaml(CLICKS.replace(old, new)).fingerprint != FeatureView.from_yaml(CLICKS).fingerprint


@pytest.mark.parametrize(("given", "expected"), [("7 d", 604_800), ("90min", 5_400), (300, 300), ("0.5 h", 1_800)])
def test_durations(given: Any, expected: float) -> None:
    assert seconds(given, "window") == expected


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("owner: growth", "", "owner", "owner is required."),
        ("7 d,", "7 dyas,", "window", "window '7 dyas': use s, min, h or d."),
        ("window: 7 d, ", "", "window", "has op count and no window"),
        ("op: count", "op: median", "op", "op 'median': expected one of"),
        ("mode: streaming", "mode: hourly", "mode", "expected one of batch, streaming, on_demand"),
        ("entity: user_id", "entity: []", "entity", "entity is required"),
        ("name: growth.user_clicks", "name: 7up", "name", "expected a letter"),
        ("sla: 90 s", "slo: 90 s", "slo", "slo is not a key of the definition"),
        ("ttl: 14 d", "ttl: -1", "ttl", "use s, min, h or d"),
        ("mode: streaming", "mode: [", "definition", "is not YAML"),
        ("owner: growth", "owner: &a growth\nversion: *a", "definition", "alias"),
        ("owner: growth", "owner: growth\nversion: 1.5", "version", "expected a whole number"),
        ("owner: growth", "#" + "x" * 10_001, "definition", "at most 10,000 are read"),
    ],
)
def test_a_bad_definition_is_refused_by_the_key_that_is_wrong(old: str, new: str, field: str, words: str) -> None:
    assert old in CLICKS
    with pytest.raises(InvalidInput) as refused:
        FeatureView.from_yaml(CLICKS.replace(old, new))
    assert refused.value.field == field and words in refused.value.message


@pytest.mark.parametrize("text", ["", "just words", "[1, 2]", "1: 2"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a mapping"):
        FeatureView.from_yaml(text)


# --- the registry ------------------------------------------------------------------------------------------------------


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    assert made.register(FeatureView.from_yaml(CLICKS), cost_usd=100).accepted
    made.add_model("ranker", "ads", {"growth.user_clicks:clicks_7d": 300})
    made.add_model("churn", "growth", {"growth.user_clicks:clicks_7d": 100})
    return made


def test_the_same_under_another_name_is_refused_unless_a_reason_is_stated(registry: Registry) -> None:
    copy = FeatureView.from_yaml(CLICKS.replace("growth.user_clicks", "ads.clicks"))
    refused = registry.register(copy)
    assert not refused.accepted and refused.duplicates == ("growth.user_clicks v1",)
    assert refused.errors == ("Same fingerprint as growth.user_clicks v1: reuse it or state why not.",)
    assert registry.register(copy, reason="served in another region").accepted


def test_a_copy_of_the_source_is_the_same_root(registry: Registry) -> None:
    registry.add_source("lake.clicks_copy", derived_from="events.ad_clicks")
    copy = FeatureView.from_yaml(CLICKS.replace("growth.user_clicks", "ads.clicks").replace("events.ad_clicks", "lake.clicks_copy"))
    assert registry.register(copy).duplicates == ("growth.user_clicks v1",)
    with pytest.raises(InvalidInput, match="which comes from it"):
        registry.add_source("events.ad_clicks", derived_from="lake.clicks_copy")


def test_a_published_version_never_changes(registry: Registry) -> None:
    assert registry.register(FeatureView.from_yaml(CLICKS)).accepted, "the very same again is no change"
    changed = CLICKS.replace("7 d,", "8 d,")
    assert registry.register(FeatureView.from_yaml(changed)).errors == (
        "growth.user_clicks v1 is published and cannot change: register it as version 2.",
    )
    assert "the next version of growth.user_clicks is 2" in registry.register(FeatureView.from_yaml(changed + "version: 3\n")).errors[0]
    assert registry.register(FeatureView.from_yaml(changed + "version: 2\n")).accepted
    assert registry.models_broken_by("growth.user_clicks") == (), "a new version breaks nobody"
    assert registry.models_broken_by("growth.user_clicks v1") == ("churn", "ranker")


def test_impact_and_lineage_are_each_others_inverse(registry: Registry) -> None:
    everything = {"events.ad_clicks", *registry.impact("events.ad_clicks")}
    assert {"ranker", "churn", "growth.user_clicks v1", "growth.user_clicks v1:clicks_7d"} < everything
    assert registry.impact("growth.user_clicks:device") == ()
    for node in everything:
        for other in everything:
            assert (other in registry.impact(node)) == (node in registry.lineage(other))
    with pytest.raises(InvalidInput, match="no source, view, feature or model 'nowhere'"):
        registry.impact("nowhere")


def test_cost_is_split_by_reads_and_nothing_is_lost(registry: Registry) -> None:
    assert registry.cost("model") == {"ranker": 37.5, "churn": 12.5, "unread": 50}
    assert registry.cost("team") == {"ads": 37.5, "growth": 62.5}
    assert registry.orphans() == ("growth.user_clicks v1:device",)
    with pytest.raises(InvalidInput, match="expected 'team' or 'model'"):
        registry.cost("galaxy")  # type: ignore[arg-type]


def test_the_way_out_needs_notice_and_silence(registry: Registry) -> None:
    feature = "growth.user_clicks:clicks_7d"
    assert registry.state("growth.user_clicks:device") == "experimental" and registry.state(feature) == "active"
    with pytest.raises(InvalidInput, match="give notice first"):
        registry.remove(feature, 0)
    registry.record_read(feature, "ranker", 5 * DAY_US)
    notice = registry.deprecate(feature, 10 * DAY_US)
    assert (notice.state, notice.removable_at, notice.blocked_by) == ("deprecated", 40 * DAY_US, ("ranker",))
    assert registry.deprecate(feature, 20 * DAY_US).removable_at == 40 * DAY_US, "the first notice counts"
    assert registry.remove(feature, 34 * DAY_US).state == "deprecated"
    registry.record_read(feature, "ranker", 39 * DAY_US)
    assert registry.remove(feature, 41 * DAY_US).blocked_by == ("ranker",)
    assert registry.remove(feature, 70 * DAY_US).state == registry.state(feature) == "removed"
    with pytest.raises(InvalidInput, match="is not a feature"):
        registry.state("growth.user_clicks")


def test_times_may_be_moments(registry: Registry) -> None:
    notice = registry.deprecate("clicks_7d", datetime(1970, 1, 2, tzinfo=UTC))
    assert notice == registry.deprecate("clicks_7d", "1970-01-03T00:00:00Z")
    assert notice.removable_at == 31 * DAY_US


def test_a_feature_that_one_view_has_needs_no_view(registry: Registry) -> None:
    full = "growth.user_clicks v1:clicks_7d"
    assert registry.resolve("clicks_7d") == registry.resolve("growth.user_clicks.clicks_7d") == full
    again = renamed(**{"growth.user_clicks": "ads.other", "window: 7 d": "window: 1 d"})
    assert registry.register(again).accepted
    with pytest.raises(InvalidInput, match="no source, view, feature or model 'clicks_7d'"):
        registry.lineage("clicks_7d")


def test_features_may_be_listed_and_keys_carry_their_unit() -> None:
    listed = """features:
  - {name: clicks_7d, op: count, window_s: 604800, filter: "is_bot = 0 and country = 'SG'"}
  - device
"""
    text = CLICKS[: CLICKS.index("features:")].replace("ttl: 14 d", "ttl_s: 1209600").replace("sla: 90 s", "sla_s: 90") + listed
    assert FeatureView.from_yaml(text) == FeatureView.from_yaml(CLICKS)
    assert FeatureView.from_yaml(text.replace("ttl_s: 1209600", "ttl_s: 0")).ttl_s is None
    with pytest.raises(InvalidInput, match="clicks_7d stands twice"):
        FeatureView.from_yaml(text + "  - clicks_7d\n")
    with pytest.raises(InvalidInput, match="ttl_s and ttl are the same key"):
        FeatureView.from_yaml(text + "ttl: 1 d\n")


def test_sources_and_owners_have_the_names_they_have_elsewhere() -> None:
    view = renamed(**{"events.ad_clicks": "s3://lake/ad-clicks", "owner: growth": "owner: Growth team <growth@example.com>"})
    assert (view.source, view.owner) == ("s3://lake/ad-clicks", "Growth team <growth@example.com>")
    registry = Registry()
    assert registry.register(view).accepted
    assert "growth.user_clicks v1:device" in registry.impact("s3://lake/ad-clicks")


def test_a_definition_may_be_made_without_yaml() -> None:
    plain = FeatureView("v", "user_id", "events", "ts", None, 60.0, ["age", "city"], "batch", "growth", 5.0)  # type: ignore[arg-type]
    assert plain.entity == ("user_id",) and plain.features == (Feature("age", column="age"), Feature("city", column="city"))
    text = "name: v\nentity: user_id\nsource: events\ntimestamp: ts\nttl_s: 60\nfeatures: [age, city]\nowner: growth\nsla_s: 5\n"
    assert plain == FeatureView.from_yaml(text) and plain.fingerprint == FeatureView.from_yaml(text).fingerprint
