"""What every estimator is given, checked once: covariates, who was treated, the outcome."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.errors import InvalidInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Sample(NamedTuple):
    X: Floats  # (n, d)
    treated: Flags  # (n,)
    y: Floats  # (n,)


def sample_of(X: ArrayLike, treated: ArrayLike, y: ArrayLike, least: int = 10) -> Sample:
    """Raises InvalidInput for shapes that do not fit, values that are not finite, and arms with fewer than `least` rows."""
    rows = covariates_of(X)
    outcome, arm = np.asarray(y, dtype=float), flags_of(treated)
    if outcome.shape != (len(rows),) or arm.shape != (len(rows),):
        raise InvalidInput(f"X has {len(rows)} rows, treated shape {arm.shape} and y shape {outcome.shape}; expected one value a row.")
    if not np.isfinite(outcome).all():
        raise InvalidInput(f"y is not finite in row {int(np.flatnonzero(~np.isfinite(outcome))[0])}; expected numbers.", field="y")
    count = int(arm.sum())
    if count in (0, len(arm)):
        which = "treated" if count else "in control"
        raise InvalidInput(f"Treatment is constant in the training half: all {len(arm):,} rows are {which}.", field="treated")
    if min(count, len(arm) - count) < least:
        raise InvalidInput(f"{count} rows are treated and {len(arm) - count} are not; {least} of each are needed.", field="treated")
    return Sample(rows, arm, outcome)


def covariates_of(X: ArrayLike, columns: int | None = None) -> Floats:
    """(n, d) float64; raises InvalidInput for another shape, another number of columns or values that are not finite."""
    rows = np.ascontiguousarray(X, dtype=float)
    if rows.ndim != 2 or rows.shape[1] == 0 or columns not in (None, rows.shape[1]):
        raise InvalidInput(f"X of shape {rows.shape} was given; expected rows of {columns or 'one or more'} covariates.", field="X")
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise InvalidInput(f"X is not finite in row {row}, column {column}; fill in or drop missing covariates first.", field="X")
    return rows


def flags_of(treated: ArrayLike) -> Flags:
    """(n,) bool from booleans or numbers 0 and 1."""
    given = np.asarray(treated)
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise InvalidInput("treated holds other values than 0 and 1; uplift compares one treatment with the control.", field="treated")
    return given.astype(bool)
