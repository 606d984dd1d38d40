"""A live stream around the fault: features written to the online store, read back by requests, compared with their recomputation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.engines.features.freshness import Sla, SlaResult
from simulators.engines.features.in_process import InProcessClient
from simulators.engines.features.online import OnlineStore
from simulators.engines.features.parity import ParityReport, compare
from simulators.engines.features.times import US_PER_S
from simulators.feature_store._parity_monitors import QUANTILE, differing, hit, recomputed
from simulators.feature_store._parity_params import ParityParams
from simulators.feature_store._parity_world import CLICKS, FEATURES, SESSION, Flags, Floats, World
from simulators.lab import Context, KeySpace, Progress, Working

BEFORE, AFTER, ROWS = 8, 16, 100  # checks before and after the fault begins, requests of each that are replayed
VIEWS = ("clicks", "profile", "cart", "session")  # one feature each
SCHEMA = {view: (feature,) for view, feature in zip(VIEWS, FEATURES, strict=True)}
FAULT_AT_S = 1_767_268_800  # 2026-01-01 12:00
OTHER_AGE_S = 1_800.0  # of what batch jobs write
LATE_NOTE = "late events had happened and were not known yet"


@dataclass(frozen=True)
class Live:
    """Checks (c,) at `minutes` from the fault; rows of check i stand from ROWS i on.

    served, offline (c ROWS, 4); age_s (c ROWS,) of the stream's features, as the store said; differs (c ROWS,)
    """

    minutes: Floats
    served: Floats
    offline: Floats
    age_s: Floats
    differs: Flags
    rtol: float
    real_store: bool

    @property
    def mismatch(self) -> Floats:
        """Share (c,) of each check's rows that differ."""
        return np.asarray(self.differs.reshape(-1, ROWS).mean(axis=1))

    @property
    def report(self) -> ParityReport:
        """The rows since the fault began."""
        return compare(self.served[BEFORE * ROWS :], self.offline[BEFORE * ROWS :], rtol=self.rtol, names=FEATURES)

    def ages(self, sla_s: float) -> list[SlaResult]:
        """Each check's ages against the promise."""
        return [Sla(sla_s, QUANTILE).check(part) for part in self.age_s.reshape(-1, ROWS)]


@dataclass(frozen=True)
class Batch:
    """Requests (ROWS,) of one check: rows of the world, which of them the fault reaches, and the time."""

    rows: NDArray[np.int64]
    faulty: Flags
    now_s: float
    since_s: float  # the fault began, negative before


class _Clock:
    """The world's time, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def live(ctx: Context, world: World, params: ParityParams) -> Working[Live]:
    """Replays the checks against the run's key space, or in this process where there is none."""
    with ctx.key_space() as space:
        clock = _Clock()
        store = _store(space, clock)
        parts = []
        for batch in _batches(ctx, world, params):
            clock.now_s = batch.now_s
            _write(store, world, params, batch)
            served, age = _read(store, params, batch)
            parts.append((served, _offline(world, params, batch), age))
            yield Progress(len(parts), BEFORE + AFTER, "replaying requests")
        real = space is not None
    served, offline, age = (np.concatenate(column) for column in zip(*parts, strict=True))
    minutes = np.asarray(params.interval * (np.arange(BEFORE + AFTER) - BEFORE + 0.5), dtype=float)
    return Live(minutes, served, offline, age, differing(served, offline, params.rtol), params.rtol, real)


def _store(space: KeySpace | None, clock: _Clock) -> OnlineStore:
    client: Any = space.client if space else InProcessClient()
    prefix, expire_s = (space.prefix, space.keep_s) if space else ("", None)
    return OnlineStore(client, SCHEMA, "view_hash", prefix, expire_s=expire_s, clock=clock)


def _batches(ctx: Context, world: World, params: ParityParams) -> list[Batch]:
    rows = ctx.rng("parity/replay").choice(len(world.clicked), (BEFORE + AFTER) * ROWS, replace=False).reshape(-1, ROWS)
    affected, made = hit(ctx, params), []
    for check, part in enumerate(rows):
        since = 60 * params.interval * (check - BEFORE + 0.5)
        faulty = affected[part] & (since > 0) & (params.fault != "none")
        made.append(Batch(part, faulty, FAULT_AT_S + since, since))
    return made


def _write(store: OnlineStore, world: World, params: ParityParams, batch: Batch) -> None:
    """What the writers make of it. A missing value is not written; a stalled stream has written its last before the fault."""
    own = world.served[batch.rows] if params.fault in ("wrong_key", "missing_zero") else world.values(params.fault)[batch.rows]
    values = np.where(batch.faulty[:, None], own, world.served[batch.rows])
    if params.fault == "missing_zero":
        lost = batch.faulty & (world.faulty["missing_zero"][batch.rows, CLICKS] != world.served[batch.rows, CLICKS])
        values[lost, CLICKS] = np.nan
    for i, view in enumerate(VIEWS):
        age = np.full(ROWS, OTHER_AGE_S)
        if i == SESSION:
            stalled = batch.faulty & (params.fault == "stalled")
            age = world.lag_s[batch.rows] + np.where(stalled, batch.since_s, 0.0)
        there = ~np.isnan(values[:, i])
        stamps = np.round((batch.now_s - age) * US_PER_S).astype(np.int64)
        store.write(view, batch.rows[there].tolist(), values[there, i : i + 1], stamps[there])


def _read(store: OnlineStore, params: ParityParams, batch: Batch) -> tuple[Floats, Floats]:
    """What requests get: with a wrong key, the clicks of the next one's user; with a default, 0 where nothing is stored."""
    keys = batch.rows.tolist()
    read = store.read(keys, FEATURES)
    served = read.values.copy()
    if params.fault == "wrong_key":
        wrong = store.read(np.roll(batch.rows, 1).tolist(), [FEATURES[CLICKS]])
        served[:, CLICKS] = np.where(batch.faulty, wrong.values[:, 0], served[:, CLICKS])
    if params.fault == "missing_zero":
        served[:, CLICKS] = np.where(batch.faulty & np.isnan(served[:, CLICKS]), 0.0, served[:, CLICKS])
    return served, read.age_s[:, SESSION]


def _offline(world: World, params: ParityParams, batch: Batch) -> Floats:
    return recomputed(world, params.fault, batch.faulty, params, batch.rows)
