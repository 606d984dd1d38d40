"""The links of a problem's drills open the lab at the very design that the drill breaks."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.http import QueryDict

from mlsd_app.catalog.templatetags.walkthrough import drill_url
from mlsd_app.runs.forms import params_from_query
from problems.interview_schema import Curveball
from problems.loader import all_problems
from problems.schema import Problem
from simulators.params import parse_params
from simulators.registry import get_lab

DRILLS = [
    pytest.param(problem, ball, id=f"{problem.slug}-{ball.key}")
    for problem in all_problems()
    for ball in (problem.interviewer.curveballs if problem.interviewer else ())
]


@pytest.mark.parametrize(("problem", "ball"), DRILLS)
def test_the_address_of_a_drill_says_its_start(problem: Problem, ball: Curveball) -> None:
    address = drill_url(problem, ball)
    assert bool(address) == bool(ball.change)
    if ball.change:
        lab = get_lab(problem.slug, ball.change.lab)
        opened = params_from_query(lab, QueryDict(urlsplit(address).query))
        assert parse_params(lab, opened) == parse_params(lab, ball.change.start)
