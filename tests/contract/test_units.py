"""Every unit that a lab, a calculator or a question declares is one that the reader of answers knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from problems.quiz_schema import CalculatedAnswer, Number
from problems.schema import Problem
from simulators.lab import Lab
from simulators.unit_table import LABELS
from simulators.units import parse_quantity, parse_unit, quantity_of
from tests.contract.parameters import extra
from tests.contract.problem_checks import COMPLETE
from tests.contract.running import Recording


def test_units_of_parameters(lab: type[Lab]) -> None:
    for name, info in lab.Params.model_fields.items():
        if unit := extra(info)["unit"]:
            assert_known(unit, f"{lab.slug}.{name}")


def test_units_of_challenges(lab: type[Lab]) -> None:
    for challenge in lab.challenges:
        for assertion in challenge.assertions:
            assert_known(assertion.unit, f"{lab.slug}/{challenge.slug} {assertion.metric}")


def test_units_of_metrics(lab: type[Lab], defaults: Callable[[type[Lab]], Recording]) -> None:
    for metric in defaults(lab).finished.metrics:
        assert_known(metric.unit, f"{lab.slug} {metric.key}")


def test_units_of_calculators_and_answers() -> None:
    for problem in COMPLETE:
        for unit, where in declared(problem):
            assert_known(unit, f"{problem.slug}: {where}")


def declared(problem: Problem) -> Iterator[tuple[str, str]]:
    for calculator in problem.calculators:
        for entry in (*calculator.inputs, *calculator.outputs):
            yield entry.unit, f"{calculator.key}.{entry.key}"
    assert problem.quiz
    for item in problem.quiz.items:
        if isinstance(item, Number) and not isinstance(item.answer, CalculatedAnswer):
            yield item.answer.unit, item.id


def assert_known(unit: str, where: str) -> None:
    """The table knows it; and a person may type it, unless it is a label that says more than a unit ("1 = yes")."""
    known = parse_unit(unit)
    assert known.factor > 0, where
    if unit not in LABELS:
        typed = parse_quantity(quantity_of(3, unit).text, unit)
        assert typed.dimension == known.dimension, f"{where}: an answer in {unit!r} is read as something else"
