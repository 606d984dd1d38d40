"""Before and after results go out: the release page, overrides, late work, the gradebook; and the rubric they rest on."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.grading import results as services
from mlsd_app.cohorts.grading import rubrics
from mlsd_app.cohorts.grading.quality import gradebook, release_view
from mlsd_app.cohorts.grading.rubric_content import RubricContent
from mlsd_app.cohorts.models import Assignment, Cohort
from mlsd_app.cohorts.policy import checked
from mlsd_app.cohorts.selectors import assigned_managed_by, results_overridable_by
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, found_or_404, user_of
from mlsd_app.interviews.refusals import Refused
from mlsd_app.interviews.scoring.scorecard import TAG_TITLES
from mlsd_app.interviews.scoring.verdict import GROUPS
from simulators.errors import InvalidInput

# --- release ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@cohort_page("create_assignment")
def release(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """How grading stands; POST lets out everybody's results, or those of some labels."""
    assignment = assignment_or_404(request, cohort, assignment_id, "release_scores")
    if request.method == "GET":
        return _release_page(request, cohort, assignment)
    chosen = [int(value) for value in request.POST.getlist("labels") if value.isdecimal() and len(value) < 19]
    labels = list(cohort.labels.filter(pk__in=chosen))
    people, partly = services.people_of(assignment, labels), request.POST.get("partly") == "on"
    try:
        done = services.results_release(by=By.of(request), assignment=assignment, now=timezone.now(), people=people, partly=partly)
    except Refused as refused:
        return _release_page(request, cohort, assignment, refused=refused, status=refused.status, chosen=chosen)
    learners = "1 learner's result is out." if done.released == 1 else f"The results of {done.released} learners are out."
    messages.success(request, learners + (f" {done.partly} of them only partly graded." if done.partly else ""))
    return redirect("cohorts:release", cohort.pk, assignment.pk)


def _release_page(request: HttpRequest, cohort: Cohort, assignment: Assignment, status: int = 200, **extra: Any) -> HttpResponse:
    view = release_view(assignment=assignment, now=timezone.now())
    context = {"cohort": cohort, "assignment": assignment, "view": view, "labels": cohort.labels.all(), **extra}
    context["highest"] = max((count for _, count in view.distribution), default=0)
    context["own"] = user_of(request).pk
    return render(request, "cohorts/grading/release.html", context, status=status)


@require_POST
@cohort_page("create_assignment")
def override(request: HttpRequest, cohort: Cohort, assignment_id: int, result_id: int) -> HttpResponse:
    """`score` 0 to 100, or nothing to take the override back; `reason` always."""
    assignment = assignment_or_404(request, cohort, assignment_id, "release_scores")
    rows = results_overridable_by(user_of(request)).filter(assignment=assignment)
    result = found_or_404(rows, result_id, "There is no released result of that number that you may change.")
    score = _number(request.POST.get("score", ""))
    services.result_override(by=By.of(request), result=result, score=score, reason=request.POST.get("reason", ""), now=timezone.now())
    messages.success(request, "The score was set, and the learner is told." if score is not None else "The computed score counts again.")
    return redirect("cohorts:release", cohort.pk, assignment.pk)


def _number(given: str) -> float | None:
    given = given.strip().replace(",", ".")
    if not given:
        return None
    if not re.fullmatch(r"\d{1,3}(\.\d{1,4})?", given):
        raise InvalidInput(f"{given[:20]!r} was given; a score goes from 0 to 100.", field="score")
    return float(given)


@require_POST
@cohort_page("create_assignment")
def accept(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "release_scores")
    rows = assigned_managed_by(user_of(request)).filter(assignment=assignment).exclude(user=user_of(request))
    row = found_or_404(rows.select_related("attempt", "assignment__cohort"), try_id, "There is no such try in this assignment.")
    services.try_accept(by=By.of(request), row=row, reason=request.POST.get("reason", ""), now=timezone.now())
    messages.success(request, "It is being marked, and comes into the queue.")
    return redirect("cohorts:release", cohort.pk, assignment.pk)


@require_GET
@cohort_page("see_analytics_names")
def show_gradebook(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    assignments, rows = gradebook(cohort)
    return render(request, "cohorts/grading/gradebook.html", {"cohort": cohort, "assignments": assignments, "rows": rows})


# --- rubric ----------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@cohort_page("create_assignment")
def rubric(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """The rubric as it counts now, and its versions; POST saves a new one. Refused, what was typed comes back."""
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_rubric")
    version, content = rubrics.content_now(assignment)
    if request.method == "GET":
        return _rubric_page(request, cohort, assignment, version, content)
    base = request.POST.get("base_version", "")
    typed = _typed(request.POST, content)
    try:
        made = rubrics.rubric_save(
            by=By.of(request),
            assignment=assignment,
            content=typed,
            base_version=int(base) if base.isdecimal() and len(base) < 10 else 0,
            note=request.POST.get("note", ""),
            now=timezone.now(),
        )
    except (InvalidInput, Refused) as error:
        status = error.status if isinstance(error, Refused) else 422
        return _rubric_page(request, cohort, assignment, version, _shown(typed, content), error=error, status=status)
    words = (
        "Nothing was changed."
        if made is None
        else f"Version {made.version} is saved. What was handed in keeps its marks until you mark it again."
    )
    messages.success(request, words)
    return redirect("cohorts:rubric", cohort.pk, assignment.pk)


def _rubric_page(
    request: HttpRequest, cohort: Cohort, assignment: Assignment, version: int, content: RubricContent, status: int = 200, **extra: Any
) -> HttpResponse:
    base = rubrics.problem_rubric(assignment)
    grades = {item.id: item.grade for item in base.items}
    weights = {str(tag): weight for tag, weight in content.weights.items()}
    versions = [(row, rubrics.rubric_diff(assignment, row)) for row in assignment.rubrics.select_related("changed_by")[:20]]
    context = {
        "cohort": cohort,
        "assignment": assignment,
        "version": version,
        "tags": [
            (tag, title, [(item, grades.get(item.id, "text")) for item in content.items if item.tag == tag])
            for tag, title in TAG_TITLES.items()
        ],
        "tag_titles": TAG_TITLES,
        "signals": [(signal.key, signal.title) for signal in base.signals],
        "weights": [(tags[0], " and ".join(TAG_TITLES[tag] for tag in tags), weights.get(tags[0], 0)) for tags, _ in GROUPS],
        "versions": versions,
        "behind": rubrics.behind(assignment).count() if versions else 0,
        **extra,
    }
    return render(request, "cohorts/grading/rubric.html", context, status=status)


def _typed(form: QueryDict, content: RubricContent) -> dict[str, Any]:
    """What the form holds, as `rubric_save` takes it; numbers are checked there."""
    items: list[dict[str, Any]] = []
    for item in content.items:
        values = {name: form.get(f"{name}:{item.id}", getattr(item, name)) for name in ("text", "points", "guidance")}
        items.append({**item.model_dump(), **values, "on": f"on:{item.id}" in form})
    if text := form.get("new_text", "").strip():
        new = {name: form.get(f"new_{name}", "") for name in ("tag", "signal", "points", "guidance")}
        items.append({**new, "id": _own_id(text, {item.id for item in content.items}), "text": text, "on": True})
    weights = {tags[0]: form.get(f"weight:{tags[0]}") or 0 for tags, _ in GROUPS}
    return {"items": items, "weights": weights}


def _own_id(text: str, taken: set[str]) -> str:
    stem = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:30] or "point"
    return next(key for key in (f"own.{stem}{number or ''}" for number in range(len(taken) + 1)) if key not in taken)


def _shown(typed: dict[str, Any], content: RubricContent) -> RubricContent:
    """What was typed as far as it can be read, else what is stored."""
    try:
        return checked(RubricContent, typed)
    except InvalidInput:
        known = {item.id: item for item in content.items}
        kept = [
            known[entry["id"]].model_copy(
                update={"text": str(entry["text"])[:300], "guidance": str(entry["guidance"])[:2000], "on": entry["on"]}
            )
            for entry in typed["items"]
            if entry["id"] in known
        ]
        return content.model_copy(update={"items": tuple(kept)})


@require_POST
@cohort_page("create_assignment")
def regrade(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment, now = assignment_or_404(request, cohort, assignment_id, "edit_rubric"), timezone.now()
    done = rubrics.rubric_regrade(by=By.of(request), assignment=assignment, now=now)
    services.results_refresh(assignment=assignment, now=now)
    words = "1 interview was" if done["marked"] == 1 else f"{done['marked']} interviews were"
    messages.success(request, f"{words} marked under the newest rubric; {done['check_again']} pieces wait to be checked again.")
    return redirect("cohorts:rubric", cohort.pk, assignment.pk)
