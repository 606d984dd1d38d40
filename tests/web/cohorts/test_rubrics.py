"""Versions of an assignment's rubric, and what becomes of work that was marked under an older one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from mlsd_app.cohorts.grading import rubrics
from mlsd_app.cohorts.grading.piece import piece_of
from mlsd_app.cohorts.grading.rubric_content import RubricContent, changes, rubric_from, to_judge_again
from mlsd_app.cohorts.grading.rubrics import behind, content_now, problem_rubric, rubric_diff, rubric_latest, rubric_regrade, rubric_save
from mlsd_app.cohorts.models import Assignment, Audit, Rubric, Task
from mlsd_app.interviews.models import Attempt, ItemScore, Verdict
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring.verdict import weights
from simulators.errors import InvalidInput
from tests.web.cohorts.conftest import NOW, House, client_of, quiz_fields
from tests.web.cohorts.handed import graded, hand_in, queued

TEXT_ITEM, RULE_ITEM = "deep_dive.correlation", "deep_dive.tradeoff"
OWN = {
    "id": "own.cost",
    "tag": "infra",
    "signal": "trade_offs",
    "points": 3,
    "text": "Names what a month costs",
    "guidance": "Any",
}


@pytest.fixture
def assignment(house: House) -> Assignment:
    return house.assignment()


def edited(assignment: Assignment, *, added: dict[str, Any] | None = None, **items: dict[str, Any]) -> dict[str, Any]:
    """The rubric as it counts now with some fields of some points changed: `deep_dive__correlation={"points": 6}`."""
    content = content_now(assignment)[1].model_dump(mode="json")
    for item in content["items"]:
        item.update(items.get(item["id"].replace(".", "__"), {}))
    content["items"] += [added] if added else []
    return content


def save(house: House, assignment: Assignment, content: dict[str, Any], **options: Any) -> Rubric:
    version = options.pop("base_version", content_now(assignment)[0])
    made = rubric_save(by=house.by, assignment=assignment, content=content, base_version=version, now=NOW, **options)
    assert made is not None
    return made


# --- versions --------------------------------------------------------------------------------------------------------


def test_the_problems_rubric_counts_until_something_is_changed(house: House, assignment: Assignment) -> None:
    base = problem_rubric(assignment)
    version, content = content_now(assignment)
    assert rubric_latest(assignment) is None and version == base.version
    unchanged = rubric_from(content, base, base.version)
    assert unchanged.items == base.items and weights(unchanged) == weights(base)
    same = rubric_save(by=house.by, assignment=assignment, content=content.model_dump(), base_version=version, now=NOW)
    assert same is None and not Rubric.objects.exists()


def test_each_save_is_a_version_with_its_difference(house: House, assignment: Assignment) -> None:
    one = save(house, assignment, edited(assignment, deep_dive__correlation={"points": 6}), note="it matters more")
    two = save(house, assignment, edited(assignment, added=OWN, deep_dive__planner={"on": False}))
    assert (one.version, two.version) == (2, 3)
    assert [(entry.id, entry.fields) for entry in rubric_diff(assignment, one)] == [(TEXT_ITEM, (("points", 4, 6),))]
    assert {entry.id for entry in rubric_diff(assignment, two)} == {"own.cost", "deep_dive.planner"}
    marked_by = rubric_from(RubricContent.model_validate(two.content), problem_rubric(assignment), two.version)
    ids = {item.id: item for item in marked_by.items}
    assert "deep_dive.planner" not in ids and ids["own.cost"].grade == "text" and ids[TEXT_ITEM].points == 6
    assert ids[RULE_ITEM].needs == next(item.needs for item in problem_rubric(assignment).items if item.id == RULE_ITEM)
    assert [entry.reason for entry in Audit.objects.filter(action="rubric.edit").order_by("pk")] == ["it matters more", ""]


def test_two_who_save_at_once_do_not_overwrite_each_other(house: House, assignment: Assignment) -> None:
    content = edited(assignment, deep_dive__correlation={"points": 6})
    save(house, assignment, content)
    with pytest.raises(Refused) as refused:
        save(house, assignment, edited(assignment, deep_dive__correlation={"points": 8}), base_version=1)
    assert (refused.value.status, refused.value.code, refused.value.extra["version"]) == (409, "stale", 2)
    assert refused.value.extra["diff"] == [TEXT_ITEM]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": 11}, "less than or equal"),
        ({"points": 0}, "greater than or equal"),
        ({"text": " "}, "at least 1"),
        ({"tag": "eval"}, "stay as the problem has them"),
        ({"id": "deep_dive.unheard_of"}, "no such point"),
    ],
)
def test_what_a_rubric_cannot_be_is_refused(house: House, assignment: Assignment, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        save(house, assignment, edited(assignment, deep_dive__correlation=change))
    assert not Rubric.objects.exists()


def test_points_are_switched_off_not_left_out(house: House, assignment: Assignment) -> None:
    content = edited(assignment)
    content["items"] = content["items"][1:]
    with pytest.raises(InvalidInput, match="switch a point off"):
        save(house, assignment, content)
    content = edited(assignment)
    content["weights"] = dict.fromkeys(content["weights"], 0)
    with pytest.raises(InvalidInput, match="more than 0"):
        save(house, assignment, content)
    with pytest.raises(InvalidInput, match="Only mock"):
        content_now(house.assignment(quiz_fields()))


def test_weights_decide_between_topics_and_points_within(house: House, assignment: Assignment) -> None:
    content = edited(assignment)
    content["weights"] = {**dict.fromkeys(content["weights"], 0), "clarify": 10, "capacity": 30}
    made = save(house, assignment, content)
    rubric = rubric_from(RubricContent.model_validate(made.content), problem_rubric(assignment), made.version)
    weight = weights(rubric)
    by_tag = {tag: sum(weight[item.id] for item in rubric.items if item.tag == tag) for tag in ("clarify", "capacity", "deep_dive")}
    assert by_tag == pytest.approx({"clarify": 25, "capacity": 75, "deep_dive": 0})


def test_only_other_words_points_or_guidance_are_judged_again() -> None:
    def content(**changes: Any) -> RubricContent:
        item = {"id": "own.a", "tag": "eval", "signal": "scope", "points": 2, "text": "A", **changes}
        return RubricContent.model_validate({"items": [item], "weights": {"eval": changes.get("points", 2)}})

    old = content()
    assert to_judge_again(old, content()) == set() and changes(old, content()) == []
    for change in ({"points": 3}, {"text": "B"}, {"guidance": "look"}):
        assert to_judge_again(old, content(**change)) == {"own.a"}


# --- marking under another version -----------------------------------------------------------------------------------


def test_a_new_interview_is_marked_under_the_newest(house: House, assignment: Assignment) -> None:
    save(house, assignment, edited(assignment, added=OWN))
    row = hand_in(house.learner, assignment)
    task = next(task for task in queued(assignment) if task.section == "deep_dive")
    row.refresh_from_db()
    assert row.attempt is not None and row.attempt.rubric_version == 2
    subject = next(entry for entry in piece_of(task=task, user=house.owner).subjects if entry.key == "item:own.cost")
    assert (subject.title, subject.guidance, subject.required) == ("Names what a month costs", "Any", True)
    assert not behind(assignment).exists()


def test_marking_anew_asks_people_only_about_what_changed(house: House, assignment: Assignment) -> None:
    row = hand_in(house.learner, assignment)
    tasks = {task.section: graded(task, house.owner) for task in queued(assignment)}
    attempt = row.attempt
    assert attempt is not None
    old = Verdict.objects.get(attempt=attempt)
    old_mark = ItemScore.objects.get(attempt=attempt, item_id=TEXT_ITEM, superseded_by=None)
    save(house, assignment, edited(assignment, deep_dive__correlation={"points": 8}, capacity__raw={"points": 4}))
    assert [found.pk for found in behind(assignment)] == [row.pk]
    done = rubric_regrade(by=house.by, assignment=assignment, now=NOW + timedelta(hours=1))
    assert done == {"marked": 1, "check_again": 1}
    states = {section: Task.objects.get(pk=task.pk).state for section, task in tasks.items()}
    assert states == {"deep_dive": "check_again", "design": "graded", "quality": "graded", "craft": "graded"}
    assert Verdict.objects.filter(attempt=attempt).count() == 2 and Verdict.objects.filter(pk=old.pk).exists()
    new = Verdict.objects.get(attempt=attempt, rubric_version=2)
    assert new.graded_weight < old.graded_weight  # the changed point waits for a person
    attempt.refresh_from_db()
    task = Task.objects.select_related("assigned__assignment__cohort", "assigned__attempt").get(pk=tasks["deep_dive"].pk)
    subject = next(entry for entry in piece_of(task=task, user=house.owner).subjects if entry.key == f"item:{TEXT_ITEM}")
    assert subject.changed and subject.by_people[0].points == old_mark.points and subject.mark.level == 3
    assert ItemScore.objects.filter(pk=old_mark.pk).exists()
    assert graded(task, house.owner, level=4).state == "graded"
    assert Verdict.objects.get(attempt=attempt, rubric_version=2).graded_weight == pytest.approx(old.graded_weight, abs=1)


def test_marking_anew_twice_changes_nothing(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment)
    queued(assignment)
    save(house, assignment, edited(assignment, added=OWN))
    rubric_regrade(by=house.by, assignment=assignment, now=NOW)
    rows = ItemScore.objects.count()
    assert rubric_regrade(by=house.by, assignment=assignment, now=NOW) == {"marked": 0, "check_again": 0}
    assert ItemScore.objects.count() == rows


def test_what_was_marked_before_an_interruption_is_in_the_log(
    house: House, assignment: Assignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (hand_in(user, assignment, texts={}) for user in (house.learner, house.other_learner))
    save(house, assignment, edited(assignment, added=OWN))
    real = rubrics.rubric_apply

    def breaks(*, attempt: Attempt, **options: Any) -> bool:
        if attempt.pk == second.attempt_id:
            raise RuntimeError("the worker is gone")
        return real(attempt=attempt, **options)

    monkeypatch.setattr(rubrics, "rubric_apply", breaks)
    with pytest.raises(RuntimeError):
        rubric_regrade(by=house.by, assignment=assignment, now=NOW)
    entry = Audit.objects.get(action="rubric.regrade")
    assert (entry.object_id, entry.before, entry.after) == (str(first.pk), {"version": 1}, {"version": 2, "check_again": 0})
    monkeypatch.undo()
    assert rubric_regrade(by=house.by, assignment=assignment, now=NOW) == {"marked": 1, "check_again": 0}


# --- pages and API -----------------------------------------------------------------------------------------------------


def form(assignment: Assignment, **changes: str) -> dict[str, str]:
    version, content = content_now(assignment)
    fields = {"base_version": str(version)}
    for item in content.items:
        fields |= {f"on:{item.id}": "on", f"text:{item.id}": item.text, f"points:{item.id}": str(item.points), f"guidance:{item.id}": ""}
    fields |= {f"weight:{tag}": f"{weight:g}" for tag, weight in content.weights.items()}
    return fields | changes


def test_the_page_saves_adds_and_keeps_what_was_typed(house: House, assignment: Assignment) -> None:
    client = client_of(house.people["instructor"])
    path = reverse("cohorts:rubric", args=[house.cohort.pk, assignment.pk])
    assert client.post(path, form(assignment)).status_code == 302 and not Rubric.objects.exists()
    refused = client.post(path, form(assignment, **{f"text:{TEXT_ITEM}": "Other words", f"points:{TEXT_ITEM}": "99"}))
    assert refused.status_code == 422 and "Other words" in refused.content.decode()
    new = {"new_text": "Names a cost", "new_tag": "infra", "new_signal": "trade_offs", "new_points": "2", "new_guidance": ""}
    assert client.post(path, form(assignment, **new)).status_code == 302
    added = RubricContent.model_validate(Rubric.objects.get().content).items[-1]
    assert (added.id, added.text, added.points) == ("own.names_a_cost", "Names a cost", 2)
    stale = client.post(path, form(assignment, base_version="1", note="mine"))
    assert stale.status_code == 409 and "Somebody saved" in stale.content.decode()
    assert "Names a cost" in client.get(path).content.decode()


def test_by_the_api(house: House, assignment: Assignment) -> None:
    hand_in(house.learner, assignment, texts={})
    client = client_of(house.owner)
    path = reverse("api:rubric", args=[assignment.pk])
    found = client.get(path).json()
    assert (found["version"], found["own"], found["behind"]) == (1, False, 0)
    found["content"]["items"][0]["points"] = 5
    body = {"base_version": 1, "content": found["content"], "note": "more"}
    assert client.put(path, body, content_type="application/json").json()["version"] == 2
    assert client.put(path, body, content_type="application/json").status_code == 409
    done = client.post(reverse("api:rubric_regrade", args=[assignment.pk]))
    assert done.json() == {"marked": 1, "check_again": 0}
    assert Audit.objects.filter(action="rubric.regrade", actor=house.owner).exists()
