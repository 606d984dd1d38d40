"""Mix: a ramp over days of unlike level, and a metric that is redefined while the ramp goes up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulators.engines.experiment import mix
from simulators.engines.experiment.mix import Arms
from simulators.engines.experiment.stats import Comparison, compare
from simulators.experimentation._hidden_params import HiddenParams
from simulators.experimentation._hidden_text import PER_CENT, signed, upright
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Insight, Metric, Table


@dataclass(frozen=True)
class MixReading:
    shares: tuple[float, ...]  # of day 1, 2, ... of the ramp
    days: list[Arms]
    pooled: Comparison
    stratified: Comparison
    truth: float
    drift_day: int
    drift_size: float
    versions: list[Arms]  # by day of the whole test
    drift_pooled: Comparison
    drift_stratified: Comparison

    @property
    def by_day(self) -> list[tuple[int, Comparison]]:
        """Days on which both arms have visitors."""
        pairs = [(day, arms) for day, arms in enumerate(self.days, 1) if min(arm.n for arm in arms) >= 2]
        return [(day, compare(*arms, difference="relative")) for day, arms in pairs]

    @property
    def drifts(self) -> bool:
        """The definition changes within the test and not on its first day."""
        return self.drift_size != 0 and 1 < self.drift_day <= len(self.versions)


def read_mix(params: HiddenParams, ctx: Context) -> MixReading:
    ramp = ",".join(f"{share:g}" for share in params.ramp)
    key = f"hidden/mix/{ramp}/days={params.days}/drift={params.drift_day}/{params.drift_size}/seed={ctx.seed}"
    return ctx.asset(key, lambda: _read(params, ctx), disk=False)


def _read(params: HiddenParams, ctx: Context) -> MixReading:
    shares = tuple(share / PER_CENT for share in params.ramp)
    days = [mix.draw_day(day, share, ctx.rng(f"visitors/{day}")) for day, share in enumerate(shares, 1)]
    held = [shares[min(i, len(shares) - 1)] for i in range(params.days)]
    added = [params.drift_size / PER_CENT if day >= params.drift_day else 0.0 for day in range(1, params.days + 1)]
    versions = [mix.draw_version_day(share, more, ctx.rng(f"version/{i}")) for i, (share, more) in enumerate(zip(held, added, strict=True))]
    return MixReading(
        shares,
        days,
        mix.pooled(days, difference="relative"),
        mix.stratified(days, difference="relative"),
        mix.true_lift(shares),
        params.drift_day,
        params.drift_size / PER_CENT,
        versions,
        mix.pooled(versions, difference="relative"),
        mix.stratified(versions, difference="relative"),
    )


# --- metrics and table ------------------------------------------------------------------------------------------------------------------


def metrics(seen: MixReading) -> list[Metric]:
    return [
        _metric("simpson_pooled", "Ramp pooled", seen.pooled, seen.truth),
        _metric("simpson_stratified", "Ramp stratified by day", seen.stratified, seen.truth),
        _metric("drift_pooled", "Redefined metric, pooled", seen.drift_pooled, 0.0),
        _metric("drift_stratified", "Redefined metric, by day", seen.drift_stratified, 0.0),
    ]


def _metric(key: str, label: str, found: Comparison, truth: float) -> Metric:
    value = None if found.estimate is None else PER_CENT * found.estimate
    ci = (PER_CENT * found.ci[0], PER_CENT * found.ci[1]) if found.ci else None
    return Metric(key, label, value, "%", ci=ci, limit=PER_CENT * truth, limit_label="true lift", note=found.error)


def table(seen: MixReading) -> Table:
    rows = tuple(
        (str(day), share * PER_CENT, a.n, b.n, _rate(a.n, a.sums[0]), _rate(b.n, b.sums[0]))
        for day, (share, (a, b)) in enumerate(zip(seen.shares, seen.days, strict=True), 1)
    )
    sums = [sum(arms[i].n for arms in seen.days) for i in (0, 1)]
    bought = [sum(float(arms[i].sums[0]) for arms in seen.days) for i in (0, 1)]
    total = ("all", sums[1] / sum(sums) * PER_CENT, *sums, *(_rate(n, y) for n, y in zip(sums, bought, strict=True)))
    columns = (
        "Day",
        "Treated (%)",
        "Control (visitors)",
        "Treatment (visitors)",
        "Control conversion (%)",
        "Treatment conversion (%)",
    )
    return Table("simpson", "Conversion by day and in all", columns, (*rows, total))


def _rate(n: float, total: float) -> float | None:
    return PER_CENT * float(total) / n if n else None


# --- figures ----------------------------------------------------------------------------------------------------------------------------


def figures(seen: MixReading) -> list[Figure]:
    return [simpson_figure(seen), drift_figure(seen)]


def simpson_figure(seen: MixReading) -> Figure:
    rows = [*((f"day {day}", found) for day, found in seen.by_day), ("pooled", seen.pooled), ("stratified", seen.stratified)]
    kept = [(name, found) for name, found in rows if found.estimate is not None and found.ci is not None]
    names, y = [name for name, _ in kept], [PER_CENT * (found.estimate or 0.0) for _, found in kept]
    bounds = [found.ci or (0.0, 0.0) for _, found in kept]
    low, high = ([PER_CENT * bound[i] for bound in bounds] for i in (0, 1))
    split = len(kept) - 2
    series = [
        Series("One day", names[:split], y[:split], "markers", 0, low=low[:split], high=high[:split]),
        Series("All days", names[split:], y[split:], "markers", 1, low=low[split:], high=high[split:]),
    ]
    title = _simpson_title(seen)
    summary = "; ".join(f"{name}: {value:+.1f}%" for name, value in zip(names, y, strict=True)) + f"; true lift {signed(seen.truth)}."
    figure = line_figure("simpson", title, summary, series, Axis("Comparison"), Axis("Relative lift", "%"))
    return with_line(with_line(figure, label="no effect", y=0.0), label="truth", y=PER_CENT * seen.truth)


def _simpson_title(seen: MixReading) -> str:
    pooled, honest = seen.pooled.estimate, seen.stratified.estimate
    if pooled is None or honest is None:
        return "The days of this ramp cannot be pooled"
    return f"Pooled {signed(pooled, 0)}, within days {signed(honest, 0)}"


def drift_figure(seen: MixReading) -> Figure:
    """Level of the metric by day and arm: both step up together, so the change is in the metric."""
    days = list(range(1, len(seen.versions) + 1))
    series = [
        Series(name, [d for d, arms in zip(days, seen.versions, strict=True) if arms[i].n], _levels(seen, i), "lines+markers", i)
        for i, name in enumerate(("Control", "Treatment"))
    ]
    truth = [mix.DRIFT_MEAN * (1 + (seen.drift_size if day >= seen.drift_day else 0.0)) for day in days]
    series.append(Series("Expected, either arm", days, truth, "lines", truth=True))
    pooled = PER_CENT * (seen.drift_pooled.estimate or 0.0)
    title = f"A treatment that does nothing reads {pooled:+.1f}% when the versions of its metric are pooled"
    summary = f"{title}; within days {signed(seen.drift_stratified.estimate)}."
    figure = line_figure("versions", title, summary, series, Axis("Day of the test", "day"), Axis("Metric", "actions a user"))
    return upright(with_line(figure, label="version 2", x=seen.drift_day - 0.5)) if seen.drifts else figure


def _levels(seen: MixReading, arm: int) -> list[float]:
    return [float(arms[arm].mean[0]) for arms in seen.versions if arms[arm].n]


# --- insights ---------------------------------------------------------------------------------------------------------------------------


def insights(seen: MixReading) -> Iterator[Insight]:
    yield from _simpson(seen)
    yield from _drift(seen)


def _simpson(seen: MixReading) -> Iterator[Insight]:
    if seen.pooled.estimate is None or seen.stratified.estimate is None:
        yield Insight(f"No pooled answer: {seen.pooled.error or seen.stratified.error}", "evaluation", "simpson_undefined")
        return
    up = sum((found.estimate or 0.0) > 0 for _, found in seen.by_day)
    gap = PER_CENT * (seen.pooled.estimate - seen.stratified.estimate)
    if abs(gap) < 1:
        return
    reverse = seen.pooled.estimate * seen.stratified.estimate < 0
    what, link = ("Simpson's paradox", "yet") if reverse else ("The mix of days", "and")
    ahead = f"treatment is ahead on {up} of {len(seen.by_day)} days"
    yield Insight(
        f"{what}: {ahead}, {link} pooling the ramp reads {signed(seen.pooled.estimate, 0)} where it is "
        f"{signed(seen.stratified.estimate, 0)} within days, because the share treated and the level of the metric changed together.",
        "evaluation",
        "simpson",
    )


def _drift(seen: MixReading) -> Iterator[Insight]:
    found, honest = seen.drift_pooled, seen.drift_stratified
    if not seen.drifts or found.estimate is None or found.ci is None or honest.estimate is None or found.ci[0] <= 0 <= found.ci[1]:
        return
    yield Insight(
        f"A definition that adds {signed(seen.drift_size, 0)} from day {seen.drift_day} while the ramp moves turns no effect into "
        f"{signed(found.estimate)}; by day it is {signed(honest.estimate)}. Keep the metric's version beside every result.",
        "evaluation",
        "drift",
    )
