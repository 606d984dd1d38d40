"""Metrics and figures of a readout."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulators.engines.experiment.stats import Comparison
from simulators.experimentation._readout_analysis import NAIVE, ArmReading, Readout, detectable, power_at, users_needed
from simulators.figures import Axis, Series, bar_figure, line_figure, with_line
from simulators.lab import Figure, Metric

POST_PERIOD = "post_period"


def rounded_count(value: float) -> str:
    """Three significant digits, thousands grouped."""
    return f"{float(f'{value:.3g}'):,.0f}"


def effect_text(readout: Readout, value: float) -> str:
    return f"{value * readout.factor:+.3g}{_unit(readout)}"


def size_text(readout: Readout, value: float) -> str:
    """The same without a sign."""
    return f"{value * readout.factor:.3g}{_unit(readout)}"


def _unit(readout: Readout) -> str:
    return "%" if readout.unit == "%" else f" {readout.unit}"


def interval(readout: Readout, comparison: Comparison) -> tuple[float, float] | None:
    """On the page's scale; None for an interval that is open on one side."""
    if comparison.ci is None or not all(math.isfinite(bound) for bound in comparison.ci):
        return None
    return comparison.ci[0] * readout.factor, comparison.ci[1] * readout.factor


def finite_bounds(readout: Readout, comparison: Comparison) -> tuple[float, float]:
    """The interval as drawn: an open side ends at the estimate."""
    assert comparison.ci is not None and comparison.estimate is not None
    low, high = (bound if math.isfinite(bound) else comparison.estimate for bound in comparison.ci)
    return low * readout.factor, high * readout.factor


def width(readout: Readout, comparison: Comparison) -> float | None:
    """Of the interval; a one-sided one counts twice its only side."""
    if comparison.ci is None:
        return None
    low, high = finite_bounds(readout, comparison)
    return (high - low) * (1 if interval(readout, comparison) else 2)


# --- metrics ------------------------------------------------------------------------------------------------------------------------


def metrics(readout: Readout) -> list[Metric]:
    several = len(readout.readings) > 1
    made = [
        metric
        for reading in readout.readings
        for metric in _arm_metrics(readout, reading, f"@{reading.arm}" if several else "", reading.arm if several else "")
    ]
    share = "p below 0.01 is suspicious, below 0.001 an alarm"
    return [*made, Metric("srm_p", "Sample ratio p-value", readout.srm.p_value, "probability", better="up", note=share)]


def _arm_metrics(readout: Readout, reading: ArmReading, suffix: str, series: str) -> list[Metric]:
    head, raw = reading.headline, reading.raw
    truth = readout.true_effect

    def metric(key: str, label: str, value: float | None, unit: str, **more: object) -> Metric:
        note = "" if value is not None else head.error or raw.error or "undefined for these parameters"
        return Metric(key + suffix, label, value, unit, series=series, **{"note": note, **more})  # type: ignore[arg-type]

    def effect(key: str, label: str, comparison: Comparison) -> Metric:
        value = None if comparison.estimate is None else comparison.estimate * readout.factor
        limit = None if truth is None else truth * readout.factor
        named = "true effect" if limit is not None else ""
        note = comparison.error or ("" if interval(readout, comparison) else f"one-sided, bound {_bound_text(readout, comparison)}")
        return metric(key, label, value, readout.unit, ci=interval(readout, comparison), limit=limit, limit_label=named, note=note)

    left = reading.variance_left(reading.chosen) if reading.chosen != NAIVE else 1.0
    best = readout.truth.left.get(reading.chosen) if readout.truth else None
    return [
        effect("effect", "Effect, chosen analysis", head),
        effect("effect_raw", "Effect, unadjusted", raw),
        metric("p_value", "p-value", head.p_value, "probability"),
        metric("ci_width", "Width of the interval", width(readout, head), readout.unit, better="down"),
        metric(
            "variance_left",
            "Variance left",
            left,
            "share",
            better="down",
            limit=best,
            limit_label="best this history allows" if best is not None else "",
        ),
        *_planning_metrics(readout, reading, metric),
    ]


def _planning_metrics(readout: Readout, reading: ArmReading, metric: object) -> list[Metric]:
    assert callable(metric)
    head, raw, truth = reading.headline, reading.raw, readout.truth
    if reading.chosen == POST_PERIOD:
        return []  # a tight interval around the wrong value saves nobody
    if truth is None and head is raw:
        return [metric("mde", "Detectable effect", _scaled(readout, detectable(readout, head, reading.arm)), readout.unit, better="down")]
    mde = detectable(readout, head, reading.arm)
    target = readout.true_effect or detectable(readout, raw, reading.arm)
    need, need_raw = (users_needed(readout, c, reading.arm, target) if target else None for c in (head, raw))
    what = "the true effect" if readout.true_effect else "the effect the unadjusted test can find"
    made = [
        metric("mde", "Detectable effect", _scaled(readout, mde), readout.unit, better="down"),
        metric("users_needed", f"Users to find {what}", need, "users", better="down"),
        metric(
            "users_saved",
            "Users saved by the analysis",
            need_raw - need if need is not None and need_raw is not None else None,
            "users",
            better="up",
        ),
    ]
    if truth is not None and readout.true_effect:
        users = sum(moments.n for moments in readout.arms.values())
        days = None if need is None else truth.days * need / users
        saved = None if days is None or need_raw is None else truth.days * need_raw / users - days
        made.append(
            metric(
                "power_at_truth",
                "Chance to find the true effect",
                power_at(readout, head, reading.arm, readout.true_effect),
                "share",
                better="up",
            )
        )
        made.append(metric("days_needed", "Days to find the true effect", days, "days", better="down"))
        made.append(metric("days_saved", "Days saved by the analysis", saved, "days", better="up"))
    return made


def _scaled(readout: Readout, effect: float | None) -> float | None:
    return None if effect is None else effect * readout.factor


def _bound_text(readout: Readout, comparison: Comparison) -> str:
    if comparison.ci is None:
        return "undefined"
    return next(effect_text(readout, bound) for bound in comparison.ci if math.isfinite(bound))


# --- figures -----------------------------------------------------------------------------------------------------------------------


def figures(readout: Readout) -> list[Figure]:
    made = [forest(readout), variance_left_figure(readout), power_figure(readout)]
    return [figure for figure in made if figure is not None]


def rows_of(readout: Readout, reading: ArmReading) -> list[tuple[str, Comparison]]:
    """Every route that has an answer, the unadjusted first."""
    rows = [(readout.plan.routes[key].label, comparison) for key, comparison in reading.routes.items()]
    if reading.naive is not None:
        rows.insert(1, ("Views as units", reading.naive))
    return [(label, comparison) for label, comparison in rows if not comparison.error]


def forest(readout: Readout) -> Figure | None:
    """Estimates and intervals by route; one colour an arm."""
    series = []
    for colour, reading in enumerate(readout.readings):
        rows = rows_of(readout, reading)
        if not rows:
            continue
        bounds = [finite_bounds(readout, comparison) for _, comparison in rows]
        y = [(comparison.estimate or 0.0) * readout.factor for _, comparison in rows]
        names = [label for label, _ in rows]
        series.append(Series(reading.arm, names, y, "markers", colour, low=[low for low, _ in bounds], high=[high for _, high in bounds]))
    if not series:
        return None
    chosen = readout.readings[0].headline
    figure = line_figure(
        "forest", _forest_title(readout), _forest_summary(readout), series, Axis("Analysis"), Axis(_effect_axis(readout), readout.unit)
    )
    figure = with_line(figure, label="no effect", y=0.0)
    if readout.true_effect is not None and chosen.estimate is not None:
        figure = with_line(figure, label="truth", y=readout.true_effect * readout.factor)
    return figure


def _effect_axis(readout: Readout) -> str:
    return "Difference" if readout.question.difference == "absolute" else "Relative lift"


def _forest_title(readout: Readout) -> str:
    reading = readout.readings[0]
    before, after = width(readout, reading.raw), width(readout, reading.headline)
    if not before or not after or abs(1 - after / before) < 0.01:
        return f"{readout.plan.label}: {_headline_text(readout, reading)}"
    change = "narrower" if after < before else "wider"
    return f"{readout.plan.label}: {_headline_text(readout, reading)}, {abs(1 - after / before):.0%} {change} than unadjusted"


def _headline_text(readout: Readout, reading: ArmReading) -> str:
    head = reading.headline
    return head.error if head.estimate is None else f"{effect_text(readout, head.estimate)} ({_ci_text(readout, head)})"


def _ci_text(readout: Readout, comparison: Comparison) -> str:
    both = interval(readout, comparison)
    return f"{both[0]:+.3g} to {both[1]:+.3g}" if both else f"bound {_bound_text(readout, comparison)}"


def _forest_summary(readout: Readout) -> str:
    parts = [
        f"{reading.arm}, {label}: {effect_text(readout, comparison.estimate or 0.0)} ({_ci_text(readout, comparison)})"
        for reading in readout.readings
        for label, comparison in rows_of(readout, reading)
    ]
    truth = f"; truth {effect_text(readout, readout.true_effect)}" if readout.true_effect is not None else ""
    return "; ".join(parts) + truth


def variance_left_figure(readout: Readout) -> Figure | None:
    """What each route leaves of the variance, beside the least that the world's history allows."""
    reading = readout.readings[0]
    found = [
        (key, left) for key in readout.plan.routes if not reading.routes[key].error and (left := reading.variance_left(key)) is not None
    ]
    if len(found) < 2:
        return None
    names = [readout.plan.routes[key].label for key, _ in found]
    series = [Series("left", names, [left for _, left in found], text=[f"{left:.1%}" for _, left in found])]
    oracle = readout.truth.left if readout.truth else {}
    if oracle:
        series.append(Series("least possible", names, [oracle.get(key, math.nan) for key, _ in found], truth=True))
    summary = "; ".join(f"{name}: {left:.1%} left" for name, (_, left) in zip(names, found, strict=True))
    best = min((left for key, left in found if key != POST_PERIOD), default=1.0)
    title = f"The pre-period leaves {best:.0%} of the variance" if best < 0.995 else "The pre-period explains next to nothing"
    return bar_figure("variance_left", title, summary, series, Axis("Analysis"), Axis("Variance left", percent=True))


def power_figure(readout: Readout) -> Figure | None:
    """Chance to find an effect of any size with the units of this test."""
    reading = readout.readings[0]
    widest = detectable(readout, reading.raw, reading.arm)
    if not widest:
        return None
    effects = np.linspace(0.0, 1.6 * widest, 41)
    routes = {"Unadjusted": reading.raw, "Chosen analysis": reading.headline}
    series = [
        Series(
            name,
            (effects * readout.factor).tolist(),
            [power_at(readout, comparison, reading.arm, float(e)) for e in effects],
            "lines",
            colour,
        )
        for colour, (name, comparison) in enumerate(routes.items())
        if comparison.unit_variance is not None and (colour == 0 or comparison is not reading.raw)
    ]
    found = [detectable(readout, comparison, reading.arm) for comparison in routes.values()]
    texts = [f"{name.lower()} {size_text(readout, value)}" for name, value in zip(routes, found, strict=True) if value]
    title = f"With {readout.question.power:.0%} power this test finds {size_text(readout, found[1] or widest)} or more"
    axis = Axis(f"True {_effect_axis(readout).lower()}", readout.unit)
    figure = line_figure("power", title, f"Detectable effect: {', '.join(texts)}.", series, axis, Axis("Power", percent=True, range=(0, 1)))
    return with_line(figure, label="target", y=readout.question.power)


def narrowing(readout: Readout, track: Sequence[tuple[int, Comparison, Comparison]]) -> Figure:
    """The interval as users arrive: (users, unadjusted, chosen) at each look."""
    looks = [(n, raw, chosen) for n, raw, chosen in track if not raw.error and not chosen.error]
    series = []
    for colour, (name, place) in enumerate((("Unadjusted", 1), ("Chosen analysis", 2))):
        found: list[Comparison] = [look[place] for look in looks]  # type: ignore[misc]
        bounds = [finite_bounds(readout, comparison) for comparison in found]
        y = [(comparison.estimate or 0.0) * readout.factor for comparison in found]
        x = [look[0] * (1 + 0.06 * colour) for look in looks]  # set apart, so that both intervals can be seen
        series.append(Series(name, x, y, "lines+markers", colour, low=[low for low, _ in bounds], high=[high for _, high in bounds]))
    users = looks[-1][0] if looks else 0
    summary = f"Intervals at {len(looks)} looks from {looks[0][0]:,} to {users:,} users." if looks else "No interval yet."
    last = width(readout, looks[-1][2]) if looks else None
    title = f"At {users:,} users the interval is {last:.3g}{_unit(readout)} wide" if last else "The interval narrows as users arrive"
    figure = line_figure("narrowing", title, summary, series, Axis("Users", "users", "log"), Axis(_effect_axis(readout), readout.unit))
    return figure if readout.true_effect is None else with_line(figure, label="truth", y=readout.true_effect * readout.factor)
