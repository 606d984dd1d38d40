"""Settings of a cohort: name and zone, join code, labels, ownership, archive; and its log."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.cohorts import panel
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.forms import CodeForm, CohortEditForm, LabelForm
from mlsd_app.cohorts.models import Cohort, Label, Membership, Role
from mlsd_app.cohorts.selectors import audit_visible_to
from mlsd_app.cohorts.services import codes, cohorts
from mlsd_app.cohorts.views.access import cohort_page, found_or_404, require, user_of
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput

AUDIT_PAGE = 50


@require_http_methods(["GET", "POST"])
@cohort_page("manage_learners")
def settings(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """GET the page; POST name and zone, which only the owner changes."""
    if request.method == "GET":
        return _page(request, cohort)
    require(request, "edit_cohort", cohort)
    form = CohortEditForm(request.POST)
    if not form.is_valid():
        return _page(request, cohort, form=form, status=422)
    given, diff, status = form.cleaned_data, [], 422
    try:
        cohorts.cohort_edit(
            by=By.of(request),
            cohort=cohort,
            name=given["name"],
            timezone=given["timezone"],
            base_version=given["version"],
            now=timezone.now(),
        )
    except Refused as refused:
        diff, status = refused.extra["diff"], refused.status
        form.rebase(refused.extra["version"])
        form.refuse(None, f"{refused.message} Save again to put yours in its place.")
    except InvalidInput as error:
        form.refuse(error.field, error.message)
    if form.errors:
        return _page(request, cohort, form=form, status=status, diff=diff)
    messages.success(request, "The settings were saved. Dates that are set stay at the same moment.")
    return redirect("cohorts:settings", cohort.pk)


def _page(
    request: HttpRequest,
    cohort: Cohort,
    *,
    form: CohortEditForm | None = None,
    code_form: CodeForm | None = None,
    label_form: LabelForm | None = None,
    diff: object = (),
    status: int = 200,
) -> HttpResponse:
    code = {"enabled": cohort.join_enabled, "uses_left": cohort.join_uses_left, "expires_at": cohort.join_expires_at}
    heirs = cohort.memberships.filter(removed_at=None, role__in=[Role.INSTRUCTOR, Role.GRADER, Role.OBSERVER]).select_related("user")
    context = {
        "cohort": cohort,
        "form": form or CohortEditForm(initial={"name": cohort.name, "timezone": cohort.timezone, "version": cohort.version}),
        "code_form": code_form or CodeForm(initial=code),
        "label_form": label_form or LabelForm(),
        "labels": panel.labels_with_counts(cohort),
        "heirs": heirs,
        "diff": diff,
        "join_url": request.build_absolute_uri(reverse("cohorts:join_link", args=[codes.shown_code(cohort.join_code or "")])),
        "code_expired": cohort.join_expires_at is not None and cohort.join_expires_at <= timezone.now(),
    }
    return render(request, "cohorts/settings.html", context, status=status)


# --- join code -------------------------------------------------------------------------------------------------------


@require_POST
@cohort_page("manage_learners")
def code_save(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    form = CodeForm(request.POST)
    if not form.is_valid():
        return _page(request, cohort, code_form=form, status=422)
    codes.code_edit(by=By.of(request), cohort=cohort, **form.cleaned_data, now=timezone.now())
    messages.success(request, "The rules of the join code were saved.")
    return redirect("cohorts:settings", cohort.pk)


@require_POST
@cohort_page("manage_learners")
def code_rotate(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    codes.code_rotate(by=By.of(request), cohort=cohort, now=timezone.now())
    messages.success(request, "There is a new join code. The old one works no longer.")
    return redirect("cohorts:settings", cohort.pk)


# --- labels ----------------------------------------------------------------------------------------------------------


@require_POST
@cohort_page("manage_learners")
def label_add(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    form = LabelForm(request.POST)
    if form.is_valid():
        try:
            cohorts.label_add(by=By.of(request), cohort=cohort, name=form.cleaned_data["name"], now=timezone.now())
        except InvalidInput as error:
            form.refuse("name", error.message)
    return _page(request, cohort, label_form=form, status=422) if form.errors else redirect(_labels_url(cohort))


@require_POST
@cohort_page("manage_learners")
def label_save(request: HttpRequest, cohort: Cohort, label_id: int) -> HttpResponse:
    """Renames; the button `up` puts it one place higher, the button `remove` takes it away."""
    label = found_or_404(Label.objects.filter(cohort=cohort), label_id, "There is no such label in this cohort.")
    by, now = By.of(request), timezone.now()
    if "remove" in request.POST:
        cohorts.label_remove(by=by, label=label, now=now)
    else:
        cohorts.label_edit(by=by, label=label, name=request.POST.get("name", ""), up="up" in request.POST, now=now)
    return redirect(_labels_url(cohort))


def _labels_url(cohort: Cohort) -> str:
    return f"{reverse('cohorts:settings', args=[cohort.pk])}#labels"


# --- ownership, archive, deletion ------------------------------------------------------------------------------------


@require_POST
@cohort_page("edit_cohort")
def transfer(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    number = request.POST.get("to", "")
    members = Membership.objects.filter(cohort=cohort, removed_at=None).select_related("user")
    to = members.filter(pk=number).first() if number.isascii() and number.isdigit() and len(number) < 19 else None
    if to is None:
        raise InvalidInput("Choose who is to own the cohort.", field="to")
    cohorts.cohort_transfer(by=By.of(request), cohort=cohort, to=to, now=timezone.now())
    messages.success(request, f"{to.user.shown_name} owns {cohort.name} now; you are an instructor in it.")
    return redirect("cohorts:cohort", cohort.pk)


@require_POST
@cohort_page("edit_cohort")
def archive(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    archived = request.POST.get("archived") == "1"
    cohorts.cohort_archive(by=By.of(request), cohort=cohort, archived=archived, now=timezone.now())
    messages.success(request, "The cohort is archived." if archived else "The cohort is open again.")
    return redirect("cohorts:settings", cohort.pk)


@require_POST
@cohort_page("edit_cohort")
def delete(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    cohorts.cohort_delete(by=By.of(request), cohort=cohort, now=timezone.now())
    messages.success(request, f"{cohort.name} was deleted.")
    return redirect("cohorts:list")


# --- the log ---------------------------------------------------------------------------------------------------------


@require_GET
@cohort_page("see_cohort_audit")
def audit(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """Newest first; `?action=` narrows it to one kind of entry."""
    rows = audit_visible_to(user_of(request)).filter(cohort=cohort).select_related("actor")
    actions = sorted(set(rows.order_by().values_list("action", flat=True).distinct()))
    chosen = request.GET.get("action", "")
    shown = rows.filter(action=chosen) if chosen in actions else rows
    page = Paginator(shown, AUDIT_PAGE).get_page(request.GET.get("page"))
    context = {"cohort": cohort, "page": page, "actions": actions, "chosen": chosen if chosen in actions else ""}
    return render(request, "cohorts/audit.html", context)
