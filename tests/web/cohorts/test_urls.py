"""Every address of the panel and of its API, asked for as every role. A new address must be put into the table: the first test fails
until it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from mlsd_app.challenges.models import Submission
from mlsd_app.cohorts.grading.results import results_release
from mlsd_app.cohorts.grading.rubrics import content_now
from mlsd_app.cohorts.models import Assignment, Export, Result, Task, TrySubmission
from mlsd_app.cohorts.services import accommodations, cohorts
from mlsd_app.cohorts.services.begin import assignment_begin
from mlsd_app.cohorts.services.exports import export_write
from mlsd_app.interviews.lifecycle import attempt_start
from mlsd_app.interviews.models import Attempt
from tests.web.cohorts.conftest import NOW, House, client_of, mock_fields, reading_fields
from tests.web.cohorts.handed import hand_in, queued

ROLES = ("owner", "instructor", "grader", "observer", "learner", "removed", "stranger", "staff")
MANAGERS, OWNERS = frozenset({"owner", "instructor", "staff"}), frozenset({"owner", "staff"})
WATCHERS = MANAGERS | {"observer"}
GRADERS = MANAGERS | {"grader"}
MEMBERS = WATCHERS | {"grader", "learner"}
STAFF = MEMBERS - {"learner"}
EVERYBODY = frozenset(ROLES)
LEARNERS = frozenset({"learner"})


@dataclass(frozen=True)
class Address:
    """One method of one address. `allowed` answer below 400, other members 403, everybody else 404 when the address names a cohort.

    `hidden` are members to whom the object itself does not exist; `also` what else it may answer to those who are allowed.
    """

    name: str
    allowed: frozenset[str]
    method: str = "GET"
    ids: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    hidden: frozenset[str] = frozenset()
    also: frozenset[int] = frozenset()

    def expected(self, role: str) -> set[int]:
        if role in self.allowed:
            return {*range(200, 400), *self.also}
        if not (self.ids or "assignment" in self.data) or (role in MEMBERS and role not in self.hidden):
            return {403}
        return {404}


C, CA, CM, CT = ("cohort",), ("cohort", "assignment"), ("cohort", "member"), ("cohort", "attempt")
INTERVAL = {"lower-0": "0.5", "upper-0": "0.9"}
TABLE = [
    # the panel
    Address("cohorts:list", EVERYBODY),
    Address("cohorts:create", EVERYBODY),
    Address("cohorts:join", EVERYBODY - {"removed"}, "POST", data={"code": "<code>"}),
    Address("cohorts:join_link", EVERYBODY, ids=("code",)),
    Address("cohorts:cohort", MEMBERS, ids=C),
    Address("cohorts:leave", MEMBERS - {"owner"}, "POST", ids=C),  # the owner is refused with 409: see below
    Address("cohorts:live", WATCHERS, ids=C),
    Address("cohorts:live_rows", WATCHERS, ids=C),
    Address("cohorts:live_stream", WATCHERS, ids=C),
    Address("cohorts:live_operate", MANAGERS, "POST", ids=C, data={"op": "pause", "attempt": "<attempt>"}),
    Address("cohorts:follow", WATCHERS, ids=CT),
    Address("cohorts:follow_work", WATCHERS, ids=CT),
    Address("cohorts:follow_stream", WATCHERS, ids=CT),
    Address("cohorts:note", MANAGERS, "POST", ids=CT, data={"text": "Draws first."}),
    Address("cohorts:people", WATCHERS, ids=C),
    Address("cohorts:member_add", MANAGERS, "POST", ids=C, data={"person": "stranger", "role": "learner"}),
    Address("cohorts:import", MANAGERS, ids=C),
    Address("cohorts:person", WATCHERS, ids=CM),
    Address("cohorts:member_remove", MANAGERS, "POST", ids=CM),
    Address("cohorts:member_role", OWNERS, "POST", ids=CM, data={"role": "observer"}),
    Address("cohorts:member_labels", MANAGERS, "POST", ids=CM),
    Address("cohorts:accommodations", MANAGERS, ids=C),
    Address("cohorts:accommodation_save", MANAGERS, "POST", ids=C, data={"target": "user:<user>", "multiplier": "1.5"}),
    Address("cohorts:accommodation_clear", MANAGERS, "POST", ids=("cohort", "accommodation")),
    Address("cohorts:settings", MANAGERS, ids=C),
    Address("cohorts:settings", OWNERS, "POST", ids=C, data={"name": "New", "timezone": "UTC", "version": "1"}),
    Address("cohorts:code_save", MANAGERS, "POST", ids=C, data={"enabled": "on"}),
    Address("cohorts:code_rotate", MANAGERS, "POST", ids=C),
    Address("cohorts:label_add", MANAGERS, "POST", ids=C, data={"name": "Evening"}),
    Address("cohorts:label_save", MANAGERS, "POST", ids=("cohort", "label"), data={"name": "Morning"}),
    Address("cohorts:transfer", OWNERS, "POST", ids=C, data={"to": "<instructor>"}),
    Address("cohorts:archive", OWNERS, "POST", ids=C, data={"archived": "1"}),
    Address("cohorts:delete", OWNERS, "POST", ids=("empty",)),
    Address("cohorts:audit", MANAGERS, ids=C),
    Address("cohorts:assignment_create", MANAGERS, ids=C, query="?kind=mock&problem=vector_search"),
    Address("cohorts:assignment", MEMBERS, ids=CA),
    Address("cohorts:assignment", MEMBERS - {"learner"}, ids=("cohort", "draft"), hidden=LEARNERS),
    Address("cohorts:assignment_edit", MANAGERS, ids=CA),
    Address("cohorts:assignment_preview", MANAGERS, ids=CA),
    Address("cohorts:assignment_publish", MANAGERS, "POST", ids=("cohort", "draft"), data={"published": "1"}),
    Address("cohorts:assignment_copy", MANAGERS, "POST", ids=CA, data={"to": "<cohort>", "shift_days": "7"}),
    Address("cohorts:assignment_delete", MANAGERS, "POST", ids=CA),
    Address("cohorts:assignment_restore", MANAGERS, "POST", ids=CA),
    Address("cohorts:override_save", MANAGERS, "POST", ids=CA, data={"target": "user:<user>", "extra_attempts": "1"}),
    Address("cohorts:override_clear", MANAGERS, "POST", ids=("cohort", "assignment", "override")),
    Address("cohorts:analytics", STAFF, ids=C),
    Address("cohorts:assignment_analytics", STAFF, ids=CA),
    Address("cohorts:map", STAFF, ids=CA),
    Address("cohorts:exports", MANAGERS, ids=C),
    Address("cohorts:exports", MANAGERS, "POST", ids=C, data={"kind": "gradebook", "format": "csv"}),
    Address("cohorts:own_exports", EVERYBODY),
    Address("cohorts:own_exports", EVERYBODY, "POST"),
    Address("cohorts:export_file", frozenset({"instructor"}), ids=("export",), hidden=MEMBERS),
    Address("cohorts:begin", LEARNERS, "POST", ids=CA),
    Address("cohorts:hand_in", LEARNERS, "POST", ids=("cohort", "reading", "try")),
    Address("cohorts:grading", GRADERS, ids=C),
    Address("cohorts:gradebook", MANAGERS, ids=C),
    Address("cohorts:queue", GRADERS, ids=CA),
    Address("cohorts:task_next", GRADERS, "POST", ids=CA),
    Address("cohorts:task", GRADERS, ids=("cohort", "task")),
    Address("cohorts:task_draft", GRADERS, "POST", ids=("cohort", "task")),
    Address(
        "cohorts:task_submit", GRADERS, "POST", ids=("cohort", "task"), data={"rubric_version": "1"}, also=frozenset({422})
    ),  # without marks
    Address("cohorts:task_act", GRADERS, "POST", ids=("cohort", "task"), data={"do": "skip"}),
    Address("cohorts:rubric", MANAGERS, ids=CA),
    Address("cohorts:rubric", MANAGERS, "POST", ids=CA, data={"base_version": "1"}, also=frozenset({422})),  # all points off
    Address("cohorts:regrade", MANAGERS, "POST", ids=CA),
    Address("cohorts:release", MANAGERS, ids=CA),
    Address("cohorts:release", MANAGERS, "POST", ids=CA),
    Address("cohorts:result_override", MANAGERS, "POST", ids=("cohort", "assignment", "result"), data={"score": "70", "reason": "x"}),
    Address("cohorts:try_accept", MANAGERS, "POST", ids=("cohort", "assignment", "abandoned"), data={"reason": "ill"}),
    Address("cohorts:try_challenge", LEARNERS, ids=("cohort", "challenge", "challenge_try")),
    Address(
        "cohorts:try_predict", LEARNERS, "POST", ids=("cohort", "prediction", "prediction_try"), data={"lower-0": "0.5", "upper-0": "0.9"}
    ),
    Address("cohorts:try_prediction", LEARNERS, ids=("cohort", "prediction", "prediction_try")),
    Address("cohorts:submission", WATCHERS | LEARNERS, ids=("cohort", "challenge", "submission"), hidden=frozenset({"grader"})),
    # the API
    Address("api:cohorts", EVERYBODY),
    Address("api:cohorts", EVERYBODY, "POST", data={"name": "Mine"}),
    Address("api:cohort_join", EVERYBODY - {"removed"}, "POST", data={"code": "<code>"}),
    Address("api:cohort", MEMBERS, ids=C),
    Address("api:cohort", OWNERS, "PATCH", ids=C, data={"version": 1, "name": "New"}),
    Address("api:cohort_live", WATCHERS, ids=C),
    Address("api:cohort_live_stream", WATCHERS, ids=C),
    Address("api:cohort_operations", MANAGERS, "POST", ids=C, data={"op": "pause", "attempts": "all", "reason": "<attempt>"}),
    Address("api:cohort_rotate", MANAGERS, "POST", ids=C),
    Address("api:members", MEMBERS, ids=C),
    Address("api:members", MANAGERS, "POST", ids=C, data={"person": "stranger"}),
    Address("api:members", OWNERS, "POST", ids=C, data={"person": "stranger", "role": "grader"}),
    Address("api:members_import", MANAGERS, "POST", ids=C, data={"csv": "email\na@example.org\n"}),
    Address("api:member", MANAGERS, "PATCH", ids=CM, data={"labels": []}),
    Address("api:member", OWNERS, "PATCH", ids=CM, data={"role": "grader"}),
    Address("api:member", MANAGERS, "DELETE", ids=CM),
    Address("api:accommodations", MANAGERS, ids=C),
    Address("api:accommodations", MANAGERS, "PUT", ids=C, data={"label": "Day", "set": {"multiplier": 1.5}}),
    Address("api:assignments", MEMBERS, ids=C),
    Address("api:assignments", MANAGERS, "POST", ids=C, data={"title": "T", "kind": "mock", "problem": "vector_search"}),
    Address("api:audit", MANAGERS, ids=C),
    Address("api:assignment", MEMBERS, ids=("assignment",)),
    Address("api:assignment", MANAGERS, "PATCH", ids=("assignment",), data={"version": 1, "title": "New"}),
    Address("api:assignment", MANAGERS, "DELETE", ids=("assignment",)),
    Address("api:overrides", MANAGERS, ids=("assignment",)),
    Address("api:overrides", MANAGERS, "PUT", ids=("assignment",), data={"label": "Day", "set": {"multiplier": 1.5}}),
    Address("api:assignment_copy", MANAGERS, "POST", ids=("assignment",), data={"to": "<cohort>"}),
    Address("api:task_next", GRADERS, "POST", data={"assignment": "<assignment>"}),
    Address("api:task", GRADERS, ids=("task",), hidden=MEMBERS - GRADERS),
    Address("api:task", GRADERS, "PATCH", ids=("task",), data={"marks": {}}, hidden=MEMBERS - GRADERS),
    Address("api:task_release", GRADERS, "POST", ids=("task",), data={"how": "skip"}, hidden=MEMBERS - GRADERS),
    Address("api:rubric", MANAGERS, ids=("assignment",)),
    Address("api:rubric", MANAGERS, "PUT", ids=("assignment",), data={"base_version": 1, "content": "<rubric>"}),
    Address("api:rubric_regrade", MANAGERS, "POST", ids=("assignment",)),
    Address("api:results", MANAGERS | LEARNERS, ids=("assignment",)),
    Address("api:result", MANAGERS, "PATCH", ids=("result",), data={"override_score": 70, "reason": "x"}, hidden=MEMBERS - MANAGERS),
    Address("api:assignment_release", MANAGERS, "POST", ids=("assignment",)),
    Address("api:cohort_analytics", STAFF, ids=C),
    Address("api:assignment_analytics", STAFF, ids=("assignment",)),
    Address("api:assignment_items", STAFF, ids=("assignment",)),
    Address("api:assignment_map", STAFF, ids=("assignment",)),
    Address("api:exports", EVERYBODY),
    Address("api:exports", EVERYBODY, "POST", data={"kind": "own"}),
    Address("api:export", frozenset({"instructor"}), ids=("export",), hidden=MEMBERS),
    Address("api:export_file", frozenset({"instructor"}), ids=("export",), hidden=MEMBERS),
    Address("api:export_schema", EVERYBODY, ids=("kind",)),
    Address("api:content_check", frozenset({"owner", "staff", "stranger"}), "POST", data={"slug": "feature_store"}),
]
API_NAMES = ("cohort", "member", "accommodation", "assignment", "override", "audit", "task", "rubric", "result", "export", "content")


def addresses() -> set[str]:
    """Every named address of the panel, and those of the API that are about cohorts."""
    resolver = get_resolver()
    panel = {f"cohorts:{name}" for name in resolver.namespace_dict["cohorts"][1].reverse_dict if isinstance(name, str)}
    api = {name for name in resolver.namespace_dict["api"][1].reverse_dict if isinstance(name, str)}
    return panel | {f"api:{name}" for name in api if name.startswith(API_NAMES)}


def test_every_address_is_in_the_table() -> None:
    assert addresses() == {row.name for row in TABLE}


@dataclass
class Scene:
    """The house with one of each thing that an address can name."""

    house: House
    ids: dict[str, Any]

    def url(self, row: Address) -> str:
        return reverse(row.name, args=[self.ids[key] for key in row.ids]) + row.query

    def data(self, row: Address) -> dict[str, Any]:
        return {key: self._filled(value) for key, value in row.data.items()}

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str) and "<" in value:
            before, _, name = value.partition("<")
            found = self.ids[name.rstrip(">")]
            return f"{before}{found}" if before else found
        return value


@pytest.fixture
def scene(house: House) -> Scene:
    learner = house.add("second-learner", house.member(house.learner).role)
    assignment, reading = house.assignment(), house.assignment(reading_fields())
    label = cohorts.label_add(by=house.by, cohort=house.cohort, name="Day", now=NOW)
    held = accommodations.accommodation_set(by=house.by, cohort=house.cohort, user=learner, fields={"multiplier": 1.375}, now=NOW)
    override = accommodations.override_set(by=house.by, assignment=assignment, user=learner, fields={"extra_attempts": 1}, now=NOW)
    ids = {
        "code": house.cohort.join_code,
        "cohort": house.cohort.pk,
        "empty": house.cohort.pk,
        "member": house.member(learner).pk,
        "user": learner.pk,
        "instructor": house.member(house.people["instructor"]).pk,
        "assignment": assignment.pk,
        "draft": house.assignment(mock_fields(title="Draft"), published=False).pk,
        "reading": reading.pk,
        "label": label.pk,
        "accommodation": held.pk,
        "override": override.pk,
        "export": _file(house).pk,
        "kind": "audit",
        "attempt": uuid4(),
        **{kind: house.assignment(fields).pk for kind, fields in DESIGN_KINDS.items()},
        **dict.fromkeys(("challenge_try", "prediction_try"), 1),
        "submission": uuid4(),
        **dict.fromkeys(HANDED_IN, 1),
        "rubric": content_now(assignment)[1].model_dump(mode="json"),
    }
    return Scene(house, ids)


def _file(house: House) -> Export:
    """One of the instructor's, written."""
    made = Export.objects.create(user=house.people["instructor"], cohort=house.cohort, kind="gradebook", format="csv")
    return export_write(export=made)


def design_try_for(scene: Scene, row: Address) -> None:
    """The learner's try at the challenge or the prediction that the address names, with a design in it."""
    for kind in DESIGN_KINDS:
        if kind in row.ids:
            assignment = scene.house.cohort.assignments.select_related("cohort").get(pk=scene.ids[kind])
            tried = assignment_begin(user=scene.house.learner, assignment=assignment, now=NOW)
            scene.ids[f"{kind}_try"] = tried.pk
            if "submission" in row.ids:
                names = {"problem": "vector_search", "lab": "index_tradeoffs", "challenge": "recall_on_a_diet", "lab_version": 1}
                times = dict.fromkeys(("created_at", "queued_at", "touched_at"), NOW)
                named = {"user": scene.house.learner, "design_hash": "d", "scope": "s", **names}
                made, _ = Submission.objects.get_or_create(**named, defaults={"design": {}, **times})
                TrySubmission.objects.get_or_create(assigned=tried, submission=made)
                scene.ids["submission"] = made.pk


DESIGN_SETTINGS: dict[str, dict[str, Any]] = {
    "challenge": {"lab": "index_tradeoffs", "challenge": "recall_on_a_diet"},
    "prediction": {"lab": "index_tradeoffs", "metrics": ["recall"]},
}
DESIGN_KINDS = {kind: reading_fields(title=kind, kind=kind, settings=settings) for kind, settings in DESIGN_SETTINGS.items()}
HANDED_IN = ("task", "result", "abandoned")


def hand_in_for(scene: Scene, row: Address) -> None:
    """Makes the interview of the second learner that the address needs: a piece to grade, a result that is out, an abandoned try."""
    if not set(HANDED_IN) & set(row.ids):
        return
    assignment = scene.house.cohort.assignments.select_related("cohort").get(pk=scene.ids["assignment"])
    learner = scene.house.member_of(scene.ids["member"])
    tried = hand_in(learner, assignment, texts={}, grade="abandoned" not in row.ids)
    scene.ids["abandoned"] = tried.pk
    if "abandoned" in row.ids:
        Attempt.objects.filter(pk=tried.attempt_id).update(reason="abandoned", grading_needed=False)
        return
    scene.ids["task"] = queued(assignment)[0].pk
    results_release(by=scene.house.by, assignment=assignment, now=NOW, partly=True)
    scene.ids["result"] = Result.objects.get(assignment=assignment, user=learner).pk


def lease_to(scene: Scene, row: Address, role: str) -> None:
    """Whoever does something with a piece holds it."""
    if "task" in row.ids and row.method != "GET":
        lease = {"state": "in_progress", "lease_user": scene.house.people[role], "lease_until": timezone.now() + timedelta(minutes=5)}
        Task.objects.filter(pk=scene.ids["task"]).update(**lease)


def ask(scene: Scene, row: Address, role: str) -> Any:
    lease_to(scene, row, role)
    client: Client = client_of(scene.house.people[role])
    client.raise_request_exception = True
    options = {"content_type": "application/json"} if row.name.startswith("api:") and row.method != "GET" else {}
    return getattr(client, row.method.lower())(scene.url(row), scene.data(row), **options)


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.method} {row.name} {'/'.join(row.ids)}{len(row.data)}" for row in TABLE])
def test_as_every_role(scene: Scene, row: Address) -> None:
    """Each role asks in a world of its own: what the one before changed is taken back."""
    if "try" in row.ids:
        scene.ids["try"] = assignment_begin(user=scene.house.learner, assignment=_reading(scene), now=NOW).pk
    if "attempt" in row.ids or "<attempt>" in str(row.data):
        scene.ids["attempt"] = _running(scene)
    hand_in_for(scene, row)
    design_try_for(scene, row)
    for role in ROLES:
        with transaction.atomic():
            answer = ask(scene, row, role)
            transaction.set_rollback(True)
        if row.name == "cohorts:leave" and role == "owner":
            assert answer.status_code == 409
        else:
            assert answer.status_code in row.expected(role), (role, answer.status_code, answer.content[:300])


def _running(scene: Scene) -> Any:
    """Id of an interview of the second learner that runs."""
    learner = scene.house.cohort.memberships.get(pk=scene.ids["member"]).user
    row = assignment_begin(user=learner, assignment=Assignment.objects.get(pk=scene.ids["assignment"]), now=NOW)
    attempt: Any = row.attempt
    return attempt_start(attempt=attempt, actor=learner, now=timezone.now()).pk


def _reading(scene: Scene) -> Any:
    return scene.house.cohort.assignments.select_related("cohort").get(pk=scene.ids["reading"])


NESTED = [row for row in TABLE if len(row.ids) > 1]


@pytest.mark.parametrize("row", NESTED, ids=[f"{row.method} {row.name} {row.ids[-1]}" for row in NESTED])
def test_ids_of_another_cohort_do_not_exist(scene: Scene, row: Address) -> None:
    """The owner of another cohort puts ids of this one behind their own cohort's, and the other way round."""
    house = scene.house
    scene.ids["try"] = assignment_begin(user=house.learner, assignment=_reading(scene), now=NOW).pk
    if "attempt" in row.ids:
        scene.ids["attempt"] = _running(scene)
    hand_in_for(scene, row)
    design_try_for(scene, row)
    foreign = Scene(house, {**scene.ids, "cohort": house.elsewhere.pk})
    answer = ask(foreign, row, "stranger")
    assert answer.status_code in (403, 404) and (answer.status_code == 404 or row.allowed == LEARNERS)
    assert ask(foreign, row, "staff").status_code == 404 or row.allowed == LEARNERS


def test_ids_too_large_for_a_column_do_not_exist(scene: Scene) -> None:
    for row in TABLE:
        if row.ids and row.ids != ("code",):
            named = "cohort" if row.ids == CT or "submission" in row.ids else row.ids[-1]
            huge = Scene(scene.house, {**scene.ids, "try": 1, named: 2**63 + 1})
            role = "learner" if row.allowed == LEARNERS else "owner"
            assert ask(huge, row, role).status_code == 404, row


def test_visitors_are_asked_to_sign_in(scene: Scene) -> None:
    for row in TABLE:
        if "try" not in row.ids:
            client = Client()
            answer = getattr(client, row.method.lower())(scene.url(row), content_type="application/json")
            assert answer.status_code == (401 if row.name.startswith("api:") or row.name.endswith("_stream") else 302), row


def test_a_learner_is_shown_no_accommodation_of_others(scene: Scene) -> None:
    """Nor is a grader or an observer, on any page they can open."""
    scene.ids["attempt"] = _running(scene)
    for row in TABLE:
        if row.method == "GET":
            design_try_for(scene, row)
    for role in ("grader", "observer", "learner"):
        for row in TABLE:
            if row.method == "GET" and role in row.allowed and not row.name.endswith("_stream"):
                body = ask(scene, row, role).content.decode()
                assert ">Accommodation" not in body and "1.375" not in body, (role, row)
