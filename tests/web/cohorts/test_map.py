"""The trade-off map: which runs may stand on one picture, which of them nobody has beaten, and who sees what of them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.models import Assignment
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.trade_map import Asked, TradeMap, map_figure, thinned, trade_map
from mlsd_app.cohorts.worlds import comparable, runs_in, set_world, world_fields
from mlsd_app.runs.compare import Point, Quantity, RunMetrics, map_points
from simulators.errors import InvalidInput
from simulators.registry import get_lab, labs
from tests.web.cohorts.conftest import NOW, House, client_of
from tests.web.cohorts.group import handed_in, learners, metric, run_made

UP, DOWN = "up", "down"
LAB = get_lab("ads_ctr", "ctr_models")
TASK = LAB.challenges[0]
OPEN_DAYS = 30_000  # pages and API ask the real clock


def beaten(point: Point, others: list[Point], x: str, y: str) -> bool:
    """By brute force: somebody is as good in both and better in one."""
    sx, sy = (1 if x == UP else -1), (1 if y == UP else -1)
    here = (sx * point.x, sy * point.y)
    there = [(sx * other.x, sy * other.y) for other in others]
    return any(a >= here[0] and b >= here[1] and (a, b) != here for a, b in there)


@pytest.mark.parametrize("x", [UP, DOWN])
@pytest.mark.parametrize("y", [UP, DOWN])
@pytest.mark.parametrize("grid", [4, 1000])
def test_the_front_is_what_brute_force_finds(x: str, y: str, grid: int) -> None:
    """Also with ties: a coarse grid makes many."""
    for seed in range(20):
        values = np.random.default_rng(seed).integers(0, grid, size=(60, 2))
        runs = [
            RunMetrics(str(n), {}, [metric("a", float(a), better=x), metric("b", float(b), better=y)]) for n, (a, b) in enumerate(values)
        ]
        points = map_points(runs, Quantity("a", "A", "", x), Quantity("b", "B", "", y))
        assert [point.best for point in points] == [not beaten(point, points, x, y) for point in points]


@pytest.mark.parametrize("count", [10, 400])
def test_thinning_keeps_the_front_and_draws_the_same_again(count: int) -> None:
    rng = np.random.default_rng(1)
    runs = [RunMetrics(str(n), {}, [metric("a", float(a)), metric("b", float(b))]) for n, (a, b) in enumerate(rng.normal(size=(count, 2)))]
    points = map_points(runs, Quantity("a", "A", "", UP), Quantity("b", "B", "", UP))
    kept = thinned(points, 50, seed=7)
    assert len(kept) == min(count, 50) and kept == thinned(points, 50, seed=7)
    assert {point.run for point in points if point.best} <= {point.run for point in kept}
    assert [point.run for point in kept] == sorted((point.run for point in kept), key=int)


def test_the_reservoir_prefers_nobody() -> None:
    """Over many draws each point behind the front is kept about as often as any other."""
    points = [Point(str(n), "", float(n), float(-n), {}, best=False) for n in range(40)]
    counts = np.zeros(40)
    for seed in range(600):
        counts[[int(point.run) for point in thinned(points, 10, seed=seed)]] += 1
    assert counts.min() > 100 and counts.max() < 200  # 150 expected, 10.6 is the standard deviation


def test_every_lab_says_what_its_world_is() -> None:
    for lab in labs().values():
        fields = world_fields(lab)
        assert set(fields) <= lab.Params.model_fields.keys()
        assert not {name for challenge in lab.challenges for name in challenge.design} & set(fields)


# --- an assignment ---------------------------------------------------------------------------------------------------


@pytest.fixture
def task(house: House) -> Assignment:
    fields = {"title": "Design", "kind": "challenge", "problem": LAB.problem, "settings": {"lab": LAB.slug, "challenge": TASK.slug}}
    return house.assignment(AssignmentFields.model_validate({**fields, "closes_at": NOW + timedelta(days=OPEN_DAYS)}))


def ran(user: User, closed: float, size: float, *, params: dict[str, Any] | None = None, minutes: int = 10, **changes: Any) -> Any:
    metrics = [
        metric("closed", closed, unit="%"),
        metric("table_params", size, better=DOWN, unit="numbers"),
        metric("macs", 7.0, better=DOWN),
    ]
    return run_made(user, LAB, metrics, at=NOW + timedelta(minutes=minutes), params={**TASK.world, **(params or {})}, **changes)


def shown(user: User, task: Assignment, days: float = 0, **asked: Any) -> TradeMap:
    chosen = Asked(**{"x": "table_params", "y": "closed", **asked})
    return trade_map(user=user, assignment=task, asked=chosen, now=NOW + timedelta(days=days))


@pytest.fixture
def people(house: House, task: Assignment) -> list[User]:
    """Six who handed in one run each, and the house's learner, who handed in two."""
    found = [*learners(house, 6), house.learner]
    for place, user in enumerate(found):
        handed_in(task, user)
        ran(user, 50 + place, 1000 * (1 + place), params={"dim": 20 + place})
    ran(house.learner, 10, 9000)
    return found


def test_only_runs_between_beginning_and_handing_in_count(house: House, task: Assignment, people: list[User]) -> None:
    ran(people[0], 99, 1, minutes=-5)
    ran(people[0], 99, 1, minutes=65)
    running = learners(house, 1, start=20)[0]
    handed_in(task, running, done=False)
    ran(running, 99, 1)
    assert len(runs_in(task, LAB)) == 8


def test_worlds_seeds_versions_and_own_data_are_kept_apart(house: House, task: Assignment, people: list[User]) -> None:
    ran(people[0], 99, 1, params={"rows": 100_000})
    ran(people[0], 99, 1, seed=3)
    ran(people[0], 99, 1, lab_version=LAB.version + 1)
    found = comparable(task, LAB, runs_in(task, LAB))
    assert (len(found.runs), found.other_worlds, found.other_versions, found.seed) == (8, 2, 1, 0)
    assert dict(found.world) == set_world(LAB, TASK)
    assert all(item.run.params["rows"] == 200_000 for item in found.runs)
    page = shown(house.owner, task)
    assert (page.other_worlds, page.other_versions, len(page.dots)) == (2, 1, 8)


def test_learners_see_it_from_five_people_on(house: House, task: Assignment) -> None:
    found = learners(house, 4)
    for user in [*found, house.learner][:4]:
        handed_in(task, user)
        ran(user, 50, 1000)
    handed_in(task, house.learner)
    assert shown(house.learner, task).hidden and not shown(house.learner, task).dots
    assert shown(house.people["grader"], task).hidden
    assert len(shown(house.owner, task).dots) == 4
    ran(house.learner, 60, 2000)
    assert len(shown(house.learner, task).dots) == 5 and len(shown(house.people["grader"], task).dots) == 5


def test_nothing_before_ones_own_is_handed_in(house: House, task: Assignment, people: list[User]) -> None:
    late = house.other_learner
    for url in (f"/cohorts/{house.cohort.pk}/assignments/{task.pk}/map/", f"/api/v1/assignments/{task.pk}/map"):
        assert client_of(late).get(url).status_code == 403
        assert client_of(house.learner).get(url).status_code == 200
    handed_in(task, late, done=False)
    assert client_of(late).get(f"/api/v1/assignments/{task.pk}/map").status_code == 403


def test_dots_of_others_carry_neither_name_nor_parameters_before_the_close(house: House, task: Assignment, people: list[User]) -> None:
    found = shown(house.learner, task, names=True)
    assert sum(dot.own for dot in found.dots) == 2 and not any(dot.name for dot in found.dots)
    assert all(bool(dot.params) == dot.own for dot in found.dots)
    html = client_of(house.learner).get(f"/cohorts/{house.cohort.pk}/assignments/{task.pk}/map/?names=1").content.decode()
    answer = client_of(house.learner).get(f"/api/v1/assignments/{task.pk}/map?names=true").content.decode()
    for body in (html, answer, str(map_figure(found).plot)):
        assert "Surname" not in body and not re.search(r"\bdim\W{1,5}2[0-5]\b", body)
    assert all(dot.params for dot in shown(house.learner, task, days=OPEN_DAYS + 1).dots)


def test_names_are_for_managers_who_ask(house: House, task: Assignment, people: list[User]) -> None:
    assert not any(dot.name for dot in shown(house.owner, task).dots)
    assert all(dot.name for dot in shown(house.owner, task, names=True).dots)
    for role in ("grader", "observer"):
        assert not any(dot.name for dot in shown(house.people[role], task, names=True).dots)


def test_targets_ceilings_and_units_are_drawn(house: House, task: Assignment, people: list[User]) -> None:
    found = shown(house.owner, task, colour="macs")
    layout, data = map_figure(found).plot["layout"], map_figure(found).plot["data"]
    assert "numbers" in layout["xaxis"]["title"]["text"] and "%" in layout["yaxis"]["title"]["text"]
    labels = [shape["label"]["text"] for shape in layout["shapes"]]
    assert len(labels) == 2 and any("80,000" in label for label in labels)
    assert len(found.front) == 7  # each of the seven is smaller or closer than the others; the eighth is neither
    assert data[0]["marker"]["color"] == [7.0] * 8


def test_the_reference_shows_after_the_close_if_a_result_is_kept(house: House, task: Assignment, people: list[User]) -> None:
    from mlsd_app.runs.services import cache_key
    from simulators.params import parse_params

    params = parse_params(LAB, {**TASK.world, **TASK.reference})
    run = ran(people[0], 80, 500, minutes=-30)
    run.result.cache_key = cache_key(lab=LAB, params=params, seed=0, dataset=None)
    run.result.save()
    assert shown(house.owner, task).reference is None
    late = shown(house.owner, task, days=OPEN_DAYS + 1)
    assert late.reference is not None and (late.reference.x, late.reference.y) == (500, 80)


@pytest.mark.parametrize("asked", [{"lab": "nothing"}, {"x": "nothing"}, {"colour": "nothing"}])
def test_what_is_not_there_is_refused(house: House, task: Assignment, people: list[User], asked: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        shown(house.owner, task, **asked)


def test_the_challenge_page_counts_these_runs_and_judges_none_of_them(house: House, task: Assignment, people: list[User]) -> None:
    answer = client_of(house.owner).get(f"/api/v1/assignments/{task.pk}/analytics").json()["figures"]["challenge"]
    assert (answer["n"], answer["judged"], answer["designs"], answer["passed"]["hits"]) == (7, 0, 0, 0)
    assert answer["runs_used"]["most"] == 2 and {row["passed"]["n"] for row in answer["assertions"]} == {0}
    assert client_of(house.owner).get(f"/cohorts/{house.cohort.pk}/assignments/{task.pk}/analytics/").status_code == 200
