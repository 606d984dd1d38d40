"""Background work of the quiz: lab questions are made one run at a time, behind everything else on the batch queue."""

from __future__ import annotations

from typing import cast

from celery import shared_task
from django.utils import timezone

from mlsd_app.quiz import instances
from mlsd_app.quiz.bank import Key, bank
from mlsd_app.quiz.sittings import sittings_sweep


@shared_task(name=instances.MAKE_TASK)
def instance_make_task(key: list[str] | None, left: int) -> None:
    """One step; then sends itself again while steps are left.

    key   the item somebody waits for: ends with its next usable question. None: whichever item has the fewest.
    left  steps this chain may still take
    A run that fails for a reason of its own ends the chain; Celery logs it and the next wish tries again.
    """
    chosen = cast(Key, tuple(key)) if key else instances.thinnest()
    if chosen is None or chosen not in bank():
        return
    done = instances.step(chosen)
    if left > 1 and not (key and done in ("made", "complete")):
        instances.send_step(chosen if key else None, left - 1)
    elif key:
        instances.made_enough(chosen)


@shared_task(name="quiz.pool_refill")
def pool_refill_task() -> None:
    """Nightly: fills the pool where it is thinnest, within the night's budget of runs."""
    instances.send_step(None, instances.STEPS_A_NIGHT)


@shared_task(name="quiz.sweep")
def sweep_task() -> None:
    """Closes timed and assigned quizzes that nobody came back to."""
    sittings_sweep(now=timezone.now())
