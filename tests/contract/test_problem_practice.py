"""Rubric and interviewer of every problem: complete, consistent, and bound to labs and calculators that exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from problems.base import PHASES
from problems.calculators import evaluate
from problems.conditions import holds
from problems.expressions import names_in
from problems.interview_schema import Interviewer, LabChange, Rubric
from problems.schema import Problem
from simulators.assets import CachedAssets
from simulators.driver import run_lab
from simulators.lab import Context
from simulators.params import parse_params
from simulators.registry import get_lab
from tests.contract.problem_checks import COMPLETE, has_labs, slug_of

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
