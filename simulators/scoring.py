"""Scores of predictions that name an interval.

The interval score (Gneiting & Raftery 2007, eq. 43) is proper: whoever states honest quantiles has the smallest mean. It is left as it
is: points made of it by cutting or rounding would no longer be proper, and would reward other intervals than the honest ones.
"""

from __future__ import annotations

import math
from typing import Literal

from simulators.errors import InvalidInput

Scale = Literal["linear", "log", "logit"]
LEVEL = 0.80
CUT = 1e-4  # shares are cut to [CUT, 1 - CUT] before their odds are taken
WORDS = ((1.4, "sharp"), (2.0, "good"), (4.0, "fair"))  # width of an interval that held, as a factor


def scale_of(unit: str) -> Scale:
    """Shares by their odds, percentages and differences as they are, what counts or measures by ratio."""
    if unit == "share":
        return "logit"
    linear = not unit or unit.startswith(("%", "pp", "points")) or unit in ("AUC", "NE", "ratio", "correlation")
    return "linear" if linear else "log"


def interval_score(lower: float, upper: float, truth: float, level: float = LEVEL, scale: Scale = "linear") -> float:
    """Width plus 2/(1 - level) times the distance by which the truth lies outside, on the scale (decades, log10 odds or the unit).

    Raises InvalidInput for lower > upper, and on the log scale for what is not above 0.
    """
    if lower > upper:
        raise InvalidInput(f"The interval goes from {lower:g} to {upper:g}; the lower end must not be above the upper one.", field="lower")
    low, high, x = (on_scale(value, scale) for value in (lower, upper, truth))
    return (high - low) + 2 / (1 - level) * (max(low - x, 0.0) + max(x - high, 0.0))


def on_scale(value: float, scale: Scale) -> float:
    if not math.isfinite(value):
        raise InvalidInput(f"{value} was given; expected a finite number.")
    match scale:
        case "log":
            if value <= 0:
                raise InvalidInput(f"{value:g} was given; expected a number above 0.")
            return math.log10(value)
        case "logit":
            share = min(max(value, CUT), 1 - CUT)
            return math.log10(share / (1 - share))
        case _:
            return value


def width_factor(lower: float, upper: float, scale: Scale) -> float | None:
    """How many times the lower end the upper one is (of shares: their odds); None on the linear scale."""
    return None if scale == "linear" else float(10 ** (on_scale(upper, scale) - on_scale(lower, scale)))


def width_words(factor: float) -> str:
    return next((words for bound, words in WORDS if factor <= bound), "wide")
