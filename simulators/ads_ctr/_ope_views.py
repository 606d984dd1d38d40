"""Tiles, figures and tables of a study."""

from __future__ import annotations

import math

import numpy as np

from simulators.ads_ctr._ope_params import ESTIMATORS, LABELS, SHORT, Estimator
from simulators.ads_ctr._ope_study import SWEEP_SIMS, Runs, Study
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.calibration import wilson
from simulators.engines.ranking.ope import weights
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

TRUTH = "true value"
SWEPT: dict[Estimator, int] = {"dm": 5, "ips": 1, "clipped": 4, "snips": 0, "dr": 2}  # estimator: colour
WEIGHT_EDGES = (0.0, 0.01, 0.1, 1.0, 10.0, 100.0, np.inf)
WEIGHT_NAMES = ("below 0.01", "0.01 to 0.1", "0.1 to 1", "1 to 10", "10 to 100", "above 100")


# --- tiles --------------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    runs, name = study.runs, study.params.estimator
    bias, spread, covered = runs.bias(name), runs.sd(name), runs.coverage(name)
    error = 1.96 * spread / math.sqrt(runs.done)
    low, high = wilson(covered, runs.done)
    return [
        Metric("rmse", "Error of the estimate (RMSE)", 100 * runs.rmse(name), "% of the truth", "down", limit=0.0, limit_label=TRUTH),
        Metric("bias", "Bias", 100 * bias, "% of the truth", ci=(100 * (bias - error), 100 * (bias + error)), limit=0.0, limit_label=TRUTH),
        Metric("sd", "Spread over logs (s.d.)", 100 * spread, "% of the truth", "down"),
        Metric(
            "coverage",
            "Intervals that hold the truth",
            100 * covered,
            "%",
            "up",
            (100 * float(low), 100 * float(high)),
            limit=95.0,
            limit_label="promised",
        ),
        Metric("width", "Width of the interval", 100 * runs.width(name), "% of the truth", "down"),
        Metric("clicks_lost", "Clicks given up to explore", 100 * study.clicks_lost, "%", "down", limit=0.0, limit_label="no exploration"),
        Metric("rows", "Logged impressions", float(study.params.n), "rows", "down"),
        Metric("mean_weight", "Mean weight", runs.mean(lambda d: d.mean_weight), "×", limit=1.0, limit_label="must be"),
        Metric("ess", "Effective sample, share of the rows", 100 * runs.mean(lambda d: d.ess_fraction), "%", "up", limit=100.0),
        Metric("max_weight", "Largest weight in a log, mean", runs.mean(lambda d: d.max_weight), "×", "down"),
        Metric("holes", "Target's choices the log hardly holds", 100 * study.holes, "%", "down"),
        Metric("true_value", "Clicks of the target policy", 100 * runs.true_value, "% of impressions"),
        Metric("logging_value", "Clicks of the logging policy", 100 * runs.logging_value, "% of impressions"),
    ]


# --- figures ------------------------------------------------------------------------------------------------------------------


def spread_figure(study: Study) -> Figure:
    """Error of each estimator over the logs: median, and the middle 90 %."""
    runs, mine = study.runs, study.params.estimator
    names = [SHORT[name] for name in ESTIMATORS]
    low, median, high = (np.array([np.nanquantile(runs.errors(name), q) for name in ESTIMATORS]) for q in (0.05, 0.5, 0.95))
    text = [f"{LABELS[name]}: bias {runs.bias(name):+.0%}, spread {runs.sd(name):.0%}, RMSE {runs.rmse(name):.0%}" for name in ESTIMATORS]
    series = Series(
        "median and middle 90 % of the logs", names, median.tolist(), "markers", 0, text=text, low=low.tolist(), high=high.tolist()
    )
    title = f"{_start(LABELS[mine])} is off by {runs.rmse(mine):.0%}, the mean of the log by {runs.bias('log_mean'):+.0%}"
    if mine == "log_mean":
        title = f"The mean of the log is off by {runs.bias(mine):+.0%}: it is the old policy's value"
    figure = line_figure(
        "spread",
        title,
        f"Over {runs.done} logs. {'; '.join(text)}.",
        [series],
        Axis("Estimator"),
        Axis("Error against the truth", percent=True),
    )
    return with_line(figure, label="truth", y=0.0)


def coverage_figure(study: Study) -> Figure:
    """How often a 95 % interval holds the truth."""
    runs, mine = study.runs, study.params.estimator
    covered = [runs.coverage(name) for name in ESTIMATORS]
    low, high = (part.tolist() for part in wilson(covered, [runs.done] * len(covered)))
    text = [f"{LABELS[name]}: {share:.0%} of the logs" for name, share in zip(ESTIMATORS, covered, strict=True)]
    series = Series("logs", [SHORT[name] for name in ESTIMATORS], covered, "markers", 0, text=text, low=low, high=high)
    title = f"The 95 % interval of {LABELS[mine]} holds the truth in {runs.coverage(mine):.0%} of the logs"
    said = "; ".join(f"{LABELS[name]} {runs.coverage(name):.0%}, width {runs.width(name):.0%} of the truth" for name in ESTIMATORS)
    axes = (Axis("Estimator"), Axis("Intervals that hold the truth", percent=True, range=(-0.05, 1.05)))
    return with_line(line_figure("coverage", title, f"{said}.", [series], *axes), label="95 % promised", y=0.95)


def weights_figure(weight: Floats) -> Figure:
    """Which rows carry the estimate: rows of a log by weight, and their share of all weight."""
    place = np.searchsorted(WEIGHT_EDGES, weight, side="right") - 1
    rows = np.bincount(place, minlength=len(WEIGHT_NAMES)) / len(weight)
    total = float(weight.sum())
    carried = np.bincount(place, weight, len(WEIGHT_NAMES)) / total if total else np.zeros(len(WEIGHT_NAMES))
    series = [
        Series("rows", WEIGHT_NAMES, rows.tolist(), colour=5, text=[_share(value) for value in rows]),
        Series("weight they carry", WEIGHT_NAMES, carried.tolist(), colour=1, text=[_share(value) for value in carried]),
    ]
    heavy = float(rows[4:].sum()), float(carried[4:].sum())
    title = f"{_share(heavy[0])} of the rows weigh above 10 and carry {heavy[1]:.0%} of the estimate"
    said = "; ".join(f"weight {n}: {a:.1%} of rows, {b:.1%} of weight" for n, a, b in zip(WEIGHT_NAMES, rows, carried, strict=True))
    return bar_figure("weights", title, f"One log. {said}.", series, Axis("Weight of a row"), Axis("Share", percent=True))


def log_weights(study: Study) -> Floats:
    assert study.first is not None
    return weights(study.first.propensity, study.first.target)


def sweep_figure(study: Study) -> Figure:
    """The usual error by the uniform share while logging."""
    names = [f"{eps:.0%}" for eps in study.sweep]
    series = [
        Series(LABELS[name], names, [runs.usual(name) for runs in study.sweep.values()], colour=colour) for name, colour in SWEPT.items()
    ]
    none, tenth = study.sweep[0.0], study.sweep[0.1]
    gone = f"from {none.usual('dr'):.0%} to {tenth.usual('dr'):.0%} for {study.sweep_cost(0.1):.1%} of the clicks"
    title = f"10 % random takes the error of doubly robust {gone}"
    said = "; ".join(
        f"{name} random costs {study.sweep_cost(eps):.1%} of clicks, doubly robust within {runs.usual('dr'):.0%}, "
        f"SNIPS {runs.usual('snips'):.0%}"
        for name, (eps, runs) in zip(names, study.sweep.items(), strict=True)
    )
    axes = (Axis("Uniform share while logging", "%"), Axis("Error four of five logs stay within", percent=True, type="log"))
    figure = line_figure("sweep", title, f"{SWEEP_SIMS} logs of {study.sweep_rows:,} rows each. {said}.", series, *axes)
    figure.plot["layout"]["xaxis"]["type"] = "category"  # Plotly takes texts such as 2% for numbers
    return figure


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.095 or value == 0 else f"{value:.1%}"


def _start(text: str) -> str:
    return text[0].upper() + text[1:]


# --- tables -------------------------------------------------------------------------------------------------------------------


def estimators_table(study: Study) -> Table:
    columns = (
        "Estimator",
        "Bias (%)",
        "Spread (%)",
        "RMSE (%)",
        "Interval width (%)",
        "Holds the truth (% of logs)",
        "Beside the chosen one",
    )
    rows = tuple(_row(study.runs, name, study.params.estimator) for name in ESTIMATORS)
    return Table("estimators", f"Every estimator over {study.runs.done} logs, in % of the truth", columns, rows)


def _row(runs: Runs, name: Estimator, chosen: Estimator) -> tuple[str | float, ...]:
    numbers = (100 * of(name) for of in (runs.bias, runs.sd, runs.rmse, runs.width, runs.coverage))
    return (LABELS[name], *numbers, beside(runs, name, chosen))


def beside(runs: Runs, name: Estimator, chosen: Estimator) -> str:
    """Squared errors on the same logs; a mean difference under two standard errors is called noise."""
    if name == chosen:
        return "chosen"
    apart = runs.errors(name) ** 2 - runs.errors(chosen) ** 2
    if abs(np.nanmean(apart)) < 2 * np.nanstd(apart) / np.sqrt(len(apart)):
        return "within noise"
    return "closer" if np.nanmean(apart) < 0 else "farther"


def sweep_table(study: Study) -> Table:
    columns = (
        "Uniform share while logging (%)",
        "Clicks given up (%)",
        "Effective sample (% of rows)",
        "IPS, four of five within (%)",
        "SNIPS, four of five within (%)",
        "Doubly robust, four of five within (%)",
        "Doubly robust holds the truth (% of logs)",
    )
    rows = tuple(
        (
            100 * eps,
            100 * study.sweep_cost(eps),
            100 * runs.mean(lambda d: d.ess_fraction),
            100 * runs.usual("ips"),
            100 * runs.usual("snips"),
            100 * runs.usual("dr"),
            100 * runs.coverage("dr"),
        )
        for eps, runs in study.sweep.items()
    )
    return Table("sweep", f"What exploration buys, {SWEEP_SIMS} logs of {study.sweep_rows:,} rows each", columns, rows)
