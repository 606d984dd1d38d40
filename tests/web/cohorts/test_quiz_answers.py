"""A quiz's free answer, from the learner who writes it to the grader's page and back as a score."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading.outcomes import quiz_score
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Task
from mlsd_app.cohorts.services.begin import assignment_begin
from tests.web.cohorts.conftest import House, client_of, quiz_fields
from tests.web.quiz.conftest import CHOICE, FREE, give

WRITTEN = "HNSW holds a graph in memory, IVF-PQ trades recall for bytes."


@pytest.fixture
def assignment(house: House) -> Assignment:
    settings = {"settings": {"items": [FREE[1], CHOICE[1]]}}
    return house.assignment(quiz_fields(**settings))


@pytest.fixture
def taken(house: House, assignment: Assignment) -> AssignedAttempt:
    """The learner wrote the free answer, ticked none of its points and got the choice right."""
    now = timezone.now() - timedelta(minutes=10)
    row = assignment_begin(user=house.learner, assignment=assignment, now=now)
    assert row.sitting is not None
    give(house.learner, row.sitting, 0, {"text": WRITTEN, "points": []}, now=now, rating=1, reveal=WRITTEN)
    give(house.learner, row.sitting, 1, now=now)
    row.sitting.refresh_from_db()
    assert row.sitting.status == "closed"
    return row


@pytest.fixture
def grader(house: House) -> User:
    return house.people["grader"]


def take(assignment: Assignment, grader: User) -> Task:
    answer = client_of(grader).post(reverse("cohorts:task_next", args=[assignment.cohort_id, assignment.pk]))
    task = Task.objects.get(assigned__assignment=assignment)
    assert answer["Location"] == reverse("cohorts:task", args=[assignment.cohort_id, task.pk])
    return task


def test_a_grader_reads_the_answer_and_marks_it(taken: AssignedAttempt, assignment: Assignment, grader: User) -> None:
    task = take(assignment, grader)
    client = client_of(grader)
    page = client.get(reverse("cohorts:task", args=[assignment.cohort_id, task.pk])).content.decode()
    assert WRITTEN in page and "The answer" in page
    assert taken.user.username not in page
    fields = {"level:answer": "3", "evidence:answer": "[]", "comment:answer": "names the trade"}
    answer = client.post(reverse("cohorts:task_submit", args=[assignment.cohort_id, task.pk]), fields)
    assert answer.status_code == 302, answer.content.decode()[:2000]
    task.refresh_from_db()
    assert (task.state, task.mark, task.graded_by) == ("graded", 0.75, grader)
    assert taken.sitting is not None
    assert quiz_score(taken.sitting, {task.section: task.mark}) == (87.5, 100.0), "what the learner ticked does not count"


def test_the_score_waits_for_the_grader(taken: AssignedAttempt, assignment: Assignment, grader: User, house: House) -> None:
    results = reverse("cohorts:release", args=[assignment.cohort_id, assignment.pk])
    task = take(assignment, grader)
    before = client_of(house.owner).get(results).content.decode()
    assert "Partly: 50 % of the weight" in before and "87.5" not in before
    client_of(grader).post(
        reverse("cohorts:task_submit", args=[assignment.cohort_id, task.pk]), {"level:answer": "3", "evidence:answer": "[]"}
    )
    assert "87.5" in client_of(house.owner).get(results).content.decode()


def test_an_answer_without_a_level_is_refused_and_kept(taken: AssignedAttempt, assignment: Assignment, grader: User) -> None:
    task = take(assignment, grader)
    fields = {"level:answer": "", "comment:answer": "typed so far"}
    answer = client_of(grader).post(reverse("cohorts:task_submit", args=[assignment.cohort_id, task.pk]), fields)
    assert answer.status_code == 422 and "typed so far" in answer.content.decode()
    task.refresh_from_db()
    assert task.state == "in_progress"
