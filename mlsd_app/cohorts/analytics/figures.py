"""Figures of the analytics pages, in the form the labs' figures have. What is withheld draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mlsd_app.cohorts.analytics.items import ItemRow
from mlsd_app.cohorts.analytics.mocks import PhaseRow
from mlsd_app.cohorts.analytics.small import Histogram
from simulators.figures import Axis, Series, bar_figure, histogram_figure, line_figure, with_line
from simulators.lab import Figure

PEOPLE = Axis("People")
SCORE = Axis("Score", "%")


def score_figure(found: Histogram, key: str = "scores", what: str = "results") -> list[Figure]:
    if found.hidden_reason:
        return []
    most = max(range(len(found.counts)), key=lambda place: found.counts[place])
    where = f"{found.edges[most]:g} to {found.edges[most + 1]:g} %"
    title = f"Scores of {found.n} {what}; the most are at {where}"
    summary = f"Histogram of {found.n} {what} in steps of ten percent; {found.counts[most]} lie at {where}."
    bars = [Series(what, [], [float(n) for n in found.counts])]
    return [histogram_figure(key, title, summary, found.edges, bars, SCORE, Axis(what.capitalize()))]


def weeks_figure(weeks: Sequence[tuple[date, int]]) -> list[Figure]:
    counts = [float(count) for _, count in weeks]
    if not any(counts):
        return []
    title = f"{counts[-1]:.0f} learners at work this week, at most {max(counts):.0f} in a week"
    summary = f"Learners at work a week over {len(weeks)} weeks: at most {max(counts):.0f}, {counts[-1]:.0f} in the last."
    series = [Series("learners", [week.isoformat() for week, _ in weeks], counts)]
    return [bar_figure("weeks", title, summary, series, Axis("Week from Monday"), Axis("Learners"))]


def phase_figures(phases: Sequence[PhaseRow]) -> list[Figure]:
    """One histogram a phase, in percent of each person's own time for it."""
    return [_phase_figure(row) for row in phases if not row.bars.hidden_reason]


def _phase_figure(row: PhaseRow) -> Figure:
    assert row.time.median is not None
    title = f"{row.title}: half took up to {row.time.median:.0f} % of their time"
    summary = (
        f"{row.title}, {row.bars.n} people: median {row.time.median:.0f} % of their own time for it; {row.over.hits} took more than all."
    )
    bars = [Series(row.title, [], [float(n) for n in row.bars.counts])]
    figure = histogram_figure(f"phase-{row.key}", title, summary, row.bars.edges, bars, Axis("Time taken", "% of own time"), PEOPLE)
    return with_line(figure, label="planned", x=100)


def curve_figure(rows: Sequence[ItemRow]) -> list[Figure]:
    """Facility by fifths of the group, one curve an item; only items that thirty people reached."""
    curves = [row for row in rows if row.curve]
    if not curves:
        return []
    series = [
        Series(row.column.key, list(range(1, len(row.curve) + 1)), [point.facility for point in row.curve], colour=place)
        for place, row in enumerate(curves)
    ]
    falling = sum(row.curve[-1].facility < row.curve[0].facility for row in curves)
    title = f"{len(curves)} items by fifths of the group" + (f"; {falling} fall where the rest rises" if falling else "")
    summary = f"Mean mark of each of {len(curves)} items in five groups ordered by the rest of the test; {falling} of them fall."
    return [line_figure("curves", title, summary, series, Axis("Fifth of the group, weakest first"), Axis("Mean mark", percent=True))]
