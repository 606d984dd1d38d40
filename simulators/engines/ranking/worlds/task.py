"""Two binary tasks on the same inputs whose similarity is set: the second may repeat, ignore or oppose what the first depends on.

Each task is a sum of sines along three directions, so that a net has to learn features before it can predict; with one direction each
a net is quickly done and sharing hardly matters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.worlds.draws import draw

FEATURES = 16
DIRECTIONS = 3
INTERCEPTS = (-0.7, -2.2)  # of task A, of task B
SLOPE = 1.6


@dataclass(frozen=True)
class TaskWorld:
    """Rows N, test rows M, two tasks: A, then B."""

    X: Floats  # (N, 16), standard normal
    Y: Floats  # (N, 2), 0 or 1; NaN where unlabelled
    mask: NDArray[np.bool_]  # (N, 2), where a label is known
    p: Floats  # (N, 2), true probability
    X_test: Floats  # (M, 16)
    p_test: Floats  # (M, 2)


def task_world(seed: int = 0, *, rho: float = 0.0, label_rate: float = 0.15, rows: int = 40_000, test_rows: int = 20_000) -> TaskWorld:
    """The world. ValueError for rho outside [-1, 1], label_rate outside (0, 1], or no rows.

    rho         cosine between the directions of task B and those of task A
    label_rate  share of rows on which task B is labelled; task A is labelled on all
    """
    _check(rho, label_rate, rows, test_rows)
    a, b = _directions(seed, rho)
    X = draw(seed, "task/X").standard_normal((rows, FEATURES))
    X_test = draw(seed, "task/X_test").standard_normal((test_rows, FEATURES))
    p = _probabilities(X, a, b)
    mask = np.ones((rows, 2), dtype=np.bool_)
    mask[:, 1] = draw(seed, "task/mask").random(rows) < label_rate
    drawn = draw(seed, "task/labels").random((rows, 2)) < p
    return TaskWorld(X, np.where(mask, drawn, np.nan), mask, p, X_test, _probabilities(X_test, a, b))


def _directions(seed: int, rho: float) -> tuple[Floats, Floats]:
    """Directions of A and of B, each (16, 3) with orthonormal columns."""
    basis, _ = np.linalg.qr(draw(seed, "task/directions").standard_normal((FEATURES, 2 * DIRECTIONS)))
    a, other = basis[:, :DIRECTIONS], basis[:, DIRECTIONS:]
    return a, rho * a + np.sqrt(1 - rho**2) * other


def _probabilities(X: Floats, *directions: Floats) -> Floats:
    logits = [at + SLOPE * np.sin(2 * X @ of_task).sum(axis=1) for at, of_task in zip(INTERCEPTS, directions, strict=True)]
    return np.asarray(expit(np.stack(logits, axis=1)))


def _check(rho: float, label_rate: float, rows: int, test_rows: int) -> None:
    if not -1 <= rho <= 1:
        raise ValueError(f"rho is {rho}; expected a similarity from -1 to 1.")
    if not 0 < label_rate <= 1:
        raise ValueError(f"label_rate is {label_rate}; expected a share above 0 and at most 1.")
    if rows < 1 or test_rows < 1:
        raise ValueError(f"rows is {rows} and test_rows {test_rows}; expected at least 1 of each.")
