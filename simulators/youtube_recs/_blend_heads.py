"""The world of the lab and what a mixture of experts learns of it, each made once for all settings that share it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulators.engines.ranking.metrics import excess_log_loss
from simulators.engines.ranking.step import Step
from simulators.engines.ranking.worlds.blend import FEATURES, TASKS, BlendWorld, blend_world, comments
from simulators.engines.steps import relay
from simulators.figures import Axis, Series, line_figure
from simulators.lab import Context, Figure, Frame, Progress, Working
from simulators.youtube_recs._blend_params import HEADS, PLACES, ObjectiveBlendParams

if TYPE_CHECKING:
    from simulators.engines.ranking.multitask import MultiTask

Floats = NDArray[np.float64]
EPOCHS, LEARNING_RATE, EXPERT, TOWER = 5, 2e-3, (12, 8), (8,)
PROBED_SLATES = 150
LEARNT = ("click", "like", "dislike", "subscribe")  # heads whose excess log loss is followed while they learn


@dataclass(frozen=True)
class Heads:
    """Predictions (S, K, 6) in the order of HEADS, and how far the chances still were from the truth after each pass."""

    predicted: Floats
    excess: dict[str, list[float]]  # 1,000 x nats, a figure a pass; empty where the truth itself is used


def world_steps(ctx: Context, params: ObjectiveBlendParams) -> Working[BlendWorld]:
    """The world with this viewer's satiation, which changes nothing else in it."""
    yield Progress(0, 1, "drawing slates")
    made = ctx.asset(
        f"blend/world/{_world_key(ctx, params)}/likeness={params.likeness}",
        lambda: blend_world(ctx.seed, bait_share=params.bait_share, focus=params.focus, likeness=params.likeness),
        disk=False,
    )
    yield Progress(1, 1, "drawing slates")
    return replace(made, gamma=params.gamma)


def truth_of(world: BlendWorld) -> Floats:
    """True expectations (S, K, 6)."""
    return np.stack([world.heads[head] for head in HEADS], axis=-1)


def heads_key(ctx: Context, params: ObjectiveBlendParams) -> str:
    learner = f"{params.watch_loss}/experts={params.experts}" if params.heads == "learned" else "oracle"
    return f"{_world_key(ctx, params)}/{learner}"


def heads_steps(ctx: Context, params: ObjectiveBlendParams, world: BlendWorld) -> Working[Heads]:
    if params.heads == "oracle":
        return Heads(truth_of(world), {})
    return (yield from ctx.asset_steps(f"blend/heads/{heads_key(ctx, params)}", lambda: _learn(ctx, params, world)))


@cache
def warm_up_learner() -> None:
    """torch takes a second to import, and another before its first step."""
    from simulators.engines.ranking.multitask import fit_multitask

    fit_multitask(np.eye(2), np.eye(2), kind="mmoe", experts=2, epochs=1)


def macs_a_candidate(params: ObjectiveBlendParams) -> int:
    """Multiply-adds of the heads and of the re-ranking, for each candidate."""
    layers = (FEATURES, *EXPERT)
    expert = sum(a * b for a, b in zip(layers, layers[1:], strict=False))
    widths = (EXPERT[-1], *TOWER, 1)
    tower = sum(a * b for a, b in zip(widths, widths[1:], strict=False))
    gate = params.experts * (FEATURES + EXPERT[-1])  # its weights, and the mixture they make
    ranker = params.experts * expert + len(TASKS) * (gate + tower) if params.heads == "learned" else 0
    likeness = {"mmr": PLACES * FEATURES, "dpp": PLACES * (FEATURES + PLACES // 2)}.get(params.diversity, 0)
    return ranker + len(HEADS) + likeness


def _world_key(ctx: Context, params: ObjectiveBlendParams) -> str:
    return f"bait={params.bait_share}/focus={params.focus}/seed={ctx.seed}"


def _learn(ctx: Context, params: ObjectiveBlendParams, world: BlendWorld) -> Working[Heads]:
    from simulators.engines.ranking.multitask import iter_multitask

    excess: dict[str, list[float]] = {head: [] for head in LEARNT}
    some = world.X[:PROBED_SLATES].reshape(-1, FEATURES)

    def probe(model: MultiTask) -> Mapping[str, float]:
        found = _named(model.predict(some))
        return {head: 1e3 * excess_log_loss(world.heads[head][:PROBED_SLATES].ravel(), found[head]) for head in LEARNT}

    steps = iter_multitask(
        world.X_train,
        world.Y_train,
        kind="mmoe",
        experts=params.experts,
        expert=EXPERT,
        tower=TOWER,
        watch_task=TASKS.index("minutes"),
        watch_loss=params.watch_loss,
        epochs=EPOCHS,
        lr=LEARNING_RATE,
        seed=ctx.seed,
        probe=probe,
    )

    def tell(step: Step) -> Progress | Frame:
        if "click" not in step.metrics:
            return Progress(step.done, step.total, f"learning the heads, {step.label}")
        for head in LEARNT:
            excess[head].append(step.metrics[head])
        return Frame(figures=[learning_figure(excess)])

    model = yield from relay(steps, tell)
    slates, candidates, _ = world.X.shape
    predicted = []
    for block in np.array_split(world.X.reshape(-1, FEATURES), 6):
        predicted.append(model.predict(block))
        yield Progress(len(predicted), 6, "predicting for the candidates")
    named = _named(np.concatenate(predicted))
    return Heads(np.stack([named[head].reshape(slates, candidates) for head in HEADS], axis=-1), excess)


def _named(predicted: Floats) -> dict[str, Floats]:
    """Predictions (N,) of all six heads from those (N, 5) of the net."""
    found = {task: predicted[:, column] for column, task in enumerate(TASKS)}
    return found | {"comment": comments(found["like"])}


def learning_figure(excess: Mapping[str, list[float]]) -> Figure:
    """Excess log loss of the chances after each pass over the training rows; 0 is the truth."""
    passes = list(range(1, len(excess["click"]) + 1))
    series = [Series(head, passes, excess[head], colour=colour) for colour, head in enumerate(LEARNT)]
    series.append(Series("truth", [1, EPOCHS], [0.0, 0.0], "lines", truth=True))
    said = ", ".join(f"{head} {values[-1]:.1f}" for head, values in excess.items())
    return line_figure(
        "learning",
        f"After {len(passes)} passes the click head is {excess['click'][-1]:.1f} millinats from the truth",
        f"Excess log loss after pass {len(passes)}: {said}.",
        series,
        Axis("Passes over 60,000 impressions", "passes"),
        Axis("Excess log loss", "1,000 x nats"),
    )
