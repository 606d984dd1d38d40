"""The methods on the user's own clicks: the log is cut at dates whose future the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulators.ads_ctr._delayed_data import OwnClicks, read_steps
from simulators.ads_ctr._delayed_params import SHORT, DelayedParams
from simulators.ads_ctr._delayed_views import COLOURS
from simulators.engines.ranking import metrics
from simulators.engines.ranking.arguments import Flags, Floats
from simulators.engines.ranking.delayed import Method, iter_delayed
from simulators.engines.steps import relay
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Frame, Insight, Metric, Progress, Result, Steps, Table, Working

CUTS, APART_DAYS = 4, 7.0
LEAST = 20  # conversions before a cut, and young clicks that convert, to learn from and to judge


class Cut(NamedTuple):
    """The log as it stood on a day: `rows` (n,) are its clicks, `young` those of the days the lab calls new, among all."""

    day: float
    rows: Flags
    young: Flags


@dataclass(frozen=True)
class Own:
    clicks: OwnClicks
    window: float
    young_days: float
    cuts: list[Cut]
    ratio: dict[Method, Floats]  # (cuts,) predicted over true conversions of the young clicks
    loss: dict[Method, Floats]  # (cuts,) their log loss, nats
    seen: Floats  # (cuts,) share of the young clicks' conversions that had arrived

    @property
    def final(self) -> Floats:
        return (self.clicks.delay <= self.window).astype(float)


def run_own(params: DelayedParams, ctx: Context) -> Steps:
    assert ctx.data is not None
    file, digest = ctx.data.files["clicks"], ctx.data.digest
    clicks = yield from ctx.asset_steps(f"delayed/own/{digest}", lambda: read_steps(file), disk=False)
    own = yield from _judged(params, clicks, _cuts(params, clicks))
    figures = [_figure(own)]
    yield Frame(_metrics(own, params.method), figures)
    return Result(_metrics(own, params.method), figures, [_table(own)], list(_insights(own, params)), list(_notes(own)))


# --- cutting the log ----------------------------------------------------------------------------------------------------------


def _cuts(params: DelayedParams, clicks: OwnClicks) -> list[Cut]:
    """Dates a week apart, the last so early that every click before it is followed for the whole window."""
    final = clicks.delay <= params.window
    last = min(clicks.days - params.window, float(clicks.click_day[-1]))
    if last <= 0:
        raise InvalidInput(
            f"All clicks of {clicks.name} are younger than the window of {params.window:g} d at its end (it spans {clicks.days:.1f} d); "
            "expected a shorter window or a longer file.",
            field="window",
        )
    found = [_cut(params, clicks, last - APART_DAYS * number) for number in reversed(range(CUTS))]
    good = [cut for cut in found if _enough(clicks, cut, final)]
    if not good:
        raise InvalidInput(
            f"{clicks.name}: no date leaves {LEAST} conversions before it, and {LEAST} among the clicks of the {params.new_days:g} d "
            "before it, whose outcome is known; expected a shorter window, an earlier launch or a longer file.",
            field="new_days",
        )
    return good


def _cut(params: DelayedParams, clicks: OwnClicks, day: float) -> Cut:
    rows = clicks.click_day <= day
    return Cut(day, rows, rows & (clicks.click_day > day - params.new_days))


def _enough(clicks: OwnClicks, cut: Cut, final: Flags) -> bool:
    arrived = cut.rows & final & (clicks.click_day + clicks.delay <= cut.day)
    young = cut.young & final
    return int(arrived.sum()) >= LEAST and int(young.sum()) >= LEAST and bool((cut.young & ~final).any())


# --- fitting ------------------------------------------------------------------------------------------------------------------


def _judged(params: DelayedParams, clicks: OwnClicks, cuts: list[Cut]) -> Working[Own]:
    final = (clicks.delay <= params.window).astype(float)
    ratio = {method: np.zeros(len(cuts)) for method in params.compared}
    loss = {method: np.zeros(len(cuts)) for method in params.compared}
    seen = np.zeros(len(cuts))
    for number, cut in enumerate(cuts):
        arrived = final * (clicks.click_day + clicks.delay <= cut.day)
        seen[number] = arrived[cut.young].sum() / final[cut.young].sum()
        for method in params.compared:
            p_hat = yield from _predicted(params, clicks, cut, arrived, method)
            ratio[method][number] = metrics.calibration_ratio(final[cut.young], p_hat)
            loss[method][number] = metrics.log_loss(final[cut.young], p_hat)
    return Own(clicks, params.window, params.new_days, cuts, ratio, loss, seen)


def _predicted(params: DelayedParams, clicks: OwnClicks, cut: Cut, arrived: Floats, method: Method) -> Working[Floats]:
    """For the young clicks."""
    elapsed, converted = cut.day - clicks.click_day[cut.rows], arrived[cut.rows]
    old = converted[elapsed >= params.wait_days]
    if method == "wait" and not 0 < old.sum() < len(old):
        raise InvalidInput(
            f"Waiting {params.wait_days:g} d leaves {int(old.sum())} conversions in {len(old):,} clicks {cut.day:.1f} d after the first; "
            "expected a shorter wait.",
            field="wait_days",
        )
    delay = np.where(converted == 1, clicks.delay[cut.rows], np.nan)
    steps = iter_delayed(clicks.X[cut.rows], converted, delay, elapsed, method=method, wait_days=params.wait_days)
    model = yield from relay(steps, lambda step: Progress(step.done, step.total, f"fitting {SHORT[method]} as of day {cut.day:.0f}"))
    return model.predict(clicks.X[cut.young])


# --- what is shown ------------------------------------------------------------------------------------------------------------


def _metrics(own: Own, method: Method) -> list[Metric]:
    mine = own.ratio[method]
    made = [
        Metric("bid_ratio", "Predicted over true, young clicks", float(mine.mean()), "ratio", limit=1.0, limit_label="ideal"),
        Metric("spend_off", "Spend off, either way", 100 * float(np.abs(mine - 1).mean()), "%", "down"),
        Metric("arrived", "Conversions of young clicks seen at the cut", 100 * float(own.seen.mean()), "%"),
        Metric("cuts", "Dates the log was cut at", float(len(own.cuts)), "dates"),
    ]
    for name, ratio in own.ratio.items():
        label = SHORT[name]
        made += [
            Metric(f"ratio@{name}", "Predicted over true, young clicks", float(ratio.mean()), "ratio", series=label, limit=1.0),
            Metric(f"log_loss@{name}", "Log loss, young clicks", 1000 * float(own.loss[name].mean()), "10⁻³ nats", "down", series=label),
        ]
    return made


def _figure(own: Own) -> Figure:
    days = [cut.day for cut in own.cuts]
    series = [Series(SHORT[name], days, ratio.tolist(), colour=COLOURS[name]) for name, ratio in own.ratio.items()]
    said = "; ".join(f"{SHORT[name]} {ratio.mean():.2f}" for name, ratio in own.ratio.items())
    figure = line_figure(
        "cuts",
        f"Young clicks, predicted over what came: {said}",
        f"Mean over {len(days)} dates: {said}.",
        series,
        Axis("Date of the cut", "days since the first click"),
        Axis("Predicted over true conversions", "ratio"),
    )
    return with_line(figure, label="ideal", y=1.0)


def _table(own: Own) -> Table:
    columns = ("Date of the cut (d)", "Young clicks (clicks)", "Their conversions (conversions)", "Arrived by then (%)")
    shown = tuple(f"{SHORT[name]}, predicted over true (ratio)" for name in own.ratio)
    rows = tuple(
        (
            cut.day,
            int(cut.young.sum()),
            int(own.final[cut.young].sum()),
            100 * float(own.seen[number]),
            *(float(ratio[number]) for ratio in own.ratio.values()),
        )
        for number, cut in enumerate(own.cuts)
    )
    return Table("cuts", "Every date", (*columns, *shown), rows)


def _insights(own: Own, params: DelayedParams) -> Iterator[Insight]:
    best = min(own.ratio, key=lambda name: float(np.abs(own.ratio[name] - 1).mean()))
    yield Insight(
        f"Of the conversions that clicks of the last {own.young_days:g} d bring within {own.window:g} d, {own.seen.mean():.0%} had arrived "
        f"on the day of the cut; {SHORT[params.method]} predicts {own.ratio[params.method].mean():.2f} of them.",
        "deep_dive",
        "own_young",
    )
    yield Insight(
        f"{SHORT[best]} comes nearest: off by {float(np.abs(own.ratio[best] - 1).mean()):.0%} over {len(own.cuts)} dates.",
        "evaluation",
        "own_best",
    )


def _notes(own: Own) -> Iterator[str]:
    yield "The new campaign is the clicks of the days set as its launch; shape, mean delay, lift and size of the world are not used."
    if len(own.cuts) < CUTS:
        yield f"{len(own.cuts)} of {CUTS} dates a week apart have enough conversions before them and after."
