"""Questions answered by a number with its unit, and the line of arithmetic that leads to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlsd_app.quiz.questions.base import Marked, Question, shuffled, verdict
from problems.calculators import evaluate
from problems.expressions import evaluate_expression
from problems.quiz_schema import CalculatedAnswer, FixedAnswer, FormulaAnswer, Number
from problems.schema import Problem
from simulators.errors import InvalidInput
from simulators.units import Quantity, Rule, UnitError, behind, grade_quantity, number_text, parse_quantity, parse_unit, quantity_of

DIGITS = {"estimate": 3, "derived": 6, "exact": 6}
PATH_WITHIN = 0.02  # of the value a known mistake leads to
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*(?!\w*\()")


@dataclass(frozen=True)
class Solution:
    """The truth and how it comes about. `values` are the named numbers of the formula and of known mistakes; `digits` is how many
    significant ones of a result are shown, for an estimate knows no more than three."""

    truth: Quantity
    unit: str
    formula: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    digits: int = 6

    @property
    def shown(self) -> str:
        """The truth as it is told."""
        return shown(rounded(self.truth, self.digits))

    @property
    def line(self) -> str:
        """The formula with the numbers put in, and its result."""
        if not self.formula:
            return ""
        put_in = _NAME.sub(lambda name: grouped(self.values[name[0]]) if name[0] in self.values else name[0], self.formula)
        equal = "=" if shown(self.truth) == self.shown else "\N{ALMOST EQUAL TO}"
        return f"{readable(put_in)} {equal} {self.shown}"

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        used = dict.fromkeys(_NAME.findall(self.formula))
        return tuple((name, grouped(self.values[name])) for name in used if name in self.values)


@dataclass(frozen=True)
class NumberQuestion(Question):
    """`given` {"text": "13.9 requests/s"}."""

    solution: Solution = field(kw_only=True)
    rule: Rule = field(kw_only=True)
    asked: str = field(kw_only=True)  # the stem with the numbers drawn
    paths: tuple[tuple[float, str], ...] = ()  # (value in the answer's unit, the mistake that leads there)
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    form = "number"

    @property
    def stem(self) -> str:
        return self.asked

    @property
    def expect(self) -> str:
        """What the reader of answers expects: a dimension, or "%" where a bare number could mean percent or times."""
        return "%" if self.solution.truth.unit in ("%", "pp") else self.solution.truth.dimension

    def _shown(self) -> dict[str, Any]:
        return {"expect": self.expect, **self.extra}

    def mark(self, given: Mapping[str, Any]) -> Marked:
        text = given.get("text")
        if not isinstance(text, str):
            raise InvalidInput("Write a number with its unit.", field="text")
        try:
            quantity = parse_quantity(text, self.expect)
        except UnitError as error:
            error.field = "text"
            raise
        graded = grade_quantity(quantity, self.solution.truth, self.rule)
        return Marked(
            mark=graded.mark,
            state="auto",
            verdict=verdict(graded.mark),
            given={"text": text},
            correct=self.solution.shown,
            explanation=self.item.explain,
            echo=quantity.text,
            notes=tuple(note for note in (graded.message, quantity.note, *self.notes) if note),
            formula=readable(self.solution.formula),
            inputs=self.solution.inputs,
            line=self.solution.line,
            wrong_path=self.mistake(quantity),
        )

    def right(self) -> dict[str, Any]:
        truth = self.solution.truth
        exact = Quantity(truth.value, truth.unit, truth.dimension, truth.base)
        return {"text": exact.text.replace(number_text(truth.value), f"{truth.value:.12g}")}

    def mistake(self, given: Quantity) -> str:
        """Also of an estimate that is close enough by chance: the mistake is there all the same."""
        value = given.base / parse_unit(self.solution.unit).factor
        return " Or: ".join(because for wrong, because in self.paths if wrong and abs(value / wrong - 1) <= PATH_WITHIN)


def number_question(item: Number, problem: Problem, seed: int) -> NumberQuestion:
    solution = solve(item, problem, seed)
    return NumberQuestion(
        item,
        problem,
        seed,
        solution=solution,
        rule=Rule(item.rule, item.binary_strict, item.fleet),
        asked=filled(item.stem, solution.values),
        paths=tuple((evaluate_expression(path.when, solution.values), path.because) for path in item.wrong),
    )


def solve(item: Number, problem: Problem, seed: int) -> Solution:
    """The item's truth with its inputs drawn by seed."""
    match item.answer:
        case FixedAnswer(value=value, unit=unit):
            return Solution(quantity_of(value, unit), unit)
        case FormulaAnswer(formula=formula, unit=unit, given=given):
            values = {name: draw.choices[shuffled(len(draw.choices), seed, f"{item.id}/{name}")[0]] for name, draw in given.items()}
            return Solution(quantity_of(evaluate_expression(formula, values), unit), unit, formula, values, DIGITS[item.rule])
        case CalculatedAnswer() as answer:
            return _calculated(answer, problem, DIGITS[item.rule])


def _calculated(answer: CalculatedAnswer, problem: Problem, digits: int) -> Solution:
    calculator = problem.calculator(answer.calculator)
    if calculator is None:
        raise InvalidInput(f"There is no calculator {answer.calculator!r} in {problem.slug}.", field="calculator")
    result = evaluate(calculator, answer.inputs)
    output = next(entry for entry in result.outputs if entry.key == answer.output)
    values = {**result.inputs, **{entry.key: entry.value for entry in result.outputs}}
    return Solution(quantity_of(output.value, output.unit), output.unit, output.formula, values, digits)


# --- in words --------------------------------------------------------------------------------------------------------


def filled(stem: str, values: Mapping[str, float]) -> str:
    """The stem with {name} replaced by the number drawn, "{n} hours" by "1 hour"; other braces belong to formulas and stay."""

    def put(found: re.Match[str]) -> str:
        if found["name"] not in values:
            return found[0]
        number = grouped(values[found["name"]])
        return f"{number}{found['gap']}{behind(number, found['word'])}"

    return re.sub(r"\{(?P<name>\w+)\}(?P<gap> ?)(?P<word>(?:(?<= )[A-Za-z]+)?)", put, stem)


def grouped(value: float) -> str:
    """As the pages print numbers: thousands apart by narrow spaces, which the reader of answers knows."""
    return number_text(value).replace(",", "\N{NARROW NO-BREAK SPACE}")


def shown(quantity: Quantity) -> str:
    return quantity.text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def rounded(quantity: Quantity, digits: int) -> Quantity:
    """To so many significant digits."""
    return replace(quantity, value=float(f"{quantity.value:.{digits}g}"))


def readable(formula: str) -> str:
    return formula.replace("**", "^").replace("*", "×")
