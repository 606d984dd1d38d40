"""Results: which try counts, what is let out to whom and when, overrides, and what learners see of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.grading import outcomes
from mlsd_app.cohorts.grading.outcomes import TryOutcome, distribution, outcome, outcomes_of, quiz_score
from mlsd_app.cohorts.grading.quality import ENOUGH, _far_apart, gradebook, grader_means, release_view
from mlsd_app.cohorts.grading.results import (
    final_score,
    grading_catch_up,
    news_for,
    releases_due,
    result_override,
    results_refresh,
    results_release,
    try_accept,
    undecided,
)
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Audit, Result
from mlsd_app.cohorts.services import accommodations, cohorts, members
from mlsd_app.cohorts.services.begin import assignment_begin, assignment_hand_in
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.staff_ops import attempt_void
from mlsd_app.quiz.models import Response, Sitting
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, client_of, mock_fields, reading_fields
from tests.web.cohorts.handed import graded, hand_in, queued


@pytest.fixture
def assignment(house: House) -> Assignment:
    return house.assignment(mock_fields(attempts_allowed=3))


def grade_all(house: House, assignment: Assignment, *, level: int = 3) -> None:
    for task in queued(assignment):
        if task.state != "graded":
            graded(task, house.owner, level=level)
    results_refresh(assignment=assignment, now=NOW)


def release(house: House, assignment: Assignment, **options: Any) -> Any:
    return results_release(by=house.by, assignment=assignment, now=NOW, **options)


# --- which try counts ------------------------------------------------------------------------------------------------


def tried(number: int, score: float | None, credit: float = 1.0, waiting: int = 0) -> TryOutcome:
    row = AssignedAttempt(pk=number, number=number, attempt=Attempt())
    return TryOutcome(row, score, 90.0, "hire", credit, waiting)


TRIES = [tried(1, 50.0), tried(2, 80.0, credit=0.5), tried(3, 45.0, waiting=1)]


@pytest.mark.parametrize(
    ("rule", "number", "score", "credit", "state"),
    [
        ("best", 1, 50.0, 1.0, "graded"),  # 80 with half credit is 40
        ("last", 3, 45.0, 1.0, "partly"),
        ("first", 1, 50.0, 1.0, "graded"),
        ("mean", None, 175 / 3, (50 + 40 + 45) / 175, "partly"),
    ],
)
def test_best_last_first_and_mean(rule: str, number: int | None, score: float, credit: float, state: str) -> None:
    found = outcome(TRIES, rule)
    assert (found.counted.number if found.counted else None) == number
    assert (found.score, found.late_credit, found.state) == (pytest.approx(score), pytest.approx(credit), state)


def test_nothing_and_not_graded_are_no_zero() -> None:
    assert outcome([], "best").score is None
    only = outcome([tried(1, None)], "mean")
    assert (only.score, only.state) == (None, "ungraded")
    assert outcome([tried(1, None), tried(2, 0.0)], "best").score == 0.0
    assert outcome([tried(1, 30.0), tried(2, 30.0)], "best").counted.number == 2  # type: ignore[union-attr]


def test_void_and_abandoned_tries_do_not_count(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    grade_all(house, assignment)
    assert outcomes_of(assignment=assignment, now=NOW)[house.learner.pk].score is not None
    assert row.attempt is not None
    attempt_void(attempt=row.attempt, actor=house.owner, reason="the wrong problem", now=NOW)
    assert outcomes_of(assignment=assignment, now=NOW) == {}
    results_refresh(assignment=assignment, now=NOW)
    assert Result.objects.get().state == "ungraded" and Result.objects.get().score is None


def test_late_credit_goes_by_what_holds_for_the_person_now(house: House) -> None:
    assignment = house.assignment(
        mock_fields(due_at=NOW + timedelta(hours=1), closes_at=NOW + timedelta(days=3), late_steps=[{"until_h": 24, "credit": 0.8}])
    )
    hand_in(house.learner, assignment, at=NOW + timedelta(hours=3))
    grading_catch_up(now=NOW, assignment=assignment)
    assert Result.objects.get().late_credit == 0.8
    later = {"due_at": NOW + timedelta(hours=6)}
    accommodations.override_set(by=house.by, assignment=assignment, user=house.learner, fields=later, now=NOW)
    results_refresh(assignment=assignment, now=NOW)
    result = Result.objects.get()
    assert result.late_credit == 1.0 and final_score(result) == result.score


def test_a_quiz_counts_what_was_not_answered_as_nothing_and_free_answers_by_people(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("choice", "number", "free", "flashcard")
    sitting = Sitting(items=[{"problem": "p", "item": kind} for kind in kinds], content={f"p/{kind}": {"type": kind} for kind in kinds})

    def score(given: dict[int, Response], by_people: dict[str, float | None]) -> tuple[float | None, float]:
        monkeypatch.setattr(outcomes, "answers_of", lambda sitting: given)
        return quiz_score(sitting, by_people)

    right, free = Response(mark=1.0), Response(given={"text": "because"}, mark=0.9)
    assert score({0: right}, {}) == (pytest.approx(100 / 3), 100.0)
    assert score({0: right, 2: free}, {}) == (50.0, pytest.approx(200 / 3))  # its own tick does not count
    assert score({0: right, 2: free}, {"answer:p/free": 0.5}) == (50.0, 100.0)
    assert score({}, {}) == (0.0, 100.0)


# --- letting out -----------------------------------------------------------------------------------------------------


def test_nothing_goes_out_half_graded_unless_it_is_said(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    with pytest.raises(Refused) as refused:
        release(house, assignment)
    assert (refused.value.status, refused.value.code, refused.value.extra["waiting"]) == (409, "ungraded", 1)
    assert not Result.objects.filter(released_at__isnull=False).exists()
    done = release(house, assignment, partly=True)
    assert (done.released, done.partly) == (1, 1)
    assert Result.objects.get().state == "partly"
    row.refresh_from_db()
    assert row.attempt is not None and row.attempt.status == Status.RELEASED
    assert (release(house, assignment, partly=True)).released == 0  # once
    entry = Audit.objects.get(action="result.release")
    assert entry.actor == house.owner and entry.after["partly"] == 1


def test_marks_that_come_later_show_at_once(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    release(house, assignment, partly=True)
    before = Result.objects.get()
    grade_all(house, assignment, level=4)
    after = Result.objects.get()
    assert (after.state, after.released_at) == ("graded", before.released_at)
    assert after.graded_weight > before.graded_weight and after.score != before.score


def test_to_some_labels_only(house: House, assignment: Assignment) -> None:
    label = cohorts.label_add(by=house.by, cohort=house.cohort, name="Day", now=NOW)
    members.member_labels(by=house.by, member=house.member(house.learner), labels=[label], now=NOW)
    for user in (house.learner, house.other_learner):
        hand_in(user, assignment, texts={})
    grade_all(house, assignment, level=0)
    client = client_of(house.owner)
    path = reverse("cohorts:release", args=[house.cohort.pk, assignment.pk])
    assert client.post(path, {"labels": [label.pk]}).status_code == 302
    assert [row.user for row in Result.objects.filter(released_at__isnull=False)] == [house.learner]
    assert client.post(path).status_code == 302
    assert Result.objects.filter(released_at__isnull=False).count() == 2


def test_a_second_try_is_let_out_like_the_first(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment, texts={})
    grade_all(house, assignment, level=0)
    release(house, assignment)
    second = hand_in(house.learner, assignment, texts={}, at=NOW + timedelta(hours=2))
    grade_all(house, assignment, level=0)
    second.refresh_from_db()
    assert second.attempt is not None and second.attempt.status == Status.GRADED
    assert release(house, assignment).released == 1
    second.attempt.refresh_from_db()
    assert second.attempt.status == Status.RELEASED


@pytest.mark.parametrize(("when", "at_once", "after_due"), [("at_once", 1, 0), ("due", 0, 1), ("release", 0, 0)])
def test_what_the_assignment_shows_by_itself(house: House, when: str, at_once: int, after_due: int) -> None:
    assignment = house.assignment(mock_fields(show_when=when, due_at=NOW + timedelta(days=1)))
    hand_in(house.learner, assignment)
    grading_catch_up(now=NOW)
    assert releases_due(now=NOW) == at_once
    assert releases_due(now=NOW) == 0
    assert releases_due(now=NOW + timedelta(days=2)) == after_due
    by_rule = Audit.objects.filter(action="result.release")
    assert [entry.actor for entry in by_rule] == [None] * (at_once + after_due)
    if when != "release":
        assert Result.objects.get().state == "partly"  # people have not graded


def test_what_is_only_handed_in_is_out_as_done(house: House) -> None:
    assignment = house.assignment(reading_fields(show_when="at_once"))
    row = assignment_begin(user=house.learner, assignment=assignment, now=NOW)
    assignment_hand_in(user=house.learner, row=row, now=NOW)
    assert releases_due(now=NOW) == 1 and releases_due(now=NOW) == 0
    result = Result.objects.get()
    assert (result.state, result.score) == ("graded", None)


# --- what the learner sees ---------------------------------------------------------------------------------------------


def pages_of(user: User, assignment: Assignment, row: AssignedAttempt) -> tuple[str, str]:
    """The cohort's page and then the assignment's, as the learner sees them."""
    client = client_of(user)
    front = client.get(reverse("cohorts:cohort", args=[assignment.cohort_id])).content.decode()
    return front, client.get(reverse("cohorts:assignment", args=[assignment.cohort_id, assignment.pk])).content.decode()


def test_a_learner_reads_nothing_before_and_is_told_after(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    grade_all(house, assignment)
    client = client_of(house.learner)
    front, page = pages_of(house.learner, assignment, row)
    assert "result is out" not in front and 'id="result"' not in page
    assert client.get(reverse("api:results", args=[assignment.pk])).json()["results"] == []
    release(house, assignment)
    score = Result.objects.get().score
    assert score is not None
    front, page = pages_of(house.learner, assignment, row)
    assert "result is out" in front and f"{score:.0f} of 100" in page
    assert not news_for(house.learner).exists()
    front, page = pages_of(house.learner, assignment, row)
    assert "result is out" not in front and f"{score:.0f} of 100" in page
    assert client.get(reverse("api:results", args=[assignment.pk])).json()["results"][0]["score"] == score


def test_a_hidden_score_stays_hidden(house: House) -> None:
    assignment = house.assignment(mock_fields(show_score=False))
    row = hand_in(house.learner, assignment)
    grade_all(house, assignment)
    release(house, assignment)
    score = Result.objects.get().score
    front, page = pages_of(house.learner, assignment, row)
    assert "look back" in front and "of 100" not in page and f"{score:.0f} of" not in page
    row.refresh_from_db()
    assert row.attempt is not None and not row.attempt.show_score and row.attempt.released_at is not None


def test_partly_is_said(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    release(house, assignment, partly=True)
    front, page = pages_of(house.learner, assignment, row)
    assert "partly graded" in front and "Partly graded" in page


# --- decisions ---------------------------------------------------------------------------------------------------------


def test_an_override_counts_is_logged_and_told(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    grade_all(house, assignment)
    release(house, assignment)
    pages_of(house.learner, assignment, row)
    result = Result.objects.get()
    with pytest.raises(InvalidInput):
        result_override(by=house.by, result=result, score=71, reason=" ", now=NOW)
    with pytest.raises(InvalidInput):
        result_override(by=house.by, result=result, score=100.5, reason="x", now=NOW)
    changed = result_override(by=house.by, result=result, score=71, reason="A run was lost by our fault.", now=NOW)
    assert final_score(changed) == 71 and changed.score == result.score
    entry = Audit.objects.get(action="result.override")
    assert (entry.before, entry.after, entry.reason) == ({"override_score": None}, {"override_score": 71}, "A run was lost by our fault.")
    front, page = pages_of(house.learner, assignment, row)
    assert "result is out" in front and "71 of 100" in page and "A run was lost by our fault." in page
    results_refresh(assignment=assignment, now=NOW)
    assert final_score(Result.objects.get()) == 71
    back = result_override(by=house.by, result=changed, score=None, reason="It was there after all.", now=NOW)
    assert final_score(back) == result.score


def test_nobody_overrides_himself_nor_what_is_not_out(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    grade_all(house, assignment)
    client, result = client_of(house.owner), Result.objects.get()
    path = reverse("cohorts:result_override", args=[house.cohort.pk, assignment.pk, result.pk])
    assert client.post(path, {"score": "70", "reason": "x"}).status_code == 404
    release(house, assignment)
    assert client.post(path, {"score": "seventy", "reason": "x"}).status_code == 422
    Result.objects.filter(pk=result.pk).update(user=house.owner)
    assert client.post(path, {"score": "70", "reason": "x"}).status_code == 404
    body = {"override_score": 1, "reason": "x"}
    assert client.patch(reverse("api:result", args=[result.pk]), body, content_type="application/json").status_code == 403


def test_an_abandoned_try_waits_for_a_decision(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment, grade=False)
    Attempt.objects.filter(pk=row.attempt_id).update(reason="abandoned", grading_needed=False)
    assert grading_catch_up(now=NOW, assignment=assignment) == 0
    assert outcomes_of(assignment=assignment, now=NOW) == {}
    assert [name for name, _ in release_view(assignment=assignment, now=NOW).undecided] != []
    row.refresh_from_db()
    with pytest.raises(InvalidInput):
        try_accept(by=house.by, row=row, reason="", now=NOW)
    try_accept(by=house.by, row=row, reason="The room's power failed.", now=NOW)
    assert not undecided(assignment).exists()
    assert attempt_grade(attempt_id=str(row.attempt_id), now=NOW)
    assert grading_catch_up(now=NOW, assignment=assignment) == 1
    assert Result.objects.get().score is not None
    assert Audit.objects.get(action="try.accept").reason == "The room's power failed."


# --- before letting out --------------------------------------------------------------------------------------------------


def test_the_release_page_names_nobody_who_is_not_out(house: House, assignment: Assignment) -> None:
    for user, name in ((house.learner, "Ottoline"), (house.other_learner, "Peregrine")):
        user.first_name, user.username = name, f"{name.lower()}-77"
        user.save()
        hand_in(user, assignment, texts={})
    grade_all(house, assignment, level=0)
    client = client_of(house.people["instructor"])
    path = reverse("cohorts:release", args=[house.cohort.pk, assignment.pk])
    page = client.get(path).content.decode()
    assert "ottoline" not in page.lower() and "peregrine" not in page.lower()
    assert {row["user"] for row in client.get(reverse("api:results", args=[assignment.pk])).json()["results"]} == {None}
    release(house, assignment, people=[house.learner])
    page = client.get(path).content.decode()
    assert house.learner.shown_name in page and house.other_learner.shown_name not in page
    book = client.get(reverse("cohorts:gradebook", args=[house.cohort.pk])).content.decode()
    assert house.other_learner.shown_name in book
    rows = {row.member.user_id: row.cells[0] for row in gradebook(house.cohort)[1]}
    assert rows[house.learner.pk][0] is not None and rows[house.other_learner.pk] == (None, None)


def test_the_distribution_holds_everybody() -> None:
    found = distribution([0, 9.9, 10, 55, 99, 100])
    assert sum(count for _, count in found) == 6 and found[0] == ("0 to 10", 2) and found[-1] == ("90 to 100", 2)


@pytest.mark.parametrize(
    ("counts", "far"),
    [((ENOUGH, ENOUGH), {("design", 1), ("design", 2)}), ((ENOUGH, ENOUGH - 1), set()), ((1, 1), set())],
)
def test_graders_are_compared_only_over_enough_pieces(counts: tuple[int, int], far: set[tuple[str, int]]) -> None:
    means = {("design", 1): 1.5, ("design", 2): 2.6, ("craft", 3): 4.0}
    numbers = {("design", 1): counts[0], ("design", 2): counts[1], ("craft", 3): ENOUGH}
    assert _far_apart(means, numbers) == far
    assert _far_apart({**means, ("design", 2): 2.5}, numbers) == set()  # a whole level is not more than one


def test_means_of_graders(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    for task in queued(assignment):
        graded(task, house.people["grader"] if task.section == "deep_dive" else house.owner, level=3 if task.section == "deep_dive" else 1)
    found = {row.grader: (row.n, row.mean) for row in grader_means(assignment) if row.section.startswith("Deep dive")}
    assert found == {house.people["grader"].shown_name: (1, pytest.approx(3.0))}


def test_by_the_api(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    client, path = client_of(house.owner), reverse("api:assignment_release", args=[assignment.pk])
    assert client.post(path, {}, content_type="application/json").json()["code"] == "ungraded"
    done = client.post(path, {"partly": True}, content_type="application/json").json()
    assert done == {"released": 1, "partly": 1}
    row = client.get(reverse("api:results", args=[assignment.pk])).json()["results"][0]
    assert row["user"] == house.learner.pk and row["final"] == row["score"]
    changed = client.patch(
        reverse("api:result", args=[row["id"]]), {"override_score": 12.5, "reason": "agreed"}, content_type="application/json"
    ).json()
    assert changed["final"] == 12.5
    assert Audit.objects.get(action="result.override").actor == house.owner


def test_a_result_that_is_out_stands_first_and_leads_to_the_debrief(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    grade_all(house, assignment)
    release(house, assignment)
    page = client_of(house.learner).get(reverse("cohorts:assignment", args=[house.cohort.pk, assignment.pk])).content.decode()
    assert page.index('id="result"') < page.index('id="brief"')
    assert "read the debrief</a>" in page and "go on</a>" not in page
