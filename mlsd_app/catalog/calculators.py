"""A capacity calculator as the page shows it: fields with sliders, computed lines, the line that decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from mlsd_app.runs.sliders import Slider, number_text, slider_for
from problems.calculators import Calculator, CalculatorInput, CalculatorResult, Output, evaluate
from problems.errors import InvalidInput

TYPED_CHARACTERS = 40


@dataclass(frozen=True)
class InputField:
    entry: CalculatorInput
    text: str  # as typed, or the default
    slider: Slider
    error: str = ""

    @property
    def unit(self) -> str:
        """The unit beside the title; none for bare numbers, and none that repeats the title ("Vectors, vectors")."""
        repeats = self.entry.title.lower().startswith(self.entry.unit.lower().rstrip("s"))
        return "" if self.entry.unit == "x" or repeats else self.entry.unit


@dataclass(frozen=True)
class OutputLine:
    output: Output
    dominating: bool
    share: float | None  # of the largest competitor; None for lines that do not compete


@dataclass(frozen=True)
class CalculatorSheet:
    calculator: Calculator
    fields: tuple[InputField, ...]
    result: CalculatorResult | None
    lines: tuple[OutputLine, ...] = ()
    error: str = ""  # one that belongs to no field
    changed: Mapping[str, str] = field(default_factory=dict)  # what differs from the defaults, for the address

    @property
    def valid(self) -> bool:
        return self.result is not None


def sheet(calculator: Calculator, typed: Mapping[str, str]) -> CalculatorSheet:
    """The calculator at what was typed; inputs that are not named keep their default."""
    texts = {entry.key: typed[entry.key].strip()[:TYPED_CHARACTERS] for entry in calculator.inputs if entry.key in typed}
    values, errors = _numbers(calculator, texts)
    result = None
    if not errors:
        try:
            result = evaluate(calculator, values)
        except InvalidInput as error:
            errors = {error.field or "": error.message}
    return CalculatorSheet(
        calculator=calculator,
        fields=tuple(_field(entry, texts, values, errors) for entry in calculator.inputs),
        result=result,
        lines=_lines(calculator, result) if result else (),
        error=errors.get("", ""),
        changed={entry.key: texts[entry.key] for entry in calculator.inputs if values.get(entry.key, entry.default) != entry.default},
    )


@cache
def default_sheet(calculator: Calculator) -> CalculatorSheet:
    return sheet(calculator, {})


def _numbers(calculator: Calculator, texts: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    values, errors = {}, {}
    for entry in calculator.inputs:
        try:
            values[entry.key] = float(texts[entry.key]) if entry.key in texts else entry.default
        except ValueError:
            given = repr(texts[entry.key]) if texts[entry.key] else "Nothing"
            errors[entry.key] = f"{given} was given; expected a number such as {number_text(entry.default)}."
    return values, errors


def _field(entry: CalculatorInput, texts: Mapping[str, str], values: Mapping[str, float], errors: Mapping[str, str]) -> InputField:
    value = values.get(entry.key, entry.default)
    bounds = (entry.min, entry.max)
    inside = min(max(value, entry.min), entry.max) if math.isfinite(value) else entry.default
    slider = slider_for(inside, hard=bounds, soft=bounds, whole=False, log=entry.scale == "log", default=entry.default)
    return InputField(entry, texts.get(entry.key, number_text(entry.default)), slider, errors.get(entry.key, ""))


def _lines(calculator: Calculator, result: CalculatorResult) -> tuple[OutputLine, ...]:
    competing = {entry.output: result.value(entry.output) for entry in calculator.constraint}
    largest = max(competing.values())
    return tuple(
        OutputLine(
            output, output.key == result.dominating, competing[output.key] / largest if output.key in competing and largest else None
        )
        for output in result.outputs
    )
