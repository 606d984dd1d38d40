"""Segments, days and mix of the user's own file; its truth is unknown, so intervals stand in its place."""

from __future__ import annotations

from collections.abc import Iterator

from simulators.engines.experiment import mix
from simulators.engines.experiment.mix import Arms
from simulators.engines.experiment.stats import Comparison, compare
from simulators.engines.experiment.uplift import SegmentEffect, segment_effects
from simulators.experimentation._hidden_data import OwnData, notes, read_own
from simulators.experimentation._hidden_params import HiddenParams
from simulators.experimentation._hidden_segment_views import SHOWN_SEGMENTS, segment_series
from simulators.experimentation._hidden_text import sideways, upright
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Insight, Metric, Result, Steps, Table


class Scale:
    """Proportions are shown in percentage points, means in the metric's own unit."""

    def __init__(self, own: OwnData) -> None:
        self.factor, self.unit = (100.0, "pp") if own.proportion else (1.0, own.columns.metric)

    def text(self, value: float | None) -> str:
        return "undefined" if value is None else f"{value * self.factor:+.3g} {self.unit}"

    def metric(self, key: str, label: str, found: Comparison) -> Metric:
        value = None if found.estimate is None else found.estimate * self.factor
        ci = (found.ci[0] * self.factor, found.ci[1] * self.factor) if found.ci else None
        return Metric(key, label, value, self.unit, ci=ci, note=found.error)

    def series(self, name: str, named: list[tuple[str, Comparison]], colour: int) -> Series:
        kept = [(label, found) for label, found in named if found.estimate is not None and found.ci is not None]
        low, high = ([(found.ci or (0.0, 0.0))[i] * self.factor for _, found in kept] for i in (0, 1))
        y = [(found.estimate or 0.0) * self.factor for _, found in kept]
        return Series(name, [label for label, _ in kept], y, "markers", colour, low=low, high=high)


def run_own(params: HiddenParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    own = yield from read_own(ctx.data, ctx)
    scale, pooled = Scale(own), compare(*own.whole)
    metrics, figures, tables, said = [scale.metric("pooled", "Effect, pooled", pooled)], list[Figure](), list[Table](), list[Insight]()
    if own.attributes:
        found = segment_effects(list(own.attributes.values()), correction=params.correction)
        metrics.append(Metric("segments_named", "Segments named", float(sum(item.significant for item in found)), "segments"))
        figures.append(_segments_figure(found, scale, pooled))
        tables.append(_segments_table(found, scale))
        said.append(_segments_insight(found, scale, params.correction))
    if own.days:
        strata = list(own.days.values())
        stratified = mix.stratified(strata)
        metrics.append(scale.metric("stratified", "Effect, stratified by day", stratified))
        figures.append(_days_figure(own, scale, pooled, stratified))
        said.extend(_day_insights(own, scale, pooled, stratified))
    return Result(metrics, figures, tables, said, list(notes(own)))


# --- segments ---------------------------------------------------------------------------------------------------------------------------


def _segments_figure(found: list[SegmentEffect], scale: Scale, pooled: Comparison) -> Figure:
    rows = sorted(found, key=lambda item: item.p_value)[:SHOWN_SEGMENTS]
    series = [
        segment_series(name, [row for row in rows if row.significant == named], colour, scale.factor)
        for name, named, colour in (("Differs from the rest", True, 1), ("Not told apart", False, 0))
        if any(row.significant == named for row in rows)
    ]
    title = f"{sum(item.significant for item in found)} of {len(found)} segments differ from the rest after correction"
    summary = "; ".join(f"{row.name}: {scale.text(row.effect.estimate)}, adjusted p {row.p_adjusted:.2g}" for row in rows)
    figure = line_figure("segments", title, summary, series, Axis("Segment"), Axis("Effect", scale.unit))
    figure = sideways(figure, [row.name for row in rows])
    return upright(with_line(figure, label="average", x=pooled.estimate * scale.factor)) if pooled.estimate is not None else figure


def _segments_table(found: list[SegmentEffect], scale: Scale) -> Table:
    columns = (
        "Segment",
        "Control (units)",
        "Treatment (units)",
        f"Effect ({scale.unit})",
        f"Gap to the rest ({scale.unit})",
        "p",
        "adjusted p",
    )
    rows = tuple(
        (item.name, *item.arms, _times(item.effect.estimate, scale), item.gap * scale.factor, item.p_value, item.p_adjusted)
        for item in sorted(found, key=lambda item: item.p_value)
    )
    return Table("segments", "Every segment tested", columns, rows)


def _times(value: float | None, scale: Scale) -> float | None:
    return None if value is None else value * scale.factor


def _segments_insight(found: list[SegmentEffect], scale: Scale, correction: str) -> Insight:
    named = sorted((item for item in found if item.significant), key=lambda item: item.p_value)
    raw = sum(item.p_value < 0.05 for item in found)
    names = ", ".join(f"{item.name} ({scale.text(item.effect.estimate)})" for item in named[:5])
    what = f"{len(named)} of {len(found)} segments differ from the rest{f': {names}' if named else ''}"
    if correction == "none":
        text = f"{what}; without correction about {0.05 * len(found):.1f} would look different by chance alone."
    else:
        text = f"{what}; before correction it was {raw}, with about {0.05 * len(found):.1f} expected by chance alone."
    return Insight(text, "evaluation", "own_segments")


# --- days -------------------------------------------------------------------------------------------------------------------------------


def _days_figure(own: OwnData, scale: Scale, pooled: Comparison, stratified: Comparison) -> Figure:
    by_day = [(day, compare(*arms)) for day, arms in own.days.items()]
    all_days = scale.series("All days", [("pooled", pooled), ("stratified", stratified)], 1)
    series = [scale.series("One day", by_day, 0), *([all_days] if all_days.x else [])]
    title = f"Pooled {scale.text(pooled.estimate)}, within days {scale.text(stratified.estimate)}"
    up = sum((found.estimate or 0.0) > 0 for _, found in by_day)
    summary = f"{title}; above zero on {up} of {len(by_day)} days."
    figure = line_figure("days", title, summary, series, Axis(own.columns.day), Axis("Effect", scale.unit))
    order = [*own.days, "pooled", "stratified"]
    figure.plot["layout"]["xaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": order}
    return with_line(figure, label="no effect", y=0.0)


def _day_insights(own: OwnData, scale: Scale, pooled: Comparison, stratified: Comparison) -> Iterator[Insight]:
    yield from _mix_insight(own, scale, pooled, stratified)
    halves = _halves(list(own.days.values()))
    if halves is None:
        return
    early, late = halves
    if early.estimate is None or late.estimate is None or early.se is None or late.se is None:
        return
    z = (late.estimate - early.estimate) / (early.se**2 + late.se**2) ** 0.5
    change = "the effect changed over time" if abs(z) > 1.96 else "no change over time can be told from noise"
    yield Insight(
        f"First half of the days {scale.text(early.estimate)}, second half {scale.text(late.estimate)}: {change} (z = {z:.1f}).",
        "evaluation",
        "own_time",
    )


def _mix_insight(own: OwnData, scale: Scale, pooled: Comparison, stratified: Comparison) -> Iterator[Insight]:
    if pooled.estimate is None or stratified.estimate is None or stratified.ci is None:
        yield Insight(f"Pooled and stratified cannot be compared. {pooled.error or stratified.error}", "evaluation", "own_mix")
    elif stratified.ci[0] <= pooled.estimate <= stratified.ci[1]:
        text = f"Pooling all days ({scale.text(pooled.estimate)}) and comparing within days ({scale.text(stratified.estimate)}) agree"
        yield Insight(f"{text}: the mix of days hides nothing here.", "evaluation", "own_mix")
    else:
        text = f"Pooling all days reads {scale.text(pooled.estimate)}, within days it is {scale.text(stratified.estimate)}"
        segments = " The segments above are pooled over days and shifted alike: trust their gaps to the rest, not their levels."
        cause = "the share treated and the level of the metric changed together. Trust the second."
        yield Insight(f"{text}: {cause}{segments if own.attributes else ''}", "evaluation", "own_mix")


def _halves(strata: list[Arms]) -> tuple[Comparison, Comparison] | None:
    kept = mix.comparable(strata)
    if len(kept) < 2:
        return None
    middle = len(kept) // 2
    early, late = (mix.stratified(part) for part in (kept[:middle], kept[middle:]))
    return early, late
