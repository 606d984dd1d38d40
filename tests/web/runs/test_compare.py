from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlsd_app.runs.compare import Point, Quantity, RunMetrics, map_figure, map_points, quantities, sweep_figure, tiles
from simulators.figures import colours_of

COST = Quantity("cost", "Cost", "USD", "down")
SCORE = Quantity("score", "Score", "points", "up")


def metric(key: str, value: float | None, better: str | None = None, series: str = "") -> dict[str, Any]:
    return {"key": key, "label": key.capitalize(), "value": value, "unit": "USD", "better": better, "series": series, "ci": None}


def run(name: str, cost: float, score: float) -> RunMetrics:
    return RunMetrics(name, {"n": 1}, [metric("cost@a", cost, series="A"), metric("score@a", score, series="A")])


def beats(a: Point, b: Point) -> bool:
    return a.x <= b.x and a.y >= b.y and (a.x < b.x or a.y > b.y)


values = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(values, values), min_size=1, max_size=30))
def test_front_is_exactly_what_nothing_beats(pairs: list[tuple[float, float]]) -> None:
    points = map_points([run(str(i), cost, score) for i, (cost, score) in enumerate(pairs)], COST, SCORE)
    for point in points:
        assert point.best == (not any(beats(other, point) for other in points))


def test_no_front_without_two_directions() -> None:
    neutral = Quantity("score", "Score", "points", None)
    assert not any(point.best for point in map_points([run("a", 1, 2), run("b", 2, 1)], COST, neutral))


def test_map_pairs_metrics_of_the_same_design_only() -> None:
    mixed = RunMetrics("a", {}, [metric("cost@x", 1, series="X"), metric("score@x", 2, series="X"), metric("cost@y", 3, series="Y")])
    points = map_points([mixed], COST, SCORE)
    assert [(point.series, point.x, point.y) for point in points] == [("X", 1, 2)]
    assert [quantity.key for quantity in quantities([mixed])] == ["cost", "score"]


def test_figures_name_units_and_the_number_of_runs() -> None:
    figure = map_figure(map_points([run("a", 1, 2), run("b", 100, 3)], COST, SCORE), COST, SCORE)
    assert figure.plot["layout"]["xaxis"]["title"]["text"] == "Cost (USD)"
    assert figure.plot["layout"]["xaxis"]["type"] == "log", "a factor of 100 is shown by ratio"
    assert "2 runs" in figure.title and figure.plot["data"][-1]["name"] == "Pareto front"
    sweep = sweep_figure(
        "Steps", "steps", "linear", [(1, [metric("score@a", 2, series="A")]), (2, [metric("score@a", None, series="A")])], SCORE
    )
    assert sweep.plot["data"][0]["x"] == [1.0] and sweep.plot["layout"]["xaxis"]["title"]["text"] == "Steps (steps)"


def test_designs_on_the_map_wear_the_colours_of_the_figures_and_none_twice() -> None:
    names = [f"design {number}" for number in range(9)]
    mixed = [RunMetrics(name, {}, [metric("cost", 1, series=name), metric("score", 2, series=name)]) for name in names]
    figure = map_figure(map_points(mixed, COST, SCORE), COST, SCORE, {"design 3": 0, "design 5": 0, "design 7": 8})
    worn = colours_of(figure.plot["data"])
    assert worn["design 3"] == 0 and worn["design 7"] == 8
    assert sorted(worn.values()) == list(range(9))


def test_tiles_say_whether_a_change_is_good() -> None:
    before = [metric("a", 1.0, "up"), metric("b", 1.0, "down"), metric("c", 1.0), metric("d", 1.0, "up"), metric("e", None, "up")]
    now = [
        metric("a", 2.0, "up"),
        metric("b", 2.0, "down"),
        metric("c", 2.0),
        metric("d", 1.0, "up"),
        metric("e", 1.0, "up"),
        metric("f", 1.0),
    ]
    assert [(tile.delta, tile.good) for tile in tiles(now, before)] == [
        (1, True),
        (1, False),
        (1, None),
        (0, None),
        (None, None),
        (None, None),
    ]
    assert all(tile.delta is None for tile in tiles(now, None))
