"""Segments: what a learner finds on a world whose effects are known, and how often tested segments are false."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment import uplift
from simulators.engines.experiment.multiple import adjust
from simulators.engines.experiment.stats import MomentTable
from simulators.engines.experiment.uplift.forest import Pooled
from simulators.engines.experiment.uplift.sample import Floats
from simulators.engines.experiment.uplift.segments import Arms, Correction, SegmentEffect, gaps_of, two_sided
from simulators.engines.experiment.uplift.world import COVARIATES, MODIFIERS, Drawn, UpliftWorld
from simulators.experimentation._hidden_params import HiddenParams
from simulators.lab import Context, Progress, Working

TEST_USERS = 10_000
ALPHA = 0.05
REPEATS, REPEATED_USERS = 200, 4_000_000  # tests drawn again, at most so many users in all of them
_BLOCK = 200_000  # users drawn between two yields
META = {"S": uplift.SLearner, "T": uplift.TLearner, "X": uplift.XLearner}


class Bins(NamedTuple):
    """One covariate cut into bins of equal size."""

    names: tuple[str, ...]
    codes: NDArray[np.int64]  # (n,) bin of every user
    covariate: int
    edges: Floats  # (bins - 1,)

    @property
    def null(self) -> NDArray[np.bool_]:
        """(bins,) no different from the others, if the effect depends on this covariate at all: the middle one of an odd number, because
        the effects of these worlds rise as much above the median as they fall below it."""
        middle = len(self.names) // 2 if len(self.names) % 2 else -1
        return np.asarray((np.arange(len(self.names)) == middle) | (self.covariate >= MODIFIERS))

    def code(self, X: Floats) -> NDArray[np.int64]:
        """(n,) the bin of each user."""
        codes: NDArray[np.int64] = np.searchsorted(self.edges, X[:, self.covariate])
        return codes


@dataclass(frozen=True)
class Targeting:
    """A learner's estimates on the held-out users, and what following them is worth."""

    effect: Floats
    test: Drawn
    cap: float

    @property
    def pehe(self) -> float:
        return uplift.pehe(self.effect, self.test.tau)

    @property
    def value(self) -> float:
        """$ a user."""
        return uplift.policy_value(self.effect, self.test.tau, self.cap)

    @property
    def oracle(self) -> float:
        return uplift.policy_value(self.test.tau, self.test.tau, self.cap)

    @property
    def random(self) -> float:
        return self.cap * float(self.test.tau.mean())

    @property
    def treated_share(self) -> float:
        return min(self.cap, float((self.effect > 0).mean()))

    @property
    def overstatement(self) -> float | None:
        """Mean predicted over mean true effect of the fifth with the largest predictions; None where no mean gain is true."""
        top = np.argsort(-self.effect, kind="stable")[: len(self.effect) // 5]
        true = float(self.test.tau[top].mean())
        return float(self.effect[top].mean()) / true if true > 0 else None


@dataclass(frozen=True)
class Fishing:
    """Segments tested on the training users, and the same test repeated with fresh arms and noise."""

    cuts: list[Bins]
    found: list[SegmentEffect]
    true_effects: Floats  # (k,) mean effect on the members
    null: NDArray[np.bool_]  # (k,) the segment is no different from the others
    repeated_p: Floats  # (repeats, k)

    def named(self, correction: Correction) -> NDArray[np.bool_]:
        """(repeats, k) segments each repetition would name."""
        adjusted = self.repeated_p if correction == "none" else np.array([adjust(p, correction) for p in self.repeated_p])
        return np.asarray(adjusted < ALPHA)

    def fdr(self, correction: Correction) -> float:
        """Mean share of false segments among those named; a test that names none has share 0."""
        named = self.named(correction)
        return float(np.mean((named & self.null).sum(axis=1) / np.maximum(1, named.sum(axis=1))))

    def any_false(self, correction: Correction) -> float:
        """Chance that a test names at least one false segment."""
        return float((self.named(correction) & self.null).any(axis=1).mean())


@dataclass(frozen=True)
class Growth:
    """A forest's error after so many trees."""

    trees: tuple[int, ...] = ()
    pehe: tuple[float, ...] = ()

    def and_now(self, trees: int, seen: Targeting) -> Growth:
        return Growth((*self.trees, trees), (*self.pehe, seen.pehe))


Watch = Callable[[Targeting, Growth], Any]


def draw_users(params: HiddenParams, ctx: Context) -> tuple[Drawn, Drawn]:
    """(training, held-out) users."""

    def draw() -> tuple[Drawn, Drawn]:
        world = UpliftWorld(params.truth)
        return world.draw(params.n, ctx.rng("users/train")), world.draw(TEST_USERS, ctx.rng("users/test"))

    return ctx.asset(f"hidden/users/{params.truth}/n={params.n}/seed={ctx.seed}", draw, disk=False)


# --- segments -------------------------------------------------------------------------------------------------------------------------


def cut(X: Floats, n_segments: int) -> list[Bins]:
    """`n_segments` bins over as many covariates as get two or more, the first ones first."""
    used = min(X.shape[1], n_segments // 2)
    counts = [n_segments // used + (i < n_segments % used) for i in range(used)]
    return [_bins(X[:, j], j, count) for j, count in enumerate(counts)]


def _bins(column: Floats, covariate: int, count: int) -> Bins:
    edges = np.quantile(column, np.arange(1, count) / count)
    ends = [f"{100 * i / count:.0f}" for i in range(count + 1)]
    names = tuple(f"{COVARIATES[covariate]} {low} to {high} %" for low, high in zip(ends, ends[1:], strict=False))
    return Bins(names, np.searchsorted(edges, column), covariate, edges)


def partition(bins: Bins, drawn: Drawn) -> dict[str, Arms]:
    cube = MomentTable(("arm", "segment")).update({"arm": drawn.treated.astype(np.int8), "segment": bins.codes, "y": drawn.y})
    return {name: (cube.total(arm=0, segment=i), cube.total(arm=1, segment=i)) for i, name in enumerate(bins.names)}


def fish(params: HiddenParams, ctx: Context, train: Drawn) -> Working[Fishing]:
    """Raises InvalidInput for a segment with too few users in an arm."""
    cuts = cut(train.X, params.n_segments)
    found = uplift.segment_effects([partition(bins, train) for bins in cuts], correction=params.correction, alpha=ALPHA)
    true_effects = np.concatenate([np.bincount(bins.codes, weights=train.tau) / np.bincount(bins.codes) for bins in cuts])
    null = np.concatenate([bins.null | (params.truth == "constant") for bins in cuts])
    key = f"hidden/fishing/{params.truth}/n={params.n}/segments={params.n_segments}/seed={ctx.seed}"
    repeated = yield from ctx.asset_steps(key, lambda: _repeat(params, ctx, train, cuts), disk=False)
    return Fishing(cuts, found, true_effects, null, repeated)


def _repeat(params: HiddenParams, ctx: Context, train: Drawn, cuts: list[Bins]) -> Working[Floats]:
    """(repeats, k) unadjusted p-values of tests on the same users with arms dealt and noise drawn anew."""
    world, rng = UpliftWorld(params.truth), ctx.rng("fishing")
    main = world.main(train.X)
    repeats = max(1, min(REPEATS, REPEATED_USERS // params.n))
    p_values = np.empty((repeats, params.n_segments))
    for i in range(repeats):
        treated, y = world.outcome(main, train.tau, rng)
        p_values[i] = np.concatenate([two_sided(*gaps_of(*_sums(bins, treated, y))) for bins in cuts])
        if i % max(1, _BLOCK // params.n) == 0:
            yield Progress(i, repeats, "repeating the test of the segments")
    return p_values


def _sums(bins: Bins, treated: NDArray[np.bool_], y: Floats) -> tuple[Floats, Floats, Floats]:
    """(2, k) users, mean and centred squares by arm and segment."""
    k = len(bins.names)
    cell = bins.codes + k * treated
    n = np.maximum(2.0, np.bincount(cell, minlength=2 * k))
    mean = np.bincount(cell, weights=y, minlength=2 * k) / n
    centred = np.maximum(0.0, np.bincount(cell, weights=y * y, minlength=2 * k) - n * mean**2)
    return n.reshape(2, k), mean.reshape(2, k), centred.reshape(2, k)


# --- targeting ------------------------------------------------------------------------------------------------------------------------


def target(
    params: HiddenParams, ctx: Context, train: Drawn, test: Drawn, fishing: Fishing, watch: Watch
) -> Generator[Any, None, tuple[Targeting, Growth]]:
    """Estimates of the chosen learner. A forest shows itself to `watch` every ten trees, and what that returns is yielded."""
    cap = params.treat_cap / 100
    if params.learner == "best_segment":
        return Targeting(_best_segment(fishing, test), test, cap), Growth()
    key = f"hidden/{params.learner}/{params.truth}/n={params.n}/trees={params.trees}/seed={ctx.seed}"
    if params.learner != "forest":
        effect = yield from ctx.asset_steps(key, lambda: _meta(params, ctx, train, test), disk=False)
        return Targeting(effect, test, cap), Growth()
    pooled = yield from ctx.asset_steps(key, lambda: _forest(params, ctx, train, test, cap, watch), disk=False)
    growth = Growth()
    for trees, seen in pooled:
        growth = growth.and_now(trees, Targeting(seen, test, cap))
    return Targeting(pooled[-1][1], test, cap), growth


def _meta(params: HiddenParams, ctx: Context, train: Drawn, test: Drawn) -> Working[Floats]:
    learner = META[params.learner](trees=params.trees, seed=_seed(ctx))
    for done in learner.fit_steps(train.X, train.treated, train.y):
        yield Progress(done, 1.0, f"fitting the {params.learner}-learner")
    return learner.effect(test.X)


def _forest(
    params: HiddenParams, ctx: Context, train: Drawn, test: Drawn, cap: float, watch: Watch
) -> Generator[Any, None, list[tuple[int, Floats]]]:
    """(trees so far, effect on the held-out users) every ten trees."""
    forest, seen = uplift.CausalForest(trees=params.trees, seed=_seed(ctx)), Pooled(np.zeros(len(test.y)), np.zeros(len(test.y)))
    growth, stages = Growth(), list[tuple[int, Floats]]()
    for done in forest.fit_steps(train.X, train.treated, train.y):
        yield Progress(done, 1.0, "growing the forest")
        before, trees = (stages[-1][0] if stages else 0), len(forest.grown)
        if trees > before:
            seen += forest.pooled(test.X, before)
            stages.append((trees, seen.effect))
            now = Targeting(seen.effect, test, cap)
            growth = growth.and_now(trees, now)
            yield watch(now, growth)
    return stages


def _seed(ctx: Context) -> int:
    return int(ctx.rng("learner").integers(2**31))


def _best_segment(fishing: Fishing, test: Drawn) -> Floats:
    """(m,) the estimated effect for members of the segment with the largest one, of the significant if any is; 0 for everybody else."""
    named = [i for i, item in enumerate(fishing.found) if item.significant] or range(len(fishing.found))
    best = max(named, key=lambda i: fishing.found[i].effect.estimate or 0.0)
    effect, place = fishing.found[best].effect.estimate or 0.0, best
    for bins in fishing.cuts:
        if place < len(bins.names):
            return np.where(bins.code(test.X) == place, effect, 0.0)
        place -= len(bins.names)
    raise AssertionError("every segment belongs to a covariate")
