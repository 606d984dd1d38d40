"""Assignments: written and published by staff, looked at and begun by learners."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.cohorts import panel
from mlsd_app.cohorts.assignment_forms import KIND_FORMS, KIND_WORDS, AssignmentForm, KindForm
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.forms import CopyForm, OverrideForm
from mlsd_app.cohorts.grading.results import result_seen
from mlsd_app.cohorts.kinds import problem_named
from mlsd_app.cohorts.models import Assignment, Cohort
from mlsd_app.cohorts.policy import Resolved, checked
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import TWINS, assigned_visible_to
from mlsd_app.cohorts.services import assignments as services
from mlsd_app.cohorts.services.assignments import AssignmentFields
from mlsd_app.cohorts.services.begin import assignment_begin, assignment_hand_in
from mlsd_app.cohorts.views import designs
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, found_or_404, user_of
from mlsd_app.cohorts.work import facts_of, links_of, settings_of, sources_shown, state_words, url_of, work_of
from mlsd_app.interviews.refusals import Refused
from problems.loader import all_problems
from problems.schema import Problem
from simulators.errors import InvalidInput


@require_GET
@cohort_page("see_cohort")
def show(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """Staff see dates, exceptions and tries; a learner what to do and a button to begin."""
    assignment = assignment_or_404(request, cohort, assignment_id)
    if may(user_of(request), "begin_assignment", assignment):
        return _learner_page(request, cohort, assignment)
    return render(request, "cohorts/assignment.html", _staff_context(request, cohort, assignment))


def _learner_page(request: HttpRequest, cohort: Cohort, assignment: Assignment) -> HttpResponse:
    user, now = user_of(request), timezone.now()
    work = work_of(user=user, assignment=assignment, now=now)
    result_seen(user=user, assignment=assignment, now=now)
    context = {"cohort": cohort, "assignment": assignment, "work": work, "sources": sources_shown(work.policy)}
    return render(request, "cohorts/work.html", {**context, **designs.learner_context(work)})


def _staff_context(request: HttpRequest, cohort: Cohort, assignment: Assignment) -> dict[str, Any]:
    user, now = user_of(request), timezone.now()
    editable = may(user, "edit_assignment", assignment)
    named = may(user, "see_people", cohort)  # graders read no names
    tries = assigned_visible_to(user).filter(assignment=assignment).select_related("user", "attempt", "sitting").order_by("-begun_at")
    members = {member.user_id: member for member in cohort.memberships.all()}
    copies = TWINS["create_assignment"](user).filter(archived_at=None)
    return {
        "cohort": cohort,
        "assignment": assignment,
        "problem": problem_named(assignment.problem),
        "facts": facts_of(settings_of(assignment), Resolved()),
        "state": panel.assignment_state(assignment, now),
        "states": panel.STATES,
        "learners": len(panel.learners_by_assignment(cohort)[assignment.pk]),
        "tries": [(row, state_words(row), members.get(row.user_id)) for row in tries[:200]] if named else None,
        "overrides": assignment.overrides.select_related("user", "label") if editable else (),
        "override_form": OverrideForm(cohort=cohort) if editable else None,
        "copy_form": CopyForm(cohorts=copies, initial={"to": cohort}) if editable else None,
        **(designs.staff_context(user, assignment, now) if named else {}),
    }


# --- writing ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@cohort_page("create_assignment")
def create(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """Without `?kind=` and `?problem=` the choice of both; with them the form."""
    kind, slug = request.GET.get("kind", ""), request.GET.get("problem", "")
    if kind not in KIND_FORMS or not slug:
        return _choice(request, cohort, kind, slug)
    problem = problem_named(slug)
    form = AssignmentForm(request.POST or None, cohort=cohort, initial={"title": problem.title})
    kind_form = KIND_FORMS[kind](request.POST or None, problem=problem, prefix="kind")
    if request.method == "POST" and (fields := _fields(form, kind_form, kind, slug)):
        try:
            made = services.assignment_create(by=By.of(request), cohort=cohort, fields=fields, now=timezone.now())
        except InvalidInput as error:
            _refuse(form, kind_form, error)
        else:
            messages.success(request, "The draft was saved. Learners see it once you publish it.")
            return redirect("cohorts:assignment", cohort.pk, made.pk)
    return _form_page(request, cohort, form, kind_form, kind, problem)


def _choice(request: HttpRequest, cohort: Cohort, kind: str, slug: str) -> HttpResponse:
    problems = [problem for problem in all_problems() if problem.phases]
    context = {"cohort": cohort, "kinds": KIND_WORDS, "problems": problems, "kind": kind or "mock", "slug": slug}
    return render(request, "cohorts/assignment_new.html", context)


def _form_page(
    request: HttpRequest, cohort: Cohort, form: AssignmentForm, kind_form: KindForm, kind: str, problem: Problem, **extra: Any
) -> HttpResponse:
    title = {key: words for key, words, _ in KIND_WORDS}[kind]
    context = {"cohort": cohort, "form": form, "kind_form": kind_form, "kind_title": title, "problem": problem, **extra}
    status = extra.get("status") or (422 if form.errors or kind_form.errors else 200)
    return render(request, "cohorts/assignment_form.html", context, status=status)


def _fields(form: AssignmentForm, kind_form: KindForm, kind: str, problem: str) -> AssignmentFields | None:
    """Both forms as one; None, with the sentences in the forms, when something is wrong."""
    if not (form.is_valid() & kind_form.is_valid()):
        return None
    try:
        values = {**form.values(), "kind": kind, "problem": problem, "settings": kind_form.settings()}
        return checked(AssignmentFields, values)
    except InvalidInput as error:
        _refuse(form, kind_form, error)
        return None


def _refuse(form: AssignmentForm, kind_form: KindForm, error: InvalidInput) -> None:
    field = (error.field or "").split(".")[0]
    (kind_form if field in kind_form.fields else form).refuse("late" if field == "late_steps" else field, error.message)


@require_http_methods(["GET", "POST"])
@cohort_page("create_assignment")
def edit(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """Once somebody has begun, saving first shows what changes for whom; `confirmed` then saves."""
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    problem, kind = problem_named(assignment.problem), assignment.kind
    form = AssignmentForm(request.POST or None, cohort=cohort, initial=AssignmentForm.initial_of(assignment))
    kind_form_class = KIND_FORMS[kind]
    kind_form = kind_form_class(
        request.POST or None, problem=problem, prefix="kind", initial=kind_form_class.initial_of(assignment.settings)
    )
    extra: dict[str, Any] = {"assignment": assignment}
    if request.method == "POST" and (fields := _fields(form, kind_form, kind, problem.slug)):
        try:
            extra["changes"] = services.assignment_changes(assignment=assignment, fields=fields)
            if request.POST.get("confirmed") == "1" or not assignment.attempts.exists():
                base = form.cleaned_data["version"] or 0
                services.assignment_edit(by=By.of(request), assignment=assignment, fields=fields, base_version=base, now=timezone.now())
                messages.success(request, "The assignment was saved.")
                return redirect("cohorts:assignment", cohort.pk, assignment.pk)
        except InvalidInput as error:
            _refuse(form, kind_form, error)
        except Refused as refused:
            form.rebase(refused.extra["version"])
            extra |= {"diff": refused.extra["diff"], "changes": None, "status": refused.status}
            form.refuse(None, f"{refused.message} Save again to put yours in its place.")
    return _form_page(request, cohort, form, kind_form, kind, problem, **extra)


@require_GET
@cohort_page("create_assignment")
def preview(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """The learner's page, without a learner: nothing can be begun from here."""
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    policy = Resolved(assignment.opens_at, assignment.due_at, assignment.closes_at, assignment.attempts_allowed)
    settings, problem = settings_of(assignment), problem_named(assignment.problem)
    work = {"policy": policy, "facts": facts_of(settings, policy), "links": links_of(settings, problem), "left": policy.attempts}
    context = {"cohort": cohort, "assignment": assignment, "work": {**work, "problem": problem}, "preview": True}
    return render(request, "cohorts/work.html", context)


@require_POST
@cohort_page("create_assignment")
def publish(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    published = request.POST.get("published") == "1"
    services.assignment_publish(by=By.of(request), assignment=assignment, published=published, now=timezone.now())
    messages.success(request, "Learners see it now." if published else "It is a draft again.")
    return redirect("cohorts:assignment", cohort.pk, assignment.pk)


@require_POST
@cohort_page("create_assignment")
def copy(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    form = CopyForm(request.POST, cohorts=TWINS["create_assignment"](user_of(request)).filter(archived_at=None))
    if not form.is_valid():
        raise InvalidInput("Choose a cohort of yours, and days as a whole number from -3650 to 3650.")
    made = services.assignment_copy(
        by=By.of(request), assignment=assignment, to=form.cleaned_data["to"], shift_days=form.cleaned_data["shift_days"], now=timezone.now()
    )
    messages.success(request, "This is the copy, a draft.")
    return redirect("cohorts:assignment", made.cohort_id, made.pk)


@require_POST
@cohort_page("create_assignment")
def delete(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    kept = services.assignment_delete(by=By.of(request), assignment=assignment, now=timezone.now())
    messages.success(request, "It is archived: learners see it no longer, what they did is kept." if kept else "It was deleted.")
    return redirect("cohorts:assignment", cohort.pk, kept.pk) if kept else redirect("cohorts:cohort", cohort.pk)


@require_POST
@cohort_page("create_assignment")
def restore(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    services.assignment_restore(by=By.of(request), assignment=assignment, now=timezone.now())
    messages.success(request, "It is back.")
    return redirect("cohorts:assignment", cohort.pk, assignment.pk)


# --- by the learner --------------------------------------------------------------------------------------------------


@require_POST
@cohort_page("see_cohort")
def begin(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    """To where the work is done; a try that is under way goes on."""
    assignment = assignment_or_404(request, cohort, assignment_id, "begin_assignment")
    row = assignment_begin(user=user_of(request), assignment=assignment, now=timezone.now())
    return redirect(url_of(row) or reverse("cohorts:assignment", args=[cohort.pk, assignment.pk]))


@require_POST
@cohort_page("see_cohort")
def hand_in(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "begin_assignment")
    mine = assigned_visible_to(user_of(request)).filter(assignment=assignment, user=user_of(request))
    row = found_or_404(mine, try_id, "There is no such try of yours.")
    assignment_hand_in(user=user_of(request), row=row, now=timezone.now())
    messages.success(request, "It is handed in.")
    return redirect("cohorts:assignment", cohort.pk, assignment.pk)
