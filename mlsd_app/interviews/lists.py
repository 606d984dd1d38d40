"""The nine structured lists of an interview: what a row holds, how it is kept, and how long anything may be.

A row may be half filled while it is typed, so nothing in it is required; what stands there must have the right form.
It is kept as canonical JSON in the field `row/<list>/<key>`. `key` is made by the page and never changes; edges name components by it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mlsd_app.interviews.kinds import COMPONENT_KINDS, kind_of
from simulators.errors import InvalidInput

MAX_FIELD_CHARACTERS = 20_000
MAX_ROWS = 200  # of one list
MAX_ROW_BYTES = 4_096  # of its canonical JSON in UTF-8
MAX_ATTEMPT_CHARACTERS = 400_000  # of everything that stands in an attempt

MAGNITUDES = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
NUMBER = re.compile(r"([+-]?(?:\d[\d,_ ]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKMBGT]?)")
ROW_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


class InvalidRow(InvalidInput):
    """A row that cannot be kept: one sentence a bad field; key "" for the row as a whole."""

    def __init__(self, errors: dict[str, str]) -> None:
        name, message = next(iter(errors.items()))
        super().__init__(message, field=name or None)
        self.errors = errors


class TooLarge(InvalidInput):
    """Over a limit of length or number."""


# --- the forms of a value --------------------------------------------------------------------------------------------


def clean_text(text: str) -> str:
    """Line ends as \\n; what no database column can hold left out or replaced."""
    return text.replace("\r\n", "\n").replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _number(value: Any) -> Any:
    """`2.5M`, `1,200` and `1e6` are numbers; an empty cell is none. The rest is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    found = NUMBER.fullmatch(value.strip()) if len(value) <= 60 else None
    return float(re.sub("[,_ ]", "", found[1])) * MAGNITUDES[found[2]] if found else value


def _kind(value: str) -> str:
    if value and kind_of(value) not in COMPONENT_KINDS:
        raise ValueError(f"There is no component kind {value[:40]!r}; choose one of the {len(COMPONENT_KINDS)} in the list.")
    return kind_of(value)


Line = Annotated[str, Field(max_length=200), AfterValidator(clean_text)]
Words = Annotated[str, Field(max_length=2_000), AfterValidator(clean_text)]
Number = Annotated[float | None, BeforeValidator(_number)]
Amount = Annotated[float | None, Field(ge=0), BeforeValidator(_number)]
Kind = Annotated[str, Field(max_length=40), AfterValidator(_kind)]
RowKey = Annotated[str, Field(pattern=rf"^({ROW_KEY.pattern})?$")]
RunNumber = Annotated[int | None, Field(ge=1)]


class Row(BaseModel):
    """`order` places the row in its list: to move a row between two others, give it the mean of theirs."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, populate_by_name=True)

    order: float = 0.0


class Constraint(Row):
    name: Line = Field("", title="Constraint")
    value: Line = Field("", title="Value")
    unit: Line = Field("", title="Unit")
    source: Literal["asked", "assumed"] = Field("assumed", title="Asked or assumed")
    fact: Line = Field("", title="Fact", json_schema_extra={"hidden": True})  # id of what the interviewer said


class NumberRow(Row):
    name: Line = Field("", title="Number")
    value: Number = Field(None, title="Value")
    unit: Line = Field("", title="Unit")
    calculator: Line = Field("", title="Calculator", json_schema_extra={"hidden": True})
    dominates: bool = Field(False, title="Decides the design")


class Api(Row):
    name: Line = Field("", title="Endpoint")
    request: Words = Field("", title="Request")
    response: Words = Field("", title="Response")
    mode: Literal["sync", "stream", "batch"] = Field("sync", title="Mode")
    p99_ms: Amount = Field(None, title="p99", json_schema_extra={"unit": "ms"})
    rate: Amount = Field(None, title="Rate", json_schema_extra={"unit": "requests/s"})


class Component(Row):
    kind: Kind = Field("", title="Kind")
    name: Line = Field("", title="Name")
    why: Words = Field("", title="Why")
    stage: Literal["request path", "stream", "batch", "offline"] = Field("request path", title="Stage")
    qps: Amount = Field(None, title="Load", json_schema_extra={"unit": "requests/s"})
    p99_ms: Amount = Field(None, title="p99", json_schema_extra={"unit": "ms"})
    size_gb: Amount = Field(None, title="Size", json_schema_extra={"unit": "GB"})
    replicas: Amount = Field(None, title="Replicas")
    lab: Line = Field("", title="Lab")
    run: RunNumber = Field(None, title="Run")


class Edge(Row):
    from_: RowKey = Field("", alias="from", title="From", json_schema_extra={"rows": "components"})
    to: RowKey = Field("", title="To", json_schema_extra={"rows": "components"})
    carries: Line = Field("", title="Carries")
    mode: Literal["sync", "async", "batch"] = Field("sync", title="Mode")
    rate: Amount = Field(None, title="Rate", json_schema_extra={"unit": "1/s"})


class Tradeoff(Row):
    choose: Line = Field("", title="I choose")
    over: Line = Field("", title="Over")
    because: Words = Field("", title="Because")
    cost: Words = Field("", title="It costs")
    run: RunNumber = Field(None, title="Run")


class Alarm(Row):
    metric: Line = Field("", title="Metric")
    kind: Literal["offline", "online", "guardrail", "monitor"] = Field("monitor", title="Kind")
    threshold: Line = Field("", title="Threshold")
    unit: Line = Field("", title="Unit")
    action: Words = Field("", title="Action")


class Gotcha(Row):
    effect: Line = Field("", title="Effect")
    mechanism: Words = Field("", title="Mechanism")
    mitigation: Words = Field("", title="Mitigation")


class MoreTime(Row):
    what: Line = Field("", title="What")
    why: Words = Field("", title="Why")


# --- the lists -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """One cell of a row, for a table or a form.

    kind     text (one line), words (several lines), number, whole, flag, choice, kind (component kinds), row (key of a row of `rows`)
    hidden   filled in by the page, not by the candidate
    """

    name: str
    title: str
    kind: Literal["text", "words", "number", "whole", "flag", "choice", "kind", "row"]
    default: Any
    unit: str = ""
    choices: tuple[str, ...] = ()
    rows: str = ""
    hidden: bool = False


@dataclass(frozen=True)
class RowList:
    """`tags`: the topics in whose phases the list stands. `one` names a single row."""

    key: str
    title: str
    one: str
    tags: tuple[str, ...]
    row: type[Row]

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.row)


LISTS: dict[str, RowList] = {
    found.key: found
    for found in (
        RowList("constraints", "Constraints", "constraint", ("clarify",), Constraint),
        RowList("numbers", "Numbers", "number", ("capacity",), NumberRow),
        RowList("api", "API", "endpoint", ("architecture",), Api),
        RowList("components", "Components", "component", ("architecture",), Component),
        RowList("edges", "Connections", "connection", ("architecture",), Edge),
        RowList("tradeoffs", "Trade-offs", "trade-off", ("deep_dive",), Tradeoff),
        RowList("alarms", "Metrics and alarms", "metric", ("eval", "monitoring"), Alarm),
        RowList("gotchas", "Gotchas", "gotcha", ("gotchas",), Gotcha),
        RowList("more_time", "With more time", "idea", ("more_time",), MoreTime),
    )
}


def lists_of_phase(phase: Mapping[str, Any]) -> list[RowList]:
    """The lists that stand in a phase of an attempt's plan; one with two topics may stand in two phases."""
    return [found for found in LISTS.values() if set(found.tags) & set(phase["tags"])]


def row_parse(list_name: str, content: str | Mapping[str, Any]) -> Row:
    """The row that `content`, JSON or an object, says. Raises InvalidRow with a sentence for every bad field, and TooLarge."""
    model = LISTS[list_name].row
    try:
        values = json.loads(content) if isinstance(content, str) else dict(content)
    except (ValueError, RecursionError):
        raise InvalidRow({"": "The row is not JSON; an object with the fields of the list is expected."}) from None
    if not isinstance(values, dict):
        raise InvalidRow({"": "The row is not an object; its fields by name are expected."})
    try:
        row = model.model_validate(values)
    except ValidationError as error:
        raise InvalidRow(_sentences(model, error)) from error
    if (size := len(canonical(row).encode())) > MAX_ROW_BYTES:
        raise TooLarge(f"The row takes {size:,} bytes; a row holds {MAX_ROW_BYTES:,}. Shorten it or move words to the text.")
    return row


def canonical(row: Row) -> str:
    """The same row is always the same JSON; empty numbers are left out."""
    return json.dumps(
        row.model_dump(mode="json", by_alias=True, exclude_none=True), ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def row_values(list_name: str, content: str) -> dict[str, Any]:
    """All fields of a kept row, those that are empty too."""
    return LISTS[list_name].row.model_validate_json(content).model_dump(mode="json", by_alias=True)


# --- words for what is wrong -----------------------------------------------------------------------------------------


def _sentences(model: type[Row], error: ValidationError) -> dict[str, str]:
    sentences: dict[str, str] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        sentences.setdefault(name, _sentence(model, name, item))
    return sentences


def _sentence(model: type[Row], name: str, item: Mapping[str, Any]) -> str:
    known = {column.name: column for column in _columns(model)}
    if item["type"] == "extra_forbidden":
        return f"A row of this list has no field {name[:40]!r}; it has {', '.join(known)}, order."
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    title = known[name].title if name in known else name
    return f"{title}: {_shown(item['input'])} was given; expected {_expected(item)}."


def _expected(item: Mapping[str, Any]) -> str:
    limits = item.get("ctx", {})
    match item["type"]:
        case "greater_than_equal":
            return f"{limits['ge']:g} or more"
        case "string_too_long":
            return f"at most {limits['max_length']:,} characters"
        case "string_type":
            return "text"
        case "float_parsing" | "float_type":
            return "a number, such as 1200, 2.5M or 1e6"
        case "int_parsing" | "int_type" | "int_from_float":
            return "a whole number"
        case "string_pattern_mismatch":
            return "the key of a row"
    return str(item["msg"]).removeprefix("Input should be ").lower()


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


# --- columns from the models -----------------------------------------------------------------------------------------


@cache
def _columns(model: type[Row]) -> tuple[Column, ...]:
    return tuple(_column(name, info) for name, info in model.model_fields.items() if name != "order")


def _column(name: str, info: Any) -> Column:
    extra = info.json_schema_extra or {}
    choices: tuple[str, ...] = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
    return Column(
        name=info.alias or name,
        title=info.title,
        kind=_column_kind(info, choices, extra),
        default=info.default,
        unit=extra.get("unit", ""),
        choices=choices,
        rows=extra.get("rows", ""),
        hidden=extra.get("hidden", False),
    )


def _column_kind(info: Any, choices: Sequence[str], extra: Mapping[str, Any]) -> Any:
    if choices:
        return "choice"
    if "rows" in extra:
        return "row"
    types = get_args(info.annotation) or (info.annotation,)
    if bool in types:
        return "flag"
    if float in types or int in types:
        return "number" if float in types else "whole"
    if any(isinstance(part, AfterValidator) and part.func is _kind for part in info.metadata):
        return "kind"
    return "words" if any(getattr(part, "max_length", 0) > 200 for part in info.metadata) else "text"
