"""The people of a cohort, an import of many, and one learner's page as staff see it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.cohorts import panel
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.forms import AccommodationForm, MemberAddForm, ReasonForm
from mlsd_app.cohorts.models import Accommodation, Cohort, Membership, Role
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import assigned_visible_to, memberships_visible_to
from mlsd_app.cohorts.services import csv_import, members
from mlsd_app.cohorts.views.access import cohort_page, found_or_404, require, user_of
from mlsd_app.cohorts.work import TryRow, state_words
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

ROLES = [(role.value, role.label) for role in Role if role != Role.OWNER]


@require_GET
@cohort_page("see_people")
def people(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    return _people(request, cohort, None)


def _people(request: HttpRequest, cohort: Cohort, form: MemberAddForm | None) -> HttpResponse:
    user, label = user_of(request), request.GET.get("label", "")
    rows = panel.people_rows(cohort=cohort, now=timezone.now())
    shown = [row for row in rows if not label or label in {str(item.pk) for item in row.member.labels.all()}]
    form = form or MemberAddForm(cohort=cohort, any_role=may(user, "edit_cohort", cohort))
    context = {"cohort": cohort, "rows": shown, "total": len(rows), "labels": cohort.labels.all(), "chosen": label, "form": form}
    return render(request, "cohorts/people.html", context, status=422 if form.errors else 200)


@require_POST
@cohort_page("manage_learners")
def add(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    form = MemberAddForm(request.POST, cohort=cohort, any_role=may(user_of(request), "edit_cohort", cohort))
    if not form.is_valid():
        return _people(request, cohort, form)
    given = form.cleaned_data
    try:
        user = members.person_named(given["person"])
        labels = list(given["labels"])
        members.member_add(by=By.of(request), cohort=cohort, user=user, role=Role(given["role"]), labels=labels, now=timezone.now())
    except InvalidInput as error:
        form.refuse(error.field, error.message)
        return _people(request, cohort, form)
    messages.success(request, f"{user.shown_name} is in the cohort.")
    return redirect("cohorts:people", cohort.pk)


@require_http_methods(["GET", "POST"])
@cohort_page("manage_learners")
def import_csv(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """GET the form; POST a file for the preview, or, with `confirm`, the text that was previewed."""
    if request.method == "GET":
        return render(request, "cohorts/import.html", {"cohort": cohort})
    data = _csv_bytes(request)
    if request.POST.get("confirm") != "1":
        plan = csv_import.import_plan(cohort=cohort, data=data)
        text = "" if plan.faults else data.decode("utf-8-sig")
        return render(request, "cohorts/import.html", {"cohort": cohort, "plan": plan, "text": text}, status=422 if plan.faults else 200)
    try:
        plan = csv_import.people_import(by=By.of(request), cohort=cohort, data=data, now=timezone.now())
    except InvalidInput:  # something changed since the preview
        plan = csv_import.import_plan(cohort=cohort, data=data)
        return render(request, "cohorts/import.html", {"cohort": cohort, "plan": plan, "text": ""}, status=422)
    messages.success(request, f"{len(plan.new)} people were added; {len(plan.already_in)} were in already.")
    return redirect("cohorts:people", cohort.pk)


def _csv_bytes(request: HttpRequest) -> bytes:
    file = request.FILES.get("file")
    if file is not None:
        return bytes(file.read(csv_import.MOST_BYTES + 1))
    return str(request.POST.get("text", "")).encode()


# --- one person ------------------------------------------------------------------------------------------------------


def _member(request: HttpRequest, cohort: Cohort, member_id: int, action: str) -> Membership:
    rows = memberships_visible_to(user_of(request)).filter(cohort=cohort).select_related("user", "cohort").prefetch_related("labels")
    member = found_or_404(rows, member_id, "There is no such person in this cohort.")
    require(request, action, member)
    return member


@require_GET
@cohort_page("see_people")
def person(request: HttpRequest, cohort: Cohort, member_id: int) -> HttpResponse:
    """All assignments of one member with tries, and what may be changed about them."""
    member = _member(request, cohort, member_id, "see_member")
    own = Accommodation.objects.filter(cohort=cohort, user=member.user).first()
    context = {**_person(request, cohort, member), "accommodation": own, "accommodation_form": _accommodation_form(own)}
    return render(request, "cohorts/person.html", context)


def _accommodation_form(own: Accommodation | None) -> AccommodationForm:
    if own is None:
        return AccommodationForm()
    return AccommodationForm(initial={**AccommodationForm.initial_of(own.fields), "valid_from": own.valid_from, "valid_to": own.valid_to})


def _person(request: HttpRequest, cohort: Cohort, member: Membership) -> dict[str, object]:
    user = user_of(request)
    seen = assigned_visible_to(user).filter(assignment__cohort=cohort, user=member.user)
    tries: dict[int, list[TryRow]] = {}
    for row in seen.select_related("attempt", "sitting").order_by("number"):
        tries.setdefault(row.assignment_id, []).append(TryRow(row, state_words(row), ""))
    assigned, results = panel.learners_by_assignment(cohort), panel.results_by_assignment(user=member.user, cohort=cohort)
    shown = [
        (row, tries.get(row.pk, []), results.get(row.pk))
        for row in cohort.assignments.exclude(published_at=None)
        if member.user_id in assigned[row.pk] or row.pk in tries
    ]
    summary = next((row for row in panel.people_rows(cohort=cohort, now=timezone.now()) if row.member.pk == member.pk), None)
    return {
        "cohort": cohort,
        "member": member,
        "rows": shown,
        "summary": summary,
        "labels": cohort.labels.all(),
        "roles": ROLES,
        "reason_form": ReasonForm(),
    }


@require_POST
@cohort_page("manage_learners")
def remove(request: HttpRequest, cohort: Cohort, member_id: int) -> HttpResponse:
    member = _member(request, cohort, member_id, "remove_member")
    form = ReasonForm(request.POST)
    reason = form.cleaned_data["reason"] if form.is_valid() else ""
    members.member_remove(by=By.of(request), member=member, now=timezone.now(), reason=reason)
    messages.success(request, f"{member.user.shown_name} was taken out. What they began stays with you.")
    return redirect("cohorts:people", cohort.pk)


@require_POST
@cohort_page("manage_learners")
def role(request: HttpRequest, cohort: Cohort, member_id: int) -> HttpResponse:
    member = _member(request, cohort, member_id, "change_role")
    wanted = request.POST.get("role", "")
    if wanted not in dict(ROLES):
        raise InvalidInput(f"{wanted[:40]!r} is no role; expected one of {', '.join(dict(ROLES))}.", field="role")
    members.member_role(by=By.of(request), member=member, role=Role(wanted), now=timezone.now())
    messages.success(request, f"{member.user.shown_name} is now {Role(wanted).label.lower()}.")
    return redirect("cohorts:person", cohort.pk, member.pk)


@require_POST
@cohort_page("manage_learners")
def labels(request: HttpRequest, cohort: Cohort, member_id: int) -> HttpResponse:
    member = _member(request, cohort, member_id, "see_member")
    wanted = set(request.POST.getlist("labels"))
    chosen = [label for label in cohort.labels.all() if str(label.pk) in wanted]
    if len(chosen) != len(wanted):
        raise Refused("stale", "A label was removed since the page was loaded. Reload it and choose again.", 409)
    members.member_labels(by=By.of(request), member=member, labels=chosen, now=timezone.now())
    messages.success(request, "The labels were saved.")
    return redirect("cohorts:person", cohort.pk, member.pk)
