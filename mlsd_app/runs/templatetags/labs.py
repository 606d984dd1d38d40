"""Template tags of the lab pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString

from mlsd_app.runs import forms, present
from mlsd_app.runs.compare import Point, Tile, base_key
from mlsd_app.runs.templatetags.quantities import quantity
from simulators.encoding import plain
from simulators.lab import Lab
from simulators.registry import get_lab

register = template.Library()


@register.filter
def json_attribute(value: Any) -> str:
    """JSON for a data attribute; autoescaping quotes it."""
    return json.dumps(plain(value), separators=(",", ":"))


@register.filter
def json_part(value: Any, name: str) -> SafeString:
    """JSON that the page's modules find by `name`; a data block, which a strict CSP lets stand."""
    return format_html('<div data-json="{}" hidden>{}</div>', name, json_script(plain(value)))


@register.filter
def preset_values(lab: type[Lab], key: str) -> dict[str, list[str]]:
    """A preset as the form's module takes it: {field: texts}."""
    values = next(preset.values for preset in lab.presets if preset.key == key)
    return {field.name: field.texts(values[field.name]) for field in forms.fields_of(lab) if field.name in values}


@register.filter
def question(lab: type[Lab]) -> str:
    return present.question(lab)


PHASES = {
    "clarify": "clarifying",
    "capacity": "capacity",
    "architecture": "architecture",
    "deep_dive": "deep-dive",
    "evaluation": "evaluation",
}


# The home page's small lab: HNSW over a world that is built in a moment, its search width on the slider.
HOME_LAB, HOME_FIELD = ("vector_search", "index_tradeoffs"), "ef_search"
HOME_VALUES = {"kind": ("hnsw",), "n": 10_000, "d": 64, "clusters": 200, "ef_search": 16}


@register.simple_tag
def home_lab() -> dict[str, Any]:
    """Context of `runs/_home_lab.html`: the lab, the one control, and the query string of what stands still."""
    lab = get_lab(*HOME_LAB)
    control = next(item for item in forms.LabForm(lab, HOME_VALUES).controls if item.name == HOME_FIELD)
    fixed = {name: value for name, value in HOME_VALUES.items() if name != HOME_FIELD}
    return {"lab": lab, "control": control, "fixed": forms.query_of(lab, fixed), "url": reverse("runs:lab", args=HOME_LAB)}


@register.filter
def phase_words(phase: str) -> str:
    return PHASES.get(phase, phase)


@register.filter
def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@register.filter
def cell(value: Any) -> str:
    """A table's cell or a parameter: numbers to three significant digits, lists with commas."""
    if is_number(value):
        return quantity(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if value is None:
        return ""
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


# --- tiles -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One quantity over all designs; `cells` follow the columns, None where a design does not have it."""

    label: str
    unit: str
    better: str | None
    measured: bool
    cells: Sequence[Tile | None]
    best: float | None


@dataclass(frozen=True)
class Comparison:
    """Tiles sorted into those that stand alone and a table of designs."""

    loose: Sequence[Tile]
    columns: Sequence[str]
    rows: Sequence[Row]


NOISE = 0.05  # two wall-clock readings of the same thing may differ by this share


@register.filter
def within_noise(tile: Tile) -> bool:
    """Whether a measured number moved so little that the same parameters could have given it."""
    value = tile.metric["value"]
    return bool(tile.metric["measured"] and value and tile.delta and abs(tile.delta) < NOISE * abs(value))


@register.filter
def comparison(tiles: Iterable[Tile]) -> Comparison:
    found = list(tiles)
    designed = [tile for tile in found if tile.metric["series"]]
    columns = list(dict.fromkeys(tile.metric["series"] for tile in designed))
    by_key: dict[str, dict[str, Tile]] = {}
    for tile in designed:
        by_key.setdefault(base_key(tile.metric["key"]), {})[tile.metric["series"]] = tile
    return Comparison([tile for tile in found if not tile.metric["series"]], columns, [_row(cells, columns) for cells in by_key.values()])


def _row(cells: dict[str, Tile], columns: Sequence[str]) -> Row:
    metric = next(iter(cells.values())).metric
    values = [tile.metric["value"] for tile in cells.values() if tile.metric["value"] is not None]
    best = None
    if metric["better"] and len(set(values)) > 1:
        best = max(values) if metric["better"] == "up" else min(values)
    return Row(metric["label"], metric["unit"], metric["better"], metric["measured"], [cells.get(name) for name in columns], best)


# --- the map -----------------------------------------------------------------------------------------------------------


@register.filter
def map_links(points: Sequence[Point]) -> list[list[str]]:
    """Addresses of the runs behind the dots, in the order of `compare.map_figure`'s traces."""
    names = dict.fromkeys(point.series for point in points)
    return [[reverse("runs:run", args=[point.run]) for point in points if point.series == name] for name in names]
