"""The walkthrough: facts covered where they belong, links that lead somewhere, calculators that stay finite, a drawing that agrees."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from mlsd_app.cohorts.authoring.report import Finding, fault, line_with
from problems.calculators import Calculator, evaluate
from problems.errors import InvalidInput
from problems.loader import load_problem
from problems.markdown import Link, links_in, parse_link
from problems.schema import Phase, Problem
from simulators.errors import InvalidInput as InvalidLabInput
from simulators.params import parse_params
from simulators.registry import get_lab

WORDS = (1_500, 3_000)
MINUTES = 45
BAD_ELEMENTS = frozenset({"script", "style", "foreignObject", "image", "use", "animate"})
_IMAGE = re.compile(r"!\[(?P<alt>[^\]]*)\]\(")


def findings(problem: Problem, folder: Path) -> Iterator[Finding]:
    yield from head_findings(problem, folder)
    yield from _length(problem)
    for phase in problem.phases:
        yield from _phase(problem, phase, folder)
    yield from _coverage(problem, folder)
    for calculator in problem.calculators:
        yield from _calculator(calculator, folder)
    yield from _diagram(problem, folder)


def head_findings(problem: Problem, folder: Path) -> Iterator[Finding]:
    path = folder / "problem.yaml"
    if problem.minutes.total != MINUTES:
        yield fault(path, "minutes:", f"The phases take {problem.minutes.total} minutes.", "Make them add up to 45.")
    for slug in problem.related:
        if slug == problem.slug or not _exists(slug):
            yield fault(path, slug, f"The related problem {slug!r} does not exist.", "Name another problem.")
    for link in problem.labs:
        if words := _lab_fault(problem, link.lab, link.preset):
            yield fault(path, link.lab, words, "Link labs and presets that exist.")


def _exists(slug: str) -> bool:
    try:
        load_problem(slug)
    except InvalidInput:
        return False
    return True


def _lab_fault(problem: Problem, slug: str, preset: str) -> str:
    try:
        lab = get_lab(problem.slug, slug)
    except (InvalidInput, InvalidLabInput) as error:
        return error.message
    known = {entry.key for entry in lab.presets}
    return f"{slug} has no preset {preset!r}; it has {', '.join(sorted(known))}." if preset and preset not in known else ""


# --- phases ----------------------------------------------------------------------------------------------------------


def _length(problem: Problem) -> Iterator[Finding]:
    prose = " ".join(_prose(phase) for phase in problem.phases)
    count = len(re.findall(r"[^\W\d_][\w'-]*", prose))
    if not WORDS[0] <= count <= WORDS[1]:
        words = f"The five phases have {count:,} words; expected {WORDS[0]:,} to {WORDS[1]:,}."
        yield Finding("warning", "clarify.md", None, words, "Cut what repeats, or write what is missing.")


def _prose(phase: Phase) -> str:
    """All but the checklist, link targets left out."""
    probes = [f"{probe.question} {probe.answer}" for probe in phase.probes]
    return re.sub(r"\]\([^)]*\)", "]", " ".join([phase.prompt, phase.strong, phase.answer, phase.tradeoffs, *probes]))


def _phase(problem: Problem, phase: Phase, folder: Path) -> Iterator[Finding]:
    path = folder / f"{phase.key}.md"
    if len(phase.probes) < 2:
        yield fault(path, "## Probes", f"{len(phase.probes)} probes.", "Write at least two.")
    if len(phase.checklist) < 4:
        yield fault(path, "## Checklist", f"{len(phase.checklist)} points.", "Write at least four.")
    for item in phase.checklist:
        if not item.id.startswith(f"{phase.key}."):
            words = f"The point {item.id} does not begin with {phase.key}."
            yield fault(path, item.id, words, "A point's id names its phase.")
    yield from _table(phase, path)
    yield from _links(problem, phase, path)
    if len(set(phase.anchors)) < len(phase.anchors):
        yield fault(path, "", "Two headings share an anchor.", "Name one of them differently.")


def _table(phase: Phase, path: Path) -> Iterator[Finding]:
    rows = [line for line in phase.tradeoffs.splitlines() if line.startswith("|")]
    line = line_with(path, "## Trade-offs")
    if len(rows) < 4:
        yield Finding("error", path.name, line, "The table of trade-offs has fewer than two of them.", "Add a row.")
    elif len({row.count("|") for row in rows}) > 1:
        yield Finding(
            "error", path.name, line, "The rows of the trade-offs have different numbers of cells.", "Give each row the same number."
        )


def _links(problem: Problem, phase: Phase, path: Path) -> Iterator[Finding]:
    for href in links_in(phase.text):
        link = parse_link(href)
        words = _link_fault(problem, link) if link else f"{href} is none of lab:, phase:, calc:, problem:."
        if words:
            yield fault(path, href, words, "docs/content.md shows the four forms of a link.")
    for image in _IMAGE.finditer(phase.text):
        if not image["alt"].strip():
            yield fault(path, image[0], "An image has no words for those who cannot see it.", "Say what it shows.")
    if phase.text.count("$$") % 2:
        yield fault(path, "$$", "A formula between $$ is not closed.", "Close it.")


def _link_fault(problem: Problem, link: Link) -> str:
    match link.kind:
        case "lab":
            return _lab_link_fault(problem, link)
        case "phase":
            phase = problem.phase(link.target)
            there = phase is not None and (not link.fragment or link.fragment in phase.anchors)
            return "" if there else f"phase:{link.target}#{link.fragment} leads nowhere."
        case "calc":
            return "" if problem.calculator(link.target) else f"There is no calculator {link.target!r}."
        case _:
            return "" if _exists(link.target) else f"There is no problem {link.target!r}."


def _lab_link_fault(problem: Problem, link: Link) -> str:
    values = dict(link.query)
    if words := _lab_fault(problem, link.target, values.pop("preset", "")):
        return words
    try:
        parse_params(get_lab(problem.slug, link.target), values)
    except InvalidLabInput as error:
        return error.message
    return ""


def _coverage(problem: Problem, folder: Path) -> Iterator[Finding]:
    path, seen = folder / "coverage.yaml", set[str]()
    for fact in problem.coverage:
        if fact.id in seen:
            yield fault(path, fact.id, f"The fact {fact.id} stands twice.", "Remove one.")
        seen.add(fact.id)
        phase = problem.phase(fact.phase)
        text = " ".join(phase.text.lower().split()) if phase else ""
        missing = [term for term in fact.terms if not re.search(rf"(?<![a-z0-9]){re.escape(term.lower())}", text)]
        if missing:
            words = f"{fact.id}: {', '.join(map(repr, missing))} is not in {fact.phase}.md."
            yield fault(path, fact.id, words, "Write the fact into the phase it belongs to.")


# --- calculators -----------------------------------------------------------------------------------------------------


def _calculator(calculator: Calculator, folder: Path) -> Iterator[Finding]:
    path = folder / "calculators.yaml"
    inputs = calculator.inputs
    corners: list[dict[str, float]] = [{}, {entry.key: entry.min for entry in inputs}, {entry.key: entry.max for entry in inputs}]
    corners += [{entry.key: bound} for entry in inputs for bound in (entry.min, entry.max)]
    for given in corners:
        if words := _corner_fault(calculator, given):
            yield fault(path, f"key: {calculator.key}", words, "Narrow the bounds, or guard the formula.")
            return


def _corner_fault(calculator: Calculator, given: dict[str, float]) -> str:
    at = ", ".join(f"{name} = {value:g}" for name, value in given.items()) or "its defaults"
    try:
        result = evaluate(calculator, given)
    except (InvalidInput, ArithmeticError) as error:
        return f"{calculator.key} cannot be evaluated at {at}: {error}"
    bad = [output.key for output in result.outputs if not (math.isfinite(output.value) and output.value >= 0)]
    return f"{calculator.key}: {', '.join(bad)} is negative or not finite at {at}." if bad else ""


# --- the drawing -----------------------------------------------------------------------------------------------------


def _diagram(problem: Problem, folder: Path) -> Iterator[Finding]:
    path = folder / "diagram.svg"
    if "<!DOCTYPE" in problem.diagram_svg or "<!ENTITY" in problem.diagram_svg:
        yield Finding("error", path.name, 1, "The drawing declares a document type.", "Leave it out; entities are not read.")
        return
    try:
        elements = list(ElementTree.fromstring(problem.diagram_svg).iter())  # noqa: S314 - no document type, see above
    except ElementTree.ParseError as error:
        yield Finding("error", path.name, error.position[0], f"The drawing is not well formed: {error}", "Draw it anew from diagram.d2.")
        return
    yield from _safe(elements, path)
    yield from _drawn(problem, elements, folder)


def _safe(elements: list[ElementTree.Element], path: Path) -> Iterator[Finding]:
    tags = {element.tag.rpartition("}")[2] for element in elements}
    for tag in sorted(tags & BAD_ELEMENTS):
        yield fault(path, f"<{tag}", f"<{tag}> may not stand in a drawing.", "Take it out.")
    names = {name.lower() for element in elements for name in element.attrib}
    if "style" in names or any(name.startswith("on") for name in names):
        yield fault(path, "style=", "Inline styles and handlers are refused.", "Use attributes.")
    if not {"title", "desc"} <= tags:
        yield Finding("error", path.name, 1, "The drawing has no title or no description.", "Add <title> and <desc>.")


def _drawn(problem: Problem, elements: list[ElementTree.Element], folder: Path) -> Iterator[Finding]:
    """Every shape and arrow of the source stands in the drawing, every link leads somewhere."""
    source = folder / "diagram.d2"
    if not source.is_file():
        yield Finding("error", "diagram.d2", None, "The source of the drawing is missing.", "Add diagram.d2.")
        return
    shapes, arrows = read_d2(source.read_text(encoding="utf-8", errors="replace"))
    boxes = {element.attrib["data-node"] for element in elements if "data-node" in element.attrib}
    edges = sorted(element.attrib["data-edge"] for element in elements if "data-edge" in element.attrib)
    for key in sorted(shapes.keys() - boxes):
        line = line_with(source, key.rpartition(".")[2])
        yield Finding("error", source.name, line, f"The shape {key} is not in the drawing.", "Draw diagram.svg anew.")
    if edges != sorted(arrows):
        yield Finding(
            "error", source.name, None, "The arrows of the drawing are others than those of its source.", "Draw diagram.svg anew."
        )
    for href in {element.attrib["href"] for element in elements if "href" in element.attrib}:
        link = parse_link(href)
        if words := _link_fault(problem, link) if link else f"{href} is none of lab:, phase:, calc:, problem:.":
            yield Finding("error", "diagram.svg", line_with(folder / "diagram.svg", href), words, "Mend the link in diagram.d2.")


def read_d2(source: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """({shape: (label, link)}, ["a -> b"]) of the part of d2 that drawings use: linked shapes, one level of containers, arrows."""
    container, shapes, arrows = "", dict[str, tuple[str, str]](), list[str]()
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
