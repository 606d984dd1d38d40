"""A ride market whose riders share finite drivers, tested by four designs, with the true effect of a launch to everybody.

Requests arrive in regions every 5 minutes as a Poisson stream with a daily cycle and slow noise. Half of them want a ride; the treatment
raises that by the factor 1 + delta. A driver is busy for `busy_min` on average. Where riders outnumber free drivers some get none, so a
treated rider takes a driver from somebody else: the stable unit treatment value assumption fails, and a split by user measures
the wrong thing. The global treatment effect (GTE) compares everybody treated with nobody treated on the same noise.

Bojinov, Simchi-Levi & Zhao 2020, arXiv 2009.00148, switchback experiments; Johari, Li, Liskovich & Weintraub 2020, arXiv 2002.05670.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from simulators.engines.experiment.marketplace import kernel
from simulators.engines.experiment.marketplace.estimators import (
    Effect,
    design_effect,
    fixed_effects,
    order_effect,
    unit_effect,
)
from simulators.errors import InvalidInput

DesignName = Literal["user", "cluster", "cluster_pre", "switchback"]
Analysis = Literal["order_iid", "unit", "fixed_effects"]
DESIGNS: tuple[DesignName, ...] = get_args(DesignName)
SLOT_MIN, DAY_MIN = 5, 1440
SLOTS_A_DAY = DAY_MIN // SLOT_MIN
WARM_UP_SLOTS = SLOTS_A_DAY // 2
REQUESTS_A_SLOT = 30.0  # of a region, mean over the day
CONVERSION = 0.5
CYCLE, NOISE_SD, NOISE_MIN = 0.6, 0.10, 120.0  # swing of the day; s.d. and memory of log demand
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MarketParams:
    """World and test. Shares are shares: delta 0.1 is +10 %. Raises InvalidInput for what cannot be run."""

    delta: float = 0.10  # relative rise of the chance that a request wants a ride, -1 to 1
    load: float = 1.0  # mean demand / supply
    busy_min: float = 30.0  # mean time a driver is taken
    drift: float = 0.0  # chance of an idle driver to move to a neighbour region, per slot
    regions: int = 20
    spread: float = 0.2  # s.d. of log supply over regions
    days: int = 4
    pre_days: int = 4  # before the test, everybody untreated; read by cluster_pre
    window_min: int = 60  # switchback
    burn_in_min: int = 0  # start of each window that is not counted
    group: int = 1  # neighbouring regions that share their arm
    analysis: Analysis = "unit"

    def __post_init__(self) -> None:
        bounds = {
            "delta": (-1, 1), "load": (0.05, 20), "busy_min": (1, 1e4), "drift": (0, 1), "regions": (2, 1000), "spread": (0, 2),
            "days": (1, 366), "pre_days": (0, 366), "burn_in_min": (0, DAY_MIN), "group": (1, 1000),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidInput(f"{name} is {value}; expected {low:g} to {high:g}.", field=name)
        if self.analysis not in get_args(Analysis):
            raise InvalidInput(f"analysis is {self.analysis!r}; expected {', '.join(get_args(Analysis))}.", field="analysis")
        check_windows(self.window_min, self.burn_in_min)
        if self.clusters < 2:
            raise InvalidInput(f"{self.regions} regions in groups of {self.group} leave one cluster; expected two or more.", field="group")

    @property
    def clusters(self) -> int:
        return -(-self.regions // self.group)


def check_windows(window_min: float, burn_in_min: float) -> None:
    """Raises InvalidInput unless windows tile the day in whole slots and the burn-in leaves something of each."""
    if window_min <= 0 or DAY_MIN % window_min:
        raise InvalidInput(f"Window {window_min:g} min does not divide 24 h.", field="window")
    for name, value in (("Window", window_min), ("Burn-in", burn_in_min)):
        if value % SLOT_MIN:
            raise InvalidInput(f"{name} {value:g} min is no multiple of the {SLOT_MIN}-minute slot.", field=name.lower().replace("-", "_"))
    if burn_in_min >= window_min:
        raise InvalidInput(f"Burn-in {burn_in_min:g} min leaves nothing of a window of {window_min:g} min.", field="burn_in")


@dataclass(frozen=True)
class MarketRun:
    """One test of one world. Effects are shares of the control mean; `se` and `ci` are None where `error` says why.

    unit_table  columns of equal length, one row a unit: region, cluster, day, time_min, treated, requests, orders,
                pre_requests, pre_orders; requests and orders leave out the burn-in
    deff        variance of the estimate over that of as many independent requests; None for a split by user or without a variance
    gte         orders with everybody treated over orders with nobody treated, less one, on this world's noise
    idle        drivers free at the end of each slot of the test (slots, regions)
    """

    unit_table: Mapping[str, NDArray[np.float64]]
    estimate: float
    se: float | None
    ci: tuple[float, float] | None
    gte: float
    deff: float | None
    error: str = ""
    treated: NDArray[np.int8] = field(default_factory=lambda: np.zeros((0, 0), np.int8))  # (slots, regions); empty for a split by user
    idle: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))


@dataclass(frozen=True)
class World:
    """The noise of one replicate. always, sometimes, never (T, R): requests that want a ride in both arms, in one, in none."""

    params: MarketParams
    seed: int
    drivers: Ints
    always: Ints
    sometimes: Ints
    never: Ints
    noise: Floats
    lots: NDArray[np.uint64]

    @property
    def start(self) -> int:
        """First slot of the test."""
        return WARM_UP_SLOTS + self.params.pre_days * SLOTS_A_DAY

    def rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, purpose])

    def play(self, wants: Ints) -> tuple[Ints, Ints]:
        """Served (2, T, R) and idle (T, R) for riders (2, T, R) of control and treatment."""
        served, idle = np.zeros_like(wants), np.zeros(wants.shape[1:], np.int64)
        stay = -SLOT_MIN / self.params.busy_min
        kernel.simulate(wants, self.drivers, stay, self.params.drift, self.noise, self.lots, served, idle)
        return served, idle

    def wants(self, arm: int) -> Ints:
        """Riders (T, R) if every request were in this arm."""
        return self.always + self.sometimes if (arm == 1) == (self.params.delta > 0) else self.always

    def assigned(self, treated: NDArray[np.int8]) -> Ints:
        """Riders (2, T, R) when regions are treated as (T, R) says."""
        return np.stack([np.where(treated == arm, self.wants(arm), 0) for arm in (0, 1)])

    @cached_property
    def everybody(self) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
        """(orders, idle) of the test, each (slots, regions): with nobody treated, with everybody treated."""
        shape = self.always.shape
        outcomes = []
        for arm in (0, 1):
            treated = np.zeros(shape, np.int8)
            treated[self.start :] = arm
            served, idle = self.play(self.assigned(treated))
            outcomes.append((served[:, self.start :].sum(axis=0), idle[self.start :]))
        return outcomes[0], outcomes[1]

    @property
    def gte(self) -> float:
        (control, _), (treated, _) = self.everybody
        if control.sum() == 0:
            raise InvalidInput("No order was served without the treatment: the effect has no base.")
        return float(treated.sum() / control.sum() - 1)


class Market:
    """A market and how it is tested: `run` draws a world from the seed and tests it by one design."""

    def __init__(self, params: MarketParams | None = None) -> None:
        self.params = params or MarketParams()

    def run(self, design: DesignName, seed: int) -> MarketRun:
        """Test the world of `seed`. The same seed gives every design the same world. Raises InvalidInput."""
        return self.test(self.world(seed), design)

    def world(self, seed: int) -> World:
        p = self.params
        rng = np.random.default_rng([seed, 0])
        supply = np.exp(p.spread * rng.standard_normal(p.regions) - p.spread**2 / 2)
        slots_taken = 1 / -math.expm1(-SLOT_MIN / p.busy_min)
        drivers = np.maximum(1, np.rint(supply * CONVERSION * REQUESTS_A_SLOT * slots_taken / p.load)).astype(np.int64)
        shape = (WARM_UP_SLOTS + (p.pre_days + p.days) * SLOTS_A_DAY, p.regions)
        rate = demand(rng, shape)
        low, gap = CONVERSION * (1 + min(p.delta, 0.0)), CONVERSION * abs(p.delta)
        always, sometimes, never = (rng.poisson(share * rate) for share in (low, gap, 1 - low - gap))
        lots = rng.integers(1, 2**63, shape, dtype=np.uint64)
        noise = rng.random((3, *shape)) if p.drift else np.broadcast_to(rng.random(shape), (3, *shape)).copy()
        return World(p, seed, drivers, always, sometimes, never, noise, lots)

    def test(self, world: World, design: DesignName) -> MarketRun:
        """Test a world already drawn, perhaps with other windows or another analysis than it was drawn for."""
        if design not in DESIGNS:
            raise InvalidInput(f"There is no design {design!r}; the designs are {', '.join(DESIGNS)}.", field="design")
        if design == "user":
            return self._split_users(world)
        treated, window = self._arms(world, design)
        served, idle = world.play(world.assigned(treated))
        table = self._table(world, served.sum(axis=0), treated, window, self.params.burn_in_min if design == "switchback" else 0)
        effect, deff = self._analyse(table, design)
        at = world.start
        return MarketRun(table, effect.estimate, effect.se, effect.ci, world.gte, deff, effect.error, treated[at:], idle[at:])

    def _split_users(self, world: World) -> MarketRun:
        """Each request's user flips a coin; the unit is the request, whatever the analysis."""
        p, rng, at = self.params, world.rng(1), world.start
        always, sometimes = (rng.binomial(count, 0.5) for count in (world.always, world.sometimes))
        always[:at], sometimes[:at] = 0, 0
        up = p.delta > 0
        treated = always + sometimes if up else always
        control = world.always - always + (0 if up else world.sometimes - sometimes)
        if up:
            control[:at] = world.always[:at]
        served, idle = world.play(np.stack([control, treated]))
        never = rng.binomial(world.never[at:].sum(axis=0), 0.5)
        asked = (always + sometimes)[at:].sum(axis=0) + never
        requests = np.stack([(world.always + world.sometimes + world.never)[at:].sum(axis=0) - asked, asked])
        orders, region = served[:, at:].sum(axis=1), np.tile(np.arange(p.regions), 2)
        table = _columns(
            region=region, cluster=region // p.group, day=0 * region, time_min=0 * region, treated=np.repeat([0, 1], p.regions),
            requests=requests.ravel(), orders=orders.ravel(),
            pre_requests=0 * region, pre_orders=0 * region,
        )  # fmt: skip
        effect = order_effect(*_totals(table))
        return MarketRun(table, effect.estimate, effect.se, effect.ci, world.gte, None, idle=idle[at:])

    def _arms(self, world: World, design: DesignName) -> tuple[NDArray[np.int8], int]:
        """Arm of each slot and region (T, R), and the length of a unit in slots. Half of the units are treated."""
        p, rng = self.params, world.rng(2)
        slots = p.days * SLOTS_A_DAY
        window = p.window_min // SLOT_MIN if design == "switchback" else slots
        units = rng.permutation(np.arange(slots // window * p.clusters) % 2).reshape(-1, p.clusters)
        treated = np.zeros(world.always.shape, np.int8)
        treated[world.start :] = np.repeat(units, window, axis=0)[:, np.arange(p.regions) // p.group]
        return treated, window

    def _table(self, world: World, orders: Ints, treated: NDArray[np.int8], window: int, burn_in_min: int) -> dict[str, Floats]:
        p, at = self.params, world.start
        groups = np.arange(0, p.regions, p.group)

        def units(values: Ints) -> NDArray[np.int64]:
            by_window = values[at:].reshape(-1, window, p.regions)[:, burn_in_min // SLOT_MIN :].sum(axis=1)
            return np.add.reduceat(by_window, groups, axis=1).ravel()

        requests = world.always + world.sometimes + world.never
        windows = p.days * SLOTS_A_DAY // window
        start_min = np.repeat(np.arange(windows) * window * SLOT_MIN, len(groups))
        cluster = np.tile(np.arange(len(groups)), windows)
        before = [np.add.reduceat(values[WARM_UP_SLOTS:at].sum(axis=0), groups)[cluster] for values in (requests, orders)]
        return _columns(
            region=cluster * p.group, cluster=cluster, day=start_min // DAY_MIN, time_min=start_min % DAY_MIN,
            treated=treated[at::window][:, groups].ravel(), requests=units(requests), orders=units(orders),
            pre_requests=before[0], pre_orders=before[1],
        )  # fmt: skip

    def _analyse(self, table: Mapping[str, Floats], design: DesignName) -> tuple[Effect, float | None]:
        """The effect by the chosen analysis, and the design effect of the units."""
        independent = order_effect(*_totals(table))
        y, treated, cluster, weights = table["orders"] / table["requests"], table["treated"], table["cluster"], table["requests"]
        history, unit = None, np.arange(len(y))
        if design == "cluster_pre" and self.params.pre_days:
            history = table["pre_orders"] / table["pre_requests"]
        if design == "switchback" and self.params.analysis == "fixed_effects":
            cell, days = cluster * DAY_MIN + table["time_min"], cluster * self.params.days + table["day"]
            effect = fixed_effects(y, treated, cell, days, weights)
        else:
            effect = unit_effect(y, treated, unit, history, weights)
        return independent if self.params.analysis == "order_iid" else effect, design_effect(effect, independent)


def demand(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Requests expected in each slot and region (T, R): a daily cycle, lowest at 6 and highest at 18 h, times slow noise of mean 1."""
    memory = math.exp(-SLOT_MIN / NOISE_MIN)
    steps = NOISE_SD * math.sqrt(1 - memory**2) * rng.standard_normal(shape)
    steps[0] *= 1 / math.sqrt(1 - memory**2)  # starts at its lasting spread
    drawn: Floats = np.exp(lfilter([1.0], [1.0, -memory], steps, axis=0) - NOISE_SD**2 / 2)
    slot = np.arange(shape[0]) - WARM_UP_SLOTS
    return REQUESTS_A_SLOT * (1 - CYCLE * np.sin(2 * np.pi * slot / SLOTS_A_DAY))[:, None] * drawn


def _columns(**columns: NDArray[np.generic]) -> dict[str, Floats]:
    return {name: np.asarray(values, dtype=float) for name, values in columns.items()}


def _totals(table: Mapping[str, Floats]) -> tuple[float, float, float, float]:
    arms = (table["treated"] < 0.5, table["treated"] > 0.5)
    control, treated = ((float(table["orders"][arm].sum()), float(table["requests"][arm].sum())) for arm in arms)
    return (*control, *treated)
