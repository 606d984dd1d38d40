"""What happens to assigned work without anybody asking."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mlsd_app.cohorts.grading.results import releases_due
from mlsd_app.cohorts.grading.tasks_made import tasks_make


@shared_task(name="cohorts.grading")
def grading_task() -> None:
    """Puts what was marked by rule into the queue of graders, and lets out what an assignment shows by itself."""
    now = timezone.now()
    tasks_make(now=now)
    releases_due(now=now)
