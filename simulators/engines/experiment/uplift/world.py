"""Experiments whose effect on every person is known.

Eight standard normal covariates, treatment by a fair coin, y = main effects + tau(x) treated + noise, in $ a person. Only the first two
covariates say whom the treatment helps; the main effects are several times larger than the effect, as they are in practice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from simulators.engines.experiment.uplift.sample import Flags, Floats

Truth = Literal["subgroup", "smooth", "constant"]
COVARIATES = ("visits", "basket", "tenure", "recency", "discounts", "app use", "distance", "night use")
MODIFIERS = 2  # the first covariates, on which the effect depends unless it is constant
HELPED, HARMED = 0.36, -0.06  # $ a person inside the subgroup, a quarter of all, and outside it
CONSTANT = 0.1
NOISE = 0.58


class Drawn(NamedTuple):
    X: Floats  # (n, 8)
    treated: Flags  # (n,)
    y: Floats  # (n,)
    tau: Floats  # (n,) the effect on each person


@dataclass(frozen=True)
class UpliftWorld:
    """subgroup: visits and basket both above average; smooth: rising in both; constant: the same for all."""

    truth: Truth

    def tau(self, X: Floats) -> Floats:
        if self.truth == "subgroup":
            return np.where((X[:, 0] > 0) & (X[:, 1] > 0), HELPED, HARMED)
        if self.truth == "smooth":
            smooth: Floats = 0.045 + 0.17 * np.tanh(1.5 * X[:, 0]) + 0.06 * X[:, 1]
            return smooth
        return np.full(len(X), CONSTANT)

    def main(self, X: Floats) -> Floats:
        level: Floats = 0.5 * X[:, 2] + 0.3 * np.maximum(X[:, 3], 0) + 0.2 * X[:, 0] + 0.2 * X[:, 4] * (X[:, 5] > 0)
        return level

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        X = rng.standard_normal((n, len(COVARIATES)))
        tau, main = self.tau(X), self.main(X)
        return Drawn(X, *self.outcome(main, tau, rng), tau)

    def outcome(self, main: Floats, tau: Floats, rng: np.random.Generator) -> tuple[Flags, Floats]:
        """(treated, y): the same people in a test of its own."""
        treated = rng.random(len(tau)) < 0.5
        return treated, main + tau * treated + NOISE * rng.standard_normal(len(tau))
