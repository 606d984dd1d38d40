"""Grading: the queue, one piece, and what one can do with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading import queue
from mlsd_app.cohorts.grading.anonymous import code_names
from mlsd_app.cohorts.grading.marks import MarkGiven, Submission, draft_save, marks_checked, task_submit
from mlsd_app.cohorts.grading.piece import LEVEL_WORDS, piece_of
from mlsd_app.cohorts.grading.results import grading_catch_up, results_refresh
from mlsd_app.cohorts.grading.sections import section_title
from mlsd_app.cohorts.models import Assignment, Cohort, Kind, Task
from mlsd_app.cohorts.selectors import tasks_for
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, found_or_404, user_of
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

GRADED_KINDS = (Kind.MOCK, Kind.QUIZ)


def task_or_404(request: HttpRequest, cohort: Cohort, task_id: int) -> Task:
    """Only what the user may grade. What they held and may not any more goes back into the queue."""
    user = user_of(request)
    queue.leases_drop(user=user, now=timezone.now())
    rows = tasks_for(user).filter(queue.IN_REACH, assigned__assignment__cohort=cohort)
    rows = rows.select_related("assigned__assignment__cohort", "assigned__attempt", "assigned__sitting", "lease_user", "graded_by")
    return found_or_404(rows, task_id, "There is no such piece to grade for you in this cohort.")


# --- the queue -------------------------------------------------------------------------------------------------------


@require_GET
@cohort_page("grade_in_cohort")
def overview(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    user, now = user_of(request), timezone.now()
    rows = cohort.assignments.filter(kind__in=GRADED_KINDS, published_at__isnull=False, archived_at=None)
    found = [(row, _totals(queue.counts(assignment=row, user=user, now=now))) for row in rows]
    held = queue.held_now(user=user, now=now).filter(assigned__assignment__cohort=cohort).select_related("assigned__assignment")
    context = {"cohort": cohort, "rows": found, "held": [(task, section_title(task.section)) for task in held]}
    return render(request, "cohorts/grading/overview.html", context)


def _totals(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    found = {state: sum(row[state] for row in counts.values()) for state in queue.STATES}
    return {**found, "waiting": found["ungraded"] + found["check_again"], "all": sum(found.values())}


@require_GET
@cohort_page("grade_in_cohort")
def show_queue(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """Pieces of an assignment by section. Owners and instructors also see what was handed to them or flagged."""
    assignment = assignment_or_404(request, cohort, assignment_id)
    user, now = user_of(request), timezone.now()
    counts = queue.counts(assignment=assignment, user=user, now=now)
    codes = code_names(assignment)
    marked = queue.for_managers(user).filter(assigned__assignment=assignment).select_related("assigned")[:100]
    context = {
        "cohort": cohort,
        "assignment": assignment,
        "rows": [(key, section_title(key), row, _totals({key: row})) for key, row in counts.items()],
        "totals": _totals(counts),
        "marked": [(task, section_title(task.section), codes.get(task.assigned.user_id, "Somebody")) for task in marked],
    }
    return render(request, "cohorts/grading/queue.html", context)


@require_POST
@cohort_page("grade_in_cohort")
def take_next(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id)
    grading_catch_up(now=timezone.now(), assignment=assignment)
    return _to_next(request, cohort, assignment, request.POST.get("section", "").replace("\0", ""))


def _to_next(request: HttpRequest, cohort: Cohort, assignment: Assignment, section: str) -> HttpResponse:
    user, now = user_of(request), timezone.now()
    task = queue.task_next(user=user, assignment=assignment, now=now, section=section)
    if task is None and section:  # the part is done; go on with another
        task = queue.task_next(user=user, assignment=assignment, now=now)
    if task is None:
        messages.info(request, "Nothing is left for you to grade here just now.")
        return redirect("cohorts:queue", cohort.pk, assignment.pk)
    return redirect("cohorts:task", cohort.pk, task.pk)


# --- one piece -------------------------------------------------------------------------------------------------------


@require_GET
@cohort_page("grade_in_cohort")
def show(request: HttpRequest, cohort: Cohort, task_id: int) -> HttpResponse:
    return _page(request, cohort, task_or_404(request, cohort, task_id))


def _page(
    request: HttpRequest,
    cohort: Cohort,
    task: Task,
    *,
    marks: Mapping[str, MarkGiven] | None = None,
    error: InvalidInput | Refused | None = None,
    status: int = 200,
) -> HttpResponse:
    """The piece, to be graded by whoever holds it; others read that they do not, and may take it if it is free."""
    user, now = user_of(request), timezone.now()
    mine = task.state == "in_progress" and task.lease_user_id == user.pk
    if mine and error is None:
        queue.task_renew(user=user, task=task, now=now)
    piece = piece_of(task=task, user=user, marks=marks)
    context = {
        "cohort": cohort,
        "assignment": task.assigned.assignment,
        "task": task,
        "piece": piece,
        "mine": mine,
        "free": task.state != "in_progress" or task.lease_until is None or task.lease_until <= now,
        "levels": list(enumerate(LEVEL_WORDS)),
        "graders": queue.graders_for(task).exclude(pk=user.pk),
        "error": error,
        "wrong": error.field if isinstance(error, InvalidInput) else "",
    }
    return render(request, "cohorts/grading/task.html", context, status=status)


@require_POST
@cohort_page("grade_in_cohort")
def draft(request: HttpRequest, cohort: Cohort, task_id: int) -> HttpResponse:
    """What was typed so far, as JSON: {saved_at}; 409 when the piece is somebody else's by now (it is kept all the same), 422."""
    task, now = task_or_404(request, cohort, task_id), timezone.now()
    try:
        draft_save(user=user_of(request), task=task, marks=marks_of(request.POST), now=now)
    except Refused as refused:
        return JsonResponse({"code": refused.code, "detail": refused.message}, status=refused.status)
    except InvalidInput as error:
        return JsonResponse({"code": "invalid", "detail": error.message}, status=422)
    return JsonResponse({"saved_at": now.isoformat()})


@require_POST
@cohort_page("grade_in_cohort")
def submit(request: HttpRequest, cohort: Cohort, task_id: int) -> HttpResponse:
    """Hands the marks in and goes on to the next piece. Refused, the page comes back with everything that was typed."""
    task, now, by = task_or_404(request, cohort, task_id), timezone.now(), By.of(request)
    marks: dict[str, MarkGiven] | None = None
    try:
        marks = marks_of(request.POST)
        version = request.POST.get("rubric_version", "")
        task_submit(by=by, task=task, given=Submission(marks, int(version) if version.isdecimal() else None), now=now)
    except Refused as refused:
        task.refresh_from_db()
        return _page(request, cohort, task, marks=marks, error=refused, status=refused.status)
    except InvalidInput as error:
        return _page(request, cohort, task, marks=marks, error=error, status=422)
    assignment = task.assigned.assignment
    results_refresh(assignment=assignment, now=now, user=task.assigned.user)
    if request.POST.get("then") == "queue":
        return redirect("cohorts:queue", cohort.pk, assignment.pk)
    return _to_next(request, cohort, assignment, task.section)


def marks_of(form: QueryDict) -> dict[str, MarkGiven]:
    """Fields `level:<subject>`, `comment:<subject>`, `keep:<subject>` and, as JSON, `evidence:<subject>`."""
    given: dict[str, dict[str, Any]] = {}
    for name, value in form.items():
        part, colon, subject = name.partition(":")
        if colon and part in READERS:
            given.setdefault(subject, {})[part] = READERS[part](str(value))
    return marks_checked(given)


def _level(value: str) -> int | str | None:
    return int(value) if value.isdecimal() else value or None


def _evidence(value: str) -> Any:
    try:
        return json.loads(value or "[]")
    except ValueError as error:
        raise InvalidInput("The evidence could not be read; mark it again.", field="evidence") from error


READERS: Mapping[str, Callable[[str], Any]] = {"level": _level, "comment": str, "keep": bool, "evidence": _evidence}


# --- what one does with it -------------------------------------------------------------------------------------------


@require_POST
@cohort_page("grade_in_cohort")
def act(request: HttpRequest, cohort: Cohort, task_id: int) -> HttpResponse:
    """`do`: take, give_back, skip, tag (`to`), hand_up (`words`) or flag (`words`). What was typed so far is kept as a draft."""
    task, user, now = task_or_404(request, cohort, task_id), user_of(request), timezone.now()
    what, words = request.POST.get("do", ""), request.POST.get("words", "")
    match what:
        case "take":
            queue.task_claim(user=user, task=task, now=now)
        case "flag":
            queue.task_flag(user=user, task=task, words=words, now=now)
        case "give_back":
            queue.task_give_back(user=user, task=task, now=now)
        case "skip":
            queue.task_skip(user=user, task=task, now=now)
        case "tag":
            queue.task_tag(user=user, task=task, to=_colleague(task, request.POST.get("to", "")), now=now)
        case "hand_up":
            queue.task_hand_up(user=user, task=task, words=words, now=now)
        case _:
            raise InvalidInput(f"{what[:20]!r} is nothing that can be done with a piece.", field="do")
    if what in ("take", "flag"):
        return redirect("cohorts:task", cohort.pk, task.pk)
    messages.success(request, DONE[what])
    return _to_next(request, cohort, task.assigned.assignment, task.section) if what == "skip" else redirect("cohorts:grading", cohort.pk)


DONE = {
    "give_back": "The piece is back in the queue; what you typed is kept for you.",
    "skip": "Skipped: you are not offered that piece for four hours.",
    "tag": "Your colleague is offered the piece next.",
    "hand_up": "The piece waits for an owner or instructor.",
}


def _colleague(task: Task, given: str) -> User:
    found = queue.graders_for(task).filter(pk=int(given)).first() if given.isdecimal() and len(given) < 19 else None
    if found is None:
        raise InvalidInput("Choose a colleague who grades in this cohort.", field="to")
    return found
