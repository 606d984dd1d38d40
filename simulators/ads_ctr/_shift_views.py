"""Tiles, figures and the table of the lab `regime_shift`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulators.ads_ctr._shift_params import LABELS, Way
from simulators.ads_ctr._shift_study import DAYS, LATE, PARTS, Study, part_ratios, parts_of
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.drift import FIRST_DAYS
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Figure, Metric, Table

NE, ROWS, RATIO = "NE", "rows", "ratio"
NO_SHIFT = "Nothing changes in this month."
NO_TRUTH = "No truth is known of a log of one's own."
NEVER = f"Not back within {DAYS} days, or before the next change."
RATIO_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
NONE_TRAINED = 1_000.0  # where a logarithmic axis shows no row


# --- tiles --------------------------------------------------------------------------------------------------------------------


def world_metrics(study: Study) -> list[Metric]:
    if study.floor is None:
        return []
    return [Metric("oracle_ne", "Normalised entropy of the truth", float(study.floor[study.judged].mean()), NE, "down")]


def way_metrics(study: Study) -> Iterator[Metric]:
    for way in study.played:
        yield from _metrics_of(study, way)
    alarms = study.alarms()
    if alarms is not None:
        yield Metric("false_alarms", "False alarms", alarms[0], "alarms", "down")
        yield Metric("missed_alarms", "Changes without an alarm", alarms[1], "changes", "down")


def _metrics_of(study: Study, way: Way) -> list[Metric]:
    replay, at, name = study.played[way], f"@{way}", LABELS[way]
    floor = None if study.floor is None else float(study.floor[study.judged].mean())
    before, ratio, recovery = study.before(way), study.ratio_after(way), study.recovery(way)
    quiet = None if study.floor is None or before is None else before - float(study.floor[study.regime.quiet].mean())
    made = [
        Metric(f"mean_ne{at}", "Normalised entropy, mean", study.mean(way), NE, "down", limit=floor, limit_label="truth", series=name),
        Metric(f"late_ne{at}", f"Normalised entropy, last {LATE} days", study.late(way), NE, "down", series=name),
        Metric(f"rows_trained{at}", "Rows read by trainings", replay.rows_trained, ROWS, "down", series=name),
        Metric(f"trainings{at}", "Days with a training", len(replay.retrained_on), "days", series=name),
    ]
    if study.floor is None:
        return made
    absent = NO_SHIFT if study.regime.shift is None else ""
    return [
        *made,
        Metric(f"before_ne{at}", "Normalised entropy while nothing changes", before, NE, "down", series=name),
        Metric(f"before_excess{at}", "Above the truth while nothing changes", quiet, NE, "down", limit=0.0, limit_label="truth",
               series=name),
        Metric(f"ratio_after{at}", "Predicted over actual clicks, from the day after", ratio, RATIO, limit=1.0, limit_label="ideal",
               series=name, note=absent),
        Metric(f"recovery_days{at}", "Days until it is back", recovery, "days", "down", series=name,
               note=absent or ("" if recovery is not None else NEVER)),
    ]  # fmt: skip


# --- figures ------------------------------------------------------------------------------------------------------------------


def _days(study: Study) -> list[int]:
    return list(range(FIRST_DAYS, len(study.days)))


def _colour(study: Study, way: Way) -> int:
    return study.params.schedules.index(way)


def _marked(figure: Figure, study: Study) -> Figure:
    for day, label in zip(study.regime.changes, ("shift", "back"), strict=False):
        figure = with_line(figure, label=label, x=float(day))
    return figure


def ne_figure(study: Study) -> Figure:
    days = _days(study)
    series = [
        Series(LABELS[way], days, replay.ne[study.judged].tolist(), "lines", _colour(study, way)) for way, replay in study.played.items()
    ]
    if "triggered" in study.played:
        replay = study.played["triggered"]
        rung = list(replay.retrained_on)
        series.append(Series("alarm", rung, replay.ne[rung].tolist(), "markers", _colour(study, "triggered")))
    if study.floor is not None:
        series.append(Series("truth", days, study.floor[study.judged].tolist(), "lines", truth=True))
    said = "; ".join(
        f"{LABELS[way]} {study.mean(way):.3f} on average, {study.late(way):.3f} in the last {LATE} days" for way in study.played
    )
    figure = line_figure("ne", _ne_title(study), f"{said}.", series, Axis("Day", "d"), Axis("Log loss over that of the base rate", NE))
    return _marked(figure, study)


def _ne_title(study: Study) -> str:
    if not study.played:
        return "The truth, day by day"
    best = study.best
    if "static" in study.played and best != "static":
        return f"{_begun(LABELS[best])} averages {study.mean(best):.3f}; never training again {study.mean('static'):.3f}"
    return f"{_begun(LABELS[best])} averages {study.mean(best):.3f}"


def _begun(words: str) -> str:
    return words[:1].upper() + words[1:]


def ratio_figure(study: Study) -> Figure:
    series = [
        Series(LABELS[way], _days(study), replay.ratio[study.judged].tolist(), "lines", _colour(study, way))
        for way, replay in study.played.items()
    ]
    way: Way = "static" if "static" in study.played else next(iter(study.played))
    after = study.ratio_after(way)
    value = after if after is not None else float(study.played[way].ratio[study.judged].mean())
    title = f"{_begun(LABELS[way])}: {value:.2f} clicks predicted for each that comes" + (
        ", from the day after" if after is not None else ""
    )
    said = "; ".join(f"{LABELS[name]} {float(replay.ratio[-LATE:].mean()):.2f}" for name, replay in study.played.items())
    figure = line_figure(
        "ratio",
        title,
        f"Predicted over actual clicks in the last {LATE} days: {said}.",
        series,
        Axis("Day", "d"),
        Axis("Predicted over actual clicks", RATIO),
    )
    return _marked(with_line(figure, label="ideal", y=1.0), study)


def parts_figure(study: Study) -> Figure:
    """Calibration by what the first model thought of an impression, once the shift is known to all."""
    first = FIRST_DAYS if study.regime.shift is None else study.regime.shift + 1
    last = min([day for day in study.regime.changes if day >= first], default=len(study.days))
    ratios = part_ratios(study, parts_of(study), first, max(last, first + 1)) if first < len(study.days) else {}
    fifths = list(range(1, PARTS + 1))
    series = [Series(LABELS[way], fifths, _clean(values), colour=_colour(study, way)) for way, values in ratios.items()]
    way: Way = "static" if "static" in ratios else next(iter(ratios))
    title = f"{_begun(LABELS[way])}: {ratios[way][-1]:.2f} in the fifth it thought best, {ratios[way][0]:.2f} in the one it thought worst"
    said = "; ".join(f"{LABELS[name]} {', '.join(f'{value:.2f}' for value in values)}" for name, values in ratios.items())
    figure = line_figure(
        "parts",
        title,
        f"Predicted over actual clicks by fifths of the first model's prediction, days {first} to {last - 1}: {said}.",
        series,
        Axis("First model's prediction, lowest to highest", "fifth"),
        Axis("Predicted over actual clicks", RATIO, "log"),
    )
    figure.plot["layout"]["yaxis"]["tickvals"] = list(RATIO_TICKS)  # left alone, a logarithmic axis says 5 for 0.5
    return with_line(figure, label="ideal", y=1.0)


def _clean(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def cost_figure(study: Study) -> Figure:
    series = [
        Series(LABELS[way], [max(float(replay.rows_trained), NONE_TRAINED)], [study.mean(way)], "markers", _colour(study, way),
               text=[f"{LABELS[way]}: {replay.rows_trained:,} rows, NE {study.mean(way):.3f}"])
        for way, replay in study.played.items()
    ]  # fmt: skip
    best = study.best
    said = "; ".join(f"{LABELS[way]} {replay.rows_trained:,} rows and {study.mean(way):.3f}" for way, replay in study.played.items())
    figure = line_figure(
        "cost",
        f"{_begun(LABELS[best])} is the best for {study.played[best].rows_trained:,} rows of training",
        f"Rows read by trainings, none drawn at {NONE_TRAINED:,.0f}, and mean normalised entropy: {said}.",
        series,
        Axis("Rows read by trainings", ROWS, "log"),
        Axis("Normalised entropy, mean", NE),
    )
    return figure if study.floor is None else with_line(figure, label="truth", y=float(study.floor[study.judged].mean()))


# --- the table ------------------------------------------------------------------------------------------------------------------


def table(study: Study) -> Table:
    known = study.floor is not None
    shift = study.regime.shift
    columns = ["Training", "Mean (NE)", f"Last {LATE} days (NE)"]
    columns += ["While nothing changes (NE)", "On the day (NE)", "Day after (NE)", "Days until it is back (d)"] if known else []
    columns += ["Rows read (rows)", "Trainings on (days)"]

    def row(way: Way) -> tuple[str | float | int | None, ...]:
        replay = study.played[way]
        day = None if shift is None else float(replay.ne[shift])
        after = None if shift is None else float(replay.ne[shift + 1])
        middle = (study.before(way), day, after, study.recovery(way)) if known else ()
        rung = replay.retrained_on
        when = "every day" if len(rung) >= len(study.days) - FIRST_DAYS else ", ".join(map(str, rung)) or "none"
        return (LABELS[way], study.mean(way), study.late(way), *middle, replay.rows_trained, when)

    return Table("schedules", "What each schedule does", tuple(columns), tuple(row(way) for way in study.played))
