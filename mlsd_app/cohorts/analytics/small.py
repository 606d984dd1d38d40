"""Figures of a group with the number of people behind them, withheld where there are too few. Pure.

Below five people there is nothing but counts. Item statistics have their own door, `item_analysis.presented`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mlsd_app.cohorts.item_analysis import COUNTS_ONLY_BELOW, Interval
from mlsd_app.core.shares import share_interval


def too_few(n: int) -> str:
    """Why figures are withheld at `n`; "" when they are not."""
    return f"n<{COUNTS_ONLY_BELOW}" if n < COUNTS_ONLY_BELOW else ""


@dataclass(frozen=True)
class Share:
    """`hits` of `n`; `value` 0 to 1 with its 95 % interval, None below five."""

    hits: int
    n: int
    value: float | None
    interval: Interval | None
    hidden_reason: str


def share(hits: int, n: int, *, people: int | None = None) -> Share:
    """`people` where one person may stand behind several of the `n`: many figures of few people are still about few people."""
    reason = too_few(n if people is None else people)
    return Share(hits, n, None if reason else hits / n, None if reason else share_interval(hits, n), reason)


@dataclass(frozen=True)
class Spread:
    """Least, quartiles, most and mean of `n` values; None below five."""

    n: int
    least: float | None = None
    lower: float | None = None
    median: float | None = None
    upper: float | None = None
    most: float | None = None
    mean: float | None = None
    hidden_reason: str = ""


def spread(values: Iterable[float], *, people: int | None = None) -> Spread:
    """`people` as for `share`."""
    found = np.asarray([*values], dtype=float)
    if reason := too_few(len(found) if people is None else min(people, len(found))):
        return Spread(len(found), hidden_reason=reason)
    least, lower, median, upper, most = (float(value) for value in np.percentile(found, [0, 25, 50, 75, 100]))
    return Spread(len(found), least, lower, median, upper, most, float(found.mean()))


@dataclass(frozen=True)
class Histogram:
    """`counts` of values between neighbouring `edges`, what lies outside in the outermost; empty below five."""

    n: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    hidden_reason: str


def histogram(values: Iterable[float], edges: Sequence[float]) -> Histogram:
    found = np.asarray([*values], dtype=float)
    if reason := too_few(len(found)):
        return Histogram(len(found), tuple(edges), (), reason)
    counts, _ = np.histogram(np.clip(found, edges[0], edges[-1]), bins=edges)
    return Histogram(len(found), tuple(edges), tuple(int(count) for count in counts), "")
