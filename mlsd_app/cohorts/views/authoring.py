"""Checking problems in the browser: the report of each, a folder or a file sent in, how the questions have done. Nothing is published."""

from __future__ import annotations

from datetime import datetime

from django import forms
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.authoring.folder import checked_problem
from mlsd_app.cohorts.authoring.health import bank_health
from mlsd_app.cohorts.authoring.report import Finding
from mlsd_app.cohorts.authoring.sent import FILES, MOST_A_FILE, checked_paste, checked_zip
from mlsd_app.cohorts.forms import PanelForm
from mlsd_app.cohorts.models import Role
from mlsd_app.cohorts.selectors import cohorts_as
from mlsd_app.cohorts.views.access import answering, user_of
from mlsd_app.interviews.refusals import Refused
from problems.loader import all_problems
from problems.schema import Problem
from simulators.errors import InvalidInput

AN_HOUR = 60  # checks of one person


class ZipForm(PanelForm):
    file = forms.FileField(label="Folder as a zip", help_text="At most 5 MB: the files of one problem, alone or in one folder.")


class PasteForm(PanelForm):
    name = forms.ChoiceField(label="File", choices=[(name, name) for name in sorted(FILES)])
    text = forms.CharField(
        label="Its text",
        strip=False,
        max_length=MOST_A_FILE,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false"}),
        help_text="Checked together with the problem's other files as they are.",
    )


def may_author(user: User) -> bool:
    """The owner of any cohort, and site staff."""
    return user.is_staff or cohorts_as(user, (Role.OWNER,)).exists()


def require_author(user: User) -> None:
    if not may_author(user):
        raise PermissionDenied("Checking problems is for owners of a cohort.")


def count_check(user: User, now: datetime) -> None:
    """Raises Refused (429) above sixty checks an hour."""
    key = f"authoring:{user.pk}:{now:%Y%m%d%H}"
    cache.add(key, 0, timeout=7200)
    if cache.incr(key) > AN_HOUR:
        raise Refused("too_many_checks", f"You have checked {AN_HOUR} times this hour; go on in the next one.", 429)


@require_http_methods(["GET", "POST"])
@answering
def index(request: HttpRequest) -> HttpResponse:
    """All problems; a folder that is none of them yet can be sent in."""
    require_author(user_of(request))
    form = ZipForm(request.POST or None, request.FILES or None)
    context = {"problems": all_problems(), "form": form}
    if request.method == "POST" and form.is_valid():
        context |= _sent(request, form, "")
    return render(request, "authoring/index.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "POST"])
@answering
def problem(request: HttpRequest, slug: str) -> HttpResponse:
    """The report of the problem as it is, and of what is sent in for it."""
    require_author(user_of(request))
    found = _problem(slug)
    pasted = request.method == "POST" and "text" in request.POST
    zipped = request.method == "POST" and not pasted
    form, paste = ZipForm(request.POST, request.FILES) if zipped else ZipForm(), PasteForm(request.POST if pasted else None)
    context = {"problem": found, "form": form, "paste": paste, "report": checked_problem(slug), "health": bank_health(slug)}
    if zipped and form.is_valid():
        context |= _sent(request, form, slug)
    if pasted and paste.is_valid():
        context |= _pasted(request, paste, slug)
    return render(request, "authoring/problem.html", context, status=422 if form.errors or paste.errors else 200)


def _problem(slug: str) -> Problem:
    found = next((problem for problem in all_problems() if problem.slug == slug), None)
    if found is None:
        raise Http404("There is no such problem; a new one is sent in on the page of all problems.")
    return found


def _sent(request: HttpRequest, form: ZipForm, slug: str) -> dict[str, object]:
    count_check(user_of(request), timezone.now())
    file: UploadedFile = form.cleaned_data["file"]
    try:
        name, findings = checked_zip(file, size=file.size or 0, slug=slug)
    except InvalidInput as error:
        form.refuse("file", error.message)
        return {}
    return _checked(f"{name}, as sent in", findings)


def _pasted(request: HttpRequest, form: PasteForm, slug: str) -> dict[str, object]:
    count_check(user_of(request), timezone.now())
    try:
        return _checked(f"{form.cleaned_data['name']}, as pasted", checked_paste(slug=slug, **form.cleaned_data))
    except InvalidInput as error:
        form.refuse(error.field, error.message)
        return {}


def _checked(what: str, findings: list[Finding]) -> dict[str, object]:
    return {"checked": findings, "checked_what": what}
