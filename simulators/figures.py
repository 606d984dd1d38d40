"""Plotly figures as plain dicts: one look, units on every axis, colours a colour-blind reader can tell apart.

Text colour, grid and background are left to the page, which knows whether it is light or dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from simulators.encoding import rounded
from simulators.lab import Figure

# Okabe & Ito 2008, without black and yellow, which vanish on a dark or a light page.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
TRUTH = "#7F7F7F"  # oracles, limits and targets are grey and dashed
TURNS = (("circle", "solid"), ("square", "dot"), ("diamond", "dashdot"), ("triangle-up", "longdash"))  # once round PALETTE each
AxisType = Literal["linear", "log"]


@dataclass(frozen=True)
class Axis:
    title: str
    unit: str = ""  # "" only for a count of nothing in particular or a category
    type: AxisType = "linear"
    range: tuple[float, float] | None = None  # in data units, also on a log axis
    percent: bool = False  # data are shares, ticks read 0 to 100 %

    def layout(self) -> dict[str, Any]:
        unit = "%" if self.percent else self.unit
        made: dict[str, Any] = {"title": {"text": f"{self.title} ({unit})" if unit else self.title}, "type": self.type}
        if self.percent:
            made |= {"tickformat": ".0%"} if self.type == "linear" else {"tickformat": "~%"}
        if self.range:
            made["range"] = [_log10(v) for v in self.range] if self.type == "log" else list(self.range)
        return made


@dataclass(frozen=True)
class Series:
    """One set of points. `colour` picks from PALETTE by index, so a design keeps its colour over all figures of a lab.

    Past the palette's end the colours come again with another marker and dash, so that 24 designs can be told apart.
    """

    name: str
    x: Sequence[Any]
    y: Sequence[Any]
    mode: Literal["lines", "markers", "lines+markers"] = "lines+markers"
    colour: int = 0
    truth: bool = False  # oracle, limit, target: grey and dashed
    text: Sequence[str] | None = None  # what hovering a point says
    low: Sequence[Any] | None = None  # interval around y
    high: Sequence[Any] | None = None

    @property
    def ink(self) -> str:
        return TRUTH if self.truth else PALETTE[self.colour % len(PALETTE)]

    @property
    def turn(self) -> tuple[str, str]:
        """Marker and dash."""
        return ("circle", "dash") if self.truth else TURNS[self.colour // len(PALETTE) % len(TURNS)]


def line_figure(key: str, title: str, summary: str, series: Sequence[Series], x: Axis, y: Axis) -> Figure:
    """Curves or points over a numeric axis; intervals where a series has `low` and `high`."""
    return _figure(key, title, summary, [_scatter(item) for item in series], x, y)


def bar_figure(
    key: str, title: str, summary: str, series: Sequence[Series], x: Axis, y: Axis, *, stacked: bool = False, horizontal: bool = False
) -> Figure:
    """Bars a category (x); `stacked` piles the series up. Horizontal bars take the categories from x as well."""
    bars = [_bar(item, horizontal) for item in series]
    figure = _figure(key, title, summary, bars, y if horizontal else x, x if horizontal else y)
    figure.plot["layout"]["barmode"] = "stack" if stacked else "group"
    return figure


def histogram_figure(key: str, title: str, summary: str, edges: Sequence[float], counts: Sequence[Series], x: Axis, y: Axis) -> Figure:
    """Counted bins: `edges` (n+1,), each series' `y` (n,); its `x` is ignored."""
    middles = [(low + high) / 2 for low, high in zip(edges, edges[1:], strict=False)]
    widths = [high - low for low, high in zip(edges, edges[1:], strict=False)]
    bars = [{**_bar(item, False), "x": rounded(middles), "width": rounded(widths), "opacity": 0.7} for item in counts]
    figure = _figure(key, title, summary, bars, x, y)
    figure.plot["layout"] |= {"barmode": "overlay", "bargap": 0}
    return figure


def with_line(figure: Figure, *, label: str, x: float | None = None, y: float | None = None) -> Figure:
    """The figure with a dashed grey reference line at x or y (a target, a budget, the chosen setting)."""
    axis: dict[str, Any] = {"type": "line", "line": {"color": TRUTH, "dash": "dash", "width": 1}}
    place = (
        {"x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"} if x is not None else {"y0": y, "y1": y, "x0": 0, "x1": 1, "xref": "paper"}
    )
    shapes = figure.plot["layout"].setdefault("shapes", [])
    shapes.append({**axis, **place, "label": {"text": label, "textposition": "end", "font": {"size": 11}}})
    return figure


def colours_of(traces: Iterable[dict[str, Any]]) -> dict[str, int]:
    """{name: `colour`} of the coloured series behind such traces; of two with one name the first."""
    turns = {symbol: turn for turn, (symbol, _) in enumerate(TURNS)}
    found: dict[str, int] = {}
    for trace in traces:
        marker = trace.get("marker", {})
        if marker.get("color") in PALETTE:
            found.setdefault(trace["name"], PALETTE.index(marker["color"]) + len(PALETTE) * turns.get(marker.get("symbol"), 0))
    return found


def _figure(key: str, title: str, summary: str, traces: list[dict[str, Any]], x: Axis, y: Axis) -> Figure:
    layout: dict[str, Any] = {"xaxis": x.layout(), "yaxis": y.layout(), "showlegend": len(traces) > 1}
    for name in ("x", "y"):
        if any(isinstance(value, str) for trace in traces for value in trace[name] or ()):
            del layout[f"{name}axis"]["type"]  # Plotly sees names or dates by itself; on a linear axis it would drop them
    return Figure(key=key, title=title, summary=summary, plot={"data": traces, "layout": layout})


def _scatter(item: Series) -> dict[str, Any]:
    trace: dict[str, Any] = {"type": "scatter", "name": item.name, "mode": item.mode, "x": rounded(item.x), "y": rounded(item.y)}
    symbol, dash = item.turn
    trace |= {"line": {"color": item.ink, "width": 2, "dash": dash}, "marker": {"color": item.ink, "size": 8, "symbol": symbol}}
    if item.text is not None:
        trace |= {"text": list(item.text), "hovertemplate": "%{text}<extra></extra>"}
    if item.low is not None and item.high is not None:
        above = [high - y for high, y in zip(item.high, item.y, strict=True)]
        below = [y - low for low, y in zip(item.low, item.y, strict=True)]
        trace["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": rounded(above),
            "arrayminus": rounded(below),
            "color": item.ink,
            "thickness": 1,
        }
    return trace


def _bar(item: Series, horizontal: bool) -> dict[str, Any]:
    x, y = (item.y, item.x) if horizontal else (item.x, item.y)
    trace: dict[str, Any] = {
        "type": "bar",
        "name": item.name,
        "x": rounded(x),
        "y": rounded(y),
        "marker": {"color": item.ink},
        "orientation": "h" if horizontal else "v",
    }
    if item.text is not None:
        trace |= {"text": list(item.text), "textposition": "auto", "textangle": 0}
    return trace


def _log10(value: float) -> float:
    from math import log10

    return log10(value)
