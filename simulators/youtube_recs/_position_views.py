"""Tiles, figures and the table of the lab `position_bias`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from simulators.engines.ranking.arguments import Floats
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table
from simulators.youtube_recs._position_params import KINDS, LABELS, Kind
from simulators.youtube_recs._position_readers import READERS, Read
from simulators.youtube_recs._position_study import Scored, Study

COLOURS: dict[str, int] = {"naive": 1, "feature": 4, "pal": 2, "ips": 0, "random_only": 3}
OLD = "old policy"
EXCESS = "10⁻³ nats"
RATIO_TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)
NO_SHUFFLED = "No shuffled slate was clicked at position 1, so there are no propensities."
NO_CURVE = "It holds no examination curve."


# --- tiles --------------------------------------------------------------------------------------------------------------------


def world_metrics(study: Study) -> list[Metric]:
    world = study.world
    estimate = None if study.estimate is None else study.curve_error(study.estimate)
    return [
        Metric("old_regret", "Old policy: clicks lost", 100 * world.old_regret, "% of oracle", "down", limit=0.0, limit_label="oracle"),
        Metric("logging_cost", "Clicks given up by shuffling", 100 * world.logging_cost, "%", "down"),
        Metric("shuffled", "Shuffled slates", int(world.randomised.sum()), "slates"),
        Metric("oracle_clicks", "Clicks a slate in the best order", world.oracle_clicks, "clicks"),
        Metric(
            "estimate_error",
            "Worst error of the curve from shuffled slates",
            estimate,
            "probability",
            "down",
            limit=0.0,
            limit_label="truth",
            note=NO_SHUFFLED if estimate is None else "",
        ),
    ]


def model_metrics(study: Study) -> Iterator[Metric]:
    for kind in study.params.models:
        yield from _metrics_of(study, kind, study.scored.get(kind))


def _metrics_of(study: Study, kind: Kind, found: Scored | None) -> list[Metric]:
    name, absent = LABELS[kind], "" if found else NO_SHUFFLED
    regret = study.regret(found) if found else None
    margin = study.margin(found) if found else 0.0
    curve = None if found is None or found.curve is None else study.curve_error(found.curve)
    ratio = float(found.predicted.sum() / study.actual.sum()) if found else None
    return [
        Metric(
            f"regret@{kind}",
            "Clicks lost to the best order",
            regret,
            "% of oracle",
            "down",
            None if regret is None else (regret - margin, regret + margin),
            limit=0.0,
            limit_label="oracle",
            series=name,
            note=absent or _noise(study, found),
        ),
        Metric(f"xll@{kind}", "Excess log loss of relevance", found.xll if found else None, EXCESS, "down", limit=0.0,
               limit_label="truth", series=name, note=absent),
        Metric(f"curve_error@{kind}", "Worst error of its curve", curve, "probability", "down", limit=0.0, limit_label="truth",
               series=name, note=absent or ("" if curve is not None else NO_CURVE)),
        Metric(f"ratio@{kind}", "Predicted over actual clicks", ratio, "ratio", limit=1.0, limit_label="ideal", series=name, note=absent),
        Metric(f"cpu_s@{kind}", "Processor time of training", found.cpu_s if found else None, "s", "down", measured=True, series=name,
               note=absent),
    ]  # fmt: skip


def _noise(study: Study, found: Scored | None) -> str:
    if found is None or found is study.best or not study.within_noise(found, study.best):
        return ""
    return f"Within noise of {LABELS[study.best.kind]}: below two standard errors over the test slates."


# --- figures ------------------------------------------------------------------------------------------------------------------


def regret_figure(study: Study) -> Figure:
    kinds = [kind for kind in KINDS if kind in study.scored]
    names = [OLD, *(LABELS[kind] for kind in kinds)]
    values = [100 * study.world.old_regret, *(study.regret(study.scored[kind]) for kind in kinds)]
    bars = Series("clicks lost", names[::-1], [max(value, 0.0) for value in values[::-1]], text=[f"{v:.1f} %" for v in values[::-1]])
    said = "; ".join(f"{name} {value:.1f} %" for name, value in zip(names, values, strict=True))
    figure = bar_figure(
        "regret",
        _regret_title(study),
        f"Share of the clicks of the best order that each loses on the test slates: {said}.",
        [bars],
        Axis("Model"),
        Axis("Clicks lost to the best order", "% of oracle"),
        horizontal=True,
    )
    return with_line(figure, label="oracle", x=0.0)


def _regret_title(study: Study) -> str:
    if not study.scored:
        return f"The old policy loses {100 * study.world.old_regret:.1f} % of the clicks of the best order"
    best = study.best
    title = f"{_begun(LABELS[best.kind])} loses {max(study.regret(best), 0):.1f} % of the clicks there could be"
    naive = study.scored.get("naive")
    return title if naive is None or naive is best else f"{title}, clicks as they are {max(study.regret(naive), 0):.1f} %"


def _begun(words: str) -> str:
    """The first letter large, abbreviations as they are."""
    return words[:1].upper() + words[1:]


def curve_figure(examination: Floats | None, estimate: Floats | None, pal: Floats | None, title: str, shuffled: int) -> Figure:
    """What is believed of the positions; the truth where it is known."""
    known = [examination, estimate, pal]
    places = list(range(1, 1 + next(len(curve) for curve in known if curve is not None)))
    series = []
    if estimate is not None:
        series.append(Series(f"from {shuffled:,} shuffled slates", places, estimate.tolist(), colour=COLOURS["ips"]))
    if pal is not None:
        series.append(Series("learned by the position tower", places, pal.tolist(), colour=COLOURS["pal"]))
    if examination is not None:
        series.append(Series("truth", places, examination.tolist(), "lines", truth=True))
    said = "; ".join(f"{item.name}: {', '.join(f'{y:.2f}' for y in item.y)}" for item in series)
    return line_figure(
        "curve",
        title,
        f"Examination of positions 1 to {len(places)}, the first set to 1. {said}.",
        series,
        Axis("Position", "rank"),
        Axis("Looked at, against position 1", "ratio", range=(0, 1.05 * max(max(item.y) for item in series))),
    )


def study_curve(study: Study) -> Figure:
    pal = study.scored["pal"].curve if "pal" in study.scored else None
    errors = [
        f"{name} is off by {study.curve_error(c):.2f}" for name, c in (("shuffling", study.estimate), ("the tower", pal)) if c is not None
    ]
    title = f"Examination: {', '.join(errors)} at worst" if errors else "Nothing here estimates examination"
    return curve_figure(study.world.examination, study.estimate, pal, title, int(study.world.randomised.sum()))


def calibration_figure(predicted: Mapping[Kind, Floats], actual: Floats, title: str) -> Figure:
    """Predicted over actual clicks at each position."""
    places = list(range(1, len(actual) + 1))
    sound = actual > 0
    series = [
        Series(LABELS[kind], np.array(places)[sound].tolist(), (rates[sound] / actual[sound]).tolist(), colour=COLOURS[kind])
        for kind, rates in predicted.items()
    ]
    said = "; ".join(f"{item.name}: {item.y[0]:.2f} at the first, {item.y[-1]:.2f} at the last position" for item in series if len(item.y))
    figure = line_figure(
        "calibration",
        title,
        f"Predicted over actual click rate by position. {said}.",
        series,
        Axis("Position", "rank"),
        Axis("Predicted over actual clicks", "ratio", "log"),
    )
    figure.plot["layout"]["yaxis"]["tickvals"] = list(RATIO_TICKS)  # left alone, a logarithmic axis says 5 for 0.5
    return with_line(figure, label="ideal", y=1.0)


def study_calibration(study: Study) -> Figure:
    predicted = {kind: found.predicted for kind, found in study.scored.items()}
    return calibration_figure(predicted, study.actual, calibration_title(predicted, study.actual))


def calibration_title(predicted: Mapping[Kind, Floats], actual: Floats) -> str:
    """Which model is furthest off at the last position that was clicked."""
    last = int(np.flatnonzero(actual > 0)[-1])
    ratio = {kind: float(rates[last] / actual[last]) for kind, rates in predicted.items()}
    worst = max(ratio, key=lambda kind: abs(np.log(max(ratio[kind], 1e-9))))
    return f"At position {last + 1} {LABELS[worst]} predicts {ratio[worst]:.1f} clicks for each that comes"


# --- the table ------------------------------------------------------------------------------------------------------------------


def model_table(study: Study) -> Table:
    columns = (
        "Model",
        "Clicks lost (% of oracle)",
        "Two standard errors (points)",
        f"Excess log loss ({EXCESS})",
        "Worst error of its curve (probability)",
        "Predicted over actual clicks (ratio)",
        "Against the best",
    )
    return Table("models", "What each model is worth", columns, tuple(_row(study, found) for found in study.scored.values()))


def _row(study: Study, found: Scored) -> tuple[str | float | int | None, ...]:
    against = "best" if found is study.best else "within noise" if study.within_noise(found, study.best) else "clearly worse"
    return (
        LABELS[found.kind],
        study.regret(found),
        study.margin(found),
        found.xll,
        None if found.curve is None else study.curve_error(found.curve),
        float(found.predicted.sum() / study.actual.sum()),
        against,
    )


def reader_table(read: Read) -> Table:
    rows = tuple((label, read.perplexity[name]) for name, (label, _) in READERS.items())
    return Table("readers", "Which model of readers explains new clicks", ("Reader", "Perplexity (1 = certain)"), rows)
