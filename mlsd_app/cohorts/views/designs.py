"""Challenges and predictions within an assignment: the learner's pages, and what staff see of them."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mlsd_app.accounts.models import User
from mlsd_app.challenges.present import DesignForm, page_context, params_shown, submission_shown
from mlsd_app.challenges.services import seeds_of
from mlsd_app.challenges.views import design_from
from mlsd_app.cohorts import designs, foretelling
from mlsd_app.cohorts.models import AssignedAttempt, Assignment, Cohort, Kind, Prediction
from mlsd_app.cohorts.selectors import assigned_visible_to, submissions_visible_to
from mlsd_app.cohorts.views.access import assignment_or_404, cohort_page, found_or_404, user_of
from mlsd_app.cohorts.work import Work
from mlsd_app.runs.present import question
from mlsd_app.runs.services import RunRefused
from simulators.errors import InvalidInput
from simulators.params import InvalidParams

MOST_ROWS = 200


def own_try(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int, kind: str) -> AssignedAttempt:
    """The user's own try at an assignment of this kind; 404 for anything else."""
    assignment = assignment_or_404(request, cohort, assignment_id, "begin_assignment")
    mine = assigned_visible_to(user_of(request)).filter(assignment=assignment, user=user_of(request), assignment__kind=kind)
    return found_or_404(mine.select_related("assignment__cohort", "user"), try_id, "There is no such try of yours.")


# --- challenges --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@cohort_page("see_cohort")
def challenge(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int) -> HttpResponse:
    """The brief with the form, as in practice; a design sent here counts for this try."""
    row, now = own_try(request, cohort, assignment_id, try_id, Kind.CHALLENGE), timezone.now()
    lab, task = designs.task_of(row.assignment)
    history = designs.submissions_in(row)
    values: Any = history[0].design if history else {}
    errors: dict[str, str] = {}
    refused, status = "", 200
    if request.method == "POST":
        values = design_from(lab, task, request.POST)
        try:
            made = designs.design_submit(row=row, design=values, now=now)
            return redirect("cohorts:submission", cohort.pk, row.assignment_id, made.pk)
        except InvalidParams as error:
            errors, status = error.errors, 422
        except InvalidInput as error:
            errors, status = {error.field or "": error.message}, 422
        except RunRefused as error:
            refused, status = error.message, error.status
    settings = designs.settings_of(row.assignment)
    context = {
        **page_context(lab=lab, challenge=task, form=DesignForm(lab, task, values, errors), history=history),
        "cohort": cohort,
        "assignment": row.assignment,
        "try": row,
        "refused": refused,
        "closed": designs.closed_because(row, now),
        "submit_url": reverse("cohorts:try_challenge", args=[cohort.pk, row.assignment_id, row.pk]),
        "submission_url": f"{reverse('cohorts:assignment', args=[cohort.pk, row.assignment_id])}submissions/",
        "limits": f"Up to {settings.submissions} designs in all, a minute apart. The same design again costs nothing.",
        "secret_seeds": designs.secret_seeds(row.assignment, now),
    }
    return render(request, "cohorts/challenge.html", context, status=status)


@require_GET
@cohort_page("see_cohort")
def submission(request: HttpRequest, cohort: Cohort, assignment_id: int, submission_id: UUID) -> HttpResponse:
    """A verdict, for the one whose it is and for staff."""
    assignment = assignment_or_404(request, cohort, assignment_id)
    seen = submissions_visible_to(user_of(request)).filter(tries__assigned__assignment=assignment)
    row = seen.filter(pk=submission_id).select_related("user").distinct().first()
    if row is None:
        raise Http404("There is no such submission in this assignment.")
    own = row.user_id == request.user.pk
    current = assigned_visible_to(user_of(request)).filter(designs__submission=row, assignment=assignment).last()
    context = {
        "cohort": cohort,
        "assignment": assignment,
        "row": row,
        "shown": submission_shown(row, seeds_of(row, 1)),
        "still": not own,
        "back_url": reverse("cohorts:try_challenge", args=[cohort.pk, assignment.pk, current.pk]) if own and current else "",
    }
    return render(request, "cohorts/submission.html", context)


# --- predictions -------------------------------------------------------------------------------------------------------


@require_POST
@cohort_page("see_cohort")
def predict(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int) -> HttpResponse:
    """Locks the intervals and starts the run; once they are locked it only starts the run again."""
    row = own_try(request, cohort, assignment_id, try_id, Kind.PREDICTION)
    try:
        foretelling.predictions_lock(row=row, given=_intervals(request, row), now=timezone.now())
    except InvalidInput as error:
        return _page_again(request, cohort, row, error)
    except RunRefused as error:
        messages.warning(request, f"Your intervals are locked. {error.message}")
    return redirect("cohorts:assignment", cohort.pk, row.assignment_id)


def _intervals(request: HttpRequest, row: AssignedAttempt) -> dict[str, tuple[float, float]]:
    """What the form says, by metric. Raises InvalidInput with the metric as its field."""
    if row.predictions.exists():
        return {}
    found = {}
    for place, asked in enumerate(foretelling.asked_of(row.assignment)):
        ends = [_number(request.POST.get(f"{end}-{place}", ""), asked) for end in ("lower", "upper")]
        found[asked.metric] = (ends[0], ends[1])
    return found


def _number(text: str, asked: foretelling.Asked) -> float:
    try:
        value = float(text.strip().replace(",", ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidInput(f"{asked.name.label}: {text[:40]!r} was given; expected a number.", field=asked.metric)
    return value


def _page_again(request: HttpRequest, cohort: Cohort, row: AssignedAttempt, error: InvalidInput) -> HttpResponse:
    """The form as it was sent, with the sentence beside its field."""
    context = {"cohort": cohort, "assignment": row.assignment, **prediction_context(row, request.POST.dict(), error)}
    return render(request, "cohorts/prediction.html", context, status=422)


@require_GET
@cohort_page("see_cohort")
def prediction(request: HttpRequest, cohort: Cohort, assignment_id: int, try_id: int) -> HttpResponse:
    """The fragment that waits for the run; once it has ended the page is asked to load again."""
    row = own_try(request, cohort, assignment_id, try_id, Kind.PREDICTION)
    foretelling.predictions_resolve(row=row, now=timezone.now())
    context = {"cohort": cohort, "assignment": row.assignment, **prediction_context(row)}
    if not context["run_active"]:
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "cohorts/_prediction.html", context)


def prediction_context(row: AssignedAttempt, sent: dict[str, str] | None = None, error: InvalidInput | None = None) -> dict[str, Any]:
    """Of `cohorts/_prediction.html`."""
    lab = foretelling.lab_in(row.assignment)
    settings = foretelling.settings_of(row.assignment)
    preset = next((item for item in lab.presets if item.key == settings.preset), None)
    told, run = foretelling.state_of(row)
    asked = [
        (place, item, *(sent.get(f"{end}-{place}", "") if sent else "" for end in ("lower", "upper")), _said(error, item.metric))
        for place, item in enumerate(foretelling.asked_of(row.assignment))
    ]
    return {
        "prediction_try": row,
        "lab": lab,
        "lab_question": question(lab),
        "preset": preset,
        "params_shown": params_shown(lab, preset.values if preset else {}),
        "asked": asked,
        "told": told,
        "run": run,
        "run_active": bool(run and run.active),
        "resolved": bool(told) and all(item.row.resolved_at for item in told),
    }


def _said(error: InvalidInput | None, metric: str) -> str:
    return error.message if error is not None and error.field == metric else ""


# --- on the pages of an assignment -------------------------------------------------------------------------------------


def learner_context(work: Work) -> dict[str, Any]:
    """What the learner's page shows beside what all kinds have."""
    if work.assignment.kind != Kind.PREDICTION or not work.tries:
        return {}
    row = work.current.row if work.current else work.tries[-1].row
    foretelling.predictions_resolve(row=row, now=timezone.now())
    return prediction_context(row)


def staff_context(user: User, assignment: Assignment, now: datetime) -> dict[str, Any]:
    """For those who may read names: submissions of a challenge, or how often the intervals held."""
    visible = assigned_visible_to(user).filter(assignment=assignment).select_related("user").order_by("-begun_at")
    if assignment.kind == Kind.CHALLENGE:
        rows = [(row, made, designs.outcome_of(made)[1]) for row, made in designs.submitted_rows(list(visible[:MOST_ROWS])) if made]
        return {"submitted": rows, "secret_seeds": designs.secret_seeds(assignment, now)}
    if assignment.kind == Kind.PREDICTION:
        found = Prediction.objects.filter(assigned__in=visible.order_by().values("pk")).select_related("assigned__user")[:MOST_ROWS]
        return {"foretold": [foretelling.Told(row) for row in found]}
    return {}
