"""The methods fitted to one log and judged where the truth is known."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from simulators.ads_ctr._delayed_params import SHORT, DelayedParams
from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.delayed import DelayedModel, Method, iter_delayed
from simulators.engines.ranking.worlds.delay import LOG_DAYS, DelayWorld, delay_world
from simulators.errors import InvalidInput
from simulators.lab import Context, Frame, Progress, Working

LAUNCHES = (1.0, 2.0, 3.0, 5.0, 10.0)  # days ago
MOST_SWEPT = 100_000  # clicks
WORLD_KNOBS = ("mean_delay", "shape", "new_days", "lift", "clicks", "window")


class Judged(NamedTuple):
    """A method on the test clicks; `ratio` is p-hat over p, `excess` thousandths of a nat, both on the new campaign."""

    model: DelayedModel
    p_hat: Floats
    ratio: float
    ratio_all: float
    excess: float
    cpu_s: float


@dataclass(frozen=True)
class Study:
    params: DelayedParams
    world: DelayWorld
    judged: dict[Method, Judged]

    @property
    def mine(self) -> Judged:
        return self.judged[self.params.method]

    @property
    def seen_new(self) -> int:
        """Conversions of the new campaign that have arrived."""
        return int(self.world.converted @ self.world.X[:, -1])

    @property
    def all_new(self) -> int:
        return self.seen_new + int(self.world.to_come @ self.world.X[:, -1])

    @property
    def to_come_share(self) -> float:
        return float(self.world.to_come.sum() / (self.world.to_come.sum() + self.world.converted.sum()))


def world_of(params: DelayedParams, ctx: Context) -> DelayWorld:
    knobs = {name: getattr(params, name) for name in WORLD_KNOBS}
    key = "/".join(f"{name}={value}" for name, value in knobs.items())
    return ctx.asset(f"delayed/world/v1/seed={ctx.seed}/{key}", lambda: delay_world(ctx.seed, **knobs), disk=False)


def fitted(world: DelayWorld, params: DelayedParams, method: Method) -> Working[tuple[DelayedModel, float]]:
    """The model and the CPU seconds it took. Raises InvalidInput where waiting leaves nothing to learn from."""
    old = world.converted[world.elapsed >= params.wait_days]
    if method == "wait" and not 0 < old.sum() < len(old):
        raise InvalidInput(
            f"Waiting {params.wait_days:g} d leaves {int(old.sum())} conversions in {len(old):,} clicks of a log of {LOG_DAYS:g} days; "
            "expected a shorter wait.",
            field="wait_days",
        )
    steps = iter_delayed(world.X, world.converted, world.delay, world.elapsed, method=method, wait_days=params.wait_days)
    cpu_s, evaluations = 0.0, 0
    while True:
        started = time.thread_time()
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value, cpu_s + time.thread_time() - started
        cpu_s, evaluations = cpu_s + time.thread_time() - started, evaluations + 1
        yield Progress(evaluations, max(60, evaluations), f"fitting {SHORT[method]}")


def judged(world: DelayWorld, model: DelayedModel, cpu_s: float) -> Judged:
    p_hat, new = model.predict(world.X_test), world.is_new
    return Judged(
        model,
        p_hat,
        metrics.calibration_ratio(world.p_test[new], p_hat[new]),
        metrics.calibration_ratio(world.p_test, p_hat),
        1000 * metrics.excess_log_loss(world.p_test[new], p_hat[new]),
        cpu_s,
    )


def study_steps(params: DelayedParams, ctx: Context, picture: Callable[[Study], Frame]) -> Generator[Progress | Frame, None, Study]:
    """The method in production first, then the others; a picture after each."""
    world = world_of(params, ctx)
    found = dict[Method, Judged]()
    for method in sorted(params.compared, key=lambda name: name != params.method):
        model, cpu_s = yield from fitted(world, params, method)
        found[method] = judged(world, model, cpu_s)
        yield picture(Study(params, world, {name: found[name] for name in params.compared if name in found}))
    return Study(params, world, {name: found[name] for name in params.compared})


class Launches(NamedTuple):
    """p-hat over p on the new campaign, by method and by days since its launch (len(LAUNCHES),)."""

    days: tuple[float, ...]
    ratio: dict[Method, Floats]


def launches(params: DelayedParams, ctx: Context) -> Working[Launches | None]:
    """The compared methods on worlds that differ in the launch alone; None where the log is too long for it."""
    if params.clicks > MOST_SWEPT:
        return None
    ratio = {method: np.zeros(len(LAUNCHES)) for method in params.compared}
    for column, days in enumerate(LAUNCHES):
        other = params.model_copy(update={"new_days": days})
        key = f"delayed/launch/v1/seed={ctx.seed}/{other.model_dump(exclude={'method', 'methods'})}/{params.compared}"
        found = yield from ctx.asset_steps(key, partial(_ratios, other, ctx))
        for method in params.compared:
            ratio[method][column] = found[method]
    return Launches(LAUNCHES, ratio)


def _ratios(params: DelayedParams, ctx: Context) -> Working[dict[Method, float]]:
    world, found = world_of(params, ctx), dict[Method, float]()
    for method in params.compared:
        model, _ = yield from fitted(world, params, method)
        found[method] = judged(world, model, 0.0).ratio
    return found
