"""Every number of a readout, for those who want to check one."""

from __future__ import annotations

import math

from simulators.engines.experiment.stats import Comparison
from simulators.experimentation._readout_analysis import Readout
from simulators.lab import Table


def tables(readout: Readout) -> list[Table]:
    return [_routes_table(readout), _arms_table(readout)]


def _routes_table(readout: Readout) -> Table:
    unit = readout.unit
    columns = (
        "Arm",
        "Analysis",
        f"Effect ({unit})",
        f"Standard error ({unit})",
        f"Low ({unit})",
        f"High ({unit})",
        "p-value",
        "Degrees of freedom (units)",
        "Variance left (share)",
        "Theta",
        "Note",
    )
    rows: list[tuple[str | float | int | None, ...]] = []
    for reading in readout.readings:
        for key, route in readout.plan.routes.items():
            rows.append(_row(readout, reading.arm, route.label, reading.routes[key]))
        if readout.question.difference == "relative":
            rows.append(_row(readout, reading.arm, "Chosen, control mean taken as known", reading.fixed))
        if reading.naive is not None:
            rows.append(_row(readout, reading.arm, "Views as units", reading.naive))
    return Table("routes", "Every analysis of this test", columns, tuple(rows))


def _row(readout: Readout, arm: str, label: str, comparison: Comparison) -> tuple[str | float | int | None, ...]:
    if comparison.estimate is None or comparison.se is None or comparison.ci is None:
        return (arm, label, *(None,) * 8, comparison.error)
    low, high = (bound * readout.factor if math.isfinite(bound) else None for bound in comparison.ci)
    theta = comparison.theta if isinstance(comparison.theta, tuple) else (comparison.theta,)
    left = None if comparison.variance_reduction is None else 1 - comparison.variance_reduction
    text = ", ".join(f"{t:.4g}" for t in theta)
    return (
        arm,
        label,
        comparison.estimate * readout.factor,
        comparison.se * readout.factor,
        low,
        high,
        comparison.p_value,
        comparison.df,
        left,
        text,
        "",
    )


def _arms_table(readout: Readout) -> Table:
    rows: list[tuple[str | float | int | None, ...]] = []
    for arm, moments in readout.arms.items():
        at = moments.index(readout.plan.metric)
        deviation = math.sqrt(max(0.0, float(moments.covariance()[at, at]))) if moments.n > 1 else None
        rows.append((arm, readout.assigned[arm], moments.n, readout.missing.get(arm, 0), float(moments.mean[at]), deviation))
    counts = ("Assigned (units)", "Analysed (units)", "Without metric (units)")
    unit = readout.plan.column_unit
    return Table("arms", "Arms", ("Arm", *counts, f"Mean ({unit})", f"Standard deviation ({unit})"), tuple(rows))
