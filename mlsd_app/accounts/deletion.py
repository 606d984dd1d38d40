"""Deleting an account with everything in it."""

from __future__ import annotations

import logging

from django.db import transaction

from mlsd_app.accounts.models import User
from mlsd_app.runs.datasets import dataset_delete
from mlsd_app.runs.models import ACTIVE, Dataset, Run
from mlsd_app.runs.services import RunRefused, run_cancel

logger = logging.getLogger(__name__)


def account_delete(*, user: User) -> None:
    """Stops the user's runs and deletes their files, then every row of theirs. Whoever was signed in as them is signed out by that."""
    _runs_cancel(user)
    for dataset in Dataset.objects.filter(user=user):
        dataset_delete(dataset=dataset)
    with transaction.atomic():
        user.delete()


def _runs_cancel(user: User) -> None:
    try:
        for run in Run.objects.filter(user=user, state__in=ACTIVE):
            run_cancel(run=run)
    except RunRefused as error:  # their worker will find no row to write to
        logger.info("runs of a deleted account not cancelled: %s", error)
