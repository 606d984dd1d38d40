"""Figures as plain Plotly dicts, and JSON forms of everything."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.encoding import dumps, plain, rounded
from simulators.figures import PALETTE, TRUTH, Axis, Series, bar_figure, colours_of, histogram_figure, line_figure, with_line
from simulators.lab import Figure, Metric, Progress

X, Y = Axis("Recall", "share"), Axis("Throughput", "queries/s", "log", range=(10, 1000))


def line(**more: Any) -> Figure:
    return line_figure("key", "Title", "Words", [Series("HNSW", [1, 2, 3], [4.0, 5.0, 6.0], **more)], X, Y)


def test_axes_carry_units_and_log_ranges_are_exponents() -> None:
    layout = line().plot["layout"]
    assert layout["xaxis"]["title"]["text"] == "Recall (share)"
    assert layout["yaxis"]["type"] == "log" and layout["yaxis"]["range"] == [1, 3]
    assert Axis("Share", percent=True).layout()["title"]["text"] == "Share (%)"


def test_a_series_keeps_its_colour_and_truth_is_grey_and_dashed() -> None:
    assert line(colour=1).plot["data"][0]["line"] == {"color": PALETTE[1], "width": 2, "dash": "solid"}
    assert line(truth=True).plot["data"][0]["line"]["color"] == TRUTH
    assert line(truth=True).plot["data"][0]["line"]["dash"] == "dash"


def test_series_past_the_palette_stay_apart_and_are_known_again() -> None:
    traces = [line(colour=colour).plot["data"][0] | {"name": str(colour)} for colour in range(4 * len(PALETTE))]
    assert len({(trace["marker"]["color"], trace["marker"]["symbol"]) for trace in traces}) == len(traces)
    assert len({(trace["line"]["color"], trace["line"]["dash"]) for trace in traces}) == len(traces)
    assert "dash" not in {trace["line"]["dash"] for trace in traces}, "the truth's"
    assert colours_of([*traces, line(truth=True).plot["data"][0]]) == {str(colour): colour for colour in range(len(traces))}


def test_intervals_become_distances_from_the_point() -> None:
    bars = line(low=[3, 4, 4], high=[5, 7, 9]).plot["data"][0]["error_y"]
    assert bars["array"] == [1, 2, 3] and bars["arrayminus"] == [1, 1, 2]


def test_an_interval_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument"):
        line(low=[1], high=[2])


def test_bars_stack_and_lie_down() -> None:
    series = [Series("links", ["a", "b"], [1, 2]), Series("vectors", ["a", "b"], [3, 4], colour=1)]
    stacked = bar_figure("k", "T", "S", series, Axis("Index"), Axis("Memory", "bytes"), stacked=True).plot
    assert stacked["layout"]["barmode"] == "stack" and stacked["data"][0]["x"] == ["a", "b"]
    lying = bar_figure("k", "T", "S", series, Axis("Index"), Axis("Memory", "bytes"), horizontal=True).plot
    assert lying["data"][0]["y"] == ["a", "b"] and lying["layout"]["xaxis"]["title"]["text"] == "Memory (bytes)"


def test_histogram_bins_cover_their_edges() -> None:
    plot = histogram_figure("k", "T", "S", [0, 1, 3], [Series("n", [], [5, 6])], Axis("Time", "ms"), Axis("Requests", "count")).plot
    trace = plot["data"][0]
    assert trace["x"] == [0.5, 2] and trace["width"] == [1, 2] and trace["y"] == [5, 6]


def test_a_reference_line_spans_the_plot() -> None:
    shape = with_line(line(), label="budget", y=7).plot["layout"]["shapes"][0]
    assert (shape["y0"], shape["y1"], shape["x0"], shape["x1"], shape["xref"]) == (7, 7, 0, 1, "paper")
    assert shape["label"]["text"] == "budget"


def test_figures_are_json() -> None:
    assert json.loads(dumps(line(text=["a", "b", "c"])))["plot"]["data"][0]["text"] == ["a", "b", "c"]


# --- encoding --------------------------------------------------------------------------------------------------------

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(10**12), 10**12)
values = st.recursive(st.none() | st.booleans() | numbers | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(values)
def test_anything_plain_survives_the_wire(value: Any) -> None:
    assert json.loads(dumps(value)) == plain(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_keeps_seven_digits(value: float) -> None:
    assert rounded(value) == pytest.approx(value, rel=1e-6)


def test_numpy_and_dataclasses_become_plain() -> None:
    value = {"a": np.float32(0.5), "b": np.arange(3), "c": Progress(1, 2, "x"), "d": np.bool_(True), "e": (np.int64(4),), "f": math.nan}
    assert plain(value) == {"a": 0.5, "b": [0, 1, 2], "c": {"done": 1, "total": 2, "label": "x"}, "d": True, "e": [4], "f": None}
    assert plain(np.array([1.0, math.nan, math.inf])) == [1.0, None, None]
    assert rounded(Metric("k", "K", 1 / 3, "s"))["value"] == 0.3333333


def test_what_has_no_json_form_is_named() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        plain(object())
