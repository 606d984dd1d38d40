"""One run on the synthetic world: what every join gave each label, and what the models trained on it score."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.pit import PointInTimeIndex
from simulators.engines.features.times import US_PER_S
from simulators.feature_store import _pit_world as world
from simulators.feature_store._pit_joins import CLOSE_US, Asked, Joined, Rules, Store, join
from simulators.feature_store._pit_model import MOST_TEST_ROWS, MOST_TRAIN_ROWS, Part, Scores, scores_steps
from simulators.feature_store._pit_params import JOINS, LOG_GB_A_DAY, Join, PointInTimeParams
from simulators.feature_store._pit_scores import Placements, placements
from simulators.lab import Context, Progress, Working

Flags = NDArray[np.bool_]


class World(NamedTuple):
    """The labels, everything the offline store holds, and what the online store served for each label."""

    shown: world.Impressions
    rows: world.FeatureRows
    served: NDArray[np.float64]
    store: Store


@dataclass
class Study:
    """Joins over all labels, scores as they come in. `join_ms` is processor time of the chosen join, its index in memory."""

    params: PointInTimeParams
    world: World
    joins: dict[Join, Joined]
    join_ms: float
    ceiling: Placements  # of the true click probability over the test rows
    scores: dict[Join, Scores] = field(default_factory=dict)

    @property
    def chosen(self) -> Join:
        return self.params.join

    @property
    def score(self) -> Scores:
        return self.scores[self.chosen]

    def asked(self, mode: Join) -> Flags:
        """Labels (n,) that `mode` is asked for: all of them, or for a log those from its first day on."""
        at = self.world.shown.at_us
        return at >= log_start_us(self.params) if mode == "served_log" else np.ones(len(at), dtype=bool)

    def joined(self, mode: Join) -> Joined:
        """`mode` over the labels it is asked for."""
        return self.joins[mode].only(self.asked(mode)) if mode == "served_log" else self.joins[mode]

    def wait_days(self, mode: Join) -> int:
        return self.params.wait_days if mode == "served_log" else 0

    def log_gb_a_day(self, mode: Join) -> float:
        return LOG_GB_A_DAY[self.params.log_scope] if mode == "served_log" else 0.0


def log_start_us(params: PointInTimeParams) -> int:
    """A log that starts on the day it is decided: training begins when it is `wait_days` long."""
    return world.TRAIN_END_US - params.wait_days * world.DAY_US


def world_steps(ctx: Context, params: PointInTimeParams) -> Working[World]:
    shown = yield from world.impressions_steps(ctx, params)
    key = _world_key(ctx, params)
    rows, store = yield from ctx.asset_steps(f"pit/store/{key}", lambda: _stored(ctx, shown, params), disk=False)
    held = yield from ctx.asset_steps(f"pit/served/{key}/{params.ttl}/{params.upper}", lambda: _served(ctx, shown, params), disk=False)
    return World(shown, rows, held, store)


def _world_key(ctx: Context, params: PointInTimeParams) -> str:
    late = f"late={params.late_share}/{params.late_hours}"
    return f"n={params.impressions}/drift={params.drift}/w={params.window}/{late}/seed={ctx.seed}"


def _stored(ctx: Context, shown: world.Impressions, params: PointInTimeParams) -> Working[tuple[world.FeatureRows, Store]]:
    rows = yield from world.rows_steps(shown, world.arrivals(ctx, shown, params), params.window * world.DAY_US)
    yield Progress(1, 2, "indexing feature rows")
    index = PointInTimeIndex(rows.user, rows.event_us, rows.value, rows.created_us)
    yield Progress(2, 2, "indexing feature rows")
    return rows, Store(index, rows.event_us, rows.created_us)


def _served(ctx: Context, shown: world.Impressions, params: PointInTimeParams) -> Working[NDArray[np.float64]]:
    arrival_us, window_us = world.arrivals(ctx, shown, params), params.window * world.DAY_US
    ttl_us, inclusive = round(params.ttl * world.DAY_US), params.upper == "inclusive"
    return (yield from world.served_steps(shown, arrival_us, window_us, ttl_us=ttl_us, inclusive=inclusive))


def joins_steps(params: PointInTimeParams, found: World) -> Working[tuple[dict[Join, Joined], float]]:
    """Every join over every label, and the processor time (ms) of the chosen one."""
    asked = Asked(found.shown.user, found.shown.at_us, found.shown.at_us + CLOSE_US)
    rules = Rules(params.upper, params.ttl * world.DAY_US / US_PER_S)
    joins, join_ms = dict[Join, Joined](), 0.0
    for mode in JOINS:
        started = time.thread_time()
        joins[mode] = join(mode, found.store, asked, rules)
        if mode == params.join:
            join_ms = 1e3 * (time.thread_time() - started)
        yield Progress(len(joins), len(JOINS), "joining")
    joins["served_log"] = joins["served_log"]._replace(value=found.served)
    return joins, join_ms


def study_of(ctx: Context, params: PointInTimeParams, found: World, joins: dict[Join, Joined], join_ms: float) -> Study:
    test = _sample(ctx, found.shown.at_us >= world.TRAIN_END_US, MOST_TEST_ROWS)
    return Study(params, found, joins, join_ms, placements(found.shown.clicked[test], found.shown.probability[test]))


def score_steps(ctx: Context, study: Study, mode: Join) -> Working[None]:
    """Trains and scores `mode`, or takes it from an earlier run of the same world and join."""
    p = study.params
    wait = f"/wait={p.wait_days}" if mode == "served_log" else ""
    key = f"pit/scores/{_world_key(ctx, p)}/{mode}/{p.model}/{p.ttl}/{p.upper}{wait}"
    study.scores[mode] = yield from ctx.asset_steps(key, lambda: _scored(ctx, study, mode), disk=False)


def _scored(ctx: Context, study: Study, mode: Join) -> Working[Scores]:
    shown, value = study.world.shown, study.joins[mode].value
    before = shown.at_us < world.TRAIN_END_US

    def part(wanted: Flags, most: int) -> Part:
        chosen = _sample(ctx, wanted, most)
        return Part(value[chosen], study.world.served[chosen], shown.quality[chosen], shown.clicked[chosen])

    return (yield from scores_steps(study.params.model, part(before & study.asked(mode), MOST_TRAIN_ROWS), part(~before, MOST_TEST_ROWS)))


def _sample(ctx: Context, wanted: Flags, most: int) -> NDArray[np.int64]:
    rows = np.flatnonzero(wanted)
    return rows if len(rows) <= most else np.sort(ctx.rng("sample").choice(rows, most, replace=False))
