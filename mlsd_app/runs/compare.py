"""Comparing results: deltas against a baseline, the trade-off map with its Pareto front, curves of a sweep. No database here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from simulators.figures import Axis, Series, line_figure
from simulators.lab import Figure

MetricDict = dict[str, Any]  # a Metric as stored


@dataclass(frozen=True)
class Tile:
    """A metric beside the baseline's. `good` None: no baseline, no change, or a metric without a better direction."""

    metric: MetricDict
    delta: float | None = None
    good: bool | None = None


def tiles(metrics: Sequence[MetricDict], baseline: Sequence[MetricDict] | None) -> list[Tile]:
    before = {metric["key"]: metric["value"] for metric in baseline or ()}
    return [_tile(metric, before.get(metric["key"])) for metric in metrics]


def _tile(metric: MetricDict, before: float | None) -> Tile:
    if before is None or metric["value"] is None:
        return Tile(metric)
    delta = metric["value"] - before
    good = None if delta == 0 or metric["better"] is None else (delta > 0) == (metric["better"] == "up")
    return Tile(metric, delta, good)


def base_key(key: str) -> str:
    """A metric's key without the design it belongs to: "recall@hnsw" -> "recall"."""
    return key.partition("@")[0]


@dataclass(frozen=True)
class Quantity:
    """A metric over many runs and designs."""

    key: str
    label: str
    unit: str
    better: str | None

    @property
    def title(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Point:
    """One design of one run on the map."""

    run: str
    series: str
    x: float
    y: float
    params: dict[str, Any]
    best: bool = False  # on the Pareto front


@dataclass(frozen=True)
class RunMetrics:
    """What the map needs of a run."""

    run: str
    params: dict[str, Any]
    metrics: Sequence[MetricDict]


def quantities(runs: Iterable[RunMetrics]) -> list[Quantity]:
    """Every metric the runs have, in order of first appearance."""
    found: dict[str, Quantity] = {}
    for run in runs:
        for metric in run.metrics:
            key = base_key(metric["key"])
            found.setdefault(key, Quantity(key, metric["label"], metric["unit"], metric["better"]))
    return list(found.values())


def map_points(runs: Sequence[RunMetrics], x: Quantity, y: Quantity) -> list[Point]:
    """One point a run and design that has both metrics, with the Pareto front marked."""
    points = []
    for run in runs:
        by_series: dict[str, dict[str, float]] = {}
        for metric in run.metrics:
            if metric["value"] is not None:
                by_series.setdefault(metric["series"], {})[base_key(metric["key"])] = metric["value"]
        points += [
            Point(run.run, name, values[x.key], values[y.key], run.params)
            for name, values in by_series.items()
            if {x.key, y.key} <= values.keys()
        ]
    return _with_front(points, x, y)


def _with_front(points: list[Point], x: Quantity, y: Quantity) -> list[Point]:
    """Marks each point that no other beats: as good in both, better in one. Without two directions there is no front."""
    if x.better is None or y.better is None or x.key == y.key:
        return points
    sign_x, sign_y = (1 if x.better == "up" else -1), (1 if y.better == "up" else -1)
    front: set[int] = set()
    best = float("-inf")
    order = sorted(range(len(points)), key=lambda i: (-sign_x * points[i].x, -sign_y * points[i].y))
    previous: tuple[float, float] | None = None
    for i in order:
        here = (sign_x * points[i].x, sign_y * points[i].y)
        if here[1] > best or here == previous:
            front.add(i)
            best, previous = max(best, here[1]), here
    return [Point(p.run, p.series, p.x, p.y, p.params, best=i in front) for i, p in enumerate(points)]


def map_figure(points: Sequence[Point], x: Quantity, y: Quantity, colours: Mapping[str, int] | None = None) -> Figure:
    """Dots of every run, coloured by design as in the lab's own figures (`colours`), with the front as a dashed line."""
    inks = _inks(list(dict.fromkeys(point.series for point in points)), colours or {})
    dots = [_dots(name, [p for p in points if p.series == name], colour) for name, colour in inks.items()]
    front = sorted({(p.x, p.y) for p in points if p.best})
    if len(front) > 1:
        dots.append(Series("Pareto front", [p[0] for p in front], [p[1] for p in front], mode="lines", truth=True))
    runs = len({point.run for point in points})
    title = f"{y.label} against {x.label.lower()} over {runs} run{'s' if runs != 1 else ''}"
    summary = f"{len(points)} points from {runs} runs; {sum(p.best for p in points)} of them are on the Pareto front."
    return line_figure("map", title, summary, dots, _axis(x, [p.x for p in points]), _axis(y, [p.y for p in points]))


def _inks(names: Sequence[str], wanted: Mapping[str, int]) -> dict[str, int]:
    """A colour for every name, none twice; who comes first gets the one it wants."""
    kept: dict[int, str] = {}
    for name in names:
        if name in wanted:
            kept.setdefault(wanted[name], name)
    settled = {name: colour for colour, name in kept.items()}
    free = (colour for colour in count() if colour not in kept)
    return {name: settled[name] if name in settled else next(free) for name in names}


def _dots(name: str, points: Sequence[Point], colour: int) -> Series:
    return Series(
        name or "Runs", [p.x for p in points], [p.y for p in points], mode="markers", colour=colour, text=[_hover(p) for p in points]
    )


def _hover(point: Point) -> str:
    return "<br>".join([point.series, *(f"{key} = {value}" for key, value in list(point.params.items())[:12])]).removeprefix("<br>")


def _axis(quantity: Quantity, values: Sequence[float]) -> Axis:
    """A log axis when the values are positive and span more than a factor of 30."""
    wide = bool(values) and min(values) > 0 and max(values) / min(values) > 30
    return Axis(quantity.label, quantity.unit, type="log" if wide else "linear")


def sweep_figure(field: str, unit: str, scale: str, points: Sequence[tuple[float, Sequence[MetricDict]]], metric: Quantity) -> Figure:
    """The metric over the swept parameter, one curve a design."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for value, metrics in points:
        for item in metrics:
            if base_key(item["key"]) == metric.key and item["value"] is not None:
                curves.setdefault(item["series"], []).append((value, item["value"]))
    series = [
        Series(name or metric.label, [p[0] for p in curve], [p[1] for p in curve], colour=i)
        for i, (name, curve) in enumerate(curves.items())
    ]
    axis = Axis(field, unit, type="log" if scale == "log" else "linear")
    reached = [y for curve in curves.values() for _, y in curve]
    span = f"{min(reached):.4g} to {max(reached):.4g} {metric.unit}".strip() if reached else "no finished point yet"
    return line_figure(
        f"sweep-{metric.key}", f"{metric.label} over {field}", f"{metric.label}: {span}.", series, axis, _axis(metric, reached)
    )
