"""Rubric and interviewer of every problem: complete, consistent, and bound to labs and calculators that exist."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlsd_app.interviews.interviewer.curveballs import patched
from problems.conditions import holds
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


# --- interviewer -----------------------------------------------------------------------------------------------------


def interviewer_of(problem: Problem) -> Interviewer:
    assert problem.interviewer
    return problem.interviewer


def lab_changes() -> Iterator[Any]:
    for problem in COMPLETE:
        for ball in interviewer_of(problem).curveballs:
            if ball.change:
                yield pytest.param(problem, ball.change, id=f"{problem.slug}-{ball.key}")


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
