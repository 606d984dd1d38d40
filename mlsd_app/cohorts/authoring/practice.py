"""Rubric and interviewer: complete, consistent, and bound to facts, calculators and labs that exist."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlsd_app.cohorts.authoring.report import Finding, Level, fault, line_with
from mlsd_app.interviews.interviewer.curveballs import patched
from mlsd_app.interviews.interviewer.matcher import match
from mlsd_app.interviews.scoring.verdict import weights
from problems.base import PHASES
from problems.calculators import evaluate
from problems.errors import InvalidInput
from problems.expressions import names_in
from problems.interview_schema import Curveball, HiddenFact, Interviewer, Rubric, RubricItem
from problems.schema import Problem
from simulators.errors import InvalidInput as InvalidLabInput
from simulators.params import parse_params
from simulators.registry import get_lab, labs

ITEMS = (25, 45)
LEAST_MACHINE, MOST_MENTION, LEAST_A_SIGNAL = 40.0, 10.0, 2  # of 100 weighted points; items
LEAST_FACTS, LEAST_NEEDED, LEAST_BALLS, LEAST_LAB_BALLS, LEAST_PROBES = 8, 5, 3, 3, 2
MOST_MISSED, MOST_WRONG = 0.10, 0.02  # of all phrasings
PHASE_OF = {"eval": "evaluation", "monitoring": "evaluation", "gotchas": "evaluation", "more_time": "evaluation", "infra": "deep_dive"}


def findings(problem: Problem, folder: Path) -> Iterator[Finding]:
    assert problem.rubric is not None and problem.interviewer is not None
    yield from _rubric(problem, problem.rubric, problem.interviewer, folder / "rubric.yaml")
    yield from _interviewer(problem, problem.interviewer, problem.rubric, folder / "interviewer.yaml")


# --- rubric ----------------------------------------------------------------------------------------------------------


def _rubric(problem: Problem, rubric: Rubric, interviewer: Interviewer, path: Path) -> Iterator[Finding]:
    ids = [item.id for item in rubric.items]
    yield from _repeated(ids, "item", "id: ", path)
    if not ITEMS[0] <= len(ids) <= ITEMS[1]:
        yield fault(path, "", f"{len(ids)} items; expected {ITEMS[0]} to {ITEMS[1]}.", "Merge or split items.")
    yield from _checklists(problem, set(ids), path)
    yield from _shares(rubric, path)
    for item in rubric.items:
        for need in item.needs:
            if words := _need_fault(problem, interviewer, item, need):
                yield fault(path, f"id: {item.id}", f"{item.id}: {words}", "Name something that exists.")


def _checklists(problem: Problem, ids: set[str], path: Path) -> Iterator[Finding]:
    points = {item.id: f"{phase.key}.md" for phase in problem.phases for item in phase.checklist}
    for item in sorted(ids - points.keys()):
        yield fault(path, f"id: {item}", f"{item} stands in no checklist.", "Add the point to its phase.")
    for item in sorted(points.keys() - ids):
        line = line_with(path.parent / points[item], f"[{item}]")
        yield Finding("error", points[item], line, f"The point {item} has no item in rubric.yaml.", "Add the item, or drop the point.")


def _shares(rubric: Rubric, path: Path) -> Iterator[Finding]:
    weight, shares = weights(rubric), defaultdict[str, float](float)
    for item in rubric.items:
        shares[item.grade] += weight[item.id]
    machine = sum(share for grade, share in shares.items() if grade != "text")
    if machine < LEAST_MACHINE:
        yield fault(path, "", f"Rules mark {machine:.0f} of 100 points; expected 40 or more.", "Let rules mark more items.")
    if shares["mention"] > MOST_MENTION:
        words = f"Mere mentions carry {shares['mention']:.0f} of 100 points; at most 10 may."
        yield fault(path, "", words, "Ask for a trade-off or a number instead.")
    for signal in rubric.signals:
        count = sum(item.signal == signal.key for item in rubric.items)
        if count < LEAST_A_SIGNAL:
            line = line_with(path, f"key: {signal.key}")
            yield Finding("warning", path.name, line, f"The signal {signal.key} has {count} item(s).", "Give it two or more.")


def _need_fault(problem: Problem, interviewer: Interviewer, item: RubricItem, need: str) -> str:
    match item.grade:
        case "fact":
            return "" if need in {fact.id for fact in interviewer.facts} else f"the fact {need!r} does not exist."
        case "curveball":
            return "" if need in {ball.key for ball in interviewer.curveballs} else f"the curveball {need!r} does not exist."
        case "number":
            key, _, output = need.partition(".")
            calculator = problem.calculator(key)
            there = calculator is not None and output in {entry.key for entry in calculator.outputs}
            return "" if there else f"the calculator output {need!r} does not exist."
        case "run":
            return "" if _readable(need) else f"the condition {need!r} names no metric."
        case _:
            return ""


def _readable(condition: str) -> bool:
    try:
        return bool(names_in(condition))
    except InvalidInput:
        return False


# --- interviewer -----------------------------------------------------------------------------------------------------


def _interviewer(problem: Problem, interviewer: Interviewer, rubric: Rubric, path: Path) -> Iterator[Finding]:
    facts, balls = interviewer.facts, interviewer.curveballs
    yield from _repeated([fact.id for fact in facts], "fact", "id: ", path)
    yield from _repeated([ball.key for ball in balls], "curveball", "key: ", path)
    needed = sum(fact.needed for fact in facts)
    if needed < LEAST_NEEDED:
        yield fault(
            path,
            "facts:",
            f"{needed} needed facts; expected {LEAST_NEEDED} or more.",
            "Mark more as needed.",
        )
    has_labs = any(slug == problem.slug for slug, _ in labs())
    if has_labs and sum(ball.change is not None for ball in balls) < LEAST_LAB_BALLS:
        yield fault(path, "curveballs:", "Fewer than three curveballs change a lab.", "Bind more to a lab.")
    yield from _phrasings(facts, path)
    for question in interviewer.off_topic:
        if told := match(question, facts).facts:
            yield fault(path, question, f"{question!r} is off the topic and gets {', '.join(told)}.", "Narrow `ask`.")
    for fact in facts:
        yield from _feeds(problem, fact, path)
    yield from _probes(interviewer, {item.id for item in rubric.items}, path)
    for ball in balls:
        if words := _ball_fault(problem, ball):
            yield fault(path, f"key: {ball.key}", f"{ball.key}: {words}", "Mend the patch.")


def _repeated(ids: list[str], what: str, prefix: str, path: Path) -> Iterator[Finding]:
    for name, count in Counter(ids).items():
        if count > 1:
            yield fault(path, prefix + name, f"The {what} {name} stands {count} times.", "Keep one.")


def _phrasings(facts: tuple[HiddenFact, ...], path: Path) -> Iterator[Finding]:
    """Each miss is a warning, and an error once there are too many; a question that gets another fact likewise."""
    asked = [(fact.id, question, match(question, facts).facts) for fact in facts for question in fact.phrasings]
    missed = [(fact, question) for fact, question, told in asked if fact not in told]
    wrong = [(fact, question, told) for fact, question, told in asked if set(told) - {fact}]
    for fact, question in missed:
        level: Level = "error" if len(missed) > MOST_MISSED * len(asked) else "warning"
        yield fault(path, question, f"{question!r} does not get {fact}.", "Add a group to `ask`.", level)
    for fact, question, told in wrong:
        others = ", ".join(name for name in told if name != fact)
        level = "error" if len(wrong) > MOST_WRONG * len(asked) else "warning"
        yield fault(path, question, f"{question!r} is meant for {fact} and also gets {others}.", f"Narrow `ask` of {others}.", level)


def _feeds(problem: Problem, fact: HiddenFact, path: Path) -> Iterator[Finding]:
    for value in fact.choices:
        if words := _feed_fault(problem, fact, value):
            yield fault(path, f"id: {fact.id}", f"{fact.id}: {words}", "Feed an input that takes the value.")
            return


def _feed_fault(problem: Problem, fact: HiddenFact, value: float) -> str:
    try:
        if fact.feeds.calculator:
            key, name = fact.feeds.calculator.split(".")
            calculator = problem.calculator(key)
            if calculator is None:
                return f"the calculator {key!r} does not exist."
            evaluate(calculator, {name: value})
        if fact.feeds.lab:
            lab, param = fact.feeds.lab.split(".")
            parse_params(get_lab(problem.slug, lab), {param: value})
    except (InvalidInput, InvalidLabInput) as error:
        return error.message
    return ""


def _probes(interviewer: Interviewer, items: set[str], path: Path) -> Iterator[Finding]:
    counts = Counter(PHASE_OF.get(probe.tag, probe.tag) for probe in interviewer.probes)
    for phase in PHASES:
        if counts[phase] < LEAST_PROBES:
            yield fault(path, "probes:", f"{counts[phase]} probes in {phase}.", "Write at least two a phase.")
    for probe in interviewer.probes:
        if probe.missing and probe.missing not in items:
            words = f"The probe {probe.id} leads to {probe.missing}, which is no item of the rubric."
            yield fault(path, f"id: {probe.id}", words, "Name an item of rubric.yaml.")


def _ball_fault(problem: Problem, ball: Curveball) -> str:
    """Whether the patch and the way back are parameters the lab takes; that they break and mend it takes runs."""
    if ball.change is None:
        return ""
    change = ball.change
    try:
        lab = get_lab(problem.slug, change.lab)
        unknown = [patch.param for patch in change.patch if patch.param not in lab.Params.model_fields]
        if unknown:
            return f"{change.lab} has no parameter {unknown[0]!r}."
        values: dict[str, Any] = patched(change, dict(change.start), lab.Params())
        parse_params(lab, values)
        parse_params(lab, values | dict(change.way_back))
    except (InvalidInput, InvalidLabInput) as error:
        return error.message
    locked = {patch.param for patch in change.patch if patch.lock} & change.way_back.keys()
    return f"the way back moves the locked {', '.join(sorted(locked))}." if locked else ""
