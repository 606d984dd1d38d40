"""What holds for every problem folder, whoever writes it: docs/content.md says how to add one."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from mlsd_app.cohorts.authoring import practice, walkthrough
from problems.calculators import Calculator, evaluate
from problems.loader import ROOT
from problems.schema import Problem
from tests.contract.problem_checks import COMPLETE, PROBLEMS, slug_of

every = pytest.mark.parametrize("problem", PROBLEMS, ids=slug_of)
every_complete = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)
every_calculator = pytest.mark.parametrize("calculator", [c for p in COMPLETE for c in p.calculators], ids=slug_of)

# --- the folder ------------------------------------------------------------------------------------------------------


def test_every_folder_with_a_problem_file_is_listed() -> None:
    assert {problem.slug for problem in PROBLEMS} == {path.parent.name for path in ROOT.glob("*/problem.yaml")}
    assert COMPLETE, "at least one walkthrough is written"


@every
def test_the_checks_of_authors_find_nothing(problem: Problem) -> None:
    """Parts, lengths, facts, links, calculators, drawing, rubric and interviewer; test_authoring shows that each check bites."""
    folder = ROOT / problem.slug
    if not problem.complete:
        assert list(walkthrough.head_findings(problem, folder)) == []
        return
    found = [*walkthrough.findings(problem, folder), *practice.findings(problem, folder)]
    assert [one for one in found if one.level == "error" or one.file != "interviewer.yaml"] == [], "a missed phrasing is a warning there"


# --- calculators -----------------------------------------------------------------------------------------------------


@every_calculator
def test_each_constraint_can_dominate(calculator: Calculator) -> None:
    """A competitor that never wins within the bounds says nothing; and the one that is named is the largest."""
    rng = np.random.default_rng(7)
    won = set()
    for _ in range(3000):
        result = evaluate(calculator, {entry.key: drawn(entry, rng) for entry in calculator.inputs})
        rivals = [result.value(entry.output) for entry in calculator.constraint]
        assert result.value(result.dominating) == max(rivals)
        won.add(result.dominating)
    assert won == {entry.output for entry in calculator.constraint}


def drawn(entry: Any, rng: np.random.Generator) -> float:
    if entry.scale == "log":
        return float(np.clip(np.exp(rng.uniform(np.log(entry.min), np.log(entry.max))), entry.min, entry.max))
    return float(rng.uniform(entry.min, entry.max))


# --- diagram ---------------------------------------------------------------------------------------------------------


def svg_elements(problem: Problem) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(problem.diagram_svg).iter())


@every_complete
def test_diagram_is_legible_on_a_phone(problem: Problem) -> None:
    """Drawn 350 pixels wide, the smallest letters have 10 pixels, and colours follow the page."""
    root = svg_elements(problem)[0]
    assert root.attrib["role"] == "group", "an image would hide its links from a screen reader"
    width = float(root.attrib["viewBox"].split()[2])
    sizes = [float(element.attrib["font-size"]) for element in svg_elements(problem) if "font-size" in element.attrib]
    assert min(sizes) * 350 / width >= 10
    paints = [element.attrib[name] for element in svg_elements(problem) for name in ("fill", "stroke") if name in element.attrib]
    assert all(paint == "none" or paint.startswith("var(--") for paint in paints)


@every_complete
def test_diagram_reads_and_links_as_its_source_says(problem: Problem) -> None:
    shapes, _ = walkthrough.read_d2((ROOT / problem.slug / "diagram.d2").read_text(encoding="utf-8"))
    boxes = {element.attrib["data-node"]: element for element in svg_elements(problem) if "data-node" in element.attrib}
    for key, (label, link) in shapes.items():
        texts = [text.text for text in boxes[key].iter() if text.tag.endswith("text")]
        assert texts == label.split("\\n") and boxes[key].attrib["href"] == link, key
