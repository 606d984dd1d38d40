"""Metrics, figures and tables of the market question."""

from __future__ import annotations

from simulators.engines.experiment.marketplace import MarketRun
from simulators.experimentation._interference_market import Carryover, Sample, Study
from simulators.experimentation._interference_params import DESIGN_LABELS
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

ONE_WORLD = "One world has no spread: two replicates or more are needed."


def metrics(study: Study) -> list[Metric]:
    sample, p = study.chosen, study.params
    no_ci = sample.error or "No interval."
    history = p.pre_days if p.design == "cluster_pre" else 0
    return [
        Metric("estimate", "Mean estimate", sample.mean, "%", ci=_around(sample.mean, sample), limit=sample.truth, limit_label="GTE"),
        Metric("gte", "Global treatment effect", sample.truth, "%"),
        Metric("abs_bias", "|Bias|", abs(sample.bias), "pp", "down", limit=0.0, limit_label="unbiased"),
        Metric("sd", "s.d. of the estimate", sample.sd, "pp", "down", note="" if sample.n > 1 else ONE_WORLD),
        Metric("rmse", "RMSE", sample.rmse, "pp", "down"),
        Metric(
            "coverage", "Coverage of 95 % intervals", sample.coverage, "share", "up", sample.coverage_ci, limit=0.95,
            limit_label="promised", note="" if sample.inside else no_ci,
        ),
        Metric("half_width", "Half of the 95 % interval", sample.half_width, "pp", "down", note="" if sample.width else no_ci),
        Metric("test_days", "Days with the history", float(p.days + history), "d", "down"),
    ]  # fmt: skip


def figures(study: Study) -> list[Figure]:
    return [estimates_figure(study), designs_figure(study), windows_figure(study), carryover_figure(study)]


def frame_figures(study: Study) -> list[Figure]:
    return [estimates_figure(study)]


def estimates_figure(study: Study) -> Figure:
    sample, label = study.chosen, DESIGN_LABELS[study.params.design]
    shown = range(min(60, sample.n))
    bands = len(sample.width) == sample.n
    low = [sample.estimate[i] - sample.width[i] for i in shown] if bands else None
    high = [sample.estimate[i] + sample.width[i] for i in shown] if bands else None
    worlds = [i + 1 for i in shown]
    name = "estimate, 95 % interval" if bands else "estimate"
    series = [
        Series(name, worlds, [sample.estimate[i] for i in shown], "markers", 0, low=low, high=high),
        Series("true effect (GTE)", worlds, [sample.gte[i] for i in shown], "lines", truth=True),
    ]  # fmt: skip
    title = f"{label}: reads {sample.mean:+.1f} % where a launch gives {sample.truth:+.1f} %"
    covered = "no intervals" if sample.coverage is None else f"{sample.coverage:.0%} of the intervals hold the truth"
    summary = f"{sample.n} worlds, mean estimate {sample.mean:+.2f} %, true effect {sample.truth:+.2f} %, {covered}."
    return line_figure("estimates", title, summary, series, Axis("World", "number"), Axis("Effect on orders", "%"))


def designs_figure(study: Study) -> Figure:
    """Bias and spread of every design in the same worlds."""
    names = [DESIGN_LABELS[name] for name in study.designs]
    samples = list(study.designs.values())
    best = min(range(len(samples)), key=lambda i: samples[i].rmse)
    series = [
        Series("|bias|", names, [abs(s.bias) for s in samples], colour=1, text=[f"{abs(s.bias):.1f}" for s in samples]),
        Series("s.d.", names, [s.sd or 0.0 for s in samples], colour=0, text=[f"{s.sd or 0:.1f}" for s in samples]),
        Series("RMSE", names, [s.rmse for s in samples], colour=2, text=[f"{s.rmse:.1f}" for s in samples]),
    ]
    parts = [f"{n}: bias {s.bias:+.2f}, RMSE {s.rmse:.2f} pp" for n, s in zip(names, samples, strict=True)]
    title = f"In {samples[0].n} common worlds, {names[best].lower()} come closest to the truth"
    title = title.replace("switchback come", "a switchback comes")
    axis = Axis("Error against the true effect", "pp")
    return bar_figure("designs", title, "; ".join(parts) + ".", series, Axis("Design"), axis)


def windows_figure(study: Study) -> Figure:
    windows, samples = list(study.windows), list(study.windows.values())
    best = min(study.windows, key=lambda w: study.windows[w].rmse)
    series = [
        Series("RMSE", windows, [s.rmse for s in samples], colour=2),
        Series(
            "bias, 95 % interval",
            windows,
            [s.bias for s in samples],
            colour=1,
            low=[s.bias - 1.96 * (s.bias_se or 0) for s in samples],
            high=[s.bias + 1.96 * (s.bias_se or 0) for s in samples],
        ),
        Series("s.d.", windows, [s.sd or 0.0 for s in samples], colour=0),
    ]
    title = f"Switchback: in {samples[0].n} worlds the error is least with windows of {best} min"
    summary = "; ".join(f"{w} min: RMSE {s.rmse:.2f} pp, bias {s.bias:+.2f} pp" for w, s in study.windows.items()) + "."
    axis = Axis("Window", "min", "log")
    figure = line_figure("windows", title, summary, series, axis, Axis("Error against the true effect", "pp"))
    return with_line(figure, label="chosen", x=study.params.window) if study.params.design == "switchback" else figure


def carryover_figure(study: Study) -> Figure:
    curve: Carryover = study.carryover
    scale = 100 / max(1, curve.n)
    minutes = curve.minutes.tolist()
    series = [
        Series("after the switch", minutes, (scale * curve.shift).tolist(), "lines+markers", 1),
        Series("if treated all along", minutes, (scale * curve.settled).tolist(), "lines", truth=True),
    ]
    first, settled = (float(scale * c[0]) for c in (curve.shift, curve.settled))
    title = f"A window that turns to treatment starts {abs(settled - first):.1f} % of drivers away from where a launch would be"
    summary = f"In its first slot a treated window has {first:+.2f} % of drivers more idle than control, a lasting launch {settled:+.2f} %."
    return line_figure(
        "carryover",
        title,
        summary,
        series,
        Axis("Since the switch to treatment", "min"),
        Axis("Idle drivers v control", "% of all drivers"),
    )


def tables(study: Study) -> list[Table]:
    columns = (
        "Test", "Worlds (count)", "GTE (%)", "Estimate (%)", "Bias (pp)", "s.e. of bias (pp)", "s.d. (pp)", "RMSE (pp)",
        "Coverage (share)", "Half interval (pp)", "Design effect (x)",
    )  # fmt: skip
    rows = [_row(DESIGN_LABELS[name], sample) for name, sample in study.designs.items()]
    rows += [_row(f"Switchback, {window} min", sample) for window, sample in study.windows.items()]
    made = [Table("designs", "Every design in the same worlds", columns, tuple(rows))]
    return [*made, _units(study.first)] if study.first else made


def _row(label: str, s: Sample) -> tuple[str | float | int | None, ...]:
    deff = sum(s.deff) / len(s.deff) if s.deff else None
    return (label, s.n, s.truth, s.mean, s.bias, s.bias_se, s.sd, s.rmse, s.coverage, s.half_width, deff)


def _units(run: MarketRun) -> Table:
    """The first rows of the first world, for those who want to analyse them."""
    names = {"region": "Region (number)", "day": "Day (number)", "time_min": "Start (min)", "treated": "Treated (0 or 1)",
             "requests": "Requests (count)", "orders": "Orders (count)", "pre_orders": "Orders before (count)"}  # fmt: skip
    columns = [run.unit_table[name][:40].tolist() for name in names]
    return Table("units", "First 40 units of the first world", tuple(names.values()), tuple(zip(*columns, strict=True)))


def _around(mean: float, sample: Sample) -> tuple[float, float] | None:
    """95 % interval of the mean over worlds."""
    if sample.sd is None:
        return None
    half = 1.96 * sample.sd / sample.n**0.5
    return mean - half, mean + half
