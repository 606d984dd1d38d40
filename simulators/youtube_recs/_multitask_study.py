"""All trainings of a run on the synthetic world: kinds side by side, then the same at other similarities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simulators.lab import Context, Frame, Progress, Working
from simulators.youtube_recs._multitask_params import Design, Kind, MultitaskParams
from simulators.youtube_recs._multitask_trials import Floats, OnPass, Outcome, net_seeds, outcome_steps

if TYPE_CHECKING:
    from simulators.engines.ranking.worlds import TaskWorld

IDLE = 0.5
Curves = dict[Kind, tuple[float, ...]]


class Side(NamedTuple):
    """One kind of net, trained once or several times."""

    trials: tuple[Outcome, ...]

    @property
    def n_params(self) -> int:
        return self.trials[0].n_params

    @property
    def quality(self) -> Floats:
        """(T,)"""
        return np.asarray(np.mean([trial.quality for trial in self.trials], axis=0))

    @property
    def auc(self) -> Floats:
        """(T,)"""
        return np.asarray(np.mean([trial.auc for trial in self.trials], axis=0))

    @property
    def gates(self) -> Floats:
        """(T, E) of the first training: experts of two trainings have nothing to do with each other."""
        return self.trials[0].gates

    @property
    def curve(self) -> tuple[float, ...]:
        return tuple(np.mean([trial.curve for trial in self.trials], axis=0).tolist())

    def interval(self, task: int) -> tuple[float, float] | None:
        """Mean and two standard errors of the trainings; None for a single one."""
        values = [float(trial.quality[task]) for trial in self.trials]
        if len(values) == 1:
            return None
        margin = 2 * float(np.std(values, ddof=1)) / len(values) ** 0.5
        return float(np.mean(values)) - margin, float(np.mean(values)) + margin

    @property
    def overlap(self) -> float:
        """Weight that the first and the last task give the same experts: 1 where their gates agree."""
        return float(np.minimum(self.gates[0], self.gates[-1]).sum())

    @property
    def experts_used(self) -> float:
        """Experts in use, as the exponential of the entropy of their mean weight."""
        share = self.gates.mean(axis=0)
        share = share[share > 0]
        return float(np.exp(-(share * np.log(share)).sum()))

    @property
    def idle(self) -> int:
        """Experts that get less than half an equal share of the weight."""
        return int((self.gates.mean(axis=0) < IDLE / self.gates.shape[1]).sum())


@dataclass
class Study:
    """`sides` by similarity and kind; `oracle_auc` (2,) of the truth at the chosen similarity; `positives` of task B to learn from."""

    params: MultitaskParams
    oracle_auc: Floats
    positives: int
    sides: dict[float, dict[Kind, Side]] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)  # of the chosen similarity, also of a training under way

    @property
    def here(self) -> dict[Kind, Side]:
        return self.sides.get(self.params.rho, {})

    def swept(self, kind: Kind) -> dict[float, Side]:
        """By similarity, ascending."""
        return {rho: self.sides[rho][kind] for rho in sorted(self.sides) if kind in self.sides[rho]}


def started(params: MultitaskParams, ctx: Context) -> Study:
    from simulators.engines.ranking import metrics

    world = world_of(params, params.rho, ctx)
    best = np.array([metrics.expected_auc(world.p_test[:, task], world.p_test[:, task]) for task in range(2)])
    return Study(params, best, int(np.nansum(world.Y[:, 1])))


def world_of(params: MultitaskParams, rho: float, ctx: Context) -> TaskWorld:
    from simulators.engines.ranking.worlds import task_world

    key = f"multitask/world/rho={rho}/rate={params.label_rate}/rows={params.rows}/seed={ctx.seed}"
    return ctx.asset(key, lambda: task_world(ctx.seed, rho=rho, label_rate=params.label_rate, rows=params.rows), disk=False)


def trials_steps(study: Study, ctx: Context, picture: Callable[[Study], Frame], curve: Callable[[Study], Frame]) -> Working[None]:
    """Fills the study: `picture` is asked for after each net, `curve` after each pass at the chosen similarity."""
    params = study.params
    for rho in params.rhos:
        for kind in params.kinds:
            trials = []
            for seed in net_seeds(ctx.seed, params.repeats):
                on_pass = partial(_passed, study, kind, rho, curve)
                trials.append((yield from _trial(params, rho, params.design(kind), seed, ctx, on_pass)))
            side = Side(tuple(trials))
            study.sides.setdefault(rho, {})[kind] = side
            if rho == params.rho:
                study.curves[kind] = side.curve
            yield picture(study)


def _trial(params: MultitaskParams, rho: float, design: Design, seed: int, ctx: Context, on_pass: OnPass) -> Working[Outcome]:
    yield Progress(0, 1, "drawing rows")
    world = world_of(params, rho, ctx)
    data = f"rho={rho}/rate={params.label_rate}/rows={params.rows}/world={ctx.seed}"
    key = f"multitask/trial/{data}/{'/'.join(map(str, design))}/seed={seed}"
    return (yield from ctx.asset_steps(key, lambda: outcome_steps(world, design, seed, on_pass)))


def _passed(study: Study, kind: Kind, rho: float, curve: Callable[[Study], Frame], so_far: tuple[float, ...]) -> Progress | Frame:
    if rho != study.params.rho:
        return Progress(len(so_far), study.params.epochs, f"similarity {rho:g}")
    study.curves[kind] = so_far
    return curve(study)
