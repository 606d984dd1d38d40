"""The schema, the reference page made from it, and random requests made from it: nothing undocumented, no 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from mlsd_app.accounts.models import User
from mlsd_app.accounts.services import token_create
from mlsd_app.api.reference import EXAMPLES, Operation, reference
from mlsd_app.challenges.models import Submission
from mlsd_app.challenges.services import submission_start
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Result, Role, Task
from mlsd_app.cohorts.services.assignments import AssignmentFields, assignment_create
from mlsd_app.cohorts.services.cohorts import cohort_create
from mlsd_app.cohorts.services.exports import export_create
from mlsd_app.cohorts.services.members import member_add
from mlsd_app.core import presence
from mlsd_app.interviews import lifecycle
from mlsd_app.interviews.grading import attempt_grade
from mlsd_app.interviews.models import Attempt, Claim
from mlsd_app.interviews.runs import link_add
from mlsd_app.quiz.models import Response as QuizResponse
from mlsd_app.runs import channel
from mlsd_app.runs.models import Dataset, Run
from mlsd_app.runs.services import run_start
from problems.loader import all_problems, load_problem
from simulators.lab import Lab
from simulators.registry import get_lab, labs
from tests.web.challenges.conftest import TASK, work
from tests.web.quiz.conftest import CHOICE, FLASHCARD, begin, give
from tests.web.runs.conftest import Queue

EXAMPLES_EACH = 40
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def api_schema(db: None, queue: Queue, counter: type[Lab], settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    settings.CHALLENGE_LIMITS = {"apart_s": 0, "a_day": 10**6}
    monkeypatch.setattr(counter, "challenges", (TASK,))
    settings.API_LIMITS = dict.fromkeys(settings.API_LIMITS, 10**6)
    settings.RUN_LIMITS = {**settings.RUN_LIMITS, "active_per_user": 10**6, "starts_per_minute": 10**6, "queue_length": 10**6}
    # The end of a request must not close the connection that holds the test's transaction; Django's own test client sees to that itself.
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: None)
    return schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", WSGIHandler())


# Those that answer only once an interview is over.
AFTERWARDS = {"attempts_replay", "scorecard_read", "self_assessment_set", "debrief_read", "export_markdown", "export_jsonl"}
# Streams are read to their end by tests of their own; a synchronous client cannot.
STREAMS = {"runs_events", "attempts_stream", "cohorts_live_stream", "exports_file"}
# Names in bodies that say what in an address has another name.
IN_BODIES = {"to": "cohort_id", "assignment": "assignment_id"}
# What only the operation itself answers: done, or refused by its own rules.
REACHED = {200, 201, 202, 204, 409, 410, 422, 423}
OPERATIONS = [operation for group in reference() for operation in group.operations if operation.id not in STREAMS]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.id)
def test_random_requests(api_schema: Any, user: User, operation: Operation, real: dict[str, Any]) -> None:
    declared = api_schema[operation.path][operation.method]
    cases = declared.as_strategy()
    if operation.body or any("in the query" in row.kind for row in operation.parameters):
        cases |= declared.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    met = set()
    real = {**real, "attempt_id": real["over_id"]} if operation.id in AFTERWARDS else real

    @given(case=cases, aimed=st.sampled_from([True, True, False]))
    @settings(max_examples=EXAMPLES_EACH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case: Case, aimed: bool) -> None:
        if aimed:  # most random names meet nothing
            case.path_parameters.update({name: value for name, value in real.items() if name in case.path_parameters})
            if isinstance(case.body, dict):
                case.body.update({name: real[known] for name, known in IN_BODIES.items() if name in case.body})
        _sign_in(user, case)
        announce_workers()
        met.add(case.call_and_validate(checks=CHECKS).status_code)

    check()
    assert met & REACHED, f"only {met}: the requests never reached the operation"


@pytest.fixture
def real(api_schema: Any, user: User, queue: Queue) -> dict[str, Any]:
    """Names of what is there."""
    announce_workers()
    run = run_start(user=user, lab=get_lab("vector_search", "counter"), values={})
    queue.work()
    dataset = Dataset.objects.create(user=user, problem="vector_search", lab="counter", name="a", digest="d")
    token, _ = token_create(user=user, name="to be revoked")
    names = {"problem": "vector_search", "lab": "counter", "key": EXAMPLES["key"]}
    ids = {"run_id": str(run.pk), "dataset_id": str(dataset.pk), "token_id": token.pk}
    answer = _quiz_answer(user)
    over, attempt = _attempt(user, run, over=True), _attempt(user, run)
    claim = Claim.objects.create(attempt=attempt, field="text/clarify", quote="q", start=0, end=1, op="about", at=timezone.now())
    ids |= {"attempt_id": str(attempt.pk), "over_id": str(over.pk), "claim_id": claim.pk}
    ids |= {"sitting_id": str(answer.sitting_id), "response_id": answer.pk}
    ids |= {"submission_id": str(_submission(user, queue).pk)}
    return {**names, **ids, **_cohort(user), "field": "text/clarify", "number": 1, "challenge": TASK.slug, "kind": "audit"}


def _submission(user: User, queue: Queue) -> Submission:
    announce_workers()
    made = submission_start(user=user, lab=get_lab("vector_search", "counter"), challenge=TASK, design=TASK.reference, now=timezone.now())
    work(queue)
    return made


def _cohort(user: User) -> dict[str, int]:
    """One the user owns, with a learner and an assignment in it."""
    by, now = By(user), timezone.now()
    cohort = cohort_create(by=by, name="C", timezone="UTC", now=now)
    learner = User.objects.create_user("learner-of-c")
    member = member_add(by=by, cohort=cohort, user=learner, role=Role.LEARNER, now=now)
    fields = AssignmentFields(title="A", kind="mock", problem="vector_search")
    assignment = assignment_create(by=by, cohort=cohort, fields=fields, now=now)
    ids = {"cohort_id": cohort.pk, "member_id": member.pk, "assignment_id": assignment.pk}
    export = export_create(by=by, cohort=cohort, kind="audit", format="csv", now=now)
    return ids | {"export_id": export.pk} | _graded(user, learner, assignment)


def _graded(user: User, learner: User, assignment: Assignment) -> dict[str, int]:
    """A piece to grade and a result of the learner."""
    tried = AssignedAttempt.objects.create(assignment=assignment, user=learner, number=1, version=1, begun_at=timezone.now())
    tried.attempt = _attempt(learner, None, over=True)
    tried.save()
    task = Task.objects.create(assigned=tried, section="design", order_key="0", lease_user=user, state="in_progress")
    result = Result.objects.create(assignment=assignment, user=learner, counted=tried, score=50, released_at=timezone.now())
    return {"task_id": task.pk, "result_id": result.pk}


def _attempt(user: User, run: Run | None, *, over: bool = False) -> Attempt:
    """One that runs, with a run in it; or one that is over and graded."""
    now = timezone.now()
    attempt = lifecycle.attempt_create(user=user, problem=load_problem("vector_search"), now=now)
    lifecycle.attempt_start(attempt=attempt, actor=user, now=now)
    if run:
        link_add(attempt=attempt, run=run, now=now)
    if over:
        lifecycle.attempt_submit(attempt=attempt, actor=user, now=now)
        attempt_grade(attempt_id=str(attempt.pk), now=now)
    return attempt


def _quiz_answer(user: User) -> QuizResponse:
    """One of a quiz that goes on, with a flashcard to come."""
    sitting = begin(user, CHOICE, FLASHCARD, now=timezone.now())
    return give(user, sitting, 0, now=timezone.now())


def announce_workers() -> None:
    """The fixture says it once; random requests may take longer than that holds."""
    presence.announce(channel.connection(), list(presence.QUEUES), "test")


def _sign_in(user: User, case: Case) -> None:
    """A token, or the session where only that is taken."""
    case.cookies, case.headers = {}, dict(case.headers or {})
    if "/tokens" not in case.path:
        user.api_tokens.filter(name="fuzz").delete()
        case.headers["Authorization"] = f"Bearer {token_create(user=user, name='fuzz')[1]}"
        return
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/account/tokens/").content.decode()
    case.headers["X-CSRFToken"] = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    case.cookies = {name: morsel.value for name, morsel in client.cookies.items()}


# --- the schema itself -----------------------------------------------------------------------------------------------------


def test_the_schema_is_valid_and_made_without_warnings(tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))
    assert (tmp_path / "schema.yml").stat().st_size > 10_000


def test_every_operation_documents_its_errors(client: Client, db: None) -> None:
    document = json.loads(client.get("/api/v1/schema/?format=json").content)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            statuses = set(operation["responses"])
            assert {"401", "405", "406", "429", "503"} <= statuses, (method, path)
            assert ("404" in statuses) or "{" not in path, (method, path)
            assert "{" in path or "requestBody" in operation or "404" not in statuses, (method, path)  # a body may name a thing too
            assert ({"400", "415", "422"} <= statuses) == ("requestBody" in operation), (method, path)


# --- the reference page ----------------------------------------------------------------------------------------------------


def test_the_reference_shows_every_operation(client: Client, db: None) -> None:
    page = client.get("/api/").content.decode()
    operations = [operation for group in reference() for operation in group.operations]
    document = json.loads(client.get("/api/v1/schema/?format=json").content)
    assert len(operations) == sum(len(methods) for methods in document["paths"].values())
    for operation in operations:
        assert f'id="{operation.id}"' in page
        assert operation.path in page
        assert operation.curl.startswith("curl")
    assert "<script>" not in page
    assert "style=" not in page


def test_the_examples_name_what_exists() -> None:
    assert (EXAMPLES["problem"], EXAMPLES["lab"]) in labs()
    problem = next(problem for problem in all_problems() if problem.slug == EXAMPLES["problem"])
    assert problem.calculator(EXAMPLES["key"])


def test_shapes_within_shapes_are_indented() -> None:
    operation = next(operation for group in reference() for operation in group.operations if operation.id == "runs_read")
    rows = {row.name: row for row in operation.answers[0].rows}
    assert (rows["links"].depth, rows["events"].depth) == (0, 1)
    assert "queued | running" in rows["state"].kind
