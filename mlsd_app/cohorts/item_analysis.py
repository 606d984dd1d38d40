"""Classical item analysis: which question is too hard, which one tells people apart, how far a total can be trusted.

Pure functions on a matrix of marks, people x items, NaN where a person did not reach an item. What a small group cannot carry is
computed here and withheld by `presented`, the one door through which pages, API, exports and figures get it.

Sources: Lord & Novick (1968) for alpha and the standard error of measurement, Feldt (1965) for the interval of alpha, Wilson (1927)
for shares, Fisher (1921) for correlations.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlsd_app.core.shares import share_interval

Matrix = NDArray[np.float64]
Interval = tuple[float, float]
CONFIDENCE = 0.95
Z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2))
COUNTS_ONLY_BELOW = 5  # nothing but counts
CORRELATIONS_FROM = 30  # discrimination, efficiency, effective weight, alpha
INTERVALS_UNTIL = 100  # from here on without an interval


@dataclass(frozen=True)
class ItemStats:
    """One item. Shares are 0 to 1, weights and discriminations in percent; None where a figure is not defined.

    n               people who reached it
    facility        mean mark / highest mark, with its 95 % interval
    sd              standard deviation in percent of the highest mark
    discrimination  100 x correlation of the item with the total minus the item
    efficiency      100 x covariance with the rest / the largest that these marks allow
    against         the item falls where the total rises: something is wrong with it
    """

    n: int
    facility: float | None
    facility_ci: Interval | None
    sd: float | None
    guess: float | None
    intended_weight: float
    effective_weight: float | None
    discrimination: float | None
    discrimination_ci: Interval | None
    efficiency: float | None
    against: bool


@dataclass(frozen=True)
class TestStats:
    """The whole test over people who reached every item; mean, median, sd and sem in percent of the highest total."""

    __test__ = False  # not a test case

    n: int
    items: int
    mean: float | None
    median: float | None
    sd: float | None
    skewness: float | None
    kurtosis: float | None  # excess: 0 for a normal distribution
    alpha: float | None
    alpha_ci: Interval | None
    sem: float | None


def item_statistics(marks: Matrix, max_marks: Matrix, weights: Matrix | None = None, guess: Matrix | None = None) -> list[ItemStats]:
    """Statistics of every item.

    marks      (people, items), NaN = not reached
    max_marks  (items,), above 0
    weights    (items,), what each item is meant to count; by default its highest mark
    guess      (items,), expected mark of a random answer; NaN where none is known
    A total counts items that were not reached as 0; an item is held against the totals of those who reached it.
    Raises ValueError when shapes disagree or a highest mark is not above 0.
    """
    marks, max_marks = _checked(marks, max_marks)
    weights = max_marks if weights is None else np.asarray(weights, dtype=float)
    scaled = marks / max_marks * weights
    totals = np.nansum(scaled, axis=1)
    spread = np.sqrt(np.maximum(0.0, [_or_zero(_covariance(*_reached(column, totals))) for column in scaled.T]))
    guesses = np.full(len(max_marks), np.nan) if guess is None else np.asarray(guess, dtype=float)
    return [
        _item(marks[:, i], max_marks[i], scaled[:, i], totals, guesses[i], 100 * weights[i] / weights.sum(), spread[i], spread.sum())
        for i in range(len(max_marks))
    ]


def _item(
    marks: Matrix, highest: float, scaled: Matrix, totals: Matrix, guess: float, intended: float, spread: float, spreads: float
) -> ItemStats:
    reached = marks[~np.isnan(marks)]
    own, total = _reached(scaled, totals)
    rest = total - own
    r = _correlation(own, rest)
    best = _covariance(np.sort(own), np.sort(rest))
    covariance = _covariance(own, rest)
    return ItemStats(
        n=len(reached),
        facility=float(reached.mean() / highest) if len(reached) else None,
        facility_ci=_facility_ci(reached / highest),
        sd=float(100 * reached.std(ddof=1) / highest) if len(reached) > 1 else None,
        guess=None if np.isnan(guess) else float(guess / highest),
        intended_weight=float(intended),
        effective_weight=float(100 * spread / spreads) if spreads > 0 and len(reached) > 1 else None,
        discrimination=None if r is None else 100 * r,
        discrimination_ci=_correlation_ci(r, len(own)),
        efficiency=100 * covariance / best if best and covariance is not None and best > 0 else None,
        against=(_covariance(own, total) or 0.0) < 0,
    )


def test_statistics(marks: Matrix, max_marks: Matrix) -> TestStats:
    """Statistics of the whole over people who reached every item that anybody reached. Raises as `item_statistics` does."""
    marks, max_marks = _checked(marks, max_marks)
    seen = ~np.isnan(marks).all(axis=0) if len(marks) else np.zeros(len(max_marks), dtype=bool)
    whole = marks[:, seen]
    whole = whole[~np.isnan(whole).any(axis=1)]
    if not seen.any() or not len(whole):
        return TestStats(0, int(seen.sum()), *([None] * 8))
    totals = whole.sum(axis=1) / max_marks[seen].sum() * 100
    alpha = _alpha(whole)
    sd = float(totals.std(ddof=1)) if len(totals) > 1 else None
    varied = sd is not None and sd > 0
    return TestStats(
        n=len(totals),
        items=int(seen.sum()),
        mean=float(totals.mean()),
        median=float(np.median(totals)),
        sd=sd,
        skewness=float(stats.skew(totals, bias=False)) if varied and len(totals) > 2 else None,
        kurtosis=float(stats.kurtosis(totals, bias=False)) if varied and len(totals) > 3 else None,
        alpha=alpha,
        alpha_ci=_alpha_ci(alpha, *whole.shape),
        sem=None if alpha is None or sd is None else sd * sqrt(max(0.0, 1 - alpha)),
    )


# --- what may be shown -----------------------------------------------------------------------------------------------


def hidden_reason(n: int) -> str:
    """Why figures that need a group are withheld at `n`; "" when they are not."""
    return "" if n >= CORRELATIONS_FROM else f"n<{CORRELATIONS_FROM}"


def presented(found: ItemStats | TestStats) -> dict[str, Any]:
    """The figures that `n` people can carry; the others are None, and `hidden_reason` says why.

    n < 5: counts only. n < 30: no discrimination, efficiency, effective weight or alpha. n < 100: those with their intervals.
    """
    withheld = (NEEDS_A_GROUP if found.n < CORRELATIONS_FROM else frozenset()) | (
        vars(found).keys() - COUNTS if found.n < COUNTS_ONLY_BELOW else frozenset()
    )
    shown = {name: None if name in withheld else value for name, value in vars(found).items()}
    if found.n >= INTERVALS_UNTIL:
        shown |= {name: None for name in ("discrimination_ci", "alpha_ci") if name in shown}
    return {**shown, "hidden_reason": hidden_reason(found.n)}


NEEDS_A_GROUP = frozenset(
    {"discrimination", "discrimination_ci", "efficiency", "effective_weight", "against", "alpha", "alpha_ci", "sem", "skewness", "kurtosis"}
)
COUNTS = frozenset({"n", "items", "guess", "intended_weight"})


# --- pieces ----------------------------------------------------------------------------------------------------------


def _checked(marks: Matrix, max_marks: Matrix) -> tuple[Matrix, Matrix]:
    marks, max_marks = np.asarray(marks, dtype=float), np.asarray(max_marks, dtype=float)
    if marks.ndim != 2 or max_marks.shape != (marks.shape[1],):
        raise ValueError(f"marks have shape {marks.shape} and highest marks {max_marks.shape}; expected (people, items) and (items,)")
    if not (max_marks > 0).all():
        raise ValueError("every highest mark has to be above 0")
    return marks, max_marks


def _reached(column: Matrix, totals: Matrix) -> tuple[Matrix, Matrix]:
    reached = ~np.isnan(column)
    return column[reached], totals[reached]


def _covariance(x: Matrix, y: Matrix) -> float | None:
    if len(x) < 2:
        return None
    return float(((x - x.mean()) * (y - y.mean())).sum() / (len(x) - 1))


def _or_zero(value: float | None) -> float:
    return value or 0.0


def _constant(x: Matrix) -> bool:
    return len(x) < 2 or bool(np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())))


def _correlation(x: Matrix, y: Matrix) -> float | None:
    covariance = _covariance(x, y)
    if covariance is None or _constant(x) or _constant(y):
        return None
    return max(-1.0, min(1.0, covariance / float(x.std(ddof=1) * y.std(ddof=1))))


def _correlation_ci(r: float | None, n: int) -> Interval | None:
    """In percent, by Fisher's z."""
    if r is None or n < 4 or abs(r) >= 1:
        return None
    z, half = atanh(r), Z / sqrt(n - 3)
    return 100 * tanh(z - half), 100 * tanh(z + half)


def _facility_ci(shares: Matrix) -> Interval | None:
    """Wilson for items marked 0 or 1, the t interval otherwise."""
    if not len(shares):
        return None
    if np.isin(shares, (0.0, 1.0)).all():
        return share_interval(float(shares.sum()), len(shares))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(shares) - 1) * shares.std(ddof=1) / sqrt(len(shares))) if len(shares) > 1 else 1.0
    return max(0.0, float(shares.mean()) - half), min(1.0, float(shares.mean()) + half)


def _alpha(whole: Matrix) -> float | None:
    n, k = whole.shape
    if n < 2 or k < 2:
        return None
    variance = float(whole.sum(axis=1).var(ddof=1))
    return float(k / (k - 1) * (1 - whole.var(axis=0, ddof=1).sum() / variance)) if variance > 0 else None


def _alpha_ci(alpha: float | None, n: int, k: int) -> Interval | None:
    if alpha is None:
        return None
    low, high = (float(stats.f.ppf(0.5 + side * CONFIDENCE / 2, n - 1, (n - 1) * (k - 1))) for side in (1, -1))
    return 1 - (1 - alpha) * low, 1 - (1 - alpha) * high
