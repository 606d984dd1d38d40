"""What is done to the registry: duplicates found and merged, orphans removed, a source changed, a definition registered."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simulators.engines.features.definitions import FeatureView
from simulators.engines.features.duplicates import clusters, pairs_above
from simulators.engines.features.registry import DAY_S, UNREAD_DAYS, Registration, Registry, Retirement
from simulators.engines.features.times import US_PER_S
from simulators.feature_store._registry_params import Detector, RegistryParams
from simulators.feature_store._registry_world import NOW_US, SOURCES, World

Pair = tuple[int, int]
DAY_US = DAY_S * US_PER_S


# --- duplicates --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Pairs a detector flags, those a reviewer saw, and those that are merged: flagged and not turned down."""

    flagged: tuple[Pair, ...]
    reviewed: tuple[Pair, ...]
    merged: tuple[Pair, ...]


def detect(world: World, detector: Detector, threshold: float) -> list[Pair]:
    """Flagged pairs (i, j), i < j; of those found by values the weakest first."""
    if detector == "name":
        return _alike([name.partition(":")[2].lower() for name in world.names])
    prints = world.registry.feature_fingerprints()
    same = _alike([prints[name] for name in world.names]) if detector != "values" else []
    near = pairs_above(world.correlations, threshold) if detector in ("values", "both") else []
    return [*(pair for pair in near if pair not in set(same)), *same]


def _alike(labels: list[str]) -> list[Pair]:
    places: dict[str, list[int]] = defaultdict(list)
    for at, label in enumerate(labels):
        places[label].append(at)
    return [pair for group in places.values() for pair in combinations(group, 2)]


def found_by(world: World, params: RegistryParams) -> Found:
    flagged = detect(world, params.detector, params.threshold)
    prints = world.registry.feature_fingerprints()
    certain = {pair for pair in flagged if prints[world.names[pair[0]]] == prints[world.names[pair[1]]]}
    reviewed = [pair for pair in flagged if pair not in certain][: params.reviews]
    refused = {pair for pair in reviewed if not same(world, pair)}
    return Found(tuple(flagged), tuple(reviewed), tuple(pair for pair in flagged if pair not in refused))


def same(world: World, pair: Pair) -> bool:
    """Whether both really compute the same: the planted truth."""
    return bool(world.root[pair[0]] == world.root[pair[1]])


def precision(world: World, pairs: Iterable[Pair]) -> float | None:
    """Share of flagged pairs that are the same; None without a pair."""
    right = [same(world, pair) for pair in pairs]
    return float(np.mean(right)) if right else None


def recall(world: World, pairs: Iterable[Pair]) -> float:
    """Share of the planted copies that the true ones of the pairs join with their original."""
    joined = {name: at for at, group in enumerate(clusters(pair for pair in pairs if same(world, pair))) for name in group}
    places = {name: at for at, name in enumerate(world.names)}
    found = [joined.get(places[entry.copy], -1) == joined.get(places[entry.original], -2) for entry in world.planted]
    return float(np.mean(found))


# --- cleaning up -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Clean:
    """The registry after merging and removing.

    removed       features that are gone
    wrong_merges  different features that were made one
    broken        models that lost something they got
    changed       models that read another feature than before under the same trust
    """

    registry: Registry
    removed: tuple[str, ...]
    wrong_merges: int
    broken: tuple[str, ...]
    changed: tuple[str, ...]


def clean_up(world: World, found: Found, params: RegistryParams) -> Clean:
    registry = copy.deepcopy(world.registry)
    removed, wrong, changed = _merge(world, registry, found.merged)
    leaving = {"keep": (), "unread": registry.unread(), "lineage": registry.orphans()}[params.orphans]
    broken: set[str] = set()
    for name in leaving:
        broken |= set(registry.models_broken_by(name))
        registry.deprecate(name, NOW_US)
        registry.remove(name, NOW_US + (UNREAD_DAYS + 1) * DAY_US)
    return Clean(registry, (*removed, *leaving), wrong, tuple(sorted(broken)), tuple(sorted(changed)))


def _merge(world: World, registry: Registry, pairs: tuple[Pair, ...]) -> tuple[list[str], int, set[str]]:
    """Of each cluster the feature that came first stays, and everybody reads it."""
    removed, wrong, changed = [], 0, set[str]()
    for group in clusters(pairs):
        keeper, *others = sorted(group)
        wrong += len({int(world.root[at]) for at in group}) - 1
        for at in others:
            if world.root[at] != world.root[keeper]:
                changed |= set(registry.reads(world.names[at]))
            registry.replace(world.names[at], world.names[keeper])
            removed.append(world.names[at])
    return removed, wrong, changed


# --- a change ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Blast:
    """What a change of `node` reaches.

    views, models  everything made from it
    broken         models that have not moved away when the change is made
    changed        models that go on reading and get other values without being told
    """

    node: str
    views: tuple[str, ...]
    models: tuple[str, ...]
    broken: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    refusal: str = ""
    retirement: Retirement | None = None
    removable_day: float | None = None


def blast(world: World, params: RegistryParams) -> Blast:
    """Of the chosen change; of none, what a change of the source would reach."""
    source, registry = f"events.{params.source}", world.registry
    if params.change == "redefine_in_place":
        return _redefined(world, _most_read_view(registry, source))
    if params.change == "deprecate":
        return _deprecated(world, _most_read(registry, source), params.grace_days)
    features = _of_column(registry, source) if params.change == "drop_column" else [source]
    reached = set(features) | {node for feature in features for node in registry.impact(feature)}
    models = tuple(sorted(reached & set(world.moves_after_days)))
    broken = tuple(model for model in models if params.change != "none" and world.moves_after_days[model] > params.grace_days)
    column = next(entry.column for entry in SOURCES if entry.name == source)
    node = f"{source}.{column}" if params.change == "drop_column" else source
    return Blast(node, _views_in(registry, reached), models, broken)


def _redefined(world: World, view: str) -> Blast:
    registry = copy.deepcopy(world.registry)
    old = registry.views[view]
    refused = registry.register(_wider(old), reason="a longer window")
    models = registry.models_broken_by(view)
    return Blast(view, (view,), models, changed=models, refusal=refused.errors[0])


def _wider(view: FeatureView) -> FeatureView:
    """The same name and version with windows twice as long."""
    return replace(view, features=tuple(replace(one, window_s=2 * (one.window_s or DAY_S)) for one in view.features))


def _deprecated(world: World, feature: str, grace_days: int) -> Blast:
    registry = copy.deepcopy(world.registry)
    readers = registry.reads(feature)
    for model in readers:  # each reads until it has moved away
        registry.record_read(feature, model, NOW_US + round(min(world.moves_after_days[model], grace_days) * DAY_US))
    registry.deprecate(feature, NOW_US, grace_days=grace_days)
    retirement = registry.remove(feature, NOW_US + grace_days * DAY_US, grace_days=grace_days)
    still = tuple(sorted(model for model in readers if world.moves_after_days[model] > grace_days))
    day = max(float(grace_days), max((world.moves_after_days[model] for model in readers), default=0.0) + UNREAD_DAYS)
    models = registry.models_broken_by(feature)
    return Blast(feature, _views_in(registry, {feature}), models, still, retirement=retirement, removable_day=day)


def _most_read(registry: Registry, source: str) -> str:
    features = [name for name in registry.impact(source) if name in registry.feature_fingerprints()]
    return max(features, key=lambda name: (len(registry.reads(name)), sum(registry.reads(name).values())))


def _most_read_view(registry: Registry, source: str) -> str:
    views = [name for name in registry.impact(source) if name in registry.views]
    return max(views, key=lambda name: (len(registry.models_broken_by(name)), name))


def _of_column(registry: Registry, source: str) -> list[str]:
    """Features over the source's value column, which is the one its features do not count."""
    column = next(entry.column for entry in SOURCES if entry.name == source)
    return [
        f"{name}:{feature.name}"
        for name, view in registry.views.items()
        if view.source == source
        for feature in view.features
        if feature.column.removesuffix("_x100") == column or column in feature.where
    ]


def _views_in(registry: Registry, nodes: set[str]) -> tuple[str, ...]:
    """The views of these nodes, of a feature the one it stands in."""
    named = {node.partition(":")[0] for node in nodes}
    return tuple(name for name in registry.views if name in named)


# --- a definition ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """same_features: {feature of the definition: published features that compute the same}."""

    registration: Registration
    same_features: dict[str, tuple[str, ...]]
    known_source: bool


def register(world: World, params: RegistryParams) -> Verdict:
    view, registry = params.view, copy.deepcopy(world.registry)
    published = registry.feature_fingerprints()
    known = view.source in {entry.source for entry in registry.views.values()}
    matches = {
        name.partition(":")[2]: tuple(other for other, theirs in published.items() if theirs == own)
        for name, own in registry.feature_fingerprints(view).items()
    }
    return Verdict(registry.register(view, reason=params.reason), matches, known)
