"""The log: every service writes an entry, and no entry is ever changed."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import Error, connection, transaction

import mlsd_app.cohorts as app
from mlsd_app.accounts.deletion import account_delete
from mlsd_app.cohorts.audit import By, audited, changed, network_of, staff_access
from mlsd_app.cohorts.grading import results, rubrics
from mlsd_app.cohorts.grading.marks import Submission
from mlsd_app.cohorts.grading.queue import task_claim
from mlsd_app.cohorts.grading.results import results_refresh
from mlsd_app.cohorts.grading.rubrics import content_now
from mlsd_app.cohorts.models import Assignment, Audit, AuditIsFinal, Cohort, Role
from mlsd_app.cohorts.services import accommodations, assignments, begin, cohorts, csv_import
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.interviews.lifecycle import attempt_start
from mlsd_app.interviews.models import Attempt
from simulators.registry import labs
from tests.web.cohorts.conftest import NOW, House, mock_fields, person, reading_fields
from tests.web.cohorts.group import handed_in
from tests.web.cohorts.handed import hand_in, marks_for, queued


@pytest.fixture
def entry(house: House) -> Audit:
    return audited(by=house.by, action="x", thing=house.cohort, cohort=house.cohort, now=NOW, before={"a": 1}, after={"a": 2})


# --- immutability ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "attempt",
    [
        lambda entry: entry.save(),
        lambda entry: entry.delete(),
        lambda entry: Audit.objects.filter(pk=entry.pk).update(action="y"),
        lambda entry: Audit.objects.filter(pk=entry.pk).delete(),
        lambda entry: Audit.objects.bulk_update([entry], ["action"]),
    ],
)
def test_the_model_refuses(entry: Audit, attempt: Callable[[Audit], Any]) -> None:
    with pytest.raises(AuditIsFinal):
        attempt(entry)
    assert Audit.objects.get(pk=entry.pk).action == "x"


COLUMNS = [field.column for field in Audit._meta.concrete_fields if not field.primary_key]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_database_refuses_changes(entry: Audit, column: str) -> None:
    value = {"at": "2020-01-01 00:00:00+00:00", "actor_id": person("other").pk, "cohort_id": Cohort.objects.create(name="b").pk}
    given = value.get(column, '{"z": 1}' if column in ("before", "after") else "z")
    with pytest.raises(Error, match="cannot be changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f'UPDATE cohorts_audit SET "{column}" = %s WHERE id = %s', [given, entry.pk])
    stored = Audit.objects.get(pk=entry.pk)
    assert all(getattr(stored, field.attname) == getattr(entry, field.attname) for field in Audit._meta.concrete_fields)


def test_the_database_refuses_deletion(entry: Audit) -> None:
    with pytest.raises(Error, match="cannot be changed or deleted"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM cohorts_audit WHERE id = %s", [entry.pk])
    assert Audit.objects.filter(pk=entry.pk).exists()


def test_entries_outlive_people_and_cohorts(house: House) -> None:
    learner, count = house.learner, Audit.objects.count()
    named = audited(by=By(learner), action="x", thing=house.cohort, cohort=house.elsewhere, now=NOW)
    account_delete(user=learner)
    cohorts.cohort_delete(by=By(house.people["stranger"]), cohort=house.elsewhere, now=NOW)
    stored = Audit.objects.get(pk=named.pk)
    assert stored.actor is None and stored.cohort is None and stored.action == "x"
    assert Audit.objects.count() == count + 2


def test_no_names_and_no_addresses_of_people(house: House) -> None:
    """A deleted person's name must not stay in what nobody can change."""
    csv_import.people_import(by=house.by, cohort=house.cohort, data=b"email,name\nzelda@x.org,Zelda\n", now=NOW)
    text = str(list(Audit.objects.values_list("before", "after", "reason")))
    assert "Zelda" not in text and "zelda" not in text and "example.org" not in text


# --- what an entry says ----------------------------------------------------------------------------------------------


def test_only_what_changed_is_kept() -> None:
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": NOW}) == ({"b": 2}, {"b": 3, "c": "2026-03-02T12:00:00Z"})


@pytest.mark.parametrize(
    "address, network",
    [("203.0.113.77", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("", ""), ("unix", "")],
)
def test_addresses_are_cut_to_their_network(address: str, network: str) -> None:
    assert network_of(address) == network


def test_a_look_by_site_staff_is_logged_once_an_hour(house: House) -> None:
    staff = By(house.people["staff"])
    for minutes in (0, 30, 61):
        staff_access(by=staff, cohort=house.cohort, now=NOW + timedelta(minutes=minutes))
    staff_access(by=house.by, cohort=house.cohort, now=NOW)
    found = Audit.objects.filter(action="staff.access")
    assert [(row.actor_id, row.role) for row in found] == [(staff.user.pk, "staff")] * 2


# --- every service ---------------------------------------------------------------------------------------------------


def _begun(house: House) -> Any:
    return begin.assignment_begin(user=house.learner, assignment=house.assignment(reading_fields()), now=NOW)


def _label(house: House) -> Any:
    return cohorts.label_add(by=house.by, cohort=house.cohort, name="Day", now=NOW)


def _held(house: House) -> Any:
    return accommodations.accommodation_set(by=house.by, cohort=house.cohort, user=house.learner, fields={"multiplier": 2}, now=NOW)


def _override(house: House) -> Any:
    return accommodations.override_set(
        by=house.by, assignment=house.assignment(), user=house.learner, fields={"extra_attempts": 1}, now=NOW
    )


def _archived(house: House) -> Any:
    row = _begun(house).assignment
    assignments.assignment_delete(by=house.by, assignment=row, now=NOW)
    return row


def _running(house: House) -> Any:
    row = begin.assignment_begin(user=house.learner, assignment=house.assignment(), now=NOW)
    return attempt_start(attempt=row.attempt, actor=house.learner, now=NOW)


def _overdue(house: House) -> Any:
    """A try at a challenge that nobody handed in before its window closed."""
    lab = next(lab for lab in labs().values() if lab.challenges)
    settings = {"lab": lab.slug, "challenge": lab.challenges[0].slug}
    fields = {"title": "Design", "kind": "challenge", "problem": lab.problem, "settings": settings}
    row = handed_in(house.assignment(AssignmentFields.model_validate(fields)), house.learner, done=False)
    Assignment.objects.filter(pk=row.assignment_id).update(closes_at=NOW)
    return row


def _claimed(house: House) -> Any:
    hand_in(house.learner, house.assignment(), texts={})
    task = next(task for task in queued(Assignment.objects.get()) if task.section == "quality")
    return task_claim(user=house.owner, task=task, now=NOW)


def _marks(task: Any) -> Submission:
    return Submission(marks_for(task, 0), task.assigned.attempt.rubric_version)


def _heavier(assignment: Assignment) -> dict[str, Any]:
    """The rubric with one point that counts for more."""
    content = content_now(assignment)[1].model_dump(mode="json")
    content["items"][0]["points"] += 1
    return content


def _new_rubric(house: House) -> Assignment:
    made = _marked(house)
    version = content_now(made)[0]
    rubrics.rubric_save(by=house.by, assignment=made, content=_heavier(made), base_version=version, now=NOW)
    return made


def _marked(house: House, **fields: Any) -> Assignment:
    made = house.assignment(mock_fields(**fields))
    hand_in(house.learner, made, texts={})
    return made


def _out(house: House) -> Any:
    made = _marked(house)
    results.results_release(by=house.by, assignment=made, partly=True, now=NOW)
    return results_refresh(assignment=made, now=NOW)[house.learner.pk]


def _abandoned(house: House) -> Any:
    row = hand_in(house.learner, house.assignment(), texts={}, grade=False)
    Attempt.objects.filter(pk=row.attempt_id).update(reason="abandoned", grading_needed=False)
    row.refresh_from_db()
    return row


# service: (what it needs, made before; arguments; action of the entry)
CALLS: dict[str, tuple[Callable[[House], Any], Callable[[House, Any], dict[str, Any]], str]] = {
    "cohort_create": (lambda h: None, lambda h, x: {"name": "N", "timezone": "UTC"}, "cohort.create"),
    "cohort_edit": (lambda h: None, lambda h, x: {"cohort": h.cohort, "name": "N", "timezone": "UTC", "base_version": 1}, "cohort.edit"),
    "cohort_archive": (lambda h: None, lambda h, x: {"cohort": h.cohort, "archived": True}, "cohort.archive"),
    "cohort_delete": (lambda h: None, lambda h, x: {"cohort": h.cohort}, "cohort.delete"),
    "cohort_transfer": (lambda h: h.member(h.people["instructor"]), lambda h, x: {"cohort": h.cohort, "to": x}, "cohort.transfer"),
    "label_add": (lambda h: None, lambda h, x: {"cohort": h.cohort, "name": "Day"}, "label.add"),
    "label_edit": (_label, lambda h, x: {"label": x, "name": "Night", "up": False}, "label.edit"),
    "label_remove": (_label, lambda h, x: {"label": x}, "label.remove"),
    "code_rotate": (lambda h: None, lambda h, x: {"cohort": h.cohort}, "code.rotate"),
    "code_edit": (lambda h: None, lambda h, x: {"cohort": h.cohort, "enabled": False, "uses_left": 3, "expires_at": NOW}, "code.edit"),
    "export_create": (lambda h: None, lambda h, x: {"cohort": h.cohort, "kind": "runs", "format": "csv"}, "export.create"),
    "export_own": (lambda h: None, lambda h, x: {}, "export.own"),
    "cohort_join": (lambda h: None, lambda h, x: {"by": By(h.people["stranger"]), "code": h.cohort.join_code}, "member.join"),
    "member_add": (
        lambda h: person("new"),
        lambda h, x: {"cohort": h.cohort, "user": x, "role": Role.LEARNER},
        "member.add",
    ),
    "member_remove": (lambda h: h.member(h.learner), lambda h, x: {"member": x}, "member.remove"),
    "member_role": (lambda h: h.member(h.learner), lambda h, x: {"member": x, "role": Role.GRADER}, "member.role"),
    "member_labels": (lambda h: h.member(h.learner), lambda h, x: {"member": x, "labels": []}, "member.labels"),
    "people_import": (lambda h: None, lambda h, x: {"cohort": h.cohort, "data": b"email\na@x.org\n"}, "member.import"),
    "accommodation_set": (
        lambda h: None,
        lambda h, x: {"cohort": h.cohort, "user": h.learner, "fields": {"multiplier": 2}},
        "accommodation.set",
    ),
    "accommodation_clear": (_held, lambda h, x: {"accommodation": x}, "accommodation.clear"),
    "override_set": (
        lambda h: h.assignment(),
        lambda h, x: {"assignment": x, "user": h.learner, "fields": {"multiplier": 2}},
        "override.set",
    ),
    "override_clear": (_override, lambda h, x: {"override": x}, "override.clear"),
    "assignment_create": (lambda h: None, lambda h, x: {"cohort": h.cohort, "fields": mock_fields()}, "assignment.create"),
    "assignment_edit": (
        lambda h: h.assignment(),
        lambda h, x: {"assignment": x, "fields": mock_fields(title="B"), "base_version": 1},
        "assignment.edit",
    ),
    "assignment_publish": (
        lambda h: h.assignment(published=False),
        lambda h, x: {"assignment": x, "published": True},
        "assignment.publish",
    ),
    "assignment_copy": (lambda h: h.assignment(), lambda h, x: {"assignment": x, "to": h.cohort, "shift_days": 7}, "assignment.copy"),
    "assignment_delete": (lambda h: h.assignment(), lambda h, x: {"assignment": x}, "assignment.delete"),
    "assignment_restore": (_archived, lambda h, x: {"assignment": x}, "assignment.restore"),
    "assignment_begin": (
        lambda h: h.assignment(),
        lambda h, x: {"by": None, "user": h.learner, "assignment": x},
        "assignment.begin",
    ),
    "operation_run": (
        _running,
        lambda h, x: {"cohort": h.cohort, "op": "add", "args": {"minutes": 5}, "attempts": [x], "reason": "Noise outside."},
        "proctor.add",
    ),
    "note_add": (_running, lambda h, x: {"attempt": x, "text": "Asks before he draws."}, "note.add"),
    "task_submit": (_claimed, lambda h, x: {"task": x, "given": _marks(x)}, "task.grade"),
    "rubric_save": (
        lambda h: h.assignment(),
        lambda h, x: {"assignment": x, "content": _heavier(x), "base_version": content_now(x)[0]},
        "rubric.edit",
    ),
    "rubric_regrade": (_new_rubric, lambda h, x: {"assignment": x}, "rubric.regrade"),
    "results_release": (_marked, lambda h, x: {"assignment": x, "partly": True}, "result.release"),
    "releases_due": (lambda h: _marked(h, show_when="at_once"), lambda h, x: {"by": None}, "result.release"),
    "result_override": (_out, lambda h, x: {"result": x, "score": 50.0, "reason": "The alarm rang."}, "result.override"),
    "try_accept": (_abandoned, lambda h, x: {"row": x, "reason": "The power failed."}, "try.accept"),
    "tries_close": (_overdue, lambda h, x: {"by": None}, "assignment.close"),
    "assignment_hand_in": (_begun, lambda h, x: {"by": None, "user": h.learner, "row": x}, "assignment.hand_in"),
}


# What takes the moment it is called at and needs no entry. `by` is the sign of an act upon others, so that nothing here may take it.
READERS = {
    *("assignment_rows", "board_attempts", "board_rows", "cohort_cards", "cohort_of_code", "counts", "begin_refusal", "held_now"),
    *("learner_rows", "outcomes_of", "overview", "people_rows", "policy_for", "release_view", "trade_map", "window_refusal"),
    "work_of",
}
OWN_WORK = {"design_submit", "predictions_lock", "run_again", "result_seen"}  # of the learner who does it
OWN_PIECE = {  # who holds which piece; no mark is made or changed before `task_submit`
    *("draft_save", "leases_drop", "task_claim", "task_flag", "task_give_back", "task_hand_up", "task_next", "task_renew", "task_skip"),
    "task_tag",
}
CATCHING_UP = {  # derived anew from what is there, or cleared away; by nobody's decision
    *(
        "exports_prune",
        "grading_catch_up",
        "predictions_catch_up",
        "predictions_resolve",
        "presence_settle",
        "presence_tell",
        "results_refresh",
    ),
    *("rubric_apply", "tasks_make"),
}
UNLOGGED = READERS | OWN_WORK | OWN_PIECE | CATCHING_UP
NOT_SERVICES = ("views", "migrations", "management", "demo", "audit")


def services() -> dict[str, Callable[..., Any]]:
    """Every public keyword-only function of the app, wherever it stands, that is told who acts or the moment it happens at."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.walk_packages(app.__path__, f"{app.__name__}."):
        if set(module.name.split(".")) & set(NOT_SERVICES):
            continue
        loaded = import_module(module.name)
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            takes = inspect.signature(function).parameters
            named = all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in takes.values())
            if function.__module__ == loaded.__name__ and not name.startswith("_") and named and takes.keys() & {"by", "now"}:
                assert name not in found, f"two services are called {name}"
                found[name] = function
    return found


def test_every_service_is_called_below_or_told_why_not() -> None:
    found = services()
    assert found.keys() == CALLS.keys() | UNLOGGED and not CALLS.keys() & UNLOGGED
    acting = [name for name in sorted(UNLOGGED) if "by" in inspect.signature(found[name]).parameters]
    assert acting == ["cohort_of_code"]  # which counts wrong codes against whoever tries them


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_service_leaves_an_entry(house: House, name: str) -> None:
    prepare, arguments, action = CALLS[name]
    prepared = prepare(house)
    before = set(Audit.objects.values_list("pk", flat=True))
    given = {"by": house.by, **arguments(house, prepared)}
    service = services()[name]
    actor = (
        (given["by"].user if given["by"] else given.get("user")) if {"by", "user"} & inspect.signature(service).parameters.keys() else None
    )
    service(**{key: value for key, value in given.items() if value is not None}, now=NOW)
    added = Audit.objects.exclude(pk__in=before)
    assert action in {row.action for row in added}
    assert {(row.actor_id, row.at) for row in added} == {(actor.pk if actor else None, NOW)}  # None: the site itself


@pytest.mark.parametrize("time", [1, 2])
def test_tests_with_transactions_of_their_own_can_be_cleared(transactional_db: None, time: int) -> None:
    """The entry of the first time is gone at the second, and the triggers are back."""
    assert not Audit.objects.exists()
    made = audited(by=By(person("a")), action="x", thing=person("b"), cohort=None, now=NOW)
    with pytest.raises(Error, match="cannot be changed"), connection.cursor() as cursor:
        cursor.execute("DELETE FROM cohorts_audit WHERE id = %s", [made.pk])
