from __future__ import annotations

from celery import shared_task

from mlsd_app.accounts.services import guests_delete_stale


@shared_task(name="accounts.guests_delete_stale")
def guests_delete_stale_task() -> None:
    guests_delete_stale()
