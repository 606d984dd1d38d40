"""Effects as the page of `hidden_effects` writes them."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.lab import Figure

PER_CENT = 100.0


def signed(share: float | None, digits: int = 1) -> str:
    """0.0123 reads +1.2%; what rounds to nothing has no minus sign."""
    return "undefined" if share is None else f"{round(PER_CENT * share, digits) + 0.0:+.{digits}f}%"


def upright(figure: Figure) -> Figure:
    """The label of the last reference line reads from left to right, below the top of a vertical one."""
    figure.plot["layout"]["shapes"][-1]["label"] |= {"textangle": 0, "yanchor": "top", "xanchor": "left"}
    return figure


def sideways(figure: Figure, names: Sequence[str]) -> Figure:
    """Categories down the side, in the order of `names` from the top, where there is room for long names."""
    layout = figure.plot["layout"]
    layout["xaxis"], layout["yaxis"] = layout["yaxis"], layout["xaxis"]
    layout["yaxis"] |= {"categoryorder": "array", "categoryarray": list(reversed(names)), "automargin": True, "type": "category"}
    for trace in figure.plot["data"]:
        trace["x"], trace["y"] = trace["y"], trace["x"]
        if "error_y" in trace:
            trace["error_x"] = trace.pop("error_y")
    return figure
