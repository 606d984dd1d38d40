"""Reliability and every calibrator on the user's own predictions and clicks; nothing is known of the auction they went to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.ads_ctr._calib_data import OwnPredictions, read_steps
from simulators.ads_ctr._calib_params import FITTED, GROUPING_LABELS, METHOD_LABELS, CalibrationParams, Grouping, Method, design_name
from simulators.ads_ctr._calib_study import CALIBRATORS, LEAST
from simulators.ads_ctr._calib_views import BINS, GROUPING_COLOURS
from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.calibration import reliability
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working

NONE: tuple[Method, Grouping] = ("none", "global")


class Judged(NamedTuple):
    """A calibrator on the second half: its probabilities (m,), and the log loss of each row (m,) in nats."""

    p: Floats
    loss: Floats
    auc: float
    ece: float
    ratio: float


@dataclass(frozen=True)
class Own:
    rows: OwnPredictions
    y: Floats  # of the second half
    found: dict[tuple[Method, Grouping], Judged]
    chosen: tuple[Method, Grouping]

    @property
    def mine(self) -> Judged:
        return self.found[self.chosen]

    @property
    def raw(self) -> Judged:
        return self.found[NONE]

    def gain(self, of: Judged, than: Judged) -> tuple[float, float]:
        """Log loss saved, in thousandths of a nat, and its standard error, from the differences row by row."""
        apart = 1000 * (than.loss - of.loss)
        return float(apart.mean()), float(apart.std() / np.sqrt(len(apart)))


def run_own(params: CalibrationParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, digest = ctx.data.files["rows"], ctx.data.digest
    rows = yield from ctx.asset_steps(f"calibration/own/{digest}", lambda: read_steps(file), disk=False)
    chosen = _chosen(params, rows)
    own = Own(rows, rows.y[rows.half :], (yield from _judged_steps(rows)), chosen)
    figures = [_reliability_figure(own), _designs_figure(own)]
    yield Frame(_metrics(own), figures)
    return Result(_metrics(own), figures, [_table(own)], list(_insights(own)), _notes(own))


def _chosen(params: CalibrationParams, rows: OwnPredictions) -> tuple[Method, Grouping]:
    if params.calibrator == "none":
        return NONE
    if params.by != "global" and rows.segment is None:
        raise InvalidInput(f"{rows.name} has no column 'segment'; choose one map for everybody.", field="by")
    return params.calibrator, "global" if params.by == "global" else "segment"


def _judged_steps(rows: OwnPredictions) -> Working[dict[tuple[Method, Grouping], Judged]]:
    half, y = rows.half, rows.y[rows.half :]
    found = {NONE: _judged(rows.p[half:], y)}
    groupings: list[Grouping] = ["global"] if rows.segment is None else ["global", "segment"]
    designs = [(method, by) for by in groupings for method in FITTED]
    for done, (method, by) in enumerate(designs):
        yield Progress(done, len(designs), "calibrating")
        groups = rows.segment if by == "segment" else None
        made = CALIBRATORS[method]().fit(rows.p[:half], rows.y[:half], None if groups is None else groups[:half])
        yield Progress(done + 0.5, len(designs), "calibrating")
        found[method, by] = _judged(made.predict(rows.p[half:], None if groups is None else groups[half:]), y)
    return found


def _judged(p: Floats, y: Floats) -> Judged:
    kept = np.clip(p, LEAST, 1 - LEAST)
    loss = -np.where(y > 0, np.log(kept), np.log1p(-kept))
    return Judged(p, loss, metrics.auc(y, p), metrics.ece(y, p), metrics.calibration_ratio(y, p))


# --- tiles and figures --------------------------------------------------------------------------------------------------------


def _metrics(own: Own) -> list[Metric]:
    mine, (gain, error) = own.mine, own.gain(own.mine, own.raw)
    made = [
        Metric("ratio", "Predicted over seen clicks", mine.ratio, "ratio", limit=1.0, limit_label="ideal"),
        Metric("log_loss", "Log loss", 1000 * float(mine.loss.mean()), "10⁻³ nats", "down"),
        Metric("gain", "Log loss saved by calibrating", gain, "10⁻³ nats", "up", (gain - 1.96 * error, gain + 1.96 * error)),
        Metric("ece", "Calibration error (ECE)", 100 * mine.ece, "pp", "down"),
        Metric("auc", "AUC", mine.auc, "AUC", "up"),
        Metric("judged", "Rows judged", float(len(own.y)), "rows"),
    ]
    if own.rows.value is not None:
        value = own.rows.value[own.rows.half :]
        seen = float((value * own.y).sum())
        ratio = float((value * mine.p).sum()) / seen if seen else None
        made.append(Metric("value_ratio", "Predicted over seen value", ratio, "ratio", limit=1.0, limit_label="ideal"))
    return made


def _reliability_figure(own: Own) -> Figure:
    designs = dict.fromkeys((own.chosen, NONE))
    series = [_reliability(own, design, colour) for design, colour in zip(designs, (0, 1), strict=False)]
    ends = [min(min(item.x) for item in series), max(max(item.x) for item in series)]
    series.append(Series("ideal", ends, ends, "lines", truth=True))
    title = f"The model predicts {own.raw.ratio:.2f} clicks for each one seen"
    if own.chosen != NONE:
        title += f", {design_name(*own.chosen)} {own.mine.ratio:.2f}"
    axes = (Axis("Predicted click probability", percent=True, type="log"), Axis("Clicked", percent=True, type="log"))
    return line_figure("reliability", title, f"{title}, on the second half of the file.", series, *axes)


def _reliability(own: Own, design: tuple[Method, Grouping], colour: int) -> Series:
    table = reliability(own.y, own.found[design].p, BINS)
    kept = (table.rate > 0) & (table.p_mean > 0)  # a logarithmic axis has no zero
    p, rate, lo, hi, n = (part[kept].tolist() for part in (table.p_mean, table.rate, table.lo, table.hi, table.n))
    text = [f"{a:.2%} predicted, {b:.2%} clicked, {c:,} rows" for a, b, c in zip(p, rate, n, strict=True)]
    return Series(design_name(*design), p, rate, "lines+markers", colour, text=text, low=lo, high=hi)


def _designs_figure(own: Own) -> Figure:
    """Log loss saved against no calibrator, with 95 % intervals."""
    series = []
    for by in dict.fromkeys(by for method, by in own.found if method != "none"):
        gains = [own.gain(own.found[method, by], own.raw) for method in FITTED]
        low, high = ([gain + sign * 1.96 * error for gain, error in gains] for sign in (-1, 1))
        names = [METHOD_LABELS[method] for method in FITTED]
        series.append(Series(GROUPING_LABELS[by], names, [g for g, _ in gains], "markers", GROUPING_COLOURS[by], low=low, high=high))
    best = max(own.found, key=lambda design: own.gain(own.found[design], own.raw)[0])
    gain, _ = own.gain(own.found[best], own.raw)
    title = f"{design_name(*best).capitalize()} saves {gain:.2f} thousandths of a nat" if best != NONE else "No calibrator saves anything"
    figure = line_figure("designs", title, f"{title} a row.", series, Axis("Calibrator"), Axis("Log loss saved", "10⁻³ nats"))
    return with_line(figure, label="no calibrator", y=0.0)


def _table(own: Own) -> Table:
    columns = (
        "Calibrator",
        "Predicted over seen (ratio)",
        "Log loss (10⁻³ nats)",
        "Calibration error (pp)",
        "AUC",
        "Beside no calibrator",
    )
    rows = tuple(
        (design_name(*design), made.ratio, 1000 * float(made.loss.mean()), 100 * made.ece, made.auc, _reading(own, made))
        for design, made in own.found.items()
    )
    return Table("designs", f"Every calibrator, learned from {own.rows.half:,} rows and judged on {len(own.y):,}", columns, rows)


def _reading(own: Own, made: Judged) -> str:
    gain, error = own.gain(made, own.raw)
    if abs(gain) <= 2 * error:
        return "within noise"
    return "better" if gain > 0 else "worse"


# --- words --------------------------------------------------------------------------------------------------------------------


def _insights(own: Own) -> Iterator[Insight]:
    best = max(own.found, key=lambda design: own.gain(own.found[design], own.raw)[0])
    gain, error = own.gain(own.found[best], own.raw)
    if best == NONE or gain <= 2 * error:
        text = f"No calibrator beats the model itself beyond noise; it predicts {own.raw.ratio:.2f} clicks for each one seen."
    else:
        text = (
            f"The model predicts {own.raw.ratio:.2f} clicks for each one seen; {design_name(*best)} brings that to "
            f"{own.found[best].ratio:.2f} and saves {gain:.2f} ± {2 * error:.2f} thousandths of a nat a row."
        )
    yield Insight(text, "evaluation", "own_best")
    yield from _own_segments(own)


def _own_segments(own: Own) -> Iterator[Insight]:
    rows, p = own.rows, own.mine.p
    if rows.segment is None:
        return
    codes = rows.segment[rows.half :]
    seen, predicted = np.bincount(codes, own.y, len(rows.names)), np.bincount(codes, p, len(rows.names))
    apart = np.where(seen > 0, np.abs(predicted - seen) / np.sqrt(np.maximum(predicted, 1e-9)), 0.0)  # in standard errors of the count
    worst = int(apart.argmax())
    if apart[worst] > 3:
        yield Insight(
            f"Segment {rows.names[worst][:40]} is predicted at {predicted[worst] / seen[worst]:.2f} times its {int(seen[worst]):,} clicks "
            f"though the total reads {own.mine.ratio:.2f}: a map for everybody cannot see it.",
            "deep_dive",
            "own_segment",
        )


def _notes(own: Own) -> list[str]:
    notes = [
        "The order of the rows is taken for time: the first half teaches, the second judges. The auction and the pacing belong to the "
        "synthetic world."
    ]
    notes += [f"Segment {name[:40]}: {clicks:,} clicks in {rows:,} rows, pooled." for name, clicks, rows in own.rows.one_class()[:5]]
    return notes
