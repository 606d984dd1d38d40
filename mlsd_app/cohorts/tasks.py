"""What happens to assigned work without anybody asking."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mlsd_app.cohorts.grading.results import grading_catch_up, releases_due
from mlsd_app.cohorts.models import Export
from mlsd_app.cohorts.services import exports


@shared_task(name="cohorts.grading")
def grading_task() -> None:
    """Puts what was marked by rule into the queue of graders, and lets out what an assignment shows by itself."""
    now = timezone.now()
    grading_catch_up(now=now)
    releases_due(now=now)


@shared_task(name=exports.WRITE_TASK)
def export_write_task(export_id: int) -> None:
    """Writes one file; nothing to do when it was taken back meanwhile."""
    if export := Export.objects.filter(pk=export_id).select_related("user", "cohort").first():
        exports.export_write(export=export)


@shared_task(name="cohorts.exports_prune")
def exports_prune_task() -> None:
    exports.exports_prune(now=timezone.now())
