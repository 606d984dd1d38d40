"""Is what was served what training would have computed? Cell by cell, and by distribution.

The four figures are those of Chronon's online/offline consistency job. The population stability index looks at distributions only and
so misses a wrong key, whose values are as good as any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
_TINY = np.finfo(float).tiny
_EMPTY_BIN = 1e-4  # stands for a share of 0, whose logarithm is not defined


@dataclass(frozen=True)
class FeatureParity:
    """One feature over n served rows; each of the first three is a share of n.

    mismatch  both sides have a value, and they differ by more than the tolerance
    missing   offline has a value, the served one was null
    extra     a value was served where offline has none
    smape     mean of 2 |a - b| / (|a| + |b|) over rows with both, from 0 to 2; 0 where both are 0
    """

    name: str
    mismatch: float
    missing: float
    extra: float
    smape: float
    n: int


@dataclass(frozen=True)
class ParityReport:
    """One `FeatureParity` a feature, in order; the same figures as arrays (f,)."""

    features: tuple[FeatureParity, ...]
    n: int

    def __getitem__(self, name: str) -> FeatureParity:
        return next(feature for feature in self.features if feature.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(feature.name for feature in self.features)

    @property
    def mismatch(self) -> Floats:
        return np.array([feature.mismatch for feature in self.features])

    @property
    def missing(self) -> Floats:
        return np.array([feature.missing for feature in self.features])

    @property
    def extra(self) -> Floats:
        return np.array([feature.extra for feature in self.features])

    @property
    def smape(self) -> Floats:
        return np.array([feature.smape for feature in self.features])


def compare(
    online: ArrayLike, offline: ArrayLike, *, rtol: float = 1e-6, atol: float = 0.0, names: Sequence[str] | None = None
) -> ParityReport:
    """Served values (n, f) against recomputed ones (n, f), or (n,) of a single feature.

    They match within atol + rtol |offline|. NaN is null.

    Raises InvalidInput when the shapes or the number of names differ.
    """
    served, expected = (np.asarray(side, dtype=float) for side in (online, offline))
    if served.ndim == expected.ndim == 1:
        served, expected = served[:, np.newaxis], expected[:, np.newaxis]
    if served.ndim != 2 or served.shape != expected.shape:
        raise InvalidInput(f"online is {served.shape} and offline {expected.shape}; expected the same (rows, features).", field="online")
    labels = tuple(names) if names is not None else tuple(f"feature_{i}" for i in range(served.shape[1]))
    if len(labels) != served.shape[1]:
        raise InvalidInput(f"{len(labels)} names were given for {served.shape[1]} features.", field="names")
    rows = len(served)
    features = tuple(_feature(name, served[:, i], expected[:, i], rtol, atol) for i, name in enumerate(labels))
    return ParityReport(features, rows)


def _feature(name: str, served: Floats, expected: Floats, rtol: float, atol: float) -> FeatureParity:
    n, has_served, has_expected = len(served), ~np.isnan(served), ~np.isnan(expected)
    both = has_served & has_expected
    a, b = served[both], expected[both]
    with np.errstate(invalid="ignore"):  # infinity minus itself
        differ = ~((a == b) | (np.abs(a - b) <= atol + rtol * np.abs(b)))
        relative = np.where(a == b, 0.0, np.minimum(2 * np.abs(a - b) / np.maximum(np.abs(a) + np.abs(b), _TINY), 2.0))
    share = 1 / n if n else 0.0
    return FeatureParity(
        name,
        mismatch=float(differ.sum() * share),
        missing=float((~has_served & has_expected).sum() * share),
        extra=float((has_served & ~has_expected).sum() * share),
        smape=float(np.nan_to_num(relative, nan=2.0).mean()) if len(a) else 0.0,
        n=n,
    )


def psi(reference: ArrayLike, current: ArrayLike, bins: int = 10) -> float:
    """Population stability index over quantile bins of `reference`: sum of (q - p) ln(q / p). Nulls are left out of both sides.

    Above .25 is commonly called a shift. Raises InvalidInput when either side has no value or `bins` is below 2.
    """
    before, after = quantile_shares(reference, current, bins)
    return float(psi_of_shares(before, after))


def quantile_shares(reference: ArrayLike, current: ArrayLike, bins: int = 10) -> tuple[Floats, Floats]:
    """Shares (b,) of both sides in quantile bins of `reference`; fewer than `bins` where values tie. Raises as `psi` does."""
    if bins < 2:
        raise InvalidInput(f"bins is {bins}; expected 2 or more.", field="bins")
    before, after = (_known(side, field) for side, field in ((reference, "reference"), (current, "current")))
    edges = np.unique(np.quantile(before, np.arange(1, bins) / bins))
    return _shares(before, edges), _shares(after, edges)


def psi_of_shares(reference: ArrayLike, current: ArrayLike) -> Floats:
    """The index of shares (b,) against others (..., b), one a row of those; an empty bin stands as 0.0001."""
    p, q = (np.maximum(np.asarray(side, dtype=float), _EMPTY_BIN) for side in (reference, current))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def _known(values: ArrayLike, field: str) -> Floats:
    numbers = np.asarray(values, dtype=float).ravel()
    numbers = numbers[~np.isnan(numbers)]
    if not len(numbers):
        raise InvalidInput(f"{field} holds no value; expected at least one.", field=field)
    return np.asarray(numbers)


def _shares(values: Floats, edges: Floats) -> Floats:
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1).astype(float)
    shares: Floats = counts / len(values)
    return shares
