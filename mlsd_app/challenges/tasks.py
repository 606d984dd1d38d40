"""One task a seed, looking after submissions whose worker is gone, and judging stored passes again at night."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from mlsd_app.challenges import judging, rejudging
from mlsd_app.challenges.services import STEP_TASK


@shared_task(name=STEP_TASK)
def step_task(submission_id: str) -> None:
    judging.submission_step(submission_id=submission_id, now=timezone.now())


@shared_task(name="challenges.reap")
def reap_task() -> None:
    judging.submissions_reap(now=timezone.now())


@shared_task(name="challenges.rejudge")
def rejudge_task() -> None:
    rejudging.rejudging_send(now=timezone.now())


@shared_task(name=rejudging.ONE_TASK)
def rejudge_pass_task(submission_id: str) -> None:
    rejudging.pass_rejudge(submission_id=submission_id, now=timezone.now())
