"""The control arm's baseline by day, with a band that says whether the metric itself has drifted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulators.engines.experiment.results_file import NO_SEGMENT, Cells
from simulators.engines.experiment.stats.linear import Undefined, linear_form
from simulators.engines.experiment.unit_days import day_key
from simulators.experimentation._readout_analysis import Readout
from simulators.figures import Axis, Series, line_figure
from simulators.lab import Figure, Insight

WINDOW_DAYS, BAND_SE = 7, 3.5  # a false alarm in less than 1 % of fortnights


@dataclass(frozen=True)
class Day:
    label: str
    units: float
    value: float


@dataclass(frozen=True)
class Band:
    """A day against the mean of up to seven days before it; the first day has none."""

    day: Day
    low: float | None
    high: float | None

    @property
    def drifted(self) -> bool:
        return self.low is not None and self.high is not None and not self.low <= self.day.value <= self.high


def bands(days: Sequence[Day], unit_variance: float) -> list[Band]:
    """Rolling mean weighted by units, 3.5 standard errors of the difference either side."""
    made = []
    for i, day in enumerate(days):
        before = [other for other in days[max(0, i - WINDOW_DAYS) : i] if other.units]
        units = sum(other.units for other in before)
        if not units or not day.units:
            made.append(Band(day, None, None))
            continue
        middle = sum(other.value * other.units for other in before) / units
        half = BAND_SE * math.sqrt(unit_variance * (1 / day.units + 1 / units))
        made.append(Band(day, middle - half, middle + half))
    return made


def own_days(cells: Cells, control: str, metric: str, denominator: str | None) -> list[Day]:
    """The control's days of a file, in time order; a day whose denominator is 0 is left out."""
    made = []
    for (label, arm), moments in sorted(cells.items(), key=lambda item: day_key(item[0][0])):
        if arm != control or not moments.n or label == NO_SEGMENT:
            continue
        try:
            made.append(Day(label, float(moments.n), linear_form(moments, arm, metric, denominator).value))
        except Undefined:
            continue
    return made


def figure(found: Sequence[Band], label: str, unit: str) -> Figure:
    x = [band.day.label for band in found]
    gone = [band.day.label for band in found if band.drifted]
    title = f"The baseline leaves its drift band on day {', '.join(gone[:5])}" if gone else "The baseline stays inside its drift band"
    summary = f"Control mean on {len(x)} days against the {WINDOW_DAYS} days before; {len(gone)} outside the band."
    series = [
        Series("control", x, [band.day.value for band in found]),
        Series("band, low", x, [band.low for band in found], "lines", truth=True),
        Series("band, high", x, [band.high for band in found], "lines", truth=True),
    ]
    return line_figure("baseline", title, summary, series, Axis("Day"), Axis(label, unit))


def insights(found: Sequence[Band]) -> list[Insight]:
    gone = [band.day.label for band in found if band.drifted]
    if not gone:
        return []
    text = f"The control's baseline left its band on day {', '.join(gone[:5])}: ask whether the metric or its logging changed that day."
    return [Insight(text, "evaluation", "drift")]


def control_variance(readout: Readout) -> float | None:
    raw = readout.readings[0].raw.unit_variance
    return raw[0] if raw else None
