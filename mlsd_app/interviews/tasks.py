from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mlsd_app.interviews import grading, upkeep
from mlsd_app.interviews.closing import GRADE_TASK


@shared_task(name="interviews.sweep")
def sweep_task() -> None:
    """Closes what is over, puts prompts that are due, and asks again for grades that did not come."""
    upkeep.sweep(now=timezone.now())
    grading.grading_requeue(now=timezone.now())


@shared_task(name=GRADE_TASK)
def grade_task(attempt_id: str) -> None:
    grading.attempt_grade(attempt_id=attempt_id, now=timezone.now())
