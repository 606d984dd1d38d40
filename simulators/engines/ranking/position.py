"""How much of a click is the position? Five ways to learn relevance from clicks on ranked slates.

A click needs a look: P(click at k) = e_k x relevance, the examination hypothesis. What a ranker learns from such clicks depends on
who put the items where they stood:

    naive        clicks as they are: items that stood high look relevant
    feature      the position is an input, served at one fixed position for all (or averaged over all)
    pal          two towers, p = sigmoid(relevance) x sigmoid(position); the second is thrown away (Guo et al. 2019, PAL)
    ips          each click weighted by 1 / e_k, unbiased where e is right (Joachims et al. 2017); the weighted target of the log loss
                 stays unbiased, so non-clicks get the weight 1 - 1/e_k on clicked rows
    random_only  clicks of the randomised slates alone: little data, no bias but the average position

e is identified up to a constant: everywhere here e_1 = 1, and relevance is the probability of a click at position 1.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.engines.ranking.arguments import Floats, Ints, binary, finite, one_of, probabilities
from simulators.engines.ranking.step import Step
from simulators.engines.steps import finished

if TYPE_CHECKING:  # importing this module must not cost what importing torch does
    from simulators.engines.ranking._position_net import Init, Kind, Net

Flags = NDArray[np.bool_]
Serve = int | Literal["mean"]
KINDS: tuple[Kind, ...] = ("naive", "feature", "pal", "ips", "random_only")
POSITION_LR = 0.05


class Rows(NamedTuple):
    """Impressions of slates of any length: features (n, D), position (n,) from 0, click (n,), and whether its slate was shuffled (n,)."""

    x: Floats
    position: Ints
    click: Floats
    randomised: Flags | None


def examination(k: int, eta: float) -> Floats:
    """(k,): the probability that positions 1 to k are looked at, rank^-eta."""
    if k < 1:
        raise ValueError(f"k is {k}; expected 1 or more.")
    if not 0 <= eta < np.inf:
        raise ValueError(f"eta is {eta}; expected 0 or more.")
    return np.asarray(np.arange(1, k + 1) ** -float(eta))


def propensity(clicks: ArrayLike, randomised: ArrayLike) -> Floats:
    """(K,): click rate of each position over that of the first, from the slates (S, K) that were shuffled (S,), where items do not differ.

    e_1 = 1; a ratio above 1 is noise and reads 1. ValueError without a shuffled slate, or without a click at the first position of one.
    """
    shown = binary("clicks", clicks, ndim=2)
    chosen = shown[_flags(randomised, len(shown))]
    position = np.tile(np.arange(shown.shape[1]), len(chosen))
    return row_propensity(Rows(np.zeros((chosen.size, 0)), position, chosen.ravel(), np.ones(chosen.size, np.bool_)), shown.shape[1])


def row_propensity(rows: Rows, positions: int) -> Floats:
    """`propensity` from impressions of slates that may differ in length."""
    if rows.randomised is None or not rows.randomised.any():
        raise ValueError("randomised marks no slate; expected at least one that was shuffled.")
    at = rows.position[rows.randomised]
    shown = np.bincount(at, minlength=positions)
    clicked = np.bincount(at, rows.click[rows.randomised], minlength=positions)
    if not clicked[0]:
        raise ValueError("clicks holds none at position 1 of a randomised slate; expected some, for every other rate is relative to it.")
    rate = clicked / np.maximum(shown, 1)
    return np.asarray(np.minimum(rate / rate[0], 1.0))


@dataclass(frozen=True)
class PositionModel:
    """A trained ranker. `examination` (K,) is what it believes of the positions, e_1 = 1: learned by pal, given to ips, None of others."""

    kind: Kind
    examination: Floats | None
    positions: int
    serve_position: Serve
    net: Net
    mean: Floats  # (D,) of the training rows
    deviation: Floats  # (D,), 1 where a feature is constant

    def relevance(self, X: ArrayLike) -> Floats:
        """(n,) for features (n, D), or (S, K) for slates (S, K, D): the score to rank by, a probability.

        Of a click at position 1; of feature at `serve_position`; of naive and random_only at no position in particular.
        ValueError where X has another number of features or is not finite.
        """
        x = finite("X", X)
        if x.ndim not in (2, 3) or x.shape[-1] != len(self.mean):
            raise ValueError(f"X has shape {x.shape}; expected {len(self.mean)} features in the last of two or three dimensions.")
        flat = (x.reshape(-1, x.shape[-1]) - self.mean) / self.deviation
        return self._relevance(flat).reshape(x.shape[:-1])

    def click_probability(self, X: ArrayLike, position: int) -> Floats:
        """As `relevance`, of a click at `position` (1 to K) as far as the model tells positions apart."""
        if not 1 <= position <= self.positions:
            raise ValueError(f"position is {position}; expected 1 to {self.positions}.")
        if self.kind == "feature":
            return PositionModel(self.kind, None, self.positions, position, self.net, self.mean, self.deviation).relevance(X)
        factor = 1.0 if self.examination is None else self.examination[position - 1]
        return np.asarray(np.minimum(self.relevance(X) * factor, 1.0))

    def _relevance(self, x: Floats) -> Floats:
        if self.kind == "feature" and self.serve_position == "mean":
            return np.asarray(np.mean([self.net.probability(x, position) for position in range(self.positions)], axis=0))
        at = self.serve_position - 1 if isinstance(self.serve_position, int) else 0
        scale = float(self.net.examined()[0]) if self.kind == "pal" else 1.0
        return self.net.probability(x, at) * scale


def iter_position(
    X: ArrayLike,
    clicks: ArrayLike,
    *,
    kind: Kind = "naive",
    propensity: ArrayLike | None = None,
    randomised: ArrayLike | None = None,
    seed: int = 0,
    serve_position: Serve = 1,
    position_lr: float = POSITION_LR,
    position_init: Init = "zeros",
    steps: int = 400,
    batch: int = 1024,
) -> Generator[Step, None, PositionModel]:
    """A ranker from clicks (S, K) on slates of features (S, K, D), columns in the order shown.

    kind            see the module
    propensity      (K,) for ips: probabilities that a position is looked at; None: estimated from the randomised slates
    randomised      (S,) bool: slates that were shuffled; ips without propensities and random_only need some
    serve_position  of the feature model: the position (1 to K) all items are scored at, or "mean" over all
    position_lr     learning rate of PAL's position tower; the net has 0.02, and a tower that learns slowly leaves the bias to the net
    position_init   of that tower: zeros, or N(0, 1) draws that it first has to unlearn
    steps, batch    Adam steps and rows of each

    ValueError names the argument that is wrong.

    In steps, each with the loss of a batch. `fit_position` is the same in one go.
    """
    x, shown = finite("X", X, ndim=3), binary("clicks", clicks, ndim=2)
    if shown.shape != x.shape[:2] or not shown.size:
        raise ValueError(f"clicks has shape {shown.shape}; expected {x.shape[:2]}, as X has, and at least one slate.")
    slates, positions = shown.shape
    flags = None if randomised is None else np.repeat(_flags(randomised, slates), positions)
    rows = Rows(x.reshape(slates * positions, -1), np.tile(np.arange(positions), slates), shown.ravel(), flags)
    return (
        yield from iter_rows(
            rows,
            positions,
            kind=kind,
            propensity=propensity,
            seed=seed,
            serve_position=serve_position,
            position_lr=position_lr,
            position_init=position_init,
            steps=steps,
            batch=batch,
        )
    )


fit_position = finished("fit_position", iter_position)


def iter_rows(
    rows: Rows,
    positions: int,
    *,
    kind: Kind = "naive",
    propensity: ArrayLike | None = None,
    seed: int = 0,
    serve_position: Serve = 1,
    position_lr: float = POSITION_LR,
    position_init: Init = "zeros",
    steps: int = 400,
    batch: int = 1024,
) -> Generator[Step, None, PositionModel]:
    """`iter_position` for impressions whose slates differ in length; K is `positions`."""
    from simulators.engines.ranking._position_net import Settings, train
    from simulators.engines.ranking.one_thread import on_one_thread

    one_of("kind", kind, KINDS)
    one_of("position_init", position_init, ("zeros", "normal"))
    _check_settings(positions, serve_position, position_lr=position_lr, steps=steps, batch=batch)
    used, target, believed = _targets(rows, positions, kind, propensity)
    x = rows.x[used]
    spread = x.std(axis=0)
    mean, deviation = x.mean(axis=0), np.where(spread > 0, spread, 1.0)
    settings = Settings(kind, position_lr, position_init, steps, batch, seed)
    work = train((x - mean) / deviation, rows.position[used], target[used], positions, settings)
    net, _ = yield from on_one_thread(work)
    if kind == "pal":
        believed = net.examined() / net.examined()[0]
    return PositionModel(kind, believed, positions, serve_position, net, mean, deviation)


def _targets(rows: Rows, positions: int, kind: Kind, propensity: ArrayLike | None) -> tuple[Flags, Floats, Floats | None]:
    """Rows to learn from, what they are to average to, and the examination that was put in."""
    if kind == "random_only":
        if rows.randomised is None or not rows.randomised.any():
            raise ValueError("randomised marks no slate; random_only learns from nothing else.")
        return rows.randomised, rows.click, None
    if kind != "ips":
        return np.ones(len(rows.click), np.bool_), rows.click, None
    believed = row_propensity(rows, positions) if propensity is None else probabilities("propensity", propensity, ndim=1)
    if len(believed) != positions:
        raise ValueError(f"propensity has {len(believed)} positions; expected {positions}.")
    at = believed[rows.position]
    if propensity is not None and (rows.click[at == 0] > 0).any():
        raise ValueError("propensity is 0 at a position that was clicked; expected above 0 wherever there are clicks.")
    # A position never looked at, or never clicked on a shuffled slate, has no weight: its rows are left out.
    return at > 0, rows.click / np.where(at > 0, at, 1.0), believed


def _check_settings(positions: int, serve_position: Serve, *, position_lr: float, steps: int, batch: int) -> None:
    if serve_position != "mean" and not (isinstance(serve_position, int) and 1 <= serve_position <= positions):
        raise ValueError(f"serve_position is {serve_position!r}; expected 1 to {positions} or 'mean'.")
    if not 0 < position_lr < np.inf:
        raise ValueError(f"position_lr is {position_lr}; expected a learning rate above 0.")
    for name, count in (("steps", steps), ("batch", batch)):
        if count < 1:
            raise ValueError(f"{name} is {count}; expected 1 or more.")


def _flags(randomised: ArrayLike, slates: int) -> Flags:
    flags = np.asarray(randomised)
    if flags.shape != (slates,):
        raise ValueError(f"randomised has shape {flags.shape}; expected ({slates},), one flag a slate.")
    return binary("randomised", flags).astype(np.bool_)
