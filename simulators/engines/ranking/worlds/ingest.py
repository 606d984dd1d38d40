"""A day of uploads: more in the afternoon, one hour of it a burst, and views that can only be guessed beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.worlds.draws import draw

MINUTES = 1_440  # of a day
PEAK_H, BURST_H = 14.0, 14  # where the day is highest, and the hour that may be a burst
MEDIAN_S, SPREAD, LONGEST_S = 40.0, 1.2, 1_800.0  # of durations, log-normal
VIEWS_SPREAD = 1.6  # of the views, log-normal with median 1


@dataclass(frozen=True)
class IngestWorld:
    """n uploads in order of time."""

    arrival_s: Floats  # (n,) from midnight
    duration_s: Floats  # (n,) of the video, at most half an hour
    views: Floats  # (n,) expected, in units of the median upload's
    predicted_views: Floats  # (n,) the guess at upload


def ingest_world(
    seed: int = 0, *, burst: float = 3.0, uploads_h: float = 8_000.0, diurnal: float = 0.5, prediction_noise: float = 0.8
) -> IngestWorld:
    """The day. ValueError names a knob out of its range.

    burst             factor on the hour after 14:00
    uploads_h         uploads an hour, on average over a day without a burst
    diurnal           the best hour is 1 + diurnal times the average, the worst 1 - diurnal
    prediction_noise  s.d. of the logarithm of predicted / expected views
    """
    _check(burst, uploads_h, diurnal, prediction_noise)
    minute = np.arange(MINUTES)
    hour = minute / 60
    rate = uploads_h / 60 * (1 + diurnal * np.cos(2 * np.pi * (hour - PEAK_H) / 24)) * np.where(hour.astype(int) == BURST_H, burst, 1.0)
    started = np.repeat(minute, draw(seed, "ingest/arrivals").poisson(rate))
    count = len(started)
    arrival_s = np.sort(60 * (started + draw(seed, "ingest/seconds").random(count)))
    duration_s = np.minimum(MEDIAN_S * np.exp(SPREAD * draw(seed, "ingest/durations").standard_normal(count)), LONGEST_S)
    views = np.exp(VIEWS_SPREAD * draw(seed, "ingest/views").standard_normal(count))
    guess = np.exp(prediction_noise * draw(seed, "ingest/predictions").standard_normal(count))
    return IngestWorld(arrival_s, duration_s, views, views * guess)


def _check(burst: float, uploads_h: float, diurnal: float, prediction_noise: float) -> None:
    if not 0 < uploads_h <= 1e6:
        raise ValueError(f"uploads_h is {uploads_h:g}; expected more than 0 and at most 1,000,000.")
    for name, value, high in (("burst", burst, 100.0), ("diurnal", diurnal, 1.0), ("prediction_noise", prediction_noise, 10.0)):
        if not 0 <= value <= high:
            raise ValueError(f"{name} is {value:g}; expected 0 to {high:g}.")
