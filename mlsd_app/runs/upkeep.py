"""Honest ends for runs whose worker, queue place or Redis is gone, and the clearing away of what nobody needs."""

from __future__ import annotations

from datetime import timedelta
from functools import reduce
from operator import or_

import redis
from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from mlsd_app.accounts.ownership import links_to
from mlsd_app.runs import channel
from mlsd_app.runs.models import Run, RunState, StoredResult
from mlsd_app.runs.services import run_close

LOST = "The worker that ran this stopped before it finished. Nothing else is affected; run it again."
EXPIRED = "No worker was free to begin this run in time. Run it again."
GRACE = timedelta(seconds=channel.ALIVE_S + 1)
KEEP_WITHOUT_RESULT = timedelta(hours=1)
KEEP_ORPHANED_RESULTS = timedelta(days=7)


def run_settle(*, run: Run) -> bool:
    """Ends the run if it can no longer end by itself; True when it has ended, now or before.

    A queued run past its deadline was never begun. A running one without a lease has lost its worker. While Redis is away
    no lease can be read and nothing is decided.
    """
    run.refresh_from_db(fields=["state", "error", "started_at", "finished_at", "result"])
    now = timezone.now()
    if not run.active:
        return True
    if run.state == RunState.QUEUED and run.expires_at and now > run.expires_at + GRACE:
        run_close(run=run, state=RunState.EXPIRED, error=EXPIRED)
        return True
    if run.state == RunState.RUNNING and run.started_at and now > run.started_at + GRACE and not _has_worker(run):
        run_close(run=run, state=RunState.LOST, error=LOST)
        return True
    return False


def _has_worker(run: Run) -> bool:
    try:
        return bool(channel.connection().exists(channel.alive_key(run.pk)))
    except redis.RedisError:
        return True


def runs_reap() -> int:
    """Settles every active run; how many ended."""
    active = Run.objects.filter(state__in=[RunState.QUEUED, RunState.RUNNING])
    return sum(run_settle(run=run) for run in active)


def runs_prune() -> None:
    """Deletes ended runs without a result after an hour, results no run points at after a week, expired files at once.

    A run that something else points at stays: an interview numbers every run made in it, and its text names them.
    """
    from mlsd_app.runs.datasets import files_delete_orphans

    now = timezone.now()
    _without_result().filter(finished_at__lt=now - KEEP_WITHOUT_RESULT).delete()
    StoredResult.objects.filter(runs=None, created_at__lt=now - KEEP_ORPHANED_RESULTS).delete()
    StoredResult.objects.filter(runs=None, owner__isnull=False).delete()
    files_delete_orphans(folder=settings.UPLOADS_DIR)


def _without_result() -> QuerySet[Run]:
    ended = Run.objects.filter(state__in=[RunState.CANCELLED, RunState.EXPIRED, RunState.LOST], sweep=None)
    pointing = [model._base_manager.filter(**{field.name: OuterRef("pk")}) for model, field in links_to(Run)]
    return ended.exclude(reduce(or_, map(Exists, pointing)))
