"""Metrics, figures and tables of the assignment lab."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from simulators.experimentation._assignment_alarm import ALARM_P, LEVELS, NAMES, Alarms
from simulators.experimentation._assignment_logs import Reading
from simulators.experimentation._assignment_plan import CONFLICTS, EXPERIMENTS, Packing
from simulators.experimentation._assignment_traffic import BUCKETS, CONFLICT_EFFECT, SEEDS, Audit, Traffic, interaction
from simulators.figures import PALETTE, Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

if TYPE_CHECKING:
    from simulators.experimentation._assignment_params import AssignmentParams

LOWEST_P = 1e-12  # below it a chart draws no difference


@dataclass(frozen=True)
class Findings:
    """Everything one run knows."""

    params: AssignmentParams
    packing: Packing
    audit: Audit
    traffic: Traffic
    reading: Reading
    alarms: Alarms


def p_text(p: float) -> str:
    return f"p = {p:.2g}" if p >= LOWEST_P else f"p < {LOWEST_P:g}"


# --- metrics --------------------------------------------------------------------------------------------------------------------------


def log_metrics(reading: Reading) -> list[Metric]:
    lift, srm = reading.lift, reading.srm
    ci = None if lift.ci is None else (100 * lift.ci[0], 100 * lift.ci[1])
    value = None if lift.estimate is None else 100 * lift.estimate
    bands = "red below 0.001 with a deviation of 0.1 points or more, yellow below 0.01"
    made = [
        Metric("srm_p", "Sample ratio p-value", srm.p_value, "probability", "up", note=f"{srm.status}; {bands}"),
        Metric("srm_deviation", "Largest deviation of a share", 100 * srm.max_deviation, "pp", "down"),
        Metric("lift", "Apparent lift", value, "%", ci=ci, limit=0.0, limit_label="true effect", note=lift.error or ""),
        _missing(reading),
    ]
    if reading.odds is not None:
        note = "of many launches with this fault and these units; the effect is 0"
        made += [
            Metric("win_chance", "Chance to read a win", 100 * reading.odds.win, "% of launches", "down", note=note),
            Metric("red_chance", "Chance of a red sample ratio", 100 * reading.odds.red, "% of launches", note=note),
            Metric("unstopped", "False wins without a red alarm", 100 * reading.odds.unstopped, "% of launches", "down", note=note),
        ]
    if reading.phases > 1 and reading.pooled is not None:
        note = "all days against the last share; a ramp is no fault, so read the p-value per phase"
        made.append(Metric("srm_pooled_p", "Sample ratio p-value, days pooled", reading.pooled.p_value, "probability", note=note))
    return made


def _missing(reading: Reading) -> Metric:
    share = reading.missing
    note = "" if share is not None else "nobody was treated"
    return Metric("missing", "Treated units missing from the log", None if share is None else 100 * share, "%", note=note)


def plan_metrics(found: Findings) -> list[Metric]:
    packing, traffic, audit = found.packing, found.traffic, found.audit
    noise = 1 / math.sqrt(audit.n)
    return [
        Metric("traffic_met", "Traffic, worst served", 100 * packing.traffic_met, "% of need", "up"),
        Metric("conflict_units", "Units in both of a conflicting pair", traffic.conflict_units, "units", "down"),
        Metric("conflict_loss", "Engagement lost to conflicts", 100 * traffic.lost / traffic.total, "%", "down"),
        Metric("layers_used", "Layers in use", len(packing.layers), "layers", "down"),
        Metric("rho", "Correlation counted on", found.params.cuped_rho, "correlation"),
        Metric("holdout", "Holdout", found.params.holdout, "%"),
        Metric("free", "Free traffic of the layers", 100 * packing.free, "%", "up"),
        Metric("correlated", "Pairs of experiments that correlate", 100 * audit.correlated, "% of pairs", "down", note="p < 0.001"),
        Metric("max_phi", "Largest correlation of two experiments", float(np.abs(audit.pairs).max()), "phi", "down", limit=noise,
               limit_label="1/sqrt(units)"),
        Metric("balance_p", "Bucket balance p-value", audit.balance_p, "probability", note=f"{BUCKETS} buckets of {SEEDS[0]}"),
    ]  # fmt: skip


def alarm_metrics(found: Findings) -> list[Metric]:
    alarms, chosen = found.alarms, found.params.alarm
    day = alarms.first_day(chosen)
    return [
        Metric("rings", f"{NAMES[chosen]} rings", 100 * alarms.rings(chosen, ALARM_P), "% of tests", "up", note=f"at p < {ALARM_P}"),
        Metric("false_alarms", "Rings without a fault", 100 * alarms.rings(chosen, ALARM_P, fault=False), "% of tests", "down"),
        Metric("first_day", "Day of the alarm", day, "day", "down", note="" if day else "it did not ring in the experiment drawn"),
    ]


# --- figures --------------------------------------------------------------------------------------------------------------------------


def log_figure(reading: Reading) -> Figure:
    """Assigned and logged units an arm."""
    arms = ["Control", "Treatment"]
    assigned, logged = reading.logs.assigned.sum(axis=0), reading.logs.logged.sum(axis=0)
    series = [
        Series("Assigned", arms, assigned.tolist(), text=[f"{n:,.0f}" for n in assigned], truth=True),
        Series("Logged", arms, logged.tolist(), text=[f"{n:,.0f}" for n in logged]),
    ]
    colour = {"red": "The sample ratio is red", "yellow": "The sample ratio is yellow", "green": "The sample ratio is green"}
    title = f"{colour[reading.srm.status]}: {p_text(reading.srm.p_value)}"
    summary = "; ".join(f"{arm}: {a:,.0f} assigned, {b:,.0f} logged" for arm, a, b in zip(arms, assigned, logged, strict=True))
    return bar_figure("log", title, summary, series, Axis("Arm"), Axis("Units", "units"))


def lift_figure(reading: Reading) -> Figure:
    """The lift beside the alarm that should stop anyone from believing it."""
    lift = reading.lift
    if lift.estimate is None or lift.ci is None:
        series = [Series("Apparent lift", ["Engagement"], [None])]
        return bar_figure("lift", "No lift can be read", lift.error or "", series, Axis("Metric"), Axis("Lift", "%"))
    low, high = 100 * lift.ci[0], 100 * lift.ci[1]
    shown = Series("Apparent lift, 95 % interval", [100 * lift.estimate], [0], "markers")
    truth = Series("True effect", [0, 0], [-1, 1], "lines", truth=True)
    verdict = "a win that is none" if reading.false_win else "a loss that is none" if high < 0 else "nothing, which is true"
    figure = line_figure(
        "lift",
        f"The log reads {verdict}: {100 * lift.estimate:+.2f} %",
        f"Apparent lift {100 * lift.estimate:+.2f} % ({low:+.2f} to {high:+.2f} %), truth 0; sample ratio {reading.srm.status}.",
        [shown, truth],
        Axis("Lift of engagement", "%"),
        Axis("Metric", range=(-1, 1)),
    )
    error = {"type": "data", "symmetric": False, "array": [high - 100 * lift.estimate], "arrayminus": [100 * lift.estimate - low]}
    figure.plot["data"][0]["error_x"] = {**error, "thickness": 2}
    figure.plot["layout"]["yaxis"] |= {"tickvals": [0], "ticktext": ["engagement"], "title": {"text": "Metric (one a row)"}}
    return figure


def looks_figure(found: Findings) -> Figure:
    """p-value of the drawn experiment at every look."""
    days = list(range(1, found.params.days + 1))
    series = [
        Series("Chi-square every day", days, np.maximum(found.alarms.chi2[0], LOWEST_P).tolist(), colour=1),
        Series("Sequential", days, np.maximum(found.alarms.sequential[0], LOWEST_P).tolist(), colour=0),
    ]
    day = found.alarms.first_day(found.params.alarm)
    title = f"{NAMES[found.params.alarm]} rings on day {day}" if day else f"{NAMES[found.params.alarm]} stays silent in this experiment"
    last = ", ".join(f"{item.name} {item.y[-1]:.2g}" for item in series)
    figure = line_figure(
        "looks", title, f"p after {days[-1]} days: {last}.", series, Axis("Day", "days"), Axis("p-value", "probability", "log")
    )
    return with_line(figure, label="alarm", y=ALARM_P)


def alarms_figure(found: Findings) -> Figure:
    names = list(NAMES.values())
    rings = {
        name: [100 * found.alarms.rings(key, ALARM_P, fault=fault) for key in NAMES]
        for name, fault in (("With the fault", True), ("Without a fault", False))
    }
    nothing_wrong = found.params.fault == "none" or not found.params.fault_rate
    series = [Series(name, names, y, colour=i, text=[f"{v:.1f} %" for v in y]) for i, (name, y) in enumerate(rings.items())]
    volume = f"{found.params.units_per_day * found.params.days},000 units in {found.params.days} days"
    title = f"With {volume} the sequential test finds the fault in {rings['With the fault'][2]:.0f} % of experiments"
    if nothing_wrong:
        series = series[1:]
        title = f"Nothing is wrong: read daily for {volume}, chi-square still rings in {rings['Without a fault'][1]:.1f} %"
    parts = [f"{name}: {a:.1f} % with, {b:.1f} % without" for name, a, b in zip(names, *rings.values(), strict=True)]
    return bar_figure("alarms", title, "; ".join(parts), series, Axis("Alarm"), Axis("Experiments in which it rings", "%"))


def phi_figure(audit: Audit) -> Figure:
    """Correlation of the arms of every pair of audited experiments, beside what chance allows."""
    first, second = np.triu_indices(len(SEEDS), 1)
    texts = [f"{SEEDS[a]} and {SEEDS[b]}: {phi:+.4f}" for a, b, phi in zip(first, second, audit.pairs, strict=True)]
    pairs = Series("A pair of experiments", list(range(1, len(audit.pairs) + 1)), np.sort(audit.pairs).tolist(), "markers",
                   text=[texts[i] for i in np.argsort(audit.pairs)])  # fmt: skip
    noise = 1 / math.sqrt(audit.n)
    edge = [1, len(audit.pairs)]
    bands = [
        Series("1/sqrt(units)", edge, [noise] * 2, "lines", truth=True),
        Series("-1/sqrt(units)", edge, [-noise] * 2, "lines", truth=True),
    ]
    share = f"{audit.correlated:.0%} of the pairs know each other's arms"
    title = share if audit.correlated > 0.05 else "No experiment predicts another"
    largest = f"The largest correlation of {len(audit.pairs)} pairs is {np.abs(audit.pairs).max():.4f}; chance allows about {noise:.4f}."
    return line_figure("phi", title, largest, [pairs, *bands], Axis("Pair, by correlation", "rank"), Axis("Correlation of the arms", "phi"))


def phi_matrix(audit: Audit) -> Figure:
    """Every pair as a cell; the scale ends at four times what chance allows, or at the largest correlation."""
    noise = 1 / math.sqrt(audit.n)
    phi = np.where(np.eye(len(SEEDS), dtype=bool), np.nan, audit.phi)
    end = max(4 * noise, float(np.nanmax(np.abs(phi))))
    cells = [(SEEDS[j], SEEDS[i], float(phi[i, j])) for i, j in np.argwhere(~np.isnan(phi)).tolist()]
    trace = {  # squares, because a heat map draws with inline styles, which the page refuses
        "type": "scatter",
        "mode": "markers",
        "name": "correlation",
        "x": [x for x, _, _ in cells],
        "y": [y for _, y, _ in cells],
        "text": [f"{y} and {x}: {value:+.4f}" for x, y, value in cells],
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {
            "symbol": "square",
            "size": 14,
            "color": [PALETTE[0] if value > 0 else PALETTE[1] for _, _, value in cells],
            "opacity": [round(max(0.04, abs(value) / end), 3) for _, _, value in cells],
        },
    }
    axis = {"title": {"text": "Experiment"}, "type": "category", "categoryorder": "array", "categoryarray": list(SEEDS)}
    layout = {"xaxis": axis, "yaxis": {**axis, "autorange": "reversed"}, "showlegend": False}
    title = f"Correlations of the arms reach {end:.2g}; chance allows about {noise:.1g}" if end > 4 * noise else "The matrix is noise"
    summary = (
        f"Correlations of {len(audit.pairs)} pairs from {audit.pairs.min():+.4f} to {audit.pairs.max():+.4f}; 1/sqrt(units) {noise:.4f}."
    )
    return Figure("phi_matrix", title, {"data": [trace], "layout": layout}, summary)


def buckets_figure(audit: Audit) -> Figure:
    expected = audit.n / BUCKETS
    series = [Series("Units", list(range(BUCKETS)), (100 * (audit.buckets / expected - 1)).tolist())]
    title = "The buckets are even" if audit.balance_p > ALARM_P else "The buckets are uneven"
    worst = 100 * float(np.abs(audit.buckets / expected - 1).max())
    summary = f"{BUCKETS} buckets, chi-square p = {audit.balance_p:.2g}; the furthest is {worst:.1f} % from {expected:,.0f} units."
    return bar_figure("buckets", title, summary, series, Axis("Bucket", "rank"), Axis("Units against an even share", "%"))


def coverage_figure(found: Findings) -> Figure:
    """Units in 0, 1, 2 ... experiments."""
    counts = found.traffic.per_unit
    most = max(4, int(np.flatnonzero(counts)[-1]))
    shares = (100 * counts[: most + 1] / found.traffic.n).tolist()
    labels = [str(i) for i in range(most + 1)]
    mean = float((counts * np.arange(len(counts))).sum() / found.traffic.n)
    title = f"A unit is in {mean:.1f} experiments; {100 * found.packing.free:.0f} % of the layers' traffic is free"
    summary = "; ".join(f"{label}: {share:.1f} %" for label, share in zip(labels, shares, strict=True))
    text = [f"{share:.1f} %" for share in shares] if most <= 5 else None  # more would not fit on a phone
    series = [Series("Units", labels, shares, text=text)]
    return bar_figure("coverage", title, summary, series, Axis("Experiments a unit is in"), Axis("Units", "%"))


def interaction_figure(found: Findings) -> Figure | None:
    """What treating both of a conflicting pair adds, where the plan lets a unit be in both; None where it lets nobody."""
    if not found.traffic.conflict_units:
        return None
    measured = {f"{a} and {b}": interaction(found.traffic.cells[a, b]) for a, b in CONFLICTS if (a, b) in found.traffic.cells}
    known = {name: item for name, item in measured.items() if item is not None}
    if not known:
        counts = list(found.traffic.both.values())
        texts = [f"{count:,} units" for count in counts]
        series = [Series("Units in both", [f"{a} and {b}" for a, b in CONFLICTS], counts, text=texts)]
        title = "Conflicting experiments deal the same arm, or share too few units: nothing shows what they cost"
        text = f"{found.traffic.conflict_units:,} units are in both of a conflicting pair; there are no arms to compare."
        return bar_figure(
            "interaction", title, text, series, Axis("Pair"), Axis("Units in both", "units", range=(0, 1.1 * max(1, *counts)))
        )
    values = [100 * item.estimate for item in known.values()]
    margin = [196 * item.se for item in known.values()]
    series = [Series("Measured, 95 % interval", list(known), values, "markers", 1, low=[v - m for v, m in zip(values, margin, strict=True)],
                     high=[v + m for v, m in zip(values, margin, strict=True)])]  # fmt: skip
    title = f"Conflicting pairs meet in {found.traffic.conflict_units:,} units; treated by both, they lose {-100 * CONFLICT_EFFECT:.0f} %"
    summary = "; ".join(f"{name}: {value:+.1f} % +- {m:.1f}" for name, value, m in zip(known, values, margin, strict=True))
    figure = line_figure("interaction", title, summary, series, Axis("Pair"), Axis("Interaction, of engagement", "%"))
    return with_line(figure, label="truth", y=100 * CONFLICT_EFFECT)


# --- tables ---------------------------------------------------------------------------------------------------------------------------


def tables(found: Findings) -> Iterator[Table]:
    packing, traffic = found.packing, found.traffic
    shares = packing.shares
    rows = [
        (key, packing.layer_of(key) or "none", 100 * shares.get(key, 0.0), 100 * packing.need, traffic.units[key]) for key in EXPERIMENTS
    ]
    heads = ("Experiment", "Layer", "Share of its layer (%)", "Needed (%)", "Units (units)")
    yield Table("plan", "Who gets which traffic", heads, tuple(rows))
    words = [f"{fault} (% of tests, p < {level:g})" for level in LEVELS for fault in ("With fault", "Without")]
    yield Table("alarms", "How often each alarm rings", ("Alarm", *words), tuple(_rates(found.alarms)))


def _rates(alarms: Alarms) -> Iterator[tuple[str | float, ...]]:
    for key, name in NAMES.items():
        yield name, *(100 * alarms.rings(key, level, fault=fault) for level in LEVELS for fault in (True, False))
