"""What each fault does to the model, and how long each monitor takes to see it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binom

from simulators.engines.features.freshness import Sla
from simulators.engines.features.parity import ParityReport, compare, psi, psi_of_shares, quantile_shares
from simulators.feature_store._parity_params import FAULTS, Fault, Monitor, ParityParams
from simulators.feature_store._parity_world import FEATURES, Flags, Floats, N, World
from simulators.feature_store._pit_scores import Estimate, Placements, area, calibration, difference, placements
from simulators.lab import Context, Progress, Working

DAY_MIN = 1_440
BASE_SHARE, FALSE_ALARM = 0.001, 1e-5  # rows that may differ without a fault, and how often a check may be wrong about it
PSI_ALARM, PSI_BINS, DRAWS = 0.2, 10, 400
_SOUND: Fault = "none"
QUANTILE = 0.99


@dataclass(frozen=True)
class Harm:
    """What one fault does to the model and to the distributions, at the chosen share of requests."""

    auc: Estimate
    loss: Estimate  # of AUC against the healthy system, paired
    calibration: float
    prediction: float  # mean prediction against the healthy one, minus 1
    psi: Floats  # (4,)

    @property
    def worst_psi(self) -> float:
        return float(self.psi.max())


@dataclass(frozen=True)
class Damage:
    """One fault: its harm, and what comparing rows says. Rows that differ are those of which any feature does."""

    fault: Fault
    harm: Harm
    report: ParityReport
    rows_differ: float


@dataclass(frozen=True)
class Watch:
    """How a monitor does: chance (0 to 1) that a check raises an alarm, healthy and by fault; the wait before it can, in minutes."""

    monitor: Monitor
    healthy: float
    alarm: dict[Fault, float]
    wait_min: dict[Fault, float] = field(default_factory=dict)

    def minutes(self, fault: Fault, interval: float) -> float:
        """Mean minutes from the fault to the first alarm; a day where it is never seen, or later than that.

        A fault begins anywhere between two checks. An alarm no more likely than on a healthy day is none.
        """
        chance = self.alarm[fault]
        if chance <= 2 * self.healthy + 1e-3:
            return DAY_MIN
        return min(DAY_MIN, self.wait_min.get(fault, 0.0) + interval * (1 / chance - 0.5))

    def false_alarms(self, interval: float) -> float:
        return self.healthy * DAY_MIN / interval


def hit(ctx: Context, params: ParityParams) -> Flags:
    """The requests (n,) that a fault reaches; more of them at a larger share."""
    return np.asarray(ctx.rng("parity/affected").random(N) < params.affected / 100)


def mixed(world: World, fault: Fault, affected: Flags) -> Floats:
    return np.where(affected[:, None], world.values(fault), world.served)


def damages(ctx: Context, world: World, params: ParityParams) -> Working[dict[Fault, Damage]]:
    """Every fault of the catalogue, and none."""
    found: dict[Fault, Damage] = {}
    affected, share = hit(ctx, params), f"{ctx.seed}/{params.affected}"
    healthy = ctx.asset(f"parity/healthy/{ctx.seed}", partial(placements, world.clicked, world.score[_SOUND]), disk=False)
    yield Progress(0, len(FAULTS) + 1, "measuring faults")
    for name in (_SOUND, *FAULTS):
        harm = ctx.asset(f"parity/harm/{share}/{name}", partial(_harm, world, name, affected, healthy), disk=False)
        yield Progress(len(found), len(FAULTS) + 1, "measuring faults")
        key = f"parity/rows/{share}/{params.rtol}/{params.recompute}/{name}"
        report, rows = ctx.asset(key, partial(_rows, world, name, affected, params), disk=False)
        found[name] = Damage(name, harm, report, rows)
        yield Progress(len(found), len(FAULTS) + 1, "measuring faults")
    return found


def _harm(world: World, fault: Fault, affected: Flags, healthy: Placements) -> Harm:
    served, score = mixed(world, fault, affected), np.where(affected, world.score[fault], world.score[_SOUND])
    now = placements(world.clicked, score)
    return Harm(
        area(now),
        difference(now, healthy),
        calibration(world.clicked, score),
        float(score.mean() / world.score[_SOUND].mean() - 1),
        np.array([psi(world.trained[:, i], served[:, i], PSI_BINS) for i in range(len(FEATURES))]),
    )


def _rows(world: World, fault: Fault, affected: Flags, params: ParityParams) -> tuple[ParityReport, float]:
    served, offline = mixed(world, fault, affected), recomputed(world, fault, affected, params)
    report = compare(served, offline, rtol=params.rtol, names=FEATURES)
    return report, float(differing(served, offline, params.rtol).mean())


def recomputed(world: World, fault: Fault, affected: Flags, params: ParityParams, rows: Any = slice(None)) -> Floats:
    """What the offline side says for `rows`, of which the fault reaches `affected`."""
    hurt, sound = (np.asarray(world.recomputed(kind, params.recompute)[rows]) for kind in (fault, _SOUND))
    return np.where(affected[:, None], hurt, sound)


def differing(served: Floats, offline: Floats, rtol: float) -> Flags:
    """Rows (n,) of which any feature differs, is missing or is extra."""
    with np.errstate(invalid="ignore"):
        near = np.abs(served - offline) <= rtol * np.abs(offline)
    return np.asarray(~(near | (np.isnan(served) & np.isnan(offline))).all(axis=1))


def samples_needed(share: float, confidence: float = 0.95) -> float:
    """Rows of which, with this confidence, one shows a fault that `share` of all rows have."""
    return math.log(1 - confidence) / math.log1p(-share) if 0 < share < 1 else 1.0


# --- monitors ----------------------------------------------------------------------------------------------------------------


def watches(ctx: Context, world: World, params: ParityParams, found: dict[Fault, Damage]) -> Working[dict[Monitor, Watch]]:
    """All four monitors, also those that are not switched on."""
    made: dict[Monitor, Watch] = {"parity": _parity(params, found), "golden": _golden(world, params)}
    yield Progress(2, 4, "watching")
    made["freshness"] = _freshness(world, params)
    made["psi"] = yield from _psi(ctx, world, params)
    return made


def _alarm_chance(n: int, share: float) -> float:
    """Chance that `n` rows, of which `share` differ, hold more that do than a healthy system would show."""
    least = binom.isf(FALSE_ALARM, n, BASE_SHARE) + 1
    return float(binom.sf(least - 1, n, share))


def _parity(params: ParityParams, found: dict[Fault, Damage]) -> Watch:
    chance = {fault: _alarm_chance(params.rows, damage.rows_differ) for fault, damage in found.items()}
    return Watch("parity", chance.pop(_SOUND), chance)


def _golden(world: World, params: ParityParams) -> Watch:
    """Known answers: no race and nothing late; and nobody streams events to a golden entity, so a stalled stream goes unseen."""
    clean = world.known.copy()
    clean[:, 2] = clean[:, 2].astype(np.float32)
    base = float(differing(clean, world.known, params.rtol).mean())
    chance = {fault: _alarm_chance(params.golden_n, base) for fault in FAULTS}
    for fault in FAULTS:
        if fault != "stalled":
            share = float(differing(world.faulty[fault], world.known, params.rtol).mean())
            mixed_share = params.affected / 100 * share + (1 - params.affected / 100) * base
            chance[fault] = _alarm_chance(params.golden_n, mixed_share)
    return Watch("golden", _alarm_chance(params.golden_n, base), chance)


def _freshness(world: World, params: ParityParams) -> Watch:
    """Ages against the promise. A stalled stream must have grown old enough, and must hit more requests than the quantile forgives."""
    sla = Sla(params.sla, QUANTILE)
    healthy = sla.check(world.lag_s)
    always = 1.0 if healthy.status == "breached" else 0.0
    chance = dict.fromkeys(FAULTS, always)
    if params.affected / 100 > 1 - QUANTILE:
        chance["stalled"] = 1.0
    wait = max(0.0, params.sla - float(np.median(world.lag_s))) / 60
    return Watch("freshness", always, chance, {"stalled": wait})


def _psi(ctx: Context, world: World, params: ParityParams) -> Working[Watch]:
    """Samples of each check drawn from the bins that served values fall into."""
    draws, affected, chance = ctx.rng("parity/psi"), hit(ctx, params), {}
    for fault in (_SOUND, *FAULTS):
        key = f"parity/bins/{ctx.seed}/{params.affected}/{fault}"
        shares = ctx.asset(key, partial(_bins, world, mixed(world, fault, affected)), disk=False)
        chance[fault] = _psi_chance(draws, shares, params.rows)
        yield Progress(3, 4, "watching distributions")
    return Watch("psi", chance.pop(_SOUND), chance)


def _bins(world: World, served: Floats) -> list[tuple[Floats, Floats]]:
    """Each feature's shares in the training day's bins, then and now."""
    return [quantile_shares(world.trained[:, i], served[:, i], PSI_BINS) for i in range(len(FEATURES))]


def _psi_chance(draws: np.random.Generator, bins: list[tuple[Floats, Floats]], rows: int) -> float:
    alarm = np.zeros(DRAWS, dtype=bool)
    for before, now in bins:
        alarm |= psi_of_shares(before, draws.multinomial(rows, now / now.sum(), DRAWS) / rows) > PSI_ALARM
    return float(alarm.mean())
