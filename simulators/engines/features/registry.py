"""Who owns, feeds, reads and pays for each feature, and what may change or go.

A published version never changes. What computes the same as something published is refused unless a reason is stated. A feature is
removed only after notice was given and nobody reads it any more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from simulators.engines.features.definitions import FeatureView
from simulators.engines.features.times import US_PER_S, microseconds
from simulators.errors import InvalidInput

State = Literal["experimental", "active", "deprecated", "removed"]
DAY_S = 86_400
UNREAD_DAYS = 30  # nobody may have read a feature for so long before it is removed


@dataclass(frozen=True)
class Registration:
    """`errors` say why a definition was refused; `duplicates` name published views that compute the same."""

    accepted: bool
    errors: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Retirement:
    """Where a feature stands on its way out.

    removable_at  microseconds UTC
    blocked_by    models that read it within the last 30 days
    """

    feature: str
    state: State
    removable_at: int | None = None
    blocked_by: tuple[str, ...] = ()


@dataclass
class _Feature:
    owner: str
    cost_usd: float = 0.0  # a month
    deprecated_at: int | None = None  # microseconds UTC
    removed: bool = False
    reads: dict[str, float] = field(default_factory=dict)  # model -> reads a day
    last_read: dict[str, int] = field(default_factory=dict)  # model -> microseconds UTC


class Registry:
    """Views, their features, the sources they come from and the models that read them.

    Nodes of the graph are names: a source "events.clicks", a view "growth.user_clicks v1", a feature "growth.user_clicks v1:clicks_7d",
    a model "ads_ranker". Where a view is named without a version, its newest one is meant; a feature that only one view has needs no view.
    Times are what `times.microseconds` takes: whole microseconds UTC, a datetime or ISO 8601 text.
    """

    def __init__(self) -> None:
        self._views: dict[str, FeatureView] = {}  # "name vN" -> definition
        self._features: dict[str, _Feature] = {}
        self._models: dict[str, str] = {}  # model -> team
        self._below: dict[str, set[str]] = defaultdict(set)  # node -> what is made from it
        self._above: dict[str, set[str]] = defaultdict(set)

    # --- writing -------------------------------------------------------------------------------------------------------

    def register(self, view: FeatureView, *, reason: str = "", cost_usd: float = 0.0) -> Registration:
        """Publishes `view`, or says why not; publishing the very same again changes nothing.

        reason    why a view that computes what another one does should stand beside it
        cost_usd  a month, split evenly over its features
        """
        published, same = self._views.get(str(view)), self.same_as(view)
        if published == view:
            return Registration(True, duplicates=same)
        errors = self._refusals(view, published, same, reason)
        if errors:
            return Registration(False, tuple(errors), same)
        self._views[str(view)] = view
        self._connect(view.source, str(view))
        for feature in view.features:
            self._features[f"{view}:{feature.name}"] = _Feature(view.owner, cost_usd / len(view.features))
            self._connect(str(view), f"{view}:{feature.name}")
        return Registration(True, duplicates=same)

    def _refusals(self, view: FeatureView, published: FeatureView | None, same: tuple[str, ...], reason: str) -> list[str]:
        if published is not None:
            return [f"{view} is published and cannot change: register it as version {self._newest(view.name) + 1}."]
        if view.version != self._newest(view.name) + 1:
            return [f"{view} was given; the next version of {view.name} is {self._newest(view.name) + 1}."]
        if same and not reason.strip():
            return [f"Same fingerprint as {same[0]}: reuse it or state why not."]
        return []

    def same_as(self, view: FeatureView) -> tuple[str, ...]:
        """Published views of another name that compute the same from the same root source."""
        own = self.fingerprint(view)
        return tuple(name for name, other in self._views.items() if other.name != view.name and self.fingerprint(other) == own)

    def fingerprint(self, view: FeatureView) -> str:
        """The view's fingerprint on the source its own source was derived from, however far back."""
        return view.fingerprint_from(self._root(view.source))

    def feature_fingerprints(self, view: FeatureView | None = None) -> dict[str, str]:
        """{"view vN:feature": fingerprint} of each feature alone, of one view or of all that are published."""
        views = self._views.values() if view is None else [view]
        return {f"{one}:{name}": made for one in views for name, made in one.feature_fingerprints(self._root(one.source)).items()}

    def _root(self, source: str) -> str:
        while (above := sorted(self._above.get(source, ()))) and above[0] not in self._features:
            source = above[0]
        return source

    def add_source(self, name: str, derived_from: str | None = None) -> None:
        """Names a source; one that is a copy or view of another is the same root."""
        if derived_from is not None:
            if name in (derived_from, *self.lineage(derived_from)):
                raise InvalidInput(f"Source {name} cannot come from {derived_from}, which comes from it.", field="derived_from")
            self._connect(derived_from, name)
        else:
            self._below[name] = self._below[name]

    def add_model(self, name: str, team: str, reads: Mapping[str, float]) -> None:
        """A model of `team` and the features it reads, {"view:feature": reads a day}. Raises InvalidInput for an unknown feature."""
        full = {self._feature_name(feature): float(count) for feature, count in reads.items()}
        self._models[name] = team
        for feature, count in full.items():
            self._features[feature].reads[name] = count
            self._connect(feature, name)

    def record_read(self, feature: str, model: str, now: Any) -> None:
        """Notes that `model` read `feature` at `now`."""
        self._features[self._feature_name(feature)].last_read[model] = microseconds(now)

    # --- the graph -----------------------------------------------------------------------------------------------------

    def impact(self, node: str) -> tuple[str, ...]:
        """Everything made from `node`, in alphabetical order: what a change of it may break."""
        return self._reached(self.resolve(node), self._below)

    def lineage(self, node: str) -> tuple[str, ...]:
        """Everything `node` is made from, in alphabetical order."""
        return self._reached(self.resolve(node), self._above)

    def reads(self, feature: str) -> dict[str, float]:
        """Reads a day of the feature, {model: reads}."""
        return dict(self._features[self._feature_name(feature)].reads)

    def team_of(self, model: str) -> str:
        if model not in self._models:
            raise InvalidInput(f"There is no model '{model}' in the registry.", field="model")
        return self._models[model]

    def cost_of(self, feature: str) -> float:
        """USD a month of the feature; 0 once it is removed."""
        found = self._features[self._feature_name(feature)]
        return 0.0 if found.removed else found.cost_usd

    @property
    def views(self) -> dict[str, FeatureView]:
        """Everything published, {"name vN": definition}."""
        return dict(self._views)

    def models_broken_by(self, node: str) -> tuple[str, ...]:
        return tuple(name for name in self.impact(node) if name in self._models)

    def unread(self) -> tuple[str, ...]:
        """Features that no model reads itself; something that is read may still be made from them."""
        return tuple(name for name, feature in self._features.items() if not feature.reads and not feature.removed)

    def orphans(self) -> tuple[str, ...]:
        """Features from which no model gets anything, directly or over what is derived from them."""
        return tuple(name for name in self.unread() if not self.models_broken_by(name))

    def resolve(self, node: str) -> str:
        """The full name of a node. Raises InvalidInput for one that is not there."""
        view, colon, feature = node.partition(":")
        if view not in self._views and self._newest(view):
            view = f"{view} v{self._newest(view)}"
        full = view + colon + feature
        full = full if self._is_node(full) else self._only_feature(node)
        if not full:
            raise InvalidInput(f"There is no source, view, feature or model '{node}' in the registry.", field="node")
        return full

    def _is_node(self, name: str) -> bool:
        return name in self._below or name in self._above

    def _only_feature(self, name: str) -> str:
        """The feature of this name, or of the form view.feature, among the newest versions; "" unless there is exactly one."""
        newest = [view for view in self._views.values() if view.version == self._newest(view.name)]
        found = [f"{view}:{one.name}" for view in newest for one in view.features if name in (one.name, f"{view.name}.{one.name}")]
        return found[0] if len(found) == 1 else ""

    def _reached(self, start: str, edges: Mapping[str, set[str]]) -> tuple[str, ...]:
        seen, waiting = set(), [start]
        while waiting:
            for node in edges.get(waiting.pop(), ()):
                if node not in seen:
                    seen.add(node)
                    waiting.append(node)
        return tuple(sorted(seen))

    def _connect(self, above: str, below: str) -> None:
        self._below[above].add(below)
        self._above[below].add(above)

    # --- money and the way out -----------------------------------------------------------------------------------------

    def cost(self, by: Literal["team", "model"] = "team") -> dict[str, float]:
        """USD a month: each feature's cost split over its readers by their reads.

        What nobody reads is its owner's (`team`), or stands under "unread" (`model`).
        """
        if by not in ("team", "model"):
            raise InvalidInput(f"by is '{by}'; expected 'team' or 'model'.", field="by")
        totals: dict[str, float] = defaultdict(float)
        for feature in self._features.values():
            if feature.removed:
                continue
            reads = sum(feature.reads.values())
            if not reads:
                totals[feature.owner if by == "team" else "unread"] += feature.cost_usd
            for model, count in feature.reads.items() if reads else ():
                totals[self._models[model] if by == "team" else model] += feature.cost_usd * count / reads
        return dict(totals)

    def state(self, feature: str) -> State:
        """experimental: nobody reads it yet; active; deprecated: notice was given; removed."""
        found = self._features[self._feature_name(feature)]
        if found.removed:
            return "removed"
        if found.deprecated_at is not None:
            return "deprecated"
        return "active" if found.reads or found.last_read else "experimental"

    def deprecate(self, feature: str, now: Any, *, grace_days: float = 30) -> Retirement:
        """Gives notice; a feature under notice keeps its first date. It still serves until it is removed."""
        name, at = self._feature_name(feature), microseconds(now)
        found = self._features[name]
        if found.removed:
            return Retirement(name, "removed")
        found.deprecated_at = at if found.deprecated_at is None else found.deprecated_at
        return Retirement(name, "deprecated", found.deprecated_at + _days(grace_days), self._readers(found, at))

    def remove(self, feature: str, now: Any, *, grace_days: float = 30) -> Retirement:
        """Removes a feature after its notice, unless a model read it within 30 days; the state says whether it is gone.

        Raises InvalidInput where no notice was given.
        """
        name, at = self._feature_name(feature), microseconds(now)
        found = self._features[name]
        if found.deprecated_at is None:
            raise InvalidInput(f"{name} was never deprecated; give notice first.", field="feature")
        due, readers = found.deprecated_at + _days(grace_days), self._readers(found, at)
        if at < due or readers:
            return Retirement(name, "deprecated", due, readers)
        found.removed = True
        return Retirement(name, "removed")

    def replace(self, feature: str, by: str) -> Retirement:
        """Gives every reader of `feature` another one that computes the same, and removes `feature` at once."""
        name, heir = self._feature_name(feature), self._feature_name(by)
        if name == heir:
            raise InvalidInput(f"{name} cannot replace itself.", field="by")
        found, into = self._features[name], self._features[heir]
        for model, count in found.reads.items():
            into.reads[model] = into.reads.get(model, 0.0) + count
            self._below[name].discard(model)
            self._above[model].discard(name)
            self._connect(heir, model)
        for model, at in found.last_read.items():
            into.last_read[model] = max(at, into.last_read.get(model, at))
        found.reads, found.last_read, found.removed = {}, {}, True
        return Retirement(name, "removed")

    def _readers(self, feature: _Feature, now: int) -> tuple[str, ...]:
        return tuple(sorted(model for model, at in feature.last_read.items() if now - at <= _days(UNREAD_DAYS)))

    # --- names ---------------------------------------------------------------------------------------------------------

    def _feature_name(self, feature: str) -> str:
        name = self.resolve(feature)
        if name not in self._features:
            raise InvalidInput(f"'{feature}' is not a feature; name one as in view:feature.", field="feature")
        return name

    def _newest(self, view: str) -> int:
        return max((other.version for other in self._views.values() if other.name == view), default=0)


def _days(days: float) -> int:
    """In microseconds."""
    return round(days * DAY_S * US_PER_S)
