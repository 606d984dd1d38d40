"""The figures of the statistics page, in the form the labs' figures have."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mlsd_app.quiz.statistics import Day
from simulators.figures import Axis, Series, bar_figure
from simulators.lab import Figure

DAY = Axis("Day")


def history_figures(days: Sequence[Day]) -> list[Figure]:
    """Reviews and minutes a day."""
    reviews, minutes = [float(day.reviews) for day in days], [round(day.minutes, 1) for day in days]
    busy = sum(value > 0 for value in reviews)
    dates = [day.day.isoformat() for day in days]
    return [
        bar_figure(
            "reviews",
            f"{sum(reviews):.0f} answers in {len(days)} days, on {busy} of them",
            f"Answers a day over {len(days)} days; the most on one day were {max(reviews):.0f}.",
            [Series("answers", dates, reviews)],
            DAY,
            Axis("Answers", "a day"),
        ),
        bar_figure(
            "minutes",
            f"{sum(minutes):.0f} minutes in all, {sum(minutes) / max(1, busy):.0f} on a day with answers",
            f"Minutes a day over {len(days)} days; the most on one day were {max(minutes):.0f}.",
            [Series("minutes", dates, minutes, colour=2)],
            DAY,
            Axis("Time", "minutes a day"),
        ),
    ]


def forecast_figure(forecast: Sequence[tuple[date, int]]) -> Figure:
    counts = [float(count) for _, count in forecast]
    return bar_figure(
        "forecast",
        f"{sum(counts):.0f} cards come back within {len(forecast)} days",
        f"Cards due a day for {len(forecast)} days, overdue ones today: {counts[0]:.0f} today, at most {max(counts):.0f} a day.",
        [Series("cards due", [day.isoformat() for day, _ in forecast], counts, colour=1)],
        DAY,
        Axis("Cards due", "a day"),
    )
