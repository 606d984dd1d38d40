"""The market question: worlds are drawn one after another, each tested by the chosen design and, the first of them, by the others."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.marketplace import DESIGNS, Market, MarketParams, MarketRun, World
from simulators.engines.experiment.marketplace.market import SLOT_MIN, DesignName
from simulators.experimentation._interference_params import InterferenceParams
from simulators.lab import Context, Progress, Working

COMPARED = 20  # worlds in which the other designs and windows are tried
COMPARED_SLOTS = 20 * 12 * 288  # the same for large worlds: region-slots a comparison may take, so that 28 days stay quick
WINDOWS = (15, 30, 60, 120, 240, 480)
Floats = NDArray[np.float64]


@dataclass
class Sample:
    """Estimates (n,) of one design in n worlds, in %, with the truth of each."""

    estimate: list[float] = field(default_factory=list)
    gte: list[float] = field(default_factory=list)
    width: list[float] = field(default_factory=list)  # half of the interval
    inside: list[bool] = field(default_factory=list)
    deff: list[float] = field(default_factory=list)
    error: str = ""

    def add(self, run: MarketRun) -> None:
        self.estimate.append(100 * run.estimate)
        self.gte.append(100 * run.gte)
        self.error = run.error
        if run.deff is not None:
            self.deff.append(run.deff)
        if run.ci is not None:
            self.width.append(50 * (run.ci[1] - run.ci[0]))
            self.inside.append(run.ci[0] <= run.gte <= run.ci[1])

    @property
    def n(self) -> int:
        return len(self.estimate)

    @property
    def errors(self) -> Floats:
        return np.subtract(self.estimate, self.gte)

    @property
    def truth(self) -> float:
        return float(np.mean(self.gte))

    @property
    def mean(self) -> float:
        return float(np.mean(self.estimate))

    @property
    def bias(self) -> float:
        return float(self.errors.mean())

    @property
    def bias_se(self) -> float | None:
        return float(self.errors.std(ddof=1)) / math.sqrt(self.n) if self.n > 1 else None

    @property
    def sd(self) -> float | None:
        return float(np.std(self.estimate, ddof=1)) if self.n > 1 else None

    @property
    def rmse(self) -> float:
        return float(np.sqrt((self.errors**2).mean()))

    @property
    def coverage(self) -> float | None:
        return float(np.mean(self.inside)) if self.inside else None

    @property
    def coverage_ci(self) -> tuple[float, float] | None:
        """Wilson's interval: replicates are few, and coverage may be 0 or 1."""
        if not self.inside:
            return None
        n, p, z = len(self.inside), float(np.mean(self.inside)), 1.96
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, min(p, (middle - half) / (1 + z * z / n))), min(1.0, max(p, (middle + half) / (1 + z * z / n)))

    @property
    def half_width(self) -> float | None:
        return float(np.mean(self.width)) if self.width else None


@dataclass
class Carryover:
    """Idle drivers by slots since a region entered treatment, less those with nobody treated, as a share of the drivers."""

    shift: Floats
    settled: Floats
    n: int = 0

    def add(self, run: MarketRun, world: World, window_slots: int) -> None:
        """Windows that follow one of the other arm, so that the curve begins with the supply control left behind."""
        (_, idle_none), (_, idle_all) = world.everybody
        arm = run.treated.reshape(-1, window_slots, run.treated.shape[1])[:, 0]
        fresh = (arm[1:] == 1) & (arm[:-1] == 0)
        total = float(world.drivers.mean())
        for curve, idle in ((self.shift, run.idle), (self.settled, idle_all)):
            moved = (idle - idle_none).reshape(-1, window_slots, arm.shape[1])[1:]
            curve += moved.transpose(0, 2, 1)[fresh].sum(axis=0) / total
        self.n += int(fresh.sum())

    @property
    def minutes(self) -> Floats:
        return SLOT_MIN * np.arange(1, len(self.shift) + 1, dtype=float)


@dataclass
class Study:
    """All that a run of the lab measured."""

    params: InterferenceParams
    chosen: Sample
    designs: dict[DesignName, Sample]
    windows: dict[int, Sample]
    carryover: Carryover
    plain: Sample = field(default_factory=Sample)  # the chosen switchback without fixed effects, in the compared worlds
    first: MarketRun | None = None


def empty_study(params: InterferenceParams) -> Study:
    market = params.market()
    windows = sorted({*WINDOWS, market.window_min})
    slots = market.window_min // SLOT_MIN
    return Study(
        params, Sample(), {name: Sample() for name in DESIGNS}, {w: Sample() for w in windows}, Carryover(np.zeros(slots), np.zeros(slots))
    )


def compared_worlds(params: InterferenceParams) -> int:
    affordable = COMPARED * COMPARED_SLOTS // (params.regions * (params.days + params.pre_days) * 288) if params.regions else COMPARED
    return max(1, min(COMPARED, params.replicates, int(affordable / 2)))


def simulate(params: InterferenceParams, study: Study, ctx: Context) -> Working[None]:
    """Adds world after world to the study."""
    market = params.market()
    seeds = ctx.rng("worlds").integers(0, 2**63, params.replicates)
    compared = compared_worlds(params)
    for i, seed in enumerate(seeds):
        world = Market(replace(market, pre_days=params.pre_days) if i < compared else market).world(int(seed))
        yield Progress(i + 0.2, params.replicates, "drawing a world")
        run = Market(world.params).test(world, params.design)
        study.chosen.add(run)
        study.first = study.first or run
        yield Progress(i + 0.6, params.replicates, "testing it")
        if i < compared:
            yield from _compare(params, study, world, run, i)
        yield Progress(i + 1, params.replicates, "replicates")


def _compare(params: InterferenceParams, study: Study, world: World, run: MarketRun, i: int) -> Working[None]:
    for name in DESIGNS:
        study.designs[name].add(run if name == params.design else Market(world.params).test(world, name))
        yield Progress(i + 0.7, params.replicates, "trying the other designs")
    if params.design == "switchback" and params.analysis == "fixed_effects":
        study.plain.add(Market(replace(world.params, analysis="unit")).test(world, "switchback"))
    for window, sample in study.windows.items():
        plan = replace(world.params, window_min=window, burn_in_min=_burn_in(world.params, window))
        switched = Market(plan).test(world, "switchback")
        sample.add(switched)
        if window == world.params.window_min:
            study.carryover.add(switched, world, window // SLOT_MIN)
        yield Progress(i + 0.9, params.replicates, "trying other windows")


def _burn_in(market: MarketParams, window_min: int) -> int:
    """The chosen burn-in where the window leaves room for it, else half of the window."""
    return market.burn_in_min if market.burn_in_min < window_min else window_min // 2 // SLOT_MIN * SLOT_MIN
