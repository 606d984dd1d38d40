"""The drawn system as SVG, laid out on the server: layers from left to right, colours and labels by stage, a text for those who listen.

Layers by longest path over sync edges, as Sugiyama, Tagawa and Toda 1981 do; order within a layer by barycentres. Only CSS classes, so that
the page's strict policy holds and both themes can colour it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from textwrap import wrap

from django.utils.safestring import SafeString, mark_safe

from mlsd_app.interviews.kinds import COMPONENT_KINDS
from mlsd_app.interviews.scoring.graph import REQUEST_PATH, Graph, Row, in_order, kind, longest, name, without_cycles

STAGES = (REQUEST_PATH, "stream", "batch", "offline")
WIDTH, LINE, PAD = 168, 16, 10  # of a box, a line of text, and within a box, in px
GAP_X, GAP_Y, MARGIN, LEGEND = 76, 26, 16, 34
LANE = 14  # between two connections that lead back, which run below everything
CHARACTERS, MAX_LINES = 18, 4  # of a name in a box
SWEEPS = 4  # of barycentres, there and back


@dataclass(frozen=True)
class Box:
    """Where a component stands, in px."""

    key: str
    lines: tuple[str, ...]
    label: str
    stage: str
    x: float
    y: float

    @property
    def height(self) -> float:
        return 2 * PAD + LINE * (len(self.lines) + 2)

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    boxes: tuple[Box, ...]
    edges: tuple[Row, ...]
    layers: tuple[tuple[str, ...], ...]

    @cached_property
    def by_key(self) -> dict[str, Box]:
        return {box.key: box for box in self.boxes}

    @cached_property
    def lanes(self) -> dict[str, float]:
        """{edge key: height of the lane} of the connections that lead back."""
        back = [str(edge["key"]) for edge in self.edges if self.by_key[edge["to"]].x < self.by_key[edge["from"]].x]
        return {key: self.bottom + LANE * (number + 1) for number, key in enumerate(back)}

    @property
    def bottom(self) -> float:
        return max(box.y + box.height for box in self.boxes)

    @property
    def width(self) -> float:
        return max(box.x + WIDTH for box in self.boxes) + MARGIN + GAP_X / 2

    @property
    def height(self) -> float:
        return self.bottom + LANE * len(self.lanes) + MARGIN


def diagram_svg(components: Sequence[Row], edges: Sequence[Row], *, ident: str = "diagram") -> SafeString:
    """An SVG element to stand in a page; a sentence in place of a picture when there is nothing to draw. No scripts, no styles.

    ident  begins the ids within, so that two drawings can stand in one page
    """
    if not components:
        return mark_safe(_empty())  # noqa: S308 - a constant
    layout = laid_out(Graph(components, edges))
    size = f'width="{layout.width:g}" height="{layout.height:g}" viewBox="0 0 {layout.width:g} {layout.height:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" role="img" aria-labelledby="{ident}-title {ident}-desc" {size}>'
    words = f'<title id="{ident}-title">The drawn system</title><desc id="{ident}-desc">{escape(description(components, edges))}</desc>'
    lines = "".join(_edge(edge, layout, ident) for edge in layout.edges)
    drawn = f"{head}{words}{_marker(ident)}{_legend(layout)}{lines}{''.join(_box(box) for box in layout.boxes)}</svg>"
    return mark_safe(drawn)  # noqa: S308 - all that anybody typed is escaped above


def description(components: Sequence[Row], edges: Sequence[Row]) -> str:
    """The drawing in sentences: how many parts, and each connection with what it carries."""
    graph = Graph(components, edges)
    parts = f"{len(components)} component{'s' * (len(components) != 1)} and {len(graph.edges)} connection{'s' * (len(graph.edges) != 1)}."
    return " ".join([parts, *(_sentence(edge, graph) for edge in graph.edges)])


def _sentence(edge: Row, graph: Graph) -> str:
    carries = f", carrying {edge['carries']}" if edge.get("carries") else ""
    return f"{name(graph.by_key[edge['from']])} to {name(graph.by_key[edge['to']])}, {edge.get('mode', 'sync')}{carries}."


# --- layout ----------------------------------------------------------------------------------------------------------


def laid_out(graph: Graph) -> Layout:
    """No two boxes overlap: each layer is a column of its own, each box stands below the one before."""
    layers = _ordered(_layers(graph), graph)
    labels = {key: _label(row) for key, row in graph.by_key.items()}
    heights = {key: 2 * PAD + LINE * (len(lines) + 2) for key, (lines, _) in labels.items()}
    tallest = max(sum(heights[key] + GAP_Y for key in layer) for layer in layers)
    boxes: list[Box] = []
    for column, layer in enumerate(layers):
        y = LEGEND + MARGIN + (tallest - sum(heights[key] + GAP_Y for key in layer)) / 2
        for key in layer:
            lines, label = labels[key]
            stage = str(graph.by_key[key].get("stage") or REQUEST_PATH)
            boxes.append(Box(key, lines, label, stage, MARGIN + column * (WIDTH + GAP_X), y))
            y += heights[key] + GAP_Y
    return Layout(tuple(boxes), tuple(graph.edges), tuple(map(tuple, layers)))


def _label(row: Row) -> tuple[tuple[str, ...], str]:
    """The name in lines that fit, and the kind below it."""
    lines = wrap(name(row), CHARACTERS, break_long_words=True) or [str(row["key"])]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1][: CHARACTERS - 1]}\N{HORIZONTAL ELLIPSIS}"]
    return tuple(lines), COMPONENT_KINDS.get(kind(row), "Component")


def _layers(graph: Graph) -> list[list[str]]:
    """Longest path over sync edges; what no sync edge joins is placed one after what feeds it. Edges that close a cycle do not count."""
    keys = list(graph.by_key)
    sync = without_cycles(keys, graph.successors("sync"))
    depth = longest(sync)
    alone = [key for key in keys if not sync[key] and all(key not in targets for targets in sync.values())]
    every = without_cycles(keys, graph.successors())
    for key in in_order(every):
        feeding = [depth[source] + 1 for source in keys if key in every[source]]
        if key in alone and feeding:
            depth[key] = max(feeding)
    used = sorted(set(depth.values()))
    return [[key for key in keys if depth[key] == level] for level in used]


def _ordered(layers: list[list[str]], graph: Graph) -> list[list[str]]:
    """Each layer sorted by the mean place of its neighbours in the layer beside it, from left to right and back."""
    neighbours: dict[str, set[str]] = {key: set() for key in graph.by_key}
    for edge in graph.edges:
        neighbours[edge["from"]].add(edge["to"])
        neighbours[edge["to"]].add(edge["from"])
    for sweep in range(SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        for column in order:
            beside = layers[column - 1 if sweep % 2 == 0 else column + 1]
            layers[column] = _by_barycentre(layers[column], beside, neighbours)
    return layers


def _by_barycentre(layer: Sequence[str], beside: Sequence[str], neighbours: Mapping[str, set[str]]) -> list[str]:
    place = {key: number for number, key in enumerate(beside)}

    def centre(key: str) -> float:
        found = [place[other] for other in neighbours[key] if other in place]
        return sum(found) / len(found) if found else layer.index(key)

    return sorted(layer, key=centre)


# --- marks -----------------------------------------------------------------------------------------------------------


def _empty() -> str:
    text = "No components yet"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing drawing-empty" role="img" width="240" height="48" viewBox="0 0 240 48">'
        f'<title>{text}</title><text class="drawing-name" x="16" y="28">{text}</text></svg>'
    )


def _marker(ident: str) -> str:
    shape = 'viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto-start-reverse"'
    return f'<defs><marker id="{ident}-arrow" {shape}><path class="drawing-head" d="M0 0L8 4L0 8z"/></marker></defs>'


def _legend(layout: Layout) -> str:
    used = [stage for stage in STAGES if any(box.stage == stage for box in layout.boxes)]
    marks = []
    for number, stage in enumerate(used):
        x = MARGIN + number * 112
        swatch = f'<rect class="drawing-swatch drawing-stage-{_class(stage)}" x="{x}" y="{MARGIN - 6}" width="12" height="12" rx="3"/>'
        marks.append(f'{swatch}<text class="drawing-legend" x="{x + 18}" y="{MARGIN + 4}">{escape(stage.capitalize())}</text>')
    return f'<g class="drawing-stages">{"".join(marks)}</g>'


def _class(stage: str) -> str:
    return stage.replace(" ", "-") if stage in STAGES else STAGES[0].replace(" ", "-")


def _box(box: Box) -> str:
    lines = "".join(
        f'<text class="drawing-name" x="{box.x + PAD:g}" y="{box.y + PAD + LINE * (number + 0.8):g}">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    small = "".join(
        f'<text class="drawing-kind" x="{box.x + PAD:g}" y="{box.y + PAD + LINE * (len(box.lines) + number + 0.8):g}">{escape(line)}</text>'
        for number, line in enumerate((box.label, box.stage))
    )
    frame = f'<rect class="drawing-box" x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{box.height:g}" rx="8"/>'
    return f'<g class="drawing-component drawing-stage-{_class(box.stage)}" data-key="{escape(box.key)}">{frame}{lines}{small}</g>'


def _edge(edge: Row, layout: Layout, ident: str) -> str:
    source, target = layout.by_key[edge["from"]], layout.by_key[edge["to"]]
    mode = str(edge.get("mode") or "sync")
    curve = _curve(source, target, layout.lanes.get(str(edge["key"])))
    path = f'<path class="drawing-edge drawing-mode-{escape(mode)}" d="{curve}" marker-end="url(#{ident}-arrow)"/>'
    return f"{path}{_carried(edge, source, target)}"


def _curve(source: Box, target: Box, lane: float | None) -> str:
    """From side to side; back through a lane below; within a column around the right side of both."""
    if lane is not None:
        start, end, turn = source.x + WIDTH * 0.55, target.x + WIDTH * 0.45, LANE / 2
        down = f"M{start:g} {source.y + source.height:g}V{lane - turn:g}q0 {turn:g} {-turn:g} {turn:g}"
        return f"{down}H{end + turn:g}q{-turn:g} 0 {-turn:g} {-turn:g}V{target.y + target.height:g}"
    if target.x > source.x:
        half = (target.x - source.x - WIDTH) / 2
        start, end = source.x + WIDTH, target.x
        return f"M{start:g} {source.middle:g}C{start + half:g} {source.middle:g} {end - half:g} {target.middle:g} {end:g} {target.middle:g}"
    out = source.x + WIDTH + GAP_X / 2
    start = source.x + WIDTH
    return f"M{start:g} {source.middle:g}C{out:g} {source.middle:g} {out:g} {target.middle:g} {start:g} {target.middle:g}"


def _carried(edge: Row, source: Box, target: Box) -> str:
    """What a connection carries, beside its middle, where there is room for it."""
    text = str(edge.get("carries") or "")
    if not text or target.x <= source.x:
        return ""
    short = text if len(text) <= 11 else f"{text[:10]}\N{HORIZONTAL ELLIPSIS}"
    x, y = (source.x + WIDTH + target.x) / 2, (source.middle + target.middle) / 2 - 5
    return f'<text class="drawing-carries" x="{x:g}" y="{y:g}" text-anchor="middle">{escape(short)}</text>'
