"""Figures of groups whose difficulty, discrimination and mistakes are known beforehand, and what small groups are not shown."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mlsd_app.challenges.models import State, Submission
from mlsd_app.cohorts.analytics.challenges import ChallengePage, challenge_page, judged_in
from mlsd_app.cohorts.analytics.items import items_page
from mlsd_app.cohorts.analytics.matrix import guess_of, marks_of, random_tau
from mlsd_app.cohorts.analytics.mocks import mock_page
from mlsd_app.cohorts.analytics.overview import cohort_page
from mlsd_app.cohorts.analytics.population import Which, population_of
from mlsd_app.cohorts.analytics.predictions import prediction_rows, topic_rows
from mlsd_app.cohorts.analytics.small import histogram, share, spread
from mlsd_app.cohorts.analytics.wrong import Wrong, near
from mlsd_app.cohorts.item_analysis import item_statistics
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Result
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.interviews.models import Attempt, Claim, RunLink, Verdict
from mlsd_app.quiz.questions import draw
from mlsd_app.quiz.questions.base import kendall_tau
from mlsd_app.quiz.questions.numbers import NumberQuestion
from problems.loader import load_problem
from problems.quiz_schema import Choice
from simulators.registry import get_lab
from tests.web.cohorts.conftest import NOW, House, client_of, mock_fields, quiz_fields
from tests.web.cohorts.group import SLUG, design_judged, foretold, handed_in, learners, metric, mock_taken, quiz_taken, run_made

NUMBER = "ann.raw.bytes"


def rasch(people: int, difficulty: NDArray[np.float64], slope: NDArray[np.float64], seed: int) -> list[list[float | None]]:
    rng = np.random.default_rng(seed)
    ability = rng.normal(size=(people, 1))
    return (rng.random((people, len(difficulty))) < 1 / (1 + np.exp(-slope * (ability - difficulty)))).astype(float).tolist()  # type: ignore[no-any-return]


def names(count: int) -> list[str]:
    return [f"made.up.{n:02}" for n in range(count)]


@pytest.fixture
def quiz(house: House) -> Assignment:
    return house.assignment(quiz_fields())


def page_of(quiz: Assignment, **options: Any) -> Any:
    return items_page(quiz, population_of(quiz), **options)


# --- known groups ----------------------------------------------------------------------------------------------------


def test_difficulty_and_discrimination_come_back(house: House, quiz: Assignment) -> None:
    """The easiest item is the easiest, an item without slope tells nobody apart, one marked upside down is called out."""
    difficulty, slope = np.linspace(-1.5, 1.5, 16), np.full(16, 2.0)
    slope[4], slope[5] = 0.0, -2.0
    quiz_taken(quiz, learners(house, 400), rasch(400, difficulty, slope, seed=3), names(16))
    figures = [row.figures for row in page_of(quiz).rows]
    sound = [figures[i] for i in range(16) if i not in (4, 5)]
    assert [one["facility"] for one in sound] == sorted((one["facility"] for one in sound), reverse=True)
    assert all(one["discrimination"] > 25 and not one["against"] for one in sound)
    assert abs(figures[4]["discrimination"]) < 15
    assert figures[5]["discrimination"] < -25 and figures[5]["against"]


def test_the_page_is_what_the_pure_functions_say(house: House, quiz: Assignment) -> None:
    marks = rasch(120, np.linspace(-1, 1, 6), np.ones(6), seed=5)
    quiz_taken(quiz, learners(house, 120), marks, names(6))
    found, expected = page_of(quiz), item_statistics(np.array(marks, dtype=float), np.ones(6))
    for row, item in zip(found.rows, expected, strict=True):
        assert row.figures["discrimination"] == pytest.approx(item.discrimination, abs=1e-9)
        assert row.figures["facility"] == pytest.approx(item.facility, abs=1e-12)
    assert found.totals.n == 120 and sum(found.totals.counts) == 120


def test_what_comes_after_the_last_answer_was_not_reached(house: House, quiz: Assignment) -> None:
    quiz_taken(quiz, learners(house, 2), [[1, None, 1, None], [None, 1, None, None]], names(4))
    marks = marks_of(quiz, population_of(quiz)).values
    assert np.array_equal(marks, [[1, 0, 1, np.nan], [0, 1, np.nan, np.nan]], equal_nan=True)


def test_an_answer_that_nobody_marked_is_no_zero(house: House, quiz: Assignment) -> None:
    quiz_taken(quiz, learners(house, 3), [[1.0, 1.0]] * 3, names(2))
    quiz.attempts.first().sitting.responses.filter(place=0).update(mark=None, state="ungraded")  # type: ignore[union-attr]
    marks = marks_of(quiz, population_of(quiz))
    assert np.isnan(marks.values[:, 0]).sum() == 1 and marks.columns[0].unmarked == 1


def test_revisions_stand_apart_unless_they_are_pooled(house: House, quiz: Assignment) -> None:
    people = learners(house, 12)
    quiz_taken(quiz, people[:6], [[1.0]] * 6, names(1), rev=1)
    quiz_taken(quiz, people[6:], [[0.0]] * 6, names(1), rev=2)
    assert [(row.column.revision, row.figures["facility"]) for row in page_of(quiz).rows] == [("1", 1.0), ("2", 0.0)]
    assert [(row.column.revision, row.figures["facility"]) for row in page_of(quiz, pooled=True).rows] == [("", 0.5)]


def test_first_tries_or_those_that_count_and_running_ones_never(house: House, quiz: Assignment) -> None:
    people = learners(house, 3)
    first = quiz_taken(quiz, people, [[0.0]] * 3, names(1))
    second = quiz_taken(quiz, people[:2], [[1.0]] * 2, names(1), number=2)
    quiz_taken(quiz, people[2:], [[1.0]], names(1), number=2, closed=False)
    quiz_taken(quiz, learners(house, 1, start=3), [[1.0]], names(1), closed=False)
    Result.objects.create(assignment=quiz, user=people[0], counted=first[0])
    assert {row.pk for row in population_of(quiz).tries} == {row.pk for row in first}
    counted = population_of(quiz, "counted")
    assert {row.pk for row in counted.tries} == {first[0].pk, second[1].pk, first[2].pk}
    assert (counted.began, counted.running) == (4, 1)


def test_void_tries_count_for_nothing(house: House) -> None:
    mock, (one, other) = house.assignment(mock_fields()), learners(house, 2)
    mock_taken(mock, one)
    void = mock_taken(mock, other)
    Attempt.objects.filter(pk=void.attempt_id).update(status="void")
    assert [row.user_id for row in population_of(mock).tries] == [one.pk]


def test_five_hundred_people_and_forty_items_within_a_second(house: House, quiz: Assignment) -> None:
    quiz_taken(quiz, learners(house, 500), rasch(500, np.linspace(-2, 2, 40), np.ones(40), seed=1), names(40))
    begun = time.process_time()
    page = page_of(quiz)
    assert time.process_time() - begun <= 1.0
    assert len(page.rows) == 40 and page.n == 500


# --- small groups ----------------------------------------------------------------------------------------------------

GROUPED = ("discrimination", "discrimination_ci", "efficiency", "effective_weight", "against")
SINGLE = ("facility", "facility_ci", "sd")


@pytest.mark.parametrize("people", [1, 4, 5, 29, 30, 99, 100])
def test_no_figure_that_the_group_cannot_carry_leaves(house: House, quiz: Assignment, people: int) -> None:
    """In the page, its charts and the API: null with a reason, and the page says what is lacking."""
    quiz_taken(quiz, learners(house, people), rasch(people, np.linspace(-1, 1, 8), np.full(8, 2.0), seed=people), names(8))
    client = client_of(house.owner)
    answer = client.get(f"/api/v1/assignments/{quiz.pk}/items").json()
    html = client.get(f"/cohorts/{house.cohort.pk}/assignments/{quiz.pk}/analytics/").content.decode()
    for item in answer["items"]:
        assert [item[name] is None for name in GROUPED[:1] + GROUPED[2:4]] == [people < 30] * 3
        assert all((item[name] is None) == (people < 5) for name in SINGLE)
        assert (item["discrimination_ci"] is not None) == (30 <= people < 100)
        assert item["hidden_reason"] == ("n<30" if people < 30 else "")
        assert bool(item["curve"]) == (people >= 30)
    assert (answer["whole"]["alpha"] is None) == (people < 30)
    assert (answer["whole"]["mean"] is None) == (people < 5)
    assert bool(answer["whole"]["totals"]["counts"]) == (people >= 5)
    assert (f"needs 30, has {people}" in html) == (people < 30)
    assert ('"scores"' in html) == (people >= 5) and ('"curves"' in html) == (people >= 30)


def test_hidden_figures_are_in_no_export_either(house: House, quiz: Assignment) -> None:
    """What a figure would have been stands nowhere in the answers of a group of 12."""
    marks = rasch(12, np.linspace(-1, 1, 8), np.full(8, 2.0), seed=2)
    quiz_taken(quiz, learners(house, 12), marks, names(8))
    hidden = [item.discrimination for item in item_statistics(np.array(marks, dtype=float), np.ones(8)) if item.discrimination]
    client = client_of(house.owner)
    urls = [f"/cohorts/{house.cohort.pk}/assignments/{quiz.pk}/analytics/", f"/api/v1/assignments/{quiz.pk}/items"]
    urls += [f"/api/v1/assignments/{quiz.pk}/analytics", f"/api/v1/cohorts/{house.cohort.pk}/analytics"]
    for url in urls:
        body = client.get(url).content.decode()
        assert not [value for value in hidden if f"{value:.4f}"[:7] in body], url


@pytest.mark.parametrize("n", range(8))
def test_shares_spreads_and_histograms_of_few(n: int) -> None:
    found = [share(n, n), spread([1.0] * n), histogram([1.0] * n, (0, 1, 2))]
    assert [one.n for one in found] == [n] * 3
    assert all(bool(one.hidden_reason) == (n < 5) for one in found)
    assert (found[0].value is None) == (found[1].median is None) == (not found[2].counts) == (n < 5)


def test_a_histogram_loses_nobody() -> None:
    values = [-3.0, 0, 5, 9.99, 10, 20, 25]
    assert sum(histogram(values, (0, 10, 20)).counts) == len(values)


# --- wrong numbers ---------------------------------------------------------------------------------------------------


def test_a_group_that_writes_bits_for_bytes_is_seen(house: House, quiz: Assignment) -> None:
    problem = load_problem(SLUG)
    item = next(item for item in problem.quiz.items if item.id == NUMBER)  # type: ignore[union-attr]
    question = draw(item, problem, 7)
    assert isinstance(question, NumberQuestion)
    truth = question.solution.truth
    right, eight = ({"text": f"{factor * truth.value:.12g} {truth.unit}"} for factor in (1, 8))
    given = [[right]] * 12 + [[eight]] * 7 + [[{"text": f"{17 * truth.value:.9g} {truth.unit}"}]]
    quiz_taken(quiz, learners(house, 20), [[1.0]] * 12 + [[0.0]] * 8, [NUMBER], given=given, rev=item.rev)
    [cluster] = page_of(quiz).rows[0].clusters
    assert (cluster.count, cluster.n) == (7, 20) and cluster.ratio == pytest.approx(8, rel=0.01) and cluster.words
    assert client_of(house.owner).get(f"/api/v1/assignments/{quiz.pk}/items").json()["items"][0]["wrong"][0]["count"] == 7


def test_neighbours_group_and_no_group_is_wider_than_five_percent() -> None:
    rng = np.random.default_rng(0)
    ratios = [float(value) for value in np.exp(rng.normal(size=300))]
    groups = list(near(Wrong(ratio, "") for ratio in ratios))
    assert sorted(one.ratio for group in groups for one in group) == sorted(ratios)
    assert all(group[-1].ratio <= 1.05 * group[0].ratio for group in groups)


# --- guessing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines", range(3, 8))
def test_the_mark_of_a_random_order(lines: int) -> None:
    taus = [max(0.0, kendall_tau(order)) for order in itertools.permutations(range(lines))]
    assert random_tau(lines) == pytest.approx(float(np.mean(taus)), abs=1e-12)


def test_the_mark_of_a_random_choice_is_that_of_every_choice_tried() -> None:
    problem = load_problem(SLUG)
    assert problem.quiz
    for item in problem.quiz.items:
        if isinstance(item, Choice):
            question = draw(item, problem, 1)
            sizes = range(1, len(item.options) + 1) if item.multiple else (1,)
            picks = [pick for size in sizes for pick in itertools.combinations(range(len(item.options)), size)]
            marks = [question.mark({"picked": list(pick)}).mark for pick in picks]
            assert guess_of(item) == pytest.approx(float(np.mean(marks)), abs=1e-12)


# --- mocks -----------------------------------------------------------------------------------------------------------


def test_time_is_told_in_parts_of_ones_own(house: House) -> None:
    """Six people use half of their time; one of them has half as much again, which shows nowhere."""
    mock, people = house.assignment(mock_fields()), learners(house, 6)
    for user in people:
        mock_taken(mock, user, share=0.5, multiplier=1.5 if user is people[0] else 1.0)
    page = mock_page(mock, population_of(mock))
    assert page.phases[0].time.n == 6
    assert all(row.time.least == pytest.approx(row.time.most or 0, abs=1e-6) for row in page.phases)
    assert sum(row.time.median or 0 for row in page.phases) > 0


def test_scores_claims_and_verdicts_of_a_group(house: House) -> None:
    mock, people = house.assignment(mock_fields()), learners(house, 8)
    for place, user in enumerate(people):
        attempt = mock_taken(mock, user).attempt
        Verdict.objects.create(
            attempt=attempt, rule_version=1, level="senior", verdict="hire" if place < 6 else "", score=10.0 * place, state="auto"
        )
        claimed = "supported" if place < 2 else "untested"
        Claim.objects.create(attempt=attempt, field="text/capacity", quote="q", start=0, end=1, verdict=claimed, at=NOW)
    page = mock_page(mock, population_of(mock))
    assert (page.score.n, page.score.least, page.score.median, page.score.most) == (8, 0, 35, 70)
    assert page.verdicts == (("hire", "Graded by rule", 6), ("not enough graded", "Graded by rule", 2))
    assert dict(page.claims)["supported"].value == pytest.approx(0.25) and page.no_number.hits == 8
    html = client_of(house.people["grader"]).get(f"/cohorts/{house.cohort.pk}/assignments/{mock.pk}/analytics/").content.decode()
    assert "Surname" not in html and "zz1" not in html.lower()


def test_nobody_and_the_empty_cohort_have_pages(house: House, quiz: Assignment) -> None:
    client = client_of(house.owner)
    for row in (quiz, house.assignment(mock_fields())):
        answer = client.get(f"/cohorts/{house.cohort.pk}/assignments/{row.pk}/analytics/")
        assert answer.status_code == 200 and "Nobody has handed in yet" in answer.content.decode()
        assert client.get(f"/api/v1/assignments/{row.pk}/analytics").json()["n"] == 0
    assert cohort_page(house.cohort, NOW).scores.counts == ()


def test_only_interviews_have_verdicts(house: House, quiz: Assignment) -> None:
    mock, user = house.assignment(mock_fields()), learners(house, 1)[0]
    for row, verdict in ((quiz, ""), (mock, "hire")):
        Result.objects.create(assignment=row, user=user, score=60.0, verdict=verdict, state="graded")
    page = cohort_page(house.cohort, NOW)
    assert page.score.n == 2 and [(verdict, count) for verdict, _, count in page.verdicts] == [("hire", 1)]


def test_weeks_count_people_once(house: House, quiz: Assignment) -> None:
    quiz_taken(quiz, learners(house, 7), [[1.0, 0.0]] * 7, names(2))
    weeks = cohort_page(house.cohort, NOW + timedelta(days=1)).weeks
    assert weeks[-1][1] == 7 and not any(count for _, count in weeks[:-1])


# --- challenges ------------------------------------------------------------------------------------------------------

LAB = get_lab("ads_ctr", "ctr_models")
TASK = LAB.challenges[0]
CLOSED, SIZE = TASK.assertions[0], TASK.assertions[2]
GOOD: dict[str, float | None] = {one.metric: one.target * (1.1 if one.op == ">=" else 0.9) for one in TASK.assertions}


def gave(**values: float | None) -> Callable[[int], dict[str, float | None]]:
    """Every seed the same: holds all assertions, but for `values`."""
    return lambda n: {**GOOD, **values}


@pytest.fixture
def task(house: House) -> Assignment:
    settings = {"lab": LAB.slug, "challenge": TASK.slug}
    fields = {"title": "Design", "kind": "challenge", "problem": LAB.problem, "settings": settings, "attempts_allowed": 2}
    return house.assignment(AssignmentFields.model_validate(fields))


def challenge_in(task: Assignment, which: Which = "first") -> ChallengePage:
    page = challenge_page(task, population_of(task, which))
    assert page is not None
    return page


def submitted(row: AssignedAttempt, values: Callable[[int], dict[str, float | None]] = lambda n: GOOD, **design: Any) -> Submission:
    return design_judged(row, LAB, TASK, design, values)


def test_designs_are_counted_as_they_were_judged(house: House, task: Assignment) -> None:
    """Of six, one passes at once, one in three, two never for one ceiling each, one had nothing judged, one only runs in the lab."""
    rows = [handed_in(task, user) for user in learners(house, 6)]
    submitted(rows[0], dim=8)
    submitted(rows[1], gave(closed=10.0, table_params=90_000.0))
    submitted(rows[1], gave(table_params=90_000.0))
    submitted(rows[1], dim=16)
    submitted(rows[2], gave(table_params=90_000.0))
    submitted(rows[3], gave(closed=None))
    Submission.objects.filter(pk=submitted(rows[4]).pk).update(state=State.CANCELLED, verdict="", grade={})
    run_made(rows[5].user, LAB, [metric(name, value) for name, value in GOOD.items()], at=NOW + timedelta(minutes=5), params=TASK.world)
    page = challenge_in(task)
    assert (page.n, page.judged, page.designs) == (6, 4, 6) and (page.passed.hits, page.passed.n) == (2, 6)
    assert page.submissions.n == 4 and page.submissions_to_pass.n == 2
    by_name = dict(zip((one.metric for one in TASK.assertions), page.assertions, strict=True))
    assert (by_name["closed"].passed.hits, by_name["closed"].first) == (3, 2)
    assert (by_name["table_params"].passed.hits, by_name["table_params"].first) == (3, 1)
    assert {row.passed.n for row in page.assertions} == {4} and by_name["macs"].passed.hits == 4
    assert (page.runs_used.n, page.runs_used.most) == (6, 1)


def test_submissions_to_pass_are_those_of_whoever_passed(house: House, task: Assignment) -> None:
    for place, user in enumerate(learners(house, 6)):
        row = handed_in(task, user)
        for _ in range(place):
            submitted(row, gave(closed=10.0))
        submitted(row)
    page = challenge_in(task)
    assert (page.submissions_to_pass.least, page.submissions_to_pass.median, page.submissions_to_pass.most) == (1, 3.5, 6)
    assert page.passed.value == 1 and page.assertions[0].first == 5


def test_designs_that_pass_are_told_apart_by_their_choices(house: House, task: Assignment) -> None:
    """Numbers make no other kind, a person counts once a kind, and what failed is none."""
    rows = [handed_in(task, user) for user in learners(house, 3)]
    for dim in (8, 16):
        submitted(rows[0], dim=dim, recalibrate=True)
    submitted(rows[1], dim=32, recalibrate=True)
    submitted(rows[1], recalibrate=False)
    submitted(rows[2], gave(closed=10.0), ad_content=False)
    kinds = challenge_in(task).kinds
    assert [count for _, count in kinds] == [2, 1]
    assert "recalibrate: on" in kinds[0][0] and "recalibrate: off" in kinds[1][0] and "dim" not in kinds[0][0]


def test_only_the_try_that_counts_is_looked_at(house: House, task: Assignment) -> None:
    user = learners(house, 1)[0]
    first, second = handed_in(task, user), handed_in(task, user, number=2, minutes=90)
    submitted(first, gave(closed=10.0))
    same = submitted(second)
    running = handed_in(task, learners(house, 1, start=1)[0], done=False)
    submitted(running)
    Result.objects.create(assignment=task, user=user, counted=second)
    assert [challenge_in(task, which).passed.hits for which in ("first", "counted")] == [0, 1]
    assert judged_in([first, second])[user.pk][1] == same and running.user_id not in judged_in([first, second])


def test_a_design_whose_outcome_the_seed_decides_is_called_so(house: House, task: Assignment) -> None:
    row = handed_in(task, learners(house, 1)[0])
    submitted(row)
    submitted(row, gave(closed=10.0))
    assert (challenge_in(task).flipping, challenge_in(task).designs) == (0, 2)
    made = submitted(row, lambda n: {**GOOD, "closed": CLOSED.target + (9 if n % 2 else -8)})
    assert made.verdict in ("pass", "narrow_pass") and (challenge_in(task).flipping, challenge_in(task).designs) == (1, 3)


def test_what_an_earlier_version_was_judged_by_stays_apart(house: House, task: Assignment) -> None:
    """The verdict stands; of the assertions those that read the same then, and its seeds say nothing of the lab as it is."""
    row = handed_in(task, learners(house, 1)[0])
    made = submitted(row)
    checks = [{**item, "target": 1.0} if item["metric"] == SIZE.metric else item for item in made.grade["assertions"]]
    Submission.objects.filter(pk=made.pk).update(lab_version=LAB.version + 1, grade={**made.grade, "assertions": checks})
    page = challenge_in(task)
    assert page.passed.hits == 1 and page.designs == 0
    assert [one.passed.n for one in page.assertions] == [int(item.metric != SIZE.metric) for item in TASK.assertions]


@pytest.mark.parametrize("people", [4, 5])
def test_a_challenge_of_few_has_counts_only(house: House, task: Assignment, people: int) -> None:
    for user in learners(house, people):
        submitted(handed_in(task, user))
    client = client_of(house.owner)
    answer = client.get(f"/api/v1/assignments/{task.pk}/analytics").json()["figures"]["challenge"]
    assert answer["passed"]["hits"] == people and (answer["passed"]["value"] is None) == (people < 5)
    assert (answer["submissions_to_pass"]["median"] is None) == (answer["assertions"][0]["passed"]["value"] is None) == (people < 5)
    html = client.get(f"/cohorts/{house.cohort.pk}/assignments/{task.pk}/analytics/").content.decode()
    assert ("Too few people" in html) == (people < 5) and "Surname" not in html


# --- predictions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def guess(house: House) -> Assignment:
    settings = {"lab": LAB.slug, "preset": "", "metrics": [CLOSED.metric]}
    fields = {"title": "Guess", "kind": "prediction", "problem": LAB.problem, "settings": settings}
    return house.assignment(AssignmentFields.model_validate(fields))


def test_ranges_of_interviews_and_of_assignments_stand_together(house: House, guess: Assignment) -> None:
    """In one lab: two held in an interview, four of assignments held, one missed; those that say nothing of a guess are left out."""
    people = learners(house, 8)
    mock = house.assignment(mock_fields())
    said = {"metric": CLOSED.metric, "lower": 40.0, "upper": 60.0}
    for user in people[:2]:
        run = run_made(user, LAB, [metric(CLOSED.metric, 50.0)])
        RunLink.objects.create(attempt=mock_taken(mock, user).attempt, run=run, number=1, phase="capacity", at=NOW, prediction=said)
    for place, user in enumerate(people[1:6]):
        foretold(handed_in(guess, user), CLOSED.metric, 20.0, 80.0, 90.0 if place == 0 else 50.0)
    foretold(handed_in(guess, people[6]), CLOSED.metric, 1.0, 99.0, 50.0, seen_before=True)
    foretold(handed_in(guess, people[7]), CLOSED.metric, 1.0, 99.0, None)
    [row] = topic_rows(house.cohort, "first")
    assert (row.topic, row.people, row.hits.hits, row.hits.n) == (LAB.title, 6, 6, 7)
    assert (row.width.least, row.width.median, row.width.most) == (1.5, 4, 4)
    assert LAB.title in client_of(house.owner).get(f"/cohorts/{house.cohort.pk}/analytics/").content.decode()


def test_many_ranges_of_few_people_are_counts_only(house: House, guess: Assignment) -> None:
    for user in learners(house, 4):
        row = handed_in(guess, user)
        for name in ("a", "b", "c"):
            foretold(row, name, 1.0, 2.0, 1.5)
    [row] = topic_rows(house.cohort, "first")
    assert (row.people, row.hits.hits, row.hits.n) == (4, 12, 12)
    assert row.hits.value is None and row.hits.interval is None and row.width.median is None
    answer = client_of(house.owner).get(f"/api/v1/cohorts/{house.cohort.pk}/analytics").json()["figures"]["predictions"]
    assert [item["hits"]["value"] for item in answer] == [None]


def test_ranges_of_one_try_a_person(house: House, guess: Assignment) -> None:
    user = learners(house, 1)[0]
    first, second = handed_in(guess, user), handed_in(guess, user, number=2)
    foretold(first, CLOSED.metric, 1.0, 2.0, 50.0)
    foretold(second, CLOSED.metric, 40.0, 60.0, 50.0)
    Result.objects.create(assignment=guess, user=user, counted=second)
    foretold(handed_in(guess, learners(house, 1, start=1)[0], done=False), CLOSED.metric, 1.0, 2.0, 50.0)
    hits = {which: topic_rows(house.cohort, which)[0].hits for which in ("first", "counted")}
    assert {which: (one.hits, one.n) for which, one in hits.items()} == {"first": (0, 1), "counted": (1, 1)}


def test_a_prediction_has_figures_of_its_own(house: House, guess: Assignment) -> None:
    """One try a person; whoever had run it before is left out, and no name is told."""
    people = learners(house, 6)
    for place, user in enumerate(people[:5]):
        foretold(handed_in(guess, user), CLOSED.metric, 40.0, 60.0, 80.0 if place == 0 else 50.0, score=20.0)
        foretold(handed_in(guess, user, number=2), CLOSED.metric, 0.0, 99.0, 50.0, score=99.0)
    foretold(handed_in(guess, people[5]), CLOSED.metric, 50.0, 50.0, 50.0, seen_before=True)
    [row] = prediction_rows(guess, population_of(guess))
    assert (row.people, row.hits.n, row.hits.hits, row.hits.value, row.seen) == (5, 5, 4, 0.8, 1)
    assert (row.width.median, row.score.mean, row.factor) == (20.0, 20.0, False)
    page = client_of(house.people["grader"]).get(f"/cohorts/{house.cohort.pk}/assignments/{guess.pk}/analytics/").content.decode()
    assert "How the intervals held" in page and "4 of 5" in page and "no figures" not in page and people[0].shown_name not in page
    answer = client_of(house.owner).get(f"/api/v1/assignments/{guess.pk}/analytics").json()["figures"]["predictions"]
    assert [item["hits"]["value"] for item in answer] == [0.8]


def test_many_tries_of_few_people_are_counts_only(house: House, guess: Assignment) -> None:
    for user in learners(house, 2):
        for number in (1, 2, 3):
            foretold(handed_in(guess, user, number=number), CLOSED.metric, 40.0, 60.0, 50.0, score=20.0)
    [row] = prediction_rows(guess, population_of(guess))
    assert row.hits.hidden_reason == row.width.hidden_reason == "n<5" and (row.hits.value, row.width.median, row.score.mean) == (None,) * 3
    for path in (f"/cohorts/{house.cohort.pk}/assignments/{guess.pk}/", f"/cohorts/{house.cohort.pk}/assignments/{guess.pk}/analytics/"):
        page = client_of(house.owner).get(path).content.decode()
        assert "100&nbsp;%" not in page and "100\N{NO-BREAK SPACE}%" not in page and "Mean interval score</td>" not in page
