"""Time: an effect that fades, seen by calendar day and by days since exposure, and what a holdout still shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.engines.experiment import novelty
from simulators.engines.experiment.novelty import Decay, Floats, HoldoutReading
from simulators.engines.experiment.stats import Comparison
from simulators.experimentation._hidden_params import HiddenParams
from simulators.experimentation._hidden_text import PER_CENT, signed
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Context, Figure, Insight, Metric, Progress, Working

USERS = 10_000_000  # the base, both arms
EARLY, LATE = 7, 14  # days on which the views are compared


@dataclass(frozen=True)
class TimeReading:
    decay: Decay
    sizes: Floats  # (days,) arrivals as a share of the base
    calendar: list[Comparison]  # of day 1, 2, ...
    by_age: list[Comparison]  # of users 0, 1, ... days after exposure
    holdout: list[HoldoutReading]  # of week 1, 2, ...
    mde: float

    @property
    def late(self) -> int:
        """The day on which calendar and age are set side by side."""
        return min(LATE, len(self.calendar))

    @property
    def true_calendar(self) -> list[float]:
        return [self.decay.on_day(self.sizes, day) for day in range(1, len(self.sizes) + 1)]

    def true_age(self, day: int) -> float:
        """True effect on the users who have had the feature for `day` days, the first included."""
        return float(self.decay.at(day - 1))


def read_time(params: HiddenParams, ctx: Context) -> Working[TimeReading]:
    world = f"inf={params.delta_inf}/0={params.delta_0}/tau={params.tau}/in={params.inflow}/days={params.days}"
    key = f"hidden/time/{world}/h={params.holdout}/id={params.id_survival}/seed={ctx.seed}"
    return (yield from ctx.asset_steps(key, lambda: _read(params, ctx), disk=False))


def _read(params: HiddenParams, ctx: Context) -> Working[TimeReading]:
    decay = Decay(params.delta_inf / PER_CENT, params.delta_0 / PER_CENT, params.tau)
    sizes = novelty.arrivals(params.inflow / PER_CENT, params.days)
    users = np.round(sizes * USERS / 2).astype(np.int64)
    cohorts = [novelty.draw_rates(int(n), ctx.rng(f"rates/{i}")) for i, n in enumerate(users) if n > 0]
    by_age, calendar = np.zeros((params.days, 2)), list[Comparison]()
    for day in range(1, params.days + 1):
        actions = novelty.draw_actions(cohorts, decay, day, ctx.rng(f"actions/{day}"))
        ages = day - 1 - np.arange(len(actions))
        by_age[ages] += actions
        calendar.append(_effect(int(users[:day].sum()), actions.sum(axis=0)))
        if day % 7 == 0:
            yield Progress(day, params.days, "watching the days")
    ages_seen = [_effect(int(users[: params.days - age].sum()), by_age[age]) for age in range(params.days)]
    weeks = list(_holdout(params, ctx, decay, sizes))
    return TimeReading(decay, sizes, calendar, ages_seen, weeks, novelty.holdout_mde(USERS, params.holdout / PER_CENT))


def _effect(n: int, actions: NDArray[np.generic]) -> Comparison:
    control, treatment = (float(a) for a in actions)
    return novelty.effect_of((n, n), (control, treatment))


def _holdout(params: HiddenParams, ctx: Context, decay: Decay, sizes: Floats) -> Iterator[HoldoutReading]:
    held, rng = params.holdout / PER_CENT, ctx.rng("holdout")
    rates = np.array([novelty.draw_rates(n, rng)[0] for n in novelty.holdout_sizes(USERS, held)])
    for week in range(1, params.days // novelty.WEEK + 1):
        yield novelty.holdout_week(decay, sizes, week, USERS, held, params.id_survival, rates, rng)


# --- metrics --------------------------------------------------------------------------------------------------------------------------


def metrics(seen: TimeReading) -> list[Metric]:
    late, last, week = seen.late, seen.holdout[-1], seen.by_age[:EARLY]
    early = [item.estimate for item in week if item.estimate is not None]
    first = float(np.mean(early)) if early else None
    true_first = float(np.mean(seen.decay.at(np.arange(EARLY))))
    return [
        Metric("novelty_week", "Effect, first week of exposure", _pct(first), "%", limit=PER_CENT * true_first, limit_label="truth"),
        _metric("effect_calendar", f"Effect on day {late}, everybody", seen.calendar[late - 1], seen.true_calendar[late - 1], "truth"),
        _metric("effect_age", f"Effect after {late} days of exposure", seen.by_age[late - 1], seen.true_age(late), "truth"),
        _metric("holdout_effect", "Holdout, last week", last.measured, last.true, "never exposed"),
        Metric("holdout_mde", "Holdout can detect", PER_CENT * seen.mde, "%", "down"),
        Metric("holdout_clean", "Holdout never exposed", last.clean, "share", "up", limit=1.0, limit_label="ids that last"),
        Metric("long_run", "Long-run effect", PER_CENT * seen.decay.delta_inf, "%"),
    ]


def _metric(key: str, label: str, found: Comparison, truth: float, named: str) -> Metric:
    ci = (PER_CENT * found.ci[0], PER_CENT * found.ci[1]) if found.ci else None
    return Metric(key, label, _pct(found.estimate), "%", ci=ci, limit=PER_CENT * truth, limit_label=named, note=found.error)


def _pct(value: float | None) -> float | None:
    return None if value is None else PER_CENT * value


# --- figures --------------------------------------------------------------------------------------------------------------------------


def figures(seen: TimeReading) -> list[Figure]:
    return [novelty_figure(seen), holdout_figure(seen)]


def novelty_figure(seen: TimeReading) -> Figure:
    """Both views against their truths; day d stands beside users in their d-th day of exposure."""
    days = list(range(1, len(seen.calendar) + 1))
    late = seen.late
    series = [
        _points("By calendar day", days, seen.calendar, 0),
        _points("By day of exposure", days, seen.by_age, 1),
        Series("Truth, calendar", days, [PER_CENT * value for value in seen.true_calendar], "lines", truth=True),
        Series("Truth, exposure", days, [PER_CENT * seen.true_age(day) for day in days], "lines", truth=True),
    ]
    calendar, age = (PER_CENT * (item[late - 1].estimate or 0.0) for item in (seen.calendar, seen.by_age))
    title = f"Day {late} reads {calendar:+.1f}%; users in their day {late} of exposure, {age:+.1f}%"
    summary = f"{title}; the long-run effect is {signed(seen.decay.delta_inf)}."
    figure = line_figure("novelty", title, summary, series, Axis("Day of the test, or of exposure", "day"), Axis("Effect", "%"))
    return with_line(figure, label="long run", y=PER_CENT * seen.decay.delta_inf)


def _points(name: str, days: list[int], found: list[Comparison], colour: int) -> Series:
    kept = [(day, item) for day, item in zip(days, found, strict=True) if item.estimate is not None and item.ci is not None]
    x, y = [day for day, _ in kept], [PER_CENT * (item.estimate or 0.0) for _, item in kept]
    bounds = [item.ci or (0.0, 0.0) for _, item in kept]
    return Series(
        name,
        x,
        y,
        "markers" if len(kept) < 60 else "lines",
        colour,
        low=[PER_CENT * low for low, _ in bounds],
        high=[PER_CENT * high for _, high in bounds],
    )


def holdout_figure(seen: TimeReading) -> Figure:
    """Exposed users against the holdout by week, and against people who truly never saw the feature."""
    weeks = seen.holdout
    days, last = [week.last_day for week in weeks], weeks[-1]
    series = [
        _points("Against the holdout", days, [week.measured for week in weeks], 0),
        Series("Against never exposed (truth)", days, [PER_CENT * week.true for week in weeks], "lines+markers", truth=True),
    ]
    measured, reach = PER_CENT * (last.measured.estimate or 0.0), PER_CENT * 1.96 * (last.measured.se or 0.0)
    title = f"The holdout reads {measured:+.1f} ± {reach:.1f}%, people who never saw the feature would give {signed(last.true)}"
    seen_it = f"{1 - last.clean:.0%} of the holdout's ids belong to people who have seen the feature"
    summary = f"On day {last.last_day}: {title}; {seen_it}; smallest effect a week of it can detect {PER_CENT * seen.mde:.2f}%."
    figure = line_figure("holdout", title, summary, series, Axis("Last day of the week read", "day"), Axis("Effect", "%"))
    return with_line(figure, label="smallest it detects", y=PER_CENT * seen.mde)


# --- insights -------------------------------------------------------------------------------------------------------------------------


def insights(seen: TimeReading) -> Iterator[Insight]:
    yield from _novelty(seen)
    yield from _inflow(seen)
    yield from _holdout_insight(seen)


def _novelty(seen: TimeReading) -> Iterator[Insight]:
    week = PER_CENT * float(np.mean(seen.decay.at(np.arange(EARLY))))
    days, end = len(seen.sizes), PER_CENT * float(seen.decay.at(len(seen.sizes) - 1))
    if abs(week - end) < 0.2:
        return
    kind = "Novelty" if seen.decay.delta_0 > 0 else "Change aversion"
    yield Insight(
        f"{kind}: the first week of exposure averages {week:+.1f}%, day {days} of it {end:+.1f}%, so a test of one week decides about "
        "an effect that will not last.",
        "evaluation",
        "novelty",
    )


def _inflow(seen: TimeReading) -> Iterator[Insight]:
    late = seen.late
    calendar, age = seen.calendar[late - 1], seen.by_age[late - 1]
    if calendar.estimate is None or age.estimate is None or calendar.ci is None or calendar.ci[0] <= age.estimate <= calendar.ci[1]:
        return
    yield Insight(
        f"On day {late} everybody together reads {signed(calendar.estimate)}, users exposed for {late} days {signed(age.estimate)}: "
        "new users keep arriving and bring their first days with them. Read by days since exposure.",
        "evaluation",
        "inflow",
    )


def _holdout_insight(seen: TimeReading) -> Iterator[Insight]:
    last = seen.holdout[-1]
    found = last.true * last.clean
    verb = "can" if abs(found) >= seen.mde else "cannot"
    yield Insight(
        f"After {last.last_day} days {1 - last.clean:.0%} of the holdout's ids belong to people who have used the feature, which shrinks "
        f"{signed(last.true, 2)} to {signed(found, 2)}; a week of this holdout {verb} find that reliably (it needs {seen.mde:.2%}).",
        "evaluation",
        "holdout",
    )
