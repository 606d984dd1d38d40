"""Honest causal forest: trees that split where the effect differs, with effects read off rows that chose no split.

Athey, Tibshirani & Wager (2019), "Generalized random forests", with the loss of Nie & Wager (2021), "Quasi-oracle estimation of
heterogeneous treatment effects". Residuals first: u = y - E[y | x], by cross-fitting, and v = treated - P(treated). In a leaf the effect
that minimises sum (u - theta v)^2 is theta = sum(uv) / sum(vv), and the loss falls by sum(uv)^2 / sum(vv): a split is worth what it
adds to that sum. Each tree takes half of the rows; one half of those places the splits, the other half fills the leaves.
A prediction pools the leaves a row falls into: the mean over trees of uv per leaf row, over that of vv.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.experiment.uplift.boosting import Boosting, Growing, predict
from simulators.engines.experiment.uplift.sample import Floats, Sample, covariates_of, sample_of
from simulators.engines.steps import finish, scaled
from simulators.errors import InvalidInput

Bins = NDArray[np.uint8]
Rows = NDArray[np.int64]
BINS = 64
TREES_A_STEP = 10
NUISANCE = Boosting(trees=50, max_leaf_nodes=15)


class Tree(NamedTuple):
    """Arrays over the nodes, the root first; see `_trees`. `uv` and `vv` are means over a leaf's rows, of those that chose no split."""

    feature: NDArray[np.int32]  # -1: a leaf
    cut: NDArray[np.int32]
    left: NDArray[np.int32]
    uv: Floats
    vv: Floats


class Pooled(NamedTuple):
    """What trees say of rows, summed over trees: both are (n,), and their ratio is the effect."""

    uv: Floats
    vv: Floats

    @property
    def effect(self) -> Floats:
        """(n,) 0 where no tree has a leaf with rows of both arms."""
        return np.divide(self.uv, self.vv, out=np.zeros_like(self.uv), where=self.vv > 0)

    def __add__(self, other: Pooled) -> Pooled:  # type: ignore[override]
        return Pooled(self.uv + other.uv, self.vv + other.vv)


class CausalForest:
    """`fit(X (n, d), treated (n,), y (n,))`, then `effect(X) -> (n,)`.

    trees       grown in steps of 10
    min_leaf    least rows, of those that place splits, on either side of one
    max_depth   of a tree
    subsample   share of the rows a tree sees, half of them for splits and half for leaves
    propensity  chance of being treated, a number or one a row; None: the share treated, which is right when treatment was randomised
    """

    def __init__(
        self,
        trees: int = 100,
        min_leaf: int = 50,
        max_depth: int = 12,
        subsample: float = 0.5,
        propensity: float | ArrayLike | None = None,
        seed: int = 0,
    ) -> None:
        if trees < 1 or min_leaf < 1 or not 1 <= max_depth <= 30 or not 0 < subsample <= 1:
            given = f"trees {trees}, min_leaf {min_leaf}, max_depth {max_depth}, subsample {subsample}"
            raise InvalidInput(f"{given} were given; expected counts from 1 up, a depth of 1 to 30 and a share above 0 up to 1.")
        self.trees, self.min_leaf, self.max_depth, self.subsample, self.seed = trees, min_leaf, max_depth, subsample, seed
        self.propensity = propensity
        self.grown: list[Tree] = []
        self.edges: list[Floats] = []

    def fit(self, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Self:
        """Raises InvalidInput where the arrays do not fit together, are not finite, or lack one of the arms."""
        return finish(self._fit_steps(replace(NUISANCE, pauses=False), X, treated, y))

    def fit_steps(self, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Growing[Self]:
        """`fit` that yields the share of the work done; from the first tree on, after every 10 trees."""
        return (yield from self._fit_steps(NUISANCE, X, treated, y))

    def _fit_steps(self, nuisance: Boosting, X: ArrayLike, treated: ArrayLike, y: ArrayLike) -> Growing[Self]:
        sample = sample_of(X, treated, y, least=self.min_leaf)
        if int(len(sample.y) * self.subsample / 2) < 2 * self.min_leaf:
            raise InvalidInput(f"{len(sample.y)} rows were given; with leaves of {self.min_leaf} rows a tree needs more.", field="X")
        self.grown, self.edges = [], [_edges(column) for column in sample.X.T]
        u, v = yield from self._residuals(nuisance, sample)
        bins, rng = self._binned(sample.X), np.random.default_rng(self.seed)
        while len(self.grown) < self.trees:
            for _ in range(min(TREES_A_STEP, self.trees - len(self.grown))):
                self.grown.append(self._tree(bins, u, v, rng))
            yield 0.3 + 0.7 * len(self.grown) / self.trees
        return self

    def effect(self, X: ArrayLike) -> Floats:
        if not self.grown:
            raise InvalidInput("effect was asked for before fit.")
        return self.pooled(X).effect

    def pooled(self, X: ArrayLike, first: int = 0) -> Pooled:
        """What the trees from number `first` on say, so that a growing forest need not ask its older trees again."""
        from simulators.engines.experiment.uplift._trees import add_leaves

        bins = self._binned(covariates_of(X, len(self.edges)))
        uv, vv = np.zeros(len(bins)), np.zeros(len(bins))
        for tree in self.grown[first:]:
            add_leaves(bins, *tree, uv, vv)
        return Pooled(uv, vv)

    def _residuals(self, nuisance: Boosting, sample: Sample) -> Growing[tuple[Floats, Floats]]:
        """(u, v); E[y | x] of each half comes from a model of the other."""
        X, treated, y = sample
        u, fold = np.empty(len(y)), np.random.default_rng([self.seed, 1]).permutation(len(y)) % 2 == 1
        for i, held in enumerate((fold, ~fold)):
            model = yield from scaled(nuisance.grow(X[~held], y[~held]), 0.15 * i, 0.15 * (i + 1))
            u[held] = y[held] - predict(model, X[held])
        return u, treated - self._chance(treated)

    def _chance(self, treated: NDArray[np.bool_]) -> Floats:
        given = treated.mean() if self.propensity is None else np.asarray(self.propensity, dtype=float)
        if np.shape(given) not in ((), treated.shape) or not ((given > 0) & (given < 1)).all():
            raise InvalidInput("propensity must lie between 0 and 1, both excluded, and be one number or one a row.", field="propensity")
        return np.broadcast_to(given, treated.shape)

    def _tree(self, bins: Bins, u: Floats, v: Floats, rng: np.random.Generator) -> Tree:
        half = int(len(u) * self.subsample / 2)
        rows = rng.choice(len(u), 2 * half, replace=False)
        return grow_tree(bins, u * v, v * v, rows[:half], rows[half:], self.min_leaf, self.max_depth)

    def _binned(self, X: Floats) -> Bins:
        binned = np.empty(X.shape, dtype=np.uint8)
        for j, edges in enumerate(self.edges):
            binned[:, j] = np.searchsorted(edges, X[:, j], side="left")
        return binned


def _edges(column: Floats) -> Floats:
    """At most BINS - 1 cut points; a value at most a cut lies left of it."""
    cuts: Floats = np.unique(np.quantile(column, np.arange(1, BINS) / BINS))
    return cuts


def grow_tree(bins: Bins, uv: Floats, vv: Floats, split: Rows, fill: Rows, min_leaf: int, max_depth: int) -> Tree:
    """One tree: rows `split` place the cuts, rows `fill` say what a leaf holds."""
    from simulators.engines.experiment.uplift import _trees

    nodes = _trees.grow(bins, uv, vv, split.copy(), min_leaf, max_depth, BINS)
    return Tree(*nodes, *_trees.fill(bins, uv, vv, fill, *nodes))


@cache
def warm_up() -> None:
    """Compiles the loops, or loads what an earlier process compiled, and imports what growing trees needs; once."""
    rng = np.random.default_rng(0)
    CausalForest(trees=1, min_leaf=5).fit(rng.random((60, 2)), np.arange(60) % 2, rng.random(60))
