"""One training of one net, and what the truth or held-out labels say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.steps import blocks, relay
from simulators.lab import Frame, Progress, Working
from simulators.youtube_recs._multitask_params import SECOND_LAYER, TOWER, Design

if TYPE_CHECKING:
    from simulators.engines.ranking.multitask import MultiTask
    from simulators.engines.ranking.worlds import TaskWorld

Floats = NDArray[np.float64]
CURVE_ROWS = 4_000  # of the test rows, read after each pass
SCORED_ROWS = 5_000  # predicted between two yields
SEED_APART = 7_919  # between the trainings of a net

OnPass = Callable[[tuple[float, ...]], Progress | Frame]


class Outcome(NamedTuple):
    """What a training came to; T tasks, E experts."""

    n_params: int
    gates: Floats  # (T, E)
    quality: Floats  # (T,): excess log loss in 1/1000 nats where the truth is known, else log loss over the entropy of the base rate
    auc: Floats  # (T,), expected under the known probabilities, else of held-out labels
    curve: tuple[float, ...]  # quality of the last task after each pass, on the first test rows


class Trained(NamedTuple):
    model: MultiTask
    curve: tuple[float, ...]


def trained_steps(X: Any, Y: Any, design: Design, seed: int, judge: Callable[[MultiTask], float], on_pass: OnPass) -> Working[Trained]:
    """The net; `on_pass` turns the curve so far into what the page gets."""
    from simulators.engines.ranking.multitask import iter_multitask

    curve: list[float] = []

    def probe(model: MultiTask) -> dict[str, float]:
        curve.append(judge(model))
        return {"curve": curve[-1]}

    steps = iter_multitask(
        X,
        Y,
        kind=design.kind,
        experts=max(design.experts, 1),
        expert=(design.expert_width, SECOND_LAYER),
        tower=(TOWER,),
        normalise_rare=design.normalise_rare,
        epochs=design.epochs,
        seed=seed,
        probe=probe,
    )
    model = yield from relay(
        steps, lambda step: on_pass(tuple(curve)) if "curve" in step.metrics else Progress(step.done, step.total, step.label)
    )
    return Trained(model, tuple(curve))


def outcome_steps(world: TaskWorld, design: Design, seed: int, on_pass: OnPass) -> Working[Outcome]:
    """A training on the synthetic world, judged by its truth."""
    few = slice(CURVE_ROWS)

    def judge(model: MultiTask) -> float:
        return excess(world.p_test[few, -1], model.predict(world.X_test[few])[:, -1])

    from simulators.engines.ranking import metrics

    model, curve = yield from trained_steps(world.X, world.Y, design, seed, judge, on_pass)
    found = yield from predicted_steps(model, world.X_test)
    tasks = range(found.shape[1])
    return Outcome(
        model.n_params,
        model.gates(world.X_test[:SCORED_ROWS]),
        np.array([excess(world.p_test[:, task], found[:, task]) for task in tasks]),
        np.array([metrics.expected_auc(world.p_test[:, task], found[:, task]) for task in tasks]),
        curve,
    )


def predicted_steps(model: MultiTask, X: Floats) -> Working[Floats]:
    parts = []
    for block in blocks(len(X), SCORED_ROWS):
        parts.append(model.predict(X[block]))
        yield Progress(block.stop, len(X), "scoring")
    return np.concatenate(parts)


def excess(p: Floats, found: Floats) -> float:
    """In 1/1000 nats."""
    from simulators.engines.ranking import metrics

    return 1_000 * metrics.excess_log_loss(p, found)


def net_seeds(seed: int, repeats: int) -> Iterator[int]:
    return (seed + SEED_APART * repeat for repeat in range(repeats))
