"""What happens to assigned work without anybody asking."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mlsd_app.cohorts.foretelling import predictions_catch_up
from mlsd_app.cohorts.grading.results import grading_catch_up, releases_due
from mlsd_app.cohorts.live.presence import presence_settle
from mlsd_app.cohorts.models import Export
from mlsd_app.cohorts.services import exports
from mlsd_app.cohorts.services.begin import tries_close


@shared_task(name="cohorts.grading")
def grading_task() -> None:
    """Closes what nobody handed in, queues what people must grade, releases what releases itself, sees who follows no more."""
    now = timezone.now()
    presence_settle(now=now)
    predictions_catch_up(now=now)
    tries_close(now=now)
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
