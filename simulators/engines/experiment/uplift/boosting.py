"""Gradient-boosted regression trees, grown a few at a time so that whoever waits can stop in between. One thread, always."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np

from simulators.engines.experiment.uplift.sample import Floats

T = TypeVar("T")
Grown = list[Any]  # models whose predictions add up
Growing = Generator[float, None, T]  # yields the share of the work done, returns what was grown
_ROWS_A_STEP = 120_000  # rows x trees between two yields: about 40 ms, a third of it for starting again


@dataclass(frozen=True)
class Boosting:
    """Options of one model; the names are scikit-learn's where they have one."""

    trees: int = 100
    learning_rate: float = 0.1
    max_leaf_nodes: int = 31
    min_samples_leaf: int = 20
    seed: int = 0
    pauses: bool = True  # False: in one go, which saves the third of the time that starting again costs

    def grow(self, X: Floats, y: Floats) -> Growing[Grown]:
        """A model of E[y | X]. Least squares boosting fits each tree to what is left, so a pause is a new model of what is left."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        parts, left = list[Any](), y
        step = max(10, _ROWS_A_STEP // len(X)) if self.pauses else self.trees
        for done in range(0, self.trees, step):
            model = HistGradientBoostingRegressor(
                max_iter=min(step, self.trees - done),
                learning_rate=self.learning_rate,
                max_leaf_nodes=self.max_leaf_nodes,
                min_samples_leaf=self.min_samples_leaf,
                early_stopping=False,
                random_state=self.seed,
            )
            with _one_thread():
                parts.append(model.fit(X, left))
            if done + step < self.trees:
                left = left - predict([model], X)
            yield min(1.0, (done + step) / self.trees)
        return parts


def predict(parts: Grown, X: Floats) -> Floats:
    with _one_thread():
        return np.asarray(sum(model.predict(X) for model in parts), dtype=float)


def _one_thread() -> Any:
    """scikit-learn's trees use every core OpenMP offers, which on shared machines costs more than it brings."""
    return _controller().limit(limits=1, user_api="openmp")


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
