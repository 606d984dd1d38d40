"""Challenges and predictions within an assignment: submitted, judged, counted, closed; who sees what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlsd_app.challenges.judging import submission_step
from mlsd_app.challenges.models import State, Submission
from mlsd_app.challenges.services import seeds_of, submission_start
from mlsd_app.cohorts import designs, foretelling
from mlsd_app.cohorts.analytics.population import population_of
from mlsd_app.cohorts.analytics.predictions import prediction_rows
from mlsd_app.cohorts.grading.outcomes import outcomes_of
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Prediction
from mlsd_app.cohorts.services import accommodations
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin, assignment_hand_in, tries_close
from mlsd_app.interviews.refusals import Refused
from mlsd_app.runs.models import Run, RunState
from mlsd_app.runs.services import RunRefused, run_start
from mlsd_app.runs.tasks import run_lab_task
from simulators.errors import InvalidInput
from simulators.lab import Lab
from tests.web.challenges.conftest import TASK
from tests.web.cohorts.conftest import NOW, House, client_of
from tests.web.runs.conftest import Counter, Queue, counter, queue

__all__ = ["counter", "queue"]
PASSING, FAILING = {"n": 5, "rate": 5.0}, {"n": 3, "rate": 1.0}


@pytest.fixture
def lab(counter: type[Lab]) -> Iterator[type[Lab]]:
    Counter.challenges = (TASK,)
    yield counter
    Counter.challenges = ()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def challenge_fields(**changes: Any) -> AssignmentFields:
    settings = {"lab": "counter", "challenge": TASK.slug, "submissions": 5}
    return AssignmentFields.model_validate(
        {"title": "Count", "kind": "challenge", "problem": "vector_search", "settings": settings, **changes}
    )


def prediction_fields(**changes: Any) -> AssignmentFields:
    settings = {"lab": "counter", "preset": "short", "metrics": ["score", "cost"]}
    return AssignmentFields.model_validate(
        {"title": "Guess", "kind": "prediction", "problem": "vector_search", "settings": settings, **changes}
    )


def work(queue: Queue, seconds: float = 1) -> None:
    while queue.sent:
        sent = queue.sent.pop(0)
        if sent["name"] == "challenges.step":
            submission_step(submission_id=sent["args"][0], now=at(seconds))
        else:
            run_lab_task(*sent["args"])


@pytest.fixture
def challenge(house: House, lab: type[Lab]) -> Assignment:
    return house.assignment(challenge_fields())


@pytest.fixture
def prediction(house: House, lab: type[Lab]) -> Assignment:
    return house.assignment(prediction_fields())


def begun(house: House, assignment: Assignment, seconds: float = 0) -> AssignedAttempt:
    return assignment_begin(user=house.learner, assignment=assignment, now=at(seconds))


# --- challenges --------------------------------------------------------------------------------------------------------


def test_the_best_design_of_a_try_counts(house: House, challenge: Assignment, queue: Queue) -> None:
    row = begun(house, challenge)
    designs.design_submit(row=row, design=FAILING, now=at(0))
    work(queue)
    designs.design_submit(row=row, design=PASSING, now=at(61))
    work(queue, 62)
    assignment_hand_in(user=house.learner, row=row, now=at(100))
    found = outcomes_of(assignment=challenge, now=at(101))[house.learner.pk]
    assert (found.score, found.verdict, found.state, found.graded_weight) == (100.0, "pass", "graded", 100.0)


def test_a_failed_design_is_nothing_with_what_held_beside_it(house: House, challenge: Assignment, queue: Queue) -> None:
    row = begun(house, challenge)
    designs.design_submit(row=row, design=FAILING, now=at(0))
    assignment_hand_in(user=house.learner, row=row, now=at(1))
    waiting = outcomes_of(assignment=challenge, now=at(1))[house.learner.pk]
    assert (waiting.score, waiting.state, waiting.open_pieces) == (None, "ungraded", 1), "still being judged"
    work(queue)
    found = outcomes_of(assignment=challenge, now=at(2))[house.learner.pk]
    assert (found.score, found.verdict, found.state) == (0.0, "fail, 1 of 2 held", "graded")


def test_everybody_meets_the_same_secret_seeds_and_they_are_told_after_the_close(house: House, lab: type[Lab], queue: Queue) -> None:
    challenge = house.assignment(challenge_fields(closes_at=at(3600)))
    mine = designs.design_submit(row=begun(house, challenge), design=PASSING, now=at(0))
    work(queue)
    theirs = designs.design_submit(
        row=assignment_begin(user=house.other_learner, assignment=challenge, now=at(0)), design=FAILING, now=at(0)
    )
    practice = submission_start(user=house.people["observer"], lab=lab, challenge=TASK, design=PASSING, now=at(0))
    assert seeds_of(mine, 2) == seeds_of(theirs, 2) != seeds_of(practice, 2)
    assert designs.secret_seeds(challenge, at(3599)) == []
    assert designs.secret_seeds(challenge, at(3600)) == seeds_of(mine, 2)
    accommodations.override_set(
        by=house.by, assignment=challenge, user=house.other_learner, fields={"closes_at": at(7200).isoformat()}, now=NOW
    )
    assert designs.secret_seeds(challenge, at(3600)) == [], "somebody may still submit"
    assert designs.secret_seeds(challenge, at(7200))


def test_the_number_of_designs_is_bounded(house: House, lab: type[Lab], queue: Queue) -> None:
    challenge = house.assignment(challenge_fields(settings={"lab": "counter", "challenge": TASK.slug, "submissions": 1}))
    row = begun(house, challenge)
    designs.design_submit(row=row, design=FAILING, now=at(0))
    work(queue)
    with pytest.raises(RunRefused, match="the most this assignment"):
        designs.design_submit(row=row, design=PASSING, now=at(61))


def test_a_closed_try_takes_no_design(house: House, lab: type[Lab], queue: Queue) -> None:
    challenge = house.assignment(challenge_fields(closes_at=at(3600), attempts_allowed=2))
    row = begun(house, challenge)
    assignment_hand_in(user=house.learner, row=row, now=at(1))
    row.refresh_from_db()
    with pytest.raises(Refused, match="handed in"):
        designs.design_submit(row=row, design=PASSING, now=at(2))
    second = begun(house, challenge, 3)
    with pytest.raises(Refused, match="It closed"):
        designs.design_submit(row=second, design=PASSING, now=at(3600))
    assert not Submission.objects.exists()
    assert tries_close(now=at(3599)) == 0 and tries_close(now=at(3601)) == 1
    second.refresh_from_db()
    assert second.finished_at == at(3600), "as of the close, not of the look"


def test_the_same_design_in_a_second_try_is_judged_once_and_counts_in_both(house: House, lab: type[Lab], queue: Queue) -> None:
    challenge = house.assignment(challenge_fields(attempts_allowed=2))
    first = begun(house, challenge)
    made = designs.design_submit(row=first, design=PASSING, now=at(0))
    work(queue)
    assignment_hand_in(user=house.learner, row=first, now=at(1))
    second = begun(house, challenge, 2)
    assert designs.design_submit(row=second, design=PASSING, now=at(3)) == made
    assert designs.submissions_in(first) == designs.submissions_in(second) == [made]


def test_from_page_to_verdict(house: House, challenge: Assignment, queue: Queue) -> None:
    client, base = client_of(house.learner), f"/cohorts/{challenge.cohort_id}/assignments/{challenge.pk}/"
    opened = client.post(f"{base}begin")
    assert opened.url.endswith("/challenge/") and "Reach a score" in client.get(opened.url).content.decode()
    refused = client.post(opened.url, {"n": "0", "rate": "5"})
    assert refused.status_code == 422 and "Steps: 0 was given" in refused.content.decode()
    sent = client.post(opened.url, {"n": "5", "rate": "5"})
    assert sent.url.startswith(f"{base}submissions/") and "Waiting" in client.get(sent.url).content.decode()
    work(queue)
    assert "Passed" in client.get(sent.url).content.decode()
    for role, status in (("owner", 200), ("instructor", 200), ("observer", 200), ("grader", 404), ("stranger", 404), ("staff", 200)):
        answer = client_of(house.people[role]).get(sent.url)
        assert answer.status_code == status, role
        assert status != 200 or "Cancel</button>" not in answer.content.decode()
    assert client_of(house.other_learner).get(sent.url).status_code == 404
    assert "passed" in client_of(house.owner).get(base).content.decode()
    assert "Submissions" not in client_of(house.people["grader"]).get(base).content.decode(), "it has names"


def test_a_submission_is_seen_in_its_own_assignment_only(house: House, challenge: Assignment, lab: type[Lab], queue: Queue) -> None:
    other = house.assignment(challenge_fields(title="Another"))
    made = designs.design_submit(row=begun(house, challenge), design=PASSING, now=at(0))
    owner = client_of(house.owner)
    assert owner.get(f"/cohorts/{other.cohort_id}/assignments/{other.pk}/submissions/{made.pk}/").status_code == 404
    practice = submission_start(user=house.other_learner, lab=lab, challenge=TASK, design=PASSING, now=at(0))
    assert owner.get(f"/cohorts/{other.cohort_id}/assignments/{challenge.pk}/submissions/{practice.pk}/").status_code == 404, "practice"


# --- predictions -------------------------------------------------------------------------------------------------------


def test_intervals_are_locked_before_the_run_and_scored_after_it(house: House, prediction: Assignment, queue: Queue) -> None:
    row = begun(house, prediction)
    made = foretelling.predictions_lock(row=row, given={"score": (2.0, 4.0), "cost": (4.0, 8.0)}, now=at(0))
    assert [item.truth for item in made] == [None, None] and made[0].run is not None and made[0].run.seed
    foretelling.predictions_lock(row=row, given={"score": (2.9, 3.1), "cost": (2.9, 3.1)}, now=at(1))
    assert [item.lower for item in Prediction.objects.all()] == [2.0, 4.0], "locked"
    work(queue)
    assert foretelling.predictions_resolve(row=row, now=at(2))
    score, cost = Prediction.objects.all()
    assert (score.truth, score.hit, score.scale) == (3.0, True, "linear") and score.score == pytest.approx(2.0)
    assert (cost.truth, cost.hit, cost.scale) == (3.0, False, "log")
    row.refresh_from_db()
    assert row.finished_at == at(2), "the truth ends the try"
    found = outcomes_of(assignment=prediction, now=at(3))[house.learner.pk]
    assert (found.score, found.verdict, found.state) == (None, "1 of 2 held", "graded"), "no marks of a proper score"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"score": (1.0, 2.0)}, "cost"),
        ({"score": (3.0, 2.0), "cost": (1.0, 2.0)}, "score"),
        ({"score": (1.0, 2.0), "cost": (0.0, 2.0)}, "cost"),
    ],
)
def test_all_intervals_or_none(house: House, prediction: Assignment, queue: Queue, given: dict[str, Any], field: str) -> None:
    row = begun(house, prediction)
    with pytest.raises(InvalidInput) as caught:
        foretelling.predictions_lock(row=row, given=given, now=at(0))
    assert caught.value.field == field and not Prediction.objects.exists() and not Run.objects.exists()


def test_a_run_that_fails_leaves_the_intervals_locked_and_can_be_started_again(house: House, prediction: Assignment, queue: Queue) -> None:
    row = begun(house, prediction)
    given = {"score": (2.0, 4.0), "cost": (2.0, 4.0)}
    foretelling.predictions_lock(row=row, given=given, now=at(0))
    queue.sent.clear()
    Run.objects.update(state=RunState.LOST)
    assert not foretelling.predictions_resolve(row=row, now=at(1))
    foretelling.predictions_lock(row=row, given={}, now=at(2))
    work(queue)
    assert foretelling.predictions_catch_up(now=at(3)) == 1
    assert all(item.hit for item in Prediction.objects.all())


def test_whoever_had_run_the_preset_is_left_out_of_the_rates(house: House, prediction: Assignment, lab: type[Lab], queue: Queue) -> None:
    run_start(user=house.learner, lab=lab, values={"n": 3})
    work(queue)
    given = {"score": (2.0, 4.0), "cost": (2.0, 4.0)}
    foretelling.predictions_lock(row=begun(house, prediction), given=given, now=at(0))
    other = assignment_begin(user=house.other_learner, assignment=prediction, now=at(0))
    foretelling.predictions_lock(row=other, given=given, now=at(0))
    work(queue)
    foretelling.predictions_catch_up(now=at(3))
    rows = prediction_rows(prediction, population_of(prediction))
    assert [(row.hits.n, row.hits.hits, row.seen) for row in rows] == [(1, 1, 1), (1, 1, 1)]


def test_only_figures_that_the_lab_is_known_to_give_can_be_asked_for(house: House, lab: type[Lab], queue: Queue) -> None:
    settings = {"lab": "counter", "preset": "short", "metrics": ["score@a"]}
    with pytest.raises(InvalidInput, match="Known are score, cost"):
        house.assignment(prediction_fields(settings=settings))
    run_start(user=house.owner, lab=lab, values={"n": 3})
    work(queue)
    assert house.assignment(prediction_fields(settings=settings)).settings["metrics"] == ["score@a"]
    with pytest.raises(InvalidInput, match="Known are score@a, cost@a"):
        house.assignment(prediction_fields(settings={**settings, "metrics": ["nothing"]}))


def test_the_pages_of_a_prediction(house: House, prediction: Assignment, queue: Queue) -> None:
    client, base = client_of(house.learner), f"/cohorts/{prediction.cohort_id}/assignments/{prediction.pk}/"
    client.post(f"{base}begin")
    page = client.get(base).content.decode()
    assert "Lock and run" in page and "Hand in" not in page and "Counts to three" in page
    url = f"{base}tries/{AssignedAttempt.objects.get().pk}/"
    wrong = client.post(f"{url}predict", {"lower-0": "two", "upper-0": "4", "lower-1": "1", "upper-1": "4"})
    assert wrong.status_code == 422 and "&#x27;two&#x27; was given" in wrong.content.decode() and 'value="two"' in wrong.content.decode()
    assert client.post(f"{url}predict", {"lower-0": "2", "upper-0": "4", "lower-1": "1", "upper-1": "2"}).status_code == 302
    assert "The lab is running" in client.get(f"{url}prediction").content.decode()
    work(queue)
    assert client.get(f"{url}prediction").headers["HX-Refresh"] == "true"
    shown = client.get(base).content.decode()
    assert "Held" in shown and "1.5 times above your upper end" in shown
    assert "Too few people" in client_of(house.owner).get(f"{base}analytics/").content.decode()
    assert client_of(house.other_learner).get(f"{url}prediction").status_code == 404


def test_failure_drills_are_no_longer_offered(house: House) -> None:
    page = client_of(house.owner).get(f"/cohorts/{house.cohort.pk}/assignments/new/").content.decode()
    assert "Challenge" in page and "drill" not in page.lower()


def test_a_running_submission_belongs_to_one_state(house: House, challenge: Assignment, queue: Queue) -> None:
    made = designs.design_submit(row=begun(house, challenge), design=PASSING, now=at(0))
    assert made.state == State.QUEUED and designs.outcome_of([made]) == (None, "", 1)
    assert designs.outcome_of([]) == (0.0, "no design judged", 0)
