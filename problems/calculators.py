"""Capacity calculators: inputs with bounds, formulas in order, and the output that decides the design."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from problems.base import Content, Slug, Text
from problems.errors import InvalidInput
from problems.expressions import evaluate_expression, names_in

# --- calculators.yaml ------------------------------------------------------------------------------------------------


class CalculatorInput(Content):
    key: Slug
    title: Text
    unit: Text
    default: float
    min: float
    max: float
    scale: Literal["linear", "log"] = "linear"
    help: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> CalculatorInput:
        if not self.min <= self.default <= self.max or self.min == self.max:
            raise ValueError(
                f"input {self.key!r} has min {self.min:g}, default {self.default:g}, max {self.max:g}; expected min <= default <= max"
            )
        if self.scale == "log" and self.min <= 0:
            raise ValueError(f"input {self.key!r} is on a log scale, so its min must be above 0, not {self.min:g}")
        return self


class SourceFigure(Content):
    """The figure people quote for an output, and what we found when we computed it at the default inputs."""

    text: Text  # "about 50 nodes of 64 GB"
    value: float = Field(gt=0)  # in the output's unit
    verdict: Text


class CalculatorOutput(Content):
    key: Slug
    title: Text
    unit: Text
    formula: Text  # see problems/expressions.py; may use inputs and earlier outputs
    assumption: Text
    source: SourceFigure | None = None


class Competitor(Content):
    output: Slug
    words: Text  # completes "The dominating constraint is ..."


class Calculator(Content):
    """Live arithmetic: inputs with bounds, formulas in order, and the outputs that compete to decide the design."""

    key: Slug
    title: Text
    summary: Text
    inputs: tuple[CalculatorInput, ...] = Field(min_length=1)
    outputs: tuple[CalculatorOutput, ...] = Field(min_length=1)
    constraint: tuple[Competitor, ...] = Field(min_length=2)  # outputs of one unit; the largest is named

    @model_validator(mode="after")
    def _consistent(self) -> Calculator:
        names = [entry.key for entry in self.inputs] + [entry.key for entry in self.outputs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"calculator {self.key!r} uses {', '.join(repeated)} more than once")
        units = {output.key: output.unit for output in self.outputs}
        unknown = [entry.output for entry in self.constraint if entry.output not in units]
        if unknown:
            raise ValueError(f"calculator {self.key!r}: constraint names {', '.join(unknown)}, which is not an output")
        if len({units[entry.output] for entry in self.constraint}) > 1:
            raise ValueError(f"calculator {self.key!r}: the outputs that compete have different units, so the largest means nothing")
        return self

    @model_validator(mode="after")
    def _formulas_in_order(self) -> Calculator:
        known = {entry.key for entry in self.inputs}
        for output in self.outputs:
            missing = sorted(names_in(output.formula) - known)
            if missing:
                raise ValueError(f"output {output.key!r} uses {', '.join(missing)}, which is neither an input nor an earlier output")
            known.add(output.key)
        return self


# --- evaluation ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Output:
    """One computed line. `ratio` is value / the figure people quote; `source_agrees` allows 5 percent either way."""

    key: str
    title: str
    value: float
    unit: str
    assumption: str
    formula: str
    source: SourceFigure | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.source.value if self.source else None

    @property
    def source_agrees(self) -> bool | None:
        return abs(self.ratio - 1) <= 0.05 if self.ratio is not None else None


@dataclass(frozen=True)
class CalculatorResult:
    """`at_defaults` tells whether the sources' figures are comparable: their verdicts speak of the default inputs."""

    key: str
    inputs: dict[str, float]
    outputs: tuple[Output, ...]
    dominating: str  # key of the output that decides
    constraint: str  # in words
    at_defaults: bool

    def value(self, output: str) -> float:
        return next(entry.value for entry in self.outputs if entry.key == output)


def evaluate(calculator: Calculator, inputs: Mapping[str, float] | None = None) -> CalculatorResult:
    """All outputs at `inputs` (missing ones at their defaults).

    Raises InvalidInput with `field` set for an unknown input, a value that is no finite number, or one outside its bounds.
    """
    given = _checked(calculator, inputs or {})
    values = dict(given)
    for output in calculator.outputs:
        values[output.key] = evaluate_expression(output.formula, values)
    leader = max(calculator.constraint, key=lambda entry: values[entry.output])
    return CalculatorResult(
        key=calculator.key,
        inputs=given,
        outputs=tuple(_output(output, values[output.key]) for output in calculator.outputs),
        dominating=leader.output,
        constraint=f"The dominating constraint is {leader.words}.",
        at_defaults=all(given[entry.key] == entry.default for entry in calculator.inputs),
    )


def _output(output: CalculatorOutput, value: float) -> Output:
    return Output(output.key, output.title, value, output.unit, output.assumption, output.formula, output.source)


def _checked(calculator: Calculator, inputs: Mapping[str, float]) -> dict[str, float]:
    known = {entry.key: entry for entry in calculator.inputs}
    for key in inputs:
        if key not in known:
            raise InvalidInput(f"{calculator.title} has no input {key!r}; it has {', '.join(known)}.", field=key)
    return {key: _in_bounds(entry, inputs.get(key, entry.default)) for key, entry in known.items()}


def _in_bounds(entry: CalculatorInput, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidInput(f"{entry.title}: {value!r} was given; expected a number of {entry.unit}.", field=entry.key)
    if not entry.min <= value <= entry.max:
        raise InvalidInput(
            f"{entry.title}: {_shown(value)} {entry.unit} was given; expected {entry.min:g} to {entry.max:g}.", field=entry.key
        )
    return float(value)


def _shown(value: float) -> str:
    """A number of any size: integers may be too large for a float."""
    return f"{value:g}" if abs(value) < 1e300 else "a number without bounds"
