"""Challenges: the list, a brief with its form, a submission with its verdict."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_POST

from mlsd_app.accounts.services import ensure_user
from mlsd_app.challenges import present
from mlsd_app.challenges.models import Submission
from mlsd_app.challenges.present import Card, DesignForm, challenge_url, page_context, submission_shown
from mlsd_app.challenges.selectors import all_challenges, best_verdicts, submissions_of, submissions_to
from mlsd_app.challenges.services import seeds_of, submission_cancel, submission_start
from mlsd_app.core.content import problem_title
from mlsd_app.runs.forms import fields_of
from mlsd_app.runs.services import RunRefused
from simulators.challenge import challenge_of
from simulators.errors import InvalidInput
from simulators.lab import Challenge, Lab
from simulators.params import InvalidParams
from simulators.registry import get_lab


def task_or_404(problem: str, lab: str, slug: str) -> tuple[type[Lab], Challenge]:
    try:
        found = get_lab(problem, lab)
        return found, challenge_of(found, slug)
    except InvalidInput as error:
        raise Http404(error.message) from error


def design_from(lab: type[Lab], challenge: Challenge, query: QueryDict) -> dict[str, Any]:
    """What the form, or an address, says of the fields that the brief leaves open."""
    return {
        field.name: field.parse(query.getlist(field.name))
        for field in fields_of(lab)
        if field.name in query and field.name in challenge.design
    }


@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    best = best_verdicts(request.user)
    cards = [
        Card(lab, challenge, challenge_url(lab, challenge), best.get((lab.problem, lab.slug, challenge.slug)))
        for lab, challenge in all_challenges()
    ]
    groups = [(slug, problem_title(slug), list(found)) for slug, found in groupby(cards, key=lambda card: card.lab.problem)]
    return render(request, "challenges/list.html", {"groups": groups})


@require_GET
@never_cache
@ensure_csrf_cookie
def challenge(request: HttpRequest, problem: str, lab: str, slug: str) -> HttpResponse:
    """The brief, with the design of the query or of the last submission in the form."""
    found, task = task_or_404(problem, lab, slug)
    history = list(submissions_to(request.user, found, task, practice=True))
    values = design_from(found, task, request.GET) or (history[0].design if history else {})
    return _page(request, found, task, DesignForm(found, task, values), history)


def _page(
    request: HttpRequest,
    lab: type[Lab],
    task: Challenge,
    form: DesignForm,
    history: list[Submission],
    *,
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        **page_context(lab=lab, challenge=task, form=form, history=history),
        "refused": refused,
        "submit_url": reverse("challenges:submit", args=[lab.problem, lab.slug, task.slug]),
    }
    return render(request, "challenges/challenge.html", context, status=status)


@require_POST
def submit(request: HttpRequest, problem: str, lab: str, slug: str) -> HttpResponse:
    """Queues the design and goes to its page. What cannot be taken comes back as it was, with the sentence beside it."""
    found, task = task_or_404(problem, lab, slug)
    values, errors, refused, status = design_from(found, task, request.POST), {}, "", 422
    try:
        made = submission_start(user=ensure_user(request=request), lab=found, challenge=task, design=values, now=timezone.now())
        return redirect("challenges:submission", made.pk)
    except InvalidParams as error:
        errors = error.errors
    except InvalidInput as error:
        errors = {error.field or "": error.message}
    except RunRefused as error:
        refused, status = error.message, error.status
    history = list(submissions_to(request.user, found, task, practice=True))
    return _page(request, found, task, DesignForm(found, task, values, errors), history, refused=refused, status=status)


# --- a submission ------------------------------------------------------------------------------------------------------


def own_submission(request: HttpRequest, submission_id: UUID) -> Submission:
    found = submissions_of(request.user).filter(pk=submission_id).first()
    if found is None:
        raise Http404("There is no such submission among yours.")
    return found


@require_GET
@never_cache
@login_required
@ensure_csrf_cookie
def submission(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """Progress while it is judged, then the verdict."""
    row = own_submission(request, submission_id)
    return render(request, "challenges/submission.html", submission_context(row))


def submission_context(row: Submission) -> dict[str, Any]:
    shown = submission_shown(row, seeds_of(row, 1))
    back = f"{challenge_url(shown.lab, shown.challenge)}" if shown.lab and shown.challenge else ""
    return {"shown": shown, "row": row, "problem_title": problem_title(row.problem), "back_url": back}


@require_GET
@never_cache
@login_required
def progress(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    """The progress as a fragment; once it has ended the page is asked to load again."""
    row = own_submission(request, submission_id)
    if not row.active:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "challenges/_progress.html", {"shown": present.submission_shown(row, ()), "row": row})


@require_POST
@login_required
def cancel(request: HttpRequest, submission_id: UUID) -> HttpResponse:
    row = own_submission(request, submission_id)
    try:
        submission_cancel(submission=row, now=timezone.now())
    except RunRefused as error:
        return render(request, "422.html", {"message": error.message}, status=error.status)
    return redirect("challenges:submission", row.pk)
