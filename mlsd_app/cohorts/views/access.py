"""The way into every page of a cohort: who asks, whether the cohort exists for them, whether they may do this, and in which time zone."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from mlsd_app.accounts.models import User
from mlsd_app.cohorts.audit import By, staff_access
from mlsd_app.cohorts.models import Assignment, Cohort
from mlsd_app.cohorts.rules import may
from mlsd_app.cohorts.selectors import assignments_visible_to, cohorts_visible_to
from mlsd_app.interviews.refusals import Refused
from mlsd_app.quiz.errors import Refused as QuizRefused
from simulators.errors import InvalidInput

P = ParamSpec("P")
M = TypeVar("M", bound=Model)
View = Callable[..., HttpResponseBase]
CohortView = Callable[Concatenate[HttpRequest, Cohort, P], HttpResponseBase]
LAST_ID = 2**63 - 1


def user_of(request: HttpRequest) -> User:
    return cast(User, request.user)  # views behind `answering` have a signed-in user


def answering(view: View) -> View:
    """For signed-in people only; what cannot be done becomes a page with the reason and its status."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except (Refused, QuizRefused) as refused:
            return render(request, "cohorts/refused.html", {"refused": refused}, status=refused.status)
        except InvalidInput as error:
            return render(request, "422.html", {"message": error.message}, status=422)

    return never_cache(login_required(wrapped))


def cohort_page(action: str) -> Callable[[View], View]:
    """Gives the view the cohort instead of its id. 404 for a cohort the user is not in, 403 for an action the role does not include.

    Times are shown and read in the cohort's zone.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapped(request: HttpRequest, cohort_id: int, *args: Any, **kwargs: Any) -> HttpResponseBase:
            cohort = found_or_404(cohorts_visible_to(user_of(request)), cohort_id, "There is no such cohort among yours.")
            require(request, action, cohort)
            staff_access(by=By.of(request), cohort=cohort, now=timezone.now())
            with timezone.override(ZoneInfo(cohort.timezone)):
                return view(request, cohort, *args, **kwargs)

        return answering(wrapped)

    return decorate


def found_or_404(rows: QuerySet[M], pk: int, words: str) -> M:
    found = rows.filter(pk=pk).first() if pk <= LAST_ID else None
    if found is None:
        raise Http404(words)
    return found


def require(request: HttpRequest, action: str, thing: object) -> None:
    if not may(user_of(request), action, thing):
        raise PermissionDenied("Your role in this cohort does not include this.")


def assignment_or_404(request: HttpRequest, cohort: Cohort, assignment_id: int, action: str = "see_assignment") -> Assignment:
    rows = assignments_visible_to(user_of(request)).filter(cohort=cohort).select_related("cohort")
    assignment = found_or_404(rows, assignment_id, "There is no such assignment in this cohort.")
    require(request, action, assignment)
    return assignment
