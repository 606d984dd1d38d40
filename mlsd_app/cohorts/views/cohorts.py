"""The list of cohorts, joining and leaving, and the front page of a cohort."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.cohorts import panel
from mlsd_app.cohorts.audit import By
from mlsd_app.cohorts.forms import CohortForm, JoinForm
from mlsd_app.cohorts.models import Cohort, Membership, Role
from mlsd_app.cohorts.rules import role_in
from mlsd_app.cohorts.services import codes, cohorts, members
from mlsd_app.cohorts.views.access import answering, cohort_page, user_of
from mlsd_app.cohorts.views.authoring import may_author
from mlsd_app.cohorts.work import learner_rows
from mlsd_app.interviews.refusals import Refused
from simulators.errors import InvalidInput


@require_GET
@answering
def listing(request: HttpRequest) -> HttpResponse:
    return _listing(request, JoinForm())


def _listing(request: HttpRequest, form: JoinForm, status: int = 200) -> HttpResponse:
    user = user_of(request)
    if user.is_guest:
        return render(request, "cohorts/guest.html", status=status)
    cards = panel.cohort_cards(user=user, now=timezone.now())
    return render(request, "cohorts/list.html", {"cards": cards, "form": form, "authoring": may_author(user)}, status=status)


@require_http_methods(["GET", "POST"])
@answering
def create(request: HttpRequest) -> HttpResponse:
    by = By.of(request)
    cohorts.refuse_guest(by)
    form = CohortForm(request.POST or None, initial={"timezone": "UTC"})
    if request.method == "POST" and form.is_valid():
        try:
            cohort = cohorts.cohort_create(by=by, **form.cleaned_data, now=timezone.now())
        except InvalidInput as error:
            form.refuse(error.field, error.message)
        else:
            messages.success(request, f"{cohort.name} is ready. Give your learners the code {codes.shown_code(cohort.join_code or '')}.")
            return redirect("cohorts:cohort", cohort.pk)
    return render(request, "cohorts/create.html", {"form": form}, status=422 if form.errors else 200)


# --- joining, leaving ------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@answering
def join(request: HttpRequest) -> HttpResponse:
    """The box of the list: a wrong code is said beside it, under this address, which then may be opened again."""
    if request.method == "GET":
        return redirect("cohorts:list")
    form = JoinForm(request.POST)
    if not form.is_valid():
        return _listing(request, form, 422)
    try:
        member = codes.cohort_join(by=By.of(request), code=form.cleaned_data["code"], now=timezone.now())
    except Refused as refused:
        if refused.code == "guest":
            raise
        form.refuse("code", refused.message)
        return _listing(request, form, refused.status)
    return _welcome(request, member)


@require_http_methods(["GET", "POST"])
@answering
def join_link(request: HttpRequest, code: str) -> HttpResponse:
    """The link form of a code: says which cohort it is and asks before joining."""
    by, now = By.of(request), timezone.now()
    if request.method == "POST":
        return _welcome(request, codes.cohort_join(by=by, code=code, now=now))
    if by.user.is_guest:
        return render(request, "cohorts/guest.html", {"back": request.get_full_path()})
    try:
        cohort = codes.cohort_of_code(by=by, code=code, now=now)
    except Refused as refused:
        if refused.code == "unknown_code":
            raise Http404(refused.message) from refused
        raise
    if role_in(user=by.user, cohort_id=cohort.pk):
        return redirect("cohorts:cohort", cohort.pk)
    return render(request, "cohorts/join.html", {"cohort": cohort, "code": code})


def _welcome(request: HttpRequest, member: Membership) -> HttpResponse:
    messages.success(request, f"You are in {member.cohort.name}.")
    return redirect("cohorts:cohort", member.cohort_id)


@require_POST
@cohort_page("see_cohort")
def leave(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    by = By.of(request)
    member = Membership.objects.filter(cohort=cohort, user=by.user, removed_at=None).first()
    if member is None:  # site staff looking in
        return redirect("cohorts:list")
    members.member_remove(by=by, member=member, now=timezone.now(), reason="left")
    messages.success(request, f"You have left {cohort.name}.")
    return redirect("cohorts:list")


# --- the front page --------------------------------------------------------------------------------------------------


@require_GET
@cohort_page("see_cohort")
def front(request: HttpRequest, cohort: Cohort) -> HttpResponse:
    """Learners see what is assigned to them, staff the state of the cohort."""
    user, now = user_of(request), timezone.now()
    if role_in(user=user, cohort_id=cohort.pk) == Role.LEARNER and not user.is_staff:
        return render(request, "cohorts/learner.html", {"cohort": cohort, "rows": learner_rows(user=user, cohort=cohort, now=now)})
    context = {"cohort": cohort, "overview": panel.overview(cohort=cohort, now=now), "states": panel.STATES}
    return render(request, "cohorts/overview.html", context)
