"""What holds for every problem folder, whoever writes it: docs/content.md says how to add one."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from problems.calculators import Calculator, evaluate
from problems.loader import ROOT, load_problem
from problems.markdown import links_in, parse_link
from problems.schema import Phase, Problem
from simulators.registry import get_lab
from tests.contract.problem_checks import COMPLETE, PROBLEMS, check_preset, check_target, slug_of

every = pytest.mark.parametrize("problem", PROBLEMS, ids=slug_of)
every_complete = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)
every_phase = pytest.mark.parametrize(("problem", "phase"), [(p, phase) for p in COMPLETE for phase in p.phases], ids=slug_of)
every_calculator = pytest.mark.parametrize("calculator", [c for p in COMPLETE for c in p.calculators], ids=slug_of)

# --- the folder ------------------------------------------------------------------------------------------------------


def test_every_folder_with_a_problem_file_is_listed() -> None:
    assert {problem.slug for problem in PROBLEMS} == {path.parent.name for path in ROOT.glob("*/problem.yaml")}
    assert COMPLETE, "at least one walkthrough is written"


@every
def test_related_problems_and_labs_exist(problem: Problem) -> None:
    assert problem.slug not in problem.related
    for slug in problem.related:
        load_problem(slug)
    for link in problem.labs:
        check_preset(get_lab(problem.slug, link.lab), link.preset)
    assert problem.minutes.total == 45


# --- phases ----------------------------------------------------------------------------------------------------------


@every_phase
def test_phase_has_its_parts(problem: Problem, phase: Phase) -> None:
    assert len(phase.probes) >= 2
    assert len(phase.checklist) >= 4
    assert all(item.id.startswith(f"{phase.key}.") for item in phase.checklist)
    rows = [line for line in phase.tradeoffs.splitlines() if line.startswith("|")]
    assert len(rows) >= 4, "a heading, a rule and at least two trade-offs"
    assert len({row.count("|") for row in rows}) == 1, "a table row has another number of cells"
    assert len(set(phase.anchors)) == len(phase.anchors), "two headings share an anchor"


@every_complete
def test_prose_has_its_length(problem: Problem) -> None:
    words = sum(len(re.findall(r"[^\W\d_][\w'-]*", prose(phase))) for phase in problem.phases)
    assert 1500 <= words <= 3000


def prose(phase: Phase) -> str:
    """All but the checklist, link targets left out."""
    probes = [f"{probe.question} {probe.answer}" for probe in phase.probes]
    return re.sub(r"\]\([^)]*\)", "]", " ".join([phase.prompt, phase.strong, phase.answer, phase.tradeoffs, *probes]))


@every_complete
def test_every_fact_is_covered_where_it_belongs(problem: Problem) -> None:
    assert len({fact.id for fact in problem.coverage}) == len(problem.coverage)
    for fact in problem.coverage:
        phase = problem.phase(fact.phase)
        assert phase
        text = " ".join(phase.text.lower().split())
        missing = [term for term in fact.terms if not re.search(rf"(?<![a-z0-9]){re.escape(term.lower())}", text)]
        assert not missing, f"{fact.id}: {missing} is not in {fact.phase}"


# --- links -----------------------------------------------------------------------------------------------------------


@every_complete
def test_every_link_has_a_target(problem: Problem) -> None:
    hrefs = [href for phase in problem.phases for href in links_in(phase.text)]
    hrefs += [element.attrib["href"] for element in svg_elements(problem) if "href" in element.attrib]
    assert hrefs
    for href in hrefs:
        link = parse_link(href)
        assert link, f"{href} is not of the form lab:, phase:, calc: or problem:"
        check_target(problem, link)


# --- calculators -----------------------------------------------------------------------------------------------------


@every_calculator
def test_calculator_is_finite_at_all_its_bounds(calculator: Calculator) -> None:
    inputs = calculator.inputs
    corners = [{}, {i.key: i.min for i in inputs}, {i.key: i.max for i in inputs}]
    corners += [{i.key: bound} for i in inputs for bound in (i.min, i.max)]
    for given in corners:
        result = evaluate(calculator, given)
        assert all(math.isfinite(output.value) and output.value >= 0 for output in result.outputs), given
        assert result.constraint.startswith("The dominating constraint is ")


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
def test_diagram_is_safe_under_a_strict_content_policy(problem: Problem) -> None:
    elements = svg_elements(problem)
    tags = {element.tag.rpartition("}")[2] for element in elements}
    assert not tags & {"script", "style", "foreignObject", "image", "use", "animate"}
    names = {name.lower() for element in elements for name in element.attrib}
    assert "style" not in names and not any(name.startswith("on") for name in names)
    assert {"title", "desc"} <= tags
    assert elements[0].attrib["role"] == "group", "an image would hide its links from a screen reader"


@every_complete
def test_diagram_is_legible_on_a_phone(problem: Problem) -> None:
    """Drawn 350 pixels wide, the smallest letters have 10 pixels, and colours follow the page."""
    root = svg_elements(problem)[0]
    width = float(root.attrib["viewBox"].split()[2])
    sizes = [float(element.attrib["font-size"]) for element in svg_elements(problem) if "font-size" in element.attrib]
    assert min(sizes) * 350 / width >= 10
    paints = [element.attrib[name] for element in svg_elements(problem) for name in ("fill", "stroke") if name in element.attrib]
    assert all(paint == "none" or paint.startswith("var(--") for paint in paints)


@every_complete
def test_diagram_shows_every_shape_and_arrow_of_its_source(problem: Problem) -> None:
    shapes, arrows = read_d2((ROOT / problem.slug / "diagram.d2").read_text(encoding="utf-8"))
    boxes = {element.attrib["data-node"]: element for element in svg_elements(problem) if "data-node" in element.attrib}
    assert shapes.keys() <= boxes.keys()
    for key, (label, link) in shapes.items():
        texts = [text.text for text in boxes[key].iter() if text.tag.endswith("text")]
        assert texts == label.split("\\n") and boxes[key].attrib["href"] == link, key
    drawn_arrows = [element.attrib["data-edge"] for element in svg_elements(problem) if "data-edge" in element.attrib]
    assert sorted(drawn_arrows) == sorted(arrows)


def read_d2(source: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """({shape: (label, link)}, ["a -> b"]) of the part of d2 that diagrams use: linked shapes, one level of containers, arrows."""
    container, shapes, arrows = "", {}, []
    for line in source.splitlines():
        if shape := re.match(r'\s*(\w+): "?([^"{]+?)"? {link: "([^"]+)"}', line):
            shapes[f"{container}{shape[1]}"] = (shape[2], shape[3])
        elif arrow := re.match(r"([\w.]+) -> ([\w.]+)", line):
            arrows.append(f"{arrow[1]} -> {arrow[2]}")
        elif opened := re.match(r"(\w+): .*{$", line):
            container = f"{opened[1]}."
        elif line.startswith("}"):
            container = ""
    return shapes, arrows
