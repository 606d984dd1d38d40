"""From a lab's `Params` to a form and back: the one place that turns types into controls.

int, float       slider over the soft bounds, beside a box that takes any value within the hard ones
bool             switch
Literal          a few short choices side by side, else a select
tuple[Literal]   chips to tick, at most `max_items`
str, numbers     a line of text, or a box of several `lines`; several numbers stand comma-separated
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Union, cast, get_args, get_origin
from urllib.parse import urlencode

from annotated_types import Ge, Le, MaxLen
from django.http import QueryDict
from pydantic.fields import FieldInfo

from mlsd_app.runs.sliders import Slider, number_text, slider_for
from simulators.lab import Lab

Kind = Literal["number", "switch", "segmented", "select", "chips", "text", "numbers"]

# Keys of a lab page's address and of its requests that are not parameters.
RESERVED = frozenset({"preset", "dataset", "seed", "slot", "fresh", "csrfmiddlewaretoken"})
SEGMENTED_CHOICES, SEGMENTED_LETTERS = 4, 34


class Choice(NamedTuple):
    value: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Field:
    """What the annotation and `param(...)` of one parameter say, independent of any value."""

    name: str
    info: FieldInfo

    @cached_property
    def extra(self) -> dict[str, Any]:
        found = self.info.json_schema_extra
        return dict(found["lab"]) if isinstance(found, dict) and isinstance(found.get("lab"), dict) else {}  # type: ignore[arg-type]

    @cached_property
    def type(self) -> Any:
        """The annotation without `| None`."""
        kinds = [kind for kind in get_args(self.info.annotation) if kind is not type(None)]
        return kinds[0] if self.optional else self.info.annotation

    @property
    def optional(self) -> bool:
        return get_origin(self.info.annotation) in (Union, types.UnionType) and type(None) in get_args(self.info.annotation)

    @cached_property
    def kind(self) -> Kind:
        return _kind(self.type, [self.label(value) for value in self.choices])

    @cached_property
    def item(self) -> Any:
        """The type of one value: of a list that of its items."""
        return get_args(self.type)[0] if get_origin(self.type) is tuple else self.type

    @property
    def choices(self) -> tuple[Any, ...]:
        return get_args(self.item) if get_origin(self.item) is Literal else ()

    @property
    def whole(self) -> bool:
        """Whether a number, or those of a list, are whole ones."""
        return int in (self.item, *get_args(self.item)[:1])

    @property
    def default(self) -> Any:
        return self.info.get_default(call_default_factory=True)

    def label(self, value: Any) -> str:
        return str(self.extra.get("labels", {}).get(str(value), value)).replace("_", " ")

    @property
    def hard(self) -> tuple[float, float]:
        """Bounds of a number, or of each number of a list; TypeError when the lab forgot one."""
        said = [*self.info.metadata, *getattr(self.item, "__metadata__", ())]
        low = next((item.ge for item in said if isinstance(item, Ge)), None)
        high = next((item.le for item in said if isinstance(item, Le)), None)
        if low is None or high is None:
            raise TypeError(f"{self.name} has no hard bounds; a number needs both ge and le")
        return cast(float, low), cast(float, high)

    @property
    def max_items(self) -> int | None:
        return next((item.max_length for item in self.info.metadata if isinstance(item, MaxLen)), None)

    def parse(self, given: Sequence[str]) -> Any:
        """What the browser sent for this field as `Params` wants it; what cannot be read stays as it is, for the message."""
        if self.kind == "chips":
            return tuple(self._choice(value) for value in given if value)
        last = given[-1].strip().replace("\r\n", "\n") if given else ""  # browsers send the line breaks of the old teletypes
        if self.optional and not last:
            return None
        if self.kind == "numbers":
            return tuple(_number(part.strip(), whole=self.whole) for part in last.split(",") if part.strip())
        if self.kind == "number":
            return _number(last, whole=self.whole)
        return self._choice(last)

    def _choice(self, text: str) -> Any:
        return next((choice for choice in self.choices if _text(choice) == text), text)

    def texts(self, value: Any) -> list[str]:
        """The other way: what a query string or a form carries for `value`."""
        if self.kind == "chips":
            return [_text(item) for item in value] or [""]
        if self.kind == "numbers" and isinstance(value, (list, tuple)):
            return [", ".join(_text(item) for item in value)]
        return [_text(value)]

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values mean the same; the order of ticked chips means nothing."""
        return sorted(self.texts(one)) == sorted(self.texts(other)) if self.kind == "chips" else self.texts(one) == self.texts(other)


def _kind(kind: Any, labels: Sequence[str]) -> Kind:
    if kind is bool:
        return "switch"
    if kind in (int, float):
        return "number"
    if kind is str:
        return "text"
    if get_origin(kind) is Literal:
        return "segmented" if len(labels) <= SEGMENTED_CHOICES and sum(map(len, labels)) <= SEGMENTED_LETTERS else "select"
    if get_origin(kind) is tuple:
        return "chips" if labels else "numbers"
    raise TypeError(f"no control shows a parameter of type {kind!r}; use a number, bool, str, Literal or a tuple of these")


def _number(text: str, *, whole: bool) -> Any:
    """A number, also from "1e9" for a whole one; the text itself when it is none."""
    try:
        value = float(text)
    except ValueError:
        return text
    return int(value) if whole and value.is_integer() else value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, (int, float)) else str(value)


def fields_of(lab: type[Lab]) -> list[Field]:
    return [Field(name, info) for name, info in lab.Params.model_fields.items()]


# --- from the browser and back ---------------------------------------------------------------------------------------


def params_from_query(lab: type[Lab], query: QueryDict) -> dict[str, Any]:
    """Values for `parse_params`: those of `?preset=`, overridden by what the query names itself."""
    preset = next((item for item in lab.presets if item.key == query.get("preset")), None)
    given = {field.name: field.parse(query.getlist(field.name)) for field in fields_of(lab) if field.name in query}
    return {**(preset.values if preset else {}), **given}


def unknown_keys(lab: type[Lab], query: QueryDict) -> list[str]:
    """Keys of an address that mean nothing here: an old link, or a slip of the pen."""
    unknown = [key for key in query if key not in RESERVED and key not in lab.Params.model_fields]
    known_preset = not query.get("preset") or any(item.key == query["preset"] for item in lab.presets)
    return unknown if known_preset else [*unknown, "preset"]


def query_of(lab: type[Lab], values: Mapping[str, Any]) -> str:
    """Query string that opens the page with `values`; fields at their default are left out."""
    shown = [field for field in fields_of(lab) if field.name in values and not field.same(values[field.name], field.default)]
    return urlencode([(field.name, text) for field in shown for text in field.texts(values[field.name])])


# --- the form --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Control:
    """One field with its value and what is wrong with it, as templates/runs/controls/<kind>.html shows it."""

    field: Field
    value: Any
    error: str = ""
    hidden: bool = False

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def id(self) -> str:
        return f"param-{self.field.name}"

    @property
    def kind(self) -> Kind:
        return self.field.kind

    @property
    def template(self) -> str:
        kind = "text" if self.kind == "numbers" else self.kind
        return f"runs/controls/{'lines' if self.lines > 1 else kind}.html"

    @property
    def lines(self) -> int:
        return int(self.field.extra.get("lines", 1))

    @property
    def grouped(self) -> bool:
        """Several inputs under one heading: a legend names them, not a label."""
        return self.kind in ("segmented", "chips")

    @property
    def title(self) -> str:
        return self.field.info.title or self.field.name

    @property
    def help(self) -> str:
        return self.field.info.description or ""

    @property
    def unit(self) -> str:
        return str(self.field.extra.get("unit", ""))

    @property
    def shown_when(self) -> dict[str, list[str]]:
        rules = self.field.extra.get("shown_when", {})
        return {name: [_text(value) for value in values] for name, values in rules.items()}

    @property
    def text(self) -> str:
        return self.field.texts(self.value)[0]

    @property
    def default(self) -> list[str]:
        return self.field.texts(self.field.default)

    @property
    def on(self) -> bool:
        return self.text.lower() in ("true", "on", "1", "yes")

    @property
    def choices(self) -> list[Choice]:
        chosen = self.field.texts(self.value)
        return [Choice(_text(value), self.field.label(value), _text(value) in chosen) for value in self.field.choices]

    @property
    def slider(self) -> Slider:
        """For kind "number" only."""
        extra, default = self.field.extra, self.field.default
        return slider_for(
            next((value for value in (self.value, default) if isinstance(value, (int, float))), self.range[0]),
            hard=self.field.hard,
            soft=self.range,
            whole=self.field.type is int,
            log=extra.get("scale") == "log",
            step=extra.get("step"),
            default=default,
        )

    @property
    def allowed(self) -> str:
        """What may be typed: "1 to 100 vectors"; of a list also how many."""
        if self.kind not in ("number", "numbers"):
            return ""
        low, high = map(number_text, self.field.hard)
        span = f"rom {low} to {high} {self.unit}".strip()
        return f"Up to {self.field.max_items} numbers f{span}, separated by commas" if self.kind == "numbers" else f"F{span}"

    @property
    def range(self) -> tuple[float, float]:
        """What the slider spans and a sweep proposes, inside the hard bounds."""
        low, high = self.field.extra.get("soft") or self.field.hard
        return low, high

    @property
    def range_texts(self) -> list[str]:
        return [number_text(bound) for bound in self.range]


class Group(NamedTuple):
    title: str
    controls: list[Control]

    @property
    def hidden(self) -> bool:
        return all(control.hidden for control in self.controls)


class LabForm:
    """A lab's parameters as groups of controls, in the order of declaration.

    values   what is given; the others stand at their default
    errors   {field: sentence} as `InvalidParams.errors`; key "" stands above the form
    """

    def __init__(self, lab: type[Lab], values: Mapping[str, Any] | None = None, errors: Mapping[str, str] | None = None) -> None:
        self.lab, self.errors = lab, dict(errors or {})
        given = dict(values or {})
        fields = fields_of(lab)
        self.values = {field.name: given.get(field.name, field.default) for field in fields}
        self.controls = [self._control(field) for field in fields]

    def _control(self, field: Field) -> Control:
        return Control(field, self.values[field.name], self.errors.get(field.name, ""), hidden=not self._shown(field))

    def _shown(self, field: Field) -> bool:
        """Hidden fields keep their values and are sent all the same, so nothing is lost when they come back."""
        by_name = {other.name: other for other in fields_of(self.lab)}
        rules = field.extra.get("shown_when", {})
        return all(set(map(_text, wanted)) & set(by_name[name].texts(self.values[name])) for name, wanted in rules.items())

    @property
    def groups(self) -> list[Group]:
        found: dict[str, list[Control]] = {}
        for control in self.controls:
            found.setdefault(str(control.field.extra.get("group") or "parameters"), []).append(control)
        return [Group(title[:1].upper() + title[1:], controls) for title, controls in found.items()]

    @property
    def general_errors(self) -> list[str]:
        """Sentences that belong to no one control: rules over several fields, the seed, the data set."""
        return [sentence for name, sentence in self.errors.items() if name not in self.values]

    @property
    def sweepable(self) -> list[Control]:
        return [control for control in self.controls if control.kind == "number"]

    @property
    def query(self) -> str:
        return query_of(self.lab, self.values)
