"""The parameters of any lab, read from its `Params` alone."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from simulators.lab import Lab


class Number(NamedTuple):
    name: str
    type: type
    low: float
    high: float
    log: bool
    title: str


class Numbers(NamedTuple):
    """A list of numbers, each within the same bounds."""

    name: str
    type: type
    low: float
    high: float
    most: int | None
    title: str


class Text(NamedTuple):
    name: str
    most: int | None
    title: str


class Choice(NamedTuple):
    name: str
    values: tuple[Any, ...]
    many: bool
    title: str


def numbers_of(lab: type[Lab]) -> list[Number]:
    found = []
    for name, info in lab.Params.model_fields.items():
        if info.annotation in (int, float):
            low, high = bounds(info)
            found.append(Number(name, info.annotation, low, high, extra(info)["scale"] == "log", info.title or ""))
    return found


def lists_of(lab: type[Lab]) -> list[Numbers]:
    found = []
    for name, info in lab.Params.model_fields.items():
        inner = get_args(info.annotation)[0] if get_origin(info.annotation) is tuple else None
        if inner is not None and get_origin(inner) is not Literal:
            kind = get_args(inner)[0] if get_origin(inner) is Annotated else inner
            low, high = limits(getattr(inner, "__metadata__", ()))
            found.append(Numbers(name, kind, low, high, most(info), info.title or ""))
    return found


def texts_of(lab: type[Lab]) -> list[Text]:
    return [Text(name, most(info), info.title or "") for name, info in lab.Params.model_fields.items() if info.annotation is str]


def choices_of(lab: type[Lab]) -> list[Choice]:
    found = []
    for name, info in lab.Params.model_fields.items():
        annotation = info.annotation
        many = get_origin(annotation) is tuple
        inner = get_args(annotation)[0] if many else annotation
        if inner is bool:
            found.append(Choice(name, (False, True), many, info.title or ""))
        elif get_origin(inner) is Literal:
            found.append(Choice(name, get_args(inner), many, info.title or ""))
    return found


def bounds(info: Any) -> tuple[Any, Any]:
    return limits(info.metadata)


def limits(metadata: Any) -> tuple[Any, Any]:
    low = next((item.ge for item in metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in metadata if hasattr(item, "le")), None)
    return low, high


def most(info: Any) -> int | None:
    return next((item.max_length for item in info.metadata if hasattr(item, "max_length")), None)


def extra(info: Any) -> dict[str, Any]:
    made = info.json_schema_extra
    assert isinstance(made, dict) and "lab" in made, "every field is made with `param`"
    return dict(made["lab"])  # type: ignore[arg-type]


def bound_cases(lab: type[Lab]) -> list[tuple[str, Any]]:
    """(field, value) for both bounds of every number, alone or in a list, and every value of every choice."""
    cases: list[tuple[str, Any]] = []
    for number in numbers_of(lab):
        cases += [(number.name, number.type(number.low)), (number.name, number.type(number.high))]
    for choice in choices_of(lab):
        cases += [(choice.name, (value,) if choice.many else value) for value in choice.values]
    for items in lists_of(lab):
        cases += [(items.name, (items.type(bound),)) for bound in (items.low, items.high)]
    return cases
