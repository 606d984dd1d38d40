"""Challenges of quick labs, judged as a submission is: what they declare must pass and fail the two stages, too."""

from __future__ import annotations

import pytest

from simulators.challenge import STAGE_1, STAGE_2, Grade, clearly_missed, design_checked, hidden_seeds, judge, run_design
from simulators.lab import Challenge, Lab
from simulators.registry import get_lab

QUICK = [("vector_search", "fleet"), ("experimentation", "assignment")]
SECRET = b"any"


def judged(lab: type[Lab], task: Challenge, design: str) -> Grade:
    values = design_checked(lab, task, getattr(task, design))
    first = run_design(lab, task, values, hidden_seeds(SECRET, f"{task.slug}:{design}", STAGE_1))
    if clearly_missed(task, first):
        return judge(task, first, None)
    return judge(task, first, run_design(lab, task, values, hidden_seeds(SECRET, task.slug, STAGE_2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK, ids="/".join)
def test_reference_and_alternative_pass_naive_and_maxed_fail(name: tuple[str, str]) -> None:
    lab = get_lab(*name)
    for task in lab.challenges:
        grades = {design: judged(lab, task, design) for design in ("reference", "alternative", "naive", "maxed")}
        assert {design: grade.verdict for design, grade in grades.items() if grade.verdict == "fail"} == {"naive": "fail", "maxed": "fail"}
        assert grades["reference"].stage == grades["alternative"].stage == 2
        missed = {item.kind for item in grades["maxed"].assertions if not item.passed}
        assert "ceiling" in missed, "everything at maximum breaks a ceiling"
