"""A company's features: 200 in a registry, 40 of them the same as another one, with values, readers and prices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.definitions import Feature, FeatureView
from simulators.engines.features.duplicates import rank_correlations
from simulators.engines.features.registry import DAY_S, Registry
from simulators.engines.features.times import US_PER_S
from simulators.engines.features.windows import EventLog, bounds
from simulators.lab import Context, Progress, Working

Floats = NDArray[np.float64]
Kind = Literal["renamed", "unit", "rescaled", "lagged"]
TEAMS = ("ads", "growth", "search", "risk", "feed", "support")
GONE_TEAM = "labs"  # disbanded; some of its features are still there
DAYS, SAMPLED, MODELS = 28, 2_000, 30
NOW_US = 20_000 * DAY_S * US_PER_S
LAG_S = 3_600
BOTS = 0.15
CLICKS = "growth.clicks_7d"
PRICE_USD, PRICE_SPREAD = 300.0, 0.3
UNREAD = 20  # features that no model gets anything from
STILL_READ_DAYS = 20.0  # a model that has to move away needs so long, on average


class Source(NamedTuple):
    """events_a_day  of a median entity"""

    name: str
    column: str
    events_a_day: float


SOURCES = (
    Source("events.ad_clicks", "bid", 1.4),
    Source("events.page_views", "dwell_s", 1.5),
    Source("events.purchases", "amount", 0.9),
    Source("events.searches", "results", 1.1),
    Source("events.messages", "letters", 1.3),
    Source("events.video_plays", "watch_s", 1.0),
    Source("events.logins", "session_s", 1.2),
    Source("events.tickets", "wait_s", 0.8),
)
_OPS = ("count", "sum", "avg", "min", "max", "std", "last")
_WINDOWS_D = (1, 7, 28)
_COPIES: dict[Kind, int] = {"renamed": 10, "unit": 10, "rescaled": 10, "lagged": 10}
_OF_CLICKS: dict[Kind, int] = {"renamed": 2, "unit": 2, "rescaled": 2, "lagged": 1}  # seven ways to count clicks
_LAGGED_SHORT = 4  # of the lagged copies, those of one-day windows, where an hour is much


class Planted(NamedTuple):
    """A feature that computes the same as `original`."""

    copy: str
    original: str
    kind: Kind


@dataclass(frozen=True)
class World:
    """names (f,) of all features; correlations (f, f) of their values; root (f,): the number of what each really computes."""

    registry: Registry
    names: tuple[str, ...]
    correlations: Floats
    root: NDArray[np.int64]
    planted: tuple[Planted, ...]
    moves_after_days: dict[str, float]  # how long each model needs to move away from a feature


def world_steps(ctx: Context) -> Working[World]:
    """Built once a seed."""
    return (yield from ctx.asset_steps(f"features/registry/seed={ctx.seed}/v1", lambda: _built(ctx)))


def _built(ctx: Context) -> Working[World]:
    draws = ctx.rng("registry/definitions")
    views, planted = _definitions(draws)
    registry = _registered(views, ctx.rng("registry/prices"))
    moves = _with_models(registry, planted, ctx.rng("registry/models"))
    yield Progress(1, 20, "registering 200 features")
    names = [f"{view}:{feature.name}" for view in views for feature in view.features]
    values = yield from _values(views, ctx)
    original = {entry.copy: entry.original for entry in planted}
    places = {name: at for at, name in enumerate(names)}
    root = np.array([places[original.get(name, name)] for name in names])
    return World(registry, tuple(names), rank_correlations(values), root, tuple(planted), moves)


# --- definitions -------------------------------------------------------------------------------------------------------


def _definitions(draws: np.random.Generator) -> tuple[list[FeatureView], list[Planted]]:
    views = [*_clicks(), *(view for source in SOURCES for view in _views_of(source, draws)), *_derived()]
    originals = {f"{view}:{feature.name}": (view, feature) for view in views for feature in view.features if "derived" not in view.source}
    taken = {f"{CLICKS} v{version}:clicks_7d" for version in (1, 2, 3)}
    copies: list[FeatureView] = []
    planted: list[Planted] = []
    for kind, name in _chosen(originals, taken, draws):
        view, feature = originals[name]
        copy = _copy(view, feature, kind, len(planted), draws)
        copies.append(copy)
        planted.append(Planted(f"{copy}:{copy.features[0].name}", name, kind))
    return [*views, *copies], planted


def _chosen(originals: dict[str, tuple[FeatureView, Feature]], taken: set[str], draws: np.random.Generator) -> Iterator[tuple[Kind, str]]:
    """What is copied and how: the clicks of a week seven times, others once."""
    free = [name for name in originals if name not in taken and originals[name][1].op != "count"]
    order = [free[at] for at in draws.permutation(len(free))]
    for at in range(_COPIES["lagged"] - _OF_CLICKS["lagged"]):
        wanted = ":sum_1d" if at < _LAGGED_SHORT else ":sum_28d"
        name = next(one for one in order if one.endswith(wanted))
        order.remove(name)
        yield "lagged", name
    for kind, count in _COPIES.items():
        yield from ((kind, f"{CLICKS} v3:clicks_7d") for _ in range(_OF_CLICKS[kind]))
        if kind != "lagged":
            yield from ((kind, order.pop()) for _ in range(count - _OF_CLICKS[kind]))


def _clicks() -> list[FeatureView]:
    """Three versions of one view: every click, those of people, those of people that were paid for."""
    wheres = ("", "is_bot = 0 and bid > 3", "is_bot = 0")
    base = _view(CLICKS, SOURCES[0].name, "growth", [Feature("clicks_7d", "count", "", 7 * DAY_S)])
    return [replace(base, version=at, features=(replace(base.features[0], where=where),)) for at, where in enumerate(wheres, start=1)]


def _views_of(source: Source, draws: np.random.Generator) -> Iterator[FeatureView]:
    """A view a window; 20 features a source, of the clicks three fewer, and of the first two sources one fewer each (see `_derived`)."""
    noun = source.name.partition(".")[2]
    skipped = {("last", 28)} | ({("count", 7), ("std", 28), ("last", 7), ("min", 28)} if source is SOURCES[0] else set())
    skipped |= {("last", 7)} if source is SOURCES[1] else set()
    for days in _WINDOWS_D:
        team = str(draws.choice((*TEAMS, GONE_TEAM)))
        features = [
            Feature(f"{op}_{days}d", op, "" if op == "count" else source.column, days * DAY_S) for op in _OPS if (op, days) not in skipped
        ]
        yield _view(f"{team}.{noun}_{days}d", source.name, team, features, sla_s=26 * 3_600.0 if draws.random() < 0.7 else None)


def _derived() -> list[FeatureView]:
    """Features made from other features: whoever looks at direct readers only does not see them."""
    return [
        _view("feed.click_value", "derived.click_value", "feed", [Feature("click_value", "value", "click_value")]),
        _view("risk.dwell_ratio", "derived.dwell_ratio", "risk", [Feature("dwell_ratio", "value", "dwell_ratio")]),
    ]


_DERIVED = ("click_value", "dwell_ratio")
MADE_FROM = {"derived.click_value": "events.ad_clicks", "derived.dwell_ratio": "events.page_views"}


def _view(name: str, source: str, owner: str, features: list[Feature], sla_s: float | None = 26 * 3_600.0) -> FeatureView:
    return FeatureView(name, ("user_id",), source, "event_timestamp", "ingested_at", None, tuple(features), "batch", owner, sla_s)


def _copy(view: FeatureView, feature: Feature, kind: Kind, number: int, draws: np.random.Generator) -> FeatureView:
    """The same in a view of another team's own."""
    team = str(draws.choice([team for team in TEAMS if team != view.owner]))
    noun, source = view.source.partition(".")[2], view.source
    made = replace(feature, name=f"{noun}_{feature.op}_{number}")
    if kind == "unit":
        made = replace(made, name=f"{noun}_{feature.op}_{round((feature.window_s or 0) / 3_600)}h")
    if kind == "rescaled":
        made = replace(made, op="sum" if feature.op == "count" else feature.op, column=f"{feature.column or 'one'}_x100")
    if kind == "lagged":
        made, source = replace(made, name=feature.name), f"lake.{noun}_hourly"
    return _view(f"{team}.{noun}_set{number}", source, team, [made], sla_s=None)


# --- readers and prices ------------------------------------------------------------------------------------------------


def _registered(views: list[FeatureView], draws: np.random.Generator) -> Registry:
    registry = Registry()
    for source in SOURCES:
        registry.add_source(source.name)
    for view in views:
        price = sum(PRICE_USD * np.exp(PRICE_SPREAD * draws.standard_normal(len(view.features))))
        accepted = registry.register(view, reason="planted", cost_usd=float(price))
        assert accepted.accepted, accepted.errors
    for derived, origin in MADE_FROM.items():
        registry.add_source(derived, derived_from=_input_of(registry, origin))
    return registry


def _input_of(registry: Registry, source: str) -> str:
    """The feature of `source` that a derived source is made from: its deviation over a week."""
    return next(name for name in registry.impact(source) if name.endswith(":std_7d"))


def _with_models(registry: Registry, planted: list[Planted], draws: np.random.Generator) -> dict[str, float]:
    """30 models with what they read; 20 features reach none of them, and two more have no reader but feed a derived one."""
    names = list(registry.feature_fingerprints())
    inputs = {_input_of(registry, source) for source in MADE_FROM.values()}
    kept = {name for entry in planted for name in entry[:2]} | {name for name in names if name.partition(":")[2] in _DERIVED} | inputs
    old = {f"{CLICKS} v1:clicks_7d", f"{CLICKS} v2:clicks_7d"}
    alone = [name for name in names if name not in kept | old]
    unread = inputs | old | {str(name) for name in draws.choice(alone, UNREAD - len(old), replace=False)}
    readable = [name for name in names if name not in unread]
    reads: dict[str, dict[str, float]] = {f"model_{at:02d}": {} for at in range(1, MODELS + 1)}
    models = list(reads)
    for name in readable:  # everybody has a reader, and some have many
        for model in draws.choice(models, 1 + int(draws.geometric(0.5)), replace=False):
            reads[str(model)][name] = float(np.round(draws.lognormal(9, 1)))
    for model in models:
        registry.add_model(model, TEAMS[int(draws.integers(len(TEAMS)))], reads[model])
    return {model: float(draws.exponential(STILL_READ_DAYS)) for model in models}


# --- values ------------------------------------------------------------------------------------------------------------


class Events(NamedTuple):
    entity: NDArray[np.int64]
    ts: NDArray[np.int64]
    value: Floats
    is_bot: NDArray[np.bool_]


def _events(source: Source, draws: np.random.Generator) -> Events:
    rates = source.events_a_day * draws.lognormal(0, 0.8, SAMPLED)
    entity = np.repeat(np.arange(SAMPLED), draws.poisson(rates * (DAYS + 1)))
    ts = NOW_US - draws.integers(0, (DAYS + 1) * DAY_S * US_PER_S, len(entity))
    level = draws.normal(1, 0.5, SAMPLED)
    return Events(entity, ts, np.exp(level[entity] + 0.8 * draws.standard_normal(len(entity))), draws.random(len(entity)) < BOTS)


def _values(views: list[FeatureView], ctx: Context) -> Working[Floats]:
    """What each feature holds for each sampled entity (2,000, f), as each definition says."""
    events = {source.name: _events(source, ctx.rng(f"registry/events/{source.name}")) for source in SOURCES}
    logs: dict[tuple[str, str], EventLog] = {}
    columns: list[Floats] = []
    for view in views:
        for feature in view.features:
            columns.append(_derived_values(events, view.source) if view.source in MADE_FROM else _computed(events, logs, view, feature))
        yield Progress(len(columns), 200, "computing values of 2,000 entities")
    return np.column_stack(columns)


def _computed(events: dict[str, Events], logs: dict[tuple[str, str], EventLog], view: FeatureView, feature: Feature) -> Floats:
    lag = LAG_S if view.source.startswith("lake.") else 0
    name = f"events.{view.source.partition('.')[2].removesuffix('_hourly')}" if lag else view.source
    log = logs.get((name, feature.where)) or logs.setdefault((name, feature.where), _log(events[name], feature.where))
    start, end = bounds(np.full(SAMPLED, NOW_US - lag * US_PER_S), feature.window_s or DAY_S, "sliding")
    low, high = log.places(np.arange(SAMPLED), start, end)
    op = "count" if feature.column == "one_x100" else feature.op
    scale = 100.0 if feature.column.endswith("_x100") else 1.0
    return scale * log.over(low, high, op)  # type: ignore[arg-type]


def _log(events: Events, where: str) -> EventLog:
    kept = np.ones(len(events.ts), dtype=bool)
    if "is_bot" in where:
        kept &= ~events.is_bot
    if "bid > 3" in where:
        kept &= events.value > 3
    return EventLog(events.entity[kept], events.ts[kept], events.value[kept])


def _derived_values(events: dict[str, Events], source: str) -> Floats:
    """A week's sum over a month's count."""
    from_events = events[MADE_FROM[source]]
    recent = from_events.ts >= NOW_US - 7 * DAY_S * US_PER_S
    total = np.bincount(from_events.entity[recent], from_events.value[recent], SAMPLED)
    return total / (1 + np.bincount(from_events.entity, minlength=SAMPLED))
