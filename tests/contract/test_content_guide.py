"""The examples of docs/content.md are read by the models they document, so the guide cannot fall behind them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from problems.calculators import Calculator, evaluate
from problems.interview_schema import Curveball, HiddenFact, RubricItem, Signal
from problems.loader import ROOT, read_problem
from problems.markdown import HEADINGS, phase_parts
from problems.quiz_schema import QuizItem
from problems.schema import CoveredFact, ProblemHead

GUIDE = (ROOT.parent / "docs" / "content.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"```(?:yaml|markdown)\n# model: (\w+)\n(.*?)```", GUIDE, flags=re.DOTALL))


@pytest.mark.parametrize("model", [ProblemHead, Calculator, HiddenFact, Curveball, CoveredFact])
def test_example_is_what_its_model_takes(model: Any) -> None:
    assert model.model_validate(yaml.safe_load(EXAMPLES[model.__name__]))


def test_quiz_and_rubric_examples_are_taken() -> None:
    item: Any = TypeAdapter(QuizItem).validate_python(yaml.safe_load(EXAMPLES["QuizItem"]))
    assert item.type == "number"
    rubric = yaml.safe_load(EXAMPLES["Rubric"])
    assert all(Signal.model_validate(signal) for signal in rubric["signals"])
    assert all(RubricItem.model_validate(entry) for entry in rubric["items"])


def test_phase_example_splits_into_its_parts() -> None:
    parts = phase_parts(EXAMPLES["Phase"], "example")
    assert parts.keys() == set(HEADINGS.values())
    assert len(parts["probes"]) == len(parts["checklist"]) == 1


def test_calculator_example_names_its_constraint() -> None:
    assert evaluate(Calculator.model_validate(yaml.safe_load(EXAMPLES["Calculator"]))).dominating == "added"


def test_a_folder_with_the_first_example_alone_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "feature_store"
    folder.mkdir()
    (folder / "problem.yaml").write_text(EXAMPLES["ProblemHead"], encoding="utf-8")
    assert not read_problem(folder).complete


def test_every_example_is_read_by_a_test() -> None:
    assert EXAMPLES.keys() == {"ProblemHead", "Phase", "Calculator", "Rubric", "HiddenFact", "Curveball", "QuizItem", "CoveredFact"}
