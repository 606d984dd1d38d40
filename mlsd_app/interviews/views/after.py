"""When the clock has stopped."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from mlsd_app.interviews import present
from mlsd_app.interviews.models import LIVE
from mlsd_app.interviews.views.common import own_attempt, place_of


@require_GET
@never_cache
def debrief(request: HttpRequest, attempt_id: UUID) -> HttpResponse:
    now = timezone.now()
    attempt = own_attempt(request, attempt_id, now)
    if attempt.status in LIVE:
        return redirect(place_of(attempt))
    return render(request, "interviews/debrief.html", {"row": present.attempt_row(attempt, now)})
