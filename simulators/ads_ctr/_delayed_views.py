"""Tiles, figures and the table of the lab `delayed_feedback`."""

from __future__ import annotations

import numpy as np

from simulators.ads_ctr._delayed_params import SHORT
from simulators.ads_ctr._delayed_study import Judged, Launches, Study
from simulators.engines.ranking.arguments import Floats
from simulators.engines.ranking.delayed import Method
from simulators.engines.ranking.worlds.delay import LOG_DAYS
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Table

COLOURS: dict[Method, int] = {"naive": 1, "wait": 4, "dfm": 0, "ipw": 2}
SEEN = 5
HOUR, DAY = 1 / 24, 1.0
LEAST_CLICKS = 20  # in a day of the log, for a rate worth drawing


# --- tiles --------------------------------------------------------------------------------------------------------------------


def metrics(study: Study) -> list[Metric]:
    """Of the method in production, then of each compared."""
    mine, arrived = study.mine, study.world.arrived_by(np.array([HOUR, DAY]))
    used = int((study.world.elapsed >= (study.params.wait_days if study.params.method == "wait" else 0)).sum())
    made = [
        _ratio("bid_ratio", "new campaign", mine.ratio),
        Metric("spend_error", "Spend on the new campaign, too much", 100 * (mine.ratio - 1), "%", limit=0.0, limit_label="ideal"),
        Metric("spend_off", "Spend off, either way", 100 * abs(mine.ratio - 1), "%", "down"),
        Metric("bid_xll", "Excess log loss, new campaign", mine.excess, "10⁻³ nats", "down", limit=0.0, limit_label="truth"),
        Metric("label_age", "Youngest click learned from", round(mine.model.youngest_days, 2), "d", "down"),
        Metric("clicks_used", "Clicks learned from", used, "clicks", "down"),
        Metric(
            "seen_new", "Conversions of the new campaign seen", study.seen_new, "conversions", limit=study.all_new, limit_label="in the end"
        ),
        Metric("to_come", "Conversions still to come", 100 * study.to_come_share, "%"),
        Metric("within_hour", "Conversions within 1 h", 100 * float(arrived[0]), "%"),
        Metric("within_day", "Conversions within 24 h", 100 * float(arrived[1]), "%"),
        Metric("fit_cpu_s", "Processor time of the fit", mine.cpu_s, "s", "down", measured=True),
    ]
    return [*made, *(metric for method, found in study.judged.items() for metric in _of_method(method, found))]


def _of_method(method: Method, found: Judged) -> list[Metric]:
    name = SHORT[method]
    return [
        _ratio(f"ratio@{method}", "new campaign", found.ratio, name),
        _ratio(f"ratio_all@{method}", "all traffic", found.ratio_all, name),
        Metric(f"xll@{method}", "Excess log loss, new campaign", found.excess, "10⁻³ nats", "down", series=name),
    ]


def _ratio(key: str, where: str, value: float, series: str = "") -> Metric:
    return Metric(key, f"Predicted over true, {where}", value, "ratio", limit=1.0, limit_label="ideal", series=series)


# --- figures ------------------------------------------------------------------------------------------------------------------


def figures(study: Study, by_launch: Launches | None) -> list[Figure]:
    made = [ratio_figure(study), age_figure(study), delay_figure(study)]
    return made if by_launch is None else [*made, launch_figure(by_launch)]


def ratio_figure(study: Study) -> Figure:
    names = [SHORT[method] for method in study.judged]
    new, everything = [item.ratio for item in study.judged.values()], [item.ratio_all for item in study.judged.values()]
    series = [
        Series("new campaign", names, new, colour=1, text=[f"{value:.2f}" for value in new]),
        Series("all traffic", names, everything, colour=0, text=[f"{value:.2f}" for value in everything]),
    ]
    said = "; ".join(f"{name}: new {a:.2f}, all {b:.2f}" for name, a, b in zip(names, new, everything, strict=True))
    mine = study.mine.ratio
    wrong = f"{'under' if mine < 1 else 'over'}states it by {abs(mine - 1):.0%}" if abs(mine - 1) >= 0.005 else "meets it"
    figure = bar_figure(
        "ratio",
        f"New campaign's conversion rate: {SHORT[study.params.method]} {wrong}",
        f"Predicted over true conversions. {said}.",
        series,
        Axis("Method"),
        Axis("Predicted over true", "ratio"),
    )
    return with_line(figure, label="ideal", y=1.0)


def age_figure(study: Study) -> Figure:
    """By age of the click: what has converted, what will, and what each method predicts for these very clicks."""
    world = study.world
    day = np.minimum(world.elapsed.astype(int), int(LOG_DAYS) - 1)
    shown = np.flatnonzero(np.bincount(day, minlength=int(LOG_DAYS)) >= LEAST_CLICKS)
    ages = (shown + 0.5).tolist()

    def by_day(values: Floats) -> list[float]:
        counts = np.bincount(day, minlength=int(LOG_DAYS))
        return [float(total) for total in np.bincount(day, values, int(LOG_DAYS))[shown] / counts[shown]]

    seen, final = by_day(world.converted), by_day(world.converted + world.to_come)
    series = [
        Series("will convert", ages, final, "lines", truth=True),
        Series("converted so far", ages, seen, "lines", SEEN),
        *(
            Series(f"{SHORT[method]} predicts", ages, by_day(item.model.predict(world.X)), "lines", COLOURS[method])
            for method, item in study.judged.items()
        ),
    ]
    return line_figure(
        "age",
        f"Of the clicks of the last day {seen[0]:.1%} have converted and {final[0]:.1%} will",
        f"Conversion rate by age of the click. Youngest day: {seen[0]:.3f} so far, {final[0]:.3f} in the end; oldest day: {seen[-1]:.3f} "
        f"and {final[-1]:.3f}.",
        series,
        Axis("Age of the click", "d"),
        Axis("Conversion rate", percent=True),
    )


def delay_figure(study: Study) -> Figure:
    """Share of conversions that arrive within so many days: the law of the world, and those that were fitted."""
    days = np.geomspace(HOUR, study.params.window, 60)
    truth = study.world.arrived_by(days)
    series = [Series("truth", days.tolist(), truth.tolist(), "lines", truth=True)]
    gaps = dict[Method, float]()
    for method, item in study.judged.items():
        if item.model.log_hazard is not None:
            fitted = _fitted_law(item, study.world.X_test, days)
            gaps[method] = float(np.abs(fitted - truth).max())
            series.append(Series(f"{SHORT[method]}, fitted", days.tolist(), fitted.tolist(), "lines", COLOURS[method]))
    one, two = study.world.arrived_by(np.array([HOUR, DAY]))
    off = f"; the fitted laws are off by up to {max(gaps.values()):.0%}" if gaps else ""
    return line_figure(
        "delay",
        f"{one:.0%} of the conversions arrive within an hour, {two:.0%} within a day{off}",
        f"Share arrived: {one:.3f} within 1 h, {two:.3f} within 24 h. "
        + " ".join(f"Largest error of {SHORT[method]}: {gap:.3f}." for method, gap in gaps.items()),
        series,
        Axis("Days since the click", "d", "log"),
        Axis("Conversions arrived", percent=True, range=(0, 1.03)),
    )


def _fitted_law(item: Judged, X: Floats, days: Floats) -> Floats:
    """Over the test clicks, each weighted by its predicted chance to convert."""
    hazard = item.model.hazard(X)
    return np.array([float(-np.expm1(-hazard * day) @ item.p_hat) for day in days]) / float(item.p_hat.sum())


def launch_figure(found: Launches) -> Figure:
    series = [Series(SHORT[method], found.days, ratio.tolist(), colour=COLOURS[method]) for method, ratio in found.ratio.items()]
    said = "; ".join(f"{SHORT[method]} {ratio[0]:.2f} to {ratio[-1]:.2f}" for method, ratio in found.ratio.items())
    figure = line_figure(
        "launch",
        f"From {found.days[0]:g} to {found.days[-1]:g} days after the launch: {said}",
        f"Predicted over true conversions of a campaign launched so many days ago. {said}.",
        series,
        Axis("Launched", "d ago", "log"),
        Axis("Predicted over true", "ratio"),
    )
    return with_line(figure, label="ideal", y=1.0)


# --- table --------------------------------------------------------------------------------------------------------------------


def table(study: Study) -> Table:
    columns = (
        "Method",
        "Predicted over true, new (ratio)",
        "Predicted over true, all (ratio)",
        "Excess log loss, new (10⁻³ nats)",
        "Youngest click (d)",
        "Steps of the fit (steps)",
    )
    rows = tuple(
        (SHORT[method], item.ratio, item.ratio_all, item.excess, round(item.model.youngest_days, 2), item.model.steps)
        for method, item in study.judged.items()
    )
    return Table("methods", "Every method on the same log", columns, rows)
