"""Grading one piece: what a grader sees and what they never see, what is refused, and that nothing typed is lost."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading import queue
from mlsd_app.cohorts.grading.anonymous import BIRDS, MASK, Mask, code_names
from mlsd_app.cohorts.grading.marks import MarkGiven, Submission, draft_of, marks_checked, task_submit
from mlsd_app.cohorts.grading.piece import piece_of
from mlsd_app.cohorts.grading.sections import SECTIONS, subjects_in
from mlsd_app.cohorts.models import Assignment, Audit, Comment, Role, Task, TaskDraft
from mlsd_app.cohorts.services import accommodations
from mlsd_app.interviews.models import Event, ItemScore, ScoreState, SignalLevel
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring.reading import rubric_of
from mlsd_app.interviews.scoring.scorecard import TAG_TITLES
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, client_of, person
from tests.web.cohorts.handed import QUOTE, TEXTS, hand_in, marks_for, queued


@pytest.fixture
def assignment(house: House) -> Assignment:
    return house.assignment()


@pytest.fixture
def grader(house: House) -> User:
    return house.people["grader"]


@pytest.fixture
def tasks(house: House, assignment: Assignment) -> dict[str, Task]:
    """The four pieces of the learner's interview, by section."""
    hand_in(house.learner, assignment)
    return {task.section: task for task in queued(assignment)}


@pytest.fixture
def task(tasks: dict[str, Task], grader: User) -> Task:
    """The deep dive, held by the grader."""
    return queue.task_claim(user=grader, task=tasks["deep_dive"], now=timezone.now())


def submit(task: Task, user: User, marks: dict[str, MarkGiven], *, version: int = 1) -> Task:
    return task_submit(by=By(user), task=task, given=Submission(marks, version), now=timezone.now())


def form_of(marks: dict[str, MarkGiven]) -> dict[str, str]:
    """As the page posts it."""
    fields = {"rubric_version": "1"}
    for key, mark in marks.items():
        fields[f"level:{key}"] = "" if mark.level is None else str(mark.level)
        fields[f"comment:{key}"] = mark.comment
        fields[f"evidence:{key}"] = json.dumps([entry.model_dump() for entry in mark.evidence])
    return fields


def address(task: Task, name: str = "task") -> str:
    return reverse(f"cohorts:{name}", args=[task.assigned.assignment.cohort_id, task.pk])


# --- what is judged where --------------------------------------------------------------------------------------------


def test_every_topic_and_signal_is_judged_in_exactly_one_part(tasks: dict[str, Task]) -> None:
    attempt = tasks["craft"].assigned.attempt
    assert attempt is not None
    found = [subject for section in SECTIONS for subject in subjects_in(attempt, section.key).all]
    assert len(found) == len(set(found))
    assert {subject for subject in found if subject.startswith("item:")} == {f"item:{item.id}" for item in rubric_of(attempt).items}
    assert len([subject for subject in found if subject.startswith("signal:")]) == 11
    assert {tag for section in SECTIONS for tag in section.tags} == set(TAG_TITLES)


# --- handing in ------------------------------------------------------------------------------------------------------


def test_marks_become_the_interviews_and_rules_stay_beside_them(task: Task, grader: User) -> None:
    attempt = task.assigned.attempt
    assert attempt is not None
    rows_before = ItemScore.objects.filter(attempt=attempt).count()
    marks = marks_for(task, 3, **{"item:deep_dive.tradeoff": MarkGiven.model_validate({"level": 4, "evidence": [QUOTE]})})
    done = submit(task, grader, marks)
    assert (done.state, done.graded_by, done.lease_user) == ("graded", grader, None)
    held = ItemScore.objects.get(attempt=attempt, item_id="deep_dive.tradeoff", superseded_by=None)
    assert (held.state, held.points, held.max) == (ScoreState.HUMAN, 5, 5)
    judged = [key.partition(":")[2] for key in marks if key.startswith("item:")]
    assert ItemScore.objects.filter(attempt=attempt).count() == rows_before + len(judged)  # rows of rules are kept
    assert set(ItemScore.objects.filter(attempt=attempt, grader=grader).values_list("item_id", flat=True)) == set(judged)
    assert SignalLevel.objects.get(attempt=attempt, signal="trade_offs", superseded_by=None).level == 3
    assert not TaskDraft.objects.exists()
    entry = Audit.objects.get(action="task.grade")
    assert entry.actor == grader and entry.after["levels"]["signal:trade_offs"] == 3


def test_a_level_is_a_quarter_of_the_points(task: Task, grader: User) -> None:
    attempt = task.assigned.attempt
    assert attempt is not None
    marks = marks_for(task, 1)
    submit(task, grader, marks)
    for row in ItemScore.objects.filter(attempt=attempt, grader=grader):
        assert row.points == row.max / 4


def test_a_level_above_0_needs_evidence(task: Task, grader: User) -> None:
    marks = marks_for(task, 3)
    key = next(iter(marks))
    marks[key] = MarkGiven(level=1, comment="seems right")
    with pytest.raises(InvalidInput) as refused:
        submit(task, grader, marks)
    assert refused.value.field == key
    assert not ItemScore.objects.filter(grader=grader).exists()
    assert draft_of(user=grader, task=task) == marks
    marks[key] = MarkGiven(level=0)
    assert submit(task, grader, marks).state == "graded"


@pytest.mark.parametrize(
    "evidence",
    [
        {"kind": "quote", "ref": "text/deep_dive", "text": "words that nobody wrote"},
        {"kind": "run", "ref": "run/7", "text": ""},
        {"kind": "row", "ref": "row/components/zzz", "text": ""},
    ],
)
def test_evidence_must_stand_in_the_interview(task: Task, grader: User, evidence: dict[str, str]) -> None:
    marks = marks_for(task, 3)
    key = list(marks)[-1]
    marks[key] = MarkGiven.model_validate({"level": 2, "evidence": [evidence]})
    with pytest.raises(InvalidInput, match="not in this attempt") as refused:
        submit(task, grader, marks)
    assert refused.value.field == key
    assert not ItemScore.objects.filter(grader=grader).exists()  # all or nothing


def test_what_only_a_person_can_judge_must_be_judged_or_said_to_be_beyond(task: Task, grader: User) -> None:
    attempt = task.assigned.attempt
    assert attempt is not None
    marks = marks_for(task, 3)
    key = next(key for key in marks if key.startswith("item:"))
    gone = marks.pop(key)
    with pytest.raises(InvalidInput, match="1 point has no level") as refused:
        submit(task, grader, marks)
    assert refused.value.field == key
    submit(task, grader, {**marks, key: gone.model_copy(update={"level": "none"})})
    assert ItemScore.objects.get(attempt=attempt, item_id=key.removeprefix("item:"), superseded_by=None).points is None


def test_marks_of_another_part_are_refused(task: Task, grader: User) -> None:
    with pytest.raises(InvalidInput, match="not judged in this piece"):
        submit(task, grader, {**marks_for(task), "item:clarify.scale": MarkGiven(level=0)})


def test_a_changed_rubric_is_told_before_anything_is_marked(task: Task, grader: User) -> None:
    with pytest.raises(Refused) as refused:
        submit(task, grader, marks_for(task), version=2)
    assert (refused.value.status, refused.value.code) == (409, "rubric_changed")
    assert draft_of(user=grader, task=task) and not ItemScore.objects.filter(grader=grader).exists()


def test_nobody_hands_in_what_another_holds(task: Task, grader: User, house: House) -> None:
    Task.objects.filter(pk=task.pk).update(lease_user=house.owner)
    with pytest.raises(Refused) as refused:
        submit(task, grader, marks_for(task))
    assert refused.value.code == "lease_lost"
    assert draft_of(user=grader, task=task) and not ItemScore.objects.filter(grader=grader).exists()


@pytest.mark.parametrize(
    "given",
    [
        [],
        {"a": {"level": 5}},
        {"a": {"level": True, "comment": "x" * 4001}},
        {"a": {"evidence": [{"kind": "rumour", "ref": "x"}]}},
        {"a": {"evidence": [QUOTE] * 13}},
        {str(number): {} for number in range(121)},
        {"a": {"comment": "x" * 100_000}},
        {"a": {"comment": "\0"}},
    ],
)
def test_what_is_no_mark_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        marks_checked(given)


def test_comments_kept_for_others_come_back(task: Task, tasks: dict[str, Task], grader: User, house: House) -> None:
    marks = marks_for(task)
    key = next(iter(marks))
    marks[key] = marks[key].model_copy(update={"comment": "Name the cost as well.", "keep": True})
    submit(task, grader, marks)
    assert Comment.objects.get().text == "Name the cost as well."
    again = queue.task_claim(user=house.owner, task=task, now=timezone.now())
    subject = next(entry for entry in piece_of(task=again, user=house.owner).subjects if entry.key == key)
    assert subject.comments == ("Name the cost as well.",)
    submit(again, house.owner, {**marks, key: marks[key].model_copy(update={"keep": False})})
    assert Comment.objects.get().uses == 2


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_refuses_and_keeps_everything(task: Task, grader: User) -> None:
    client = client_of(grader)
    marks = marks_for(task, 3)
    key = list(marks)[0]
    marks[key] = MarkGiven(level=2, comment="half of it, I think")
    answer = client.post(address(task, "task_submit"), form_of(marks))
    page = answer.content.decode()
    assert answer.status_code == 422 and "needs evidence" in page and "half of it, I think" in page
    assert page.count("checked") == len(marks)
    marks[key] = MarkGiven.model_validate({"level": 2, "evidence": [QUOTE], "comment": "half of it"})
    answer = client.post(address(task, "task_submit"), form_of(marks))
    assert answer.status_code == 302
    task.refresh_from_db()
    assert task.state == "graded"


def test_a_draft_comes_back_with_the_page(task: Task, grader: User) -> None:
    client = client_of(grader)
    answer = client.post(address(task, "task_draft"), {"comment:signal:trade_offs": "typed so far", "level:signal:trade_offs": "2"})
    assert answer.status_code == 200
    assert "typed so far" in client.get(address(task)).content.decode()
    assert client.post(address(task, "task_draft"), {"level:signal:trade_offs": "9"}).status_code == 422
    assert client.post(address(task, "task_draft"), {"evidence:signal:trade_offs": "{"}).status_code == 422


def test_after_the_lease_the_page_says_who_has_it(task: Task, grader: User, house: House) -> None:
    Task.objects.filter(pk=task.pk).update(lease_user=house.owner, lease_until=timezone.now() + timedelta(minutes=5))
    client = client_of(grader)
    answer = client.post(address(task, "task_draft"), {"comment:signal:trade_offs": "typed"})
    assert answer.status_code == 409 and "owner" in answer.json()["detail"]
    answer = client.post(address(task, "task_submit"), form_of(marks_for(task)))
    assert answer.status_code == 409 and "kept as your draft" in answer.content.decode()


def test_saving_leads_to_the_next_piece_of_the_part(task: Task, grader: User, house: House, assignment: Assignment) -> None:
    hand_in(house.other_learner, assignment)
    queued(assignment)
    answer = client_of(grader).post(address(task, "task_submit"), form_of(marks_for(task)))
    following = Task.objects.get(lease_user=grader)
    assert answer["Location"] == address(following) and following.section == "deep_dive"


# --- anonymous -------------------------------------------------------------------------------------------------------

SECRET = {
    "first_name": "Ottoline",
    "last_name": "Quackenbush",
    "username": "ottoq77",
    "email": "otto.quack@uni-example.org",
}
GIVEN_S = 1234  # extra seconds of the accommodation
MULTIPLIER = 1.625


@pytest.fixture
def secret(house: House, assignment: Assignment) -> User:
    """A learner with a name to find again, much more time, and an answer full of names."""
    user = house.add(SECRET["username"], Role.LEARNER)
    for name, value in SECRET.items():
        setattr(user, name, value)
    user.save()
    fields = {"multiplier": MULTIPLIER, "extra_s": GIVEN_S, "break_s": 600}
    accommodations.accommodation_set(by=house.by, cohort=house.cohort, user=user, fields=fields, now=NOW)
    text = "I am Ottoline Quackenbush (@ottoq77, otto.quack@uni-example.org). QUACKENBUSH thinks that recall falls with narrow filters."
    hand_in(user, assignment, texts=dict.fromkeys(TEXTS, text))
    return user


def leaks(body: str) -> list[str]:
    """What must never reach a grader, as it could stand in a page or in JSON."""
    hidden = [*SECRET.values(), str(MULTIPLIER), str(GIVEN_S), "multiplier", "extra_s", "break_s", "accommodat", 'active_ms": 3', "outage"]
    body = re.sub(r'"lease_until":"[^"]*"', "", body)  # of the grader's own lease
    found = [word for word in hidden if word.lower() in body.lower()]
    return found + re.findall(r"\b\d{1,3}:\d{2}\b(?! UTC)", re.sub(r"<time.*?</time>|<svg.*?</svg>", "", body, flags=re.DOTALL))


def test_nothing_in_pages_or_json_tells_who_it_is(secret: User, assignment: Assignment, grader: User) -> None:
    client, seen = client_of(grader), 0
    tasks = queued(assignment)
    assert len(tasks) == 4
    for task in tasks:
        queue.task_claim(user=grader, task=task, now=timezone.now())
        pages = [
            client.get(address(task)),
            client.post(address(task, "task_submit"), {"rubric_version": "1"}),
            client.get(reverse("api:task", args=[task.pk])),
            client.get(reverse("cohorts:queue", args=[assignment.cohort_id, assignment.pk])),
            client.get(reverse("cohorts:grading", args=[assignment.cohort_id])),
            client.get(reverse("cohorts:assignment", args=[assignment.cohort_id, assignment.pk])),
        ]
        for page in pages:
            assert leaks(page.content.decode()) == [], page.request["PATH_INFO"]
            seen += MASK in page.content.decode()
        queue.task_give_back(user=grader, task=task, now=timezone.now())
    assert seen >= 8  # the answers were there, without the names


def test_a_seen_quote_is_found_in_the_answer_it_hides(secret: User, assignment: Assignment, grader: User) -> None:
    task = next(task for task in queued(assignment) if task.section == "deep_dive")
    queue.task_claim(user=grader, task=task, now=timezone.now())
    shown = next(passage.text for phase in piece_of(task=task, user=grader).handed.phases for passage in phase.passages)
    assert shown.startswith(f"I am {MASK} ({MASK}, {MASK}).") and "Quackenbush".lower() not in shown.lower()
    marks = {key: MarkGiven.model_validate({"level": 2, "evidence": [{**QUOTE, "text": shown}]}) for key in marks_for(task)}
    submit(task, grader, marks)
    stored = ItemScore.objects.filter(grader=grader).first()
    assert stored is not None and "Quackenbush" in stored.evidence[0]["text"]  # the learner reads the own words
    body = client_of(grader).get(address(task)).content.decode()
    assert leaks(body) == []


def test_names_that_are_words_are_taken_out_only_as_names() -> None:
    people = [User(username="mark", first_name="Mark", last_name="Index"), User(username="li", first_name="Li", last_name="Zhou")]
    mask = Mask(people, ordinary=frozenset({"mark", "index"}))
    assert mask.text("I mark the index; Mark would not.") == f"I mark the index; {MASK} would not."
    assert mask.text("Mark Index and ZHOU, zhou's") == f"{MASK} and {MASK}, {MASK}'s"
    assert mask.text("marking indexes, lizhou") == "marking indexes, lizhou"
    assert Mask([]).text("Mark") == "Mark"


def test_code_names_are_stable_unique_and_differ_by_assignment(house: House, assignment: Assignment) -> None:
    before = code_names(assignment)
    for number in range(150):
        house.cohort.memberships.create(user=person(f"m{number}"), role=Role.LEARNER, joined_via="added")
    after = code_names(assignment)
    assert {user: after[user] for user in before} == before
    assert len(set(after.values())) == len(after)
    assert all(name.split()[0] in BIRDS and 1 <= int(name.split()[1]) <= 99 for name in after.values())
    other = code_names(house.assignment())
    assert sum(after[user] == other[user] for user in after) < 5


# --- the API ---------------------------------------------------------------------------------------------------------


def test_what_was_confirmed_is_read_once(task: Task, grader: User) -> None:
    attempt = task.assigned.attempt
    assert attempt is not None
    answered = {"answer": "p99 latency: 100 ms. Yes.", "confirmed": []}
    Event.objects.create(attempt=attempt, seq=900, at=NOW, kind="confirm", phase="deep_dive", data=answered)
    Event.objects.create(
        attempt=attempt, seq=901, at=NOW, kind="question", phase="deep_dive", data={"text": "How fast?", "answer": "100 ms"}
    )
    talk = [(said.text, answer) for said, answer in piece_of(task=task, user=grader).handed.talk]
    assert talk[-2:] == [("p99 latency: 100 ms. Yes.", ""), ("How fast?", "100 ms")]


def test_by_the_api_alone(tasks: dict[str, Task], assignment: Assignment, grader: User) -> None:
    client = client_of(grader)
    answer = client.post(reverse("api:task_next"), {"assignment": assignment.pk, "section": "deep_dive"}, content_type="application/json")
    found = answer.json()
    assert answer.status_code == 200 and found["yours"] and found["section"] == "deep_dive"
    needed = [subject["key"] for subject in found["subjects"] if subject["needed"]]
    marks = {key: {"level": 3, "evidence": [QUOTE]} for key in needed}
    marks[needed[0]] = {"level": 3, "evidence": []}
    path = reverse("api:task", args=[found["id"]])
    body = {"marks": marks, "submit": True, "rubric_version": found["rubric_version"]}
    refused = client.patch(path, body, content_type="application/json")
    assert refused.status_code == 422 and needed[0] in refused.json()["errors"]
    marks[needed[0]]["evidence"] = [QUOTE]
    assert client.patch(path, body, content_type="application/json").json()["state"] == "graded"
    again = client.patch(path, {"marks": marks}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "lease_lost")
    empty = client.post(reverse("api:task_next"), {"assignment": assignment.pk, "section": "deep_dive"}, content_type="application/json")
    assert empty.status_code == 204


def test_another_cohorts_piece_does_not_exist(task: Task) -> None:
    client: Client = client_of(person("nobody"))
    assert client.get(address(task)).status_code == 404
    assert client.get(reverse("api:task", args=[task.pk])).status_code == 404
