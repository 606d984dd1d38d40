"""The queue of pieces: in which order they are offered, to whom, for how long; and that no two people ever get the same one."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import datetime, timedelta

import pytest
from django.db import connection

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading import queue
from mlsd_app.cohorts.grading.marks import draft_save, marks_checked
from mlsd_app.cohorts.grading.tasks_made import tasks_make
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Role, Task, TaskDraft
from mlsd_app.cohorts.services import members
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.lifecycle import attempt_submit
from mlsd_app.interviews.models import Attempt, Status
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.staff_ops import attempt_reopen
from mlsd_app.quiz.models import Sitting
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, person, quiz_fields
from tests.web.cohorts.handed import graded, hand_in, queued
from tests.web.interviews.conftest import threads_database  # noqa: F401 - a fixture

SECTIONS = ("answer:p/one", "answer:p/two")


def after(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def pieces(house: House, people: int, sections: tuple[str, ...] = SECTIONS) -> Assignment:
    """A quiz with free answers of that many people, as pieces; the answers themselves are not needed here."""
    assignment = house.assignment(quiz_fields())
    users = User.objects.bulk_create([User(username=f"q{number}") for number in range(people)])
    sittings = Sitting.objects.bulk_create(
        [
            Sitting(user=user, kind="assigned", items=[], content={}, seed=1, started_at=NOW, closed_at=NOW, status="closed")
            for user in users
        ]
    )
    rows = AssignedAttempt.objects.bulk_create(
        [
            AssignedAttempt(assignment=assignment, user=user, number=1, version=1, begun_at=NOW, sitting=sitting, queued_at=NOW)
            for user, sitting in zip(users, sittings, strict=True)
        ]
    )
    Task.objects.bulk_create(
        [
            Task(assigned=row, section=section, order_key=queue.order_key(assignment=assignment, section=section, assigned=row))
            for row in rows
            for section in sections
        ]
    )
    return assignment


@pytest.fixture
def quiz(house: House) -> Assignment:
    return pieces(house, 3)


@pytest.fixture
def grader(house: House) -> User:
    return house.people["grader"]


@pytest.fixture
def second(house: House) -> User:
    return house.add("second-grader", Role.GRADER)


def take(user: User, assignment: Assignment, now: datetime = NOW) -> Task:
    found = queue.task_next(user=user, assignment=assignment, now=now)
    assert found is not None
    return found


# --- order -----------------------------------------------------------------------------------------------------------


def ranks(keys: list[str]) -> list[int]:
    places = {key: place for place, key in enumerate(sorted(keys))}
    return [places[key] for key in keys]


def correlation(one: list[int], two: list[int]) -> float:
    n = len(one)
    return 1 - 6 * sum((a - b) ** 2 for a, b in zip(one, two, strict=True)) / (n * (n**2 - 1))


@pytest.mark.parametrize("salt", ["a", "b", "c"])
def test_each_section_has_an_order_of_its_own(salt: str) -> None:
    """Nor does the order go with who handed in first."""
    assignment = Assignment(salt=salt)
    rows = [AssignedAttempt(pk=number) for number in range(200)]
    one, two = ([queue.order_key(assignment=assignment, section=name, assigned=row) for row in rows] for name in ("design", "quality"))
    assert one == [queue.order_key(assignment=assignment, section="design", assigned=row) for row in rows]
    assert all(len(key) == 16 for key in one)
    assert abs(correlation(ranks(one), ranks(two))) < 0.2
    assert abs(correlation(ranks(one), list(range(200)))) < 0.2


def test_pieces_are_offered_in_their_order(quiz: Assignment, grader: User) -> None:
    wanted = list(Task.objects.order_by("order_key").values_list("pk", flat=True))
    given = []
    for _ in wanted:
        task = take(grader, quiz)
        given.append(task.pk)
        Task.objects.filter(pk=task.pk).update(state="graded", lease_user=None)
    assert given == wanted
    assert queue.task_next(user=grader, assignment=quiz, now=NOW) is None


def test_one_part_only(quiz: Assignment, grader: User) -> None:
    task = queue.task_next(user=grader, assignment=quiz, now=NOW, section=SECTIONS[1])
    assert task is not None and task.section == SECTIONS[1]


# --- leases ----------------------------------------------------------------------------------------------------------


def test_the_same_piece_until_it_is_done(quiz: Assignment, grader: User, second: User) -> None:
    first = take(grader, quiz)
    assert take(grader, quiz, after(5)).pk == first.pk
    assert take(second, quiz, after(5)).pk != first.pk
    first.refresh_from_db()
    assert first.lease_until == after(35)  # asking again is an action, too


@pytest.mark.parametrize(("minutes", "open_to_others"), [(29.999, False), (30, True)])
def test_a_lease_lasts_thirty_minutes(quiz: Assignment, grader: User, second: User, minutes: float, open_to_others: bool) -> None:
    first = take(grader, quiz)
    Task.objects.exclude(pk=first.pk).delete()
    found = queue.task_next(user=second, assignment=quiz, now=after(minutes))
    assert (found is not None) == open_to_others


def test_typing_renews_the_lease(quiz: Assignment, grader: User, second: User) -> None:
    first = take(grader, quiz)
    Task.objects.exclude(pk=first.pk).delete()
    draft_save(user=grader, task=first, marks={}, now=after(20))
    assert queue.task_next(user=second, assignment=quiz, now=after(40)) is None
    assert queue.task_next(user=second, assignment=quiz, now=after(50)) is not None


def test_a_lapsed_lease_that_nobody_took_goes_on(quiz: Assignment, grader: User) -> None:
    task = take(grader, quiz)
    assert queue.task_renew(user=grader, task=task, now=after(120)).lease_until == after(150)


def test_a_lost_lease_keeps_what_was_typed(quiz: Assignment, grader: User, second: User) -> None:
    task = take(grader, quiz)
    queue.task_claim(user=second, task=task, now=after(31))
    with pytest.raises(Refused) as refused:
        draft_save(user=grader, task=task, marks=marks_checked({"answer": {"level": 3, "comment": "nearly"}}), now=after(32))
    assert (refused.value.status, refused.value.code) == (409, "lease_lost")
    assert refused.value.extra["holder"] == second.shown_name
    assert TaskDraft.objects.get(task=task, grader=grader).marks["answer"]["comment"] == "nearly"


def test_a_held_piece_cannot_be_taken_away(quiz: Assignment, grader: User, house: House) -> None:
    task = take(grader, quiz)
    with pytest.raises(Refused, match="is grading"):
        queue.task_claim(user=house.owner, task=task, now=after(29))


def test_who_may_not_grade_any_more_loses_the_lease(quiz: Assignment, grader: User, house: House) -> None:
    task = take(grader, quiz)
    members.member_role(by=By(house.owner), member=house.member(grader), role=Role.OBSERVER, now=NOW)
    task.refresh_from_db()
    assert (task.state, task.lease_user) == ("ungraded", None)
    Task.objects.filter(pk=task.pk).update(state="in_progress", lease_user=grader, graded_at=NOW)  # asked for at the same moment
    assert queue.leases_drop(user=grader, now=NOW) == 1
    task.refresh_from_db()
    assert (task.state, task.lease_user) == ("check_again", None)
    assert queue.leases_drop(user=grader, now=NOW) == 0


# --- giving back -----------------------------------------------------------------------------------------------------


def test_skipped_for_four_hours_and_for_oneself_only(quiz: Assignment, grader: User, second: User) -> None:
    task = take(grader, quiz)
    Task.objects.exclude(pk=task.pk).delete()
    queue.task_skip(user=grader, task=task, now=NOW)
    assert queue.task_next(user=grader, assignment=quiz, now=after(239)) is None
    assert take(second, quiz, after(1)).pk == task.pk
    queue.task_give_back(user=second, task=task, now=after(2))
    assert take(grader, quiz, after(240)).pk == task.pk


def test_tagged_pieces_come_first_and_to_nobody_else(quiz: Assignment, grader: User, second: User) -> None:
    last = Task.objects.order_by("-order_key")[0]
    queue.task_claim(user=grader, task=last, now=NOW)
    queue.task_tag(user=grader, task=last, to=second, now=NOW)
    assert take(second, quiz).pk == last.pk
    queue.task_give_back(user=second, task=last, now=NOW)
    Task.objects.exclude(pk=last.pk).delete()
    assert queue.task_next(user=grader, assignment=quiz, now=NOW) is None


def test_only_graders_of_the_cohort_can_be_tagged(quiz: Assignment, grader: User, house: House) -> None:
    task = take(grader, quiz)
    for name in ("learner", "observer", "stranger"):
        with pytest.raises(InvalidInput, match="grades in this cohort"):
            queue.task_tag(user=grader, task=task, to=house.people[name], now=NOW)
    assert Task.objects.get(pk=task.pk).lease_user == grader


def test_a_piece_for_the_lead_leaves_the_queue(quiz: Assignment, grader: User, house: House) -> None:
    task = take(grader, quiz)
    with pytest.raises(InvalidInput):
        queue.task_hand_up(user=grader, task=task, words="  ", now=NOW)
    queue.task_hand_up(user=grader, task=task, words="Copied from the text?", now=NOW)
    assert [found.pk for found in queue.for_managers(house.owner)] == [task.pk]
    assert not queue.for_managers(grader).exists()
    assert queue.counts(assignment=quiz, user=grader, now=NOW)[task.section]["held"] == 1
    for _ in range(5):  # everything else
        Task.objects.filter(pk=take(grader, quiz).pk).update(state="graded")
    assert queue.task_next(user=grader, assignment=quiz, now=NOW) is None
    assert queue.task_claim(user=house.owner, task=task, now=NOW).state == "in_progress"


def test_nobody_is_offered_his_own_work(quiz: Assignment, house: House) -> None:
    mine = Task.objects.all()[0]
    AssignedAttempt.objects.filter(pk=mine.assigned_id).update(user=house.owner)
    seen = set()
    while found := queue.task_next(user=house.owner, assignment=quiz, now=NOW):
        seen.add(found.assigned_id)
        Task.objects.filter(pk=found.pk).update(state="graded")
    assert len(seen) == 2 and mine.assigned_id not in seen


# --- many at once ----------------------------------------------------------------------------------------------------


def test_no_piece_is_given_twice(threads_database: None, transactional_db: None) -> None:  # noqa: F811
    """Eight graders empty a queue of 400 pieces at the same time."""
    house = House()
    assignment = pieces(house, 200)
    graders = [house.owner, *(house.add(f"g{number}", Role.GRADER) for number in range(7))]
    claims: list[tuple[int, int]] = []
    failures: list[Exception] = []

    def work(user: User) -> None:
        try:
            while task := queue.task_next(user=user, assignment=assignment, now=NOW):
                claims.append((task.pk, user.pk))
                done = Task.objects.filter(pk=task.pk, lease_user=user, state="in_progress").update(state="graded", lease_user=None)
                assert done == 1
        except Exception as error:  # noqa: BLE001 - the test itself looks at it
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(user,)) for user in graders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []
    given = Counter(pk for pk, _ in claims)
    assert len(given) == 400 and set(given.values()) == {1}
    assert len({user for _, user in claims}) > 1  # it was shared


# --- coming in -------------------------------------------------------------------------------------------------------


def test_an_interview_comes_in_once_it_is_marked(house: House) -> None:
    assignment = house.assignment()
    row = hand_in(house.learner, assignment, texts={}, grade=False)
    assert tasks_make(now=NOW) == []
    Attempt.objects.filter(pk=row.attempt_id).update(status=Status.GRADED)
    assert tasks_make(now=NOW) == [row]
    assert tasks_make(now=NOW) == []
    assert {task.section for task in row.tasks.all()} == {"design", "deep_dive", "quality", "craft"}


def test_what_is_reopened_leaves_the_queue_and_has_to_be_checked_again(house: House) -> None:
    assignment = house.assignment()
    row = hand_in(house.learner, assignment)
    tasks = queued(assignment)
    graded(tasks[0], house.owner, now=after(30))
    assert row.attempt is not None
    attempt_reopen(attempt=row.attempt, actor=house.owner, reason="the power failed", now=after(40), add_s=600)
    assert queue.task_next(user=house.owner, assignment=assignment, now=after(41)) is None
    attempt_submit(attempt=row.attempt, actor=house.learner, now=after(45))
    attempt_grade(attempt_id=str(row.attempt.pk), now=after(46))
    tasks_make(now=after(46), assignment=assignment)
    assert Task.objects.get(pk=tasks[0].pk).state == "check_again"
    assert Task.objects.filter(state="ungraded").count() == 3


def test_somebody_elses_cohort_has_no_pieces(quiz: Assignment, house: House) -> None:
    assert queue.task_next(user=house.people["stranger"], assignment=quiz, now=NOW) is None
    assert queue.task_next(user=person("nobody"), assignment=quiz, now=NOW) is None
