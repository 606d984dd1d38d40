"""Days of impressions whose click probabilities change overnight, and may change back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from simulators.engines.ranking.arguments import Floats, one_of
from simulators.engines.ranking.worlds.draws import draw

Shift = Literal["concept", "base_rate", "both"]
WEIGHT_SD, BASE = 0.3, -2.0
LOGIT_SD = 1.77  # of every world, so that one seed is as hard as another
SHIFT_DAY = 15


class Day(NamedTuple):
    X: Floats  # (n, D)
    y: Floats  # (n,)
    p: Floats  # (n,), the known probability


@dataclass(frozen=True)
class DriftWorld:
    """`weights` (D,) hold before the shift, `shifted` (D,) from `shift_day` until `return_day`; `flipped` (D,) marks where they differ."""

    days: tuple[Day, ...]
    weights: Floats
    shifted: Floats
    flipped: NDArray[np.bool_]
    shift_day: int
    return_day: int  # 0: never

    @property
    def labelled(self) -> list[tuple[Floats, Floats]]:
        """What `drift.replay` takes: (X, y) of each day."""
        return [(day.X, day.y) for day in self.days]


def drift_world(
    seed: int = 0,
    *,
    shift: Shift = "concept",
    flipped: int = 12,
    lift: float = 1.0,
    return_day: int = 0,
    days: int = 30,
    rows: int = 3_000,
    features: int = 40,
    shift_day: int = SHIFT_DAY,
) -> DriftWorld:
    """Logit -2 + w.x with x ~ N(0, I) and w ~ N(0, 0.3^2), scaled to one length in every world.

    shift       concept: `flipped` weights change their sign on the shift day; base_rate: the logit moves by `lift`; or both
    flipped     spread evenly over the weights in order of size, so that twelve of them always matter alike
    return_day  from this day on everything is as it was; 0: never
    rows        impressions a day

    ValueError for numbers outside these meanings.
    """
    one_of("shift", shift, ("concept", "base_rate", "both"))
    _check(flipped=flipped, features=features, lift=lift, return_day=return_day, shift_day=shift_day, days=days, rows=rows)
    weights = draw(seed, "weights").normal(0, WEIGHT_SD, features)
    weights *= LOGIT_SD / np.linalg.norm(weights) * np.sqrt(features / 40)
    turned = _spread(weights, flipped)
    shifted = np.where(turned, -weights, weights) if shift != "base_rate" else weights
    items, clicks = draw(seed, "items"), draw(seed, "clicks")
    made = []
    for day in range(days):
        new = day >= shift_day and not (return_day and day >= return_day)
        x = items.normal(size=(rows, features))
        p = expit(BASE + (lift if new and shift != "concept" else 0.0) + x @ (shifted if new else weights))
        made.append(Day(x, (clicks.random(rows) < p).astype(np.float64), p))
    return DriftWorld(tuple(made), weights, shifted, turned, shift_day, return_day)


def _spread(weights: Floats, flipped: int) -> NDArray[np.bool_]:
    """The middle one of each of `flipped` equal parts of the weights sorted by size."""
    places = ((np.arange(flipped) + 0.5) * len(weights) / max(flipped, 1)).astype(np.int64)
    turned = np.zeros(len(weights), np.bool_)
    turned[np.argsort(-np.abs(weights), kind="stable")[places]] = True
    return turned


def _check(*, flipped: int, features: int, lift: float, return_day: int, shift_day: int, **sizes: int) -> None:
    for name, size in {"features": features, **sizes}.items():
        if size < 1:
            raise ValueError(f"{name} is {size}; expected 1 or more.")
    if not 0 <= flipped <= features:
        raise ValueError(f"flipped is {flipped}; expected 0 to {features}, as many weights as there are.")
    if not np.isfinite(lift):
        raise ValueError(f"lift is {lift}; expected a number.")
    for name, day in (("return_day", return_day), ("shift_day", shift_day)):
        if day < 0:
            raise ValueError(f"{name} is {day}; expected 0 or more.")
