"""What is wrong with a question bank, in sentences. The schema holds already; here is what only marking, drawing and comparing show."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from mlsd_app.quiz.questions import Question, draw
from mlsd_app.quiz.questions.base import ChoiceQuestion, OrderQuestion
from mlsd_app.quiz.questions.numbers import NumberQuestion, solve
from mlsd_app.quiz.questions.truths import checked_draws
from problems.expressions import evaluate_expression
from problems.quiz_schema import Choice, FixedAnswer, FormulaAnswer, ItemBase, LabQuestion, Number, QuizItem
from problems.schema import Problem
from simulators.errors import InvalidInput
from simulators.registry import get_lab, labs
from simulators.units import UnitError, grade_quantity, quantity_of

LEAST_ITEMS = 14
LEAST = {"flashcard": 3, "choice": 3, "number": 2, "order": 1, "free": 1, "slip": 1}
LEAST_LABS = 2
LEAST_TRAPS = 3  # items on gotchas or monitoring
PHASES = ("clarify", "capacity", "architecture", "deep_dive", "eval", "gotchas")
LEAST_WORDS = 15
MOST_ALIKE = 0.8  # Jaccard of 5-grams
DRAWS = 20
READINESS = range(1, 16)
SELF_TYPES = ("flashcard", "free")


def quiz_faults(problem: Problem) -> list[str]:
    """Every fault of a problem's bank; empty when it may ship."""
    if problem.quiz is None:
        return ["there is no quiz.yaml"]
    items = problem.quiz.items
    found = [*_composition(problem, items), *_ids(problem), *_giveaways(items), *_near_duplicates(items)]
    for item in items:
        found += [f"{item.id}: {fault}" for fault in _item_faults(item, problem)]
    return found


def readiness_faults(problems: Sequence[Problem]) -> list[str]:
    """Each of the 15 questions has one free answer and a twin that is marked by rule and needs no lab run."""
    kinds: dict[int, Counter[str]] = defaultdict(Counter)
    for problem in problems:
        for item in problem.quiz.items if problem.quiz else ():
            if item.readiness:
                kinds[item.readiness][item.type] += 1
    found = [f"readiness {n} has {kinds[n]['free']} free answers; expected one" for n in READINESS if kinds[n]["free"] != 1]
    static = {n: sum(count for kind, count in kinds[n].items() if kind not in (*SELF_TYPES, "lab")) for n in READINESS}
    return found + [f"readiness {n} has no twin marked by rule" for n in READINESS if not static[n]]


# --- the bank --------------------------------------------------------------------------------------------------------


def _composition(problem: Problem, items: Sequence[QuizItem]) -> Iterator[str]:
    kinds: Counter[str] = Counter(item.type for item in items)
    least = {**LEAST, "lab": LEAST_LABS} if any(slug == problem.slug for slug, _ in labs()) else LEAST
    if len(items) < LEAST_ITEMS:
        yield f"{len(items)} items; expected {LEAST_ITEMS} or more"
    for kind, count in least.items():
        if kinds[kind] < count:
            yield f"{kinds[kind]} items of type {kind}; expected {count} or more"
    for phase in PHASES:
        if not any(item.phase == phase for item in items):
            yield f"no item on {phase}"
    traps = sum(item.phase in ("gotchas", "monitoring") for item in items)
    if traps < LEAST_TRAPS:
        yield f"{traps} items on gotchas and second-order effects; expected {LEAST_TRAPS} or more"


def _ids(problem: Problem) -> Iterator[str]:
    assert problem.quiz is not None
    counts = Counter([item.id for item in problem.quiz.items] + list(problem.quiz.retired))
    for item_id, count in counts.items():
        if count > 1:
            yield f"{item_id} stands {count} times, retired ids included"


def _giveaways(items: Sequence[QuizItem]) -> Iterator[str]:
    choices = [item for item in items if isinstance(item, Choice)]
    longest = sum(max(item.options, key=lambda option: len(option.text)).correct for item in choices)
    if longest > len(choices) / 2:
        yield f"the right option is the longest in {longest} of {len(choices)} choice items; expected at most half"


def _near_duplicates(items: Sequence[QuizItem]) -> Iterator[str]:
    grams = {item.id: five_grams(item.explain + str(getattr(item, "stem", ""))) for item in items}
    for (one, left), (two, right) in itertools.combinations(grams.items(), 2):
        if left and len(left & right) > MOST_ALIKE * len(left | right):
            yield f"{one} and {two} are nearly the same"


def five_grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[start:] for start in range(5)), strict=False))


# --- one item --------------------------------------------------------------------------------------------------------


def _item_faults(item: QuizItem, problem: Problem) -> Iterator[str]:
    if len(item.explain.split()) < LEAST_WORDS:
        yield f"the explanation has {len(item.explain.split())} words; expected {LEAST_WORDS} or more"
    yield from _target_faults(item, problem)
    try:
        if isinstance(item, Number):
            yield from _number_faults(item, problem)
        if isinstance(item, LabQuestion):
            yield from _lab_faults(item, problem)
        else:
            yield from _drawn_faults(item, problem)
    except (InvalidInput, UnitError) as error:
        yield error.message
    except ValueError as error:  # of problems: the same class by another name
        yield str(error)


def _target_faults(item: ItemBase, problem: Problem) -> Iterator[str]:
    known = {entry.id for entry in problem.rubric.items} if problem.rubric else set()
    for rubric in item.rubric:
        if rubric not in known:
            yield f"rubric item {rubric!r} does not exist"
    facts = {fact.id for fact in problem.coverage}
    for fact in item.facts:
        if not fact.startswith("qz-") and fact not in facts:  # those of the readiness check stand in the questions
            yield f"fact {fact!r} is not in coverage.yaml"
    section, _, part = item.see.section.partition("#")
    phase = problem.phase(section) if section else None
    if section and (phase is None or (part and part not in phase.anchors)):
        yield f"see names the section {item.see.section!r}, which does not exist"
    if item.see.calculator and problem.calculator(item.see.calculator) is None:
        yield f"see names the calculator {item.see.calculator!r}, which does not exist"
    if item.see.lab and item.see.preset not in ("", *(preset.key for preset in get_lab(problem.slug, item.see.lab).presets)):
        yield f"see names the preset {item.see.preset!r}, which {item.see.lab} does not have"


def _number_faults(item: Number, problem: Problem) -> Iterator[str]:
    for seed in range(DRAWS):
        solution = solve(item, problem, seed)
        truth = solution.truth
        if not (math.isfinite(truth.value) and truth.value > 0):
            yield f"the answer is {truth.value} at {dict(solution.values)}; expected a number above zero"
            return
        if isinstance(item.answer, (FixedAnswer, FormulaAnswer)):
            unknown = set(re.findall(r"\{(\w+)\}", item.stem)) - solution.values.keys()
            if unknown:
                yield f"the stem names {', '.join(sorted(unknown))}, which is not drawn"
                return
        question = draw(item, problem, seed)
        assert isinstance(question, NumberQuestion)
        for off in (0.1, 10.0):
            if grade_quantity(quantity_of(truth.value * off, solution.unit), truth, question.rule).mark == 1:
                yield f"an answer {off:g} times the right one earns the full mark"
        for path in item.wrong:
            if abs(evaluate_expression(path.when, solution.values) / truth.value - 1) <= 0.05:
                yield f"the mistake {path.when} is right at {dict(solution.values)}"
                return


def _drawn_faults(item: QuizItem, problem: Problem) -> Iterator[str]:
    """What shows only when the question is asked: twenty draws, each answered right and wrong."""
    for seed in range(DRAWS):
        question = draw(item, problem, seed)
        marked = question.mark(question.right())
        if item.type != "flashcard" and marked.mark != 1:
            yield f"its own right answer earns {marked.mark} with seed {seed}"
            return
        for given in wrong_answers(question):
            if question.mark(given).mark == 1:
                yield f"the wrong answer {json.dumps(given)} earns the full mark with seed {seed}"
                return
        if leak := leaked(question):
            yield f"before the answer it shows {leak} with seed {seed}"
            return


def _lab_faults(item: LabQuestion, problem: Problem) -> Iterator[str]:
    lab = get_lab(problem.slug, item.lab)
    if item.preset not in ("", *(preset.key for preset in lab.presets)):
        yield f"{item.lab} has no preset {item.preset!r}"
    if not checked_draws(item, lab):
        yield "the template makes no question"
    if item.ask in ("order", "pick") and any(len(draw.options) < 3 for draw in checked_draws(item, lab)):
        yield f"{item.ask} has fewer than three settings to choose among"


def wrong_answers(question: Question) -> Iterator[dict[str, Any]]:
    """Answers that must not earn the full mark."""
    right = question.right()
    if isinstance(question, ChoiceQuestion):
        picked = set(right["picked"])
        yield from ({"picked": [place]} for place in range(len(question.options)) if {place} != picked)
    elif isinstance(question, OrderQuestion):
        order = list(right["order"])
        yield {"order": order[::-1]}
        yield from ({"order": [*order[:i], order[i + 1], order[i], *order[i + 2 :]]} for i in range(len(order) - 1))
    elif isinstance(question, NumberQuestion):
        yield {"text": quantity_of(100 * question.solution.truth.value, question.solution.unit).text}


def leaked(question: Question) -> str:
    """What of the answer stands in `public()`: words that only the solution has, or an order that gives it away."""
    public, item = question.public(), question.item
    hidden = [item.explain, *(getattr(item, name, "") for name in ("back", "model", "right", "hint")), *getattr(item, "points", ())]
    hidden += [option.why for option in getattr(question, "options", ())]
    whole = json.dumps(public, ensure_ascii=False)
    for words in hidden:
        if words and json.dumps(words, ensure_ascii=False)[1:-1] in whole:
            return repr(words[:40])
    if isinstance(question, OrderQuestion) and question.right()["order"] == list(range(len(question.lines))):
        return "the lines in the right order"
    solution = {"correct", "answer", "truth", "wrong", "right", "points", "model", "back", "explain"} & public.keys()
    return f"the field {solution.pop()}" if solution else ""
