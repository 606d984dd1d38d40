"""Tiles, figures and the table of a study."""

from __future__ import annotations

from simulators.feature_store._pit_joins import Joined
from simulators.feature_store._pit_params import JOINS, LABELS, Join
from simulators.feature_store._pit_scores import Bins, difference
from simulators.feature_store._pit_study import Study
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

COLOURS: dict[Join, int] = {"latest": 1, "event_in_window": 3, "event_time": 4, "as_known_at": 2, "served_log": 5}
CEILING = "true click probability"


# --- tiles --------------------------------------------------------------------------------------------------------------------


def join_metrics(joined: Joined, labels: int, join_ms: float) -> list[Metric]:
    """What a join did to the labels, whatever is trained on it."""
    out = len(joined.value)
    return [
        Metric("leaked_rows", "Labels with a leaked row", joined.leaked, "rows", "down"),
        Metric("leaked_newer", "Leaked: feature newer than the request", int(joined.newer.sum()), "rows", "down"),
        Metric("leaked_written", "Leaked: written after the request", int(joined.written_later.sum()), "rows", "down"),
        Metric("nulls", "Labels without a value", 100 * joined.null_share, "%", "down"),
        Metric("rows_out", "Rows out", out, "rows", limit=labels, limit_label="labels in"),
        Metric("row_difference", "Rows added or lost", abs(out - labels), "rows", "down"),
        Metric("join_ms", "Processor time of the join", join_ms, "ms", "down", measured=True),
    ]


def count_metrics(study: Study) -> list[Metric]:
    mode = study.chosen
    return [
        *join_metrics(study.joined(mode), int(study.asked(mode).sum()), study.join_ms),
        Metric("days_until_training", "Days until training", study.wait_days(mode), "d", "down"),
        Metric("log_gb_per_day", "Logs a day", study.log_gb_a_day(mode), "GB", "down"),
    ]


def score_metrics(study: Study) -> list[Metric]:
    found, best = study.score, study.ceiling.auc
    return [
        Metric("offline_auc", "Offline AUC", found.offline.value, "AUC", "up", found.offline.ci, limit=best, limit_label=CEILING),
        Metric("online_auc", "Online AUC", found.online.value, "AUC", "up", found.online.ci, limit=best, limit_label=CEILING),
        Metric("gap", "Offline minus online", found.gap.value, "AUC", "down", found.gap.ci),
        Metric("calibration", "Predicted over actual clicks, online", found.calibration, "ratio", limit=1.0, limit_label="ideal"),
    ]


def loss_metric(study: Study) -> Metric:
    loss = difference(study.scores["as_known_at"].online_placements, study.score.online_placements)
    return Metric("online_loss", "Online AUC lost to the right join", loss.value, "AUC", "down", loss.ci)


# --- figures ------------------------------------------------------------------------------------------------------------------


def auc_figure(study: Study) -> Figure:
    """Offline and online of every join scored so far, with the ceiling that no model can pass."""
    modes = [mode for mode in JOINS if mode in study.scores]
    names, best, found = [LABELS[mode] for mode in modes], study.ceiling.auc, study.score
    offline = [study.scores[mode].offline.value for mode in modes]
    online = [study.scores[mode].online.value for mode in modes]
    series = [
        Series("offline, as joined", names, offline, colour=1, text=[f"{value:.3f}" for value in offline]),
        Series("online, as served", names, online, colour=0, text=[f"{value:.3f}" for value in online]),
    ]
    if found.gap.value > 0.001:
        title = f"{LABELS[study.chosen].capitalize()}: {found.offline.value:.3f} offline is {found.online.value:.3f} online"
    else:
        title = f"{LABELS[study.chosen].capitalize()}: {found.online.value:.3f} offline and online"
    said = "; ".join(f"{name}: offline {a:.3f}, online {b:.3f}" for name, a, b in zip(names, offline, online, strict=True))
    figure = bar_figure(
        "auc",
        title,
        f"{said}. The true click probability scores {best:.3f}.",
        series,
        Axis("Training join"),
        Axis("Area under the ROC curve", "AUC", range=(0.5, 1.0)),
    )
    return with_line(figure, label=f"ceiling {best:.3f}", y=best)


def leak_figure(joins: dict[Join, Joined], chosen: Join) -> Figure:
    """Share of labels whose row is from after the request, for each join."""
    names, bottom_up = [LABELS[mode] for mode in reversed(joins)], list(reversed(joins.values()))
    kinds = {
        "newer than the request": [float(item.newer.mean()) for item in bottom_up],
        "written after the request": [float(item.written_later.mean()) for item in bottom_up],
        "no value": [item.null_share for item in bottom_up],
    }
    series = [
        Series(name, names, shares, colour=colour, text=[f"{share:.1%}" if share >= 0.0005 else "" for share in shares])
        for (name, shares), colour in zip(kinds.items(), (1, 4, 5), strict=True)
    ]
    mine = joins[chosen]
    title = f"{LABELS[chosen].capitalize()}: {mine.leaked:,} of {len(mine.value):,} labels got a row from after their request"
    said = "; ".join(f"{LABELS[mode]}: {item.leaked:,} leaked, {item.nulls:,} without a value" for mode, item in joins.items())
    share = Axis("Labels", percent=True, range=(0, 1))
    return bar_figure("leaks", title, f"{said}.", series, Axis("Training join"), share, stacked=True, horizontal=True)


def calibration_figure(study: Study) -> Figure:
    """Predicted against actual clicks of the served rows; the diagonal is what was promised."""
    modes = dict.fromkeys((study.chosen, "as_known_at" if "as_known_at" in study.scores else study.chosen))
    found = {mode: study.scores[mode] for mode in modes}
    series = [_reliability(LABELS[mode], found[mode].bins, COLOURS[mode]) for mode in modes]
    top = max(max(item.x[-1], max(item.y)) for item in series)
    series.append(Series("ideal", [0, top], [0, top], "lines", truth=True))
    ratio = study.score.calibration
    title = f"Online the model predicts {ratio:.2f} clicks for each one that comes"
    said = "; ".join(f"{LABELS[mode]}: predicted over actual {item.calibration:.2f}" for mode, item in found.items())
    return line_figure("calibration", title, f"{said}.", series, Axis("Predicted", percent=True), Axis("Clicked", percent=True))


def _reliability(name: str, bins: Bins, colour: int) -> Series:
    text = [f"{p:.1%} predicted, {a:.1%} clicked, {n:,} rows" for p, a, n in zip(*bins, strict=True)]
    return Series(name, bins.predicted.tolist(), bins.actual.tolist(), "lines+markers", colour, text=text)


# --- table --------------------------------------------------------------------------------------------------------------------


def joins_table(study: Study) -> Table:
    columns = (
        "Join",
        "Offline AUC (AUC)",
        "Online AUC (AUC)",
        "Gap (AUC)",
        "Predicted over actual, offline (ratio)",
        "Predicted over actual, online (ratio)",
        "Newer than the request (rows)",
        "Written after the request (rows)",
        "Without a value (rows)",
        "Labels in (rows)",
        "Rows out (rows)",
        "Trained on (rows)",
        "Wait (d)",
        "Logs (GB/day)",
    )
    return Table("joins", "Every join on the same labels", columns, tuple(_row(study, mode) for mode in JOINS))


def _row(study: Study, mode: Join) -> tuple[str | float | int | None, ...]:
    joined, found = study.joined(mode), study.scores[mode]
    return (
        LABELS[mode],
        found.offline.value,
        found.online.value,
        found.gap.value,
        found.offline_calibration,
        found.calibration,
        int(joined.newer.sum()),
        int(joined.written_later.sum()),
        joined.nulls,
        int(study.asked(mode).sum()),
        len(joined.value),
        found.train_rows,
        study.wait_days(mode),
        study.log_gb_a_day(mode),
    )
