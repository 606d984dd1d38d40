"""What the lab `peeking` shows: metrics, the table, boundaries, false positives by look, p-values by look, stopping days."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from simulators.engines.experiment.sequential import conditional_power
from simulators.engines.experiment.sequential.anytime import always_valid_p
from simulators.engines.experiment.sequential.stopping import Design, StoppingRow
from simulators.experimentation._peeking_params import LABELS, PeekingParams
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Better, Figure, Metric, Table

Rows = Mapping[str, StoppingRow]
Floats = NDArray[np.float64]
Z95 = 1.96
SHOWN_Z = (1.5, 6.0)
MOST_BINS = 20
MOST_MARKERS = 30
SHOWN_PATHS = 3
SMALLEST_P = 1e-5
# Nine rules, six colours: kindred rules share one and differ by their markers.
COLOURS = {"obrien_fleming": 0, "naive": 1, "pocock": 2, "always_valid": 3, "msprt": 3, "bonferroni": 4, "haybittle_peto": 4, "power": 5}
MARKED = ("msprt", "haybittle_peto")
HISTOGRAM_ORDER = ("obrien_fleming", "naive", "always_valid", "pocock", "power", "msprt", "haybittle_peto", "bonferroni", "fixed")
MOST_HISTOGRAMS = 4


# --- metrics ---------------------------------------------------------------------------------------------------------------


def metrics(rows: Rows, params: PeekingParams, design: Design) -> list[Metric]:
    made = [metric for kind, row in rows.items() for metric in rule_metrics(kind, row, params)]
    return [
        *made,
        Metric("users", "Users of a test that never stops, both arms", 2 * float(design.n[-1]), "users", "down"),
        Metric("effect_sd", "True effect in standard deviations of the metric", params.truth, "s.d."),
        Metric("variance_left", "Variance left by covariates", params.variance_ratio, "share", "down"),
    ]


def rule_metrics(kind: str, row: StoppingRow, params: PeekingParams) -> Iterator[Metric]:
    def made(key: str, label: str, value: float | None, se: float | None, unit: str, better: Better, **more: Any) -> Metric:
        ci = None if value is None or se is None else (max(0.0, value - Z95 * se), value + Z95 * se)
        return Metric(f"{key}@{kind}", label, value, unit, better, ci=ci, series=LABELS[kind], **more)

    nothing = "" if row.exaggeration is not None else ("There is no effect to overstate." if not params.effect else "No test stopped.")
    yield made("fpr", "False positive rate", 100 * row.fpr, 100 * row.fpr_se, "%", "down", limit=params.alpha, limit_label="alpha")
    yield made("power", "Power", 100 * row.power, 100 * row.power_se, "%", "up", limit=100.0, limit_label="every effect")
    yield made("mean_looks", "Mean looks under the effect", row.mean_looks, row.mean_looks_se, "looks", "down")
    yield made(
        "exaggeration",
        "Exaggeration of stopped tests",
        row.exaggeration,
        row.exaggeration_se,
        "x truth",
        "down",
        limit=1.0,
        limit_label="truth",
        note=nothing,
    )


# --- tables ----------------------------------------------------------------------------------------------------------------


def rules_table(rows: Rows) -> Table:
    columns: tuple[str, ...] = ("Rule", "False positives (%)", "s.e. (pp)", "Power (%)", "s.e. (pp)", "Looks (mean)", "s.e. (looks)")
    columns += ("Exaggeration (x truth)", "s.e. (x truth)", "Wrong sign among stopped (%)")

    def cells(kind: str, row: StoppingRow) -> tuple[str | float | None, ...]:
        shares = tuple(round(100 * share, 3) for share in (row.fpr, row.fpr_se, row.power, row.power_se))
        wrong = None if row.wrong_sign is None else round(100 * row.wrong_sign, 3)
        looks = (round(row.mean_looks, 2), round(row.mean_looks_se, 3))
        return (LABELS[kind], *shares, *looks, _rounded(row.exaggeration), _rounded(row.exaggeration_se), wrong)

    title = (
        f"What each rule costs, from {next(iter(rows.values())).reps:,} tests without and as many with the effect (s.e.: of the simulation)"
    )
    return Table("rules", title, columns, tuple(cells(kind, row) for kind, row in rows.items()))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def conditional_table(rows: Rows, params: PeekingParams, design: Design) -> Table | None:
    """Chances of a test that is still running, at the last bound of the first planned rule chosen."""
    kind = next((kind for kind in ("obrien_fleming", "power", "haybittle_peto", "pocock", "fixed") if kind in rows), None)
    if kind is None or design.planned < 4:
        return None
    final = float(rows[kind].bounds[design.planned - 1])
    planned_z = params.truth / math.sqrt(design.variance[design.planned - 1])
    lines = []
    for quarter in (1, 2, 3):
        look = max(1, round(quarter * design.planned / 4))
        share = float(design.information[look - 1])
        for z in (0.0, 1.0, 2.0):
            chances = [100 * conditional_power(z, share, final, theta) for theta in (planned_z, None)]
            lines.append((look, z, *(round(chance, 2) for chance in chances)))
    columns = ("Look (number)", "z so far (s.e.)", "If the set effect is true (%)", "If the trend goes on (%)")
    title = f"Conditional power: chance to end beyond the last bound of {LABELS[kind]}, {final:.2f}"
    return Table("conditional_power", title, columns, tuple(lines))


# --- figures ---------------------------------------------------------------------------------------------------------------


def _mode(kind: str) -> Literal["lines", "lines+markers"]:
    return "lines+markers" if kind in MARKED else "lines"


def _drawn(kind: str, looks: int) -> list[int]:
    """Looks at which a curve has points: markers closer than this would hide one another."""
    return _thinned(looks) if kind in MARKED else list(range(1, looks + 1))


def _thinned(looks: int) -> list[int]:
    return sorted({*range(1, looks + 1, math.ceil(looks / MOST_MARKERS)), looks})


def _look_axis() -> Axis:
    return Axis("Look", "number")


def boundaries_figure(rows: Rows, design: Design) -> Figure:
    looks = list(range(1, len(design.n) + 1))
    series = []
    for kind, row in rows.items():
        at = [k for k in _drawn(kind, looks[-1]) if math.isfinite(row.bounds[k - 1])]
        values = [float(row.bounds[k - 1]) for k in at]
        series.append(
            Series(
                LABELS[kind],
                at,
                values,
                mode="markers" if len(at) == 1 else _mode(kind),
                colour=COLOURS.get(kind, 0),
                truth=kind == "fixed",
            )
        )
    first = {kind: float(row.bounds[0]) for kind, row in rows.items()}
    last = {kind: float(row.bounds[-1]) for kind, row in rows.items()}
    hard = max(first, key=lambda kind: first[kind] if math.isfinite(first[kind]) else 0.0)
    easy = min(last, key=last.__getitem__)
    title = f"{LABELS[hard]} asks for z {_z(first[hard])} at the first look, {LABELS[easy]} for {_z(last[easy])} at the last"
    summary = "; ".join(f"{LABELS[kind]}: |z| {_z(first[kind])} at look 1, {_z(last[kind])} at look {looks[-1]}" for kind in rows) + "."
    figure = line_figure("boundaries", title, summary, series, _look_axis(), Axis("|z| to stop", "standard errors", range=SHOWN_Z))
    return _with_plan(figure, design)


def _z(bound: float) -> str:
    return f"{bound:.2f}" if math.isfinite(bound) else "never"


def false_positives_figure(rows: Rows, design: Design) -> Figure:
    looks = list(range(1, len(design.n) + 1))
    series = []
    for kind, row in rows.items():
        at, so_far = _drawn(kind, looks[-1]), np.cumsum(row.stops_null) / row.reps
        values = [float(so_far[k - 1]) for k in at]
        series.append(Series(LABELS[kind], at, values, mode=_mode(kind), colour=COLOURS.get(kind, 0), truth=kind == "fixed"))
    worst = max(rows, key=lambda kind: rows[kind].fpr)
    over = rows[worst].fpr > design.alpha + 3 * rows[worst].fpr_se
    title = f"{LABELS[worst]}: {rows[worst].fpr:.1%} false positives by look {looks[-1]}, "
    title += f"{rows[worst].fpr / design.alpha:.1f} times alpha" if over else "and no rule has more"
    summary = "; ".join(f"{LABELS[kind]} {row.fpr:.2%}" for kind, row in rows.items()) + f" by look {looks[-1]}."
    y = Axis("False positives so far", percent=True)
    return _with_plan(
        with_line(line_figure("false_positives", title, summary, series, _look_axis(), y), label="alpha", y=design.alpha), design
    )


def _with_plan(figure: Figure, design: Design) -> Figure:
    return with_line(figure, label="plan ends", x=design.planned) if len(design.n) > design.planned else figure


def stopping_figure(rows: Rows, params: PeekingParams, design: Design) -> Figure:
    """Share of tests with the effect that stop at each look, for up to four rules; many looks are binned."""
    one_a_colour = {COLOURS.get(kind, 5): kind for kind in reversed(HISTOGRAM_ORDER) if kind in rows}.values()
    shown = sorted(one_a_colour, key=HISTOGRAM_ORDER.index)[:MOST_HISTOGRAMS]
    looks = len(design.n)
    starts = np.arange(0, looks, math.ceil(looks / MOST_BINS))
    ends = [*starts[1:], looks]
    names = [f"{low + 1}" if high == low + 1 else f"{low + 1}-{high}" for low, high in zip(starts, ends, strict=True)]
    series = []
    for kind in shown:
        row = rows[kind]
        counts = [*np.add.reduceat(row.stops, starts), row.reps - row.stops.sum()]
        series.append(Series(LABELS[kind], [*names, "never"], [float(c) / row.reps for c in counts], colour=COLOURS.get(kind, 5)))
    title = "Half of the tests with the effect have stopped: " + ", ".join(_half_stopped(kind, rows[kind]) for kind in shown[:3])
    if not params.effect:
        title = "Without an effect every stop is a mistake: " + ", ".join(f"{LABELS[kind]} {rows[kind].power:.0%}" for kind in shown[:3])
    summary = (
        "; ".join(f"{LABELS[kind]}: {rows[kind].power:.1%} stop, {rows[kind].mean_looks:.1f} looks on average" for kind in shown) + "."
    )
    figure = bar_figure("stopping", title, summary, series, Axis("Look of the stop", "number"), Axis("Tests with the effect", percent=True))
    figure.plot["layout"]["xaxis"]["type"] = "category"  # names that look like numbers would become numbers, and "never" nothing
    return figure


def _half_stopped(kind: str, row: StoppingRow) -> str:
    reached = np.flatnonzero(np.cumsum(row.stops) >= row.reps / 2)
    return f"{LABELS[kind]} {f'by look {reached[0] + 1}' if len(reached) else 'never'}"


def paths_figure(noise: Floats, params: PeekingParams, design: Design) -> Figure:
    """p-values of a few tests without an effect: as if each look were the only one, and always-valid. noise (m, looks) normal."""
    looks = np.arange(1, len(design.n) + 1)
    steps = np.sqrt(np.diff(design.n, prepend=0.0))
    z = np.cumsum(noise * steps, axis=1) / np.sqrt(design.n)
    plain: Floats = 2 * ndtr(-np.abs(z))
    fooled = (plain < design.alpha).any(axis=1) & (plain[:, -1] >= design.alpha)
    chosen = np.concatenate([np.flatnonzero(fooled), np.flatnonzero(~fooled)])[:SHOWN_PATHS]
    series = []
    for colour, path in enumerate(chosen):
        valid = always_valid_p(z[path], 2 * design.n, params.tuning)
        series.append(Series(f"Test {colour + 1}, p at each look", list(looks), _floored(plain[path]), mode="lines", colour=colour))
        few = np.array(_thinned(len(looks)))
        series.append(Series(f"Test {colour + 1}, always-valid p", list(few), _floored(valid[few - 1]), mode="markers", colour=colour))
    share = float(fooled.mean())
    title = f"Nothing changed: {share:.0%} of tests dip below alpha and end above it; three p-values on their way"
    if len(looks) == 1 or not share:
        title = "p-values of three tests in which nothing changed"
    summary = (
        f"Of {len(noise):,} tests without an effect {share:.1%} had a p-value below {design.alpha:.1%} at some look and not at the last."
    )
    figure = line_figure("p_paths", title, summary, series, _look_axis(), Axis("p-value", "probability", type="log"))
    return with_line(figure, label="alpha", y=design.alpha)


def _floored(p: Floats) -> list[float]:
    return [max(SMALLEST_P, float(value)) for value in p]


def tables(rows: Rows, params: PeekingParams, design: Design) -> Sequence[Table]:
    conditional = conditional_table(rows, params, design)
    return (rules_table(rows), *((conditional,) if conditional else ()))
