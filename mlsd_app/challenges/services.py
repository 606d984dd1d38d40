"""Submitting a design, and stopping one. Pages and API call the same functions."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.db import transaction
from kombu.exceptions import OperationalError

from mlsd_app.accounts.models import User
from mlsd_app.celery import app
from mlsd_app.challenges.models import ACTIVE, STOPPED, State, Submission
from mlsd_app.challenges.selectors import practice_scope
from mlsd_app.core.presence import queue_alive
from mlsd_app.runs import channel
from mlsd_app.runs.services import NO_REDIS, SWEEP_PRIORITY, RunRefused, queue_of
from simulators.challenge import STAGE_1, STAGE_2, design_checked, design_hash, hidden_seeds
from simulators.lab import Challenge, Lab

STEP_TASK = "challenges.step"
CANCELLED = "Cancelled."


def submission_start(
    *,
    user: User,
    lab: type[Lab],
    challenge: Challenge,
    design: Mapping[str, Any],
    now: datetime,
    scope: str | None = None,
    most: int | None = None,
) -> Submission:
    """The design, queued to be judged; or the submission of the same design that is there already, which costs and counts nothing.

    design   only fields that the brief leaves open; the others stand at their defaults
    scope    whose secret seeds decide, the user's own by default; `most` is then how many designs the scope may take in all
    Raises InvalidInput (a field, a value) and RunRefused (limits, no worker, no Redis); then nothing was stored.
    """
    checked = design_checked(lab, challenge, design)
    client = channel.connection()
    try:
        with transaction.atomic():
            User.objects.select_for_update().get(pk=user.pk)  # two tabs at once count each other
            row, is_there = _row(user, lab, challenge, checked, scope or practice_scope(user), now)
            if is_there and row.state not in STOPPED:
                return row
            _admit(client, row, lab, most, now)
            row.state, row.error, row.queued_at, row.touched_at, row.finished_at = State.QUEUED, "", now, now, None
            row.requeued = 0
            row.save()
        client.delete(channel.cancel_key(row.pk))
        _step_send_or_forget(row, lab)
    except (redis.RedisError, OperationalError) as error:
        raise NO_REDIS from error
    return row


def _step_send_or_forget(row: Submission, lab: type[Lab]) -> None:
    try:
        step_send(row, lab)
    except (redis.RedisError, OperationalError):
        row.delete()
        raise


def _row(user: User, lab: type[Lab], challenge: Challenge, design: Mapping[str, Any], scope: str, now: datetime) -> tuple[Submission, bool]:
    """The submission of this design and True, or a new one that is not stored yet."""
    names = {
        "user": user,
        "problem": lab.problem,
        "lab": lab.slug,
        "challenge": challenge.slug,
        "lab_version": lab.version,
        "design_hash": design_hash(lab, challenge, design),
        "scope": scope,
    }
    found = Submission.objects.filter(**names).first()
    if found:
        return found, True
    return Submission(**names, design=dict(design), created_at=now, queued_at=now, touched_at=now), False


def _admit(client: redis.Redis, row: Submission, lab: type[Lab], most: int | None, now: datetime) -> None:
    limits = settings.CHALLENGE_LIMITS
    if not queue_alive(client, queue_of(lab, sweep=True)):
        raise RunRefused("No worker is running that could judge this. Try again in a few seconds.", "no_worker", 503)
    others = Submission.objects.filter(user=row.user)
    if others.filter(state__in=ACTIVE).exists():
        raise RunRefused("A design of yours is being judged. Wait for its verdict, or cancel it.", "limit", 429)
    last = others.order_by("-queued_at").first()
    if last and (wait := limits["apart_s"] - (now - last.queued_at).total_seconds()) > 0:
        raise RunRefused(f"Designs are judged {limits['apart_s']} s apart. Try again in {wait:.0f} s.", "limit", 429)
    counted = others.filter(scope=row.scope, problem=row.problem, lab=row.lab, challenge=row.challenge).exclude(state__in=STOPPED)
    if most is None and counted.filter(queued_at__gt=now - timedelta(days=1)).count() >= limits["a_day"]:
        raise RunRefused(
            f"You have submitted {limits['a_day']} designs to this challenge within a day, the most in practice.", "limit", 429
        )
    if most is not None and counted.count() >= most:
        raise RunRefused(f"You have submitted {most} designs, the most this assignment takes.", "limit", 429)


def step_send(row: Submission, lab: type[Lab]) -> None:
    """Queues the next seed. One task a seed: a slider of somebody else is served in between."""
    app.send_task(STEP_TASK, args=[str(row.pk)], queue=queue_of(lab, sweep=True), priority=SWEEP_PRIORITY)


def submission_cancel(*, submission: Submission, now: datetime) -> None:
    """Stops what runs at its next yield. What the seeds gave stays, so that sending the design again goes on from there."""
    if not submission.active:
        return
    try:
        channel.request_cancel(channel.connection(), submission.pk)
    except redis.RedisError as error:
        raise NO_REDIS from error
    submission_close(submission=submission, state=State.CANCELLED, error=CANCELLED, now=now)


def submission_close(*, submission: Submission, state: State, now: datetime, error: str = "", **values: Any) -> bool:
    """Ends an active submission; False when it had ended already (then nothing changes)."""
    changes = {"state": state, "error": error, "finished_at": now, "touched_at": now, **values}
    changed = Submission.objects.filter(pk=submission.pk, state__in=ACTIVE).update(**changes)
    submission.refresh_from_db()
    return changed > 0


# --- secret seeds ------------------------------------------------------------------------------------------------------


@cache
def _secret(key: str) -> bytes:
    return hmac.digest(key.encode(), b"loop45 challenges", "sha256")


def seeds_of(row: Submission, stage: int, *, lab_version: int | None = None) -> list[int]:
    """Of stage 1 by the design, and told once it is judged; of stage 2 by the scope, and told never."""
    task = f"{row.problem}/{row.lab}/{row.challenge}:{row.lab_version if lab_version is None else lab_version}"
    if stage == 1:
        return hidden_seeds(_secret(settings.SECRET_KEY), f"{task}:design:{row.design_hash}", STAGE_1)
    return hidden_seeds(_secret(settings.SECRET_KEY), f"{task}:scope:{row.scope}", STAGE_2)
