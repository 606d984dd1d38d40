"""The drawn system: design checks that see what is wrong and nothing else, and a picture in which nothing overlaps."""

from __future__ import annotations

import itertools
import random
import re
import time
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from mlsd_app.interviews.kinds import COMPONENT_KINDS
from mlsd_app.interviews.scoring.checks import design_checks, slowest_path
from mlsd_app.interviews.scoring.diagram import WIDTH, Layout, diagram_svg, laid_out
from mlsd_app.interviews.scoring.graph import Graph

Rows = list[dict[str, Any]]
SVG = "{http://www.w3.org/2000/svg}"


def part(key: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "kind": kind, "name": key, "why": f"reason of {key}", "stage": "request path", **more}


def edge(source: str, target: str, mode: str = "sync", carries: str = "") -> dict[str, Any]:
    return {"key": f"{source}-{target}", "from": source, "to": target, "mode": mode, "carries": carries}


SOUND: Rows = [
    part("client", "client"),
    part("router", "router", p99_ms=5, replicas=4),
    part("index", "ann_index", p99_ms=20, replicas=8),
    part("ranker", "ranker", p99_ms=30, replicas=6),
    part("log", "log", stage="stream"),
    part("join", "label_join", stage="batch"),
    part("trainer", "trainer", stage="offline"),
    part("monitor", "monitor", stage="stream"),
]
EDGES: Rows = [
    edge("client", "router"),
    edge("router", "index"),
    edge("index", "ranker"),
    edge("ranker", "log", "async"),
    edge("log", "join", "batch"),
    edge("join", "trainer", "batch"),
    edge("trainer", "ranker", "batch"),
    edge("ranker", "monitor", "async"),
]


def without(rows: Rows, *keys: str) -> Rows:
    return [row for row in rows if row["key"] not in keys]


def changed(rows: Rows, key: str, **values: Any) -> Rows:
    return [{**row, **values} if row["key"] == key else row for row in rows]


# --- checks ----------------------------------------------------------------------------------------------------------


def test_a_sound_design_passes_all_eight() -> None:
    assert [check.ok for check in design_checks(SOUND, EDGES, {"latency_ms": 100})] == [True] * 8


@pytest.mark.parametrize(
    ("components", "edges", "key", "about"),
    [
        ([*SOUND, part("alone", "cache", replicas=2)], EDGES, "orphan", {"alone"}),
        (SOUND, without(EDGES, "client-router"), "answer", {"client"}),
        (changed(SOUND, "index", p99_ms=90), EDGES, "latency", {"client", "router", "index", "ranker"}),
        (changed(SOUND, "router", replicas=1), EDGES, "replica", {"router"}),
        (SOUND, without(EDGES, "join-trainer"), "feedback", {"trainer"}),
        (changed(SOUND, "join", kind="batch_job"), EDGES, "training_data", {"trainer"}),
        (SOUND, without(EDGES, "ranker-monitor"), "monitor", {"monitor"}),
        (changed(SOUND, "index", why="  "), EDGES, "why", {"index"}),
    ],
)
def test_each_fault_is_seen_where_it_is(components: Rows, edges: Rows, key: str, about: set[str]) -> None:
    found = {check.key: check for check in design_checks(components, edges, {"latency_ms": 100})}
    assert found[key].ok is False and set(found[key].components) == about
    others = {name for name, check in found.items() if check.ok is False} - {key}
    assert others <= {"orphan"}, others  # taking an edge away may leave a part alone


def test_an_empty_design_is_not_judged() -> None:
    assert {check.ok for check in design_checks([], [], {})} == {None}


def test_without_a_budget_latency_is_not_judged() -> None:
    assert {check.key: check.ok for check in design_checks(SOUND, EDGES, {})}["latency"] is None


def test_the_slowest_chain_is_the_slowest_of_all() -> None:
    rows = [part(name, "ranker", p99_ms=cost) for name, cost in zip("abcdef", (1, 9, 4, 7, 2, 8), strict=True)]
    edges = [edge(*pair) for pair in ("ab", "ac", "bd", "cd", "de", "cf")]
    cost = {row["key"]: row["p99_ms"] for row in rows}
    arrows = {(entry["from"], entry["to"]) for entry in edges}
    chains = [
        chain
        for length in range(1, 7)
        for chain in itertools.permutations(cost, length)
        if all(pair in arrows for pair in itertools.pairwise(chain))
    ]
    best = max(sum(cost[key] for key in chain) for chain in chains)
    assert sum(cost[key] for key in slowest_path(Graph(rows, edges))) == best == 19


# --- picture ---------------------------------------------------------------------------------------------------------


def drawn(seed: int, size: int = 30) -> tuple[Rows, Rows]:
    draw = random.Random(seed)
    stages = ["request path", "stream", "batch", "offline"]
    names = ["A", "A short name", "A name so long that it has to be broken over several lines of the box", "x" * 90]
    rows = [part(f"c{n}", draw.choice(list(COMPONENT_KINDS)), name=draw.choice(names), stage=draw.choice(stages)) for n in range(size)]
    ends = [(draw.randrange(size), draw.randrange(size)) for _ in range(2 * size)]
    return rows, [edge(f"c{one}", f"c{two}", draw.choice(["sync", "async", "batch"]), "ids & <rows>") for one, two in ends]


def overlapping(layout: Layout) -> list[tuple[str, str]]:
    return [
        (one.key, two.key)
        for one, two in itertools.combinations(layout.boxes, 2)
        if abs(one.x - two.x) < WIDTH and one.y < two.y + two.height and two.y < one.y + one.height
    ]


@pytest.mark.parametrize("seed", range(12))
def test_no_boxes_overlap_and_every_component_is_drawn(seed: int) -> None:
    rows, edges = drawn(seed)
    layout = laid_out(Graph(rows, edges))
    assert not overlapping(layout)
    assert {box.key for box in layout.boxes} == {row["key"] for row in rows}
    assert all(box.x >= 0 and box.x + WIDTH <= layout.width and box.y >= 0 and box.y + box.height <= layout.height for box in layout.boxes)


def test_calls_run_from_left_to_right() -> None:
    layout = laid_out(Graph(SOUND, EDGES))
    x = {box.key: box.x for box in layout.boxes}
    assert x["client"] < x["router"] < x["index"] < x["ranker"] < x["log"] < x["join"] < x["trainer"]


def test_cycles_and_self_loops_survive() -> None:
    rows = [part(key, "ranker") for key in "abc"]
    svg = diagram_svg(rows, [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("a", "a"), edge("a", "gone")])
    assert len(re.findall('class="drawing-edge', svg)) == 3


def test_ordering_takes_crossings_away() -> None:
    """Two pairs listed crosswise are drawn without a crossing."""
    rows = [part(key, "ranker") for key in ("a", "b", "d", "c")]
    layout = laid_out(Graph(rows, [edge("a", "c"), edge("b", "d")]))
    y = {box.key: box.y for box in layout.boxes}
    assert (y["a"] < y["b"]) is (y["c"] < y["d"])


def test_the_picture_is_well_formed_named_and_without_styles() -> None:
    rows, edges = drawn(3)
    svg = diagram_svg(rows, edges, ident="after")
    root = ElementTree.fromstring(svg)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None and description.text
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}" == "after-title after-desc"
    assert "30 components" in description.text and "ids & <rows>" in description.text
    assert not re.search(r"\sstyle=|<style|<script|\son\w+=|javascript:", svg)


def test_stages_are_said_in_words() -> None:
    root = ElementTree.fromstring(diagram_svg(SOUND, EDGES))
    legend = {node.text for node in root.iter(f"{SVG}text") if node.get("class") == "drawing-legend"}
    assert legend == {"Request path", "Stream", "Batch", "Offline"}
    small = [node.text for node in root.iter(f"{SVG}text") if node.get("class") == "drawing-kind"]
    assert small.count("offline") == 1 and small.count("request path") == 4


def test_names_cannot_break_out() -> None:
    svg = diagram_svg([part("a", "ranker", name='<script>alert("x")</script>')], [])
    assert "<script" not in svg and ElementTree.fromstring(svg) is not None


def test_nothing_drawn_is_a_sentence() -> None:
    assert "No components yet" in diagram_svg([], [])


def test_thirty_components_within_fifty_milliseconds() -> None:
    rows, edges = drawn(1)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        diagram_svg(rows, edges)
        times.append(time.perf_counter() - begun)
    assert min(times) <= 0.05
