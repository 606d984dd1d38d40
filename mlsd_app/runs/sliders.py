"""Where a slider's stops are: a step on a linear scale, a list of round values a constant ratio apart on a logarithmic one."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

LINEAR_STOPS, LOG_STOPS = 100, 120
SHORT_FROM = 10**7


@dataclass(frozen=True)
class Slider:
    """A range input. With `stops` its position is an index into them, otherwise it is the value itself."""

    low: str  # of the range input
    high: str
    step: str
    position: str
    stops: tuple[str, ...]
    hard_low: str  # of the number box
    hard_high: str
    whole: bool


def slider_for(
    value: float,
    *,
    hard: tuple[float, float],
    soft: tuple[float, float],
    whole: bool,
    log: bool,
    step: float | None = None,
    default: float | None = None,
) -> Slider:
    low, high = max(soft[0], hard[0]), min(soft[1], hard[1])
    if log:
        stops = log_stops(low, high, whole=whole, default=default)
        low, high, step, position = 0, len(stops) - 1, 1, float(nearest(stops, value))
    else:
        stops, step = [], step or linear_step(low, high, whole=whole)
        position = min(max(value, low), high)
    return Slider(
        low=number_text(low),
        high=number_text(high),
        step=number_text(step),
        position=number_text(position),
        stops=tuple(number_text(stop) for stop in stops),
        hard_low=number_text(hard[0]),
        hard_high=number_text(hard[1]),
        whole=whole,
    )


def linear_step(low: float, high: float, *, whole: bool) -> float:
    """A power of ten that gives about a hundred stops or more; at least 1 for whole numbers."""
    step = 10.0 ** math.floor(math.log10((high - low) / LINEAR_STOPS)) if high > low else 1.0
    return max(1.0, step) if whole else step


def log_stops(low: float, high: float, *, whole: bool, default: float | None = None) -> list[float]:
    """Ascending values of two significant digits from `low` to `high`, the ends and the default among them.

    No value stands twice: each press of an arrow key moves the parameter.
    """
    ratio = (high / low) ** (1 / LOG_STOPS)
    inner = (_two_digits(low * ratio**i, whole) for i in range(1, LOG_STOPS))
    found = {low, high, *(stop for stop in inner if low < stop < high)}
    if default is not None and low <= default <= high:
        found.add(default)
    return sorted(found)


def _two_digits(value: float, whole: bool) -> float:
    rounded = float(f"{value:.1e}")
    return float(round(rounded)) if whole else rounded


def nearest(stops: Sequence[float], value: float) -> int:
    """Index of the stop next to `value` by ratio, the first or last when it lies outside."""
    at = bisect_left(stops, value)
    if at in (0, len(stops)):
        return min(at, len(stops) - 1)
    return at if stops[at] / value < value / stops[at - 1] else at - 1


def number_text(value: float) -> str:
    """As a number box takes it and still shows it whole: 20000, 0.05, 1e9, 2.5e10."""
    if math.isfinite(value) and abs(value) >= SHORT_FROM and value == float(f"{value:.3e}"):
        mantissa, _, power = f"{value:.3e}".partition("e")
        return f"{float(mantissa):g}e{int(power)}"
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
