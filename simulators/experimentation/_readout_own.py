"""The readout on the user's own file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment.multiple import adjust
from simulators.engines.experiment.results_file import DENOMINATOR, METRIC
from simulators.engines.experiment.stats import Comparison
from simulators.experimentation import _readout_days as days
from simulators.experimentation import _readout_report as report
from simulators.experimentation._readout_analysis import ArmReading, Plan, Readout, Route, read_arm, read_out
from simulators.experimentation._readout_data import OwnData, read_own
from simulators.experimentation._readout_family import corrected
from simulators.experimentation._readout_insights import insights
from simulators.experimentation._readout_params import Correction, ReadoutParams, question_of
from simulators.experimentation._readout_tables import tables
from simulators.experimentation._readout_tree import CORRECTIONS
from simulators.lab import Context, Insight, Result, Steps, Table

QUANTILES = {"none": None, "0.999": 0.999, "0.99": 0.99}


def run_own(params: ReadoutParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    ratio = bool(ctx.data.options.get("denominator", "").strip())
    triggered = params.population == "triggered" and bool(ctx.data.options.get("trigger", "").strip())
    found = yield from read_own(ctx, None if ratio else QUANTILES[params.winsorise], triggered=triggered)
    plan = _own_plan(params, found)
    readout = read_out(plan, question_of(params), found.arms, found.assigned, found.missing, found.srm, None)
    said = insights(readout, acknowledged=params.accept_srm)
    outlier = found.outlier()
    if outlier:
        said.append(Insight(f"{outlier[1]} Read the result with and without it.", "evaluation", "outlier"))
    more = [_baseline(readout, found), _family(readout, found, params)]
    return Result(
        report.metrics(readout),
        [*report.figures(readout), *(figure for part in more for figure in part.figures)],
        [*tables(readout), *(table for part in more for table in part.tables)],
        [*said, *(insight for part in more for insight in part.insights)],
        list(_own_notes(params, found)),
    )


def _own_plan(params: ReadoutParams, found: OwnData) -> Plan:
    mapped = found.roles.covariates
    routes = {"none": Route("Unadjusted")}
    if mapped:
        routes["one"] = Route(f"Adjusted for {mapped[0]}", found.roles.covariate_names(1))
    if len(mapped) > 1:
        routes["several"] = Route(f"Adjusted for {len(mapped)} covariates", found.roles.covariate_names())
    fallback = "one" if params.covariates == "several" and mapped else "none"
    wanted = params.covariates if params.covariates in routes else fallback
    ratio = bool(found.roles.denominator)
    label = f"{found.roles.metric} per {found.roles.denominator}" if ratio else found.roles.metric
    unit, factor = ("pp", 100.0) if found.proportion and not ratio else (label, 1.0)
    naive = ratio and params.ratio_variance == "naive"
    return Plan(METRIC, label, routes, wanted, DENOMINATOR if ratio else None, naive, unit, factor, found.roles.metric)


def _own_notes(params: ReadoutParams, found: OwnData) -> Iterator[str]:
    if params.covariates != "none" and not found.roles.covariates:
        yield "CUPED was not applied: no pre-period column is mapped, and only what was known before exposure may be used."
    if params.population == "triggered" and not found.roles.trigger:
        yield "All assigned units are analysed: no trigger column is mapped."
    if params.aa_runs:
        yield "A/A calibration deals the users of the synthetic world; your file was not dealt again."
    if params.covariates == "post_period" and found.roles.covariates:
        yield "The covariate from the test belongs to the synthetic world; your file was read without adjustment."
    if params.winsorise != "none" and (found.roles.denominator or found.proportion):
        yield "Winsorising was left out: it applies to a plain numeric metric, not to a ratio or a True/False column."
    if any(found.missing.values()):
        counts = ", ".join(f"{arm} {count:,}" for arm, count in found.missing.items())
        yield f"Rows without a metric are left out of the comparison and kept in the sample ratio: {counts}."
    if found.part.no_arm:
        yield f"{found.part.no_arm:,} rows have no arm and are left out."


def _baseline(readout: Readout, found: OwnData) -> Result:
    variance = days.control_variance(readout)
    seen = days.own_days(found.part.by_day, found.control, METRIC, readout.plan.denominator)
    if variance is None or len(seen) < 2:
        return Result([])
    made = days.bands(seen, variance)
    return Result([], [days.figure(made, readout.plan.label, readout.plan.column_unit)], [], days.insights(made))


def _family(readout: Readout, found: OwnData, params: ReadoutParams) -> Result:
    """Arms and segments are a family too: every comparison of this file beside its adjusted p-value, the arms first."""
    rows = [(reading.arm, "all", reading.headline) for reading in readout.readings]
    rows += [
        (reading.arm, segment, comparison) for reading in readout.readings for segment, comparison in _segments(readout, found, reading)
    ]
    if len(rows) < 2:
        return Result([])
    p = np.array([1.0 if comparison.p_value is None else comparison.p_value for *_, comparison in rows])
    adjusted, alpha = _adjusted(p, len(readout.readings), params.correction), readout.question.alpha
    columns = ("Arm", "Segment", f"Effect ({readout.unit})", "Units", "p-value", "Adjusted p-value", "Note")
    cells = tuple(
        (arm, segment, None if c.estimate is None else c.estimate * readout.factor, c.n, c.p_value, float(q), c.error)
        for (arm, segment, c), q in zip(rows, adjusted, strict=True)
    )
    raw, kept = int((p < alpha).sum()), int((adjusted < alpha).sum())
    text = f"{len(rows)} comparisons of arms and segments: {raw} with p below alpha, {kept} after {CORRECTIONS[params.correction]}."
    return Result([], [], [Table("family", "Arms and segments", columns, cells)], [Insight(text, "evaluation", "family")])


def _adjusted(p: NDArray[np.float64], arms: int, correction: Correction) -> NDArray[np.float64]:
    """Gatekeeping: the arms by Holm, and no segment passes before one of them has."""
    if correction != "hierarchical":
        return corrected(p, correction)
    gate = adjust(p[:arms], "holm")
    return np.concatenate([gate, np.maximum(gate.min(), adjust(p[arms:], "holm"))])


def _segments(readout: Readout, found: OwnData, reading: ArmReading) -> Iterator[tuple[str, Comparison]]:
    for segment in sorted({value for value, _ in found.part.by_segment}):
        pair = [found.part.by_segment.get((segment, arm)) for arm in (found.control, reading.arm)]
        if pair[0] is None or pair[1] is None:
            yield segment, Comparison(error="One of the arms has no unit in this segment.")
        else:
            yield segment, read_arm(readout.plan, readout.question, reading.arm, pair[0], pair[1]).headline
