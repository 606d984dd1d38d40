"""Meta-learners: the effect given covariates from ordinary regressions.

Künzel, Sekhon, Bickel & Yu (2019), "Metalearners for estimating heterogeneous treatment effects using machine learning", PNAS. Treatment is
taken to be randomised; X weighs its two effect models by the share treated.

S  one model of y on (x, treated). Where the effect is small beside the main effects the trees may hardly split on treatment.
T  one model an arm; their difference. The noise of two models is added and looks like heterogeneity.
X  T's models impute the missing outcome of everyone, and the imputed effects are modelled: smooth where the effect is smooth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from simulators.engines.experiment.uplift.boosting import Boosting, Growing, Grown, predict
from simulators.engines.experiment.uplift.sample import Floats, Sample, covariates_of, sample_of
from simulators.engines.steps import finish, scaled
from simulators.errors import InvalidInput

EFFECT_LEAVES, EFFECT_ROWS = 8, 100  # of a tree that models imputed effects; rows a leaf


class MetaLearner:
    """`fit(X (n, d), treated (n,), y (n,))`, then `effect(X) -> (n,)`: the expected gain in y from treating each row.

    Options are those of `Boosting`: trees, learning_rate, max_leaf_nodes, min_samples_leaf, seed.
    """

    def __init__(self, **options: Any) -> None:
        try:
            self.boosting = Boosting(**options)
        except TypeError:
            known = ", ".join(Boosting.__dataclass_fields__)
            raise InvalidInput(f"Options {', '.join(options)} were given; a meta-learner knows {known}.") from None
        self.columns: int | None = None

    def fit(self, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Self:
        """Raises InvalidInput where the arrays do not fit together, are not finite, or lack one of the arms."""
        return finish(self._fit_steps(replace(self.boosting, pauses=False), X, treated, y))

    def fit_steps(self, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Growing[Self]:
        """`fit` that yields the share of the work done every few trees."""
        return (yield from self._fit_steps(self.boosting, X, treated, y))

    def _fit_steps(self, boosting: Boosting, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Growing[Self]:
        sample = sample_of(X, treated, y, least=2 * boosting.min_samples_leaf)
        yield from self._grow(boosting, sample)
        self.columns = sample.X.shape[1]
        return self

    def effect(self, X: ArrayLike) -> Floats:
        if self.columns is None:
            raise InvalidInput("effect was asked for before fit.")
        return self._effect(covariates_of(X, self.columns))

    def _grow(self, boosting: Boosting, sample: Sample) -> Growing[None]:
        raise NotImplementedError

    def _effect(self, X: Floats) -> Floats:
        raise NotImplementedError


class SLearner(MetaLearner):
    """A single model with treatment as one more covariate."""

    def _grow(self, boosting: Boosting, sample: Sample) -> Growing[None]:
        self.model = yield from boosting.grow(_with_arm(sample.X, sample.treated), sample.y)

    def _effect(self, X: Floats) -> Floats:
        return predict(self.model, _with_arm(X, 1.0)) - predict(self.model, _with_arm(X, 0.0))


class TLearner(MetaLearner):
    """Two models, one an arm."""

    def _grow(self, boosting: Boosting, sample: Sample) -> Growing[None]:
        self.control, self.treatment = yield from _two_models(boosting, sample)

    def _effect(self, X: Floats) -> Floats:
        return predict(self.treatment, X) - predict(self.control, X)


class XLearner(MetaLearner):
    """T's models impute each row's effect; two further models, one an arm, smooth those.

    Imputed effects are nearly all noise, so their models are smaller: half of the trees, with few and large leaves.
    """

    def _grow(self, boosting: Boosting, sample: Sample) -> Growing[None]:
        X, treated, y = sample
        control, treatment = yield from scaled(_two_models(boosting, sample), 0.0, 0.7)
        effects = np.empty(len(y))
        effects[treated] = y[treated] - predict(control, X[treated])
        yield 0.7
        effects[~treated] = predict(treatment, X[~treated]) - y[~treated]
        yield 0.7
        imputed = Sample(X, treated, effects)
        smooth = replace(boosting, trees=max(1, boosting.trees // 2), max_leaf_nodes=EFFECT_LEAVES, min_samples_leaf=EFFECT_ROWS)
        self.control, self.treatment = yield from scaled(_two_models(smooth, imputed), 0.7, 1.0)
        self.propensity = float(treated.mean())

    def _effect(self, X: Floats) -> Floats:
        return self.propensity * predict(self.control, X) + (1 - self.propensity) * predict(self.treatment, X)


def _two_models(boosting: Boosting, sample: Sample) -> Growing[tuple[Grown, Grown]]:
    """(control, treatment) models of y."""
    X, treated, y = sample
    control = yield from scaled(boosting.grow(X[~treated], y[~treated]), 0.0, 0.5)
    treatment = yield from scaled(boosting.grow(X[treated], y[treated]), 0.5, 1.0)
    return control, treatment


def _with_arm(X: Floats, treated: Any) -> Floats:
    return np.column_stack([X, np.broadcast_to(np.asarray(treated, dtype=float), len(X))])
