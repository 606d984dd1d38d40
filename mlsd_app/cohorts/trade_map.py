"""The cohort's trade-off map: every comparable run of an assignment as a dot, with the front nobody has beaten."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AnonymousUser

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.analytics.challenges import bound_words
from mlsd_app.cohorts.models import Assignment
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.worlds import AssignedRun, Comparable, challenge_of, comparable, labs_in, runs_in
from mlsd_app.runs.compare import Point, Quantity, RunMetrics, base_key, map_points, quantities
from mlsd_app.runs.selectors import cached_result
from mlsd_app.runs.services import cache_key
from simulators.errors import InvalidInput
from simulators.figures import Axis, Series, line_figure, with_line
from simulators.lab import Assertion, Figure, Lab
from simulators.params import parse_params

LEAST_PEOPLE = 5  # before learners see anything of the others
MOST_POINTS = 5_000
MOST_ROWS = 200  # of the table
HOVERED = 12  # parameters


@dataclass(frozen=True)
class Dot:
    """A point with what its viewer may know of it: `own` run or not, `name` for staff who switched names on, else ""."""

    point: Point
    colour: float | None
    own: bool
    name: str
    params: Mapping[str, Any]  # empty while they are hidden


@dataclass(frozen=True)
class Asked:
    """What the reader of the map chose; "" where nothing."""

    lab: str = ""
    x: str = ""
    y: str = ""
    colour: str = ""
    names: bool = False


@dataclass(frozen=True)
class TradeMap:
    """`hidden` is why there is nothing to see; all else is then empty. `people` have runs that may be compared."""

    hidden: str = ""
    labs: tuple[type[Lab], ...] = ()
    lab: type[Lab] | None = None
    offered: tuple[Quantity, ...] = ()
    x: Quantity | None = None
    y: Quantity | None = None
    colour: Quantity | None = None
    dots: tuple[Dot, ...] = ()
    front: tuple[Dot, ...] = ()
    left_out: int = 0  # dots thinned away
    people: int = 0
    other_versions: int = 0
    other_worlds: int = 0
    own_data: int = 0
    world: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    names_offered: bool = False
    names: bool = False
    params_shown: bool = False
    lines: tuple[Assertion, ...] = ()
    reference: Point | None = None

    @property
    def colour_span(self) -> tuple[float, float] | None:
        """The least and the most of what colours the dots."""
        known = [dot.colour for dot in self.dots if dot.colour is not None]
        return (min(known), max(known)) if known else None


def trade_map(*, user: User, assignment: Assignment, asked: Asked, now: datetime) -> TradeMap:
    """The map as this viewer may see it. Raises InvalidInput for a lab or metric that is not there."""
    offered_labs = tuple(labs_in(assignment))
    if not offered_labs:
        return TradeMap(hidden="This problem has no lab, so there is nothing to map.")
    lab, found = _lab_with_runs(assignment, offered_labs, asked.lab)
    shared = comparable(assignment, lab, found)
    manages = may(user, "see_analytics_names", assignment.cohort)
    base = TradeMap(labs=offered_labs, lab=lab, people=shared.people)
    if not manages and shared.people < LEAST_PEOPLE:
        return replace(base, people=0, hidden=f"The map opens once {LEAST_PEOPLE} people have handed in runs that can be compared.")
    if not shared.runs:
        counted = replace(base, other_versions=shared.other_versions, own_data=shared.own_data)
        return replace(counted, hidden="Nobody has handed in runs of this lab yet.")
    return _drawn(base, user, assignment, lab, shared, asked, now)


def _lab_with_runs(assignment: Assignment, offered: Sequence[type[Lab]], asked: str) -> tuple[type[Lab], list[AssignedRun]]:
    """The lab asked for, else the first one with runs."""
    if asked:
        lab = next((lab for lab in offered if lab.slug == asked), None)
        if lab is None:
            raise InvalidInput(f"There is no lab {asked[:60]!r} in this assignment.", field="lab")
        return lab, runs_in(assignment, lab)
    for lab in offered:
        if found := runs_in(assignment, lab):
            return lab, found
    return offered[0], []


def _drawn(base: TradeMap, user: User, assignment: Assignment, lab: type[Lab], shared: Comparable, asked: Asked, now: datetime) -> TradeMap:
    runs = [RunMetrics(str(item.run.pk), item.run.params, item.run.result.metrics if item.run.result else []) for item in shared.runs]
    offered = tuple(quantities(runs))
    x, y, colour = chosen_axes(lab, offered, asked)
    points = map_points(runs, x, y)
    kept = thinned(points, MOST_POINTS, seed=assignment.pk)
    staff, closed = may(user, "see_analytics", assignment.cohort), is_over(assignment, now)
    named = asked.names and may(user, "see_analytics_names", assignment.cohort)
    users = {str(item.run.pk): item.user for item in shared.runs}
    names = _names(users.values()) if named else {}
    colours = _values(runs, colour) if colour else {}
    dots = tuple(
        Dot(
            point=point,
            colour=colours.get((point.run, point.series)),
            own=users[point.run] == user.pk,
            name=names.get(users[point.run], ""),
            params=point.params if staff or closed or users[point.run] == user.pk else {},
        )
        for point in kept
    )
    challenge = challenge_of(assignment, lab)
    return replace(
        base,
        offered=offered,
        x=x,
        y=y,
        colour=colour,
        dots=dots,
        front=tuple(sorted((dot for dot in dots if dot.point.best), key=lambda dot: (dot.point.x, dot.point.y))),
        left_out=len(points) - len(kept),
        other_versions=shared.other_versions,
        other_worlds=shared.other_worlds,
        own_data=shared.own_data,
        world=shared.world,
        seed=shared.seed,
        names_offered=may(user, "see_analytics_names", assignment.cohort),
        names=named,
        params_shown=staff or closed,
        lines=challenge.assertions if challenge else (),
        reference=_reference(assignment, lab, shared, x, y) if closed else None,
    )


def is_over(assignment: Assignment, now: datetime) -> bool:
    """Nobody works on it any more, as far as its own dates say."""
    end = assignment.closes_at or assignment.due_at
    return end is not None and end <= now


def _names(users: Any) -> dict[int, str]:
    return {person.pk: person.shown_name for person in User.objects.filter(pk__in=set(users))}


def _values(runs: Sequence[RunMetrics], quantity: Quantity) -> dict[tuple[str, str], float]:
    """{(run, series): value}; what belongs to no series counts for all of the run."""
    found: dict[tuple[str, str], float] = {}
    for run in runs:
        series = {metric["series"] for metric in run.metrics}
        for metric in run.metrics:
            if base_key(metric["key"]) == quantity.key and metric["value"] is not None:
                for name in {metric["series"]} if metric["series"] else series | {""}:
                    found[run.run, name] = metric["value"]
    return found


def chosen_axes(lab: type[Lab], offered: Sequence[Quantity], asked: Asked) -> tuple[Quantity, Quantity, Quantity | None]:
    """What was asked for, else the lab's own axes, else the first two; no colour unless one was chosen."""
    by_key = {quantity.key: quantity for quantity in offered}
    for name in ("x", "y", "colour"):
        if (key := getattr(asked, name)) and key not in by_key:
            raise InvalidInput(f"The runs have no metric {key[:60]!r}; they have {', '.join(by_key)}.", field=name)
    first = [key for key in dict.fromkeys([*(lab.map_axes or ()), *by_key]) if key in by_key]
    x, y = by_key[asked.x or first[0]], by_key[asked.y or first[min(1, len(first) - 1)]]
    return x, y, by_key.get(asked.colour)


def thinned(points: Sequence[Point], most: int, *, seed: int) -> list[Point]:
    """At most `most` points in their order: the front first, then a reservoir of the rest, the same for the same seed."""
    if len(points) <= most:
        return list(points)
    rng = random.Random(seed)  # noqa: S311 - a draw, no secret
    front = [place for place, point in enumerate(points) if point.best][:most]
    room, seen, reservoir = most - len(front), 0, list[int]()
    for place, point in enumerate(points):
        if point.best or room == 0:
            continue
        seen += 1
        if len(reservoir) < room:
            reservoir.append(place)
        elif (drawn := rng.randrange(seen)) < room:
            reservoir[drawn] = place
    return [points[place] for place in sorted([*front, *reservoir])]


def _reference(assignment: Assignment, lab: type[Lab], shared: Comparable, x: Quantity, y: Quantity) -> Point | None:
    """The challenge's own design, if a result of it is kept."""
    challenge = challenge_of(assignment, lab)
    if challenge is None:
        return None
    params = parse_params(lab, {**challenge.world, **challenge.reference})
    key = cache_key(lab=lab, params=params, seed=shared.seed, dataset=None)
    result = cached_result(cache_key=key, user=AnonymousUser())
    if result is None:
        return None
    return next(iter(map_points([RunMetrics("", params.model_dump(mode="json"), result.metrics)], x, y)), None)


# --- the picture -----------------------------------------------------------------------------------------------------


def map_figure(found: TradeMap) -> Figure:
    """Dots of the others and one's own, the front as a dashed line, targets and ceilings as lines."""
    assert found.x is not None and found.y is not None
    own, others = [dot for dot in found.dots if dot.own], [dot for dot in found.dots if not dot.own]
    series = [_series("Runs of the cohort", others, 0)] if others else []
    series += [_series("Your runs", own, 1)] if own else []
    front = sorted({(dot.point.x, dot.point.y) for dot in found.front})
    if len(front) > 1:
        series.append(Series("Pareto front", [p[0] for p in front], [p[1] for p in front], mode="lines", truth=True))
    if found.reference:
        series.append(Series("Reference design", [found.reference.x], [found.reference.y], mode="markers", colour=2))
    title = f"{found.y.label} against {found.x.label.lower()}: {len(found.dots)} runs of {found.people} people"
    summary = f"{len(found.dots)} runs of {found.people} people; {len(found.front)} of them are on the Pareto front."
    xs, ys = [dot.point.x for dot in found.dots], [dot.point.y for dot in found.dots]
    figure = line_figure("cohort-map", title, summary, series, _axis(found.x, xs), _axis(found.y, ys))
    if found.colour:
        _coloured(figure, [others, own], found.colour_span)
    return _with_lines(figure, found)


def _series(name: str, dots: Sequence[Dot], colour: int) -> Series:
    xs, ys = [dot.point.x for dot in dots], [dot.point.y for dot in dots]
    return Series(name, xs, ys, mode="markers", colour=colour, text=[_hover(dot) for dot in dots])


def _hover(dot: Dot) -> str:
    numbers = f"{dot.point.x:.4g}, {dot.point.y:.4g}"
    params = [f"{key} = {value}" for key, value in list(dot.params.items())[:HOVERED]]
    return "<br>".join(part for part in (dot.name, dot.point.series, numbers, *params) if part)


def _axis(quantity: Quantity, values: Sequence[float]) -> Axis:
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 30
    return Axis(quantity.label, quantity.unit, type="log" if wide else "linear")


def _coloured(figure: Figure, groups: Sequence[Sequence[Dot]], span: tuple[float, float] | None) -> None:
    """Dark to bright for the third metric; the page says what the ends mean."""
    if span is None:
        return
    for trace, group in zip(figure.plot["data"], [group for group in groups if group], strict=False):
        scale = {"colorscale": "Viridis", "cmin": span[0], "cmax": span[1], "showscale": False}  # a drawn scale would need inline styles
        trace["marker"] = {**trace["marker"], **scale, "color": [dot.colour for dot in group]}


def _with_lines(figure: Figure, found: TradeMap) -> Figure:
    for assertion in found.lines:
        if found.x and assertion.metric == found.x.key:
            figure = with_line(figure, label=bound_words(assertion), x=assertion.target)
        if found.y and assertion.metric == found.y.key:
            figure = with_line(figure, label=bound_words(assertion), y=assertion.target)
    return figure
