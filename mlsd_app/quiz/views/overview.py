"""Today, the plan and the statistics."""

from __future__ import annotations

from zoneinfo import available_timezones

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_http_methods

from mlsd_app.accounts.services import ensure_user
from mlsd_app.quiz import plans, queue, readiness, sittings, statistics
from mlsd_app.quiz.bank import quiz_problems
from mlsd_app.quiz.days import date_passed, day_of, days_left
from mlsd_app.quiz.figures import forecast_figure, history_figures
from mlsd_app.quiz.flags import flags_of
from mlsd_app.quiz.forms import PlanForm
from mlsd_app.quiz.models import Flag
from simulators.errors import InvalidInput


@require_GET
@ensure_csrf_cookie
def today(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    plan = plans.plan_of(request.user)
    ready = readiness.readiness_of(plan=plan, now=now)
    stats = statistics.statistics_of(plan=plan, now=now)
    day = queue.today(plan=plan, now=now)
    context = {
        "plan": plan,
        "day": day,
        "droppable": readiness.least_begun(ready.problems, day.left_out),
        "open": sittings.daily_open(user=request.user, now=now),
        "days_left": days_left(plan, now),
        "date_passed": date_passed(plan, now),
        "streak": statistics.streak_of(plan, now),
        "ready": ready,
        "stats": stats,
        "weak_tags": stats.weak_tags,
        "later_today": max(0, stats.forecast[0][1] - len(day.due)),
        "tomorrow": stats.forecast[1][1],
        "answered_flags": flags_of(request.user).filter(status=Flag.Status.ANSWERED)[:5],
    }
    return render(request, "quiz/today.html", context)


@require_http_methods(["GET", "POST"])
def plan(request: HttpRequest) -> HttpResponse:
    """The form, and saving it: 422 with the form as it was sent when a value is wrong."""
    now = timezone.now()
    form = PlanForm.of(plans.plan_of(request.user))
    if request.method == "POST":
        form = PlanForm.sent(request.POST)
        try:
            plans.plan_save(user=ensure_user(request=request), now=now, **form.values())
        except InvalidInput as error:
            form.errors[error.field or ""] = error.message
        else:
            messages.success(request, "Your plan is saved.")
            return redirect("quiz:today")
    found = plans.plan_of(request.user)
    context = {
        "form": form,
        "problems": quiz_problems(),
        "zones": sorted(available_timezones()),
        "first_day": day_of(found, now),
        "date_passed": date_passed(found, now),
    }
    return render(request, "quiz/plan.html", context, status=422 if form.errors else 200)


@require_GET
def stats(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    plan = plans.plan_of(request.user)
    found = statistics.statistics_of(plan=plan, now=now)
    context = {
        "plan": plan,
        "stats": found,
        "figures": [*history_figures(found.days), forecast_figure(found.forecast)],
    }
    return render(request, "quiz/stats.html", context)
