"""Rubric, interviewer and quiz of every problem: complete, consistent, and bound to labs and calculators that exist."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from problems.base import PHASES
from problems.calculators import evaluate
from problems.conditions import holds
from problems.expressions import evaluate_expression, names_in
from problems.interview_schema import Interviewer, LabChange, Rubric
from problems.markdown import Link
from problems.quiz_schema import CalculatedAnswer, Choice, FormulaAnswer, LabQuestion, Number, Quiz
from problems.schema import Problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.lab import Context
from simulators.params import parse_params
from simulators.registry import get_lab
from tests.contract.problem_checks import COMPLETE, check_preset, check_target, has_labs, slug_of

every_complete = pytest.mark.parametrize("problem", COMPLETE, ids=slug_of)

# --- rubric ----------------------------------------------------------------------------------------------------------

TAG_WEIGHTS = {("clarify",): 7, ("capacity",): 6, ("architecture",): 7, ("deep_dive", "infra"): 50, ("eval",): 10, ("monitoring",): 10}
TAG_WEIGHTS[("gotchas", "more_time")] = 10


def rubric_of(problem: Problem) -> Rubric:
    assert problem.rubric
    return problem.rubric


@every_complete
def test_rubric_has_six_signals_with_distinct_levels(problem: Problem) -> None:
    signals = rubric_of(problem).signals
    assert len({signal.key for signal in signals}) == 6
    sentences = [sentence for signal in signals for sentence in signal.levels.model_dump().values()]
    assert len(set(sentences)) == 24
    assert all(len(sentence.split()) >= 6 for sentence in sentences)


@every_complete
def test_rubric_items_are_the_checklists(problem: Problem) -> None:
    items = [item.id for item in rubric_of(problem).items]
    checklist = [item.id for phase in problem.phases for item in phase.checklist]
    assert len(set(items)) == len(items)
    assert sorted(items) == sorted(checklist)
    assert 25 <= len(items) <= 45


@every_complete
def test_machine_marks_carry_at_least_forty_of_a_hundred_points(problem: Problem) -> None:
    shares: Counter[str] = Counter()
    for tags, weight in TAG_WEIGHTS.items():
        items = [item for item in rubric_of(problem).items if item.tag in tags]
        assert items, f"nothing is graded under {tags}"
        for item in items:
            shares[item.grade] += weight * item.points / sum(entry.points for entry in items)
    assert 100 - shares["text"] >= 40
    assert shares["mention"] <= 10


@every_complete
def test_rubric_needs_resolve(problem: Problem) -> None:
    interviewer = interviewer_of(problem)
    facts, curveballs = {fact.id for fact in interviewer.facts}, {ball.key for ball in interviewer.curveballs}
    for item in rubric_of(problem).items:
        for need in item.needs:
            match item.grade:
                case "fact":
                    assert need in facts, item.id
                case "curveball":
                    assert need in curveballs, item.id
                case "number":
                    check_output(problem, *need.split("."))
                case "run":
                    assert names_in(need), item.id


def check_output(problem: Problem, calculator: str, output: str) -> None:
    found = problem.calculator(calculator)
    assert found and output in {entry.key for entry in found.outputs}, f"{calculator}.{output}"


# --- interviewer -----------------------------------------------------------------------------------------------------


def interviewer_of(problem: Problem) -> Interviewer:
    assert problem.interviewer
    return problem.interviewer


@every_complete
def test_facts_feed_inputs_that_take_them(problem: Problem) -> None:
    for fact in interviewer_of(problem).facts:
        for value in fact.choices:
            if fact.feeds.calculator:
                key, name = fact.feeds.calculator.split(".")
                calculator = problem.calculator(key)
                assert calculator and evaluate(calculator, {name: value}), fact.id
            if fact.feeds.lab:
                lab, param = fact.feeds.lab.split(".")
                parse_params(get_lab(problem.slug, lab), {param: value})


@every_complete
def test_each_phase_has_probes_that_lead_to_a_point(problem: Problem) -> None:
    items = {item.id for item in rubric_of(problem).items}
    phase_of = {"eval": "evaluation", "monitoring": "evaluation", "gotchas": "evaluation", "more_time": "evaluation", "infra": "deep_dive"}
    probes = interviewer_of(problem).probes
    counts = Counter(phase_of.get(probe.tag, probe.tag) for probe in probes)
    assert all(counts[key] >= 2 for key in PHASES)
    assert all(not probe.missing or probe.missing in items for probe in probes)


def lab_changes() -> Iterator[Any]:
    for problem in COMPLETE:
        for ball in interviewer_of(problem).curveballs:
            if ball.change:
                yield pytest.param(problem, ball.change, id=f"{problem.slug}-{ball.key}")


def patched(change: LabChange, values: dict[str, Any], defaults: Any) -> dict[str, Any]:
    out = dict(values)
    for patch in change.patch:
        old = out.get(patch.param, getattr(defaults, patch.param))
        out[patch.param] = patch.set if patch.set is not None else old * patch.mul if patch.mul is not None else old + patch.add
    return out


@every_complete
def test_at_least_three_curveballs_change_a_running_lab(problem: Problem) -> None:
    """Where there is a lab to change; without one they are argued."""
    balls = interviewer_of(problem).curveballs
    assert len({ball.key for ball in balls}) == len(balls) >= 3
    assert not has_labs(problem) or sum(ball.change is not None for ball in balls) >= 3


@pytest.mark.parametrize(("problem", "change"), list(lab_changes()))
def test_a_curveball_fits_the_defaults_and_every_preset(problem: Problem, change: LabChange) -> None:
    lab = get_lab(problem.slug, change.lab)
    for values in [{}, dict(change.start), *(dict(preset.values) for preset in lab.presets)]:
        parse_params(lab, patched(change, values, lab.Params()))
    parse_params(lab, patched(change, dict(change.start), lab.Params()) | dict(change.way_back))
    assert not {patch.param for patch in change.patch if patch.lock} & change.way_back.keys(), "the way back moves a locked parameter"


@pytest.mark.slow
@pytest.mark.parametrize(("problem", "change"), list(lab_changes()))
def test_a_curveball_breaks_the_design_and_can_be_recovered_from(problem: Problem, change: LabChange, assets: CachedAssets) -> None:
    lab, start = get_lab(problem.slug, change.lab), dict(change.start)
    broken = patched(change, start, lab.Params())
    assert holds(change.recover, metrics_of(problem, change.lab, start, assets)), "the start already fails"
    assert not holds(change.recover, metrics_of(problem, change.lab, broken, assets)), "the patch changes nothing"
    assert holds(change.recover, metrics_of(problem, change.lab, broken | dict(change.way_back), assets)), "the way back fails"


@pytest.fixture(scope="module")
def assets() -> CachedAssets:
    return CachedAssets(None)


def metrics_of(problem: Problem, lab: str, values: dict[str, Any], assets: CachedAssets) -> dict[str, float | None]:
    result = run_lab(get_lab(problem.slug, lab), values, Context(seed=1, assets=assets))
    return {metric.key: metric.value for metric in result.metrics}


# --- quiz ------------------------------------------------------------------------------------------------------------


def quiz_of(problem: Problem) -> Quiz:
    assert problem.quiz
    return problem.quiz


@every_complete
def test_item_bank_is_composed_as_agreed(problem: Problem) -> None:
    items = quiz_of(problem).items
    kinds = Counter(item.type for item in items)
    least = {"flashcard": 3, "choice": 3, "number": 2, "order": 1, "free": 1, "lab": 2 if has_labs(problem) else 0, "slip": 1}
    assert len(items) >= 14
    assert all(kinds[kind] >= count for kind, count in least.items()), kinds
    assert len({item.id for item in items} | set(quiz_of(problem).retired)) == len(items) + len(quiz_of(problem).retired)
    assert sum(item.phase in ("gotchas", "monitoring") for item in items) >= 3
    assert {"clarify", "capacity", "architecture", "deep_dive", "eval", "gotchas"} <= {item.phase for item in items}


@every_complete
def test_items_explain_and_point_somewhere(problem: Problem) -> None:
    rubric, facts = {item.id for item in rubric_of(problem).items}, {fact.id for fact in problem.coverage}
    for item in quiz_of(problem).items:
        assert len(item.explain.split()) >= 15, item.id
        told = {fact for fact in item.facts if not fact.startswith("qz-")}  # those of the readiness check stand in the questions
        assert set(item.rubric) <= rubric and told <= facts, item.id
        section, _, fragment = item.see.section.partition("#")
        if section:
            check_target(problem, Link("phase", section, {}, fragment))
        if item.see.lab:
            check_preset(get_lab(problem.slug, item.see.lab), item.see.preset)
        assert not item.see.calculator or problem.calculator(item.see.calculator), item.id


@every_complete
def test_length_does_not_give_the_right_option_away(problem: Problem) -> None:
    choices = [item for item in quiz_of(problem).items if isinstance(item, Choice)]
    longest = [max(item.options, key=lambda option: len(option.text)).correct for item in choices]
    assert sum(longest) <= len(choices) / 2


@every_complete
def test_no_two_items_are_nearly_the_same(problem: Problem) -> None:
    shingles = {item.id: grams(item.explain + str(getattr(item, "stem", ""))) for item in quiz_of(problem).items}
    for (one, left), (two, right) in itertools.combinations(shingles.items(), 2):
        assert len(left & right) <= 0.8 * len(left | right), f"{one} and {two}"


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[i:] for i in range(5)), strict=False))


@every_complete
def test_numbers_have_an_answer_that_known_mistakes_do_not_reach(problem: Problem) -> None:
    for item in quiz_of(problem).items:
        if not isinstance(item, Number):
            continue
        for values, truth in answers(problem, item):
            assert math.isfinite(truth) and truth > 0, item.id
            assert not (set(re.findall(r"{(\w+)}", item.stem)) - values.keys()), f"{item.id}: the stem names an input that is not drawn"
            for path in item.wrong:
                assert abs(evaluate_expression(path.when, values) / truth - 1) > 0.05, f"{item.id}: {path.when} is right at {values}"


def answers(problem: Problem, item: Number) -> Iterator[tuple[dict[str, float], float]]:
    answer = item.answer
    if isinstance(answer, CalculatedAnswer):
        calculator = problem.calculator(answer.calculator)
        assert calculator, item.id
        yield {}, evaluate(calculator, answer.inputs).value(answer.output)
    elif isinstance(answer, FormulaAnswer):
        for drawn_values in itertools.product(*(draw.choices for draw in answer.given.values())):
            values = dict(zip(answer.given, drawn_values, strict=True))
            yield values, evaluate_expression(answer.formula, values)
    else:
        yield {}, answer.value


@every_complete
def test_lab_questions_ask_for_parameters_the_lab_takes(problem: Problem) -> None:
    for item in quiz_of(problem).items:
        if isinstance(item, LabQuestion):
            lab = get_lab(problem.slug, item.lab)
            check_preset(lab, item.preset)
            for values in settings_of(item):
                parse_params(lab, values)


@pytest.mark.slow
@every_complete
def test_lab_questions_have_an_answer(problem: Problem, assets: CachedAssets) -> None:
    for item in quiz_of(problem).items:
        if isinstance(item, LabQuestion) and item.ask == "pick":
            runs = [metrics_of(problem, item.lab, values, assets) for values in settings_of(item)]
            assert [holds(item.target, run) for run in runs].count(True) == 1, f"{item.id}: not exactly one setting meets the target"
        elif isinstance(item, LabQuestion):
            assert metrics_of(problem, item.lab, next(settings_of(item)), assets)[item.metric] is not None, item.id


def settings_of(item: LabQuestion) -> Iterator[dict[str, Any]]:
    for varied in itertools.product(*item.vary.values()):
        values = {**item.base, **dict(zip(item.vary, varied, strict=True))}
        changes = [{item.change.param: item.change.frm}, {item.change.param: item.change.to}] if item.change else [{}]
        yield from ({**values, **change} for change in changes)
