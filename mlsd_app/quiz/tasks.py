"""Background work of the quiz: lab questions are made one run at a time, behind everything else on the batch queue."""

from __future__ import annotations

from typing import cast

from celery import shared_task

from mlsd_app.quiz import instances
from mlsd_app.quiz.bank import Key, bank


@shared_task(name=instances.MAKE_TASK)
def instance_make_task(key: list[str], left: int, night: bool = False) -> None:
    """One step for a lab question; then sends itself again while steps are left.

    left   steps this chain may still take, this one included
    night  goes on with whichever item has the fewest questions; otherwise the chain ends with the question somebody waits for
    A run that fails for a reason of its own ends the chain; Celery logs it and the next wish tries again.
    """
    chosen = cast(Key, tuple(key))
    if chosen not in bank():
        return
    done = instances.step(chosen)
    following = chosen if done == "ran" else instances.thinnest() if night else None
    if following and left > 1:
        instances.send_step(following, left - 1, night=night)
    elif not night:
        instances.made_enough(chosen)


@shared_task(name="quiz.pool_refill")
def pool_refill_task() -> None:
    """Nightly: clears the pool of what no lab would answer today, then fills it where it is thinnest, within the night's budget of runs."""
    instances.retired_delete()
    first = instances.thinnest()
    if first:
        instances.send_step(first, instances.STEPS_A_NIGHT, night=True)
