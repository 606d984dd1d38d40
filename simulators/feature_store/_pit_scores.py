"""Area under the ROC curve with its paired interval (DeLong, DeLong & Clarke-Pearson 1988), and calibration."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Z95 = 1.959964


class Placements(NamedTuple):
    """Share of the other class that each positive (p,) and each negative (n,) is ranked rightly against; ties count half."""

    positives: Floats
    negatives: Floats

    @property
    def auc(self) -> float:
        return float(self.positives.mean())


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    se: float

    @property
    def ci(self) -> tuple[float, float]:
        return self.value - Z95 * self.se, self.value + Z95 * self.se


class Bins(NamedTuple):
    """Mean prediction and share of clicks (b,) in groups of like predictions, with the rows of each."""

    predicted: Floats
    actual: Floats
    rows: NDArray[np.int64]


def placements(clicked: Flags, score: Floats) -> Placements:
    """Raises ValueError where one class is missing."""
    if clicked.all() or not clicked.any():
        raise ValueError("an area under the curve needs rows of both classes")
    rank = rankdata(score)
    positives, negatives = score[clicked], score[~clicked]
    above = (rank[clicked] - rankdata(positives)) / len(negatives)
    below = 1 - (rank[~clicked] - rankdata(negatives)) / len(positives)
    return Placements(above, below)


def area(found: Placements) -> Estimate:
    return Estimate(found.auc, _se(found.positives, found.negatives))


def difference(a: Placements, b: Placements) -> Estimate:
    """a - b over the same rows, whose shared noise cancels."""
    return Estimate(a.auc - b.auc, _se(a.positives - b.positives, a.negatives - b.negatives))


def _se(positives: Floats, negatives: Floats) -> float:
    return math.sqrt(positives.var() / len(positives) + negatives.var() / len(negatives))


def calibration(clicked: Flags, predicted: Floats) -> float:
    """Predicted over actual clicks."""
    return float(predicted.sum() / clicked.sum())


def reliability(clicked: Flags, predicted: Floats, bins: int = 10) -> Bins:
    """Groups of about as many rows each; equal predictions stay together."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1]))
    group = np.searchsorted(edges, predicted, side="right")
    rows = np.bincount(group, minlength=len(edges) + 1)
    some = rows > 0
    sums = [np.bincount(group, weights=column, minlength=len(rows))[some] / rows[some] for column in (predicted, clicked.astype(float))]
    return Bins(sums[0], sums[1], rows[some])
