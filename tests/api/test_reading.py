"""Problems, calculators and labs: what anyone may read."""

from __future__ import annotations

from typing import Any

import pytest

from problems.base import PHASES
from problems.calculators import evaluate
from problems.loader import all_problems
from simulators.lab import Lab
from simulators.params import parse_params
from simulators.registry import labs
from tests.api.conftest import Api, assert_refused


def test_every_problem_is_listed(visitor: Api) -> None:
    found = visitor.get("/problems")
    assert found.status_code == 200
    assert [problem["slug"] for problem in found.json()] == [problem.slug for problem in all_problems()]


@pytest.mark.parametrize("problem", all_problems(), ids=lambda problem: problem.slug)
def test_a_problem_has_its_phases(visitor: Api, problem: Any) -> None:
    found = visitor.get(f"/problems/{problem.slug}").json()
    assert [phase["key"] for phase in found["phases"]] == (list(PHASES) if problem.complete else [])
    for given, phase in zip(problem.phases, found["phases"], strict=True):
        assert phase["answer"] == given.answer
        assert [item["id"] for item in phase["checklist"]] == [item.id for item in given.checklist]


CALCULATORS = [(problem, calculator) for problem in all_problems() for calculator in problem.calculators]


@pytest.mark.parametrize(("problem", "calculator"), CALCULATORS, ids=lambda item: getattr(item, "key", getattr(item, "slug", "")))
def test_a_calculator_answers_what_the_engine_computes(visitor: Api, problem: Any, calculator: Any) -> None:
    inputs = {entry.key: entry.max for entry in calculator.inputs}
    found = visitor.post(f"/problems/{problem.slug}/calculators/{calculator.key}", {"inputs": inputs}).json()
    wanted = evaluate(calculator, inputs)
    assert {line["key"]: line["value"] for line in found["outputs"]} == {line.key: line.value for line in wanted.outputs}
    assert found["dominating"] == wanted.dominating


@pytest.mark.parametrize("value", [10**400, "x", None, True, -1e308, [], {}])
def test_a_calculator_refuses_what_is_no_number_in_bounds(visitor: Api, value: Any) -> None:
    if not CALCULATORS:
        pytest.skip("no problem has a calculator yet")
    problem, calculator = CALCULATORS[0]
    response = visitor.post(f"/problems/{problem.slug}/calculators/{calculator.key}", {"inputs": {calculator.inputs[0].key: value}})
    assert_refused(response, 422)


def test_unknown_names(visitor: Api) -> None:
    assert_refused(visitor.get("/problems/nothing"), 404)
    assert_refused(visitor.get("/labs/nothing/at_all"), 404)
    assert_refused(visitor.post("/problems/nothing/calculators/at_all"), 404)


def test_every_lab_is_listed_and_read(visitor: Api, counter: type[Lab]) -> None:
    listed = visitor.get("/labs").json()
    assert {(lab["problem"], lab["slug"]) for lab in listed} == set(labs())
    for lab in listed:
        assert visitor.get(f"/labs/{lab['problem']}/{lab['slug']}").status_code == 200


def test_a_lab_declares_its_parameters(visitor: Api, counter: type[Lab]) -> None:
    found = visitor.get("/labs/vector_search/counter").json()
    rate = next(param for param in found["params"] if param["name"] == "rate")
    assert (rate["unit"], rate["minimum"], rate["maximum"], rate["scale"], rate["default"]) == ("x", 0.1, 100.0, "log", 1.0)
    assert found["question"] == "How far does it count?"
    assert set(found["params_schema"]["properties"]) == set(counter.Params.model_fields)
    assert found["data"]["slots"][0]["formats"] == [".txt"]
    defaults = {param["name"]: param["default"] for param in found["params"]}
    for preset in found["presets"]:
        parse_params(counter, {**defaults, **preset["values"]})
