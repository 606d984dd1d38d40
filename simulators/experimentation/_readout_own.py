"""The readout on the user's own file."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.experiment.results_file import DENOMINATOR, METRIC
from simulators.experimentation import _readout_report as report
from simulators.experimentation._readout_analysis import Plan, Route, read_out
from simulators.experimentation._readout_data import OwnData, read_own
from simulators.experimentation._readout_insights import insights
from simulators.experimentation._readout_params import ReadoutParams, question_of
from simulators.experimentation._readout_tables import tables
from simulators.lab import Context, Insight, Result, Steps

QUANTILES = {"none": None, "0.999": 0.999, "0.99": 0.99}


def run_own(params: ReadoutParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    ratio = bool(ctx.data.options.get("denominator", "").strip())
    found = yield from read_own(ctx, None if ratio else QUANTILES[params.winsorise])
    plan = _own_plan(params, found)
    readout = read_out(plan, question_of(params), found.arms, found.assigned, found.missing, found.srm, None)
    said = insights(readout, acknowledged=params.accept_srm)
    outlier = found.outlier()
    if outlier:
        said.append(Insight(f"{outlier[1]} Read the result with and without it.", "evaluation", "outlier"))
    return Result(report.metrics(readout), report.figures(readout), tables(readout), said, list(_own_notes(params, found)))


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
    if params.covariates == "post_period" and found.roles.covariates:
        yield "The covariate from the test belongs to the synthetic world; your file was read without adjustment."
    if params.winsorise != "none" and (found.roles.denominator or found.proportion):
        yield "Winsorising was left out: it applies to a plain numeric metric, not to a ratio or a True/False column."
    if any(found.missing.values()):
        counts = ", ".join(f"{arm} {count:,}" for arm, count in found.missing.items())
        yield f"Rows without a metric are left out of the comparison and kept in the sample ratio: {counts}."
    if found.part.no_arm:
        yield f"{found.part.no_arm:,} rows have no arm and are left out."
