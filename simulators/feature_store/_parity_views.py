"""What the parity lab shows: metrics, figures and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulators.feature_store._parity_live import BEFORE, Live
from simulators.feature_store._parity_monitors import BASE_SHARE, DAY_MIN, PSI_ALARM, Damage, Watch
from simulators.feature_store._parity_params import FAULT_NAMES, FAULTS, MONITOR_NAMES, Fault, Monitor, ParityParams
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

PSI_FLOOR, MIN_FLOOR = 1e-4, 1.0
NEVER = "not within a day"
COLOURS: dict[Monitor, int] = {"psi": 0, "parity": 1, "golden": 2, "freshness": 4}
BELOW: tuple[Fault, ...] = ("stalled", "window")  # labels that would stand on their neighbour's


@dataclass(frozen=True)
class Found:
    params: ParityParams
    damages: dict[Fault, Damage]
    watches: dict[Monitor, Watch]
    live: Live

    @property
    def damage(self) -> Damage:
        return self.damages[self.params.fault]

    def minutes(self, fault: Fault) -> float:
        """To the first alarm of any monitor that is switched on."""
        return min(self.watches[monitor].minutes(fault, self.params.interval) for monitor in self.params.monitor)

    def first(self, fault: Fault) -> Monitor | None:
        """The monitor that raises that alarm."""
        alarms = {monitor: self.watches[monitor].minutes(fault, self.params.interval) for monitor in self.params.monitor}
        quickest = min(alarms, key=lambda monitor: alarms[monitor])
        return quickest if alarms[quickest] < DAY_MIN else None

    @property
    def missed(self) -> list[Fault]:
        return [fault for fault in FAULTS if self.minutes(fault) >= DAY_MIN]

    @property
    def slowest(self) -> tuple[float, Fault]:
        return max((self.minutes(fault), fault) for fault in FAULTS)

    @property
    def false_alarms(self) -> float:
        return sum(self.watches[monitor].false_alarms(self.params.interval) for monitor in self.params.monitor)


def recomputed_share(params: ParityParams) -> float:
    """Rows recomputed or replayed, over all requests."""
    parity = params.sample / 100 if "parity" in params.monitor else 0.0
    golden = params.golden_n / params.requests if "golden" in params.monitor else 0.0
    return parity + golden


def known_at_once(params: ParityParams) -> list[Metric]:
    """What needs no requests."""
    return [Metric("recomputed", "Requests recomputed or replayed", 100 * recomputed_share(params), "%", "down")]


def damage_metrics(damage: Damage, healthy: Damage) -> list[Metric]:
    report = damage.report
    return [
        Metric(
            "auc", "AUC", damage.harm.auc.value, "AUC", "up", ci=damage.harm.auc.ci, limit=healthy.harm.auc.value, limit_label="healthy"
        ),
        Metric(
            "auc_loss",
            "AUC lost by the fault",
            -damage.harm.loss.value,
            "AUC",
            "down",
            ci=(-damage.harm.loss.ci[1], -damage.harm.loss.ci[0]),
        ),
        Metric(
            "calibration",
            "Predicted over actual clicks",
            damage.harm.calibration,
            "ratio",
            limit=healthy.harm.calibration,
            limit_label="healthy",
        ),
        Metric("prediction", "Mean prediction against healthy", 100 * damage.harm.prediction, "%", limit=0.0, limit_label="healthy"),
        Metric("rows_differ", "Rows of which a feature differs", 100 * damage.rows_differ, "%", "down"),
        Metric("mismatch", "Mismatch of the worst feature", 100 * float(report.mismatch.max()), "%", "down"),
        Metric("missing", "Missing of the worst feature", 100 * float(report.missing.max()), "%", "down"),
        Metric("extra", "Extra of the worst feature", 100 * float(report.extra.max()), "%", "down"),
        Metric("smape", "SMAPE of the worst feature", 100 * float(report.smape.max()), "% of 200", "down"),
        Metric("psi", "PSI of the worst feature", damage.harm.worst_psi, "PSI", "down", limit=PSI_ALARM, limit_label="alarm"),
    ]


def metrics(found: Found) -> list[Metric]:
    params, slowest = found.params, found.slowest
    made = damage_metrics(found.damage, found.damages["none"])
    if params.fault != "none":
        minutes = found.minutes(params.fault)
        note = f"A day stands for: {NEVER}." if minutes >= DAY_MIN else ""
        made.append(Metric("detect_min", "From this fault to an alarm", minutes, "min", "down", note=note))
    ages = found.live.ages(params.sla)
    note = f"{FAULT_NAMES[slowest[1]]}." + (f" A day stands for: {NEVER}." if slowest[0] >= DAY_MIN else "")
    return [
        *made,
        Metric("slowest_min", "From any fault to an alarm, slowest", slowest[0], "min", "down", note=note),
        Metric("missed", "Faults never seen", len(found.missed), "faults", "down"),
        Metric("false_alarms", "False alarms", round(found.false_alarms, 4), "a day", "down"),
        *known_at_once(params),
        Metric(
            "live_differ", "Rows that differ in the live stream, since the fault", 100 * float(np.mean(found.live.mismatch[BEFORE:])), "%"
        ),
        Metric(
            "age_p99_s",
            "Age of the stream's features at the last check, p99",
            ages[-1].p99,
            "s",
            "down",
            limit=params.sla,
            limit_label="promised",
        ),
    ]


# --- figures -------------------------------------------------------------------------------------------------------------


def harm_figure(found: Found) -> Figure:
    """Harm against the distribution's alarm: the two orders."""
    series = []
    for i, (name, faults) in enumerate((("Chosen fault", [found.params.fault]), ("Other faults", list(FAULTS)))):
        shown = [fault for fault in faults if fault != "none" and (i == 0 or fault != found.params.fault)]
        if shown:
            x = [max(found.damages[fault].harm.worst_psi, PSI_FLOOR) for fault in shown]
            y = [-found.damages[fault].harm.loss.value for fault in shown]
            series.append(Series(name, x, y, mode="markers", colour=1 - i, text=[_point(found, fault) for fault in shown]))
    worst, loudest = (
        max(FAULTS, key=lambda f: -found.damages[f].harm.loss.value),
        max(FAULTS, key=lambda f: found.damages[f].harm.worst_psi),
    )
    title = f"{FAULT_NAMES[worst]} costs {-found.damages[worst].harm.loss.value:.3f} AUC at PSI {found.damages[worst].harm.worst_psi:.4f}"
    if worst != loudest:
        title += f"; the loudest, {FAULT_NAMES[loudest].lower()}, costs {-found.damages[loudest].harm.loss.value:.3f}"
    most = max(0.01, *(-found.damages[fault].harm.loss.value for fault in FAULTS))
    figure = line_figure(
        "harm",
        title,
        "; ".join(_point(found, fault) for fault in FAULTS),
        series,
        Axis("Largest shift of a feature", "PSI", "log"),
        Axis("AUC lost", "AUC", range=(-0.1 * most, 1.2 * most)),
    )
    for fault in FAULTS:
        figure.plot["layout"].setdefault("annotations", []).append(
            {
                "x": float(np.log10(max(found.damages[fault].harm.worst_psi, PSI_FLOOR))),
                "y": -found.damages[fault].harm.loss.value,
                "text": FAULT_NAMES[fault],
                "showarrow": False,
                "yshift": -13 if fault in BELOW else 13,
                "xanchor": "left" if found.damages[fault].harm.worst_psi < 0.01 else "right",
            }
        )
    return with_line(figure, label="alarm", x=PSI_ALARM)


def _point(found: Found, fault: Fault) -> str:
    damage = found.damages[fault]
    return (
        f"{FAULT_NAMES[fault]}: AUC {damage.harm.loss.value:+.3f}, PSI {damage.harm.worst_psi:.4f}, {damage.rows_differ:.1%} of rows differ"
    )


def detect_figure(found: Found) -> Figure:
    """Minutes to the first alarm of each fault, in the colour of the monitor that raises it."""
    faults = list(reversed(FAULTS))  # a horizontal axis counts upwards
    labels = [FAULT_NAMES[fault] for fault in faults]
    series = []
    for monitor in found.params.monitor:
        mine = [found.minutes(fault) if found.first(fault) == monitor else None for fault in faults]
        text = ["" if value is None else f"{value:.3g} min" for value in mine]
        series.append(Series(MONITOR_NAMES[monitor], labels, mine, colour=COLOURS[monitor], text=text))
    if found.missed:
        never = [DAY_MIN if fault in found.missed else None for fault in faults]
        series.append(Series("Seen by none", labels, never, colour=3, text=[NEVER if value else "" for value in never]))
    missed = found.missed
    title = (
        f"{len(missed)} of {len(FAULTS)} faults are never seen" if missed else f"The slowest fault is seen after {found.slowest[0]:.3g} min"
    )
    summary = "; ".join(f"{FAULT_NAMES[f]}: {NEVER if found.minutes(f) >= DAY_MIN else f'{found.minutes(f):.3g} min'}" for f in FAULTS)
    axis = Axis("From the fault to the alarm, on average", "min", "log", range=(MIN_FLOOR, 2 * DAY_MIN))
    return bar_figure("detect", title, summary, series, Axis("Fault"), axis, stacked=True, horizontal=True)


def parity_figure(found: Found) -> Figure:
    live = found.live
    y = (100 * live.mismatch).tolist()
    series = [Series("Rows that differ, of 100 a check", live.minutes.tolist(), y, colour=1)]
    before, after = (float(part.mean()) for part in (live.mismatch[:BEFORE], live.mismatch[BEFORE:]))
    title = f"Rows that differ go from {before:.1%} to {after:.1%} when the fault begins"
    if found.params.fault == "none":
        title = f"{float(live.mismatch.mean()):.1%} of the rows differ with nothing wrong"
    elif abs(after - before) < 0.01:
        title = f"Comparing rows sees nothing: {after:.1%} differ after the fault, {before:.1%} before"
    text = f"{len(y)} checks, from {min(y):.0f} to {max(y):.0f} % of rows"
    top = max(5.0, 1.1 * max(y))
    figure = line_figure("parity", title, text, series, Axis("Since the fault began", "min"), Axis("Rows", "%", range=(0, top)))
    return with_line(with_line(figure, label="fault", x=0.0), label="healthy", y=100 * BASE_SHARE)


def age_figure(found: Found) -> Figure:
    live, sla = found.live, found.params.sla
    ages = live.ages(sla)
    curves = [("99th percentile", 0, [age.p99 for age in ages]), ("Median", 5, [age.p50 for age in ages])]
    series = [Series(name, live.minutes.tolist(), values, colour=colour) for name, colour, values in curves]
    last = ages[-1]
    kept = "within the promise of" if last.status == "ok" else "against a promise of"
    title = f"At the last check the stream's features are up to {last.p99 or 0:,.0f} s old, {kept} {sla:,.0f} s"
    text = f"99th percentile of the age from {min(a.p99 or 0 for a in ages):.1f} to {max(a.p99 or 0 for a in ages):,.1f} s"
    known = [value for _, _, values in curves for value in values if value]
    room = Axis("Age", "s", "log", range=(0.7 * min(known), 2 * max(*known, sla)))
    figure = line_figure("age", title, text, series, Axis("Since the fault began", "min"), room)
    return with_line(with_line(figure, label="promised", y=sla), label="fault", x=0.0)


def figures(found: Found) -> Iterator[Figure]:
    yield harm_figure(found)
    yield detect_figure(found)
    yield parity_figure(found)
    yield age_figure(found)


# --- tables --------------------------------------------------------------------------------------------------------------


def fault_table(found: Found) -> Table:
    columns = (
        "Fault",
        "AUC lost (AUC)",
        "Mean prediction (%)",
        "Predicted / actual (ratio)",
        "Rows that differ (%)",
        "Worst SMAPE (%)",
        "Worst PSI (PSI)",
        "Seen after (min)",
    )
    rows: list[tuple[str | float | None, ...]] = []
    for fault in FAULTS:
        d, minutes = found.damages[fault], found.minutes(fault)
        numbers = [
            -d.harm.loss.value,
            100 * d.harm.prediction,
            d.harm.calibration,
            100 * d.rows_differ,
            100 * float(d.report.smape.max()),
            d.harm.worst_psi,
        ]
        rows.append((FAULT_NAMES[fault], *(round(number, 4) for number in numbers), None if minutes >= DAY_MIN else round(minutes, 1)))
    return Table("faults", f"Every fault, {found.params.affected:g} % of the requests affected", columns, tuple(rows))


def live_table(found: Found) -> Table:
    """The four figures of the live stream, feature by feature."""
    report = found.live.report
    rows: list[tuple[str | float | None, ...]] = []
    for feature, psi in zip(report.features, found.damage.harm.psi.tolist(), strict=True):
        shares = (feature.mismatch, feature.missing, feature.extra, feature.smape)
        rows.append((feature.name, *(round(100 * share, 2) for share in shares), round(psi, 4)))
    columns = ("Feature", "Mismatch (%)", "Missing (%)", "Extra (%)", "SMAPE (%)", "PSI, all requests (PSI)")
    return Table("live", f"Read back from the store since the fault began, {report.n:,} rows", columns, tuple(rows))


def monitor_table(found: Found) -> Table:
    columns = ("Monitor", "Switched on", "False alarms a day (alarms)", "Faults never seen", *(f"{FAULT_NAMES[f]} (min)" for f in FAULTS))
    rows: list[tuple[str | float | None, ...]] = []
    for monitor, watch in found.watches.items():
        minutes = [watch.minutes(fault, found.params.interval) for fault in FAULTS]
        seen = [None if value >= DAY_MIN else round(value, 1) for value in minutes]
        on = "yes" if monitor in found.params.monitor else "no"
        rows.append((MONITOR_NAMES[monitor], on, round(watch.false_alarms(found.params.interval), 3), seen.count(None), *seen))
    return Table("monitors", "Each monitor alone; empty: not within a day", columns, tuple(rows))
