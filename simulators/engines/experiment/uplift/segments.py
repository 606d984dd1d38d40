"""Effects of segments, each against everybody else: was something found, or only looked for long enough?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from simulators.engines.experiment.multiple import adjust
from simulators.engines.experiment.stats import Comparison, Moments, compare
from simulators.engines.experiment.uplift.sample import Floats
from simulators.errors import InvalidInput

MIN_UNITS = 30  # of either arm: fewer, and the normal approximation means little
Correction = Literal["none", "bonferroni", "holm", "bh"]
Arms = tuple[Moments, Moments]  # control, treatment


@dataclass(frozen=True)
class SegmentEffect:
    """One segment. `gap` is its effect minus the effect on everybody outside it; the p-values test that the gap is 0."""

    name: str
    arms: tuple[int, int]  # units in control, in treatment
    effect: Comparison
    gap: float
    gap_se: float
    p_value: float
    p_adjusted: float
    significant: bool


def segment_effects(
    partitions: Sequence[Mapping[str, Arms]],
    *,
    correction: Correction = "bh",
    alpha: float = 0.05,
    metric: str = "y",
    min_units: int = MIN_UNITS,
) -> list[SegmentEffect]:
    """Effect of every segment, with one correction over all of them.

    partitions  each splits the same people by one attribute: {"tablet": (control, treatment), "phone": ...}; people outside a segment are
                those of the other segments of its partition, so an attribute with a single segment has no outside and is left out
    correction  of the p-values of the gaps; "none" is what fishing looks like

    Raises InvalidInput for a segment with fewer than `min_units` in an arm.
    """
    partitions = [cells for cells in partitions if len(cells) > 1]
    if not partitions:
        return []
    for cells in partitions:
        _refuse_small(cells, min_units)
    gaps = [gaps_of(*_sums(cells, metric)) for cells in partitions]
    gap, se = (np.concatenate([pair[i] for pair in gaps]) for i in (0, 1))
    p_values = two_sided(gap, se)
    adjusted = p_values if correction == "none" else adjust(p_values, correction)
    named = [(name, arms) for cells in partitions for name, arms in cells.items()]
    return [
        SegmentEffect(
            name,
            (a.n, b.n),
            compare(a, b, metric, alpha=alpha),
            float(gap[i]),
            float(se[i]),
            float(p_values[i]),
            float(adjusted[i]),
            bool(adjusted[i] < alpha),
        )
        for i, (name, (a, b)) in enumerate(named)
    ]


def gaps_of(n: Floats, mean: Floats, centred: Floats) -> tuple[Floats, Floats]:
    """(gap, its standard error), both (..., k), of k segments that split the people between them.

    n, mean, centred  (..., 2, k) units, mean and centred sum of squares of the metric, by arm (control, treatment) and segment
    """
    total, whole_mean, whole_centred = _merged(n, mean, centred)
    rest = total - n
    rest_mean = (total * whole_mean - n * mean) / rest
    rest_centred = np.maximum(0.0, whole_centred - centred - n * (mean - whole_mean) ** 2 * total / rest)
    variance = centred / (n * (n - 1)) + rest_centred / (rest * (rest - 1))
    effect, outside = mean[..., 1, :] - mean[..., 0, :], rest_mean[..., 1, :] - rest_mean[..., 0, :]
    return effect - outside, np.sqrt(variance.sum(axis=-2))


def two_sided(gap: Floats, se: Floats) -> Floats:
    """p-values of a normal test; 1 where neither moves."""
    z = np.divide(np.abs(gap), se, out=np.zeros_like(gap), where=se > 0)
    p: Floats = 2 * ndtr(-z)
    return p


def _merged(n: Floats, mean: Floats, centred: Floats) -> tuple[Floats, Floats, Floats]:
    total = n.sum(axis=-1, keepdims=True)
    whole = (n * mean).sum(axis=-1, keepdims=True) / total
    return total, whole, (centred + n * (mean - whole) ** 2).sum(axis=-1, keepdims=True)


def _sums(cells: Mapping[str, Arms], metric: str) -> tuple[Floats, Floats, Floats]:
    at = next(iter(cells.values()))[0].index(metric)
    n = np.array([[pair[arm].n for pair in cells.values()] for arm in (0, 1)], dtype=float)
    mean = np.array([[pair[arm].mean[at] for pair in cells.values()] for arm in (0, 1)])
    centred = np.array([[pair[arm].centred[at, at] for pair in cells.values()] for arm in (0, 1)])
    return n, mean, centred


def _refuse_small(cells: Mapping[str, Arms], min_units: int) -> None:
    for name, arms in cells.items():
        for arm, word in zip(arms, ("control", "treated"), strict=True):
            if arm.n < min_units:
                raise InvalidInput(f"Segment {name} has {arm.n} {word} unit{'s' * (arm.n != 1)}; {min_units} needed.", field="segments")
