"""From what a user typed to a lab's `Params`: every bad value gets a sentence that names what was given and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from simulators.errors import InvalidInput
from simulators.lab import Lab, LabParams


def parse_params(lab: type[Lab] | Lab, values: Mapping[str, Any]) -> LabParams:
    """Validated `Params`, or InvalidInput for the first bad field (all of them in `errors`)."""
    try:
        return lab.Params.model_validate(dict(values))
    except ValidationError as error:
        raise InvalidParams(error_sentences(lab.Params, error)) from error


class InvalidParams(InvalidInput):
    """Every bad parameter with its sentence; key "" for a rule over several fields."""

    def __init__(self, errors: dict[str, str]) -> None:
        name, message = next(iter(errors.items()))
        super().__init__(message, field=name or None)
        self.errors = errors


def error_sentences(model: type[LabParams], error: Any) -> dict[str, str]:
    """{field: sentence} from a pydantic ValidationError, each naming the value given and what is expected."""
    sentences: dict[str, str] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else ""
        sentences.setdefault(name, _sentence(model, name, item))
    return sentences


def _sentence(model: type[LabParams], name: str, item: Mapping[str, Any]) -> str:
    known = model.model_fields.get(name)
    if item["type"] == "extra_forbidden":
        return f"There is no parameter {name!r}; this lab has {', '.join(model.model_fields)}."
    if item["type"] == "value_error":
        return str(item["ctx"]["error"])
    title = known.title if known and known.title else name
    return f"{title}: {_shown(item['input'])} was given; expected {_expected(item, _unit_of(known))}."


def _expected(item: Mapping[str, Any], unit: str) -> str:
    """What would have been right, in the words of a person: "10 or more vectors"."""
    limits = item.get("ctx", {})
    if item["type"] == "greater_than_equal":
        return f"{_plain(limits['ge'])} or more{unit}"
    if item["type"] == "less_than_equal":
        return f"{_plain(limits['le'])} or less{unit}"
    if item["type"] == "too_long":
        return f"at most {limits['max_length']} values"
    if item["type"] == "string_too_long":
        return f"at most {limits['max_length']:,} characters"
    wanted = str(item["msg"]).removeprefix("Input should be ")
    if item["type"] in ("int_parsing", "float_parsing", "int_from_float"):
        return wanted.partition(", ")[0]  # "a valid number, unable to ..."
    return wanted + unit


def _plain(limit: float) -> str:
    return f"{int(limit) if limit == int(limit) else limit:,}"


def _unit_of(known: Any) -> str:
    extra = (known.json_schema_extra or {}) if known else {}
    unit = extra.get("lab", {}).get("unit", "")
    return f" {unit}" if unit else ""


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
