"""One run on the synthetic world: every model trained on the same log and judged on the same test slates."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from simulators.engines.ranking import metrics, position
from simulators.engines.ranking.arguments import Floats, Ints
from simulators.engines.ranking.position import PositionModel, Rows, Serve
from simulators.engines.ranking.worlds.position import PositionWorld, position_world
from simulators.engines.steps import relay
from simulators.lab import Context, Progress, Working
from simulators.youtube_recs._position_params import LABELS, MEAN, Kind, PositionParams

NEEDS_SHUFFLED: tuple[Kind, ...] = ("ips", "random_only")
MOST_STEPS, PASSES, BATCH = 400, 10, 1024
READ_SLATES = 8_000  # whose clicks the models of readers explain
LEVELS = 20  # of relevance, which stand for documents there
TEST_SLATES = 4_000


@dataclass(frozen=True)
class Scored:
    """A trained model's account.

    clicks     (T,) expected clicks on each test slate when it ranks
    xll        1000 x mean KL between true and predicted relevance, nats
    curve      (K,) what it believes of the positions, or None
    predicted  (K,) mean predicted click rate of the test slates as the old policy ordered them
    level      (R, K) its relevance of the first logged slates in `LEVELS` equal parts
    looked     (K,) mean look at each position of the pages it ranks
    """

    kind: Kind
    clicks: Floats
    xll: float
    curve: Floats | None
    predicted: Floats
    level: Ints
    looked: Floats
    cpu_s: float


@dataclass
class Study:
    params: PositionParams
    world: PositionWorld
    oracle: Floats  # (T,) clicks on each test slate in the best order
    actual: Floats  # (K,) expected click rate by position of the test slates in the old order
    estimate: Floats | None  # (K,) examination from the shuffled slates
    scored: dict[Kind, Scored] = field(default_factory=dict)

    @property
    def best(self) -> Scored:
        return min(self.scored.values(), key=self.regret)

    def regret(self, found: Scored) -> float:
        """Per cent of the oracle's clicks."""
        return float(100 * (self.oracle - found.clicks).mean() / self.oracle.mean())

    def margin(self, found: Scored) -> float:
        """Two standard errors of the regret over test slates, per cent."""
        return self._margin(self.oracle - found.clicks)

    def within_noise(self, one: Scored, other: Scored) -> bool:
        """Whether the test slates cannot tell the two apart: their paired difference is below two standard errors."""
        return abs(self.regret(one) - self.regret(other)) < self._margin(one.clicks - other.clicks)

    def curve_error(self, curve: Floats) -> float:
        return float(np.abs(curve - self.world.examination).max())

    def _margin(self, difference: Floats) -> float:
        return float(200 * difference.std(ddof=1) / np.sqrt(len(difference)) / self.oracle.mean())


@cache
def load() -> None:
    """The first training of a process also loads what torch needs for it, which takes more than a second."""
    world = position_world(slates=20, test_slates=1)
    position.fit_position(world.X, world.clicks, steps=2)


def world_steps(ctx: Context, params: PositionParams) -> Working[Study]:
    yield Progress(0, 1, "logging slates")
    world = ctx.asset(f"position/world/{_world_key(ctx, params)}", lambda: _world(ctx, params), disk=False)
    yield Progress(1, 1, "logging slates")
    estimate = position.propensity(world.clicks, world.randomised) if shuffled_enough(world) else None
    actual = (world.p_test * world.looks(world.p_test)).mean(axis=0)
    return Study(params, world, world.slate_clicks(world.ordered(world.p_test)), actual, estimate)


def shuffled_enough(world: PositionWorld) -> bool:
    """Whether a shuffled slate was clicked at the top, which every other rate is compared with."""
    return bool(world.clicks[world.randomised, 0].any())


def score_steps(ctx: Context, study: Study, kind: Kind) -> Working[None]:
    """Trains and judges a model, or takes it from an earlier run of the same log; nothing where it lacks shuffled slates."""
    if kind in NEEDS_SHUFFLED and study.estimate is None:
        return
    key = f"position/scored/{_world_key(ctx, study.params)}/{kind}/{_model_key(study.params, kind)}"
    study.scored[kind] = yield from ctx.asset_steps(key, lambda: _scored(ctx, study, kind))


def options(params: PositionParams, rows: int) -> dict[str, Any]:
    """Arguments of a training on so many rows: no more than `PASSES` over them."""
    serve: Serve = "mean" if params.serve_position == MEAN else params.serve_position
    steps = max(1, min(MOST_STEPS, PASSES * rows // BATCH))
    return {
        "serve_position": serve,
        "position_lr": params.position_lr,
        "position_init": params.position_init,
        "steps": steps,
        "batch": BATCH,
    }


def train_steps(ctx: Context, params: PositionParams, rows: Rows, positions: int, kind: Kind) -> Working[PositionModel]:
    chosen = options(params, len(rows.click))
    steps = position.iter_rows(rows, positions, kind=kind, seed=ctx.seed, **chosen)
    done, total = params.models.index(kind) * chosen["steps"], len(params.models) * chosen["steps"]
    return (yield from relay(steps, lambda step: Progress(done + step.done, total, f"training: {LABELS[kind]}")))


def _world(ctx: Context, params: PositionParams) -> PositionWorld:
    knobs = {name: getattr(params, name) for name in ("eta", "rho", "noise", "user", "eps", "slates")}
    return position_world(ctx.seed, test_slates=TEST_SLATES, **knobs)


def _world_key(ctx: Context, params: PositionParams) -> str:
    p, eta = params, params.eta if params.user == "pbm" else 0
    return f"n={p.slates}/eta={eta}/rho={p.rho}/noise={p.noise}/{p.user}/eps={p.eps}/seed={ctx.seed}"


def _model_key(params: PositionParams, kind: Kind) -> str:
    tower = f"{params.position_lr}/{params.position_init}" if kind == "pal" else ""
    return f"{params.serve_position}" if kind == "feature" else tower


def log_rows(world: PositionWorld) -> Rows:
    slates, positions, features = world.X.shape
    place = np.tile(np.arange(positions), slates)
    return Rows(world.X.reshape(-1, features), place, world.clicks.ravel(), np.repeat(world.randomised, positions))


def _scored(ctx: Context, study: Study, kind: Kind) -> Working[Scored]:
    world, started = study.world, time.thread_time()
    rows = log_rows(world)
    model = yield from train_steps(ctx, study.params, rows, world.X.shape[1], kind)
    cpu_s = time.thread_time() - started
    relevance = model.relevance(world.X_test)
    judging = Progress(1 + study.params.models.index(kind), len(study.params.models), f"judging: {LABELS[kind]}")
    yield judging
    page = world.ordered(relevance)
    xll = 1000 * metrics.excess_log_loss(world.p_test.ravel(), relevance.ravel())
    predicted = np.array([model.click_probability(world.X_test[:, k], k + 1).mean() for k in range(page.shape[1])])
    yield judging
    level = _levels(model.relevance(world.X[:READ_SLATES]))
    return Scored(kind, world.slate_clicks(page), xll, model.examination, predicted, level, world.looks(page).mean(axis=0), cpu_s)


def _levels(relevance: Floats) -> Ints:
    edges = np.quantile(relevance, np.linspace(0, 1, LEVELS + 1)[1:-1])
    return np.searchsorted(edges, relevance).astype(np.int64)
