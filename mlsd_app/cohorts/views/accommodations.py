"""What differs for whom: in the whole cohort, and in one assignment. Owners and instructors only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.forms import AccommodationForm, OverrideForm
from mlsd_app.cohorts.models import Accommodation, Cohort, Label, Membership, Override
from mlsd_app.cohorts.selectors import accommodations_set_by
from mlsd_app.cohorts.services import accommodations as services
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, found_or_404, user_of
from simulators.errors import InvalidInput


@require_GET
@cohort_page("manage_accommodations")
def listing(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    return _page(request, cohort)


def _page(request: HttpRequest, cohort: Cohort, form: AccommodationForm | None = None, target: str = "") -> HttpResponse:
    rows = Accommodation.objects.filter(cohort=cohort).select_related("user", "label")
    members = {member.user_id: member for member in cohort.memberships.filter(removed_at=None).select_related("user")}
    context = {
        "cohort": cohort,
        "rows": [(row, members.get(row.user_id) if row.user_id else None) for row in rows],
        "members": members.values(),
        "labels": cohort.labels.all(),
        "form": form or AccommodationForm(),
        "target": target,
    }
    return render(request, "cohorts/accommodations.html", context, status=422 if form else 200)


@require_POST
@cohort_page("manage_accommodations")
def save(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """`target` is user:<id> or label:<id>."""
    form, target = AccommodationForm(request.POST), request.POST.get("target", "")
    if not form.is_valid():
        return _page(request, cohort, form, target)
    try:
        given, whom = form.cleaned_data, target_of(cohort, target)
        services.accommodation_set(
            by=By.of(request),
            cohort=cohort,
            fields=form.said(),
            **whom,
            valid_from=given["valid_from"],
            valid_to=given["valid_to"],
            now=timezone.now(),
        )
    except InvalidInput as error:
        form.refuse(error.field, error.message)
        return _page(request, cohort, form, target)
    messages.success(request, "The accommodation was saved. It holds for what is begun from now on.")
    if "user" not in whom:
        return redirect("cohorts:accommodations", cohort.pk)
    return redirect("cohorts:person", cohort.pk, Membership.objects.get(cohort=cohort, user=whom["user"]).pk)


def target_of(cohort: Cohort, target: str) -> dict[str, Any]:
    """`user` or `label` of this cohort from "user:7" or "label:3". Raises InvalidInput."""
    kind, _, number = target.partition(":")
    if number.isascii() and number.isdigit() and len(number) < 19:
        if kind == "user" and (user := User.objects.filter(pk=number, memberships__cohort=cohort, memberships__removed_at=None).first()):
            return {"user": user}
        if kind == "label" and (label := Label.objects.filter(pk=number, cohort=cohort).first()):
            return {"label": label}
    raise InvalidInput("Choose a person or a label of this cohort.", field="target")


@require_POST
@cohort_page("manage_accommodations")
def clear(request: HttpRequest, cohort: Cohort, accommodation_id: int) -> HttpResponse:
    rows = accommodations_set_by(user_of(request)).filter(cohort=cohort)
    found = found_or_404(rows, accommodation_id, "There is no such accommodation in this cohort.")
    services.accommodation_clear(by=By.of(request), accommodation=found, now=timezone.now())
    messages.success(request, "The accommodation was taken away. What is begun keeps it.")
    return redirect("cohorts:accommodations", cohort.pk)


# --- in one assignment -----------------------------------------------------------------------------------------------


@require_POST
@cohort_page("manage_accommodations")
def override_save(request: HttpRequest, cohort: Cohort, assignment_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    form = OverrideForm(request.POST, cohort=cohort)
    if not form.is_valid():
        return render(request, "cohorts/override.html", {"cohort": cohort, "assignment": assignment, "form": form}, status=422)
    try:
        target = target_of(cohort, ":".join(map(str, form.chosen())))
        services.override_set(by=By.of(request), assignment=assignment, fields=form.said(), **target, now=timezone.now())
    except InvalidInput as error:
        form.refuse(error.field, error.message)
        return render(request, "cohorts/override.html", {"cohort": cohort, "assignment": assignment, "form": form}, status=422)
    messages.success(request, "The exception was saved. It holds for what is begun from now on.")
    return redirect("cohorts:assignment", cohort.pk, assignment.pk)


@require_POST
@cohort_page("manage_accommodations")
def override_clear(request: HttpRequest, cohort: Cohort, assignment_id: int, override_id: int) -> HttpResponse:
    assignment = assignment_or_404(request, cohort, assignment_id, "edit_assignment")
    found = found_or_404(Override.objects.filter(assignment=assignment), override_id, "There is no such exception in this assignment.")
    services.override_clear(by=By.of(request), override=found, now=timezone.now())
    messages.success(request, "The exception was taken away.")
    return redirect("cohorts:assignment", cohort.pk, assignment.pk)
