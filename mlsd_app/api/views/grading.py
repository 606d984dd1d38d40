"""Grading: the next piece, its marks, the rubric of an assignment, results and their release."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from rest_framework import status
from rest_framework.decorators import api_view
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from mlsd_app.accounts.models import User
from mlsd_app.api import grading_shapes as shapes
from mlsd_app.api.operations import operation
from mlsd_app.api.pages import page
from mlsd_app.api.serializers import Page
from mlsd_app.api.views.cohort_work import assignment_for
from mlsd_app.api.views.cohorts import by_of, found_or_404, given, labels_named, require, user_of
from mlsd_app.cohorts.grading import queue, rubrics
from mlsd_app.cohorts.grading import results as services
from mlsd_app.cohorts.grading.anonymous import code_names
from mlsd_app.cohorts.grading.marks import Submission, draft_save, marks_checked, task_submit
from mlsd_app.cohorts.grading.piece import Subject, piece_of
from mlsd_app.cohorts.models import Result, Task
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import results_overridable_by, results_visible_to, tasks_for
from simulators.errors import InvalidInput

TAG = "grading"


# --- pieces ----------------------------------------------------------------------------------------------------------


def task_for(request: Request, task_id: int) -> Task:
    """What the caller may not grade does not exist; what they held and may not grade any more goes back into the queue."""
    user = user_of(request)
    queue.leases_drop(user=user, now=timezone.now())
    rows = tasks_for(user).filter(queue.IN_REACH)
    rows = rows.select_related("assigned__assignment__cohort", "assigned__attempt", "assigned__sitting", "assigned__user")
    return found_or_404(rows, task_id, "There is no such piece for you to grade.")


def _task_answer(task: Task, user: User) -> dict[str, Any]:
    piece = piece_of(task=task, user=user)
    yours = task.state == "in_progress" and task.lease_user_id == user.pk
    return {
        "id": task.pk,
        "assignment": task.assigned.assignment_id,
        "section": task.section,
        "title": piece.title,
        "code_name": piece.code_name,
        "state": task.state,
        "yours": yours,
        "lease_until": task.lease_until if yours else None,
        "rubric_version": piece.rubric_version,
        "handed": {name: value for name, value in asdict(piece.handed).items() if name != "diagram"},
        "subjects": [_subject_answer(subject) for subject in piece.subjects],
    }


def _subject_answer(subject: Subject) -> dict[str, Any]:
    names = ("key", "title", "points", "guidance", "anchors", "comments")
    rule = asdict(subject.by_rule) if subject.by_rule else None
    people = [asdict(judged) for judged in subject.by_people]
    fields = {name: getattr(subject, name) for name in names}
    return {**fields, "needed": subject.required, "by_rule": rule, "by_people": people, "mark": subject.mark.model_dump()}


@operation(
    tag=TAG,
    summary="Get the next piece to grade",
    request=shapes.NextRequest,
    answers={200: shapes.TaskAnswer, 204: None},
    errors=[404],
    changes=True,
    operation_id="tasks_next",
)
@api_view(["POST"])
def task_next(request: Request) -> Response:
    """The piece you hold, else one tagged to you, else the next open one, which is then yours for 30 minutes. 204: nothing left."""
    asked = given(shapes.NextRequest, request.data)
    assignment, now = assignment_for(request, asked["assignment"], "see_assignment"), timezone.now()
    require(request, "grade_in_cohort", assignment.cohort)
    services.grading_catch_up(now=now, assignment=assignment)
    task = queue.task_next(user=user_of(request), assignment=assignment, now=now, section=asked["section"])
    if task is None:
        return Response(status=status.HTTP_204_NO_CONTENT)
    return Response(_task_answer(task_for(request, task.pk), user_of(request)))


@operation(
    tag=TAG,
    summary="Read a piece",
    answers={200: shapes.TaskAnswer},
    errors=[404],
    operation_id="tasks_read",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Keep or hand in the marks of a piece",
    request=shapes.TaskPatch,
    answers={200: shapes.TaskAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="tasks_mark",
    methods=["PATCH"],
)
@api_view(["GET", "PATCH"])
def task(request: Request, task_id: int) -> Response:
    """409 `lease_lost` when it is somebody else's by now, `rubric_changed` when the rubric is not the one you read. Either way, and with
    422, the marks are kept as your draft."""
    row, user, now = task_for(request, task_id), user_of(request), timezone.now()
    if request.method == "PATCH":
        asked = given(shapes.TaskPatch, request.data)
        marks = marks_checked(asked["marks"])
        if asked["submit"]:
            task_submit(by=by_of(request), task=row, given=Submission(marks, asked.get("rubric_version")), now=now)
            services.results_refresh(assignment=row.assigned.assignment, now=now, user=row.assigned.user)
        else:
            draft_save(user=user, task=row, marks=marks, now=now)
        row = task_for(request, task_id)
    return Response(_task_answer(row, user))


@operation(
    tag=TAG,
    summary="Give a piece back",
    request=shapes.TaskRelease,
    answers={204: None},
    errors=[404, 409],
    changes=True,
    operation_id="tasks_release",
)
@api_view(["POST"])
def task_release(request: Request, task_id: int) -> Response:
    """Back into the queue; skipped for four hours; to a colleague; or up to the lead."""
    row, user, now = task_for(request, task_id), user_of(request), timezone.now()
    asked = given(shapes.TaskRelease, request.data)
    match asked["how"]:
        case "skip":
            queue.task_skip(user=user, task=row, now=now)
        case "tag":
            to = User.objects.filter(pk=asked.get("to") or 0).first()
            if to is None:
                raise InvalidInput("Name the colleague it goes to.", field="to")
            queue.task_tag(user=user, task=row, to=to, now=now)
        case "hand_up":
            queue.task_hand_up(user=user, task=row, words=asked["words"], now=now)
        case _:
            queue.task_give_back(user=user, task=row, now=now)
    return Response(status=status.HTTP_204_NO_CONTENT)


# --- rubric ----------------------------------------------------------------------------------------------------------


@operation(
    tag=TAG,
    summary="Read the rubric of an assignment",
    answers={200: shapes.RubricAnswer},
    errors=[403, 404, 422],
    operation_id="rubric_read",
    methods=["GET"],
)
@operation(
    tag=TAG,
    summary="Save a new version of it",
    request=shapes.RubricRequest,
    answers={200: shapes.RubricAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="rubric_save",
    methods=["PUT"],
)
@api_view(["GET", "PUT"])
def rubric(request: Request, assignment_id: int) -> Response:
    """Points of the problem may be reworded, weighed anew or switched off; added ones have ids that begin with own."""
    assignment = assignment_for(request, assignment_id, "edit_rubric")
    if request.method == "PUT":
        asked = given(shapes.RubricRequest, request.data)
        rubrics.rubric_save(by=by_of(request), assignment=assignment, **asked, now=timezone.now())
    version, content = rubrics.content_now(assignment)
    own = rubrics.rubric_latest(assignment) is not None
    behind = rubrics.behind(assignment).count() if own else 0
    return Response({"version": version, "own": own, "behind": behind, "content": content.model_dump(mode="json")})


@operation(
    tag=TAG,
    summary="Mark all under the newest rubric",
    answers={200: shapes.RegradeAnswer},
    errors=[404],
    changes=True,
    operation_id="rubric_regrade",
)
@api_view(["POST"])
def regrade(request: Request, assignment_id: int) -> Response:
    """Rules mark at once; pieces with a changed point that a person had judged go back to the queue."""
    assignment, now = assignment_for(request, assignment_id, "edit_rubric"), timezone.now()
    done = rubrics.rubric_regrade(by=by_of(request), assignment=assignment, now=now)
    services.results_refresh(assignment=assignment, now=now)
    return Response(done)


# --- results ---------------------------------------------------------------------------------------------------------


def _result_answer(row: Result, codes: dict[int, str]) -> dict[str, Any]:
    names = ("state", "score", "late_credit", "override_score", "graded_weight", "verdict", "released_at")
    out = row.released_at is not None
    who = {"code_name": codes.get(row.user_id, "Somebody"), "user": row.user_id if out else None}
    return {"id": row.pk, **who, "final": services.final_score(row), **{name: getattr(row, name) for name in names}}


@operation(
    tag=TAG,
    summary="List results of an assignment",
    parameters=[Page],
    answers={200: shapes.ResultPage},
    errors=[403, 404, 422],
    operation_id="results_list",
)
@api_view(["GET"])
def results(request: Request, assignment_id: int) -> Response:
    """Owner and instructors get all, under code names until they are out; learners their own, once it is."""
    assignment, asked = assignment_for(request, assignment_id, "see_assignment"), given(Page, request.query_params)
    if not (may(user_of(request), "release_scores", assignment) or may(user_of(request), "begin_assignment", assignment)):
        raise PermissionDenied("Your role in this cohort does not include this.")
    rows, codes = results_visible_to(user_of(request)).filter(assignment=assignment), code_names(assignment)
    return page(request, rows, asked["limit"], asked["offset"], lambda row: _result_answer(row, codes))


@operation(
    tag=TAG,
    summary="Override a result",
    request=shapes.ResultPatch,
    answers={200: shapes.ResultAnswer},
    errors=[404],
    changes=True,
    operation_id="results_override",
)
@api_view(["PATCH"])
def result(request: Request, result_id: int) -> Response:
    """Only of what is out, never of your own, always with a reason that stays in the log."""
    row = found_or_404(results_visible_to(user_of(request)).select_related("assignment__cohort"), result_id, "There is no such result.")
    if not results_overridable_by(user_of(request)).filter(pk=row.pk).exists():
        raise PermissionDenied("This result is your own, not out yet, or not yours to change.")
    asked = given(shapes.ResultPatch, request.data)
    changed = services.result_override(
        by=by_of(request), result=row, score=asked["override_score"], reason=asked["reason"], now=timezone.now()
    )
    return Response(_result_answer(changed, code_names(changed.assignment)))


@operation(
    tag=TAG,
    summary="Release results",
    request=shapes.ReleaseRequest,
    answers={200: shapes.ReleaseAnswer},
    errors=[404, 409],
    changes=True,
    operation_id="assignments_release",
)
@api_view(["POST"])
def release(request: Request, assignment_id: int) -> Response:
    """All at once. 409 `ungraded` while something waits for a person, unless `partly`."""
    assignment = assignment_for(request, assignment_id, "release_scores")
    asked = given(shapes.ReleaseRequest, request.data)
    people = services.people_of(assignment, labels_named(assignment.cohort, asked["labels"]))
    done = services.results_release(by=by_of(request), assignment=assignment, now=timezone.now(), people=people, partly=asked["partly"])
    return Response(asdict(done))
